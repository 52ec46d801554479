// The back-offs that are compared: ours, what the official SDKs do unless told otherwise, and a loop written by hand.
//
// What is modelled is the wait before each attempt, counted from the end of the attempt before (C and .NET count from its
// beginning, which keeps a fleet in step a little better). Node and Java give up after four minutes of trying, and their
// application has to open the client again, which would begin the schedule anew; here they go on. `number` is 0 for the first attempt after a loss.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include <iothub/base/prng.hpp>
#include <iothub/device/device_options.hpp>

namespace fleet_simulation {

using iothub::duration;
using iothub::retry_attempt;

struct policy {
  std::string_view name;     // on the command line and in the files
  std::string_view title;    // on the plot
  std::string_view formula;  // there too: waits before the attempts n = 1, 2, …
  duration (*delay)(retry_attempt const&) = nullptr;  // nullptr: the library's own
  bool usual = true;         // compared unless told otherwise
};

namespace detail {

inline duration milliseconds(double count) {
  return duration{static_cast<duration::rep>(count * 1000)};
}
// 2 to the n, for n that may be large; everything here is capped far below.
inline double power_of_two(unsigned n) {
  return std::ldexp(1.0, static_cast<int>(n < 40 ? n : 40));
}

// azure-iot-sdk-c, iothub_client_retry_control.c: retry_control_create() and calculate_next_wait_time() for
// IOTHUB_CLIENT_RETRY_EXPONENTIAL_BACKOFF_WITH_JITTER, which iothubtransport_mqtt_common.c has as DEFAULT_RETRY_POLICY:
// initial wait 1 s, at most 30 s, then up to 5 % more, cut to whole seconds; the first attempt at once.
inline duration sdk_c(retry_attempt const& attempt) {
  if (attempt.number == 0) return {};
  iothub::prng random{attempt.random};
  double base = power_of_two(attempt.number - 1);
  if (base > 30) base = 30;
  return milliseconds(1000 * std::floor(base * (1 + 0.05 * random.unit())));
}

// azure-iot-sdk-csharp, RetryDelegatingHandler.cs: new ExponentialBackoff(int.MaxValue, 100 ms, 10 s, 100 ms), whose
// formula is in ExponentialBackoffRetryStrategy.cs; RetryPolicy.cs, RunWithRetryAsync(): no more than one attempt a second.
inline duration sdk_csharp(retry_attempt const& attempt) {
  if (attempt.number == 0) return {};
  iothub::prng random{attempt.random};
  auto const delta = static_cast<double>(80 + random.below(40));
  double wait = (power_of_two(attempt.number - 1) - 1) * delta + 100;
  if (wait > 10'000) wait = 10'000;
  return milliseconds(wait < 1000 ? 1000 : wait);
}

// azure-iot-sdk-java, ExponentialBackoffWithJitter.java: getRetryDecision(), asked before each attempt by
// IotHubTransport.java, singleReconnectAttempt(); the first is fast.
inline duration sdk_java(retry_attempt const& attempt) {
  if (attempt.number == 0) return {};
  iothub::prng random{attempt.random};
  auto const delta = static_cast<double>(80 + random.below(40));
  double const wait = (power_of_two(attempt.number) - 1) * delta + 100;
  return milliseconds(wait > 10'000 ? 10'000 : wait);
}

// azure-iot-sdk-node, retry_policy.ts: ExponentialBackOffWithJitter.nextRetryTimeout() with its normalParameters;
// retry_operation.ts begins at once and counts from 1. CONNACK 3 is a ServiceUnavailableError there
// (mqtt_translate_error.ts) and no ThrottlingError, so the slower throttledParameters never apply. The code draws the
// jitter from 0 to 25 ms; the formula above it, F(x) = min(Cmin + (2^(x-1)-1) * rand(C * (1-Jd), C*(1-Ju)), Cmax), says 50
// to 75.
template <int Least, int Most>
duration sdk_node(retry_attempt const& attempt) {
  if (attempt.number == 0) return {};
  iothub::prng random{attempt.random};
  double const wait = 100 + (power_of_two(attempt.number - 1) - 1) * (Least + (Most - Least) * random.unit());
  return milliseconds(wait > 10'000 ? 10'000 : wait);
}

// azure-iot-sdk-python, config.py: connection_retry_interval = 10; pipeline_stages_base.py, ConnectionStateStage: 10 ms
// after a loss, that interval after each attempt that failed.
inline duration sdk_python(retry_attempt const& attempt) {
  return attempt.number == 0 ? std::chrono::milliseconds{10} : duration{std::chrono::seconds{10}};
}

inline duration by_hand(retry_attempt const&) {
  return std::chrono::seconds{1};
}

}  // namespace detail

inline constexpr policy all_policies[] = {
    {"iothub", "this library", "0.1 s to 1, 2, 4 … 30 s, even; refused: 1 s to 5, 10 … 60 s", nullptr},
    {"c", "Azure SDK for C", "1, 2, 4 … 30 s, up to 5 % more", detail::sdk_c},
    {"csharp", "Azure SDK for .NET", "1, 1 … 10 s, ±20 % below that", detail::sdk_csharp},
    {"java", "Azure SDK for Java", "0.2, 0.4 … 10 s, ±20 % below that", detail::sdk_java},
    {"node", "Azure SDK for Node", "0.1 s … 10 s, jitter below that", detail::sdk_node<0, 25>},
    {"python", "Azure SDK for Python", "10 s", detail::sdk_python},
    {"hand", "a loop by hand", "1 s", detail::by_hand},
    {"node_documented", "Node, as documented", "0.1 s … 10 s, ±20 % below that", detail::sdk_node<50, 75>, false},
};

[[nodiscard]] inline policy const* find_policy(std::string_view name) noexcept {
  for (policy const& each : all_policies)
    if (each.name == name) return &each;
  return nullptr;
}

}  // namespace fleet_simulation
