// The whole library, as an application uses it: device_client, async_send_telemetry, the epoll loop.
#include <iothub/iothub.hpp>

#include "publish_bench.hpp"

namespace publish_bench {

void run_ours(plan const& p, stopwatch& watch) {
  iothub::device_options options;
  options.ca_file = p.ca_file;
  options.mqtt_port = static_cast<std::uint16_t>(p.port);
  auto device = iothub::device_client::from_connection_string(p.connection_string, options);
  if (!device) give_up("ours", std::string{device.error().message()});
  if (auto connected = device->connect(); !connected) give_up("ours", std::string{connected.error().message()});

  progress work{p, watch};
  struct {
    iothub::device_client& device;
    plan const& p;
    progress& work;
    void fill_window() {
      while (work.may_send()) {
        work.sent();
        device.async_send_telemetry({.body = p.payload}, [this](iothub::result<void> outcome) {
          if (!outcome) give_up("ours", std::string{outcome.error().message()});
          work.confirmed();
          fill_window();
        });
      }
    }
  } sender{*device, p, work};
  sender.fill_window();
  if (!device->run_until([&] { return work.done(); })) give_up("ours", "the loop ended early");
}

}  // namespace publish_bench
