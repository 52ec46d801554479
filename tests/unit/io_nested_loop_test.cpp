// Runs inside runs: what a blocking call inside a handler does.
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

struct scripted : participant {
  scripted(loop& on, function<void(scripted&, time_point)> what, nesting how = nesting::once)
      : action{std::move(what)}, rule{how} {
    on.add(*this);
  }
  void step(time_point now) override {
    ++steps;
    action(*this, now);
  }
  time_point deadline() const override { return due; }
  nesting nested() const noexcept override { return rule; }

  time_point due = never;
  function<void(scripted&, time_point)> action;
  nesting rule;
  int steps = 0;
};

TEST(NestedRun, StepsOthersAndLetsTimePass) {
  virtual_loop l;
  bool answered = false;
  scripted io{l, [&](scripted& self, time_point now) {
                if (self.due <= now) answered = true, self.due = never;
              }};
  scripted handler{l, [&](scripted& self, time_point now) {
                     if (self.steps != 1) return;
                     io.due = now + 20s;
                     l.wake(io);
                     EXPECT_TRUE(l.run_until([&] { return answered; }));
                     EXPECT_EQ(l.now(), now + 20s);
                   }};
  l.poll();
  EXPECT_TRUE(answered);
  EXPECT_EQ(l.depth(), 0);
}

TEST(NestedRun, DoesNotStepWhoeverWaitsBelowAndMakesUpForItLater) {
  virtual_loop l;
  std::string trace;
  scripted p{l, [&](scripted& self, time_point) {
               trace += '(';
               if (self.steps == 1) {
                 l.wake(self);
                 EXPECT_EQ(l.run_until([] { return false; }).error(), errc::stalled);  // it does not spin either
               }
               trace += ')';
             }};
  l.poll();
  EXPECT_EQ(trace, "()()");
}

TEST(NestedRun, StepsAReentrantParticipantAgain) {
  virtual_loop l;
  std::string trace;
  scripted p{l,
             [&](scripted& self, time_point) {
               trace += '(';
               if (self.steps == 1) {
                 l.wake(self);
                 EXPECT_TRUE(l.run_until([&] { return self.steps == 2; }));
               }
               trace += ')';
             },
             nesting::reentrant};
  l.poll();
  EXPECT_EQ(trace, "(())");
}

TEST(NestedRun, ADeadlineThatComesBelowIsServedAfterTheFrameReturns) {
  virtual_loop l;
  scripted p{l, [&](scripted& self, time_point now) {
               if (self.steps == 1) {
                 self.due = now + 1s;
               } else if (self.steps == 2) {
                 self.due = now + 1s;
                 EXPECT_TRUE(l.run_for(10s));  // its own timer comes meanwhile
               } else {
                 self.due = never;
               }
             }};
  ASSERT_TRUE(l.run_for(60s));
  EXPECT_EQ(p.steps, 3);
}

TEST(NestedRun, AParticipantMayEndWhileItsStepIsBelow) {
  virtual_loop l;
  std::unique_ptr<scripted> client;
  // The callable outlives the participant: only the loop's part is under test.
  auto body = [&](scripted&, time_point) { EXPECT_TRUE(l.run_until([&] { return client == nullptr; })); };
  client = std::make_unique<scripted>(l, [&body](scripted& self, time_point now) {
    auto const call = &body;
    (*call)(self, now);
  });
  scripted other{l, [&](scripted&, time_point) { client.reset(); }};
  l.poll();
  EXPECT_EQ(client, nullptr);
  EXPECT_EQ(l.size(), 1u);
}

// Handlers run one inside the other up to the limit; beyond it they wait, while I/O goes on.
TEST(NestedRun, HandlersWaitBeyondTheDepthLimitAndIoGoesOn) {
  virtual_loop l;
  int deepest = 0, running = 0;
  bool io_answered = false;
  std::vector<std::unique_ptr<scripted>> handlers;
  scripted io{l, [&](scripted& self, time_point now) {
                if (self.due <= now) io_answered = true, self.due = never;
              }};
  for (int i = 0; i != loop::max_handler_depth + 4; ++i)
    handlers.push_back(std::make_unique<scripted>(
        l,
        [&](scripted&, time_point now) {
          ++running;
          if (running > deepest) deepest = running;
          if (!io_answered) {
            if (io.due == never) io.due = now + 5s, l.wake(io);
            EXPECT_TRUE(l.run_until([&] { return io_answered; }));
          }
          --running;
        },
        nesting::handler));
  ASSERT_TRUE(l.run_for(10s));
  EXPECT_EQ(deepest, loop::max_handler_depth);
  for (auto const& h : handlers) EXPECT_EQ(h->steps, 1);
}

TEST(NestedRun, FailsBeyondTheLimitOfAllRuns) {
  virtual_loop l;
  errc last{};
  std::vector<std::unique_ptr<scripted>> chain;
  for (int i = 0; i != loop::max_depth + 2; ++i)
    chain.push_back(std::make_unique<scripted>(l, [&](scripted&, time_point) {
      auto const nested = l.run_for(1s);
      if (!nested) last = nested.error().code();
    }));
  ASSERT_TRUE(l.run_for(100s));
  EXPECT_EQ(last, errc::invalid_state);
}

TEST(NestedRun, StopEndsEveryLevel) {
  virtual_loop l;
  std::vector<errc> ends;
  scripted outer{l, [&](scripted&, time_point) { ends.push_back(l.run_for(1h).error().code()); }};
  scripted inner{l, [&](scripted&, time_point) { l.stop(); }};
  ends.push_back(l.run_for(2h).error().code());
  EXPECT_EQ(ends, (std::vector<errc>{errc::cancelled, errc::cancelled}));
}

TEST(NestedRun, APostedCallMayBlock) {
  virtual_loop l;
  bool second = false;
  l.post([&] { EXPECT_TRUE(l.run_until([&] { return second; })); });
  l.post([&] { second = true; });
  l.poll();
  EXPECT_TRUE(second);
}

}  // namespace
