// The wirings of flow_world.hpp with a device that speaks AMQP.
#pragma once

#include <iothub/hub_amqp_wirings.hpp>

#include "flow_world.hpp"

namespace iothub_test {

struct amqp_pipe : wiring::amqp_pipe {
  static constexpr bool speaks_amqp = true;
  static constexpr char const* name = "amqp_pipe";
};
struct amqp_pipe_tls : wiring::amqp_pipe_tls {
  static constexpr bool speaks_amqp = true;
  static constexpr char const* name = "amqp_pipe_tls";
};

}  // namespace iothub_test
