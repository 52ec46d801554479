// Our requests against what azure-iothub (Node) and azure-iot-hub (Python) were seen to send.
//
// Compared: method, path, parameters, and the headers If-Match, Content-Type and x-ms-*; the JSON body by value, without
// what the clients add or leave out by taste: our identities always carry status, type and capabilities, Node's
// update also the ETag, and methods always carry both time-outs.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/service/service_core.hpp>

#include "test_data.hpp"

namespace {

using iothub::device_identity;
using iothub::service_core;
namespace http = iothub::http;
namespace json = iothub::json;

// Path and parameters, percent-decoded; a slash before the question mark is the same path (Node writes one).
std::string normal_target(std::string_view target) {
  std::string decoded = *iothub::percent_decode(target.substr(0, target.find('?')));
  if (decoded.ends_with('/')) decoded.pop_back();
  std::vector<std::string> parameters;
  iothub::splitter all{target.substr(target.find('?') + 1), '&'};
  for (std::string_view one; all.next(one);) parameters.emplace_back(one);
  std::sort(parameters.begin(), parameters.end());
  for (auto const& p : parameters) decoded += " " + p;
  return decoded;
}

std::string head(std::string_view method, std::string_view target, http::headers const& fields) {
  std::string out = std::string{method} + " " + normal_target(target);
  for (auto const* name : {"If-Match", "Content-Type", "x-ms-continuation", "x-ms-max-item-count"})
    if (fields.has(name)) out.append("\n").append(name).append(": ").append(fields.get(name));
  return out;
}

struct golden {
  std::string sdk, head;
  json::value body;
};

std::vector<golden> load_goldens() {
  std::vector<golden> found;
  auto const all = iothub_test::load("goldens.json");
  for (auto const& entry : all.elements()) {
    auto const line = entry["request_line"].as_string();
    auto const sdk = entry["sdk"].as_string().value_or("");
    if (!line || (sdk != "node azure-iothub" && sdk != "python azure-iot-hub")) continue;
    http::headers fields;
    for (auto const& h : entry["headers"].members()) fields.add(std::string{h.key()}, std::string{*h.value().as_string()});
    auto const method = line->substr(0, line->find(' '));
    auto const target = line->substr(method.size() + 1, line->rfind(' ') - method.size() - 1);
    auto const body = json::parse(entry["body"].as_string().value_or(""));
    found.push_back({std::string{sdk}, head(method, target, fields), body ? *body : json::value{}});
  }
  return found;
}

// Every member of the golden body that says something must be in ours with the same value.
bool covers(json::value const& ours, json::value const& golden) {
  if (!golden.is_object()) return ours == golden || golden == "<KEY>";
  for (auto const& m : golden.members())
    if (m.key() != "etag" && !covers(ours[m.key()], m.value())) return false;
  return true;
}

template <class T>
void expect_golden(iothub::result<iothub::service_call<T>> const& call, int at_least = 1) {
  ASSERT_TRUE(call.has_value()) << call.error().message();
  static std::vector<golden> const goldens = load_goldens();
  std::string const ours = head(call->request.method, call->request.target, call->request.headers);
  json::value const body = call->request.body.empty() ? json::value{} : *json::parse(call->request.body);
  int matches = 0;
  for (auto const& g : goldens) matches += g.head == ours && covers(body, g.body);
  EXPECT_GE(matches, at_least) << ours << "\n\n" << call->request.body;
}

device_identity device(std::string_view id) {
  device_identity d;
  d.device_id = id;
  return d;
}

TEST(ServiceGoldens, CreateIdentitiesAsNodeAndPythonDo) {
  expect_golden(service_core::create_identity(device("svc-dev-1")));
  expect_golden(service_core::create_identity(device("a-:.+%_#*?!(),=@;$'z")));
  device_identity edge = device("edge1");
  edge.status = iothub::identity_status::disabled;
  edge.iot_edge = true;
  expect_golden(service_core::create_identity(edge));
  device_identity x509 = device("x1");
  x509.authentication = {.type = iothub::authentication_type::self_signed,
                         .primary_thumbprint = std::string(40, 'A'),
                         .secondary_thumbprint = std::string(40, 'B')};
  expect_golden(service_core::create_identity(x509));
  device_identity ca = device("xca");
  ca.authentication.type = iothub::authentication_type::certificate_authority;
  expect_golden(service_core::create_identity(ca));
  expect_golden(service_core::create_identity(device("pysvc")));
  expect_golden(service_core::create_identity({.device_id = "edge1", .module_id = "m1", .managed_by = "me"}));
}

TEST(ServiceGoldens, ReadUpdateAndDeleteIdentitiesAsNodeAndPythonDo) {
  expect_golden(service_core::get_identity("edge1"));
  expect_golden(service_core::get_identity("a-:.+%_#*?!(),=@;$'z"));
  expect_golden(service_core::get_identity("edge1", "m1"));
  expect_golden(service_core::list_devices(5));
  expect_golden(service_core::list_modules("edge1"));
  device_identity changed = device("edge1");
  changed.etag = "MTIz";
  expect_golden(service_core::update_identity(changed, iothub::etag_match::any), 2);
  device_identity pysvc = device("pysvc");
  pysvc.etag = "NzM1ODg0MzE=";
  pysvc.status = iothub::identity_status::disabled;
  pysvc.iot_edge = true;
  expect_golden(service_core::update_identity(pysvc, iothub::etag_match::same));
  expect_golden(service_core::delete_identity("edge1", {}, iothub::any_etag));
  expect_golden(service_core::delete_identity("pyx", {}, "MTIz"));
  expect_golden(service_core::delete_identity("edge1", "m1", iothub::any_etag));
  expect_golden(service_core::get_registry_statistics());
}

TEST(ServiceGoldens, ReadAndChangeTwinsAsNodeAndPythonDo) {
  expect_golden(service_core::get_twin("edge1"));
  expect_golden(service_core::get_twin("edge1", "m1"));
  expect_golden(service_core::update_twin(
      "edge1", {}, {{"tags", {{"a", "1"}}}, {"properties", {{"desired", {{"x", {{"y", nullptr}, {"z", 1}}}}}}}}, "*"));
  expect_golden(service_core::update_twin("edge1", {}, {{"tags", {{"a", nullptr}}}}, "AAAAAAAAAAI="));
  expect_golden(service_core::update_twin("edge1", "m1", {{"tags", {{"q", 1}}}}, "*"));
  expect_golden(service_core::replace_twin("pysvc", {}, {{"tags", {{"a", 1}}}}, "*"));
}

TEST(ServiceGoldens, InvokeMethodsAsNodeAndPythonDo) {
  using std::chrono::seconds;
  expect_golden(service_core::invoke_method("edge1", {}, {.name = "SetTelemetryInterval", .payload = 10}, {}));
  expect_golden(service_core::invoke_method("edge1", {}, {.name = "reboot"}, {.connect_timeout = seconds{5}}));
  expect_golden(service_core::invoke_method("edge1", "m1", {.name = "reboot", .payload = json::value::make_object()}, {}));
  expect_golden(service_core::invoke_method("pydev", {}, {.name = "SetTelemetryInterval", .payload = {{"v", 10}}},
                                            {.response_timeout = seconds{10}, .connect_timeout = seconds{5}}));
}

TEST(ServiceGoldens, QueryAsNodeAndPythonDo) {
  expect_golden(service_core::query("SELECT * FROM devices", 2, {}), 2);
  expect_golden(service_core::query("SELECT * FROM devices", 2, "Mg=="), 2);
  expect_golden(service_core::query("SELECT * FROM devices", 0, {}));
}

}  // namespace
