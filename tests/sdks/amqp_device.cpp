// A device on this library over AMQP, for run_amqp.py: does and prints what amqp_device.js does and prints.
#include <chrono>
#include <cstdio>
#include <string>

#include <poll.h>
#include <unistd.h>

#include <iothub/device_client_amqp.hpp>

#include "../../examples/environment.hpp"

using iothub::json::value;
using namespace std::chrono_literals;

namespace {

void print(value const& event) {
  std::puts(event.dump().c_str());
  std::fflush(stdout);
}
int failed(iothub::error const& why) {
  print({{"event", "error"}, {"name", to_string(why.code())}, {"message", why.message()}});
  return 1;
}
bool input_ended() {
  ::pollfd watched{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return ::poll(&watched, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}
value with_version(value properties, std::int64_t version) {
  properties.set("$version", version);
  return properties;
}

}  // namespace

int main() {
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const signals{loop};
  auto made = iothub::amqp_device_client::from_connection_string(
      loop, example::connection_string("IOTHUB_DEVICE_CONNECTION_STRING"), example::device_options());
  if (!made) example::refuse(made.error().message());
  auto& device = *made;
  std::string const how = example::is_set("SETTLE") ? std::getenv("SETTLE") : "complete";

  device.on_connection_change([&](iothub::connection_status status, iothub::connection_reason) {
    if (status == iothub::connection_status::retrying)
      print({{"event", "disconnect"}, {"message", device.last_connection_error()->message()}});
  });
  device.on_message([&](iothub::c2d_message const& m) {
    auto properties = value::make_array();
    for (auto const& p : m.content.properties) properties.push_back({{"key", p.name}, {"value", p.value}});
    print({{"event", "message"},
           {"body", m.content.body.bytes()},
           {"messageId", m.content.message_id},
           {"to", m.content.to},
           {"ack", to_string(m.ack)},
           {"properties", std::move(properties)}});
    device.after(0s, [&] { print({{"event", "settled"}, {"how", how}}); });
    return how == "reject"    ? iothub::settlement::reject
           : how == "abandon" ? iothub::settlement::abandon
                              : iothub::settlement::accept;
  });
  device.on_method("echo", [](iothub::method_request const& request) -> iothub::method_response {
    print({{"event", "method"}, {"payload", request.payload}});
    return {.payload = {{"echoed", request.payload}}};
  });
  device.on_desired([](value const& patch, std::int64_t version) {
    print({{"event", "desired"}, {"patch", with_version(patch, version)}});
  });

  if (auto connected = device.connect(); !connected) return failed(connected.error());
  auto sent = device.send_telemetry({.body = {{"temperature", 21.5}},
                                     .properties = {{"alert", "no"}},
                                     .message_id = "telemetry-1",
                                     .content_type = "application/json",
                                     .content_encoding = "utf-8"});
  if (!sent) return failed(sent.error());
  print({{"event", "sent"}});
  auto twin = device.get_twin();
  if (!twin) return failed(twin.error());
  print({{"event", "twin"}, {"desired", with_version(twin->desired.properties, twin->desired.version)}});
  if (auto reported = device.update_reported_properties({{"firmware", "1.2"}}); !reported)
    return failed(reported.error());
  print({{"event", "ready"}});
  while (!loop.stopped() && !input_ended()) device.run_for(50ms);
  device.close();
  print({{"event", "done"}});
  return 0;
}
