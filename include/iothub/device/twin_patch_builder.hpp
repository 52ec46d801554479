// Builds a merge patch for desired or reported properties (RFC 7396) and checks it against the hub's rules before it is
// sent: a patch with one bad property is refused as a whole. Usable alone, on both sides.
//
//   auto patch = iothub::twin_patch_builder{}.set("firmware.version", "1.2").remove("firmware.error").build();
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/json/merge_patch.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>
#include <iothub/wire/twin_rules.hpp>

namespace iothub {
inline namespace v0 {

class twin_patch_builder {
 public:
  explicit twin_patch_builder(twin_part part = twin_part::reported, twin_rules const& rules = {})
      : part_{part}, rules_{rules} {}

  // `path` is the name of a property, or names from the outside in with dots between, which no name may hold itself.
  // A later call for the same path wins. Objects are merged by the hub; arrays and all else replace.
  twin_patch_builder& set(std::string_view path, json::value item) {
    place(path) = std::move(item);
    return *this;
  }
  // Removes the property when the patch is applied; one that is not there is no error.
  twin_patch_builder& remove(std::string_view path) {
    place(path) = nullptr;
    return *this;
  }
  // Lays another patch over this one.
  twin_patch_builder& merge(json::value const& patch);

  [[nodiscard]] bool empty() const noexcept { return patch_.empty(); }
  // What was built so far, unchecked.
  [[nodiscard]] json::value const& patch() const noexcept { return patch_; }

  // The patch; errc::invalid_argument or too_large names the rule and the property that breaks it.
  [[nodiscard]] result<json::value> build() const;
  // The same, and errc::too_large when the section as it is now would grow beyond the hub's limit.
  [[nodiscard]] result<json::value> build_for(twin_section const& now) const;

 private:
  json::value& place(std::string_view path);

  twin_part part_;
  twin_rules rules_;
  json::value patch_ = json::value::make_object();
};

// --- implementation -------------------------------------------------------------------------------------------------

inline json::value& twin_patch_builder::place(std::string_view path) {
  json::value* at = &patch_;
  for (;;) {
    std::size_t const dot = path.find('.');
    if (dot == std::string_view::npos) return (*at)[path];
    at = &(*at)[path.substr(0, dot)];
    path.remove_prefix(dot + 1);
  }
}

namespace detail {

// Unlike merge_patch(), a null stays: it is the patch's word for "remove".
inline void overlay_patch(json::value& onto, json::value const& patch) {
  for (auto const& m : patch.members()) {
    json::value& mine = onto[m.key()];
    if (mine.is_object() && m.value().is_object())
      overlay_patch(mine, m.value());
    else
      mine = m.value();
  }
}

}  // namespace detail

inline twin_patch_builder& twin_patch_builder::merge(json::value const& patch) {
  detail::overlay_patch(patch_, patch);
  return *this;
}

inline result<json::value> twin_patch_builder::build() const {
  if (auto valid = check_twin_patch(patch_, rules_); !valid) return std::move(valid).error();
  return patch_;
}

inline result<json::value> twin_patch_builder::build_for(twin_section const& now) const {
  auto patch = build();
  if (!patch) return patch;
  json::value merged = now.properties;
  json::merge_patch(merged, *patch);
  std::size_t const limit = rules_.max_size(part_);
  if (!twin_size_allowed(twin_section_size(now.properties), twin_section_size(merged), limit))
    return error{errc::too_large, "the section would grow beyond its limit of " + std::to_string(limit) + " bytes"};
  return patch;
}

}  // namespace v0
}  // namespace iothub
