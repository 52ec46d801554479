// The famous defects of the IoT SDKs, one test each, with the thread that tells of it. Each is a script that the
// simulation plays and judges by all invariants (oracle.hpp), in milliseconds; that its faults took effect, and what its
// name promises, is asked besides.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/simulation/fault.hpp>

#include "report.hpp"
#include "world.hpp"

namespace {

using namespace iothub_test;
namespace sim = iothub::sim;
using sim::fault;

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
  // Plays it. Each kind of fault that was ordered has to take effect: one that nothing came along to meet shows nothing.
  verdict play() {
    std::stable_sort(s.steps.begin(), s.steps.end(), [](step const& a, step const& b) { return a.at < b.at; });
    verdict v = run(s, 2'000'000);
    happened_ = std::move(v.last);
    v.last.assign(happened_.end() - std::min<std::ptrdiff_t>(100, std::ssize(happened_)), happened_.end());
    if (!v.ok()) ADD_FAILURE() << "A PROMISE OF THE LIBRARY IS BROKEN\n\n" << report(v, s, replay_this_test());
    for (step const& each : s.steps)
      if (fault const f = sim::fault_from(each.what); f != fault::count && v.faults[f] == 0)
        ADD_FAILURE() << each.what << " never took effect";
    return v;
  }
  // How many events of the device begin so, behind their time, and hold that.
  [[nodiscard]] std::size_t seen(std::string_view begin, std::string_view also = {}) const {
    return static_cast<std::size_t>(std::count_if(happened_.begin(), happened_.end(), [&](std::string_view line) {
      line.remove_prefix(std::min(line.size(), line.find("  d0  ") + 6));
      return line.starts_with(begin) && line.find(also) != std::string_view::npos;
    }));
  }
  [[nodiscard]] std::size_t recovered() const { return seen("status", "connected recovered"); }
  [[nodiscard]] std::size_t answered() const { return seen("invoked,", "status 200"); }
  // Everything that was sent arrived.
  static void expect_all_sent(verdict const& v, std::uint64_t at_least) {
    EXPECT_EQ(v.failures, 0u);
    EXPECT_GE(v.messages, at_least);
  }
  script s;

 private:
  std::vector<std::string> happened_;
};

// --- reconnects that never come back

// Thousands queued offline: https://github.com/Azure/azure-iot-sdk-c/issues/889,
// https://github.com/Azure/azure-iot-sdk-c/issues/205, https://github.com/Azure/azure-iot-sdk-c/issues/213
TEST_F(Scenario, ComesBackAfterADayOfOutageWithThousandsQueued) {
  s.outbox = 10'000;
  s.length = 30 * hours;
  at(1 * minutes, "outage", 24 * hours, 1);
  for (int i = 0; i != 100; ++i) at(2 * minutes + i * minutes, "telemetry", 0, 100);
  expect_all_sent(play(), 10'000);
  EXPECT_EQ(recovered(), 1u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/746: never connects if it was started before the network was there
TEST_F(Scenario, ConnectsWhenItWasStartedBeforeTheNetwork) {
  at(0, "client_closed").at(0, "outage", 20 * minutes, 1).every(1 * minutes, "telemetry");
  verdict const v = play();
  EXPECT_GT(v.attempts, 3u);
  EXPECT_GE(v.messages - v.failures, 39u);  // what was sent from then on
}
// https://github.com/Azure/azure-iot-sdk-c/issues/18: the time for retries runs out, and the client is dead for ever
TEST_F(Scenario, TriesForDays) {
  s.length = 4 * days;
  at(1 * minutes, "outage", 3 * days, 1).at(2 * minutes, "report").at(2 * minutes, "desired", 0, 1);
  EXPECT_GT(play().attempts, 3'000u);
  EXPECT_EQ(recovered(), 1u);
  EXPECT_GE(seen("desired"), 1u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/135 (a quarter of an hour to notice),
// https://github.com/Azure/azure-iot-sdk-c/issues/1617 (while only sending)
TEST_F(Scenario, NoticesADeadLinkWhileItOnlySends) {
  s.keep_alive = 60;
  every(5 * seconds, "telemetry").at(10 * minutes, "black_hole_down").at(30 * minutes, "black_hole_up");
  expect_all_sent(play(), 719);
  EXPECT_GE(recovered(), 2u);
}
TEST_F(Scenario, NoticesAHubThatIsGoneWithoutAWord) {
  s.keep_alive = 30;
  every(20 * seconds, "telemetry").every(7 * minutes, "half_open");
  verdict const v = play();
  EXPECT_EQ(v.faults[fault::half_open], 8u);
  expect_all_sent(v, 179);
  EXPECT_EQ(recovered(), 8u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/264: a write to a connection that was reset
TEST_F(Scenario, WritesToAResetConnection) {
  every(1 * seconds, "telemetry").every(61 * seconds, "reset_before_packet").every(97 * seconds, "reset_inside_packet", 7);
  verdict const v = play();
  EXPECT_GE(v.faults[fault::reset_before_packet], 50u);
  EXPECT_GE(v.faults[fault::reset_inside_packet], 30u);
  expect_all_sent(v, 3'599);
  EXPECT_GE(recovered(), 75u);
}
// A laptop that sleeps: https://github.com/Azure/azure-iot-sdk-python/issues/700,
// https://github.com/Azure/azure-iot-sdk-python/issues/996
TEST_F(Scenario, WakesUpAfterThreeHours) {
  s.length = 8 * hours;
  every(1 * minutes, "telemetry").at(1 * hours, "stall", 3 * hours);
  expect_all_sent(play(), 300);
  EXPECT_GE(recovered(), 1u);
}
// https://github.com/Azure/azure-iot-sdk-node/issues/990: reconnecting stops when the name is not found
TEST_F(Scenario, KeepsTryingWhenNamesAreNotFound) {
  every(30 * seconds, "telemetry").every(2 * minutes, "link_dropped").every(2 * minutes, "dns_not_found");
  every(3 * minutes, "dns_timed_out").every(5 * minutes, "dns_empty");
  verdict const v = play();
  EXPECT_GE(v.faults[fault::dns_not_found], 25u);
  expect_all_sent(v, 119);
  EXPECT_GE(recovered(), 25u);
}
// https://github.com/Azure/azure-iot-sdk-java/issues/304: CONNACK 3 again and again
TEST_F(Scenario, ComesBackWhenTheHubRefusesForAWhile) {
  at(1 * minutes, "link_dropped");
  for (int i = 0; i != 30; ++i) at(30 * seconds, "connack_3");
  EXPECT_EQ(play().faults[fault::connack_3], 30u);
  EXPECT_EQ(recovered(), 1u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1790: many retries with a wrong clock. A day off is as far as a script
// goes; virtual_defects_test.cpp has ten years, and ten thousand retries.
TEST_F(Scenario, RetriesForDaysWithAWrongClock) {
  s.length = 3 * days;
  at(1 * minutes, "clock_offset", 0, 86'399).at(2 * minutes, "link_dropped").every(1 * hours, "telemetry");
  EXPECT_GT(play().attempts, 2'000u);
  EXPECT_GT(seen("status", "bad_credentials"), 2'000u);
  EXPECT_GE(seen("status", "connected"), 2u);  // before and afterwards
}
// https://github.com/Azure/azure-iot-sdk-c/issues/945: a length of 2147483647
TEST_F(Scenario, EndsAConnectionOnWhatIsNoMqtt) {
  for (std::uint64_t i = 0; i != 24; ++i) at(static_cast<std::int64_t>(1 + i) * 2 * minutes, "illegal_packet", 0, i);
  every(10 * seconds, "telemetry");
  verdict const v = play();
  EXPECT_EQ(v.faults[fault::illegal_packet], 24u);
  expect_all_sent(v, 359);
  EXPECT_EQ(recovered(), 24u);
  EXPECT_LT(v.attempts, 60u);
}
// https://github.com/Azure/azure-iot-sdk-python/issues/990: a send never ends after a TLS error on reconnect
TEST_F(Scenario, EndsEverySendAfterATlsErrorOnReconnect) {
  s.tls = true;
  for (char const* what : {"tls_expired", "tls_wrong_name", "tls_not_yet_valid", "tls_unknown_authority", "tls_self_signed",
                           "tls_wrong_usage", "tls_alert", "tls_truncated", "tls_stops_after_hello"}) {
    std::int64_t const t = static_cast<std::int64_t>(s.steps.size()) * 1 * minutes + 1 * minutes;
    at(t, "telemetry", 0, 3).at(t + 1, what).at(t + 2, "link_dropped").at(t + 3, "telemetry", 0, 3);
  }
  expect_all_sent(play(), 54);
  EXPECT_GE(recovered(), 9u);
}

// --- duplicates, order, losses

// No DUP, bursts of duplicates by four connects a second: https://github.com/Azure/azure-iot-sdk-c/issues/2514,
// https://github.com/Azure/azure-iot-sdk-c/issues/1360
TEST_F(Scenario, SendsAgainWithDupAndSlowly) {
  at(1 * minutes, "flap", 0, 40).every(500, "telemetry");
  verdict const v = play();
  expect_all_sent(v, 7'199);
  EXPECT_GE(recovered(), 40u);
  EXPECT_LT(v.attempts, 100u);
}
TEST_F(Scenario, TwoClientsThatFightForOneIdentitySlowDown) {
  at(1 * minutes, "takeover", 15 * minutes).every(10 * seconds, "telemetry");
  verdict const v = play();
  EXPECT_LT(v.attempts, 200u);
  expect_all_sent(v, 359);
  EXPECT_GE(recovered(), 5u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1621: the first two minutes of an outage of ten vanish
TEST_F(Scenario, LosesNothingOfTheFirstMinutesOfAnOutage) {
  every(5 * seconds, "telemetry").at(10 * minutes, "outage", 10 * minutes, 1);
  expect_all_sent(play(), 719);
  EXPECT_EQ(recovered(), 1u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/1626: a queue of three days is lost on reconnect
TEST_F(Scenario, KeepsAQueueOfThreeDays) {
  s.length = 4 * days;
  s.publish_timeout = 4 * 86400;
  every(10 * minutes, "telemetry").at(1 * hours, "outage", 3 * days, 1);
  expect_all_sent(play(), 575);
  EXPECT_EQ(recovered(), 1u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/2448: time-outs do not fire while offline
TEST_F(Scenario, EndsMessagesInTimeWhileOffline) {
  s.publish_timeout = 60;
  every(10 * seconds, "telemetry").at(10 * minutes, "outage", 20 * minutes, 1);
  verdict const v = play();
  EXPECT_GT(v.failures, 50u);
  EXPECT_GE(v.messages - v.failures, 200u);  // the others are well
  EXPECT_EQ(recovered(), 1u);
}
// The confirmation comes minutes later: https://github.com/Azure/azure-iot-sdk-c/issues/2499,
// https://github.com/Azure/azure-iot-sdk-c/issues/867
TEST_F(Scenario, WaitsForAConfirmationThatComesLate) {
  every(1 * minutes, "telemetry").every(10 * minutes, "telemetry_confirmed_late", 1, 5 * minutes);
  verdict const v = play();
  EXPECT_GE(v.faults[fault::telemetry_confirmed_late], 5u);
  expect_all_sent(v, 59);
}
// "A week was never tested": a year of outage, nothing lost inside the bound.
TEST_F(Scenario, SurvivesAYearOfOutage) {
  s.length = 366 * days;
  s.publish_timeout = 400 * 86400;
  s.max_delay = 600 * seconds;
  at(1 * minutes, "outage", 365 * days, 1);
  for (int i = 0; i != 999; ++i) at(1 * hours + i * 8 * hours, "telemetry", 0, 1);
  expect_all_sent(play(), 999);
  EXPECT_EQ(recovered(), 1u);
}

// --- tokens

// https://github.com/Azure/azure-iot-sdk-java/issues/304, https://github.com/espressif/esp-azure/issues/100;
// https://github.com/Azure/azure-iot-sdk-c/issues/2274: a drop every 48 minutes
TEST_F(Scenario, RenewsItsTokenForAMonthWithoutALostOrDoubledMessage) {
  s.length = 30 * days;
  every(10 * minutes, "telemetry");
  verdict const v = play();
  expect_all_sent(v, 30 * 24 * 6 - 1);
  EXPECT_EQ(v.duplicates, 0u);
  EXPECT_GT(v.renewals, 30u * 24);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/747, https://github.com/Azure/azure-iot-sdk-c/issues/2511,
// https://github.com/Azure/azure-iot-sdk-c/issues/2148
TEST_F(Scenario, RenewsTenThousandTokensUnderLoad) {
  s.token = 60;
  s.margin = 30;
  s.length = 5 * days;
  s.latency = 50;
  every(7 * seconds, "telemetry");
  verdict const v = play();
  expect_all_sent(v, 60'000);
  EXPECT_EQ(v.duplicates, 0u);
  EXPECT_GE(v.renewals, 10'000u);
}
// https://github.com/Azure/azure-iot-sdk-python/issues/1181: a clock that is ten minutes off looks like a wrong key
TEST_F(Scenario, LivesWithAClockThatIsTenMinutesOff) {
  s.length = 12 * hours;
  every(5 * minutes, "telemetry").at(1 * hours, "clock_offset", 0, 600).at(6 * hours, "clock_offset", 0, 601);
  verdict const v = play();
  EXPECT_EQ(v.faults[fault::clock_offset], 2u);
  expect_all_sent(v, 143);
  EXPECT_GE(v.renewals, 12u);
  EXPECT_EQ(recovered(), 0u);  // it was never away
}

// --- direct methods

// https://github.com/Azure/azure-iot-sdk-csharp/issues/3354: the handler runs twice after a reconnect
TEST_F(Scenario, RunsAMethodOnceAfterAReconnect) {
  every(10 * seconds, "method", 8).every(95 * seconds, "link_dropped");
  EXPECT_GE(play().faults[fault::link_dropped], 35u);
  EXPECT_GE(answered(), 300u);
  EXPECT_GE(recovered(), 35u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/717, https://github.com/Azure/azure-iot-sdk-java/issues/1544,
// https://github.com/Azure/azure-iot-sdk-csharp/issues/635
TEST_F(Scenario, AnswersMethodsAfterTheHubForgotItsSessions) {
  every(30 * seconds, "method", 8).every(10 * minutes, "hub_restart_forgets", 0, 20 * seconds);
  EXPECT_GE(play().faults[fault::hub_restart_forgets], 5u);
  EXPECT_GE(answered(), 100u);
  EXPECT_GE(recovered(), 5u);
}
// https://github.com/Azure/azure-iot-sdk-java/issues/1465: request ids are lost
TEST_F(Scenario, MatchesAnswersToRequestsOverReconnects) {
  every(3 * seconds, "read_twin").every(5 * seconds, "report").every(40 * seconds, "link_dropped");
  every(50 * seconds, "twin_answer_late", 1, 10 * seconds).every(70 * seconds, "twin_answer_unknown");
  verdict const v = play();
  EXPECT_GE(v.faults[fault::twin_answer_late], 50u);
  EXPECT_GE(v.faults[fault::twin_answer_unknown], 40u);
  EXPECT_GE(seen("twin ok"), 1'000u);
  EXPECT_GE(seen("reported,"), 600u);
}
// Answers later than the handler: https://github.com/Azure/azure-iot-sdk-c/issues/2570,
// https://github.com/Azure/azure-iot-sdk-c/issues/1437
TEST_F(Scenario, AnswersMethodsLater) {
  every(20 * seconds, "method", 22).every(3 * minutes, "link_dropped");
  play();
  EXPECT_GE(seen("method runs,"), 150u);
  EXPECT_GE(answered(), 60u);
}

// --- twins

// https://github.com/Azure/azure-iot-sdk-node/issues/885, https://github.com/Azure/azure-iot-sdk-csharp/issues/3423,
// https://github.com/Azure/iotedge/issues/7148
TEST_F(Scenario, SeesWhatWasDesiredWhileItWasAway) {
  for (std::uint64_t i = 1; i != 120; ++i) at(static_cast<std::int64_t>(i) * 29 * seconds, "desired", 0, i);
  every(4 * minutes, "outage", 1, 70 * seconds);
  EXPECT_GE(play().faults[fault::outage], 14u);
  EXPECT_GE(recovered(), 14u);
  EXPECT_GE(seen("desired whole,"), 14u);
}
// https://github.com/Azure/azure-iot-sdk-c/issues/798: a race between GET and SUBSCRIBE;
// https://github.com/Azure/azure-iot-sdk-c/issues/775: an old twin reverts new values
TEST_F(Scenario, ALateTwinRevertsNothing) {
  for (std::uint64_t i = 1; i != 400; ++i) at(static_cast<std::int64_t>(i) * 7 * seconds, "desired", 0, i);
  every(45 * seconds, "link_dropped").every(45 * seconds, "twin_answer_late", 1, 9 * seconds);
  every(60 * seconds, "suback_late", 1, 2 * seconds);
  verdict const v = play();
  EXPECT_GE(v.faults[fault::twin_answer_late], 50u);
  EXPECT_GE(v.faults[fault::suback_late], 20u);
  EXPECT_GE(seen("desired"), 300u);
}
// https://github.com/Azure/azure-iot-sdk-node/issues/563: the call for the twin never ends when the client is closed
TEST_F(Scenario, EndsTwinRequestsWhenTheClientIsClosed) {
  every(10 * seconds, "read_twin").every(10 * seconds, "report").every(50 * seconds, "client_closed");
  EXPECT_GE(play().faults[fault::client_closed], 60u);
  EXPECT_GE(seen("twin ok"), 100u);
  EXPECT_GE(seen("twin failed"), 60u);
}

// --- cloud to device, and the life of the client

// https://github.com/Azure/azure-iot-sdk-c/issues/1648 and others: messages to the device in bad times
TEST_F(Scenario, GetsEveryMessageToIt) {
  for (std::uint64_t i = 1; i != 200; ++i) at(static_cast<std::int64_t>(i) * 11 * seconds, "c2d", 0, 2 * i + 1);
  every(40 * seconds, "link_dropped").every(130 * seconds, "handler_throws").every(170 * seconds, "publish_doubled");
  verdict const v = play();
  EXPECT_GE(v.faults[fault::link_dropped], 80u);
  EXPECT_GE(v.faults[fault::handler_throws], 10u);
  EXPECT_GE(v.faults[fault::publish_doubled], 10u);
  EXPECT_GE(seen("c2d seen,"), 199u + 20u);
}
// Use after free: https://github.com/Azure/azure-iot-sdk-c/issues/770, https://github.com/Azure/azure-iot-sdk-c/issues/774;
// a deadlock: https://github.com/Azure/azure-iot-sdk-c/issues/168; what one must not do in a callback:
// https://github.com/Azure/azure-iot-sdk-c/pull/2228
TEST_F(Scenario, IsDestroyedInsideItsHandlers) {
  every(5 * seconds, "telemetry").every(8 * seconds, "method", 8).every(9 * seconds, "c2d", 1);
  every(31 * seconds, "destroyed_in_handler").every(47 * seconds, "client_destroyed", 3);
  for (std::uint64_t i = 1; i != 200; ++i) at(static_cast<std::int64_t>(i) * 17 * seconds, "desired", 0, i);
  verdict const v = play();
  EXPECT_GE(v.faults[fault::destroyed_in_handler], 50u);
  EXPECT_GE(v.faults[fault::client_destroyed], 50u);
  EXPECT_GE(seen("client", ""), 100u);
  EXPECT_GE(answered(), 100u);
}

}  // namespace
