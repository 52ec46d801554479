// One number or flag that several threads touch. <atomic> costs each file that includes this library 0.03 s, and four
// places need these few operations of it. The builtins are GCC's and Clang's.
#pragma once

namespace iothub {
inline namespace v0 {
namespace detail {

template <class T>
class shared_cell {
 public:
  constexpr explicit shared_cell(T value) noexcept : value_{value} {}
  shared_cell(shared_cell const&) = delete;
  shared_cell& operator=(shared_cell const&) = delete;

  // What was written before a store() is seen after the load() that sees it.
  [[nodiscard]] T load() const noexcept { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }
  void store(T value) noexcept { __atomic_store_n(&value_, value, __ATOMIC_RELEASE); }
  // The new value. Whoever counts down to zero sees what all others did.
  T subtract(T by) noexcept { return __atomic_sub_fetch(&value_, by, __ATOMIC_ACQ_REL); }
  // The old value.
  T exchange(T value) noexcept { return __atomic_exchange_n(&value_, value, __ATOMIC_ACQ_REL); }

 private:
  T value_;
};

}  // namespace detail
}  // namespace v0
}  // namespace iothub
