// Memory runs out at each allocation of what a device does, of its hub and of all between them.
#include <iothub/hub_amqp_wirings.hpp>

#include "device_flows.hpp"

namespace iothub_test {

struct wiring_names {
  template <class Wiring>
  static std::string GetName(int) {
    return std::is_same_v<Wiring, wiring::direct> ? "direct" : std::is_same_v<Wiring, wiring::pipe> ? "pipe" : "amqp";
  }
};
using unsecured_wirings = ::testing::Types<wiring::direct, wiring::pipe, wiring::amqp_pipe>;
INSTANTIATE_TYPED_TEST_SUITE_P(Plain, DeviceWithoutMemory, unsecured_wirings, wiring_names);

}  // namespace iothub_test
