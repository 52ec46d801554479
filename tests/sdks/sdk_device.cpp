// A device on this library, for run.py, over WebSocket when WEBSOCKET is set: one JSON object per line on stdout, as node_device.js and python_device.py.
#include "../../examples/environment.hpp"

#include <chrono>

using iothub::json::value;
using iothub::method_request, iothub::method_response;

namespace {

void say(value const& event) {
  std::puts(event.dump().c_str());
  std::fflush(stdout);
}
value outcome(bool good, iothub::error const* why) { return good ? value{} : value{why->message()}; }

template <class Device>
int run(iothub::net::epoll_loop& loop, Device device) {
  std::chrono::seconds interval{1};
  auto const reboot_time = iothub::parse_int<int>(std::getenv("REBOOT_SECONDS")).value_or(20);

  device.on_method("SetTelemetryInterval", [&](method_request const& request) -> method_response {
    say({{"event", "method"}, {"name", request.name}, {"payload", request.payload}});
    auto const seconds = request.payload.as_int();
    if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
    interval = std::chrono::seconds{*seconds};
    return {.payload = {{"Response", "Executed direct method SetTelemetryInterval"}}};
  });
  device.on_method("rebootDevice", [&](method_request const& request, iothub::responder respond) {
    say({{"event", "method"}, {"name", request.name}, {"payload", request.payload}});
    device.after(std::chrono::seconds{reboot_time}, [&device, respond = std::move(respond)]() mutable {
      auto const reported = device.update_reported_properties({{"rebootTime", iothub::to_iso8601(device.utc_now())}});
      say({{"event", "reported"}, {"error", outcome(reported.has_value(), reported ? nullptr : &reported.error())}});
      respond({.payload = {{"Response", "This is the response from the device"}}});
    });
  });
  std::optional<iothub::responder> unanswered;
  device.on_method("noAnswer", [&](method_request const& request, iothub::responder respond) {
    say({{"event", "method"}, {"name", request.name}});
    unanswered = std::move(respond);
  });
  device.on_desired([](value const& patch, std::int64_t version) {
    value shown = patch;
    shown.set("$version", version);
    say({{"event", "desired"}, {"patch", std::move(shown)}});
  });
  device.on_message([](iothub::c2d_message const& message) {
    say({{"event", "c2d"}, {"body", message.content.body.bytes()}, {"id", message.content.message_id}});
  });

  if (auto connected = device.connect(); !connected) {
    say({{"event", "failed"}, {"error", connected.error().message()}});
    return 1;
  }
  say({{"event", "ready"}});
  while (!loop.stopped()) {
    auto const sent = device.send_telemetry({.body = {{"temperature", 21.5}}, .properties = {{"temperatureAlert", "false"}}});
    say({{"event", "sent"}, {"error", outcome(sent.has_value(), sent ? nullptr : &sent.error())}});
    device.run_for(interval);
  }
  return 0;
}

}  // namespace

int main() {
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const signals{loop};
  if (!example::is_set("WEBSOCKET")) return run(loop, example::device(loop));
  auto device = iothub::websocket_device_client::from_connection_string(
      loop, example::connection_string("IOTHUB_DEVICE_CONNECTION_STRING"), example::device_options());
  if (!device) example::refuse(device.error().message());
  return run(loop, std::move(*device));
}
