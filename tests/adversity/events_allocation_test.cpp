// Memory runs out at each allocation of an event reader and of a service messenger, of their hub and of all between them.
#include <iothub/basic_event_reader.hpp>
#include <iothub/basic_service_messenger.hpp>

#include <optional>
#include <set>

#include "allocation_sweep.hpp"
#include "event_world.hpp"

namespace {

using namespace iothub_test;
using reader_type = basic_event_reader<event_world::transport, loop_clock, seeded_crypto>;
using messenger_type = basic_service_messenger<event_world::transport, loop_clock, seeded_crypto>;

struct world : event_world {
  world() {
    device("d1");
    device("d2");
  }
  void write(hub::log_entry const&) override {}
  void pass(duration time) {
    for (int i = 0; i != 50 && !survives([&] { (void)on.run_for(time); }); ++i) {
    }
  }
};

// Reads what was there before and what comes meanwhile. Nothing is skipped, nothing comes twice.
struct reading : world {
  memory_checkpoint_store store;
  std::optional<reader_type> reader;
  std::multiset<std::string> got;
  event_reader_options options{.start = event_position::earliest(), .checkpoints = &store, .seed = 5};

  reading() {
    for (char const* body : {"1", "2", "3"}) send("d1", body);
    send("d2", "4");
  }
  void make() {
    reader.emplace(reader_type::create(on, hub_string(), transport_source(), loop_clock{on}, seeded_crypto{1}, options).value());
  }
  void take(duration limit) {
    survives([&] {
      while (auto event = reader->next(limit)) {
        test_owns_memory const mine;
        got.emplace(event->content.body.bytes());
      }
    });
  }
  void run() {
    survives([&] { make(); });
    if (!reader) return;
    for (int i = 0; i != 3; ++i) take(5s);
    survives([&] { (void)reader->checkpoint(); });
  }
  void check() {
    if (!reader) make();
    run_for_memory();
    for (int i = 0; i != 5 && got.size() < 5; ++i) take(3min);
    EXPECT_EQ(got, (std::multiset<std::string>{"1", "2", "3", "4", "5"}));
    EXPECT_TRUE(reader->checkpoint());
    reader->close();
    make();
    send("d1", "6");
    take(3min);
    EXPECT_EQ(got.count("6"), 1u);
    EXPECT_EQ(got.size(), 6u);
    reader->close();
  }
  void run_for_memory() { send("d2", "5"); }
};

// The same with a handler, whose call is what finishes an event.
struct handling : world {
  std::optional<reader_type> reader;
  std::multiset<std::string> got;
  handling() {
    for (char const* body : {"1", "2", "3"}) send("d1", body);
  }
  void make() {
    reader.emplace(reader_type::create(on, hub_string(), transport_source(), loop_clock{on}, seeded_crypto{1},
                                       {.start = event_position::earliest(), .seed = 5})
                       .value());
  }
  void listen() {
    reader->on_event([this](hub_event const& e) {
      test_owns_memory const mine;
      got.emplace(e.content.body.bytes());
    });
    reader->on_notice([](reader_notice const&) {});
  }
  void run() {
    survives([&] {
      make();
      listen();
    });
    pass(20s);
  }
  void check() {
    if (!reader) make();
    listen();
    send("d2", "4");
    EXPECT_TRUE(reader->run_until([&] { return got.size() >= 4; }, on.now() + 10min));
    EXPECT_EQ(got, (std::multiset<std::string>{"1", "2", "3", "4"}));
    reader->close();
  }
};

struct messaging : world {
  std::optional<messenger_type> messenger;
  ending ends[2];
  message const what{.body = "hello, with a few words more than fit in place", .properties = {{"name", "value"}}};
  message numbered(std::size_t i) const {
    message made = what;
    made.message_id = "number " + std::to_string(i);
    return made;
  }

  void make() {
    messenger.emplace(messenger_type::create(on, hub_string("service"), transport_source(), loop_clock{on},
                                             seeded_crypto{2}, {.seed = 6})
                          .value());
  }
  std::multiset<std::string> fetched() {
    std::multiset<std::string> ids;
    while (auto got = core().receive_c2d("d1", runtime.now()).value()) {
      ids.insert(got->content.message_id);
      core().settle_c2d("d1", got->lock_token, hub::settlement::complete, runtime.now()).value();
    }
    runtime.touched();
    return ids;
  }
  void run() {
    survives([&] { make(); });
    if (!messenger) return;
    for (std::size_t i = 0; i != 2; ++i)
      ends[i].started = survives([&] {
        messenger->async_send_c2d("d1", numbered(i), {.ack = feedback_request::full},
                                  [&e = ends[i]](result<std::string> r) { e(r); });
      });
    survives([&] { (void)messenger->send_c2d("d2", what); });
    pass(30s);
  }
  void check() {
    run_on(3min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    if (!messenger) make();
    EXPECT_EQ(messenger->pending_operations(), 0u);
    auto const ids = fetched();
    for (std::size_t i = 0; i != 2; ++i) {
      EXPECT_GE(static_cast<int>(ids.count(numbered(i).message_id)), ends[i].good);
      EXPECT_TRUE(ends[i].started || ids.count(numbered(i).message_id) == 0) << "a call that threw sent message " << i;
    }
    auto const sent = messenger->send_c2d("d1", what, {.ack = feedback_request::full});
    ASSERT_TRUE(sent) << sent.error().message();
    EXPECT_EQ(fetched().size(), 1u);
    bool told = false;
    for (int i = 0; i != 5 && !told; ++i) {
      auto batch = messenger->receive_feedback(3min);
      ASSERT_TRUE(batch) << batch.error().message();
      for (auto const& record : batch->records) told = told || record.original_message_id == *sent;
      EXPECT_TRUE(messenger->complete(*batch));
    }
    EXPECT_TRUE(told);
    messenger->close();
  }
  void run_on(duration time) { EXPECT_TRUE(on.run_for(time).has_value()); }
};

struct feedback : world {
  std::optional<messenger_type> messenger;
  int batches = 0;
  feedback() {
    messenger.emplace(messenger_type::create(on, hub_string("service"), transport_source(), loop_clock{on},
                                             seeded_crypto{2}, {.seed = 6})
                          .value());
    settle_one();
  }
  void settle_one() {
    core().send_c2d("d1", {.content = {.body = "x", .message_id = "m"}, .ack = feedback_request::full}, runtime.now()).value();
    auto got = core().receive_c2d("d1", runtime.now()).value();
    core().settle_c2d("d1", got->lock_token, hub::settlement::complete, runtime.now()).value();
    runtime.touched();
  }
  void listen() {
    messenger->on_feedback([this](feedback_batch const&) { ++batches; });
  }
  void run() {
    survives([&] { listen(); });
    pass(60s);
  }
  void check() {
    listen();
    settle_one();
    int const before = batches;
    EXPECT_TRUE(messenger->run_until([&] { return batches > before; }, on.now() + 10min));
    messenger->close();
  }
};

struct leaving : world {
  std::optional<reader_type> reader;
  std::optional<messenger_type> messenger;
  memory_checkpoint_store store;
  leaving() {
    reader.emplace(reader_type::create(on, hub_string(), transport_source(), loop_clock{on}, seeded_crypto{1},
                                       {.start = event_position::earliest(), .checkpoints = &store, .seed = 5})
                       .value());
    messenger.emplace(messenger_type::create(on, hub_string("service"), transport_source(), loop_clock{on},
                                             seeded_crypto{2}, {.seed = 6})
                          .value());
    send("d1", "1");
    (void)reader->next(1min);
    messenger->send_c2d("d1", {.body = "x"}).value();
  }
  void run() {
    survives([&] { reader->close(); });
    survives([&] { messenger->close(); });
    survives([&] { (void)reader->open(10s); });
    survives([&] { messenger->async_send_c2d("d1", {.body = "y"}, {}, [](result<std::string> const&) {}); });
    messenger.reset();
    reader.reset();
    pass(1s);
  }
  void check() {
    EXPECT_TRUE(on.run_for(3min).has_value());
    reader_type again = reader_type::create(on, hub_string(), transport_source(), loop_clock{on}, seeded_crypto{1},
                                            {.start = event_position::earliest(), .seed = 7})
                            .value();
    EXPECT_TRUE(again.next(3min));
    again.close();
  }
};

TEST(EventsWithoutMemory, AreReadOnceEach) { sweep_both<reading>("event reader", 200); }
TEST(EventsWithoutMemory, AreHandledOnceEach) { sweep_both<handling>("event handler", 200); }
TEST(MessengerWithoutMemory, SendsMessages) { sweep_both<messaging>("messenger", 200); }
TEST(MessengerWithoutMemory, ReceivesFeedback) { sweep_both<feedback>("feedback", 100); }
TEST(MessengerWithoutMemory, AndReaderLeave) { sweep_both<leaving>("leaving", 20); }

}  // namespace
