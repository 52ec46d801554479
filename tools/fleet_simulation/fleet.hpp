// The fleet: real device clients and a fake hub on one virtual loop, and a director who sends telemetry for the devices,
// takes the hub away, brings it back and counts.
//
// Theory of operation. Second 0 is `lead` before the outage; each second has a row. Devices send in turn, evenly spread
// over the period, whether they are connected or not: what cannot be sent waits in the client's outbox. The hub goes away
// by dropping one connection after the other and refusing new ones; it comes back with a throttle on connections. The
// clients are as a user has them but for two options: the back-off that is compared, and tokens of a day, so that no
// planned renewal falls into the measurement.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <iothub/fake_hub.hpp>

#include "options.hpp"
#include "slow_link.hpp"
#include "tally.hpp"

namespace fleet_simulation {

// What is between a link and the hub.
struct over_values {
  using transport = iothub::memory::direct_mqtt<iothub::direct_mqtt_peer>;
  explicit over_values(iothub::fake_hub& hub) : peer{hub.runtime().mqtt()} {}
  auto source(network& through) {
    return [this, &through] { return slow_link<transport>{through, peer}; };
  }
  iothub::direct_mqtt_peer peer;
};
struct over_bytes {
  using transport = iothub::stream_mqtt<iothub::plain_pipe>;
  explicit over_bytes(iothub::fake_hub& hub) : pipes{&hub.pipes()} {}
  auto source(network& through) {
    return [this, &through] { return slow_link<transport>{through, iothub::mqtt::client_options{}, *pipes}; };
  }
  iothub::memory::pipe_network* pipes;
};

// Tells people how far it is, at most once a second of their time.
class progress {
 public:
  explicit progress(bool silent) : silent_{silent} {}
  // `second`: counted from the hub's return.
  void tell(policy const& of, std::int64_t second, std::uint64_t connected, std::uint64_t devices,
            std::uint64_t attempts) {
    if (silent_) return;
    auto const now = std::chrono::steady_clock::now();
    if (now < next_) return;
    next_ = now + std::chrono::seconds{1};
    std::fprintf(stderr, "%-7.*s %+6lld s  connected %8llu of %llu  attempts %llu\n", static_cast<int>(of.name.size()),
                 of.name.data(), static_cast<long long>(second), static_cast<unsigned long long>(connected),
                 static_cast<unsigned long long>(devices), static_cast<unsigned long long>(attempts));
  }

 private:
  bool silent_;
  std::chrono::steady_clock::time_point next_ = {};
};

template <class Wire>
class fleet final : private iothub::participant {
  using link = slow_link<typename Wire::transport>;
  using client = iothub::basic_device_client<iothub::over_mqtt<link>, iothub::loop_clock, iothub::seeded_crypto>;
  static constexpr std::uint64_t lead = 60;   // seconds of good weather before
  static constexpr std::uint64_t after = 10;  // and afterwards

 public:
  fleet(options const& wanted, policy const& of, progress& tells)
      : options_{wanted}, progress_{tells}, hub_{hub_options(wanted)}, wire_{hub_}, dice_{wanted.seed} {
    tally_.of = &of;
    tally_.devices = options_.devices;
    network_.dice = iothub::prng{dice_()};
    network_.on_attempt = [this](time_point) { ++row().attempts; };
    network_.on_refused = [this](time_point) { ++row().refused; };
  }
  fleet(fleet const&) = delete;
  fleet& operator=(fleet const&) = delete;

  tally run() {
    make_devices();
    schedule();
    hub_.loop().add(*this);
    // A message that is under way at the end of a turn is no arrears, so the first moment without any counts.
    auto const well = [this] {
      if (returned_ && tally_.caught_up < 0 && connected_ == options_.devices && waiting_ == 0)
        tally_.caught_up = since_return();
      return tally_.caught_up >= 0;
    };
    hub_.run_until(well, std::chrono::seconds{lead + options_.outage + options_.limit});
    if (tally_.caught_up >= 0) hub_.run_for(std::chrono::seconds{after});
    finish();
    return std::move(tally_);
  }

 private:
  static iothub::fake_hub_options hub_options(options const& wanted) {
    iothub::fake_hub_options made;
    made.seed = wanted.seed;
    made.hub.limits.devices = wanted.devices;
    made.hub.retention.partitions = 1;
    made.hub.retention.events = 16;  // they are counted, not looked at
    return made;
  }

  void make_devices() {
    iothub::device_options how;
    how.reconnect.own_delay = tally_.of->delay;
    how.token.lifetime = std::chrono::hours{24};
    devices_.reserve(options_.devices);
    up_.resize(options_.devices);
    char name[32];
    for (std::uint64_t i = 0; i != options_.devices; ++i) {
      std::snprintf(name, sizeof name, "device-%07llu", static_cast<unsigned long long>(i));
      hub_.create_device(name);
      auto const connection = iothub::parse_device_connection_string(hub_.connection_string_for(name)).value();
      how.seed = dice_() | 1;  // 0 would be none
      devices_.push_back(client::create(hub_.loop(), connection, wire_.source(network_),
                                        iothub::loop_clock{hub_.loop()}, iothub::seeded_crypto{dice_()}, how)
                             .value());
      client& device = devices_.back();
      device.on_connection_change([this, i](iothub::connection_status to, iothub::connection_reason) {
        on_status(i, to == iothub::connection_status::connected);
      });
      device.async_connect([](iothub::result<void> outcome) { outcome.value(); });
      if (i % 1000 == 999) {
        hub_.poll();
        progress_.tell(*tally_.of, -static_cast<std::int64_t>(lead + options_.outage), connected_, options_.devices, 0);
      }
    }
    hub_.poll();
    if (connected_ != options_.devices) iothub::detail::throw_error({iothub::errc::invalid_state, "not all devices connected"});
  }

  void schedule() {
    zero_ = hub_.now();
    tally_.rows.assign(1, {});
    tally_.returned = static_cast<std::int64_t>(lead + options_.outage);
    outage_at_ = zero_ + std::chrono::seconds{lead};
    return_at_ = outage_at_ + std::chrono::seconds{options_.outage};
    network_.handshake = std::chrono::milliseconds{options_.handshake};
    drops_.reserve(options_.devices);
    auto const most = duration{std::chrono::seconds{options_.drop_over}}.count();
    for (std::uint64_t i = 0; i != options_.devices; ++i)
      drops_.emplace_back(outage_at_ + duration{dice_.between(0, most)}, static_cast<std::uint32_t>(i));
    std::sort(drops_.begin(), drops_.end());
  }

  // --- what happens when

  void step(time_point now) override {
    while (next_drop_ != drops_.size() && drops_[next_drop_].first <= now) drop(drops_[next_drop_++].second);
    while (send_time() <= now) send(now);
    if (!returned_ && return_at_ <= now) bring_back();
    while (second_time() <= now) {
      row().connected = connected_;
      row().waiting = waiting_;
      tally_.rows.emplace_back();
      progress_.tell(*tally_.of, static_cast<std::int64_t>(tally_.rows.size()) - 1 - tally_.returned, connected_,
                     options_.devices, attempts());
    }
  }
  [[nodiscard]] time_point deadline() const override {
    time_point first = send_time();
    if (second_time() < first) first = second_time();
    if (!returned_ && return_at_ < first) first = return_at_;
    if (next_drop_ != drops_.size() && drops_[next_drop_].first < first) first = drops_[next_drop_].first;
    return first;
  }
  [[nodiscard]] time_point send_time() const {
    auto const period = static_cast<std::int64_t>(options_.period) * 1'000'000;
    auto const count = static_cast<std::int64_t>(options_.devices);
    return zero_ + duration{sent_ / count * period + sent_ % count * period / count};
  }
  [[nodiscard]] time_point second_time() const {
    return zero_ + std::chrono::seconds{static_cast<std::int64_t>(tally_.rows.size())};
  }

  void drop(std::uint32_t which) {
    network_.hub_is_away = true;
    char name[32];
    std::snprintf(name, sizeof name, "device-%07llu", static_cast<unsigned long long>(which));
    hub_.disconnect(name);
  }
  void bring_back() {
    returned_ = true;
    network_.hub_is_away = false;
    hub_.faults().throttle(iothub::hub::fault_point::connect, options_.connects_per_second, options_.burst);
  }
  void send(time_point now) {
    auto const which = static_cast<std::size_t>(sent_ % static_cast<std::int64_t>(options_.devices));
    ++sent_;
    ++waiting_;
    if (now >= outage_at_) ++tally_.messages;
    devices_[which].async_send_telemetry({.body = R"({"temperature":21.5,"humidity":64})"}, std::chrono::hours{24 * 30},
                                         [this, now](iothub::result<void> outcome) { on_sent(now, !outcome); });
  }

  void on_sent(time_point sent, bool failed) {
    --waiting_;
    if (failed) {
      tally_.lost += counting_;
      return;
    }
    ++confirmed_;
    duration const delay = hub_.now() - sent;
    if (delay >= std::chrono::seconds{1}) tally_.delays.push_back(delay.count());
  }
  void on_status(std::uint64_t which, bool up) {
    if (up_[which] == static_cast<char>(up)) return;
    up_[which] = static_cast<char>(up);
    if (!up) {
      --connected_;
      return;
    }
    ++connected_;
    if (!returned_) return;
    ++row().accepted;
    auto const reached = [&](double& when, std::uint64_t wanted) {
      if (when < 0 && connected_ >= wanted) when = since_return();
    };
    reached(tally_.half_connected, (options_.devices + 1) / 2);
    reached(tally_.nearly_connected, options_.devices - options_.devices / 100);
    reached(tally_.all_connected, options_.devices);
  }

  void finish() {
    counting_ = 0;  // what the clients' end ends is not lost
    row().connected = connected_;
    row().waiting = waiting_;
    std::sort(tally_.delays.begin(), tally_.delays.end());
    std::uint64_t const stored = hub_.core().events().appended();
    tally_.stored_twice = stored > confirmed_ && waiting_ == 0 ? stored - confirmed_ : 0;
    hub_.loop().remove(*this);
  }

  [[nodiscard]] second_row& row() {
    if (tally_.rows.empty()) tally_.rows.emplace_back();
    return tally_.rows.back();
  }
  [[nodiscard]] double since_return() const { return static_cast<double>((hub_.now() - return_at_).count()) / 1e6; }
  [[nodiscard]] std::uint64_t attempts() const { return tally_.attempts_before() + tally_.attempts_after(); }

  options const& options_;
  progress& progress_;
  tally tally_;
  network network_;
  std::vector<char> up_;
  std::vector<std::pair<time_point, std::uint32_t>> drops_;
  std::size_t next_drop_ = 0;
  std::int64_t sent_ = 0;
  std::uint64_t waiting_ = 0;
  std::uint64_t confirmed_ = 0;
  std::uint64_t connected_ = 0;
  std::uint64_t counting_ = 1;
  bool returned_ = false;
  time_point zero_ = {};
  time_point outage_at_ = never;
  time_point return_at_ = never;
  iothub::fake_hub hub_;
  Wire wire_;
  iothub::prng dice_;
  std::vector<client> devices_;  // goes before the hub
};

[[nodiscard]] inline tally run_fleet(options const& wanted, policy const& of, progress& tells) {
  if (wanted.bytes) return std::make_unique<fleet<over_bytes>>(wanted, of, tells)->run();
  return std::make_unique<fleet<over_values>>(wanted, of, tells)->run();
}

}  // namespace fleet_simulation
