// CONNECT as devices of every make send it, and what ends a connection.
#include "hub_face_test_peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_data.hpp"

namespace {

using namespace hub_face_test;
using testing::ElementsAre;
using testing::IsEmpty;

class MqttFaceConnect : public testing::Test {
 protected:
  void SetUp() override { hub.create("d1"); }
  // CONNECT with every field said.
  lines connect(test_device& device, std::string_view client_id, std::string_view user, std::string_view token) {
    device.send(mqtt::connect{.client_id = client_id,
                              .username = user,
                              .password = token,
                              .has_username = true,
                              .has_password = !token.empty(),
                              .keep_alive = 60});
    return device.take();
  }
  test_hub hub;
};

TEST_F(MqttFaceConnect, TakesEveryFormOfTheUserName) {
  for (std::string_view const user :
       {"hub.example/d1/?api-version=2021-04-12", "hub.example/d1/api-version=2016-11-14",
        "hub.example/d1/?api-version=2020-09-30&DeviceClientType=c%2F1.0&model-id=dtmi%3Acom%3Aexample%3BT%3B1",
        "hub.example/d1/?api-version=2021-04-12&model-id=dtmi:com:example:T;1&DeviceClientType=node",
        "hub.example/d1/?DeviceClientType=x&api-version=2019-10-01", "HUB.example/d1/?api-version=anything"}) {
    test_device device{hub};
    EXPECT_THAT(connect(device, "d1", user, hub.device_token("d1")), ElementsAre("connack 0")) << user;
  }
}

TEST_F(MqttFaceConnect, ReplaysTheUserNamesThatOfficialSdksSent) {
  auto const goldens = iothub_test::load("goldens.json");
  int replayed = 0;
  for (auto const& golden : goldens.elements()) {
    auto const user = golden["username"].as_string();
    auto const id = golden["clientId"].as_string();
    if (golden["packet"] != "connect" || golden["protocol"] != "mqtt" || !user || !id) continue;
    auto const parsed = parse_mqtt_user_name(*user);
    if (!parsed || parsed->device_id == "registrations") continue;  // provisioning has a form of its own
    test_hub fresh;
    fresh.create(parsed->device_id);
    if (!parsed->module_id.empty()) fresh.create(parsed->device_id, parsed->module_id);
    auto const token =
        fresh.token({.host_name = "localhost", .device_id = parsed->device_id, .module_id = parsed->module_id},
                    fresh.key_of(parsed->device_id, parsed->module_id));
    test_device device{fresh};
    device.send(mqtt::connect{.client_id = *id,
                              .username = *user,
                              .password = token,
                              .has_username = true,
                              .has_password = true,
                              .keep_alive = 60});
    EXPECT_THAT(device.take(), ElementsAre("connack 0")) << *user;
    ++replayed;
  }
  EXPECT_EQ(replayed, 9);
}

TEST_F(MqttFaceConnect, RefusesAClientIdThatDiffersFromTheUserNameInCase) {
  test_device device{hub};
  EXPECT_THAT(connect(device, "D1", "hub.example/d1/?api-version=2021-04-12", hub.device_token("d1")),
              ElementsAre("connack 5", "end"));
  EXPECT_TRUE(hub.log.has("refused : the client id is not the identity in the user name"));
}

TEST_F(MqttFaceConnect, RefusesBadCredentialsWithCode5AndSaysWhyInTheLog) {
  hub.create("d2");
  auto const user = "hub.example/d1/?api-version=2021-04-12";
  auto const expired = hub.device_token("d1", 60s);
  hub.advance(60s + 312s);
  struct row {
    std::string token;
    char const* log;
  };
  for (auto const& [token, log] :
       {row{hub.token({.host_name = "hub.example", .device_id = "d1"}, hub.key_of("d2")), "wrong key"},
        row{expired, "expired by 312 s"}, row{hub.device_token("d2"), "resource"}, row{"", "refused d1"},
        row{"SharedAccessSignature sr=x", "refused d1"}}) {
    test_device device{hub};
    hub.log.lines.clear();
    EXPECT_THAT(connect(device, "d1", user, token), ElementsAre("connack 5", "end"));
    EXPECT_TRUE(hub.log.has(log)) << log << testing::PrintToString(hub.log.lines);
    for (auto const& line : hub.log.lines) EXPECT_EQ(line.find("sig="), std::string::npos) << line;
  }
}

TEST_F(MqttFaceConnect, RefusesAnUnknownDeviceWithCode5) {
  test_device device{hub};
  EXPECT_THAT(connect(device, "nobody", "hub.example/nobody/?api-version=2021-04-12", hub.device_token("d1")),
              ElementsAre("connack 5", "end"));
}

TEST_F(MqttFaceConnect, RefusesAUserNameThatIsNone) {
  for (std::string_view const user : {"", "hub.example", "hub.example/d1", "hub.example//?api-version=1",
                                      "hub.example/d1/?api-version=", "hub.example/d1/m/x/?api-version=1"}) {
    test_device device{hub};
    EXPECT_THAT(connect(device, "d1", user, hub.device_token("d1")), ElementsAre("connack 5", "end")) << user;
  }
}

TEST_F(MqttFaceConnect, RefusesADisabledDeviceWithTheCodeOfTheSwitch) {
  hub.create("off", identity_status::disabled);
  test_device device{hub};
  EXPECT_THAT(device.connect("off"), ElementsAre("connack 3", "end"));
  test_hub other{{.disabled_device_code = 5}};
  other.create("off", identity_status::disabled);
  test_device second{other};
  EXPECT_THAT(second.connect("off"), ElementsAre("connack 5", "end"));
}

TEST_F(MqttFaceConnect, ClosesTheConnectionOfADeviceThatIsDisabledOrDeleted) {
  test_device device{hub};
  device.connect("d1");
  auto identity = hub.core.get_identity({"d1", {}}).value();
  identity.status = identity_status::disabled;
  hub.core.put_identity(identity, iothub::hub::unconditional, hub.now()).value();
  EXPECT_THAT(device.take(), ElementsAre("end"));
  test_device again{hub};
  EXPECT_THAT(again.connect("d1"), ElementsAre("connack 3", "end"));
  hub.core.delete_identity({"d1", {}}, iothub::hub::unconditional, hub.now()).value();
  test_device third{hub};
  EXPECT_THAT(connect(third, "d1", "hub.example/d1/?api-version=2021-04-12", "x"), ElementsAre("connack 5", "end"));
}

TEST_F(MqttFaceConnect, ASecondConnectionEndsTheFirstAndPublishesItsWill) {
  test_device first{hub};
  auto const token = hub.device_token("d1");
  first.send(mqtt::connect{.client_id = "d1",
                           .username = "hub.example/d1/?api-version=2021-04-12",
                           .password = token,
                           .has_username = true,
                           .has_password = true,
                           .has_will = true,
                           .keep_alive = 60,
                           .will = {.topic = "devices/d1/messages/events/a=b", .payload = "gone", .retain = true}});
  EXPECT_THAT(first.take(), ElementsAre("connack 0"));
  test_device second{hub};
  EXPECT_THAT(second.connect("d1"), ElementsAre("connack 0"));
  EXPECT_THAT(first.take(), ElementsAre("end"));
  auto const events = hub.core.events().all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].content.body.bytes(), "gone");
  EXPECT_EQ(*events[0].content.find("iothub-MessageType"), "Will");
  EXPECT_EQ(*events[0].content.find("mqtt-retain"), "true");
  EXPECT_EQ(*events[0].content.find("a"), "b");
}

TEST_F(MqttFaceConnect, ACleanDisconnectPublishesNoWill) {
  test_device device{hub};
  auto const token = hub.device_token("d1");
  device.send(mqtt::connect{.client_id = "d1",
                            .username = "hub.example/d1/?api-version=2021-04-12",
                            .password = token,
                            .has_username = true,
                            .has_password = true,
                            .has_will = true,
                            .will = {.topic = "devices/d1/messages/events/", .payload = "gone"}});
  device.send(mqtt::packet{mqtt::packet_type::disconnect});
  EXPECT_THAT(device.take(), ElementsAre("connack 0", "end"));
  EXPECT_THAT(hub.core.events().all(), IsEmpty());
}

TEST_F(MqttFaceConnect, RefusesAWillForAnotherTopic) {
  for (std::string_view const topic : {"devices/d2/messages/events/", "foo/bar", "$iothub/twin/GET/?$rid=1"}) {
    test_device device{hub};
    auto const token = hub.device_token("d1");
    device.send(mqtt::connect{.client_id = "d1",
                              .username = "hub.example/d1/?api-version=2021-04-12",
                              .password = token,
                              .has_username = true,
                              .has_password = true,
                              .has_will = true,
                              .will = {.topic = topic, .payload = "x"}});
    EXPECT_THAT(device.take(), ElementsAre("connack 5", "end")) << topic;
  }
}

TEST_F(MqttFaceConnect, EndsASilentConnectionAfterOneAndAHalfKeepAlives) {
  test_device device{hub}, pinging{hub};
  device.keep_alive = pinging.keep_alive = 60;
  hub.create("d2");
  device.connect("d1");
  pinging.connect("d2");
  hub.advance(89s);
  pinging.send(mqtt::packet{mqtt::packet_type::pingreq});
  EXPECT_THAT(pinging.take(), ElementsAre("pingresp"));
  EXPECT_THAT(device.take(), IsEmpty());
  hub.advance(2s);
  EXPECT_THAT(device.take(), ElementsAre("end"));
  EXPECT_THAT(pinging.take(), IsEmpty());
}

TEST_F(MqttFaceConnect, CapsTheKeepAlive) {
  test_device device{hub};
  device.keep_alive = 1740;
  device.connect("d1");
  hub.advance(1766s);
  EXPECT_THAT(device.take(), IsEmpty());
  hub.advance(1s);
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

TEST_F(MqttFaceConnect, WaitsSixtySecondsForTheConnect) {
  test_device device{hub};
  hub.advance(59s);
  EXPECT_THAT(device.take(), IsEmpty());
  hub.advance(1s);
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

TEST_F(MqttFaceConnect, KeepsALiveConnectionTenMinutesBeyondItsToken) {
  test_device device{hub};
  device.keep_alive = 0;
  auto const token = hub.device_token("d1", 1000s);
  connect(device, "d1", "hub.example/d1/?api-version=2021-04-12", token);
  auto const stays_for = [&](std::chrono::seconds time) {
    for (; time > 0s; time -= 50s) {
      hub.advance(50s);
      device.send(mqtt::packet{mqtt::packet_type::pingreq});
      if (device.take() != lines{"pingresp"}) return false;
    }
    return true;
  };
  EXPECT_TRUE(stays_for(1000s));
  EXPECT_TRUE(stays_for(550s));
  hub.advance(50s);
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

TEST_F(MqttFaceConnect, HandlesWhatIsPipelinedBehindConnect) {
  test_device device{hub};
  byte_buffer bytes;
  auto const token = hub.device_token("d1");
  mqtt::subscription const filters[] = {{methods_filter, 1}};
  mqtt::encode(mqtt::connect{.client_id = "d1",
                             .username = "hub.example/d1/?api-version=2021-04-12",
                             .password = token,
                             .has_username = true,
                             .has_password = true},
               bytes);
  mqtt::encode(mqtt::subscribe{.id = 1, .filters = filters}, bytes);
  mqtt::encode(mqtt::publish{.topic = "devices/d1/messages/events/", .payload = "x", .id = 2, .qos = 1}, bytes);
  device.send_bytes(bytes.view());
  EXPECT_THAT(device.take(), ElementsAre("connack 0", "suback 1", "puback"));
}

TEST_F(MqttFaceConnect, GivesTheSameAnswersToBytesThatComeOneByOne) {
  test_device device{hub};
  byte_buffer bytes;
  auto const token = hub.device_token("d1");
  mqtt::encode(mqtt::connect{.client_id = "d1",
                             .username = "hub.example/d1/?api-version=2021-04-12",
                             .password = token,
                             .has_username = true,
                             .has_password = true},
               bytes);
  mqtt::encode(mqtt::publish{.topic = "devices/d1/messages/events/", .payload = "x", .id = 2, .qos = 1}, bytes);
  for (char const byte : bytes.view()) device.send_bytes({&byte, 1});
  EXPECT_THAT(device.take(), ElementsAre("connack 0", "puback"));
}

TEST_F(MqttFaceConnect, EndsAConnectionThatDoesNotBeginWithConnect) {
  test_device device{hub};
  device.send(mqtt::packet{mqtt::packet_type::pingreq});
  EXPECT_THAT(device.take(), ElementsAre("end"));
}

TEST_F(MqttFaceConnect, AServiceThatIsBusyIsCode3) {
  hub.core.faults().reject_next(hub::fault_point::connect, errc::service_unavailable);
  test_device device{hub};
  EXPECT_THAT(device.connect("d1"), ElementsAre("connack 3", "end"));
  test_device again{hub};
  EXPECT_THAT(again.connect("d1"), ElementsAre("connack 0"));
}


TEST_F(MqttFaceConnect, RefusesAUserNameOfAnotherHub) {
  for (std::string_view const host : {"other.example", "hub.example:x"}) {
    test_device device{hub};
    EXPECT_THAT(connect(device, "d1", std::string{host} + "/d1/?api-version=2021-04-12", hub.device_token("d1")),
                ElementsAre("connack 5", "end"))
        << host;
    EXPECT_TRUE(hub.log.has("refused : wrong host: " + std::string{host}));
  }
  for (std::string_view const host : {"localhost:8883", "127.0.0.1", "HUB.EXAMPLE:443"}) {
    test_device device{hub};
    EXPECT_THAT(connect(device, "d1", std::string{host} + "/d1/?api-version=2021-04-12", hub.device_token("d1")),
                ElementsAre("connack 0"))
        << host;
  }
}

TEST(MqttFaceHost, IsAnyWhereTheHubDoesNotCheckIt) {
  iothub::hub::options settings;
  settings.check_mqtt_host = false;
  test_hub hub{settings};
  hub.create("d1");
  test_device device{hub};
  auto const token = hub.device_token("d1");
  device.send(mqtt::connect{.client_id = "d1",
                            .username = "other.example/d1/?api-version=2021-04-12",
                            .password = token,
                            .has_username = true,
                            .has_password = true,
                            .keep_alive = 60});
  EXPECT_THAT(device.take(), ElementsAre("connack 0"));
}

TEST_F(MqttFaceConnect, ADeletedDevicesSessionIsForgotten) {
  test_device device{hub};
  device.connect("d1");
  device.subscribe("$iothub/methods/POST/#");
  EXPECT_EQ(hub.mqtt.stored_sessions(), 1u);
  ASSERT_TRUE(hub.core.delete_identity({"d1", {}}, iothub::hub::unconditional, hub.now()));
  EXPECT_EQ(hub.mqtt.stored_sessions(), 0u);
}

}  // namespace
