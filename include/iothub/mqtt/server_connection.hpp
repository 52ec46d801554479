// A server session on bytes: what a served MQTT connection is, without the socket.
#pragma once

#include <cstddef>

#include <iothub/base/bytes.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/server_session.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// How a driver uses it, once per turn:
//   while (room() != 0 && the stream has bytes) receive(bytes, now);    // handler callbacks run inside
//   step(now);                                                          // time-outs, and what was held before
//   write output() in one go, consume() what went out;
//   if (finished()) close the stream;
// PUBACKs and everything else that the callbacks caused gather in output(), so one write carries them all. Idle it owns
// no memory: packets are decoded where the driver read them, only the beginning of an incomplete one is kept.
class server_connection final : private packet_sink {
 public:
  server_connection(server_handler& owner, server_options const& options, time_point now) noexcept
      : session_{owner, *this, options, now} {}

  [[nodiscard]] server_session& session() noexcept { return session_; }
  [[nodiscard]] server_session const& session() const noexcept { return session_; }

  // How many bytes it is willing to take now: 0 while the owner decides or is behind with its acknowledgements and
  // enough is held, or while the peer does not read its answers. Ask again after accept(), acknowledge(), consume().
  [[nodiscard]] std::size_t room() const noexcept {
    if (session_.closed()) return max_held;  // what comes is dropped, and the end of the stream is seen
    if (out_.size() > session_.options().max_backlog) return 0;
    if (session_.reading()) return max_held;
    return in_.size() < max_held ? max_held - in_.size() : 0;
  }
  // What a peer of whom nothing is known may make this hold: a Will of the greatest length, and room for its
  // credentials.
  static constexpr std::size_t max_connect_size = 80 * 1024;
  // Never called from inside a callback of the handler.
  void receive(byte_view bytes, time_point now);
  void step(time_point now) {
    receive({}, now);
    session_.on_time(now);
  }
  // The stream ended or failed.
  void link_lost(error reason, time_point now) {
    session_.link_lost(static_cast<error&&>(reason), now);
    ended_ = true;
    in_.clear();
    in_.shrink();
    out_.clear();
    out_.shrink();
  }

  [[nodiscard]] byte_view output() const noexcept { return out_.view(); }
  void consume(std::size_t size) noexcept {
    out_.consume(size);
    out_.shrink(keep);
  }
  // Nothing will be added to output() any more; when that is empty the stream is to be closed.
  [[nodiscard]] bool finished() const noexcept { return ended_; }
  [[nodiscard]] time_point deadline() const noexcept { return session_.deadline(); }

 private:
  static constexpr std::size_t max_held = 65'536;
  static constexpr std::size_t keep = 512;

  void send(packet const& what) override { encode(what, out_); }
  void end() override { ended_ = true; }
  [[nodiscard]] std::size_t backlog() const override { return out_.size(); }
  std::size_t handle(byte_view bytes, time_point now);

  server_session session_;
  byte_buffer in_;
  byte_buffer out_;
  bool ended_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void server_connection::receive(byte_view bytes, time_point now) {
  if (in_.empty()) {
    std::size_t const used = handle(bytes, now);
    if (!session_.closed()) in_.append(bytes.substr(used));
  } else {
    in_.append(bytes);
    in_.consume(handle(in_.view(), now));
  }
  if (session_.closed()) in_.clear();
  in_.shrink();
}

// Handles whole packets from the front, as long as the session reads; returns the bytes used.
inline std::size_t server_connection::handle(byte_view bytes, time_point now) {
  std::size_t used = 0;
  packet what;
  filter_scratch scratch;
  while (session_.reading() && !session_.closed()) {
    std::size_t limit = session_.options().max_packet_size;
    if (session_.state() == server_session::state_type::awaiting_connect && limit > max_connect_size)
      limit = max_connect_size;
    decoded const found = decode(bytes.substr(used), limit, what, scratch);
    if (found.status == decode_status::need_more) break;
    if (found.status == decode_status::broken) {
      session_.broken(found.rule, now);
      break;
    }
    used += found.size;
    session_.receive(what, now);
  }
  return used;
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
