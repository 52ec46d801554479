// A flow, once for each of its allocations, which fails.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <iothub/base/result.hpp>

#include "failing_allocator.hpp"

namespace iothub_test {

// Runs one call of a flow: false when memory ran out in it.
template <class Call>
bool survives(Call call) {
  try {
    call();
    return true;
  } catch (std::bad_alloc const&) {
    return false;
  } catch (iothub::exception const&) {  // a verb of the fake hub that says no
    return false;
  }
}

// What became of an asynchronous operation.
struct ending {
  bool started = false;
  int told = 0;
  int good = 0;
  template <class T>
  void operator()(iothub::result<T> const& outcome) noexcept {
    ++told;
    good += outcome.has_value();
  }
  // A call that threw never tells; any other tells once.
  [[nodiscard]] bool is_right() const noexcept { return told == (started ? 1 : 0); }
};

// What each run of a flow adds to what the process keeps by design: Flow::kept_by_process where there is one.
template <class Flow>
constexpr std::int64_t kept_by_process() {
  if constexpr (requires { Flow::kept_by_process; }) return Flow::kept_by_process;
  return 0;
}

#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::uint64_t usual_step = 5;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr std::uint64_t usual_step = 5;
#else
inline constexpr std::uint64_t usual_step = 1;
#endif
#else
inline constexpr std::uint64_t usual_step = 1;
#endif

// `Flow` is a fresh world: run() is what allocations fail in, check() says afterwards, with memory, whether the promise
// held. Every allocation of run() is failed in turn, alone; and again with all allocations behind it (so that the way back
// has no memory either). IOTHUB_ALLOCATION_STEP=k fails every k-th only, from the first or another of the first k, so that
// different flows miss different ones; a build with AddressSanitizer, ten times slower, has k = 5. The number of allocations
// that a flow has; 0 when the promise is broken.
template <class Flow>
std::uint64_t sweep(char const* name, outage how = outage::once) {
  char const* const asked = std::getenv("IOTHUB_ALLOCATION_STEP");
  std::uint64_t const step = asked != nullptr && std::atoi(asked) > 0 ? static_cast<std::uint64_t>(std::atoi(asked)) : usual_step;
  {
    Flow warm;  // what is made once for a process
    warm.run();
    warm.check();
    if (::testing::Test::HasFailure()) return 0;
  }
  std::uint64_t failed = 0;
  std::uint64_t offset = how == outage::once ? 0 : 1;
  for (char const* c = name; *c != 0; ++c) offset += static_cast<unsigned char>(*c);
  for (std::uint64_t n = 1 + offset % step; n < 100'000; n += step) {
    SCOPED_TRACE(n);
    std::int64_t const before = allocations_alive();
    bool reached = false;
    std::uint64_t counted = 0;
    {
      Flow flow;
      fail_allocation(n, how);
      flow.run();
      counted = allocations_counted();
      reached = memory_is_back();
      flow.check();
    }
    EXPECT_LE(allocations_alive(), before + kept_by_process<Flow>()) << "blocks leaked";
    if (::testing::Test::HasFailure()) {
      std::printf("%s: allocation %llu failed; the promise is broken\n", name, static_cast<unsigned long long>(n));
      return 0;
    }
    if (!reached) {
      std::printf("%s: %llu of %llu allocations failed in turn%s\n", name, static_cast<unsigned long long>(failed),
                  static_cast<unsigned long long>(counted), how == outage::once ? "" : ", and all behind each");
      return counted;
    }
    ++failed;
  }
  ADD_FAILURE() << name << " never ends";
  return 0;
}

// Both kinds of outage. `floor`: a flow has more allocations than that, or something is wrong with the sweep.
template <class Flow>
void sweep_both(char const* name, std::uint64_t floor) {
  EXPECT_GT(sweep<Flow>(name, outage::once), floor);
  if (!::testing::Test::HasFailure()) sweep<Flow>(name, outage::lasts);
}

}  // namespace iothub_test
