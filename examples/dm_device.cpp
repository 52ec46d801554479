// Device management, device side: takes the direct method rebootDevice, "reboots" for 20 s, reports the property
// rebootTime and answers then. Needs IOTHUB_DEVICE_CONNECTION_STRING; `dm_device 2` reboots in 2 s.
#include "environment.hpp"

#include <chrono>
#include <cstdio>
#include <memory>

using iothub::method_request, iothub::method_response;

int main(int argc, char** argv) {
  example::usage(argc, argv, 1,
                 "dm_device [SECONDS]\n"
                 "Takes the direct method rebootDevice; a reboot takes SECONDS, 20 unless told otherwise.\n"
                 "Needs IOTHUB_DEVICE_CONNECTION_STRING; IOTHUB_MQTT_PORT and SSL_CERT_FILE for a hub of your own.");
  auto const seconds = iothub::parse_int<int>(argc > 1 ? argv[1] : "20");
  if (!seconds || *seconds < 0) example::refuse("The argument is how many seconds a reboot takes.");
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto device = example::device(loop);

  // The handler keeps the responder and answers later; other calls and messages are handled meanwhile.
  device.on_method("rebootDevice", [&](method_request const& request, iothub::responder respond) {
    std::printf("rebooting, payload %s\n", request.payload.dump().c_str());
    device.after(std::chrono::seconds{*seconds}, [&device, respond = std::move(respond)]() mutable {
      auto const time = iothub::to_iso8601(device.utc_now());
      device.async_update_reported_properties({{"rebootTime", time}},
                                              [time, respond = std::move(respond)](auto reported) mutable {
        std::printf("rebooted at %s, %s\n", time.c_str(), reported ? "reported" : "not reported");
        respond({.status = 200, .payload = {{"Response", "This is the response from the device"}}});
      });
    });
  });
  device.on_unknown_method([](method_request const& request) -> method_response {
    return {.status = 404, .payload = {{"Response", "Direct method " + request.name + " not defined"}}};
  });

  if (auto connected = device.connect(); !connected) {
    return loop.stopped() ? 0 : example::failed("cannot connect", connected.error());
  }
  std::puts("waiting for rebootDevice; Ctrl-C ends");
  device.run_until([] { return false; });
  return 0;
}
