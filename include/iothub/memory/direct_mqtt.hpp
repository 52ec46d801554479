// An MQTT transport straight into a server in the same process: a client session here, the peer's server session there,
// packets as values between them. The rules are those of the real sessions; no byte of MQTT exists.
//
// Theory of operation.
//   - To the server: what the client session sends is handed to the server session at once, as views. Its handler runs
//     inside publish(), subscribe() and so on; it must not call back into this transport.
//   - To the client: what the server session sends is queued and the participant is woken; next_event() takes it out.
//     So neither side ever runs inside the other twice. The queue has two halves, one that is read and one that is
//     filled: views in an event hold although the server goes on sending.
//   - When the server session does not read (its owner is behind with acknowledgements), packets wait here.
//   - This object also drives the server session's time: an idle connection costs the peer no participant.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/packet_queue.hpp>
#include <iothub/mqtt/server_session.hpp>
#include <iothub/policy/mqtt_transport.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

// What stands behind the endpoint. accept() is a new link: the peer makes a server session that sends to `to_client`,
// which lives until release(), and keeps it at the same place; nullptr means that nobody listens there. release() is
// called exactly once per accepted session, outside of its callbacks, after it has ended by whatever means (on_closed
// was called, or its owner closed it); the peer may destroy it then. The peer outlives every transport on it.
template <class P>
concept mqtt_peer = requires(P& p, endpoint const& where, mqtt::packet_sink& to_client, mqtt::server_session& session,
                             time_point now) {
  { p.accept(where, to_client, now) } -> std::same_as<mqtt::server_session*>;
  { p.release(session) } -> std::same_as<void>;
};

template <mqtt_peer Peer>
class direct_mqtt final {
 public:
  explicit direct_mqtt(Peer& peer, mqtt::client_options const& options = {}) noexcept
      : peer_{&peer}, session_{to_server_, options} {}
  direct_mqtt(direct_mqtt const&) = delete;
  direct_mqtt& operator=(direct_mqtt const&) = delete;
  ~direct_mqtt() { unlink(error{errc::connection_lost, "the client is gone"}); }

  [[nodiscard]] mqtt::client_session const& session() const noexcept { return session_; }

  result<void> open(endpoint const& where, mqtt::connect const& how, time_point now);
  result<std::uint16_t> publish(mqtt::publish const& message, time_point now) {
    now_ = now;
    return session_.publish(message, now);
  }
  result<std::uint16_t> subscribe(std::span<mqtt::subscription const> filters, time_point now) {
    now_ = now;
    return session_.subscribe(filters, now);
  }
  result<std::uint16_t> unsubscribe(std::span<std::string_view const> names, time_point now) {
    now_ = now;
    return session_.unsubscribe(names, now);
  }
  void acknowledge(std::uint16_t id, time_point now) {
    now_ = now;
    session_.acknowledge(id, now);
  }
  void abandon(std::uint16_t id) noexcept { session_.abandon(id); }
  void close(mqtt::close_mode mode, time_point now);

  void step(time_point now);
  mqtt::client_event const* next_event();
  [[nodiscard]] time_point deadline() const;
  void attach(loop& on, participant& whom) noexcept {
    loop_ = &on;
    whom_ = &whom;
  }

  // A simulated fault: the link breaks now. What is under way to the client is lost; both sides see it as any other
  // loss of a connection. Without a connection it does nothing.
  void cut(time_point now);

 private:
  struct sink_to_server final : mqtt::packet_sink {
    explicit sink_to_server(direct_mqtt& s) noexcept : self{&s} {}
    void send(mqtt::packet const& what) override { self->to_server(what); }
    void end() override {}  // whoever called the session looks at its state afterwards
    [[nodiscard]] std::size_t backlog() const override { return self->held_.size(); }
    direct_mqtt* self;
  };
  struct sink_to_client final : mqtt::packet_sink {
    explicit sink_to_client(direct_mqtt& s) noexcept : self{&s} {}
    void send(mqtt::packet const& what) override {
      self->filled_.push(what);
      self->wake();
    }
    void end() override { self->wake(); }
    void resume() override { self->wake(); }
    [[nodiscard]] std::size_t backlog() const override { return self->filled_.bytes() + self->read_.bytes(); }
    direct_mqtt* self;
  };

  void to_server(mqtt::packet const& what);
  void release_held();
  void unlink(error reason);
  void forget_packets() noexcept;
  bool next_packet() noexcept;
  [[nodiscard]] bool closed() const noexcept { return session_.state() == mqtt::client_session::state_type::closed; }
  void wake() noexcept {
    if (loop_) loop_->wake(*whom_);
  }

  Peer* peer_;
  mqtt::server_session* server_ = nullptr;  // nullptr: no link
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  time_point now_ = {};
  sink_to_server to_server_{*this};
  sink_to_client to_client_{*this};
  mqtt::packet_queue read_;    // next_event() takes from this half
  mqtt::packet_queue filled_;  // the server adds to this one
  byte_buffer held_;           // encoded, the one place where that is simplest
  bool front_is_out_ = false;  // the front of read_ went out with the last event
  mqtt::client_session session_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <mqtt_peer Peer>
result<void> direct_mqtt<Peer>::open(endpoint const& where, mqtt::connect const& how, time_point now) {
  if (!closed()) return errc::invalid_state;
  now_ = now;
  forget_packets();
  server_ = peer_->accept(where, to_client_, now);
  if (!server_) return error{errc::connection_refused, "nobody listens at " + where.host};
  result<void> begun = session_.open(how, now);
  if (!begun) unlink(error{errc::connection_lost, "the client gave up"});
  return begun;
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::close(mqtt::close_mode mode, time_point now) {
  now_ = now;
  session_.close(mode);
  unlink(error{errc::connection_lost, "the client closed the connection without DISCONNECT"});
  forget_packets();
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::to_server(mqtt::packet const& what) {
  if (!server_) return;
  if (held_.empty() && server_->reading())
    server_->receive(what, now_);
  else
    mqtt::encode(what, held_);
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::release_held() {
  mqtt::packet what;
  mqtt::filter_scratch scratch;
  while (!held_.empty() && server_->reading()) {
    mqtt::decoded const found = mqtt::decode(held_.view(), mqtt::max_remaining_length + 5, what, scratch);
    IOTHUB_ASSERT(found.status == mqtt::decode_status::complete);
    server_->receive(what, now_);
    held_.consume(found.size);
  }
  held_.shrink();
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::step(time_point now) {
  now_ = now;
  if (!server_) return;
  if (!held_.empty()) release_held();
  server_->on_time(now);
}

template <mqtt_peer Peer>
bool direct_mqtt<Peer>::next_packet() noexcept {
  if (front_is_out_) read_.pop();
  front_is_out_ = false;
  if (read_.empty()) std::swap(read_, filled_);
  return !read_.empty();
}

template <mqtt_peer Peer>
mqtt::client_event const* direct_mqtt<Peer>::next_event() {
  if (closed()) return nullptr;
  mqtt::client_event const* event = nullptr;
  while (!event && next_packet()) {
    front_is_out_ = true;
    event = session_.receive(read_.front(), now_);
  }
  if (!event) {
    bool const lost = !server_ || server_->closed();
    event = lost ? session_.link_lost(error{errc::connection_lost, "the server closed the connection"})
                 : session_.on_time(now_);
  }
  if (closed()) unlink(error{errc::connection_lost, "the client closed the connection"});
  return event;
}

template <mqtt_peer Peer>
time_point direct_mqtt<Peer>::deadline() const {
  if (closed()) return never;
  time_point const ours = session_.deadline();
  time_point const theirs = server_ ? server_->deadline() : never;
  return ours < theirs ? ours : theirs;
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::cut(time_point now) {
  if (closed()) return;
  now_ = now;
  forget_packets();
  unlink(error{errc::connection_lost, "the link was cut"});
  wake();
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::unlink(error reason) {
  if (!server_) return;
  server_->link_lost(std::move(reason), now_);
  peer_->release(*std::exchange(server_, nullptr));
}

template <mqtt_peer Peer>
void direct_mqtt<Peer>::forget_packets() noexcept {
  read_.clear();
  filled_.clear();
  held_.clear();
  held_.shrink();
  front_is_out_ = false;
}

}  // namespace memory
}  // namespace v0
}  // namespace iothub
