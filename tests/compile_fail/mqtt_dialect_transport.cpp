// expect: mqtt_dialect<M>: M is no MQTT transport; see iothub/policy/mqtt_transport.hpp for what it must offer
#include <iothub/device/mqtt_dialect.hpp>

struct my_mqtt {
  iothub::result<void> open(iothub::endpoint const&, iothub::mqtt::connect const&, iothub::time_point);
  iothub::result<std::uint16_t> publish(iothub::mqtt::publish const&, iothub::time_point);
  iothub::result<std::uint16_t> subscribe(std::span<iothub::mqtt::subscription const>, iothub::time_point);
  iothub::result<std::uint16_t> unsubscribe(std::span<std::string_view const>, iothub::time_point);
  void acknowledge(std::uint16_t, iothub::time_point);
#ifdef FIXED
  void abandon(std::uint16_t);
#endif
  void close(iothub::mqtt::close_mode, iothub::time_point);
  void step(iothub::time_point);
  iothub::mqtt::client_event const* next_event();
  iothub::time_point deadline() const;
  void attach(iothub::loop&, iothub::participant&);
};

iothub::dialect& speak(iothub::mqtt_dialect<my_mqtt>& dialect) { return dialect; }
std::size_t size() { return sizeof(iothub::mqtt_dialect<my_mqtt>); }
