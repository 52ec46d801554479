#include <iothub/fake_hub.hpp>
#include <iothub/iothub.hpp>

int other_file();

int other_file() {
  iothub::fake_hub hub;
  auto device = hub.connect_device("other");
  return device.send_telemetry({.body = {{"t", 1}}}) ? 204 : 500;
}
