// One hub and its clients for the flow tests, with the same verbs on every wiring, so that one text runs on all of
// them. Here the three in virtual time; flow_sockets.hpp has the one on real sockets.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/fake_hub.hpp>
#include <iothub/testing/gmock.hpp>

namespace iothub_test {

using namespace std::chrono_literals;
using namespace iothub;
using iothub::testing::FailedWith;
using iothub::testing::HasProperty;
using iothub::testing::JsonEq;

struct world_options {
  hub::options hub = {};
  std::uint64_t seed = 1;           // virtual wirings
  memory::pipe_options pipes = {};  // pipe wirings
  hub::log_sink* log = nullptr;
};

// The verbs that are the same whatever lies between the hub and its clients.
class world_base {
 public:
  world_base() = default;
  world_base(world_base const&) = delete;
  world_base& operator=(world_base const&) = delete;
  virtual ~world_base() = default;

  [[nodiscard]] virtual hub::hub_core& core() = 0;
  virtual hub::instant touch() = 0;
  [[nodiscard]] virtual iothub::loop& get_loop() = 0;
  // How long wait_until() waits unless told otherwise; ends only what would fail anyway.
  [[nodiscard]] virtual duration patience() const = 0;

  // --- what a back end would do, without a wire
  device_identity create(std::string_view id) {
    return core().put_identity({.device_id = std::string{id}}, {}, touch()).value();
  }
  void remove(std::string_view id) { core().delete_identity(key(id), hub::unconditional, touch()).value(); }
  void set_status(std::string_view id, identity_status status) {
    auto identity = core().get_identity(key(id)).value();
    identity.status = status;
    core().put_identity(identity, hub::unconditional, touch()).value();
  }
  // New keys: whoever holds the old ones is locked out from the next connection on.
  void roll_keys(std::string_view id) {
    auto identity = core().get_identity(key(id)).value();
    identity.authentication.primary_key = "bmV3IHByaW1hcnkga2V5IG9mIHRoZSBkZXZpY2U=";
    identity.authentication.secondary_key = "bmV3IHNlY29uZGFyeSBrZXkgb2YgdGhlIGRldmk=";
    core().put_identity(identity, hub::unconditional, touch()).value();
  }
  void set_desired(std::string_view id, json::value const& patch) {
    core().patch_twin(key(id), {.desired = &patch}, hub::unconditional, touch()).value();
  }
  [[nodiscard]] twin get_twin(std::string_view id) { return core().get_twin(key(id)).value(); }
  std::uint64_t send_c2d(std::string_view id, message what, feedback_request ack = feedback_request::none) {
    return core().send_c2d(id, {.content = std::move(what), .ack = ack}, touch()).value();
  }
  [[nodiscard]] std::uint32_t pending_c2d(std::string_view id) {
    return core().get_identity(key(id)).value().cloud_to_device_message_count;
  }
  [[nodiscard]] std::string connection_string(std::string_view id) {
    return "HostName=" + core().options().hostname + ";DeviceId=" + std::string{id} +
           ";SharedAccessKey=" + core().get_identity(key(id)).value().authentication.primary_key;
  }

  // --- what the hub has
  [[nodiscard]] virtual std::vector<telemetry_event> events() { return core().events().all(); }
  // The bodies of one device's events, in the order of arrival.
  [[nodiscard]] std::vector<std::string> bodies(std::string_view id) {
    std::vector<std::string> all;
    for (auto const& e : events())
      if (e.source.device_id == id) all.emplace_back(e.content.body.bytes());
    return all;
  }
  // The same, each once, where it came first: at QoS 1 a message may be stored twice when a connection broke.
  [[nodiscard]] std::vector<std::string> distinct_bodies(std::string_view id) {
    std::vector<std::string> distinct;
    for (auto& body : bodies(id)) {
      bool known = false;
      for (auto const& other : distinct) known = known || other == body;
      if (!known) distinct.push_back(std::move(body));
    }
    return distinct;
  }

  // --- trouble
  // The hub ends the device's connection; false when it has none.
  bool disconnect(std::string_view id) {
    return core().drop(key(id), error{errc::connection_lost, "the test disconnects the device"}, touch());
  }
  // The PUBACK of the next messages comes that much later.
  void delay_confirmations(duration delay, std::uint64_t times = 1) {
    core().faults().delay_next(hub::fault_point::send_telemetry, delay, times);
  }

  // --- time
  [[nodiscard]] time_point now() { return get_loop().now(); }
  [[nodiscard]] utc_time utc_now() { return get_loop().utc_now(); }
  void run_for(duration time) { get_loop().run_for(time).value(); }
  // At most so many turns of the loop; fewer when nothing happens any more.
  void run_turns(int count) {
    while (count-- > 0 && get_loop().run_one(iothub::add(now(), 1ms))) {
    }
  }
  template <class Predicate>
  ::testing::AssertionResult wait_until(Predicate done, duration limit = {}) {
    auto const ended =
        get_loop().run_until(std::move(done), iothub::add(now(), limit == duration{} ? patience() : limit));
    if (ended) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << ended.error().message() << "; " << get_loop().describe_waiting();
  }

 protected:
  static device_key key(std::string_view id) {
    auto const cut = split_once(id, '/');
    return {std::string{cut.before}, std::string{cut.after}};
  }
};

// What a flow may expect differs between protocols in a few places. A wiring says so with a member `speaks_amqp`.
template <class Wiring>
inline constexpr bool amqp_wiring = requires { Wiring::speaks_amqp; };

template <class Wiring>
class world final : public world_base {
 public:
  static constexpr bool in_virtual_time = true;
  static constexpr bool has_pipes = !std::is_same_v<Wiring, wiring::direct>;
  static constexpr bool speaks_amqp = amqp_wiring<Wiring>;
  static constexpr duration unit = 1s;  // what the flows call a second
  using device_client = fake_hub::device_client<Wiring>;
  using service_client = fake_hub::service_client<Wiring>;

  explicit world(world_options options = {})
      : hub_{{.seed = options.seed, .hub = std::move(options.hub), .pipes = options.pipes, .log = options.log}},
        parts_{hub_, options.pipes} {}

  [[nodiscard]] hub::hub_core& core() override { return hub_.core(); }
  hub::instant touch() override {
    hub_.runtime().touched();
    return hub_.runtime().now();
  }
  [[nodiscard]] iothub::loop& get_loop() override { return hub_.loop(); }
  [[nodiscard]] duration patience() const override { return 1h; }
  [[nodiscard]] fake_hub& hub() noexcept { return hub_; }

  [[nodiscard]] device_options options() const { return {}; }
  // Registered if need be; not connected.
  [[nodiscard]] device_client make_device(std::string_view id, std::optional<device_options> how = {}) {
    return hub_.make_device<Wiring>(id, std::move(how));
  }
  [[nodiscard]] device_client connect_device(std::string_view id, std::optional<device_options> how = {}) {
    auto device = make_device(id, std::move(how));
    device.connect().value();
    return device;
  }
  // A client of whoever this connection string names.
  [[nodiscard]] device_client device_from(std::string_view connection, device_options how) {
    how.seed = 7;
    return device_client::create(hub_.loop(), parse_device_connection_string(connection).value(),
                                 Wiring::device_source(parts_), loop_clock{hub_.loop()}, seeded_crypto{7}, how)
        .value();
  }
  [[nodiscard]] service_client connect_service(std::string_view policy = "iothubowner") {
    return hub_.connect_service<Wiring>(policy);
  }

  // The hub goes away with all its connections, and comes back.
  void stop_hub() {
    hub_.refuse_connections(true);
    if constexpr (has_pipes) {
      hub_.pipes().refuse(~std::size_t{0});
      hub_.pipes().reset_all();
    } else {
      for (auto const& identity : core().list_devices()) (void)disconnect(identity.device_id);
    }
  }
  void start_hub() {
    hub_.refuse_connections(false);
    if constexpr (has_pipes) hub_.pipes().refuse(0);
  }

 private:
  // What a wiring asks of a hub, for clients that fake_hub does not make. The wires are a second set of the same hub's.
  struct hub_parts {
    hub_parts(fake_hub& of, memory::pipe_options const& how) : hub{of}, pipes{how}, direct_peer{of.runtime().mqtt()} {}
    pipe_wires& wires() {
      if (!made)
        made = std::make_unique<pipe_wires>(hub.loop(), hub.runtime().mqtt(), hub.runtime().http(),
                                            hub.runtime().amqp(), pipes, nullptr);
      return *made;
    }
    fake_hub& hub;
    memory::pipe_options pipes;
    direct_mqtt_peer direct_peer;
    std::unique_ptr<pipe_wires> made = {};
  };

  fake_hub hub_;
  hub_parts parts_;
};

// A SAS token in a connection string, made by a clock that is off by so much.
inline std::string connection_string_with_token(world_base& w, std::string_view id, duration clock_offset) {
  auto const own = parse_device_connection_string(w.connection_string(id)).value();
  auto signer = basic_sas_signer<skewed_clock<>, seeded_crypto>::make(
                    skewed_clock<>{w.get_loop(), clock_offset}, seeded_crypto{}, own.shared_access_key,
                    {.host_name = own.host_name, .device_id = own.device_id})
                    .value();
  return "HostName=" + own.host_name + ";DeviceId=" + own.device_id +
         ";SharedAccessSignature=" + signer.token().value();
}

using virtual_wirings = ::testing::Types<wiring::direct, wiring::pipe, wiring::pipe_tls>;
using pipe_wirings = ::testing::Types<wiring::pipe, wiring::pipe_tls>;

struct sockets {};

struct wiring_names {
  template <class Wiring>
  static std::string GetName(int) {
    if constexpr (requires { Wiring::name; }) return Wiring::name;
    if constexpr (std::is_same_v<Wiring, wiring::direct>) return "direct";
    if constexpr (std::is_same_v<Wiring, wiring::pipe>) return "pipe";
    if constexpr (std::is_same_v<Wiring, wiring::pipe_tls>) return "pipe_tls";
    return "sockets";
  }
};

}  // namespace iothub_test
