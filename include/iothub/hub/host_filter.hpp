// Which Host a served hub answers to. A web page that its own server rebinds to the loopback address reaches the port,
// but its browser still sends the page's own name in Host: refusing names that are not the hub's stops it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Names compare without case; any port is fine, and no Host at all is not. "*.example" stands for one label and more
// before ".example".
class host_filter {
 public:
  // Lets everything pass.
  host_filter() = default;
  explicit host_filter(std::vector<std::string> allowed) : allowed_{std::move(allowed)}, active_{true} {}

  // `host` is the value of a Host field (RFC 9110 section 7.2): a name or an address, [brackets] around one with
  // colons, perhaps a port.
  [[nodiscard]] bool allows(std::string_view host) const noexcept;

 private:
  std::vector<std::string> allowed_;
  bool active_ = false;
};

// The host without its port and brackets; empty where it is none. A port is digits (RFC 3986 section 3.2.3).
[[nodiscard]] constexpr std::string_view host_without_port(std::string_view host) noexcept {
  bool const bracketed = !host.empty() && host.front() == '[';
  auto const closing = bracketed ? host.find(']') : 0;
  if (closing == std::string_view::npos) return {};
  auto const end = bracketed ? closing + 1 : host.find(':');
  if (end < host.size() &&
      (host[end] != ':' || host.find_first_not_of("0123456789", end + 1) != std::string_view::npos))
    return {};
  return bracketed ? host.substr(1, closing - 1) : host.substr(0, end);
}

inline bool host_filter::allows(std::string_view host) const noexcept {
  if (!active_) return true;
  auto const name = host_without_port(host);
  if (name.empty()) return false;
  for (std::string_view const pattern : allowed_) {
    if (pattern.substr(0, 2) != "*.") {
      if (iequals(pattern, name)) return true;
      continue;
    }
    auto const tail = pattern.substr(1);
    if (name.size() > tail.size() && iequals(name.substr(name.size() - tail.size()), tail)) return true;
  }
  return false;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
