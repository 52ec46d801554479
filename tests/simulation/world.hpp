// Runs a script with real device clients, a real service client and a real hub in virtual time, and judges the run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <iothub/device/device_options.hpp>
#include <iothub/simulation/fault.hpp>

#include "script.hpp"

namespace iothub_test {

struct verdict {
  std::string broken = {};   // "I3": the first invariant that did not hold; empty: all did
  std::string what = {};     // a sentence
  std::int64_t at = 0;       // ms of virtual time
  std::uint64_t hash = 0;    // of everything that was seen to happen
  std::uint64_t events = 0;  // how many things that were
  double device_hours = 0;   // simulated
  std::uint64_t messages = 0;
  std::uint64_t duplicates = 0, renewals = 0, attempts = 0, failures = 0;
  iothub::sim::fault_counts faults = {};
  std::vector<std::string> last = {};  // the last events, when an invariant was broken or `keep` asked for more
  [[nodiscard]] bool ok() const { return broken.empty(); }
};

// Those of the script's devices; a script that a person wrote may have some that are not valid.
iothub::device_options device_options_of(script const& s);

// Keeps the last `keep` events as text.
verdict run(script const& what, std::size_t keep = 200);

// The smallest script found that still fails in the same way, with options that devices take; `try_it` says in which way a
// script fails, and is asked at most `tries` times.
script shrink(script const& failing, std::string const& kind, std::function<std::string(script const&)> const& try_it,
              int tries = 400);

}  // namespace iothub_test
