// The acknowledgements that a receiver of QoS 1 messages owes, in the order in which the messages came: that is the
// order in which they must leave (MQTT-4.6.0-2; hubs keep to it as well and their clients rely on it), also when the
// application settles messages in another order.
#pragma once

#include <cstddef>
#include <cstdint>

#include <iothub/base/lean_vector.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

class ack_queue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - head_; }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  void push(std::uint16_t id) { entries_.push_back({id, false}); }
  // Marks the oldest unmarked entry with this id; false when there is none.
  bool mark(std::uint16_t id) noexcept {
    entry* const found = find(id);
    if (found) found->ready = true;
    return found != nullptr;
  }
  // Forgets the oldest unmarked entry with this id: it is never acknowledged and delays no other.
  bool drop(std::uint16_t id) noexcept {
    entry* const found = find(id);
    if (found) entries_.erase(entries_.begin() + (found - entries_.data()));
    return found != nullptr;
  }
  // Takes the next id that may leave now; 0 when there is none.
  std::uint16_t take() noexcept {
    if (empty() || !entries_[head_].ready) return 0;
    std::uint16_t const id = entries_[head_].id;
    ++head_;
    if (head_ == entries_.size())
      reset();
    else if (head_ >= 64 && head_ * 2 >= entries_.size())
      compact();
    return id;
  }
  void clear() noexcept {
    head_ = 0;
    entries_ = {};
  }

 private:
  struct entry {
    std::uint16_t id;
    bool ready;
  };
  entry* find(std::uint16_t id) noexcept {
    for (std::size_t i = head_; i < entries_.size(); ++i)
      if (entries_[i].id == id && !entries_[i].ready) return &entries_[i];
    return nullptr;
  }
  void compact() noexcept {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  void reset() noexcept {  // an idle session keeps room for 16, no more
    head_ = 0;
    if (entries_.capacity() > 16)
      entries_ = {};
    else
      entries_.clear();
  }

  lean_vector<entry> entries_;
  std::size_t head_ = 0;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
