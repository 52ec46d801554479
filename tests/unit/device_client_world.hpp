// A device client on a virtual loop whose protocol is spoken by the test.
#pragma once

#include "device_scripted_dialect.hpp"

#include <iothub/crypto/seeded.hpp>
#include <iothub/device_client.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <optional>

namespace iothub_test {

struct scripted_bundle {
  scripted_dialect peer;
  iothub::dialect& device_dialect() noexcept { return peer; }
  static std::uint16_t port(iothub::device_options const& o) noexcept { return o.mqtt_port; }
};

using scripted_client = iothub::basic_device_client<scripted_bundle&, iothub::loop_clock, iothub::seeded_crypto>;

struct client_world {
  explicit client_world(iothub::device_options const& o = {}, char const* credentials = "SharedAccessKey=a2V5") {
    auto const text = std::string{"HostName=hub.example;DeviceId=d1;"} + credentials;
    auto const connection = iothub::parse_device_connection_string(text).value();
    client.emplace(
        scripted_client::create(loop, connection, bundle, iothub::loop_clock{loop}, iothub::seeded_crypto{}, o).value());
  }
  scripted_client& operator*() { return *client; }
  scripted_client* operator->() { return &*client; }
  void connect() {
    client->connect().value();
    loop.poll();
    bundle.peer.calls.clear();
  }

  iothub::memory::virtual_loop loop;
  scripted_bundle bundle;
  scripted_dialect& peer = bundle.peer;
  std::optional<scripted_client> client;
};

}  // namespace iothub_test
