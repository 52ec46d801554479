// A script: everything that a simulated run depends on, as data. A seed draws one; a failure is kept as one, since a seed
// alone dies with the next change of the order in which things are drawn.
//
// As text: `name value` lines, then one line for each step: `at what device lasting amount`, times in milliseconds.
// `what` is the name of a fault (iothub/simulation/fault.hpp) or of something that an application or a back end does:
//   telemetry  sends `amount` messages          report     patches the reported properties
//   read_twin  asks for the twin                desired    a back end patches the desired properties
//   tags       ... the tags                     method     ... calls a method; amount: which kind
//   c2d        ... sends a message; amount: how the handler settles it
//   look       ... reads twin and identity      ask_fault  telemetry that asks the hub for a fault
//   connect    the application connects         flap       the hub drops the next `amount` connections, 2 s old each
// The device -1 is the first reader, -2 the second, the next lower the messenger: faults of their lines, and
//   reader_stop   it saves, says good-bye, and is made anew later     reader_crash   it does not; amount: in its handler
//   store_fails   its checkpoint store, the next times
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace iothub_test {

struct step {
  std::int64_t at = 0;  // ms since the start
  std::string what = {};
  int device = 0;
  std::int64_t lasting = 0;  // ms
  std::uint64_t amount = 0;
};

struct script {
  std::uint64_t seed = 1;      // of the clients' jitter and of the hub's ids
  int devices = 1;
  bool tls = false;
  std::int64_t length = 600'000;  // ms until the weather clears
  std::int64_t start = 1'704'067'200;
  std::int64_t latency = 20, jitter = 5;  // ms
  std::int64_t chunk = 0;
  std::int64_t keep_alive = 240, connect_timeout = 60, subscribe_timeout = 10, publish_timeout = 3600, twin_timeout = 60;
  std::int64_t token = 3600, margin = 600;
  std::int64_t outbox = 1000, outbox_bytes = 4 << 20, inbox = 64, twin_requests = 32;
  std::int64_t min_delay = 100, base_delay = 1000, max_delay = 30'000;  // ms
  // Who speaks what: every amqp-th device AMQP (0: none); packets and requests as values; so many readers, which share the
  // partitions or read all; C2D by a messenger.
  std::int64_t amqp = 0, values = 0, readers = 0, share = 0, messenger = 0, prefetch = 300;
  std::vector<step> steps = {};
};

script draw(std::uint64_t seed);
std::string print(script const& s);
// Aborts on what is no script: for those that print() wrote.
script parse(std::string const& text);
// The same for what a person wrote: empty, or what is wrong, with the number of the line.
std::string parse(std::string const& text, script& into);

}  // namespace iothub_test
