// Each kind of fault that a simulation makes: counted when it takes effect, and not when it is ordered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <openssl/rand.h>

#include <array>
#include <thread>

#include <iothub/simulation.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using sim::fault;

// What has an effect at the moment it is ordered: the connection, the hub or the clock is another from then on.
bool at_once(fault f) {
  switch (f) {
    case fault::half_open:
    case fault::black_hole_up:
    case fault::black_hole_down:
    case fault::latency_spike:
    case fault::clog:
    case fault::outage:
    case fault::hub_restart:
    case fault::hub_restart_forgets:
    case fault::failover:
    case fault::link_dropped:
    case fault::token_expired:
    case fault::messages_expired:
    case fault::messages_used_up:
    case fault::device_deleted:
    case fault::device_disabled:
    case fault::key_rotated: return true;
    default: return layer_of(f) == sim::fault_layer::clock;
  }
}
// The test's own to make, or an option of the whole run.
bool is_ordered(fault f) {
  return layer_of(f) != sim::fault_layer::process && layer_of(f) != sim::fault_layer::asked && f != fault::latency;
}

// A device and a back end in traffic of every kind. The client goes as it comes: a fault may have ended it.
struct traffic {
  simulation sim;
  std::optional<simulation::device_client> device;
  simulation::service_client service;
  std::uint64_t sent = 0;

  explicit traffic(bool tls) : sim{{.seed = 3, .tls = tls}}, service{sim.connect_service()} {
    device.emplace(sim.connect_device("pump"));
    prepare();
    sim.on_key_rotated = [this](std::string_view) { rotated = true; };
    sim.run_for(1min);
  }
  bool rotated = false;

  void prepare() {
    device->on_method("ping", [](method_request const&) { return method_response{.status = 200}; });
    device->on_message([](c2d_message const&) { return settlement::accept; });
    device->on_desired([](json::value const&, std::int64_t, desired_scope) {});
  }
  // One of everything; connections are made anew now and then.
  void go_on(int round) {
    if (rotated) {
      rotated = false;
      device.reset();
      device.emplace(sim.make_device("pump"));
      prepare();
      device->async_connect([](result<void>) {});
    }
    device->async_send_telemetry({.body = std::to_string(++sent)}, 10min, [](result<void>) {});
    device->async_update_reported_properties({{"n", sent}}, [](result<std::int64_t>) {});
    device->async_get_twin([](result<device_twin>) {});
    service.async_invoke_method("pump", {.name = "ping"}, {}, [](result<method_response>) {});
    service.async_get_twin("pump", [](result<twin>) {});
    if (sim.hub().core().get_identity({"pump", {}})) {
      sim.hub().set_desired("pump", {{"n", sent}});
      sim.hub().send_c2d("pump", {.body = "hello"});
    }
    sim.run_for(30s);
    if (round % 3 == 2) (void)sim.hub().disconnect("pump");
    sim.run_for(150s);
  }
};

std::vector<fault> ordered_ones() {
  std::vector<fault> all;
  for (std::size_t i = 0; i != sim::fault_kinds; ++i)
    if (is_ordered(static_cast<fault>(i))) all.push_back(static_cast<fault>(i));
  return all;
}

class EveryFault : public ::testing::TestWithParam<fault> {};

TEST_P(EveryFault, CountsWhenItTakesEffect) {
  fault const f = GetParam();
  traffic all{layer_of(f) == sim::fault_layer::tls};
  if (f == fault::messages_expired || f == fault::messages_used_up) {  // messages wait for who is away
    (void)all.sim.hub().disconnect("pump");
    all.sim.hub().send_c2d("pump", {.body = "hello"});
  }
  ASSERT_EQ(all.sim.faults()[f], 0u);
  ASSERT_TRUE(all.sim.inject(f, "pump", 20s, 5)) << "it cannot be ordered";
  // The clog and the outage count for every line that they meet.
  if (at_once(f))
    EXPECT_GE(all.sim.faults()[f], 1u);
  else
    EXPECT_EQ(all.sim.faults()[f], 0u) << "it was only ordered";
  for (int round = 0; round != 6; ++round) all.go_on(round);
  EXPECT_GE(all.sim.faults()[f], 1u) << "in all this traffic it never had an effect";
}
INSTANTIATE_TEST_SUITE_P(All, EveryFault, ::testing::ValuesIn(ordered_ones()),
                         [](auto const& one) { return std::string{to_string(one.param)}; });

// Where nobody is connected and nobody tries, nothing meets a device.
TEST(Fault, WaitsForSomebodyToMeet) {
  for (fault const f : ordered_ones()) {
    auto const layer = layer_of(f);
    if (layer == sim::fault_layer::clock || layer == sim::fault_layer::http) continue;
    if (f == fault::hub_restart || f == fault::hub_restart_forgets || f == fault::device_deleted || f == fault::device_disabled ||
        f == fault::key_rotated || f == fault::takeover)
      continue;  // of the hub, whoever is there
    simulation sim{{.seed = 3, .tls = layer == sim::fault_layer::tls}};
    auto device = sim.make_device("pump");
    (void)sim.inject(f, "pump", 20s, 5);
    sim.run_for(1h);
    EXPECT_EQ(sim.faults()[f], 0u) << to_string(f);
  }
}

// Seed 3487: what such a client had sent, its good-bye too, never came to the hub.
TEST(Fault, HoldsNothingInCalmWeatherAlsoWhereTheClientIsGone) {
  simulation sim;
  std::optional device{sim.connect_device("pump")};
  ASSERT_TRUE(sim.inject(fault::outage, "pump", 1h, 1));
  device.reset();
  sim.run_for(10s);
  EXPECT_EQ(sim.hub().pipes().connections().size(), 1u);
  sim.calm();
  sim.run_for(1s);
  EXPECT_TRUE(sim.hub().pipes().connections().empty());
}

TEST(Fault, OfARuleIsToldToWhoWatchesTheLine) {
  struct listener final : sim::line_observer {
    std::vector<fault> told;
    void on_attempt(time_point) override {}
    void on_up(byte_view, time_point) override {}
    void on_down(byte_view, time_point) override {}
    void on_gone(time_point) override {}
    void on_fault(fault f, time_point) override { told.push_back(f); }
  } there;
  simulation sim;
  auto device = sim.connect_device("pump");
  sim.observe("pump", &there);
  ASSERT_TRUE(sim.inject(fault::telemetry_throttled, "pump"));
  EXPECT_TRUE(there.told.empty());
  (void)device.send_telemetry({.body = "1"}, 1min);
  EXPECT_EQ(there.told, std::vector<fault>{fault::telemetry_throttled});
  EXPECT_EQ(sim.faults()[fault::telemetry_throttled], 1u);
}

// What a back end reads when a request meets a fault.
struct silent_stream {
  result<void> open(endpoint const&, time_point) { return {}; }
  io_result read(byte_span, time_point) { return {}; }
  io_result write(byte_view from, time_point) { return {io_status::done, from.size()}; }
  void close() {}
  [[nodiscard]] error last_error() const { return errc::closed; }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}
};
TEST(Fault, RetryAfterAsADateLiesAhead) {
  memory::virtual_loop on;
  memory::pipe_network network{on};
  sim::fault_counts counts;
  sim::line way{on, network, counts};
  sim::http_wire<silent_stream> wire{way};
  ASSERT_TRUE(on.run_for(1000h));
  way.arm(fault::http_throttled_date, 0s, 0);
  ASSERT_EQ(wire.write("GET / HTTP/1.1\r\n\r\n", on.now()).status, io_status::done);
  char answer[500] = {};
  auto const got = wire.read(answer, on.now());
  // 2024-01-01 and 1,000 hours, and half a minute
  EXPECT_THAT((std::string{answer, got.size}), ::testing::HasSubstr("\r\nRetry-After: Sun, 11 Feb 2024 16:00:30 GMT\r\n"));
  EXPECT_EQ(counts[fault::http_throttled_date], 1u);
}
// The client waits so long, and not by its own schedule, which begins with a second.
TEST(Fault, RetryAfterAsADateIsObeyed) {
  for (fault const f : {fault::http_throttled_date, fault::http_throttled_seconds, fault::http_throttled_nonsense}) {
    simulation sim{{.seed = 4}};
    sim.run_for(1000h);
    auto service = sim.connect_service();
    auto device = sim.make_device("pump");
    sim.inject(f);
    auto const began = sim.now();
    EXPECT_TRUE(service.get_twin("pump").has_value());
    EXPECT_EQ(sim.faults()[f], 1u);
    auto const waited = sim.now() - began;
    duration const asked = f == fault::http_throttled_date ? 30s : f == fault::http_throttled_seconds ? 7s : 0s;
    EXPECT_GE(waited, asked - 1s) << to_string(f);  // a date has whole seconds
    EXPECT_LT(waited, asked + 3s) << to_string(f);
  }
}
TEST(RetryAfter, IsSecondsOrADateAndNothingElse) {
  using std::chrono::seconds;
  auto const now = from_unix_seconds(784'111'777);  // Sun, 06 Nov 1994 08:49:37 GMT
  auto const of = [&](char const* text, char const* date = nullptr) {
    http::headers h;
    h.add("Retry-After", text);
    if (date != nullptr) h.add("Date", date);
    auto const wait = http::retry_after(h, now);
    return wait ? *wait / seconds{1} : -1;
  };
  EXPECT_EQ(of("7"), 7);
  EXPECT_EQ(of("999999"), 86'400);
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:50:07 GMT"), 30);
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:50:07 GMT", "Sun, 06 Nov 1994 08:50:00 GMT"), 7);
  EXPECT_EQ(of("Sun, 06 Nov 1994 08:49:07 GMT"), 0);
  EXPECT_EQ(of("Fri, 06 Jan 2040 08:49:07 GMT"), 86'400);
  for (char const* none : {"", "-1", "soon", "7 s", "Sun, 06 Nov 1994 08:50:07 CET", "Sun, 06 anF 1994 08:50:07 GMT",
                           "Sun, 31 Feb 1995 08:50:07 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:xx GMT"})
    EXPECT_EQ(of(none), -1) << none;
}
TEST(Fault, HttpDateIsThatOfTheStandard) {
  EXPECT_EQ(sim::http_date(from_unix_seconds(784'111'777)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(sim::http_date(from_unix_seconds(1'709'164'800)), "Thu, 29 Feb 2024 00:00:00 GMT");
}

// --- TLS is the same in each run

std::array<unsigned char, 32> random_bytes() {
  std::array<unsigned char, 32> made{};
  EXPECT_EQ(RAND_bytes(made.data(), static_cast<int>(made.size())), 1);
  return made;
}
TEST(SeededOpenssl, GivesTheSameAgainAndAnotherSeedSomethingElse) {
  auto const of_seed = [](std::uint64_t seed) {
    sim::seeded_openssl const here{seed};
    (void)random_bytes();
    return random_bytes();
  };
  EXPECT_EQ(of_seed(1), of_seed(1));
  EXPECT_NE(of_seed(1), of_seed(2));
  EXPECT_NE(random_bytes(), random_bytes());
}
TEST(SeededOpenssl, IsOfItsThreadAlone) {
  auto const elsewhere = [] {
    std::array<unsigned char, 32> got{};
    std::thread{[&] { got = random_bytes(); }}.join();
    return got;
  };
  sim::seeded_openssl const here{1};
  auto const own = random_bytes();
  EXPECT_NE(elsewhere(), elsewhere());
  std::optional<sim::seeded_openssl> inner{1};
  EXPECT_EQ(random_bytes(), own);
  inner.reset();
  EXPECT_NE(random_bytes(), own);
}
TEST(SeededOpenssl, MakesTheHubsKeysAndEachHandshakeTheSame) {
  struct recorder final : sim::line_observer {
    std::string seen;
    void on_attempt(time_point now) override { seen += 'a' + std::to_string(now.time_since_epoch().count()); }
    void on_up(byte_view, time_point now) override { seen += 'u' + std::to_string(now.time_since_epoch().count()); }
    void on_down(byte_view, time_point now) override { seen += 'd' + std::to_string(now.time_since_epoch().count()); }
    void on_gone(time_point now) override { seen += 'g' + std::to_string(now.time_since_epoch().count()); }
    void on_fault(fault, time_point) override {}
  };
  auto const run = [](std::uint64_t seed) {
    recorder all;
    simulation sim{{.seed = seed, .hub = {.pipes = {.latency = 10ms, .jitter = 5ms, .max_chunk = 9}}, .tls = true}};
    all.seen = sim.hub().ca_pem();
    auto device = sim.make_device("pump");
    sim.observe("pump", &all);
    (void)device.connect();
    for (int i = 0; i != 20; ++i) {
      (void)device.send_telemetry({.body = std::string(100, 'x')});
      (void)sim.hub().disconnect("pump");
    }
    return all.seen;
  };
  auto const once = run(5);
  EXPECT_GT(once.size(), 1000u);
  EXPECT_EQ(run(5), once);
  EXPECT_NE(run(6), once);
}

TEST(Fault, TheHistoryHasAllThatWereOrdered) {
  simulation sim;
  auto device = sim.connect_device("pump");
  for (int i = 0; i != 1000; ++i) ASSERT_TRUE(sim.inject(fault::latency_spike, "pump", 1ms)), sim.run_for(1s);
  EXPECT_EQ(sim.history().size(), 1000u);
}

}  // namespace
