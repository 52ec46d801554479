// twin_patch_builder alone: a patch is built and checked against the hub's rules before it is sent anywhere. Then the
// same patch goes to the fake hub, and to the hub that IOTHUB_DEVICE_CONNECTION_STRING names, if it is set.
#include "environment.hpp"

#include <cstdio>
#include <iothub/fake_hub.hpp>

namespace {

// Any client reports it; gives the exit status.
template <class DeviceClient>
int report(char const* where, DeviceClient& device, iothub::json::value const& patch) {
  auto const version = device.update_reported_properties(patch);
  if (!version) return example::failed(where, version.error());
  auto const twin = device.get_twin();
  if (!twin) return example::failed(where, twin.error());
  std::printf("%-9s version %lld: %s\n", where, static_cast<long long>(*version), twin->reported.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  example::usage(argc, argv, 0,
                 "standalone_twin_patch_builder\n"
                 "Needs nothing; with IOTHUB_DEVICE_CONNECTION_STRING it also patches the twin of that device.");
  // Alone: dots lead into nested objects; whatever breaks a rule of the hub is named before anything is sent.
  auto const patch = iothub::twin_patch_builder{}
                         .set("firmware.version", "1.2.3")
                         .set("battery", 0.87)
                         .remove("firmware.lastError")
                         .build()
                         .value();
  std::printf("alone     %s\n", patch.dump().c_str());
  auto const bad = iothub::twin_patch_builder{}.set("name with blanks", 1).build();
  if (bad) return 1;
  std::printf("alone     refused: %s\n", std::string{bad.error().message()}.c_str());

  // With the fake hub.
  iothub::fake_hub hub;
  auto device = hub.connect_device("sensor");
  if (int const status = report("fake hub", device, patch); status != 0) return status;
  if (hub.get_twin("sensor").reported["firmware"]["version"] != "1.2.3") return 1;

  // With the real transport.
  if (!example::is_set("IOTHUB_DEVICE_CONNECTION_STRING")) return 0;
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto real = example::device(loop);
  if (auto connected = real.connect(); !connected)
    return loop.stopped() ? 0 : example::failed("cannot connect", connected.error());
  return report("real hub", real, patch);
}
