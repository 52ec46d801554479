// As cases_test.cpp: what seeds found where AMQP, event readers and values are in the run.
#include <gtest/gtest.h>

#include <string>

#include "cpu_limit.hpp"
#include "report.hpp"
#include "world.hpp"

namespace {

using namespace iothub_test;

void holds(std::string const& text) {
  cpu_limit const in_time;
  script const s = parse(text);
  verdict const v = run(s, 100);
  EXPECT_TRUE(v.ok()) << report(v, s, "in cases_amqp_test.cpp");
}

// A reader that asks the hub anew where its endpoint is had a deadline in the past meanwhile: it woke itself without an end.
TEST(SimulationAmqp, AReaderThatAsksAgainWhereToReadRests) {
  holds(R"(
seed 2415040985435850847
devices 4
length 19200000
readers 1
4738980 hub_restart_forgets 0 5605 413272
11601033 hub_restart_forgets 2 2169 810736
)");
}
// A device whose session has ended, and whose hub does not answer that, tried to send in every turn of the loop.
TEST(SimulationAmqp, ADeviceThatCannotSendRests) {
  holds(R"(
seed 1989508058296654223
latency 0
jitter 0
token 86400
amqp 1
181169 http_throttled_seconds 0 879 45839
341493 telemetry 0 1000 1
341494 black_hole_up 0 960000 0
493855 illegal_packet 0 1907 964114
581493 telemetry 0 1000 1
)");
}
// A rule that the hub broke once was taken for its refusal: feedback never came again.
TEST(SimulationAmqp, AHubThatBreaksARuleOnceIsAskedForFeedbackAgain) {
  holds(R"(
seed 3
length 400000
messenger 1
10000 c2d 0 1000 2
20000 illegal_packet -1 1000 6
200000 c2d 0 1000 4
)");
}
// A stored session brought a call to a client that had never set a handler.
TEST(SimulationAmqp, ACallReachesAClientWithoutHandlers) {
  holds(R"(
seed 10107005369161751284
89610 takeover 0 27286 16211
93987 method 0 1000 759
)");
}
// I20 where readers, devices over AMQP, a messenger and values are in the run.
TEST(SimulationAmqp, GivesTheSameRunForTheSameSeed) {
  bool amqp = false, values = false, readers = false, messenger = false;
  for (std::uint64_t seed = 1; seed != 400 && !(amqp && values && readers && messenger); ++seed) {
    script const s = draw(seed);
    bool const wanted = (s.amqp != 0 && !amqp) || (s.values != 0 && !values) || (s.readers != 0 && !readers) || (s.messenger != 0 && !messenger);
    if (s.tls || !wanted) continue;  // TLS takes its randomness from elsewhere
    EXPECT_EQ(run(s, 0).hash, run(s, 0).hash) << seed;
    amqp = amqp || s.amqp != 0;
    values = values || s.values != 0;
    readers = readers || s.readers != 0;
    messenger = messenger || s.messenger != 0;
  }
  EXPECT_TRUE(amqp && values && readers && messenger);
}
// Everybody at once, over a good line.
TEST(SimulationAmqp, AllIsWellOverAGoodLine) {
  holds(R"(
seed 5
devices 3
length 600000
amqp 2
readers 2
share 1
messenger 1
1000 telemetry 0 1000 20
1000 telemetry 1 1000 20
2000 method 0 1000 0
3000 c2d 0 1000 2
4000 c2d 1 1000 4
5000 desired 0 1000 3
6000 report 0 1000 0
9000 telemetry 2 1000 5
60000 reader_stop -1 30000 0
90000 telemetry 0 1000 7
120000 reader_crash -2 30000 1
121000 telemetry 1 1000 7
)");
}

// Closed while it asked the hub anew where its endpoint is, a reader saved its checkpoints as those of an endpoint without
// a name, and began at the beginning the next time.
TEST(SimulationAmqp, AReaderThatIsClosedWhileItAsksWhereToReadKeepsItsPlace) {
  holds(R"(
seed 16655161224957777986
devices 2
length 433750
latency 0
jitter 0
twin_timeout 10
margin 150
readers 2
162267 hub_restart 0 1933 446241
183039 hub_restart_forgets 0 778 346598
196899 connack_lost 1 1544 436860
219561 hub_restart 0 822 281944
229438 telemetry 1 5000 36
256774 hub_restart 0 1515 666240
269611 hub_restart_forgets 0 250268 309302
432750 reader_stop -2 618 623132
)");
}

// Its session gone, and the good-bye of its connection on the way, a reader was due at once to open a receiver that it
// could not open.
TEST(SimulationAmqp, AReaderWhoseConnectionIsGoingRests) {
  holds(R"(
seed 12043422553670875981
length 1200000
latency 300
jitter 0
subscribe_timeout 5
publish_timeout 60
twin_timeout 300
token 300
margin 50
outbox 1
inbox 1
twin_requests 1
max_delay 120000
readers 2
prefetch 5
1064088 illegal_packet -1 506 484374
)");
}

// A certificate that was not good for once ended feedback for good.
TEST(SimulationAmqp, AMessengerAsksAgainForACertificateThatWasGood) {
  holds(R"(
seed 2478558962014311160
devices 2
tls 1
length 15311452
latency 0
jitter 0
keep_alive 1177
connect_timeout 30
subscribe_timeout 5
publish_timeout 86400
messenger 1
1080130 tls_not_yet_valid -1 41409 737480
12588712 reset_inside_packet -1 3939 544677
15310452 c2d 1 1000 998
)");
}

// An abandoned message comes again with the next connection only and holds back what was accepted behind it (MQTT-4.6.0-2); a
// renewal 13 s before the end let it go, and the judge did not wait for the hub to tell of it.
TEST(SimulationAmqp, FeedbackOfWhatARenewalSettledIsWaitedFor) {
  holds(R"(
seed 1580445321256179636
devices 3
length 1200000
latency 0
jitter 0
chunk 1
connect_timeout 10
subscribe_timeout 5
publish_timeout 86400
twin_timeout 300
margin 1800
messenger 1
376689 destroyed_in_handler 1 1654 29972
394683 method 1 1000 498
477059 look 0 16000 826
558039 look 2 1000 1
569475 c2d 1 2000 505
777103 c2d 1 6000 664
841192 method 0 8000 300
871467 c2d 1 1000 368
)");
}

// A message whose call threw was kept by the links and sent on every connection, with nobody to give it up: here it is one
// that asks the hub to end the connection.
TEST(SimulationAmqp, AMessageWhoseCallThrewIsNotSentForEver) {
  holds(R"(
seed 5525832706520252929
tls 1
latency 0
jitter 0
subscribe_timeout 30
publish_timeout 10
twin_timeout 10
token 86400
outbox 8
amqp 2
47883 telemetry 0 1000 4
157048 telemetry 0 1000 1
207087 telemetry 0 1000 2
242299 telemetry 0 2000 24
357384 allocation_failure 0 724 36499
380810 telemetry 0 1000 2
401018 ask_fault 0 3000 560
)");
}

// A reader was cut off while $management owed it an answer, and the line went on slowly: from when the answer was due each
// moment was, and the run did not end.
TEST(SimulationAmqp, AReaderThatGaveAnAnswerUpRestsUntilItsLineHasGone) {
  holds(R"(
seed 3228597384567337801
length 300000
latency 300
jitter 0
subscribe_timeout 5
twin_timeout 10
token 86400
readers 1
10736 outage -1 1375 865643
61933 partial_io -1 125 974218
)");
}

// A batch of feedback waited for a receiver that has credit, on a line that had been reset, and the next batch had its time:
// the hub was due in every moment.
TEST(SimulationAmqp, FeedbackThatNobodyTakesLetsTheHubRest) {
  holds(R"(
seed 763913199381848904
length 2400000
chunk 1
token 900
margin 150
messenger 1
110044 late_data_after_close -1 122 239916
898548 destroyed_in_handler 0 212 881285
930928 method 0 1000 988
2103106 c2d 0 50000 190
2118114 c2d 0 20000 495
2136262 c2d 0 1000 58
2353811 reset_before_packet -1 1558 60010
)");
}

}  // namespace
