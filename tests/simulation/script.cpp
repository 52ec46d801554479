#include "script.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

#include <iothub/base/prng.hpp>
#include <iothub/simulation/fault.hpp>

namespace iothub_test {

using iothub::prng;
namespace sim = iothub::sim;

namespace {

std::pair<char const*, std::int64_t script::*> const numbers[] = {
    {"length", &script::length},
    {"start", &script::start},
    {"latency", &script::latency},
    {"jitter", &script::jitter},
    {"chunk", &script::chunk},
    {"keep_alive", &script::keep_alive},
    {"connect_timeout", &script::connect_timeout},
    {"subscribe_timeout", &script::subscribe_timeout},
    {"publish_timeout", &script::publish_timeout},
    {"twin_timeout", &script::twin_timeout},
    {"token", &script::token},
    {"margin", &script::margin},
    {"outbox", &script::outbox},
    {"outbox_bytes", &script::outbox_bytes},
    {"inbox", &script::inbox},
    {"twin_requests", &script::twin_requests},
    {"min_delay", &script::min_delay},
    {"base_delay", &script::base_delay},
    {"max_delay", &script::max_delay},
    {"amqp", &script::amqp},
    {"values", &script::values},
    {"readers", &script::readers},
    {"share", &script::share},
    {"messenger", &script::messenger},
    {"prefetch", &script::prefetch},
};

template <class T, std::size_t N>
T pick(prng& dice, T const (&from)[N]) {
  return from[dice.below(N)];
}
// 1 to `most`, small ones more likely.
std::uint64_t small(prng& dice, std::uint64_t most) {
  std::uint64_t top = 1;
  while (top < most && dice.chance(2, 3)) top *= 2;
  return 1 + dice.below(top < most ? top : most);
}

// Who speaks what, and what happens to back ends. With dice of its own, so that the rest of a script stays as it is.
void widen(script& s, std::uint64_t seed, std::vector<sim::fault> const& kinds) {
  prng dice{seed * 0x9e3779b97f4a7c15u + 2};
  s.values = !s.tls && dice.chance(1, 10);
  if (s.values == 0 && dice.chance(1, 5)) s.amqp = 1 + static_cast<std::int64_t>(dice.below(2));
  if (s.amqp != 0) s.connect_timeout = 60;  // it takes six round trips
  if (dice.chance(1, 4)) s.readers = 1 + static_cast<std::int64_t>(dice.below(2));
  s.share = s.readers != 0 && dice.chance(1, 3);
  if (s.readers != 0) s.prefetch = pick(dice, {1, 5, 300});
  s.messenger = dice.chance(1, 6);
  std::int64_t const lines = s.readers + s.messenger;
  if (lines == 0) return;
  std::uint64_t const faults = dice.chance(1, 5) ? 0 : small(dice, 30);
  for (std::uint64_t i = 0; i != faults; ++i) {
    step t;
    t.at = dice.between(0, s.length);
    t.device = -1 - static_cast<int>(dice.below(static_cast<std::uint64_t>(lines)));
    bool const reader = -1 - t.device < s.readers;
    if (reader && dice.chance(1, 3)) {
      t.what = pick(dice, {"reader_stop", "reader_crash", "store_fails"});
    } else {
      auto const f = kinds.empty() || dice.chance(1, 2) ? pick(dice, {sim::fault::reset_before_packet, sim::fault::reset_inside_packet,
                                                                      sim::fault::reset_after_packet, sim::fault::outage})
                                                        : kinds[dice.below(kinds.size())];
      auto const layer = layer_of(f);
      if (layer == sim::fault_layer::hub || layer == sim::fault_layer::http || layer == sim::fault_layer::clock ||
          layer == sim::fault_layer::process)
        continue;
      t.what = std::string{to_string(f)};
    }
    t.lasting = dice.between(100, static_cast<std::int64_t>(small(dice, 600)) * 1000);
    t.amount = dice.below(1'000'000);
    s.steps.push_back(std::move(t));
  }
}

}  // namespace

// Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): each seed leaves most kinds of faults out, so that rare
// ones are not drowned by common ones.
script draw(std::uint64_t seed) {
  prng dice{seed * 0x9e3779b97f4a7c15u + 1};
  script s;
  s.seed = dice();
  s.tls = dice.chance(1, 20);
  s.devices = static_cast<int>(s.tls ? 1 + dice.below(2) : dice.chance(1, 50) ? 1 + dice.below(40) : small(dice, 6));
  s.length = static_cast<std::int64_t>(300'000u << dice.below(7));  // 5 minutes to 5 hours
  s.latency = pick(dice, {0, 1, 20, 80, 300, 700});
  s.jitter = dice.chance(1, 2) ? 0 : s.latency / 2;
  s.chunk = dice.chance(2, 3) ? 0 : pick(dice, {1, 7, 100});
  s.keep_alive = pick(dice, {10, 30, 60, 240, 240, 1177});
  s.connect_timeout = pick(dice, {10, 30, 60});
  s.subscribe_timeout = pick(dice, {5, 10, 30});
  s.publish_timeout = pick(dice, {10, 60, 3600, 86400, 86400});
  s.twin_timeout = pick(dice, {10, 60, 300});
  s.token = pick(dice, {300, 900, 3600, 86400});
  s.margin = s.token / pick(dice, {2, 4, 6});
  s.outbox = pick(dice, {1, 8, 1000, 10000});
  if (dice.chance(1, 6)) s.outbox_bytes = 2000;
  s.inbox = pick(dice, {1, 4, 64});
  s.twin_requests = pick(dice, {1, 4, 32});
  s.max_delay = pick(dice, {5'000, 30'000, 120'000});
  if (dice.chance(1, 100)) s.start = 2'147'483'647 - 120;

  char const* const verbs[] = {"telemetry", "telemetry", "telemetry", "report",    "read_twin", "desired", "tags",
                               "method",    "method",    "c2d",       "ask_fault", "connect",   "look"};
  std::uint64_t const wanted = dice();  // a bit for each verb
  std::uint64_t const count = 20u << dice.below(s.tls ? 3 : 5);
  for (std::uint64_t i = 0; i != count; ++i) {
    step t;
    t.at = dice.between(0, s.length);
    std::size_t const which = dice.below(std::size(verbs));
    if (which >= 3 && (wanted >> which & 1) == 0) continue;
    t.what = verbs[which];
    t.device = static_cast<int>(dice.below(static_cast<std::uint64_t>(s.devices)));
    t.lasting = static_cast<std::int64_t>(small(dice, 120)) * 1000;
    t.amount = t.what == "telemetry" ? small(dice, 40) : dice.below(1000);
    if (t.what == "ask_fault" && dice.chance(3, 4)) t.what = "telemetry", t.amount = 1;
    s.steps.push_back(std::move(t));
  }

  std::vector<sim::fault> kinds;
  std::uint64_t const density = 1 + dice.below(6);
  for (std::size_t i = 0; i != sim::fault_kinds; ++i) {
    auto const f = static_cast<sim::fault>(i);
    if (f == sim::fault::latency) continue;
    if (f == sim::fault::clock_edge) continue;  // drawn as `start`
    if (layer_of(f) == sim::fault_layer::tls && !s.tls) continue;
    if (dice.chance(s.tls && layer_of(f) == sim::fault_layer::tls ? 4 : density, 12)) kinds.push_back(f);
  }
  std::uint64_t const faults = kinds.empty() || dice.chance(1, 20) ? 0 : 3 + small(dice, 80);
  for (std::uint64_t i = 0; i != faults; ++i) {
    step t;
    t.at = dice.between(0, s.length);
    t.what = std::string{to_string(kinds[dice.below(kinds.size())])};
    t.device = static_cast<int>(dice.below(static_cast<std::uint64_t>(s.devices)));
    t.lasting = dice.between(100, static_cast<std::int64_t>(small(dice, 900)) * 1000);
    t.amount = dice.below(1'000'000);
    s.steps.push_back(std::move(t));
  }
  if (dice.chance(1, 4)) s.steps.push_back({dice.between(0, s.length / 2), "flap", 0, 0, 10 + dice.below(25)});
  // A device that talks all the time, and hears nothing for a while: keep-alive has to listen, too.
  if (dice.chance(1, 5)) {
    int const d = static_cast<int>(dice.below(static_cast<std::uint64_t>(s.devices)));
    std::int64_t const gap = s.keep_alive * 1000 / 4, from = dice.between(0, s.length / 2);
    for (std::int64_t k = 0; k != 16 && from + k * gap < s.length; ++k) s.steps.push_back({from + k * gap, "telemetry", d, 1000, 1});
    s.steps.push_back({from + 1, pick(dice, {"black_hole_down", "half_open", "black_hole_up"}), d, 4 * s.keep_alive * 1000, 0});
  }
  widen(s, seed, kinds);
  std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
  return s;
}

std::string print(script const& s) {
  script const usual;
  std::ostringstream out;
  out << "seed " << s.seed << '\n';
  if (s.devices != 1) out << "devices " << s.devices << '\n';
  if (s.tls) out << "tls 1\n";
  for (auto const& [name, member] : numbers)
    if (s.*member != usual.*member) out << name << ' ' << s.*member << '\n';
  for (step const& t : s.steps)
    out << t.at << ' ' << t.what << ' ' << t.device << ' ' << t.lasting << ' ' << t.amount << '\n';
  return out.str();
}

script parse(std::string const& text) {
  script s;
  if (auto const wrong = parse(text, s); !wrong.empty()) std::fprintf(stderr, "%s\n", wrong.c_str()), std::abort();
  return s;
}

namespace {

bool is_step(std::string const& what) {
  for (char const* verb : {"telemetry", "report", "read_twin", "desired", "tags", "method", "c2d", "look", "ask_fault", "connect", "flap",
                           "reader_stop", "reader_crash", "store_fails"})
    if (what == verb) return true;
  return sim::fault_from(what) != sim::fault::count;
}
std::string parse_line(std::string const& line, script& s) {
  std::istringstream words{line};
  std::string name, rest;
  if (!(words >> name) || name[0] == '#') return {};
  if (name[0] >= '0' && name[0] <= '9') {
    step t;
    std::istringstream time{name};
    if (!(time >> t.at) || time.get() != std::istringstream::traits_type::eof()) return "\"" + name + "\" is no time in milliseconds";
    if (!(words >> t.what >> t.device >> t.lasting >> t.amount))
      return "a step is five words: milliseconds, what, number of the device, lasting (ms), amount";
    if (!is_step(t.what)) return "there is no step \"" + t.what + "\"; script.hpp and iothub/simulation/fault.hpp have them all";
    s.steps.push_back(std::move(t));
  } else {
    std::uint64_t value = 0;
    bool known = name == "seed" || name == "devices" || name == "tls";
    for (auto const& [each, member] : numbers) known = known || name == each;
    if (!known) return "there is no setting \"" + name + "\"; script.hpp has them all";
    if (!(words >> value)) return "\"" + name + "\" wants a number";
    if (name == "devices" && (value == 0 || value > 10'000)) return "devices: 1 to 10000";
    if (name == "seed") s.seed = value;
    if (name == "devices") s.devices = static_cast<int>(value);
    if (name == "tls") s.tls = value != 0;
    for (auto const& [each, member] : numbers)
      if (name == each) s.*member = static_cast<std::int64_t>(value);
  }
  if (words >> rest && rest[0] != '#') return "\"" + rest + "\" is one word too many";
  return {};
}

}  // namespace

std::string parse(std::string const& text, script& into) {
  script s;
  std::istringstream in{text};
  std::vector<std::size_t> lines;  // of the steps
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (auto const wrong = parse_line(line, s); !wrong.empty()) return std::to_string(number) + ": " + wrong;
    while (lines.size() < s.steps.size()) lines.push_back(number);
  }
  for (std::size_t k = 0; k != s.steps.size(); ++k) {
    if (s.steps[k].device < -s.readers - s.messenger || s.steps[k].device >= s.devices)
      return std::to_string(lines[k]) + ": there is no device " + std::to_string(s.steps[k].device) + "; say \"devices " +
             std::to_string(s.steps[k].device + 1) + "\" above";
  }
  std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
  into = std::move(s);
  return {};
}

}  // namespace iothub_test
