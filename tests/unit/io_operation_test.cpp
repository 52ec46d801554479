#include <iothub/io/operation.hpp>

#include <iothub/base/prng.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/io/retry.hpp>
#include <iothub/memory/virtual_clock.hpp>

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

time_point at(std::int64_t us) {
  return time_point{duration{us}};
}

TEST(OperationTable, EndsEachOperationOnce) {
  operation_table<std::string> table;
  operation_id const a = table.start(at(10), "a");
  operation_id const b = table.start(never, "b");
  EXPECT_NE(a, 0u);
  EXPECT_EQ(table.deadline(), at(10));
  EXPECT_EQ(table.finish(a), "a");
  EXPECT_FALSE(table.finish(a).has_value());
  EXPECT_EQ(table.deadline(), never);
  EXPECT_EQ(*table.find(b), "b");
  EXPECT_EQ(table.size(), 1u);
}

TEST(OperationTable, ExpiresByDeadlineThenByStart) {
  operation_table<int> table;
  table.start(at(20), 1);
  table.start(at(10), 2);
  table.start(at(20), 3);
  table.start(never, 4);
  std::vector<int> order;
  while (auto e = table.next_expired(at(20))) order.push_back(e->value);
  EXPECT_EQ(order, (std::vector<int>{2, 1, 3}));
  EXPECT_EQ(table.next_expired(never)->value, 4);  // close() ends them all
  EXPECT_TRUE(table.empty());
}

TEST(OperationTable, AgreesWithAMapOnRandomPrograms) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    prng random{seed};
    operation_table<int> table;
    std::map<std::pair<std::int64_t, int>, operation_id> model;
    std::int64_t now = 0;
    for (int i = 0; i != 2000; ++i) {
      if (random.chance(2, 3)) {
        std::int64_t const due = now + static_cast<std::int64_t>(random.below(1000)) + 1;
        model[{due, i}] = table.start(at(due), i);
      } else if (!model.empty() && random.chance(3, 4)) {
        auto it = model.begin();
        for (std::uint64_t n = random.below(model.size()); n != 0; --n) ++it;
        ASSERT_EQ(table.finish(it->second), it->first.second);
        model.erase(it);
      } else {
        now += 50;
        while (!model.empty() && model.begin()->first.first <= now) {
          auto const e = table.next_expired(at(now));
          ASSERT_TRUE(e.has_value());
          ASSERT_EQ(e->id, model.begin()->second);
          model.erase(model.begin());
        }
        ASSERT_FALSE(table.next_expired(at(now)).has_value());
      }
      ASSERT_EQ(table.size(), model.size());
      ASSERT_EQ(table.deadline(), model.empty() ? never : at(model.begin()->first.first));
    }
  }
}

TEST(RetrySchedule, StaysInItsRangeAndDoublesUntilTheLongest) {
  retry_schedule const how{.shortest = 100ms, .first = 1s, .longest = 20s, .attempts = 0};
  for (std::uint32_t attempt = 0; attempt != 40; ++attempt) {
    duration most{0}, least = 1h;
    for (std::uint64_t seed = 0; seed != 200; ++seed) {
      duration const d = retry_delay(how, attempt, seed);
      most = d > most ? d : most;
      least = d < least ? d : least;
    }
    duration const bound = attempt < 5 ? duration{100ms + 1s * (1 << attempt)} : duration{20s};
    EXPECT_LE(most, bound);
    EXPECT_GE(least, duration{100ms});
    EXPECT_GT(most, bound * 8 / 10);  // full jitter uses the whole range
    EXPECT_LT(least, bound * 2 / 10 + 100ms);
  }
}

TEST(RetrySchedule, IsAPureValue) {
  static_assert(retry_delay({}, 3, 7) == retry_delay({}, 3, 7));
  EXPECT_NE(retry_delay({}, 3, 7), retry_delay({}, 3, 8));
  EXPECT_EQ(retry_delay({.shortest = 5s, .first = 0s, .longest = 5s, .attempts = 0}, 0xffffffff, 1), 5s);
  EXPECT_GE(retry_delay(throttled_schedule, 0, 1), 10s);
}

TEST(RetrySchedule, GivesUpAfterTheGivenAttempts) {
  EXPECT_TRUE(may_retry({}, 1'000'000));
  retry_schedule const three{.attempts = 3};
  EXPECT_TRUE(may_retry(three, 2));
  EXPECT_FALSE(may_retry(three, 3));
}

TEST(LoopClock, ReadsItsLoop) {
  memory::virtual_loop l;
  loop_clock const c{l};
  ASSERT_TRUE(l.run_for(10s));
  EXPECT_EQ(c.now(), l.now());
  EXPECT_EQ(c.utc_now(), memory::virtual_epoch + 10s);
}

TEST(SkewedClock, IsWrongByItsOffsetAndDrift) {
  memory::virtual_loop l;
  skewed_clock<> c{l, -1h, 200};
  ASSERT_TRUE(l.run_for(10'000s));
  EXPECT_EQ(c.now(), l.now());
  EXPECT_EQ(c.utc_now(), l.utc_now() - 1h + 2s);
  c.set_offset(5s);
  EXPECT_EQ(c.utc_now(), l.utc_now() + 5s);
}

TEST(VirtualClock, StandsStillUntilTold) {
  memory::virtual_clock c;
  time_point const before = c.now();
  c.advance(5s);
  EXPECT_EQ(c.now() - before, 5s);
  EXPECT_EQ(c.utc_now(), memory::virtual_epoch + 5s);
  c.set_utc(from_unix_seconds(0));
  EXPECT_EQ(c.now() - before, 5s);
}

}  // namespace
