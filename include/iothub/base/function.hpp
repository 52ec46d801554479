// A move-only callable with a small buffer: std::move_only_function is C++23, and <functional> costs 0.14 s a file.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {

template <class Signature>
class function;

// Callables of up to three words that move without throwing live inside; others are allocated once.
template <class R, class... Args>
class function<R(Args...)> {
 public:
  function() noexcept = default;
  function(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, function> && std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  function(F&& f) {  // NOLINT(google-explicit-constructor): any callable is a function
    using target = std::decay_t<F>;
    if constexpr (fits<target>) {
      ::new (static_cast<void*>(buffer_)) target(std::forward<F>(f));
      table_ = &inline_table<target>;
    } else {
      ::new (static_cast<void*>(buffer_)) target*(new target(std::forward<F>(f)));
      table_ = &heap_table<target>;
    }
  }
  function(function&& other) noexcept { take(other); }
  function& operator=(function&& other) noexcept {
    if (this == &other) return *this;
    reset();
    take(other);
    return *this;
  }
  ~function() { reset(); }

  explicit operator bool() const noexcept { return table_ != nullptr; }
  R operator()(Args... args) {
    IOTHUB_ASSERT(table_);
    return table_->call(buffer_, std::forward<Args>(args)...);
  }

 private:
  struct table {
    R (*call)(void*, Args&&...);
    void (*relocate)(void* from, void* to) noexcept;
    void (*destroy)(void*) noexcept;
  };
  template <class F>
  static constexpr bool fits = sizeof(F) <= 3 * sizeof(void*) && alignof(F) <= alignof(void*) &&
                               std::is_nothrow_move_constructible_v<F>;
  template <class F>
  static constexpr table inline_table{
      [](void* self, Args&&... args) -> R { return (*static_cast<F*>(self))(std::forward<Args>(args)...); },
      [](void* from, void* to) noexcept {
        ::new (to) F(std::move(*static_cast<F*>(from)));
        static_cast<F*>(from)->~F();
      },
      [](void* self) noexcept { static_cast<F*>(self)->~F(); }};
  template <class F>
  static constexpr table heap_table{
      [](void* self, Args&&... args) -> R { return (**static_cast<F**>(self))(std::forward<Args>(args)...); },
      [](void* from, void* to) noexcept { ::new (to) F*(*static_cast<F**>(from)); },
      [](void* self) noexcept { delete *static_cast<F**>(self); }};

  void take(function& other) noexcept {
    if (!other.table_) return;
    table_ = other.table_;
    other.table_ = nullptr;
    table_->relocate(other.buffer_, buffer_);
  }
  void reset() noexcept {
    table const* const old = table_;
    table_ = nullptr;
    if (old) old->destroy(buffer_);
  }

  table const* table_ = nullptr;
  alignas(void*) unsigned char buffer_[3 * sizeof(void*)];
};

}  // namespace v0
}  // namespace iothub
