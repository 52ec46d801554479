// What the device client promises about handlers: they never nest, may block, throw, answer later, and destroy the client.
#include "device_client_world.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace {

using namespace iothub;
using namespace iothub_test;

TEST(DeviceHandlers, TheReturnValueAnswersTheCall) {
  client_world w;
  w->on_method("add", [](method_request const& r) -> method_response {
    return {.status = 200, .payload = {{"sum", *r.payload.as_int() + 1}}};
  });
  w.connect();
  w.peer.method("add", "r1", "41");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{R"(answer r1 200 {"sum":42})"}));
}

TEST(DeviceHandlers, UnknownMethodsAreAnsweredByThemselvesOrByTheFallback) {
  client_world w;
  w->on_method("known", [](method_request const&) -> method_response { return {}; });
  w.connect();
  w.peer.method("other", "r1");
  w->poll();
  w->on_unknown_method([](method_request const& r) -> method_response { return {.status = 404, .payload = r.name}; });
  w.peer.method("other", "r2");
  w->poll();
  EXPECT_EQ(w.peer.calls,
            (lines{R"(answer r1 501 {"message":"method other is not implemented"})", R"(answer r2 404 "other")"}));
}

TEST(DeviceHandlers, NeverNestAndMayBlock) {
  client_world w;
  lines order;
  w->on_method("m", [&](method_request const& r) -> method_response {
    order.push_back("in " + r.payload.dump());
    EXPECT_EQ(w->send_telemetry({.body = "x"}, 5s).error(), errc::timeout);
    order.push_back("out " + r.payload.dump());
    return {};
  });
  w->on_message([&](c2d_message const&) { order.emplace_back("message"); });
  w.connect();
  w.peer.method("m", "r1", "1");
  w.peer.method("m", "r2", "2");
  w.peer.message(9, "hello");
  w->after(1s, [&] { order.emplace_back("timer"); });
  w->run_for(1min);
  EXPECT_EQ(order, (lines{"in 1", "out 1", "in 2", "out 2", "message", "timer"}));
}

TEST(DeviceHandlers, APayloadThatIsNoJsonIsAnswered400AndRunsNoHandler) {
  client_world w;
  w->on_method("m", [](method_request const& r) -> method_response { return {.status = 200, .payload = r.payload}; });
  w.connect();
  w.peer.method("m", "r1", "{");
  w.peer.method("m", "r2", "[1]");
  w->poll();
  EXPECT_EQ(w.peer.calls,
            (lines{R"(answer r1 400 {"message":"the payload is not valid JSON"})", "answer r2 200 [1]"}));
}

TEST(DeviceHandlers, ABlockingTwinUpdateInsideAMethodWorks) {
  client_world w;
  w->on_method("rebootDevice", [&](method_request const&) -> method_response {
    EXPECT_EQ(w->update_reported_properties({{"rebootTime", "now"}}).value(), 2);
    return {.status = 200, .payload = {{"Response", "This is the response from the device"}}};
  });
  w.connect();
  w.peer.confirms = true;
  w.peer.method("rebootDevice", "r1");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{"enable twin", R"(patch {"rebootTime":"now"})",
                                 R"(answer r1 200 {"Response":"This is the response from the device"})"}));
}

TEST(DeviceHandlers, AConnectionChangeInsideABlockedHandlerWaits) {
  client_world w;
  lines order;
  w->on_connection_change([&](connection_status s, connection_reason) { order.emplace_back(to_string(s)); });
  w->on_method("m", [&](method_request const&) -> method_response {
    order.emplace_back("in");
    w.peer.drop();
    w->run_for(10s);
    order.emplace_back("out");
    return {};
  });
  w.connect();
  order.clear();
  w.peer.method("m", "r1");
  w->run_for(1min);
  EXPECT_EQ(order, (lines{"in", "out", "retrying", "connected"}));
  for (auto const& line : w.peer.calls) EXPECT_NE(line.substr(0, 6), "answer");  // its connection was gone
}

TEST(DeviceHandlers, AMethodMayBeAnsweredLaterFromOutside) {
  client_world w;
  std::optional<responder> kept;
  w->on_method("slow", [&](method_request const&, responder r) { kept = std::move(r); });
  w.connect();
  w.peer.method("slow", "r1");
  w->run_for(20s);
  EXPECT_EQ(w.peer.calls, lines{});
  EXPECT_TRUE(kept->answer({.status = 202}));
  EXPECT_EQ(w.peer.calls, (lines{"answer r1 202 null"}));
}

TEST(DeviceHandlers, AResponderOutlivesItsClient) {
  client_world w;
  std::optional<responder> kept;
  std::optional<responder> dropped;
  w->on_method("slow", [&](method_request const& r, responder answer) {
    (r.payload == 1 ? kept : dropped) = std::move(answer);
  });
  w.connect();
  w.peer.method("slow", "r1", "1");
  w.peer.method("slow", "r2", "2");
  w->poll();
  w.client.reset();
  EXPECT_EQ(kept->answer({}).error(), errc::closed);
  dropped.reset();
}

TEST(DeviceHandlers, AnAnswerAbove128KilobytesIs500) {
  client_world w;
  w->on_method("m", [&](method_request const&, responder r) {
    EXPECT_EQ(r.answer({.payload = std::string(131'072, 'x')}).error(), errc::too_large);
  });
  w.connect();
  w.peer.method("m", "r1");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{R"(answer r1 500 {"message":"the answer is above 128 KB"})"}));
}

TEST(DeviceHandlers, AThrowingMethodIs500) {
  client_world w;
  w->on_method("m", [](method_request const&) -> method_response { throw std::runtime_error{"x"}; });
  w.connect();
  w.peer.method("m", "r1");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{R"(answer r1 500 {"message":"the device did not handle the call"})"}));
}

TEST(DeviceHandlers, WhatAHandlerThrowsIsReportedAfterItsCallOrMessageWasAnswered) {
  client_world w;
  w->on_handler_error([&](handler_error const& e) {
    w.peer.calls.push_back((e.kind == handler_kind::method ? "method " : "message ") + std::string{e.name} + ": " +
                           std::string{e.what});
  });
  w->on_method("m", [](method_request const&) -> method_response { throw std::runtime_error{"no disk"}; });
  w->on_method("late", [](method_request const&, responder) { throw 5; });
  w->on_message([](c2d_message const&) { throw std::logic_error{"what is this?"}; });
  w.connect();
  w.peer.method("m", "r1");
  w.peer.method("late", "r2");
  w.peer.message(4, "hi");
  w->poll();
  EXPECT_EQ(w.peer.calls,
            (lines{R"(answer r1 500 {"message":"the device did not handle the call"})", "method m: no disk",
                   R"(answer r2 500 {"message":"the device did not handle the call"})",
                   "method late: something that is no std::exception", "leave 4", "message : what is this?"}));
}

TEST(DeviceHandlers, AnExceptionOfTheErrorHandlerLeavesTheRun) {
  client_world w;
  w->on_handler_error([](handler_error const& e) { throw std::runtime_error{std::string{e.what}}; });
  w->on_method("m", [](method_request const&) -> method_response { throw std::runtime_error{"no disk"}; });
  w.connect();
  w.peer.method("m", "r1");
  EXPECT_THROW(w->poll(), std::runtime_error);
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{R"(answer r1 500 {"message":"the device did not handle the call"})"}));
}

TEST(DeviceHandlers, MessagesAreAcceptedAfterTheHandlerReturned) {
  client_world w;
  w->on_message([&](c2d_message const& m) { w.peer.calls.push_back("handled " + std::string{m.content.body.bytes()}); });
  w.connect();
  w.peer.message(4, "hi");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{"handled hi", "accept 4"}));
}

TEST(DeviceHandlers, AMessageWhoseHandlerThrowsOrAbandonsIsNotAccepted) {
  client_world w;
  w->on_message([&](c2d_message const& m) -> settlement {
    if (m.content.body.bytes() == "throw") throw 1;
    return settlement::abandon;
  });
  w.connect();
  w.peer.message(4, "throw");
  w.peer.message(5, "leave");
  w->poll();
  EXPECT_EQ(w.peer.calls, (lines{"leave 4", "leave 5"}));
}

TEST(DeviceHandlers, AnExceptionOfACompletionLeavesTheRunAndTheClientGoesOn) {
  client_world w;
  w.connect();
  w.peer.confirms = true;
  w->async_send_telemetry({.body = "x"}, [](auto&&) { throw std::runtime_error{"mine"}; });
  EXPECT_THROW(w->poll(), std::runtime_error);
  EXPECT_TRUE(w->send_telemetry({.body = "y"}));
}

TEST(DeviceHandlers, HandlersOfAnotherClientRunWhileOneBlocks) {
  client_world a;
  scripted_bundle other;
  auto const connection = parse_device_connection_string("HostName=h;DeviceId=d2;SharedAccessKey=a2V5").value();
  auto b = scripted_client::create(a.loop, connection, other, loop_clock{a.loop}, seeded_crypto{}).value();
  lines order;
  a->on_method("m", [&](method_request const&) -> method_response {
    order.emplace_back("a in");
    (void)a->send_telemetry({.body = "x"}, 5s);
    order.emplace_back("a out");
    return {};
  });
  a.connect();
  b.after(2s, [&] { order.emplace_back("b"); });
  a.peer.method("m", "r1");
  a->run_for(10s);
  EXPECT_EQ(order, (lines{"a in", "b", "a out"}));
}

// Each kind of user code destroys its client; the sanitizers watch.
struct way_to_die {
  char const* name;
  void (*arm)(client_world&);
};
class DestroyInside : public testing::TestWithParam<way_to_die> {};

TEST_P(DestroyInside, IsSafe) {
  client_world w;
  GetParam().arm(w);
  w.loop.run_for(1min).value();
  EXPECT_FALSE(w.client);
  EXPECT_EQ(w.loop.size(), 0u);
  EXPECT_EQ(w.peer.calls.back(), "close");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DestroyInside,
    testing::Values(way_to_die{"Method",
                               [](client_world& w) {
                                 w->on_method("m", [&w](method_request const&) -> method_response {
                                   w.client.reset();
                                   return {};
                                 });
                                 w.connect();
                                 w.peer.method("m", "r");
                               }},
                    way_to_die{"Message",
                               [](client_world& w) {
                                 w->on_message([&w](c2d_message const&) { w.client.reset(); });
                                 w.connect();
                                 w.peer.message(1, "x");
                                 w.peer.message(2, "y");
                               }},
                    way_to_die{"Desired",
                               [](client_world& w) {
                                 w->on_desired([&w](json::value const&, std::int64_t) { w.client.reset(); });
                                 w.connect();
                                 w.peer.twin(1, R"({"desired":{"a":1,"$version":2},"reported":{}})");
                               }},
                    way_to_die{"ConnectionChange",
                               [](client_world& w) {
                                 w->on_connection_change([&w](connection_status s, connection_reason) {
                                   if (s == connection_status::connected) w.client.reset();
                                 });
                                 w->async_connect([](auto&&) {});
                               }},
                    way_to_die{"Completion",
                               [](client_world& w) { w->async_connect([&w](auto&&) { w.client.reset(); }); }},
                    way_to_die{"Timer",
                               [](client_world& w) {
                                 w.connect();
                                 w->every(1s, [&w] { w.client.reset(); });
                                 w->every(1s, [] {});
                               }}),
    [](auto const& way) { return std::string{way.param.name}; });

TEST(DeviceHandlers, DestroyingTheClientUnderABlockingCallEndsIt) {
  client_world w;
  w.connect();
  w.loop.post([&] { w.client.reset(); });
  EXPECT_EQ(w->send_telemetry({.body = "x"}).error(), errc::closed);
  EXPECT_FALSE(w.client);
  EXPECT_EQ(w.loop.size(), 0u);
}

}  // namespace
