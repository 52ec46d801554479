#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/http/server_connection.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using http::request;
using http::response;
using http::server_connection;

// Answers "/now" at once with the target as body, keeps the rest.
struct desk final : http::request_handler {
  http::ticket on_request(request&& what, http::reply_to to, time_point) override {
    seen.push_back(what.method + " " + what.target + " " + what.body);
    if (what.target == "/forgotten") return http::answered;
    if (what.target == "/now") {
      to.respond(response{.body = "now"});
      return http::answered;
    }
    kept[++last] = to;
    return last;
  }
  void on_cancel(http::ticket pending) override {
    EXPECT_EQ(kept.erase(pending), 1u);
    cancelled.push_back(pending);
  }
  void answer(http::ticket pending, response what) {
    http::reply_to const to = kept.at(pending);
    kept.erase(pending);
    to.respond(std::move(what));
  }
  std::vector<std::string> seen;
  std::map<http::ticket, http::reply_to> kept;
  std::vector<http::ticket> cancelled;
  http::ticket last = 0;
};

struct HttpServer : testing::Test {
  desk handler;
  time_point now{};
  std::unique_ptr<server_connection> server = make();
  int woken = 0;

  std::unique_ptr<server_connection> make(http::server_options options = {}) {
    auto c = std::make_unique<server_connection>(handler, now, options, "127.0.0.1:5");
    c->on_output([this] { ++woken; });
    return c;
  }
  // Steps, as long as the server asks for another one at once.
  void turns() {
    while (server->deadline() == time_point::min()) server->on_time(now);
  }
  void receive(std::string_view bytes, time_point) {
    server->receive(bytes, now);
    turns();
  }
  std::string output() {
    std::string out{server->output()};
    server->consume_output(out.size(), now);
    turns();
    return out;
  }
  static std::string get(std::string_view target) {
    return "GET " + std::string{target} + " HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  static std::string answer(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string{body};
  }
};

TEST_F(HttpServer, AnswersAtOnce) {
  receive(get("/now"), now);
  EXPECT_EQ(output(), answer("now"));
  EXPECT_EQ(handler.seen, std::vector<std::string>{"GET /now "});
  EXPECT_EQ(woken, 0);
}

TEST_F(HttpServer, AnswersTheSameHoweverTheBytesAreCut) {
  std::string const bytes = get("/now") + "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" + get("/now");
  receive(bytes, now);
  std::string const whole = output();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    server = make();
    receive(bytes.substr(0, cut), now);
    receive(bytes.substr(cut), now);
    EXPECT_EQ(output(), whole) << cut;
  }
  server = make();
  for (char c : bytes) receive({&c, 1}, now);
  EXPECT_EQ(output(), whole);
}

TEST_F(HttpServer, AnswersLaterAndInTheOrderOfTheRequests) {
  receive(get("/a") + get("/b") + get("/now"), now);
  woken = 0;
  EXPECT_EQ(output(), "");
  EXPECT_EQ(server->pending(), 3u);
  handler.answer(2, response{.body = "b"});
  EXPECT_EQ(output(), "");
  EXPECT_EQ(woken, 0);
  handler.answer(1, response{.body = "a"});
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(output(), answer("a") + answer("b") + answer("now"));
}

TEST_F(HttpServer, IgnoresASecondAnswer) {
  receive(get("/a"), now);
  http::reply_to const to = handler.kept.at(1);
  handler.answer(1, response{.body = "a"});
  to.respond(response{.body = "again"});
  EXPECT_EQ(output(), answer("a"));
}

TEST_F(HttpServer, TellsTheHandlerWhoAsks) {
  receive(get("/a"), now);
  EXPECT_EQ(handler.kept.at(1).peer(), "127.0.0.1:5");
}

TEST_F(HttpServer, AnswersItselfWhenTheHandlerDoesNot) {
  receive(get("/forgotten"), now);
  EXPECT_EQ(output(), "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(HttpServer, SendsAPlain500InsteadOfAnUnsafeHeader) {
  receive(get("/a"), now);
  handler.answer(1, response{.headers = {{"ETag", "a\r\nSet-Cookie: b"}}});
  EXPECT_EQ(output(), "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(HttpServer, CancelsWhatIsPendingWhenThePeerLeaves) {
  receive(get("/a") + get("/b"), now);
  server->receive_end(now);
  EXPECT_EQ(handler.cancelled, (std::vector<http::ticket>{1, 2}));
  EXPECT_TRUE(server->finished());
}

TEST_F(HttpServer, CancelsWhatIsPendingWhenItIsDestroyed) {
  receive(get("/a"), now);
  server.reset();
  EXPECT_EQ(handler.cancelled, std::vector<http::ticket>{1});
}

TEST_F(HttpServer, StillWritesWhatItHasWhenThePeerLeaves) {
  receive(get("/now"), now);
  server->receive_end(now);
  EXPECT_FALSE(server->finished());
  EXPECT_EQ(output(), answer("now"));
  EXPECT_TRUE(server->finished());
}

TEST_F(HttpServer, RefusesBrokenBytesInTheirTurnAndEnds) {
  receive(get("/a") + "GARBAGE\r\n\r\n", now);
  EXPECT_EQ(output(), "");
  handler.answer(1, response{.body = "a"});
  EXPECT_EQ(output(), answer("a") + "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  ASSERT_NE(server->rejected(), nullptr);
  EXPECT_EQ(server->rejected()->code(), errc::protocol_error);
}

TEST_F(HttpServer, LingersAfterARefusalUntilThePeerLeavesOrTimeIsUp) {
  receive("GARBAGE\r\n\r\n", now);
  (void)output();
  EXPECT_FALSE(server->finished());
  EXPECT_TRUE(server->wants_input());
  receive(get("/now"), now);
  EXPECT_TRUE(handler.seen.empty());
  EXPECT_EQ(server->deadline(), now + 2s);
  now += 2s;
  server->on_time(now);
  EXPECT_TRUE(server->finished());
}

TEST_F(HttpServer, EndsWhenAnAnswerSaysCloseAndCancelsTheRest) {
  receive(get("/a") + get("/b"), now);
  handler.answer(1, response{.headers = {{"Connection", "close"}}});
  EXPECT_EQ(handler.cancelled, std::vector<http::ticket>{2});
  EXPECT_EQ(output(), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(server->finished());
}

TEST_F(HttpServer, StopsReadingWhileTooManyRequestsWait) {
  server = make({.h1 = {.max_pipelined = 2}});
  receive(get("/a") + get("/b") + get("/now"), now);
  EXPECT_FALSE(server->wants_input());
  EXPECT_EQ(handler.seen.size(), 2u);
  handler.answer(1, response{});
  (void)output();
  EXPECT_EQ(handler.seen.size(), 3u);
}

TEST_F(HttpServer, StopsReadingWhileThePeerDoesNotTakeItsAnswers) {
  server = make({.output_limit = 100});
  std::string bytes;
  for (int i = 0; i != 10; ++i) bytes += get("/now");
  receive(bytes, now);
  EXPECT_FALSE(server->wants_input());
  EXPECT_EQ(handler.seen.size(), 3u);  // 41 bytes each: the third passes the limit
  std::string all;
  for (std::string part; !(part = output()).empty();) all += part;
  EXPECT_EQ(handler.seen.size(), 10u);
  std::string expected;
  for (int i = 0; i != 10; ++i) expected += answer("now");
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(server->wants_input());
}

TEST_F(HttpServer, HandsOverOneRequestPerStepAndIsWokenForTheNext) {
  server->on_time(now);
  server->receive(get("/a") + get("/b"), now);
  server->receive(get("/now"), now);
  EXPECT_EQ(handler.seen.size(), 1u);
  EXPECT_GE(woken, 1);
  EXPECT_EQ(server->deadline(), time_point::min());
  server->on_time(now);
  EXPECT_EQ(handler.seen.size(), 2u);
  server->on_time(now);
  EXPECT_EQ(handler.seen.size(), 3u);
  woken = 0;
  EXPECT_EQ(server->deadline(), never);
  server->on_time(now);
  EXPECT_EQ(woken, 0);
}

TEST_F(HttpServer, HandsOverWhatCameBeforeThePeerClosedItsSide) {
  server->receive(get("/now") + get("/now") + get("/a"), now);
  server->receive_end(now);
  EXPECT_FALSE(server->finished());
  EXPECT_FALSE(server->wants_input());
  turns();
  EXPECT_EQ(handler.cancelled, std::vector<http::ticket>{1});
  EXPECT_EQ(output(), answer("now") + answer("now"));
  EXPECT_TRUE(server->finished());
}

TEST_F(HttpServer, AnswersBehindOneThatIsMissingCountAsOutput) {
  server = make({.output_limit = 6});
  std::string bytes = get("/a");
  for (int i = 0; i != 10; ++i) bytes += get("/now");
  receive(bytes, now);
  EXPECT_EQ(handler.seen.size(), 3u);  // two bodies of three bytes wait
  EXPECT_FALSE(server->wants_input());
  handler.answer(1, response{});
  std::string all;
  for (std::string part; !(part = output()).empty();) all += part;
  EXPECT_EQ(handler.seen.size(), 11u);
  EXPECT_TRUE(server->wants_input());
}

TEST_F(HttpServer, EndsAnIdleConnection) {
  EXPECT_EQ(server->deadline(), now + 120s);
  now += 120s;
  server->on_time(now);
  EXPECT_TRUE(server->finished());
  EXPECT_EQ(server->deadline(), never);
}

TEST_F(HttpServer, EndsAConnectionWithoutAnyRequestAfterATimeOfItsOwn) {
  server = make({.first_timeout = 10s});
  EXPECT_EQ(server->deadline(), now + 10s);
  receive(get("/now"), now);
  (void)output();
  EXPECT_EQ(server->deadline(), now + 120s);
}

TEST_F(HttpServer, RefusesASlowRequest) {
  now += 100s;
  receive("GET / HT", now);
  EXPECT_EQ(server->deadline(), now + 30s);
  now += 20s;
  receive("TP/1.1\r\n", now);  // a byte now and then does not help
  now += 10s;
  server->on_time(now);
  EXPECT_EQ(output(), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(server->rejected()->code(), errc::timeout);
}

TEST_F(HttpServer, WaitsForAnAnswerWithoutALimit) {
  receive(get("/a"), now);
  EXPECT_EQ(server->deadline(), never);
  now += 300s;
  handler.answer(1, response{});
  server->on_time(now);  // whoever drives it on deadlines alone learns the time here
  EXPECT_EQ(server->deadline(), now + 60s);
  EXPECT_FALSE(server->finished());
}

TEST_F(HttpServer, GivesUpOnAPeerThatTakesNothing) {
  receive(get("/a") + get("/now"), now);
  handler.answer(1, response{});
  server->on_time(now);
  now += 59s;
  server->consume_output(1, now);
  EXPECT_EQ(server->deadline(), now + 60s);
  now += 60s;
  server->on_time(now);
  EXPECT_TRUE(server->finished());
  EXPECT_EQ(server->output(), "");
}

TEST_F(HttpServer, HandsTheConnectionOnAfterAnUpgrade) {
  receive("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nrest", now);
  handler.answer(1, response{.status = 101, .headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}});
  EXPECT_TRUE(server->upgraded());
  EXPECT_FALSE(server->wants_input());
  EXPECT_EQ(output(), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  EXPECT_EQ(server->take_input().view(), "rest");
}

}  // namespace
