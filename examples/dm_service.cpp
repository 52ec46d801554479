// Device management, back end: calls rebootDevice, reads the twin every 5 s until the device has reported rebootTime, and
// finds which devices rebooted since: dm_service [DEVICE], MyCppDevice by default. Needs IOTHUB_SERVICE_CONNECTION_STRING.
#include "environment.hpp"

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

int main(int argc, char** argv) {
  example::usage(argc, argv, 1,
                 "dm_service [DEVICE]\n"
                 "Reboots a device, MyCppDevice unless told otherwise, and waits until it says that it did.\n"
                 "Needs IOTHUB_SERVICE_CONNECTION_STRING; IOTHUB_HTTPS_PORT and SSL_CERT_FILE for a hub of your own.");
  std::string const device_id = argc > 1 ? argv[1] : "MyCppDevice";
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto service = example::service(loop);
  auto const since = iothub::to_iso8601(loop.utc_now());

  // The payload is a JSON string, as the original sample sends it.
  auto const reply = service.invoke_method(
      device_id, {.name = "rebootDevice", .payload = "{\"method_number\":\"42\"}"}, {.response_timeout = 60s});
  if (!reply) return example::failed("cannot reboot the device", reply.error());
  std::printf("status %d, payload %s\n", reply->status, reply->payload.dump().c_str());

  for (std::string reported; !loop.stopped();) {
    auto const twin = service.get_twin(device_id);
    if (!twin) return example::failed("cannot read the twin", twin.error());
    reported = twin->reported["rebootTime"].as_string().value_or("");
    if (reported >= since) {
      std::printf("rebootTime %s\n", reported.c_str());
      break;
    }
    std::puts("no rebootTime yet");
    (void)loop.run_for(5s);
  }
  for (auto& row : service.query("SELECT deviceId, properties.reported.rebootTime FROM devices "
                                 "WHERE properties.reported.rebootTime >= '" + since + "'")) {
    if (!row) return example::failed("the query failed", row.error());
    std::printf("rebooted since %s: %s\n", since.c_str(), row->dump().c_str());
  }
  return 0;
}
