// expect: on_desired: the handler is called as void(json::value const& properties, std::int64_t version)
#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};
using client = iothub::basic_device_client<bundle&, iothub::loop_clock, iothub::seeded_crypto>;

void use(client& device) {
#ifdef FIXED
  device.on_desired([](iothub::json::value const&, std::int64_t) {});
#else
  device.on_desired([](iothub::json::value const&) {});
#endif
}
