// The property bag: what stands behind messages/events/ and messages/devicebound/ in a topic.
//
//   name[=value][&name[=value]]…      both sides percent-encoded; a name without = has no value, name= an empty one
//
// System properties have names that begin with $. and are written %24. here, the spelling that all five official SDKs
// read. Names and keys: Microsoft docs, iot-mqtt-connect-to-iot-hub and iot-hub-devguide-messages-construct; $.on,
// $.ifid, $.sub, $.cdid, $.cmid: azure-iot-sdk-python mqtt_topic_iothub.py, -csharp MqttIotHubAdapter.cs, -c
// iothubtransport_mqtt_common.c.
//
// Rules.
// - An application property whose name begins with $. is refused when sent: on the wire nothing would tell it from a
//   system property. What comes in under such a name and is none known here stays an application property.
// - Text is UTF-8 without U+0000, in both directions.
// - Writing leaves `out` as it was when it fails, and allocates only to make `out` larger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/append.hpp>
#include <iothub/base/ascii.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// What a device sends. `Out` is std::string or byte_buffer. System properties come first, then the application's in
// their order. errc::invalid_argument: a name that is empty or begins with $., text that is no UTF-8, a message id that
// is too long or holds a forbidden character. errc::too_large: more than a topic holds.
template <class Out>
[[nodiscard]] result<void> append_telemetry_bag(Out& out, message const& m);

// What the hub sends to a device, in the one layout that every SDK parses: %24.mid, then always %24.to, the other
// system properties, iothub-ack, and the application's. (azure-iot-sdk-java looks for the first %24 and drops what is
// before it; -csharp fails without any property; a name without = or an empty value breaks -java and misleads -node, so
// a sender that wants to reach all of them gives every property a value.) Errors as above.
template <class Out>
[[nodiscard]] result<void> append_c2d_bag(Out& out, c2d_message const& m, std::string_view device_id);

// What edge sends to an input of a module: as telemetry, with %24.cdid and %24.cmid.
template <class Out>
[[nodiscard]] result<void> append_input_bag(Out& out, message const& m);

enum class duplicate_names : std::uint8_t { keep_first, refuse };

struct bag_options {
  std::size_t max_properties = 1024;
  // What a name that is there twice means is unconfirmed for the real hub.
  duplicate_names duplicates = duplicate_names::keep_first;
};

// Adds what the bag says to a message. Takes every variant that official clients and the documentation show: $. and
// %24., no value and empty value, a / at the end (reading stops there), /? or ? at the beginning, nothing at all.
// errc::malformed: an empty name or pair, a second = in a pair, a broken escape, text that is no UTF-8 or holds U+0000.
// errc::too_large: more than max_properties. After an error the message holds some of the properties.
[[nodiscard]] inline result<void> read_property_bag(std::string_view bag, message& into,
                                                    bag_options const& options = {});
// The same, with iothub-ack taken out of the application properties.
[[nodiscard]] inline result<void> read_c2d_bag(std::string_view bag, c2d_message& into,
                                               bag_options const& options = {});

// What counts against max_telemetry_size: the body, the values of system properties, and names and values of the
// application's (Microsoft docs: iot-hub-devguide-messages-construct).
[[nodiscard]] inline std::size_t message_size(message const& m) noexcept;

constexpr std::string_view to_string(feedback_request ack) noexcept {
  switch (ack) {
    case feedback_request::none: return "none";
    case feedback_request::positive: return "positive";
    case feedback_request::negative: return "negative";
    case feedback_request::full: return "full";
  }
  return "none";
}
// none for anything that is not one of the four.
constexpr feedback_request feedback_request_of(std::string_view text) noexcept {
  for (auto ack : {feedback_request::positive, feedback_request::negative, feedback_request::full})
    if (iequals(text, to_string(ack))) return ack;
  return feedback_request::none;
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The system properties that are text.
struct text_property {
  std::string_view key;  // behind the "$."
  std::string message::*field;
};
inline constexpr text_property text_properties[] = {{"on", &message::output_name},
                                                    {"mid", &message::message_id},
                                                    {"cid", &message::correlation_id},
                                                    {"uid", &message::user_id},
                                                    {"to", &message::to},
                                                    {"ct", &message::content_type},
                                                    {"ce", &message::content_encoding},
                                                    {"ifid", &message::interface_id},
                                                    {"sub", &message::component_name},
                                                    {"cdid", &message::connection_device_id},
                                                    {"cmid", &message::connection_module_id}};

enum class bag_fault : std::uint8_t { none, empty_name, reserved_name, bad_text };

inline error bag_error(bag_fault fault) {
  switch (fault) {
    case bag_fault::empty_name: return error{errc::invalid_argument, "a message property has an empty name"};
    case bag_fault::reserved_name:
      return error{errc::invalid_argument,
                   "the name of an application property begins with $., as system properties do"};
    default: return error{errc::invalid_argument, "a message property is not UTF-8 or holds U+0000"};
  }
}

// A name as it stands in front of a value, with the & before it: "&%24.mid=". Always copied as twelve bytes, which is
// one load and one store more than nothing.
struct bag_name {
  template <std::size_t Size>
  constexpr bag_name(char const (&name)[Size]) noexcept : size{Size - 1} {  // NOLINT: a literal is a name
    static_assert(Size - 1 <= 12);
    for (std::size_t i = 0; i != size; ++i) text[i] = name[i];
  }
  char text[13] = {};
  std::size_t size;
};

// Writes pairs at a place that has room for them, and twelve bytes more.
class bag_writer {
 public:
  explicit bag_writer(char* at) noexcept : at_{at}, begin_{at} {}

  void text(std::string_view value) noexcept {
    char* const end = write_percent(at_, value);
    // Text without escapes is plain ASCII: only the rest needs a look.
    if (static_cast<std::size_t>(end - at_) != value.size() && !is_mqtt_text(value)) fault_ = bag_fault::bad_text;
    at_ = end;
  }
  void key(bag_name const& name) noexcept {
    std::size_t const first = at_ == begin_ ? 1 : 0;  // without the &
    std::memcpy(at_, name.text + first, 12);
    at_ += name.size - first;
  }
  // A system property; nothing when it is empty.
  void system(bag_name const& name, std::string_view value) noexcept {
    if (value.empty()) return;
    key(name);
    text(value);
  }
  void time(bag_name const& name, std::optional<utc_time> const& value) noexcept {
    if (!value) return;
    char printed[iso8601_max_size];
    system(name, {printed, static_cast<std::size_t>(write_iso8601(printed, *value, 3) - printed)});
  }
  void application(property const& p) noexcept {
    if (p.name.empty()) fault_ = bag_fault::empty_name;
    if (p.name.starts_with("$.")) fault_ = bag_fault::reserved_name;
    if (at_ != begin_) *at_++ = '&';
    text(p.name);
    if (!p.has_value) return;
    *at_++ = '=';
    text(p.value);
  }
  [[nodiscard]] char* end() const noexcept { return at_; }
  [[nodiscard]] bag_fault fault() const noexcept { return fault_; }

 private:
  char* at_;
  char* begin_;
  bag_fault fault_ = bag_fault::none;
};

// More than any bag made of this message takes, without `extra`.
inline std::size_t bag_bound(message const& m, std::size_t extra) noexcept {
  std::size_t bytes = extra + m.output_name.size() + m.message_id.size() + m.correlation_id.size() + m.user_id.size() +
                      m.to.size() + m.content_type.size() + m.content_encoding.size() + m.interface_id.size() +
                      m.component_name.size() + m.connection_device_id.size() + m.connection_module_id.size();
  for (auto const& p : m.properties) bytes += p.name.size() + p.value.size();
  // The system's pairs are eleven texts, two times, to and ack.
  return bytes * 3 + (16 + m.properties.size()) * 12 + 2 * 3 * iso8601_max_size;
}

// What stands before a bag in a topic.
using topic_parts = std::initializer_list<std::string_view>;

template <class Out, class Fill>
result<void> append_bag(Out& out, topic_parts before, std::size_t bound, Fill const& fill) {
  for (std::string_view part : before) bound += part.size();
  if (bound > 4 * max_topic_size) return error{errc::too_large, "the message properties do not fit into a topic"};
  char* const begin = grow(out, bound);
  char* at = begin;
  for (std::string_view part : before) at = put(at, part);
  bag_writer writer{at};
  fill(writer);
  bool const too_long = static_cast<std::size_t>(writer.end() - begin) > max_topic_size;
  bool const failed = writer.fault() != bag_fault::none || too_long;
  settle(out, begin, failed ? begin : writer.end());
  if (writer.fault() != bag_fault::none) return bag_error(writer.fault());
  if (too_long) return error{errc::too_large, "the message properties do not fit into a topic"};
  return {};
}

// What telemetry and input messages have in common, behind the output's name.
inline void write_message(bag_writer& w, message const& m) noexcept {
  w.system("&%24.mid=", m.message_id);
  w.system("&%24.cid=", m.correlation_id);
  w.system("&%24.uid=", m.user_id);
  w.system("&%24.to=", m.to);
  w.system("&%24.ct=", m.content_type);
  w.system("&%24.ce=", m.content_encoding);
  w.system("&%24.ifid=", m.interface_id);
  w.system("&%24.sub=", m.component_name);
  w.time("&%24.exp=", m.expiry_time);
  w.time("&%24.ctime=", m.creation_time);
  for (auto const& p : m.properties) w.application(p);
}

template <class Out>
result<void> append_telemetry_bag(Out& out, topic_parts before, message const& m) {
  if (!m.message_id.empty() && !is_valid_id(m.message_id))  // the rule for message ids is that for device ids
    return error{errc::invalid_argument, "the message id is too long or holds a character that is not allowed"};
  return append_bag(out, before, bag_bound(m, 0), [&m](bag_writer& w) {
    w.system("&%24.on=", m.output_name);
    write_message(w, m);
  });
}

template <class Out>
result<void> append_c2d_bag(Out& out, topic_parts before, c2d_message const& c2d, std::string_view device_id) {
  message const& m = c2d.content;
  return append_bag(out, before, bag_bound(m, device_id.size() + 64), [&](bag_writer& w) {
    w.system("&%24.mid=", m.message_id);
    w.key("&%24.to=");
    w.text("/devices/");
    w.text(device_id);
    w.text("/messages/deviceBound");
    w.system("&%24.cid=", m.correlation_id);
    w.system("&%24.uid=", m.user_id);
    w.time("&%24.exp=", m.expiry_time);
    w.system("&%24.ct=", m.content_type);
    w.system("&%24.ce=", m.content_encoding);
    w.time("&%24.ctime=", m.creation_time);
    if (c2d.ack != feedback_request::none) w.system("&iothub-ack=", to_string(c2d.ack));
    for (auto const& p : m.properties) w.application(p);
  });
}

template <class Out>
result<void> append_input_bag(Out& out, topic_parts before, message const& m) {
  return append_bag(out, before, bag_bound(m, 0), [&m](bag_writer& w) {
    w.system("&%24.cdid=", m.connection_device_id);
    w.system("&%24.cmid=", m.connection_module_id);
    write_message(w, m);
  });
}

}  // namespace detail

template <class Out>
result<void> append_telemetry_bag(Out& out, message const& m) {
  return detail::append_telemetry_bag(out, {}, m);
}
template <class Out>
result<void> append_c2d_bag(Out& out, c2d_message const& m, std::string_view device_id) {
  return detail::append_c2d_bag(out, {}, m, device_id);
}
template <class Out>
result<void> append_input_bag(Out& out, message const& m) {
  return detail::append_input_bag(out, {}, m);
}

namespace detail {

inline error bad_bag(char const* why) {
  return error{errc::malformed, std::string{"property bag: "}.append(why)};
}

// The bag without what clients put around it.
inline std::string_view bag_core(std::string_view bag) noexcept {
  if (bag.starts_with("/?")) bag.remove_prefix(1);
  if (bag.starts_with('?')) bag.remove_prefix(1);
  return bag.substr(0, bag.find('/'));
}

// Decodes at `memory` and moves that behind it.
inline result<std::string_view> bag_text(std::string_view encoded, char*& memory) {
  char* const end = read_percent(memory, encoded);
  if (end == nullptr) return error{errc::malformed, "a % that is not followed by two hexadecimal digits"};
  std::string_view const text{memory, static_cast<std::size_t>(end - memory)};
  if (!is_mqtt_text(text)) return bad_bag("text that is not UTF-8 or holds U+0000");
  memory = end;
  return text;
}

// Calls take(name, value, has_value) -> bool for each pair; false stands for a name that was there before. What is
// decoded lies at `memory`, which has room for as many characters as the bag.
template <class Take>
result<void> read_bag(std::string_view core, char* memory, bag_options const& options, Take take) {
  if (core.empty()) return {};
  splitter pairs{core, '&'};
  std::string_view text;
  for (std::size_t count = 0; pairs.next(text); ++count) {
    if (count == options.max_properties) return error{errc::too_large, "property bag: too many properties"};
    split_pair const pair = split_once(text, '=');
    if (pair.before.empty()) return bad_bag("a property without a name");
    if (pair.after.find('=') != std::string_view::npos) return bad_bag("a second = in a property");
    auto name = bag_text(pair.before, memory);
    if (!name) return std::move(name).error();
    auto value = bag_text(pair.after, memory);
    if (!value) return std::move(value).error();
    bool const taken = take(*name, *value, pair.found);
    if (!taken && options.duplicates == duplicate_names::refuse) return bad_bag("a name that is there twice");
  }
  return {};
}

// Puts a decoded pair where it belongs; false when the name was there before.
inline bool take_property(std::string_view name, std::string_view value, bool has_value, message& into) {
  if (name.starts_with("$.")) {
    std::string_view const key = name.substr(2);
    for (auto const& known : text_properties) {
      if (known.key != key) continue;
      std::string& field = into.*known.field;
      if (!field.empty()) return false;
      field = value;
      return true;
    }
    if (key == "exp" || key == "ctime") {
      auto& field = key == "exp" ? into.expiry_time : into.creation_time;
      if (field) return false;
      auto const time = parse_iso8601(value);
      if (time) {
        field = *time;
        return true;
      }
      // A date in a form of its own is not lost: it stays under its name.
    }
  }
  for (auto const& other : into.properties)
    if (other.name == name) return false;
  into.properties.push_back({std::string{name}, std::string{value}, has_value});
  return true;
}

}  // namespace detail

inline result<void> read_property_bag(std::string_view bag, message& into, bag_options const& options) {
  std::string_view const core = detail::bag_core(bag);
  if (core.empty()) return {};
  std::size_t pair_count = 1;
  for (char c : core) pair_count += c == '&' ? 1u : 0u;
  if (pair_count <= options.max_properties) into.properties.reserve(into.properties.size() + pair_count);
  char small[512];
  std::string large;
  if (core.size() > sizeof small) large.resize(core.size());
  return detail::read_bag(core, large.empty() ? small : large.data(), options,
                          [&into](std::string_view name, std::string_view value, bool has_value) {
                            return detail::take_property(name, value, has_value, into);
                          });
}

inline result<void> read_c2d_bag(std::string_view bag, c2d_message& into, bag_options const& options) {
  auto read = read_property_bag(bag, into.content, options);
  auto& properties = into.content.properties;
  for (std::size_t i = 0; i != properties.size(); ++i) {
    if (properties[i].name != "iothub-ack") continue;
    into.ack = feedback_request_of(properties[i].value);
    properties.erase(properties.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return read;
}

inline std::size_t message_size(message const& m) noexcept {
  std::size_t size = m.body.size();
  for (auto const& p : detail::text_properties) size += (m.*p.field).size();
  for (auto const& time : {m.expiry_time, m.creation_time})
    if (time) size += 24;  // 2024-01-01T00:00:00.000Z
  for (auto const& p : m.properties) size += p.name.size() + p.value.size();
  return size;
}

}  // namespace v0
}  // namespace iothub
