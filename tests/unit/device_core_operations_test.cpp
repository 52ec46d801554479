// The device core against a scripted peer: telemetry, twin, methods, messages.
#include "device_scripted_dialect.hpp"

#include <gtest/gtest.h>

namespace {

using namespace iothub;
using namespace iothub_test;

TEST(DeviceCoreTelemetry, IsConfirmedOnce) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a"}));
  EXPECT_EQ(w.core.pending_telemetry(), 1u);
  w.peer.settle(1);
  w.peer.settle(1);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 ok"}));
  EXPECT_EQ(w.core.pending_telemetry(), 0u);
}

TEST(DeviceCoreTelemetry, TimesOutAfterTenSecondsAndIsNotSentAgain) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.jump(), 10s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a", "abandon 1"}));
  EXPECT_EQ(w.take_events(), (lines{"2 timeout"}));
  w.peer.settle(1);  // too late for anybody
  w.settle();
  EXPECT_EQ(w.take_events(), lines{});
}

TEST(DeviceCoreTelemetry, HasATimeoutOfItsOwn) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), 3s, w.now);
  EXPECT_EQ(w.jump(), 3s);
  EXPECT_EQ(w.take_events(), (lines{"2 timeout"}));
}

TEST(DeviceCoreTelemetry, WaitsForTheConnectionInOrder) {
  core_world w;
  w.connect();
  w.peer.drop();
  w.settle();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.core.send_telemetry(3, text_message("b"), {}, w.now);
  w.settle();
  w.take_events();
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t2", "send a", "send b"}));
}

TEST(DeviceCoreTelemetry, InFlightSurvivesALossAndIsSettledByTheNextConnection) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  w.peer.drop();
  w.settle();
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a", "open t2"}));  // sending again is the session's business
  w.take_events();
  w.peer.settle(1);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 ok"}));
}

TEST(DeviceCoreTelemetry, BeforeConnectFailsAtOnce) {
  core_world w;
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 not_connected"}));
}

TEST(DeviceCoreTelemetry, AboveTheHubsLimitFailsAtOnce) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message(std::string(262'145, 'x')), {}, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 too_large"}));
  w.core.send_telemetry(3, text_message(std::string(262'144, 'x')), {}, w.now);
  w.settle();
  EXPECT_EQ(w.core.pending_telemetry(), 1u);
}

TEST(DeviceCoreTelemetry, AFullOutboxRefusesAndSaysSo) {
  device_options o;
  o.outbox.messages = 2;
  core_world w{o};
  w.connect();
  for (operation_id id = 2; id != 5; ++id) w.core.send_telemetry(id, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"4 outbox_full"}));
}

TEST(DeviceCoreTelemetry, WaitsWhileTheSessionHasNoRoom) {
  core_world w;
  w.connect();
  w.peer.refuse_send = errc::outbox_full;
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), lines{});
  w.peer.refuse_send = errc{};
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a"}));
}

TEST(DeviceCoreTelemetry, WhatTheDialectRefusesFails) {
  core_world w;
  w.connect();
  w.peer.refuse_send = errc::invalid_argument;
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 invalid_argument"}));
  w.peer.drop();
  w.settle();
  w.core.send_telemetry(3, text_message("b"), {}, w.now);  // refused only when it is handed over
  w.jump();
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost", "connected recovered", "3 invalid_argument"}));
}

TEST(DeviceCoreTwin, SubscribesOnFirstUseAndAnswers) {
  core_world w;
  w.connect();
  w.core.get_twin(2, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"enable twin", "get_twin"}));
  w.peer.twin(1, R"({"desired":{"a":1,"$version":2},"reported":{"b":3,"$version":4}})");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{R"(2 ok {"a":1}{"b":3})"}));
}

TEST(DeviceCoreTwin, PatchesAreAnsweredInAnyOrder) {
  core_world w;
  w.connect();
  w.core.patch_reported(2, R"({"a":1})", w.now);
  w.core.patch_reported(3, R"({"a":2})", w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"enable twin", R"(patch {"a":1})", R"(patch {"a":2})"}));
  w.peer.patched(2, 6);
  w.peer.patched(1, 5);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"3 ok v6", "2 ok v5"}));
}

TEST(DeviceCoreTwin, IsAskedAgainAfterALoss) {
  core_world w;
  w.connect();
  w.core.patch_reported(2, R"({"a":1})", w.now);
  w.core.get_twin(3, w.now);
  w.settle();
  w.peer.take_calls();
  w.peer.drop();
  w.settle();
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t2", "enable twin", R"(patch {"a":1})", "get_twin"}));
}

TEST(DeviceCoreTwin, TimesOutAndIgnoresALateAnswer) {
  core_world w;
  w.connect();
  w.core.get_twin(2, w.now);
  w.settle();
  EXPECT_EQ(w.jump(), 60s);
  w.peer.twin(1, R"({"desired":{},"reported":{}})");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 timeout"}));
}

TEST(DeviceCoreTwin, ReportsTheHubsErrorAndNonsense) {
  core_world w;
  w.connect();
  w.core.get_twin(2, w.now);
  w.core.get_twin(3, w.now);
  w.settle();
  w.peer.twin_fails(1, errc::throttled);
  w.peer.twin(2, "nonsense");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 throttled", "3 malformed"}));
}

TEST(DeviceCoreDesired, IsReconciledOnEachConnection) {
  core_world w;
  w.core.enable(feature::desired_properties, w.now);
  w.connect();
  w.peer.notice(R"({"a":5,"$version":5})", 5);
  w.peer.twin(1, R"({"desired":{"a":4,"$version":4},"reported":{"$version":1}})");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{R"(whole {"a":4} v4)", R"(patch {"a":5} v5)"}));
  w.peer.drop();
  w.settle();
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t2", "enable twin desired", "get_twin"}));
  w.take_events();
  w.peer.twin(2, R"({"desired":{"a":7,"$version":7},"reported":{"$version":1}})");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{R"(whole {"a":7} v7)"}));
}

TEST(DeviceCoreDesired, AFailedReadIsRepeatedWithAPause) {
  core_world w;
  w.core.enable(feature::desired_properties, w.now);
  w.connect();
  w.peer.twin_fails(1, errc::throttled);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), lines{});
  duration const waited = w.jump();
  EXPECT_GE(waited, 5s);
  EXPECT_LE(waited, 10s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"get_twin"}));
}

TEST(DeviceCoreDesired, AnUnansweredReadIsRepeated) {
  core_world w;
  w.core.enable(feature::desired_properties, w.now);
  w.connect();
  EXPECT_EQ(w.jump(), 60s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"get_twin"}));
}

TEST(DeviceCoreMethods, AreAnsweredOnceOnTheirOwnConnection) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("m", "r1", "5");
  w.peer.method("m", "r1", "5");  // the same call again
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"call m 5"}));
  EXPECT_TRUE(w.core.answer_method(w.last_call, 200, "{}", w.now));
  EXPECT_EQ(w.core.answer_method(w.last_call, 200, "{}", w.now).error(), errc::not_connected);
  EXPECT_EQ(w.peer.take_calls(), (lines{"answer r1 200 {}"}));
}

TEST(DeviceCoreMethods, AreNotAnsweredAcrossAReconnect) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("m", "r1");
  w.settle();
  w.peer.drop();
  w.settle();
  w.jump();
  w.peer.take_calls();
  EXPECT_EQ(w.core.answer_method(w.last_call, 200, "{}", w.now).error(), errc::not_connected);
  EXPECT_EQ(w.peer.take_calls(), lines{});
}

TEST(DeviceCoreMethods, ThatStillWaitWhenTheConnectionEndsNeverRun) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("m", "r1");
  w.core.step(w.now);
  w.peer.drop();
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost"}));
}

TEST(DeviceCoreMethods, AboveTheInboxAreToldThatTheDeviceIsBusy) {
  device_options o;
  o.inbox = 1;
  core_world w{o};
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("m", "r1");
  w.peer.method("m", "r2");
  w.core.step(w.now);
  EXPECT_EQ(w.peer.take_calls(), (lines{R"(answer r2 503 {"message":"the device is busy"})"}));
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"call m null"}));
}

TEST(DeviceCoreMessages, AreSettledOnTheirOwnConnectionOnly) {
  core_world w;
  w.core.enable(feature::messages, w.now);
  w.connect();
  w.peer.message(5, "hello");
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"message hello"}));
  EXPECT_TRUE(w.core.settle_message(w.last_connection, 5, settlement::accept, w.now));
  EXPECT_EQ(w.peer.take_calls(), (lines{"accept 5"}));
  w.peer.drop();
  w.settle();
  w.jump();
  w.peer.take_calls();
  EXPECT_EQ(w.core.settle_message(w.last_connection, 5, settlement::accept, w.now).error(), errc::not_connected);
  EXPECT_EQ(w.peer.take_calls(), lines{});
}

TEST(DeviceCoreMessages, ThatComeBeforeAnybodyAskedWaitUnsettled) {
  core_world w;
  w.connect();
  w.peer.message(5, "early");  // a kept session: the hub sends right behind its acceptance
  w.settle();
  EXPECT_EQ(w.take_events(), lines{});
  w.core.enable(feature::messages, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"message early"}));
}

TEST(DeviceCoreMessages, AboveTheInboxStayWithTheHub) {
  device_options o;
  o.inbox = 2;
  core_world w{o};
  w.core.enable(feature::messages, w.now);
  w.connect();
  for (ticket t = 1; t != 5; ++t) w.peer.message(t, "m" + std::to_string(t));
  w.core.step(w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"message m1", "message m2"}));
  EXPECT_EQ(w.peer.take_calls(), lines{});
}

TEST(DeviceCoreMessages, AModuleGetsNone) {
  scripted_dialect peer;
  auto parameters = core_world::parameters();
  parameters.who.module_id = "m1";
  device_core core{peer, parameters, {}, 1};
  core.enable(feature::messages, time_point{});
  core.connect(1, time_point{});
  ASSERT_TRUE(core.has_action());
  EXPECT_EQ(core.next_action().outcome.error(), errc::unsupported);
}

TEST(DeviceCore, TakesTheEndOfOneOperationOutOfTurn) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message(std::string(300'000, 'x')), {}, w.now);
  w.core.send_telemetry(3, text_message(std::string(300'000, 'x')), {}, w.now);
  device_action a;
  EXPECT_FALSE(w.core.take_outcome(9, a));
  ASSERT_TRUE(w.core.take_outcome(3, a));
  EXPECT_EQ(a.outcome.error(), errc::too_large);
  EXPECT_FALSE(w.core.take_outcome(3, a));
  EXPECT_EQ(w.core.next_action().operation, 2u);
}

TEST(DeviceCore, SaysWhatItWaitsFor) {
  core_world w;
  EXPECT_EQ(w.core.describe(), "device d1 is not connected");
  w.connect();
  EXPECT_EQ(w.core.describe(), "device d1 is idle");
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  EXPECT_EQ(w.core.describe(), "device d1 waits for the confirmation of 1 messages");
}

TEST(DeviceCore, SaysWhatItWaitsForInEachPhase) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.enable(feature::methods, w.now);
  w.core.connect(1, w.now);
  EXPECT_EQ(w.core.describe(), "device d1 waits for a token");
  w.settle();
  EXPECT_EQ(w.core.describe(), "device d1 waits for the hub to accept its connection");
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.core.describe(), "device d1 waits for a subscription to be confirmed");
  w.peer.features_ready(feature::methods);
  w.settle();
  EXPECT_EQ(w.core.describe(), "device d1 is idle");
  w.core.enable(feature::twin, w.now);
  w.settle();
  w.peer.features_ready(feature::twin);
  w.core.get_twin(2, w.now);
  w.settle();
  EXPECT_EQ(w.core.describe(), "device d1 waits for the answer to a twin operation");
  w.peer.drop();
  w.settle();
  EXPECT_EQ(w.core.describe(), "device d1 waits before it tries to connect again");
}

TEST(DeviceCore, WhatAProtocolCannotDoIsSaidWhenItConnects) {
  struct row {
    feature wanted;
    std::string_view word;
  };
  for (auto const& r : {row{feature::methods, "direct methods"}, row{feature::messages, "cloud-to-device"}, row{feature::twin, "twin"}}) {
    core_world w;
    w.peer.can.features = {};
    w.core.enable(r.wanted, w.now);
    w.core.connect(1, w.now);
    w.core.step(w.now);
    ASSERT_TRUE(w.core.has_action());
    auto const told = w.core.next_action();
    EXPECT_EQ(told.outcome.error(), errc::unsupported);
    EXPECT_NE(told.outcome.error().message().find(r.word), std::string_view::npos) << r.word;
    EXPECT_EQ(w.peer.take_calls(), lines{});
  }
}

TEST(DeviceCore, WhatThePeerSaysOutOfTurnChangesNothing) {
  core_world w;
  w.connect();
  w.peer.ready();
  w.peer.features_ready(feature::methods);
  w.peer.say(device_event_kind::token_renewed);
  w.peer.say(device_event_kind::none);
  w.peer.settle(77);
  w.peer.settle(77, error{errc::throttled});
  w.peer.patched(77, 3);
  w.peer.twin(77, "{}");
  w.peer.twin_fails(77, errc::throttled);
  w.settle();
  EXPECT_EQ(w.take_events(), lines{});
  EXPECT_EQ(w.core.describe(), "device d1 is idle");
  w.peer.drop();
  w.peer.drop();  // once is enough
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost"}));
}

TEST(DeviceCoreTwin, WhatTheDialectRefusesFails) {
  core_world w;
  w.connect();
  w.core.get_twin(2, w.now);
  w.settle();
  w.peer.twin(1, R"({"desired":{"$version":1},"reported":{"$version":1}})");
  w.settle();
  w.take_events();
  w.peer.refuse_twin = errc::too_large;
  w.core.get_twin(3, w.now);
  w.core.patch_reported(4, "{}", w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"3 too_large", "4 too_large"}));
  w.peer.refuse_twin = errc::outbox_full;  // no room now: it waits
  w.core.get_twin(5, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), lines{});
  w.peer.refuse_twin = errc{};
  w.peer.say(device_event_kind::none);
  w.settle();
  EXPECT_EQ(w.peer.take_calls().back(), "get_twin");
}

TEST(DeviceCoreMethods, WhoseBodyIsNoJsonOrNothing) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("m", "r1", "no json");
  w.peer.method("m", "r2", "");
  w.settle();
  auto const events = w.take_events();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back(), "call m null");
  EXPECT_TRUE(w.core.answer_method(w.last_call, 200, "{}", w.now));
}

TEST(DeviceCore, AHandlerThatHangsDoesNotMakeItGrow) {
  core_world w;
  w.connect();
  std::size_t changes = 0;
  for (int i = 0; i != 200; ++i) {
    w.peer.drop();
    w.core.step(w.now);
    if (w.core.deadline() > w.now && w.core.deadline() != never) w.now = w.core.deadline();
    w.core.step(w.now);
    if (w.core.token_wanted()) w.core.supply_token("t", w.token_lifetime, w.now);
    w.core.step(w.now);
  }
  device_action last;
  while (w.core.has_action()) {
    last = w.core.next_action();
    ++changes;
  }
  EXPECT_LE(changes, 66u);
  EXPECT_EQ(last.kind, device_action_kind::connection_changed);
  EXPECT_EQ(last.status, w.core.status());  // the latest counts
}

}  // namespace
