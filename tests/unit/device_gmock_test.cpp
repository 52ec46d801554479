// The device client on a GoogleMock transport by reference, the mocks of testing/gmock.hpp, and its matchers.
#include <iothub/testing/gmock.hpp>

#include <iothub/crypto/seeded.hpp>
#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/device_client.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

namespace {

using namespace iothub;
using namespace iothub::testing;
using namespace std::chrono_literals;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::NiceMock;
using ::testing::Not;
using ::testing::Return;
using ::testing::StartsWith;
using ::testing::StrictMock;

using mocked_client = basic_device_client<over_mqtt<mock_mqtt_transport&>, loop_clock, seeded_crypto>;

struct mocked {
  NiceMock<mock_mqtt_transport> transport;
  memory::virtual_loop loop;
  std::deque<mqtt::client_event> events;
  mqtt::client_event current;

  mocked() {
    ON_CALL(transport, next_event()).WillByDefault([this]() -> mqtt::client_event const* {
      if (events.empty()) return nullptr;
      current = events.front();
      events.pop_front();
      return &current;
    });
    ON_CALL(transport, deadline()).WillByDefault([this] { return events.empty() ? never : time_point::min(); });
    ON_CALL(transport, open(_, _, _)).WillByDefault([this](auto&&...) {
      push(mqtt::client_event_kind::connected, 0);
      return result<void>{};
    });
    ON_CALL(transport, publish(_, _)).WillByDefault([this](mqtt::publish const& p, time_point) {
      if (p.qos == 1) push(mqtt::client_event_kind::published, 7);
      return result<std::uint16_t>{p.qos == 0 ? std::uint16_t{0} : std::uint16_t{7}};
    });
  }
  void push(mqtt::client_event_kind kind, std::uint16_t id) {
    mqtt::client_event e;
    e.kind = kind;
    e.id = id;
    events.push_back(e);
  }
  mocked_client make() {
    auto const connection = parse_device_connection_string("HostName=h;DeviceId=d1;SharedAccessKey=a2V5").value();
    return mocked_client::create(loop, connection, transport, loop_clock{loop}, seeded_crypto{}).value();
  }
};

TEST(MockedTransport, SeesTheTelemetryOfTheClient) {
  mocked w;
  auto device = w.make();
  EXPECT_CALL(w.transport, open(Field(&endpoint::port, 8883), Field(&mqtt::connect::client_id, "d1"), _));
  EXPECT_TRUE(device.connect());
  EXPECT_CALL(w.transport,
              publish(AllOf(Field(&mqtt::publish::topic, "devices/d1/messages/events/temperatureAlert=true"),
                            Field(&mqtt::publish::payload, R"({"temperature":31})"), Field(&mqtt::publish::qos, 1)),
                      _));
  EXPECT_TRUE(device.send_telemetry(
      {.body = {{"temperature", 31}}, .properties = {{"temperatureAlert", "true"}}}));
}

TEST(MockedTransport, TakesTheClientDownWhenItRefuses) {
  mocked w;
  EXPECT_CALL(w.transport, open(_, _, _)).WillOnce([&](auto&&...) {
    w.push(mqtt::client_event_kind::refused, 0);
    w.events.back().code = mqtt::connect_code::not_authorized;
    return result<void>{};
  });
  auto device = w.make();
  EXPECT_THAT(device.connect(), FailedWith(errc::unauthorized));
}

// A user's own device logic, written against the view.
struct thermometer {
  explicit thermometer(any_device_client& d) : device{d} {
    device.on_method("SetTelemetryInterval", [this](method_request const& request) -> method_response {
      auto const seconds = request.payload.as_int();
      if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
      interval = std::chrono::seconds{*seconds};
      return {.status = 200};
    });
  }
  result<void> report(double temperature) {
    return device.send_telemetry({.body = {{"temperature", temperature}},
                                  .properties = {{"temperatureAlert", temperature > 30 ? "true" : "false"}}},
                                 std::nullopt);
  }
  any_device_client& device;
  std::chrono::seconds interval{1};
};

TEST(MockedClient, TestsUserLogicWithoutAnyHub) {
  StrictMock<mock_device_client> device;
  function<method_response(method_request const&)> handler;
  EXPECT_CALL(device, on_method("SetTelemetryInterval", _)).WillOnce([&](auto, auto h) { handler = std::move(h); });
  thermometer logic{device};
  EXPECT_CALL(device, send_telemetry(AllOf(HasProperty("temperatureAlert", "true"), JsonEq(R"({"temperature":31.5})")), _));
  EXPECT_TRUE(logic.report(31.5));
  EXPECT_CALL(device, send_telemetry(HasProperty("temperatureAlert", "false"), _))
      .WillOnce(Return(result<void>{errc::timeout}));
  EXPECT_THAT(logic.report(20), FailedWith(errc::timeout));
  EXPECT_THAT(handler({.name = "SetTelemetryInterval", .payload = 10}), Status(200));
  EXPECT_EQ(logic.interval, 10s);
  EXPECT_THAT(handler({.name = "SetTelemetryInterval", .payload = "x"}),
              AllOf(Status(400), Field(&method_response::payload, JsonEq(R"({"Response":"Invalid parameter"})"))));
}

TEST(Matchers, SayWhatIsWrong) {
  message m;
  m.properties = {{"a", "1"}};
  m.body = "no json";
  EXPECT_THAT(m, Not(HasProperty("a", "2")));
  EXPECT_THAT(m, Not(HasProperty("b", "1")));
  EXPECT_THAT(m, Not(JsonEq("{}")));
  EXPECT_THAT(json::parse(R"({"b":2,"a":1})").value(), JsonEq(R"({"a":1,"b":2})"));
  EXPECT_THAT(result<int>{5}, Not(FailedWith(errc::timeout)));
  EXPECT_EQ(::testing::PrintToString(m), "message \"no json\" a=1");
}

}  // namespace
