// The client role of one MQTT 3.1.1 session, packet by packet: no bytes, no clock, no I/O.
//
// Theory of operation. open() sends CONNECT to the sink and waits for CONNACK; receive() takes each packet of the
// server and gives at most one event for it. The session outlives its connections:
//   - a QoS 1 publish is kept until its PUBACK. After a reconnect all that are kept are sent again in their first order
//     (MQTT-4.6.0-1), before anything new: with DUP and their ids when the server kept the session (MQTT-4.4.0-1), as
//     new publishes otherwise; the ids stay the same then too, so the owner need not know.
//   - everything else (SUBSCRIBE, UNSUBSCRIBE, acknowledgements owed) ends with the connection.
// One session object stands for one client id; whoever changes the id makes a new object (MQTT-3.1.3-2).
//
// Keep-alive: a PINGREQ leaves when nothing was sent, or nothing was received, for three quarters of the interval, so
// that a dead link is noticed by a client that only sends as well. No PINGRESP in time ends the connection.
//
// No timer is set or cancelled: deadline() says when on_time() can do something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/undo.hpp>
#include <iothub/mqtt/ack_queue.hpp>
#include <iothub/mqtt/client_event.hpp>
#include <iothub/mqtt/encode.hpp>
#include <iothub/mqtt/inflight.hpp>
#include <iothub/mqtt/packet.hpp>
#include <iothub/mqtt/packet_ids.hpp>
#include <iothub/mqtt/packet_sink.hpp>
#include <iothub/mqtt/topic_filter.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

struct client_options {
  // From open() to CONNACK: name look-up, TCP and TLS included.
  duration connect_timeout = std::chrono::seconds{60};
  duration ping_timeout = std::chrono::seconds{30};
  // QoS 1 publishes without PUBACK; publish() fails with errc::outbox_full above it. At most 65535.
  std::uint16_t max_inflight = 1024;
  // publish() fails with errc::outbox_full when the link has more bytes than this still to send.
  std::uint32_t max_backlog = 1u << 22;
  // A larger packet from the server, fixed header included, ends the connection (links on bytes).
  std::uint32_t max_packet_size = 1u << 20;
};

class client_session {
 public:
  enum class state_type : std::uint8_t { closed, connecting, open };

  explicit client_session(packet_sink& out, client_options const& options = {}) noexcept
      : out_{&out}, options_{options} {}
  client_session(client_session const&) = delete;
  client_session& operator=(client_session const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] client_options const& options() const noexcept { return options_; }
  // QoS 1 publishes that are kept until their PUBACK.
  [[nodiscard]] std::size_t inflight() const noexcept { return inflight_.size(); }
  // What the session waits for, for a stall report.
  [[nodiscard]] std::string_view waits_for() const noexcept;

  // --- for the owner: the verbs of policy/mqtt_transport.hpp
  // ----------------------------------------------------------- Fails with errc::invalid_state when not closed and
  // errc::invalid_argument for a CONNECT that must not be sent.
  result<void> open(mqtt::connect const& how, time_point now);
  result<std::uint16_t> publish(mqtt::publish const& message, time_point now);
  // QoS 2 is not supported: errc::unsupported. No filter, or one that is not valid: errc::invalid_argument.
  result<std::uint16_t> subscribe(std::span<subscription const> filters, time_point now);
  result<std::uint16_t> unsubscribe(std::span<std::string_view const> filters, time_point now);
  // PUBACKs leave in the order of the messages (MQTT-4.6.0-2): one that is early waits for those before it.
  void acknowledge(std::uint16_t id, time_point now);
  // Forgets the message; its id stays in use until PUBACK or until the server has lost the session. No event follows.
  void abandon(std::uint16_t id) noexcept { inflight_.remove(id); }
  void close(close_mode mode);

  // --- for the link: each returns the event that it caused, or nullptr
  // ------------------------------------------------- The event's views are those of the packet. It holds until the
  // next call of a non-const member.
  client_event const* receive(packet const& what, time_point now);
  // The server sent what no decoder takes.
  client_event const* broken(violation rule);
  client_event const* link_lost(error reason);
  client_event const* on_time(time_point now);
  [[nodiscard]] time_point deadline() const noexcept;

 private:
  struct request {  // SUBSCRIBE or UNSUBSCRIBE without its answer
    std::uint16_t id;
    std::uint16_t codes;  // how many its SUBACK must have; 0: UNSUBSCRIBE
  };

  client_event const* on_connack(connack const& what, time_point now);
  client_event const* on_publish(mqtt::publish const& message);
  client_event const* on_puback(std::uint16_t id);
  client_event const* on_suback(suback const& what);
  client_event const* on_unsuback(std::uint16_t id);
  client_event const* closed(error reason);
  client_event& fresh(client_event_kind kind) {
    event_ = client_event{};
    event_.kind = kind;
    return event_;
  }
  void send(packet const& what, time_point now) {
    out_->send(what);
    last_sent_ = now;
  }
  void resend(bool session_present, time_point now);
  void end_connection() noexcept;
  result<std::uint16_t> begin_request(std::size_t codes);
  [[nodiscard]] request* find_request(std::uint16_t id) noexcept;
  void finish_request(request* which) noexcept;
  [[nodiscard]] duration ping_interval() const noexcept { return std::chrono::milliseconds{750} * keep_alive_; }

  packet_sink* out_;
  client_options options_;
  packet_ids ids_;
  inflight_store inflight_;
  ack_queue owed_;
  lean_vector<request> requests_;
  time_point last_sent_ = {};
  time_point last_received_ = {};  // while connecting: when open() was called
  time_point ping_sent_ = never;   // never: no PINGRESP is awaited
  std::uint16_t keep_alive_ = 0;
  state_type state_ = state_type::closed;
  bool clean_session_ = false;
  client_event event_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<void> client_session::open(mqtt::connect const& how, time_point now) {
  if (state_ != state_type::closed) return errc::invalid_state;
  if (violation const bad = check_connect(how)) return error{errc::invalid_argument, std::string{bad.what()}};
  keep_alive_ = how.keep_alive;
  clean_session_ = how.clean_session;
  last_received_ = now;
  ping_sent_ = never;
  send(how, now);
  state_ = state_type::connecting;
  return {};
}

inline result<std::uint16_t> client_session::publish(mqtt::publish const& message, time_point now) {
  if (state_ != state_type::open) return errc::not_connected;
  if (message.qos > 1) return error{errc::unsupported, "QoS 2 is not supported"};
  if (message.topic.size() > 65535 || message.topic.size() + message.payload.size() > max_remaining_length - 4)
    return errc::too_large;
  if (violation const bad = check_topic_name(message.topic))
    return error{errc::invalid_argument, std::string{bad.what()}};
  if (out_->backlog() > options_.max_backlog) return errc::outbox_full;
  mqtt::publish first = message;
  first.dup = false;  // MQTT-4.3.1-1, MQTT-4.3.2-1
  first.id = 0;
  if (message.qos == 0) return send(first, now), first.id;
  if (inflight_.size() >= options_.max_inflight) return errc::outbox_full;
  first.id = ids_.take();
  if (first.id == 0) return errc::outbox_full;
  undo back{[&]() noexcept { inflight_.remove(first.id), ids_.release(first.id); }};
  inflight_.push(first);
  send(first, now);
  back.dismiss();
  return first.id;
}

inline result<std::uint16_t> client_session::subscribe(std::span<subscription const> filters, time_point now) {
  if (state_ != state_type::open) return errc::not_connected;
  std::size_t size = 2;
  for (subscription const& entry : filters) {
    if (entry.qos > 1) return error{errc::unsupported, "QoS 2 is not supported"};
    if (violation const bad = check_topic_filter(entry.filter))
      return error{errc::invalid_argument, std::string{bad.what()}};
    size += 3 + entry.filter.size();
  }
  if (filters.empty()) return error{errc::invalid_argument, "MQTT-3.8.3-3: SUBSCRIBE needs a topic filter"};
  if (filters.size() > 65535 || size > max_remaining_length) return errc::too_large;
  result<std::uint16_t> id = begin_request(filters.size());
  if (id) send(mqtt::subscribe{*id, filters}, now);
  return id;
}

inline result<std::uint16_t> client_session::unsubscribe(std::span<std::string_view const> filters, time_point now) {
  if (state_ != state_type::open) return errc::not_connected;
  std::size_t size = 2;
  for (std::string_view const name : filters) {
    if (violation const bad = check_topic_filter(name)) return error{errc::invalid_argument, std::string{bad.what()}};
    size += 2 + name.size();
  }
  if (filters.empty()) return error{errc::invalid_argument, "MQTT-3.10.3-2: UNSUBSCRIBE needs a topic filter"};
  if (size > max_remaining_length) return errc::too_large;
  result<std::uint16_t> id = begin_request(0);
  if (id) send(mqtt::unsubscribe{*id, filters}, now);
  return id;
}

inline result<std::uint16_t> client_session::begin_request(std::size_t codes) {
  std::uint16_t const id = ids_.take();
  if (id == 0) return errc::outbox_full;
  undo back{[&]() noexcept { ids_.release(id); }};
  requests_.push_back({id, static_cast<std::uint16_t>(codes)});
  back.dismiss();
  return id;
}

inline void client_session::acknowledge(std::uint16_t id, time_point now) {
  if (state_ != state_type::open || !owed_.mark(id)) return;
  while (std::uint16_t const next = owed_.take()) send(packet{packet_type::puback, next}, now);
}

inline void client_session::close(close_mode mode) {
  if (state_ == state_type::closed) return;
  if (mode == close_mode::graceful && state_ == state_type::open) out_->send(packet{packet_type::disconnect});
  end_connection();
  out_->end();
}

inline client_event const* client_session::receive(packet const& what, time_point now) {
  if (state_ == state_type::closed) return nullptr;
  last_received_ = now;
  if (state_ == state_type::connecting) {
    if (what.type == packet_type::connack) return on_connack(what.connack, now);
    return broken("MQTT-3.2.0-1: the first packet of the server is not CONNACK");
  }
  switch (what.type) {
    case packet_type::publish: return on_publish(what.publish);
    case packet_type::puback: return on_puback(what.id);
    case packet_type::suback: return on_suback(what.suback);
    case packet_type::unsuback: return on_unsuback(what.id);
    case packet_type::pingresp: ping_sent_ = never; return nullptr;
    case packet_type::connack: return broken("MQTT-3.2.0-1: a second CONNACK on one connection");
    case packet_type::pubrec:
    case packet_type::pubrel:
    case packet_type::pubcomp: return broken("MQTT-4.8.0-1: an acknowledgement of QoS 2, which this client never uses");
    default: return broken("MQTT-4.8.0-1: a packet that only a client may send");
  }
}

inline client_event const* client_session::on_connack(connack const& what, time_point now) {
  if (what.code != connect_code::accepted) {
    end_connection();
    out_->end();
    client_event& told = fresh(client_event_kind::refused);
    told.code = what.code;
    return &told;
  }
  if (what.session_present && clean_session_)
    return broken("MQTT-3.2.2-1: the server says that it kept a session that was to be clean");
  state_ = state_type::open;
  resend(what.session_present, now);
  client_event& told = fresh(client_event_kind::connected);
  told.session_present = what.session_present;
  return &told;
}

inline void client_session::resend(bool session_present, time_point now) {
  if (!session_present) {
    ids_.clear();  // ids of abandoned messages are free again: the server has forgotten them as well
    inflight_.for_each([&](mqtt::publish const& message) { ids_.reserve(message.id); });
  }
  inflight_.for_each([&](mqtt::publish message) {
    message.dup = session_present;  // MQTT-3.3.1-1
    send(message, now);
  });
}

inline client_event const* client_session::on_publish(mqtt::publish const& message) {
  if (message.qos == 2) return broken("MQTT-3.8.4-6: a message at QoS 2, which this client never asks for");
  if (message.qos == 1) {
    if (owed_.size() == packet_ids::max_in_use) return broken("MQTT-2.3.1-4: more messages than packet ids in flight");
    owed_.push(message.id);
  }
  client_event& told = fresh(client_event_kind::message);
  told.id = message.id;
  told.publish = message;
  return &told;
}

inline client_event const* client_session::on_puback(std::uint16_t id) {
  if (!ids_.contains(id) || find_request(id)) return nullptr;
  ids_.release(id);
  if (!inflight_.remove(id)) return nullptr;  // abandoned
  client_event& told = fresh(client_event_kind::published);
  told.id = id;
  return &told;
}

inline client_event const* client_session::on_suback(suback const& what) {
  request* const asked = find_request(what.id);
  if (!asked || asked->codes == 0) return nullptr;
  if (asked->codes != what.codes.size()) return broken("MQTT-3.8.4-5: SUBACK has not one return code per topic filter");
  finish_request(asked);
  client_event& told = fresh(client_event_kind::subscribed);
  told.id = what.id;
  told.granted = what.codes;
  return &told;
}

inline client_event const* client_session::on_unsuback(std::uint16_t id) {
  request* const asked = find_request(id);
  if (!asked || asked->codes != 0) return nullptr;
  finish_request(asked);
  client_event& told = fresh(client_event_kind::unsubscribed);
  told.id = id;
  return &told;
}

inline client_session::request* client_session::find_request(std::uint16_t id) noexcept {
  for (request& each : requests_)
    if (each.id == id) return &each;
  return nullptr;
}

inline void client_session::finish_request(request* which) noexcept {
  ids_.release(which->id);
  *which = requests_.back();
  requests_.pop_back();
  if (requests_.empty()) requests_ = {};
}

inline void client_session::end_connection() noexcept {
  state_ = state_type::closed;
  for (request const& each : requests_) ids_.release(each.id);
  requests_ = {};
  owed_.clear();
  ping_sent_ = never;
}

inline client_event const* client_session::closed(error reason) {
  end_connection();
  client_event& told = fresh(client_event_kind::closed);
  told.reason = std::move(reason);
  return &told;
}

inline client_event const* client_session::broken(violation rule) {
  if (state_ == state_type::closed) return nullptr;
  client_event const* const told = closed(error{errc::protocol_error, std::string{rule.what()}});
  out_->end();
  return told;
}

inline client_event const* client_session::link_lost(error reason) {
  if (state_ == state_type::closed) return nullptr;
  return closed(std::move(reason));
}

inline client_event const* client_session::on_time(time_point now) {
  if (now < deadline()) return nullptr;
  if (state_ == state_type::connecting) {
    client_event const* const told = closed(error{errc::timeout, "no CONNACK came in time"});
    out_->end();
    return told;
  }
  if (ping_sent_ != never && now >= add(ping_sent_, options_.ping_timeout)) {
    client_event const* const told = closed(error{errc::connection_lost, "no PINGRESP came in time"});
    out_->end();
    return told;
  }
  if (ping_sent_ == never) ping_sent_ = now;
  inflight_.shrink();
  send(packet{packet_type::pingreq}, now);  // MQTT-3.1.2-23
  return nullptr;
}

inline time_point client_session::deadline() const noexcept {
  if (state_ == state_type::closed) return never;
  if (state_ == state_type::connecting) return add(last_received_, options_.connect_timeout);
  if (keep_alive_ == 0) return never;
  time_point const quiet = add(last_sent_, ping_interval());
  time_point const deaf =
      ping_sent_ == never ? add(last_received_, ping_interval()) : add(ping_sent_, options_.ping_timeout);
  return quiet < deaf ? quiet : deaf;
}

inline std::string_view client_session::waits_for() const noexcept {
  if (state_ == state_type::closed) return "a connection";
  if (state_ == state_type::connecting) return "CONNACK";
  if (ping_sent_ != never) return "PINGRESP";
  if (!requests_.empty()) return requests_.front().codes == 0 ? "UNSUBACK" : "SUBACK";
  if (inflight_.size() != 0) return "PUBACK";
  return "packets";
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
