#include <iothub/service_client.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/testing/gmock_http.hpp>

namespace {

using namespace std::chrono_literals;
using iothub::duration;
using iothub::endpoint;
using iothub::errc;
using iothub::exchange_id;
using iothub::result;
using iothub::time_point;
using ::testing::_;
using ::testing::InSequence;
using ::testing::NiceMock;
using ::testing::Return;
namespace http = iothub::http;
namespace json = iothub::json;

constexpr char const* owner =
    "HostName=hub1.example.net;SharedAccessKeyName=iothubowner;SharedAccessKey=a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

struct ServiceClient : ::testing::Test {
  using client = iothub::basic_service_client<NiceMock<iothub::testing::mock_http_transport>&, iothub::loop_clock,
                                              iothub::seeded_crypto>;

  client make(iothub::service_options options = {}) {
    return client::create(loop, owner, http, iothub::loop_clock{loop}, iothub::seeded_crypto{1}, options).value();
  }
  // Keeps what is sent and answers with what is next in `answers`; without one, not at all.
  void script(std::vector<result<http::response>> with) {
    answers = std::move(with);
    ON_CALL(http, start(_, _, _)).WillByDefault([this](endpoint const& where, http::request&& what, time_point) {
      places.push_back(where);
      sent.push_back(std::move(what));
      exchange_id const id = ++last_id;
      if (sent.size() <= answers.size()) http.complete(id, answers[sent.size() - 1]);
      return id;
    });
  }

  iothub::memory::virtual_loop loop;
  NiceMock<iothub::testing::mock_http_transport> http;
  std::vector<result<http::response>> answers;
  std::vector<endpoint> places;
  std::vector<http::request> sent;
  exchange_id last_id = 100;
};

http::response ok(std::string body) { return {.status = 200, .body = std::move(body)}; }
http::response device_json() { return ok(R"({"deviceId":"d1","etag":"MQ=="})"); }

TEST_F(ServiceClient, SendsToTheHubWithItsToken) {
  script({device_json()});
  auto service = make({.https_port = 8443, .user_agent = "my-app/1"});
  EXPECT_EQ(service.get_device("d1")->etag, "MQ==");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(places[0], (endpoint{.host = "hub1.example.net", .port = 8443}));
  EXPECT_EQ(sent[0].method + " " + sent[0].target, "GET /devices/d1?api-version=2021-04-12");
  EXPECT_TRUE(sent[0].headers.get("Authorization").starts_with("SharedAccessSignature sr=hub1.example.net&sig="));
  EXPECT_TRUE(sent[0].headers.get("Authorization").ends_with("&se=1704070800&skn=iothubowner"));
  EXPECT_TRUE(sent[0].headers.get("User-Agent").ends_with(" my-app/1"));
}

TEST_F(ServiceClient, RenewsItsTokenBeforeItEnds) {
  script({device_json(), device_json(), device_json()});
  auto service = make();
  (void)service.get_device("d1");
  service.run_for(47min);
  (void)service.get_device("d1");
  service.run_for(2min);
  (void)service.get_device("d1");
  EXPECT_EQ(sent[0].headers.get("Authorization"), sent[1].headers.get("Authorization"));
  EXPECT_TRUE(sent[2].headers.get("Authorization").ends_with("&se=1704073740&skn=iothubowner"));
}

TEST_F(ServiceClient, UsesAReadyMadeTokenAsItIs) {
  script({device_json()});
  auto service = client::create(loop, "HostName=h.example;SharedAccessSignature=SharedAccessSignature sr=h&sig=x&se=1", http,
                                iothub::loop_clock{loop}, iothub::seeded_crypto{})
                     .value();
  (void)service.get_device("d1");
  EXPECT_EQ(sent[0].headers.get("Authorization"), "SharedAccessSignature sr=h&sig=x&se=1");
}

TEST_F(ServiceClient, RefusesABadStringOrOption) {
  auto const make_with = [&](std::string_view text, iothub::service_options options) {
    return client::create(loop, text, http, iothub::loop_clock{loop}, iothub::seeded_crypto{}, options).error().code();
  };
  EXPECT_EQ(make_with("HostName=h", {}), errc::malformed);
  EXPECT_EQ(make_with("HostName=h;DeviceId=d;SharedAccessKey=a2s=", {}), errc::malformed);
  EXPECT_EQ(make_with(owner, {.https_port = 0}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.user_agent = "x\r\ny"}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.request_timeout = duration{0}}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.token_lifetime = 59s}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.token_margin = 3600s}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.retry = {.shortest = 2s, .longest = 1s}}), errc::invalid_argument);
  EXPECT_EQ(make_with(owner, {.max_pending = 0}), errc::invalid_argument);
}

TEST_F(ServiceClient, CallsACompletionFromTheLoopAndOnce) {
  script({device_json()});
  auto service = make();
  int calls = 0;
  service.async_get_device("d1", [&](result<iothub::device_identity> identity) {
    ++calls;
    EXPECT_EQ(identity->device_id, "d1");
  });
  EXPECT_EQ(calls, 0);
  service.poll();
  EXPECT_EQ(calls, 1);
  service.run_for(1h);
  EXPECT_EQ(calls, 1);
}

TEST_F(ServiceClient, CallsTheCompletionOfARefusedCallFromTheLoopToo) {
  auto service = make();
  std::vector<errc> errors;
  EXPECT_CALL(http, start(_, _, _)).Times(0);
  service.async_get_device("", [&](auto r) { errors.push_back(r.error().code()); });
  service.async_create_module({.device_id = "d"}, [&](auto r) { errors.push_back(r.error().code()); });
  EXPECT_TRUE(errors.empty());
  service.poll();
  EXPECT_EQ(errors, (std::vector{errc::invalid_argument, errc::invalid_argument}));
  EXPECT_EQ(service.delete_module("d", "").error().code(), errc::invalid_argument);
}

TEST_F(ServiceClient, MatchesAnswersInAnyOrder) {
  script({});
  auto service = make();
  std::string order;
  service.async_get_device("a", [&](auto r) { order += r->device_id; });
  service.async_get_device("b", [&](auto r) { order += r->device_id; });
  http.complete(102, ok(R"({"deviceId":"second"})"));
  http.complete(101, ok(R"({"deviceId":"first"})"));
  http.complete(999, ok("{}"));
  service.poll();
  EXPECT_EQ(order, "secondfirst");
}

TEST_F(ServiceClient, GivesUpWhenTheHubDoesNotAnswer) {
  script({});
  auto service = make();
  EXPECT_CALL(http, cancel(101));
  auto const start = loop.now();
  auto const outcome = service.get_device("d1");
  EXPECT_EQ(outcome.error().code(), errc::timeout);
  EXPECT_EQ(outcome.error().message(),
            "hub1.example.net did not answer GET /devices/d1 in time; whether it was done is not known");
  EXPECT_EQ(loop.now() - start, 60s);
}

TEST_F(ServiceClient, WaitsForAMethodAsLongAsTheHubMay) {
  script({});
  auto service = make({.method_margin = 10s});
  auto const start = loop.now();
  EXPECT_EQ(service.invoke_method("d", {.name = "x"}, {.response_timeout = 300s, .connect_timeout = 20s}).error().code(),
            errc::timeout);
  EXPECT_EQ(loop.now() - start, 330s);
}

TEST_F(ServiceClient, RepeatsReadsWhenTheHubIsBusy) {
  script({http::response{.status = 429, .headers = {{"Retry-After", "7"}}}, iothub::error{errc::connection_lost},
          http::response{.status = 503, .headers = {{"Retry-After", "2"}}}, device_json()});
  auto service = make({.retry = {.shortest = 1s, .first = duration{0}, .longest = 20s, .attempts = 0}});
  auto const start = loop.now();
  EXPECT_TRUE(service.get_device("d1").has_value());
  EXPECT_EQ(loop.now() - start, 10s);
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_EQ(sent[3], sent[0]);
}

TEST_F(ServiceClient, StopsRepeatingWithTheLastAnswer) {
  script({http::response{.status = 429}, http::response{.status = 429}, http::response{.status = 503}});
  auto service = make({.read_retries = 2});
  EXPECT_EQ(service.query_page("SELECT * FROM devices").error().code(), errc::service_unavailable);
  EXPECT_EQ(sent.size(), 3u);
}

TEST_F(ServiceClient, DoesNotWaitBeyondTheDeadlineToRepeat) {
  script({http::response{.status = 429, .headers = {{"Retry-After", "61"}}}});
  auto service = make();
  auto const start = loop.now();
  EXPECT_EQ(service.get_device("d1").error().code(), errc::throttled);
  EXPECT_EQ(loop.now(), start);
}

TEST_F(ServiceClient, NeverRepeatsWhatChangesSomething) {
  script({http::response{.status = 429}, iothub::error{errc::connection_lost}, http::response{.status = 503}});
  auto service = make();
  EXPECT_EQ(service.create_device("d").error().code(), errc::throttled);
  EXPECT_EQ(service.delete_device("d").error().code(), errc::connection_lost);
  EXPECT_EQ(service.invoke_method("d", {.name = "x"}).error().code(), errc::service_unavailable);
  EXPECT_EQ(sent.size(), 3u);
}

TEST_F(ServiceClient, BoundsWhatIsPending) {
  script({});
  auto service = make({.max_pending = 1});
  service.async_get_device("a", [](auto) {});
  EXPECT_EQ(service.get_device("b").error().code(), errc::outbox_full);
  EXPECT_EQ(service.pending_operations(), 1u);
}

TEST_F(ServiceClient, MayBlockInsideACompletionWhichNeverNests) {
  script({device_json(), device_json(), ok("[]")});
  auto service = make();
  std::string order;
  service.async_get_device("a", [&](auto) {
    order += "a(";
    EXPECT_TRUE(service.list_devices().has_value());
    order += ")";
  });
  service.async_get_device("b", [&](auto) { order += "b"; });
  service.poll();
  EXPECT_EQ(order, "a()b");
}

TEST_F(ServiceClient, MayBeDestroyedInsideACompletion) {
  script({device_json(), device_json()});
  auto service = std::make_unique<client>(make());
  int calls = 0;
  service->async_get_device("a", [&](auto) {
    ++calls;
    service.reset();
  });
  service->async_get_device("b", [&](auto) { ++calls; });
  (void)loop.run_for(1s);
  EXPECT_EQ(calls, 1);
}

TEST_F(ServiceClient, EndsABlockingCallWhenItIsDestroyedMeanwhile) {
  script({});
  auto service = std::make_unique<client>(make());
  EXPECT_CALL(http, cancel(101));
  loop.post([&] { service.reset(); });
  EXPECT_EQ(service->get_device("a").error().code(), errc::closed);
}

TEST_F(ServiceClient, CancelsWhatIsPendingWhenItGoes) {
  script({});
  int calls = 0;
  {
    auto service = make();
    service.async_get_device("a", [&](auto) { ++calls; });
    EXPECT_CALL(http, cancel(101));
  }
  (void)loop.run_for(2min);
  EXPECT_EQ(calls, 0);
}

TEST_F(ServiceClient, EndsAllWithClosedWhenClosed) {
  script({});
  auto service = make();
  std::vector<errc> errors;
  service.async_get_device("a", [&](auto r) { errors.push_back(r.error().code()); });
  service.async_delete_device("b", iothub::any_etag, [&](auto r) { errors.push_back(r.error().code()); });
  EXPECT_CALL(http, cancel(_)).Times(2);
  service.close();
  EXPECT_EQ(errors, (std::vector{errc::closed, errc::closed}));
}

TEST_F(ServiceClient, EndsABlockingCallWhenTheLoopIsStopped) {
  script({});
  auto service = make();
  loop.post([&] { service.stop(); });
  EXPECT_CALL(http, cancel(101));
  EXPECT_EQ(service.get_device("a").error().code(), errc::cancelled);
  EXPECT_EQ(service.pending_operations(), 0u);
}

TEST_F(ServiceClient, SaysWhatItWaitsFor) {
  script({});
  auto service = make();
  service.async_get_device("a", [](auto) {});
  service.async_get_device("b", [](auto) {});
  EXPECT_THAT(loop.describe_waiting(),
              ::testing::HasSubstr("a service client waits for hub1.example.net to answer GET /devices/a and 1 more"));
}

TEST_F(ServiceClient, WalksOverTheItemsOfAQuery) {
  script({http::response{.headers = {{"x-ms-continuation", "Mg=="}, {"x-ms-item-type", "Raw"}}, .body = "[1,2]"}, ok("[3]")});
  auto service = make();
  std::string items;
  auto pages = service.query("SELECT * FROM devices", 2);
  EXPECT_TRUE(sent.empty());
  for (auto& item : pages) items += item->dump() + ",";
  EXPECT_EQ(items, "1,2,3,");
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].headers.get("x-ms-continuation"), "Mg==");
}

TEST_F(ServiceClient, GoesThroughAllOperations) {
  std::string const twin = R"({"deviceId":"d","etag":"AAAAAAAAAAE=","version":2})";
  script({device_json(), ok("[]"), device_json(), http::response{.status = 204}, device_json(), device_json(), ok("[]"),
          device_json(), http::response{.status = 204}, ok(twin), ok(twin), ok(twin), ok(twin), ok(twin), ok(twin),
          ok(R"({"status":200,"payload":1})"), ok(R"({"status":200,"payload":2})"), ok(R"({"totalDeviceCount":4})"),
          ok(R"({"connectedDeviceCount":2})")});
  auto service = make();
  EXPECT_TRUE(service.create_device({.device_id = "d"}).has_value());
  EXPECT_TRUE(service.list_devices(3).has_value());
  EXPECT_TRUE(service.update_device({.device_id = "d", .etag = "MQ=="}).has_value());
  EXPECT_TRUE(service.delete_device("d", "MQ==").has_value());
  EXPECT_TRUE(service.create_module("d", "m").has_value());
  EXPECT_TRUE(service.get_module("d", "m").has_value());
  EXPECT_TRUE(service.list_modules("d").has_value());
  EXPECT_TRUE(service.update_module({.device_id = "d", .module_id = "m"}, iothub::etag_match::any).has_value());
  EXPECT_TRUE(service.delete_module("d", "m").has_value());
  EXPECT_TRUE(service.get_twin("d").has_value());
  EXPECT_TRUE(service.get_twin("d", "m").has_value());
  EXPECT_TRUE(service.update_twin("d", {{"tags", {{"a", 1}}}}).has_value());
  EXPECT_TRUE(service.replace_twin("d", {{"tags", {{"a", 1}}}}, "x").has_value());
  EXPECT_TRUE(service.update_module_twin("d", "m", {{"tags", {{"a", 1}}}}).has_value());
  EXPECT_TRUE(service.replace_module_twin("d", "m", {{"tags", {{"a", 1}}}}).has_value());
  EXPECT_EQ(service.invoke_method("d", {.name = "x", .payload = 10}, {.response_timeout = 10s})->payload, 1);
  EXPECT_EQ(service.invoke_module_method("d", "m", {.name = "x"})->payload, 2);
  EXPECT_EQ(service.get_registry_statistics()->total_device_count, 4);
  EXPECT_EQ(service.get_service_statistics()->connected_device_count, 2);
}

TEST_F(ServiceClient, GoesThroughTheAsynchronousFormsOfModuleTwinsAndStatistics) {
  std::string const twin = R"({"deviceId":"d","moduleId":"m","etag":"AAAAAAAAAAE=","version":2})";
  script({ok(twin), ok(twin), ok(twin), ok(R"({"totalDeviceCount":4})"), ok(R"({"connectedDeviceCount":2})")});
  auto service = make();
  int twins = 0;
  auto const count = [&](iothub::result<iothub::twin> t) { twins += t.has_value() && t->module_id == "m"; };
  service.async_get_twin("d", "m", count);
  service.async_update_module_twin("d", "m", {{"tags", {{"a", 1}}}}, iothub::any_etag, count);
  service.async_replace_module_twin("d", "m", {{"tags", {{"a", 1}}}}, "x", count);
  std::int64_t total = 0, connected = 0;
  service.async_get_registry_statistics([&](auto s) { total = s->total_device_count; });
  service.async_get_service_statistics([&](auto s) { connected = s->connected_device_count; });
  service.poll();
  EXPECT_EQ(twins, 3);
  EXPECT_EQ(total, 4);
  EXPECT_EQ(connected, 2);
  ASSERT_EQ(sent.size(), 5u);
  EXPECT_EQ(sent[1].method + " " + sent[1].target, "PATCH /twins/d/modules/m?api-version=2021-04-12");
  EXPECT_EQ(sent[2].method, "PUT");
  EXPECT_EQ(sent[2].headers.get("If-Match"), "\"x\"");
}

TEST_F(ServiceClient, TakesOneExpectationPerRequest) {
  EXPECT_CALL(http, start(_, ::testing::Field(&http::request::method, "PUT"), _)).WillOnce(http.answer(http::response{.status = 409}));
  auto service = make();
  EXPECT_EQ(service.create_device("d1").error().code(), errc::already_exists);
}

}  // namespace
