// What the hub itself has to say in the event endpoint, as its readers see it. Expected: the examples of Microsoft docs
// "Azure IoT Hub non-telemetry event schemas".
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Sources {
  static hub::options routed(hub::event_routes routes) {
    hub::options o = small_hub();
    o.retention.partitions = 1;
    o.routes = routes;
    return o;
  }
  explicit Sources(hub::event_routes routes) : w{routed(routes)} {
    c.put_token("a", w.events_token("sb://h.azure-devices.net/h"));
    link = c.receiver("h/ConsumerGroups/$Default/Partitions/0");
  }
  // "opType device/module"
  std::vector<std::string> operations() {
    std::vector<std::string> out;
    for (auto const& e : w.hub.events().all()) {
      auto const of = [&](std::string_view name) {
        for (auto const& p : e.content.properties)
          if (p.name == name) return p.value;
        return std::string{};
      };
      out.push_back(of("opType") + " " + of("deviceId") + (of("moduleId").empty() ? "" : "/") + of("moduleId"));
    }
    return out;
  }
  // The correlation id is drawn by lot: 16 hexadecimal digits.
  std::string next() {
    c.run();
    auto got = c.texts(link);
    if (got.size() != 1) return "events: " + std::to_string(got.size());
    EXPECT_EQ(got[0].substr(0, 5), "cid=\"");
    EXPECT_EQ(got[0].find_first_not_of("0123456789ABCDEF", 5), 21u) << got[0];
    return got[0].substr(23);
  }
  amqp_world w;
  amqp_client c{w};
  amqp::link* link;
};

constexpr hub::event_routes route_twins{.telemetry = false, .twin = true};
constexpr hub::event_routes route_lives{.telemetry = false, .lifecycle = true};
constexpr hub::event_routes route_connections{.telemetry = false, .connection = true};
constexpr hub::event_routes route_everything{.telemetry = true, .twin = true, .lifecycle = true, .connection = true};

TEST(EventSources, NothingButTelemetryUnlessAskedFor) {
  Sources s{{}};
  s.w.create("d1");
  hub_test::recording_link device;
  s.w.connect(device, "d1");
  json::value const tags = hub_test::parse(R"({"a":1})");
  ASSERT_TRUE(s.w.hub.patch_twin({"d1", {}}, {&tags, nullptr}, hub::unconditional, s.w.at));
  hub::d2c_message what;
  what.body = "t";
  ASSERT_TRUE(s.w.hub.send_telemetry(device, what, s.w.at));
  s.w.hub.disconnect(device, hub::ending::graceful, s.w.at);
  ASSERT_TRUE(s.w.hub.delete_identity({"d1", {}}, hub::unconditional, s.w.at));
  s.c.run();
  EXPECT_THAT(s.c.bodies(s.link), ElementsAre("t"));
}

TEST(EventSources, TelemetryCanBeLeftOut) {
  Sources s{route_twins};
  s.w.create("d1");
  hub_test::recording_link device;
  message will;
  will.body = message_body{"will"};
  s.w.connect(device, "d1", true, &will);
  hub::d2c_message what;
  what.body = "t";
  EXPECT_TRUE(s.w.hub.send_telemetry(device, what, s.w.at));
  s.w.hub.disconnect(device, hub::ending::lost, s.w.at);
  s.c.run();
  EXPECT_THAT(s.c.bodies(s.link), IsEmpty());
}

TEST(EventSources, AnUpdateOfAModulesTwinIsLikeTheDocumented) {
  Sources s{route_twins};
  s.w.create("contoso-device-3");
  s.w.create("contoso-device-3", "module-1");
  s.w.pass(5s);
  json::value const tags = hub_test::parse(R"({"tag1":"new value"})");
  json::value const desired = hub_test::parse(R"({"property1":"new value"})");
  ASSERT_TRUE(s.w.hub.patch_twin({"contoso-device-3", "module-1"}, {&tags, &desired}, hub::unconditional, s.w.at));
  EXPECT_EQ(s.next(),
            R"(uid=h ct=application/json ce=utf-8 )"
            R"(A{x-opt-sequence-number: 0, x-opt-offset: "0", x-opt-enqueued-time: @1704067205000, )"
            R"(iothub-connection-device-id: "contoso-device-3", iothub-connection-module-id: "module-1", )"
            R"(iothub-enqueuedtime: @1704067205000, iothub-message-source: "twinChangeEvents"} )"
            R"(P{"hubName": "h", "deviceId": "contoso-device-3", "moduleId": "module-1", )"
            R"("operationTimestamp": "2024-01-01T00:00:05.0000000Z", "iothub-message-schema": "twinChangeNotification", )"
            R"("opType": "updateTwin"} )"
            R"({"version":3,"tags":{"tag1":"new value"},"properties":{"desired":{"property1":"new value","$metadata":)"
            R"({"$lastUpdated":"2024-01-01T00:00:05.0000000Z","$lastUpdatedVersion":2,"property1":)"
            R"({"$lastUpdated":"2024-01-01T00:00:05.0000000Z","$lastUpdatedVersion":2}},"$version":2}}})");
}

TEST(EventSources, AnUpdateShowsNothingButWhatChanged) {
  Sources s{route_twins};
  s.w.create("d1");
  hub_test::recording_link device;
  s.w.connect(device, "d1");
  ASSERT_TRUE(s.w.hub.patch_reported(device, hub_test::parse(R"({"a":{"x":1,"y":2},"b":3})"), {}, s.w.at));
  (void)s.next();
  s.w.pass(1s);
  ASSERT_TRUE(s.w.hub.patch_reported(device, hub_test::parse(R"({"a":{"x":7},"b":null})"), {}, s.w.at));
  EXPECT_THAT(s.next(), HasSubstr(R"( {"version":2,"properties":{"reported":{"a":{"x":7},"b":null,"$metadata":)"
                                  R"({"$lastUpdated":"2024-01-01T00:00:01.0000000Z","a":)"
                                  R"({"$lastUpdated":"2024-01-01T00:00:01.0000000Z","x":)"
                                  R"({"$lastUpdated":"2024-01-01T00:00:01.0000000Z"}}},"$version":3}}})"));
  EXPECT_FALSE(s.w.hub.patch_reported(device, hub_test::parse(R"({"$bad":1})"), {}, s.w.at));
  s.c.run();
  EXPECT_THAT(s.c.bodies(s.link), IsEmpty());
  s.w.hub.disconnect(device, hub::ending::graceful, s.w.at);
}

TEST(EventSources, AReplacementShowsTheWholeTwin) {
  Sources s{route_twins};
  s.w.create("d1");
  json::value const tags = hub_test::parse(R"({"plant":43})");
  json::value const desired = hub_test::parse(R"({"rate":7})");
  ASSERT_TRUE(s.w.hub.replace_twin({"d1", {}}, {&tags, &desired}, hub::unconditional, s.w.at));
  EXPECT_THAT(s.next(),
              testing::AllOf(HasSubstr(R"("opType": "replaceTwin")"),
                             HasSubstr(R"( {"deviceId":"d1","etag":"AAAAAAAAAAI=","version":3,"tags":{"plant":43},)"
                                       R"("properties":{"desired":{"rate":7,"$metadata":{)"),
                             HasSubstr(R"("$version":2},"reported":{"$metadata":{"$lastUpdated":)"),
                             HasSubstr(R"("$version":1}}})")));
}

TEST(EventSources, IdentitiesAreToldAsTheyComeAndGo) {
  Sources s{route_lives};
  s.w.create("contoso-device-2");
  s.w.create("contoso-device-2", "module-1");
  s.c.run();
  auto const came = s.c.texts(s.link);
  ASSERT_THAT(came, SizeIs(2));
  EXPECT_THAT(came[1], HasSubstr(R"(iothub-message-source: "deviceLifecycleEvents"} P{"hubName": "h", )"
                                 R"("deviceId": "contoso-device-2", "moduleId": "module-1", "operationTimestamp": )"
                                 R"("2024-01-01T00:00:00.0000000Z", "iothub-message-schema": "deviceLifecycleNotification", )"
                                 R"("opType": "createDeviceIdentity"} {"deviceId":"contoso-device-2",)"
                                 R"("moduleId":"module-1","etag":"AAAAAAAAAAE=","version":2,"properties":{"desired":)"
                                 R"({"$metadata":{"$lastUpdated":)"));
  device_identity again;
  again.device_id = "contoso-device-2";
  ASSERT_TRUE(s.w.hub.put_identity(again, hub::unconditional, s.w.at));  // an update is no new life
  ASSERT_TRUE(s.w.hub.delete_identity({"contoso-device-2", {}}, hub::unconditional, s.w.at));
  EXPECT_THAT(s.operations(),
              ElementsAre("createDeviceIdentity contoso-device-2", "createDeviceIdentity contoso-device-2/module-1",
                          "deleteDeviceIdentity contoso-device-2", "deleteDeviceIdentity contoso-device-2/module-1"));
}

TEST(EventSources, ConnectionsAreToldWithANumberThatGrows) {
  Sources s{route_connections};
  s.w.create("d1");
  hub_test::recording_link device;
  s.w.connect(device, "d1");
  EXPECT_EQ(s.next(),
            R"(uid=h ct=application/json ce=utf-8 )"
            R"(A{x-opt-sequence-number: 0, x-opt-offset: "0", x-opt-enqueued-time: @1704067200000, )"
            R"(iothub-connection-device-id: "d1", iothub-enqueuedtime: @1704067200000, )"
            R"(iothub-message-source: "deviceConnectionStateEvents"} )"
            R"(P{"hubName": "h", "deviceId": "d1", "operationTimestamp": "2024-01-01T00:00:00.0000000Z", )"
            R"("iothub-message-schema": "deviceConnectionStateNotification", "opType": "deviceConnected"} )"
            R"({"sequenceNumber":"000000000000000001DA3C457689C00000000000000000000000000000000001"})");
  s.w.at.utc -= 1h;  // the wall clock may go back, the number does not
  s.w.hub.disconnect(device, hub::ending::lost, s.w.at);
  EXPECT_THAT(s.next(), testing::AllOf(HasSubstr(R"("opType": "deviceDisconnected")"),
                                       HasSubstr("01DA3C457689C00000000000000000000000000000000002")));
}

TEST(EventSources, ASecondConnectionOfADeviceEndsTheFirst) {
  Sources s{route_connections};
  s.w.create("d1");
  s.w.create("d1", "m");
  hub_test::recording_link first, second, module;
  s.w.connect(first, "d1");
  s.w.connect(second, "d1");
  ASSERT_TRUE(s.w.hub.connect(module, {"d1", "m"}, {}, {}, s.w.at));
  ASSERT_TRUE(s.w.hub.delete_identity({"d1", {}}, hub::unconditional, s.w.at));
  EXPECT_THAT(s.operations(), ElementsAre("deviceConnected d1", "deviceDisconnected d1", "deviceConnected d1",
                                          "deviceConnected d1/m", "deviceDisconnected d1", "deviceDisconnected d1/m"));
}

TEST(EventSources, OfOneDeviceAreInTheOrderInWhichThingsHappened) {
  Sources s{route_everything};
  s.w.create("d1");
  hub_test::recording_link device;
  message will;
  will.body = message_body{"will"};
  s.w.connect(device, "d1", true, &will);
  hub::d2c_message what;
  what.body = "t";
  ASSERT_TRUE(s.w.hub.send_telemetry(device, what, s.w.at));
  ASSERT_TRUE(s.w.hub.patch_reported(device, hub_test::parse(R"({"a":1})"), {}, s.w.at));
  ASSERT_TRUE(s.w.hub.delete_identity({"d1", {}}, hub::unconditional, s.w.at));
  std::vector<std::string> sources;
  for (auto const& e : s.w.hub.events().all()) sources.push_back(e.message_source);
  EXPECT_THAT(sources, ElementsAre("deviceLifecycleEvents", "deviceConnectionStateEvents", "Telemetry", "twinChangeEvents",
                                   "Telemetry", "deviceConnectionStateEvents", "deviceLifecycleEvents"));
  EXPECT_THAT(s.operations(), ElementsAre("createDeviceIdentity d1", "deviceConnected d1", " ", "updateTwin d1", " ",
                                          "deviceDisconnected d1", "deleteDeviceIdentity d1"));
}

TEST(EventSources, ADeviceOverAmqpConnectsWithItsFirstLinkAndGoesWithItsConnection) {
  Sources s{route_connections};
  s.w.create("d1");
  {
    amqp_client device{s.w};
    device.put_token("h.azure-devices.net/devices/d1", s.w.device_token("d1"));
    device.sender("/devices/d1/messages/events");
    EXPECT_THAT(s.operations(), ElementsAre("deviceConnected d1"));
  }
  EXPECT_THAT(s.operations(), ElementsAre("deviceConnected d1", "deviceDisconnected d1"));
}

}  // namespace
