#include <iothub/net/epoll_loop.hpp>

#include <iothub/net/signals.hpp>

#include <gtest/gtest.h>

#include <poll.h>

#include <string>
#include <thread>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using net::epoll_loop;

struct scripted : participant {
  scripted(loop& on, function<void(scripted&, time_point)> what) : action{std::move(what)} { on.add(*this); }
  void step(time_point now) override {
    ++steps;
    action(*this, now);
  }
  time_point deadline() const override { return due; }
  time_point due = never;
  int steps = 0;
  function<void(scripted&, time_point)> action;
};
void nothing(scripted&, time_point) {}

TEST(EpollLoop, RunsTimersInTheOrderOfTheirDeadlinesAndNeverEarly) {
  epoll_loop l;
  time_point const start = l.now();
  std::string trace;
  auto tell = [&](char name) {
    return [&trace, name](scripted& self, time_point now) {
      if (self.due <= now) trace += name, self.due = never;
    };
  };
  scripted a{l, tell('a')}, b{l, tell('b')};
  a.due = start + 4ms;
  b.due = start + 2ms;
  ASSERT_TRUE(l.run_until([&] { return trace.size() == 2; }));
  EXPECT_EQ(trace, "ba");
  EXPECT_GE(l.now(), start + 4ms);
}

TEST(EpollLoop, APostFromAnotherThreadWakesIt) {
  epoll_loop l;
  bool done = false;
  std::thread other{[&] { l.post([&] { done = true; }); }};
  EXPECT_TRUE(l.run_until([&] { return done; }));
  other.join();
}

TEST(EpollLoop, AStopFromAnotherThreadEndsAnEndlessRun) {
  epoll_loop l;
  std::thread other{[&] { l.stop(); }};
  EXPECT_EQ(l.run_until([] { return false; }).error(), errc::cancelled);
  other.join();
  l.restart();
  EXPECT_TRUE(l.run_for(0ms));
}

TEST(EpollLoop, PostsFromManyThreadsAllArriveInTheOrderOfEachThread) {
  epoll_loop l;
  std::vector<int> last(4, -1);
  int in_order = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t != last.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i != 200; ++i) l.post([&, t, i] { in_order += std::exchange(last[t], i) == i - 1; });
    });
  EXPECT_TRUE(l.run_until([&] { return in_order == 800; }));
  for (std::thread& t : threads) t.join();
}

TEST(EpollLoop, WakesOncePerEdgeAndInEveryTurnPerLevel) {
  for (auto const trigger : {fd_trigger::edge, fd_trigger::level}) {
    epoll_loop l;
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    scripted p{l, nothing};
    l.poll();
    ASSERT_TRUE(l.watcher()->watch(fds[0], fd_interest::read, p, trigger));
    EXPECT_FALSE(l.poll_once());
    EXPECT_EQ(l.watcher()->take_events(fds[0]), fd_interest::none);
    ASSERT_EQ(write(fds[1], "x", 1), 1);
    EXPECT_TRUE(l.poll_once());
    EXPECT_EQ(l.watcher()->take_events(fds[0]), fd_interest::read);
    EXPECT_EQ(l.poll_once(), trigger == fd_trigger::level);
    l.watcher()->unwatch(fds[0]);
    EXPECT_FALSE(l.poll_once());
    close(fds[0]);
    close(fds[1]);
  }
}

TEST(EpollLoop, WatchingADescriptorThatIsNoneFails) {
  epoll_loop l;
  scripted p{l, nothing};
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  close(fds[0]);
  close(fds[1]);
  EXPECT_EQ(l.watcher()->watch(fds[0], fd_interest::read, p).error(), errc::io_error);
}

TEST(EpollLoop, ADescriptorNumberMayBeUsedAgain) {
  epoll_loop l;
  scripted p{l, nothing};
  l.poll();
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  ASSERT_TRUE(l.watcher()->watch(fds[0], fd_interest::read, p));
  close(fds[0]);  // against the rules: without unwatch()
  close(fds[1]);
  ASSERT_EQ(pipe(fds), 0);
  ASSERT_TRUE(l.watcher()->watch(fds[0], fd_interest::read, p));
  ASSERT_EQ(write(fds[1], "x", 1), 1);
  EXPECT_TRUE(l.poll_once());
  l.watcher()->unwatch(fds[0]);
  close(fds[0]);
  close(fds[1]);
}

TEST(EpollLoop, LivesInsideAForeignLoop) {
  epoll_loop l;
  bool done = false;
  scripted p{l, nothing};
  time_point const wanted = l.next_deadline();
  EXPECT_LE(wanted, l.now());  // it has work
  EXPECT_TRUE(l.poll_once());
  EXPECT_EQ(l.next_deadline(), never);
  l.post([&] { done = true; });
  pollfd foreign{l.native_handle(), POLLIN, 0};
  EXPECT_EQ(poll(&foreign, 1, -1), 1);
  EXPECT_TRUE(l.poll_once());
  EXPECT_TRUE(done);
  EXPECT_EQ(poll(&foreign, 1, 0), 0);
}

TEST(EpollLoop, NeverStalls) {
  epoll_loop l;
  EXPECT_EQ(l.run_until([] { return false; }, l.now() + 1ms).error(), errc::timeout);
}

TEST(StopOnSignals, StopsTheLoopAndPutsTheOldHandlersBack) {
  struct sigaction before = {}, after = {};
  sigaction(SIGTERM, nullptr, &before);
  for (int const signal : {SIGINT, SIGTERM}) {
    epoll_loop l;
    net::stop_on_signals const guard{l};
    l.post([&] { raise(signal); });
    EXPECT_EQ(l.run_until([] { return false; }).error(), errc::cancelled);
  }
  sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
