// One AMQP 1.0 connection, either role, bytes in and bytes out: no clock, no I/O.
//
// Theory of operation. The roles differ only at the start: a client calls open() and speaks first, a server waits for
// the client's protocol header. Then both are the same (Part 2, 2.4):
//
//   client: [SASL header, mechanisms, init, outcome]  AMQP header, open  --peer's open-->  open
//   server: [SASL header, mechanisms, init, outcome]  AMQP header  --peer's open-->  open  (its own is sent first)
//   open --close() sent--> closing --peer's close--> closed
//   open --peer's close, a broken rule, silence--> closed
//
// What it does by itself: protocol headers, SASL steps, open and close, channels and handles, session windows, cutting
// messages into frames and putting them together again, delivery ids, credit arithmetic, heartbeats (2.4.5: an empty
// frame when nothing was sent for half of the time that the peer announced), answers to detach, end and close. What the
// owner does: who may connect and attach, what the links mean, how much credit to give, what becomes of deliveries.
//
// A broken rule ends the smallest thing that holds it: a link with detach, a session with end, the connection with
// close (2.8.15 to 2.8.18 say which condition belongs to which), and the sentence is sent along as description.
//
// How a driver uses it, once per turn, the same for both roles:
//   client, first of all: open(credentials, now)
//   while (room() != 0 && the stream has bytes) receive(bytes, now);   // callbacks of the handler run inside
//   step(now);                                                         // time-outs, heartbeats, senders that waited
//   write output() in one go, consume() what went out, step(now) again when that made room;
//   if (finished()) close the stream.
//   the stream ended or failed: link_lost(reason, now).
// Verbs of connection, session and link may be called from callbacks and between turns; what they send gathers in
// output(). deadline() says when step() has something to do although nothing came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/handler.hpp>
#include <iothub/amqp/link.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/sasl.hpp>
#include <iothub/amqp/session.hpp>
#include <iothub/amqp/wire.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

enum class connection_role : std::uint8_t { client, server };

class connection {
 public:
  enum class state_type : std::uint8_t {
    start,    // client: open() not called; server: no protocol header yet
    sasl,     // the SASL layer is at work
    header,   // the AMQP header of the peer is awaited
    opening,  // the peer's open is awaited
    open,
    closing,  // this side sent close
    closed,
  };

  connection(connection_role role, connection_handler& owner, connection_options const& options,
             time_point now) noexcept
      : wire_{owner, options, now}, since_{now}, last_received_{now}, role_{role} {}
  connection(connection const&) = delete;
  connection& operator=(connection const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] connection_role role() const noexcept { return role_; }
  [[nodiscard]] connection_options const& options() const noexcept { return *wire_.options; }
  // How the client showed who it is; none: no SASL layer.
  [[nodiscard]] sasl_mechanism mechanism() const noexcept { return mechanism_; }
  // What it waits for, for a stall report.
  [[nodiscard]] std::string_view waits_for() const noexcept;

  // --- for the owner -------------------------------------------------------------------------------------------------
  // Client, state `start` only: errc::invalid_state otherwise.
  result<void> open(sasl_credentials credentials, time_point now);
  // Server: the answer to an on_sasl that returned nothing. `ok` lets the client go on.
  void sasl_outcome(sasl_code code);
  // Asks for a session; on_begun follows. errc::not_connected unless open, errc::quota_exceeded when no channel is
  // left.
  result<session*> begin();
  // Says good-bye, with an error where there is one. on_closed follows when the peer has answered, or after
  // close_timeout. Before the connection is open it ends at once: on_closed follows in the next step().
  void close(error_view const& why = {});
  // connection_options::max_assembling for this connection alone: less for those of whom nothing is known yet.
  void limit_assembling(std::size_t bytes) noexcept { wire_.max_assembling = bytes; }
  // The sessions, in the order of their channels on this side.
  template <class F>
  void for_each_session(F f) {
    for (std::size_t i = 0; i < sessions_.size(); ++i)
      if (sessions_[i]) f(*sessions_[i]);
  }

  // --- for the driver ------------------------------------------------------------------------------------------------
  // How many bytes it is willing to take now; 0 while the owner decides on SASL and enough is held, or while the peer
  // does not read what it is sent.
  [[nodiscard]] std::size_t room() const noexcept;
  // Never called from inside a callback.
  void receive(byte_view bytes, time_point now);
  void step(time_point now);
  // The stream ended or failed: everything ends, nothing more is sent.
  void link_lost(error reason, time_point now);
  // What is to be written. Views hold until the next call of a non-const member.
  [[nodiscard]] byte_view output();
  void consume(std::size_t size) noexcept;
  // Nothing will be added to output() any more; when that is empty the stream is to be closed.
  [[nodiscard]] bool finished() const noexcept { return state_ == state_type::closed; }
  // Moves later with traffic, and earlier only by calls into this object: a driver that finds it not due reads it
  // again.
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  static constexpr std::size_t max_held = 65'536;
  static constexpr std::size_t keep = 65'536;

  std::size_t handle(byte_view bytes);
  std::size_t handle_header(byte_view bytes);
  std::size_t handle_frame(byte_view bytes);
  void on_header(protocol_id id);
  void on_sasl_frame(byte_view body);
  void on_amqp_frame(frame const& what);
  void on_open(value_view const& fields);
  void on_begin(std::uint16_t channel, value_view const& fields);
  void on_session_frame(std::uint16_t channel, performative const& what);
  void on_close(value_view const& fields);

  void send_header(protocol_id id) { write_protocol_header(id, wire_.out); }
  void send_open();
  void send_close(error_view const& why);
  void end_all();
  void finish(error reason, error_view const& peer);
  void fail(violation rule);
  void sweep() noexcept;
  void flush();
  void unblock();
  session* new_session();
  void bind(session& which, std::uint16_t peer_channel);
  void end_session(session& which, ended_by by, error_view const& why);
  // Ends the connection where a callback or a session asked for it.
  void settle_end();
  void on_silence();
  [[nodiscard]] time_point silent_until() const noexcept;
  [[nodiscard]] bool reading() const noexcept { return !deciding_ && state_ != state_type::closed; }
  [[nodiscard]] duration heartbeat() const noexcept { return std::chrono::milliseconds{peer_idle_time_out_} / 2; }
  [[nodiscard]] std::size_t frame_limit() const noexcept;

  detail::wire wire_;
  byte_buffer in_;
  std::vector<std::unique_ptr<session>> sessions_;  // by this side's channel
  std::vector<session*> by_peer_;                   // by the peer's channel
  std::vector<std::unique_ptr<session>> finished_;  // ended in this turn
  std::unique_ptr<sasl_server> sasl_server_;
  std::unique_ptr<sasl_client> sasl_client_;
  time_point since_;                // start, or when close was sent
  time_point ends_since_ = never;   // since when ends that this side sent wait for an answer; set by the next step()
  time_point last_received_;
  std::uint32_t peer_idle_time_out_ = 0;  // milliseconds
  connection_role role_;
  state_type state_ = state_type::start;
  sasl_mechanism mechanism_ = sasl_mechanism::none;
  bool deciding_ = false;  // the owner has not answered on_sasl
  bool open_sent_ = false;
  std::optional<error> ending_;  // it is to end, and is told so as soon as no verb is running
};

}  // namespace amqp
}  // namespace v0
}  // namespace iothub

#include <iothub/amqp/connection_core.hpp>
#include <iothub/amqp/link_core.hpp>
#include <iothub/amqp/session_core.hpp>
