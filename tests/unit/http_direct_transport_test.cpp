#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include <iothub/memory/direct_http.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/blocking_http.hpp>

#include "http_test_server.hpp"

namespace {

using namespace iothub;
using http::request;
using http::response;

using direct = memory::direct_http<iothub_test::http_desk>;
static_assert(http_transport<direct>);

struct DirectHttp : testing::Test {
  memory::virtual_loop loop;
  iothub_test::http_desk desk;
  direct http{desk};
  iothub_test::http_test_client<direct> client{loop, http};
  endpoint const hub{"h", 443};
};

TEST_F(DirectHttp, AnswersAtOnceWithoutATurnOfTheLoop) {
  auto const id = http.start(hub, request{"PUT", "/a", {{"X-Ask", "1"}}, "b"}, loop.now());
  auto const done = http.next_completion();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->id, id);
  EXPECT_EQ(*done->outcome, (response{200, "", {{"X-Echo", "1"}}, "PUT /a b"}));
  EXPECT_EQ(desk.seen.at(0), (request{"PUT", "/a", {{"X-Ask", "1"}}, "b"}));
  EXPECT_FALSE(http.next_completion());
}

TEST_F(DirectHttp, WakesItsClientWhenTheAnswerComesLater) {
  auto const first = client.start(hub, request{.target = "/wait"});
  auto const second = client.start(hub, request{.target = "/wait"});
  (void)loop.poll();
  EXPECT_TRUE(client.ended.empty());
  EXPECT_EQ(desk.kept.at(1).peer(), "in process");
  desk.answer(2, response{.status = 202});
  EXPECT_EQ(client.wait(second)->status, 202);
  EXPECT_EQ(client.ended.count(first), 0u);
}

TEST_F(DirectHttp, TellsThePeerOfACancel) {
  auto const id = client.start(hub, request{.target = "/wait"});
  auto const to = desk.kept.at(1);
  http.cancel(id);
  EXPECT_EQ(desk.cancelled, 1);
  to.respond(response{});  // too late: ignored
  EXPECT_FALSE(http.next_completion());
}

TEST_F(DirectHttp, ACancelledAnswerIsNotTaken) {
  auto const id = http.start(hub, request{}, loop.now());
  http.cancel(id);
  EXPECT_FALSE(http.next_completion());
  EXPECT_EQ(desk.cancelled, 0);
}

TEST_F(DirectHttp, CancelsWhatIsOwedWhenItEnds) {
  {
    direct other{desk};
    (void)other.start(hub, request{.target = "/wait"}, loop.now());
    (void)other.start(hub, request{.target = "/wait"}, loop.now());
  }
  EXPECT_EQ(desk.cancelled, 2);
}

TEST_F(DirectHttp, MovesWithItsExchanges) {
  direct other{desk};
  auto const id = other.start(hub, request{.target = "/wait"}, loop.now());
  direct moved{std::move(other)};
  desk.answer(1, response{.status = 204});
  auto const done = moved.next_completion();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->id, id);
  EXPECT_EQ(done->outcome->status, 204);
}

struct careless {
  http::ticket on_request(request&&, http::reply_to, time_point) { return http::answered; }
  void on_cancel(http::ticket) {}
};

TEST(DirectHttpPeer, IsAnsweredForWhenItForgets) {
  careless peer;
  memory::direct_http<careless> http{peer};
  (void)http.start({}, request{}, time_point{});
  EXPECT_EQ(http.next_completion()->outcome->status, 500);
}

TEST(BlockingHttp, CallsTheFunctionOnceAStepAndInOrder) {
  std::string calls;
  auto const call = [&](endpoint const& where, request const& what) -> result<response> {
    calls += where.host + what.target;
    if (what.target == "/bad") return errc::connection_refused;
    if (what.target == "/throw") throw std::runtime_error{"user"};
    return response{.status = 201};
  };
  memory::virtual_loop loop;
  blocking_http http{call};
  static_assert(http_transport<decltype(http)>);
  iothub_test::http_test_client<decltype(http)> client{loop, http};
  auto const a = client.start({"h", 1}, request{.target = "/a"});
  auto const b = client.start({"h", 1}, request{.target = "/bad"});
  auto const c = client.start({"h", 1}, request{.target = "/throw"});
  auto const d = client.start({"h", 1}, request{.target = "/d"});
  EXPECT_EQ(calls, "");
  http.cancel(d);
  http.cancel(99);
  (void)loop.poll();
  EXPECT_EQ(calls, "h/ah/badh/throw");
  EXPECT_EQ(client.ended.at(a)->status, 201);
  EXPECT_EQ(client.ended.at(b).error().code(), errc::connection_refused);
  EXPECT_EQ(client.ended.at(c).error().code(), errc::io_error);
  EXPECT_EQ(client.ended.count(d), 0u);
  EXPECT_EQ(http.deadline(), never);
}

}  // namespace
