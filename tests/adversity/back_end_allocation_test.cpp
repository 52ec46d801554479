// Memory runs out at each allocation of what a back end does over HTTP, and of the hub core called directly.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include <iothub/fake_hub.hpp>

#include "allocation_sweep.hpp"

namespace {

using namespace iothub;
using namespace iothub_test;
using namespace std::chrono_literals;

template <class Wiring>
struct back_end {
  // As in device_flows.hpp: a context of TLS for each CA that a process ever trusted.
  static constexpr std::int64_t kept_by_process = std::is_same_v<Wiring, wiring::pipe_tls> ? 4 : 0;

  fake_hub hub{};
  fake_hub::service_client<Wiring> service{hub.connect_service<Wiring>()};
  json::value const patch{{"tags", {{"site", "a place with a longer name than usual"}}},
                          {"properties", {{"desired", {{"interval", 30}}}}}};

  back_end() { hub.create_device("known"); }
  void pass() {
    for (int i = 0; i != 50 && !survives([&] { hub.run_for(200s); }); ++i) {
    }
  }
  // How often it may have taken effect: a call that threw has done nothing. Without a wire the hub is in the call.
  static int most(ending const& e) { return e.started || std::is_same_v<Wiring, wiring::direct> ? 1 : 0; }
  // With memory: every kind of operation works, with the same client.
  void check_all() {
    hub.run_for(10min);
    EXPECT_EQ(service.pending_operations(), 0u);
    auto const made = service.create_device("after");
    ASSERT_TRUE(made) << made.error().message();
    auto changed = *made;
    changed.status = identity_status::disabled;
    EXPECT_TRUE(service.update_device(changed));
    auto const written = service.update_twin("after", patch);
    ASSERT_TRUE(written) << written.error().message();
    EXPECT_EQ(service.get_twin("after")->desired["interval"], 30);
    std::size_t rows = 0;
    for (auto& row : service.query("SELECT deviceId FROM devices WHERE tags.site = 'a place with a longer name than usual' AND deviceId = 'after'", 1))
      rows += row.has_value();
    EXPECT_EQ(rows, 1u);
    EXPECT_TRUE(service.delete_device("after"));
    EXPECT_EQ(service.get_device("after").error(), errc::device_not_found);
    EXPECT_EQ(service.invoke_method("known", {.name = "m"}).error(), errc::device_offline);
  }
};

template <class Wiring>
struct identities : back_end<Wiring> {
  ending ends[4];
  device_identity fresh{.device_id = "a-device-with-a-long-name-0123456789"};
  void run() {
    auto& s = this->service;
    ends[0].started = survives([&] { s.async_create_device(fresh, [this](result<device_identity> r) { ends[0](r); }); });
    ends[1].started = survives([&] { s.async_get_device("known", [this](result<device_identity> r) { ends[1](r); }); });
    ends[2].started = survives([&] { s.async_list_devices(10, [this](result<std::vector<device_identity>> r) { ends[2](r); }); });
    this->pass();
    survives([&] {
      if (auto read = s.get_device(fresh.device_id)) {
        read->status = identity_status::disabled;
        (void)s.update_device(*read);
      }
    });
    survives([&] { (void)s.create_module("known", "m"); });
    ends[3].started = survives([&] { s.async_delete_device(fresh.device_id, any_etag, [this](result<void> r) { ends[3](r); }); });
    this->pass();
  }
  void check() {
    this->hub.run_for(10min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    // What the client was told is so, and a call that threw has done nothing.
    bool const there = this->service.get_device(fresh.device_id).has_value();
    EXPECT_FALSE(there && ends[3].good != 0);
    EXPECT_LE(there || ends[3].good != 0 ? 1 : 0, this->most(ends[0]));
    EXPECT_LE(ends[0].good != 0 && !there ? 1 : 0, this->most(ends[3]));
    this->check_all();
  }
};

template <class Wiring>
struct twins_of_back_end : back_end<Wiring> {
  ending ends[2];
  void run() {
    auto& s = this->service;
    ends[0].started = survives([&] { s.async_update_twin("known", this->patch, any_etag, [this](result<twin> r) { ends[0](r); }); });
    ends[1].started = survives([&] { s.async_get_twin("known", [this](result<twin> r) { ends[1](r); }); });
    survives([&] { (void)s.replace_twin("known", this->patch); });
    this->pass();
  }
  void check() {
    this->hub.run_for(10min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    auto const now = this->hub.get_twin("known");
    if (ends[0].good != 0) {
      EXPECT_EQ(now.desired["interval"], 30);
    }
    EXPECT_LE(now.desired.version, 1 + this->most(ends[0]) + 1);
    this->check_all();
  }
};

template <class Wiring>
struct queries : back_end<Wiring> {
  ending end;
  queries() {
    for (char const* id : {"d1", "d2", "d3"}) this->hub.create_device(id);
  }
  void run() {
    auto& s = this->service;
    survives([&] {
      for (auto& row : s.query("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'd') AND (status = 'enabled' OR tags.a IN ['x', 'y'])", 2))
        (void)row;
    });
    end.started = survives([&] {
      s.async_query_page("SELECT COUNT() AS n, status FROM devices GROUP BY status", 0, {}, [this](result<query_page> r) { end(r); });
    });
    this->pass();
  }
  void check() {
    this->hub.run_for(10min);
    EXPECT_TRUE(end.is_right()) << end.started << ' ' << end.told;
    this->check_all();
  }
};

// Made, refused and closed without memory.
template <class Wiring>
struct beginnings : back_end<Wiring> {
  std::optional<fake_hub::service_client<Wiring>> other;
  ending ends[2];
  void run() {
    survives([&] { other.emplace(this->hub.template connect_service<Wiring>("service")); });
    if (other) {
      ends[0].started = survives([&] { other->async_get_twin("known", [this](result<twin> r) { ends[0](r); }); });
      ends[1].started = survives([&] { other->async_get_twin("", [this](result<twin> r) { ends[1](r); }); });
      survives([&] { other->close(); });
      survives([&] { this->hub.poll(); });
      survives([&] { other->async_get_twin("known", [](result<twin> const&) { FAIL() << "its client is gone"; }); });
      other.reset();
    }
    this->pass();
  }
  void check() {
    // What was not told before the client went away is not told at all.
    for (auto const& e : ends) EXPECT_LE(e.told, e.started ? 1 : 0);
    this->check_all();
  }
};

template <class Wiring>
class BackEndWithoutMemory : public ::testing::Test {};
struct back_end_names {
  template <class Wiring>
  static std::string GetName(int) {
    return std::is_same_v<Wiring, wiring::direct> ? "direct" : std::is_same_v<Wiring, wiring::pipe> ? "pipe" : "tls";
  }
};
using back_end_wirings = ::testing::Types<wiring::direct, wiring::pipe, wiring::pipe_tls>;
TYPED_TEST_SUITE(BackEndWithoutMemory, back_end_wirings, back_end_names);

TYPED_TEST(BackEndWithoutMemory, KeepsIdentities) { sweep_both<identities<TypeParam>>("identities", 50); }
TYPED_TEST(BackEndWithoutMemory, ReadsAndWritesTwins) { sweep_both<twins_of_back_end<TypeParam>>("back-end twins", 50); }
TYPED_TEST(BackEndWithoutMemory, Queries) { sweep_both<queries<TypeParam>>("queries", 50); }
TYPED_TEST(BackEndWithoutMemory, BeginsAndCloses) { sweep_both<beginnings<TypeParam>>("back-end client", 10); }

// A device that speaks HTTPS alone: telemetry.
struct https_device {
  using client = basic_device_client<over_https<memory::direct_http<hub::http_face>>, loop_clock, seeded_crypto>;
  fake_hub hub{};
  connection_string who;
  std::optional<client> device;
  ending end;
  message const what{.body = "telemetry with more words than fit in place", .properties = {{"a property", "its value"}}};

  https_device() {
    hub.create_device("d");
    who = parse_device_connection_string(hub.connection_string_for("d")).value();
  }
  void make() {
    device.emplace(client::create(hub.loop(), who, [this] { return memory::direct_http<hub::http_face>{hub.runtime().http()}; },
                                  loop_clock{hub.loop()}, seeded_crypto{9}, {.seed = 9})
                       .value());
  }
  void run() {
    survives([&] { make(); });
    if (!device) return;
    survives([&] { (void)device->connect(); });
    end.started = survives([&] { device->async_send_telemetry(what, [this](result<void> r) { end(r); }); });
    survives([&] { (void)device->send_telemetry(what); });
    for (int i = 0; i != 50 && !survives([&] { hub.run_for(30s); }); ++i) {
    }
  }
  void check() {
    hub.run_for(3min);
    EXPECT_TRUE(end.is_right()) << end.started << ' ' << end.told;
    EXPECT_GE(hub.events().size(), static_cast<std::size_t>(end.good));
    if (!device) make();
    auto const connected = device->connect();
    ASSERT_TRUE(connected) << connected.error().message();
    auto const sent = device->send_telemetry({.body = "after"});
    ASSERT_TRUE(sent) << sent.error().message();
    EXPECT_EQ(hub.events().back().content.body.bytes(), "after");
    EXPECT_EQ(device->pending_operations(), 0u);
    device->close();
  }
};

TEST(HttpsDeviceWithoutMemory, SendsTelemetry) { sweep_both<https_device>("telemetry, HTTPS", 20); }

// The core alone: a verb that throws has done all or nothing that can be seen.
struct core_alone {
  fake_hub hub{};
  std::uint64_t stored = 0;
  bool reported = false;
  void run() {
    auto& core = hub.core();
    survives([&] { hub.create_device("d"); });
    survives([&] { hub.set_tags("d", {{"a", {{"b", "a text that is long enough to be allocated"}}}}); });
    reported = survives([&] { hub.set_desired("d", {{"v", 5}, {"w", {{"x", "a text that is long enough to be allocated"}}}}); });
    hub::d2c_message what;
    what.body = "telemetry, long enough not to be kept in place";
    if (survives([&] { core.send_telemetry(hub::key_view{"d", {}}, hub::grant{}, what, hub.runtime().now()).value(); })) ++stored;
    survives([&] { hub.send_c2d("d", {.body = "x"}, feedback_request::full); });
    survives([&] {
      if (auto got = core.receive_c2d("d", hub.runtime().now()).value())
        (void)core.settle_c2d("d", got->lock_token, hub::settlement::complete, hub.runtime().now());
    });
    survives([&] { (void)hub.take_feedback(); });
    survives([&] { (void)core.query("SELECT * FROM devices", 10, {}); });
  }
  void check() {
    EXPECT_EQ(hub.events().size(), stored);
    if (hub.core().get_identity(device_key{"d", {}})) {
      auto const twin = hub.get_twin("d");
      bool const there = twin.desired["v"] == 5;  // the patch is there whole, or not at all
      EXPECT_TRUE(there || !reported);
      EXPECT_EQ(twin.desired["w"].is_object(), there);
      EXPECT_EQ(twin.desired.version, there ? 2 : 1);
    }
    auto device = hub.connect_device("d");
    EXPECT_TRUE(device.send_telemetry({.body = "after"}));
    hub.set_desired("d", {{"v", 6}});
    EXPECT_EQ(hub.get_twin("d").desired["v"], 6);
    hub.delete_device("d");
    EXPECT_FALSE(hub.core().get_identity(device_key{"d", {}}));
  }
};

TEST(HubWithoutMemory, KeepsItsState) { sweep_both<core_alone>("hub core", 20); }

}  // namespace
