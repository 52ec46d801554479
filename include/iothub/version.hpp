// The version of the library; the API versions that it speaks to the hub come with it.
#pragma once

#include <string_view>

#include <iothub/wire/api_version.hpp>

// major * 10000 + minor * 100 + patch: 0.1.0 is 100. Compare it with < and >=.
#define IOTHUB_VERSION 100

namespace iothub {
inline namespace v0 {

inline constexpr std::string_view version_text = "0.1.0";

}  // namespace v0
}  // namespace iothub
