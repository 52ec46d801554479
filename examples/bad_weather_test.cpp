// Device logic in a month of bad network, in a unit test. Two pieces of logic that look right and are not, what the
// simulation says of them, and the same with their mistakes mended.
#include <gmock/gmock.h>

#include <iothub/testing/simulation_test.hpp>

#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace iothub::testing;
using ::testing::Not;
using device_client = iothub::simulation::device_client;

// --- a meter that sends a reading every ten minutes

// Sends and forgets: what is not confirmed within ten seconds is gone, and so is every reading of an outage.
struct forgetful_meter {
  explicit forgetful_meter(device_client& device) {
    device.every(10min, [this, &device] {
      readings.push_back(std::to_string(readings.size()));
      device.async_send_telemetry({.body = readings.back()}, [](iothub::result<void>) {});
    });
  }
  std::vector<std::string> readings;
};

// Keeps each reading until it is confirmed.
struct careful_meter {
  explicit careful_meter(device_client& client) : device{client} {
    device.every(10min, [this] {
      readings.push_back(std::to_string(readings.size()));
      ++unconfirmed;
      send(readings.back());
    });
  }
  void send(std::string reading) {
    device.async_send_telemetry({.body = reading, .message_id = reading}, [this, reading](iothub::result<void> sent) {
      if (sent)
        --unconfirmed;
      else
        device.after(1min, [this, reading] { send(reading); });
    });
  }
  device_client& device;
  std::vector<std::string> readings;
  std::size_t unconfirmed = 0;
};

// Ten lines, for each of three seeds; IOTHUB_SEEDS=1000 in the environment makes them a thousand.
using Meter = iothub::testing::simulation_test;
TEST_P(Meter, LosesNothingInAMonthOfBadNetwork) {
  auto device = sim.connect_device("meter");
  careful_meter logic{device};                                         // what is tested
  sim.run_for(30 * 24h);                                               // about a second
  ASSERT_TRUE(sim.settle());                                           // the weather clears, everything comes to rest
  ASSERT_TRUE(sim.run_until([&] { return logic.unconfirmed == 0; }));
  EXPECT_THAT(sim.bodies("meter"), NothingLost(logic.readings));
}
INSTANTIATE_TEST_SUITE_P(Weather, Meter, iothub::testing::seeds(3));

// The same with the meter that forgets: found out.
TEST(ForgetfulMeter, LosesReadingsInAMonthOfBadNetwork) {
  iothub::simulation sim{{.seed = 7, .faults = iothub::sim::bad_network()}};
  auto device = sim.connect_device("meter");
  forgetful_meter logic{device};
  sim.run_for(30 * 24h);
  ASSERT_TRUE(sim.settle()) << sim;
  EXPECT_GT(logic.readings.size(), 4300u);
  EXPECT_THAT(sim.bodies("meter"), Not(NothingLost(logic.readings)));
}

// --- a controller whose settings are its desired properties

// Takes whatever comes for a patch. What was removed while it was away stays for ever.
struct merging_controller {
  explicit merging_controller(device_client& device) {
    device.on_desired([this](iothub::json::value const& patch, std::int64_t) { iothub::json::merge_patch(settings, patch); });
  }
  iothub::json::value settings = iothub::json::value::make_object();
};

// Asks which of the two it is: after an absence the whole document comes, and replaces.
struct controller {
  explicit controller(device_client& device) {
    device.on_desired([this](iothub::json::value const& properties, std::int64_t, iothub::desired_scope scope) {
      if (scope == iothub::desired_scope::whole)
        settings = properties;
      else
        iothub::json::merge_patch(settings, properties);
    });
  }
  iothub::json::value settings = iothub::json::value::make_object();
};

// What the controller has, and what the hub has, after settings came and went for a week.
template <class Controller>
std::pair<iothub::json::value, iothub::json::value> settings_after_a_week() {
  iothub::simulation sim{{.seed = 3, .faults = iothub::sim::bad_weather(20min)}};
  auto device = sim.make_device("boiler");
  Controller logic{device};
  device.connect().value();
  for (int i = 0; i != 7 * 24; ++i) {
    sim.hub().set_desired("boiler", {{"target", 20 + i % 5}, {"boost" + std::to_string(i), true}});
    sim.run_for(30min);
    sim.hub().set_desired("boiler", {{"boost" + std::to_string(i), nullptr}});
    sim.run_for(30min);
  }
  EXPECT_TRUE(sim.settle()) << sim;
  return {logic.settings, sim.hub().get_twin("boiler").desired.properties};
}

TEST(Controller, HasWhatTheHubHasAfterAWeekOfBadWeather) {
  auto const [ours, theirs] = settings_after_a_week<controller>();
  EXPECT_EQ(ours, theirs);
}
TEST(Controller, ThatOnlyMergesIsFoundOut) {
  auto const [ours, theirs] = settings_after_a_week<merging_controller>();
  EXPECT_NE(ours, theirs);
}

}  // namespace
