#include <gtest/gtest.h>

#include <set>
#include <string>

#include <iothub/wire/status_map.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

TEST(StatusMap, KnowsCodesByNameAndNumber) {
  EXPECT_EQ(hub_code_name(404001), "DeviceNotFound");
  EXPECT_EQ(hub_code_of("DeviceNotOnline"), 404103);
  EXPECT_EQ(hub_code_name(1), "");
  EXPECT_EQ(hub_code_of("Nonsense"), 0);
  std::set<int> codes;
  std::set<std::string_view> names;
  for (auto const& row : detail::hub_codes) {
    EXPECT_TRUE(codes.insert(row.code).second) << row.code;
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.code / 1000 >= 400 && row.code / 1000 < 600);
  }
}

TEST(StatusMap, TellsTheErrorsThatCallersBranchOn) {
  for (auto [code, wanted] : {std::pair{403002, errc::quota_exceeded},
                              {403004, errc::queue_full},
                              {403012, errc::device_disabled},
                              {404001, errc::device_not_found},
                              {404002, errc::job_not_found},
                              {404010, errc::module_not_found},
                              {404103, errc::device_offline},
                              {404102, errc::device_offline},
                              {404104, errc::device_offline},
                              {409001, errc::already_exists},
                              {409301, errc::already_exists},
                              {412001, errc::precondition_failed},
                              {412002, errc::lock_lost},
                              {413001, errc::too_large},
                              {429001, errc::throttled},
                              {500001, errc::server_error},
                              {502000, errc::bad_device_response},
                              {503005, errc::service_unavailable},
                              {504101, errc::device_timeout},
                              {401003, errc::unauthorized},
                              {400004, errc::bad_request},
                              {400024, errc::timeout},
                              {404999, errc::not_found},
                              {403999, errc::forbidden},
                              {599999, errc::server_error}})
    EXPECT_EQ(errc_of_hub_code(code), wanted) << code;
}

TEST(StatusMap, EveryErrcOfAHubHasACodeThatLeadsBack) {
  for (auto const& row : detail::errc_rows) {
    EXPECT_EQ(row.hub_code / 1000, row.status) << to_string(row.code);
    EXPECT_NE(hub_code_name(row.hub_code), "") << to_string(row.code);
    bool const told_apart = row.code != errc::invalid_argument && row.code != errc::malformed;
    EXPECT_EQ(errc_of_hub_code(row.hub_code), told_apart ? row.code : errc::bad_request) << to_string(row.code);
  }
  EXPECT_EQ(http_status_of(errc::stalled), 500);
  EXPECT_EQ(hub_code_of(errc::stalled), 0);
}

TEST(StatusMap, FallsBackToTheStatus) {
  EXPECT_EQ(errc_of_http_status(408), errc::timeout);
  EXPECT_EQ(errc_of_http_status(405), errc::unsupported);
  EXPECT_EQ(errc_of_http_status(418), errc::bad_request);
  EXPECT_EQ(errc_of_http_status(302), errc::protocol_error);
}

hub_error const offline{.code = 404103,
                        .message = "not \"here\"",
                        .tracking_id = "aa76",
                        .time = from_unix_seconds(1710410089) + 653656us,
                        .info = {{"timeout", "00:00:00"}}};

TEST(ErrorBody, PrintsTheThreeFormsOfTheService) {
  EXPECT_EQ(print_error_body(offline, error_form::text),
            R"({"Message":"ErrorCode:DeviceNotOnline;not \"here\"",)"
            R"("ExceptionMessage":"Tracking ID:aa76-G:0-TimeStamp:03/14/2024 09:54:49"})");
  EXPECT_EQ(print_error_body(offline, error_form::json),
            R"({"Message":"{\"errorCode\":404103,\"trackingId\":\"aa76-TimeStamp:03/14/2024 09:54:49\",)"
            R"(\"message\":\"not \\\"here\\\"\",\"info\":{\"timeout\":\"00:00:00\"},)"
            R"(\"timestampUtc\":\"2024-03-14T09:54:49.6536560Z\"}","ExceptionMessage":""})");
  EXPECT_EQ(print_error_body(offline, error_form::bare_json),
            R"({"errorCode":404103,"trackingId":"aa76-TimeStamp:03/14/2024 09:54:49","message":"not \"here\"",)"
            R"("timestampUtc":"2024-03-14T09:54:49.6536560Z"})");
}

TEST(ErrorBody, TheHeaderAgreesWithTheBody) {
  auto const answer = make_error_response(offline, error_form::text);
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.headers.get("iothub-errorcode"), "DeviceNotOnline");
  EXPECT_EQ(answer.headers.get("content-type"), "application/json; charset=utf-8");
}

TEST(ErrorBody, ReadsItsOwnInEveryForm) {
  for (auto form : {error_form::text, error_form::json, error_form::bare_json}) {
    auto const e = read_error_response(make_error_response(offline, form));
    EXPECT_EQ(e, errc::device_offline);
    EXPECT_EQ(e.message(), "not \"here\"");
    EXPECT_EQ(e.hub_code(), 404103);
    EXPECT_EQ(e.http_status(), 404);
    EXPECT_TRUE(e.tracking_id().starts_with("aa76")) << e.tracking_id();
  }
}

// Bodies as they were seen at the real service, from public issue reports; the ids are changed.
TEST(ErrorBody, ReadsWhatTheServiceSent) {
  auto const exists = read_error_body(
      409,
      R"({"Message":"ErrorCode:DeviceAlreadyExists;A device with ID 'tpm_device' is already registered.",)"
      R"("ExceptionMessage":"Tracking ID:0000-G:5-TimeStamp:08/20/2020 22:05:30"})",
      "DeviceAlreadyExists");
  EXPECT_EQ(exists, errc::already_exists);
  EXPECT_EQ(exists.message(), "A device with ID 'tpm_device' is already registered.");
  EXPECT_EQ(exists.tracking_id(), "0000-G:5-TimeStamp:08/20/2020 22:05:30");
  auto const timeout = read_error_body(
      504, R"({"Message":"{\"errorCode\":504101,\"trackingId\":\"x\",\"message\":\"Timed out waiting for the response)"
           R"( from device.\",\"info\":{},\"timestampUtc\":\"2020-01-01T00:00:00Z\"}","ExceptionMessage":""})");
  EXPECT_EQ(timeout, errc::device_timeout);
  EXPECT_EQ(timeout.message(), "Timed out waiting for the response from device.");
}

TEST(ErrorBody, UsesHeaderOrStatusWhenTheBodySaysNothing) {
  EXPECT_EQ(read_error_body(404, "", "ModuleNotFound"), errc::module_not_found);
  EXPECT_EQ(read_error_body(404, "", "ModuleNotFound").message(), "the hub answered with status 404, ModuleNotFound");
  EXPECT_EQ(read_error_body(503, "<html>").message(), "the hub answered with status 503");
  EXPECT_EQ(read_error_body(503, "<html>"), errc::service_unavailable);
  EXPECT_EQ(read_error_body(500, R"({"Message":5})"), errc::server_error);
  EXPECT_EQ(read_error_body(400, R"([1])"), errc::bad_request);
  EXPECT_EQ(read_error_body(400, R"({"Message":"plain words"})").message(), "plain words");
  EXPECT_EQ(read_error_body(400, R"({"Message":"{broken"})").message(), "{broken");
  EXPECT_EQ(read_error_body(404, R"({"errorCode":"404001"})"), errc::device_not_found);
  EXPECT_EQ(read_error_body(404, R"({"errorCode":"DeviceNotFound"})"), errc::device_not_found);
  EXPECT_EQ(read_error_body(404, R"({"errorCode":true})"), errc::not_found);
}

}  // namespace
