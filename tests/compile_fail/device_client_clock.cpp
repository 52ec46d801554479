// expect: basic_device_client: Clock must offer `time_point now() const` and `utc_time utc_now() const`
#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>

struct bundle {
  iothub::dialect& device_dialect();
  static std::uint16_t port(iothub::device_options const&);
};
struct my_clock {
  iothub::time_point now() const;
#ifdef FIXED
  iothub::utc_time utc_now() const;
#endif
};

using client = iothub::basic_device_client<bundle&, my_clock, iothub::seeded_crypto>;
bool works(client& device) { return device.connect().has_value(); }
