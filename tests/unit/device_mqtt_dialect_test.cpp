// The MQTT dialect against a recording transport: what goes on the wire, and what is read from it.
#include <iothub/device/mqtt_dialect.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

struct recorded_transport {
  std::vector<std::string> calls;
  std::deque<mqtt::client_event> events;
  mqtt::client_event current;
  std::uint16_t last_id = 0;

  result<void> open(endpoint const& where, mqtt::connect const& c, time_point) {
    calls.push_back("open " + where.host + ":" + std::to_string(where.port) + " " + std::string{c.client_id} + " " +
                    std::string{c.username} + " " + (c.has_password ? std::string{c.password} : std::string{"-"}) +
                    (c.clean_session ? " clean" : " kept") + " " + std::to_string(c.keep_alive));
    return {};
  }
  result<std::uint16_t> publish(mqtt::publish const& p, time_point) {
    calls.push_back("publish" + std::to_string(p.qos) + " " + std::string{p.topic} + " " + std::string{p.payload});
    return p.qos == 0 ? std::uint16_t{0} : ++last_id;
  }
  result<std::uint16_t> subscribe(std::span<mqtt::subscription const> filters, time_point) {
    std::string line = "subscribe";
    for (auto const& f : filters) line += " " + std::string{f.filter} + ":" + std::to_string(f.qos);
    calls.push_back(std::move(line));
    return ++last_id;
  }
  result<std::uint16_t> unsubscribe(std::span<std::string_view const>, time_point) { return ++last_id; }
  void acknowledge(std::uint16_t id, time_point) { calls.push_back("ack " + std::to_string(id)); }
  void abandon(std::uint16_t id) { calls.push_back("abandon " + std::to_string(id)); }
  void close(mqtt::close_mode mode, time_point) {
    calls.emplace_back(mode == mqtt::close_mode::graceful ? "close" : "abort");
  }
  void step(time_point) {}
  mqtt::client_event const* next_event() {
    if (events.empty()) return nullptr;
    current = events.front();
    events.pop_front();
    return &current;
  }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}
};
static_assert(mqtt_transport<recorded_transport>);

using lines = std::vector<std::string>;
constexpr time_point now{1h};

struct dialect_world {
  recorded_transport wire;
  mqtt_dialect<recorded_transport&> speaks{wire};
  device_event event;

  explicit dialect_world(char const* module_id = "") {
    connection_parameters p;
    p.where = {.host = "gateway.example", .port = 8883};
    p.hub = "hub.example";
    p.who = {.device_id = "dev 1", .module_id = module_id};
    p.who.device_id = "dev1";
    p.model_id = "dtmi:com:example:T;1";
    p.product_info = "acme/1";
    EXPECT_TRUE(speaks.open(p, "token", now));
  }
  lines calls() { return std::exchange(wire.calls, {}); }
  void connected() {
    mqtt::client_event e;
    e.kind = mqtt::client_event_kind::connected;
    wire.events.push_back(e);
    EXPECT_TRUE(next());
    calls();
  }
  void message(char const* topic, char const* payload, std::uint8_t qos = 0, std::uint16_t id = 0, bool dup = false) {
    mqtt::client_event e;
    e.kind = mqtt::client_event_kind::message;
    e.publish = {.topic = topic, .payload = payload, .id = id, .qos = qos, .dup = dup};
    wire.events.push_back(e);
  }
  bool next() { return speaks.next_event(event, now); }
};

TEST(MqttDialect, ConnectsAsTheHubDocuments) {
  dialect_world w;
  EXPECT_EQ(w.calls(), (lines{"open gateway.example:8883 dev1 "
                              "hub.example/dev1/?api-version=2021-04-12&DeviceClientType=iothub-cpp%2F0.1.0%20acme%2F1"
                              "&model-id=dtmi%3Acom%3Aexample%3AT%3B1 token kept 240"}));
}

TEST(MqttDialect, ConnectsAModule) {
  dialect_world w{"mod1"};
  ASSERT_EQ(w.wire.calls.size(), 1u);
  EXPECT_EQ(w.wire.calls[0].substr(0, 70), "open gateway.example:8883 dev1/mod1 hub.example/dev1/mod1/?api-version");
}

TEST(MqttDialect, RefusesAnIdThatNoTopicCanHold) {
  recorded_transport wire;
  mqtt_dialect<recorded_transport&> speaks{wire};
  connection_parameters p;
  p.who.device_id = "a+b";
  EXPECT_EQ(speaks.open(p, "t", now).error(), errc::unsupported);
  EXPECT_TRUE(wire.calls.empty());
}

TEST(MqttDialect, SendsTelemetryAtQosOneWithItsProperties) {
  dialect_world w;
  w.connected();
  message m;
  m.body = "21.5";
  m.message_id = "message_1";
  m.properties = {{"temperatureAlert", "true"}, {"a b", "c&d"}};
  EXPECT_EQ(w.speaks.send_telemetry(m, now).value(), 1u);
  EXPECT_EQ(w.calls(), (lines{"publish1 devices/dev1/messages/events/"
                              "%24.mid=message_1&temperatureAlert=true&a%20b=c%26d 21.5"}));
  mqtt::client_event e;
  e.kind = mqtt::client_event_kind::published;
  e.id = 1;
  w.wire.events.push_back(e);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::telemetry_settled);
  EXPECT_EQ(w.event.ticket, 1u);
}

TEST(MqttDialect, SubscribesOnDemandInOnePacket) {
  dialect_world w;
  w.connected();
  ASSERT_TRUE(w.speaks.enable(feature::methods | feature::twin | feature::desired_properties | feature::messages, now));
  EXPECT_EQ(w.calls(), (lines{"subscribe $iothub/methods/POST/#:0 $iothub/twin/res/#:0 "
                              "$iothub/twin/PATCH/properties/desired/#:0 devices/dev1/messages/devicebound/#:1"}));
  std::uint8_t const granted[] = {0, 0, 0, 1};
  mqtt::client_event e;
  e.kind = mqtt::client_event_kind::subscribed;
  e.id = 1;
  e.granted = granted;
  w.wire.events.push_back(e);
  w.wire.events.push_back(e);  // a second SUBACK for it is passed over
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::features_ready);
  EXPECT_TRUE(w.event.outcome);
  EXPECT_TRUE(w.event.features.has(feature::messages));
  EXPECT_FALSE(w.next());
}

TEST(MqttDialect, ARefusedFilterIsAnError) {
  dialect_world w;
  w.connected();
  ASSERT_TRUE(w.speaks.enable(feature::methods, now));
  std::uint8_t const granted[] = {mqtt::subscribe_failure};
  mqtt::client_event e;
  e.kind = mqtt::client_event_kind::subscribed;
  e.id = 1;
  e.granted = granted;
  w.wire.events.push_back(e);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::unsupported);
}

TEST(MqttDialect, AMethodCallAndItsAnswer) {
  dialect_world w;
  w.connected();
  w.message("$iothub/methods/POST/SetTelemetryInterval/?$rid=1a", "10");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::method_called);
  EXPECT_EQ(w.event.name, "SetTelemetryInterval");
  EXPECT_EQ(w.event.rid, "1a");
  EXPECT_EQ(w.event.payload, "10");
  ASSERT_TRUE(w.speaks.answer_method("1a", 200, "{}", now));
  EXPECT_EQ(w.calls(), (lines{"publish0 $iothub/methods/res/200/?$rid=1a {}"}));
}

TEST(MqttDialect, ACallAtQosOneIsAcknowledgedWhenItWasLookedAt) {
  dialect_world w;
  w.connected();
  w.message("$iothub/methods/POST/m/?$rid=1", "", 1, 9);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.calls(), lines{});
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.calls(), (lines{"ack 9"}));
}

TEST(MqttDialect, TwinRequestsAndAnswers) {
  dialect_world w;
  w.connected();
  ticket const get = w.speaks.get_twin(now).value();
  ticket const patch = w.speaks.patch_reported(R"({"a":1})", now).value();
  EXPECT_EQ(w.calls(), (lines{"publish0 $iothub/twin/GET/?$rid=1 ",
                              R"(publish0 $iothub/twin/PATCH/properties/reported/?$rid=2 {"a":1})"}));
  w.message("$iothub/twin/res/204/?$rid=2&$version=6", "");
  w.message("$iothub/twin/res/200/?$rid=1", R"({"desired":{},"reported":{}})");
  w.message("$iothub/twin/res/200/?$rid=1", "again");  // nobody waits for that any more
  w.message("$iothub/twin/res/200/?$rid=zz", "not ours");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::patch_settled);
  EXPECT_EQ(w.event.ticket, patch);
  EXPECT_EQ(w.event.version, 6);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::twin_received);
  EXPECT_EQ(w.event.ticket, get);
  EXPECT_EQ(w.event.payload, R"({"desired":{},"reported":{}})");
  EXPECT_FALSE(w.next());
}

TEST(MqttDialect, ATwinErrorCarriesWhatTheHubSaid) {
  dialect_world w;
  w.connected();
  (void)w.speaks.patch_reported("[]", now);
  (void)w.speaks.get_twin(now);
  w.message("$iothub/twin/res/400/?$rid=1", R"({"errorCode":400004,"trackingId":"T","message":"no object"})");
  w.message("$iothub/twin/res/429/?$rid=2", "");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::bad_request);
  EXPECT_EQ(w.event.outcome.error().message(), "no object");
  EXPECT_EQ(w.event.outcome.error().hub_code(), 400004);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::throttled);
}

TEST(MqttDialect, ANoticeOfDesiredProperties) {
  dialect_world w;
  w.connected();
  w.message("$iothub/twin/PATCH/properties/desired/?$version=5", R"({"a":1,"$version":5})");
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::desired_changed);
  EXPECT_EQ(w.event.version, 5);
}

TEST(MqttDialect, AMessageIsAcknowledgedWhenItIsSettledAndNotBefore) {
  dialect_world w;
  w.connected();
  w.message("devices/dev1/messages/devicebound/%24.mid=7&%24.to=%2Fdevices%2Fdev1&iothub-ack=full&color=red", "hi", 1, 4,
            true);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.kind, device_event_kind::message_received);
  EXPECT_EQ(w.event.message->content.message_id, "7");
  EXPECT_EQ(w.event.message->content.body.bytes(), "hi");
  EXPECT_EQ(*w.event.message->content.find("color"), "red");
  EXPECT_EQ(w.event.message->ack, feedback_request::full);
  EXPECT_EQ(w.event.message->delivery_count, 1u);
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.calls(), lines{});
  EXPECT_EQ(w.speaks.settle_message(4, settlement::reject, now).error(), errc::unsupported);
  EXPECT_TRUE(w.speaks.settle_message(4, settlement::abandon, now));
  EXPECT_EQ(w.calls(), lines{});
  EXPECT_TRUE(w.speaks.settle_message(4, settlement::accept, now));
  EXPECT_EQ(w.calls(), (lines{"ack 4"}));
}

TEST(MqttDialect, AMessageWhosePropertiesCannotBeReadStaysWithTheHub) {
  dialect_world w;
  w.connected();
  w.message("devices/dev1/messages/devicebound/a=%zz", "hi", 1, 4);
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.calls(), lines{});
}

TEST(MqttDialect, UnknownTopicsAreAcknowledgedAndPassedOver) {
  dialect_world w;
  w.connected();
  w.message("devices/other/messages/devicebound/", "x", 1, 3);
  w.message("$iothub/methods/POST/m/?$rid=a/b", "x", 0);
  EXPECT_FALSE(w.next());
  EXPECT_EQ(w.calls(), (lines{"ack 3"}));
}

TEST(MqttDialect, EachConnackCodeIsAnErrorOfItsOwn) {
  struct row {
    int code;
    errc expected;
  };
  for (row const r : {row{1, errc::unsupported}, row{2, errc::bad_request}, row{3, errc::service_unavailable},
                      row{4, errc::unauthorized}, row{5, errc::unauthorized}}) {
    dialect_world w;
    mqtt::client_event e;
    e.kind = mqtt::client_event_kind::refused;
    e.code = static_cast<mqtt::connect_code>(r.code);
    w.wire.events.push_back(e);
    ASSERT_TRUE(w.next());
    EXPECT_EQ(w.event.kind, device_event_kind::closed);
    EXPECT_EQ(w.event.outcome.error(), r.expected) << r.code;
  }
}

TEST(MqttDialect, WhatWasAskedOnAnEarlierConnectionIsForgotten) {
  dialect_world w;
  w.connected();
  (void)w.speaks.get_twin(now);
  mqtt::client_event e;
  e.kind = mqtt::client_event_kind::closed;
  e.reason = errc::connection_lost;
  w.wire.events.push_back(e);
  ASSERT_TRUE(w.next());
  EXPECT_EQ(w.event.outcome.error(), errc::connection_lost);
  w.message("$iothub/twin/res/200/?$rid=1", "{}");
  EXPECT_FALSE(w.next());
}

}  // namespace
