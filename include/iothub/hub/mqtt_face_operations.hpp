// The rest of mqtt_face: what a device publishes, and what the hub delivers to it.
#pragma once

#include <iothub/hub/mqtt_face.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

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

}  // namespace detail

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
  auto what = view_of_bag(bag, message.payload, front_.properties_, front_.bag_);
  if (!what) return offend(what.error().message(), at);
  if (message.retain) {
    front_.properties_.push_back({"mqtt-retain", "true"});
    what->properties = front_.properties_;
  }
  auto const taken = front_.core_.send_telemetry(*this, *what, at);
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
  // The id comes from the queue's own number, as in azure-iot-protocol-gateway (Util.cs): a message that is sent again
  // has the id that it had (MQTT-4.4.0-1). Another one where a message of 65535 before is not acknowledged yet.
  if (confirmed) p.id = static_cast<std::uint16_t>((message.sequence_number - 1) % 65'535 + 1);
  auto id = made ? session_->publish(p) : result<std::uint16_t>{made.error()};
  if (!id && id.error() == errc::invalid_argument && confirmed) {
    p.id = 0;
    id = session_->publish(p);
  }
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
