// What a run is measured by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <iothub/base/time.hpp>

#include "policies.hpp"

namespace fleet_simulation {

// One second of virtual time.
struct second_row {
  std::uint64_t attempts = 0;  // that began
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;   // by the throttle
  std::uint64_t connected = 0; // at its end
  std::uint64_t waiting = 0;   // messages that were sent and not confirmed, at its end
};

struct tally {
  policy const* of = nullptr;
  std::uint64_t devices = 0;
  std::int64_t returned = 0;         // which row is the first with the hub back
  std::vector<second_row> rows = {};
  // Seconds after the hub's return; below 0: not within the limit.
  double half_connected = -1;
  double nearly_connected = -1;  // 99 %
  double all_connected = -1;
  double caught_up = -1;         // all connected, and every message confirmed
  std::uint64_t messages = 0;    // sent since the outage began
  std::uint64_t lost = 0;        // that ended with an error
  std::uint64_t stored_twice = 0;
  std::vector<std::int64_t> delays = {};  // of messages that were confirmed a second and more after they were sent, in
                                          // microseconds; sorted when the run is over

  [[nodiscard]] std::uint64_t attempts_before() const { return sum(&second_row::attempts, false); }
  [[nodiscard]] std::uint64_t attempts_after() const { return sum(&second_row::attempts, true); }
  [[nodiscard]] std::uint64_t accepted() const { return sum(&second_row::accepted, true); }
  [[nodiscard]] std::uint64_t refused() const { return sum(&second_row::refused, true); }
  [[nodiscard]] std::uint64_t peak_attempts() const { return peak(&second_row::attempts); }
  [[nodiscard]] std::uint64_t peak_accepted() const { return peak(&second_row::accepted); }
  // The delay that `part` of the delayed messages did not pass, in seconds.
  [[nodiscard]] double delay(double part) const {
    if (delays.empty()) return 0;
    auto const last = static_cast<double>(delays.size() - 1);
    return static_cast<double>(delays[static_cast<std::size_t>(last * part + 0.5)]) / 1e6;
  }

 private:
  [[nodiscard]] std::uint64_t sum(std::uint64_t second_row::*what, bool after) const {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i != rows.size(); ++i)
      if ((static_cast<std::int64_t>(i) >= returned) == after) all += rows[i].*what;
    return all;
  }
  // In one second, after the hub's return.
  [[nodiscard]] std::uint64_t peak(std::uint64_t second_row::*what) const {
    std::uint64_t most = 0;
    for (auto i = static_cast<std::size_t>(returned); i < rows.size(); ++i) most = std::max(most, rows[i].*what);
    return most;
  }
};

}  // namespace fleet_simulation
