// Where a client stands in a simulation: all that is needed to make one of whatever kind.
#pragma once

#include <cstdint>
#include <string>

#include <iothub/io/loop.hpp>
#include <iothub/net/tls_context.hpp>
#include <iothub/simulation/device_clock.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// What it points to lives as long as the simulation.
struct station {
  loop* on = nullptr;
  line* way = nullptr;
  clock_error const* wrong = nullptr;          // of its wall clock
  net::tls_context const* context = nullptr;   // null: no TLS
  std::string connection = {};                 // the text; holds a key
  std::uint64_t seed = 1;                      // of jitter and names
  std::uint64_t crypto_seed = 1;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
