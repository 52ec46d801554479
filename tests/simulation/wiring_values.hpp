// Devices and back ends whose packets and requests go to the hub as values.
#pragma once

#include <memory>
#include <string>

#include <iothub/fwd.hpp>

#include "stage.hpp"

namespace iothub {
inline namespace v0 {
class simulation;
}
}  // namespace iothub

namespace iothub_test {

std::unique_ptr<any_device> make_value_device(iothub::simulation& sim, std::string const& id,
                                              iothub::device_options const& options);
std::unique_ptr<any_service> make_value_service(iothub::simulation& sim);

}  // namespace iothub_test
