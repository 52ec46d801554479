// JSON merge patch (RFC 7396): a null deletes a member, an object is merged into, anything else replaces.
#pragma once

#include <utility>

#include <iothub/json/dom.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

// Costs what the patch costs, whatever the size of the target. The patch must not be a part of the target.
inline void merge_patch(value& target, value const& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = value::make_object();
  for (auto const& m : patch.members()) {
    if (m.value().is_null())
      target.erase(m.key());
    else if (m.value().is_object())
      merge_patch(target[m.key()], m.value());
    else
      target.set(m.key(), m.value());
  }
}

// The same, taking the patch apart instead of copying. Parts of the patch then keep its memory: for a target that
// lives long and is patched often, the form above is better.
inline void merge_patch(value& target, value&& patch) {
  if (!patch.is_object()) {
    target = std::move(patch);
    return;
  }
  if (!target.is_object()) target = value::make_object();
  for (auto& m : patch.members()) {
    if (m.value().is_null())
      target.erase(m.key());
    else if (m.value().is_object())
      merge_patch(target[m.key()], std::move(m.value()));
    else
      target.set(m.key(), std::move(m.value()));
  }
}

}  // namespace json
}  // namespace v0
}  // namespace iothub
