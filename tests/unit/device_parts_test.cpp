// The small parts of the device core, each alone.
#include <iothub/device/outbox.hpp>
#include <iothub/device/method_calls.hpp>
#include <iothub/device/reconnect.hpp>
#include <iothub/device/token_renewal.hpp>
#include <iothub/device/twin_requests.hpp>
#include <iothub/device/device_options.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

constexpr time_point start{1h};

message text(char const* body) {
  message m;
  m.body = message_body{body};
  return m;
}

TEST(Outbox, HandsOverInTheOrderGiven) {
  outbox box{{}};
  box.add_waiting(1, text("a"), 1, never);
  box.add_waiting(2, text("b"), 1, never);
  EXPECT_EQ(box.waiting()->body.bytes(), "a");
  box.waiting_sent(10);
  EXPECT_EQ(box.waiting()->body.bytes(), "b");
  box.waiting_sent(11);
  EXPECT_EQ(box.waiting(), nullptr);
  EXPECT_EQ(box.in_flight(), 2u);
}

TEST(Outbox, AMessageEndsOnce) {
  outbox box{{}};
  box.add_sent(1, 10, 5, start + 10s);
  EXPECT_EQ(box.settle(10), 1u);
  EXPECT_EQ(box.settle(10), 0u);
  ticket where = 0;
  EXPECT_EQ(box.expire(start + 1h, where), 0u);
  EXPECT_EQ(box.abort_one(), 0u);
  EXPECT_EQ(box.size(), 0u);
  EXPECT_EQ(box.bytes(), 0u);
}

TEST(Outbox, SettlesOutOfOrder) {
  outbox box{{}};
  box.add_sent(1, 10, 1, never);
  box.add_sent(2, 11, 1, never);
  box.add_waiting(3, text("c"), 1, never);
  EXPECT_EQ(box.settle(11), 2u);
  EXPECT_EQ(box.settle(10), 1u);
  EXPECT_EQ(box.waiting()->body.bytes(), "c");
  box.waiting_sent(12);
  EXPECT_EQ(box.settle(12), 3u);
  EXPECT_EQ(box.size(), 0u);
}

TEST(Outbox, ExpiresWhatIsDueAndTellsItsTicket) {
  outbox box{{}};
  box.add_sent(1, 10, 1, start + 10s);
  box.add_sent(2, 11, 1, start + 5s);
  box.add_waiting(3, text("c"), 1, start + 5s);
  EXPECT_EQ(box.deadline(), start + 5s);
  ticket where = 99;
  EXPECT_EQ(box.expire(start + 4s, where), 0u);
  EXPECT_EQ(box.expire(start + 5s, where), 2u);
  EXPECT_EQ(where, 11u);
  EXPECT_EQ(box.expire(start + 5s, where), 3u);
  EXPECT_EQ(where, 0u);
  EXPECT_EQ(box.expire(start + 5s, where), 0u);
  EXPECT_EQ(box.deadline(), start + 10s);
  EXPECT_EQ(box.waiting(), nullptr);
}

TEST(Outbox, IsBoundedInMessagesAndBytes) {
  outbox box{{.messages = 2, .bytes = 10}};
  ASSERT_TRUE(box.admit(10));
  EXPECT_EQ(box.admit(11).error(), errc::outbox_full);
  box.add_waiting(1, text("12345678"), 8, never);
  EXPECT_EQ(box.admit(3).error(), errc::outbox_full);
  box.add_waiting(2, text("1"), 1, never);
  EXPECT_EQ(box.admit(1).error(), errc::outbox_full);
  EXPECT_EQ(box.abort_one(), 1u);
  EXPECT_TRUE(box.admit(9));
}

TEST(Outbox, SurvivesThousandsInEveryMixture) {
  outbox box{{.messages = 100'000, .bytes = 1u << 30}};
  std::uint64_t next = 0;
  ticket sent = 0;
  std::uint64_t ended = 0;
  for (int round = 0; round != 2000; ++round) {
    for (int i = 0; i != 5; ++i) box.add_waiting(++next, text("x"), 1, never);
    while (box.in_flight() < 40 && box.waiting() != nullptr) box.waiting_sent(++sent);
    for (ticket t = sent; t + 7 > sent && t != 0; t -= 2) ended += box.settle(t) != 0;
    if (round % 3 == 0) ended += box.abort_one() != 0;
  }
  EXPECT_EQ(box.size(), next - ended);
  EXPECT_EQ(box.bytes(), next - ended);
  while (box.abort_one() != 0) ++ended;
  EXPECT_EQ(ended, next);
}

TEST(ReconnectSchedule, GivesTheSameDelaysForTheSameSeed) {
  reconnect_schedule a{{}, 42};
  reconnect_schedule b{{}, 42};
  std::vector<duration> first;
  std::vector<duration> second;
  for (int i = 0; i != 20; ++i) {
    first.push_back(a.next_delay(retry_class::soon));
    second.push_back(b.next_delay(retry_class::soon));
  }
  EXPECT_EQ(first, second);
  // Written down once, so that a change of the generator or of the formula is seen.
  std::vector<duration> const expected(first.begin(), first.begin() + 6);
  EXPECT_EQ(expected, (std::vector<duration>{180510us, 401473us, 3467073us, 7202052us, 8050904us, 6775890us}));
}

TEST(ReconnectSchedule, StaysWithinItsBounds) {
  reconnect_options const o;
  for (std::uint64_t seed = 0; seed != 1000; ++seed) {
    reconnect_schedule s{o, seed};
    duration ceiling = o.base_delay;
    for (int n = 0; n != 10; ++n) {
      duration const d = s.next_delay(retry_class::soon);
      ASSERT_GE(d, o.min_delay);
      ASSERT_LE(d, ceiling) << "seed " << seed << " attempt " << n;
      ceiling = ceiling * 2 < o.max_delay ? ceiling * 2 : o.max_delay;
    }
  }
}

TEST(ReconnectSchedule, IsSlowerAfterAThrottle) {
  reconnect_options const o;
  duration plain{0};
  duration throttled{0};
  for (std::uint64_t seed = 0; seed != 1000; ++seed) {
    reconnect_schedule a{o, seed};
    reconnect_schedule b{o, seed};
    plain += a.next_delay(retry_class::soon);
    duration const d = b.next_delay(retry_class::later);
    ASSERT_GE(d, o.base_delay);
    ASSERT_LE(d, o.throttled_base_delay);
    throttled += d;
  }
  EXPECT_GT(throttled, 3 * plain);
}

TEST(ReconnectSchedule, ForgetsAttemptsOnlyAfterAConnectionThatLasted) {
  reconnect_schedule s{{}, 1};
  for (int i = 0; i != 4; ++i) (void)s.next_delay(retry_class::soon);
  s.connected(start);
  s.disconnected(start + 59s);
  EXPECT_EQ(s.attempts(), 4u);
  s.connected(start + 60s);
  s.disconnected(start + 120s);
  EXPECT_EQ(s.attempts(), 0u);
}

TEST(ReconnectSchedule, AsksABackOffOfOnesOwn) {
  reconnect_options o;
  o.own_delay = [](retry_attempt const& a) -> duration {
    return a.throttled ? -1s : duration{1s * (1 + a.number)} + duration{static_cast<duration::rep>(a.random % 1000)};
  };
  reconnect_schedule s{o, 7};
  reconnect_schedule again{o, 7};
  bool drawn = false;
  for (int n = 1; n != 5; ++n) {
    duration const d = s.next_delay(retry_class::soon);
    EXPECT_GE(d, n * 1s);
    EXPECT_LT(d, n * 1s + 1ms);
    EXPECT_EQ(d, again.next_delay(retry_class::soon));
    drawn = drawn || d != n * 1s;
  }
  EXPECT_TRUE(drawn);
  EXPECT_EQ(s.next_delay(retry_class::later), 0s);  // less than nothing is nothing
  s.connected(start);
  s.disconnected(start + 60s);
  EXPECT_LT(s.next_delay(retry_class::soon), 1s + 1ms);
  for (int n = 0; n != 100; ++n) (void)s.next_delay(retry_class::later);
  EXPECT_GE(s.next_delay(retry_class::soon), 65s);
  EXPECT_LT(s.next_delay(retry_class::soon), 65s + 1ms);
}

TEST(ReconnectSchedule, NeverOverflows) {
  reconnect_schedule s{{.min_delay = 1s, .base_delay = 1h, .max_delay = duration::max() / 4,
                        .throttled_base_delay = 2h, .throttled_max_delay = duration::max() / 4},
                       1};
  for (int i = 0; i != 200; ++i) ASSERT_GE(s.next_delay(retry_class::soon), 1s);
}

TEST(RetryClass, StopsForWhatOnlyAPersonCanMend) {
  for (errc e : {errc::unauthorized, errc::certificate_rejected, errc::device_disabled, errc::unsupported,
                 errc::bad_request, errc::device_not_found})
    EXPECT_EQ(classify_for_retry(e), retry_class::stop) << to_string(e);
  for (errc e : {errc::throttled, errc::service_unavailable, errc::protocol_error})
    EXPECT_EQ(classify_for_retry(e), retry_class::later) << to_string(e);
  for (errc e : {errc::connection_lost, errc::timeout, errc::host_not_found, errc::connection_refused, errc::tls_failed})
    EXPECT_EQ(classify_for_retry(e), retry_class::soon) << to_string(e);
}

TEST(TokenRenewal, IsDueTheMarginAndTheJitterBeforeTheEnd) {
  token_renewal r;
  EXPECT_EQ(r.deadline(), never);
  r.minted(start, 3600s, 600s, 100s);
  EXPECT_EQ(r.deadline(), start + 2900s);
  EXPECT_FALSE(r.due(start + 2899s));
  EXPECT_TRUE(r.due(start + 2900s));
}

TEST(TokenRenewal, NeverComesForATokenThatNobodyCanRenew) {
  token_renewal r;
  r.minted(start, 0s, 600s, 0s);
  EXPECT_FALSE(r.due(never - 1s));
}

TEST(MethodCalls, AnswerOncePerRequestId) {
  method_calls calls;
  call_id const a = calls.begin("1");
  EXPECT_EQ(calls.begin("1"), 0u);
  call_id const b = calls.begin("2");
  EXPECT_EQ(calls.take(a).value(), "1");
  EXPECT_FALSE(calls.take(a));
  calls.offline();
  EXPECT_FALSE(calls.take(b));
  EXPECT_NE(calls.begin("1"), a);
}

TEST(TwinRequests, AreSentAgainAfterALossInTheSameOrder) {
  twin_requests r{8};
  ASSERT_TRUE(r.add({.id = 1, .is_patch = true, .patch = "{\"a\":1}"}));
  ASSERT_TRUE(r.add({.id = 2}));
  r.waiting()->where = 7;
  r.waiting()->where = 8;
  EXPECT_EQ(r.waiting(), nullptr);
  EXPECT_EQ(r.in_flight(), 2u);
  r.offline();
  EXPECT_EQ(r.waiting()->id, 1u);
  EXPECT_EQ(r.settle(7), 0u);
}

TEST(TwinRequests, AreBounded) {
  twin_requests r{1};
  ASSERT_TRUE(r.add({.id = 1}));
  EXPECT_EQ(r.add({.id = 2}).error(), errc::outbox_full);
}

TEST(DeviceOptions, DefaultsAreValid) { EXPECT_TRUE(validate(device_options{})); }

TEST(DeviceOptions, EachLimitIsChecked) {
  auto const bad = [](auto change) {
    device_options o;
    change(o);
    return !validate(o).has_value() && validate(o).error() == errc::invalid_argument;
  };
  EXPECT_TRUE(bad([](auto& o) { o.keep_alive = 1178s; }));
  EXPECT_TRUE(bad([](auto& o) { o.keep_alive = -1s; }));
  EXPECT_TRUE(bad([](auto& o) { o.mqtt_port = 0; }));
  EXPECT_TRUE(bad([](auto& o) { o.token.lifetime = 59s; }));
  EXPECT_TRUE(bad([](auto& o) { o.token.renewal_margin = 1801s; }));
  EXPECT_TRUE(bad([](auto& o) { o.reconnect.base_delay = 1ms; }));
  EXPECT_TRUE(bad([](auto& o) { o.publish_timeout = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.inbox = 0; }));
  EXPECT_TRUE(bad([](auto& o) { o.amqps_port = 0; }));
  EXPECT_TRUE(bad([](auto& o) { o.https_port = 0; }));
  EXPECT_TRUE(bad([](auto& o) { o.token.lifetime = std::chrono::hours{24 * 366}; }));
  EXPECT_TRUE(bad([](auto& o) { o.token.renewal_margin = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.reconnect.min_delay = -1ms; }));
  EXPECT_TRUE(bad([](auto& o) { o.reconnect.max_delay = o.reconnect.base_delay - 1ms; }));
  EXPECT_TRUE(bad([](auto& o) { o.reconnect.throttled_base_delay = o.reconnect.base_delay - 1ms; }));
  EXPECT_TRUE(bad([](auto& o) { o.reconnect.throttled_max_delay = o.reconnect.throttled_base_delay - 1ms; }));
  EXPECT_TRUE(bad([](auto& o) { o.connect_timeout = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.subscribe_timeout = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.connect_limit = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.twin_timeout = 0s; }));
  EXPECT_TRUE(bad([](auto& o) { o.outbox.messages = 0; }));
  EXPECT_TRUE(bad([](auto& o) { o.twin_requests = 0; }));
}

}  // namespace
