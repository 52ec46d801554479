// A unit test of a device's own logic with GoogleMock instead of a hub, where each call matters: the logic takes an
// any_device_client, and the test gives it a mock. Where behaviour matters more than calls, see pump_test.cpp.
#include <gmock/gmock.h>

#include <iothub/testing/gmock.hpp>
#include <string>
#include <utility>
#include <vector>

namespace {

using iothub::testing::FailedWith;
using iothub::testing::HasProperty;
using iothub::testing::JsonEq;
using iothub::testing::Status;
using ::testing::_;
using ::testing::AllOf;
using ::testing::InSequence;
using ::testing::NiceMock;
using ::testing::Return;
using ::testing::StrictMock;

// The logic under test: collects readings of sensors behind it and sends them in batches of three.
class gateway {
 public:
  explicit gateway(iothub::any_device_client& device) : device_{device} {
    device_.on_method("flush", [this](iothub::method_request const&) -> iothub::method_response {
      auto const sent = flush();
      if (!sent) return {.status = 503, .payload = {{"reason", std::string{sent.error().message()}}}};
      return {.status = 200};
    });
  }

  // Keeps the readings for another try when they cannot be sent.
  iothub::result<void> add(std::string sensor, double reading) {
    batch_.push_back({{"sensor", std::move(sensor)}, {"reading", reading}});
    return batch_.size() < 3 ? iothub::result<void>{} : flush();
  }
  iothub::result<void> flush() {
    auto body = iothub::json::value::make_array();
    for (auto const& reading : batch_) body.push_back(reading);
    auto sent = device_.send_telemetry({.body = body, .properties = {{"count", std::to_string(batch_.size())}}});
    if (sent) batch_.clear();
    return sent;
  }

 private:
  iothub::any_device_client& device_;
  std::vector<iothub::json::value> batch_;
};

TEST(Gateway, SendsThreeReadingsAtOnce) {
  NiceMock<iothub::testing::mock_device_client> device;
  gateway logic{device};
  EXPECT_CALL(device, send_telemetry(AllOf(HasProperty("count", "3"), JsonEq(R"([{"sensor":"a","reading":1},
      {"sensor":"b","reading":2},{"sensor":"a","reading":3}])")),
                                     _));
  EXPECT_TRUE(logic.add("a", 1));
  EXPECT_TRUE(logic.add("b", 2));
  EXPECT_TRUE(logic.add("a", 3));
}

TEST(Gateway, KeepsWhatCouldNotBeSent) {
  NiceMock<iothub::testing::mock_device_client> device;
  gateway logic{device};
  InSequence s;
  EXPECT_CALL(device, send_telemetry(HasProperty("count", "3"), _))
      .WillOnce(Return(iothub::error{iothub::errc::timeout, "the cable is out"}));
  EXPECT_CALL(device, send_telemetry(HasProperty("count", "4"), _));
  (void)logic.add("a", 1);
  (void)logic.add("a", 2);
  EXPECT_THAT(logic.add("a", 3), FailedWith(iothub::errc::timeout));
  EXPECT_TRUE(logic.add("a", 4));
}

TEST(Gateway, FlushesOnDemandAndSaysWhyItCouldNot) {
  StrictMock<iothub::testing::mock_device_client> device;
  iothub::function<iothub::method_response(iothub::method_request const&)> flush;
  EXPECT_CALL(device, on_method("flush", _)).WillOnce([&](auto, auto handler) { flush = std::move(handler); });
  gateway logic{device};
  EXPECT_CALL(device, send_telemetry(JsonEq("[]"), _))
      .WillOnce(Return(iothub::result<void>{}))
      .WillOnce(Return(iothub::error{iothub::errc::outbox_full, "full"}));
  EXPECT_THAT(flush({.name = "flush"}), Status(200));
  EXPECT_EQ(flush({.name = "flush"}), (iothub::method_response{503, {{"reason", "full"}}}));
}

}  // namespace
