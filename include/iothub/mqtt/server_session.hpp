// The server role of one MQTT 3.1.1 connection, packet by packet: no bytes, no clock, no I/O.
//
// Theory of operation. A link (bytes or values, the session cannot tell) delivers packets with receive(); what the
// session sends goes to a packet_sink; what the owner must decide goes to a server_handler. Whether the peer may go on
// is a matter of four states:
//
//   awaiting_connect --CONNECT--> deciding --accept()--> open --> closed
//
//   - awaiting_connect: the first packet must be CONNECT (MQTT-3.1.0-1) and must come within `connect_timeout`.
//   - deciding: the owner has seen on_connect and calls accept() or refuse(), inside the callback or at any later time.
//     Until then reading() is false: the link holds whatever the peer sent behind its CONNECT.
//   - open: packets are handled in the order in which they came.
//   - closed: nothing is sent or received any more. The sink's end() was called, unless the link itself went away.
//
// What the session does by itself: protocol level and name, empty client ids, roles and order of packets, PINGRESP,
// keep-alive, packet ids, and the order of PUBACKs, which leave in the order of the PUBLISHes (with bytes: gathered in
// the output, which the link writes once per turn). What the owner does: credentials, topics, subscriptions, stored
// sessions, Wills (on_closed with clean == false means that a Will is due).
//
// A callback may call any member of the session, but must not destroy it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <iothub/base/config.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/mqtt/ack_queue.hpp>
#include <iothub/mqtt/packet.hpp>
#include <iothub/mqtt/packet_ids.hpp>
#include <iothub/mqtt/packet_sink.hpp>
#include <iothub/mqtt/topic_filter.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// What happens to a PUBLISH at QoS 2. IoT Hub closes the connection (Microsoft docs: iot-mqtt-connect-to-iot-hub); a
// PUBACK as for QoS 1 was seen from it as well.
enum class qos2_policy : std::uint8_t { close, as_qos1 };

struct server_options {
  // A CONNECT must come within this time of the link's start. The hub's own value is unconfirmed; edgeHub has 60 s.
  duration connect_timeout = std::chrono::seconds{60};
  // Silence is allowed for 1.5 times the client's keep-alive (3.1.2.10), but never longer than this (Microsoft docs:
  // iot-mqtt-connect-to-iot-hub: 29.45 minutes).
  duration keep_alive_cap = std::chrono::seconds{1767};
  // Keep-alive 0 means that the server does not time the client; whether the hub applies its cap then is unconfirmed.
  bool cap_without_keep_alive = true;
  // A packet larger than this, its fixed header included, ends the connection before anything is allocated for it.
  std::size_t max_packet_size = 262'144;
  // That many received QoS 1 messages may wait for their acknowledge(); then reading() is false.
  std::size_t max_unacknowledged = 1024;
  // publish() fails with errc::outbox_full when the sink holds more bytes than this.
  std::size_t max_backlog = 1u << 22;
  qos2_policy qos2 = qos2_policy::close;
};

// Implemented by the owner of the session, one handler per session. Views hold during the call only.
class server_handler {
 public:
  // A valid CONNECT; answer with accept() or refuse(), now or later. An empty client id comes only with a clean
  // session.
  virtual void on_connect(mqtt::connect const& how, time_point now) = 0;
  // A PUBLISH at QoS 0 or 1. At QoS 1 the owner calls acknowledge(message.id), now or later, or withhold(message.id).
  // MQTT-3.3.1-3: message.dup says something about this copy on this link only.
  virtual void on_publish(mqtt::publish const& message, time_point now) = 0;
  // The PUBACK of a publish() of this session; comes once per id. Unknown ids are ignored before.
  virtual void on_puback(std::uint16_t id, time_point now) = 0;
  // Valid filters, at least one; answer with suback(request.id, codes), one code per filter.
  virtual void on_subscribe(mqtt::subscribe const& request, time_point now) = 0;
  // Answer with unsuback(request.id), also when no filter was held (MQTT-3.10.4-5).
  virtual void on_unsubscribe(mqtt::unsubscribe const& request, time_point now) = 0;
  // The session ended by other means than the owner's close() or refuse(). clean: the client sent DISCONNECT, then
  // `reason` is errc::closed. Otherwise: errc::protocol_error (names the rule), errc::timeout (CONNECT or keep-alive)
  // or what the link said. on_connect need not have been called before.
  virtual void on_closed(error const& reason, bool clean, time_point now) = 0;

 protected:
  server_handler() = default;
  server_handler(server_handler const&) = default;
  server_handler& operator=(server_handler const&) = default;
  ~server_handler() = default;
};

class server_session {
 public:
  enum class state_type : std::uint8_t { awaiting_connect, deciding, open, closed };

  // `options` is shared by all sessions of a server and must outlive them, as handler and sink must. The connect
  // time-out runs from `now`.
  server_session(server_handler& owner, packet_sink& out, server_options const& options, time_point now) noexcept
      : owner_{&owner}, out_{&out}, options_{&options}, last_received_{now} {}
  server_session(server_session const&) = delete;
  server_session& operator=(server_session const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] bool closed() const noexcept { return state_ == state_type::closed; }
  [[nodiscard]] server_options const& options() const noexcept { return *options_; }
  // Seconds, as the client asked for in its CONNECT.
  [[nodiscard]] std::uint16_t keep_alive() const noexcept { return keep_alive_; }

  // --- for the owner -------------------------------------------------------------------------------------------------
  // State `deciding` only. session_present is true only for a client that did not ask for a clean session
  // (MQTT-3.2.2-1); stored messages are published right after it.
  void accept(bool session_present, time_point now);
  // State `deciding` only. Sends CONNACK with this code and ends the link; no on_closed follows.
  void refuse(connect_code code);
  // Sends PUBACK as soon as all earlier messages are acknowledged or withheld. Ids not owed are ignored.
  void acknowledge(std::uint16_t id);
  // No PUBACK will ever be sent for this message (the daily quota is used up); later ones do not wait for it.
  void withhold(std::uint16_t id);
  void suback(std::uint16_t id, std::span<std::uint8_t const> codes);
  void unsuback(std::uint16_t id);
  // Sends at QoS 0 or 1 and returns the packet id (0 at QoS 0). At QoS 1 `message.id` 0 takes a fresh id; another one
  // is kept, for a message of an earlier connection that is sent again (MQTT-4.4.0-1; the caller sets dup). Fails with
  // errc::not_connected, errc::invalid_argument (topic, QoS 2, id in use), errc::outbox_full, errc::too_large.
  result<std::uint16_t> publish(mqtt::publish message);
  // Ends the session without a word, as for a takeover; MQTT 3.1.1 has no reason to send. No on_closed follows.
  void close();

  // --- for the link --------------------------------------------------------------------------------------------------
  // False: the link must hold what comes until the sink's resume(). True when closed, so that the rest is thrown away.
  [[nodiscard]] bool reading() const noexcept {
    return state_ != state_type::deciding && (owed_.size() < options_->max_unacknowledged || closed());
  }
  // One packet that a decoder (or a client session) found well-formed. Only while reading().
  void receive(packet const& what, time_point now);
  // The peer sent what no decoder takes: ends the session as a protocol error.
  void broken(violation rule, time_point now);
  // The link is gone; `reason` says why. Nothing is sent.
  void link_lost(error reason, time_point now);
  // Time passed: CONNECT or keep-alive may be overdue.
  void on_time(time_point now);
  // Moves later with traffic, and earlier only by accept(): a driver that finds it not due reads it again.
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  void on_connect(mqtt::connect const& how, time_point now);
  void on_publish(mqtt::publish const& message, time_point now);
  void finish(error reason, bool clean, time_point now);
  void flush_acknowledgements();
  void send(packet const& what) { out_->send(what); }
  void stopped_holding(bool was_reading);
  [[nodiscard]] duration silence_limit() const noexcept;

  server_handler* owner_;
  packet_sink* out_;
  server_options const* options_;
  time_point last_received_;
  packet_ids ids_;
  ack_queue owed_;
  std::uint16_t keep_alive_ = 0;
  std::uint16_t current_ = 0;  // the QoS 1 message that on_publish is about, until it is settled
  state_type state_ = state_type::awaiting_connect;
  bool clean_session_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void server_session::receive(packet const& what, time_point now) {
  if (closed()) return;
  IOTHUB_ASSERT(reading());
  last_received_ = now;
  if (state_ == state_type::awaiting_connect) {
    if (what.type != packet_type::connect)
      return broken("MQTT-3.1.0-1: the first packet on a connection must be CONNECT", now);
    return on_connect(what.connect, now);
  }
  switch (what.type) {
    case packet_type::publish: return on_publish(what.publish, now);
    case packet_type::puback:
      if (ids_.release(what.id)) owner_->on_puback(what.id, now);
      return;
    case packet_type::subscribe: return owner_->on_subscribe(what.subscribe, now);
    case packet_type::unsubscribe: return owner_->on_unsubscribe(what.unsubscribe, now);
    case packet_type::pingreq: return send(packet{packet_type::pingresp});  // MQTT-3.12.4-1
    case packet_type::disconnect: return finish(error{errc::closed}, true, now);
    case packet_type::connect: return broken("MQTT-3.1.0-2: a second CONNECT on one connection", now);
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp:
      return broken("MQTT-4.8.0-1: an acknowledgement of QoS 2, which this server never uses", now);
    default: return broken("MQTT-4.8.0-1: a packet that only a server may send", now);
  }
}

inline void server_session::on_connect(mqtt::connect const& how, time_point now) {
  if (how.protocol_level != 4) {
    send(connack{false, connect_code::bad_protocol_version});  // MQTT-3.1.2-2
    return finish(error{errc::protocol_error, "MQTT-3.1.2-2: the protocol level is not 4"}, false, now);
  }
  if (how.client_id.empty() && !how.clean_session) {
    send(connack{false, connect_code::identifier_rejected});  // MQTT-3.1.3-8
    return finish(error{errc::protocol_error, "MQTT-3.1.3-8: an empty client id needs a clean session"}, false, now);
  }
  state_ = state_type::deciding;
  keep_alive_ = how.keep_alive;
  clean_session_ = how.clean_session;
  owner_->on_connect(how, now);
}

inline void server_session::accept(bool session_present, time_point now) {
  IOTHUB_ASSERT(state_ == state_type::deciding);
  state_ = state_type::open;
  last_received_ = now;
  send(connack{session_present && !clean_session_, connect_code::accepted});
  out_->resume();
}

inline void server_session::refuse(connect_code code) {
  IOTHUB_ASSERT(state_ == state_type::deciding && code != connect_code::accepted);
  send(connack{false, code});
  close();
}

inline void server_session::on_publish(mqtt::publish const& message, time_point now) {
  if (message.qos == 0) return owner_->on_publish(message, now);
  mqtt::publish seen = message;
  if (message.qos == 2) {
    if (options_->qos2 == qos2_policy::close) return broken("QoS 2 is not supported by this server", now);
    seen.qos = 1;
  }
  // A message that is settled inside the callback, with none before it waiting, needs no place in the queue.
  if (!owed_.empty()) {
    owed_.push(message.id);
    return owner_->on_publish(seen, now);
  }
  current_ = message.id;
  owner_->on_publish(seen, now);
  if (current_ == 0 || closed()) return;
  owed_.push(current_);
  current_ = 0;
}

inline void server_session::acknowledge(std::uint16_t id) {
  if (state_ != state_type::open || id == 0) return;
  if (id == current_) {
    current_ = 0;
    return send(packet{packet_type::puback, id});
  }
  bool const was_reading = reading();
  if (owed_.mark(id)) flush_acknowledgements();
  stopped_holding(was_reading);
}

inline void server_session::withhold(std::uint16_t id) {
  if (state_ != state_type::open || id == 0) return;
  if (id == current_) {
    current_ = 0;
    return;
  }
  bool const was_reading = reading();
  if (owed_.drop(id)) flush_acknowledgements();
  stopped_holding(was_reading);
}

inline void server_session::flush_acknowledgements() {
  while (std::uint16_t const id = owed_.take()) send(packet{packet_type::puback, id});
}

inline void server_session::stopped_holding(bool was_reading) {
  if (!was_reading && reading()) out_->resume();
}

inline void server_session::suback(std::uint16_t id, std::span<std::uint8_t const> codes) {
  if (state_ == state_type::open) send(mqtt::suback{id, codes});
}

inline void server_session::unsuback(std::uint16_t id) {
  if (state_ == state_type::open) send(packet{packet_type::unsuback, id});
}

inline result<std::uint16_t> server_session::publish(mqtt::publish message) {
  if (state_ != state_type::open) return errc::not_connected;
  if (message.qos > 1) return error{errc::invalid_argument, "QoS 2 is not supported"};
  if (violation const bad = check_topic_name(message.topic))
    return error{errc::invalid_argument, std::string{bad.what()}};
  if (message.topic.size() + message.payload.size() > max_remaining_length - 4) return errc::too_large;
  if (out_->backlog() > options_->max_backlog) return errc::outbox_full;
  if (message.qos == 0) {
    message.id = 0;
    message.dup = false;  // MQTT-3.3.1-2
  } else if (message.id == 0) {
    message.id = ids_.take();
    if (message.id == 0) return error{errc::outbox_full, "all packet ids are in use"};
  } else if (!ids_.reserve(message.id)) {
    return error{errc::invalid_argument, "this packet id is in use"};
  }
  send(message);
  return message.id;
}

inline void server_session::close() {
  if (closed()) return;
  state_ = state_type::closed;
  current_ = 0;
  ids_.clear();
  owed_.clear();
  out_->end();
}

inline void server_session::finish(error reason, bool clean, time_point now) {
  close();
  owner_->on_closed(reason, clean, now);
}

inline void server_session::broken(violation rule, time_point now) {
  if (!closed()) finish(error{errc::protocol_error, std::string{rule.what()}}, false, now);
}

inline void server_session::link_lost(error reason, time_point now) {
  if (closed()) return;
  state_ = state_type::closed;
  current_ = 0;
  ids_.clear();
  owed_.clear();
  owner_->on_closed(reason, false, now);
}

inline void server_session::on_time(time_point now) {
  if (now < deadline()) return;
  if (state_ == state_type::awaiting_connect)
    return finish(error{errc::timeout, "no CONNECT came in time"}, false, now);
  finish(error{errc::timeout, "nothing came for longer than the keep-alive allows"}, false, now);  // MQTT-3.1.2-24
}

inline time_point server_session::deadline() const noexcept {
  switch (state_) {
    case state_type::awaiting_connect: return add(last_received_, options_->connect_timeout);
    case state_type::open: return add(last_received_, silence_limit());
    default: return never;
  }
}

inline duration server_session::silence_limit() const noexcept {
  if (keep_alive_ == 0) return options_->cap_without_keep_alive ? options_->keep_alive_cap : duration::max();
  duration const limit = std::chrono::milliseconds{1500} * keep_alive_;
  return limit < options_->keep_alive_cap ? limit : options_->keep_alive_cap;
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
