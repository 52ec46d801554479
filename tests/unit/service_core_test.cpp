#include <iothub/service/service_core.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include <iothub/json/value.hpp>

namespace {

using namespace std::chrono_literals;
using iothub::any_etag;
using iothub::device_identity;
using iothub::errc;
using iothub::etag_match;
using iothub::service_core;
namespace http = iothub::http;
namespace json = iothub::json;

template <class T>
std::string line(iothub::result<iothub::service_call<T>> const& call) {
  if (!call) return std::string{to_string(call.error().code())} + ": " + std::string{call.error().message()};
  return call->request.method + " " + call->request.target;
}
template <class T>
json::value body(iothub::result<iothub::service_call<T>> const& call) {
  return *json::parse(call->request.body);
}

device_identity device(std::string_view id) { return {.device_id = std::string{id}}; }

TEST(ServiceCore, CreatesADeviceWithoutIfMatch) {
  auto const call = service_core::create_identity(device("dev1"));
  EXPECT_EQ(line(call), "PUT /devices/dev1?api-version=2021-04-12");
  EXPECT_FALSE(call->request.headers.has("If-Match"));
  EXPECT_EQ(call->request.headers.get("Content-Type"), "application/json; charset=utf-8");
  EXPECT_EQ(body(call)["deviceId"], "dev1");
  EXPECT_EQ(body(call)["authentication"],
            (json::value{{"type", "sas"}, {"symmetricKey", {{"primaryKey", ""}, {"secondaryKey", ""}}}}));
  EXPECT_FALSE(call->only_reads);
}

TEST(ServiceCore, PutsModulesBelowTheirDevice) {
  auto const call = service_core::create_identity({.device_id = "d 1", .module_id = "m"});
  EXPECT_EQ(line(call), "invalid_argument: the device id holds a character that is not allowed, at offset 1");
  EXPECT_EQ(line(service_core::create_identity({.device_id = "d1", .module_id = "m#1"})),
            "PUT /devices/d1/modules/m%231?api-version=2021-04-12");
  EXPECT_EQ(line(service_core::get_identity("d1", "m1")), "GET /devices/d1/modules/m1?api-version=2021-04-12");
  EXPECT_EQ(line(service_core::list_modules("d1")), "GET /devices/d1/modules?api-version=2021-04-12");
}

TEST(ServiceCore, QuotesETagsAndTheWildcard) {
  device_identity known = device("dev1");
  known.etag = "MTIz";
  EXPECT_EQ(service_core::update_identity(known, etag_match::same)->request.headers.get("If-Match"), "\"MTIz\"");
  EXPECT_EQ(service_core::update_identity(known, etag_match::any)->request.headers.get("If-Match"), "\"*\"");
  EXPECT_EQ(service_core::delete_identity("dev1", {}, any_etag)->request.headers.get("If-Match"), "\"*\"");
  EXPECT_EQ(service_core::delete_identity("dev1", {}, "\"MTIz\"")->request.headers.get("If-Match"), "\"MTIz\"");
  EXPECT_EQ(line(service_core::update_identity(device("dev1"), etag_match::same)),
            "invalid_argument: the identity has no ETag to compare: read it first, or say etag_match::any");
  EXPECT_EQ(service_core::delete_identity("dev1", {}, "").error().code(), errc::invalid_argument);
  EXPECT_EQ(service_core::delete_identity("dev1", {}, "a\r\nX: y").error().code(), errc::invalid_argument);
}

TEST(ServiceCore, ListsDevicesFromTheTop) {
  EXPECT_EQ(line(service_core::list_devices(5)), "GET /devices?top=5&api-version=2021-04-12");
  EXPECT_EQ(service_core::list_devices(0).error().code(), errc::invalid_argument);
  EXPECT_EQ(service_core::list_devices(1001).error().code(), errc::invalid_argument);
}

TEST(ServiceCore, PatchesAndReplacesTwins) {
  json::value const patch{{"tags", {{"a", nullptr}}}};
  auto const call = service_core::update_twin("edge1", {}, patch, "AAAAAAAAAAI=");
  EXPECT_EQ(line(call), "PATCH /twins/edge1?api-version=2021-04-12");
  EXPECT_EQ(call->request.headers.get("If-Match"), "\"AAAAAAAAAAI=\"");
  EXPECT_EQ(call->request.body, R"({"tags":{"a":null}})");
  EXPECT_EQ(line(service_core::update_twin("edge1", "m1", patch, any_etag)),
            "PATCH /twins/edge1/modules/m1?api-version=2021-04-12");
  EXPECT_EQ(line(service_core::replace_twin("pysvc", {}, patch, any_etag)), "PUT /twins/pysvc?api-version=2021-04-12");
  json::value const nothing_in_it[] = {"text", {{"desired", {{"x", 1}}}}, {{"tag", 1}}, {{"tags", 5}}, {{"properties", 5}},
                                       {{"properties", {{"reported", {{"x", 1}}}}}}};
  for (auto const& wrong : nothing_in_it)
    EXPECT_EQ(service_core::update_twin("edge1", {}, wrong, any_etag).error().code(), errc::invalid_argument) << wrong.dump();
}

TEST(ServiceCore, InvokesMethods) {
  auto const call = service_core::invoke_method("edge1", {}, {.name = "SetTelemetryInterval", .payload = 10}, {});
  EXPECT_EQ(line(call), "POST /twins/edge1/methods?api-version=2021-04-12");
  EXPECT_EQ(body(call), (json::value{{"methodName", "SetTelemetryInterval"},
                                     {"payload", 10},
                                     {"responseTimeoutInSeconds", 30},
                                     {"connectTimeoutInSeconds", 0}}));
  EXPECT_EQ(call->hub_time, 30s);
  EXPECT_EQ(line(service_core::invoke_method("edge1", "m1", {.name = "reboot"}, {.response_timeout = 5s})),
            "POST /twins/edge1/modules/m1/methods?api-version=2021-04-12");
}

TEST(ServiceCore, ChecksMethodsBeforeTheyAreSent) {
  auto const invoke = [](std::string_view name, iothub::method_options how) {
    return service_core::invoke_method("d", {}, {.name = std::string{name}}, how).error().code();
  };
  EXPECT_EQ(invoke("", {}), errc::invalid_argument);
  EXPECT_EQ(invoke("a b", {}), errc::invalid_argument);
  EXPECT_EQ(invoke("x", {.response_timeout = 4s}), errc::invalid_argument);
  EXPECT_EQ(invoke("x", {.response_timeout = 301s}), errc::invalid_argument);
  EXPECT_EQ(invoke("x", {.connect_timeout = 301s}), errc::invalid_argument);
  EXPECT_EQ(service_core::invoke_method("d", {}, {.name = "x", .payload = std::string(132'200, 'x')}, {}).error().code(),
            errc::too_large);
}

TEST(ServiceCore, AsksForPagesOfAQuery) {
  auto const call = service_core::query("SELECT * FROM devices", 2, "Mg==");
  EXPECT_EQ(line(call), "POST /devices/query?api-version=2021-04-12");
  EXPECT_EQ(call->request.headers.get("x-ms-continuation"), "Mg==");
  EXPECT_EQ(call->request.headers.get("x-ms-max-item-count"), "2");
  EXPECT_EQ(call->request.body, R"({"query":"SELECT * FROM devices"})");
  EXPECT_TRUE(call->only_reads);
  auto const first = service_core::query("SELECT * FROM devices", 0, {});
  EXPECT_FALSE(first->request.headers.has("x-ms-continuation"));
  EXPECT_FALSE(first->request.headers.has("x-ms-max-item-count"));
  EXPECT_EQ(service_core::query("", 0, {}).error().code(), errc::invalid_argument);
  EXPECT_EQ(service_core::query(std::string(8193, 'x'), 0, {}).error().code(), errc::too_large);
  EXPECT_EQ(service_core::query("x", 0, "a\r\nb").error().code(), errc::invalid_argument);
}

TEST(ServiceCore, AsksForStatistics) {
  EXPECT_EQ(line(service_core::get_registry_statistics()), "GET /statistics/devices?api-version=2021-04-12");
  auto const call = service_core::get_service_statistics();
  EXPECT_EQ(line(call), "GET /statistics/service?api-version=2021-04-12");
  EXPECT_EQ(call->read({.status = 200, .body = R"({"connectedDeviceCount":3})"})->connected_device_count, 3);
}

// --- answers

TEST(ServiceCore, ReadsAnIdentity) {
  auto const call = service_core::get_identity("dev1");
  auto const identity = call->read({.status = 200,
                                    .headers = {{"ETag", "\"MjQx\""}},
                                    .body = R"({"deviceId":"dev1","generationId":"637345907161634714","connectionState":"Connected",
 "status":"disabled","statusReason":null,"statusUpdatedTime":"2020-08-20T22:05:30.785061Z","cloudToDeviceMessageCount":2,
 "authentication":{"symmetricKey":{"primaryKey":"cA==","secondaryKey":"cw=="},"type":"sas"},"capabilities":{"iotEdge":true}})"});
  ASSERT_TRUE(identity.has_value()) << identity.error().message();
  EXPECT_EQ(identity->device_id, "dev1");
  EXPECT_EQ(identity->etag, "MjQx");
  EXPECT_EQ(identity->connection_state, iothub::connection_state::connected);
  EXPECT_EQ(identity->status, iothub::identity_status::disabled);
  EXPECT_EQ(identity->authentication.primary_key, "cA==");
  EXPECT_EQ(identity->cloud_to_device_message_count, 2u);
  EXPECT_TRUE(identity->iot_edge);
}

TEST(ServiceCore, ReadsListsPagesAndMethodResponses) {
  auto const devices = service_core::list_devices(10)->read({.body = R"([{"deviceId":"a"},{"deviceId":"b"}])"});
  ASSERT_TRUE(devices.has_value());
  EXPECT_EQ(devices->size(), 2u);
  EXPECT_EQ((*devices)[1].device_id, "b");

  auto const page = service_core::query("x", 0, {})->read(
      {.headers = {{"x-ms-item-type", "Raw"}, {"x-ms-continuation", "Mg=="}}, .body = R"([{"n":1},2])"});
  ASSERT_TRUE(page.has_value());
  EXPECT_EQ(page->item_type, "Raw");
  EXPECT_EQ(page->continuation, "Mg==");
  EXPECT_EQ(page->items, (std::vector<json::value>{json::value{{"n", 1}}, 2}));

  auto const reply = service_core::invoke_method("d", {}, {.name = "x"}, {})->read(
      {.body = R"({"status":404,"payload":{"Response":"no"}})"});
  EXPECT_EQ(*reply, (iothub::method_response{.status = 404, .payload = {{"Response", "no"}}}));
  EXPECT_TRUE(service_core::delete_identity("d", {}, "*")->read({.status = 204}).has_value());
}

TEST(ServiceCore, ReadsATwin) {
  auto const twin = service_core::get_twin("d")->read(
      {.body = R"({"deviceId":"d","etag":"AAAAAAAAAAE=","version":2,"tags":{"a":1},"properties":{
        "desired":{"x":1,"$metadata":{"$lastUpdated":"2024-01-01T00:00:00Z"},"$version":3},"reported":{"$metadata":{},"$version":1}}})"});
  ASSERT_TRUE(twin.has_value()) << twin.error().message();
  EXPECT_EQ(twin->etag, "AAAAAAAAAAE=");
  EXPECT_EQ(twin->desired.properties, (json::value{{"x", 1}}));
  EXPECT_EQ(twin->desired.version, 3);
  EXPECT_TRUE(twin->reported["x"].is_null());
}

struct refusal {
  int status;
  char const* body;
  errc expected;
};

TEST(ServiceCore, TellsTheHubsRefusalsApart) {
  refusal const cases[] = {
      {404, R"({"Message":"{\"errorCode\":404103,\"trackingId\":\"t1\",\"message\":\"not online\",\"info\":{},\"timestampUtc\":\"\"}","ExceptionMessage":""})", errc::device_offline},
      {504, R"({"Message":"{\"errorCode\":504101,\"trackingId\":\"t1\",\"message\":\"no response\"}","ExceptionMessage":""})", errc::device_timeout},
      {404, R"({"Message":"ErrorCode:DeviceNotFound;gone","ExceptionMessage":"Tracking ID:t1-TimeStamp:x"})", errc::device_not_found},
      {409, R"({"Message":"ErrorCode:DeviceAlreadyExists;A device with ID 'd' is already registered.","ExceptionMessage":""})", errc::already_exists},
      {412, R"({"Message":"ErrorCode:PreconditionFailed;ETag mismatch for device ID 'd'","ExceptionMessage":""})", errc::precondition_failed},
      {401, R"({"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized","ExceptionMessage":""})", errc::unauthorized},
      {429, "", errc::throttled},
      {503, "<html>", errc::service_unavailable},
      {502, "", errc::bad_device_response},
      {500, "{}", errc::server_error},
      {302, "", errc::protocol_error},
  };
  for (auto const& c : cases) {
    auto const answer = service_core::invoke_method("d", {}, {.name = "x"}, {})->read({.status = c.status, .body = c.body});
    ASSERT_FALSE(answer.has_value()) << c.status;
    EXPECT_EQ(answer.error().code(), c.expected) << answer.error().message();
    EXPECT_EQ(answer.error().http_status(), c.status);
  }
}

TEST(ServiceCore, KeepsTheTrackingId) {
  auto const answer = service_core::get_identity("d")->read(
      {.status = 412, .body = R"({"Message":"ErrorCode:PreconditionFailed;no","ExceptionMessage":"Tracking ID:66b8-G:5-TimeStamp:01/18/2017 08:11:45"})"});
  EXPECT_EQ(answer.error().tracking_id(), "66b8-G:5-TimeStamp:01/18/2017 08:11:45");
  EXPECT_EQ(answer.error().hub_code(), 412001);
  EXPECT_EQ(answer.error().message(), "no");
}

TEST(ServiceCore, CallsAnAnswerThatItCannotReadAProtocolError) {
  for (auto const* bad : {"", "not JSON", "[]", "5", R"({"deviceId":5})"})
    EXPECT_EQ(service_core::get_identity("d")->read({.body = bad}).error().code(), errc::protocol_error) << bad;
  for (auto const* bad : {"", "{}", "[{\"deviceId\":5}]"})
    EXPECT_EQ(service_core::list_devices(1)->read({.body = bad}).error().code(), errc::protocol_error) << bad;
  EXPECT_EQ(service_core::query("x", 0, {})->read({.body = "{}"}).error().code(), errc::protocol_error);
  EXPECT_EQ(service_core::get_twin("d")->read({.body = "[]"}).error().code(), errc::protocol_error);
  EXPECT_EQ(service_core::invoke_method("d", {}, {.name = "x"}, {})->read({.body = "{}"}).error().code(),
            errc::protocol_error);
}

TEST(ServiceCore, RefusesIdsAndTagsThatAreNoneInEveryRequest) {
  json::value const patch{{"tags", {{"a", 1}}}};
  auto const wrong = [](auto const& call) { return !call.has_value() && call.error() == errc::invalid_argument; };
  for (std::string_view const id : {"", "a b", "a/b", "a\r\nX: y"}) {
    EXPECT_TRUE(wrong(service_core::create_identity(device(id)))) << id;
    EXPECT_TRUE(wrong(service_core::get_identity(id, {}))) << id;
    EXPECT_TRUE(wrong(service_core::update_identity(device(id), etag_match::any))) << id;
    EXPECT_TRUE(wrong(service_core::delete_identity(id, {}, any_etag))) << id;
    EXPECT_TRUE(wrong(service_core::list_modules(id))) << id;
    EXPECT_TRUE(wrong(service_core::get_twin(id, {}))) << id;
    EXPECT_TRUE(wrong(service_core::update_twin(id, {}, patch, any_etag))) << id;
    EXPECT_TRUE(wrong(service_core::replace_twin(id, {}, patch, any_etag))) << id;
    EXPECT_TRUE(wrong(service_core::invoke_method(id, {}, {.name = "m"}, {}))) << id;
  }
  EXPECT_TRUE(wrong(service_core::get_identity("d", "a b")));
  EXPECT_TRUE(wrong(service_core::get_twin("d", "a b")));
  for (std::string_view const tag : {"", "a b", "a\x7f", "a\"b", "\xc3\xa9", "a\n"}) {
    EXPECT_TRUE(wrong(service_core::delete_identity("d", {}, tag))) << tag;
    EXPECT_TRUE(wrong(service_core::update_twin("d", {}, patch, tag))) << tag;
    device_identity known = device("d");
    known.etag = tag;
    EXPECT_TRUE(wrong(service_core::update_identity(known, etag_match::same))) << tag;
  }
  EXPECT_TRUE(wrong(service_core::invoke_method("d", {}, {.name = "m"}, {.connect_timeout = -1s})));
  EXPECT_TRUE(wrong(service_core::invoke_method("d", {}, {.name = "m"}, {.connect_timeout = 301s})));
  EXPECT_TRUE(wrong(service_core::query("SELECT * FROM devices", 0, "a\x7f")));
  EXPECT_TRUE(wrong(service_core::query("SELECT * FROM devices", 0, "a\n")));
}

TEST(ServiceCore, AnswersOfAnyShapeAreAnErrorAtMost) {
  auto const read = [](auto const& call, int status, std::string_view text) {
    http::response answer{.status = status};
    answer.body = text;
    auto const got = call->read(std::move(answer));
    return got ? errc{} : got.error().code();
  };
  for (std::string_view const text : {"", "{", "7", "[7]", "{}", R"({"status":"x"})"}) {
    for (int const status : {100, 199, 300, 404, 500}) {
      EXPECT_NE(read(service_core::get_identity("d", {}), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::list_devices(1), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::delete_identity("d", {}, any_etag), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::get_twin("d", {}), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::query("q", 0, {}), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::get_registry_statistics(), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::get_service_statistics(), status, text), errc{}) << status << text;
      EXPECT_NE(read(service_core::invoke_method("d", {}, {.name = "m"}, {}), status, text), errc{}) << status << text;
    }
  }
  EXPECT_EQ(read(service_core::list_devices(1), 200, "{}"), errc::protocol_error);
  EXPECT_EQ(read(service_core::list_devices(1), 200, "[7]"), errc::protocol_error);
  EXPECT_EQ(read(service_core::query("q", 0, {}), 200, "{}"), errc::protocol_error);
  EXPECT_EQ(read(service_core::get_registry_statistics(), 200, "[]"), errc::protocol_error);
  EXPECT_EQ(read(service_core::get_service_statistics(), 200, "no json"), errc::protocol_error);
  EXPECT_EQ(read(service_core::invoke_method("d", {}, {.name = "m"}, {}), 200, R"({"payload":1})"), errc::protocol_error);
}

}  // namespace
