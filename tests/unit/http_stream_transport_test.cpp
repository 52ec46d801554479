#include <gtest/gtest.h>

#include <memory>
#include <string>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/stream_http.hpp>

#include "http_test_server.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using http::request;
using memory::pipe_network;
using memory::pipe_stream;

struct pipes {
  pipe_network* network;
  pipe_stream operator()() const { return pipe_stream{*network}; }
};
using transport = stream_http<pipe_stream, pipes>;
static_assert(http_transport<transport>);
using server_type = iothub_test::http_test_server<memory::pipe_listener, pipe_stream>;

struct StreamHttp : testing::Test {
  explicit StreamHttp(memory::pipe_options options = {}, stream_http_options http_options = {})
      : network{loop, options}, http{pipes{&network}, http_options} {
    listen();
  }
  void listen() {
    server.reset();
    server = std::make_unique<server_type>(loop, std::move(network.listen({"h", 443})).value(),
                                           [](pipe_stream&& s) { return std::move(s); });
  }
  memory::virtual_loop loop;
  pipe_network network;
  std::unique_ptr<server_type> server;
  transport http;
  iothub_test::http_test_client<transport> client{loop, http};
  endpoint const hub{"h", 443};
};

TEST_F(StreamHttp, CarriesRequestAndResponse) {
  auto const answer = client.run(hub, request{"PUT", "/a?b=c", {{"X-Ask", "1"}}, "body"});
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, (http::response{200, "OK", {{"X-Echo", "1"}, {"Content-Length", "15"}}, "PUT /a?b=c body"}));
  EXPECT_EQ(server->desk.seen.at(0),
            (request{"PUT", "/a?b=c", {{"Host", "h"}, {"X-Ask", "1"}, {"Content-Length", "4"}}, "body"}));
}

TEST_F(StreamHttp, PassesErrorsOfTheServerThrough) {
  EXPECT_EQ(client.run(hub, request{.target = "/?status=404"})->status, 404);
  EXPECT_EQ(client.run(hub, request{.target = "/?status=503"})->status, 503);
}

TEST_F(StreamHttp, KeepsItsConnection) {
  for (int i = 0; i != 3; ++i) EXPECT_TRUE(client.run(hub, request{}));
  EXPECT_EQ(server->accepted, 1);
}

TEST_F(StreamHttp, RunsExchangesSideBySide) {
  auto const slow = client.start(hub, request{.target = "/wait"});
  EXPECT_TRUE(client.run(hub, request{}));
  EXPECT_EQ(client.ended.count(slow), 0u);
  server->desk.answer(1, http::response{.status = 201});
  EXPECT_EQ(client.wait(slow)->status, 201);
  EXPECT_EQ(server->accepted, 2);
}

TEST_F(StreamHttp, OpensAnotherConnectionAfterClose) {
  EXPECT_TRUE(client.run(hub, request{.target = "/close"}));
  EXPECT_TRUE(client.run(hub, request{}));
  EXPECT_EQ(server->accepted, 2);
}

TEST_F(StreamHttp, DropsAnIdleConnectionThatTheServerEnded) {
  EXPECT_TRUE(client.run(hub, request{}));
  server->drop_all();
  (void)loop.poll();
  EXPECT_EQ(http.connections(), 0u);
  EXPECT_TRUE(client.run(hub, request{.method = "POST"}));
}

TEST_F(StreamHttp, ClosesAnIdleConnectionAfterAWhile) {
  EXPECT_TRUE(client.run(hub, request{}));
  EXPECT_EQ(http.connections(), 1u);
  ASSERT_TRUE(loop.run_for(61s));
  EXPECT_EQ(http.connections(), 0u);
}

TEST_F(StreamHttp, FailsWhereNobodyListens) {
  EXPECT_EQ(client.run({"h", 1}, request{}).error().code(), errc::connection_refused);
  EXPECT_EQ(client.run({"other", 443}, request{}).error().code(), errc::host_not_found);
}

TEST_F(StreamHttp, FailsWhenTheConnectionIsLostInTheMiddle) {
  auto const id = client.start(hub, request{.target = "/wait"});
  (void)loop.poll();
  network.reset_all();
  EXPECT_EQ(client.wait(id).error().code(), errc::connection_lost);
  EXPECT_EQ(server->desk.cancelled, 1);
}

TEST_F(StreamHttp, FailsWhenTheServerEndsInsteadOfAnswering) {
  auto const id = client.start(hub, request{.target = "/wait"});
  (void)loop.poll();
  server->drop_all();
  EXPECT_EQ(client.wait(id).error().code(), errc::connection_lost);
}

TEST_F(StreamHttp, TimesOutInVirtualTime) {
  auto const id = client.start(hub, request{.target = "/wait"});
  time_point const begin = loop.now();
  EXPECT_EQ(client.wait(id).error().code(), errc::timeout);
  EXPECT_EQ(loop.now() - begin, 11min);
  EXPECT_EQ(http.connections(), 0u);
}

TEST_F(StreamHttp, ACancelledExchangeNeverEnds) {
  auto const id = client.start(hub, request{.target = "/wait"});
  (void)loop.poll();
  http.cancel(id);
  (void)loop.poll();
  EXPECT_TRUE(client.ended.empty());
  EXPECT_EQ(server->desk.cancelled, 1);
  EXPECT_EQ(http.connections(), 0u);
  http.cancel(id);
  http.cancel(12345);
}

TEST_F(StreamHttp, RefusesARequestThatCannotBeWritten) {
  EXPECT_EQ(client.run(hub, request{.headers = {{"A", "b\r\nC: d"}}}).error().code(), errc::invalid_argument);
  EXPECT_TRUE(client.run(hub, request{}));
  EXPECT_EQ(client.run(hub, request{.target = "/a b"}).error().code(), errc::invalid_argument);
  EXPECT_TRUE(client.run(hub, request{}));
}

TEST_F(StreamHttp, CarriesABodyAboveTheCapacityOfThePipe) {
  EXPECT_EQ(client.run(hub, request{"POST", "/p", {}, std::string(500'000, 'y')})->body.size(), 500'008u);
}

struct StreamHttpSmall : StreamHttp {
  StreamHttpSmall() : StreamHttp({}, {.limits = {.max_body = 1000}, .max_connections = 1, .exchange_timeout = 10s}) {}
};

TEST_F(StreamHttpSmall, WaitsForAFreeConnection) {
  auto const first = client.start(hub, request{.target = "/wait"});
  auto const second = client.start(hub, request{});
  (void)loop.poll();
  EXPECT_TRUE(client.ended.empty());
  server->desk.answer(1, http::response{});
  EXPECT_TRUE(client.wait(first));
  EXPECT_TRUE(client.wait(second));
  EXPECT_EQ(server->accepted, 1);
}

TEST_F(StreamHttpSmall, TimesOutAlsoWhoWaits) {
  auto const first = client.start(hub, request{.target = "/wait"});
  auto const second = client.start(hub, request{});
  EXPECT_EQ(client.wait(first).error().code(), errc::timeout);
  EXPECT_EQ(client.wait(second).error().code(), errc::timeout);
}

TEST_F(StreamHttpSmall, GivesThePlaceOfACancelledExchangeToTheNext) {
  auto const first = client.start(hub, request{.target = "/wait"});
  auto const second = client.start(hub, request{});
  (void)loop.poll();
  http.cancel(first);
  EXPECT_TRUE(client.wait(second));
}

TEST_F(StreamHttpSmall, RefusesAResponseAboveItsLimit) {
  EXPECT_EQ(client.run(hub, request{.target = "/big"}).error().code(), errc::too_large);
  EXPECT_TRUE(client.run(hub, request{}));
}

struct StreamHttpRough : StreamHttp {
  StreamHttpRough() : StreamHttp({.latency = 5ms, .jitter = 3ms, .max_chunk = 3, .capacity = 50}) {}
};

TEST_F(StreamHttpRough, CarriesTheSameThroughTinyPieces) {
  auto const answer = client.run(hub, request{"PUT", "/a", {{"X-Ask", "1"}}, std::string(1000, 'z')});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "PUT /a " + std::string(1000, 'z'));
}

TEST_F(StreamHttpRough, TriesAGetAgainWhenTheServerClosedMeanwhile) {
  EXPECT_TRUE(client.run(hub, request{}));
  server->drop_all();  // the end is under way while the next request leaves
  auto const id = client.start(hub, request{.target = "/again"});
  EXPECT_EQ(client.wait(id)->body, "GET /again ");
  server->drop_all();
  EXPECT_EQ(client.run(hub, request{.method = "POST"}).error().code(), errc::connection_lost);
}

}  // namespace
