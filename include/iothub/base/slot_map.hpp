// Values under ids that are never mistaken for one another: a pending operation is named by an id, and an answer that
// comes after the operation ended finds nothing, even when the place is in use again. Lookup is an index and a
// comparison. Walking goes by place and is therefore the same in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>

namespace iothub {
inline namespace v0 {

// Zero names nothing.
using slot_id = std::uint64_t;

template <class T>
class slot_map {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  template <class... Args>
  slot_id emplace(Args&&... args) {
    if (free_ == none) {
      slots_.emplace_back();
      slots_.back().next_free = none;
      free_ = static_cast<std::uint32_t>(slots_.size() - 1);
    }
    slot& place = slots_[free_];
    place.value.emplace(std::forward<Args>(args)...);
    std::uint32_t const index = free_;
    free_ = place.next_free;
    ++size_;
    return make_id(index);
  }

  // Null when that value is gone. The pointer holds until the next emplace() or erase().
  [[nodiscard]] T* find(slot_id id) noexcept {
    auto const index = static_cast<std::uint32_t>(id);
    if (index >= slots_.size() || slots_[index].generation != id >> 32 || !slots_[index].value) return nullptr;
    return &*slots_[index].value;
  }
  [[nodiscard]] T const* find(slot_id id) const noexcept { return const_cast<slot_map*>(this)->find(id); }

  bool erase(slot_id id) noexcept {
    T* const value = find(id);
    if (value != nullptr) release(static_cast<std::uint32_t>(id));
    return value != nullptr;
  }
  // Takes the value out; nothing when it is gone.
  maybe<T> take(slot_id id) {
    T* const value = find(id);
    if (value == nullptr) return {};
    maybe<T> taken{std::move(*value)};
    release(static_cast<std::uint32_t>(id));
    return taken;
  }
  void clear() noexcept {
    for (std::uint32_t i = 0; i != slots_.size(); ++i)
      if (slots_[i].value) release(i);
  }

  // The id of the first value at or behind `from`'s place, 0 at the end: for (id = first(); id != 0; id = after(id)).
  // The value under `id` may be erased before after(id) is asked.
  [[nodiscard]] slot_id first() const noexcept { return first_from(0); }
  [[nodiscard]] slot_id after(slot_id id) const noexcept { return first_from(static_cast<std::uint32_t>(id) + 1u); }

 private:
  static constexpr std::uint32_t none = 0xffffffffu;
  struct slot {
    maybe<T> value = {};
    std::uint32_t generation = 1;
    std::uint32_t next_free = none;
  };

  [[nodiscard]] slot_id make_id(std::uint32_t index) const noexcept {
    return (static_cast<slot_id>(slots_[index].generation) << 32) | index;
  }
  [[nodiscard]] slot_id first_from(std::uint32_t index) const noexcept {
    for (; index < slots_.size(); ++index)
      if (slots_[index].value) return make_id(index);
    return 0;
  }
  void release(std::uint32_t index) noexcept {
    slot& place = slots_[index];
    // A destructor may look at the map: the slot is closed before the value goes.
    std::uint32_t const next = place.generation + 1;
    place.generation = next == 0 ? 1 : next;
    place.value.reset();
    place.next_free = free_;
    free_ = index;
    --size_;
  }

  lean_vector<slot> slots_;
  std::uint32_t free_ = none;
  std::size_t size_ = 0;
};

}  // namespace v0
}  // namespace iothub
