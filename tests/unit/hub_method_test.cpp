// Direct methods: every outcome of the service reference, in virtual time.
#include "hub_world.hpp"

namespace {

using namespace hub_test;

struct method_world : world {
  recording_link link;
  recording_caller caller;
  method_world() {
    create("d1");
    connect(link, "d1");
  }
  ~method_world() { hub.disconnect(link, ih::ending::graceful, at); }
  iothub::result<ih::method_ticket> invoke(std::string name = "reboot", int response = 30, int connect = 0,
                                           value payload = nullptr) {
    return hub.invoke_method({"d1", {}}, {std::move(name), std::move(payload)}, {seconds{response}, seconds{connect}},
                             caller, at);
  }
  void listen() { hub.listen_methods(link, true, at); }
  std::string only() {
    EXPECT_EQ(caller.outcomes.size(), 1u);
    return caller.outcomes.empty() ? std::string{} : caller.outcomes[0].second;
  }
};

TEST(HubMethod, TheAnswerOfTheDeviceReachesTheCaller) {
  method_world w;
  w.listen();
  auto const ticket = w.invoke("reboot", 30, 0, parse(R"({"delay":3})")).value();
  ASSERT_EQ(w.link.calls.size(), 1u);
  EXPECT_EQ(w.link.calls[0].name, "reboot");
  EXPECT_EQ(w.link.calls[0].payload, R"({"delay":3})");
  EXPECT_EQ(w.link.calls[0].ticket, ticket);
  EXPECT_TRUE(w.caller.outcomes.empty());
  w.hub.answer_method(w.link, ticket, {500, parse("[1]")}, w.at);
  EXPECT_EQ(w.only(), "500 [1]");
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubMethod, UnknownTargetsAreToldApart) {
  method_world w;
  EXPECT_EQ(hub_code(w.hub.invoke_method({"d2", {}}, {"m", nullptr}, {}, w.caller, w.at)), 404001);
  EXPECT_EQ(hub_code(w.hub.invoke_method({"d2", "m1"}, {"m", nullptr}, {}, w.caller, w.at)), 404001);
  EXPECT_EQ(hub_code(w.hub.invoke_method({"d1", "m1"}, {"m", nullptr}, {}, w.caller, w.at)), 404010);
}

TEST(HubMethod, OfflineOrNotListeningIsDeviceNotOnline) {
  method_world w;
  auto const refused = w.invoke();
  EXPECT_EQ(refused.error().code(), errc::device_offline);
  EXPECT_EQ(refused.error().hub_code(), 404103);
  w.listen();
  w.hub.listen_methods(w.link, false, w.at);
  EXPECT_EQ(hub_code(w.invoke()), 404103);
  w.listen();
  w.hub.disconnect(w.link, ih::ending::lost, w.at);
  EXPECT_EQ(hub_code(w.invoke()), 404103);
}

TEST(HubMethod, DisabledDeviceIsNotFound) {
  method_world w;
  auto d = w.hub.get_identity({"d1", {}}).value();
  d.status = iothub::identity_status::disabled;
  w.hub.put_identity(d, ih::unconditional, w.at).value();
  EXPECT_EQ(hub_code(w.invoke()), 404001);
}

TEST(HubMethod, WaitsForADeviceThatArrivesInTime) {
  method_world w;
  w.invoke("m", 30, 10, "now").value();
  w.advance(seconds{5});
  w.listen();
  ASSERT_EQ(w.link.calls.size(), 1u);
  EXPECT_EQ(w.link.calls[0].payload, "\"now\"");
  // The response time counts from the delivery.
  w.advance(seconds{29});
  w.hub.answer_method(w.link, w.link.calls[0].ticket, {200, nullptr}, w.at);
  EXPECT_EQ(w.only(), "200 null");
}

TEST(HubMethod, GivesUpOnADeviceThatArrivesTooLate) {
  method_world w;
  w.invoke("m", 30, 10).value();
  w.advance(seconds{10});
  EXPECT_EQ(w.only(), "404103 Timed out waiting for device to connect.");
  w.advance(seconds{1});
  w.listen();
  EXPECT_TRUE(w.link.calls.empty());
}

TEST(HubMethod, NoAnswerInTimeIsGatewayTimeoutAndALateOneIsDropped) {
  method_world w;
  w.listen();
  auto const ticket = w.invoke("m", 5).value();
  w.advance(milliseconds{4999});
  EXPECT_TRUE(w.caller.outcomes.empty());
  w.advance(milliseconds{1});
  EXPECT_EQ(w.only(), "504101 Timed out waiting for the response from device.");
  w.hub.answer_method(w.link, ticket, {200, nullptr}, w.at);
  EXPECT_EQ(w.caller.outcomes.size(), 1u);
}

TEST(HubMethod, ADeviceThatGoesDuringTheCallEndsIt) {
  method_world w;
  w.listen();
  w.invoke().value();
  w.hub.disconnect(w.link, ih::ending::lost, w.at);
  EXPECT_TRUE(w.only().starts_with("404104 Device unavailable"));
}

TEST(HubMethod, AnAnswerThatIsNoJsonIsABadDeviceResponse) {
  method_world w;
  w.listen();
  w.hub.answer_method_badly(w.link, w.invoke().value(), "no JSON", w.at);
  EXPECT_EQ(w.only(), "502000 The device's answer is not valid: no JSON");
}

TEST(HubMethod, ADeletedDeviceEndsItsCalls) {
  method_world w;
  w.listen();
  w.invoke().value();
  w.hub.listen_methods(w.link, false, w.at);
  w.invoke("m", 30, 30).value();
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, {}, w.at).has_value());
  ASSERT_EQ(w.caller.outcomes.size(), 2u);
  for (auto const& o : w.caller.outcomes) EXPECT_TRUE(o.second.starts_with("404001")) << o.second;
  EXPECT_EQ(w.hub.deadline(), iothub::never);
}

TEST(HubMethod, TimeoutsHaveTheirRanges) {
  method_world w;
  w.listen();
  EXPECT_EQ(text_of(w.invoke("m", 4)), "responseTimeoutInSeconds must be within [5; 300].");
  EXPECT_EQ(hub_code(w.invoke("m", 301)), 400004);
  EXPECT_TRUE(w.invoke("m", 5).has_value());
  EXPECT_TRUE(w.invoke("m", 300).has_value());
  EXPECT_EQ(hub_code(w.invoke("m", 30, 301)), 400004);
  EXPECT_EQ(hub_code(w.invoke("m", 30, -1)), 400004);
  EXPECT_TRUE(w.invoke("m", 30, 300).has_value());
}

TEST(HubMethod, NamesHaveTheirCharacters) {
  method_world w;
  w.listen();
  for (std::string_view bad : {"", "a b", "a/b", "a$b", "a{b", "a\xc3\xa4"})
    EXPECT_EQ(hub_code(w.invoke(std::string{bad})), 400004) << bad;
  EXPECT_TRUE(w.invoke("a-b_c.d*e!").has_value());
}

TEST(HubMethod, PayloadsHave128KilobytesEachWay) {
  method_world w;
  w.listen();
  std::string const most(131'072 - 2, 'x');
  EXPECT_TRUE(w.invoke("m", 30, 0, most).has_value());
  EXPECT_EQ(hub_code(w.invoke("m", 30, 0, most + "x")), 413001);
  w.hub.answer_method(w.link, w.link.calls[0].ticket, {200, most + "x"}, w.at);
  EXPECT_TRUE(w.only().starts_with("502000"));
  auto const ticket = w.invoke().value();
  w.hub.answer_method(w.link, ticket, {200, most}, w.at);
  EXPECT_EQ(w.caller.outcomes[1].second.size(), 4 + 131'072u);
}

TEST(HubMethod, TwoCallsMayBeAnsweredInAnyOrder) {
  method_world w;
  w.listen();
  auto const first = w.invoke("a").value(), second = w.invoke("b").value();
  w.hub.answer_method(w.link, second, {2, nullptr}, w.at);
  w.hub.answer_method(w.link, first, {1, nullptr}, w.at);
  using all = std::vector<std::pair<ih::method_ticket, std::string>>;
  EXPECT_EQ(w.caller.outcomes, (all{{second, "2 null"}, {first, "1 null"}}));
}

TEST(HubMethod, AnotherDeviceCannotAnswer) {
  method_world w;
  recording_link other;
  w.create("d2");
  w.connect(other, "d2");
  w.listen();
  w.hub.answer_method(other, w.invoke().value(), {200, nullptr}, w.at);
  EXPECT_TRUE(w.caller.outcomes.empty());
}

TEST(HubMethod, AnAnswerToACallThatWasNotDeliveredIsIgnored) {
  method_world w;
  auto const ticket = w.invoke("m", 30, 10).value();
  w.hub.answer_method(w.link, ticket, {200, nullptr}, w.at);
  EXPECT_TRUE(w.caller.outcomes.empty());
}

TEST(HubMethod, TooManyInFlightAreRefused) {
  method_world w;
  w.listen();
  for (int i = 0; i != 100; ++i) ASSERT_TRUE(w.invoke().has_value());
  EXPECT_EQ(hub_code(w.invoke()), 403800);
  w.hub.answer_method(w.link, 1, {200, nullptr}, w.at);
  EXPECT_TRUE(w.invoke().has_value());
}

TEST(HubMethod, ACancelledCallHasNoOutcome) {
  method_world w;
  w.listen();
  auto const ticket = w.invoke("m", 5).value();
  w.hub.cancel_method(ticket);
  w.hub.cancel_method(ticket);
  w.advance(seconds{6});
  EXPECT_TRUE(w.caller.outcomes.empty());
}

TEST(HubMethod, ModulesHaveMethodsOfTheirOwn) {
  method_world w;
  recording_link module;
  w.create("d1", "m1");
  ASSERT_TRUE(w.hub.connect(module, {"d1", "m1"}, {}, {}, w.at).has_value());
  w.hub.listen_methods(module, true, w.at);
  EXPECT_TRUE(w.hub.invoke_method({"d1", "m1"}, {"m", nullptr}, {}, w.caller, w.at).has_value());
  EXPECT_EQ(module.calls.size(), 1u);
  EXPECT_TRUE(w.link.calls.empty());
}

}  // namespace
