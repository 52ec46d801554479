// The way from a device to the hub, as far as a herd cares: an attempt to connect takes as long as a TCP and a TLS
// handshake, and fails when the hub is away. Once connected, whatever is below.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/prng.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/mqtt/client_session.hpp>
#include <iothub/policy/mqtt_transport.hpp>

namespace fleet_simulation {

using iothub::duration;
using iothub::never;
using iothub::time_point;

// What all links of a fleet share. `on_attempt` and `on_refused` are told when an attempt begins, and when the hub said
// that it takes none now.
struct network {
  bool hub_is_away = false;
  duration handshake = {};  // mean; each takes half of it to one and a half, evenly
  iothub::prng dice{0};
  iothub::function<void(time_point)> on_attempt;
  iothub::function<void(time_point)> on_refused;
};

template <iothub::mqtt_transport Next>
class slow_link final {
 public:
  template <class... Arguments>
  explicit slow_link(network& through, Arguments&&... arguments)
      : network_{&through}, next_{std::forward<Arguments>(arguments)...} {}

  iothub::result<void> open(iothub::endpoint const& where, iothub::mqtt::connect const& how, time_point now) {
    if (network_->on_attempt) network_->on_attempt(now);
    if (network_->handshake <= duration{0} && !network_->hub_is_away) return next_.open(where, how, now);
    due_ = iothub::add(now, duration{network_->dice.between(network_->handshake.count() / 2,
                                                            network_->handshake.count() * 3 / 2)});
    // Whether anybody listens is decided here, where the attempt begins.
    if (!network_->hub_is_away)
      waiting_ = std::make_unique<attempt>(attempt{where, std::string{how.client_id}, std::string{how.username},
                                                   std::string{how.password}, how});
    return {};
  }
  void close(iothub::mqtt::close_mode mode, time_point now) {
    forget();
    next_.close(mode, now);
  }
  void step(time_point now) {
    if (due_ != never) {
      if (now < due_) return;
      if (!waiting_) return;  // next_event() says so
      auto const begun = std::exchange(waiting_, nullptr);
      due_ = never;
      iothub::mqtt::connect how = begun->how;
      how.client_id = begun->client_id;
      how.username = begun->username;
      how.password = begun->password;
      if (auto opened = next_.open(begun->where, how, now); !opened) due_ = now;
    }
    next_.step(now);
    now_ = now;
  }
  iothub::mqtt::client_event const* next_event() {
    if (due_ != never) {
      if (waiting_ || network_now() < due_) return nullptr;
      due_ = never;
      failed_.kind = iothub::mqtt::client_event_kind::closed;
      failed_.reason = iothub::error{iothub::errc::connection_refused, "nobody listens there"};
      return &failed_;
    }
    auto const* const event = next_.next_event();
    if (event != nullptr && event->kind == iothub::mqtt::client_event_kind::refused && network_->on_refused)
      network_->on_refused(now_);
    return event;
  }
  [[nodiscard]] time_point deadline() const {
    time_point const below = next_.deadline();
    return due_ < below ? due_ : below;
  }
  void attach(iothub::loop& on, iothub::participant& whom) {
    loop_ = &on;
    next_.attach(on, whom);
  }

  iothub::result<std::uint16_t> publish(iothub::mqtt::publish const& message, time_point now) {
    return next_.publish(message, now);
  }
  iothub::result<std::uint16_t> subscribe(std::span<iothub::mqtt::subscription const> filters, time_point now) {
    return next_.subscribe(filters, now);
  }
  iothub::result<std::uint16_t> unsubscribe(std::span<std::string_view const> names, time_point now) {
    return next_.unsubscribe(names, now);
  }
  void acknowledge(std::uint16_t id, time_point now) { next_.acknowledge(id, now); }
  void abandon(std::uint16_t id) { next_.abandon(id); }

 private:
  struct attempt {
    iothub::endpoint where;
    std::string client_id;
    std::string username;
    std::string password;
    iothub::mqtt::connect how;  // its views are of the caller; the three above replace them
  };

  [[nodiscard]] time_point network_now() const { return loop_ != nullptr ? loop_->now() : now_; }
  void forget() {
    waiting_.reset();
    due_ = never;
  }

  network* network_;
  iothub::loop* loop_ = nullptr;
  std::unique_ptr<attempt> waiting_;  // with due_ set and none here: nobody listens, which is known at due_
  time_point due_ = never;            // of the handshake's end
  time_point now_ = {};
  iothub::mqtt::client_event failed_;
  Next next_;
};

}  // namespace fleet_simulation
