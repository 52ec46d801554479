// What IoT Hub allows in names, and the sizes that both ends of a connection must know.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/result.hpp>

namespace iothub {
inline namespace v0 {

// Microsoft docs: iot-hub-devguide-identity-registry.
inline constexpr std::size_t max_id_size = 128;
// Microsoft docs: iot-hub-devguide-quotas-throttling. The boundaries themselves (at most, or less than) are unconfirmed
// for the real hub; "at most" is what they are here.
inline constexpr std::size_t max_telemetry_size = 262'144;
inline constexpr std::size_t max_c2d_size = 65'536;
inline constexpr std::size_t max_method_payload_size = 131'072;
// A request id is text that one side chose and the other sends back. Nobody says how long it may be; GUIDs have 36.
inline constexpr std::size_t max_request_id_size = 128;
inline constexpr std::size_t max_method_name_size = 100;  // unconfirmed for the real hub
// MQTT 3.1.1 section 1.5.3: the length of a topic has 16 bits.
inline constexpr std::size_t max_topic_size = 65'535;

// A device or module id: 1 to 128 letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ ' (IoT Hub service REST
// reference, Device.deviceId). Case matters. The older text of the registry's guide leaves out : and ;.
[[nodiscard]] inline bool is_valid_id(std::string_view id) noexcept;
// Why it is none: errc::invalid_argument with the rule that was broken. `what` names the id in the sentence.
[[nodiscard]] inline result<void> check_id(std::string_view id, std::string_view what = "device id");
// Ids stand literally in topics, where + and # are forbidden (MQTT 3.1.1 section 4.7.1): a device with such an id can
// use HTTPS and AMQP, but not MQTT. errc::unsupported then.
[[nodiscard]] inline result<void> check_mqtt_id(std::string_view id, std::string_view what = "device id");

// A method name: printable ASCII without $ ( ) < > @ , ; : \ " / [ ] ? = { } and blanks (Microsoft docs:
// iot-hub-devguide-direct-methods). + and # are refused as well, since the name becomes a level of an MQTT topic.
[[nodiscard]] inline bool is_valid_method_name(std::string_view name) noexcept;
[[nodiscard]] inline result<void> check_method_name(std::string_view name);

// A request id that may be sent back in a topic: printable ASCII without / # + & ? $ and blanks.
[[nodiscard]] inline bool is_valid_request_id(std::string_view id) noexcept;

// A host name: labels of 1 to 63 letters, digits, - and _, with dots between them, 253 in all; no port, no path.
// (RFC 1123 section 2.1; the underscore is what the SDKs let through.)
[[nodiscard]] inline bool is_valid_host_name(std::string_view host) noexcept;

namespace detail {

enum char_class : std::uint8_t { in_id = 1, in_method_name = 2, in_request_id = 4, in_host = 8, in_header_token = 16 };

constexpr std::array<std::uint8_t, 256> make_char_classes() noexcept {
  std::array<std::uint8_t, 256> classes{};
  auto const add = [&](std::string_view characters, char_class c) {
    for (char x : characters) {
      auto& bits = classes[static_cast<unsigned char>(x)];
      bits = static_cast<std::uint8_t>(bits | c);
    }
  };
  auto const remove = [&](std::string_view characters, char_class c) {
    for (char x : characters) {
      auto& bits = classes[static_cast<unsigned char>(x)];
      bits = static_cast<std::uint8_t>(bits & ~c);
    }
  };
  for (std::size_t c = 0x21; c != 0x7f; ++c) classes[c] = in_method_name | in_request_id;
  for (std::size_t c = 0x21; c != 0x7f; ++c)
    if (is_alnum(static_cast<char>(c))) classes[c] |= in_id | in_host | in_header_token;
  add("-:.+%_#*?!(),=@;$'", in_id);
  add("-._", in_host);
  add("!#$%&'*+-.^_`|~", in_header_token);
  remove("$()<>@,;:\\\"/[]?={}+#", in_method_name);
  remove("/#+&?$", in_request_id);
  return classes;
}
inline constexpr std::array<std::uint8_t, 256> char_classes = make_char_classes();

constexpr bool is_in(char c, char_class wanted) noexcept {
  return (char_classes[static_cast<unsigned char>(c)] & wanted) != 0;
}
constexpr bool all_in(std::string_view text, char_class wanted) noexcept {
  unsigned common = wanted;  // no early end: names are short, and a loop without one is several times faster
  for (char c : text) common &= char_classes[static_cast<unsigned char>(c)];
  return common != 0;
}

}  // namespace detail

inline bool is_valid_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= max_id_size && detail::all_in(id, detail::in_id);
}

inline result<void> check_id(std::string_view id, std::string_view what) {
  if (is_valid_id(id)) return {};
  std::string why{"the "};
  why.append(what);
  if (id.empty()) return error{errc::invalid_argument, why.append(" is empty")};
  if (id.size() > max_id_size) return error{errc::invalid_argument, why.append(" has more than 128 characters")};
  std::size_t at = 0;
  while (detail::is_in(id[at], detail::in_id)) ++at;
  why.append(" holds a character that is not allowed, at offset ").append(std::to_string(at));
  return error{errc::invalid_argument, std::move(why)};
}

inline result<void> check_mqtt_id(std::string_view id, std::string_view what) {
  if (auto valid = check_id(id, what); !valid) return valid;
  if (id.find_first_of("+#") == std::string_view::npos) return {};
  return error{errc::unsupported,
               std::string{"the "}.append(what).append(" holds + or #, which MQTT topics cannot hold")};
}

inline bool is_valid_method_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= max_method_name_size && detail::all_in(name, detail::in_method_name);
}
inline result<void> check_method_name(std::string_view name) {
  if (is_valid_method_name(name)) return {};
  if (name.empty()) return error{errc::invalid_argument, "the method name is empty"};
  if (name.size() > max_method_name_size)
    return error{errc::invalid_argument, "the method name has more than 100 characters"};
  return error{errc::invalid_argument, "the method name holds a character that is not allowed"};
}

inline bool is_valid_request_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= max_request_id_size && detail::all_in(id, detail::in_request_id);
}

inline bool is_valid_host_name(std::string_view host) noexcept {
  if (host.empty() || host.size() > 253 || !detail::all_in(host, detail::in_host)) return false;
  splitter labels{host, '.'};
  std::string_view label;
  while (labels.next(label))
    if (label.empty() || label.size() > 63) return false;
  return true;
}

}  // namespace v0
}  // namespace iothub
