// The hub core: its interface, and the bodies of its sides.
#pragma once

#include <iothub/hub/hub_core_device.hpp>
#include <iothub/hub/hub_core_events.hpp>
#include <iothub/hub/hub_core_interface.hpp>
#include <iothub/hub/hub_core_service.hpp>
#include <iothub/hub/hub_core_time.hpp>
