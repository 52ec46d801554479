#include <iothub/fake_hub.hpp>
#include <iothub/iothub.hpp>

#include <iothub/amqp.hpp>

int other_file();

int other_file() {
  iothub::fake_hub hub;
  if (iothub::event_reader::from_connection_string("not one")) return 500;
  auto device = hub.connect_device("other");
  return device.send_telemetry({.body = {{"t", 1}}}) ? 204 : 500;
}
