// A request that has a route has the same route when its target is built again; hostile error bodies and header values
// give errors, never more.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/etag.hpp>
#include <iothub/wire/rest_routes.hpp>
#include <iothub/wire/status_map.hpp>

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string_view const input{reinterpret_cast<char const*>(data), size};
  for (auto method : {"GET", "PUT", "POST", "PATCH", "DELETE"}) {
    auto const route = parse_route(method, input);
    if (!route) {
      require(route.error() == errc::not_found || route.error() == errc::unsupported ||
              route.error() == errc::bad_request);
      continue;
    }
    require(route->device_id.empty() || is_valid_id(route->device_id));
    require(route->module_id.empty() || is_valid_id(route->module_id));
    auto again = make_request(*route);
    require(parse_route(again).value().device_id == route->device_id);
    require(parse_route(again).value().kind == route->kind);
  }
  auto const condition = read_if_match(input);
  require(condition.kind != if_match_kind::exact || !condition.etag.empty());
  auto const e = read_error_body(404, input, input.substr(0, 20));
  require(!e.message().empty() && e.http_status() == 404);
  return 0;
}
