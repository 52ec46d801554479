// Which faults happen, how often and how long: data, so that a run can be printed, drawn from a seed and repeated.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <iothub/base/prng.hpp>
#include <iothub/base/time.hpp>
#include <iothub/simulation/fault.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

struct fault_profile {
  // One fault in so much time on average, over all clients together; 0: none.
  duration mean_gap{0};
  // A kind is drawn as often as its weight says; 0: never.
  std::array<std::uint16_t, fault_kinds> weights{};
  // Faults that last do so for this long: drawn with short ones more likely.
  duration shortest = std::chrono::milliseconds{200};
  duration longest = std::chrono::minutes{10};

  fault_profile& with(fault what, std::uint16_t weight) noexcept {
    weights[static_cast<std::size_t>(what)] = weight;
    return *this;
  }
  fault_profile& without(fault what) noexcept { return with(what, 0); }
};

// Nothing goes wrong.
[[nodiscard]] inline fault_profile calm_weather() { return {}; }

// What a mobile or industrial network does to a device: lost, slow, stuck and half-open connections, names that are not
// found, answers that never come. The hub itself is well.
[[nodiscard]] inline fault_profile bad_network(duration mean_gap = std::chrono::minutes{10}) {
  fault_profile p;
  p.mean_gap = mean_gap;
  for (std::size_t i = 0; i != fault_kinds; ++i) {
    auto const f = static_cast<fault>(i);
    if (layer_of(f) == fault_layer::tcp || layer_of(f) == fault_layer::dns) p.with(f, 2);
  }
  p.without(fault::latency).without(fault::dns_ipv6_dead);  // it costs a quarter of a second
  for (fault const f : {fault::connack_lost, fault::puback_lost, fault::puback_late, fault::pingresp_missing,
                        fault::packets_joined, fault::link_dropped})
    p.with(f, 2);
  return p.with(fault::reset_after_packet, 4).with(fault::outage, 4);
}

// A hub that restarts, moves, throttles and forgets, over a good network.
[[nodiscard]] inline fault_profile bad_hub(duration mean_gap = std::chrono::minutes{10}) {
  fault_profile p;
  p.mean_gap = mean_gap;
  for (fault const f : {fault::hub_restart, fault::hub_restart_forgets, fault::failover, fault::link_dropped,
                        fault::connect_throttled, fault::telemetry_throttled, fault::quota_used_up,
                        fault::telemetry_confirmed_late, fault::server_error, fault::connack_3,
                        fault::session_forgotten, fault::publish_doubled, fault::suback_late, fault::twin_answer_late})
    p.with(f, 2);
  return p;
}

// Both.
[[nodiscard]] inline fault_profile bad_weather(duration mean_gap = std::chrono::minutes{10}) {
  fault_profile p = bad_network(mean_gap);
  fault_profile const hub = bad_hub(mean_gap);
  for (std::size_t i = 0; i != fault_kinds; ++i)
    if (hub.weights[i] > p.weights[i]) p.weights[i] = hub.weights[i];
  return p;
}

// How long a fault lasts: from shortest to longest, evenly on the scale of doublings.
[[nodiscard]] inline duration draw_lasting(prng& dice, duration shortest, duration longest) noexcept {
  duration top = shortest;
  int doublings = 0;
  for (; top < longest && doublings != 40; ++doublings) top *= 2;
  duration most = shortest;
  for (auto n = dice.below(static_cast<std::uint64_t>(doublings) + 1); n != 0; --n) most *= 2;
  if (most > longest) most = longest;
  return duration{dice.between(shortest.count(), most.count() < shortest.count() ? shortest.count() : most.count())};
}

// fault::count when nothing has a weight.
[[nodiscard]] inline fault draw_fault(prng& dice, fault_profile const& from) noexcept {
  std::uint64_t sum = 0;
  for (std::uint16_t const w : from.weights) sum += w;
  if (sum == 0) return fault::count;
  std::uint64_t at = dice.below(sum);
  for (std::size_t i = 0; i != fault_kinds; ++i) {
    if (at < from.weights[i]) return static_cast<fault>(i);
    at -= from.weights[i];
  }
  return fault::count;
}

}  // namespace sim
}  // namespace v0
}  // namespace iothub
