// A back end's AMQP connection that keeps itself: it connects, shows a token, renews it, and comes back after it broke.
//
// Theory of operation. Where it stands:
//
//   idle --start()--> connecting --open, begin--> authorizing --token taken--> ready
//   connecting, authorizing, ready --the connection ends--> waiting --back-off over--> connecting
//   any --stop()--> idle (at once), or --leave()--> leaving --the peer answered--> idle
//
// Tokens go to $cbs (amqp/cbs.hpp), a fresh one when the last is about to end; one that is refused, or not answered in
// time, ends the connection, and its error is what on_down() gets. Who derives from it attaches links in on_ready() and
// hears of them by the link_… functions; links of $cbs are not among them. on_down() is told once for each end, with
// the reason; it may call stop() to give up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/retry.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/service/amqp_port.hpp>
#include <iothub/wire/amqp_conditions.hpp>

namespace iothub {
inline namespace v0 {

// What the connection shows on $cbs.
struct amqp_pass {
  std::string audience = {};
  std::string token = {};
  time_point renew_at = never;
};

struct kept_connection_options {
  amqp::connection_options amqp = {};
  // ANONYMOUS as Azure's Java, JavaScript and Python (azure-eventhub) back ends, MSSBCBS as its .NET ones: both say
  // that a token follows on $cbs.
  amqp::sasl_mechanism sasl = amqp::sasl_mechanism::anonymous;
  duration token_timeout = std::chrono::seconds{60};
  retry_schedule retry = {};
  std::uint64_t seed = 0;
};

class kept_connection : private amqp::connection_handler {
 public:
  enum class state_type : std::uint8_t { idle, connecting, authorizing, ready, waiting, leaving };

  kept_connection(amqp_port& port, amqp_side side, kept_connection_options options)
      : port_{port}, options_{std::move(options)}, side_{side} {}
  kept_connection(kept_connection const&) = delete;
  kept_connection& operator=(kept_connection const&) = delete;

  [[nodiscard]] state_type state() const noexcept { return state_; }
  [[nodiscard]] endpoint const& peer() const noexcept { return where_; }

  // State idle only.
  void start(endpoint where, time_point now) {
    where_ = std::move(where);
    attempt_ = 0;
    state_ = state_type::waiting;
    retry_at_ = now;
    port_.wake();
  }
  // Ends at once; no function is called any more. Not from inside a callback of the connection: on_time() ends it then.
  void stop() noexcept {
    state_ = state_type::idle;
    session_ = nullptr;
    dropped_ = true;
    port_.wake();
  }
  // Says good-bye; state() is idle when that is done.
  void leave() {
    if (state_ == state_type::idle || state_ == state_type::waiting) return stop();
    state_ = state_type::leaving;
    port_.close();
  }
  // Connects to another host as soon as the connection has said good-bye to this one; on_down() is not told.
  void move_to(endpoint where) {
    where_ = std::move(where);
    moving_ = true;
    port_.close();
  }

  // Ends the connection as if the network had: for an owner that cannot say what state it is in, since an exception
  // left it. Not from inside a callback.
  void start_over(error why, time_point now);

  void on_time(time_point now);
  [[nodiscard]] time_point deadline() const noexcept;

 protected:
  ~kept_connection() = default;

  virtual result<amqp_pass> make_pass(time_point now) = 0;
  virtual void on_ready(time_point now) = 0;
  virtual void on_down(error const& why, time_point now) = 0;
  virtual void link_attached(amqp::link&, amqp::attach const&, time_point) {}
  virtual void link_credit(amqp::link&, time_point) {}
  virtual void link_transfer(amqp::link& which, amqp::delivery const& what, time_point now) = 0;
  virtual void link_disposition(amqp::link&, amqp::settlement const&, time_point) {}
  // Not told when the whole connection ended: on_down() is.
  virtual void link_detached(amqp::link& which, amqp::end_reason const& why, time_point now) = 0;

  // The session that links are for; null unless ready.
  [[nodiscard]] amqp::session* session() const noexcept { return state_ == state_type::ready ? session_ : nullptr; }
  // The connection has proved to be good: the next attempt after it breaks is soon.
  void proved_good() noexcept {
    attempt_ = 0;
    proved_ = true;
  }
  // Whether trying again is useless. A certificate that is not good any more is not: clocks jump, networks want a
  // log-in first, and nothing is sent before it is good.
  [[nodiscard]] bool is_final(error const& why) const noexcept {
    if (why == errc::certificate_rejected && proved_) return false;
    return is_auth(why) || is_usage(why) || why == errc::not_found || why == errc::forbidden ||
           why == errc::bad_request;
  }
  // Ends the connection; on_down() is told this reason.
  void fail(error why) {
    failure_ = std::move(why);
    port_.close();
  }
  // The peer's error as one of this library.
  [[nodiscard]] error to_error(amqp::error_view const& told) const {
    auto const tracking = amqp::find(told.info, "com.microsoft:tracking-id").as_text();
    return amqp_error(told.condition, told.description, side_, tracking ? *tracking : std::string_view{});
  }
  // What ended a link or the session. A rule that the server broke is not a refusal: it may be better the next time.
  [[nodiscard]] error to_error(amqp::end_reason const& why, char const* without_reason) const {
    if (!why.error) return error{errc::connection_lost, without_reason};
    if (why.by == amqp::ended_by::session) return error{errc::connection_lost, "the link's session has ended"};
    if (why.by == amqp::ended_by::this_side)
      return error{errc::protocol_error, "the server broke a rule: " + std::string{why.error.description}};
    return to_error(why.error);
  }
  [[nodiscard]] duration back_off(std::uint32_t attempt) noexcept {
    return retry_delay(options_.retry, attempt, options_.seed + ++retries_);
  }
  void wake() { port_.wake(); }

 private:
  void connect(time_point now);
  void show_pass(time_point now);
  void settle(amqp::cbs_client::outcome const& what, time_point now);
  void down(error why, time_point now);

  inline void on_open(amqp::open const&, time_point now) override;
  inline void on_begun(amqp::session& which, time_point now) override;
  inline void on_attached(amqp::link& which, amqp::attach const& how, time_point now) override;
  inline void on_credit(amqp::link& which, time_point now) override;
  inline void on_transfer(amqp::link& which, amqp::delivery const& what, time_point now) override;
  inline void on_disposition(amqp::link& which, amqp::settlement const& what, time_point now) override;
  inline void on_detached(amqp::link& which, amqp::end_reason const& why, time_point now) override;
  inline void on_ended(amqp::session& which, amqp::end_reason const& why, time_point now) override;
  inline void on_closed(error const& reason, amqp::error_view const& peer, time_point now) override;

  amqp_port& port_;
  kept_connection_options options_;
  endpoint where_;
  amqp::cbs_client cbs_;
  amqp::session* session_ = nullptr;
  maybe<error> failure_;  // why this side ended the connection
  std::uint64_t request_ = 0;
  std::uint64_t retries_ = 0;
  time_point retry_at_ = never;
  time_point renew_at_ = never;
  time_point next_renewal_ = never;
  std::uint32_t attempt_ = 0;
  amqp_side side_;
  state_type state_ = state_type::idle;
  bool moving_ = false;
  bool proved_ = false;  // a connection was good once
  bool dropped_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline time_point kept_connection::deadline() const noexcept {
  if (dropped_) return time_point::min();
  switch (state_) {
    case state_type::waiting: return retry_at_;
    case state_type::ready:
    case state_type::authorizing: {
      time_point const token = cbs_.deadline();
      return token < renew_at_ ? token : renew_at_;
    }
    default: return never;
  }
}

inline void kept_connection::on_time(time_point now) {
  if (dropped_) {
    dropped_ = false;
    port_.drop();
  }
  if (state_ == state_type::waiting && retry_at_ <= now) return connect(now);
  if (state_ != state_type::ready && state_ != state_type::authorizing) return;
  while (auto const told = cbs_.expire(now)) settle(*told, now);
  if (state_ == state_type::ready && renew_at_ <= now) show_pass(now);
}

inline void kept_connection::start_over(error why, time_point now) {
  port_.drop();
  failure_.reset();
  moving_ = false;
  if (state_ != state_type::waiting) down(std::move(why), now);
}

inline void kept_connection::connect(time_point now) {
  state_ = state_type::connecting;
  cbs_ = {};
  session_ = nullptr;
  failure_.reset();
  moving_ = false;
  renew_at_ = never;
  if (auto opened = port_.open(where_, options_.amqp, {.mechanism = options_.sasl}, *this, now); !opened)
    down(std::move(opened).error(), now);
}

inline void kept_connection::show_pass(time_point now) {
  renew_at_ = never;
  auto pass = make_pass(now);
  if (!pass) return fail(std::move(pass).error());
  next_renewal_ = pass->renew_at;
  request_ = cbs_.put(pass->audience, pass->token, "servicebus.windows.net:sastoken",
                      iothub::add(now, options_.token_timeout));
  port_.wake();
}

inline void kept_connection::settle(amqp::cbs_client::outcome const& what, time_point now) {
  if (what.id != request_) return;
  if (!what.what) return fail(what.what.error());
  renew_at_ = next_renewal_;
  if (state_ != state_type::authorizing) return;
  state_ = state_type::ready;
  on_ready(now);
}

inline void kept_connection::down(error why, time_point now) {
  session_ = nullptr;
  if (state_ == state_type::idle) return;
  if (state_ == state_type::leaving) {
    state_ = state_type::idle;
    return;
  }
  state_ = state_type::waiting;
  retry_at_ = now;
  if (std::exchange(moving_, false)) return;
  retry_at_ = iothub::add(now, back_off(attempt_++));
  on_down(why, now);
}

inline void kept_connection::on_open(amqp::open const&, time_point) {
  if (state_ != state_type::connecting) return;
  auto begun = port_.connection()->begin();
  if (!begun) fail(std::move(begun).error());
}
inline void kept_connection::on_begun(amqp::session& which, time_point now) {
  if (state_ != state_type::connecting) return;
  session_ = &which;
  state_ = state_type::authorizing;
  if (auto started = cbs_.start(which); !started) return fail(std::move(started).error());
  show_pass(now);
}
inline void kept_connection::on_attached(amqp::link& which, amqp::attach const& how, time_point now) {
  if (cbs_.owns(which)) return cbs_.on_attached(which);
  if (state_ == state_type::ready) link_attached(which, how, now);
}
inline void kept_connection::on_credit(amqp::link& which, time_point now) {
  if (cbs_.owns(which)) return cbs_.on_credit(which);
  if (state_ == state_type::ready) link_credit(which, now);
}
inline void kept_connection::on_transfer(amqp::link& which, amqp::delivery const& what, time_point now) {
  if (cbs_.owns(which)) {
    if (auto const told = cbs_.on_transfer(which, what)) settle(*told, now);
    return;
  }
  if (state_ == state_type::ready) link_transfer(which, what, now);
}
inline void kept_connection::on_disposition(amqp::link& which, amqp::settlement const& what, time_point now) {
  if (!cbs_.owns(which) && state_ == state_type::ready) link_disposition(which, what, now);
}
inline void kept_connection::on_detached(amqp::link& which, amqp::end_reason const& why, time_point now) {
  if (cbs_.owns(which)) {
    cbs_.on_detached(which);
    // Where more has ended than the link, on_ended() or on_closed() says what that means.
    if (why.by != amqp::ended_by::connection && why.by != amqp::ended_by::session && !failure_)
      fail(to_error(why, "the server detached the $cbs node"));
    return;
  }
  if (why.by == amqp::ended_by::connection || state_ != state_type::ready) return;
  link_detached(which, why, now);
}
inline void kept_connection::on_ended(amqp::session& which, amqp::end_reason const& why, time_point) {
  if (&which != session_) return;
  session_ = nullptr;
  if (why.by == amqp::ended_by::connection || failure_) return;
  fail(to_error(why, "the server ended the session"));
}
inline void kept_connection::on_closed(error const& reason, amqp::error_view const& peer, time_point now) {
  if (failure_) {
    error const why = *std::move(failure_);
    failure_.reset();
    return down(why, now);
  }
  if (peer) return down(to_error(peer), now);
  // The server said good-bye without a reason: as good as a lost connection to who wants to stay.
  down(reason == errc::closed ? error{errc::connection_lost, "the server closed the connection"} : reason, now);
}

}  // namespace v0
}  // namespace iothub
