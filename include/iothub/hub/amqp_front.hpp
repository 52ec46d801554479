// What all AMQP connections of a hub share: options, policies' keys, the readers of the event endpoint, the feedback
// that is on its way to back ends.
//
// Theory of operation. One amqp_front stands beside a hub core; each connection has an amqp_face (amqp_face.hpp) that
// refers to it, and each link that the face accepts has a node. Two things reach nodes from outside of their
// connection:
//   - an event was appended: readers that had come to the end of its partition are in `waiting_`; they are put on their
//     face's list of work, and the face is woken. They read from the log in their own connection's turn, as much as the
//     peer takes: what a slow reader costs is its place in the log;
//   - feedback and file notifications (amqp_feedback.hpp): they gather here and go to one of the receivers.
// Whoever runs the hub calls on_time() when deadline() is due and after every call of the core, as with the core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/hub/amqp_claims.hpp>
#include <iothub/hub/amqp_feedback.hpp>
#include <iothub/hub/amqp_words.hpp>
#include <iothub/hub/face_host.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/tracking.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_face;
class amqp_event_node;

// A reader that came to the end of its partition, and wants to know when that is not the end any more.
class amqp_event_waiter {
 public:
  virtual void appended() = 0;

 protected:
  ~amqp_event_waiter() = default;
};

// Microsoft docs "Event Hubs quotas": non-epoch receivers of a consumer group on one partition.
inline constexpr std::size_t max_event_readers = 5;

class amqp_front {
 public:
  // All of them must outlive the front, and the front its faces.
  amqp_front(hub_core& core, face_host& host, security& keys, log_sink* log = nullptr)
      : core_{core},
        host_{host},
        log_{log},
        policy_keys_{core, keys},
        feedback_{core},
        files_{core},
        options_{options_of(core.options())},
        created_{host.wall_clock()},
        waiting_(core.events().partitions()) {
    core.events().on_append([this](std::uint32_t partition) { appended(partition); });
  }
  ~amqp_front() { core_.events().on_append({}); }
  amqp_front(amqp_front const&) = delete;
  amqp_front& operator=(amqp_front const&) = delete;

  // For the connections that are put before the faces.
  [[nodiscard]] amqp::connection_options const& connection_options() const noexcept { return options_; }
  // Where this hub's AMQP can be reached, for redirects: the port of AMQP over TLS.
  void set_port(std::uint16_t port) noexcept { port_ = port; }
  // The name of the hub as the entity of its event endpoint: the first part of the host name.
  [[nodiscard]] std::string_view entity() const noexcept {
    std::string_view const host = core_.options().hostname;
    return host.substr(0, host.find('.'));
  }
  [[nodiscard]] bool is_entity(std::string_view name) const noexcept {
    return iequals(name, entity());
  }

  [[nodiscard]] time_point deadline() const noexcept {
    time_point const feedback = feedback_.deadline();
    time_point const files = files_.deadline();
    return feedback < files ? feedback : files;
  }
  void on_time(time_point now) {
    feedback_.on_time(host_.at(now));
    files_.on_time(host_.at(now));
  }

 private:
  friend class amqp_face;
  friend class amqp_node;
  friend class amqp_event_node;
  friend class amqp_management_node;
  friend class amqp_send_node;
  friend class amqp_feedback_node;
  friend class amqp_device;
  friend class amqp_device_node;

  static amqp::connection_options options_of(options const& from) {
    amqp::connection_options made;
    made.container_id = from.hostname;
    // What the hub refuses by disposition has to be taken first (azure-iot-sdk-csharp issue 2055).
    made.max_message_size = std::uint64_t{1} << 20;
    made.idle_timeout = std::chrono::seconds{480};
    made.open_timeout = from.connect_wait;
    made.lists = amqp::list_form::full;
    return made;
  }
  void appended(std::uint32_t partition) {
    auto& waiting = waiting_[partition];
    for (amqp_event_waiter* const each : waiting) each->appended();
    waiting.clear();
  }
  void log(log_level level, instant when, std::string_view event, key_view who, std::string_view reason) {
    if (log_ != nullptr) log_->write({level, when, event, who.device_id, who.module_id, reason});
  }

  hub_core& core_;
  face_host& host_;
  log_sink* log_;
  amqp_policy_keys policy_keys_;
  feedback_batches feedback_;
  file_notifications files_;
  amqp::connection_options options_;
  utc_time created_;
  tracking_ids tracking_;
  std::uint16_t port_ = 5671;
  // Readers that wait for an event, by partition; and all of them, by group (in lower case) and partition.
  std::vector<std::vector<amqp_event_waiter*>> waiting_;
  std::map<std::pair<std::string, std::uint32_t>, std::vector<amqp_event_node*>> readers_;
  // For the message that is handled now.
  byte_buffer scratch_;
  std::vector<property_view> properties_;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
