// A simulated device: sends telemetry every second and takes the direct method SetTelemetryInterval, whose payload is a
// whole number of seconds. Needs IOTHUB_DEVICE_CONNECTION_STRING.
#include "environment.hpp"

#include <chrono>
#include <cstdio>
#include <random>

using namespace std::chrono_literals;
using iothub::method_request, iothub::method_response;

int main(int argc, char** argv) {
  example::usage(argc, argv, 0,
                 "simulated_device\n"
                 "Sends telemetry and takes the direct method SetTelemetryInterval.\n"
                 "Needs IOTHUB_DEVICE_CONNECTION_STRING; IOTHUB_MQTT_PORT and SSL_CERT_FILE for a hub of your own.");
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto device = example::device(loop);
  std::chrono::seconds interval = 1s;

  device.on_method("SetTelemetryInterval", [&](method_request const& request) -> method_response {
    auto const seconds = request.payload.as_int();
    if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
    interval = std::chrono::seconds{*seconds};
    std::printf("telemetry interval is now %lld s\n", static_cast<long long>(*seconds));
    return {.status = 200, .payload = {{"Response", "Executed direct method SetTelemetryInterval"}}};
  });
  device.on_unknown_method([](method_request const& request) -> method_response {
    return {.status = 404, .payload = {{"Response", "Direct method " + request.name + " not defined"}}};
  });
  device.on_connection_change([](iothub::connection_status status, iothub::connection_reason reason) {
    std::printf("connection: %s (%s)\n", std::string{to_string(status)}.c_str(), std::string{to_string(reason)}.c_str());
  });

  if (auto connected = device.connect(); !connected) {
    return loop.stopped() ? 0 : example::failed("cannot connect", connected.error());
  }
  std::mt19937 random{std::random_device{}()};
  std::uniform_real_distribution<double> noise{0.0, 15.0};
  while (!loop.stopped()) {
    double const temperature = 20 + noise(random);
    iothub::message message{.body = {{"temperature", temperature}, {"humidity", 60 + noise(random)}},
                            .properties = {{"temperatureAlert", temperature > 30 ? "true" : "false"}}};
    std::printf("sending %s\n", std::string{message.body.bytes()}.c_str());
    device.async_send_telemetry(std::move(message), [](iothub::result<void> outcome) {
      std::printf("%s\n", outcome ? "confirmed" : std::string{outcome.error().message()}.c_str());
    });
    // Wait out the interval, also one that is changed meanwhile.
    auto const sent_at = device.now();
    device.run_until([&] { return device.now() >= iothub::add(sent_at, interval); }, iothub::add(sent_at, interval));
  }
  return 0;
}
