// The IoT Hub quickstart in one process and in virtual time: the hub, a device and a back end, with the code that they
// would run against Azure. Nothing sleeps; the times printed are the hub's. Ends with "quickstart: OK".
#include <iothub/fake_hub.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace std::chrono_literals;
using iothub::method_request, iothub::method_response;

namespace {

iothub::fake_hub* the_hub = nullptr;

// One line of the story, with the virtual time.
void say(char const* who, std::string const& what) {
  std::printf("%s  %-8s  %s\n", iothub::to_iso8601(the_hub->utc_now()).substr(11, 12).c_str(), who, what.c_str());
}
void expect(bool condition, char const* what) {
  if (condition) return;
  std::printf("quickstart: FAILED: %s\n", what);
  std::exit(1);
}
std::string text(std::string_view view) { return std::string{view}; }

// The thermostat of the quickstart: one reading per interval, and three direct methods.
template <class DeviceClient>
class thermostat {
 public:
  explicit thermostat(DeviceClient& device) : device_{device} {
    device.on_method("SetTelemetryInterval", [this](method_request const& request) { return set_interval(request); });
    device.on_method("rebootDevice", [this](method_request const& request, iothub::responder respond) {
      reboot(request, std::move(respond));
    });
    device.on_method("neverAnswers", [this](method_request const&, iothub::responder respond) { kept_ = std::move(respond); });
    device.on_unknown_method([](method_request const& request) -> method_response {
      return {.status = 404, .payload = {{"Response", "Direct method " + request.name + " not defined"}}};
    });
    device.on_desired([](iothub::json::value const& patch, std::int64_t version) {
      say("device", "desired properties, version " + std::to_string(version) + ": " + patch.dump());
    });
    device.on_message([](iothub::c2d_message const& message) {
      say("device", "message from the cloud: " + text(message.content.body.bytes()) + " (accepted)");
    });
    send();
  }

 private:
  method_response set_interval(method_request const& request) {
    auto const seconds = request.payload.as_int();
    if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
    interval_ = std::chrono::seconds{*seconds};
    say("device", "sends every " + std::to_string(*seconds) + " s from now on");
    device_.cancel_timer(timer_);
    timer_ = device_.after(interval_, [this] { send(); });
    return {.status = 200, .payload = {{"Response", "Executed direct method SetTelemetryInterval"}}};
  }

  void reboot(method_request const& request, iothub::responder respond) {
    say("device", "reboots, payload " + request.payload.dump());
    device_.after(20s, [this, respond = std::move(respond)]() mutable {
      device_.update_reported_properties({{"rebootTime", iothub::to_iso8601(device_.utc_now())}}).value();
      respond({.status = 200, .payload = {{"Response", "This is the response from the device"}}});
    });
  }

  void send() {
    double const temperature = 20 + static_cast<double>(++count_ * 7 % 15);
    device_.async_send_telemetry({.body = {{"temperature", temperature}, {"humidity", 60 + count_ % 20}},
                                  .properties = {{"temperatureAlert", temperature > 30 ? "true" : "false"}}},
                                 [](iothub::result<void> outcome) { expect(outcome.has_value(), "telemetry was not confirmed"); });
    timer_ = device_.after(interval_, [this] { send(); });
  }

  DeviceClient& device_;
  std::chrono::seconds interval_ = 1s;
  iothub::timer_id timer_ = {};
  iothub::responder kept_;
  int count_ = 0;
};

std::string describe(iothub::result<method_response> const& reply) {
  if (!reply) return text(to_string(reply.error().code())) + ": " + text(reply.error().message());
  return std::to_string(reply->status) + " " + reply->payload.dump();
}

}  // namespace

int main(int argc, char**) {
  if (argc > 1) {
    std::puts("quickstart: tells the quickstart of IoT Hub in virtual time; takes no arguments and needs no hub");
    return 0;
  }
  iothub::fake_hub hub;
  the_hub = &hub;
  auto service = hub.connect_service();

  say("back end", "1. registers MyCppDevice");
  auto const identity = service.create_device("MyCppDevice").value();
  say("hub", "made generation " + identity.generation_id + " and two keys");
  auto const again = service.create_device("MyCppDevice");
  expect(!again && again.error() == iothub::errc::already_exists, "a second registration was not refused");
  say("hub", "a second time: " + text(again.error().message()));

  say("back end", "2. sets a desired property");
  service.update_twin("MyCppDevice", {{"properties", {{"desired", {{"telemetryUnit", "C"}}}}}}).value();

  auto device = hub.connect_device("MyCppDevice");
  say("device", "3. is connected and sends every second");
  thermostat logic{device};
  hub.send_c2d("MyCppDevice", {.body = "hello, device"});
  hub.run_for(5s);
  auto const before = hub.events().size();
  say("hub", "has " + std::to_string(before) + " telemetry messages; the last: " + text(hub.events().back().content.body.bytes()) +
                 " temperatureAlert=" + *hub.events().back().content.find("temperatureAlert"));

  say("back end", "4. calls SetTelemetryInterval with 10");
  auto const changed = service.invoke_method("MyCppDevice", {.name = "SetTelemetryInterval", .payload = 10});
  say("back end", "gets " + describe(changed));
  expect(changed && changed->status == 200, "SetTelemetryInterval");
  auto const at_change = hub.events().size();
  hub.run_for(60s);
  say("hub", std::to_string(hub.events().size() - at_change) + " messages in the next 60 s");
  expect(hub.events().size() - at_change == 6, "the interval did not change");
  say("back end", "with \"soon\" gets " + describe(service.invoke_method("MyCppDevice", {.name = "SetTelemetryInterval", .payload = "soon"})));
  say("back end", "an unknown method gets " + describe(service.invoke_method("MyCppDevice", {.name = "Dance"})));
  auto const nobody = service.invoke_method("Nobody", {.name = "Dance"});
  expect(!nobody && nobody.error() == iothub::errc::device_not_found, "a device that does not exist");
  say("back end", "a device that does not exist: " + describe(nobody));
  service.create_device("Away").value();
  auto const offline = service.invoke_method("Away", {.name = "Dance"});
  expect(!offline && offline.error() == iothub::errc::device_offline, "a device that is offline");
  say("back end", "a device that is not online: " + describe(offline));

  auto const silent = service.invoke_method("MyCppDevice", {.name = "neverAnswers"}, {.response_timeout = 5s});
  expect(!silent && silent.error() == iothub::errc::device_timeout, "a device that does not answer");
  say("back end", "a device that does not answer: " + describe(silent));

  say("device", "5. sends a message and waits for its confirmation");
  device.send_telemetry({.body = {{"deviceId", "MyCppDevice"}, {"windSpeed", 12.5}},
                         .properties = {{"Property", "PropMsg_1"}},
                         .message_id = "message_1",
                         .correlation_id = "correlation_1"}).value();
  say("device", std::string{"message_1 confirmed, "} + (device.is_busy() ? "busy sending" : "idle"));

  say("back end", "6. calls rebootDevice");
  auto const since = iothub::to_iso8601(hub.utc_now());
  auto const rebooted = service.invoke_method("MyCppDevice", {.name = "rebootDevice", .payload = "{\"method_number\":\"42\"}"});
  say("back end", "gets " + describe(rebooted));
  expect(rebooted && rebooted->status == 200, "rebootDevice");
  say("back end", "reads rebootTime " + service.get_twin("MyCppDevice").value().reported["rebootTime"].dump());
  int found = 0;
  for (auto& row : service.query("SELECT deviceId FROM devices WHERE properties.reported.rebootTime > '" + since + "'")) {
    say("back end", "rebooted since " + since + ": " + row.value()["deviceId"].dump());
    ++found;
  }
  expect(found == 1, "the query for rebooted devices");

  say("device", "7. disconnects; the back end changes its mind twice meanwhile");
  device.close();
  service.update_twin("MyCppDevice", {{"properties", {{"desired", {{"telemetryUnit", nullptr}}}}}}).value();
  service.update_twin("MyCppDevice", {{"properties", {{"desired", {{"telemetryUnit", "F"}}}}}}).value();
  hub.send_c2d("MyCppDevice", {.body = "sent while you were away"});
  device.connect().value();
  hub.run_for(1s);
  auto const twin = service.get_twin("MyCppDevice").value();
  say("back end", "desired " + twin.desired.dump() + " is at version " + std::to_string(twin.desired.version));
  expect(service.get_device("MyCppDevice").value().cloud_to_device_message_count == 0, "a message was not accepted");
  say("back end", "8. deletes both devices");
  service.delete_device("MyCppDevice").value();
  service.delete_device("Away").value();
  std::puts("quickstart: OK");
  return 0;
}
