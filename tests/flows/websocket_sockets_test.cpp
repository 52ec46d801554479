// Flows with a device that speaks MQTT in WebSocket frames over TLS, on real sockets.
#include "flow_sockets.hpp"

namespace iothub_test {

struct websocket_sockets {
  static constexpr char const* name = "websocket_sockets";
};
template <>
class world<websocket_sockets> final : public sockets_world<iothub::websocket_device_client, false> {
 public:
  using sockets_world::sockets_world;
};

}  // namespace iothub_test

using flow_wirings = ::testing::Types<iothub_test::websocket_sockets>;

#include "flows_quickstart.hpp"
#include "flows_reconnect.hpp"
#include "flows_telemetry.hpp"
