// Dotted lookup, as in twin queries: properties.reported.rebootTime.
#pragma once

#include <string_view>

#include <iothub/json/dom.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

// The value that `path` names, one member name between dots; nullptr where a step leads nowhere. An empty path is the
// document itself. Names that contain a dot cannot be reached this way.
[[nodiscard]] inline value const* find_path(value const& document, std::string_view path) noexcept {
  value const* at = &document;
  while (at != nullptr && !path.empty()) {
    std::size_t const dot = path.find('.');
    at = at->find(path.substr(0, dot));
    if (dot != std::string_view::npos && dot + 1 == path.size()) return nullptr;  // a trailing dot names nothing
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return at;
}

}  // namespace json
}  // namespace v0
}  // namespace iothub
