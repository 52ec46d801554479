// Every flow with a device that speaks AMQP over TLS, on real sockets.
#include <iothub/device_client_amqp.hpp>

#include "flow_sockets.hpp"

namespace iothub_test {

struct amqp_sockets {
  static constexpr char const* name = "amqp_sockets";
};
template <>
class world<amqp_sockets> final : public sockets_world<iothub::amqp_device_client, true> {
 public:
  using sockets_world::sockets_world;
};

}  // namespace iothub_test

using flow_wirings = ::testing::Types<iothub_test::amqp_sockets>;

#include "flows_c2d.hpp"
#include "flows_handlers.hpp"
#include "flows_quickstart.hpp"
#include "flows_reconnect.hpp"
#include "flows_telemetry.hpp"
#include "flows_twin.hpp"
#include "flows_twin_limits.hpp"
