// Every flow with a device that speaks AMQP over pipes, in virtual time.
#include "flow_amqp.hpp"

using flow_wirings = ::testing::Types<iothub_test::amqp_pipe>;

#include "flows_c2d.hpp"
#include "flows_handlers.hpp"
#include "flows_quickstart.hpp"
#include "flows_reconnect.hpp"
#include "flows_telemetry.hpp"
#include "flows_twin.hpp"
#include "flows_twin_limits.hpp"
