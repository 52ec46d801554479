// The event reader against the hub, over AMQP on pipes in virtual time.
#include <iothub/basic_event_reader.hpp>

#include <map>
#include <set>

#include "event_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using reader_type = basic_event_reader<event_world::transport, loop_clock, seeded_crypto>;

struct EventReader : testing::Test, event_world {
  explicit EventReader(hub::options o = small_hub(), memory::pipe_options pipes = {})
      : event_world{std::move(o), pipes} {
    for (auto const* id : {"d1", "d2", "d3", "d4", "d5"}) device(id);
  }
  reader_type reader(event_reader_options options = {.start = event_position::earliest()}, std::string text = {}) {
    if (text.empty()) text = hub_string();
    options.seed = ++seeds;
    return reader_type::create(on, text, transport_source(), loop_clock{on}, seeded_crypto{seeds}, options).value();
  }
  // Bodies of what comes until nothing comes for a while.
  std::vector<std::string> bodies(reader_type& from, duration quiet = 5s) {
    std::vector<std::string> all;
    for (;;) {
      auto event = from.next(quiet);
      if (!event) {
        last = event.error().code();
        return all;
      }
      all.emplace_back(event->content.body.bytes());
    }
  }
  void notices(reader_type& from) {
    from.on_notice([this](reader_notice const& n) {
      constexpr char const* names[] = {"connected", "disconnected", "opened", "lost", "ended", "missed", "store", "failed"};
      std::string text = names[static_cast<int>(n.what)];
      if (!n.partition.empty()) text += " " + n.partition;
      if (n.count != 0) text += " " + std::to_string(n.count);
      if (!(n.why == errc::closed)) text.append(" ").append(to_string(n.why.code()));
      told.push_back(std::move(text));
    });
  }

  std::uint64_t seeds = 0;
  errc last = errc::closed;
  std::vector<std::string> told;
};

TEST_F(EventReader, ReadsAllPartitionsThroughTheRedirect) {
  for (auto const* id : {"d1", "d2", "d3", "d4", "d5"}) send(id, id);
  auto r = reader();
  ASSERT_TRUE(r.open().has_value());
  EXPECT_THAT(bodies(r), UnorderedElementsAre("d1", "d2", "d3", "d4", "d5"));
  EXPECT_EQ(last, errc::timeout);
  EXPECT_THAT(r.partitions(), ElementsAre("0", "1", "2", "3"));
  EXPECT_EQ(r.events(), 5u);
}

TEST_F(EventReader, ReadsFromTheEndpointItself) {
  send("d1", "one");
  auto r = reader({.start = event_position::earliest()}, endpoint_string("service"));
  EXPECT_THAT(bodies(r), ElementsAre("one"));
}

TEST_F(EventReader, TellsEverythingAboutAnEvent) {
  hub::property_view const properties[] = {{"alert", "no", true}};
  send("d1", R"({"t":1})",
       {.properties = properties, .message_id = "m1", .correlation_id = "c1", .user_id = "u", .content_type = "application/json",
        .content_encoding = "utf-8", .component_name = "thermo"});
  run(3s);
  send("d1", "second");
  auto r = reader();
  auto const e = r.next().value();
  EXPECT_EQ(e.device_id, "d1");
  EXPECT_EQ(e.module_id, "");
  EXPECT_EQ(e.content.body.bytes(), R"({"t":1})");
  EXPECT_EQ(e.content.properties, (property_list{{"alert", "no"}}));
  EXPECT_EQ(e.content.message_id, "m1");
  EXPECT_EQ(e.content.correlation_id, "c1");
  EXPECT_EQ(e.content.user_id, "u");
  EXPECT_EQ(e.content.content_type, "application/json");
  EXPECT_EQ(e.content.content_encoding, "utf-8");
  EXPECT_EQ(e.content.component_name, "thermo");
  EXPECT_EQ(e.partition, std::to_string(partition_of("d1")));
  EXPECT_EQ(e.sequence_number, 0);
  EXPECT_EQ(e.offset, "0");
  EXPECT_EQ(to_iso8601(e.enqueued_time), "2024-01-01T00:00:00.000Z");
  EXPECT_EQ(e.message_source, "Telemetry");
  EXPECT_THAT(e.auth_method, HasSubstr(R"("scope":"device")"));
  EXPECT_FALSE(e.generation_id.empty());
  EXPECT_EQ(e.missed_before, 0u);
  auto const second = r.next().value();
  EXPECT_EQ(second.sequence_number, 1);
  EXPECT_EQ(to_iso8601(second.enqueued_time), "2024-01-01T00:00:03.000Z");
}

TEST_F(EventReader, BeginsWhereItIsTold) {
  for (int i = 0; i != 5; ++i) send("d1", std::to_string(i)), run(10s);
  std::string const partition = std::to_string(partition_of("d1"));
  std::string offset;
  {
    auto r = reader();
    for (int i = 0; i != 3; ++i) offset = r.next().value().offset;
  }
  auto const from = [&](event_position start) {
    auto r = reader({.partitions = {partition}, .start = std::move(start)});
    return bodies(r);
  };
  EXPECT_THAT(from(event_position::earliest()), ElementsAre("0", "1", "2", "3", "4"));
  EXPECT_THAT(from(event_position::latest()), IsEmpty());
  EXPECT_THAT(from(event_position::offset(offset)), ElementsAre("3", "4"));
  EXPECT_THAT(from(event_position::offset(offset, true)), ElementsAre("2", "3", "4"));
  EXPECT_THAT(from(event_position::sequence_number(2)), ElementsAre("3", "4"));
  EXPECT_THAT(from(event_position::sequence_number(2, true)), ElementsAre("2", "3", "4"));
  EXPECT_THAT(from(event_position::enqueued_after(memory::virtual_epoch + 25s)), ElementsAre("3", "4"));
}

TEST_F(EventReader, SkipsNothingBehindTheLatestWhenTheConnectionBreaks) {
  send("d1", "old");
  auto r = reader({.start = event_position::latest()});
  notices(r);
  ASSERT_TRUE(r.open().has_value());
  network.reset_all();
  send("d1", "while it was away");
  EXPECT_THAT(bodies(r, 60s), ElementsAre("while it was away"));
  EXPECT_THAT(told, ElementsAre("connected", "opened 0", "opened 1", "opened 2", "opened 3", "disconnected connection_lost",
                                "connected", "opened 0", "opened 1", "opened 2", "opened 3"));
}

TEST_F(EventReader, ReadsOneDeviceAndKeepsItsPlaceBehindTheOthers) {
  memory_checkpoint_store store;
  event_reader_options const one{.start = event_position::earliest(), .device_id = "d2", .checkpoints = &store};
  for (auto const* id : {"d1", "d2", "d3", "d4", "d5"}) send(id, id), send(id, id);
  {
    auto r = reader(one);
    EXPECT_THAT(bodies(r), ElementsAre("d2", "d2"));
    r.close();
  }
  std::int64_t passed = 0;
  auto const saved = store.checkpoints({"h", "$Default"}).value();
  for (auto const& each : saved) passed += each.sequence_number + 1;
  EXPECT_EQ(passed, 10);
  send("d2", "new");
  auto again = reader(one);
  EXPECT_THAT(bodies(again), ElementsAre("new"));
}

TEST_F(EventReader, IsARangeThatStopEnds) {
  for (int i = 0; i != 3; ++i) send("d1", std::to_string(i));
  auto r = reader();
  std::vector<std::string> seen;
  for (auto& event : r) {
    ASSERT_TRUE(event.has_value());
    seen.emplace_back(event->content.body.bytes());
    if (seen.size() == 3) r.stop();
  }
  EXPECT_THAT(seen, ElementsAre("0", "1", "2"));
  on.restart();
}

TEST_F(EventReader, CallsAHandlerThatMayBlock) {
  auto r = reader();
  std::vector<std::string> seen;
  r.on_event([&](hub_event const& e) {
    seen.emplace_back(e.content.body.bytes());
    r.run_for(1s);
  });
  for (int i = 0; i != 3; ++i) send("d1", std::to_string(i));
  run(10s);
  EXPECT_THAT(seen, ElementsAre("0", "1", "2"));
  EXPECT_EQ(r.next(1s).error(), errc::invalid_state);
}

TEST_F(EventReader, MayBeDestroyedInItsHandler) {
  std::optional<reader_type> r{reader()};
  int calls = 0;
  r->on_event([&](hub_event const&) {
    ++calls;
    r.reset();
  });
  send("d1", "a"), send("d1", "b");
  run(10s);
  EXPECT_EQ(calls, 1);
}

TEST_F(EventReader, FetchesNoMoreThanItIsAllowed) {
  for (int i = 0; i != 1000; ++i) send("d1", "x");
  auto r = reader({.start = event_position::earliest(), .prefetch = 10});
  ASSERT_TRUE(r.open().has_value());
  run(10s);
  std::string const all(1000, 'x');
  std::string seen;
  for (auto const& each : bodies(r)) seen += each;
  EXPECT_EQ(seen, all);
}

struct EventReaderOfASmallHub : EventReader {
  static hub::options keeping_ten() {
    hub::options o = small_hub();
    o.retention.events = 10;
    return o;
  }
  EventReaderOfASmallHub() : EventReader{keeping_ten()} {}
};
TEST_F(EventReaderOfASmallHub, SaysWhatRetentionDroppedWhileItWasAway) {
  memory_checkpoint_store store;
  event_reader_options const how{.start = event_position::earliest(), .checkpoints = &store};
  for (int i = 0; i != 5; ++i) send("d1", std::to_string(i));
  {
    auto r = reader(how);
    EXPECT_THAT(bodies(r), SizeIs(5));
    r.close();
  }
  for (int i = 5; i != 30; ++i) send("d1", std::to_string(i));
  auto r = reader(how);
  notices(r);
  auto const next = r.next().value();
  EXPECT_EQ(next.content.body.bytes(), "20");
  EXPECT_EQ(next.missed_before, 15u);
  EXPECT_THAT(bodies(r), SizeIs(9));
  EXPECT_EQ(r.missed(), 15u);
  EXPECT_THAT(told, testing::Contains("missed " + std::to_string(partition_of("d1")) + " 15"));
}

TEST_F(EventReader, LosesItsPartitionToAHigherOwnerLevel) {
  auto first = reader({.partitions = {"0"}, .start = event_position::earliest(), .owner_level = 1});
  ASSERT_TRUE(first.open().has_value());
  auto second = reader({.partitions = {"0"}, .start = event_position::earliest(), .owner_level = 2});
  ASSERT_TRUE(second.open().has_value());
  EXPECT_EQ(first.next(10s).error(), errc::link_stolen);
  EXPECT_EQ(first.next(10s).error(), errc::closed);
  auto third = reader({.partitions = {"0"}, .start = event_position::earliest(), .owner_level = 1});
  EXPECT_EQ(third.open().error(), errc::link_stolen);
  EXPECT_EQ(second.next(1s).error(), errc::timeout);
}

TEST_F(EventReader, GoesOnWithItsOtherPartitionsWhenOneIsStolen) {
  auto first = reader({.start = event_position::earliest(), .owner_level = 1});
  ASSERT_TRUE(first.open().has_value());
  std::string const lost = std::to_string((partition_of("d1") + 1) % 4);
  auto second = reader({.partitions = {lost}, .start = event_position::earliest(), .owner_level = 2});
  ASSERT_TRUE(second.open().has_value());
  send("d1", "still here");
  int stolen = 0;
  std::string body;
  for (auto& event : first) {
    if (!event) {
      EXPECT_EQ(event.error(), errc::link_stolen);
      ++stolen;
    } else {
      body = event->content.body.bytes();
    }
    if (stolen == 1 && !body.empty()) break;
  }
  EXPECT_EQ(body, "still here");
  EXPECT_THAT(first.partitions(), SizeIs(3));
}

TEST_F(EventReader, SaysWhyItMayNotRead) {
  auto wrong_key = hub_string();
  wrong_key.replace(wrong_key.find("SharedAccessKey="), std::string::npos, "SharedAccessKey=d3Jvbmc=");
  auto a = reader({}, wrong_key);
  EXPECT_EQ(a.open().error(), errc::unauthorized);
  auto b = reader({}, hub_string("registryRead"));
  EXPECT_EQ(b.open().error(), errc::unauthorized);
  auto c = reader({.partitions = {"17"}});
  EXPECT_EQ(c.next().error(), errc::not_found);
  std::string other = endpoint_string();
  other.replace(other.find("EntityPath=h"), std::string::npos, "EntityPath=other");
  auto d = reader({}, other);
  EXPECT_EQ(d.open().error().code(), errc::unauthorized);  // the hub says as little as Azure about what is not there
}

TEST_F(EventReader, TellsTheFirstFailureAndGoesOnTrying) {
  send("d1", "one");
  network.refuse(2);
  auto r = reader();
  EXPECT_EQ(r.next().error(), errc::connection_refused);
  EXPECT_EQ(r.next().error(), errc::connection_refused);
  EXPECT_EQ(r.next().value().content.body.bytes(), "one");
}

// Seed 36263 of the simulation: a reader was closed while $management owed it an answer, and its peer took its time to close:
// from when that answer was due each moment was.
TEST(EventReaderOnASlowLine, RestsWhereverTheHubFallsSilent) {
  struct slow : EventReader {
    slow() : EventReader{small_hub(), {.latency = 300ms}} {}
    void TestBody() override {}
    int turns(duration time) {
      int count = 0;
      for (time_point const until = add(on.now(), time); count < 5'000 && on.run_one(until);) ++count;
      return count;
    }
  };
  for (bool const closed : {false, true})
    for (duration silent_from = 0s; silent_from < 12s; silent_from += 300ms) {
      slow w;
      auto r = w.reader({.start = event_position::earliest(), .token_timeout = 20s});
      r.on_event([](hub_event const&) {});
      w.run(silent_from);
      w.network.hold_all(memory::pipe_direction::to_client);
      w.run(15s);
      if (closed) r.close();
      EXPECT_LT(w.turns(5min), 500) << silent_from / 1ms << " ms" << (closed ? ", closed" : "");
      w.network.release_all();
      w.send("d1", "after all");
      w.run(5min);
      EXPECT_EQ(r.events(), closed ? 0u : 1u) << silent_from / 1ms << " ms";
    }
}

TEST_F(EventReader, KnocksSeldomWhileTheHubIsAway) {
  auto r = reader({.start = event_position::earliest()});
  ASSERT_TRUE(r.open().has_value());
  network.refuse(2'000);  // one a second would be through with them in 34 minutes
  network.reset_all();
  run(6h);
  EXPECT_THAT(network.connections(), SizeIs(0));
  network.refuse(0);
  send("d1", "back");
  EXPECT_EQ(r.next(5min).value().content.body.bytes(), "back");
}

TEST_F(EventReader, StaysForDaysWithRenewedTokens) {
  auto r = reader({.start = event_position::earliest()});
  notices(r);
  for (int day = 0; day != 3; ++day) {
    send("d1", std::to_string(day));
    EXPECT_THAT(bodies(r, 24h), ElementsAre(std::to_string(day)));
  }
  EXPECT_THAT(told, SizeIs(5));  // connected, and four partitions
}

TEST_F(EventReader, ChecksItsOptions) {
  auto const refused = [&](event_reader_options const& o, std::string const& text) {
    auto made = reader_type::create(on, text, transport_source(), loop_clock{on}, seeded_crypto{1}, o);
    return made ? errc::closed : made.error().code();
  };
  EXPECT_EQ(refused({.prefetch = 0}, hub_string()), errc::invalid_argument);
  EXPECT_EQ(refused({.share_partitions = true}, hub_string()), errc::invalid_argument);
  EXPECT_EQ(refused({.partitions = {"1", "1"}}, hub_string()), errc::invalid_argument);
  EXPECT_EQ(refused({}, "HostName=h;SharedAccessKeyName=x"), errc::malformed);
  EXPECT_EQ(refused({}, "HostName=h;SharedAccessSignature=SharedAccessSignature sr=h&sig=x&se=1"), errc::invalid_argument);
  EXPECT_EQ(refused({}, "Endpoint=sb://h/;SharedAccessKeyName=x;SharedAccessKey=eA=="), errc::malformed);
}

TEST_F(EventReader, BeginsBehindTheLastCheckpoint) {
  memory_checkpoint_store store;
  event_reader_options const how{
      .start = event_position::earliest(), .checkpoints = &store, .checkpoint_interval = duration{0}};
  for (int i = 0; i != 6; ++i) send("d1", std::to_string(i));
  {
    auto r = reader(how);
    (void)r.next(), (void)r.next();
    auto const third = r.next().value();
    ASSERT_TRUE(r.checkpoint().has_value());  // two are finished
    (void)r.next();
    ASSERT_TRUE(r.checkpoint(third).has_value());
    (void)r.next();
  }
  auto r = reader(how);
  EXPECT_THAT(bodies(r), ElementsAre("3", "4", "5"));
}

TEST_F(EventReader, SavesByItselfWhatIsFinished) {
  memory_checkpoint_store store;
  event_reader_options const how{
      .start = event_position::earliest(), .checkpoints = &store, .checkpoint_interval = 1s};
  for (int i = 0; i != 4; ++i) send("d1", std::to_string(i));
  auto r = reader(how);
  (void)r.next(), (void)r.next(), (void)r.next();
  run(2s);
  auto const saved = store.checkpoints({"h", "$Default"}).value();
  ASSERT_THAT(saved, SizeIs(1));
  EXPECT_EQ(saved[0].sequence_number, 1);  // the third is still in hand
}

// --- several readers -------------------------------------------------------------------------------------------------

struct SharedReaders : EventReader {
  memory_checkpoint_store store;
  reader_type member() { return reader({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true}); }
};

TEST_F(SharedReaders, DivideThePartitions) {
  auto a = member();
  ASSERT_TRUE(a.open().has_value());
  EXPECT_THAT(a.partitions(), SizeIs(4));
  auto b = member();
  ASSERT_TRUE(b.open().has_value());
  run(15s);
  EXPECT_THAT(a.partitions(), SizeIs(2));
  EXPECT_THAT(b.partitions(), SizeIs(2));
  auto c = member();
  ASSERT_TRUE(c.open().has_value());
  run(60s);
  std::set<std::string> all;
  for (auto* each : {&a, &b, &c})
    for (auto const& id : each->partitions()) EXPECT_TRUE(all.insert(id).second) << id << " is read twice";
  EXPECT_THAT(all, SizeIs(4));
  EXPECT_THAT(c.partitions(), SizeIs(1));
}

TEST_F(SharedReaders, TakeOverFromOneThatSaidGoodbyeOrDied) {
  std::optional<reader_type> a{member()}, b{member()};
  ASSERT_TRUE(a->open().has_value());
  ASSERT_TRUE(b->open().has_value());
  run(60s);
  a->close();
  run(11s);
  EXPECT_THAT(b->partitions(), SizeIs(4));
  auto c = member();
  ASSERT_TRUE(c.open().has_value());
  run(60s);
  EXPECT_THAT(c.partitions(), SizeIs(2));
  b.reset();  // without a word
  run(20s);
  EXPECT_THAT(c.partitions(), SizeIs(2));
  run(30s);
  EXPECT_THAT(c.partitions(), SizeIs(4));
}

TEST_F(SharedReaders, DeliverEveryEventWhileTheyComeAndGo) {
  std::vector<std::optional<reader_type>> readers(3);
  std::map<std::string, int> seen;
  int sent = 0;
  prng random{7};
  auto const start = [&](std::optional<reader_type>& r) {
    r.emplace(member());
    r->on_event([&](hub_event const& e) { ++seen[std::string{e.content.body.bytes()}]; });
  };
  for (int round = 0; round != 200; ++round) {
    auto& r = readers[random.below(readers.size())];
    if (!r)
      start(r);
    else if (random.chance(1, 4))
      r.reset();
    else if (random.chance(1, 4))
      r->close(), r.reset();
    for (std::uint64_t n = random.below(20); n != 0; --n)
      send("d" + std::to_string(1 + random.below(5)), std::to_string(sent++));
    run(std::chrono::milliseconds{random.below(8000)});
  }
  for (auto& r : readers)
    if (!r) start(r);
  run(120s);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(sent));
}

// --- killed and restarted ---------------------------------------------------------------------------------------------

class RestartedReader : public testing::TestWithParam<std::uint64_t> {};

// A reader is killed and started again a hundred times, at random moments and under load, on slow wires that break too.
// It begins exactly behind its checkpoint, every event comes at least once, and none out of order within its partition.
TEST_P(RestartedReader, DeliversEveryEventBehindItsCheckpointInOrder) {
  prng random{GetParam()};
  event_world w{event_world::small_hub(),
                {.latency = 2ms, .jitter = 5ms, .max_chunk = 400, .seed = random()}};
  for (int i = 0; i != 8; ++i) w.device("d" + std::to_string(i));
  memory_checkpoint_store store;
  event_scope const scope{"h", "$Default"};
  int sent = 0;
  std::map<std::string, int> seen;
  std::map<std::string, std::int64_t> last;   // by partition, in this life
  std::map<std::string, std::int64_t> begin;  // where this life has to begin
  std::optional<reader_type> reader;
  int wrong = 0;

  auto const load = [&] {
    for (std::uint64_t n = random.below(6); n != 0; --n)
      w.send("d" + std::to_string(random.below(8)), std::to_string(sent++));
  };
  auto const start = [&] {
    last.clear(), begin.clear();
    auto const saved = store.checkpoints(scope).value();
    for (auto const& each : saved) begin[each.partition] = each.sequence_number;
    reader.emplace(reader_type::create(w.on, w.hub_string(), w.transport_source(), loop_clock{w.on}, seeded_crypto{random()},
                                       {.start = event_position::earliest(),
                                        .prefetch = static_cast<std::uint32_t>(1 + random.below(50)),
                                        .checkpoints = &store,
                                        .checkpoint_interval = std::chrono::milliseconds{random.below(400)},
                                        .idle_timeout = 5s})
                       .value());
    reader->on_event([&](hub_event const& e) {
      ++seen[std::string{e.content.body.bytes()}];
      auto const before = last.find(e.partition);
      std::int64_t const expected = before != last.end() ? before->second + 1
                                    : begin.contains(e.partition) ? begin[e.partition] + 1
                                                                  : 0;
      if (e.sequence_number != expected) ++wrong;
      last[e.partition] = e.sequence_number;
      if (random.chance(1, 20)) (void)reader->checkpoint();
    });
  };
  auto const pass = [&](duration time) {
    for (duration step = 20ms; time > duration{}; time -= step) {
      load();
      w.run(step);
      if (random.chance(1, 100)) w.network.reset_all();
      if (random.chance(1, 200)) w.network.hold_all();
      if (random.chance(1, 20)) w.network.release_all();
    }
  };
  for (int life = 0; life != 100; ++life) {
    start();
    pass(std::chrono::milliseconds{random.below(3000)});
    reader.reset();
    if (random.chance(1, 2)) pass(std::chrono::milliseconds{random.below(500)});
  }
  w.network.release_all();
  start();
  w.run(300s);
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(sent, 5000);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(sent));
}
INSTANTIATE_TEST_SUITE_P(Seeds, RestartedReader, testing::Range(std::uint64_t{1}, std::uint64_t{4}));

}  // namespace
