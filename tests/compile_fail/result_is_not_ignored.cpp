// expect: nodiscard
#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};

using client = iothub::basic_device_client<bundle&, iothub::loop_clock, iothub::seeded_crypto>;
void send(client& device) {
#ifdef FIXED
  device.send_telemetry({.body = "x"}).value();
#else
  device.send_telemetry({.body = "x"});
#endif
}
