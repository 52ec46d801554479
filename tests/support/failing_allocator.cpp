// The replaced allocation functions of failing_allocator.hpp.
#include "failing_allocator.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace iothub_test {
namespace {

struct plan {
  std::uint64_t counted = 0;
  std::uint64_t fails_at = 0;  // 0: never
  bool lasts = false;
  bool failed = false;
  int off = 0;
};
thread_local plan current;
std::atomic<std::int64_t> alive{0};

bool must_fail() noexcept {
  if (current.fails_at == 0 || current.off != 0) return false;
  ++current.counted;
  if (current.lasts ? current.counted < current.fails_at : current.counted != current.fails_at) return false;
  current.failed = true;
  return true;
}
void* take(std::size_t size, std::size_t alignment) noexcept {
  if (must_fail()) return nullptr;
  if (size == 0) size = 1;
  void* const p = alignment == 0 ? std::malloc(size) : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p != nullptr) alive.fetch_add(1, std::memory_order_relaxed);
  return p;
}
void* take_or_throw(std::size_t size, std::size_t alignment) {
  void* const p = take(size, alignment);
  if (p == nullptr) throw std::bad_alloc{};
  return p;
}
void give(void* p) noexcept {
  if (p == nullptr) return;
  alive.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}

}  // namespace

void fail_allocation(std::uint64_t nth, outage how) noexcept {
  current = {.counted = 0, .fails_at = nth, .lasts = how == outage::lasts, .failed = false, .off = current.off};
}
bool memory_is_back() noexcept {
  current.fails_at = 0;
  return current.failed;
}
std::uint64_t allocations_counted() noexcept { return current.counted; }
std::int64_t allocations_alive() noexcept { return alive.load(std::memory_order_relaxed); }

test_owns_memory::test_owns_memory() noexcept { ++current.off; }
test_owns_memory::~test_owns_memory() { --current.off; }

}  // namespace iothub_test

using iothub_test::give;
using iothub_test::take;
using iothub_test::take_or_throw;

void* operator new(std::size_t size) { return take_or_throw(size, 0); }
void* operator new[](std::size_t size) { return take_or_throw(size, 0); }
void* operator new(std::size_t size, std::nothrow_t const&) noexcept { return take(size, 0); }
void* operator new[](std::size_t size, std::nothrow_t const&) noexcept { return take(size, 0); }
void* operator new(std::size_t size, std::align_val_t a) { return take_or_throw(size, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t size, std::align_val_t a) { return take_or_throw(size, static_cast<std::size_t>(a)); }
void* operator new(std::size_t size, std::align_val_t a, std::nothrow_t const&) noexcept {
  return take(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a, std::nothrow_t const&) noexcept {
  return take(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, std::size_t) noexcept { give(p); }
void operator delete[](void* p, std::size_t) noexcept { give(p); }
void operator delete(void* p, std::nothrow_t const&) noexcept { give(p); }
void operator delete[](void* p, std::nothrow_t const&) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept { give(p); }
