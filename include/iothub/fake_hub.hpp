// A whole IoT hub in the process of a unit test, in virtual time, without a socket.
//
//   TEST(Pump, ReportsItsReboot) {
//     iothub::fake_hub hub;
//     auto device = hub.connect_device("pump-7");          // registered if need be, connected
//     pump_logic logic{device};                            // what is tested
//     auto reply = hub.connect_service().invoke_method("pump-7", {.name = "reboot"});
//     EXPECT_EQ(reply->status, 202);
//     hub.run_for(20s);                                    // no sleeping: time is data
//     EXPECT_EQ(hub.connect_service().get_twin("pump-7")->reported["rebootTime"], "2024-01-01T00:00:20.000Z");
//   }
//
// Theory of operation. The hub, its clients and their connections are participants of one virtual loop. Time stands
// still while anything can be done and then jumps to the next deadline, so a time-out of 300 s costs nothing, and a
// wait that can never end says at once who waits for what. The same seed gives the same run: keys, ids, jitter, faults.
//
// Wirings. What lies between a client and the hub is chosen with the client:
//   wiring::direct    packets and requests as values; the default, and the fastest
//   wiring::pipe      their bytes, over pipes in memory with latency, fragments and resets (pipes())
//   wiring::pipe_tls  TLS inside the pipes, with certificates of the hub's own CA
//
// The verbs of this class are for tests: where the hub refuses one they throw iothub::exception (without exceptions:
// abort). core() has the same as results. Clients must not outlive the hub.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/hub_wirings.hpp>
#include <iothub/iothub.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/printers.hpp>

namespace iothub {
inline namespace v0 {

struct fake_hub_options {
  std::uint64_t seed = 1;
  utc_time start = memory::virtual_epoch;  // 2024-01-01T00:00:00Z
  hub::options hub = {};                   // every switch and limit
  device_options device = {};              // for devices that are connected without options of their own
  service_options service = {};
  memory::pipe_options pipes = {};
  hub::log_sink* log = nullptr;  // must outlive the hub
};

template <class Crypto = seeded_crypto>
class basic_fake_hub {
 public:
  template <class Wiring = wiring::direct>
  using device_client = basic_device_client<typename Wiring::device_transport, loop_clock, Crypto>;
  template <class Wiring = wiring::direct>
  using service_client = basic_service_client<typename Wiring::http_transport, loop_clock, Crypto>;

  explicit basic_fake_hub(fake_hub_options options = {}) : state_{std::make_unique<state>(std::move(options))} {}
  basic_fake_hub(basic_fake_hub&&) noexcept = default;
  basic_fake_hub& operator=(basic_fake_hub&&) noexcept = default;

  // --- clients
  // --------------------------------------------------------------------------------------------------------

  // A client of that device, which is registered when it is not yet. connect_device() has it connected when it returns;
  // make_device() leaves that to the test, which may add handlers before. An id "device/module" is a module.
  template <class Wiring = wiring::direct>
  [[nodiscard]] device_client<Wiring> make_device(std::string_view id, std::optional<device_options> options = {});
  template <class Wiring = wiring::direct>
  [[nodiscard]] device_client<Wiring> connect_device(std::string_view id, std::optional<device_options> options = {}) {
    auto client = make_device<Wiring>(id, std::move(options));
    client.connect().value();
    return client;
  }
  // A back end with the rights of the owner, or of another policy.
  template <class Wiring = wiring::direct>
  [[nodiscard]] service_client<Wiring> connect_service(std::string_view policy = "iothubowner");

  // For clients that a test makes itself. The text holds a key.
  [[nodiscard]] std::string connection_string_for(std::string_view id);
  [[nodiscard]] std::string service_connection_string(std::string_view policy = "iothubowner");

  // --- identities and what a back end would do
  // ------------------------------------------------------------------------

  device_identity create_device(std::string_view id) { return create_device(identity_of(id)); }
  device_identity create_device(device_identity const& what);
  void delete_device(std::string_view id);
  // Enables or disables; a disabled device is disconnected.
  void set_status(std::string_view id, identity_status status);
  [[nodiscard]] twin get_twin(std::string_view id) { return core().get_twin(key_of(id)).value(); }
  // Merges into the desired properties (null removes), or into the tags.
  void set_desired(std::string_view id, json::value const& patch);
  void set_tags(std::string_view id, json::value const& patch);
  // Queues a message for the device; its sequence number. As with the real hub, a device on MQTT does not get what was
  // sent before it subscribed for the first time (Microsoft docs "Communicate with an IoT hub using the MQTT protocol",
  // Receiving cloud-to-device messages): let it connect with an on_message() handler first, or set
  // hub::options::deliver_pending_on_subscribe.
  std::uint64_t send_c2d(std::string_view id, message what, feedback_request ack = feedback_request::none);
  // How many messages wait for the device, delivered but not settled ones included.
  [[nodiscard]] std::uint32_t pending_c2d(std::string_view id) {
    return core().get_identity(key_of(id)).value().cloud_to_device_message_count;
  }
  [[nodiscard]] std::vector<hub::feedback_record> take_feedback() { return core().take_feedback(); }

  // --- telemetry
  // ------------------------------------------------------------------------------------------------------

  // All that arrived, in the order of arrival.
  [[nodiscard]] std::vector<telemetry_event> events() const { return state_->runtime.core().events().all(); }
  // Runs until that many events have arrived since the hub was made; false when they did not within `limit`.
  bool wait_for_events(std::uint64_t count, duration limit = std::chrono::seconds{60});
  // The first event that was not given out by this before; waits for it, at most `limit`. errc::timeout, stalled.
  result<telemetry_event> next_event(duration limit = std::chrono::seconds{60});

  // --- trouble
  // --------------------------------------------------------------------------------------------------------

  // The device's connection breaks; false when it had none.
  bool disconnect(std::string_view id);
  // The next operations, of whatever kind, are refused.
  void reject_next(errc code, std::uint64_t times = 1) { reject_next(hub::fault_point::any, code, times); }
  void reject_next(hub::fault_point where, errc code, std::uint64_t times = 1) {
    faults().reject_next(where, code, times);
  }
  [[nodiscard]] hub::fault_plan& faults() noexcept { return core().faults(); }
  // While refusing, nobody listens: every attempt to connect over MQTT in the direct wiring is refused.
  void refuse_connections(bool on) noexcept { state_->direct_peer.refuse(on); }
  // The wires of the two pipe wirings, with their latency and faults.
  [[nodiscard]] memory::pipe_network& pipes() { return state_->wires().network(); }
  // What serves them, and what serves the direct wiring: for wirings of a test's own.
  [[nodiscard]] pipe_wires& wires() { return state_->wires(); }
  [[nodiscard]] direct_mqtt_peer& direct_peer() noexcept { return state_->direct_peer; }
  // What clients of the TLS wiring trust, as PEM.
  [[nodiscard]] std::string const& ca_pem() { return state_->wires().ca_pem(); }

  // --- time
  // -----------------------------------------------------------------------------------------------------------

  // Lets virtual time pass. An endless wait is errc::stalled, thrown with a text that says who waits for what.
  void run_for(duration time) { state_->loop.run_for(time).value(); }
  // Runs until done() says true, at most for `limit`: whether it did.
  template <class Predicate>
  bool run_until(Predicate done, duration limit = std::chrono::hours{1}) {
    return state_->loop.run_until(std::move(done), add(now(), limit)).has_value();
  }
  // Does what can be done without letting time pass.
  void poll() { state_->loop.poll(); }
  [[nodiscard]] time_point now() const { return state_->loop.now(); }
  [[nodiscard]] utc_time utc_now() const { return state_->loop.utc_now(); }
  [[nodiscard]] memory::virtual_loop& loop() noexcept { return state_->loop; }

  // --- the hub itself
  // -------------------------------------------------------------------------------------------------

  [[nodiscard]] hub::hub_core& core() noexcept { return state_->runtime.core(); }
  [[nodiscard]] hub_runtime<Crypto&>& runtime() noexcept { return state_->runtime; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return state_->options.seed; }

 private:
  struct state {
    explicit state(fake_hub_options wanted)
        : options{std::move(wanted)},
          random{options.seed},
          loop{options.start},
          crypto{make_crypto()},
          runtime{loop, crypto, options.hub, options.log},
          direct_peer{runtime.mqtt()} {}
    // A client's own, so that what one client draws does not depend on the others.
    Crypto make_crypto() {
      if constexpr (std::is_constructible_v<Crypto, std::uint64_t>)
        return Crypto{random()};
      else
        return Crypto{};
    }
    pipe_wires& wires() {
      if (!pipes)
        pipes = std::make_unique<pipe_wires>(loop, runtime.mqtt(), runtime.http(), runtime.amqp(), options.pipes,
                                             options.log);
      return *pipes;
    }

    fake_hub_options options;
    prng random;
    memory::virtual_loop loop;
    Crypto crypto;
    hub_runtime<Crypto&> runtime;
    direct_mqtt_peer direct_peer;
    std::unique_ptr<pipe_wires> pipes;
    std::uint64_t events_given_out = 0;
  };

  static device_key key_of(std::string_view id) {
    auto const cut = split_once(id, '/');
    return {std::string{cut.before}, std::string{cut.after}};
  }
  static device_identity identity_of(std::string_view id) {
    auto key = key_of(id);
    return {.device_id = std::move(key.device_id), .module_id = std::move(key.module_id)};
  }
  device_identity ensure(std::string_view id);
  hub::instant touch() {
    state_->runtime.touched();
    return state_->runtime.now();
  }

  std::unique_ptr<state> state_;
};

using fake_hub = basic_fake_hub<seeded_crypto>;

// ---------------------------------------------------------------------------------------------------------------------

template <class Crypto>
device_identity basic_fake_hub<Crypto>::ensure(std::string_view id) {
  auto const key = key_of(id);
  if (auto known = core().get_identity(key)) return std::move(*known);
  if (!key.module_id.empty()) ensure(key.device_id);
  return create_device(identity_of(id));
}

template <class Crypto>
template <class Wiring>
auto basic_fake_hub<Crypto>::make_device(std::string_view id, std::optional<device_options> options)
    -> device_client<Wiring> {
  ensure(id);
  auto const connection = parse_device_connection_string(connection_string_for(id)).value();
  device_options how = options ? *std::move(options) : state_->options.device;
  if (how.seed == 0) how.seed = state_->random();
  return device_client<Wiring>::create(state_->loop, connection, Wiring::device_source(*this->state_),
                                       loop_clock{state_->loop}, state_->make_crypto(), how)
      .value();
}

template <class Crypto>
template <class Wiring>
auto basic_fake_hub<Crypto>::connect_service(std::string_view policy) -> service_client<Wiring> {
  service_options how = state_->options.service;
  if (how.seed == 0) how.seed = state_->random();
  return service_client<Wiring>::create(state_->loop, service_connection_string(policy),
                                        Wiring::http_source(*this->state_), loop_clock{state_->loop},
                                        state_->make_crypto(), how)
      .value();
}

template <class Crypto>
std::string basic_fake_hub<Crypto>::connection_string_for(std::string_view id) {
  auto const identity = core().get_identity(key_of(id)).value();
  std::string text = "HostName=" + core().options().hostname + ";DeviceId=" + identity.device_id;
  if (!identity.module_id.empty()) text += ";ModuleId=" + identity.module_id;
  return text + ";SharedAccessKey=" + identity.authentication.primary_key;
}

template <class Crypto>
std::string basic_fake_hub<Crypto>::service_connection_string(std::string_view policy) {
  auto const* const found = core().find_policy(policy);
  if (found == nullptr) detail::throw_error({errc::not_found, "the hub has no policy " + std::string{policy}});
  return "HostName=" + core().options().hostname + ";SharedAccessKeyName=" + found->name +
         ";SharedAccessKey=" + found->primary_key;
}

template <class Crypto>
device_identity basic_fake_hub<Crypto>::create_device(device_identity const& what) {
  return core().put_identity(what, {}, touch()).value();
}
template <class Crypto>
void basic_fake_hub<Crypto>::delete_device(std::string_view id) {
  core().delete_identity(key_of(id), hub::unconditional, touch()).value();
}
template <class Crypto>
void basic_fake_hub<Crypto>::set_status(std::string_view id, identity_status status) {
  auto identity = core().get_identity(key_of(id)).value();
  identity.status = status;
  core().put_identity(identity, hub::unconditional, touch()).value();
}

template <class Crypto>
void basic_fake_hub<Crypto>::set_desired(std::string_view id, json::value const& patch) {
  core().patch_twin(key_of(id), {.desired = &patch}, hub::unconditional, touch()).value();
}
template <class Crypto>
void basic_fake_hub<Crypto>::set_tags(std::string_view id, json::value const& patch) {
  core().patch_twin(key_of(id), {.tags = &patch}, hub::unconditional, touch()).value();
}
template <class Crypto>
std::uint64_t basic_fake_hub<Crypto>::send_c2d(std::string_view id, message what, feedback_request ack) {
  return core().send_c2d(id, {.content = std::move(what), .ack = ack}, touch()).value();
}

template <class Crypto>
bool basic_fake_hub<Crypto>::wait_for_events(std::uint64_t count, duration limit) {
  return run_until([&] { return core().events().appended() >= count; }, limit);
}
template <class Crypto>
result<telemetry_event> basic_fake_hub<Crypto>::next_event(duration limit) {
  auto const wanted = state_->events_given_out + 1;
  auto arrived = state_->loop.run_until([&] { return core().events().appended() >= wanted; }, add(now(), limit));
  if (!arrived && arrived.error() == errc::timeout)
    return error{errc::timeout, "no further telemetry arrived in " +
                                    std::to_string(limit / std::chrono::milliseconds{1}) + " ms of the hub's time; " +
                                    std::to_string(wanted - 1) + " event(s) were given out before"};
  if (!arrived) return arrived.error();
  auto all = events();
  auto const kept_from = core().events().appended() - all.size();
  auto const at = state_->events_given_out > kept_from ? state_->events_given_out - kept_from : 0;
  state_->events_given_out = kept_from + at + 1;
  return std::move(all[static_cast<std::size_t>(at)]);
}

template <class Crypto>
bool basic_fake_hub<Crypto>::disconnect(std::string_view id) {
  return core().drop(key_of(id), error{errc::connection_lost, "the test disconnects the device"}, touch());
}

}  // namespace v0
}  // namespace iothub
