// What a device does, for sweeps that have memory run out at each allocation of it, of its hub and of all between them.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

#include <iothub/fake_hub.hpp>

#include "allocation_sweep.hpp"

namespace iothub_test {

using namespace iothub;
using namespace std::chrono_literals;

// A device and all that can happen to it. After the trouble everything has to work, with the same client.
template <class Wiring>
struct device_world {
  using client = fake_hub::device_client<Wiring>;
  // Each world has a CA of its own (two, when memory ran out in between), and net::tls_context_cache keeps a context for each CA that a process ever trusted.
  static constexpr std::int64_t kept_by_process = std::is_same_v<Wiring, wiring::pipe_tls> ? 4 : 0;

  fake_hub hub{};
  std::optional<client> device;
  std::int64_t desired = 0;  // the last value that the handler saw
  int messages = 0;
  int methods = 0;

  // How often it may have taken effect: a call that threw has done nothing. Without a wire the hub is in the call.
  static int most(ending const& e) { return e.started || std::is_same_v<Wiring, wiring::direct> ? 1 : 0; }
  void make() { device.emplace(hub.make_device<Wiring>("d")); }
  void listen() {
    device->on_method("m", [this](method_request const&) -> method_response { return {.payload = ++methods}; });
    device->on_desired([this](json::value const& patch, std::int64_t) {
      if (auto const v = patch["v"].as_int()) desired = *v;
    });
    device->on_message([this](c2d_message const&) { ++messages; });
    device->on_connection_change([](connection_status, connection_reason) {});
  }
  void begin() {
    make();
    listen();
    device->connect().value();
    hub.poll();
  }
  // The loop, as a program runs it: again, when memory ran out in it.
  void pass(duration time) {
    for (int i = 0; i != 50 && !survives([&] { hub.run_for(time); }); ++i) {
    }
  }

  // With memory: nothing is pending for ever, and everything works.
  void check_all() {
    if (!device) make();
    listen();
    hub.run_for(3min);
    EXPECT_EQ(device->pending_operations(), 0u);
    auto const connected = device->connect();
    ASSERT_TRUE(connected) << connected.error().message();
    auto const sent = device->send_telemetry({.body = "after"});
    ASSERT_TRUE(sent) << sent.error().message();
    EXPECT_EQ(hub.events().back().content.body.bytes(), "after");
    auto const reported = device->update_reported_properties({{"after", 1}});
    ASSERT_TRUE(reported) << reported.error().message();
    EXPECT_EQ(hub.get_twin("d").reported["after"], 1);
    auto const twin = device->get_twin();
    ASSERT_TRUE(twin) << twin.error().message();
    EXPECT_EQ(twin->reported["after"], 1);
    hub.set_desired("d", {{"v", 77}});
    EXPECT_TRUE(hub.run_until([&] { return desired == 77; }, 3min));
    EXPECT_TRUE(hub.run_until([&] { return hub.pending_c2d("d") == 0; }, 3min));
    int const before = messages;
    hub.send_c2d("d", {.body = "after"});
    EXPECT_TRUE(hub.run_until([&] { return hub.pending_c2d("d") == 0; }, 3min));
    EXPECT_EQ(messages, before + 1);
    auto service = hub.connect_service();
    auto const reply = service.invoke_method("d", {.name = "m"});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(reply->status, 200);
    device->close();
    EXPECT_EQ(device->pending_operations(), 0u);
    EXPECT_TRUE(hub.run_until([&] { return hub.core().connected_devices() == 0; }, 3min));
    EXPECT_FALSE(device->is_connected());
  }
};

template <class Wiring>
struct connecting : device_world<Wiring> {
  void run() {
    survives([&] {
      this->make();
      this->listen();
    });
    if (!this->device) return;
    survives([&] { (void)this->device->connect(); });
    this->pass(1s);
  }
  void check() { this->check_all(); }
};

template <class Wiring>
struct sending : device_world<Wiring> {
  ending ends[3];
  static message numbered(std::size_t i) {
    return {.body = "copied and long enough not to be kept in place by any string", .message_id = "number " + std::to_string(i)};
  }
  sending() { this->begin(); }
  void run() {
    for (std::size_t i = 0; i != 3; ++i)
      ends[i].started = survives([&] {
        message const copied = numbered(i);
        this->device->async_send_telemetry(copied, [&e = ends[i]](result<void> r) { e(r); });
      });
    survives([&] { (void)this->device->send_telemetry({.body = "waited for"}); });
    this->pass(30s);
  }
  void check() {
    this->hub.run_for(3min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    // The same again is a message that was sent again, which at-least-once allows.
    std::set<std::string> stored;
    for (auto const& event : this->hub.events()) stored.insert(event.content.message_id);
    for (std::size_t i = 0; i != 3; ++i) {
      int const there = static_cast<int>(stored.count(numbered(i).message_id));
      EXPECT_GE(there, ends[i].good) << i;
      EXPECT_LE(there, this->most(ends[i])) << i;
    }
    this->check_all();
  }
};

template <class Wiring>
struct being_called : device_world<Wiring> {
  fake_hub::service_client<Wiring> service;
  ending ends[2];
  method_request const what{.name = "m", .payload = {{"text", "long enough not to be kept in place by any string"}}};
  being_called() : service{this->hub.template connect_service<Wiring>()} { this->begin(); }
  void run() {
    for (auto& e : ends)
      e.started = survives([&] {
        service.async_invoke_method("d", what, {.response_timeout = 10s}, [&e](result<method_response> r) { e(r); });
      });
    survives([&] { (void)service.invoke_method("d", what, {.response_timeout = 10s}); });
    this->pass(30s);
  }
  void check() {
    this->hub.run_for(10min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    EXPECT_LE(this->methods, this->most(ends[0]) + this->most(ends[1]) + 1);
    EXPECT_EQ(service.pending_operations(), 0u);
    EXPECT_TRUE(service.get_twin("d"));
    this->check_all();
  }
};

template <class Wiring>
struct twins : device_world<Wiring> {
  ending ends[2];
  twins() { this->begin(); }
  void run() {
    ends[0].started = survives([&] { this->device->async_get_twin([this](result<device_twin> r) { ends[0](r); }); });
    ends[1].started = survives([&] {
      this->device->async_update_reported_properties({{"firmware", {{"version", "1.2.3"}, {"channel", "a longer text than that"}}}},
                                                     [this](result<std::int64_t> r) { ends[1](r); });
    });
    survives([&] { this->hub.set_desired("d", {{"v", 1}, {"more", {{"interval", 30}, {"name", "a text that has a length"}}}}); });
    survives([&] { (void)this->device->get_twin(); });
    survives([&] { (void)this->device->update_reported_properties({{"a", 1}}); });
    this->pass(30s);
  }
  void check() {
    this->hub.run_for(5min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    json::value const reported = this->hub.get_twin("d").reported.properties;
    bool const there = reported.find("firmware") != nullptr;
    EXPECT_TRUE(there || ends[1].good == 0);
    EXPECT_LE(there ? 1 : 0, this->most(ends[1]));
    this->check_all();
  }
};

template <class Wiring>
struct messages_from_the_cloud : device_world<Wiring> {
  messages_from_the_cloud() { this->begin(); }
  void run() {
    for (int i = 0; i != 2; ++i)
      survives([&] {
        this->hub.send_c2d("d", {.body = "hello, and a few words more", .properties = {{"a property", "and its value"}}});
      });
    this->pass(30s);
  }
  void check() { this->check_all(); }
};

template <class Wiring>
struct renewing : device_world<Wiring> {
  renewing() { this->begin(); }
  void run() {
    this->pass(50min);
    this->pass(20min);
  }
  void check() { this->check_all(); }
};

template <class Wiring>
struct coming_back : device_world<Wiring> {
  ending end;
  coming_back() { this->begin(); }
  void run() {
    survives([&] { this->hub.disconnect("d"); });
    end.started = survives([&] { this->device->async_send_telemetry({.body = "meanwhile"}, 60s, [this](result<void> r) { end(r); }); });
    this->pass(60s);
  }
  void check() {
    this->hub.run_for(5min);
    EXPECT_TRUE(end.is_right()) << end.started << ' ' << end.told;
    std::size_t stored = 0;
    for (auto const& event : this->hub.events()) stored += event.content.body.bytes() == "meanwhile";
    EXPECT_GE(static_cast<int>(stored), end.good);
    EXPECT_LE(stored != 0 ? 1 : 0, this->most(end));
    this->check_all();
  }
};

template <class Wiring>
struct closing : device_world<Wiring> {
  ending ends[3];
  closing() { this->begin(); }
  void run() {
    ends[0].started = survives([&] { this->device->async_send_telemetry({.body = "x"}, [this](result<void> r) { ends[0](r); }); });
    ends[1].started = survives([&] { this->device->async_get_twin([this](result<device_twin> r) { ends[1](r); }); });
    survives([&] { this->device->close(); });
    ends[2].started = survives([&] { this->device->async_connect([this](result<void> r) { ends[2](r); }); });
    survives([&] { this->device->close(); });
    this->pass(1s);
  }
  void check() {
    this->hub.run_for(5min);
    for (auto const& e : ends) EXPECT_TRUE(e.is_right()) << e.started << ' ' << e.told;
    this->check_all();
  }
};

// The client goes away while there is no memory: nothing can be thrown, and nobody is told.
template <class Wiring>
struct vanishing : device_world<Wiring> {
  ending end;
  bool sent = false;
  vanishing() { this->begin(); }
  void run() {
    sent = survives([&] { this->device->async_send_telemetry({.body = "x"}, [this](result<void> r) { end(r); }); });
    this->device.reset();
    this->pass(1s);
  }
  void check() {
    EXPECT_EQ(end.told, 0);
    this->check_all();
  }
};

// All of them, for the wirings of a file.
template <class Wiring>
class DeviceWithoutMemory : public ::testing::Test {};
TYPED_TEST_SUITE_P(DeviceWithoutMemory);

TYPED_TEST_P(DeviceWithoutMemory, Connects) { sweep_both<connecting<TypeParam>>("connecting", 50); }
TYPED_TEST_P(DeviceWithoutMemory, SendsTelemetry) { sweep_both<sending<TypeParam>>("telemetry", 10); }
TYPED_TEST_P(DeviceWithoutMemory, AnswersMethods) { sweep_both<being_called<TypeParam>>("methods", 10); }
TYPED_TEST_P(DeviceWithoutMemory, UsesItsTwin) { sweep_both<twins<TypeParam>>("twin", 10); }
TYPED_TEST_P(DeviceWithoutMemory, ReceivesMessages) { sweep_both<messages_from_the_cloud<TypeParam>>("messages", 10); }
TYPED_TEST_P(DeviceWithoutMemory, RenewsItsToken) { sweep_both<renewing<TypeParam>>("renewal", 10); }
TYPED_TEST_P(DeviceWithoutMemory, ComesBack) { sweep_both<coming_back<TypeParam>>("reconnect", 10); }
TYPED_TEST_P(DeviceWithoutMemory, Closes) { sweep_both<closing<TypeParam>>("close", 3); }
TYPED_TEST_P(DeviceWithoutMemory, GoesAway) { sweep_both<vanishing<TypeParam>>("destruction", 1); }

REGISTER_TYPED_TEST_SUITE_P(DeviceWithoutMemory, Connects, SendsTelemetry, AnswersMethods, UsesItsTwin, ReceivesMessages,
                            RenewsItsToken, ComesBack, Closes, GoesAway);

}  // namespace iothub_test
