// A message as the hub core takes it: borrowed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/types.hpp>
#include <iothub/wire/message_properties.hpp>

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

namespace detail {

struct view_property {
  std::string_view key;                        // behind the "$."
  std::string_view d2c_message::*field;        // nullptr: known, and not the sender's to say
};
inline constexpr view_property view_properties[] = {{"on", &d2c_message::output_name},
                                                    {"mid", &d2c_message::message_id},
                                                    {"cid", &d2c_message::correlation_id},
                                                    {"uid", &d2c_message::user_id},
                                                    {"to", &d2c_message::to},
                                                    {"ct", &d2c_message::content_type},
                                                    {"ce", &d2c_message::content_encoding},
                                                    {"ifid", &d2c_message::interface_id},
                                                    {"sub", &d2c_message::component_name},
                                                    {"cdid", nullptr},
                                                    {"cmid", nullptr}};

// As wire/message_properties.hpp does it with a message of its own.
inline bool take_property(property_view p, d2c_message& into, std::vector<property_view>& properties) {
  if (p.name.starts_with("$.")) {
    std::string_view const key = p.name.substr(2);
    for (auto const& known : view_properties) {
      if (known.key != key) continue;
      if (known.field == nullptr) return true;
      std::string_view& field = into.*known.field;
      if (!field.empty()) return false;
      field = p.value;
      return true;
    }
    if (key == "exp" || key == "ctime") {
      auto& field = key == "exp" ? into.expiry_time : into.creation_time;
      if (field) return false;
      if (auto const time = parse_iso8601(p.value)) {
        field = *time;
        return true;
      }
    }
  }
  for (auto const& other : properties)
    if (other.name == p.name) return false;
  properties.push_back(p);
  return true;
}

}  // namespace detail

// The same from a property bag, which is decoded into `memory`.
[[nodiscard]] inline result<d2c_message> view_of_bag(std::string_view bag, std::string_view body,
                                                     std::vector<property_view>& properties, std::string& memory) {
  properties.clear();
  d2c_message d;
  d.body = body;
  std::string_view const core = iothub::detail::bag_core(bag);
  if (memory.size() < core.size()) memory.resize(core.size());
  auto const take = [&](std::string_view name, std::string_view value, bool has_value) {
    return detail::take_property({name, value, has_value}, d, properties);
  };
  if (auto read = iothub::detail::read_bag(core, memory.data(), {}, take); !read) return std::move(read).error();
  d.properties = properties;
  return d;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
