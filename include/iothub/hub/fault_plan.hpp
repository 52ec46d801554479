// Faults as data: which operations the hub refuses, delays or answers with a dropped connection, by script or by seed.
//
//   hub.faults().reject_next(fault_point::send_telemetry, errc::throttled, 3);
//   hub.faults().reject_randomly(fault_point::connect, errc::service_unavailable, {.seed = 7, .one_in = 10});
//
// A rule is consulted in the order in which rules were added; the first that applies decides. An idle plan costs one
// comparison per operation.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

enum class fault_point : std::uint8_t {
  connect, send_telemetry, get_device_twin, patch_reported, invoke_method, send_c2d, registry, service_twin, query, any
};

struct fault_rule {
  fault_point where = fault_point::any;
  std::string device_id = {};        // empty: every device
  std::uint64_t times = 1;           // how often it applies
  std::uint64_t skip = 0;            // how many matching operations go by before
  std::uint64_t one_in = 1;          // above 1: applies to one in so many, drawn from `seed`
  std::uint64_t seed = 0;
  time_point until = never;          // applies before that
  // What happens. With code unset the operation goes on, after `delay` where that can be (telemetry: the receipt).
  bool rejects = true;
  errc code = errc::service_unavailable;
  int hub_code = 0;                  // 0: the usual one for the code
  bool drops_link = false;           // the connection ends as well
  duration delay = {};
};

struct fault_decision {
  bool rejects = false;
  bool drops_link = false;
  errc code = errc::service_unavailable;
  int hub_code = 0;
  duration delay = {};
};

class fault_plan {
 public:
  struct chance {
    std::uint64_t seed = 1;
    std::uint64_t one_in = 10;
    std::uint64_t times = ~std::uint64_t{0};
  };

  void add(fault_rule rule) { rules_.push_back({std::move(rule), prng{}}), rules_.back().dice = prng{rules_.back().rule.seed}; }
  void reject_next(fault_point where, errc code, std::uint64_t times = 1) {
    fault_rule rule;
    rule.where = where;
    rule.code = code;
    rule.times = times;
    add(std::move(rule));
  }
  void reject_randomly(fault_point where, errc code, chance odds) {
    fault_rule rule;
    rule.where = where;
    rule.code = code;
    rule.times = odds.times;
    rule.one_in = odds.one_in;
    rule.seed = odds.seed;
    add(std::move(rule));
  }
  void delay_next(fault_point where, duration delay, std::uint64_t times = 1) {
    fault_rule rule;
    rule.where = where;
    rule.rejects = false;
    rule.delay = delay;
    rule.times = times;
    add(std::move(rule));
  }
  void clear() noexcept { rules_.clear(); }
  [[nodiscard]] bool empty() const noexcept { return rules_.empty(); }

  // What happens to this operation; uses the rule up.
  fault_decision decide(fault_point where, std::string_view device_id, time_point now) {
    fault_decision decision;
    for (std::size_t i = 0; i != rules_.size(); ++i) {
      fault_rule& rule = rules_[i].rule;
      if (rule.until <= now) {
        rules_.erase(rules_.begin() + static_cast<std::ptrdiff_t>(i--));
        continue;
      }
      if (rule.where != fault_point::any && rule.where != where) continue;
      if (!rule.device_id.empty() && rule.device_id != device_id) continue;
      if (rule.skip != 0) {
        --rule.skip;
        continue;
      }
      if (rule.one_in > 1 && rules_[i].dice.below(rule.one_in) != 0) continue;
      decision = {rule.rejects, rule.drops_link, rule.code, rule.hub_code, rule.delay};
      if (rule.times != ~std::uint64_t{0} && --rule.times == 0)
        rules_.erase(rules_.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
    return decision;
  }

 private:
  struct entry {
    fault_rule rule;
    prng dice;
  };
  std::vector<entry> rules_;
};

// What telemetry asks the hub to do to its sender: the properties AzIoTHub_FaultOperation* of the end-to-end tests of
// the official SDKs (azure-iot-sdk-csharp, FaultInjectionConstants.cs).
struct requested_fault {
  std::string_view type = {};
  duration delay = {};
  duration lasting = {};
};
// Over MQTT such a fault comes before the PUBACK of the message that asks for it.
[[nodiscard]] constexpr bool ends_connection(std::string_view type) noexcept {
  return type.starts_with("Kill") || type.starts_with("ShutDown");
}
[[nodiscard]] inline requested_fault find_requested_fault(std::span<property_view const> properties) noexcept {
  requested_fault found;
  constexpr std::string_view prefix = "AzIoTHub_FaultOperation";
  for (auto const& p : properties) {
    if (p.name.size() <= prefix.size() || p.name[0] != 'A' || !p.name.starts_with(prefix)) continue;
    std::string_view const rest = p.name.substr(prefix.size());
    auto const seconds = parse_int<std::int32_t>(p.value);
    duration const time = seconds && *seconds > 0 ? duration{std::chrono::seconds{*seconds}} : duration{};
    if (rest == "Type") found.type = p.value;
    if (rest == "DelayInSecs") found.delay = time;
    if (rest == "DurationInSecs") found.lasting = time;
  }
  return found;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
