// Every flow with a device that speaks MQTT in WebSocket frames over pipes, in virtual time.
#include <iothub/hub_websocket_wirings.hpp>

#include "flow_world.hpp"

namespace iothub_test {

struct websocket_pipe : wiring::websocket_pipe {
  static constexpr char const* name = "websocket_pipe";
};

}  // namespace iothub_test

using flow_wirings = ::testing::Types<iothub_test::websocket_pipe>;

#include "flows_c2d.hpp"
#include "flows_handlers.hpp"
#include "flows_quickstart.hpp"
#include "flows_reconnect.hpp"
#include "flows_telemetry.hpp"
#include "flows_twin.hpp"
#include "flows_twin_limits.hpp"
