// Control packets to bytes and back.
#pragma once

#include <iothub/mqtt/decode.hpp>
#include <iothub/mqtt/encode.hpp>
