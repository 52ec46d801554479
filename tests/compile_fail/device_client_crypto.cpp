// expect: basic_device_client: Crypto must offer signing_key, prepare(), sign() and fill_random()
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};
struct my_crypto {
  struct signing_key {};
  iothub::result<signing_key> prepare(std::string_view);
  iothub::result<iothub::digest256> sign(signing_key&, std::string_view);
#ifdef FIXED
  iothub::result<void> fill_random(iothub::byte_span);
#endif
};

using client = iothub::basic_device_client<bundle&, iothub::loop_clock, my_crypto>;
bool works(client& device) { return device.connect().has_value(); }
