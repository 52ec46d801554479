// Pointers that own. std::unique_ptr costs each file that includes this library <memory> (0.1 s) and some tuples for
// every type pointed at; these do the same for what is needed here.
#pragma once

#include <cstddef>
#include <utility>

namespace iothub {
inline namespace v0 {

struct deletes {
  template <class T>
  void operator()(T* p) const noexcept {
    delete p;
  }
};

// `Release` has no state and takes a pointer that is not null. T may be incomplete where nothing is released.
template <class T, class Release = deletes>
class owned {
 public:
  owned() noexcept = default;
  owned(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor): as for a pointer
  explicit owned(T* p) noexcept : p_{p} {}
  owned(owned&& other) noexcept : p_{other.release()} {}
  template <class Derived>
  owned(owned<Derived, Release>&& other) noexcept : p_{other.release()} {}  // NOLINT(google-explicit-constructor)
  owned& operator=(owned&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~owned() { reset(); }

  [[nodiscard]] T* get() const noexcept { return p_; }
  T& operator*() const noexcept { return *p_; }
  T* operator->() const noexcept { return p_; }
  explicit operator bool() const noexcept { return p_ != nullptr; }
  friend bool operator==(owned const& a, std::nullptr_t) noexcept { return a.p_ == nullptr; }

  [[nodiscard]] T* release() noexcept {
    T* const p = p_;
    p_ = nullptr;
    return p;
  }
  void reset(T* p = nullptr) noexcept {
    T* const old = p_;
    p_ = p;
    if (old != nullptr) Release{}(old);
  }

 private:
  T* p_ = nullptr;
};

// An array made with new[].
template <class T>
class owned<T[], deletes> {
 public:
  owned() noexcept = default;
  explicit owned(T* p) noexcept : p_{p} {}
  owned(owned&& other) noexcept : p_{other.release()} {}
  owned& operator=(owned&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~owned() { reset(); }

  [[nodiscard]] T* get() const noexcept { return p_; }
  T& operator[](std::size_t i) const noexcept { return p_[i]; }
  explicit operator bool() const noexcept { return p_ != nullptr; }

  [[nodiscard]] T* release() noexcept {
    T* const p = p_;
    p_ = nullptr;
    return p;
  }
  void reset(T* p = nullptr) noexcept {
    delete[] p_;
    p_ = p;
  }

 private:
  T* p_ = nullptr;
};

template <class T, class... Args>
[[nodiscard]] owned<T> make_owned(Args&&... args) {
  return owned<T>{new T(std::forward<Args>(args)...)};
}

}  // namespace v0
}  // namespace iothub
