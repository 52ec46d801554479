// Faults as data: which operations the hub refuses, delays or answers with a dropped connection, by script or by seed.
//
//   hub.faults().reject_next(fault_point::send_telemetry, errc::throttled, 3);
//   hub.faults().reject_randomly(fault_point::connect, errc::service_unavailable, {.seed = 7, .one_in = 10});
//   hub.faults().throttle(fault_point::connect, 100);  // an S1 hub's connections, per second
//
// A rule is consulted in the order in which rules were added; the first that applies decides. An idle plan costs one
// comparison per operation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/hub/link.hpp>
#include <iothub/hub/registry.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

enum class fault_point : std::uint8_t {
  connect, send_telemetry, get_device_twin, patch_reported, invoke_method, send_c2d, registry, service_twin, query, any
};
[[nodiscard]] constexpr std::string_view to_string(fault_point where) noexcept {
  constexpr std::string_view names[] = {
      "connect",  "send_telemetry", "get_device_twin", "patch_reported", "invoke_method",
      "send_c2d", "registry",       "service_twin",    "query",          "any"};
  return names[static_cast<std::size_t>(where)];
}
// What a device does itself; the rest is what back ends do.
[[nodiscard]] constexpr bool is_device_side(fault_point where) noexcept {
  return where <= fault_point::patch_reported;
}

struct fault_rule {
  fault_point where = fault_point::any;
  std::string device_id = {};        // empty: every device
  std::optional<std::string> module_id = {};  // none: the device and its modules; empty: the device itself
  std::uint64_t times = 1;           // how often it applies
  std::uint64_t skip = 0;            // how many matching operations go by before
  std::uint64_t one_in = 1;          // above 1: applies to one in so many, drawn from `seed`
  std::uint64_t seed = 0;
  std::uint64_t per_second = 0;      // above 0: lets so many a second go by, and applies to those above; at most 1e9
  std::uint64_t burst = 0;           // ... and so many at once, at most 1e9; 0: what a second lets go by
  time_point until = never;          // applies before that
  // What happens. With code unset the operation goes on, after `delay` where that can be (telemetry: the receipt).
  bool rejects = true;
  errc code = errc::service_unavailable;
  int hub_code = 0;                  // 0: the usual one for the code
  bool drops_link = false;           // the connection ends as well
  duration delay = {};
  std::uint32_t tag = 0;             // whose rule it is: for fault_plan::on_effect
};

// A fault that happens now: by a rule with this tag, or one that the device asked for, by that name.
struct fault_effect {
  key_view who;
  std::uint32_t tag = 0;
  std::string_view asked = {};  // a name of requested_faults, or empty
};

struct fault_decision {
  bool rejects = false;
  bool drops_link = false;
  errc code = errc::service_unavailable;
  int hub_code = 0;
  duration delay = {};
  std::uint64_t count = 0;  // which time it is that the rule applies, from 1
  std::uint64_t times = 0;  // of how many
};
// "send_telemetry, time 2 of 3", for the text of a refusal.
[[nodiscard]] inline std::string describe(fault_decision const& decision, fault_point where) {
  std::string text{to_string(where)};
  append_int(text.append(", time "), decision.count);
  if (decision.times != ~std::uint64_t{0}) append_int(text.append(" of "), decision.times);
  return text;
}

// What a device can ask the hub to do to it, by properties of its telemetry (below).
enum class requested_kind : std::uint8_t { none, end_connection, refuse_token, throttle, quota };

class fault_plan {
 public:
  // Told when a rule that has a tag applies, and when what a device asked for happens; not when it is ordered. It comes
  // before the operation ends, and must only look.
  function<void(fault_effect const&)> on_effect = {};

  struct chance {
    std::uint64_t seed = 1;
    std::uint64_t one_in = 10;
    std::uint64_t times = ~std::uint64_t{0};
  };

  void add(fault_rule rule) {
    rules_.push_back({std::move(rule), prng{}}), rules_.back().dice = prng{rules_.back().rule.seed};
  }
  // A rule that an identity asked for itself: in place of the one of that kind that it has, on what that identity does
  // itself, behind the rules that were added. So whoever holds one identity's key slows down nobody else, and the
  // plan's size is bounded by the number of identities.
  void put_requested(key_view who, requested_kind kind, fault_rule rule, std::string_view asked = {}) {
    auto found = requested_.find(who);
    if (found == requested_.end())
      found = requested_.try_emplace(device_key{std::string{who.device_id}, std::string{who.module_id}}).first;
    for (auto& each : found->second)
      if (each.kind == kind) return void((each.rule = std::move(rule), each.asked = asked));
    found->second.push_back({kind, std::move(rule), 0, asked});
  }
  // The identity is gone, and with it what it asked for.
  void forget(key_view who) {
    if (auto const found = requested_.find(who); found != requested_.end()) requested_.erase(found);
  }
  // How many rules there are.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t all = rules_.size();
    for (auto const& [who, list] : requested_) all += list.size();
    return all;
  }
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
  // Refuses what is above so many operations a second, from now on, as the hub's tiers do (Microsoft docs "IoT Hub
  // quotas and throttling"). A device over MQTT is told by CONNACK 3 that it may not connect now; that the real hub
  // says it this way is unconfirmed.
  void throttle(fault_point where, std::uint64_t per_second, std::uint64_t burst = 0) {
    fault_rule rule;
    rule.where = where;
    rule.code = errc::throttled;
    rule.times = ~std::uint64_t{0};
    rule.per_second = per_second;
    rule.burst = burst;
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
  // The rules go; on_effect stays.
  void clear() noexcept { rules_.clear(), requested_.clear(); }
  [[nodiscard]] bool empty() const noexcept { return rules_.empty() && requested_.empty(); }

  // What happens to this operation; uses the rule up.
  fault_decision decide(fault_point where, key_view who, time_point now) {
    fault_decision decision;
    for (std::size_t i = 0; i != rules_.size(); ++i) {
      fault_rule& rule = rules_[i].rule;
      if (rule.until <= now) {
        rules_.erase(rules_.begin() + static_cast<std::ptrdiff_t>(i--));
        continue;
      }
      if (rule.where != fault_point::any && rule.where != where) continue;
      if (!rule.device_id.empty() && rule.device_id != who.device_id) continue;
      if (rule.module_id && *rule.module_id != who.module_id) continue;
      if (rule.skip != 0) {
        --rule.skip;
        continue;
      }
      if (rule.one_in > 1 && rules_[i].dice.below(rule.one_in) != 0) continue;
      if (rule.per_second != 0 && rules_[i].admits(now)) continue;
      std::uint64_t const count = ++rules_[i].count;
      bool const endless = rule.times == ~std::uint64_t{0};
      std::uint32_t const tag = rule.tag;
      decision = {rule.rejects,  rule.drops_link, rule.code, rule.hub_code,
                  rule.delay,    count,           endless ? rule.times : count + rule.times - 1};
      if (!endless && --rule.times == 0) rules_.erase(rules_.begin() + static_cast<std::ptrdiff_t>(i));
      if (tag != 0 && on_effect) on_effect({who, tag});
      return decision;
    }
    if (!requested_.empty() && is_device_side(where)) decide_requested(where, who, now, decision);
    return decision;
  }

 private:
  struct entry {
    fault_rule rule;
    prng dice;
    std::uint64_t count = 0;
    // A token bucket, in millionths of an operation; full when it is first asked.
    std::uint64_t level = 0;
    time_point filled = never;

    bool admits(time_point now) noexcept {
      constexpr std::uint64_t one = 1'000'000, most = 1'000'000'000;
      std::uint64_t const rate = rule.per_second < most ? rule.per_second : most;
      std::uint64_t const wanted = rule.burst != 0 ? rule.burst : rate;
      std::uint64_t const room = (wanted < most ? wanted : most) * one;
      if (filled == never || filled > now) {
        level = filled == never ? room : level;
      } else {
        auto const elapsed = static_cast<std::uint64_t>((now - filled).count());
        level = elapsed > (room - level) / rate ? room : level + elapsed * rate;
      }
      filled = now;
      if (level < one) return false;
      level -= one;
      return true;
    }
  };
  struct requested {
    requested_kind kind;
    fault_rule rule;
    std::uint64_t count;
    std::string_view asked;  // told to on_effect each time; empty: not told
  };
  void decide_requested(fault_point where, key_view who, time_point now, fault_decision& decision) {
    auto const found = requested_.find(who);
    if (found == requested_.end()) return;
    auto& list = found->second;
    for (std::size_t i = 0; i != list.size(); ++i) {
      fault_rule const& rule = list[i].rule;
      if (rule.until <= now) {
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(i--));
        continue;
      }
      if (rule.where != fault_point::any && rule.where != where) continue;
      decision = {rule.rejects, rule.drops_link, rule.code, rule.hub_code, rule.delay, ++list[i].count, rule.times};
      if (!list[i].asked.empty() && on_effect) on_effect({who, 0, list[i].asked});
      break;
    }
    if (list.empty()) requested_.erase(found);
  }

  std::vector<entry> rules_;
  std::map<device_key, std::vector<requested>, registry::order> requested_;
};

// What telemetry asks the hub to do to its sender: the properties AzIoTHub_FaultOperation* of the end-to-end tests of
// the official SDKs (azure-iot-sdk-csharp, FaultInjectionConstants.cs). Times above an hour count as one: the tests
// ask for seconds, and nobody else should have a fault that outlives him.
inline constexpr std::chrono::seconds longest_requested_fault{3600};
struct requested_fault {
  requested_kind kind = requested_kind::none;
  link_part part = link_part::connection;
  duration delay = {};
  duration lasting = {};
  std::string_view type = {};  // the name in requested_faults; empty for another
};
struct requested_type {
  std::string_view name;
  requested_kind kind;
  link_part part = link_part::connection;
};
inline constexpr requested_type requested_faults[] = {
    {"KillTcp", requested_kind::end_connection},
    {"ShutDownMqtt", requested_kind::end_connection},
    {"ShutDownAmqp", requested_kind::end_connection},
    {"InvokeThrottling", requested_kind::throttle},
    {"InvokeMaxMessageQuota", requested_kind::quota},
    {"InvokeAuthError", requested_kind::refuse_token},
    {"KillAmqpConnection", requested_kind::end_connection},
    {"KillAmqpSession", requested_kind::end_connection, link_part::session},
    {"KillAmqpCBSLinkReq", requested_kind::end_connection, link_part::token_requests},
    {"KillAmqpCBSLinkResp", requested_kind::end_connection, link_part::token_answers},
    {"KillAmqpD2CLink", requested_kind::end_connection, link_part::telemetry},
    {"KillAmqpC2DLink", requested_kind::end_connection, link_part::c2d},
    {"KillAmqpTwinLinkReq", requested_kind::end_connection, link_part::twin_requests},
    {"KillAmqpTwinLinkResp", requested_kind::end_connection, link_part::twin_answers},
    {"KillAmqpMethodReqLink", requested_kind::end_connection, link_part::method_requests},
    {"KillAmqpMethodRespLink", requested_kind::end_connection, link_part::method_answers},
};
// A name that is none of them, and begins as those that end something, ends the connection.
[[nodiscard]] constexpr requested_type type_of_fault(std::string_view name) noexcept {
  for (auto const& each : requested_faults)
    if (each.name == name) return each;
  bool const ends = name.starts_with("Kill") || name.starts_with("ShutDown");
  return {{}, ends ? requested_kind::end_connection : requested_kind::none};
}
[[nodiscard]] inline requested_fault find_requested_fault(std::span<property_view const> properties) noexcept {
  requested_fault found;
  constexpr std::string_view prefix = "AzIoTHub_FaultOperation";
  for (auto const& p : properties) {
    if (p.name.size() <= prefix.size() || p.name[0] != 'A' || !p.name.starts_with(prefix)) continue;
    std::string_view const rest = p.name.substr(prefix.size());
    auto const seconds = parse_int<std::int32_t>(p.value);
    duration time = seconds && *seconds > 0 ? duration{std::chrono::seconds{*seconds}} : duration{};
    if (time > longest_requested_fault) time = longest_requested_fault;
    if (rest == "Type") {
      requested_type const type = type_of_fault(p.value);
      found.kind = type.kind;
      found.part = type.part;
      found.type = type.name;
    }
    if (rest == "DelayInSecs") found.delay = time;
    if (rest == "DurationInSecs") found.lasting = time;
  }
  return found;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
