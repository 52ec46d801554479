// The same as device_callbacks_test.cpp for the service client: every completion that it has, on requests as values, over
// pipes and over TLS in pipes.
#include <gtest/gtest.h>

#include <cstddef>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <iothub/fake_hub.hpp>

#include "callback_probe.hpp"

namespace service_callbacks {  // its names are those of the other files
namespace {

using namespace iothub;
using iothub_test::probe;
using namespace std::chrono_literals;

enum class act { destroy, close, call, repeat, throw_ };
constexpr char const* act_names[] = {"Destroy", "Close", "Call", "Repeat", "Throw"};
enum class wire { direct, pipe, tls };
constexpr char const* wire_names[] = {"Direct", "Pipe", "Tls"};

device_identity module_named(char const* id) { return {.device_id = "d1", .module_id = id}; }

using callback = function<void()>;

// Begins something whose end calls `f`.
template <class Client>
struct completion {
  char const* name;
  void (*begin)(Client&, callback f);
};
template <class Client>
completion<Client> const completions[] = {
    // Each is a completion of its own type, which holds what it calls.
#define ENDS_WITH(type) [f = std::move(f)](result<type> const&) mutable { f(); }
    {"CreateDevice", [](Client& c, callback f) { c.async_create_device({.device_id = "d3"}, ENDS_WITH(device_identity)); }},
    {"GetDevice", [](Client& c, callback f) { c.async_get_device("d1", ENDS_WITH(device_identity)); }},
    {"ListDevices", [](Client& c, callback f) { c.async_list_devices(10, ENDS_WITH(std::vector<device_identity>)); }},
    {"UpdateDevice",
     [](Client& c, callback f) { c.async_update_device({.device_id = "d1"}, etag_match::any, ENDS_WITH(device_identity)); }},
    {"DeleteDevice", [](Client& c, callback f) { c.async_delete_device("spare", any_etag, ENDS_WITH(void)); }},
    {"CreateModule", [](Client& c, callback f) { c.async_create_module(module_named("n"), ENDS_WITH(device_identity)); }},
    {"GetModule", [](Client& c, callback f) { c.async_get_module("d1", "m", ENDS_WITH(device_identity)); }},
    {"ListModules", [](Client& c, callback f) { c.async_list_modules("d1", ENDS_WITH(std::vector<device_identity>)); }},
    {"UpdateModule",
     [](Client& c, callback f) { c.async_update_module(module_named("m"), etag_match::any, ENDS_WITH(device_identity)); }},
    {"DeleteModule", [](Client& c, callback f) { c.async_delete_module("d1", "spare", any_etag, ENDS_WITH(void)); }},
    {"GetRegistryStatistics", [](Client& c, callback f) { c.async_get_registry_statistics(ENDS_WITH(registry_statistics)); }},
    {"GetServiceStatistics", [](Client& c, callback f) { c.async_get_service_statistics(ENDS_WITH(service_statistics)); }},
    {"GetTwin", [](Client& c, callback f) { c.async_get_twin("d1", ENDS_WITH(twin)); }},
    {"GetModuleTwin", [](Client& c, callback f) { c.async_get_twin("d1", "m", ENDS_WITH(twin)); }},
    {"UpdateTwin",
     [](Client& c, callback f) { c.async_update_twin("d1", {{"tags", {{"a", 1}}}}, any_etag, ENDS_WITH(twin)); }},
    {"ReplaceTwin",
     [](Client& c, callback f) { c.async_replace_twin("d1", {{"tags", {{"a", 1}}}}, any_etag, ENDS_WITH(twin)); }},
    {"UpdateModuleTwin",
     [](Client& c, callback f) { c.async_update_module_twin("d1", "m", {{"tags", {{"a", 1}}}}, any_etag, ENDS_WITH(twin)); }},
    {"ReplaceModuleTwin",
     [](Client& c, callback f) { c.async_replace_module_twin("d1", "m", {{"tags", {{"a", 1}}}}, any_etag, ENDS_WITH(twin)); }},
    {"InvokeMethod",
     [](Client& c, callback f) {
       c.async_invoke_method("d1", {.name = "m"}, {.connect_timeout = 5s}, ENDS_WITH(method_response));
     }},
    {"InvokeModuleMethod",
     [](Client& c, callback f) { c.async_invoke_module_method("d1", "m", {.name = "m"}, {}, ENDS_WITH(method_response)); }},
    {"QueryPage",
     [](Client& c, callback f) { c.async_query_page("SELECT * FROM devices", 1, {}, ENDS_WITH(query_page)); }},
    {"Refused", [](Client& c, callback f) { c.async_get_device("", ENDS_WITH(device_identity)); }},
    {"Predicate",
     [](Client& c, callback f) {
       c.run_until([f = std::move(f)]() mutable {
         f();
         return true;
       });
     }},
    {"Closed",
     [](Client& c, callback f) {
       c.async_invoke_method("d2", {.name = "m"}, {.connect_timeout = 60s}, ENDS_WITH(method_response));
       c.close();
     }},
#undef ENDS_WITH
};
constexpr std::size_t completion_count = 24, closed_row = 23;
static_assert(std::size(completions<fake_hub::service_client<wiring::direct>>) == completion_count);

template <class Wiring>
struct scene {
  using client_type = fake_hub::service_client<Wiring>;
  fake_hub hub{};
  std::optional<client_type> client;
  completion<client_type> const& what;
  std::size_t const row;
  act const how;
  int runs = 0, of_the_other = 0, thrown = 0;
  int told = 0;       // of what is pending meanwhile
  bool good = false;  // what was called from inside succeeded

  scene(std::size_t r, act a) : what{completions<client_type>[r]}, row{r}, how{a} {
    for (char const* id : {"d1", "d2", "spare"}) hub.create_device({.device_id = id});
    client.emplace(hub.connect_service<Wiring>());
    for (char const* id : {"m", "spare"}) client->create_module(module_named(id)).value();
  }
  void inside() {
    if (++runs != 1) return;
    switch (how) {
      case act::destroy: return client.reset();
      case act::close: return client->close();
      case act::call: good = client->get_twin("d1").has_value() && client->create_device("new").has_value(); return;
      case act::repeat: return what.begin(*client, [this] { ++of_the_other; });
      case act::throw_: throw std::runtime_error{"from inside"};
    }
  }
  template <class F>
  void run(F f) {
    try {
      f();
    } catch (std::runtime_error const& e) {
      EXPECT_STREQ(e.what(), "from inside");
      ++thrown;
    }
  }
  void play() {
    SCOPED_TRACE(what.name);
    client->async_invoke_method("d2", {.name = "m"}, {.connect_timeout = 60s},
                                [this](result<method_response> const&) { ++told; });
    run([&] { what.begin(*client, probe<scene>{this}); });
    for (int i = 0; i != 4; ++i) run([&] { hub.run_for(30s); });
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(thrown, how == act::throw_ ? 1 : 0);
    EXPECT_EQ(good, how == act::call);
    EXPECT_EQ(of_the_other, how == act::repeat ? 1 : 0);
    EXPECT_EQ(client.has_value(), how != act::destroy);
    // A destructor calls no user code; where close() was called, it had told of the older call before.
    EXPECT_EQ(told, how == act::destroy && row != closed_row ? 0 : 1);
    if (!client) client.emplace(hub.connect_service<Wiring>());
    EXPECT_EQ(client->pending_operations(), 0u);
    EXPECT_TRUE(client->get_twin("d1"));
  }
};

class ServiceCallback : public ::testing::TestWithParam<std::tuple<std::size_t, act, wire>> {};

TEST_P(ServiceCallback, MayDoIt) {
  auto const [row, how, over] = GetParam();
  switch (over) {
    case wire::direct: return scene<wiring::direct>{row, how}.play();
    case wire::pipe: return scene<wiring::pipe>{row, how}.play();
    case wire::tls: return scene<wiring::pipe_tls>{row, how}.play();
  }
}

INSTANTIATE_TEST_SUITE_P(All, ServiceCallback,
                         ::testing::Combine(::testing::Range(std::size_t{0}, completion_count),
                                            ::testing::Values(act::destroy, act::close, act::call, act::repeat,
                                                              act::throw_),
                                            ::testing::Values(wire::direct, wire::pipe, wire::tls)),
                         [](auto const& one) {
                           using client = fake_hub::service_client<wiring::direct>;
                           return std::string{completions<client>[std::get<0>(one.param)].name} + "_" +
                                  act_names[static_cast<int>(std::get<1>(one.param))] + "_" +
                                  wire_names[static_cast<int>(std::get<2>(one.param))];
                         });

}  // namespace
}  // namespace service_callbacks
