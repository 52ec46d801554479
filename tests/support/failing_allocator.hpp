// Memory that runs out on order. Linked together with failing_allocator.cpp, which replaces the global
// operator new and its family, every allocation of the process goes through here: of the library, of the hub, of the
// standard library and of the test. What OpenSSL, libcurl and the C library take from malloc() does not, and thrown
// exceptions have a place of their own.
//
//   fail_allocation(7);           // the seventh allocation from now on throws std::bad_alloc, others do not
//   …what is tested…
//   bool reached = memory_is_back();
#pragma once

#include <cstdint>

namespace iothub_test {

enum class outage {
  once,   // that allocation alone fails
  lasts,  // and all after it
};

// The nth allocation of this thread from now on fails; 1 is the next.
void fail_allocation(std::uint64_t nth, outage how = outage::once) noexcept;
// No more failures: whether one happened since fail_allocation().
bool memory_is_back() noexcept;
// Allocations since fail_allocation().
std::uint64_t allocations_counted() noexcept;
// Blocks that were allocated and not freed yet, in the whole process.
std::int64_t allocations_alive() noexcept;

// Allocations in this scope neither fail nor count: for what the test itself does in the middle of a flow.
class test_owns_memory {
 public:
  test_owns_memory() noexcept;
  test_owns_memory(test_owns_memory const&) = delete;
  test_owns_memory& operator=(test_owns_memory const&) = delete;
  ~test_owns_memory();
};

}  // namespace iothub_test
