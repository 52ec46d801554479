// The topics of device_topics.hpp from the hub's side: what devices publish and subscribe, read, and what the hub
// publishes, built. Sources and spelling are those named there.
#pragma once

#include <cstdint>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

enum class publish_kind : std::uint8_t { unknown, telemetry, method_response, twin_get, reported_patch };

struct device_publish {
  publish_kind kind = publish_kind::unknown;
  std::string_view device_id = {};  // telemetry
  std::string_view module_id = {};  // telemetry of a module
  std::string_view bag = {};        // telemetry: for read_property_bag()
  std::string_view rid = {};        // the others; empty where there is none
  maybe<int> status = {};   // method_response; nothing where it is no 32-bit number
  std::int64_t version = 0;         // reported_patch of azure-iot-sdk-java: the expected one; else 0
  friend bool operator==(device_publish const&, device_publish const&) = default;
};

// What a device publishes. Takes telemetry topics with and without a / at the end. A method response without a request
// id is unknown; twin requests without one are not, as some hubs apply such a patch without an answer.
[[nodiscard]] inline device_publish classify_publish(std::string_view topic) noexcept;

enum class filter_kind : std::uint8_t { unknown, c2d, module_inputs, methods, twin_responses, desired_changes };

struct device_filter {
  filter_kind kind = filter_kind::unknown;
  std::string_view device_id = {};  // c2d, module_inputs
  std::string_view module_id = {};  // module_inputs, and c2d as azure-iot-sdk-java's modules ask for it
  friend bool operator==(device_filter const&, device_filter const&) = default;
};

// What a device subscribes to: nothing but the filters above, and devices/{d}/modules/{m}/# for all inputs.
[[nodiscard]] inline device_filter classify_filter(std::string_view filter) noexcept;

// $iothub/methods/POST/{method}/?$rid={rid}, which must be the whole last segment: azure-iot-sdk-c and -csharp take
// everything behind "?$rid=" for the id.
template <class Out>
void append_method_request_topic(Out& out, std::string_view method, std::string_view rid);
// $iothub/twin/res/{status}/?$rid={rid}[&$version={version}], in this order: azure-iot-sdk-java cuts there.
template <class Out>
void append_twin_response_topic(Out& out, int status, std::string_view rid, std::int64_t version = 0);
// $iothub/twin/PATCH/properties/desired/?$version={version}
template <class Out>
void append_desired_change_topic(Out& out, std::int64_t version);
// devices/{d}/messages/devicebound/{bag}
template <class Out>
[[nodiscard]] result<void> append_c2d_topic(Out& out, std::string_view device_id, c2d_message const& m);
// devices/{d}/modules/{m}/inputs/{input}/{bag}, always with the / behind the input, which azure-iot-sdk-node wants.
template <class Out>
[[nodiscard]] result<void> append_input_topic(Out& out, device_key const& who, std::string_view input,
                                              message const& m);

// ---------------------------------------------------------------------------------------------------------------------

template <class Out>
void append_method_request_topic(Out& out, std::string_view method, std::string_view rid) {
  detail::append_text(out, {"$iothub/methods/POST/", method, "/?$rid=", rid});
}
template <class Out>
void append_twin_response_topic(Out& out, int status, std::string_view rid, std::int64_t version) {
  detail::append_text(out, {"$iothub/twin/res/", detail::int_text{status}.view(), "/?$rid=", rid});
  if (version > 0) detail::append_text(out, {"&$version=", detail::int_text{version}.view()});
}
template <class Out>
void append_desired_change_topic(Out& out, std::int64_t version) {
  detail::append_text(out, {"$iothub/twin/PATCH/properties/desired/?$version=", detail::int_text{version}.view()});
}
template <class Out>
result<void> append_c2d_topic(Out& out, std::string_view device_id, c2d_message const& m) {
  return detail::append_c2d_bag(out, {"devices/", device_id, "/messages/devicebound/"}, m, device_id);
}
template <class Out>
result<void> append_input_topic(Out& out, device_key const& who, std::string_view input, message const& m) {
  return detail::append_input_bag(out, {"devices/", who.device_id, "/modules/", who.module_id, "/inputs/", input, "/"},
                                  m);
}

namespace detail {

inline device_publish classify_telemetry(std::string_view text) noexcept {
  device_publish p;
  p.device_id = cut_segment(text);
  if (p.device_id.empty()) return {};
  if (cut_prefix(text, "modules/")) {
    p.module_id = cut_segment(text);
    if (p.module_id.empty()) return {};
  }
  if (!cut_prefix(text, "messages/events")) return {};
  if (!text.empty() && text.front() != '/') return {};
  p.bag = text.substr(text.empty() ? 0 : 1);
  p.kind = publish_kind::telemetry;
  return p;
}

}  // namespace detail

inline device_publish classify_publish(std::string_view topic) noexcept {
  using namespace detail;
  if (cut_prefix(topic, "devices/")) return classify_telemetry(topic);
  if (!cut_prefix(topic, "$iothub/")) return {};
  device_publish p;
  if (cut_prefix(topic, "methods/res/")) {
    p.status = parse_int<int>(cut_segment(topic));
    if (!read_topic_query(topic, p.rid, p.version) || p.rid.empty()) return {};
    p.kind = publish_kind::method_response;
    return p;
  }
  if (cut_prefix(topic, "twin/GET/"))
    p.kind = publish_kind::twin_get;
  else if (cut_prefix(topic, "twin/PATCH/properties/reported/"))
    p.kind = publish_kind::reported_patch;
  else
    return {};
  if (!topic.empty() && !read_topic_query(topic, p.rid, p.version)) return {};
  return p;
}

inline device_filter classify_filter(std::string_view filter) noexcept {
  using namespace detail;
  if (filter == methods_filter) return {.kind = filter_kind::methods};
  if (filter == twin_responses_filter) return {.kind = filter_kind::twin_responses};
  if (filter == desired_changes_filter) return {.kind = filter_kind::desired_changes};
  if (!cut_prefix(filter, "devices/")) return {};
  device_filter f;
  f.device_id = cut_segment(filter);
  if (f.device_id.empty()) return {};
  if (cut_prefix(filter, "modules/")) {
    f.module_id = cut_segment(filter);
    if (f.module_id.empty()) return {};
    if (filter == "#" || filter == "inputs/#") f.kind = filter_kind::module_inputs;
  }
  if (filter == "messages/devicebound/#") f.kind = filter_kind::c2d;
  return f.kind == filter_kind::unknown ? device_filter{} : f;
}

}  // namespace v0
}  // namespace iothub
