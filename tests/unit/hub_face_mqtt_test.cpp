// What a connected device subscribes to and publishes.
#include "hub_face_mqtt_fixture.hpp"
#include "test_data.hpp"

namespace {

using namespace hub_face_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- SUBSCRIBE

TEST_F(MqttFace, GrantsEveryDocumentedFilterAtQosOneAtMost) {
  for (std::string_view const filter : {methods_filter, twin_responses_filter, desired_changes_filter,
                                        std::string_view{"devices/d1/messages/devicebound/#"}}) {
    EXPECT_THAT(device.subscribe(filter, 0), ElementsAre("suback 0")) << filter;
    EXPECT_THAT(device.subscribe(filter, 1), ElementsAre("suback 1")) << filter;
    EXPECT_THAT(device.subscribe(filter, 2), ElementsAre("suback 1")) << filter;
  }
}

TEST_F(MqttFace, EndsOnAnUnknownFilterOrThatOfAnotherDevice) {
  for (std::string_view const filter : {"#", "foo", "$iothub/methods/POST/+", "$iothub/twin/#",
                                        "devices/d2/messages/devicebound/#", "devices/+/messages/devicebound/#"}) {
    test_device other{hub};
    other.connect("d1");
    EXPECT_THAT(other.subscribe(filter), ElementsAre("end")) << filter;
  }
  EXPECT_TRUE(hub.log.has("offence d1: a subscription to an unknown topic"));
  EXPECT_TRUE(hub.log.has("offence d1: a subscription to the topic of another device"));
}

TEST_F(MqttFace, AnswersAnUnsubscribe) {
  device.subscribe(methods_filter);
  std::string_view const filters[] = {methods_filter, "never/held"};
  device.send(mqtt::unsubscribe{.id = 9, .filters = filters});
  EXPECT_THAT(device.take(), ElementsAre("unsuback"));
  struct caller final : hub::method_caller {
    void on_method_outcome(hub::method_ticket, result<method_response>) override {}
  } nobody;
  auto const call = hub.core.invoke_method({"d1", {}}, {.name = "m"}, {}, nobody, hub.now());
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().code(), errc::device_offline);
}

// --- telemetry

TEST_F(MqttFace, TakesTelemetryOnEveryShapeOfTheTopic) {
  for (std::string_view const topic : {"devices/d1/messages/events/", "devices/d1/messages/events",
                                       "devices/d1/messages/events/k=v", "devices/d1/messages/events/k=v/"}) {
    EXPECT_THAT(device.publish(topic, "x"), ElementsAre("puback")) << topic;
    EXPECT_EQ(last_event().content.body.bytes(), "x");
  }
  EXPECT_THAT(device.publish("devices/d1/messages/events/", "x", 0), IsEmpty());
  EXPECT_EQ(hub.core.events().size(), 5u);
}

TEST_F(MqttFace, ReadsSystemAndApplicationProperties) {
  device.publish(
      "devices/d1/messages/events/%24.mid=m1&$.cid=c1&%24.ct=application%2Fjson&%24.ce=utf-8&"
      "%24.exp=2030-01-02T03%3A04%3A05.000Z&a%20b=c%26d%3D%2F%C3%A9%25%2B%3F%23&null&empty=",
      "{}");
  auto const event = last_event();
  EXPECT_EQ(event.content.message_id, "m1");
  EXPECT_EQ(event.content.correlation_id, "c1");
  EXPECT_EQ(event.content.content_type, "application/json");
  EXPECT_EQ(event.content.content_encoding, "utf-8");
  EXPECT_EQ(to_iso8601(event.content.expiry_time.value()), "2030-01-02T03:04:05.000Z");
  EXPECT_EQ(event.content.properties,
            (property_list{{"a b", "c&d=/\xc3\xa9%+?#"}, {"null", "", false}, {"empty", ""}}));
}

TEST_F(MqttFace, KeepsBinaryAndEmptyBodies) {
  using namespace std::string_view_literals;
  device.publish("devices/d1/messages/events/", "\0\xff\0"sv);
  EXPECT_EQ(last_event().content.body.bytes(), "\0\xff\0"sv);
  device.publish("devices/d1/messages/events/", "");
  EXPECT_EQ(last_event().content.body.bytes(), "");
}

TEST_F(MqttFace, ReplaysTheTelemetryThatOfficialSdksSent) {
  auto const goldens = iothub_test::load("goldens.json");
  int replayed = 0;
  for (auto const& golden : goldens.elements()) {
    auto const topic = golden["topic"].as_string();
    if (golden["packet"] != "publish" || !topic || !topic->starts_with("devices/")) continue;
    auto const seen = classify_publish(*topic);
    if (seen.kind != publish_kind::telemetry) continue;
    test_hub fresh;
    std::string const id{seen.device_id}, module{seen.module_id};
    fresh.create(id);
    if (!module.empty()) fresh.create(id, module);
    auto const token =
        fresh.token({.host_name = "hub.example", .device_id = id, .module_id = module}, fresh.key_of(id, module));
    auto const client_id = mqtt_client_id(id, module);
    auto const user = "hub.example/" + client_id + "/?api-version=2021-04-12";
    test_device sender{fresh};
    sender.send(mqtt::connect{
        .client_id = client_id, .username = user, .password = token, .has_username = true, .has_password = true});
    ASSERT_THAT(sender.take(), ElementsAre("connack 0"));
    EXPECT_THAT(sender.publish(*topic, "{}"), ElementsAre("puback")) << *topic;
    EXPECT_EQ(fresh.core.events().size(), 1u) << *topic;
    ++replayed;
  }
  EXPECT_GE(replayed, 10);
}

TEST_F(MqttFace, MarksRetainedTelemetryAndRetainsNothing) {
  device.send(mqtt::publish{.topic = "devices/d1/messages/events/", .payload = "x", .id = 3, .qos = 1, .retain = true});
  EXPECT_THAT(device.take(), ElementsAre("puback"));
  EXPECT_EQ(*last_event().content.find("mqtt-retain"), "true");
}

TEST_F(MqttFace, EndsOnATopicThatIsNotTheDevices) {
  for (std::string_view const topic :
       {"foo/bar", "devices/d2/messages/events/", "devices/d1/modules/m/messages/events/", "$iothub/twin/PUT/?$rid=1",
        "$iothub/twin/GET/more/?$rid=1", "devices/d1/files/"}) {
    test_device other{hub};
    other.connect("d1");
    EXPECT_THAT(other.publish(topic), ElementsAre("end")) << topic;
  }
  EXPECT_EQ(hub.core.events().size(), 0u);
}

TEST_F(MqttFace, EndsOnABrokenPropertyBag) {
  for (std::string_view const bag : {"=v", "&a=b", "a=b=c", "a=%zz", "a=%ff"}) {
    test_device other{hub};
    other.connect("d1");
    EXPECT_THAT(other.publish("devices/d1/messages/events/" + std::string{bag}), ElementsAre("end")) << bag;
  }
}

TEST_F(MqttFace, EndsOnQosTwo) {
  device.send(mqtt::publish{.topic = "devices/d1/messages/events/", .id = 1, .qos = 2});
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

TEST_F(MqttFace, EndsOnAPacketAboveTheLimit) {
  std::string const topic = "devices/d1/messages/events/";
  // Fixed header 1, remaining length 3, topic length 2, packet id 2: the packet is exactly 262 144 bytes.
  std::string const largest(262'144 - 1 - 3 - 2 - topic.size() - 2, 'x');
  EXPECT_THAT(device.publish(topic, largest), ElementsAre("puback"));
  EXPECT_THAT(device.publish(topic, largest + "x"), ElementsAre("end"));
}

TEST_F(MqttFace, WithholdsThePubackWhenTheQuotaIsUsedUp) {
  hub.core.faults().reject_next(hub::fault_point::send_telemetry, errc::quota_exceeded);
  EXPECT_THAT(device.publish("devices/d1/messages/events/"), IsEmpty());
  EXPECT_THAT(device.publish("devices/d1/messages/events/"), ElementsAre("puback"));
}

TEST_F(MqttFace, DelaysPubacksInTheOrderOfTheirMessages) {
  hub.core.faults().delay_next(hub::fault_point::send_telemetry, 5s);
  EXPECT_THAT(device.publish("devices/d1/messages/events/"), IsEmpty());
  EXPECT_THAT(device.publish("devices/d1/messages/events/"), IsEmpty());
  hub.advance(5s);
  EXPECT_THAT(device.take(), ElementsAre("puback", "puback"));
}

TEST_F(MqttFace, ForgetsADelayedPubackWithItsConnection) {
  hub.core.faults().delay_next(hub::fault_point::send_telemetry, 5s);
  {
    test_device other{hub};
    hub.create("d2");
    other.connect("d2");
    EXPECT_THAT(other.publish("devices/d2/messages/events/"), IsEmpty());
  }
  EXPECT_EQ(hub.mqtt.deadline(), never);
  hub.advance(5s);
}

// --- twin

TEST_F(MqttFace, AnswersATwinRead) {
  device.subscribe(twin_responses_filter);
  json::value const desired{{"a", 1}};
  hub.core.patch_twin({"d1", {}}, {.desired = &desired}, hub::unconditional, hub.now()).value();
  EXPECT_THAT(
      device.publish("$iothub/twin/GET/?$rid=7f", " ", 0),
      ElementsAre(
          R"(publish q0 $iothub/twin/res/200/?$rid=7f {"desired":{"a":1,"$version":2},"reported":{"$version":1}})"));
}

TEST_F(MqttFace, AcknowledgesBeforeItAnswers) {
  device.subscribe(twin_responses_filter);
  auto const answers = device.publish("$iothub/twin/PATCH/properties/reported/?$rid=2", R"({"on":true})");
  EXPECT_THAT(answers, ElementsAre("puback", "publish q0 $iothub/twin/res/204/?$rid=2&$version=2 "));
  EXPECT_EQ(hub.core.get_twin({"d1", {}}).value().reported["on"], true);
}

TEST_F(MqttFace, SaysInTopicAndBodyWhyAPatchIsRefused) {
  device.subscribe(twin_responses_filter);
  auto const answers = device.publish("$iothub/twin/PATCH/properties/reported/?$rid=3", "{\"a\":", 0);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(answers[0], HasSubstr(R"(publish q0 $iothub/twin/res/400/?$rid=3 {"errorCode":400004,"trackingId":")"));
  auto const expected = device.publish("$iothub/twin/PATCH/properties/reported/?$rid=4&$version=9", "{}", 0);
  ASSERT_EQ(expected.size(), 1u);
  EXPECT_THAT(expected[0], HasSubstr("$iothub/twin/res/412/?$rid=4"));
}

TEST_F(MqttFace, AppliesAPatchWithoutRequestIdAndSendsNoAnswer) {
  device.subscribe(twin_responses_filter);
  EXPECT_THAT(device.publish("$iothub/twin/PATCH/properties/reported/", R"({"on":true})", 0), IsEmpty());
  EXPECT_EQ(hub.core.get_twin({"d1", {}}).value().reported["on"], true);
  EXPECT_THAT(device.publish("$iothub/twin/GET/", "", 0), ElementsAre("end"));
}

TEST_F(MqttFace, SendsNoAnswerToADeviceThatDoesNotListen) {
  EXPECT_THAT(device.publish("$iothub/twin/GET/?$rid=1", "", 0), IsEmpty());
}

TEST_F(MqttFace, TellsChangesOfDesiredPropertiesWithTheirNulls) {
  device.subscribe(desired_changes_filter);
  json::value const desired{{"a", 1}, {"b", nullptr}};
  hub.core.patch_twin({"d1", {}}, {.desired = &desired}, hub::unconditional, hub.now()).value();
  EXPECT_THAT(
      device.take(),
      ElementsAre(R"(publish q0 $iothub/twin/PATCH/properties/desired/?$version=2 {"a":1,"b":null,"$version":2})"));
}

}  // namespace
