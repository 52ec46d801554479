#include <iothub/memory/pipe.hpp>

#include <iothub/memory/fail_at.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <talker.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using memory::pipe_network;
using memory::pipe_options;
using memory::pipe_stream;
using talker = iothub_test::talker<pipe_stream>;

// One client and one server on a pipe.
struct world {
  explicit world(pipe_options options = {}) : net{loop, options}, listener{*net.listen({"hub.example", 8883})} {}
  // Opens, and accepts once the connection has come.
  void connect() {
    client = std::make_unique<talker>(loop, pipe_stream{net});
    ASSERT_TRUE(client->stream.open({"hub.example", 8883}, loop.now()));
    ASSERT_TRUE(loop.run_for(net_delay));
    auto end = listener.accept(loop.now());
    ASSERT_TRUE(end);
    server = std::make_unique<talker>(loop, std::move(*end));
  }
  void run() { ASSERT_TRUE(loop.run_for(1h)); }

  memory::virtual_loop loop;
  pipe_network net;
  memory::pipe_listener listener;
  duration net_delay = 1s;
  std::unique_ptr<talker> client, server;
};

TEST(Pipe, CarriesBytesBothWaysAndTheEnd) {
  world w;
  w.connect();
  w.client->say("hello");
  w.server->say("welcome");
  w.run();
  EXPECT_EQ(w.server->received, "hello");
  EXPECT_EQ(w.client->received, "welcome");
  w.client->say("bye");
  w.loop.poll();
  w.client->close();
  w.run();
  EXPECT_EQ(w.server->received, "hellobye");
  EXPECT_TRUE(w.server->ended);
  EXPECT_TRUE(w.net.connections().size() == 1u);
  w.server->close();
  EXPECT_TRUE(w.net.connections().empty());
}

TEST(Pipe, BytesTakeTheLatencyAndConnectingTwoOfThem) {
  world w{{.latency = 30ms}};
  time_point const start = w.loop.now();
  w.client = std::make_unique<talker>(w.loop, pipe_stream{w.net});
  ASSERT_TRUE(w.client->stream.open({"hub.example", 8883}, w.loop.now()));
  w.client->say("x");
  ASSERT_TRUE(w.loop.run_until([&] { return w.client->to_send.empty(); }));
  EXPECT_EQ(w.loop.now() - start, 60ms);
  w.server = std::make_unique<talker>(w.loop, *w.listener.accept(w.loop.now()));
  ASSERT_TRUE(w.loop.run_until([&] { return w.server->received == "x"; }));
  EXPECT_EQ(w.loop.now() - start, 90ms);
}

TEST(Pipe, TheListenersParticipantIsWokenWhenTheConnectionArrives) {
  world w{{.latency = 30ms}};
  struct acceptor : participant {
    acceptor(loop& on, memory::pipe_listener& l) : from{l} { on.add(*this), l.attach(on, *this); }
    void step(time_point now) override {
      if (from.accept(now)) at = now;
    }
    time_point deadline() const override { return never; }
    memory::pipe_listener& from;
    time_point at = never;
  } a{w.loop, w.listener};
  pipe_stream s{w.net};
  time_point const start = w.loop.now();
  ASSERT_TRUE(s.open({"hub.example", 8883}, start));
  w.run();
  EXPECT_EQ(a.at - start, 30ms);
}

TEST(Pipe, UnknownHostAndUnknownPortAreToldApart) {
  for (auto [where, expected] : {std::pair{endpoint{"nowhere.example", 8883}, errc::host_not_found},
                                 std::pair{endpoint{"hub.example", 443}, errc::connection_refused}}) {
    world w{{.latency = 10ms}};
    talker t{w.loop, pipe_stream{w.net}};
    ASSERT_TRUE(t.stream.open(where, w.loop.now()));
    w.run();
    ASSERT_TRUE(t.failed);
    EXPECT_EQ(*t.failed, expected);
  }
}

TEST(Pipe, RefusesTheGivenNumberOfConnections) {
  world w;
  w.net.refuse(1);
  talker t{w.loop, pipe_stream{w.net}};
  ASSERT_TRUE(t.stream.open({"hub.example", 8883}, w.loop.now()));
  w.run();
  EXPECT_EQ(*t.failed, errc::connection_refused);
  w.connect();
  w.client->say("x");
  w.run();
  EXPECT_EQ(w.server->received, "x");
}

TEST(Pipe, AClosedListenerRefusesAndDropsItsBacklog) {
  world w;
  talker early{w.loop, pipe_stream{w.net}};
  ASSERT_TRUE(early.stream.open({"hub.example", 8883}, w.loop.now()));
  w.listener.close();
  talker late{w.loop, pipe_stream{w.net}};
  ASSERT_TRUE(late.stream.open({"hub.example", 8883}, w.loop.now()));
  w.run();
  EXPECT_EQ(*early.failed, errc::connection_lost);
  EXPECT_EQ(*late.failed, errc::host_not_found);
}

TEST(Pipe, ListenersShareNeitherEndpointNorPortZero) {
  memory::virtual_loop l;
  pipe_network net{l};
  auto const a = net.listen({"hub.example", 0});
  auto const b = net.listen({"hub.example", 0});
  EXPECT_NE(a->local(), b->local());
  EXPECT_EQ(net.listen(a->local()).error(), errc::already_exists);
  auto any = net.listen({"*", 7});
  pipe_stream s{net};
  ASSERT_TRUE(s.open({"whatever.example", 7}, l.now()));
  EXPECT_TRUE(any->accept(l.now()));
}

TEST(Pipe, ChunksSplitReadsAndWritesTheSameWayForTheSameSeed) {
  std::string const text(5000, 'x');
  std::vector<int> counts;
  for (std::uint64_t const seed : {1u, 1u, 2u}) {
    world w{{.max_chunk = 7, .seed = seed}};
    w.connect();
    w.client->say(text);
    w.run();
    EXPECT_EQ(w.server->received, text);
    EXPECT_GT(w.server->reads, 700);
    EXPECT_GT(w.client->writes, 700);
    counts.push_back(w.server->reads);
  }
  EXPECT_EQ(counts[0], counts[1]);
  EXPECT_NE(counts[0], counts[2]);
}

TEST(Pipe, JitterNeverReorders) {
  world w{{.latency = 1ms, .jitter = 100ms, .seed = 3}};
  w.connect();
  std::string expected;
  for (int i = 0; i != 100; ++i) {
    w.client->say(std::to_string(i));
    expected += std::to_string(i);
    w.loop.run_for(1ms).value();
  }
  w.run();
  EXPECT_EQ(w.server->received, expected);
}

TEST(Pipe, ASlowReaderMakesTheWriterWait) {
  world w{{.capacity = 100}};
  w.connect();
  w.server->reading = false;
  w.client->say(std::string(250, 'x'));
  w.run();
  EXPECT_EQ(w.client->to_send.size(), 150u);
  w.server->reading = true;
  w.loop.wake(*w.server);
  w.run();
  EXPECT_EQ(w.server->received.size(), 250u);
}

TEST(Pipe, DropAfterCutsTheConnectionAtThatByte) {
  for (std::uint64_t const at : {0u, 1u, 5u, 6u, 7u}) {
    world w{{.drop_after = at}};
    w.connect();
    w.client->say("abcdef");
    w.run();
    if (at == 7) {
      EXPECT_FALSE(w.client->failed);
      EXPECT_EQ(w.server->received, "abcdef");
      continue;
    }
    EXPECT_EQ(*w.client->failed, errc::connection_lost);
    EXPECT_EQ(*w.server->failed, errc::connection_lost);
    EXPECT_EQ(w.server->received, std::string_view{"abcdef"}.substr(0, at));
  }
}

TEST(Pipe, ResetFailsBothEndsAndLosesWhatIsUnderWay) {
  world w{{.latency = 1s}};
  w.net_delay = 3s;
  w.connect();
  w.client->say("lost");
  w.loop.poll();
  w.net.reset_all();
  w.run();
  EXPECT_EQ(*w.client->failed, errc::connection_lost);
  EXPECT_EQ(*w.server->failed, errc::connection_lost);
  EXPECT_EQ(w.server->received, "");
}

TEST(Pipe, AHeldDirectionDeliversNothingUntilItIsReleased) {
  world w;
  w.connect();
  w.net.hold(w.client->stream.id(), memory::pipe_direction::to_server);
  w.client->say("up");
  w.server->say("down");
  w.run();
  EXPECT_EQ(w.server->received, "");
  EXPECT_EQ(w.client->received, "down");
  w.net.release_all();
  w.run();
  EXPECT_EQ(w.server->received, "up");
}

TEST(Pipe, HeldAndClosedAtTheOtherEndIsHalfOpen) {
  world w;
  w.connect();
  w.net.hold_all();
  w.server->close();
  w.client->say("is anybody there?");
  w.run();
  EXPECT_FALSE(w.client->failed);
  EXPECT_FALSE(w.client->ended);
  EXPECT_EQ(w.loop.run_until([&] { return w.client->ended; }).error(), errc::stalled);
}

TEST(Pipe, WritingToAClosedPeerFails) {
  world w;
  w.connect();
  w.server->close();
  w.client->say("x");
  w.run();
  EXPECT_EQ(*w.client->failed, errc::connection_lost);
}

TEST(Pipe, CanBeClosedTwiceAndOpenedAgain) {
  world w;
  w.connect();
  w.client->stream.close();
  w.client->stream.close();
  EXPECT_TRUE(w.client->stream.open({"hub.example", 8883}, w.loop.now()));
  EXPECT_EQ(w.client->stream.open({"hub.example", 8883}, w.loop.now()).error(), errc::invalid_state);
  EXPECT_EQ(w.server->stream.open({"hub.example", 8883}, w.loop.now()).error(), errc::unsupported);
}

TEST(Pipe, OutlivesItsNetwork) {
  memory::virtual_loop l;
  auto net = std::make_unique<pipe_network>(l);
  auto listener = *net->listen({"a", 1});
  pipe_stream client{*net};
  ASSERT_TRUE(client.open({"a", 1}, l.now()));
  pipe_stream server = *listener.accept(l.now());
  net.reset();
  EXPECT_EQ(client.write("x", l.now()), (io_result{io_status::done, 1}));
  char into[4];
  EXPECT_EQ(server.read(into, l.now()), (io_result{io_status::done, 1}));
}

TEST(Pipe, APairNeedsNoNetwork) {
  auto [a, b] = memory::make_pipe();
  char into[4];
  EXPECT_EQ(a.write("abcdef", {}), (io_result{io_status::done, 6}));
  EXPECT_EQ(b.read(into, {}), (io_result{io_status::done, 4}));
  a.close();
  EXPECT_EQ(b.read(into, {}), (io_result{io_status::done, 2}));
  EXPECT_EQ(b.read(into, {}), (io_result{io_status::end, 0}));
}

TEST(FailAt, FailsEachCallInTurnUntilTheFlowRunsThrough) {
  std::uint64_t failing = 1;
  for (;; ++failing) {
    ASSERT_LT(failing, 50u);
    world w;
    memory::failure_plan plan{.fail_call = failing};
    iothub_test::talker<memory::fail_at<pipe_stream>> t{w.loop, {pipe_stream{w.net}, plan}};
    auto const opened = t.stream.open({"hub.example", 8883}, w.loop.now());
    if (!opened) {
      EXPECT_EQ(failing, 1u);
      EXPECT_EQ(opened.error(), errc::connection_lost);
      continue;
    }
    talker server{w.loop, *w.listener.accept(w.loop.now())};
    server.echo = true;
    t.say("ping");
    w.run();
    EXPECT_EQ(t.failed.has_value(), plan.reached()) << failing;
    if (!plan.reached()) {
      EXPECT_EQ(t.received, "ping");
      break;
    }
  }
  EXPECT_EQ(failing, 4u);  // open, write, read, then none is left
}

}  // namespace
