// The device core against a scripted peer: connecting, losing, coming back, renewing the token.
#include "device_scripted_dialect.hpp"

#include <gtest/gtest.h>

namespace {

using namespace iothub;
using namespace iothub_test;

TEST(DeviceCoreConnect, OpensWithATokenAndSaysConnected) {
  core_world w;
  w.core.connect(1, w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1"}));
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "connected opened", "1 ok"}));
}

TEST(DeviceCoreConnect, EnablesEveryFeatureBeforeItSaysConnected) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.core.enable(feature::messages, w.now);
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1", "enable methods messages"}));
  EXPECT_EQ(w.take_events(), (lines{"connecting opened"}));
  w.peer.features_ready(feature::methods);
  w.settle();
  EXPECT_EQ(w.take_events(), lines{});
  w.peer.features_ready(feature::messages);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connected opened", "1 ok"}));
}

TEST(DeviceCoreConnect, ASecondConnectWhileConnectedIsDoneAtOnce) {
  core_world w;
  w.connect();
  w.core.connect(2, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"2 ok"}));
  EXPECT_EQ(w.peer.take_calls(), lines{});
}

TEST(DeviceCoreConnect, SeveralConnectsEndTogether) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.core.connect(2, w.now);
  w.settle();
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "connected opened", "1 ok", "2 ok"}));
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1"}));
}

TEST(DeviceCoreConnect, RetriesAPassingFailureAndMakesAFreshTokenForEachAttempt) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.peer.drop(errc::connection_refused);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "retrying not_reachable"}));
  w.jump();
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1", "open t2"}));
  EXPECT_EQ(w.take_events(), (lines{"connected opened", "1 ok"}));
}

struct refusal {
  errc why;
  char const* last_event;
};
class DeviceCoreFatal : public testing::TestWithParam<refusal> {};

TEST_P(DeviceCoreFatal, StopsAtOnceAndFailsWhatIsPending) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  w.peer.drop(GetParam().why);
  w.settle();
  std::string const code{to_string(GetParam().why)};
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", GetParam().last_event, "1 " + code, "2 " + code}));
  EXPECT_EQ(w.core.deadline(), never);
  w.core.send_telemetry(3, text_message("b"), {}, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"3 " + code}));
}

INSTANTIATE_TEST_SUITE_P(Codes, DeviceCoreFatal,
                         testing::Values(refusal{errc::unauthorized, "disconnected bad_credentials"},
                                         refusal{errc::certificate_rejected, "disconnected bad_credentials"},
                                         refusal{errc::device_disabled, "disconnected device_disabled"},
                                         refusal{errc::unsupported, "disconnected refused"}));

TEST(DeviceCoreConnect, ACertificateThatIsNotTakenAnyMoreIsAskedForAgain) {
  core_world w;
  w.connect();
  w.peer.stays_silent = true;
  w.peer.drop(errc::connection_lost);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost"}));
  for (int i = 0; i != 3; ++i) {
    w.jump();
    w.peer.drop(errc::certificate_rejected);
    w.settle();
    EXPECT_EQ(w.core.status(), connection_status::retrying);
  }
  w.jump();
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.core.status(), connection_status::connected);
}

TEST(DeviceCoreConnect, CanBeAskedAgainAfterItGaveUp) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.peer.drop(errc::unauthorized);
  w.settle();
  w.take_events();
  w.peer.stays_silent = false;
  w.core.connect(2, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "connected opened", "2 ok"}));
}

TEST(DeviceCoreConnect, GivesUpAtTheLimitWithTheLastError) {
  device_options o;
  o.connect_limit = 20s;
  core_world w{o};
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  for (int i = 0; i != 100 && w.core.status() != connection_status::disconnected; ++i) {
    w.peer.drop(errc::host_not_found);
    w.settle();
    w.jump();
  }
  EXPECT_EQ(w.now, time_point{1h} + 20s);
  EXPECT_EQ(w.take_events(),
            (lines{"connecting opened", "retrying not_reachable", "disconnected gave_up", "1 host_not_found"}));
}

TEST(DeviceCoreConnect, AnAttemptThatGetsNoAnswerIsAborted) {
  device_options o;
  o.connect_timeout = 5s;
  core_world w{o};
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  EXPECT_EQ(w.jump(), 5s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1", "abort"}));
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "retrying not_reachable"}));
}

TEST(DeviceCoreConnect, ASubscriptionThatGetsNoAnswerIsALostConnection) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.peer.ready();
  w.settle();
  EXPECT_EQ(w.jump(), 10s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t1", "enable methods", "abort"}));
}

TEST(DeviceCoreConnect, ARefusedSubscriptionStops) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.peer.ready();
  w.peer.features_ready(feature::methods, error{errc::unsupported});
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "disconnected refused", "1 unsupported"}));
}

TEST(DeviceCoreConnect, SaysAtOnceWhatTheProtocolCannotDo) {
  core_world w;
  w.peer.can = {};
  w.core.enable(feature::methods, w.now);
  w.core.connect(1, w.now);
  w.core.get_twin(2, w.now);
  w.core.patch_reported(3, "{}", w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"1 unsupported", "2 unsupported", "3 unsupported"}));
  EXPECT_EQ(w.peer.take_calls(), lines{});
}

TEST(DeviceCoreConnect, AKeyThatCannotSignStops) {
  core_world w;
  w.core.connect(1, w.now);
  w.core.step(w.now);
  ASSERT_TRUE(w.core.token_wanted());
  w.core.supply_token(error{errc::invalid_argument, "no"}, 0s, w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "disconnected refused", "1 invalid_argument"}));
}

TEST(DeviceCoreReconnect, ComesBackByItselfAndEnablesEverythingAgain) {
  core_world w;
  w.core.enable(feature::methods, w.now);
  w.connect();
  w.peer.drop();
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost"}));
  duration const waited = w.jump();
  EXPECT_GE(waited, 100ms);
  EXPECT_LE(waited, 1s);
  EXPECT_EQ(w.peer.take_calls(), (lines{"open t2", "enable methods"}));
  EXPECT_EQ(w.take_events(), (lines{"connected recovered"}));
}

TEST(DeviceCoreReconnect, FollowsTheScheduleExactly) {
  core_world w{{}, 42};
  reconnect_schedule expected{reconnect_options{}, 42};
  w.token_lifetime = 0s;  // no draw for the jitter of the renewal
  w.connect();
  w.peer.stays_silent = true;
  w.peer.drop();
  w.settle();
  std::vector<duration> seen;
  std::vector<duration> planned;
  for (int i = 0; i != 6; ++i) {
    seen.push_back(w.jump());
    planned.push_back(expected.next_delay(retry_class::soon));
    w.peer.drop(errc::connection_refused);
    w.settle();
  }
  EXPECT_EQ(seen, planned);
}

TEST(DeviceCoreReconnect, TwoClientsThatTakeTheIdentityFromEachOtherSlowDown) {
  core_world w;
  w.connect();
  duration total{0};
  for (int i = 0; i != 12; ++i) {
    w.peer.drop();
    w.settle();
    total += w.jump();
    ASSERT_EQ(w.core.status(), connection_status::connected);
  }
  EXPECT_GT(total, 60s);  // with a reset at each success it would be 12 s at most
}

TEST(DeviceCoreReconnect, GivesUpWhenTheOptionSaysSo) {
  device_options o;
  o.reconnect.give_up_after = 60s;
  core_world w{o};
  w.connect();
  w.peer.stays_silent = true;
  w.peer.drop();
  w.settle();
  for (int i = 0; i != 100 && w.core.status() != connection_status::disconnected; ++i) {
    w.jump();
    w.peer.drop(errc::connection_refused);
    w.settle();
  }
  EXPECT_EQ(w.take_events(), (lines{"retrying connection_lost", "disconnected gave_up"}));
}

TEST(DeviceCoreReconnect, SurvivesAYearAndKeepsTrying) {
  device_options o;
  o.reconnect.max_delay = 600s;
  o.reconnect.throttled_max_delay = 600s;
  core_world w{o};
  w.connect();
  w.peer.stays_silent = true;
  w.peer.drop();
  w.settle();
  time_point const end = w.now + std::chrono::hours{24 * 365};
  int attempts = 0;
  while (w.now < end) {
    w.jump();
    w.peer.drop(errc::host_not_found);
    w.settle();
    ++attempts;
  }
  EXPECT_GT(attempts, 52'560);
  w.peer.calls.clear();
  w.peer.stays_silent = false;
  w.jump();
  EXPECT_EQ(w.core.status(), connection_status::connected);
}

TEST(DeviceCoreClose, EndsEverythingAndSaysGoodbye) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.core.get_twin(3, w.now);
  w.core.close(w.now);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"send a", "enable twin", "close", "abandon 1"}));
  EXPECT_EQ(w.take_events(), (lines{"2 closed", "3 closed", "disconnected closed"}));
  EXPECT_EQ(w.core.pending_operations(), 0u);
  EXPECT_EQ(w.core.deadline(), never);
}

// Its sender was told that it failed: a later connect() must not send it after all.
TEST(DeviceCoreConnect, TakesBackWhatIsInFlightWhenItGivesUp) {
  core_world w;
  w.connect();
  w.core.send_telemetry(2, text_message("a"), {}, w.now);
  w.settle();
  (void)w.peer.take_calls();
  w.peer.drop(errc::unauthorized);
  w.settle();
  EXPECT_EQ(w.peer.take_calls(), (lines{"abandon 1"}));
  EXPECT_EQ(w.take_events(), (lines{"disconnected bad_credentials", "2 unauthorized"}));
}

TEST(DeviceCoreClose, EndsAPendingConnect) {
  core_world w;
  w.peer.stays_silent = true;
  w.core.connect(1, w.now);
  w.settle();
  w.core.close(w.now);
  w.settle();
  EXPECT_EQ(w.take_events(), (lines{"connecting opened", "1 closed", "disconnected closed"}));
}

// The time that it is given begins with the loss.
TEST(DeviceCoreReconnect, GivesUpSoLongAfterTheLossAndNotAfterTheConnect) {
  device_options o;
  o.reconnect.give_up_after = 60s;
  core_world w{o};
  w.connect();
  w.run(120s);
  w.peer.stays_silent = true;
  w.peer.drop();
  w.settle();
  EXPECT_EQ(w.core.status(), connection_status::retrying);
}

}  // namespace
