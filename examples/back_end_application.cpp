// Calls a direct method and prints the device's answer: back_end_application [DEVICE [METHOD [PAYLOAD]]]; by default
// SetTelemetryInterval of MyCppDevice with 10. The payload is JSON. Needs IOTHUB_SERVICE_CONNECTION_STRING.
#include "environment.hpp"

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  example::usage(argc, argv, 3,
                 "back_end_application [DEVICE [METHOD [PAYLOAD]]]\n"
                 "Calls a direct method; SetTelemetryInterval of MyCppDevice with 10 unless told otherwise.\n"
                 "Needs IOTHUB_SERVICE_CONNECTION_STRING; IOTHUB_HTTPS_PORT and SSL_CERT_FILE for a hub of your own.");
  std::string const device_id = argc > 1 ? argv[1] : "MyCppDevice";
  std::string const method = argc > 2 ? argv[2] : "SetTelemetryInterval";
  auto payload = iothub::json::parse(argc > 3 ? argv[3] : "10");
  if (!payload) example::refuse("The payload is no JSON: " + std::string{payload.error().message()});

  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto service = example::service(loop);
  auto const reply = service.invoke_method(device_id, {.name = method, .payload = *payload}, {.response_timeout = 30s});
  if (reply) {
    std::printf("status %d, payload %s\n", reply->status, reply->payload.dump().c_str());
    return 0;
  }
  switch (reply.error().code()) {  // what the hub says; what the device says is in the reply
    case iothub::errc::device_not_found: return example::failed("there is no such device", reply.error());
    case iothub::errc::device_offline: return example::failed("the device is not online", reply.error());
    case iothub::errc::device_timeout: return example::failed("the device did not answer in time", reply.error());
    default: return example::failed("the call failed", reply.error());
  }
}
