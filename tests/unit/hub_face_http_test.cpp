// The HTTPS endpoints: what back ends of every make ask for, and the answers that they can read.
#include "hub_face_test_peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_data.hpp"

namespace {

using namespace hub_face_test;
using testing::HasSubstr;
using testing::StartsWith;

class HttpFace : public testing::Test, public http::reply_sink {
 protected:
  explicit HttpFace(hub::http_face_options options = {}) : hub{{}, std::move(options)} {}

  void respond(std::uint64_t, http::response&& answer) override { answers.push_back(std::move(answer)); }
  // The answer that comes at once.
  http::response ask(http::request what) {
    if (!what.headers.has("Authorization")) what.headers.add("Authorization", hub.service_token());
    answers.clear();
    pending = hub.http.on_request(std::move(what), {this, 1}, hub.clock.now());
    return answers.empty() ? http::response{.status = 0} : answers.back();
  }
  http::response ask(std::string method, std::string path, std::string body = {}, http::headers headers = {}) {
    return ask(http::request{std::move(method),
                             path + (path.find('?') == std::string::npos ? "?" : "&") + "api-version=2021-04-12",
                             std::move(headers), std::move(body)});
  }
  static json::value body_of(http::response const& answer) { return json::parse(answer.body).value(); }

  test_hub hub;
  std::vector<http::response> answers;
  http::ticket pending = 0;
};

// --- what all answers have

TEST_F(HttpFace, AnswersCarryTheFieldsThatClientsRead) {
  hub.create("d1");
  auto const answer = ask("GET", "/devices/d1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.get("Content-Type"), "application/json; charset=utf-8");
  EXPECT_EQ(answer.headers.get("Date"), "Mon, 01 Jan 2024 00:00:00 GMT");
  EXPECT_TRUE(is_uuid(answer.headers.get("x-ms-request-id")));
  EXPECT_EQ(answer.headers.get("ETag"), "\"" + std::string{*body_of(answer)["etag"].as_string()} + "\"");
  EXPECT_FALSE(answer.headers.has("Access-Control-Allow-Origin"));
}

TEST_F(HttpFace, ARefusalNamesItsCodeInHeaderAndBody) {
  auto const answer = ask("GET", "/devices/nobody");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.headers.get("iothub-errorcode"), "DeviceNotFound");
  EXPECT_THAT(*body_of(answer)["Message"].as_string(), StartsWith("ErrorCode:DeviceNotFound;"));
  auto id = std::string{answer.headers.get("x-ms-request-id")};
  EXPECT_THAT(*body_of(answer)["ExceptionMessage"].as_string(),
              StartsWith("Tracking ID:" + hub::without_dashes(id) + "-G:"));
  EXPECT_THAT(*body_of(answer)["ExceptionMessage"].as_string(), HasSubstr("TimeStamp:01/01/2024 00:00:00"));
}

TEST_F(HttpFace, KnowsNoOtherPathAndSaysWhichMethodsThereAre) {
  EXPECT_EQ(ask("GET", "/nowhere").status, 404);
  EXPECT_EQ(ask("GET", "/devices/d1/nothing").status, 404);
  auto const answer = ask("POST", "/devices/d1");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.get("Allow"), "GET, PUT, DELETE");
  EXPECT_EQ(answer.headers.get("iothub-errorcode"), "GenericMethodNotAllowed");
}

TEST_F(HttpFace, AsksForAnApiVersionAndTakesAny) {
  auto const missing = ask(http::request{.method = "GET", .target = "/devices"});
  EXPECT_EQ(missing.status, 400);
  EXPECT_EQ(missing.headers.get("iothub-errorcode"), "InvalidProtocolVersion");
  EXPECT_EQ(ask(http::request{.method = "GET", .target = "/devices/?api-version=2016-11-14"}).status, 200);
}

TEST_F(HttpFace, RefusesTokensThatAreNoneWith401002) {
  hub.create("d1");
  auto const expired = hub.service_token();
  hub.advance(2h);
  for (auto const& token : {std::string{}, std::string{"Bearer x"}, expired, hub.device_token("d1"),
                            hub.service_token("device"), hub.service_token("service")}) {
    auto const answer = ask(http::request{"GET", "/devices/d1?api-version=2021-04-12", {{"Authorization", token}}, {}});
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.headers.get("iothub-errorcode"), "IotHubUnauthorizedAccess");
    EXPECT_EQ(answer.body.find("sig="), std::string::npos);
  }
}

TEST_F(HttpFace, PermissionsDecidePerPolicy) {
  hub.create("d1");
  struct row {
    char const* policy;
    char const* method;
    char const* path;
    int status;
  };
  for (auto const& [policy, method, path, status] :
       {row{"registryRead", "GET", "/devices/d1", 200}, row{"registryRead", "PUT", "/devices/d2", 401},
        row{"registryReadWrite", "PUT", "/devices/d2", 200}, row{"registryReadWrite", "GET", "/twins/d1", 401},
        row{"service", "GET", "/twins/d1", 200}, row{"service", "GET", "/devices/d1", 401},
        row{"service", "GET", "/statistics/service", 200}, row{"registryRead", "GET", "/statistics/devices", 200}}) {
    auto const answer = ask(method, path, "{}", {{"Authorization", hub.service_token(policy)}});
    EXPECT_EQ(answer.status, status) << policy << ' ' << method << ' ' << path;
  }
}

// --- identities

TEST_F(HttpFace, CreatesADeviceWithKeysAndRefusesASecondOne) {
  auto const made =
      ask("PUT", "/devices/MyCppDevice",
          R"({"deviceId":"MyCppDevice","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""}}})");
  EXPECT_EQ(made.status, 200);
  auto const identity = body_of(made);
  EXPECT_EQ(identity["deviceId"], "MyCppDevice");
  EXPECT_EQ(identity["authentication"]["symmetricKey"]["primaryKey"].as_string()->size(), 44u);
  EXPECT_EQ(identity["connectionStateUpdatedTime"], "0001-01-01T00:00:00");
  EXPECT_EQ(body_of(ask("GET", "/devices/MyCppDevice"))["connectionStateUpdatedTime"], "0001-01-01T00:00:00Z");
  auto const again = ask("PUT", "/devices/MyCppDevice", R"({"deviceId":"MyCppDevice"})");
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(again.headers.get("iothub-errorcode"), "DeviceAlreadyExists");
}

TEST_F(HttpFace, HonoursEveryFormOfIfMatch) {
  auto const etag = hub.create("d1").etag;
  struct row {
    std::string header;
    int put;
  };
  for (auto const& [header, put] : {row{"\"" + etag + "\"", 200}, row{"\"" + etag + "\"", 412}, row{"*", 200},
                                    row{"\"*\"", 200}, row{"\"\"", 409}, row{"\"wrong\"", 412}, row{"bare", 200}})
    EXPECT_EQ(ask("PUT", "/devices/d1", R"({"deviceId":"d1"})", {{"If-Match", header}}).status, put) << header;
  EXPECT_EQ(ask("DELETE", "/devices/d1", {}, {{"If-Match", "\"wrong\""}}).headers.get("iothub-errorcode"),
            "PreconditionFailed");
  auto const gone = ask("DELETE", "/devices/d1", {}, {{"If-Match", "*"}});
  EXPECT_EQ(gone.status, 204);
  EXPECT_EQ(gone.body, "");
  EXPECT_FALSE(gone.headers.has("Content-Type"));
  EXPECT_EQ(ask("DELETE", "/devices/d1").status, 404);
}

TEST_F(HttpFace, RefusesABodyThatIsNone) {
  struct row {
    char const* body;
    char const* code;
  };
  for (auto const& [body, code] :
       {row{"", "ArgumentNull"}, row{"{", "IotHubFormatError"}, row{"[]", "IotHubFormatError"},
        row{R"({"deviceId":"other"})", "ArgumentInvalid"}, row{R"({"status":7})", "ArgumentInvalid"}}) {
    auto const answer = ask("PUT", "/devices/d1", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.headers.get("iothub-errorcode"), code) << body;
  }
}

TEST_F(HttpFace, ListsDevicesAndModulesAndCountsThem) {
  for (auto const* id : {"b", "a", "c"}) hub.create(id);
  hub.create("a", "m1");
  auto const all = body_of(ask("GET", "/devices/"));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["deviceId"], "a");
  EXPECT_EQ(body_of(ask("GET", "/devices?top=2")).size(), 2u);
  EXPECT_EQ(ask("GET", "/devices?top=x").status, 400);
  EXPECT_EQ(body_of(ask("GET", "/devices/a/modules"))[0]["moduleId"], "m1");
  EXPECT_EQ(ask("GET", "/devices/a/modules/m2").headers.get("iothub-errorcode"), "ModuleNotFound");
  EXPECT_FALSE(ask("GET", "/devices/a/modules/m1").headers.has("ETag"));
  EXPECT_EQ(ask("GET", "/statistics/devices").body,
            R"({"totalDeviceCount":3,"enabledDeviceCount":3,"disabledDeviceCount":0})");
  EXPECT_EQ(ask("GET", "/statistics/service").body, R"({"connectedDeviceCount":0})");
}

TEST_F(HttpFace, PurgesADevicesQueue) {
  hub.create("d1");
  hub.core.send_c2d("d1", {.content = {.body = "x"}}, hub.now()).value();
  EXPECT_EQ(ask("DELETE", "/devices/d1/commands").body, R"({"totalMessagesPurged":1,"deviceId":"d1","moduleId":null})");
}

// --- twins and queries

TEST_F(HttpFace, PatchesATwinAndTakesAWholeOneBack) {
  hub.create("d1");
  auto const patched =
      ask("PATCH", "/twins/d1", R"({"tags":{"plant":"R43"},"properties":{"desired":{"a":1}}})", {{"If-Match", "*"}});
  EXPECT_EQ(patched.status, 200);
  EXPECT_FALSE(patched.headers.has("ETag"));
  EXPECT_EQ(body_of(patched)["properties"]["desired"]["a"], 1);
  auto const back = ask("PATCH", "/twins/d1", ask("GET", "/twins/d1").body);
  EXPECT_EQ(back.status, 200);
  EXPECT_EQ(body_of(back)["properties"]["desired"]["a"], 1);
  EXPECT_EQ(body_of(ask("POST", "/twins/d1", R"({"properties":{"desired":{"a":2}}})",
                        {{"X-HTTP-Method-Override", "PATCH"}}))["properties"]["desired"]["a"],
            2);
  auto const replaced = body_of(ask("PUT", "/twins/d1", R"({"properties":{"desired":{"b":1}}})"));
  EXPECT_EQ(replaced["properties"]["desired"].find("a"), nullptr);
  auto const stale = ask("PATCH", "/twins/d1", "{}", {{"If-Match", "\"AAAAAAAAAAE=\""}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(stale.headers.get("iothub-errorcode"), "PreconditionFailed");
  EXPECT_EQ(ask("PATCH", "/twins/d1", R"({"properties":{"desired":{"a.b":1}}})").headers.get("iothub-errorcode"),
            "ArgumentInvalid");
  EXPECT_EQ(ask("PATCH", "/twins/d1", R"({"tags":7})").status, 400);
}

TEST_F(HttpFace, PagesAQueryAndLeavesTheContinuationOutOfTheLastPage) {
  for (auto const* id : {"a", "b", "c"}) hub.create(id);
  auto const query = R"({"query":"SELECT * FROM devices"})";
  auto page = ask("POST", "/devices/query", query, {{"x-ms-max-item-count", "2"}});
  EXPECT_EQ(page.headers.get("x-ms-item-type"), "Twin");
  EXPECT_EQ(body_of(page).size(), 2u);
  auto const token = std::string{page.headers.get("x-ms-continuation")};
  ASSERT_NE(token, "");
  page = ask("POST", "/devices/query", query, {{"x-ms-max-item-count", "2"}, {"x-ms-continuation", token}});
  EXPECT_EQ(body_of(page).size(), 1u);
  EXPECT_FALSE(page.headers.has("x-ms-continuation"));
  EXPECT_EQ(ask("POST", "/devices/query", "{}").headers.get("iothub-errorcode"), "ArgumentNull");
  EXPECT_EQ(ask("POST", "/devices/query", R"({"query":"SELECT"})").status, 400);
  EXPECT_EQ(ask("POST", "/devices/query", query, {{"x-ms-max-item-count", "many"}}).status, 400);
}

// --- direct methods

class HttpFaceMethods : public HttpFace {
 protected:
  void SetUp() override {
    hub.create("d1");
    device.connect("d1");
    device.subscribe(methods_filter);
  }
  http::response invoke(char const* body) { return ask("POST", "/twins/d1/methods", body); }
  // "404103 text {info}" of a refusal in the newer form.
  static std::string refusal(http::response const& answer) {
    auto const inner = json::parse(*body_of(answer)["Message"].as_string()).value();
    return std::to_string(inner["errorCode"].as_int().value_or(0)) + " " + inner["info"].dump();
  }
  test_device device{hub};
};

TEST_F(HttpFaceMethods, AnswersWhenTheDeviceDoes) {
  EXPECT_EQ(invoke(R"({"methodName":"reboot","payload":{"a":1}})").status, 0);
  EXPECT_NE(pending, http::answered);
  EXPECT_EQ(hub.http.pending_calls(), 1u);
  device.publish("$iothub/methods/res/404/?$rid=1", R"({"no":true})");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].body, R"({"status":404,"payload":{"no":true}})");
  EXPECT_EQ(hub.http.pending_calls(), 0u);
}

TEST_F(HttpFaceMethods, SaysWhyACallFailed) {
  invoke(R"({"methodName":"m","responseTimeoutInSeconds":5})");
  hub.advance(5s);
  EXPECT_EQ(answers.at(0).status, 504);
  EXPECT_EQ(answers[0].headers.get("iothub-errorcode"), "GatewayTimeout");
  EXPECT_EQ(refusal(answers[0]), R"(504101 {"timeout":"00:00:05"})");
  auto const unknown = ask("POST", "/twins/nobody/methods", R"({"methodName":"m"})");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(refusal(unknown), "404001 {}");
  device.lose();
  auto const offline = invoke(R"({"methodName":"m"})");
  EXPECT_EQ(offline.status, 404);
  EXPECT_EQ(offline.headers.get("iothub-errorcode"), "DeviceNotOnline");
  EXPECT_EQ(refusal(offline), R"(404103 {"timeout":"00:00:00"})");
  invoke(R"({"methodName":"m","connectTimeoutInSeconds":90})");
  hub.advance(90s);
  EXPECT_EQ(refusal(answers.at(0)), R"(404103 {"timeout":"00:01:30"})");
}

TEST_F(HttpFaceMethods, RefusesWhatIsNoCall) {
  for (auto const* body :
       {"", "{}", R"({"methodName":"a b"})", R"({"methodName":"m","responseTimeoutInSeconds":4})",
        R"({"methodName":"m","responseTimeoutInSeconds":301})", R"({"methodName":"m","connectTimeoutInSeconds":301})"})
    EXPECT_EQ(invoke(body).status, 400) << body;
  EXPECT_EQ(hub.http.pending_calls(), 0u);
}

TEST_F(HttpFaceMethods, ForgetsACallWhoseCallerWentAway) {
  invoke(R"({"methodName":"m"})");
  hub.http.on_cancel(pending);
  device.publish("$iothub/methods/res/200/?$rid=1", "{}");
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(hub.http.pending_calls(), 0u);
}

// --- a device's own telemetry

TEST_F(HttpFace, TakesADevicesTelemetry) {
  hub.create("d1");
  http::headers const fields{
      {"Authorization", hub.device_token("d1")}, {"iothub-app-colour", "red"}, {"iothub-messageid", "m1"}};
  EXPECT_EQ(ask("POST", "/devices/d1/messages/events", "body", fields).status, 204);
  auto const event = hub.core.events().all().at(0);
  EXPECT_EQ(event.content.body.bytes(), "body");
  EXPECT_EQ(event.content.message_id, "m1");
  EXPECT_EQ(*event.content.find("colour"), "red");
  EXPECT_EQ(ask("POST", "/devices/d1/messages/events", std::string(262'145, 'x'), fields).status, 413);
  auto const stranger = ask("POST", "/devices/d2/messages/events", "x", fields);
  EXPECT_EQ(stranger.status, 401);
}

TEST_F(HttpFace, TakesABatchWholeOrNotAtAll) {
  hub.create("d1");
  http::headers const fields{{"Authorization", hub.device_token("d1")},
                             {"Content-Type", "application/vnd.microsoft.iothub.json"}};
  auto const batch =
      R"([{"body":"aGVsbG8=","properties":{"iothub-app-n":"1"}},{"body":"plain","base64Encoded":false}])";
  EXPECT_EQ(ask("POST", "/devices/d1/messages/events", batch, fields).status, 204);
  EXPECT_EQ(hub.core.events().all().at(0).content.body.bytes(), "hello");
  EXPECT_EQ(hub.core.events().all().at(1).content.body.bytes(), "plain");
  for (auto const* bad : {"{}", R"([{"body":"aGVsbG8="},{"body":"%"}])", R"([{"properties":{}}])",
                          R"([{"body":"","properties":{"a":1}}])"})
    EXPECT_EQ(ask("POST", "/devices/d1/messages/events", bad, fields).status, 400) << bad;
  EXPECT_EQ(hub.core.events().size(), 2u);
}

// Whoever tries ids learns nothing from the answers; the log says it.
TEST_F(HttpFace, AnswersAWrongKeyAndAnUnknownDeviceAlike) {
  hub.create("d1");
  hub.create("d2");
  http::headers const fields{{"Authorization", hub.device_token("d2")}};
  auto const wrong = ask("POST", "/devices/d1/messages/events", "x", fields);
  auto const unknown = ask("POST", "/devices/d9/messages/events", "x", fields);
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(unknown.status, 401);
  EXPECT_EQ(unknown.headers.get("iothub-errorcode"), wrong.headers.get("iothub-errorcode"));
  EXPECT_EQ(body_of(unknown)["Message"], body_of(wrong)["Message"]);
  EXPECT_TRUE(hub.log.has("refused d9: "));
  http::headers const owner{{"Authorization", hub.service_token("device")}};
  EXPECT_EQ(ask("POST", "/devices/d9/messages/events", "x", owner).status, 404);
}

// --- hosts

class HttpFaceHosts : public HttpFace {
 protected:
  HttpFaceHosts() : HttpFace{{.hosts = hub::host_filter{{"localhost", "127.0.0.1", "::1", "*.azure-devices.net"}}}} {}
};

TEST_F(HttpFaceHosts, AnswersToItsOwnNamesOnly) {
  for (auto const* host : {"localhost", "LOCALHOST:443", "127.0.0.1:8443", "[::1]:443", "myhub.azure-devices.net"})
    EXPECT_EQ(ask("GET", "/devices", {}, {{"Host", host}}).status, 200) << host;
  for (auto const* host : {"evil.example", "localhost.evil.example", "azure-devices.net", ".azure-devices.net",
                           "evilazure-devices.net", "", "[::1", "[::1]x", "localhost:x@evil.example", "localhost:1:2",
                           "[::1]:x"})
    EXPECT_EQ(ask("GET", "/devices", {}, {{"Host", host}}).status, 421) << host;
  EXPECT_TRUE(hub.log.has("refused : the Host field names another host: evil.example"));
  EXPECT_EQ(ask("GET", "/devices").status, 421);
  EXPECT_TRUE(hub.log.has("refused : the request has no Host field"));
  ask("GET", "/devices", {}, {{"Host", std::string(300, 'x')}});
  EXPECT_FALSE(hub.log.has(std::string(65, 'x')));
}

// --- requests without sense

TEST_F(HttpFace, NeverMindsASizeThatIsNone) {
  hub.create("d1"), hub.create("d2");
  auto const query = [&](std::string_view size) {
    return ask("POST", "/devices/query", R"({"query":"SELECT * FROM devices"})", {{"x-ms-max-item-count", std::string{size}}});
  };
  EXPECT_EQ(query("x").status, 400);
  EXPECT_EQ(query("99999999999999999999").status, 400);
  EXPECT_EQ(body_of(query("1")).size(), 1u);
  EXPECT_EQ(body_of(query("0")).size(), 2u);
  EXPECT_EQ(body_of(query("-1")).size(), 2u);
  EXPECT_EQ(body_of(query("100000")).size(), 2u);
  EXPECT_EQ(body_of(ask("GET", "/devices?top=0")).size(), 2u);
  EXPECT_EQ(body_of(ask("GET", "/devices?top=1")).size(), 1u);
}

TEST_F(HttpFace, SaysWhatIsMissingWhereverItIsAsked) {
  EXPECT_EQ(ask("GET", "/devices/nobody/modules").status, 404);
  EXPECT_EQ(ask("DELETE", "/devices/nobody/commands").status, 404);
  EXPECT_EQ(ask("DELETE", "/devices/nobody").status, 404);
  EXPECT_EQ(ask("GET", "/twins/nobody").status, 404);
  EXPECT_EQ(ask("PATCH", "/twins/nobody", "{}").status, 404);
  EXPECT_EQ(ask("PATCH", "/twins/nobody", "no json").status, 400);
  EXPECT_EQ(ask("POST", "/devices/query", "no json").status, 400);
  EXPECT_EQ(ask("POST", "/devices/query", R"({"query":7})").status, 400);
  hub.create("d1");
  EXPECT_EQ(ask("PUT", "/devices/d1/modules/m1", R"({"deviceId":"d1","moduleId":"m2"})").status, 400);
  EXPECT_EQ(ask("PUT", "/devices/d1/modules/m1", R"({"deviceId":"d2","moduleId":"m1"})").status, 400);
  EXPECT_EQ(ask("PUT", "/devices/d1/modules/m1", R"({"deviceId":"d1","moduleId":"m1"})").status, 200);
}

TEST_F(HttpFace, APathThatDecodesToNothingGivesNoRights) {
  for (char const* path : {"/devices/%", "/devices/%zz", "/devices/a%00b", "/devices/%ff"}) {
    auto const answer = ask("GET", path);
    EXPECT_GE(answer.status, 400) << path;
    EXPECT_LT(answer.status, 500) << path;
  }
}

// --- other people's clients
TEST_F(HttpFace, UnderstandsEveryRequestThatOfficialSdksSent) {
  auto const goldens = iothub_test::load("goldens.json");
  int understood = 0;
  for (auto const& golden : goldens.elements()) {
    auto const line = golden["request_line"].as_string();
    if (golden["protocol"] != "https" || !line) continue;
    auto const method = split_once(*line, ' ');
    http::request request{std::string{method.before}, std::string{split_once(method.after, ' ').before}, {}, {}};
    for (auto const& field : golden["headers"].members())
      if (auto const value = field.value().as_string();
          value && !iequals(field.key(), "authorization") && !iequals(field.key(), "x-ms-continuation"))
        request.headers.add(std::string{field.key()}, std::string{*value});
    auto const& body = golden["body"];
    request.body = body.is_string() ? std::string{*body.as_string()} : body.is_null() ? std::string{} : body.dump();
    for (auto at = request.body.find("<KEY>"); at != std::string::npos; at = request.body.find("<KEY>"))
      request.body.replace(at, 5, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    auto const route = parse_route(request);
    if (!route || route->kind == route_kind::send_telemetry) continue;
    auto const answer = ask(request);
    auto const status = answer.status == 0 ? 200 : answer.status;
    EXPECT_TRUE(status == 200 || status == 204 || status == 404 || status == 409 || status == 412)
        << *line << ' ' << request.body << ' ' << answer.status << ' ' << answer.body;
    ++understood;
  }
  EXPECT_GE(understood, 50);
}

}  // namespace
