// The flows of flows_twin.hpp, in virtual time.
#include "flow_world.hpp"

using flow_wirings = iothub_test::virtual_wirings;

#include "flows_twin.hpp"
