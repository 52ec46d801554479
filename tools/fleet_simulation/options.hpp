// The command line of fleet_simulation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/result.hpp>

#include "policies.hpp"

namespace fleet_simulation {

enum exit_code : int {
  exit_ok = 0,
  exit_internal = 1,
  exit_usage = 2,
  exit_cannot_write = 3,
};

struct options {
  bool help = false;
  bool version = false;
  bool quiet = false;
  bool bytes = false;  // the wire: bytes over pipes, else packets as values
  std::uint64_t devices = 100'000;
  std::uint64_t period = 300;             // seconds between two messages of a device
  std::uint64_t outage = 300;             // seconds
  std::uint64_t drop_over = 5;            // seconds until the last device has seen the loss
  std::uint64_t connects_per_second = 600;
  std::uint64_t burst = 0;                // 0: what a second lets go by
  std::uint64_t handshake = 200;          // milliseconds, mean
  std::uint64_t limit = 7200;             // seconds after the hub's return
  std::uint64_t every = 1;                // seconds a row of the series stands for
  std::uint64_t seed = 1;
  std::vector<policy const*> policies = {};
  std::string series = {};
  std::string summary = {};
  std::string svg = {};
};

inline constexpr std::uint64_t most_devices_in_bytes = 10'000;

inline constexpr std::string_view help_text =
    R"(fleet_simulation: a fleet of devices loses its hub and comes back, once with each SDK's back-off.

  fleet_simulation [--devices 100000] [--policies iothub,c,csharp,java,node,python,hand]
                   [--outage 300] [--connects-per-second 600] [--burst N] [--period 300]
                   [--drop-over 5] [--handshake 200] [--limit 7200] [--seed 1] [--wire values|bytes]
                   [--summary FILE] [--series FILE] [--every 1] [--svg FILE] [--quiet]

  Real device clients and a fake hub in this process, in virtual time. All devices are connected and send
  telemetry; the hub goes away and every connection is lost; it comes back and takes so many connections a
  second, and refuses those above (CONNACK 3). A run is over when all devices are connected and every
  message is confirmed. Progress goes to standard error, a table to standard output.

  --devices N              1 to 2000000; up to 10000 with --wire bytes
  --policies LIST          with commas: iothub (this library's default), c, csharp, java, node, python (what
                           Microsoft's SDKs do by default), hand (tries again each second); and, when named,
                           node_documented (the formula of its comment, which its code does not follow)
  --outage S               how long the hub is away, in seconds
  --connects-per-second N  the throttle; Azure's S1 has 100 (or 12 a unit), S2 120 a unit, S3 6000 a unit
  --burst N                how many at once after a pause; as many as in a second unless given
  --period S               seconds between two messages of a device
  --drop-over S            the devices see the loss spread over so many seconds
  --handshake MS           how long an attempt to connect takes, on average: half of it to one and a half
  --limit S                give a policy up so many seconds after the hub is back
  --seed N                 the same seed and options give the same files
  --wire values|bytes      MQTT packets as values, or their bytes over pipes
  --summary FILE           CSV, a row for each policy
  --series FILE            CSV, a row for each policy and second (or --every S of them), counted from the
                           hub's return
  --svg FILE               a plot
  --quiet                  no progress
  --help, --version

Exit status: 0 done, 1 internal error, 2 wrong usage, 3 a file cannot be written.
)";

namespace detail {

inline iothub::error usage(std::string text) {
  return {iothub::errc::invalid_argument, std::move(text)};
}

inline iothub::result<void> take_policies(options& into, std::string_view list) {
  into.policies.clear();
  for (bool more = true; more;) {
    auto const [word, rest, comma] = iothub::split_once(list, ',');
    policy const* const found = find_policy(word);
    if (found == nullptr)
      return usage("--policies takes iothub, c, csharp, java, node, python, hand and node_documented, with commas; \"" +
                   std::string{word} + "\" is none of them");
    for (policy const* each : into.policies)
      if (each == found) return usage("--policies names " + std::string{word} + " twice");
    into.policies.push_back(found);
    list = rest;
    more = comma;
  }
  return {};
}

struct number_option {
  std::string_view name;
  std::uint64_t options::*where;
  std::uint64_t least;
  std::uint64_t most;
};
inline constexpr number_option numbers[] = {
    {"--devices", &options::devices, 1, 2'000'000},
    {"--period", &options::period, 1, 86'400},
    {"--outage", &options::outage, 1, 864'000},
    {"--drop-over", &options::drop_over, 0, 3600},
    {"--connects-per-second", &options::connects_per_second, 1, 1'000'000},
    {"--burst", &options::burst, 1, 10'000'000},
    {"--handshake", &options::handshake, 0, 60'000},
    {"--limit", &options::limit, 1, 864'000},
    {"--every", &options::every, 1, 3600},
    {"--seed", &options::seed, 0, ~std::uint64_t{0}},
};

inline iothub::result<void> take_value(options& into, std::string_view name, std::string_view value) {
  for (number_option const& each : numbers) {
    if (each.name != name) continue;
    auto const number = iothub::parse_int<std::uint64_t>(value);
    if (!number || *number < each.least || *number > each.most) {
      std::string text{name};
      text += " takes a number from " + std::to_string(each.least) + " to " + std::to_string(each.most);
      return usage(std::move(text));
    }
    into.*each.where = *number;
    return {};
  }
  if (name == "--policies") return take_policies(into, value);
  if (name == "--wire") {
    if (value != "values" && value != "bytes") return usage("--wire takes values or bytes");
    into.bytes = value == "bytes";
    return {};
  }
  if (value.empty()) return usage(std::string{name} + " takes the name of a file");
  (name == "--series" ? into.series : name == "--summary" ? into.summary : into.svg) = value;
  return {};
}

inline bool takes_value(std::string_view name) {
  for (number_option const& each : numbers)
    if (each.name == name) return true;
  return name == "--policies" || name == "--wire" || name == "--series" || name == "--summary" || name == "--svg";
}

// However they are spelled.
inline bool same_file(std::string const& a, std::string const& b) {
  if (a.empty() || b.empty()) return false;
  auto const resolved = [](std::string const& name) {
    std::error_code failed;
    auto const whole = std::filesystem::absolute(name, failed);
    auto known = std::filesystem::weakly_canonical(whole, failed);
    return failed ? whole.lexically_normal() : known;
  };
  return a == b || resolved(a) == resolved(b);
}

}  // namespace detail

// errc::invalid_argument with a sentence for what cannot be understood.
[[nodiscard]] inline iothub::result<options> parse_options(std::span<char const* const> arguments) {
  options made;
  for (std::size_t i = 0; i != arguments.size(); ++i) {
    std::string_view const word = arguments[i];
    if (word == "--help" || word == "-h") {
      made.help = true;
    } else if (word == "--version") {
      made.version = true;
    } else if (word == "--quiet") {
      made.quiet = true;
    } else if (detail::takes_value(word)) {
      if (i + 1 == arguments.size()) return detail::usage(std::string{word} + " wants a value behind it");
      if (auto taken = detail::take_value(made, word, arguments[++i]); !taken) return taken.error();
    } else {
      return detail::usage("unknown option " + std::string{word});
    }
  }
  if (made.policies.empty())
    for (policy const& each : all_policies)
      if (each.usual) made.policies.push_back(&each);
  if (made.bytes && made.devices > most_devices_in_bytes)
    return detail::usage("--wire bytes goes with at most " + std::to_string(most_devices_in_bytes) + " devices");
  if (made.drop_over >= made.outage) return detail::usage("--drop-over has to be less than --outage");
  if (detail::same_file(made.summary, made.series)) return detail::usage("--summary and --series name the same file");
  if (detail::same_file(made.summary, made.svg)) return detail::usage("--summary and --svg name the same file");
  if (detail::same_file(made.series, made.svg)) return detail::usage("--series and --svg name the same file");
  return made;
}

}  // namespace fleet_simulation
