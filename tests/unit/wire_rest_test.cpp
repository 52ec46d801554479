#include <gtest/gtest.h>

#include <string>

#include <iothub/wire/rest_routes.hpp>

namespace {

using namespace iothub;

TEST(RestRoutes, BuildAndReadEveryRoute) {
  struct row {
    rest_route route;
    std::string_view method;
    std::string_view target;
  };
  using enum route_kind;
  for (row const& r : {
           row{{list_devices}, "GET", "/devices?api-version=2021-04-12"},
           row{{.kind = list_devices, .top = 5}, "GET", "/devices?top=5&api-version=2021-04-12"},
           row{{get_device, "d1"}, "GET", "/devices/d1?api-version=2021-04-12"},
           row{{put_device, "d1"}, "PUT", "/devices/d1?api-version=2021-04-12"},
           row{{delete_device, "d1"}, "DELETE", "/devices/d1?api-version=2021-04-12"},
           row{{list_modules, "d1"}, "GET", "/devices/d1/modules?api-version=2021-04-12"},
           row{{get_module, "d1", "m1"}, "GET", "/devices/d1/modules/m1?api-version=2021-04-12"},
           row{{put_module, "d1", "m1"}, "PUT", "/devices/d1/modules/m1?api-version=2021-04-12"},
           row{{delete_module, "d1", "m1"}, "DELETE", "/devices/d1/modules/m1?api-version=2021-04-12"},
           row{{get_twin, "d1"}, "GET", "/twins/d1?api-version=2021-04-12"},
           row{{patch_twin, "d1"}, "PATCH", "/twins/d1?api-version=2021-04-12"},
           row{{put_twin, "d1"}, "PUT", "/twins/d1?api-version=2021-04-12"},
           row{{get_twin, "d1", "m1"}, "GET", "/twins/d1/modules/m1?api-version=2021-04-12"},
           row{{patch_twin, "d1", "m1"}, "PATCH", "/twins/d1/modules/m1?api-version=2021-04-12"},
           row{{put_twin, "d1", "m1"}, "PUT", "/twins/d1/modules/m1?api-version=2021-04-12"},
           row{{invoke_method, "d1"}, "POST", "/twins/d1/methods?api-version=2021-04-12"},
           row{{invoke_method, "d1", "m1"}, "POST", "/twins/d1/modules/m1/methods?api-version=2021-04-12"},
           row{{query}, "POST", "/devices/query?api-version=2021-04-12"},
           row{{purge_c2d, "d1"}, "DELETE", "/devices/d1/commands?api-version=2021-04-12"},
           row{{registry_statistics}, "GET", "/statistics/devices?api-version=2021-04-12"},
           row{{service_statistics}, "GET", "/statistics/service?api-version=2021-04-12"},
           row{{send_telemetry, "d1"}, "POST", "/devices/d1/messages/events?api-version=2021-04-12"},
           row{{send_telemetry, "d1", "m1"}, "POST", "/devices/d1/modules/m1/messages/events?api-version=2021-04-12"},
       }) {
    auto const request = make_request(r.route);
    EXPECT_EQ(request.method, r.method) << r.target;
    EXPECT_EQ(request.target, r.target);
    EXPECT_EQ(parse_route(request).value(), r.route) << r.target;
  }
}

TEST(RestRoutes, EscapeIdsAndReadThemHoweverEscaped) {
  std::string const id = "a-:.+%_#*?!(),=@;$'z";
  rest_route const route{.kind = route_kind::get_device, .device_id = id};
  EXPECT_EQ(route_target(route), "/devices/a-%3A.%2B%25_%23%2A%3F%21%28%29%2C%3D%40%3B%24%27z?api-version=2021-04-12");
  EXPECT_EQ(parse_route("GET", route_target(route)).value(), route);
  // azure-iot-sdk-node leaves ! ' ( ) * as they are
  EXPECT_EQ(parse_route("GET", "/devices/a-%3A.%2B%25_%23*%3F!()%2C%3D%40%3B%24'z?api-version=2021-04-12").value(),
            route);
  for (auto dots : {".", ".."})
    EXPECT_EQ(parse_route("GET", route_target({route_kind::get_device, dots})).value().device_id, dots);
}

TEST(RestRoutes, TolerateSlashCaseAndOverride) {
  EXPECT_EQ(parse_route("GET", "/devices/?api-version=1").value().kind, route_kind::list_devices);
  EXPECT_EQ(parse_route("GET", "/Devices/D1?API-Version=1").value(),
            (rest_route{.kind = route_kind::get_device, .device_id = "D1", .api_version = "1"}));
  EXPECT_EQ(parse_route("POST", "/twins/d1", "PATCH").value().kind, route_kind::patch_twin);
  EXPECT_EQ(parse_route("GET", "/twins/d1", "PATCH").value().kind, route_kind::get_twin);
  http::request request{.method = "POST", .target = "/twins/d1", .headers = {{"x-http-method-override", "PATCH"}}};
  EXPECT_EQ(parse_route(request).value().kind, route_kind::patch_twin);
  EXPECT_EQ(parse_route("GET", "/devices").value().api_version, "");
}

TEST(RestRoutes, ADeviceMayBeCalledQuery) {
  EXPECT_EQ(parse_route("GET", "/devices/query").value(),
            (rest_route{.kind = route_kind::get_device, .device_id = "query", .api_version = ""}));
  EXPECT_EQ(parse_route("POST", "/devices/query").value().kind, route_kind::query);
}

TEST(RestRoutes, TellUnknownPathsFromUnknownMethods) {
  for (auto target : {"/", "", "devices", "//devices", "/devices//modules", "/twins", "/devices/d1/x", "/nothing",
                      "/devices/d1/modules/m1/x", "*", "/devices/a/b", "http://h/devices"})
    EXPECT_EQ(parse_route("GET", target).error(), errc::not_found) << target;
  for (auto target : {"/devices/d1", "/twins/d1/methods", "/statistics/devices"})
    EXPECT_EQ(parse_route("PATCH", target).error(), errc::unsupported) << target;
  EXPECT_EQ(parse_route("get", "/devices").error(), errc::unsupported);
}

TEST(RestRoutes, RefuseBadIdsAndParameters) {
  for (auto target : {"/devices/%zz", "/devices/a%20b", "/devices/%00", "/devices/a%2Fb", "/devices/%C3%A9",
                      "/devices/d1/modules/%2", "/devices?top=x", "/devices?top=1.5", "/devices?api-version=%zz"})
    EXPECT_EQ(parse_route("GET", target).error(), errc::bad_request) << target;
  EXPECT_EQ(parse_route("GET", "/devices/" + std::string(129, 'x')).error(), errc::bad_request);
}

}  // namespace
