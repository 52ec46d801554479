// What may stand in a twin, and how large it may be (Microsoft docs: iot-hub-devguide-device-twins). Shared by the
// device, which wants to be told before it sends, and the hub, which must not rely on that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/result.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {

enum class twin_part : std::uint8_t { tags, desired, reported };

struct twin_rules {
  std::size_t max_tags_size = 8 * 1024;
  std::size_t max_section_size = 32 * 1024;      // desired, reported
  std::size_t max_name_size = 1024;              // bytes of UTF-8
  std::size_t max_string_size = 4096;            // bytes of UTF-8
  std::size_t max_depth = 10;                    // levels of containers below the section itself
  std::int64_t min_integer = -4503599627370496;  // -2^52
  std::int64_t max_integer = 4503599627370495;   // 2^52 - 1
  // Names also without # and Unicode white space: read in Microsoft's edgeHub (ReportedPropertiesValidator.cs), which
  // says it took the rule from the hub.
  bool strict_names = true;

  [[nodiscard]] std::size_t max_size(twin_part part) const noexcept {
    return part == twin_part::tags ? max_tags_size : max_section_size;
  }
};

// Whether a merge patch keeps the rules for names, values and depth. Nothing is said of size, which is judged on the
// merged section. errc::invalid_argument names the rule and the property; errc::too_large for a name, a string or a
// depth above its limit. `patch` is an object without $version and $metadata.
[[nodiscard]] inline result<void> check_twin_patch(json::value const& patch, twin_rules const& rules = {});

// The size of a section by the documented formula: bytes of names and strings (control characters do not count), 8 a
// number, 4 a boolean. $metadata and $version at the top do not count.
[[nodiscard]] inline std::size_t twin_section_size(json::value const& section) noexcept;
// The parts it is made of, for whoever keeps the sum up to date: one member, and one value.
[[nodiscard]] inline std::size_t twin_member_size(std::string_view name, json::value const& value) noexcept;
[[nodiscard]] inline std::size_t twin_value_size(json::value const& value) noexcept;

// An operation is refused when it would make a section larger than its limit; one that makes an oversize section
// smaller passes.
[[nodiscard]] constexpr bool twin_size_allowed(std::size_t before, std::size_t after, std::size_t limit) noexcept {
  return after <= limit || after <= before;
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The length of the white space or control character at the front of a UTF-8 text, beyond ASCII; 0 for anything else.
inline bool is_wide_blank_or_control(std::string_view text, bool blanks) noexcept {
  auto const byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  unsigned const a = byte(0), b = byte(1), c = byte(2);
  if (a == 0xc2 && b >= 0x80 && b <= 0x9f) return true;  // C1 controls
  if (!blanks) return false;
  if (a == 0xc2 && b == 0xa0) return true;                                                             // U+00A0
  if (a == 0xe1 && b == 0x9a && c == 0x80) return true;                                                // U+1680
  if (a == 0xe2 && b == 0x80 && (c <= 0x8a || c == 0xa8 || c == 0xa9 || c == 0xaf)) return c >= 0x80;  // U+2000…
  if (a == 0xe2 && b == 0x81 && c == 0x9f) return true;                                                // U+205F
  return a == 0xe3 && b == 0x80 && c == 0x80;                                                          // U+3000
}

// What is wrong with a name; empty when nothing is.
inline std::string_view twin_name_fault(std::string_view name, twin_rules const& rules) noexcept {
  if (name.empty()) return "an empty name";
  for (std::size_t i = 0; i != name.size(); ++i) {
    auto const c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7f) return "a control character in the name";
    if (c == '.' || c == '$' || c == ' ') return "a dot, a dollar sign or a blank in the name";
    if (c == '#' && rules.strict_names) return "a # in the name";
    if (c >= 0xc2 && is_wide_blank_or_control(name.substr(i), rules.strict_names))
      return "a control character or white space in the name";
  }
  return {};
}

class twin_checker {
 public:
  explicit twin_checker(twin_rules const& rules) noexcept : rules_{rules} {}

  // `level` is that of the container; the section itself is level 0.
  result<void> object(json::value const& o, std::size_t level, bool in_array) {
    if (level > rules_.max_depth) return too_deep();
    for (auto const& m : o.members()) {
      std::size_t const before = path_.size();
      path_.append(path_.empty() ? "" : ".").append(m.key().substr(0, 64));
      if (m.key().size() > rules_.max_name_size) return refuse(errc::too_large, "a name that is too long");
      if (auto const fault = twin_name_fault(m.key(), rules_); !fault.empty())
        return refuse(errc::invalid_argument, fault);
      if (m.value().is_null() && in_array) return refuse(errc::invalid_argument, "null inside an array");
      if (auto valid = value(m.value(), level, in_array); !valid) return valid;
      path_.resize(before);
    }
    return {};
  }

 private:
  result<void> value(json::value const& v, std::size_t level, bool in_array) {
    switch (v.kind()) {
      case json::kind::object: return object(v, level + 1, in_array);
      case json::kind::array: return array(v, level + 1);
      case json::kind::string:
        if (v.as_string()->size() > rules_.max_string_size) return refuse(errc::too_large, "a string that is too long");
        return {};
      case json::kind::integer:
        if (*v.as_int() < rules_.min_integer || *v.as_int() > rules_.max_integer)
          return refuse(errc::invalid_argument, "an integer beyond 52 bits");
        return {};
      default: return {};
    }
  }
  result<void> array(json::value const& a, std::size_t level) {
    if (level > rules_.max_depth) return too_deep();
    for (auto const& element : a.elements()) {
      if (element.is_null()) return refuse(errc::invalid_argument, "null inside an array");
      if (auto valid = value(element, level, true); !valid) return valid;
    }
    return {};
  }
  result<void> too_deep() { return refuse(errc::too_large, "too many levels"); }
  result<void> refuse(errc code, std::string_view why) {
    return error{code, std::string{"twin property "}.append(path_).append(": ").append(why)};
  }

  twin_rules const& rules_;
  std::string path_;
};

inline std::size_t twin_text_size(std::string_view text) noexcept {
  std::size_t size = text.size();
  for (std::size_t i = 0; i != text.size(); ++i) {
    auto const c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) size -= 1;
    if (c == 0xc2 && is_wide_blank_or_control(text.substr(i), false)) size -= 2;
  }
  return size;
}

}  // namespace detail

inline result<void> check_twin_patch(json::value const& patch, twin_rules const& rules) {
  if (!patch.is_object()) return error{errc::invalid_argument, "a twin patch is a JSON object"};
  return detail::twin_checker{rules}.object(patch, 0, false);
}

inline std::size_t twin_value_size(json::value const& value) noexcept {
  switch (value.kind()) {
    case json::kind::null: return 0;
    case json::kind::boolean: return 4;
    case json::kind::integer:
    case json::kind::real: return 8;
    case json::kind::string: return detail::twin_text_size(*value.as_string());
    default: break;
  }
  std::size_t size = 0;
  for (auto const& m : value.members()) size += twin_member_size(m.key(), m.value());
  for (auto const& element : value.elements()) size += twin_value_size(element);
  return size;
}
inline std::size_t twin_member_size(std::string_view name, json::value const& value) noexcept {
  return name.size() + twin_value_size(value);
}
inline std::size_t twin_section_size(json::value const& section) noexcept {
  std::size_t size = 0;
  for (auto const& m : section.members())
    if (m.key() != "$metadata" && m.key() != "$version") size += twin_member_size(m.key(), m.value());
  return size;
}

}  // namespace v0
}  // namespace iothub
