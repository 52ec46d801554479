#include "wiring_values.hpp"

#include <iothub/simulation.hpp>

#include "wiring.hpp"
#include "wiring_service.hpp"

namespace iothub_test {

std::unique_ptr<any_device> make_value_device(iothub::simulation& sim, std::string const& id,
                                              iothub::device_options const& options) {
  return std::make_unique<device_of<iothub::simulation::value_device_client>>(sim.make_value_device(id, options));
}
std::unique_ptr<any_service> make_value_service(iothub::simulation& sim) {
  return std::make_unique<service_of<iothub::simulation::value_service_client>>(sim.connect_value_service());
}

}  // namespace iothub_test
