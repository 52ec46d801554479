// The same as device_callbacks_test.cpp for the event reader and the messenger; service_callbacks_test.cpp has the service
// client.
#include <iothub/basic_event_reader.hpp>
#include <iothub/basic_service_messenger.hpp>
#include <iothub/policy/blocking_http.hpp>
#include <iothub/service_client.hpp>

#include <optional>
#include <stdexcept>
#include <tuple>

#include "callback_probe.hpp"
#include "event_world.hpp"

namespace {

using namespace iothub_test;

enum class act { destroy, close, call, replace, throw_ };
constexpr char const* act_names[] = {"Destroy", "Close", "Call", "ReplaceOrRepeat", "Throw"};
auto const all_acts = ::testing::Values(act::destroy, act::close, act::call, act::replace, act::throw_);

// What all three have in common: a callback that does something once, and a loop that is run again after an exception.
struct stage : event_world {
  explicit stage(act a) : how{a} {
    device("d1");
    device("d2");
  }
  void write(hub::log_entry const&) override {}
  template <class F>
  void run_once(F f) {
    try {
      f();
    } catch (std::runtime_error const& e) {
      EXPECT_STREQ(e.what(), "from inside");
      ++thrown;
    }
  }
  void pass(duration time = 30s) {
    for (int i = 0; i != 4; ++i) run_once([&] { (void)on.run_for(time); });
  }
  act const how;
  int runs = 0;
  int of_the_other = 0;
  int thrown = 0;
  int told = 0;
  bool good = false;
};

// --- the service client ---------------------------------------------------------------------------------------------

TEST(ServiceTransportFunction, MayDestroyItsClient) {
  struct call {
    function<void()>* act;
    result<http::response> operator()(endpoint const&, http::request const&) const {
      (*act)();
      return http::response{.status = 200, .body = "{}"};
    }
  };
  using client = basic_service_client<blocking_http<call>, loop_clock, seeded_crypto>;
  memory::virtual_loop loop;
  std::optional<client> service;
  function<void()> act{[&] { service.reset(); }};
  service.emplace(client::create(loop, "HostName=h.example;SharedAccessKeyName=p;SharedAccessKey=a2V5",
                                 [&act] { return blocking_http<call>{call{&act}}; }, loop_clock{loop}, seeded_crypto{1})
                      .value());
  EXPECT_EQ(service->get_twin("d").error(), errc::closed);
  EXPECT_FALSE(service);
  EXPECT_EQ(loop.size(), 0u);
}

// --- the event reader -----------------------------------------------------------------------------------------------

using reader_type = basic_event_reader<event_world::transport, loop_clock, seeded_crypto>;
enum class reader_kind { event, connected, disconnected, predicate, below_next };
constexpr char const* reader_kinds[] = {"Event", "Connected", "Disconnected", "Predicate", "NoticeBelowNext"};

struct reader_stage : stage {
  memory_checkpoint_store store;
  std::optional<reader_type> client;
  reader_kind const what;
  int events = 0;
  reader_stage(reader_kind k, act a) : stage{a}, what{k} { make(); }
  void make() {
    client.emplace(reader_type::create(on, hub_string(), transport_source(), loop_clock{on}, seeded_crypto{4},
                                       {.start = event_position::earliest(), .checkpoints = &store, .seed = 4})
                       .value());
  }
  void inside() {
    if (++runs != 1) return;
    switch (how) {
      case act::destroy: return client.reset();
      case act::close: return client->close();
      case act::call:
        good = client->checkpoint().has_value() && (what == reader_kind::disconnected || client->open(1min).has_value());
        return;
      case act::replace: return listen([this] { ++of_the_other; });
      case act::throw_: throw std::runtime_error{"from inside"};
    }
  }
  template <class F>
  void listen(F f) {
    switch (what) {
      case reader_kind::event: return client->on_event([f](hub_event const&) mutable { f(); });
      case reader_kind::below_next:
      case reader_kind::connected:
        return client->on_notice([f](reader_notice const& n) mutable {
          if (n.what == reader_notice::kind::connected) f();
        });
      case reader_kind::disconnected:
        return client->on_notice([f](reader_notice const& n) mutable {
          if (n.what == reader_notice::kind::disconnected) f();
        });
      case reader_kind::predicate:
        client->run_until([f]() mutable {
          f();
          return true;
        });
        return;
    }
  }
  void play() {
    send("d1", "1");
    send("d1", "2");
    if (what == reader_kind::connected || what == reader_kind::disconnected) client->on_event([this](hub_event const&) { ++events; });
    run_once([&] { listen(probe<std::remove_reference_t<decltype(*this)>>{this}); });
    if (what == reader_kind::below_next) {
      run_once([&] {
        auto const next = client->next(2min);
        if (how == act::close || how == act::destroy) {
          EXPECT_FALSE(next);
        }
      });
    }
    pass(5s);
    if (what == reader_kind::disconnected && client) {
      network.reset_all();
      pass(1min);
    }
    EXPECT_GE(runs, 1);
    EXPECT_EQ(thrown, how == act::throw_ ? 1 : 0);
    if (how == act::call) {
      EXPECT_TRUE(good);
    }
    if (how == act::destroy) {
      EXPECT_FALSE(client);
    }
    if (how == act::replace && what == reader_kind::event) {
      EXPECT_EQ(runs, 1);
      EXPECT_EQ(of_the_other, 1);
    }
    // Whatever was done, the events are there for a reader of its own.
    client.reset();
    make();
    send("d2", "3");
    EXPECT_TRUE(client->next(2min));
    client->close();
  }
};

struct ReaderCallback : ::testing::TestWithParam<std::tuple<reader_kind, act>> {};
TEST_P(ReaderCallback, MayDoIt) { reader_stage{std::get<0>(GetParam()), std::get<1>(GetParam())}.play(); }
INSTANTIATE_TEST_SUITE_P(All, ReaderCallback,
                         ::testing::Combine(::testing::Values(reader_kind::event, reader_kind::connected,
                                                              reader_kind::disconnected, reader_kind::predicate,
                                                              reader_kind::below_next),
                                            all_acts),
                         [](auto const& one) {
                           return std::string{reader_kinds[static_cast<int>(std::get<0>(one.param))]} + "_" +
                                  act_names[static_cast<int>(std::get<1>(one.param))];
                         });

// An event is finished when its handler has returned: one whose handler threw is not, and no checkpoint passes it by.
TEST(ReaderCallback, AnEventWhoseHandlerThrewIsNotFinished) {
  struct : stage {
    using stage::stage;
  } w{act::throw_};
  memory_checkpoint_store store;
  auto const make = [&] {
    return reader_type::create(w.on, w.hub_string(), w.transport_source(), loop_clock{w.on}, seeded_crypto{4},
                               {.start = event_position::earliest(), .checkpoints = &store, .seed = 4})
        .value();
  };
  w.send("d1", "1");
  std::vector<std::string> got;
  {
    auto reader = make();
    reader.on_event([&](hub_event const& e) {
      got.emplace_back(e.content.body.bytes());
      throw std::runtime_error{"from inside"};
    });
    w.pass(5s);
    EXPECT_EQ(w.thrown, 1);
    EXPECT_TRUE(reader.checkpoint());
    reader.close();
  }
  auto reader = make();
  auto const again = reader.next(1min);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->content.body.bytes(), "1");
}

// --- the messenger --------------------------------------------------------------------------------------------------

using messenger_type = basic_service_messenger<event_world::transport, loop_clock, seeded_crypto>;
enum class messenger_kind { sent, refused, closed, feedback, file, predicate };
constexpr char const* messenger_kinds[] = {"Sent", "Refused", "Closed", "Feedback", "File", "Predicate"};

struct messenger_stage : stage {
  std::optional<messenger_type> client;
  messenger_kind const what;
  messenger_stage(messenger_kind k, act a) : stage{a}, what{k} { make(); }
  void make() {
    client.emplace(messenger_type::create(on, hub_string("service"), transport_source(), loop_clock{on}, seeded_crypto{5},
                                          {.seed = 5})
                       .value());
  }
  void inside() {
    if (++runs != 1) return;
    switch (how) {
      case act::destroy: return client.reset();
      case act::close: return client->close();
      case act::call: good = client->send_c2d("d1", {.body = "from inside"}).has_value(); return;
      case act::replace: return begin([this] { ++of_the_other; });
      case act::throw_: throw std::runtime_error{"from inside"};
    }
  }
  template <class F>
  void begin(F f) {
    switch (what) {
      case messenger_kind::sent:
      case messenger_kind::closed:
        return client->async_send_c2d("d1", {.body = "x"}, {}, [f](result<std::string> const&) mutable { f(); });
      case messenger_kind::refused:
        return client->async_send_c2d("", {.body = "x"}, {}, [f](result<std::string> const&) mutable { f(); });
      case messenger_kind::feedback: return client->on_feedback([f](feedback_batch const&) mutable { f(); });
      case messenger_kind::file: return client->on_file_notification([f](file_notification const&) mutable { f(); });
      case messenger_kind::predicate:
        client->run_until([f]() mutable {
          f();
          return true;
        });
        return;
    }
  }
  void happen() {
    if (what == messenger_kind::file)
      core().notify_of_file({.device_id = "d1", .blob_uri = "https://x/y", .blob_name = "y"}, runtime.now()).value();
    if (what == messenger_kind::feedback) {
      core().send_c2d("d1", {.content = {.body = "x", .message_id = "m"}, .ack = feedback_request::full}, runtime.now()).value();
      auto got = core().receive_c2d("d1", runtime.now()).value();
      core().settle_c2d("d1", got->lock_token, hub::settlement::complete, runtime.now()).value();
    }
    runtime.touched();
  }
  void play() {
    run_once([&] { begin(probe<std::remove_reference_t<decltype(*this)>>{this}); });
    happen();
    if (what == messenger_kind::closed) run_once([&] { client->close(); });
    pass();
    EXPECT_GE(runs, 1);
    EXPECT_EQ(thrown, how == act::throw_ ? 1 : 0);
    if (how == act::call) {
      EXPECT_TRUE(good);
    }
    if (how == act::replace && what != messenger_kind::predicate) {
      happen();
      pass();
      EXPECT_GE(of_the_other, 1);
    }
    if (how == act::destroy) {
      EXPECT_FALSE(client);
      make();
    }
    EXPECT_TRUE(client->send_c2d("d2", {.body = "after"}));
    EXPECT_EQ(client->pending_operations(), 0u);
    client->close();
  }
};

struct MessengerCallback : ::testing::TestWithParam<std::tuple<messenger_kind, act>> {};
TEST_P(MessengerCallback, MayDoIt) { messenger_stage{std::get<0>(GetParam()), std::get<1>(GetParam())}.play(); }
INSTANTIATE_TEST_SUITE_P(All, MessengerCallback,
                         ::testing::Combine(::testing::Values(messenger_kind::sent, messenger_kind::refused,
                                                              messenger_kind::closed, messenger_kind::feedback,
                                                              messenger_kind::file, messenger_kind::predicate),
                                            all_acts),
                         [](auto const& one) {
                           return std::string{messenger_kinds[static_cast<int>(std::get<0>(one.param))]} + "_" +
                                  act_names[static_cast<int>(std::get<1>(one.param))];
                         });

}  // namespace
