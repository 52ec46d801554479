// Resident twins: what is stored of one, how a patch is checked and how it is applied.
//
// Theory of operation. A section (desired, reported) is a JSON object, its size by the hub's formula, its $version, and
// a tree of stamps for $metadata that has a node only for what was ever written: an untouched twin owns no memory. A
// write first walks the patch beside the section and finds every broken rule and the change in size, so a refused patch
// changes nothing. What the patch makes of the section is made beside it and takes its place at once, so that one for
// which there is no memory changes nothing either. That costs a copy of the section, whose size is bounded.
//
// Rules for names, values, depth and size are in wire/twin_rules.hpp.
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
#include <iothub/wire/twin_rules.hpp>

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

// Of all that is below as well.
[[nodiscard]] inline stamp copy_of(stamp const& from) {
  stamp made;
  made.updated = from.updated;
  made.version = from.version;
  if (!from.below) return made;
  made.below = std::make_unique<stamp::map>();
  for (auto const& [name, child] : *from.below) made.below->emplace_hint(made.below->end(), name, copy_of(child));
  return made;
}

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

// Merges a checked patch; `stamps` may be null (tags). When memory runs out a part of it is there.
inline void merge(json::value& present, stamp* stamps, json::value const& patch, utc_time at, std::int64_t version);
// The section after a checked patch that changes its size by `change`.
[[nodiscard]] inline twin_section_state merged(twin_section_state const& present, json::value const& patch,
                                               std::int64_t change, utc_time at);

// --------------------------------------------------------------------------------------------------------------------

namespace detail {

inline std::string_view part_name(twin_part part) noexcept {
  return part == twin_part::tags ? "tags" : part == twin_part::desired ? "desired" : "reported";
}

inline twin_rules rules_of(options const& settings) noexcept {
  twin_rules rules;
  rules.max_tags_size = settings.limits.twin_tags;
  rules.max_section_size = settings.limits.twin_section;
  rules.max_name_size = settings.limits.twin_name;
  rules.max_string_size = settings.limits.twin_string;
  rules.max_depth = settings.limits.twin_depth;
  rules.strict_names = settings.refuse_hash_in_twin_names;
  return rules;
}

inline std::int64_t signed_size(std::size_t size) noexcept { return static_cast<std::int64_t>(size); }

// What merging `patch` adds to the size of `present`, which is null where the patch makes something new.
inline std::int64_t size_change(json::value const* present, json::value const& patch) noexcept {
  std::int64_t change = 0;
  for (auto const& m : patch.members()) {
    json::value const* const old = present != nullptr ? present->find(m.key()) : nullptr;
    json::value const& fresh = m.value();
    if (fresh.is_null()) {
      if (old != nullptr) change -= signed_size(twin_member_size(m.key(), *old));
    } else if (fresh.is_object() && old != nullptr && old->is_object()) {
      change += size_change(old, fresh);
    } else {
      change += old != nullptr ? -signed_size(twin_value_size(*old)) : signed_size(m.key().size());
      change += fresh.is_object() ? size_change(nullptr, fresh) : signed_size(twin_value_size(fresh));
    }
  }
  return change;
}

inline result<void> check_rules(json::value const& patch, twin_part part, options const& settings) {
  auto good = check_twin_patch(patch, rules_of(settings));
  if (good) return good;
  std::string why{part_name(part)};
  return refuse(errc::bad_request, 400004, why.append(": ").append(good.error().message()));
}

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

inline result<std::int64_t> check_patch(json::value const& present, std::int64_t size, json::value const& patch,
                                        twin_part part, options const& settings) {
  if (auto good = detail::check_rules(patch, part, settings); !good) return std::move(good).error();
  std::int64_t const change = detail::size_change(present.is_object() ? &present : nullptr, patch);
  std::int64_t counted = size + change, before = size;
  if (settings.twin_size_as_json) {
    counted = detail::printed_size(present, patch);
    before = static_cast<std::int64_t>(document(present).dump().size());
  }
  if (counted > before && counted > detail::section_limit(part, settings))
    return detail::section_too_large(part, counted, settings);
  return change;
}

inline result<std::int64_t> check_replacement(std::int64_t size, json::value const& whole, twin_part part,
                                              options const& settings) {
  if (auto good = detail::check_rules(whole, part, settings); !good) return std::move(good).error();
  std::int64_t const fresh = detail::size_change(nullptr, whole);
  std::int64_t const counted = settings.twin_size_as_json ? detail::printed_size({}, whole) : fresh;
  if (counted > size && counted > detail::section_limit(part, settings))
    return detail::section_too_large(part, counted, settings);
  return fresh;
}

inline void merge(json::value& present, stamp* stamps, json::value const& patch, utc_time at, std::int64_t version) {
  if (!present.is_object()) present = json::value::make_object();
  for (auto const& m : patch.members()) detail::merge_member(present, stamps, m.key(), m.value(), at, version);
  detail::touch_stamp(stamps, at, version);
}

inline twin_section_state merged(twin_section_state const& present, json::value const& patch, std::int64_t change,
                                 utc_time at) {
  twin_section_state made{present.properties, copy_of(present.stamps), present.version + 1, present.size + change};
  merge(made.properties, &made.stamps, patch, at, made.version);
  return made;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
