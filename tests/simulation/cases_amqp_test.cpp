// As cases_test.cpp: what seeds found where AMQP, event readers and values are in the run.
#include <gtest/gtest.h>

#include <string>

#include "report.hpp"
#include "world.hpp"

namespace {

using namespace iothub_test;

void holds(std::string const& text) {
  script const s = parse(text);
  verdict const v = run(s, 100);
  EXPECT_TRUE(v.ok()) << report(v, s, "in cases_amqp_test.cpp");
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

}  // namespace
