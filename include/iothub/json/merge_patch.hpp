// JSON merge patch (RFC 7396): a null deletes a member, an object is merged into, anything else replaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <iothub/json/dom.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

// Costs what the patch costs, whatever the size of the target. The patch must not be a part of the target.
void merge_patch(value& target, value const& patch);

// The same, taking the patch apart instead of copying. Parts of the patch then keep its memory: for a target that
// lives long and is patched often, the form above is better.
void merge_patch(value& target, value&& patch);

// --- bodies ---------------------------------------------------------------------------------------------------------

class merger {
 public:
  static void copy(value& target, value const& patch) {
    if (!patch.is_object()) return overwrite(target, patch.unit_);
    target.become(detail::object_tag);
    for_each_member(patch, [&target](detail::probe const& name, value const& item) {
      if (item.is_null())
        target.erase_member(name);
      else
        copy(target.member_for(name), item);
    });
  }
  static void take(value& target, value& patch) {
    if (!patch.is_object()) {
      target = std::move(patch);
      return;
    }
    target.become(detail::object_tag);
    for_each_member(patch, [&target](detail::probe const& name, value& item) {
      if (item.is_null())
        target.erase_member(name);
      else
        take(target.member_for(name), item);
    });
  }

 private:
  template <class Value, class F>
  static void for_each_member(Value& object, F&& f) {
    detail::container* const c = object.node();
    if (c == nullptr) return;
    for (std::uint32_t i = 0; i != c->size; ++i) {
      detail::unit* const m = c->units() + 2 * std::size_t{i};
      if (m->tag() != detail::dead_tag) f(detail::probe{m[0]}, reinterpret_cast<Value&>(m[1]));
    }
  }
  // A string that fits takes the place of the old one: time stamps and states change, their lengths rarely do.
  static void overwrite(value& target, detail::unit const& item) {
    if (target.unit_.tag() == detail::long_tag && item.tag() == detail::long_tag) {
      auto* const node = target.unit_.load<detail::string_node*>();
      auto const text = detail::text_of(item);
      if (text.size() <= node->capacity) {
        target.unit_ = detail::long_string(node, text);
        return;
      }
    }
    target = value{detail::copy(item)};
  }
};

inline void merge_patch(value& target, value const& patch) { merger::copy(target, patch); }
inline void merge_patch(value& target, value&& patch) { merger::take(target, patch); }

}  // namespace json
}  // namespace v0
}  // namespace iothub
