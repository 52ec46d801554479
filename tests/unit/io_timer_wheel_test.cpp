#include <iothub/io/timer_wheel.hpp>

#include <iothub/base/prng.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace {

using namespace iothub;
using std::chrono::microseconds;

struct node {
  int name = 0;
  detail::timer_links<node> links = {};
};
using wheel = timer_wheel<node, &node::links>;

time_point at(std::int64_t us) {
  return time_point{microseconds{us}};
}

std::vector<int> expire(wheel& w, time_point now) {
  std::vector<int> names;
  w.advance(now, [&](node& n) { names.push_back(n.name); });
  return names;
}

TEST(TimerWheel, ExpiresByDeadlineThenByInsertion) {
  wheel w{at(0)};
  node a{1}, b{2}, c{3}, d{4};
  w.insert(a, at(500));
  w.insert(b, at(90));
  w.insert(c, at(500));
  w.insert(d, at(90'000'000));
  EXPECT_EQ(expire(w, at(89)), (std::vector<int>{}));
  EXPECT_EQ(expire(w, at(500)), (std::vector<int>{2, 1, 3}));
  EXPECT_EQ(w.size(), 1u);
  EXPECT_EQ(expire(w, at(89'999'999)), (std::vector<int>{}));
  EXPECT_EQ(expire(w, at(90'000'000)), (std::vector<int>{4}));
}

TEST(TimerWheel, KeepsInsertionOrderOfEqualDeadlinesThatWentInAtDifferentTimes) {
  wheel w{at(0)};
  node a{1}, b{2}, c{3};
  w.insert(a, at(1'000'000));
  expire(w, at(400'000));
  w.insert(b, at(1'000'000));
  expire(w, at(999'999));
  w.insert(c, at(1'000'000));
  EXPECT_EQ(expire(w, at(1'000'000)), (std::vector<int>{1, 2, 3}));
}

TEST(TimerWheel, ADeadlineInThePastIsDueWithTheNextAdvance) {
  wheel w{at(1000)};
  node a{1}, b{2};
  w.insert(a, at(10));
  w.insert(b, time_point::min());
  EXPECT_EQ(expire(w, at(1000)), (std::vector<int>{1, 2}));
}

TEST(TimerWheel, TakesTheWholeRangeOfTime) {
  wheel w{time_point::min()};
  node a{1}, b{2}, c{3};
  w.insert(a, at(-1));
  w.insert(b, at(0));
  w.insert(c, never - microseconds{1});
  EXPECT_EQ(w.next_deadline(), at(-1));
  EXPECT_EQ(expire(w, at(0)), (std::vector<int>{1, 2}));
  EXPECT_EQ(expire(w, never), (std::vector<int>{3}));
  EXPECT_EQ(w.next_deadline(), never);
}

TEST(TimerWheel, NextDeadlineIsExactAndNextWakeupIsNeverLater) {
  wheel w{at(0)};
  node a{1}, b{2};
  EXPECT_EQ(w.next_deadline(), never);
  EXPECT_EQ(w.next_wakeup(), never);
  w.insert(a, at(123'456'789));
  EXPECT_EQ(w.next_wakeup(), at(123'456'789));  // one node: exact
  w.insert(b, at(123'456'780));
  EXPECT_EQ(w.next_deadline(), at(123'456'780));
  EXPECT_LE(w.next_wakeup(), at(123'456'780));
  w.erase(b);
  EXPECT_EQ(w.next_deadline(), at(123'456'789));
}

TEST(TimerWheel, ReachesADeadlineInAtMostOneWakeupPerLevel) {
  wheel w{at(0)};
  node a{1}, b{2};
  w.insert(a, at(0x3ffff'ffff'ffff));
  w.insert(b, at(0x3ffff'ffff'fffe));
  int wakeups = 0;
  while (w.size() != 0) {
    expire(w, w.next_wakeup());
    ++wakeups;
  }
  EXPECT_LE(wakeups, 12);
}

// Against the obvious model, which std::multimap keeps in the same order: by key, then by insertion.
TEST(TimerWheel, AgreesWithAMultimapOnRandomPrograms) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    prng random{seed};
    std::int64_t now = static_cast<std::int64_t>(random.below(1u << 30)) - (1 << 29);
    wheel w{at(now)};
    std::multimap<std::int64_t, int> model;
    std::vector<std::unique_ptr<node>> nodes;
    std::vector<std::multimap<std::int64_t, int>::iterator> places;
    for (int i = 0; i != 200; ++i) {
      nodes.push_back(std::make_unique<node>(node{i}));
      places.push_back(model.end());
    }
    for (int step = 0; step != 3000; ++step) {
      std::size_t const i = random.below(nodes.size());
      if (wheel::linked(*nodes[i])) {
        if (random.chance(1, 2)) {
          w.erase(*nodes[i]);
          model.erase(places[i]);
        }
      } else {
        std::int64_t const due = now + 1 + static_cast<std::int64_t>(random.below(1ull << random.below(34)));
        w.insert(*nodes[i], at(due));
        places[i] = model.emplace(due, static_cast<int>(i));
      }
      ASSERT_EQ(w.next_deadline(), model.empty() ? never : at(model.begin()->first)) << "seed " << seed;
      ASSERT_LE(w.next_wakeup(), w.next_deadline());
      if (random.chance(1, 4)) {
        now += static_cast<std::int64_t>(random.below(1ull << random.below(34)));
        std::vector<int> expected;
        while (!model.empty() && model.begin()->first <= now) {
          expected.push_back(model.begin()->second);
          model.erase(model.begin());
        }
        ASSERT_EQ(expire(w, at(now)), expected) << "seed " << seed << " step " << step;
      }
    }
  }
}

}  // namespace
