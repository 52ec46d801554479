// Any bytes are a script of tests/simulation: who does what when, and what goes wrong when. Real clients and a real hub
// run it in virtual time, and the oracle judges every event. A script that breaks a promise is printed; it can be run
// again with `sim --script FILE` and belongs into cases_test.cpp once it has been shrunk.
//
// Ten bytes choose who is there and how they are configured; then each five are a step: how long after the last one, what, which
// device and how much, how long. Every input is a script, so that what the fuzzer changes still means something.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../simulation/world.hpp"

namespace {

using namespace iothub_test;
namespace sim = iothub::sim;

class reader {
 public:
  reader(std::uint8_t const* data, std::size_t size) : data_{data}, left_{size} {}
  unsigned byte() { return left_ == 0 ? 0u : (--left_, *data_++); }
  template <class T, std::size_t N>
  T pick(T const (&from)[N]) {
    return from[byte() % N];
  }
  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  std::uint8_t const* data_;
  std::size_t left_;
};

constexpr char const* verbs[] = {"telemetry", "report",    "read_twin", "desired", "tags", "method",
                                 "c2d",       "ask_fault", "connect",   "look",    "flap"};

// The verbs come first, then the faults that need no TLS and are no option of the whole run.
std::string what_of(unsigned number) {
  number %= static_cast<unsigned>(std::size(verbs) + sim::fault_kinds);
  if (number < std::size(verbs)) return verbs[number];
  auto const f = static_cast<sim::fault>(number - std::size(verbs));
  bool const none = f == sim::fault::latency || f == sim::fault::clock_edge || layer_of(f) == sim::fault_layer::tls;
  return none ? "telemetry" : std::string{to_string(f)};
}

// What may happen on the line of a reader or of the messenger.
void of_back_end(script const& s, step& t, unsigned who) {
  auto const lines = static_cast<unsigned>(s.readers + s.messenger);
  t.device = -1 - static_cast<int>(who % lines);
  sim::fault const f = sim::fault_from(t.what);
  if (f != sim::fault::count && layer_of(f) <= sim::fault_layer::mqtt) return;
  if (-1 - t.device < s.readers)
    t.what = who % 3 == 0 ? "reader_stop" : who % 3 == 1 ? "reader_crash" : "store_fails";
  else
    t.what = "reset_inside_packet";
}

script script_of(reader in) {
  script s;
  s.seed = in.byte();
  unsigned const who_is_there = in.byte();
  s.devices = 1 + static_cast<int>(who_is_there % 4);
  s.amqp = (who_is_there & 4) == 0 ? 0 : (who_is_there & 8) == 0 ? 1 : 2;
  s.values = s.amqp == 0 && (who_is_there & 8) != 0;
  s.readers = (who_is_there & 16) == 0 ? 0 : (who_is_there & 32) == 0 ? 1 : 2;
  s.share = s.readers != 0 && (who_is_there & 64) != 0;
  s.messenger = (who_is_there & 128) != 0;
  s.latency = in.pick<std::int64_t>({20, 0, 1, 80, 300, 700});
  s.jitter = s.seed % 2 == 0 ? 0 : s.latency / 2;
  s.chunk = in.pick<std::int64_t>({0, 0, 1, 7, 100});
  s.keep_alive = in.pick<std::int64_t>({240, 10, 30, 60, 1177});
  s.publish_timeout = in.pick<std::int64_t>({3600, 10, 60, 86'400});
  s.token = in.pick<std::int64_t>({3600, 300, 900});
  s.margin = s.token / in.pick<std::int64_t>({6, 2, 4});
  s.outbox = in.pick<std::int64_t>({1000, 1, 8});
  s.inbox = in.pick<std::int64_t>({64, 1, 4});
  s.length = 300'000;
  std::int64_t now = 0;
  for (std::size_t n = 0; in.left() != 0 && n != 100; ++n) {
    unsigned const pause = in.byte(), what = in.byte(), who = in.byte(), amount = in.byte(), lasting = in.byte();
    now += static_cast<std::int64_t>(pause % 128) * (pause < 128 ? 10 : 1000);
    step t;
    t.at = now;
    t.what = what_of(what);
    t.device = static_cast<int>(who % static_cast<unsigned>(s.devices));
    bool const fault = sim::fault_from(t.what) != sim::fault::count;
    t.lasting = fault ? 100 + static_cast<std::int64_t>(lasting) * lasting * 10 : 1000 + lasting % 120 * 1000;
    t.amount = fault                 ? amount * 3907u
               : t.what == "telemetry" ? 1 + amount % 40
               : t.what == "flap"      ? 1 + amount % 35
                                       : amount * 3u;
    if (who >= 192 && s.readers + s.messenger != 0) of_back_end(s, t, who);
    s.steps.push_back(t);
  }
  if (now > s.length) s.length = now;
  return s;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  script const s = script_of({data, size});
  if (run(s, 0).ok()) return 0;
  verdict const v = run(s);
  for (std::string const& line : v.last) std::fprintf(stderr, "%s\n", line.c_str());
  std::fprintf(stderr, "\n%s: %s, %.3f s into the run of this script:\n\n%s", v.broken.c_str(), v.what.c_str(),
               static_cast<double>(v.at) / 1000, print(s).c_str());
  std::abort();
}
