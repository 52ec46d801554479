// The device core against a scripted peer: token renewal.
#include "device_scripted_dialect.hpp"

#include <gtest/gtest.h>

namespace {

using namespace iothub;
using namespace iothub_test;

TEST(TokenRenewalOfADevice, ReconnectsBeforeTheTokenExpires) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  duration const waited = w.jump();
  EXPECT_GE(waited, 3600s - 900s);
  EXPECT_LE(waited, 3600s - 600s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"close", "open t2", "enable methods"}));
  EXPECT_EQ(w.take_events(), (lines{"connecting token_renewal", "connected token_renewal"}));
}

TEST(TokenRenewalOfADevice, HappensTenThousandTimesWithoutALostMessage) {
  core_world w;
  w.connect();
  operation_id next = 10;
  ticket sent = 0;
  int renewals = 0;
  while (renewals != 10'000) {
    w.core.send_telemetry(++next, text_message("m"), {}, w.now);
    w.settle();
    w.peer.settle(++sent);
    w.settle();
    ASSERT_EQ(w.take_events(), (lines{std::to_string(next) + " ok"}));
    w.run(1000s);
    for (auto const& line : w.take_events()) renewals += line == "connected token_renewal";
    w.peer.calls.clear();
  }
  EXPECT_EQ(w.core.pending_telemetry(), 0u);
}

TEST(TokenRenewalOfADevice, WaitsForWhatIsInFlightAndHoldsTheRest) {
  device_options o;
  o.publish_timeout = 1h;
  core_world w{o};
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  w.jump();  // due
  w.core.send_telemetry(3, text_message("b"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a"}));
  w.peer.settle(1);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"close", "open t2", "send b"}));
  EXPECT_EQ(w.take_events(), (lines{"2 ok", "connecting token_renewal", "connected token_renewal"}));
}

TEST(TokenRenewalOfADevice, DoesNotWaitForEver) {
  device_options o;
  o.publish_timeout = 2h;
  core_world w{o};
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  w.jump();
  EXPECT_EQ(w.jump(), 10s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a", "close", "open t2"}));
  w.peer.settle(1);  // the session carried it over
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting token_renewal", "connected token_renewal", "2 ok"}));
}

TEST(TokenRenewalOfADevice, WaitsForAnOpenMethodCallAndSendsOnMeanwhile) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.run(2700s - 1s);
  w.peer.method("slow", "1");
  w.settle();
  w.run(301s);  // the renewal is surely due, and waits no longer than 300 s
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a"}));
  w.peer.settle(1);
  ASSERT_TRUE(w.core.answer_method(w.last_call, 200, "{}", w.now));
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"answer 1 200 {}", "close", "open t2", "enable methods"}));
}

TEST(TokenRenewalOfADevice, LeavesACallThatIsNeverAnswered) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.method("hangs", "1");
  w.settle();
  w.take_events();
  w.run(3600s);
  EXPECT_EQ(w.take_events(), (lines{"connecting token_renewal", "connected token_renewal"}));
  EXPECT_EQ(w.core.answer_method(w.last_call, 200, "{}", w.now).error(), errc::not_connected);
}

TEST(TokenRenewalOfADevice, DuringADropIsJustTheNextAttempt) {
  core_world w;
  w.connect();
  w.run(2690s);
  w.peer.stays_silent = true;
  w.peer.drop();
  w.settle();
  for (int i = 0; i != 40; ++i) {  // away for longer than the token is good
    w.jump();
    w.peer.drop(errc::connection_refused);
    w.settle();
  }
  w.peer.stays_silent = false;
  w.jump();
  time_point const back = w.now;
  w.events.clear();
  w.peer.calls.clear();
  w.jump();  // the fresh token has its whole life before it
  EXPECT_GE(w.now - back, 2700s);
  EXPECT_EQ(w.take_events(), (lines{"connecting token_renewal", "connected token_renewal"}));
}

TEST(TokenRenewalOfADevice, AFailedRenewalIsRetriedLikeALoss) {
  core_world w;
  w.connect();
  w.peer.stays_silent = true;
  w.jump();
  w.peer.drop(errc::connection_refused);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting token_renewal", "retrying not_reachable"}));
  w.peer.stays_silent = false;
  w.jump();
  EXPECT_EQ(w.take_events(), (lines{"connected token_renewal"}));
}

TEST(TokenRenewalOfADevice, NeverComesForATokenOfTheUsersOwn) {
  core_world w;
  w.token_lifetime = 0s;
  w.connect();
  EXPECT_EQ(w.core.deadline(), never);
}

// --- where the protocol can show a token on the connection that is there ----------------------------------------------

TEST(TokenRenewalInPlace, ShowsTheTokenInTimeAndNobodyNotices) {
  core_world w;
  w.peer.can.renews_in_place = true;
  w.connect();
  for (int n = 2; n != 50; ++n) {
    duration const waited = w.jump();
    EXPECT_GE(waited, 3600s - 900s);
    EXPECT_LE(waited, 3600s - 600s);
    EXPECT_EQ(w.peer.take_calls(), (lines{"renew t" + std::to_string(n)}));
    EXPECT_EQ(w.take_events(), lines{});
  }
}

TEST(TokenRenewalInPlace, HoldsNothingBack) {
  core_world w;
  w.peer.can.renews_in_place = true;
  w.connect();
  w.core.send_telemetry(2, text_message("in flight"), 2h, w.now);
  w.settle();
  w.peer.stays_silent = true;
  w.run(3000s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"send in flight", "renew t2"}));
  w.core.send_telemetry(3, text_message("meanwhile"), 2h, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send meanwhile"}));
}

TEST(TokenRenewalInPlace, TriesAgainWhileTheOldTokenLasts) {
  core_world w;
  w.peer.can.renews_in_place = true;
  w.connect();
  w.peer.stays_silent = true;
  duration passed = w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t2"}));
  w.peer.say(device_event_kind::token_renewed, error{errc::unauthorized});
  w.settle();
  passed += w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t3"}));
  w.peer.refuse_renew = errc::not_connected;
  w.peer.say(device_event_kind::token_renewed, error{errc::timeout});
  w.settle();
  passed += w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t4"}));
  EXPECT_LT(passed, 3600s);
  w.peer.refuse_renew = errc{};
  w.peer.stays_silent = false;
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t5"}));
  EXPECT_GE(w.jump(), 3600s - 900s);
  EXPECT_EQ(w.take_events(), lines{});
}

TEST(TokenRenewalInPlace, IsForgottenWithItsConnection) {
  core_world w;
  w.peer.can.renews_in_place = true;
  w.connect();
  w.peer.stays_silent = true;
  w.jump();
  w.peer.stays_silent = false;
  w.peer.drop();
  w.settle();
  w.jump();
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t2", "open t3"}));
  EXPECT_GE(w.jump(), 3600s - 900s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"renew t4"}));
}

// A deadline in the past, with nothing to do about it, is a busy loop.
TEST(TokenRenewalOfADevice, SleepsWhileItHoldsAndATwinIsWanted) {
  device_options o;
  o.publish_timeout = 2h;
  o.twin_timeout = 7s;
  core_world w{o};
  w.core.enable(feature::desired_properties, w.now);
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);  // never confirmed, and no twin is ever answered
  w.settle();
  for (int n = 0; w.tokens == 1; ++n) {
    ASSERT_GT(w.core.deadline(), w.now);
    ASSERT_LT(n, 1000);
    w.jump();
  }
}
TEST(TokenRenewalOfADevice, AsksLaterForATwinThatCannotBeAskedForNow) {
  core_world w;
  w.core.enable(feature::desired_properties, w.now);
  w.peer.refuse_twin = errc::outbox_full;
  w.connect();
  EXPECT_GT(w.core.deadline(), w.now);
  w.peer.refuse_twin = errc{};
  w.run(2s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"get_twin"}));
}

TEST(TokenRenewalOfADevice, WaitsForNoMessageOfALostConnection) {
  core_world w;
  w.core.enable(feature::messages, w.now);
  w.connect();
  w.peer.message(1, "x");
  w.settle();
  w.peer.drop();
  w.settle();
  while (w.core.status() != connection_status::connected) w.jump();
  time_point const back = w.now;
  while (w.tokens < 3) w.jump();
  EXPECT_LE(w.now - back, 3600s - 600s);
}

}  // namespace
