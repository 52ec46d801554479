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
#include <iothub/wire/hub_topics.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/mqtt_user_name.hpp>

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
  inline void on_connect(mqtt::connect const& how, time_point now) override;
  inline void on_publish(mqtt::publish const& message, time_point now) override;
  inline void on_puback(std::uint16_t id, time_point now) override;
  inline void on_subscribe(mqtt::subscribe const& request, time_point now) override;
  inline void on_unsubscribe(mqtt::unsubscribe const& request, time_point now) override;
  inline void on_closed(error const& reason, bool clean, time_point now) override;

  // --- device_link
  inline void deliver_method(method_delivery const& call) override;
  inline void deliver_c2d(c2d_message const& message, bool redelivered) override;
  inline void deliver_desired(std::int64_t version, json::value const& patch) override;
  inline void on_drop(error const& reason) override;

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
inline void mqtt_front::close_link(mqtt::server_session& session) {
  delete static_cast<link*>(&session);
}

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
  if (front_.core_.options().check_mqtt_host && !front_.core_.is_host(identity->host_name))
    return error{errc::unauthorized, "wrong host: " + identity->host_name.substr(0, 64)};
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
  auto done = front_.core_.connect(
      *this, who_, *grant,
      {.clean_session = how.clean_session, .will = how.has_will ? &will : nullptr, .model_id = identity->model_id}, at);
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
    if (!is_mine(filter) &&
        (filter.kind != filter_kind::unknown || front_.core_.options().unknown_topic == on_offence::close))
      return offend(filter.kind == filter_kind::unknown ? "a subscription to an unknown topic"
                                                        : "a subscription to the topic of another device",
                    at);
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

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/mqtt_face_operations.hpp>  // PUBLISH, and what the core delivers
