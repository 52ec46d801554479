// A value or nothing, for the private members of the library; what users see is std::optional. This one compiles in a
// tenth of the time for each type it holds.
#pragma once

#include <new>
#include <utility>

namespace iothub {
inline namespace v0 {

template <class T>
class maybe {
 public:
  maybe() noexcept {}
  maybe(T&& value) { emplace(std::move(value)); }       // NOLINT(google-explicit-constructor): as std::optional
  maybe(T const& value) { emplace(value); }             // NOLINT(google-explicit-constructor)
  maybe(maybe&& other) noexcept { take(std::move(other)); }
  maybe(maybe const& other) { take(other); }
  maybe& operator=(maybe&& other) noexcept {
    if (this == &other) return *this;
    reset();
    take(std::move(other));
    return *this;
  }
  maybe& operator=(maybe const& other) { return *this = maybe{other}; }
  ~maybe() { reset(); }

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }
  T& operator*() & noexcept { return value_; }
  T const& operator*() const& noexcept { return value_; }
  T&& operator*() && noexcept { return std::move(value_); }
  [[nodiscard]] T& value() noexcept { return value_; }
  [[nodiscard]] T const& value() const noexcept { return value_; }
  T* operator->() noexcept { return &value_; }
  T const* operator->() const noexcept { return &value_; }
  [[nodiscard]] T value_or(T other) const { return has_value_ ? value_ : std::move(other); }

  template <class... Args>
  T& emplace(Args&&... args) {
    reset();
    ::new (static_cast<void*>(&value_)) T(std::forward<Args>(args)...);
    has_value_ = true;
    return value_;
  }
  void reset() noexcept {
    if (!has_value_) return;
    has_value_ = false;
    value_.~T();
  }

  friend bool operator==(maybe const& a, maybe const& b) {
    return a.has_value_ == b.has_value_ && (!a.has_value_ || a.value_ == b.value_);
  }
  friend bool operator==(maybe const& a, T const& b) { return a.has_value_ && a.value_ == b; }

 private:
  // Into one that is empty.
  template <class Other>
  void take(Other&& other) {
    if (!other.has_value_) return;
    ::new (static_cast<void*>(&value_)) T(std::forward<Other>(other).value_);
    has_value_ = true;
  }

  union {
    T value_;
  };
  bool has_value_ = false;
};

}  // namespace v0
}  // namespace iothub
