// What all MQTT connections of a hub share: the stored sessions, acknowledgements that wait, and buffers.
//
// Theory of operation. One mqtt_front stands beside a hub core; each connection has an mqtt_face (mqtt_face.hpp) that
// refers to it. An idle connection owns next to nothing, so everything that is only needed while a packet is handled
// lives here once. Two things outlive the call that makes them:
//   - a stored session (MQTT 3.1.1 section 3.1.2.4): which filters a device with CleanSession 0 holds, so that one that
//     connects again and sends no SUBSCRIBE still gets method calls and twin answers, as azure-iot-sdk-node expects
//     after a renewal of its token. The messages themselves are the core's;
//   - work for later: a PUBACK that the hub delays, a connection that broke while the core was calling.
// Whoever runs the hub calls on_time() when deadline() is due, as with the core.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/face_host.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/tracking.hpp>
#include <iothub/mqtt/server_session.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class mqtt_face;

// Which filters a connection holds.
struct mqtt_subscriptions {
  bool methods = false;
  bool desired = false;
  bool responses = false;
  bool inputs = false;
  c2d_mode c2d = c2d_mode::off;
  [[nodiscard]] bool any() const noexcept { return methods || desired || responses || inputs || c2d != c2d_mode::off; }
  friend bool operator==(mqtt_subscriptions const&, mqtt_subscriptions const&) = default;
};

class mqtt_front final : private identity_watcher {
 public:
  // All of them must outlive the front, and the front its faces.
  mqtt_front(hub_core& core, face_host& host, log_sink* log = nullptr)
      : core_{core}, host_{host}, log_{log}, session_options_{session_options_of(core.options())} {
    core_.watch_identities(*this);
  }
  ~mqtt_front() { core_.unwatch_identities(*this); }
  mqtt_front(mqtt_front const&) = delete;
  mqtt_front& operator=(mqtt_front const&) = delete;

  // For the sessions that are put before the faces: the hub's own limits.
  [[nodiscard]] mqtt::server_options const& session_options() const noexcept { return session_options_; }

  [[nodiscard]] time_point deadline() const noexcept { return later_.empty() ? never : later_.begin()->first.first; }
  void on_time(time_point now);

  // A connection without bytes: a session with its face. Every one that is opened is closed, outside of its callbacks.
  [[nodiscard]] mqtt::server_session& open_link(mqtt::packet_sink& to_client, time_point now);
  void close_link(mqtt::server_session& session);
  // All stored sessions are lost, as when a hub moves without its state; the core has its share (forget_sessions()).
  void forget_sessions() noexcept { sessions_.clear(); }
  // How many sessions are stored.
  [[nodiscard]] std::size_t stored_sessions() const noexcept { return sessions_.size(); }

 private:
  friend class mqtt_face;
  struct link;

  struct postponed {
    mqtt_face* face = nullptr;
    std::uint16_t acknowledge = 0;  // 0: the connection ends
  };
  void on_identity_removed(device_key const& gone) override { sessions_.erase(gone); }
  static mqtt::server_options session_options_of(options const& from) {
    mqtt::server_options made;
    made.connect_timeout = from.connect_wait;
    made.keep_alive_cap = from.keep_alive_cap;
    made.max_packet_size = from.limits.d2c_message;
    made.qos2 = from.publish_qos2 == on_offence::close ? mqtt::qos2_policy::close : mqtt::qos2_policy::as_qos1;
    return made;
  }
  void postpone(time_point when, postponed what) {
    later_.emplace(std::pair{when, ++sequence_}, what);
    host_.core_touched();
  }
  void forget(mqtt_face& face) {
    for (auto i = later_.begin(); i != later_.end();) i = i->second.face == &face ? later_.erase(i) : std::next(i);
  }
  void log(log_level level, instant when, std::string_view event, device_key const& who, std::string_view reason) {
    if (log_ != nullptr) log_->write({level, when, event, who.device_id, who.module_id, reason});
  }

  hub_core& core_;
  face_host& host_;
  log_sink* log_;
  mqtt::server_options session_options_;
  tracking_ids tracking_;
  std::map<device_key, mqtt_subscriptions> sessions_;
  std::map<std::pair<time_point, std::uint64_t>, postponed> later_;
  std::uint64_t sequence_ = 0;
  // For the packet that is handled now.
  std::string topic_;
  std::string payload_;
  std::string bag_;  // of the message that is taken, decoded
  std::vector<property_view> properties_;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
