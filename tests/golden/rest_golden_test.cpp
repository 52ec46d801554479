// Requests that Microsoft's service SDKs and the Azure CLI were seen to send, classified and built again.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include <iothub/wire/etag.hpp>
#include <iothub/wire/message_headers.hpp>
#include <iothub/wire/model_json.hpp>
#include <iothub/wire/rest_routes.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;

std::string text_of(json::value const& v) {
  return std::string{v.as_string().value_or("")};
}

// A recorded request as a value; its body is text, or was a file or nothing.
http::request request_of(json::value const& row) {
  std::string const line = text_of(row["request_line"]);
  split_pair const cut = split_once(line, ' ');
  http::request request{.method = std::string{cut.before},
                        .target = std::string{cut.after.substr(0, cut.after.rfind(' '))},
                        .body = text_of(row["body"])};
  for (auto const& h : row["headers"].members()) request.headers.add(std::string{h.key()}, text_of(h.value()));
  return request;
}

template <class F>
void for_each_request(F f) {
  static auto const goldens = iothub_test::load("goldens.json");
  for (auto const& row : goldens.elements()) {
    if (row.find("request_line") == nullptr) continue;
    SCOPED_TRACE(text_of(row["sdk"]) + ": " + text_of(row["request_line"]));
    f(row, request_of(row));
  }
}

// Endpoints that this library does not have yet.
bool is_for_later(std::string_view target) {
  for (auto part : {"/configurations", "/jobs", "/digitaltwins", "/files", "/uploads/", "serviceBound",
                    "/$iothub/websocket", "applyConfigurationContent", "deviceBound", "devicebound"})
    if (target.find(part) != std::string_view::npos) return true;
  return false;
}

TEST(RestGoldens, EveryRequestIsClassified) {
  std::map<route_kind, int> seen;
  for_each_request([&seen](json::value const&, http::request const& request) {
    bool const bulk = request.method == "POST" && request.target.starts_with("/devices?");
    auto const route = parse_route(request);
    if (is_for_later(request.target) || bulk) {
      EXPECT_FALSE(route);
      return;
    }
    ASSERT_TRUE(route) << route.error().message();
    EXPECT_EQ(route->api_version, "2021-04-12");
    ++seen[route->kind];
  });
  for (int kind = 0; kind <= static_cast<int>(route_kind::send_telemetry); ++kind)
    EXPECT_TRUE(seen[static_cast<route_kind>(kind)] > 0 || static_cast<route_kind>(kind) == route_kind::purge_c2d)
        << kind;
}

TEST(RestGoldens, OurTargetIsTheSameButForEscapesAndOrder) {
  int built = 0, compared = 0;
  for_each_request([&](json::value const& row, http::request const& request) {
    auto const route = parse_route(request);
    if (!route) return;
    auto const ours = make_request(*route);
    ++built;
    EXPECT_EQ(ours.method, request.method);
    EXPECT_EQ(parse_route(ours).value(), *route);
    // -node puts a / before the query of a list, and leaves ! ' ( ) * in ids as they are.
    bool const spelled_otherwise =
        request.target.find("/?") != std::string::npos || request.target.find('!') != std::string::npos;
    if (!spelled_otherwise) {
      EXPECT_EQ(ours.target, request.target) << text_of(row["action"]);
      ++compared;
    }
  });
  EXPECT_GE(built, 60);
  EXPECT_GE(compared, 50);
}

TEST(RestGoldens, EveryConditionIsRead) {
  std::map<if_match_kind, int> seen;
  for_each_request([&seen](json::value const&, http::request const& request) {
    if (!request.headers.has("If-Match")) return;
    auto const condition = read_if_match(request.headers.get("If-Match"));
    EXPECT_NE(condition.kind, if_match_kind::none) << request.headers.get("If-Match");
    ++seen[condition.kind];
  });
  EXPECT_GE(seen[if_match_kind::any], 5);
  EXPECT_GE(seen[if_match_kind::exact], 3);
}

TEST(RestGoldens, EveryIdentityBodyIsReadAndSaysTheSameInOurWords) {
  int seen = 0;
  for_each_request([&seen](json::value const&, http::request const& request) {
    auto const route = parse_route(request);
    if (!route || (route->kind != route_kind::put_device && route->kind != route_kind::put_module)) return;
    auto const document = json::parse(request.body).value();
    auto const identity = identity_from_json(document).value();
    EXPECT_EQ(identity.device_id, route->device_id);
    EXPECT_EQ(identity.module_id, route->module_id);
    auto const again = identity_from_json(identity_request(identity)).value();
    auto wanted = identity;
    wanted.etag = again.etag;  // ours goes into If-Match alone
    EXPECT_EQ(again, wanted);
    ++seen;
  });
  EXPECT_GE(seen, 10);
}

// azure-iot-sdk-python writes the document that we write, but for white space.
TEST(RestGoldens, OurIdentityBodyIsPythons) {
  int compared = 0;
  for_each_request([&compared](json::value const& row, http::request const& request) {
    auto const route = parse_route(request);
    if (!route || route->kind != route_kind::put_device || !text_of(row["sdk"]).starts_with("python")) return;
    auto theirs = json::parse(request.body).value();
    theirs.erase("etag");
    EXPECT_EQ(identity_request(identity_from_json(theirs).value()), theirs);
    ++compared;
  });
  EXPECT_GE(compared, 4);
}

TEST(RestGoldens, EveryMethodCallIsReadAndOursSaysTheSame) {
  int seen = 0;
  for_each_request([&seen](json::value const&, http::request const& request) {
    auto const route = parse_route(request);
    if (!route || route->kind != route_kind::invoke_method) return;
    auto document = json::parse(request.body).value();
    auto const call = method_call_from_json(document);
    if (!call) {
      EXPECT_EQ(call.error(), errc::invalid_argument);  // a time-out outside its range, sent on purpose
      return;
    }
    if (document.find("connectTimeoutInSeconds") == nullptr) document.set("connectTimeoutInSeconds", 0);
    if (document.find("responseTimeoutInSeconds") == nullptr) document.set("responseTimeoutInSeconds", 30);
    if (document.find("payload") == nullptr) document.set("payload", nullptr);
    EXPECT_EQ(to_json(*call), document);
    ++seen;
  });
  EXPECT_GE(seen, 5);
}

TEST(RestGoldens, TelemetryHeadersBecomeAMessage) {
  int seen = 0;
  for_each_request([&seen](json::value const&, http::request const& request) {
    auto const route = parse_route(request);
    if (!route || route->kind != route_kind::send_telemetry) return;
    message const m = read_message_headers(request.headers);
    EXPECT_EQ(m.to, "/devices/" + route->device_id + "/messages/events");
    http::headers ours;
    append_message_headers(ours, m).value();
    for (auto const& h : ours) EXPECT_EQ(request.headers.get(h.name), h.value);
    for (auto const& h : request.headers)
      if (istarts_with(h.name, "iothub-")) {
        EXPECT_EQ(ours.get(h.name), h.value);
      }
    ++seen;
  });
  EXPECT_GE(seen, 4);
}

}  // namespace
