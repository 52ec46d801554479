// The MQTT 3.1.1 dialect of a device (Microsoft docs: "Use MQTT to connect to an IoT hub"; what the docs leave open is
// done as the official SDKs do it, named below).
//
// Theory of operation. One session of an MQTT transport; verbs become PUBLISH and SUBSCRIBE, packets become events.
//   1. CONNECT: client id {device} or {device}/{module}; CleanSession 0, so that the hub keeps the subscription to
//      messages and sends what it queued; the SAS token as password.
//   2. Telemetry goes out at QoS 1 and its ticket is the packet id. Twin requests and method responses go at QoS 0, as
//      azure-iot-sdk-node does: they end with their connection, and QoS 1 would carry them into the next.
//   3. Filters are subscribed on demand only (a basic-tier hub closes the connection for twin or method filters), the
//      twin's and the methods' at QoS 0, messages at QoS 1. The hub does not store the former, so all are subscribed
//      anew on each connection, session present or not.
//   4. The PUBACK of a message says "handled" to the hub and is sent by settle_message() alone. MQTT has no other
//      answer: a message without PUBACK comes again on the next connection.
//   5. What comes in on a topic that no rule here knows is acknowledged where it wants to be, and passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/append.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/device/dialect.hpp>
#include <iothub/device/transport.hpp>
#include <iothub/policy/held.hpp>
#include <iothub/policy/mqtt_transport.hpp>
#include <iothub/version.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/hub_errors.hpp>

namespace iothub {
inline namespace v0 {

// The hub closes the connection for a larger packet (MaxInboundMessageSize of Azure IoT Edge and of Microsoft's
// protocol gateway). A message of that size would be sent again on the next connection, and end it too.
inline constexpr std::size_t max_mqtt_packet_size = 262'144;

// CONNACK code 1 to 5 (OASIS MQTT 3.1.1, 3.2.2.3) as an error. 5 is every kind of bad credentials, and an unknown
// device; 3 is an unavailable hub as well as a disabled device.
[[nodiscard]] error mqtt_refusal(mqtt::connect_code code);

// M is the transport, or a reference to one.
template <class M>
class mqtt_dialect final : public dialect {
  static_assert(mqtt_transport<std::remove_reference_t<M>>,
                "mqtt_dialect<M>: M is no MQTT transport; see iothub/policy/mqtt_transport.hpp for what it must offer");

 public:
  // From a transport, a reference to one, or a function that makes one in its place.
  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, mqtt_dialect>)
  explicit mqtt_dialect(Source&& transport) : session_(detail::make_policy<M>(std::forward<Source>(transport))) {}

  [[nodiscard]] std::remove_reference_t<M>& session() noexcept { return session_; }

  [[nodiscard]] dialect_capabilities capabilities() const noexcept override {
    return {.features = feature::methods | feature::twin | feature::desired_properties | feature::messages};
  }
  inline result<void> open(connection_parameters const& how, std::string_view token, time_point now) override;
  void close(dialect_close mode, time_point now) override {
    forget_connection();
    session_.close(mode == dialect_close::graceful ? mqtt::close_mode::graceful : mqtt::close_mode::abort, now);
  }
  inline result<void> enable(feature_set features, time_point now) override;
  inline result<ticket> send_telemetry(message const& what, time_point now) override;
  void abandon_telemetry(ticket which) override { session_.abandon(static_cast<std::uint16_t>(which)); }
  inline result<ticket> get_twin(time_point now) override;
  inline result<ticket> patch_reported(std::string_view patch, time_point now) override;
  inline result<void> answer_method(std::string_view rid, int status, std::string_view payload,
                                    time_point now) override;
  inline result<void> settle_message(ticket which, settlement how, time_point now) override;
  void step(time_point now) override {
    send_owed_ack(now);
    session_.step(now);
  }
  inline bool next_event(device_event& event, time_point now) override;
  [[nodiscard]] time_point deadline() const override { return session_.deadline(); }
  void attach(loop& on, participant& whom) override { session_.attach(on, whom); }

 private:
  struct twin_request {
    ticket rid = 0;
    bool is_patch = false;
  };
  struct subscription {
    std::uint16_t id = 0;
    feature_set features = {};
  };

  bool translate(mqtt::client_event const& e, device_event& into);
  bool on_subscribed(mqtt::client_event const& e, device_event& into);
  bool on_message(mqtt::publish const& p, device_event& into);
  bool on_twin_response(inbound_topic const& topic, std::string_view body, device_event& into);
  result<ticket> request_twin(bool is_patch, std::string_view payload, time_point now);
  result<void> publish_at_most_once(std::string_view topic, std::string_view payload, time_point now);
  void send_owed_ack(time_point now) {
    if (owed_ack_ != 0) session_.acknowledge(exchanged(owed_ack_, std::uint16_t{0}), now);
  }
  void forget_connection() noexcept {
    twin_requests_.clear();
    subscriptions_.clear();
    owed_ack_ = 0;
  }

  M session_;
  maybe<device_topics> topics_;
  lean_vector<twin_request> twin_requests_;
  lean_vector<subscription> subscriptions_;
  ticket last_rid_ = 0;
  std::uint16_t owed_ack_ = 0;  // sent when the views of its message are no longer looked at
};

// --- implementation -------------------------------------------------------------------------------------------------

inline error mqtt_refusal(mqtt::connect_code code) {
  switch (code) {
    case mqtt::connect_code::bad_protocol_version:
      return {errc::unsupported, "the hub refused the connection: it does not speak MQTT 3.1.1 (CONNACK 1)"};
    case mqtt::connect_code::identifier_rejected:
      return {errc::bad_request, "the hub refused the connection: the client id is not allowed (CONNACK 2)"};
    case mqtt::connect_code::server_unavailable:
      return {errc::service_unavailable,
              "the hub refused the connection: it is unavailable, or the device is disabled (CONNACK 3)"};
    case mqtt::connect_code::bad_credentials:
      return {errc::unauthorized, "the hub refused the connection: bad credentials (CONNACK 4)"};
    default:
      return {errc::unauthorized,
              "the hub refused the connection: wrong or expired credentials, or an unknown device (CONNACK 5)"};
  }
}

template <class M>
result<void> mqtt_dialect<M>::open(connection_parameters const& how, std::string_view token, time_point now) {
  forget_connection();
  if (!topics_) {
    auto topics = device_topics::make(how.who);
    if (!topics) return std::move(topics).error();
    topics_.emplace(std::move(*topics));
  }
  std::string const client_id = mqtt_client_id(how.who.device_id, how.who.module_id);
  mqtt_identity identity;
  identity.host_name = how.hub;
  identity.device_id = how.who.device_id;
  identity.module_id = how.who.module_id;
  identity.client_type = "iothub-cpp/" + std::string{version_text};
  if (!how.product_info.empty()) identity.client_type += " " + how.product_info;
  identity.model_id = how.model_id;
  std::string const user_name = mqtt_user_name(identity);
  mqtt::connect c;
  c.client_id = client_id;
  c.has_username = true;
  c.username = user_name;
  c.has_password = !token.empty();
  c.password = token;
  c.clean_session = false;
  c.keep_alive = static_cast<std::uint16_t>(how.keep_alive.count());
  return session_.open(how.where, c, now);
}

template <class M>
result<void> mqtt_dialect<M>::enable(feature_set features, time_point now) {
  send_owed_ack(now);
  mqtt::subscription filters[4];
  std::size_t count = 0;
  std::string c2d_filter;
  if (features.has(feature::methods)) filters[count++] = {.filter = methods_filter, .qos = 0};
  if (features.has(feature::twin)) filters[count++] = {.filter = twin_responses_filter, .qos = 0};
  if (features.has(feature::desired_properties)) filters[count++] = {.filter = desired_changes_filter, .qos = 0};
  if (features.has(feature::messages)) {
    c2d_filter = topics_->c2d_filter();
    filters[count++] = {.filter = c2d_filter, .qos = 1};
  }
  auto const id = session_.subscribe(std::span<mqtt::subscription const>{filters, count}, now);
  if (!id) return id.error();
  subscriptions_.push_back({*id, features});
  return {};
}

template <class M>
result<ticket> mqtt_dialect<M>::send_telemetry(message const& what, time_point now) {
  send_owed_ack(now);
  detail::short_text<1024> topic;
  if (auto made = topics_->append_telemetry(topic, what); !made) return std::move(made).error();
  mqtt::publish p;
  p.topic = topic.view();
  p.payload = what.body.bytes();
  p.qos = 1;
  // Fixed header, length of the topic, packet id.
  if (4 + 2 + p.topic.size() + 2 + p.payload.size() > max_mqtt_packet_size)
    return error{errc::too_large, "the message with its topic is above the hub's limit of 262144 bytes for a packet"};
  auto sent = session_.publish(p, now);
  if (!sent) return std::move(sent).error();
  return ticket{*sent};
}

template <class M>
result<void> mqtt_dialect<M>::publish_at_most_once(std::string_view topic, std::string_view payload, time_point now) {
  mqtt::publish p;
  p.topic = topic;
  p.payload = payload;
  auto const sent = session_.publish(p, now);
  if (!sent) return sent.error();
  send_owed_ack(now);
  return {};
}

template <class M>
result<ticket> mqtt_dialect<M>::request_twin(bool is_patch, std::string_view payload, time_point now) {
  // Never 0, and not one that is still open: 2^32 requests on one connection are far away.
  if (++last_rid_ == 0) last_rid_ = 1;
  detail::int_text const rid{last_rid_};
  detail::short_text<128> topic;
  if (is_patch)
    append_reported_patch_topic(topic, rid.view());
  else
    append_twin_get_topic(topic, rid.view());
  twin_requests_.push_back({last_rid_, is_patch});
  if (auto sent = publish_at_most_once(topic.view(), payload, now); !sent) {
    twin_requests_.pop_back();
    return std::move(sent).error();
  }
  return last_rid_;
}

template <class M>
result<ticket> mqtt_dialect<M>::get_twin(time_point now) {
  return request_twin(false, {}, now);
}

template <class M>
result<ticket> mqtt_dialect<M>::patch_reported(std::string_view patch, time_point now) {
  return request_twin(true, patch, now);
}

template <class M>
result<void> mqtt_dialect<M>::answer_method(std::string_view rid, int status, std::string_view payload,
                                            time_point now) {
  detail::short_text<256> topic;
  append_method_response_topic(topic, status, rid);
  return publish_at_most_once(topic.view(), payload, now);
}

template <class M>
result<void> mqtt_dialect<M>::settle_message(ticket which, settlement how, time_point now) {
  if (how == settlement::reject) return error{errc::unsupported, "a message cannot be rejected over MQTT"};
  if (how == settlement::accept && which != 0) session_.acknowledge(static_cast<std::uint16_t>(which), now);
  return {};
}

template <class M>
bool mqtt_dialect<M>::next_event(device_event& event, time_point now) {
  send_owed_ack(now);
  while (mqtt::client_event const* const e = session_.next_event()) {
    event = device_event{};
    if (translate(*e, event)) return true;
    send_owed_ack(now);
  }
  return false;
}

template <class M>
bool mqtt_dialect<M>::translate(mqtt::client_event const& e, device_event& into) {
  switch (e.kind) {
    case mqtt::client_event_kind::connected:
      into.kind = device_event_kind::ready;
      into.session_present = e.session_present;
      return true;
    case mqtt::client_event_kind::refused:
      forget_connection();
      into.kind = device_event_kind::closed;
      into.outcome = mqtt_refusal(e.code);
      return true;
    case mqtt::client_event_kind::closed:
      forget_connection();
      into.kind = device_event_kind::closed;
      into.outcome = e.reason;
      return true;
    case mqtt::client_event_kind::published:
      into.kind = device_event_kind::telemetry_settled;
      into.ticket = e.id;
      return true;
    case mqtt::client_event_kind::subscribed: return on_subscribed(e, into);
    case mqtt::client_event_kind::unsubscribed: return false;
    case mqtt::client_event_kind::message: return on_message(e.publish, into);
  }
  return false;
}

template <class M>
bool mqtt_dialect<M>::on_subscribed(mqtt::client_event const& e, device_event& into) {
  for (std::size_t i = 0; i != subscriptions_.size(); ++i) {
    if (subscriptions_[i].id != e.id) continue;
    into.kind = device_event_kind::features_ready;
    into.features = subscriptions_[i].features;
    subscriptions_.erase(subscriptions_.begin() + static_cast<std::ptrdiff_t>(i));
    for (std::uint8_t const code : e.granted)
      if (code == mqtt::subscribe_failure)
        into.outcome = error{errc::unsupported, "the hub refused a subscription; its tier may not have the feature"};
    return true;
  }
  return false;
}

template <class M>
bool mqtt_dialect<M>::on_message(mqtt::publish const& p, device_event& into) {
  inbound_topic const topic = topics_->classify(p.topic);
  if (topic.kind == inbound_kind::c2d) {
    into.message = make_owned<c2d_message>();
    into.message->content.body = message_body{p.payload};
    into.message->delivery_count = p.dup ? 1 : 0;
    // Without its properties a message is not what was sent: it stays unacknowledged, and the hub keeps it.
    if (!read_c2d_bag(topic.bag, *into.message)) return false;
    into.kind = device_event_kind::message_received;
    into.ticket = p.qos == 0 ? 0 : p.id;
    return true;
  }
  if (p.qos != 0) owed_ack_ = p.id;
  switch (topic.kind) {
    case inbound_kind::method_request:
      into.kind = device_event_kind::method_called;
      into.name = topic.name;
      into.rid = topic.rid;
      into.payload = p.payload;
      return true;
    case inbound_kind::twin_response: return on_twin_response(topic, p.payload, into);
    case inbound_kind::desired_change:
      into.kind = device_event_kind::desired_changed;
      into.version = topic.version;
      into.payload = p.payload;
      return true;
    default: return false;
  }
}

template <class M>
bool mqtt_dialect<M>::on_twin_response(inbound_topic const& topic, std::string_view body, device_event& into) {
  auto const rid = parse_int<ticket>(topic.rid);
  if (!rid) return false;
  for (std::size_t i = 0; i != twin_requests_.size(); ++i) {
    if (twin_requests_[i].rid != *rid) continue;
    bool const is_patch = twin_requests_[i].is_patch;
    twin_requests_.erase(twin_requests_.begin() + static_cast<std::ptrdiff_t>(i));
    into.kind = is_patch ? device_event_kind::patch_settled : device_event_kind::twin_received;
    into.ticket = *rid;
    into.version = topic.version;
    into.payload = body;
    // Any 2xx is a success (Microsoft docs name 200 for reading and 204 for writing).
    if (topic.status / 100 != 2) into.outcome = read_error_body(topic.status, body);
    return true;
  }
  return false;
}

// The bundle that makes a device client of an MQTT transport, or of a reference to one.
template <class M>
class over_mqtt {
 public:
  template <class Source>
    requires(!std::is_same_v<std::remove_cvref_t<Source>, over_mqtt>)
  explicit over_mqtt(Source&& transport) : dialect_(std::forward<Source>(transport)) {}

  [[nodiscard]] dialect& device_dialect() noexcept { return dialect_; }
  [[nodiscard]] std::remove_reference_t<M>& session() noexcept { return dialect_.session(); }
  static std::uint16_t port(device_options const& options) noexcept { return options.mqtt_port; }

 private:
  mqtt_dialect<M> dialect_;
};

}  // namespace v0
}  // namespace iothub
