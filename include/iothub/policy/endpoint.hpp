// Where to connect. An argument of open(), since gateways, redirects and provisioning change it.
#pragma once

#include <cstdint>
#include <string>

namespace iothub {
inline namespace v0 {

struct endpoint {
  std::string host = {};       // the name or address to connect to; TLS checks the certificate against it
  std::uint16_t port = 0;
  friend bool operator==(endpoint const&, endpoint const&) = default;
};

}  // namespace v0
}  // namespace iothub
