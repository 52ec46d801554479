// A first-in-first-out queue that owns no memory while it is empty and small: std::deque keeps half a kilobyte always,
// which a process with a hundred thousand idle devices notices.
#pragma once

#include <cstddef>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/lean_vector.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

template <class T>
class fifo {
 public:
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }
  [[nodiscard]] T& operator[](std::size_t i) noexcept { return items_[head_ + i]; }
  [[nodiscard]] T const& operator[](std::size_t i) const noexcept { return items_[head_ + i]; }
  [[nodiscard]] T& front() noexcept { return items_[head_]; }
  [[nodiscard]] T& back() noexcept { return items_.back(); }

  // The next push() cannot fail, unless something is taken out before it.
  void make_room() { items_.make_room(); }
  T& push(T value) {
    items_.push_back(std::move(value));
    return items_.back();
  }
  T take() {
    IOTHUB_ASSERT(!empty());
    T taken{std::move(items_[head_])};
    drop_front();
    return taken;
  }
  void drop_front() noexcept {
    ++head_;
    if (head_ == items_.size()) {
      reset();
    } else if (head_ >= 32 && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }
  // Removes the i-th, keeping the order of the others.
  void erase(std::size_t i) noexcept {
    items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + i));
    if (empty()) reset();
  }
  void clear() noexcept {
    items_.clear();
    reset();
  }

 private:
  void reset() noexcept {
    if (items_.capacity() * sizeof(T) > 512)
      lean_vector<T>{}.swap(items_);
    else
      items_.clear();
    head_ = 0;
  }

  lean_vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace iothub
