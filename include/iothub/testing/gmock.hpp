// For users' tests with GoogleMock: mocks of the policies and of the client, and matchers. Never included by the rest
// of the library.
//
//   iothub::testing::mock_mqtt_transport transport;
//   iothub::testing::mock_device_client device;  // where the code under test takes an any_device_client&
//   EXPECT_CALL(device, send_telemetry(HasProperty("temperatureAlert", "true"), _))
//       .WillOnce(Return(iothub::result<void>{}));
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>

#include <iothub/device/any_device_client.hpp>
#include <iothub/json/value.hpp>
#include <iothub/testing/gmock_mqtt.hpp>
#include <iothub/wire/models.hpp>
#include <iothub/wire/printers.hpp>

namespace iothub {
inline namespace v0 {

namespace testing {

// A device client whose every member is an expectation. Without expectations operations succeed, time stands at the
// beginning of 2024, and handlers are thrown away; SaveArg and Invoke get at them.
class mock_device_client : public any_device_client {
 public:
  mock_device_client() {
    using ::testing::_;
    ON_CALL(*this, connect()).WillByDefault([] { return result<void>{}; });
    ON_CALL(*this, is_connected()).WillByDefault([] { return true; });
    ON_CALL(*this, send_telemetry(_, _)).WillByDefault([](auto&&...) { return result<void>{}; });
    ON_CALL(*this, get_twin()).WillByDefault([] { return result<device_twin>{device_twin{}}; });
    ON_CALL(*this, update_reported_properties(_)).WillByDefault([](auto&&) { return result<std::int64_t>{2}; });
    ON_CALL(*this, run_for(_)).WillByDefault([](auto&&) { return true; });
    ON_CALL(*this, utc_now()).WillByDefault([] { return from_unix_seconds(1'704'067'200); });
  }

  MOCK_METHOD(result<void>, connect, (), (override));
  MOCK_METHOD(void, close, (), (override));
  MOCK_METHOD(bool, is_connected, (), (const, override));
  MOCK_METHOD(result<void>, send_telemetry, (message what, std::optional<duration> timeout), (override));
  MOCK_METHOD(void, async_send_telemetry, (message what, function<void(result<void>)> completion), (override));
  MOCK_METHOD(void, on_method, (std::string_view name, function<method_response(method_request const&)> handler),
              (override));
  MOCK_METHOD(void, on_method_call, (std::string_view name, function<void(method_request const&, responder)> handler),
              (override));
  MOCK_METHOD(result<device_twin>, get_twin, (), (override));
  MOCK_METHOD(result<std::int64_t>, update_reported_properties, (json::value const& patch), (override));
  MOCK_METHOD(void, on_desired, (function<void(json::value const&, std::int64_t)> handler), (override));
  MOCK_METHOD(void, on_message, (function<settlement(c2d_message const&)> handler), (override));
  MOCK_METHOD(void, on_connection_change, (function<void(connection_status, connection_reason)> handler), (override));
  MOCK_METHOD(timer_id, after, (duration wait, function<void()> call), (override));
  MOCK_METHOD(timer_id, every, (duration period, function<void()> call), (override));
  MOCK_METHOD(bool, cancel_timer, (timer_id id), (override));
  MOCK_METHOD(bool, run_for, (duration time), (override));
  MOCK_METHOD(time_point, now, (), (const, override));
  MOCK_METHOD(utc_time, utc_now, (), (const, override));
};

namespace detail {

inline std::string_view text_of(message_body const& body) { return body.bytes(); }
inline std::string_view text_of(message const& m) { return m.body.bytes(); }
inline std::string_view text_of(std::string_view text) { return text; }
inline std::string text_of(json::value const& v) { return v.dump(); }

}  // namespace detail

// A message with this application property.
MATCHER_P2(HasProperty, name, value,
           std::string{negation ? "has no" : "has"} + " property " + name + "=" + value) {
  std::string const* const found = arg.find(name);
  if (found == nullptr) {
    *result_listener << "which has no property " << name;
    return false;
  }
  *result_listener << "where it is \"" << *found << '"';
  return *found == value;
}

// JSON text, a JSON value, a message or a body that holds this document; the order of members does not matter.
MATCHER_P(JsonEq, text, std::string{negation ? "is not" : "is"} + " the JSON " + std::string{text}) {
  auto const expected = json::parse(text);
  if (!expected) {
    *result_listener << "but the expectation itself is no JSON: " << expected.error().message();
    return false;
  }
  auto const actual = json::parse(detail::text_of(arg));
  if (!actual) {
    *result_listener << "which is no JSON: " << actual.error().message();
    return false;
  }
  return *actual == *expected;
}

// A method response with this status.
MATCHER_P(Status, status, std::string{negation ? "has not" : "has"} + " status " + ::testing::PrintToString(status)) {
  return arg.status == status;
}

// A result that failed with this code.
MATCHER_P(FailedWith, code, std::string{negation ? "is not" : "is"} + " the error " + std::string{to_string(code)}) {
  if (arg.has_value()) {
    *result_listener << "which is a success";
    return false;
  }
  *result_listener << "which is " << to_string(arg.error().code()) << ": " << arg.error().message();
  return arg.error().code() == code;
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
