// The flows of flows_reconnect.hpp, on real sockets.
#include "flow_sockets.hpp"

using flow_wirings = ::testing::Types<iothub_test::sockets>;

#include "flows_reconnect.hpp"
