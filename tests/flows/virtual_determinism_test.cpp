// The same seed gives the same run, and what lies between a client and the hub does not show in what the hub has.
#include <gmock/gmock.h>

#include <algorithm>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;

using lines = std::vector<std::string>;

class recording_log final : public hub::log_sink {
 public:
  void write(hub::log_entry const& e) override {
    all.push_back(to_iso8601(e.when.utc) + " " + std::string{e.event} + " " + std::string{e.device_id} + " " +
                  std::string{e.reason});
  }
  lines all;
};

std::string describe(telemetry_event const& e) {
  std::string line =
      to_iso8601(e.enqueued_time) + " #" + std::to_string(e.sequence_number) + " " + e.source.device_id + " ";
  line += e.content.body.bytes();
  for (auto const& p : e.content.properties) line += " " + p.name + "=" + p.value;
  return line + " " + e.content.message_id;
}

struct story {
  lines log;
  lines events;
  lines results;
};

// A script drawn from the seed: three devices, a back end, and, where asked for, trouble.
template <class Wiring>
story tell(std::uint64_t seed, memory::pipe_options pipes, bool trouble) {
  recording_log log;
  world<Wiring> w{{.seed = seed, .pipes = pipes, .log = &log}};
  prng dice{seed};
  story told;
  auto const say = [&](std::string what) { told.results.push_back(to_iso8601(w.utc_now()) + " " + std::move(what)); };
  auto service = w.connect_service();
  std::vector<typename world<Wiring>::device_client> devices;
  for (std::string const id : {"a", "b", "c"}) {
    say(service.create_device(id).value().authentication.primary_key);
    auto how = w.options();
    how.publish_timeout = 1h;
    devices.push_back(w.make_device(id, how));
  }
  for (auto& device : devices) {
    device.on_method("m", [](method_request const& r) -> method_response { return {.payload = r.payload}; });
    device.on_desired([&say, id = device.device_id()](json::value const& patch, std::int64_t version) {
      say(id + " desired " + std::to_string(version) + " " + patch.dump());
    });
    device.on_message([&say, id = device.device_id()](c2d_message const& m) {
      say(id + " message " + std::string{m.content.body.bytes()});
    });
    device.connect().value();
    w.run_for(1s);
  }
  for (int step = 0; step != 200; ++step) {
    auto& device = devices[dice.below(3)];
    auto const& id = device.device_id();
    auto const n = std::to_string(step);
    switch (dice.below(trouble ? 8 : 6)) {
      case 0:
      case 1:
        say("telemetry " + n +
            (device.send_telemetry({.body = n, .properties = {{"n", n}}, .message_id = n}) ? " ok" : " failed"));
        break;
      case 2: {
        auto const reply = service.invoke_method(id, {.name = "m", .payload = step});
        say("method " + n + " " + (reply ? reply->payload.dump() : std::string{to_string(reply.error().code())}));
        break;
      }
      case 3: {
        auto const version = device.update_reported_properties({{"n", step}});
        say("reported " + (version ? std::to_string(*version) : std::string{to_string(version.error().code())}));
        break;
      }
      case 4: w.set_desired(id, {{"d", step}}); break;
      case 5: w.send_c2d(id, {.body = n}); break;
      case 6: say(w.disconnect(id) ? "cut " + id : "nothing to cut"); break;
      case 7: w.core().faults().reject_next(hub::fault_point::connect, errc::service_unavailable); break;
    }
    w.run_for(std::chrono::milliseconds{dice.below(5'000)});
  }
  w.run_for(10min);
  for (auto const& device : devices) say(w.get_twin(device.device_id()).reported.dump());
  told.log = log.all;
  for (auto const& e : w.events()) told.events.push_back(describe(e));
  return told;
}

TEST(TheSameSeed, GivesTheSameRunOverBadPipes) {
  memory::pipe_options const bad{.latency = 7ms, .jitter = 20ms, .max_chunk = 5, .capacity = 200, .seed = 9};
  for (std::uint64_t const seed : {1u, 2u, 3u}) {
    auto const once = tell<wiring::pipe>(seed, bad, true);
    auto const twice = tell<wiring::pipe>(seed, bad, true);
    EXPECT_EQ(once.log, twice.log);
    EXPECT_EQ(once.events, twice.events);
    EXPECT_EQ(once.results, twice.results);
    EXPECT_GT(once.events.size(), 20u);
  }
}

TEST(TheSameSeed, GivesTheSameRunDirectly) {
  auto const once = tell<wiring::direct>(1, {}, true);
  auto const twice = tell<wiring::direct>(1, {}, true);
  EXPECT_EQ(once.log, twice.log);
  EXPECT_EQ(once.events, twice.events);
  EXPECT_EQ(once.results, twice.results);
}

TEST(AnotherSeed, GivesAnotherRun) {
  EXPECT_NE(tell<wiring::direct>(1, {}, true).results, tell<wiring::direct>(2, {}, true).results);
}

TEST(AnotherWiring, GivesTheSameHub) {
  for (std::uint64_t const seed : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(seed);
    auto const direct = tell<wiring::direct>(seed, {}, false);
    auto const pipe = tell<wiring::pipe>(seed, {}, false);
    auto const tls = tell<wiring::pipe_tls>(seed, {}, false);
    EXPECT_EQ(direct.events, pipe.events);
    EXPECT_EQ(direct.results, pipe.results);
    EXPECT_EQ(direct.log, pipe.log);
    EXPECT_EQ(direct.events, tls.events);
    EXPECT_EQ(direct.results, tls.results);
    EXPECT_EQ(direct.log, tls.log);
  }
}

// Which of two things that happen at the same moment comes first may depend on the wiring.
lines sorted(lines all) {
  std::sort(all.begin(), all.end());
  return all;
}

TEST(AnotherWiring, GivesTheSameHubAlsoInTrouble) {
  for (std::uint64_t const seed : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(seed);
    auto const direct = tell<wiring::direct>(seed, {}, true);
    auto const pipe = tell<wiring::pipe>(seed, {}, true);
    EXPECT_EQ(direct.events, pipe.events);
    EXPECT_EQ(sorted(direct.results), sorted(pipe.results));
  }
}

}  // namespace
