// The famous defects of the IoT SDKs, one test each, with the thread that tells of it. Each is a script that the
// simulation plays and judges by all invariants (oracle.hpp), in milliseconds; what is special about one is asked besides.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "report.hpp"
#include "world.hpp"

namespace {

using namespace iothub_test;

constexpr std::int64_t seconds = 1000, minutes = 60 * seconds, hours = 60 * minutes, days = 24 * hours;

class Scenario : public ::testing::Test {
 public:
  Scenario() {
    s.publish_timeout = 2 * 86400;
    s.length = 1 * hours;
  }
  Scenario& at(std::int64_t when, std::string what, std::int64_t lasting = 0, std::uint64_t amount = 0, int device = 0) {
    s.steps.push_back({when, std::move(what), device, lasting, amount});
    return *this;
  }
  Scenario& every(std::int64_t period, std::string const& what, std::uint64_t amount = 1, std::int64_t lasting = 0) {
    for (std::int64_t t = period; t < s.length; t += period) at(t, what, lasting, amount);
    return *this;
  }
  verdict play() {
    std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
    verdict const v = run(s, 100);
    if (!v.ok()) ADD_FAILURE() << "A PROMISE OF THE LIBRARY IS BROKEN\n\n" << report(v, s, replay_this_test());
    return v;
  }
  script s;
};

// --- reconnects that never come back

// https://github.com/Azure/azure-iot-sdk-c/issues/889 (thousands queued offline), /205, /213
TEST_F(Scenario, ComesBackAfterADayOfOutageWithThousandsQueued) {
  s.outbox = 10'000;
  s.length = 30 * hours;
  at(1 * minutes, "outage", 24 * hours, 1);
  for (int i = 0; i != 100; ++i) at(2 * minutes + i * minutes, "telemetry", 0, 100);
  EXPECT_EQ(play().failures, 0u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/746: never connects if it was started before the network was there
TEST_F(Scenario, ConnectsWhenItWasStartedBeforeTheNetwork) {
  at(0, "client_closed").at(0, "outage", 20 * minutes, 1).every(1 * minutes, "telemetry");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/18: the time for retries runs out, and the client is dead for ever
TEST_F(Scenario, TriesForDays) {
  s.length = 4 * days;
  at(1 * minutes, "outage", 3 * days, 1).at(2 * minutes, "report").at(2 * minutes, "desired", 0, 1);
  EXPECT_GT(play().attempts, 3'000u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/135 (a quarter of an hour to notice), /1617 (while only sending)
TEST_F(Scenario, NoticesADeadLinkWhileItOnlySends) {
  s.keep_alive = 60;
  every(5 * seconds, "telemetry").at(10 * minutes, "black_hole_down").at(30 * minutes, "black_hole_up");
  play();
}
TEST_F(Scenario, NoticesAHubThatIsGoneWithoutAWord) {
  s.keep_alive = 30;
  every(20 * seconds, "telemetry").every(7 * minutes, "half_open");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/264: a write to a connection that was reset
TEST_F(Scenario, WritesToAResetConnection) {
  every(1 * seconds, "telemetry").every(61 * seconds, "reset_before_packet").every(97 * seconds, "reset_inside_packet", 7);
  play();
}
// https://github.com/Azure/azure-iot-sdk-python/issues/700: a laptop that sleeps; https://github.com/Azure/azure-iot-sdk-python/issues/996
TEST_F(Scenario, WakesUpAfterThreeHours) {
  s.length = 8 * hours;
  every(1 * minutes, "telemetry").at(1 * hours, "stall", 3 * hours);
  EXPECT_EQ(play().failures, 0u);
}
// https://github.com/Azure/azure-iot-sdk-node/issues/990: reconnecting stops when the name is not found
TEST_F(Scenario, KeepsTryingWhenNamesAreNotFound) {
  every(30 * seconds, "telemetry").every(2 * minutes, "link_dropped").every(2 * minutes, "dns_not_found");
  every(3 * minutes, "dns_timed_out").every(5 * minutes, "dns_empty");
  play();
}
// https://github.com/Azure/azure-iot-sdk-java/issues/304: CONNACK 3 again and again
TEST_F(Scenario, ComesBackWhenTheHubRefusesForAWhile) {
  at(1 * minutes, "link_dropped");
  for (int i = 0; i != 30; ++i) at(30 * seconds, "connack_3");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1790: many retries with a wrong clock
TEST_F(Scenario, RetriesForDaysWithAWrongClock) {
  s.length = 3 * days;
  at(0, "clock_offset", 0, 86'399).at(1, "link_dropped").every(1 * hours, "telemetry");
  EXPECT_GT(play().attempts, 2'000u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/945: a length of 2147483647
TEST_F(Scenario, EndsAConnectionOnWhatIsNoMqtt) {
  for (std::uint64_t i = 0; i != 24; ++i) at(static_cast<std::int64_t>(1 + i) * 2 * minutes, "illegal_packet", 0, i);
  every(10 * seconds, "telemetry");
  EXPECT_EQ(play().failures, 0u);
}
// https://github.com/Azure/azure-iot-sdk-python/issues/990: a send never ends after a TLS error on reconnect
TEST_F(Scenario, EndsEverySendAfterATlsErrorOnReconnect) {
  s.tls = true;
  for (char const* what : {"tls_expired", "tls_wrong_name", "tls_not_yet_valid", "tls_unknown_authority", "tls_self_signed",
                           "tls_wrong_usage", "tls_alert", "tls_truncated", "tls_stops_after_hello"}) {
    std::int64_t const t = static_cast<std::int64_t>(s.steps.size()) * 1 * minutes + 1 * minutes;
    at(t, "telemetry", 0, 3).at(t + 1, what).at(t + 2, "link_dropped").at(t + 3, "telemetry", 0, 3);
  }
  play();
}

// --- duplicates, order, losses

// https://github.com/Azure/azure-iot-sdk-c/issues/2514: no DUP, bursts of duplicates by four connects a second; /1360
TEST_F(Scenario, SendsAgainWithDupAndSlowly) {
  at(1 * minutes, "flap", 0, 40).every(500, "telemetry");
  play();
}
TEST_F(Scenario, TwoClientsThatFightForOneIdentitySlowDown) {
  at(1 * minutes, "takeover", 15 * minutes).every(10 * seconds, "telemetry");
  EXPECT_LT(play().attempts, 200u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1621: the first two minutes of an outage of ten vanish
TEST_F(Scenario, LosesNothingOfTheFirstMinutesOfAnOutage) {
  every(5 * seconds, "telemetry").at(10 * minutes, "outage", 10 * minutes, 1);
  EXPECT_EQ(play().failures, 0u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1626: a queue of three days is lost on reconnect
TEST_F(Scenario, KeepsAQueueOfThreeDays) {
  s.length = 4 * days;
  s.publish_timeout = 4 * 86400;
  every(10 * minutes, "telemetry").at(1 * hours, "outage", 3 * days, 1);
  EXPECT_EQ(play().failures, 0u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/2448: time-outs do not fire while offline
TEST_F(Scenario, EndsMessagesInTimeWhileOffline) {
  s.publish_timeout = 60;
  every(10 * seconds, "telemetry").at(10 * minutes, "outage", 20 * minutes, 1);
  EXPECT_GT(play().failures, 50u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/2499, /867: the confirmation comes minutes later
TEST_F(Scenario, WaitsForAConfirmationThatComesLate) {
  every(1 * minutes, "telemetry").every(10 * minutes, "telemetry_confirmed_late", 1, 5 * minutes);
  EXPECT_EQ(play().failures, 0u);
}
// "A week was never tested": a year of outage, nothing lost inside the bound.
TEST_F(Scenario, SurvivesAYearOfOutage) {
  s.length = 366 * days;
  s.publish_timeout = 400 * 86400;
  s.max_delay = 600 * seconds;
  at(1 * minutes, "outage", 365 * days, 1);
  for (int i = 0; i != 999; ++i) at(1 * hours + i * 8 * hours, "telemetry", 0, 1);
  EXPECT_EQ(play().failures, 0u);
}

// --- tokens

// https://github.com/Azure/azure-iot-sdk-java/issues/304, https://github.com/espressif/esp-azure/issues/100;
// https://github.com/Azure/azure-iot-sdk-c/issues/2274: a drop every 48 minutes
TEST_F(Scenario, RenewsItsTokenForAMonthWithoutALostOrDoubledMessage) {
  s.length = 30 * days;
  every(10 * minutes, "telemetry");
  verdict const v = play();
  EXPECT_EQ(v.failures, 0u);
  EXPECT_EQ(v.duplicates, 0u);
  EXPECT_GT(v.renewals, 30u * 24);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/747, /2511, /2148
TEST_F(Scenario, RenewsTenThousandTokensUnderLoad) {
  s.token = 60;
  s.margin = 30;
  s.length = 5 * days;
  s.latency = 50;
  every(7 * seconds, "telemetry");
  verdict const v = play();
  EXPECT_EQ(v.failures, 0u);
  EXPECT_EQ(v.duplicates, 0u);
  EXPECT_GE(v.renewals, 10'000u);
}
// https://github.com/Azure/azure-iot-sdk-python/issues/1181: a clock that is ten minutes off looks like a wrong key
TEST_F(Scenario, LivesWithAClockThatIsTenMinutesOff) {
  s.length = 12 * hours;
  every(5 * minutes, "telemetry").at(1 * hours, "clock_offset", 0, 600).at(6 * hours, "clock_offset", 0, 601);
  play();
}

// --- direct methods

// https://github.com/Azure/azure-iot-sdk-csharp/issues/3354: the handler runs twice after a reconnect
TEST_F(Scenario, RunsAMethodOnceAfterAReconnect) {
  every(10 * seconds, "method", 8).every(95 * seconds, "link_dropped");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/717, azure-iot-sdk-java/issues/1544, azure-iot-sdk-csharp/issues/635
TEST_F(Scenario, AnswersMethodsAfterTheHubForgotItsSessions) {
  every(30 * seconds, "method", 8).every(10 * minutes, "hub_restart_forgets", 0, 20 * seconds);
  play();
}
// https://github.com/Azure/azure-iot-sdk-java/issues/1465: request ids are lost
TEST_F(Scenario, MatchesAnswersToRequestsOverReconnects) {
  every(3 * seconds, "read_twin").every(5 * seconds, "report").every(40 * seconds, "link_dropped");
  every(50 * seconds, "twin_answer_late", 1, 10 * seconds).every(70 * seconds, "twin_answer_unknown");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/2570, /1437: answers later than the handler
TEST_F(Scenario, AnswersMethodsLater) {
  every(20 * seconds, "method", 22).every(3 * minutes, "link_dropped");
  play();
}

// --- twins

// https://github.com/Azure/azure-iot-sdk-node/issues/885, azure-iot-sdk-csharp/issues/3423, Azure/iotedge/issues/7148
TEST_F(Scenario, SeesWhatWasDesiredWhileItWasAway) {
  for (std::uint64_t i = 1; i != 120; ++i) at(static_cast<std::int64_t>(i) * 29 * seconds, "desired", 0, i);
  every(4 * minutes, "outage", 1, 70 * seconds);
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/798: a race between GET and SUBSCRIBE; /775: an old twin reverts new values
TEST_F(Scenario, ALateTwinRevertsNothing) {
  for (std::uint64_t i = 1; i != 400; ++i) at(static_cast<std::int64_t>(i) * 7 * seconds, "desired", 0, i);
  every(45 * seconds, "link_dropped").every(45 * seconds, "twin_answer_late", 1, 9 * seconds).every(60 * seconds, "suback_late", 1, 2 * seconds);
  play();
}
// https://github.com/Azure/azure-iot-sdk-node/issues/563: the call for the twin never ends when the client is closed
TEST_F(Scenario, EndsTwinRequestsWhenTheClientIsClosed) {
  every(10 * seconds, "read_twin").every(10 * seconds, "report").every(50 * seconds, "client_closed");
  play();
}

// --- cloud to device, and the life of the client

// https://github.com/Azure/azure-iot-sdk-c/issues/1648 and others: messages to the device in bad times
TEST_F(Scenario, GetsEveryMessageToIt) {
  for (std::uint64_t i = 1; i != 200; ++i) at(static_cast<std::int64_t>(i) * 11 * seconds, "c2d", 0, 2 * i + 1);
  every(40 * seconds, "link_dropped").every(130 * seconds, "handler_throws").every(170 * seconds, "publish_doubled");
  play();
}
// https://github.com/Azure/azure-iot-sdk-c/issues/770, /774 (use after free), /168 (deadlock), pull request 2228
TEST_F(Scenario, IsDestroyedInsideItsHandlers) {
  every(5 * seconds, "telemetry").every(8 * seconds, "method", 8).every(9 * seconds, "c2d", 1);
  every(31 * seconds, "destroyed_in_handler").every(47 * seconds, "client_destroyed", 3);
  for (std::uint64_t i = 1; i != 200; ++i) at(static_cast<std::int64_t>(i) * 17 * seconds, "desired", 0, i);
  play();
}

}  // namespace
