// Wires for clients whose packets and requests go to the hub as values (memory/direct_mqtt.hpp, direct_http.hpp): the
// faults that make sense where there are no bytes. Attempts fail or are never answered, the connection breaks between
// two packets, requests get another answer than the hub's. What happens inside a packet, or with held bytes, has no
// counterpart here: such a fault waits and is never counted.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/policy/http_transport.hpp>
#include <iothub/policy/mqtt_transport.hpp>
#include <iothub/simulation/http_date.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// Next is a transport of MQTT packets as values with a member cut(now).
template <class Next>
class value_wire {
 public:
  template <class... Arguments>
  explicit value_wire(line& on, Arguments&&... arguments) : line_{&on}, next_{std::forward<Arguments>(arguments)...} {
    on.values = true;
  }
  value_wire(value_wire const&) = delete;
  value_wire& operator=(value_wire const&) = delete;
  ~value_wire() { gone(); }

  result<void> open(endpoint const& where, mqtt::connect const& how, time_point now) {
    gone();
    line_->known.last_attempt = now;
    ++line_->known.attempts;
    if (line_->observer() != nullptr) line_->observer()->on_attempt(now);
    open_ = true;
    mute_ = false;
    if (auto refused = refuse(now); !refused) {
      gone();
      return refused;
    }
    if (mute_) return {};  // never answered
    if (auto opened = next_.open(where, how, now); !opened) {
      gone();
      return opened;
    }
    line_->opened(line::no_pipe, whom_, now);
    return {};
  }
  result<std::uint16_t> publish(mqtt::publish const& message, time_point now) {
    if (mute_) return errc::not_connected;
    if (line_->take(fault::reset_before_packet) || line_->take(fault::reset_inside_packet)) next_.cut(now);
    auto sent = next_.publish(message, now);
    if (sent && *sent != 0) ++line_->known.unacknowledged;
    if (line_->take(fault::reset_after_packet)) next_.cut(now);
    return sent;
  }
  result<std::uint16_t> subscribe(std::span<mqtt::subscription const> filters, time_point now) {
    if (mute_) return errc::not_connected;
    return next_.subscribe(filters, now);
  }
  result<std::uint16_t> unsubscribe(std::span<std::string_view const> names, time_point now) {
    if (mute_) return errc::not_connected;
    return next_.unsubscribe(names, now);
  }
  void acknowledge(std::uint16_t id, time_point now) {
    if (line_->take(fault::puback_lost)) next_.cut(now);
    next_.acknowledge(id, now);
  }
  void abandon(std::uint16_t id) { next_.abandon(id); }
  void close(mqtt::close_mode mode, time_point now) {
    if (open_ && mode == mqtt::close_mode::graceful && line_->observer() != nullptr) line_->observer()->on_goodbye(now);
    next_.close(mode, now);
    gone();
  }
  void step(time_point now) {
    if (mute_) return;
    if (open_ && (line_->peer_away || line_->meets(fault::outage, now))) next_.cut(now);
    next_.step(now);
  }
  mqtt::client_event const* next_event() {
    if (mute_) return nullptr;
    auto const* const event = next_.next_event();
    if (event == nullptr) return nullptr;
    using kind = mqtt::client_event_kind;
    if (event->kind == kind::connected) line_->known.connected = true, ++line_->known.connects;
    if (event->kind == kind::published && line_->known.unacknowledged != 0) --line_->known.unacknowledged;
    if (event->kind == kind::closed || event->kind == kind::refused) gone();
    return event;
  }
  [[nodiscard]] time_point deadline() const { return mute_ ? never : next_.deadline(); }
  void attach(loop& on, participant& whom) {
    whom_ = &whom;
    next_.attach(on, whom);
  }

 private:
  result<void> refuse(time_point now) {
    if (line_->peer_away || line_->take(fault::connect_refused))
      return error{errc::connection_refused, "nobody listens there"};
    if (line_->take(fault::connect_unreachable)) return error{errc::not_connected, "there is no route to the hub"};
    if (line_->take(fault::dns_not_found) || line_->take(fault::dns_empty) || line_->take(fault::dns_address_changed))
      return error{errc::host_not_found, "there is no such host"};
    if (line_->meets(fault::outage, now)) {
      if (line_->amount(fault::outage) % 3 == 0) return error{errc::not_connected, "there is no route to the hub"};
      mute_ = true;
    } else if (line_->take(fault::connect_timed_out) || line_->take(fault::dns_timed_out)) {
      mute_ = true;
    }
    return {};
  }
  void gone() {
    mute_ = false;
    if (!std::exchange(open_, false)) return;
    line_->gone(line_->now());
  }

  line* line_;
  participant* whom_ = nullptr;
  bool open_ = false;
  bool mute_ = false;  // the attempt is never answered
  Next next_;
};

// Next is an HTTP transport of values.
template <class Next>
class value_http {
 public:
  template <class... Arguments>
  explicit value_http(line& on, Arguments&&... arguments) : line_{&on}, next_{std::forward<Arguments>(arguments)...} {}

  exchange_id start(endpoint const& where, http::request&& what, time_point now) {
    exchange_id const id = ++last_id_;
    if (line_->peer_away || line_->meets(fault::outage, now))
      return made_up(id, error{errc::connection_refused, "nobody listens there"});
    if (line_->take(fault::http_throttled_seconds)) return answer(id, 429, "7");
    if (line_->take(fault::http_throttled_date))
      return answer(id, 429, http_date(line_->utc_now() + std::chrono::seconds{30}));
    if (line_->take(fault::http_throttled_nonsense)) return answer(id, 429, "soon");
    if (line_->take(fault::http_unavailable)) return answer(id, 503, "2");
    if (line_->take(fault::http_empty_answer)) return answer(id, 200, {});
    bool const lost = line_->take(fault::http_reset);
    known_.push_back({id, next_.start(where, std::move(what), now), lost});
    return id;
  }
  void cancel(exchange_id id) {
    for (std::size_t i = 0; i != made_up_.size(); ++i)
      if (made_up_[i].id == id) return void(made_up_.erase(made_up_.begin() + static_cast<std::ptrdiff_t>(i)));
    for (std::size_t i = 0; i != known_.size(); ++i) {
      if (known_[i].ours != id) continue;
      next_.cancel(known_[i].theirs);
      return void(known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(i)));
    }
  }
  void step(time_point now) { next_.step(now); }
  std::optional<http_completion> next_completion() {
    if (!made_up_.empty()) {
      std::optional<http_completion> first{std::move(made_up_.front())};
      made_up_.erase(made_up_.begin());
      return first;
    }
    auto done = next_.next_completion();
    if (!done) return done;
    for (std::size_t i = 0; i != known_.size(); ++i) {
      if (known_[i].theirs != done->id) continue;
      done->id = known_[i].ours;
      if (known_[i].lost) done->outcome = error{errc::connection_lost, "the server closed the connection"};
      known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(i));
      break;
    }
    return done;
  }
  [[nodiscard]] time_point deadline() const { return next_.deadline(); }
  void attach(loop& on, participant& whom) {
    loop_ = &on;
    whom_ = &whom;
    next_.attach(on, whom);
  }

 private:
  struct exchange {
    exchange_id ours;
    exchange_id theirs;
    bool lost;
  };
  exchange_id made_up(exchange_id id, result<http::response> outcome) {
    made_up_.push_back({id, std::move(outcome)});
    if (loop_ != nullptr) loop_->wake(*whom_);
    return id;
  }
  exchange_id answer(exchange_id id, int status, std::string_view retry_after) {
    http::response made;
    made.status = status;
    if (!retry_after.empty()) made.headers.add("Retry-After", retry_after);
    return made_up(id, std::move(made));
  }

  line* line_;
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  std::vector<exchange> known_;
  std::vector<http_completion> made_up_;
  exchange_id last_id_ = 0;
  Next next_;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
