#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/model_json.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using json::value;

value parsed(std::string_view text) {
  return json::parse(text).value();
}

device_identity new_device() {
  device_identity d{.device_id = "dev1", .generation_id = "637345907161634714", .etag = "MjQxNzkxMTk4"};
  d.authentication = {.primary_key = "K1", .secondary_key = "K2"};
  return d;
}

// Shape and order of recorded answers of the service.
TEST(IdentityJson, CreateAnswersWithoutZAndWithParentScopes) {
  EXPECT_EQ(
      to_json(new_device(), identity_form::created).dump(),
      R"({"deviceId":"dev1","generationId":"637345907161634714","etag":"MjQxNzkxMTk4","connectionState":"Disconnected",)"
      R"("status":"enabled","statusReason":null,"connectionStateUpdatedTime":"0001-01-01T00:00:00",)"
      R"("statusUpdatedTime":"0001-01-01T00:00:00","lastActivityTime":"0001-01-01T00:00:00",)"
      R"("cloudToDeviceMessageCount":0,"authentication":{"symmetricKey":{"primaryKey":"K1","secondaryKey":"K2"},)"
      R"("x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},)"
      R"("capabilities":{"iotEdge":false},"parentScopes":[]})");
}

TEST(IdentityJson, LaterAnswersHaveZAndTrimmedFractions) {
  device_identity d = new_device();
  d.status = identity_status::disabled;
  d.status_reason = "broken";
  d.status_updated_time = parse_iso8601("2020-08-20T22:05:30.785061Z").value();
  d.connection_state = connection_state::connected;
  auto const out = to_json(d);
  EXPECT_EQ(out["connectionStateUpdatedTime"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(out["statusUpdatedTime"], "2020-08-20T22:05:30.785061Z");
  EXPECT_EQ(out["statusReason"], "broken");
  EXPECT_EQ(out["status"], "disabled");
  EXPECT_EQ(out["connectionState"], "Connected");
  EXPECT_EQ(out.find("parentScopes"), nullptr);
  EXPECT_EQ(identity_from_json(out).value(), d);
}

TEST(IdentityJson, RoundTripsEveryAuthenticationAndScope) {
  device_identity d = new_device();
  d.authentication = {
      .type = authentication_type::self_signed, .primary_thumbprint = "AA", .secondary_thumbprint = "BB"};
  d.iot_edge = true;
  d.device_scope = "ms-azure-iot-edge://dev1-1";
  d.parent_scopes = {"a", "b"};
  d.cloud_to_device_message_count = 3;
  for (auto form : {identity_form::created, identity_form::stored})
    EXPECT_EQ(identity_from_json(to_json(d, form)).value(), d);
  d.authentication = {.type = authentication_type::certificate_authority};
  EXPECT_EQ(identity_from_json(to_json(d)).value(), d);
}

TEST(IdentityJson, ModulesHaveTheirOwnFields) {
  device_identity m = new_device();
  m.module_id = "m1";
  auto const out = to_json(m, identity_form::created);
  EXPECT_EQ(out.dump().substr(0, 55), R"({"moduleId":"m1","managedBy":null,"deviceId":"dev1","ge)");
  for (auto absent : {"status", "statusReason", "statusUpdatedTime", "capabilities", "parentScopes"})
    EXPECT_EQ(out.find(absent), nullptr) << absent;
  EXPECT_EQ(identity_from_json(out).value(), m);
}

TEST(IdentityJson, RequestHoldsOnlyWhatABackEndMaySet) {
  EXPECT_EQ(
      identity_request(new_device()).dump(),
      R"({"deviceId":"dev1","status":"enabled","authentication":{"symmetricKey":{"primaryKey":"K1","secondaryKey":"K2"},)"
      R"("type":"sas"},"capabilities":{"iotEdge":false}})");
  device_identity m{.device_id = "d", .module_id = "m", .managed_by = "me"};
  EXPECT_EQ(identity_request(m).dump(),
            R"({"deviceId":"d","moduleId":"m","managedBy":"me",)"
            R"("authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""},"type":"sas"}})");
}

TEST(IdentityJson, InfersTheTypeAsTheServiceDoes) {
  EXPECT_EQ(identity_from_json(parsed(R"({"deviceId":"d"})")).value().authentication.type, authentication_type::sas);
  EXPECT_EQ(identity_from_json(parsed(R"({"authentication":{"x509Thumbprint":{"primaryThumbprint":"AA"}}})"))
                .value()
                .authentication.type,
            authentication_type::self_signed);
}

TEST(IdentityJson, NamesTheMemberOfAWrongKind) {
  for (auto bad : {R"({"deviceId":5})", R"({"status":"on"})", R"({"lastActivityTime":"yesterday"})",
                   R"({"cloudToDeviceMessageCount":-1})", R"({"capabilities":{"iotEdge":"yes"}})",
                   R"({"authentication":{"type":"magic"}})", R"({"authentication":{"symmetricKey":{"primaryKey":1}}})",
                   R"({"authentication":5})", R"({"parentScopes":[1]})", R"([])"})
    EXPECT_EQ(identity_from_json(parsed(bad)).error(), errc::malformed) << bad;
  EXPECT_EQ(identity_from_json(parsed(R"({"deviceId":5})")).error().message(),
            "JSON: deviceId is not what it should be");
}

TEST(StatisticsJson, RoundTrip) {
  registry_statistics const r{5, 4, 1};
  EXPECT_EQ(to_json(r).dump(), R"({"totalDeviceCount":5,"enabledDeviceCount":4,"disabledDeviceCount":1})");
  EXPECT_EQ(registry_statistics_from_json(to_json(r)).value(), r);
  service_statistics const s{2};
  EXPECT_EQ(service_statistics_from_json(to_json(s)).value(), s);
  EXPECT_EQ(service_statistics_from_json(parsed(R"({"connectedDeviceCount":"x"})")).error(), errc::malformed);
}

twin sample() {
  twin t{.device_id = "d1", .etag = "AAAAAAAAAAE=", .device_etag = "MQ==", .version = 2};
  t.desired.properties = {{"x", {{"y", 1}}}};
  t.desired.metadata = {{"$lastUpdated", "2022-06-01T22:27:50.2612586Z"}, {"$lastUpdatedVersion", 6}};
  t.desired.version = 6;
  return t;
}

TEST(TwinJson, HasTheServicesOrder) {
  EXPECT_EQ(to_json(sample()).dump(),
            R"({"deviceId":"d1","etag":"AAAAAAAAAAE=","deviceEtag":"MQ==","status":"enabled",)"
            R"("statusUpdateTime":"0001-01-01T00:00:00Z","connectionState":"Disconnected",)"
            R"("lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,"authenticationType":"sas",)"
            R"("x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"version":2,)"
            R"("properties":{"desired":{"x":{"y":1},"$metadata":{"$lastUpdated":"2022-06-01T22:27:50.2612586Z",)"
            R"("$lastUpdatedVersion":6},"$version":6},"reported":{"$metadata":{},"$version":1}},)"
            R"("capabilities":{"iotEdge":false}})");
}

TEST(TwinJson, RoundTripsEveryField) {
  twin t = sample();
  t.module_id = "m1";
  t.status_reason = "why";
  t.model_id = "dtmi:a;1";
  t.tags = {{"building", 43}};
  t.primary_thumbprint = "AA";
  t.reported.properties = {{"rebootTime", "2024"}};
  auto const document = to_json(t);
  EXPECT_EQ(document.find("capabilities"), nullptr);
  EXPECT_EQ(to_json(twin_from_json(document).value()), document);
  EXPECT_EQ(twin_from_json(document).value().reported["rebootTime"], "2024");
}

TEST(TwinJson, RefusesWrongKinds) {
  for (auto bad : {R"([])", R"({"tags":5})", R"({"properties":5})", R"({"properties":{"desired":5}})",
                   R"({"properties":{"desired":{"$version":"x"}}})", R"({"version":1.5})", R"({"x509Thumbprint":[]})"})
    EXPECT_EQ(twin_from_json(parsed(bad)).error(), errc::malformed) << bad;
}

TEST(DeviceTwinJson, HasVersionsAndNoMetadata) {
  device_twin t;
  t.desired.properties = {{"a", 1}};
  t.desired.version = 3;
  EXPECT_EQ(to_json(t).dump(), R"({"desired":{"a":1,"$version":3},"reported":{"$version":1}})");
  auto const back = device_twin_from_json(to_json(t)).value();
  EXPECT_EQ(back.desired, t.desired);
  EXPECT_EQ(back.reported, t.reported);
  EXPECT_EQ(device_twin_from_json(parsed("{}")).value().desired.version, 0);
}

TEST(MethodJson, WritesAndReadsACall) {
  method_call const call{{"SetTelemetryInterval", 10}, {10s, 5s}};
  EXPECT_EQ(to_json(call).dump(), R"({"methodName":"SetTelemetryInterval","payload":10,"responseTimeoutInSeconds":10,)"
                                  R"("connectTimeoutInSeconds":5})");
  auto const back = method_call_from_json(to_json(call)).value();
  EXPECT_EQ(back.request.name, "SetTelemetryInterval");
  EXPECT_EQ(back.request.payload, 10);
  EXPECT_EQ(back.options.response_timeout, 10s);
  auto const small = method_call_from_json(parsed(R"({"methodName":"x","responseTimeoutInSeconds":null})")).value();
  EXPECT_EQ(small.options.response_timeout, 30s);
  EXPECT_EQ(small.options.connect_timeout, 0s);
  EXPECT_TRUE(small.request.payload.is_null());
}

TEST(MethodJson, KeepsTimeoutsInTheirRanges) {
  auto const call = [](std::string const& member) {
    return method_call_from_json(parsed(R"({"methodName":"x",)" + member + "}"));
  };
  for (auto good : {R"("responseTimeoutInSeconds":5)", R"("responseTimeoutInSeconds":300)",
                    R"("connectTimeoutInSeconds":0)", R"("connectTimeoutInSeconds":300)"})
    EXPECT_TRUE(call(good)) << good;
  EXPECT_EQ(call(R"("responseTimeoutInSeconds":4)").error().message(),
            "responseTimeoutInSeconds must be within [5; 300].");
  for (auto bad :
       {R"("responseTimeoutInSeconds":301)", R"("connectTimeoutInSeconds":-1)", R"("connectTimeoutInSeconds":301)"})
    EXPECT_EQ(call(bad).error(), errc::invalid_argument) << bad;
  EXPECT_EQ(call(R"("responseTimeoutInSeconds":"5")").error(), errc::malformed);
  EXPECT_EQ(method_call_from_json(parsed("{}")).error(), errc::malformed);
}

TEST(MethodJson, WritesAndReadsAResponse) {
  method_response const r{404, {{"Response", "x"}}};
  EXPECT_EQ(to_json(r).dump(), R"({"status":404,"payload":{"Response":"x"}})");
  EXPECT_EQ(method_response_from_json(to_json(r)).value(), r);
  EXPECT_EQ(method_response_from_json(parsed(R"({"status":99999999999})")).error(), errc::malformed);
}

TEST(ServiceTime, TrimsZeros) {
  EXPECT_EQ(to_service_time(from_unix_seconds(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(to_service_time(from_unix_seconds(0) + 500ms), "1970-01-01T00:00:00.5Z");
  EXPECT_EQ(to_service_time(no_time, iso8601_zone::none), "0001-01-01T00:00:00");
}

}  // namespace
