// The world of the flow tests on real sockets, in real time: hub_server on the loopback with a CA of its own, and the
// clients that programs use. Nothing here asserts how long anything takes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub_server.hpp>
#include <iothub/iothub.hpp>
#include <iothub/net/certificate_authority.hpp>

#include "flow_world.hpp"
#include "process.hpp"

namespace iothub_test {

// DeviceClient: which of the clients with a transport of their own.
template <class DeviceClient, bool Amqp>
class sockets_world : public world_base {
 public:
  static constexpr bool in_virtual_time = false;
  static constexpr bool has_pipes = false;
  static constexpr bool speaks_amqp = Amqp;
  static constexpr duration unit = 10ms;
  using device_client = DeviceClient;
  using service_client = iothub::service_client;

  explicit sockets_world(world_options options = {})
      : ca_{net::open_certificate_authority(folder_.file("ca"), {}, loop_.utc_now()).value()} {
    options_.hub = std::move(options.hub);
    options_.hub.owner_key = "a2V5IG9mIHRoZSBvd25lciBvZiBhIHRlc3QncyBodWI=";  // the same after a restart
    options_.https_port = options_.mqtt_port = 0;
    if (Amqp) options_.amqps_port = 0;
    options_.certificate_pem = ca_.chain_pem;
    options_.private_key_pem = ca_.private_key_pem;
    options_.log = options.log;
    start_hub();
  }

  [[nodiscard]] hub::hub_core& core() override { return server_->core(); }
  hub::instant touch() override {
    server_->runtime().touched();
    return server_->runtime().now();
  }
  [[nodiscard]] iothub::loop& get_loop() override { return loop_; }
  [[nodiscard]] duration patience() const override { return 60s; }

  [[nodiscard]] device_options options() const {
    device_options how;
    how.ca_file = ca_.ca_file;
    how.mqtt_port = options_.mqtt_port;
    how.https_port = options_.https_port;
    if (Amqp) how.amqps_port = *options_.amqps_port;
    how.reconnect = {.min_delay = 1ms,
                     .base_delay = 2ms,
                     .max_delay = 20ms,
                     .throttled_base_delay = 2ms,
                     .throttled_max_delay = 20ms};
    return how;
  }
  [[nodiscard]] device_client make_device(std::string_view id, std::optional<device_options> how = {}) {
    if (!core().get_identity(key(id))) create(id);
    return device_from(connection_string(id), how ? *std::move(how) : options());
  }
  [[nodiscard]] device_client connect_device(std::string_view id, std::optional<device_options> how = {}) {
    auto device = make_device(id, std::move(how));
    device.connect().value();
    return device;
  }
  [[nodiscard]] device_client device_from(std::string_view connection, device_options how) {
    return device_client::from_connection_string(loop_, connection, how).value();
  }
  [[nodiscard]] service_client connect_service(std::string_view policy = "iothubowner") {
    service_options how;
    how.ca_file = ca_.ca_file;
    how.https_port = options_.https_port;
    auto const* const found = core().find_policy(policy);
    return service_client::from_connection_string(loop_,
                                                  "HostName=" + core().options().hostname + ";SharedAccessKeyName=" +
                                                      found->name + ";SharedAccessKey=" + found->primary_key,
                                                  how)
        .value();
  }

  [[nodiscard]] std::vector<telemetry_event> events() override {
    auto all = events_before_;
    if (server_)
      for (auto& e : core().events().all()) all.push_back(std::move(e));
    return all;
  }

  // The server ends. The next one is a new hub on the same ports that knows the same identities.
  void stop_hub() {
    events_before_ = events();
    identities_ = core().list_devices();
    server_.reset();
  }
  void start_hub() {
    server_ = hub_server::start(loop_, options_).value();
    options_.https_port = server_->https_port();
    options_.mqtt_port = server_->mqtt_port();
    if (Amqp) options_.amqps_port = server_->amqps_port();
    for (auto const& identity : identities_) core().put_identity(identity, {}, touch()).value();
  }

 private:
  temporary_folder folder_;
  net::epoll_loop loop_;
  net::certificate_authority ca_;
  hub_server_options options_;
  std::unique_ptr<hub_server> server_;
  std::vector<telemetry_event> events_before_;
  std::vector<device_identity> identities_;
};

template <>
class world<sockets> final : public sockets_world<iothub::device_client, false> {
 public:
  using sockets_world::sockets_world;
};

}  // namespace iothub_test
