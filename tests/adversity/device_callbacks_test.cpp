// From inside every kind of callback of a device client: destroy the client, close it, call it again, replace the handler
// that is running, throw. Each pair is a test of its own, on packets as values, over MQTT on pipes and in TLS, and over
// AMQP.
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include <iothub/fake_hub.hpp>
#include <iothub/hub_amqp_wirings.hpp>
#include <iothub/policy/blocking_http.hpp>

#include "callback_probe.hpp"

namespace {

using namespace iothub;
using iothub_test::probe;
using namespace std::chrono_literals;

enum class kind {
  method, responding_method, unknown_method, handler_error, desired, message, connected, disconnected,  // handlers
  connect_done, send_done, twin_done, report_done, closed_done,                                          // completions
  timer, periodic_timer, predicate, posted,
  method_below_a_blocking_call,  // while the program waits for something else
  count
};
constexpr char const* kind_names[] = {"Method", "RespondingMethod", "UnknownMethod", "HandlerError", "Desired", "Message",
                                      "Connected", "Disconnected", "ConnectDone", "SendDone", "TwinDone", "ReportDone",
                                      "ClosedDone", "Timer", "PeriodicTimer", "Predicate", "Posted",
                                      "MethodBelowABlockingCall"};
enum class act { destroy, close, call, call_async, replace, throw_, count };
constexpr char const* act_names[] = {"Destroy", "Close", "Call", "CallAsync", "ReplaceOrRepeat", "Throw"};
enum class wire { direct, pipe, tls, amqp, count };
constexpr char const* wire_names[] = {"Direct", "Pipe", "Tls", "Amqp"};

template <class Wiring>
struct scene {
  fake_hub hub{};
  std::optional<fake_hub::device_client<Wiring>> device{hub.make_device<Wiring>("d")};
  fake_hub::service_client<wiring::direct> service{hub.connect_service()};
  kind const what;
  act const how;
  int runs = 0;         // of the callback
  int of_the_other = 0; // that took its place
  int thrown = 0;       // exceptions that left a run
  int pending_told = 0;
  bool good = false;    // what was called from inside succeeded
  std::optional<result<method_response>> answer;
  std::size_t participants_without_device = hub.loop().size() - 2;

  scene(kind k, act a) : what{k}, how{a} {}

  void inside() {
    if (++runs != 1) return;
    switch (how) {
      case act::destroy: return device.reset();
      case act::close: return device->close();
      case act::call: {
        // After close() the answer is an error, at once; everywhere else it works.
        if (what == kind::disconnected || what == kind::closed_done) {
          good = !device->get_twin() || device->is_connected();
          return;
        }
        bool const sent = device->send_telemetry({.body = "from inside"}, 2min).has_value();  // behind those that wait
        good = sent && device->update_reported_properties({{"inside", 1}}) && device->get_twin();
        return;
      }
      case act::call_async:
        return device->async_send_telemetry({.body = "from inside"}, 2min, [this](result<void> r) {
          good = r.has_value() || what == kind::closed_done;
        });
      case act::replace: return install([this] { ++of_the_other; });
      case act::throw_: throw std::runtime_error{"from inside"};
      case act::count: return;
    }
  }
  // The callback under test, or another one in its place.
  template <class F>
  void install(F f) {
    switch (what) {
      case kind::method_below_a_blocking_call:
      case kind::method:
        return device->on_method("m", [f](method_request const&) mutable -> method_response {
          f();
          return {.status = 201};
        });
      case kind::responding_method:
        return device->on_method("m", [f](method_request const&, responder reply) mutable {
          f();
          (void)reply.answer({.status = 201});
        });
      case kind::unknown_method:
        return device->on_unknown_method([f](method_request const&) mutable -> method_response {
          f();
          return {.status = 201};
        });
      case kind::handler_error:
        device->on_method("m", [](method_request const&) -> method_response { throw std::runtime_error{"a bug"}; });
        return device->on_handler_error([f](handler_error const&) mutable { f(); });
      case kind::desired: return device->on_desired([f](json::value const&, std::int64_t) mutable { f(); });
      case kind::message: return device->on_message([f](c2d_message const&) mutable { f(); });
      case kind::connected:
        return device->on_connection_change([f](connection_status s, connection_reason) mutable {
          if (s == connection_status::connected) f();
        });
      case kind::disconnected:
        return device->on_connection_change([f](connection_status s, connection_reason) mutable {
          if (s == connection_status::retrying) f();
        });
      case kind::connect_done: return device->async_connect([f](result<void> const&) mutable { f(); });
      case kind::closed_done:
      case kind::send_done: return device->async_send_telemetry({.body = "x"}, [f](result<void> const&) mutable { f(); });
      case kind::twin_done: return device->async_get_twin([f](result<device_twin> const&) mutable { f(); });
      case kind::report_done:
        return device->async_update_reported_properties({{"a", 1}}, [f](result<std::int64_t> const&) mutable { f(); });
      case kind::timer: return (void)device->after(1s, f);
      case kind::periodic_timer: return (void)device->every(1s, f);
      case kind::posted: return hub.loop().post(f);
      case kind::predicate:
        device->run_until([f]() mutable {
          f();
          return true;
        });
        return;
      case kind::count: return;
    }
  }
  template <class F>
  void run(F f) {
    try {
      f();
    } catch (std::runtime_error const& e) {
      EXPECT_STREQ(e.what(), "from inside");
      ++thrown;
    }
  }
  void pass(duration time = 30s) {
    for (int i = 0; i != 4; ++i) run([&] { hub.run_for(time); });
  }
  // What makes the callback run.
  void trigger() {
    switch (what) {
      case kind::method:
      case kind::responding_method:
      case kind::unknown_method:
      case kind::handler_error:
        service.async_invoke_method("d", {.name = "m"}, {.response_timeout = 10s},
                                    [this](result<method_response> r) { answer = std::move(r); });
        return;
      case kind::method_below_a_blocking_call:
        hub.faults().delay_next(hub::fault_point::send_telemetry, 5s);
        service.async_invoke_method("d", {.name = "m"}, {.response_timeout = 10s},
                                    [this](result<method_response> r) { answer = std::move(r); });
        run([&] { (void)device->send_telemetry({.body = "slow"}); });
        return;
      case kind::desired: return hub.set_desired("d", {{"v", runs + 1}});
      case kind::message: return (void)hub.send_c2d("d", {.body = "x"});
      case kind::disconnected: return (void)hub.disconnect("d");
      case kind::closed_done: return run([&] { device->close(); });
      default: return;
    }
  }
  // Other operations are pending meanwhile: each ends once, unless the client is destroyed.
  void keep_busy() {
    hub.faults().delay_next(hub::fault_point::send_telemetry, 40s, what == kind::closed_done ? 2 : 1);
    device->async_send_telemetry({.body = "pending"}, 50s, [this](result<void> const&) { ++pending_told; });
  }
  [[nodiscard]] bool is_handler() const { return what <= kind::disconnected || what == kind::method_below_a_blocking_call; }

  void play() {
    bool const before = what == kind::connected || what == kind::connect_done;
    if (before) {
      install(probe<std::remove_reference_t<decltype(*this)>>{this});
      if (what == kind::connected) run([&] { (void)device->connect(); });
    } else {
      device->connect().value();
      hub.poll();
      keep_busy();
      run([&] { install(probe<std::remove_reference_t<decltype(*this)>>{this}); });
      run([&] { hub.poll(); });
      trigger();
    }
    pass();
    EXPECT_GE(runs, 1);
    EXPECT_EQ(hub.loop().depth(), 0);
    judge(before);
  }

  void judge(bool before) {
    bool const swallowed = what <= kind::unknown_method || what == kind::message || what == kind::method_below_a_blocking_call;
    EXPECT_EQ(thrown, how == act::throw_ && !swallowed ? 1 : 0);
    if (how == act::destroy) {
      EXPECT_FALSE(device);
      // The destructor calls no user code; close() had told of the older message before.
      EXPECT_EQ(pending_told, what == kind::closed_done ? 1 : 0);
      EXPECT_TRUE(hub.run_until([&] { return hub.core().connected_devices() == 0; }, 1h));
      EXPECT_EQ(hub.loop().size(), participants_without_device);
      if (answer && what != kind::handler_error) {
        EXPECT_FALSE(answer->has_value()) << "nobody answered";
      }
      device.emplace(hub.make_device<Wiring>("d"));
    } else if (how == act::close && what != kind::disconnected) {
      EXPECT_FALSE(device->is_connected());
    } else if (how == act::call || how == act::call_async) {
      EXPECT_TRUE(good);
    } else if (how == act::replace && is_handler() && what != kind::connected) {
      // The one that was running is gone, the other is in its place.
      int const ran = runs;
      if (what != kind::method_below_a_blocking_call) trigger();
      else service.async_invoke_method("d", {.name = "m"}, {}, [](result<method_response> const&) {});
      pass();
      EXPECT_EQ(runs, ran);
      EXPECT_GE(of_the_other, 1);
    } else if (how == act::replace && what != kind::connected && what != kind::predicate) {
      EXPECT_GE(of_the_other, 1);
    } else if (how == act::throw_ && what <= kind::unknown_method) {
      ASSERT_TRUE(answer && *answer);
      EXPECT_EQ((*answer)->status, 500);
    }
    if (!before && how != act::destroy) {
      EXPECT_EQ(pending_told, 1);
    }
    check_usable();
  }
  void check_usable() {
    auto const connected = device->connect();
    ASSERT_TRUE(connected) << connected.error().message();
    EXPECT_TRUE(device->send_telemetry({.body = "after"}));
    device->on_method("after", [](method_request const&) -> method_response { return {.status = 204}; });
    hub.poll();
    EXPECT_EQ(service.invoke_method("d", {.name = "after"}).value().status, 204);
    EXPECT_EQ(device->pending_operations(), 0u);
  }
};

class DeviceCallback : public ::testing::TestWithParam<std::tuple<kind, act, wire>> {};

TEST_P(DeviceCallback, MayDoIt) {
  auto const [what, how, over] = GetParam();
  switch (over) {
    case wire::direct: return scene<wiring::direct>{what, how}.play();
    case wire::pipe: return scene<wiring::pipe>{what, how}.play();
    case wire::tls: return scene<wiring::pipe_tls>{what, how}.play();
    case wire::amqp: return scene<wiring::amqp_pipe>{what, how}.play();
    case wire::count: return;
  }
}

std::vector<kind> all_kinds() {
  std::vector<kind> all;
  for (int k = 0; k != static_cast<int>(kind::count); ++k) all.push_back(static_cast<kind>(k));
  return all;
}
INSTANTIATE_TEST_SUITE_P(
    All, DeviceCallback,
    ::testing::Combine(::testing::ValuesIn(all_kinds()),
                       ::testing::Values(act::destroy, act::close, act::call, act::call_async, act::replace, act::throw_),
                       ::testing::Values(wire::direct, wire::pipe, wire::tls, wire::amqp)),
    [](auto const& one) {
      return std::string{kind_names[static_cast<int>(std::get<0>(one.param))]} + "_" +
             act_names[static_cast<int>(std::get<1>(one.param))] + "_" +
             wire_names[static_cast<int>(std::get<2>(one.param))];
    });

// The hub stored what an earlier client subscribed: its calls reach one that never set a handler.
TEST(StoredSession, BringsCallsToAClientWithoutHandlers) {
  fake_hub hub;
  {
    auto first = hub.make_device("d");
    first.on_method("m", [](method_request const&) -> method_response { return {}; });
    first.connect().value();
  }
  auto second = hub.connect_device("d");
  auto service = hub.connect_service();
  EXPECT_EQ(service.invoke_method("d", {.name = "m"}).value().status, 501);
}

#ifndef NDEBUG
// Clients refer to their hub's loop. One that is still there when the hub goes is told so by name, before it does harm.
TEST(ClientThatOutlivesItsHub, IsAnAssertionWithAName) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        std::optional<fake_hub> hub{std::in_place};
        auto device = hub->connect_device("d");
        hub.reset();
      },
      "a client outlives its loop, or the fake hub");
  EXPECT_DEATH(
      {
        std::optional<fake_hub> hub{std::in_place};
        auto service = hub->connect_service();
        hub.reset();
      },
      "a client outlives its loop, or the fake hub");
}
#endif

// The function of blocking_http is a policy, called while the client works; it may do away with the client all the same.
TEST(DeviceTransportFunction, MayDestroyItsDevice) {
  struct call {
    function<void()>* act;
    result<http::response> operator()(endpoint const&, http::request const&) const {
      (*act)();
      return http::response{.status = 204};
    }
  };
  using client = basic_device_client<over_https<blocking_http<call>>, loop_clock, seeded_crypto>;
  memory::virtual_loop loop;
  std::optional<client> device;
  function<void()> act{[&] { device.reset(); }};
  auto const who = parse_device_connection_string("HostName=h.example;DeviceId=d;SharedAccessKey=a2V5").value();
  device.emplace(client::create(loop, who, [&act] { return blocking_http<call>{call{&act}}; }, loop_clock{loop},
                                seeded_crypto{1})
                     .value());
  device->connect().value();
  auto const sent = device->send_telemetry({.body = "x"});  // the answer came all the same
  EXPECT_TRUE(sent || sent.error() == errc::closed);
  EXPECT_FALSE(device);
  EXPECT_EQ(loop.size(), 0u);
}

}  // namespace
