// What connection, sessions and links of one connection share: the output, the limits in force, and the owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/handler.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/undo.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {
namespace detail {

struct wire {
  wire(connection_handler& handler, connection_options const& how, time_point at) noexcept
      : owner{&handler}, options{&how}, now{at}, last_sent{at}, max_assembling{how.max_assembling} {}

  connection_handler* owner;
  connection_options const* options;
  byte_buffer out;
  time_point now;        // of the turn: what receive() or step() was told last
  time_point last_sent;  // a moment before which the last frame cannot have left
  std::size_t assembling = 0;
  std::size_t max_assembling;  // options.max_assembling or less
  std::uint32_t max_frame = min_max_frame_size;  // what this side may send
  std::uint32_t ends_sent = 0;  // sessions that this side ended, and the peer did not agree yet
  std::uint16_t peer_channel_max = 0;
  bool writable = false;  // the open is sent and the close is not
  bool dirty = false;     // some session has a flow or a disposition to send
  bool blocked = false;   // some sender was refused for a reason other than credit
  bool backed = false;    // … because of the output, or was just accepted: step() is due
  bool garbage = false;   // some session holds links that ended in this turn
  violation broken;       // a rule of the connection that the peer broke

  template <class Performative>
  void send(std::uint16_t channel, Performative const& what) {
    send(channel, what, {});
  }
  template <class Performative>
  void send(std::uint16_t channel, Performative const& what, byte_view payload) {
    undo half{[this, size = out.size()]() noexcept { out.truncate(size); }};
    std::size_t const begun = begin_frame(frame_type::amqp, channel, out);
    encode(what, options->lists, out);
    out.append(payload);
    end_frame(begun, out);
    half.dismiss();
    last_sent = now;
  }
  void fail(violation rule) noexcept {
    if (!broken) broken = rule;
  }
  [[nodiscard]] bool backed_up() const noexcept { return out.size() > options->max_backlog; }
};

// Distance between two serial numbers (RFC 1982, as 2.8.10 says): negative when `a` comes before `b`.
constexpr std::int32_t serial_distance(std::uint32_t a, std::uint32_t b) noexcept {
  return static_cast<std::int32_t>(a - b);
}

}  // namespace detail
}  // namespace amqp
}  // namespace v0
}  // namespace iothub
