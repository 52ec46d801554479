#include <iothub/io/loop.hpp>

#include <iothub/memory/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using memory::virtual_loop;

// Runs a function as its step; its deadline is a member.
struct scripted : participant {
  scripted(loop& on, function<void(scripted&, time_point)> what, time_point at = never)
      : due{at}, action{std::move(what)} {
    on.add(*this);
  }
  void step(time_point now) override {
    ++steps;
    action(*this, now);
  }
  time_point deadline() const override { return due; }
  std::string describe() const override { return text; }
  nesting nested() const noexcept override { return rule; }

  time_point due;
  function<void(scripted&, time_point)> action;
  std::string text;
  nesting rule = nesting::once;
  int steps = 0;
};
void nothing(scripted&, time_point) {}
void clear_deadline(scripted& s, time_point now) {
  if (s.due <= now) s.due = never;
}

TEST(Loop, StepsANewParticipantOnceAndAgainWhenWoken) {
  virtual_loop l;
  scripted p{l, nothing};
  EXPECT_EQ(l.poll(), 1u);
  EXPECT_EQ(p.steps, 1);
  EXPECT_EQ(l.poll(), 0u);
  l.wake(p);
  l.wake(p);
  EXPECT_EQ(l.poll(), 1u);
  EXPECT_EQ(p.steps, 2);
}

TEST(Loop, OneThatIsWokenDuringATurnIsSteppedInTheNextAtTheSameTime) {
  virtual_loop l;
  std::string trace;
  scripted b{l, [&](scripted&, time_point) { trace += 'b'; }};
  scripted a{l, [&](scripted&, time_point) {
               trace += 'a';
               if (trace.size() < 6) l.wake(b);
             }};
  l.wake(b);
  EXPECT_EQ(l.poll(), 2u);
  EXPECT_EQ(trace, "bab");
}

TEST(Loop, VirtualTimeJumpsFromDeadlineToDeadline) {
  virtual_loop l;
  time_point const start = l.now();
  std::vector<long> seen;
  scripted p{l, [&](scripted& self, time_point now) {
               seen.push_back((now - start).count());
               self.due = now + 10s;
             }};
  ASSERT_TRUE(l.run_for(25s));
  EXPECT_EQ(seen, (std::vector<long>{0, 10'000'000, 20'000'000}));
  EXPECT_EQ(l.elapsed(), 25s);
  EXPECT_EQ(l.utc_now(), memory::virtual_epoch + 25s);
}

TEST(Loop, EqualDeadlinesAreServedInTheOrderTheyWereSet) {
  for (int run = 0; run != 2; ++run) {
    virtual_loop l;
    std::string trace;
    auto tell = [&](char name) {
      return [&trace, name](scripted& self, time_point now) {
        if (self.due <= now) trace += name, self.due = never;
      };
    };
    time_point const noon = l.now() + 12h;
    scripted a{l, tell('a'), noon}, b{l, tell('b'), noon - 1us}, c{l, tell('c'), noon};
    ASSERT_TRUE(l.run_for(13h));
    EXPECT_EQ(trace, "bac");
  }
}

TEST(Loop, RunUntilHandlesEventsAtItsLimitAndThenTimesOut) {
  virtual_loop l;
  scripted p{l, clear_deadline, l.now() + 5s};
  EXPECT_TRUE(l.run_until([&] { return p.due == never; }, l.now() + 5s));
  auto const waited = l.run_until([] { return false; }, l.now() + 1s);
  EXPECT_EQ(waited.error(), errc::timeout);
  EXPECT_EQ(l.elapsed(), 6s);
}

TEST(Loop, AWaitThatNothingCanEndSaysWhoWaitsForWhat) {
  virtual_loop l;
  scripted a{l, nothing}, b{l, nothing}, c{l, nothing};
  a.text = "device pump-7 waits for CONNACK";
  b.text = "hub waits for a connection";
  auto const waited = l.run_until([] { return false; });
  ASSERT_EQ(waited.error(), errc::stalled);
  EXPECT_EQ(waited.error().message(),
            "nothing can ever happen any more: device pump-7 waits for CONNACK; hub waits for a connection");
  EXPECT_EQ(l.elapsed(), 0s);
}

TEST(Loop, AStallReportOfManyIsCutShort) {
  virtual_loop l;
  std::vector<std::unique_ptr<scripted>> many;
  for (int i = 0; i != 25; ++i) {
    many.push_back(std::make_unique<scripted>(l, nothing));
    many.back()->text = std::to_string(i);
  }
  EXPECT_EQ(l.describe_waiting(3), "0; 1; 2; and 22 more");
  for (auto& p : many) p->text.clear();
  EXPECT_EQ(l.run_until([] { return false; }).error().message(),
            "nothing can ever happen any more: none of the 25 participants says what it waits for");
}

TEST(Loop, ATimeoutThatCouldNotHaveEndedOtherwiseSaysSoToo) {
  virtual_loop l;
  scripted a{l, nothing};
  a.text = "pump-7 waits for SUBACK";
  auto const waited = l.run_until([] { return false; }, l.now() + 30s);
  ASSERT_EQ(waited.error(), errc::timeout);
  EXPECT_EQ(waited.error().message(), "it did not happen in time, and never would have: pump-7 waits for SUBACK");
}

TEST(Loop, AnEmptyLoopStalls) {
  virtual_loop l;
  EXPECT_EQ(l.run_until([] { return false; }).error().message(),
            "nothing can ever happen any more: the loop has no participants");
}

TEST(Loop, StopEndsRunsUntilRestart) {
  virtual_loop l;
  scripted p{l, [&](scripted&, time_point) { l.stop(); }};
  EXPECT_EQ(l.run_for(1h).error(), errc::cancelled);
  EXPECT_EQ(l.run_for(1h).error(), errc::cancelled);
  EXPECT_FALSE(l.run_one());
  l.restart();
  EXPECT_TRUE(l.run_for(1h));
  EXPECT_EQ(p.steps, 1);
}

TEST(Loop, PostedCallsRunInOrderAndMayPost) {
  virtual_loop l;
  std::string trace;
  l.post([&] {
    trace += '1';
    l.post([&] { trace += '3'; });
  });
  l.post([&] { trace += '2'; });
  EXPECT_EQ(l.poll(), 2u);
  EXPECT_EQ(trace, "123");
}

TEST(Loop, RunOneWaitsForTheNextWorkButNotBeyondItsLimit) {
  virtual_loop l;
  scripted p{l, clear_deadline, l.now() + 10s};
  EXPECT_TRUE(l.run_one());
  EXPECT_FALSE(l.run_one(l.now() + 9s));
  EXPECT_TRUE(l.run_one());
  EXPECT_EQ(l.elapsed(), 10s);
  EXPECT_FALSE(l.run_one());
}

TEST(Loop, AWakeAfterADeadlineChangeMovesTheTimer) {
  virtual_loop l;
  scripted p{l, nothing, l.now() + 10s};
  l.poll();
  EXPECT_EQ(l.next_deadline(), l.now() + 10s);
  p.due = l.now() + 3s;
  l.wake(p);
  l.poll();
  EXPECT_EQ(l.next_deadline(), l.now() + 3s);
  p.due = never;
  l.wake(p);
  l.poll();
  EXPECT_EQ(l.next_deadline(), never);
}

TEST(Loop, AParticipantMayEndInItsOwnStepAndInAnothers) {
  virtual_loop l;
  auto own = std::make_unique<scripted>(l, nothing);
  own->action = [&](scripted&, time_point) {
    auto const last = std::move(own);  // the action goes too; nothing of it is used any more
  };
  auto victim = std::make_unique<scripted>(l, nothing, l.now() + 1s);
  scripted killer{l, [&](scripted&, time_point) { victim.reset(); }};
  l.poll();
  EXPECT_EQ(l.size(), 1u);
  EXPECT_TRUE(l.run_for(10s));
}

TEST(Loop, ALoopMayEndBeforeItsParticipantsAndTheyMayJoinAnother) {
  auto first = std::make_unique<virtual_loop>();
  virtual_loop second;
  scripted moving{*first, nothing}, staying{*first, nothing};
  second.add(moving);
  EXPECT_EQ(first->size(), 1u);
  first.reset();
  second.wake(staying);  // in no loop: ignored
  second.poll();
  EXPECT_EQ(moving.steps, 1);
  EXPECT_EQ(staying.steps, 0);
}

TEST(Loop, AnExceptionLeavesTheRunAndTheLoopStaysUsable) {
  virtual_loop l;
  bool broken = true;
  scripted p{l, [&](scripted&, time_point) {
               if (broken) throw std::bad_alloc{};
             }};
  scripted other{l, nothing};
  EXPECT_THROW(l.poll(), std::bad_alloc);
  broken = false;
  l.poll();
  EXPECT_EQ(p.steps, 2);
  EXPECT_EQ(other.steps, 1);
  EXPECT_EQ(l.depth(), 0);
}

TEST(Loop, AWallClockThatJumpsLeavesDeadlinesAlone) {
  virtual_loop l;
  scripted p{l, clear_deadline, l.now() + 10s};
  l.set_utc(memory::virtual_epoch - 24h);
  EXPECT_EQ(l.utc_now(), memory::virtual_epoch - 24h);
  EXPECT_TRUE(l.run_until([&] { return p.due == never; }));
  EXPECT_EQ(l.elapsed(), 10s);
  EXPECT_EQ(l.utc_now(), memory::virtual_epoch - 24h + 10s);
}

// Whoever is idle is never touched: not by wake-ups, not by timers of others.
TEST(Loop, AHundredThousandIdleParticipantsAreNeverLookedAt) {
  virtual_loop l;
  std::vector<std::unique_ptr<scripted>> idle;
  for (int i = 0; i != 100'000; ++i)
    idle.push_back(std::make_unique<scripted>(l, nothing, l.now() + 1h + std::chrono::milliseconds{i}));
  scripted busy{l, [](scripted& self, time_point now) { self.due = now + 1s; }};
  ASSERT_TRUE(l.run_for(59min));
  EXPECT_EQ(busy.steps, 59 * 60 + 1);
  int touched = 0;
  for (auto const& p : idle) touched += p->steps != 1;
  EXPECT_EQ(touched, 0);
}

}  // namespace
