// A GoogleMock MQTT transport, for tests of what stands on one. Pass it by reference wherever a transport is wanted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gmock/gmock.h>

#include <iothub/policy/mqtt_transport.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

// Without expectations every verb succeeds, ids count from 1, there is no event and no deadline. To let an event come:
//   EXPECT_CALL(transport, next_event()).WillOnce(Return(&event)).WillRepeatedly(Return(nullptr));
struct mock_mqtt_transport {
  mock_mqtt_transport() {
    using ::testing::_;
    ON_CALL(*this, open(_, _, _)).WillByDefault([](auto&&...) { return result<void>{}; });
    ON_CALL(*this, publish(_, _)).WillByDefault([this](mqtt::publish const& message, time_point) {
      return result<std::uint16_t>{message.qos == 0 ? std::uint16_t{0} : next_id()};
    });
    ON_CALL(*this, subscribe(_, _)).WillByDefault([this](auto&&...) { return result<std::uint16_t>{next_id()}; });
    ON_CALL(*this, unsubscribe(_, _)).WillByDefault([this](auto&&...) { return result<std::uint16_t>{next_id()}; });
    ON_CALL(*this, next_event()).WillByDefault([] { return static_cast<mqtt::client_event const*>(nullptr); });
    ON_CALL(*this, deadline()).WillByDefault([] { return never; });
  }

  MOCK_METHOD(result<void>, open, (endpoint const& where, mqtt::connect const& how, time_point now));
  MOCK_METHOD(result<std::uint16_t>, publish, (mqtt::publish const& message, time_point now));
  MOCK_METHOD(result<std::uint16_t>, subscribe, (std::span<mqtt::subscription const> filters, time_point now));
  MOCK_METHOD(result<std::uint16_t>, unsubscribe, (std::span<std::string_view const> names, time_point now));
  MOCK_METHOD(void, acknowledge, (std::uint16_t id, time_point now));
  MOCK_METHOD(void, abandon, (std::uint16_t id));
  MOCK_METHOD(void, close, (mqtt::close_mode mode, time_point now));
  MOCK_METHOD(void, step, (time_point now));
  MOCK_METHOD(mqtt::client_event const*, next_event, ());
  MOCK_METHOD(time_point, deadline, (), (const));
  MOCK_METHOD(void, attach, (loop & on, participant& whom));

 private:
  std::uint16_t next_id() noexcept { return ++last_id_ == 0 ? ++last_id_ : last_id_; }
  std::uint16_t last_id_ = 0;
};

static_assert(mqtt_transport<mock_mqtt_transport>);

// An mqtt::publish to this topic, or to one that the matcher takes:
//   EXPECT_CALL(transport, publish(PublishedTo(StartsWith("devices/pump/messages/events/")), _));
MATCHER_P(PublishedTo, topic, "goes to a topic that " + ::testing::DescribeMatcher<std::string>(topic, negation)) {
  std::string const there{arg.topic};
  *result_listener << "which goes to \"" << there << '"';
  return ::testing::SafeMatcherCast<std::string>(topic).Matches(there);
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
