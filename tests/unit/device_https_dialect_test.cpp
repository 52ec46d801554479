// The HTTPS dialect: the same core, a protocol without connections.
#include <iothub/device/device_core.hpp>
#include <iothub/device/https_dialect.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

struct recorded_http {
  std::vector<http::request> requests;
  std::vector<http_completion> done;
  exchange_id last = 0;

  exchange_id start(endpoint const&, http::request&& r, time_point) {
    requests.push_back(std::move(r));
    return ++last;
  }
  void cancel(exchange_id) { ++cancelled; }
  void step(time_point) {}
  std::optional<http_completion> next_completion() {
    if (done.empty()) return std::nullopt;
    http_completion c = std::move(done.front());
    done.erase(done.begin());
    return c;
  }
  [[nodiscard]] time_point deadline() const { return never; }
  void attach(loop&, participant&) {}
  int cancelled = 0;

  void answer(exchange_id id, int status, std::string body = {}) {
    http::response r;
    r.status = status;
    r.body = std::move(body);
    done.push_back({id, std::move(r)});
  }
};
static_assert(http_transport<recorded_http>);

struct https_world {
  recorded_http wire;
  https_dialect<recorded_http&> speaks{wire};
  device_core core;
  time_point now{1h};
  std::vector<device_action> actions;

  https_world() : core{speaks, parameters(), {}, 1} {
    core.connect(1, now);
    settle();
    actions.clear();
  }
  static connection_parameters parameters() {
    connection_parameters p;
    p.where = {.host = "hub.example", .port = 443};
    p.hub = "hub.example";
    p.who.device_id = "dev 1#";
    return p;
  }
  void settle() {
    for (int i = 0; i != 5; ++i) {
      core.step(now);
      if (core.token_wanted()) core.supply_token(std::string{"SharedAccessSignature x"}, 3600s, now);
      while (core.has_action()) actions.push_back(core.next_action());
    }
  }
};

TEST(HttpsDialect, SendsAMessageAsOneRequest) {
  https_world w;
  ASSERT_EQ(w.core.status(), connection_status::connected);
  message m;
  m.body = "21.5";
  m.message_id = "m1";
  m.properties = {{"temperatureAlert", "true"}};
  w.core.send_telemetry(2, std::move(m), {}, w.now);
  w.settle();
  http::request expected;
  expected.method = "POST";
  expected.target = "/devices/dev%201%23/messages/events?api-version=2021-04-12";
  expected.headers.add("Authorization", "SharedAccessSignature x");
  expected.headers.add("iothub-messageid", "m1");
  expected.headers.add("iothub-app-temperatureAlert", "true");
  expected.body = "21.5";
  EXPECT_EQ(w.wire.requests, (std::vector<http::request>{expected}));
  w.wire.answer(1, 204);
  w.settle();
  ASSERT_EQ(w.actions.size(), 1u);
  EXPECT_EQ(w.actions[0].operation, 2u);
  EXPECT_TRUE(w.actions[0].outcome);
}

TEST(HttpsDialect, TheHubsNoIsTheOutcome) {
  https_world w;
  w.core.send_telemetry(2, {}, {}, w.now);
  w.core.send_telemetry(3, {}, {}, w.now);
  w.settle();
  w.wire.answer(1, 404, R"({"Message":"ErrorCode:DeviceNotFound;x"})");
  w.wire.done.push_back({2, errc::connection_refused});
  w.settle();
  ASSERT_EQ(w.actions.size(), 2u);
  EXPECT_EQ(w.actions[0].outcome.error().http_status(), 404);
  EXPECT_EQ(w.actions[1].outcome.error(), errc::connection_refused);
}

TEST(HttpsDialect, ATimeoutCancelsTheRequest) {
  https_world w;
  w.core.send_telemetry(2, {}, {}, w.now);
  w.settle();
  w.now += 10s;
  w.settle();
  ASSERT_EQ(w.actions.size(), 1u);
  EXPECT_EQ(w.actions[0].outcome.error(), errc::timeout);
  EXPECT_EQ(w.wire.cancelled, 1);
}

TEST(HttpsDialect, SomeAtATimeTheRestWaits) {
  https_world w;
  for (operation_id id = 2; id != 22; ++id) w.core.send_telemetry(id, {}, {}, w.now);
  w.settle();
  EXPECT_EQ(w.wire.requests.size(), 16u);
  w.wire.answer(1, 204);
  w.settle();
  EXPECT_EQ(w.wire.requests.size(), 17u);
}

TEST(HttpsDialect, OtherVerbsAreUnsupportedAtOnce) {
  https_world w;
  EXPECT_TRUE(w.speaks.capabilities().features.empty());
  EXPECT_EQ(w.speaks.enable(feature::methods, w.now).error(), errc::unsupported);
  EXPECT_EQ(w.speaks.get_twin(w.now).error(), errc::unsupported);
  EXPECT_EQ(w.speaks.patch_reported("{}", w.now).error(), errc::unsupported);
  EXPECT_EQ(w.speaks.answer_method("1", 200, "", w.now).error(), errc::unsupported);
  EXPECT_EQ(w.speaks.settle_message(1, settlement::accept, w.now).error(), errc::unsupported);
  w.core.get_twin(2, w.now);
  w.settle();
  EXPECT_EQ(w.actions.at(0).outcome.error(), errc::unsupported);
}

TEST(HttpsDialect, APropertyThatHttpsCannotCarryFails) {
  https_world w;
  message m;
  m.properties = {{"a", "line\nbreak"}};
  w.core.send_telemetry(2, std::move(m), {}, w.now);
  w.settle();
  EXPECT_EQ(w.actions.at(0).outcome.error(), errc::invalid_argument);
  EXPECT_TRUE(w.wire.requests.empty());
}

TEST(HttpsDialect, RenewsItsToken) {
  https_world w;
  w.now = w.core.deadline();
  w.settle();
  ASSERT_EQ(w.actions.size(), 2u);
  EXPECT_EQ(w.actions[1].reason, connection_reason::token_renewal);
  EXPECT_EQ(w.core.status(), connection_status::connected);
}

}  // namespace
