#include "script.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <sstream>
#include <utility>

#include <iothub/base/prng.hpp>
#include <iothub/simulation/fault.hpp>

namespace iothub_test {

using iothub::prng;
namespace sim = iothub::sim;

namespace {

constexpr std::int64_t ten_years = std::int64_t{10} * 365 * 86'400;  // s
constexpr std::int64_t most_telemetry = 100'000;                   // of one step

struct setting {
  char const* name;
  std::int64_t script::*member;
  std::int64_t least, most;  // that a person may say
};
constexpr setting numbers[] = {
    {"length", &script::length, 0, ten_years * 1000},
    {"start", &script::start, 0, 32'503'680'000},  // the year 3000
    {"latency", &script::latency, 0, ten_years * 1000},
    {"jitter", &script::jitter, 0, ten_years * 1000},
    {"chunk", &script::chunk, 0, 1 << 30},
    {"keep_alive", &script::keep_alive, 0, 1177},
    {"connect_timeout", &script::connect_timeout, 1, ten_years},
    {"subscribe_timeout", &script::subscribe_timeout, 1, ten_years},
    {"publish_timeout", &script::publish_timeout, 1, ten_years},
    {"twin_timeout", &script::twin_timeout, 1, ten_years},
    {"token", &script::token, 60, 365 * 86'400},
    {"margin", &script::margin, 1, 365 * 86'400 / 2},
    {"outbox", &script::outbox, 1, 1'000'000},
    {"outbox_bytes", &script::outbox_bytes, 0, 1 << 30},
    {"inbox", &script::inbox, 1, 1'000'000},
    {"twin_requests", &script::twin_requests, 1, 1'000'000},
    {"min_delay", &script::min_delay, 0, ten_years * 1000},
    {"base_delay", &script::base_delay, 0, ten_years * 1000},
    {"max_delay", &script::max_delay, 0, ten_years * 1000},
    {"amqp", &script::amqp, 0, 10'000},
    {"values", &script::values, 0, 1},
    {"readers", &script::readers, 0, 100},
    {"share", &script::share, 0, 1},
    {"messenger", &script::messenger, 0, 1},
    {"prefetch", &script::prefetch, 1, 10'000},
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

// Kinds that came after seeds had been kept and talked about: with dice of their own, so that those stay as they were.
constexpr sim::fault later_kinds[] = {
    sim::fault::tls_too_old, sim::fault::tls_renegotiation, sim::fault::dns_ipv6_dead, sim::fault::connack_wrong,
    sim::fault::packet_unexpected, sim::fault::method_late, sim::fault::method_answer_late, sim::fault::settlement_lost,
    sim::fault::token_expired, sim::fault::messages_expired, sim::fault::messages_used_up, sim::fault::leap_second};
bool came_later(sim::fault f) {
  return layer_of(f) == sim::fault_layer::asked || std::find(std::begin(later_kinds), std::end(later_kinds), f) != std::end(later_kinds);
}
void add_later_kinds(script& s, std::uint64_t seed) {
  prng dice{seed * 0x9e3779b97f4a7c15u + 3};
  for (sim::fault const f : later_kinds) {
    bool const of_tls = layer_of(f) == sim::fault_layer::tls;
    if ((of_tls && !s.tls) || !dice.chance(of_tls ? 4 : 1, 12)) continue;
    for (auto n = 1 + dice.below(4); n != 0; --n) {
      step t{dice.between(0, s.length), std::string{to_string(f)}, static_cast<int>(dice.below(static_cast<std::uint64_t>(s.devices)))};
      t.lasting = dice.between(100, static_cast<std::int64_t>(small(dice, 300)) * 1000);
      t.amount = dice.below(1'000'000);
      // Messages wait for devices that are away.
      if (f == sim::fault::messages_expired || f == sim::fault::messages_used_up) {
        s.steps.push_back({t.at, "link_dropped", t.device, 1000, 0});
        s.steps.push_back({t.at, "c2d", t.device, 1000, 1});
      }
      s.steps.push_back(std::move(t));
    }
  }
  // The hub does as it is asked in 16 ways, of which a device over MQTT has five.
  if (s.amqp == 0 || !dice.chance(1, 2)) return;
  for (auto n = 1 + dice.below(12); n != 0; --n)
    s.steps.push_back({dice.between(0, s.length), "ask_fault", 0, dice.between(1000, 60'000), dice.below(1000)});
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
  // OpenSSL is asked about each byte that comes alone; handshakes so for hours would tell no more.
  if (s.tls && s.chunk == 1 && s.length > 2'400'000) s.length = 2'400'000;
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
    if (came_later(f)) continue;
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
    if (t.what == "stall") t.lasting *= 4;  // up to an hour, as a laptop that sleeps
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
  add_later_kinds(s, seed);
  std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
  return s;
}

std::string print(script const& s) {
  script const usual;
  std::ostringstream out;
  out << "seed " << s.seed << '\n';
  if (s.devices != 1) out << "devices " << s.devices << '\n';
  if (s.tls) out << "tls 1\n";
  for (setting const& each : numbers)
    if (s.*each.member != usual.*each.member) out << each.name << ' ' << s.*each.member << '\n';
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
std::string outside(std::string const& name, std::int64_t least, std::int64_t most) {
  return name + ": " + std::to_string(least) + " to " + std::to_string(most);
}
std::string parse_line(std::string const& line, script& s) {
  std::istringstream words{line};
  std::string name, rest;
  if (!(words >> name) || name[0] == '#') return {};
  if (name[0] >= '0' && name[0] <= '9') {
    step t;
    std::istringstream time{name};
    if (!(time >> t.at) || time.get() != std::istringstream::traits_type::eof()) return "\"" + name + "\" is no time in milliseconds";
    if (!(words >> t.what >> t.device >> t.lasting >> std::ws) || words.peek() == '-' || !(words >> t.amount))
      return "a step is five words: milliseconds, what, number of the device, lasting (ms), amount, which is not below 0";
    if (!is_step(t.what)) return "there is no step \"" + t.what + "\"; script.hpp and iothub/simulation/fault.hpp have them all";
    if (t.at > ten_years * 1000) return outside("the time of a step", 0, ten_years * 1000);
    if (t.lasting < 0 || t.lasting > ten_years * 1000) return outside("how long a step lasts", 0, ten_years * 1000);
    if (t.what == "telemetry" && t.amount > std::uint64_t{most_telemetry})
      return outside("the amount of telemetry", 0, most_telemetry);
    s.steps.push_back(std::move(t));
  } else if (name == "seed") {
    if (!(words >> std::ws) || words.peek() == '-' || !(words >> s.seed))
      return "\"seed\" wants a number that is not below 0";
  } else {
    auto const named = [&](setting const& each) { return name == each.name; };
    setting const* const found = std::find_if(std::begin(numbers), std::end(numbers), named);
    if (found == std::end(numbers) && name != "devices" && name != "tls")
      return "there is no setting \"" + name + "\"; script.hpp has them all";
    std::int64_t value = 0;
    if (!(words >> value)) return "\"" + name + "\" wants a number";
    std::int64_t const least = name == "devices" ? 1 : name == "tls" ? 0 : found->least;
    std::int64_t const most = name == "devices" ? 10'000 : name == "tls" ? 1 : found->most;
    if (value < least || value > most) return outside(name, least, most);
    if (name == "devices") s.devices = static_cast<int>(value);
    else if (name == "tls") s.tls = value != 0;
    else s.*found->member = value;
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
    std::int64_t const d = s.steps[k].device;
    if (d < -s.readers - s.messenger || d >= s.devices)
      return std::to_string(lines[k]) + ": there is no device " + std::to_string(d) + "; say \"" +
             (d < 0 ? "readers " + std::to_string(-d) : "devices " + std::to_string(d + 1)) + "\" above";
  }
  std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
  into = std::move(s);
  return {};
}

}  // namespace iothub_test
