// A message as the hub core takes it: borrowed.
#pragma once

#include <string_view>
#include <vector>

#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Views into `from` and `body`; those of the application's properties are put into `properties`.
[[nodiscard]] inline d2c_message view_of(message const& from, std::string_view body,
                                         std::vector<property_view>& properties) {
  properties.clear();
  for (auto const& p : from.properties) properties.push_back({p.name, p.value, p.has_value});
  d2c_message d;
  d.body = body;
  d.properties = properties;
  d.message_id = from.message_id;
  d.correlation_id = from.correlation_id;
  d.user_id = from.user_id;
  d.content_type = from.content_type;
  d.content_encoding = from.content_encoding;
  d.to = from.to;
  d.output_name = from.output_name;
  d.component_name = from.component_name;
  d.interface_id = from.interface_id;
  d.creation_time = from.creation_time;
  d.expiry_time = from.expiry_time;
  return d;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
