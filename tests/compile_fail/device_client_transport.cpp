// expect: wrap an MQTT transport in over_mqtt<M> and an HTTP transport in over_https<H>
#include <iothub/crypto/seeded.hpp>
#include <iothub/device/mqtt_dialect.hpp>
#include <iothub/device_client.hpp>

// A transport alone is no bundle.
struct my_mqtt {
  iothub::result<void> open(iothub::endpoint const&, iothub::mqtt::connect const&, iothub::time_point);
  iothub::result<std::uint16_t> publish(iothub::mqtt::publish const&, iothub::time_point);
  iothub::result<std::uint16_t> subscribe(std::span<iothub::mqtt::subscription const>, iothub::time_point);
  iothub::result<std::uint16_t> unsubscribe(std::span<std::string_view const>, iothub::time_point);
  void acknowledge(std::uint16_t, iothub::time_point);
  void abandon(std::uint16_t);
  void close(iothub::mqtt::close_mode, iothub::time_point);
  void step(iothub::time_point);
  iothub::mqtt::client_event const* next_event();
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};

#ifdef FIXED
using transport = iothub::over_mqtt<my_mqtt>;
#else
using transport = my_mqtt;
#endif

using client = iothub::basic_device_client<transport, iothub::loop_clock, iothub::seeded_crypto>;
bool works(client& device) { return device.connect().has_value(); }
