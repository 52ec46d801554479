// One device's MQTT connection, as IoT Hub serves it: packets to calls of the hub core, and what the core delivers back
// to packets. It knows topics, return codes and bodies; what is allowed and what it does is the core's.
//
// Sources: Microsoft docs "Communicate with IoT Hub using the MQTT protocol" (iot-mqtt-connect-to-iot-hub); the return
// codes of CONNACK and the closing of offending connections as azure-iot-protocol-gateway and Azure IoT Edge's hub do
// it, and as the official SDKs' issue threads report it of the real hub.
//
// Rules
//   1. A refused CONNECT: 3 for a disabled device (hub::options) and for what may pass, 5 for everything else.
//   2. MQTT 3.1.1 has no way to say why: an offence ends the connection, and the log says what it was.
//   3. PUBACK before the answer that a publish causes (azure-iot-sdk-csharp waits for it).
//   4. Method calls and twin messages go out at QoS 0 and only to a connection that holds their filter.
//   5. With a kept session, what waits for the device is sent right behind CONNACK.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/mqtt_front.hpp>
#include <iothub/hub/telemetry_view.hpp>
#include <iothub/mqtt/server_session.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/mqtt_identity.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// The server_session that is put before it is told by attach(), before the first packet; it must live as long as
// packets come. Destroying the face while it is connected counts as a lost connection.
class mqtt_face : public mqtt::server_handler, public device_link {
 public:
  explicit mqtt_face(mqtt_front& front) noexcept : front_{front} {}
  ~mqtt_face() override { front_.forget(*this); }
  void attach(mqtt::server_session& session) noexcept { session_ = &session; }

  // Who is connected; empty before.
  [[nodiscard]] device_key const& who() const noexcept { return who_; }

  // --- mqtt::server_handler
  void on_connect(mqtt::connect const& how, time_point now) override;
  void on_publish(mqtt::publish const& message, time_point now) override;
  void on_puback(std::uint16_t id, time_point now) override;
  void on_subscribe(mqtt::subscribe const& request, time_point now) override;
  void on_unsubscribe(mqtt::unsubscribe const& request, time_point now) override;
  void on_closed(error const& reason, bool clean, time_point now) override;

  // --- device_link
  void deliver_method(method_delivery const& call) override;
  void deliver_c2d(c2d_message const& message, bool redelivered) override;
  void deliver_desired(std::int64_t version, json::value const& patch) override;
  void on_drop(error const& reason) override;

 protected:
  // Something was sent, or the session ended, from outside of the session's own calls: the link has work.
  virtual void output_made() {}

 private:
  friend class mqtt_front;
  struct held_message {  // behind CONNACK
    c2d_message message = {};
    bool redelivered = false;
  };
  struct unsettled {
    std::uint16_t id = 0;
    std::string lock_token = {};
  };

  // CONNECT
  result<mqtt_identity> identify(mqtt::connect const& how) const;
  result<message> read_will(mqtt::connect const& how) const;
  void refuse(error const& why, instant at);
  void open(mqtt::connect const& how, connected const& as, instant at);
  // SUBSCRIBE
  void set(filter_kind what, bool on, std::uint8_t qos) noexcept;
  void listen(filter_kind what, instant at);
  [[nodiscard]] bool is_mine(device_filter const& filter) const noexcept;
  // PUBLISH
  void on_telemetry(mqtt::publish const& message, std::string_view bag, instant at);
  void on_twin_get(mqtt::publish const& message, device_publish const& topic, instant at);
  void on_reported(mqtt::publish const& message, device_publish const& topic, instant at);
  void on_method_response(mqtt::publish const& message, device_publish const& topic, instant at);
  void answer_twin_error(std::string_view rid, error const& why, instant at);
  void answer_twin(int status, std::string_view rid, std::int64_t version);
  void settle(mqtt::publish const& message, receipt const& how, instant at);
  // The peer broke a rule: the connection ends, and the log says which.
  void offend(std::string_view what, instant at);
  void store_session();
  void send(std::uint8_t qos);
  [[nodiscard]] instant touched(time_point now);

  mqtt_front& front_;
  mqtt::server_session* session_ = nullptr;
  device_key who_;
  std::vector<held_message> held_;
  std::vector<unsettled> unsettled_;
  mqtt_subscriptions subscribed_;
  bool clean_session_ = false;
  bool connecting_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The request id of a method call, which the device sends back.
inline std::string rid_of(method_ticket ticket) {
  char digits[16];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[ticket & 15];
    ticket >>= 4;
  } while (ticket != 0);
  return std::string(digits + at, sizeof digits - at);
}
// 0 for one that this hub never sent.
inline method_ticket ticket_of(std::string_view rid) noexcept {
  method_ticket ticket = 0;
  if (rid.empty() || rid.size() > 16) return 0;
  for (char c : rid) {
    int const digit = hex_value(c);
    if (digit < 0) return 0;
    ticket = ticket << 4 | static_cast<unsigned>(digit);
  }
  return ticket;
}

// A section of a twin as devices see it: the properties and $version.
inline void append_section(std::string& out, json::value const& section, std::int64_t version) {
  if (section.empty()) {
    out += '{';
  } else {
    section.append_to(out);
    out.back() = ',';
  }
  out.append("\"$version\":").append(std::to_string(version)).append("}");
}

inline mqtt::connect_code connack_for(error const& why, options const& switches) noexcept {
  switch (why.code()) {
    case errc::device_disabled: return static_cast<mqtt::connect_code>(switches.disabled_device_code);
    case errc::service_unavailable:
    case errc::server_error:
    case errc::throttled:
    case errc::quota_exceeded: return mqtt::connect_code::server_unavailable;
    default: return mqtt::connect_code::not_authorized;
  }
}

}  // namespace detail

struct mqtt_front::link final : mqtt_face, mqtt::server_session {
  link(mqtt_front& front, mqtt::packet_sink& to_client, time_point now)
      : mqtt_face{front}, mqtt::server_session{*this, to_client, front.session_options(), now} {
    attach(*this);
  }
};

inline mqtt::server_session& mqtt_front::open_link(mqtt::packet_sink& to_client, time_point now) {
  return *new link{*this, to_client, now};
}
inline void mqtt_front::close_link(mqtt::server_session& session) { delete static_cast<link*>(&session); }

inline void mqtt_front::on_time(time_point now) {
  while (!later_.empty() && later_.begin()->first.first <= now) {
    postponed const due = later_.extract(later_.begin()).mapped();
    if (due.acknowledge != 0) {
      due.face->session_->acknowledge(due.acknowledge);
      due.face->output_made();
    } else {
      core_.disconnect(*due.face, ending::lost, host_.at(now));
      host_.core_touched();
    }
  }
}

inline instant mqtt_face::touched(time_point now) {
  front_.host_.core_touched();
  return front_.host_.at(now);
}

inline void mqtt_face::offend(std::string_view what, instant at) {
  front_.log(log_level::warning, at, "offence", who_, what);
  session_->close();
  front_.core_.disconnect(*this, ending::lost, at);
}

inline void mqtt_face::send(std::uint8_t qos) {
  mqtt::publish p;
  p.topic = front_.topic_;
  p.payload = front_.payload_;
  p.qos = qos;
  (void)session_->publish(p);  // a peer that takes nothing: at QoS 0 a message may be lost
}

// --- CONNECT --------------------------------------------------------------------------------------------------------

inline result<mqtt_identity> mqtt_face::identify(mqtt::connect const& how) const {
  if (!how.has_username) return error{errc::unauthorized, "CONNECT has no user name"};
  auto identity = parse_mqtt_user_name(how.username);
  if (!identity) return identity;
  if (how.client_id != mqtt_client_id(identity->device_id, identity->module_id))
    return error{errc::unauthorized, "the client id is not the identity in the user name"};
  return identity;
}

// Goes to the telemetry topic and nowhere else; is marked as what it is (Microsoft docs: iot-mqtt-connect-to-iot-hub).
inline result<message> mqtt_face::read_will(mqtt::connect const& how) const {
  auto const topic = classify_publish(how.will.topic);
  if (topic.kind != publish_kind::telemetry || topic.device_id != who_.device_id || topic.module_id != who_.module_id)
    return error{errc::bad_request, "the topic of the Will is not the device's telemetry topic"};
  message will;
  if (auto read = read_property_bag(topic.bag, will); !read) return std::move(read).error();
  will.body = message_body{how.will.payload};
  will.properties.push_back({"iothub-MessageType", "Will"});
  if (how.will.retain) will.properties.push_back({"mqtt-retain", "true"});
  return will;
}

inline void mqtt_face::refuse(error const& why, instant at) {
  front_.log(log_level::warning, at, "refused", who_, why.message());
  session_->refuse(detail::connack_for(why, front_.core_.options()));
}

inline void mqtt_face::on_connect(mqtt::connect const& how, time_point now) {
  instant const at = touched(now);
  auto identity = identify(how);
  if (!identity) return refuse(identity.error(), at);
  who_ = {std::move(identity->device_id), std::move(identity->module_id)};
  clean_session_ = how.clean_session;
  // The core has logged a refusal of its own.
  auto grant = front_.core_.authorize_device(who_, how.password, at);
  if (!grant) return session_->refuse(detail::connack_for(grant.error(), front_.core_.options()));
  message will;
  if (how.has_will) {
    auto read = read_will(how);
    if (!read) return refuse(read.error(), at);
    will = std::move(*read);
  }
  connecting_ = true;
  auto done = front_.core_.connect(*this, who_, *grant,
                                   {.clean_session = how.clean_session,
                                    .will = how.has_will ? &will : nullptr,
                                    .model_id = identity->model_id},
                                   at);
  connecting_ = false;
  if (!done) {
    held_ = {};
    return refuse(done.error(), at);
  }
  front_.log(log_level::debug, at, "client", who_, identity->client_type);
  open(how, *done, at);
}

inline void mqtt_face::open(mqtt::connect const& how, connected const& as, instant at) {
  session_->accept(as.session_present, at.now);
  auto const stored = front_.sessions_.find(who_);
  if (stored != front_.sessions_.end()) {
    if (as.session_present && !how.clean_session)
      subscribed_ = stored->second;
    else
      front_.sessions_.erase(stored);
  }
  auto const held = std::exchange(held_, {});
  for (auto const& h : held) deliver_c2d(h.message, h.redelivered);
  if (subscribed_.methods) listen(filter_kind::methods, at);
  if (subscribed_.desired) listen(filter_kind::desired_changes, at);
}

inline void mqtt_face::on_closed(error const& reason, bool clean, time_point now) {
  instant const at = touched(now);
  if (!clean) front_.log(log_level::info, at, "closed", who_, reason.message());
  front_.core_.disconnect(*this, clean ? ending::graceful : ending::lost, at);
}

inline void mqtt_face::on_drop(error const&) {
  session_->close();
  output_made();
}

// --- SUBSCRIBE ------------------------------------------------------------------------------------------------------

inline bool mqtt_face::is_mine(device_filter const& filter) const noexcept {
  if (filter.kind == filter_kind::unknown) return false;
  if (filter.kind != filter_kind::c2d && filter.kind != filter_kind::module_inputs) return true;
  return filter.device_id == who_.device_id && filter.module_id == who_.module_id;
}

inline void mqtt_face::set(filter_kind what, bool on, std::uint8_t qos) noexcept {
  switch (what) {
    case filter_kind::methods: subscribed_.methods = on; break;
    case filter_kind::desired_changes: subscribed_.desired = on; break;
    case filter_kind::twin_responses: subscribed_.responses = on; break;
    case filter_kind::module_inputs: subscribed_.inputs = on; break;
    case filter_kind::c2d:
      subscribed_.c2d = !on ? c2d_mode::off : qos == 0 ? c2d_mode::at_most_once : c2d_mode::at_least_once;
      break;
    case filter_kind::unknown: break;
  }
}

// Tells the core what the connection holds of that kind.
inline void mqtt_face::listen(filter_kind what, instant at) {
  if (what == filter_kind::methods) front_.core_.listen_methods(*this, subscribed_.methods, at);
  if (what == filter_kind::desired_changes) front_.core_.listen_desired(*this, subscribed_.desired, at);
  // A module has no queue: the subscription that azure-iot-sdk-java makes for one is taken and means nothing.
  if (what == filter_kind::c2d && who_.module_id.empty()) front_.core_.listen_c2d(*this, subscribed_.c2d, at);
}

inline void mqtt_face::store_session() {
  if (clean_session_) return;
  if (subscribed_.any())
    front_.sessions_[who_] = subscribed_;
  else
    front_.sessions_.erase(who_);
}

inline void mqtt_face::on_subscribe(mqtt::subscribe const& request, time_point now) {
  instant const at = touched(now);
  std::vector<std::uint8_t> codes;
  for (auto const& wanted : request.filters) {
    auto const filter = classify_filter(wanted.filter);
    // The real hub closes where others would answer 0x80.
    if (!is_mine(filter) && (filter.kind != filter_kind::unknown ||
                             front_.core_.options().unknown_topic == on_offence::close))
      return offend(filter.kind == filter_kind::unknown ? "a subscription to an unknown topic"
                                                        : "a subscription to the topic of another device", at);
    auto const granted = static_cast<std::uint8_t>(wanted.qos == 0 ? 0 : 1);
    set(filter.kind, true, granted);
    codes.push_back(granted);
  }
  session_->suback(request.id, codes);
  store_session();
  for (auto const& wanted : request.filters) listen(classify_filter(wanted.filter).kind, at);
}

inline void mqtt_face::on_unsubscribe(mqtt::unsubscribe const& request, time_point now) {
  instant const at = touched(now);
  for (auto const wanted : request.filters) {
    auto const filter = classify_filter(wanted);
    if (!is_mine(filter)) continue;
    set(filter.kind, false, 0);
    listen(filter.kind, at);
  }
  store_session();
  session_->unsuback(request.id);
}

// --- PUBLISH --------------------------------------------------------------------------------------------------------

inline void mqtt_face::on_publish(mqtt::publish const& message, time_point now) {
  instant const at = touched(now);
  auto const topic = classify_publish(message.topic);
  switch (topic.kind) {
    case publish_kind::telemetry:
      if (topic.device_id != who_.device_id || topic.module_id != who_.module_id)
        return offend("a publish to the topic of another device", at);
      return on_telemetry(message, topic.bag, at);
    case publish_kind::twin_get: return on_twin_get(message, topic, at);
    case publish_kind::reported_patch: return on_reported(message, topic, at);
    case publish_kind::method_response: return on_method_response(message, topic, at);
    case publish_kind::unknown: break;
  }
  if (front_.core_.options().unknown_topic == on_offence::close || message.topic.starts_with("$iothub/"))
    return offend("a publish to an unknown topic", at);
  on_telemetry(message, {}, at);
}

inline void mqtt_face::settle(mqtt::publish const& message, receipt const& how, instant at) {
  if (message.qos == 0) return;
  if (how.withheld) return session_->withhold(message.id);
  if (how.delay <= duration::zero()) return session_->acknowledge(message.id);
  front_.postpone(add(at.now, how.delay), {this, message.id});
}

inline void mqtt_face::on_telemetry(mqtt::publish const& message, std::string_view bag, instant at) {
  iothub::message properties;
  if (auto read = read_property_bag(bag, properties); !read) return offend(read.error().message(), at);
  if (message.retain) properties.properties.push_back({"mqtt-retain", "true"});
  auto const taken = front_.core_.send_telemetry(
      *this, view_of(properties, message.payload, front_.properties_), at);
  if (session_->closed()) return;
  if (taken) return settle(message, *taken, at);
  if (taken.error() == errc::quota_exceeded && front_.core_.options().over_quota == on_offence::tolerate)
    return settle(message, {.withheld = true}, at);
  offend(taken.error().message(), at);
}

inline void mqtt_face::answer_twin(int status, std::string_view rid, std::int64_t version) {
  front_.topic_.clear();
  append_twin_response_topic(front_.topic_, status, rid, version);
  if (subscribed_.responses) send(0);
}

// Both in the topic and in the body: azure-iot-sdk-node reads nothing but the body, the others nothing but the topic.
inline void mqtt_face::answer_twin_error(std::string_view rid, error const& why, instant at) {
  auto const outside = outward(why, front_.tracking_.next(), at.utc);
  front_.payload_.clear();
  if (front_.core_.options().twin_error_body) front_.payload_ = print_error_body(outside, error_form::bare_json);
  answer_twin(outside.code / 1000, rid, 0);
}

inline void mqtt_face::on_twin_get(mqtt::publish const& message, device_publish const& topic, instant at) {
  if (topic.rid.empty()) return offend("a twin request without a request id", at);
  settle(message, {}, at);
  auto const twin = front_.core_.get_device_twin(*this, at);
  if (session_->closed()) return;
  if (!twin) return answer_twin_error(topic.rid, twin.error(), at);
  auto& body = front_.payload_;
  body = "{\"desired\":";
  detail::append_section(body, twin->desired, twin->desired_version);
  body += ",\"reported\":";
  detail::append_section(body, twin->reported, twin->reported_version);
  body += '}';
  answer_twin(200, topic.rid, 0);
}

inline void mqtt_face::on_reported(mqtt::publish const& message, device_publish const& topic, instant at) {
  settle(message, {}, at);
  auto const patch = json::parse(message.payload);
  std::optional<std::int64_t> expected;
  if (topic.version != 0) expected = topic.version;
  auto const version =
      patch ? front_.core_.patch_reported(*this, *patch, expected, at)
            : result<std::int64_t>{hub::refuse(errc::bad_request, 400004, std::string{patch.error().message()})};
  if (session_->closed() || topic.rid.empty()) return;
  if (!version) return answer_twin_error(topic.rid, version.error(), at);
  front_.payload_.clear();
  answer_twin(204, topic.rid, *version);
}

inline void mqtt_face::on_method_response(mqtt::publish const& message, device_publish const& topic, instant at) {
  settle(message, {}, at);
  auto const ticket = detail::ticket_of(topic.rid);
  if (!topic.status) return front_.core_.answer_method_badly(*this, ticket, "the status is no number", at);
  if (message.payload.size() > front_.core_.options().limits.method_payload)
    return front_.core_.answer_method_badly(*this, ticket, "the payload is too large", at);
  method_response response;
  response.status = *topic.status;
  if (!trim(message.payload).empty()) {
    auto payload = json::parse(message.payload);
    if (!payload) return front_.core_.answer_method_badly(*this, ticket, "the payload is not JSON", at);
    response.payload = std::move(*payload);
  }
  front_.core_.answer_method(*this, ticket, std::move(response), at);
}

// --- from the core --------------------------------------------------------------------------------------------------

inline void mqtt_face::deliver_method(method_delivery const& call) {
  front_.topic_.clear();
  append_method_request_topic(front_.topic_, call.name, detail::rid_of(call.ticket));
  front_.payload_.clear();
  call.payload.append_to(front_.payload_);
  send(0);
  output_made();
}

inline void mqtt_face::deliver_desired(std::int64_t version, json::value const& patch) {
  front_.topic_.clear();
  append_desired_change_topic(front_.topic_, version);
  front_.payload_.clear();
  detail::append_section(front_.payload_, patch, version);
  send(0);
  output_made();
}

inline void mqtt_face::deliver_c2d(c2d_message const& message, bool redelivered) {
  if (connecting_) {
    held_.push_back({message, redelivered});
    return;
  }
  front_.topic_.clear();
  bool const confirmed = subscribed_.c2d == c2d_mode::at_least_once;
  mqtt::publish p;
  p.payload = message.content.body.bytes();
  p.qos = confirmed ? 1 : 0;
  p.dup = confirmed && redelivered;
  auto made = append_c2d_topic(front_.topic_, who_.device_id, message);
  p.topic = front_.topic_;
  auto const id = made ? session_->publish(p) : result<std::uint16_t>{made.error()};
  output_made();
  if (id) {
    if (confirmed) unsettled_.push_back({*id, message.lock_token});
    return;
  }
  // Not to be sent, or the peer takes nothing: the message stays the core's, and the connection ends after this call.
  session_->close();
  front_.postpone(time_point::min(), {this, 0});
}

inline void mqtt_face::on_puback(std::uint16_t id, time_point now) {
  instant const at = touched(now);
  for (std::size_t i = 0; i != unsettled_.size(); ++i) {
    if (unsettled_[i].id != id) continue;
    auto const done = std::exchange(unsettled_[i], {});
    unsettled_.erase(unsettled_.begin() + static_cast<std::ptrdiff_t>(i));
    if (unsettled_.empty()) unsettled_ = {};
    (void)front_.core_.settle_c2d(*this, done.lock_token, settlement::complete, at);  // its lock may be gone: too late
    return;
  }
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
