// result<T>: a value or an error. A union of our own instead of std::variant, since every user pays its compile time.
#pragma once

#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include <iothub/base/config.hpp>
#include <iothub/base/error.hpp>

namespace iothub {
inline namespace v0 {

// Thrown by result::value() when there is none.
class exception : public std::exception {
 public:
  explicit exception(iothub::error e) : error_{std::move(e)}, what_{std::string{to_string(error_.code())}} {
    what_.append(": ").append(error_.message());
  }
  [[nodiscard]] char const* what() const noexcept override { return what_.c_str(); }
  [[nodiscard]] iothub::error const& error() const noexcept { return error_; }

 private:
  iothub::error error_;
  std::string what_;
};

namespace detail {
[[noreturn]] inline void throw_error(error e) {
#if IOTHUB_EXCEPTIONS
  throw exception{std::move(e)};
#else
  (void)e;
  std::abort();
#endif
}
}  // namespace detail

template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;

  template <class U = T>
    requires(std::is_same_v<U, T> ||
             (!std::is_same_v<std::remove_cvref_t<U>, result> &&
              !std::is_same_v<std::remove_cvref_t<U>, iothub::error> &&
              !std::is_same_v<std::remove_cvref_t<U>, errc> && std::is_constructible_v<T, U &&>))
  result(U&& value) {  // NOLINT(google-explicit-constructor): a value is a result
    ::new (static_cast<void*>(&value_)) T(std::forward<U>(value));
    has_value_ = true;
  }
  result(iothub::error e) noexcept {  // NOLINT(google-explicit-constructor)
    ::new (static_cast<void*>(&error_)) iothub::error(std::move(e));
    has_value_ = false;
  }
  result(errc code) noexcept {  // NOLINT(google-explicit-constructor)
    ::new (static_cast<void*>(&error_)) iothub::error(code);
    has_value_ = false;
  }

  result(result&& other) noexcept(noexcept(T(std::declval<T>()))) { take(std::move(other)); }
  result(result const& other)
    requires requires(T const& value) { T(value); }
  {
    take(other);
  }
  result& operator=(result other) noexcept(noexcept(T(std::declval<T>()))) {
    destroy();
    take(std::move(other));
    return *this;
  }
  ~result() { destroy(); }

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }

  // The value; throws iothub::exception (aborts without exceptions) when this holds an error.
  T& value() & { return check(), value_; }
  T const& value() const& { return check(), value_; }
  T&& value() && { return check(), std::move(value_); }

  T& operator*() & noexcept { return assert_value(), value_; }
  T const& operator*() const& noexcept { return assert_value(), value_; }
  T&& operator*() && noexcept { return assert_value(), std::move(value_); }
  T* operator->() noexcept { return assert_value(), &value_; }
  T const* operator->() const noexcept { return assert_value(), &value_; }

  [[nodiscard]] iothub::error const& error() const& noexcept { return assert_error(), error_; }
  [[nodiscard]] iothub::error&& error() && noexcept { return assert_error(), std::move(error_); }

  template <class U>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(other));
  }
  // f(value) -> result<U>, or the error as it is.
  template <class F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
    if (!has_value_) return std::move(error_);
    return std::forward<F>(f)(std::move(value_));
  }
  // f(value) -> U, wrapped; or the error as it is.
  template <class F>
  auto transform(F&& f) && -> result<std::invoke_result_t<F, T&&>> {
    if (!has_value_) return std::move(error_);
    return std::forward<F>(f)(std::move(value_));
  }

 private:
  void check() const {
    if (!has_value_) detail::throw_error(error_);
  }
  void assert_value() const noexcept { IOTHUB_ASSERT(has_value_); }
  void assert_error() const noexcept { IOTHUB_ASSERT(!has_value_); }
  // has_value_ is written last, here and in the constructors: compilers that see a value made and moved in one function
  // then know which it is, where they would warn of reading the other.
  template <class Other>
  void take(Other&& other) {
    bool const has_value = other.has_value_;
    if (has_value)
      ::new (static_cast<void*>(&value_)) T(std::forward<Other>(other).value_);
    else
      ::new (static_cast<void*>(&error_)) iothub::error(std::forward<Other>(other).error_);
    has_value_ = has_value;
  }
  void destroy() noexcept {
    if (has_value_)
      value_.~T();
    else
      error_.~error();
  }

  union {
    T value_;
    iothub::error error_;
  };
  bool has_value_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;

  result() noexcept = default;
  result(iothub::error e) noexcept : error_{std::move(e)} {}  // NOLINT(google-explicit-constructor)
  result(errc code) noexcept : error_{code} {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return error_.code() == success; }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (!has_value()) detail::throw_error(error_);
  }
  [[nodiscard]] iothub::error const& error() const& noexcept {
    IOTHUB_ASSERT(!has_value());
    return error_;
  }
  [[nodiscard]] iothub::error&& error() && noexcept {
    IOTHUB_ASSERT(!has_value());
    return std::move(error_);
  }

 private:
  static constexpr errc success{};  // no error has this code
  iothub::error error_{success};
};

}  // namespace v0
}  // namespace iothub
