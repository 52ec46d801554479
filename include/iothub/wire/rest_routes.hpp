// HTTP requests of back ends and devices as typed routes, built and read (IoT Hub service and device REST references,
// api-version 2021-04-12). What official clients vary is taken in every form: a / before the query, literal segments in
// any case, ids with more or fewer escapes, PATCH as POST with X-HTTP-Method-Override (azure-iot-sdk-java). Ids are
// compared byte for byte and are never normalised: "." and ".." are allowed ids.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/base/result.hpp>
#include <iothub/http/message.hpp>
#include <iothub/wire/api_version.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/rest_targets.hpp>

namespace iothub {
inline namespace v0 {

struct rest_route {
  route_kind kind = route_kind::list_devices;
  std::string device_id = {};
  std::string module_id = {};
  std::string api_version = std::string{service_api_version};
  maybe<int> top = {};  // list_devices
  friend bool operator==(rest_route const&, rest_route const&) = default;
};

// errc::not_found: no such path. errc::unsupported: the path is there, the method is not. errc::bad_request: an escape
// or an id that is none, or a `top` that is no number. An api-version is not asked for here: it is empty when absent.
[[nodiscard]] inline result<rest_route> parse_route(std::string_view method, std::string_view target,
                                                    std::string_view method_override = {});
// The same into a route that is there, whose memory is used again; after an error it holds nothing that counts.
[[nodiscard]] inline result<void> parse_route(std::string_view method, std::string_view target,
                                              std::string_view method_override, rest_route& into);
[[nodiscard]] inline result<rest_route> parse_route(http::request const& request) {
  return parse_route(request.method, request.target, request.headers.get("X-HTTP-Method-Override"));
}

[[nodiscard]] inline std::string route_target(rest_route const& route);
// Method and target; headers and body are the caller's.
[[nodiscard]] inline http::request make_request(rest_route const& route) {
  return {.method = std::string{route_method(route.kind)}, .target = route_target(route)};
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

struct route_ids {
  std::string_view device = {};
  std::string_view module = {};
};

// Whether a path (without the first /) has this shape; the ids come out encoded.
inline bool match_shape(std::string_view path, std::string_view shape, route_ids& ids) noexcept {
  splitter have{path, '/'}, want{shape, '/'};
  std::string_view segment, wanted;
  while (want.next(wanted)) {
    if (!have.next(segment) || segment.empty()) return false;
    if (wanted == "{d}")
      ids.device = segment;
    else if (wanted == "{m}")
      ids.module = segment;
    else if (!iequals(segment, wanted))
      return false;
  }
  return !have.next(segment);
}

inline result<void> read_route_id(std::string_view encoded, std::string& id, std::string_view what) {
  if (encoded.empty()) return {};
  id.resize(encoded.size());
  char const* const end = read_percent(id.data(), encoded);
  if (end == nullptr)
    return error{errc::bad_request, std::string{"the "}.append(what).append(" in the path has a broken escape")};
  id.resize(static_cast<std::size_t>(end - id.data()));
  if (auto valid = check_id(id, what); !valid) return error{errc::bad_request, std::string{valid.error().message()}};
  return {};
}

inline result<void> read_route_query(std::string_view query, rest_route& route) {
  splitter parameters{query, '&'};
  std::string_view parameter;
  while (parameters.next(parameter)) {
    split_pair const pair = split_once(parameter, '=');
    if (iequals(pair.before, "api-version") && route.api_version.empty()) {
      auto version = percent_decode_text(pair.after);
      if (!version) return error{errc::bad_request, "api-version has a broken escape"};
      route.api_version = *std::move(version);
    } else if (iequals(pair.before, "top")) {
      route.top = parse_int<int>(pair.after);
      if (!route.top) return error{errc::bad_request, "top is no whole number"};
    }
  }
  return {};
}

}  // namespace detail

inline result<rest_route> parse_route(std::string_view method, std::string_view target,
                                      std::string_view method_override) {
  rest_route route;
  if (auto parsed = parse_route(method, target, method_override, route); !parsed) return std::move(parsed).error();
  return route;
}

inline result<void> parse_route(std::string_view method, std::string_view target, std::string_view method_override,
                                rest_route& into) {
  into.device_id.clear();
  into.module_id.clear();
  into.api_version.clear();
  into.top.reset();
  if (method == "POST" && !method_override.empty()) method = method_override;
  split_pair const cut = split_once(target.substr(0, target.find('#')), '?');
  std::string_view path = cut.before;
  if (!path.starts_with('/')) return error{errc::not_found, "the target is no path"};
  path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  bool known_path = false;
  for (auto const& shape : detail::route_shapes) {
    detail::route_ids ids;
    if (!detail::match_shape(path, shape.path, ids)) continue;
    known_path = true;
    if (method != shape.method) continue;
    into.kind = shape.kind;
    if (auto read = detail::read_route_id(ids.device, into.device_id, "device id"); !read) return read;
    if (auto read = detail::read_route_id(ids.module, into.module_id, "module id"); !read) return read;
    return detail::read_route_query(cut.after, into);
  }
  if (known_path) return error{errc::unsupported, "this path does not take that method"};
  return error{errc::not_found, "there is no such path"};
}

inline std::string route_target(rest_route const& route) {
  return route_target(route.kind, route.device_id, route.module_id, route.api_version, route.top);
}

}  // namespace v0
}  // namespace iothub
