// Bodies of device_core, second half: events of the dialect, time, and what is handed over. Include device_core.hpp
// instead.
#pragma once

#include <iothub/base/owned.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/device/device_core.hpp>

namespace iothub {
inline namespace v0 {

// --- events ---------------------------------------------------------------------------------------------------------

inline void device_core::step(time_point now) {
  if (in_doubt_) {
    dialect_.close(dialect_close::abort, now);
    if (phase_ == phase::opening || phase_ == phase::enabling || phase_ == phase::connected)
      link_down(error{errc::out_of_memory, "the client had no memory to go on with its connection"},
                connection_reason::none, now);
    in_doubt_ = false;
  }
  if (!trying()) end_what_is_left();
  using_connection use{*this};
  dialect_.step(now);
  more_ = false;
  device_event e;
  for (int budget = 64; actions_.make_room(), dialect_.next_event(e, now);) {
    on_event(e, now);
    if (--budget == 0) {
      more_ = true;
      break;
    }
  }
  on_time(now);
  pump(now);
  use.all_went_well();
}

inline void device_core::on_event(device_event& e, time_point now) {
  switch (e.kind) {
    case device_event_kind::none: return;
    case device_event_kind::ready: return on_ready(now);
    case device_event_kind::closed: {
      error why = e.outcome ? error{errc::connection_lost} : std::move(e.outcome).error();
      return link_down(std::move(why), connection_reason::none, now);
    }
    case device_event_kind::features_ready: return on_features_ready(e, now);
    case device_event_kind::telemetry_settled:
      if (operation_id const id = outbox_.settle(e.ticket); id != 0) finish(id, std::move(e.outcome));  // there is room
      return;
    case device_event_kind::twin_received: return on_twin_received(e, now);
    case device_event_kind::patch_settled: return on_patch_settled(e);
    case device_event_kind::desired_changed: return on_desired_changed(e);
    case device_event_kind::method_called: return on_method_called(e, now);
    case device_event_kind::message_received: return on_message_received(e);
    case device_event_kind::token_renewed: return on_token_renewed(e, now);
  }
}

inline void device_core::on_ready(time_point now) {
  if (phase_ != phase::opening) return;
  ++connection_;
  phase_ = phase::enabling;
  phase_deadline_ = never;
  if (wanted_.empty()) return become_connected(now);
  pump_features(now);
}

inline void device_core::on_features_ready(device_event& e, time_point now) {
  if (phase_ != phase::enabling && phase_ != phase::connected) return;
  if (!e.outcome) {
    dialect_.close(dialect_close::abort, now);
    return link_down(std::move(e.outcome).error(), connection_reason::refused, now);
  }
  bool const had_desired = enabled_.has(feature::desired_properties);
  enabled_ = enabled_ | e.features;
  asked_ = asked_ - e.features;
  if (asked_.empty()) feature_deadline_ = never;
  if (!had_desired && enabled_.has(feature::desired_properties)) twin_sync_.online(now);
  if (phase_ == phase::enabling && (wanted_ - enabled_).empty()) become_connected(now);
}

inline void device_core::become_connected(time_point now) {
  phase_ = phase::connected;
  phase_deadline_ = connect_deadline_ = down_since_ = never;
  last_error_.reset();
  reconnect_.connected(now);
  set_status(connection_status::connected, attempt_reason_);
  end_connects();
}

inline void device_core::end_connects() {
  while (!connects_.empty()) {
    actions_.make_room();
    finish(connects_.take(), {});
  }
}

inline void device_core::on_twin_received(device_event& e, time_point now) {
  auto twin = e.outcome ? parse_device_twin(e.payload) : result<device_twin>{std::move(e.outcome).error()};
  if (twin_sync_.waits_for(e.ticket)) {
    if (twin) return twin_sync_.on_twin(std::move(twin->desired), now);
    // Spread like any retry, but without counting as a lost connection.
    return twin_sync_.on_failure(add(now, std::chrono::seconds{5} + reconnect_.jitter(std::chrono::seconds{5})));
  }
  owned<device_twin> kept;
  if (twin) kept = make_owned<device_twin>(std::move(*twin));
  operation_id const id = twin_requests_.settle(e.ticket);
  if (id == 0) return;
  if (!twin) return finish(id, std::move(twin).error());
  finish(id, {});
  actions_.back().twin = std::move(kept);
}

inline void device_core::on_patch_settled(device_event& e) {
  operation_id const id = twin_requests_.settle(e.ticket);
  if (id == 0) return;
  finish(id, std::move(e.outcome));
  actions_.back().version = e.version;
}

inline void device_core::on_desired_changed(device_event& e) {
  auto notice = parse_desired_notice(e.payload, e.version);
  // One that cannot be read shows as a gap when the next comes.
  if (notice) twin_sync_.on_notice(std::move(*notice));
}

inline void device_core::on_method_called(device_event& e, time_point now) {
  if (phase_ != phase::connected && phase_ != phase::enabling) return;
  if (inbox_ >= settings_.inbox || calls_.size() >= method_calls::most_open) {
    (void)dialect_.answer_method(e.rid, 503, R"({"message":"the device is busy"})", now);
    return;
  }
  call_id const call = calls_.begin(e.rid);
  if (call == 0) return;
  device_action a;
  a.kind = device_action_kind::method_called;
  a.call = call;
  a.connection = connection_;
  a.request.name.assign(e.name);
  if (!e.payload.empty()) {
    auto parsed = json::parse(e.payload);
    if (parsed)
      a.request.payload = *std::move(parsed);
    else
      a.outcome = std::move(parsed).error();
  }
  actions_.push(std::move(a));
  ++inbox_;
}

inline void device_core::on_message_received(device_event& e) {
  bool const asked_for = wanted_.has(feature::messages);
  // Above the bound it stays unsettled and comes again on the next connection.
  if ((asked_for ? inbox_ : held_.size()) >= settings_.inbox) return;
  device_action a;
  a.kind = device_action_kind::message_received;
  a.where = e.ticket;
  a.connection = connection_;
  a.message = std::move(e.message);
  if (!asked_for) {
    held_.push(std::move(a));
    return;
  }
  actions_.push(std::move(a));
  ++inbox_;
  ++unsettled_;
}

// --- the end of a connection ----------------------------------------------------------------------------------------

// Forgets all that belongs to the connection, or attempt, that ends now.
inline void device_core::leave_connection(time_point now) {
  reconnect_.disconnected(now);
  renewal_.clear();
  renewing_ = holding_ = renewal_token_wanted_ = false;
  renewal_hard_ = hold_until_ = feature_deadline_ = never;
  enabled_ = asked_ = {};
  calls_.offline();
  twin_requests_.offline();
  twin_sync_.offline();
  drop_inbox();
}

inline void device_core::drop_inbox() noexcept {
  held_.clear();
  unsettled_ = 0;
  if (inbox_ == 0) return;
  for (std::size_t i = actions_.size(); i-- != 0;) {
    auto const kind = actions_[i].kind;
    if (kind == device_action_kind::method_called || kind == device_action_kind::message_received) actions_.erase(i);
  }
  inbox_ = 0;
}

inline void device_core::link_down(error why, connection_reason reason, time_point now) {
  if (!trying()) return;
  actions_.make_room();  // for the change of status
  bool const was_connected = phase_ == phase::connected;
  leave_connection(now);
  retry_class how = classify_for_retry(why.code());
  // A hub that was good has another certificate now: a clock that jumped, a network that wants a log-in first, a hub in
  // the middle of a change. Nobody is there to be asked, and no attempt can do harm, since nothing is sent before it is
  // good.
  if (why == errc::certificate_rejected && attempt_reason_ != connection_reason::opened) {
    how = retry_class::later;
    if (reason == connection_reason::none) reason = connection_reason::not_reachable;
  }
  if (reason == connection_reason::none) reason = reason_of(why, was_connected);
  if (down_since_ == never) down_since_ = now;
  if (was_connected) attempt_reason_ = connection_reason::recovered;
  if (how == retry_class::stop) return fail_all(std::move(why), reason);
  if (settings_.give_up_after > duration{0} && now - down_since_ >= settings_.give_up_after)
    return fail_all(std::move(why), connection_reason::gave_up);
  last_error_ = std::move(why);
  phase_ = phase::waiting;
  phase_deadline_ = add(now, reconnect_.next_delay(how));
  set_status(connection_status::retrying, reason);
}

inline void device_core::fail_all(error why, connection_reason reason) {
  phase_ = phase::closed;
  phase_deadline_ = connect_deadline_ = down_since_ = never;
  last_error_ = why;
  set_status(connection_status::disconnected, reason);
  abort_operations(why);
}

inline void device_core::abort_operations(error const& why) {
  while (!connects_.empty()) {
    actions_.make_room();
    finish(connects_.take(), why);
  }
  // What was handed over is taken back: a message that has failed must not be sent by a later connect().
  ticket where = 0;
  while (outbox_.size() != 0) {
    actions_.make_room();
    operation_id const id = outbox_.abort_one(where);
    if (where != 0) dialect_.abandon_telemetry(where);
    finish(id, why);
  }
  while (twin_requests_.size() != 0) {
    actions_.make_room();
    finish(twin_requests_.abort_one(), why);
  }
}

inline connection_reason device_core::reason_of(error const& why, bool was_connected) noexcept {
  if (why == errc::device_disabled) return connection_reason::device_disabled;
  if (is_auth(why)) return connection_reason::bad_credentials;
  if (is_usage(why)) return connection_reason::refused;
  if (classify_for_retry(why.code()) == retry_class::later && !is_protocol(why))
    return connection_reason::hub_unavailable;
  return was_connected ? connection_reason::connection_lost : connection_reason::not_reachable;
}

// --- time -----------------------------------------------------------------------------------------------------------

inline void device_core::on_time(time_point now) {
  expire_operations(now);
  if (phase_ == phase::connected) end_connects();  // where memory ran out before
  if (now >= connect_deadline_ && !connects_.empty()) {
    actions_.make_room();
    dialect_.close(dialect_close::abort, now);
    leave_connection(now);
    error why = last_error_ ? *last_error_ : error{errc::timeout, "the hub did not accept the connection in time"};
    return fail_all(std::move(why), connection_reason::gave_up);
  }
  if (phase_ == phase::waiting && now >= phase_deadline_) return begin_attempt();
  if (phase_ == phase::opening && now >= phase_deadline_) {
    dialect_.close(dialect_close::abort, now);
    return link_down(error{errc::timeout, "the hub did not answer the connection attempt in time"},
                     connection_reason::none, now);
  }
  if (now >= feature_deadline_) {
    dialect_.close(dialect_close::abort, now);
    return link_down(error{errc::timeout, "the hub did not confirm a subscription in time"}, connection_reason::none,
                     now);
  }
  if (twin_sync_.timed_out(now)) twin_sync_.on_failure(now);
  if (phase_ == phase::connected) run_renewal(now);
}

inline void device_core::expire_operations(time_point now) {
  ticket where = 0;
  while (actions_.make_room(), true) {
    operation_id const id = outbox_.expire(now, where);
    if (id == 0) break;
    if (where != 0) dialect_.abandon_telemetry(where);
    finish(id, error{errc::timeout, where != 0
                                        ? "the hub did not confirm the message in time; it may have been stored, so "
                                          "sending it again may make a duplicate"
                                        : "the message was not sent in time, since there was no connection"});
    where = 0;
  }
  while (operation_id const id = twin_requests_.expire(now)) {
    finish(id, error{errc::timeout, "the hub did not answer the twin operation in time; its outcome is unknown"});
    actions_.make_room();
  }
}

inline bool device_core::in_flight() const noexcept {
  return outbox_.in_flight() != 0 || twin_requests_.in_flight() != 0;
}

inline void device_core::run_renewal(time_point now) {
  if (renewing_ && dialect_.capabilities().renews_in_place) return;  // the answer is awaited
  if (!renewing_) {
    if (!renewal_.due(now)) return;
    renewing_ = true;
    if (dialect_.capabilities().renews_in_place) {
      renewal_token_wanted_ = true;
      return;
    }
    renewal_hard_ = add(now, settings_.renewal_margin / 2);
  }
  if (!holding_) {
    if ((!calls_.empty() || unsettled_ != 0) && now < renewal_hard_) return;
    holding_ = true;
    hold_until_ = add(now, settings_.settle_limit);
  }
  if (in_flight() && now < hold_until_) return;
  reconnect_for_renewal(now);
}

// A token that cannot be had, or that the hub does not take, is tried again while the old one lasts; when that has
// ended the hub ends the connection, and the next begins with a token of its own.
inline void device_core::renew_in_place(result<std::string> token, duration lifetime, time_point now) {
  renewal_token_wanted_ = false;
  if (phase_ != phase::connected) return;
  bool const minted = token.has_value();
  result<void> const shown = minted ? dialect_.renew(*token, now) : result<void>{std::move(token).error()};
  if (minted) wipe(*token);
  if (shown) {
    renewed_lifetime_ = lifetime;
    renewed_at_ = now;
    return;
  }
  device_event failed;
  failed.outcome = shown.error();
  on_token_renewed(failed, now);
}

inline void device_core::on_token_renewed(device_event& e, time_point now) {
  if (!renewing_ || phase_ != phase::connected) return;
  renewing_ = false;
  duration const margin = settings_.renewal_margin;
  if (e.outcome) return renewal_.minted(renewed_at_, renewed_lifetime_, margin, reconnect_.jitter(margin / 2));
  duration const soon = margin / 8 + reconnect_.jitter(margin / 8);
  renewal_.again(add(now, soon));
}

inline void device_core::reconnect_for_renewal(time_point now) {
  actions_.make_room();  // for the change of status
  dialect_.close(dialect_close::graceful, now);
  leave_connection(now);
  down_since_ = now;
  attempt_reason_ = connection_reason::token_renewal;
  begin_attempt();
  set_status(connection_status::connecting, connection_reason::token_renewal);
}

inline time_point device_core::deadline() const {
  if (more_ || in_doubt_ || token_wanted()) return time_point::min();
  if (!trying() && (pending_operations() != 0 || status_ != connection_status::disconnected)) return time_point::min();
  time_point at = dialect_.deadline();
  auto const earlier = [&at](time_point t) {
    if (t < at) at = t;
  };
  earlier(phase_deadline_);
  earlier(feature_deadline_);
  earlier(outbox_.deadline());
  earlier(twin_requests_.deadline());
  if (!connects_.empty()) earlier(connect_deadline_);
  if (phase_ != phase::connected) return at;
  if (!holding_) earlier(twin_sync_.deadline());  // while holding, nothing is asked: the next connection asks anew
  if (holding_)
    earlier(hold_until_);
  else if (renewing_ && dialect_.capabilities().renews_in_place)
    return at;  // the dialect has the time-out
  else if (renewing_)
    earlier(renewal_hard_);
  else
    earlier(renewal_.deadline());
  return at;
}

// --- handing over ---------------------------------------------------------------------------------------------------

// For verbs: what cannot be sent now is sent by the next step.
inline void device_core::pump_if_sure(time_point now) {
  if (in_doubt_) return;
  using_connection use{*this};
  pump(now);
  use.all_went_well();
}

inline void device_core::pump(time_point now) {
  if (phase_ == phase::connected || phase_ == phase::enabling) pump_features(now);
  if (phase_ == phase::connected && !holding_) {
    pump_telemetry(now);
    pump_twin(now);
  }
  pump_desired();
}

inline void device_core::pump_features(time_point now) {
  feature_set const missing = wanted_ - enabled_ - asked_;
  if (missing.empty()) return;
  if (!(missing - dialect_.capabilities().features).empty()) return;
  auto const sent = dialect_.enable(missing, now);
  if (!sent) return;  // the connection is gone, which an event says; or there is no room now
  asked_ = asked_ | missing;
  feature_deadline_ = add(now, settings_.subscribe_timeout);
}

inline void device_core::pump_telemetry(time_point now) {
  while (message const* next = outbox_.waiting()) {
    actions_.make_room();
    auto sent = dialect_.send_telemetry(*next, now);
    if (sent) {
      outbox_.waiting_sent(*sent);
      continue;
    }
    errc const why = sent.error().code();
    if (why == errc::outbox_full || why == errc::not_connected) return;
    finish(outbox_.waiting_failed(), std::move(sent).error());
  }
}

inline void device_core::pump_twin(time_point now) {
  if (!enabled_.has(feature::twin)) return;
  if (twin_sync_.wants_twin(now)) {
    if (auto sent = dialect_.get_twin(now))
      twin_sync_.twin_asked(*sent, add(now, settings_.twin_timeout));
    else
      // No room now, or an event says that the connection is gone.
      twin_sync_.on_failure(add(now, std::chrono::seconds{1}));
  }
  while (twin_requests::request* next = twin_requests_.waiting()) {
    actions_.make_room();
    auto sent = next->is_patch ? dialect_.patch_reported(next->patch, now) : dialect_.get_twin(now);
    if (sent) {
      next->where = *sent;
      continue;
    }
    errc const why = sent.error().code();
    if (why == errc::outbox_full || why == errc::not_connected) return;
    finish(twin_requests_.fail(*next), std::move(sent).error());
  }
}

inline void device_core::pump_desired() {
  if (desired_in_actions_) return;
  if (!twin_sync_.has_next()) return;
  actions_.make_room();
  desired_update update;
  if (!twin_sync_.next(update)) return;
  device_action a;
  a.kind = device_action_kind::desired_changed;
  a.desired = std::move(update);
  actions_.push(std::move(a));
  desired_in_actions_ = true;
}

inline std::string device_core::describe() const {
  std::string text = "device " + parameters_.who.device_id;
  switch (phase_) {
    case phase::closed: return text + " is not connected";
    case phase::token: return text + " waits for a token";
    case phase::opening: return text + " waits for the hub to accept its connection";
    case phase::enabling: return text + " waits for a subscription to be confirmed";
    case phase::waiting: return text + " waits before it tries to connect again";
    case phase::connected: break;
  }
  if (outbox_.size() != 0)
    return text + " waits for the confirmation of " + std::to_string(outbox_.size()) + " messages";
  if (twin_requests_.size() != 0) return text + " waits for the answer to a twin operation";
  return text + " is idle";
}

}  // namespace v0
}  // namespace iothub
