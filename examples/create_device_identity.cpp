// Registers a device and prints every field of its identity: create_device_identity [DEVICE], MyCppDevice by default.
// Needs IOTHUB_SERVICE_CONNECTION_STRING.
#include "environment.hpp"

#include <cstdio>

namespace {

void row(char const* name, std::string_view value) {
  std::printf("%-28s %.*s\n", name, static_cast<int>(value.size()), value.data());
}
std::string when(iothub::utc_time time) { return time == iothub::no_time ? "never" : iothub::to_iso8601(time); }

}  // namespace

int main(int argc, char** argv) {
  example::usage(argc, argv, 1,
                 "create_device_identity [DEVICE]\n"
                 "Registers a device, MyCppDevice unless told otherwise, and prints its identity.\n"
                 "Needs IOTHUB_SERVICE_CONNECTION_STRING; IOTHUB_HTTPS_PORT and SSL_CERT_FILE for a hub of your own.");
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto service = example::service(loop);
  char const* const device_id = argc > 1 ? argv[1] : "MyCppDevice";

  auto const created = service.create_device(device_id);
  if (!created && created.error() == iothub::errc::already_exists) {
    std::fprintf(stderr, "%s already exists: nothing was changed\n", device_id);
    return 1;
  }
  if (!created) return example::failed("cannot register the device", created.error());

  iothub::device_identity const& d = *created;
  row("deviceId", d.device_id);
  row("primary key", d.authentication.primary_key);
  row("secondary key", d.authentication.secondary_key);
  row("generationId", d.generation_id);
  row("etag", d.etag);
  row("connectionState", d.connection_state == iothub::connection_state::connected ? "Connected" : "Disconnected");
  row("connectionStateUpdatedTime", when(d.connection_state_updated_time));
  row("status", d.status == iothub::identity_status::enabled ? "enabled" : "disabled");
  row("statusReason", d.status_reason.empty() ? "none" : d.status_reason);
  row("statusUpdatedTime", when(d.status_updated_time));
  row("lastActivityTime", when(d.last_activity_time));
  row("cloudToDeviceMessageCount", std::to_string(d.cloud_to_device_message_count));
  row("authentication type", iothub::to_string(d.authentication.type));
  row("capabilities", d.iot_edge ? "iotEdge: true" : "iotEdge: false");
  return 0;
}
