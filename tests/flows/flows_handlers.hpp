// Handlers: they never nest, may block, may destroy or close their client, and may throw.
#pragma once

#include <gmock/gmock.h>

#include <optional>
#include <stdexcept>

#include <iothub/base/function.hpp>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;

template <class Wiring>
class Handlers : public ::testing::Test {};
TYPED_TEST_SUITE(Handlers, flow_wirings, wiring_names);

TYPED_TEST(Handlers, MayCallEveryBlockingOperation) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_method("work", [&](method_request const&) -> method_response {
    device.send_telemetry({.body = "from the handler"}).value();
    device.update_reported_properties({{"done", true}}).value();
    device.run_for(2 * w.unit);
    return {.payload = device.get_twin().value().reported.properties};
  });
  device.connect().value();
  EXPECT_EQ(w.connect_service().invoke_method("d", {.name = "work"}).value(), (method_response{200, {{"done", true}}}));
  EXPECT_EQ(w.bodies("d"), (std::vector<std::string>{"from the handler"}));
}

TYPED_TEST(Handlers, OfOneClientNeverNest) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  int depth = 0, deepest = 0, ran = 0;
  auto const body = [&] {
    deepest = ++depth > deepest ? depth : deepest;
    device.run_for(w.unit);
    --depth, ++ran;
  };
  device.on_method("m", [&](method_request const&) -> method_response { return body(), method_response{}; });
  device.on_desired([&](json::value const&, std::int64_t) { body(); });
  device.on_message([&](c2d_message const&) { body(); });
  device.on_connection_change([&](connection_status, connection_reason) { body(); });
  device.connect().value();
  auto service = w.connect_service();
  int answered = 0;
  for (int i = 0; i != 3; ++i)
    service.async_invoke_method("d", {.name = "m"}, {}, [&](result<method_response> r) { answered += r.has_value(); });
  w.set_desired("d", {{"a", 1}});
  w.send_c2d("d", {.body = "x"});
  device.after(0s, body);
  device.async_send_telemetry({.body = "x"}, [&](result<void>) { body(); });
  ASSERT_TRUE(w.wait_until([&] { return answered == 3 && ran >= 8; }));
  EXPECT_EQ(deepest, 1);
}

TYPED_TEST(Handlers, ThatAreBusyHaveABoundedInbox) {
  world<TypeParam> w;
  auto how = w.options();
  how.inbox = 2;
  auto device = w.make_device("d", how);
  std::vector<int> answers;
  auto service = w.connect_service();
  auto const call = [&] {
    service.async_invoke_method("d", {.name = "m"}, {},
                                [&](result<method_response> r) { answers.push_back(r.value().status); });
  };
  bool busy = false;
  device.on_method("m", [&](method_request const&) -> method_response {
    if (!std::exchange(busy, true)) {
      for (int i = 0; i != 4; ++i) call();  // two find room
      device.run_until([&] { return answers.size() == 2; });
    }
    return {.status = 200};
  });
  device.connect().value();
  call();
  ASSERT_TRUE(w.wait_until([&] { return answers.size() == 5; }));
  EXPECT_THAT(answers, ElementsAre(503, 503, 200, 200, 200));
}

TYPED_TEST(Handlers, OfAnotherClientRunMeanwhile) {
  world<TypeParam> w;
  auto a = w.make_device("a");
  auto b = w.make_device("b");
  auto service = w.connect_service();
  a.on_method("outer", [&](method_request const&) -> method_response {
    return {.payload = service.invoke_method("b", {.name = "inner"}).value().payload};
  });
  b.on_method("inner", [&](method_request const&) -> method_response {
    b.send_telemetry({.body = "inner"}).value();
    return {.payload = "deep"};
  });
  a.connect().value();
  b.connect().value();
  auto other = w.connect_service();
  EXPECT_EQ(other.invoke_method("a", {.name = "outer"}).value().payload, "deep");
}

TYPED_TEST(Handlers, AreNeverCalledInsideTheCallThatCausedThem) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  bool inside = true;
  int ended = 0;
  auto const note = [&](auto&&) {
    EXPECT_FALSE(inside);
    ++ended;
  };
  device.on_connection_change([&](connection_status, connection_reason) { EXPECT_FALSE(inside); });
  device.async_send_telemetry({.body = "too early"}, note);
  device.async_connect(note);
  device.async_send_telemetry({.body = std::string(300'000, 'x')}, note);
  device.async_get_twin(note);
  device.async_update_reported_properties({{"a", 1}}, note);
  device.after(0s, [&] { note(0); });
  auto service = w.connect_service();
  service.async_get_device("d", note);
  service.async_get_device("", note);
  inside = false;
  EXPECT_TRUE(w.wait_until([&] { return ended == 8; }));
}

// In each kind of handler the client goes away; nothing of it may be touched afterwards, and the hub goes on.
TYPED_TEST(Handlers, MayDestroyTheirClient) {
  using client = typename world<TypeParam>::device_client;
  using optional_client = std::optional<client>;
  using scene = void (*)(world<TypeParam>&, optional_client&, typename world<TypeParam>::service_client&);
  struct kind {
    char const* name;
    scene set;
  };
  kind const kinds[] = {
      {"a method that answers",
       [](auto&, auto& d, auto& s) {
         d->on_method("m", [&d](method_request const&) -> method_response { return d.reset(), method_response{}; });
         d->connect().value();
         s.async_invoke_method("d", {.name = "m"}, {}, [](auto&&) {});
       }},
      {"a method with a responder",
       [](auto&, auto& d, auto& s) {
         d->on_method("m", [&d](method_request const&, responder respond) {
           d.reset();
           EXPECT_THAT(respond.answer({}), FailedWith(errc::closed));
         });
         d->connect().value();
         s.async_invoke_method("d", {.name = "m"}, {}, [](auto&&) {});
       }},
      {"an unknown method",
       [](auto&, auto& d, auto& s) {
         d->on_unknown_method([&d](method_request const&, responder) { d.reset(); });
         d->connect().value();
         s.async_invoke_method("d", {.name = "x"}, {}, [](auto&&) {});
       }},
      {"desired properties",
       [](auto& w, auto& d, auto&) {
         d->on_desired([&d](json::value const&, std::int64_t) { d.reset(); });
         w.set_desired("d", {{"a", 1}});
         d->async_connect([](auto&&) {});
       }},
      {"a message",
       [](auto& w, auto& d, auto&) {
         d->on_message([&d](c2d_message const&) { d.reset(); });
         d->connect().value();
         w.send_c2d("d", {.body = "x"});
       }},
      {"a connection change",
       [](auto&, auto& d, auto&) {
         d->on_connection_change([&d](connection_status now, connection_reason) {
           if (now == connection_status::connected) d.reset();
         });
         d->async_connect([](auto&&) {});
       }},
      {"a lost connection",
       [](auto& w, auto& d, auto&) {
         d->on_connection_change([&d](connection_status now, connection_reason) {
           if (now == connection_status::retrying) d.reset();
         });
         d->connect().value();
         w.disconnect("d");
       }},
      {"the end of connect", [](auto&, auto& d, auto&) { d->async_connect([&d](auto&&) { d.reset(); }); }},
      {"the end of telemetry",
       [](auto&, auto& d, auto&) {
         d->connect().value();
         d->async_send_telemetry({.body = "1"}, [&d](auto&&) { d.reset(); });
         d->async_send_telemetry({.body = "2"}, [](auto&&) { ADD_FAILURE() << "the client is gone"; });
       }},
      {"the twin",
       [](auto&, auto& d, auto&) {
         d->connect().value();
         d->async_get_twin([&d](auto&&) { d.reset(); });
       }},
      {"the end of a patch",
       [](auto&, auto& d, auto&) {
         d->connect().value();
         d->async_update_reported_properties({{"a", 1}}, [&d](auto&&) { d.reset(); });
       }},
      {"a timer", [](auto&, auto& d, auto&) { d->after(0s, [&d] { d.reset(); }); }},
      {"a repeated timer", [](auto&, auto& d, auto&) { d->every(1ms, [&d] { d.reset(); }); }},
      {"a blocking call in a handler",
       [](auto& w, auto& d, auto&) {
         d->connect().value();
         d->after(0s, [&w, &d] {
           w.get_loop().post([&d] { d.reset(); });
           EXPECT_THAT(d->send_telemetry({.body = "x"}), ::testing::Not(FailedWith(errc::timeout)));
         });
       }},
  };
  for (auto const& k : kinds) {
    SCOPED_TRACE(k.name);
    world<TypeParam> w;
    auto service = w.connect_service();
    optional_client device{w.make_device("d")};
    k.set(w, device, service);
    ASSERT_TRUE(w.wait_until([&] { return !device; }));
    w.run_for(w.unit);
    EXPECT_TRUE(w.wait_until([&] { return w.core().connected_devices() == 0; }));
    auto next = w.connect_device("d");
    EXPECT_TRUE(next.send_telemetry({.body = "the hub goes on"}));
    EXPECT_TRUE(service.get_device("d"));
  }
}

TYPED_TEST(Handlers, MayDestroyTheClientThatABlockingCallWaitsFor) {
  world<TypeParam> w;
  std::optional<typename world<TypeParam>::device_client> device{w.connect_device("d")};
  w.delay_confirmations(1000 * w.unit);
  device->after(w.unit, [&] { device.reset(); });
  EXPECT_THAT(device->send_telemetry({.body = "x"}, 1h), FailedWith(errc::closed));
  EXPECT_FALSE(device);
}

TYPED_TEST(Handlers, OfTheServiceClientMayDestroyIt) {
  world<TypeParam> w;
  std::optional<typename world<TypeParam>::service_client> service{w.connect_service()};
  service->async_list_devices(10, [&](auto&&) { service.reset(); });
  service->async_list_devices(10, [](auto&&) { ADD_FAILURE() << "the client is gone"; });
  ASSERT_TRUE(w.wait_until([&] { return !service; }));
  w.run_for(w.unit);
}

TYPED_TEST(Handlers, MayCloseTheirClientAndConnectAgain) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  std::vector<std::string> ends;
  auto const note = [&](char const* name) {
    return [&ends, name](result<void> r) {
      ends.push_back(std::string{name} + (r ? " ok" : " " + std::string{to_string(r.error().code())}));
    };
  };
  device.async_send_telemetry({.body = "1"}, [&](result<void> r) {
    note("1")(std::move(r));
    w.delay_confirmations(1000 * w.unit);
    device.async_send_telemetry({.body = "2"}, note("2"));
    device.close();
    device.async_connect(note("connect"));
  });
  ASSERT_TRUE(w.wait_until([&] { return ends.size() == 3; }));
  EXPECT_THAT(ends, ElementsAre("1 ok", "2 closed", "connect ok"));
  EXPECT_TRUE(device.is_connected());
}

TYPED_TEST(Handlers, OfAMethodThatThrowsAreAnswered500) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_method("value", [](method_request const&) -> method_response { throw std::runtime_error{"broken"}; });
  device.on_method("later", [](method_request const&, responder) { throw std::runtime_error{"broken"}; });
  device.on_method("forgotten", [](method_request const&, responder) {});
  device.connect().value();
  auto service = w.connect_service();
  for (char const* name : {"value", "later", "forgotten"})
    EXPECT_EQ(service.invoke_method("d", {.name = name}).value().status, 500) << name;
  EXPECT_EQ(service.invoke_method("d", {.name = "absent"}).value().status, 501);
}

TYPED_TEST(Handlers, ThatThrowElsewhereLeaveTheRunAndTheClientWorks) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.connect().value();
  auto const throws = [](auto&&...) { throw std::runtime_error{"broken"}; };
  auto const expect_throw = [&] {
    EXPECT_THROW((void)w.get_loop().run_until([] { return false; }, add(w.now(), 5s)), std::runtime_error);
  };
  device.async_send_telemetry({.body = "x"}, throws);
  expect_throw();
  device.after(0s, throws);
  expect_throw();
  device.on_desired([&](json::value const&, std::int64_t) { throws(0); });
  w.set_desired("d", {{"a", 1}});
  expect_throw();
  device.on_connection_change([&](connection_status, connection_reason) { throws(0); });
  w.disconnect("d");
  expect_throw();  // retrying
  expect_throw();  // connected
  device.on_connection_change([](connection_status, connection_reason) {});
  EXPECT_TRUE(device.send_telemetry({.body = "y"}));
  EXPECT_EQ(w.distinct_bodies("d"), (std::vector<std::string>{"x", "y"}));
}

TYPED_TEST(Handlers, MayKeepTheResponderAndAnswerLater) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  std::vector<responder> kept;
  device.on_method("m", [&](method_request const&, responder respond) { kept.push_back(std::move(respond)); });
  device.connect().value();
  auto service = w.connect_service();
  std::vector<int> answers;
  for (int i = 0; i != 3; ++i)
    service.async_invoke_method("d", {.name = "m"}, {},
                                [&](result<method_response> r) { answers.push_back(r.value().status); });
  ASSERT_TRUE(w.wait_until([&] { return kept.size() == 3; }));
  w.run_for(2 * w.unit);
  EXPECT_TRUE(answers.empty());
  EXPECT_TRUE(kept[2].answer({.status = 203}));
  ASSERT_TRUE(w.wait_until([&] { return answers.size() == 1; }));
  EXPECT_TRUE(kept[0].answer({.status = 201}));
  EXPECT_THAT(kept[0].answer({.status = 202}), FailedWith(errc::invalid_state));
  EXPECT_FALSE(kept[0]);
  ASSERT_TRUE(w.wait_until([&] { return answers.size() == 2; }));
  kept.clear();  // the one that was never answered
  ASSERT_TRUE(w.wait_until([&] { return answers.size() == 3; }));
  EXPECT_THAT(answers, ElementsAre(203, 201, 500));
}

TYPED_TEST(Handlers, MayAnswerWhenTheClientIsGone) {
  world<TypeParam> w;
  responder kept;
  auto service = w.connect_service();
  {
    auto device = w.make_device("d");
    device.on_method("m", [&](method_request const&, responder respond) { kept = std::move(respond); });
    device.connect().value();
    service.async_invoke_method("d", {.name = "m"}, {}, [](auto&&) {});
    ASSERT_TRUE(w.wait_until([&] { return static_cast<bool>(kept); }));
  }
  EXPECT_THAT(kept.answer({.status = 200}), FailedWith(errc::closed));
}

TYPED_TEST(Handlers, MayReplaceThemselves) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  device.on_method("m", [&](method_request const&) -> method_response {
    device.on_method("m", [](method_request const&) -> method_response { return {.status = 2}; });
    return {.status = 1};
  });
  device.connect().value();
  auto service = w.connect_service();
  EXPECT_EQ(service.invoke_method("d", {.name = "m"}).value().status, 1);
  EXPECT_EQ(service.invoke_method("d", {.name = "m"}).value().status, 2);
}

TYPED_TEST(Handlers, ThatAreSetWhileConnectedGetWhatComes) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  json::value wanted;
  w.set_desired("d", {{"a", 1}});
  device.on_desired([&](json::value const& properties, std::int64_t) { wanted = properties; });
  device.on_method("m", [](method_request const&) -> method_response { return {.status = 201}; });
  ASSERT_TRUE(w.wait_until([&] { return wanted == json::value{{"a", 1}}; }));
  EXPECT_EQ(w.connect_service().invoke_method("d", {.name = "m"}, {.connect_timeout = 5s}).value().status, 201);
}

}  // namespace
