// Resident twins: what is stored of one, how a patch is checked and how it is applied.
//
// Theory of operation. A section (desired, reported) is a JSON object, its size by the hub's formula, its $version, and
// a tree of stamps for $metadata that has a node only for what was ever written: an untouched twin owns no memory. A
// write first walks the patch beside the section and finds every broken rule and the change in size; only then is it
// applied, so a refused patch changes nothing. Both walks follow the patch, never the section: what a patch costs does
// not depend on the size of the twin. (A subtree that is thrown away is walked once; writing it cost as much.)
//
// Rules. Microsoft docs "Understand and use device twins in IoT Hub": names up to 1 KB of UTF-8 without control
// characters, '.', '$' and blank; strings up to 4 KB; integers from -4503599627370496 to 4503599627370495; 10 levels;
// a section up to 32 KB, tags 8 KB, counted as: names and strings by their UTF-8 bytes without control characters,
// numbers 8, booleans 4. An operation is refused when it would increase a section beyond its limit. Counting of levels,
// null inside arrays, '#' in names: the validator of Azure IoT Edge (ReportedPropertiesValidator.cs).
// Merging: RFC 7396. That {} raises the version, and an equal value too, is unconfirmed for the real hub.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <iothub/base/base64.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/hub/types.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// When a property, or the section, was last written, and in which version of the section (0: not told).
struct stamp {
  using map = std::map<std::string, stamp, std::less<>>;
  utc_time updated = no_time;
  std::int64_t version = 0;
  std::unique_ptr<map> below = {};
};

enum class twin_part : std::uint8_t { tags, desired, reported };

struct twin_section_state {
  json::value properties = {};  // null while empty, else an object
  stamp stamps = {};
  std::int64_t version = 1;
  std::int64_t size = 0;        // by the hub's formula; always exact
};

struct twin_state {
  twin_section_state desired = {};
  twin_section_state reported = {};
  json::value tags = {};        // null while empty
  std::int64_t tags_size = 0;
  std::int64_t version = 2;     // raised by tags and desired; a new twin has 2 and the ETag AAAAAAAAAAE=
};

// Base64 of an 8-byte big-endian counter that runs one behind the version.
[[nodiscard]] inline std::string twin_etag(twin_state const& twin);

// The section as a document: an empty object where nothing was ever written.
[[nodiscard]] inline json::value const& document(json::value const& properties) noexcept;

// $metadata: $lastUpdated at every level; $lastUpdatedVersion beside it in desired alone.
[[nodiscard]] inline json::value metadata(stamp const& stamps, twin_part part);

// The change in size that merging `patch` brings, or errc::bad_request (400004) naming the property. `size` is the
// present one.
[[nodiscard]] inline result<std::int64_t> check_patch(json::value const& present, std::int64_t size,
                                                      json::value const& patch, twin_part part,
                                                      options const& settings);
// The same for a replacement: the new size.
[[nodiscard]] inline result<std::int64_t> check_replacement(std::int64_t size, json::value const& whole, twin_part part,
                                                            options const& settings);

// Merges a checked patch; `stamps` may be null (tags). Members $metadata and $version at the top of `patch` are skipped.
inline void merge(json::value& present, stamp* stamps, json::value const& patch, utc_time at, std::int64_t version);

// The size of a value by the hub's formula, null members not counted.
[[nodiscard]] inline std::int64_t content_size(json::value const& v);

// --------------------------------------------------------------------------------------------------------------------

namespace detail {

// The service's own members, which a back end may send back with the twin it read.
inline bool is_twin_bookkeeping(std::string_view name) noexcept { return name == "$metadata" || name == "$version"; }

// Bytes of UTF-8 without C0, DEL and C1 control characters.
inline std::int64_t text_size(std::string_view text) noexcept {
  std::int64_t size = 0;
  for (std::size_t i = 0; i != text.size(); ++i) {
    auto const c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) continue;
    if (c == 0xc2 && i + 1 != text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) {
      ++i;
      continue;
    }
    ++size;
  }
  return size;
}

// U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000 at the start of `s`.
inline bool starts_with_unicode_blank(std::string_view s) noexcept {
  if (s.starts_with("\xc2\xa0") || s.starts_with("\xe1\x9a\x80") || s.starts_with("\xe2\x81\x9f") ||
      s.starts_with("\xe3\x80\x80"))
    return true;
  if (s.size() < 3 || !s.starts_with("\xe2\x80")) return false;
  auto const c = static_cast<unsigned char>(s[2]);
  return c <= 0x8a || c == 0xa8 || c == 0xa9 || c == 0xaf;
}

// Why a name is refused; nullptr when it is good.
inline char const* bad_twin_name(std::string_view name, options const& settings) noexcept {
  if (name.size() > settings.limits.twin_name) return "has a name above 1024 bytes";
  for (std::size_t i = 0; i != name.size(); ++i) {
    auto const c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7f) return "has a control character in its name";
    if (c == '.' || c == '$' || c == ' ') return "has one of '.', '$' and blank in its name";
    if (c < 0x80) {
      if (c == '#' && settings.refuse_hash_in_twin_names) return "has a '#' in its name";
      continue;
    }
    if (c == 0xc2 && i + 1 != name.size() && static_cast<unsigned char>(name[i + 1]) < 0xa0)
      return "has a control character in its name";
    if (settings.refuse_hash_in_twin_names && starts_with_unicode_blank(name.substr(i))) return "has a blank in its name";
  }
  return nullptr;
}

inline std::string_view part_name(twin_part part) noexcept {
  return part == twin_part::tags ? "tags" : part == twin_part::desired ? "desired" : "reported";
}

// Walks a patch beside what it will be merged into.
class patch_checker {
 public:
  patch_checker(twin_part part, options const& settings) noexcept : part_{part}, settings_{settings} {}

  result<std::int64_t> run(json::value const* present, json::value const& patch) {
    if (!patch.is_object()) return refuse(errc::bad_request, 400004, std::string{part_name(part_)} + " must be an object");
    if (!walk_object(present, patch, 0)) return refuse(errc::bad_request, 400004, text());
    return delta_;
  }

 private:
  bool fail(char const* why) {
    why_ = why;
    return false;
  }
  bool below(std::string_view name) {
    std::string_view const shown = name.substr(0, 64);
    path_.insert(0, std::string{"."}.append(shown));
    return false;
  }
  std::string text() const {
    std::string sentence{part_name(part_)};
    return sentence.append(path_).append(" ").append(why_);
  }

  // `present` is null where the patch makes something new; then null members vanish.
  bool walk_object(json::value const* present, json::value const& patch, std::uint32_t level) {
    if (level > settings_.limits.twin_depth) return fail("is more than 10 levels deep");
    for (auto const& m : patch.members()) {
      std::string_view const name = m.key();
      if (level == 0 && part_ == twin_part::desired && is_twin_bookkeeping(name)) continue;
      if (char const* why = bad_twin_name(name, settings_)) return fail(why), below(name);
      json::value const* const old = present != nullptr ? present->find(name) : nullptr;
      if (!walk_member(name, old, m.value(), level)) return below(name);
    }
    return true;
  }
  bool walk_member(std::string_view name, json::value const* old, json::value const& fresh, std::uint32_t level) {
    if (fresh.is_null()) {
      if (old != nullptr) delta_ -= text_size(name) + content_size(*old);
      return true;
    }
    if (fresh.is_object() && old != nullptr && old->is_object()) return walk_object(old, fresh, level + 1);
    delta_ += old != nullptr ? -content_size(*old) : text_size(name);
    return fresh.is_object() ? walk_object(nullptr, fresh, level + 1) : walk_value(fresh, level + 1);
  }
  bool walk_value(json::value const& v, std::uint32_t level) {
    if (v.is_array()) return walk_array(v, level);
    if (v.is_string()) {
      if (v.as_string()->size() > settings_.limits.twin_string) return fail("has a string above 4096 bytes");
      delta_ += text_size(*v.as_string());
    } else if (v.is_bool()) {
      delta_ += 4;
    } else {
      if (v.is_int() && (*v.as_int() < -4503599627370496 || *v.as_int() > 4503599627370495))
        return fail("has an integer outside -4503599627370496 to 4503599627370495");
      delta_ += 8;
    }
    return true;
  }
  bool walk_array(json::value const& v, std::uint32_t level) {
    if (level > settings_.limits.twin_depth) return fail("is more than 10 levels deep");
    for (auto const& e : v.elements())
      if (!walk_element(e, level + 1)) return false;
    return true;
  }
  bool walk_element(json::value const& e, std::uint32_t level) {
    if (e.is_null()) return fail("has a null inside an array");
    if (!e.is_object()) return walk_value(e, level);
    if (level > settings_.limits.twin_depth) return fail("is more than 10 levels deep");
    for (auto const& m : e.members()) {
      if (char const* why = bad_twin_name(m.key(), settings_)) return fail(why), below(m.key());
      delta_ += text_size(m.key());
      if (!walk_element(m.value(), level + 1)) return below(m.key());
    }
    return true;
  }

  twin_part part_;
  options const& settings_;
  std::int64_t delta_ = 0;
  std::string path_;
  char const* why_ = "";
};

inline std::int64_t section_limit(twin_part part, options const& settings) noexcept {
  return static_cast<std::int64_t>(part == twin_part::tags ? settings.limits.twin_tags : settings.limits.twin_section);
}
inline error section_too_large(twin_part part, std::int64_t size, options const& settings) {
  return refuse(errc::bad_request, 400004,
                std::string{part_name(part)} + " would have a size of " + std::to_string(size) + " bytes, above " +
                    std::to_string(section_limit(part, settings)));
}

// Printed length of what a merge gives; only for options::twin_size_as_json, and it costs the whole section.
inline std::int64_t printed_size(json::value const& present, json::value const& patch) {
  json::value merged = document(present);
  merge(merged, nullptr, patch, no_time, 0);
  return static_cast<std::int64_t>(merged.dump().size());
}

inline void touch_stamp(stamp* s, utc_time at, std::int64_t version) noexcept {
  if (s == nullptr) return;
  s->updated = at;
  s->version = version;
}

inline stamp* child_stamp(stamp* parent, std::string_view name) {
  if (parent == nullptr) return nullptr;
  if (!parent->below) parent->below = std::make_unique<stamp::map>();
  auto found = parent->below->find(name);
  if (found == parent->below->end()) found = parent->below->emplace(std::string{name}, stamp{}).first;
  return &found->second;
}

inline void merge_member(json::value& present, stamp* stamps, std::string_view name, json::value const& fresh,
                         utc_time at, std::int64_t version) {
  if (fresh.is_null()) {
    present.erase(name);
    if (stamps != nullptr && stamps->below)
      if (auto const found = stamps->below->find(name); found != stamps->below->end()) stamps->below->erase(found);
    return;
  }
  stamp* const own = child_stamp(stamps, name);
  if (fresh.is_object()) {
    json::value* old = present.find(name);
    if (old == nullptr || !old->is_object()) old = &present.set(name, json::value::make_object());
    merge(*old, own, fresh, at, version);
    return;
  }
  present.set(name, fresh);
  if (own != nullptr) own->below.reset();
  touch_stamp(own, at, version);
}

}  // namespace detail

inline std::string twin_etag(twin_state const& twin) {
  char bytes[8];
  auto count = static_cast<std::uint64_t>(twin.version - 1);
  for (int i = 7; i >= 0; --i, count >>= 8) bytes[i] = static_cast<char>(count & 0xff);
  return to_base64({bytes, sizeof bytes});
}

inline json::value const& document(json::value const& properties) noexcept {
  static json::value const empty = json::value::make_object();
  return properties.is_object() ? properties : empty;
}

inline json::value metadata(stamp const& stamps, twin_part part) {
  json::value out = json::value::make_object();
  out.set("$lastUpdated", to_iso8601(stamps.updated, 7));
  if (part == twin_part::desired && stamps.version != 0) out.set("$lastUpdatedVersion", stamps.version);
  if (stamps.below)
    for (auto const& [name, child] : *stamps.below) out.set(name, metadata(child, part));
  return out;
}

inline std::int64_t content_size(json::value const& v) {
  std::int64_t size = 0;
  if (v.is_object()) {
    for (auto const& m : v.members())
      if (!m.value().is_null()) size += detail::text_size(m.key()) + content_size(m.value());
  } else if (v.is_array()) {
    for (auto const& e : v.elements()) size += content_size(e);
  } else if (v.is_string()) {
    size = detail::text_size(*v.as_string());
  } else if (v.is_bool()) {
    size = 4;
  } else if (!v.is_null()) {
    size = 8;
  }
  return size;
}

inline result<std::int64_t> check_patch(json::value const& present, std::int64_t size, json::value const& patch,
                                        twin_part part, options const& settings) {
  auto delta = detail::patch_checker{part, settings}.run(present.is_object() ? &present : nullptr, patch);
  if (!delta) return delta;
  std::int64_t counted = size + *delta, before = size;
  if (settings.twin_size_as_json) {
    counted = detail::printed_size(present, patch);
    before = static_cast<std::int64_t>(document(present).dump().size());
  }
  if (counted > before && counted > detail::section_limit(part, settings))
    return detail::section_too_large(part, counted, settings);
  return delta;
}

inline result<std::int64_t> check_replacement(std::int64_t size, json::value const& whole, twin_part part,
                                              options const& settings) {
  auto fresh = detail::patch_checker{part, settings}.run(nullptr, whole);
  if (!fresh) return fresh;
  std::int64_t const counted = settings.twin_size_as_json ? detail::printed_size({}, whole) : *fresh;
  if (counted > size && counted > detail::section_limit(part, settings))
    return detail::section_too_large(part, counted, settings);
  return fresh;
}

inline void merge(json::value& present, stamp* stamps, json::value const& patch, utc_time at, std::int64_t version) {
  if (!present.is_object()) present = json::value::make_object();
  for (auto const& m : patch.members())
    if (!detail::is_twin_bookkeeping(m.key())) detail::merge_member(present, stamps, m.key(), m.value(), at, version);
  detail::touch_stamp(stamps, at, version);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
