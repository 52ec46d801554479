// The same as device_allocation_test.cpp with TLS in the pipes, where nothing may be thrown through OpenSSL's frames, and
// in WebSocket frames behind an HTTP upgrade.
#include <iothub/hub_websocket_wirings.hpp>

#include "device_flows.hpp"

namespace iothub_test {

struct layer_names {
  template <class Wiring>
  static std::string GetName(int) {
    return std::is_same_v<Wiring, wiring::pipe_tls> ? "tls" : "websocket";
  }
};
using layered_wirings = ::testing::Types<wiring::pipe_tls, wiring::websocket_pipe>;
INSTANTIATE_TYPED_TEST_SUITE_P(Layered, DeviceWithoutMemory, layered_wirings, layer_names);

}  // namespace iothub_test
