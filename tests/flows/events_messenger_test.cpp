// The service messenger against the hub, over AMQP on pipes in virtual time.
#include <iothub/basic_service_messenger.hpp>

#include <map>
#include <set>

#include "event_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using messenger_type = basic_service_messenger<event_world::transport, loop_clock, seeded_crypto>;

struct ServiceMessenger : testing::Test, event_world {
  explicit ServiceMessenger(memory::pipe_options pipes = {}) : event_world{small_hub(), pipes} { device("d1"); }
  messenger_type messenger(std::string text = {}, messenger_options options = {}) {
    options.seed = ++seeds;
    return messenger_type::create(on, text.empty() ? hub_string("service") : text, transport_source(), loop_clock{on},
                                  seeded_crypto{seeds}, options)
        .value();
  }
  // As if the device had taken it: the message, settled.
  std::optional<c2d_message> settle(std::string_view id, hub::settlement how) {
    auto got = core().receive_c2d(id, runtime.now()).value();
    if (got) core().settle_c2d(id, got->lock_token, how, runtime.now()).value();
    runtime.touched();
    return got;
  }
  std::uint64_t seeds = 100;
};

TEST_F(ServiceMessenger, SendsAMessageWithEverythingInIt) {
  auto m = messenger();
  auto const id = m.send_c2d("d1",
                             {.body = "hello",
                              .properties = {{"k", "v"}, {"flag", "", false}},
                              .message_id = "m-1",
                              .correlation_id = "c-1",
                              .user_id = "u",
                              .content_type = "text/plain",
                              .content_encoding = "utf-8",
                              .expiry_time = memory::virtual_epoch + 1h},
                             {.ack = feedback_request::full});
  EXPECT_EQ(id.value(), "m-1");
  auto const got = settle("d1", hub::settlement::complete).value();
  EXPECT_EQ(got.content.body.bytes(), "hello");
  EXPECT_EQ(got.content.message_id, "m-1");
  EXPECT_EQ(got.content.correlation_id, "c-1");
  EXPECT_EQ(got.content.user_id, "u");
  EXPECT_EQ(got.content.content_type, "text/plain");
  EXPECT_EQ(got.content.content_encoding, "utf-8");
  EXPECT_EQ(got.content.expiry_time, memory::virtual_epoch + 1h);
  EXPECT_EQ(got.ack, feedback_request::full);
  ASSERT_NE(got.content.find("k"), nullptr);
  EXPECT_EQ(*got.content.find("k"), "v");
}

// The bytes of azure-iothub for Node, but for the length codes: properties message-id and to, the acknowledgement among
// the application properties, one data section.
TEST_F(ServiceMessenger, WritesTheBytesOfAMessage) {
  byte_buffer out;
  write_c2d_message("d 1", {.body = "x", .properties = {{"k", "v"}}, .message_id = "1"}, feedback_request::positive, out);
  amqp::message_view view;
  ASSERT_FALSE(amqp::read_message(out.view(), view));
  EXPECT_EQ(view.properties.to, "/devices/d%201/messages/devicebound");
  EXPECT_EQ(amqp::id_text(view.properties.message_id), "1");
  EXPECT_EQ(amqp::to_text(view.application_properties), R"({"k": "v", "iothub-ack": "positive"})");
  EXPECT_EQ(view.body, amqp::body_kind::data);
  EXPECT_EQ(view.data, "x");
}

TEST_F(ServiceMessenger, GivesAnIdToAMessageWithoutOne) {
  auto m = messenger();
  auto const id = m.send_c2d("d1", {.body = "x"}).value();
  EXPECT_TRUE(is_uuid(id));
  EXPECT_EQ(settle("d1", hub::settlement::complete)->content.message_id, id);
}

TEST_F(ServiceMessenger, SaysWhyTheHubRefused) {
  auto m = messenger();
  EXPECT_EQ(m.send_c2d("nobody", {.body = "x"}).error(), errc::device_not_found);
  EXPECT_EQ(m.send_c2d("d1", {.body = std::string(70'000, 'x')}).error(), errc::too_large);
  EXPECT_EQ(m.send_c2d("d1", {.body = std::string(2'000'000, 'x')}).error(), errc::too_large);
  EXPECT_EQ(m.send_c2d("no such id!/", {.body = "x"}).error(), errc::invalid_argument);
  for (int i = 0; i != 50; ++i) ASSERT_TRUE(m.send_c2d("d1", {.body = "x"}).has_value());
  auto const full = m.send_c2d("d1", {.body = "x"});
  EXPECT_EQ(full.error(), errc::queue_full);
  EXPECT_FALSE(full.error().tracking_id().empty());
  EXPECT_EQ(m.pending_operations(), 0u);
}

TEST_F(ServiceMessenger, SaysThatItMayNotSend) {
  auto m = messenger(hub_string("registryRead"));
  EXPECT_EQ(m.send_c2d("d1", {.body = "x"}).error(), errc::unauthorized);
  EXPECT_EQ(m.receive_feedback(10s).error(), errc::unauthorized);
  EXPECT_EQ(m.send_c2d("d1", {.body = "x"}).error(), errc::unauthorized);  // and again, when it is tried again
}

TEST_F(ServiceMessenger, ReceivesFeedbackAndCompletesIt) {
  auto m = messenger();
  for (auto const* id : {"ok", "no", "late"})
    ASSERT_TRUE(m.send_c2d("d1", {.body = "x", .message_id = id, .expiry_time = on.utc_now() + 60s},
                           {.ack = feedback_request::full}));
  settle("d1", hub::settlement::complete);
  settle("d1", hub::settlement::reject);
  std::map<std::string, delivery_status> outcomes;
  while (outcomes.size() != 3) {
    auto const batch = m.receive_feedback(5min).value();
    for (auto const& each : batch.records) {
      EXPECT_EQ(each.device_id, "d1");
      outcomes[each.original_message_id] = each.status;
    }
    EXPECT_TRUE(m.complete(batch).has_value());
  }
  EXPECT_EQ(outcomes["ok"], delivery_status::success);
  EXPECT_EQ(outcomes["no"], delivery_status::rejected);
  EXPECT_EQ(outcomes["late"], delivery_status::expired);
  EXPECT_EQ(m.receive_feedback(10min).error(), errc::timeout);
}

TEST_F(ServiceMessenger, StaysForDaysWithRenewedTokens) {
  auto m = messenger();
  m.on_feedback([](feedback_batch const&) {});
  for (int day = 0; day != 3; ++day) {
    EXPECT_TRUE(m.send_c2d("d1", {.body = "x"}).has_value());
    run(24h);
  }
  EXPECT_THAT(log, testing::Not(testing::Contains(testing::HasSubstr("closed"))));
}

TEST_F(ServiceMessenger, GetsAnAbandonedBatchAgain) {
  auto m = messenger();
  ASSERT_TRUE(m.send_c2d("d1", {.body = "x", .message_id = "1"}, {.ack = feedback_request::positive}));
  settle("d1", hub::settlement::complete);
  auto const first = m.receive_feedback(1min).value();
  ASSERT_TRUE(m.abandon(first).has_value());
  auto const again = m.receive_feedback(1min).value();
  EXPECT_EQ(again.records, first.records);
  network.reset_all();
  run(5s);
  EXPECT_EQ(m.complete(again).error(), errc::lock_lost);
  auto const third = m.receive_feedback(2min).value();
  EXPECT_EQ(third.records, first.records);
  EXPECT_TRUE(m.complete(third).has_value());
}

TEST_F(ServiceMessenger, CallsHandlers) {
  auto m = messenger();
  std::vector<std::string> told;
  m.on_feedback([&](feedback_batch const& batch) {
    for (auto const& each : batch.records) told.push_back(each.original_message_id);
  });
  std::vector<std::string> sent;
  for (auto const* id : {"a", "b"})
    m.async_send_c2d("d1", {.body = "x", .message_id = id}, {.ack = feedback_request::full},
                     [&](result<std::string> outcome) { sent.push_back(outcome.value()); });
  EXPECT_THAT(sent, SizeIs(0));
  run(1s);
  EXPECT_THAT(sent, ElementsAre("a", "b"));
  settle("d1", hub::settlement::complete), settle("d1", hub::settlement::complete);
  run(20s);
  EXPECT_THAT(told, ElementsAre("a", "b"));
}

TEST_F(ServiceMessenger, WaitsForFilesThatNobodyUploads) {
  auto m = messenger();
  EXPECT_EQ(m.receive_file_notification(10s).error(), errc::timeout);
}

TEST_F(ServiceMessenger, GivesFileNotificationsToWhoAsksOrToTheHandler) {
  auto m = messenger();
  auto const upload = [&](char const* name) {
    ASSERT_TRUE(core().notify_of_file({.device_id = "d1", .blob_uri = "https://b", .blob_name = name}, runtime.now()));
    runtime.touched();
  };
  upload("one");
  auto const got = m.receive_file_notification(10s);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->blob_name, "one");
  EXPECT_TRUE(m.complete(*got).has_value());

  std::vector<std::string> told;
  m.on_file_notification([&](file_notification const& f) { told.push_back(f.blob_name); });
  EXPECT_EQ(m.receive_file_notification(10s).error(), errc::invalid_state);
  m.on_feedback([](feedback_batch const&) {});
  EXPECT_EQ(m.receive_feedback(10s).error(), errc::invalid_state);
  upload("two"), upload("three");
  run(10s);
  EXPECT_THAT(told, ElementsAre("two", "three"));
}

TEST_F(ServiceMessenger, WhatCannotBeSentIsToldInItsCompletion) {
  auto m = messenger();
  EXPECT_EQ(m.send_c2d("a b", {.body = "x"}).error(), errc::invalid_argument);
  std::vector<errc> told;
  m.async_send_c2d("a b", {.body = "x"}, {}, [&](result<std::string> r) { told.push_back(r.error().code()); });
  EXPECT_THAT(told, SizeIs(0));  // never inside the call
  run(1s);
  EXPECT_THAT(told, ElementsAre(errc::invalid_argument));
}

TEST_F(ServiceMessenger, AStopEndsWhatWaits) {
  auto m = messenger();
  network.hold_all();
  on.post([&] { m.stop(); });
  EXPECT_EQ(m.send_c2d("d1", {.body = "x"}).error(), errc::cancelled);
  on.restart();
  on.post([&] { m.stop(); });
  EXPECT_EQ(m.receive_feedback(10s).error(), errc::cancelled);
  on.restart();
  on.post([&] { m.close(); });
  EXPECT_EQ(m.receive_feedback(10s).error(), errc::closed);
}

TEST_F(ServiceMessenger, EndsWhatWaitsWhenItIsClosed) {
  auto m = messenger();
  network.hold_all();
  errc outcome = errc::stalled;
  m.async_send_c2d("d1", {.body = "x"}, {}, [&](result<std::string> r) { outcome = r.error().code(); });
  m.close();
  run(1s);
  EXPECT_EQ(outcome, errc::closed);
  network.release_all();
  EXPECT_TRUE(m.send_c2d("d1", {.body = "again"}).has_value());
}

TEST_F(ServiceMessenger, KnocksSeldomWhileTheHubIsAway) {
  auto m = messenger();
  m.on_feedback([](feedback_batch const&) {});
  run(1s);
  ASSERT_THAT(network.connections(), SizeIs(1));
  network.refuse(2'000);  // one a second would be through with them in 34 minutes
  network.reset_all();
  run(6h);
  EXPECT_THAT(network.connections(), SizeIs(0));
  network.refuse(0);
  EXPECT_TRUE(m.send_c2d("d1", {.body = "back"}, {.timeout = 5min}));
}

// https://github.com/Azure/azure-iot-sdk-c/issues/693: a messenger that is destroyed before it was closed calls back into
// what is gone.
TEST_F(ServiceMessenger, IsDestroyedWithoutACloseWhileMuchIsPending) {
  std::optional<messenger_type> m{messenger()};
  ASSERT_TRUE(m->send_c2d("d1", {.body = "first"}).has_value());
  int told = 0;
  m->on_feedback([&](feedback_batch const&) { ++told; });
  for (int i = 0; i != 10; ++i) m->async_send_c2d("d1", {.body = "x"}, {}, [&](result<std::string> const&) { ++told; });
  auto const before = on.now();
  m.reset();
  EXPECT_EQ(on.now(), before);  // it waited for nobody
  run(5min);
  EXPECT_EQ(told, 0);
  EXPECT_THAT(network.connections(), SizeIs(0));
}

TEST_F(ServiceMessenger, SaysThatAnOutcomeIsNotKnown) {
  auto m = messenger();
  ASSERT_TRUE(m.send_c2d("d1", {.body = "first"}).has_value());
  network.hold_all(memory::pipe_direction::to_client);
  EXPECT_EQ(m.send_c2d("d1", {.body = "second"}, {.timeout = 30s}).error(), errc::timeout);
  errc outcome = errc::stalled;
  m.async_send_c2d("d1", {.body = "third"}, {}, [&](result<std::string> r) { outcome = r.error().code(); });
  run(1s);
  network.reset_all();
  run(1s);
  EXPECT_EQ(outcome, errc::connection_lost);
}

// --- every message has exactly one outcome ------------------------------------------------------------------------------

class MessengerInBadWeather : public testing::TestWithParam<std::uint64_t> {};

TEST_P(MessengerInBadWeather, EverySentMessageEndsInExactlyOneRecordedOutcome) {
  prng random{GetParam()};
  event_world w{event_world::small_hub(), {.latency = 3ms, .jitter = 10ms, .max_chunk = 300, .seed = random()}};
  std::vector<std::string> devices;
  for (int i = 0; i != 6; ++i) devices.push_back("d" + std::to_string(i)), w.device(devices.back());
  auto m = messenger_type::create(w.on, w.hub_string(), w.transport_source(), loop_clock{w.on}, seeded_crypto{GetParam()},
                                  {.idle_timeout = 10s})
               .value();
  std::map<std::string, int> answers;                      // by message id: how often its send ended
  std::map<std::string, errc> refused;                     // and with what error
  std::map<std::string, std::set<delivery_status>> fates;  // what feedback said
  m.on_feedback([&](feedback_batch const& batch) {
    for (auto const& each : batch.records) fates[each.original_message_id].insert(each.status);
  });
  int sent = 0;
  auto const weather = [&] {
    w.run(std::chrono::milliseconds{random.below(400)});
    if (random.chance(1, 40)) w.network.reset_all();
    if (random.chance(1, 60)) w.network.hold_all();
    if (random.chance(1, 8)) w.network.release_all();
  };
  for (int round = 0; round != 1500; ++round) {
    if (random.chance(1, 2)) {
      std::string const id = "m" + std::to_string(sent++);
      m.async_send_c2d(devices[random.below(devices.size())],
                       {.body = id, .message_id = id, .expiry_time = w.on.utc_now() + std::chrono::seconds{1 + random.below(60)}},
                       {.ack = feedback_request::full, .timeout = 20s}, [&answers, &refused, id](result<std::string> r) {
                         ++answers[id];
                         if (!r) refused.emplace(id, r.error().code());
                       });
    }
    if (random.chance(1, 2)) {
      auto const& id = devices[random.below(devices.size())];
      if (auto got = w.core().receive_c2d(id, w.runtime.now()).value()) {
        constexpr hub::settlement ways[] = {hub::settlement::complete, hub::settlement::complete, hub::settlement::reject,
                                            hub::settlement::abandon};
        w.core().settle_c2d(id, got->lock_token, ways[random.below(4)], w.runtime.now()).value();
      }
      w.runtime.touched();
    }
    weather();
  }
  w.network.release_all();
  w.run(2h);  // what is left expires, and the feedback of it comes
  int taken = 0;
  for (int i = 0; i != sent; ++i) {
    std::string const id = "m" + std::to_string(i);
    EXPECT_EQ(answers[id], 1) << id;
    auto const why = refused.find(id);
    bool const unknown = why != refused.end() && (why->second == errc::timeout || why->second == errc::connection_lost);
    if (why == refused.end()) {
      ++taken;
      EXPECT_THAT(fates[id], SizeIs(1)) << id;
    } else if (unknown) {
      EXPECT_LE(fates[id].size(), 1u) << id;
    } else {
      // Full, or its time was over when it got there.
      EXPECT_TRUE(why->second == errc::queue_full || why->second == errc::bad_request) << id << to_string(why->second);
      EXPECT_THAT(fates[id], SizeIs(0)) << id;
    }
  }
  EXPECT_GT(taken, sent / 2);
}
INSTANTIATE_TEST_SUITE_P(Seeds, MessengerInBadWeather, testing::Range(std::uint64_t{1}, std::uint64_t{6}));

}  // namespace
