// The deliveries of one direction of a session that are not settled, in the order of their ids.
//
// Ids rise by one, so what is added goes to the end; what is settled is marked, and falls out at the front or when half
// of the places are marked. Finding an id is a binary search. Ranges as hostile as 0 to 2^32-1 cost what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <iothub/amqp/wire.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {
namespace detail {

struct unsettled_entry {
  std::uint32_t id = 0;
  bool second = false;    // receiver: its sender settles (rcv-settle-mode second)
  bool told = false;      // receiver: the outcome was sent, the sender's settlement is awaited
  link* owner = nullptr;  // null: settled or forgotten
  std::uint64_t user = 0;
};

class unsettled_list {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

  void push(unsettled_entry entry) {
    entries_.push_back(entry);
    ++live_;
  }
  // The first live entry at or behind `id`; null when there is none. Holds until the next change.
  [[nodiscard]] unsettled_entry* at_or_after(std::uint32_t id) noexcept {
    std::size_t low = head_;
    std::size_t high = entries_.size();
    while (low < high) {
      std::size_t const middle = low + (high - low) / 2;
      if (serial_distance(entries_[middle].id, id) < 0)
        low = middle + 1;
      else
        high = middle;
    }
    for (; low < entries_.size(); ++low)
      if (entries_[low].owner) return &entries_[low];
    return nullptr;
  }
  [[nodiscard]] unsettled_entry* find(std::uint32_t id) noexcept {
    unsettled_entry* const found = at_or_after(id);
    return found && found->id == id ? found : nullptr;
  }
  void settle(unsettled_entry* which) noexcept {
    which->owner = nullptr;
    --live_;
    trim();
  }
  // Gives memory back where nothing is unsettled.
  void shrink() noexcept {
    if (live_ == 0) std::vector<unsettled_entry>{}.swap(entries_);
  }
  // All of one link.
  void forget(link const* owner) noexcept {
    for (std::size_t i = head_; i < entries_.size(); ++i)
      if (entries_[i].owner == owner) {
        entries_[i].owner = nullptr;
        --live_;
      }
    trim();
  }

 private:
  void trim() noexcept {
    while (head_ < entries_.size() && !entries_[head_].owner) ++head_;
    if (head_ == entries_.size()) {
      entries_.clear();
      head_ = 0;
      return;
    }
    if (entries_.size() < 32 || live_ > entries_.size() / 2) return;
    std::size_t to = 0;
    for (std::size_t from = head_; from < entries_.size(); ++from)
      if (entries_[from].owner) entries_[to++] = entries_[from];
    entries_.resize(to);
    head_ = 0;
  }

  std::vector<unsettled_entry> entries_;
  std::size_t head_ = 0;
  std::size_t live_ = 0;
};

}  // namespace detail
}  // namespace amqp
}  // namespace v0
}  // namespace iothub
