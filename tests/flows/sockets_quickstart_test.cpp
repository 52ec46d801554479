// The flows of flows_quickstart.hpp, on real sockets.
#include "flow_sockets.hpp"

using flow_wirings = ::testing::Types<iothub_test::sockets>;

#include "flows_quickstart.hpp"
