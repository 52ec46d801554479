// Every topic between a device and the hub, built and read on the device's side; hub_topics.hpp has the hub's.
// (Microsoft docs: iot-mqtt-connect-to-iot-hub; details of spelling as the official SDKs send and expect them).
//
//   device to hub                                            hub to device
//   devices/{d}/messages/events/{bag}                        devices/{d}/messages/devicebound/{bag}
//   devices/{d}/modules/{m}/messages/events/{bag}            devices/{d}/modules/{m}/inputs/{input}/{bag}
//   $iothub/methods/res/{status}/?$rid={rid}                 $iothub/methods/POST/{method}/?$rid={rid}
//   $iothub/twin/GET/?$rid={rid}                             $iothub/twin/res/{status}/?$rid={rid}[&$version={v}]
//   $iothub/twin/PATCH/properties/reported/?$rid={rid}       $iothub/twin/PATCH/properties/desired/?$version={v}
//
// Reading is one pass over the topic, gives views into it, and allocates nothing. What is not exactly one of these, or
// holds a name or a request id that must not be sent back (a / in it would make the answer another topic), is unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

#include <iothub/base/append.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// What a device subscribes to; the other two filters hold its id and are members of device_topics.
inline constexpr std::string_view methods_filter = "$iothub/methods/POST/#";
inline constexpr std::string_view twin_responses_filter = "$iothub/twin/res/#";
inline constexpr std::string_view desired_changes_filter = "$iothub/twin/PATCH/properties/desired/#";

// --- the device's side ----------------------------------------------------------------------------------------------

enum class inbound_kind : std::uint8_t { unknown, c2d, module_input, method_request, twin_response, desired_change };

struct inbound_topic {
  inbound_kind kind = inbound_kind::unknown;
  std::int16_t status = 0;     // twin_response: 100 to 999
  std::string_view name = {};  // method_request: the method; module_input: the input
  std::string_view rid = {};   // method_request, twin_response
  std::string_view bag = {};   // c2d, module_input: for read_c2d_bag() or read_property_bag()
  std::int64_t version = 0;    // twin_response where it has one, desired_change: at least 1; else 0
  friend bool operator==(inbound_topic const&, inbound_topic const&) = default;
};

// The topics of one device or module; made once per connection.
class device_topics {
 public:
  // errc::invalid_argument for an id that is none; errc::unsupported for one with + or # in it.
  [[nodiscard]] static result<device_topics> make(device_key const& who);

  // devices/{d}/messages/events/{bag}, with system and application properties. Errors of append_telemetry_bag().
  template <class Out>
  [[nodiscard]] result<void> append_telemetry(Out& out, message const& m) const;
  // The topic without properties; also what a Will goes to.
  [[nodiscard]] std::string_view telemetry_topic() const noexcept { return telemetry_; }
  // devices/{d}/messages/devicebound/# (a module gets none)
  [[nodiscard]] std::string c2d_filter() const { return prefix().append("messages/devicebound/#"); }
  // devices/{d}/modules/{m}/inputs/#
  [[nodiscard]] std::string inputs_filter() const { return prefix().append("inputs/#"); }

  // What came in. Another device's topics are unknown.
  [[nodiscard]] inbound_topic classify(std::string_view topic) const noexcept;

 private:
  explicit device_topics(device_key const& who);
  [[nodiscard]] std::string prefix() const { return telemetry_.substr(0, prefix_size_); }

  std::string telemetry_;        // devices/{d}/messages/events/
  std::size_t prefix_size_ = 0;  // of "devices/{d}/" in it
  bool is_module_ = false;
};

// $iothub/methods/res/{status}/?$rid={rid}
template <class Out>
void append_method_response_topic(Out& out, int status, std::string_view rid);
// $iothub/twin/GET/?$rid={rid}
template <class Out>
void append_twin_get_topic(Out& out, std::string_view rid);
// $iothub/twin/PATCH/properties/reported/?$rid={rid}
template <class Out>
void append_reported_patch_topic(Out& out, std::string_view rid);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

template <class Out>
void append_text(Out& out, std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (std::string_view part : parts) size += part.size();
  char* const begin = grow(out, size);
  char* end = begin;
  for (std::string_view part : parts) end = put(end, part);
  settle(out, begin, end);
}

struct int_text {
  explicit int_text(std::int64_t value) noexcept : size{static_cast<std::size_t>(write_int(digits, value) - digits)} {}
  [[nodiscard]] std::string_view view() const noexcept { return {digits, size}; }
  char digits[20];
  std::size_t size;
};

inline bool cut_prefix(std::string_view& text, std::string_view prefix) noexcept {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}
// The same for a literal: words are compared, the last one overlapping, and no function is called.
template <class Word, std::size_t Size>
bool same_words(char const* text, char const (&prefix)[Size]) noexcept {
  constexpr std::size_t size = Size - 1, step = sizeof(Word);
  bool same = true;
  for (std::size_t i = 0; i < size; i += step) {
    std::size_t const at = i + step <= size ? i : size - step;
    Word have, want;
    std::memcpy(&have, text + at, step);
    std::memcpy(&want, prefix + at, step);
    same &= have == want;
  }
  return same;
}
template <std::size_t Size>
bool cut_prefix(std::string_view& text, char const (&prefix)[Size]) noexcept {
  constexpr std::size_t size = Size - 1;
  if (text.size() < size) return false;
  bool same;
  if constexpr (size >= 8)
    same = same_words<std::uint64_t>(text.data(), prefix);
  else if constexpr (size >= 4)
    same = same_words<std::uint32_t>(text.data(), prefix);
  else
    same = same_words<std::uint8_t>(text.data(), prefix);
  if (same) text.remove_prefix(size);
  return same;
}
// Cuts the text up to the next / off, and the / as well; empty when there is none.
inline std::string_view cut_segment(std::string_view& text) noexcept {
  std::size_t const at = text.find('/');
  if (at == std::string_view::npos) return {};
  std::string_view const segment = text.substr(0, at);
  text.remove_prefix(at + 1);
  return segment;
}
// Cuts the longest front that is in a class of characters; four at a time while there are four.
inline std::string_view cut_while(std::string_view& text, char_class wanted) noexcept {
  auto const* const p = reinterpret_cast<unsigned char const*>(text.data());
  std::size_t size = 0;
  while (size + 4 <= text.size() && (char_classes[p[size]] & char_classes[p[size + 1]] & char_classes[p[size + 2]] &
                                     char_classes[p[size + 3]] & wanted) != 0)
    size += 4;
  while (size != text.size() && is_in(text[size], wanted)) ++size;
  std::string_view const front = text.substr(0, size);
  text.remove_prefix(size);
  return front;
}

// Cuts a number of at most 18 digits; -1 where there are none or more.
inline std::int64_t cut_number(std::string_view& text) noexcept {
  std::int64_t number = 0;
  std::size_t size = 0;
  for (; size != text.size() && is_digit(text[size]); ++size) {
    if (size == 18) return -1;
    number = number * 10 + (text[size] - '0');
  }
  text.remove_prefix(size);
  return size == 0 ? -1 : number;
}

// "?$rid=…&$version=…", each at most once; other parameters are passed over. False when it is anything else, also when
// a request id may not be sent back or a version is no number of at least 1.
inline bool read_topic_query(std::string_view text, std::string_view& rid, std::int64_t& version) noexcept {
  if (text.empty() || text.front() != '?') return false;
  text.remove_prefix(1);
  for (;;) {
    if (cut_prefix(text, "$rid=")) {
      if (rid.data() != nullptr) return false;
      rid = cut_while(text, in_request_id);
      if (rid.empty() || rid.size() > max_request_id_size) return false;
    } else if (cut_prefix(text, "$version=")) {
      if (version != 0) return false;
      version = cut_number(text);
      if (version < 1) return false;
    } else {
      std::string_view const other = text.substr(0, text.find('&'));
      if (other.find_first_of("/#+") != std::string_view::npos) return false;
      text.remove_prefix(other.size());
    }
    if (text.empty()) return true;
    if (text.front() != '&') return false;
    text.remove_prefix(1);
  }
}

// Behind "$iothub/".
inline inbound_topic classify_hub_topic(std::string_view text) noexcept {
  inbound_topic t;
  if (cut_prefix(text, "methods/POST/")) {
    t.name = cut_while(text, in_method_name);
    if (t.name.empty() || t.name.size() > max_method_name_size || !cut_prefix(text, "/")) return {};
    if (!read_topic_query(text, t.rid, t.version) || t.rid.empty()) return {};
    t.kind = inbound_kind::method_request;
    t.version = 0;
    return t;
  }
  if (!cut_prefix(text, "twin/")) return {};
  if (cut_prefix(text, "res/")) {
    if (text.size() < 4 || text[3] != '/') return {};
    for (std::size_t i = 0; i != 3; ++i) {
      if (!is_digit(text[i])) return {};
      t.status = static_cast<std::int16_t>(t.status * 10 + (text[i] - '0'));
    }
    if (t.status < 100 || !read_topic_query(text.substr(4), t.rid, t.version) || t.rid.empty()) return {};
    t.kind = inbound_kind::twin_response;
    return t;
  }
  if (cut_prefix(text, "PATCH/properties/desired/")) {
    if (!read_topic_query(text, t.rid, t.version) || t.version == 0) return {};
    t.kind = inbound_kind::desired_change;
    t.rid = {};
    return t;
  }
  return {};
}

}  // namespace detail

inline device_topics::device_topics(device_key const& who)
    : telemetry_{"devices/" + who.device_id + "/"}, is_module_{!who.module_id.empty()} {
  if (is_module_) telemetry_.append("modules/").append(who.module_id).append("/");
  prefix_size_ = telemetry_.size();
  telemetry_.append("messages/events/");
}

inline result<device_topics> device_topics::make(device_key const& who) {
  if (auto valid = check_mqtt_id(who.device_id); !valid) return std::move(valid).error();
  if (!who.module_id.empty())
    if (auto valid = check_mqtt_id(who.module_id, "module id"); !valid) return std::move(valid).error();
  return device_topics{who};
}

template <class Out>
result<void> device_topics::append_telemetry(Out& out, message const& m) const {
  return detail::append_telemetry_bag(out, {telemetry_}, m);
}

inline inbound_topic device_topics::classify(std::string_view topic) const noexcept {
  if (detail::cut_prefix(topic, "$iothub/")) return detail::classify_hub_topic(topic);
  if (!detail::cut_prefix(topic, std::string_view{telemetry_}.substr(0, prefix_size_))) return {};
  inbound_topic t;
  if (!is_module_ && detail::cut_prefix(topic, "messages/devicebound")) {
    if (!topic.empty() && topic.front() != '/') return {};
    t.kind = inbound_kind::c2d;
    t.bag = topic.substr(topic.empty() ? 0 : 1);
    return t;
  }
  if (!is_module_ || !detail::cut_prefix(topic, "inputs/")) return {};
  split_pair const input = split_once(topic, '/');
  if (input.before.empty()) return {};
  t.kind = inbound_kind::module_input;
  t.name = input.before;
  t.bag = input.after;
  return t;
}

template <class Out>
void append_method_response_topic(Out& out, int status, std::string_view rid) {
  detail::append_text(out, {"$iothub/methods/res/", detail::int_text{status}.view(), "/?$rid=", rid});
}
template <class Out>
void append_twin_get_topic(Out& out, std::string_view rid) {
  detail::append_text(out, {"$iothub/twin/GET/?$rid=", rid});
}
template <class Out>
void append_reported_patch_topic(Out& out, std::string_view rid) {
  detail::append_text(out, {"$iothub/twin/PATCH/properties/reported/?$rid=", rid});
}
}  // namespace v0
}  // namespace iothub
