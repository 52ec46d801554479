// Failures that were found by seeds, as the scripts they were shrunk to; and what the simulation promises of itself.
#include <gtest/gtest.h>

#include <string>

#include "cpu_limit.hpp"
#include "report.hpp"
#include "world.hpp"

namespace {

using namespace iothub_test;
namespace sim = iothub::sim;

void holds(std::string const& text) {
  cpu_limit const in_time;
  script const s = parse(text);
  verdict const v = run(s, 100);
  if (!v.ok()) ADD_FAILURE() << "A PROMISE OF THE LIBRARY IS BROKEN\n\n" << report(v, s, replay_this_test());
}

// A message that was in flight when the client was refused for good was reported failed, and sent by the next connect().
TEST(SimulationCase, WhatFailedWithARefusalIsNotSentLater) {
  holds(R"(
seed 7735830288798199505
devices 2
length 322320
latency 0
jitter 0
connect_timeout 30
twin_timeout 10
280146 connack_5 1 946 600811
320988 ask_fault 1 2000 579
321320 telemetry 1 1000 1
)");
}

// The device was deleted and made anew while it was away, and its new twin came to the version that the old one had: the
// handler kept what the old one said.
TEST(SimulationCase, ATwinMadeAnewWithTheSameVersionIsSeen) {
  holds(R"(
seed 15192481857471419786
length 2184232
latency 0
jitter 0
keep_alive 60
connect_timeout 10
779680 key_rotated 0 3250 677974
1057263 clock_offset 0 710 657445
1085123 desired 0 17000 628
2037655 device_deleted 0 168 417433
2183232 desired 0 1000 872
)");
}

// A twin was wanted while a renewal held everything back: the client woke up for it at once, and again, and did nothing.
TEST(SimulationCase, ATwinThatIsWantedWhileARenewalHoldsWaits) {
  holds(R"(
seed 4727334065798972023
length 1200000
latency 300
jitter 150
keep_alive 1177
twin_timeout 10
token 900
margin 450
max_delay 5000
274943 flap 0 0 11
354902 telemetry 0 1000 1
354903 black_hole_up 0 4708000 0
)");
}

// Memory ran out while a fault that telemetry asks for was put down: the next wish of the kind took back what was not there,
// and the hub did not come to an end.
TEST(SimulationCase, AFaultIsAskedForAgainWhereMemoryRanOut) {
  holds(R"(
seed 17062354378847432248
length 714903
latency 0
jitter 0
keep_alive 1177
subscribe_timeout 5
twin_timeout 300
values 1
80248 allocation_failure 0 27071 166871
666781 telemetry 0 4000 26
695926 ask_fault 0 1000 215
713903 ask_fault 0 1000 35
)");
}

// Memory ran out while the hub merged a patch: a part of it was there, under the version before.
TEST(SimulationCase, APatchWithoutMemoryChangesNothing) {
  holds(R"(
seed 12356073865197982249
length 1841526
latency 0
jitter 0
keep_alive 1177
connect_timeout 30
subscribe_timeout 5
publish_timeout 86400
values 1
1342298 report 0 3000 794
1554460 allocation_failure 0 290 787974
1840526 report 0 1000 957
)");
}

// --- what looked like failures, and was none: kept so that the judge stays fair

// Confirmations that a quota withholds come when a new connection sends the messages again.
TEST(SimulationCase, AQuotaThatWasAskedForEnds) {
  holds(R"(
seed 6970493452157346638
length 59482
latency 0
jitter 0
keep_alive 30
connect_timeout 30
subscribe_timeout 30
twin_timeout 10
token 86400
57019 ask_fault 0 2000 933
58482 telemetry 0 1000 3
)");
}
// The hub's answers to two patches may come in another order than the patches were applied in.
TEST(SimulationCase, AnAnswerMayOvertakeAnother) {
  holds(R"(
seed 9494392995888858885
length 263404
latency 0
jitter 0
keep_alive 30
connect_timeout 30
subscribe_timeout 5
publish_timeout 10
246897 twin_answer_late 0 3899 295869
262195 report 0 12000 157
262404 report 0 1000 546
)");
}
// What the hub sent before it deleted the device still arrives.
TEST(SimulationCase, ADeletedDeviceHearsOfItsLastDesire) {
  holds(R"(
seed 807880743744417221
length 294746
latency 700
jitter 350
connect_timeout 30
twin_timeout 10
280343 look 0 1000 421
292017 desired 0 2000 591
293746 device_deleted 0 27185 61044
)");
}
// The answer about the twin of a device that was deleted while the answer was under way says nothing of the new one's.
TEST(SimulationCase, AnAnswerOfADeletedDeviceIsPast) {
  holds(R"(
seed 1051947258986393817
length 108325
latency 700
jitter 0
keep_alive 60
connect_timeout 10
publish_timeout 10
twin_timeout 10
105950 report 0 7000 367
107325 device_deleted 0 59901 951871
)");
}
// A packet that is illegal on a connection is none where the first CONNACK never came.
TEST(SimulationCase, ASecondConnackIsTheFirstWhereTheFirstWasLost) {
  holds(R"(
seed 440219848931594633
length 828982
latency 0
jitter 0
keep_alive 1177
subscribe_timeout 30
publish_timeout 10
token 900
margin 150
98437 connect_throttled 0 615 914873
470750 illegal_packet 0 766 2
540207 connect_throttled 0 2004 653280
766117 connack_lost 0 913 373895
827982 method 0 21000 193
)");
}

// A handler that waited for a confirmation of its own held back the end of a message, and the judge called that late.
TEST(Simulation, CallbacksWaitForAHandlerThatWaits) {
  holds(R"(
seed 7598111166998452910
length 300000
latency 700
jitter 0
connect_timeout 30
publish_timeout 10
twin_timeout 10
84732 black_hole_up 0 960000 0
104860 telemetry 0 2000 1
111320 method 0 8000 396
111740 handler_reenters 0 994 582745
)");
}

// --- the simulation itself

// I20: everything that was seen to happen, in its order and at its time.
TEST(Simulation, GivesTheSameRunForTheSameSeed) {
  int plain = 0, tls = 0;
  for (std::uint64_t seed = 1; plain < 5 || tls < 2; ++seed) {
    script const s = draw(seed);
    if (++(s.tls ? tls : plain) > (s.tls ? 2 : 5)) continue;
    verdict const once = run(s, 0), twice = run(s, 0);
    EXPECT_EQ(once.hash, twice.hash) << seed;
    EXPECT_GT(once.events, 100u);
  }
}
TEST(Simulation, GivesAnotherRunForAnotherSeed) {
  EXPECT_NE(run(draw(1), 0).hash, run(draw(2), 0).hash);
}
TEST(Simulation, ReadsTheScriptsThatItPrints) {
  for (std::uint64_t seed = 1; seed != 50; ++seed) {
    std::string const text = print(draw(seed));
    EXPECT_EQ(print(parse(text)), text);
  }
}
TEST(Simulation, RefusesScriptsThatMakeNoSenseAndNamesTheLine) {
  for (char const* line : {"length -5", "length 315360000001", "length 99999999999999999999", "seed -1", "devices 0",
                           "devices -1", "devices 10001", "tls -1", "latency -1", "keep_alive -1", "token 59", "outbox 0",
                           "readers -1", "prefetch 0", "1 telemetry 0 0 100001", "1 telemetry 0 0 -1", "1 telemetry 0 -1 1",
                           "315360000001 telemetry 0 0 1", "1 telemetry 2147483647 0 1", "1 outage -1 0 1",
                           "1 telemetry 0 0", "length", "seed"}) {
    script s;
    EXPECT_EQ(parse(std::string{"# a script\n"} + line + "\n", s).substr(0, 3), "2: ") << line;
  }
  script s;
  EXPECT_EQ(parse("length 315360000000\nseed 18446744073709551615\n1 telemetry 0 0 100000\n", s), "");
}
TEST(Simulation, MakesScriptsSmallThatDevicesTake) {
  script s;
  s.token = 86'400;
  s.margin = 43'200;
  s.steps.push_back({0, "telemetry", 0, 0, 1});
  script const less = shrink(s, "I1", [](script const& one) { return one.margin == 43'200 ? "I1" : ""; });
  EXPECT_EQ(less.token, 86'400);  // the usual one is too short for this margin
  EXPECT_TRUE(less.steps.empty());
}

}  // namespace
