// Bad weather for device logic: real clients and a real hub in one process, in virtual time, and between them a network
// that does what networks do.
//
//   TEST(Pump, LosesNothingInAMonthOfBadNetwork) {
//     iothub::simulation sim{{.seed = 7, .faults = iothub::sim::bad_network()}};
//     auto device = sim.connect_device("pump-7");
//     pump_logic logic{device};                                  // what is tested
//     sim.run_for(30 * 24h);                                     // about a second
//     EXPECT_TRUE(sim.settle());                                 // the weather clears; everything comes to rest
//     EXPECT_EQ(sim.bodies("pump-7"), logic.sent()) << sim;      // the seed and what happened, when it fails
//   }
//
// Theory of operation. Clients speak MQTT and HTTP in bytes over pipes; between a client and its pipe stand a stream
// with the faults of TCP and a wire with those of MQTT or HTTP (iothub/simulation/). The faults come from a profile by
// a generator that is seeded, or one by one by inject(). One thread, one loop in virtual time: the same seed gives the
// same run, to the byte. The hub's own troubles (restarts, throttles, deleted devices) are made at the hub.
//
// Clients must not outlive the simulation. Its verbs throw iothub::exception where a test asks for what cannot be.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/fake_hub.hpp>
#include <iothub/simulation/device_clock.hpp>
#include <iothub/simulation/fault.hpp>
#include <iothub/simulation/fault_profile.hpp>
#include <iothub/simulation/http_wire.hpp>
#include <iothub/simulation/line.hpp>
#include <iothub/simulation/mqtt_wire.hpp>
#include <iothub/simulation/secure_stream.hpp>
#include <iothub/simulation/seeded_openssl.hpp>
#include <iothub/simulation/station.hpp>
#include <iothub/simulation/value_wire.hpp>

namespace iothub {
inline namespace v0 {

struct simulation_options {
  std::uint64_t seed = 1;
  sim::fault_profile faults = {};  // none
  fake_hub_options hub = {};       // its seed is drawn from ours; pipes: latency and jitter of the network
  bool tls = false;                // TLS inside the pipes, with certificates of the hub's CA
};

class simulation final : private participant {
 public:
  using device_stream = stream_mqtt<sim::mqtt_wire<sim::secure_stream>>;
  using device_client = basic_device_client<over_mqtt<device_stream>, sim::device_clock, seeded_crypto>;
  struct make_http_wire {
    sim::line* on;
    net::tls_context const* context;
    sim::http_wire<sim::secure_stream> operator()() const {
      return sim::http_wire<sim::secure_stream>{*on, *on, context};
    }
  };
  using service_client =
      basic_service_client<stream_http<sim::http_wire<sim::secure_stream>, make_http_wire>, loop_clock, seeded_crypto>;
  // The same with packets and requests as values: faster, and blind for what happens to bytes
  // (simulation/value_wire.hpp).
  using value_transport = sim::value_wire<memory::direct_mqtt<direct_mqtt_peer>>;
  using value_device_client = basic_device_client<over_mqtt<value_transport>, sim::device_clock, seeded_crypto>;
  using value_http_transport = sim::value_http<memory::direct_http<hub::http_face>>;
  using value_service_client = basic_service_client<value_http_transport, loop_clock, seeded_crypto>;

  explicit simulation(simulation_options options = {});
  simulation(simulation const&) = delete;
  simulation& operator=(simulation const&) = delete;
  ~simulation() override = default;

  // --- clients

  // A client of that device, registered if need be; not connected. Each device has one line, however many clients it
  // has one after the other.
  [[nodiscard]] device_client make_device(std::string_view id, std::optional<device_options> options = {});
  // Connected; the first faults come afterwards.
  [[nodiscard]] device_client connect_device(std::string_view id, std::optional<device_options> options = {}) {
    auto client = make_device(id, std::move(options));
    client.connect().value();
    return client;
  }
  [[nodiscard]] service_client connect_service(std::string_view policy = "iothubowner");
  // Clients over values. Templates, so that who uses none does not pay for them when compiling.
  template <class Client = value_device_client>
  [[nodiscard]] Client make_value_device(std::string_view id, std::optional<device_options> options = {});
  template <class Client = value_service_client>
  [[nodiscard]] Client connect_value_service(std::string_view policy = "iothubowner");

  // Where clients of other kinds stand: a device on its line, or a back end on a line of its own, by which inject() and
  // observe() know it. iothub/simulation_amqp.hpp makes clients there.
  [[nodiscard]] sim::station device_station(std::string_view id);
  [[nodiscard]] sim::station back_end_station(std::string_view name, std::string_view policy = "iothubowner");
  // The same, with the hub listening for AMQP.
  template <class Protocol = amqp_protocol>
  [[nodiscard]] sim::station amqp_device(std::string_view id) {
    listen_for_amqp<Protocol>();
    return device_station(id);
  }
  template <class Protocol = amqp_protocol>
  [[nodiscard]] sim::station amqp_back_end(std::string_view name, std::string_view policy = "iothubowner") {
    listen_for_amqp<Protocol>();
    return back_end_station(name, policy);
  }

  // --- trouble

  // Makes this happen, at the next occasion: to the device, or to the back ends' connections when `id` is empty.
  // `lasting`: for those that do; `amount`: a variation (bytes, a kind of packet). False: a fault of the process, which
  // is the test's own to make, or an unknown device.
  bool inject(sim::fault what, std::string_view id = {}, duration lasting = std::chrono::seconds{10},
              std::uint64_t amount = 0);
  // The weather clears: no fault waits, lasts or comes any more, the hub is up and takes everybody, clocks are right.
  void calm();
  // The profile's faults come, or come no longer; those under way stay.
  void set_weather(sim::fault_profile const& profile);
  // Calms down and runs until every device that wants to be is connected and nothing is pending; false when that takes
  // longer than `limit`. Back ends over AMQP are not asked.
  bool settle(duration limit = std::chrono::minutes{30});

  // What is known of a device's line: whether the hub accepted the present connection, and how much telemetry was sent
  // and not confirmed.
  [[nodiscard]] sim::line const& line_of(std::string_view id) { return place(id).way; }

  // What really happened, by kind.
  [[nodiscard]] sim::fault_counts const& faults() const noexcept { return counts_; }
  // The faults that were ordered, one line each: when, what, to whom.
  [[nodiscard]] std::vector<std::string> const& history() const noexcept { return history_; }
  void observe(std::string_view id, sim::line_observer* whom) { place(id).way.observe(whom); }
  // Called when a device's key was changed: its client has to be made anew.
  function<void(std::string_view id)> on_key_rotated;

  // --- time and what the hub has

  void run_for(duration time) { hub_.run_for(time); }
  template <class Predicate>
  bool run_until(Predicate done, duration limit = std::chrono::hours{1}) {
    return hub_.run_until(std::move(done), limit);
  }
  [[nodiscard]] time_point now() const { return hub_.now(); }
  [[nodiscard]] utc_time utc_now() const { return hub_.utc_now(); }
  [[nodiscard]] duration elapsed() { return hub_.loop().elapsed(); }
  [[nodiscard]] fake_hub& hub() noexcept { return hub_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
  // The bodies of a device's telemetry in the order of arrival; with `distinct` each once, where it came first: at QoS
  // 1 a message may be stored twice when a connection broke.
  [[nodiscard]] std::vector<std::string> bodies(std::string_view id, bool distinct = true) const;
  // For EXPECT_… << sim: the seed, the time, and what happened.
  template <class Stream>
  friend Stream& operator<<(Stream& out, simulation const& s) {
    out << "seed " << s.seed() << ", " << s.counts_.total() << " faults of " << s.counts_.kinds() << " kinds\n";
    for (auto const& entry : s.history_) out << "  " << entry << '\n';
    return out;
  }

 private:
  struct device_place final {
    device_place(std::string name, loop& on, memory::pipe_network& network, sim::fault_counts& counts)
        : id{std::move(name)}, way{on, network, counts} {}
    std::string id;
    sim::line way;
    sim::clock_error wrong = {};
    std::string primary_key = {};  // while it is deleted
    bool device = true;            // not a rival, nor a back end
  };
  struct promised {
    time_point at;
    function<void()> what;
  };
  using bad_server = stream_server<memory::pipe_listener, mqtt_protocol, sim::wrap_tls>;

  device_place& place(std::string_view id);
  device_client make_client(device_place& at, std::string_view id, device_options options);
  [[nodiscard]] device_place* find(std::string_view id) noexcept;
  template <class Protocol>
  void listen_for_amqp() {
    if (options_.tls)
      hub_.wires().template with_amqps<Protocol>();
    else
      hub_.wires().template with_amqp<Protocol>();
  }
  net::tls_context const* context();
  bool at_hub(sim::fault what, device_place& d, duration lasting, std::uint64_t amount);
  bool to_clock(sim::fault what, device_place& d, duration lasting, std::uint64_t amount);
  void note(sim::fault what, std::string_view id);
  void happened(sim::fault what, device_place const* whom);
  void later(duration wait, function<void()> what) {
    promises_.push_back({add(now(), wait), std::move(what)});
    hub_.loop().wake(*this);
  }
  // A rule of the hub that counts as `what` each time it applies.
  [[nodiscard]] static hub::fault_rule rule_of(sim::fault what, hub::fault_point where, std::string const& id,
                                               std::uint64_t times);
  void reject(hub::fault_rule rule, errc code, int hub_code = 0);
  void stop_hub(duration lasting);
  void start_hub();
  void bring_back(device_place& d);
  inline void step(time_point now) override;
  [[nodiscard]] inline time_point deadline() const override;
  void draw_next(time_point now) {
    next_ = options_.faults.mean_gap <= duration{0}
                ? never
                : add(now, duration{dice_.between(1, 2 * options_.faults.mean_gap.count())});
  }

  simulation_options options_;
  std::optional<sim::seeded_openssl> openssl_;  // before the hub, which makes keys
  prng dice_;
  prng makes_;  // seeds of clients
  sim::fault_counts counts_;
  std::vector<std::string> history_;
  fake_hub hub_;
  std::optional<net::tls_context> trust_;
  std::vector<std::unique_ptr<bad_server>> bad_;
  std::uint16_t bad_ports_[sim::line::bad_servers] = {};
  std::vector<std::unique_ptr<device_place>> places_;  // [0] is the back ends'
  std::vector<promised> promises_;
  std::optional<device_client> rival_;
  time_point next_ = never;
  bool hub_away_ = false;
};

}  // namespace v0
}  // namespace iothub

#include <iothub/simulation_bodies.hpp>
