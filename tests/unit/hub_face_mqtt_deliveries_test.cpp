// What the hub delivers to a connected device: method calls and messages, also those that waited for it.
#include "hub_face_mqtt_fixture.hpp"

namespace {

using namespace hub_face_test;
using testing::ElementsAre;
using testing::HasSubstr;

// --- methods

class MqttFaceMethods : public MqttFace, public hub::method_caller {
 protected:
  void on_method_outcome(hub::method_ticket, result<method_response> outcome) override {
    outcomes.push_back(outcome ? std::to_string(outcome->status) + " " + outcome->payload.dump()
                               : std::string{to_string(outcome.error().code())});
  }
  void invoke(json::value payload = {}) {
    EXPECT_TRUE(
        hub.core.invoke_method({"d1", {}}, {.name = "reboot", .payload = std::move(payload)}, {}, *this, hub.now()));
  }
  lines outcomes;
};

TEST_F(MqttFaceMethods, CarriesACallAndItsAnswer) {
  device.subscribe(methods_filter);
  invoke({{"method_number", "42"}});
  EXPECT_THAT(device.take(), ElementsAre(R"(publish q0 $iothub/methods/POST/reboot/?$rid=1 {"method_number":"42"})"));
  EXPECT_THAT(device.publish("$iothub/methods/res/200/?$rid=1", R"({"ok":1})"), ElementsAre("puback"));
  EXPECT_THAT(outcomes, ElementsAre(R"(200 {"ok":1})"));
}

TEST_F(MqttFaceMethods, TakesEveryStatusAndAnEmptyPayload) {
  device.subscribe(methods_filter);
  int rid = 0;
  for (std::string_view const status : {"0", "-1", "404", "2147483647"}) {
    invoke();
    device.publish("$iothub/methods/res/" + std::string{status} + "/?$rid=" + std::to_string(++rid), "", 0);
  }
  EXPECT_THAT(outcomes, ElementsAre("0 null", "-1 null", "404 null", "2147483647 null"));
}

TEST_F(MqttFaceMethods, CallsABadAnswerOne) {
  device.subscribe(methods_filter);
  invoke();
  invoke();
  invoke();
  device.publish("$iothub/methods/res/200/?$rid=1", "{", 0);
  device.publish("$iothub/methods/res/ok/?$rid=2", "{}", 0);
  device.publish("$iothub/methods/res/200/?$rid=3", '"' + std::string(131'072, 'x') + '"', 0);
  EXPECT_THAT(outcomes, ElementsAre("bad_device_response", "bad_device_response", "bad_device_response"));
}

TEST_F(MqttFaceMethods, IgnoresLateAndUnknownAnswers) {
  device.subscribe(methods_filter);
  invoke();
  hub.advance(30s);
  EXPECT_THAT(outcomes, ElementsAre("device_timeout"));
  device.take();
  device.publish("$iothub/methods/res/200/?$rid=1", "{}", 0);
  device.publish("$iothub/methods/res/200/?$rid=zz", "{}", 0);
  EXPECT_TRUE(device.alive());
  EXPECT_EQ(outcomes.size(), 1u);
}

// --- cloud to device and sessions

TEST_F(MqttFace, DeliversInTheLayoutThatEverySdkParsesAndCompletesOnPuback) {
  device.subscribe("devices/d1/messages/devicebound/#");
  message what{.body = "hello", .properties = {{"app 1", "a+b"}}, .message_id = "m1"};
  send_c2d(what);
  EXPECT_THAT(
      device.take(),
      ElementsAre(
          "publish q1 devices/d1/messages/devicebound/%24.mid=m1&%24.to=%2Fdevices%2Fd1%2Fmessages%2FdeviceBound&"
          "app%201=a%2Bb hello"));
  EXPECT_EQ(hub.core.get_identity({"d1", {}}).value().cloud_to_device_message_count, 1u);
  device.puback(device.last_id);
  EXPECT_EQ(hub.core.get_identity({"d1", {}}).value().cloud_to_device_message_count, 0u);
}

TEST_F(MqttFace, CompletesAtQosZeroWhenSent) {
  device.subscribe("devices/d1/messages/devicebound/#", 0);
  send_c2d({.body = "x"});
  EXPECT_THAT(device.take(), ElementsAre(HasSubstr("publish q0 devices/d1/messages/devicebound/")));
  EXPECT_EQ(hub.core.get_identity({"d1", {}}).value().cloud_to_device_message_count, 0u);
}

TEST_F(MqttFace, KeptSessionsGetTheirMessagesRightBehindConnack) {
  device.subscribe("devices/d1/messages/devicebound/#");
  device.lose();
  send_c2d({.body = "first"});
  send_c2d({.body = "second"});
  test_device again{hub};
  auto const got = again.connect("d1");
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "connack 0 present");
  EXPECT_THAT(got[1], HasSubstr(" first"));
  EXPECT_THAT(got[2], HasSubstr(" second"));
}

TEST_F(MqttFace, ACleanSessionGetsThemOnlyAfterItsSubscribe) {
  device.subscribe("devices/d1/messages/devicebound/#");
  device.lose();
  test_device again{hub};
  EXPECT_THAT(again.connect("d1", true), ElementsAre("connack 0"));
  auto const answers = again.subscribe("devices/d1/messages/devicebound/#");
  EXPECT_EQ(answers.at(0), "suback 1");
  send_c2d({.body = "after"});
  EXPECT_THAT(again.take(), ElementsAre(HasSubstr(" after")));
}

TEST_F(MqttFace, SendsWhatWasNotAcknowledgedAgainWithDup) {
  device.subscribe("devices/d1/messages/devicebound/#");
  send_c2d({.body = "x"});
  EXPECT_THAT(device.take(), ElementsAre(HasSubstr("publish q1 devices/")));
  device.lose();
  test_device again{hub};
  auto const got = again.connect("d1");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_THAT(got[1], HasSubstr("publish q1 dup devices/d1/messages/devicebound/"));
}

TEST_F(MqttFace, AMessageThatIsSentAgainHasTheIdThatItHad) {
  device.subscribe("devices/d1/messages/devicebound/#");
  send_c2d({.body = "x"});
  device.take();
  EXPECT_EQ(device.last_id, 1);
  device.puback(1);
  send_c2d({.body = "y"});
  device.take();
  EXPECT_EQ(device.last_id, 2);
  device.lose();
  test_device again{hub};
  EXPECT_THAT(again.connect("d1").at(1), HasSubstr("publish q1 dup devices/d1/messages/devicebound/"));
  EXPECT_EQ(again.last_id, 2);
  again.puback(2);
  EXPECT_EQ(hub.core.get_identity({"d1", {}}).value().cloud_to_device_message_count, 0u);
}

TEST_F(MqttFace, TheIdsOfMessagesGoAroundAndPassOverTheOneInUse) {
  device.subscribe("devices/d1/messages/devicebound/#");
  send_c2d({.body = "never acknowledged"});
  device.take();
  for (int i = 2; i <= 65'535; ++i) {
    send_c2d({});
    device.take();
    ASSERT_EQ(device.last_id, i);
    device.puback(device.last_id);
  }
  send_c2d({.body = "x"});
  EXPECT_THAT(device.take(), ElementsAre(HasSubstr(" x")));
  EXPECT_EQ(device.last_id, 2);
  device.puback(2);
  EXPECT_EQ(hub.core.get_identity({"d1", {}}).value().cloud_to_device_message_count, 1u);
}

TEST_F(MqttFace, AKeptSessionHoldsItsSubscriptionsToMethodsAndTwin) {
  device.subscribe(methods_filter);
  device.subscribe(twin_responses_filter);
  device.subscribe(desired_changes_filter);
  device.send(mqtt::packet{mqtt::packet_type::disconnect});
  test_device again{hub};
  ASSERT_THAT(again.connect("d1"), ElementsAre("connack 0 present"));
  EXPECT_THAT(again.publish("$iothub/twin/GET/?$rid=1", " ", 0),
              ElementsAre(HasSubstr("$iothub/twin/res/200/?$rid=1")));
  json::value const desired{{"a", 1}};
  hub.core.patch_twin({"d1", {}}, {.desired = &desired}, hub::unconditional, hub.now()).value();
  EXPECT_THAT(again.take(), ElementsAre(HasSubstr("properties/desired/?$version=2")));
}

TEST_F(MqttFace, AModulesSubscriptionToMessagesIsTakenAndMeansNothing) {
  hub.create("d1", "m1");
  auto const token =
      hub.token({.host_name = "hub.example", .device_id = "d1", .module_id = "m1"}, hub.key_of("d1", "m1"));
  test_device module{hub};
  module.send(mqtt::connect{.client_id = "d1/m1",
                            .username = "hub.example/d1/m1/?api-version=2021-04-12",
                            .password = token,
                            .has_username = true,
                            .has_password = true});
  EXPECT_THAT(module.take(), ElementsAre("connack 0"));
  EXPECT_THAT(module.subscribe("devices/d1/modules/m1/messages/devicebound/#"), ElementsAre("suback 1"));
  EXPECT_THAT(module.subscribe("devices/d1/modules/m1/inputs/#"), ElementsAre("suback 1"));
  EXPECT_THAT(module.subscribe("devices/d1/modules/m1/#"), ElementsAre("suback 1"));
  EXPECT_TRUE(device.alive());  // its device's own connection is another one
}

// --- switches

class MqttFaceTolerant : public MqttFace {
 protected:
  MqttFaceTolerant()
      : MqttFace{{.publish_qos2 = hub::on_offence::tolerate,
                  .unknown_topic = hub::on_offence::tolerate,
                  .over_quota = hub::on_offence::close,
                  .twin_error_body = false}} {}
};

TEST_F(MqttFaceTolerant, TakesUnknownTopicsAsTelemetryAndAcknowledgesQosTwo) {
  EXPECT_THAT(device.publish("foo/bar", "x"), ElementsAre("puback"));
  EXPECT_THAT(device.subscribe("foo/#"), ElementsAre("suback 1"));
  device.send(mqtt::publish{.topic = "devices/d1/messages/events/", .id = 9, .qos = 2});
  EXPECT_THAT(device.take(), ElementsAre("puback"));
  EXPECT_EQ(hub.core.events().size(), 2u);
}

TEST_F(MqttFaceTolerant, SendsNoErrorBodyAndClosesOverQuota) {
  device.subscribe(twin_responses_filter);
  EXPECT_THAT(device.publish("$iothub/twin/PATCH/properties/reported/?$rid=3", "[", 0),
              ElementsAre("publish q0 $iothub/twin/res/400/?$rid=3 "));
  hub.core.faults().reject_next(hub::fault_point::send_telemetry, errc::quota_exceeded);
  EXPECT_THAT(device.publish("devices/d1/messages/events/"), ElementsAre("end"));
}

}  // namespace
