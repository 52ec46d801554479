// A unit test of a device's own logic against the fake hub: nothing is mocked, nothing sleeps. The hub, the device and
// the back end live in this process and in virtual time, so that twenty seconds of rebooting take none.
#include <gtest/gtest.h>

#include <chrono>
#include <iothub/fake_hub.hpp>
#include <string>

using namespace std::chrono_literals;

namespace {

// The logic under test. In the product DeviceClient is iothub::device_client; the code is the same.
template <class DeviceClient>
class pump {
 public:
  explicit pump(DeviceClient& device) : device_{device} {
    device.on_method("rebootDevice", [this](iothub::method_request const&) -> iothub::method_response {
      device_.after(20s, [this] {
        device_.async_update_reported_properties({{"rebootTime", iothub::to_iso8601(device_.utc_now())}}, [](auto) {});
      });
      return {.status = 202, .payload = {{"accepted", true}}};
    });
    device.on_desired([this](iothub::json::value const& properties, std::int64_t) {
      if (auto const limit = properties["maxPressure"].as_double()) max_pressure_ = *limit;
    });
  }

  void measure(double pressure) {
    device_.async_send_telemetry(
        {.body = {{"pressure", pressure}}, .properties = {{"alert", pressure > max_pressure_ ? "true" : "false"}}},
        [this](iothub::result<void> outcome) { lost_ += !outcome; });
  }
  [[nodiscard]] int lost_messages() const { return lost_; }

 private:
  DeviceClient& device_;
  double max_pressure_ = 5.0;
  int lost_ = 0;
};

TEST(Pump, ReportsItsRebootTwentySecondsAfterTheCall) {
  iothub::fake_hub hub;  // its clock starts at 2024-01-01T00:00:00Z
  auto device = hub.connect_device("pump-7");
  pump logic{device};
  auto service = hub.connect_service();

  auto const reply = service.invoke_method("pump-7", {.name = "rebootDevice"}).value();
  EXPECT_EQ(reply.status, 202);
  EXPECT_TRUE(service.get_twin("pump-7").value().reported["rebootTime"].is_null());

  hub.run_for(20s);
  EXPECT_EQ(service.get_twin("pump-7").value().reported["rebootTime"], "2024-01-01T00:00:20.000Z");
}

TEST(Pump, RaisesAnAlertAboveTheDesiredPressure) {
  iothub::fake_hub hub;
  auto device = hub.connect_device("pump-7");
  pump logic{device};

  hub.set_desired("pump-7", {{"maxPressure", 2.5}});
  hub.run_for(1s);
  logic.measure(2.0);
  logic.measure(3.0);

  EXPECT_EQ(*hub.next_event().value().content.find("alert"), "false");
  EXPECT_EQ(*hub.next_event().value().content.find("alert"), "true");
}

TEST(Pump, LearnsWhatWasDesiredWhileItWasAway) {
  iothub::fake_hub hub;
  auto device = hub.make_device("pump-7");  // not connected yet
  pump logic{device};
  hub.set_desired("pump-7", {{"maxPressure", 1.0}});

  device.connect().value();
  hub.run_for(1s);
  logic.measure(1.5);
  EXPECT_EQ(*hub.next_event().value().content.find("alert"), "true");
}

TEST(Pump, LosesNoMessageWhenTheConnectionBreaks) {
  iothub::fake_hub hub;
  auto device = hub.connect_device("pump-7");
  pump logic{device};

  for (int i = 0; i != 10; ++i) {
    logic.measure(i);
    if (i == 5) hub.disconnect("pump-7");
  }
  EXPECT_TRUE(hub.wait_for_events(10));
  EXPECT_EQ(logic.lost_messages(), 0);
}

TEST(Pump, CountsWhatATooLongOutageCost) {
  iothub::fake_hub hub;
  auto device = hub.connect_device("pump-7");
  pump logic{device};

  hub.refuse_connections(true);
  hub.disconnect("pump-7");
  logic.measure(1.0);
  hub.run_for(11s);  // a message waits 10 s unless device_options.publish_timeout says otherwise
  EXPECT_EQ(logic.lost_messages(), 1);
}

}  // namespace
