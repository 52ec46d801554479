// The flows of flows_quickstart.hpp, in virtual time.
#include "flow_world.hpp"

using flow_wirings = iothub_test::virtual_wirings;

#include "flows_quickstart.hpp"
