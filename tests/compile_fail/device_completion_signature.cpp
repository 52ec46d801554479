// expect: the completion of async_x is called as void(iothub::result<T>), where result<T> is what x gives
#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};
using client = iothub::basic_device_client<bundle&, iothub::loop_clock, iothub::seeded_crypto>;

void use(client& device) {
#ifdef FIXED
  device.async_connect([](iothub::result<void>) {});
#else
  device.async_connect([](int) {});
#endif
}
