// Telemetry whose outcome is known: each message ends exactly once, as confirmed, timed out or failed. Bodies are text
// and bytes in turn. Needs IOTHUB_DEVICE_CONNECTION_STRING; `confirmed_telemetry 20` sends 20 messages, default is no end.
#include "environment.hpp"

#include <chrono>
#include <cstdio>
#include <random>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  example::usage(argc, argv, 1,
                 "confirmed_telemetry [COUNT]\n"
                 "Sends COUNT messages, one a second, and says how each of them ended; 0 or nothing: no end.\n"
                 "Needs IOTHUB_DEVICE_CONNECTION_STRING; IOTHUB_MQTT_PORT and SSL_CERT_FILE for a hub of your own.");
  auto const count = iothub::parse_int<long>(argc > 1 ? argv[1] : "0");
  if (!count || *count < 0) example::refuse("The argument is a number of messages, 0 for no end.");
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto device = example::device(loop);
  if (auto connected = device.connect(); !connected) {
    return loop.stopped() ? 0 : example::failed("cannot connect", connected.error());
  }

  std::mt19937 random{std::random_device{}()};
  std::uniform_real_distribution<double> wind{10.0, 14.0};
  long ended = 0;
  for (long n = 1; !loop.stopped() && (*count == 0 || n <= *count); ++n) {
    std::string const number = std::to_string(n);
    std::string const body = iothub::json::value{{"deviceId", device.device_id()}, {"windSpeed", wind(random)}}.dump();
    bool const as_text = n % 2 == 1;
    iothub::message message{.body = as_text ? iothub::message_body{body.c_str()} : iothub::message_body{std::string_view{body}},
                            .properties = {{"Property", "PropMsg_" + number}},
                            .message_id = "message_" + number,
                            .correlation_id = "correlation_" + number};
    if (as_text) message.content_type = "application/json", message.content_encoding = "utf-8";
    device.async_send_telemetry(std::move(message), [&device, &ended, number, as_text](iothub::result<void> outcome) {
      // A timeout means that the outcome is unknown: the hub may have the message, and sending it again may double it.
      char const* const what = outcome                                          ? "confirmed"
                               : outcome.error() == iothub::errc::timeout       ? "timed out"
                                                                                : "failed";
      std::printf("message_%s correlation_%s Property=PropMsg_%s (%s): %s, %ld so far, %s\n", number.c_str(), number.c_str(),
                  number.c_str(), as_text ? "text" : "bytes", what, ++ended, device.is_busy() ? "busy sending" : "idle");
    });
    device.run_for(1s);
  }
  device.run_until([&] { return !device.is_busy(); });  // each of them ends, at the latest by its time-out
  return 0;
}
