// expect: on_message: the handler is called as void(c2d_message const&), or as settlement(c2d_message const&)
#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};
using client = iothub::basic_device_client<bundle&, iothub::loop_clock, iothub::seeded_crypto>;

void use(client& device) {
#ifdef FIXED
  device.on_message([](iothub::c2d_message const&) {});
#else
  device.on_message([](iothub::c2d_message const&) { return true; });
#endif
}
