// Bodies of device_core, first half: verbs, tokens, actions. Include device_core.hpp instead.
#pragma once

#include <iothub/base/attempt.hpp>
#include <iothub/base/secret.hpp>
#include <iothub/base/undo.hpp>
#include <iothub/device/device_core.hpp>

namespace iothub {
inline namespace v0 {

inline device_core::device_core(dialect& speaks, connection_parameters parameters, device_options const& options,
                                std::uint64_t seed)
    : dialect_{speaks},
      parameters_{std::move(parameters)},
      outbox_{options.outbox},
      twin_requests_{options.twin_requests},
      reconnect_{options.reconnect, seed} {
  settings_.connect_timeout = options.connect_timeout;
  settings_.subscribe_timeout = options.subscribe_timeout;
  settings_.connect_limit = options.connect_limit;
  settings_.publish_timeout = options.publish_timeout;
  settings_.twin_timeout = options.twin_timeout;
  settings_.give_up_after = options.reconnect.give_up_after;
  settings_.renewal_margin = options.token.renewal_margin;
  settings_.settle_limit = options.token.settle_limit;
  settings_.inbox = options.inbox;
  parameters_.seed = seed;
}

inline void device_core::connect(operation_id id, time_point now) {
  if (phase_ == phase::connected) return finish(id, {});
  if (feature_set const missing = wanted_ - dialect_.capabilities().features; !missing.empty()) {
    char const* what = missing.has(feature::methods) ? "direct methods are not possible over this protocol"
                       : missing.has(feature::messages)
                           ? "cloud-to-device messages are not pushed over this protocol"
                           : "the device twin is not available over this protocol";
    return finish(id, error{errc::unsupported, what});
  }
  if (wanted_.has(feature::messages) && !parameters_.who.module_id.empty())
    return finish(id, error{errc::unsupported, "the hub has no cloud-to-device messages for modules"});
  actions_.make_room();  // for the change of status
  connects_.push(id);
  connect_deadline_ = add(now, settings_.connect_limit);
  if (trying()) return;
  reconnect_.reset();
  last_error_.reset();
  closed_by_user_ = false;
  down_since_ = now;
  attempt_reason_ = connection_reason::opened;
  begin_attempt();
  set_status(connection_status::connecting, connection_reason::opened);
}

inline void device_core::begin_attempt() noexcept {
  phase_ = phase::token;
  phase_deadline_ = never;
}

inline void device_core::supply_token(result<std::string> token, duration lifetime, time_point now) {
  if (renewal_token_wanted_) return renew_in_place(std::move(token), lifetime, now);
  if (phase_ != phase::token) return;
  using_connection use{*this};
  if (!token) {
    link_down(std::move(token).error(), connection_reason::none, now);
    return use.all_went_well();
  }
  duration const margin = settings_.renewal_margin;
  renewal_.minted(now, lifetime, margin, lifetime > duration{0} ? reconnect_.jitter(margin / 2) : duration{0});
  phase_ = phase::opening;
  phase_deadline_ = add(now, settings_.connect_timeout);
  auto const opened = dialect_.open(parameters_, *token, now);
  wipe(*token);
  if (!opened) link_down(error{opened.error()}, connection_reason::none, now);
  use.all_went_well();
}

inline void device_core::close(time_point now) {
  bool const was = trying();
  phase_ = phase::closed;  // whatever happens below
  phase_deadline_ = connect_deadline_ = down_since_ = never;
  closed_by_user_ = true;
  if (was) {
    using_connection use{*this};
    leave_connection(now);
    dialect_.close(dialect_close::graceful, now);
    use.all_went_well();
  }
  end_what_is_left();
}

// Every operation of a client that tries no more, and the word that it does not. Each time there must be room to say so
// before anything is forgotten; when memory runs out, step() goes on here.
inline void device_core::end_what_is_left() {
  if (pending_operations() != 0) {
    abort_operations(closed_by_user_ || !last_error_
                         ? error{errc::closed, "the client was closed while the operation was pending"}
                         : *last_error_);
  }
  if (status_ == connection_status::disconnected) return;
  actions_.make_room();
  set_status(connection_status::disconnected, connection_reason::closed);
}

inline void device_core::abandon(time_point now) noexcept {
  bool const was = trying();
  phase_ = phase::closed;
  phase_deadline_ = never;
  if (!was) return;
  attempt([&] { dialect_.close(dialect_close::graceful, now); });  // else the hub sees a connection that was lost
}

inline void device_core::send_telemetry(operation_id id, message const& what, std::optional<duration> timeout,
                                        time_point now) {
  time_point const deadline = add(now, timeout.value_or(settings_.publish_timeout));
  if (!send_at_once(id, what, deadline, now)) outbox_.add_waiting(id, message{what}, message_size(what), deadline);
}

inline void device_core::send_telemetry(operation_id id, message&& what, std::optional<duration> timeout,
                                        time_point now) {
  time_point const deadline = add(now, timeout.value_or(settings_.publish_timeout));
  if (send_at_once(id, what, deadline, now)) return;
  std::size_t const size = message_size(what);
  outbox_.add_waiting(id, std::move(what), size, deadline);
}

inline bool device_core::send_at_once(operation_id id, message const& what, time_point deadline, time_point now) {
  std::size_t const size = message_size(what);
  if (size > max_telemetry_size)
    return finish(id, error{errc::too_large, "the message is above the hub's limit of 262144 bytes"}), true;
  if (!trying())
    return finish(id, last_error_ ? *last_error_ : error{errc::not_connected, "connect() the client before sending"}),
           true;
  if (auto admitted = outbox_.admit(size); !admitted) return finish(id, std::move(admitted)), true;
  if (phase_ != phase::connected || holding_ || in_doubt_ || outbox_.waiting_count() != 0) return false;
  outbox_.make_room();
  using_connection use{*this};
  auto sent = dialect_.send_telemetry(what, now);
  use.all_went_well();
  if (sent) return outbox_.add_sent(id, *sent, size, deadline), true;
  errc const why = sent.error().code();
  if (why == errc::outbox_full || why == errc::not_connected) return false;
  return finish(id, std::move(sent).error()), true;
}

inline void device_core::get_twin(operation_id id, time_point now) {
  twin_requests::request r;
  r.id = id;
  ask_twin(std::move(r), "connect() the client before get_twin()", now);
}

inline void device_core::patch_reported(operation_id id, std::string patch, time_point now) {
  twin_requests::request r;
  r.id = id;
  r.is_patch = true;
  r.patch = std::move(patch);
  ask_twin(std::move(r), "connect() the client before reporting properties", now);
}

inline void device_core::ask_twin(twin_requests::request r, char const* without_connection, time_point now) {
  operation_id const id = r.id;
  r.deadline = add(now, settings_.twin_timeout);
  if (!dialect_.capabilities().features.has(feature::twin))
    return finish(id, error{errc::unsupported, "the device twin is not available over this protocol"});
  if (!trying()) return finish(id, last_error_ ? *last_error_ : error{errc::not_connected, without_connection});
  wanted_ = wanted_ | feature::twin;
  if (auto added = twin_requests_.add(std::move(r)); !added) return finish(id, std::move(added));
  undo back{[&]() noexcept { twin_requests_.forget(id); }};  // a call that throws has done nothing
  pump_if_sure(now);
  back.dismiss();
}

inline void device_core::enable(feature what, time_point now) {
  if (wanted_.has(what)) return;
  wanted_ = wanted_ | what;
  if (what == feature::desired_properties) wanted_ = wanted_ | feature::twin;
  if (what == feature::messages) {
    while (!held_.empty()) {
      actions_.make_room();
      actions_.push(held_.take());
      ++inbox_;
      ++unsettled_;
    }
  }
  pump_if_sure(now);
}

inline result<void> device_core::answer_method(call_id call, int status, std::string_view payload, time_point now) {
  auto rid = calls_.take(call);
  if (!rid) return error{errc::not_connected, "the method call was answered already, or its connection is gone"};
  if ((phase_ != phase::connected && phase_ != phase::enabling) || in_doubt_)
    return error{errc::not_connected, "the connection of the method call is gone"};
  using_connection use{*this};
  auto answered = dialect_.answer_method(*rid, status, payload, now);
  use.all_went_well();
  return answered;
}

inline result<void> device_core::settle_message(std::uint32_t connection, ticket where, settlement how,
                                                time_point now) {
  if (connection != connection_ || (phase_ != phase::connected && phase_ != phase::enabling) || in_doubt_)
    return error{errc::not_connected, "the connection of the message is gone; the hub sends it again"};
  if (unsettled_ != 0) --unsettled_;
  using_connection use{*this};
  auto settled = dialect_.settle_message(where, how, now);
  use.all_went_well();
  return settled;
}

inline device_action device_core::next_action() {
  bool const was_desired = actions_.front().kind == device_action_kind::desired_changed;
  if (was_desired) {
    desired_in_actions_ = false;
    pump_desired();  // before this one leaves, so that it stays when there is no room for the next
  }
  device_action a = actions_.take();
  if (a.kind == device_action_kind::method_called || a.kind == device_action_kind::message_received) --inbox_;
  return a;
}

inline bool device_core::take_outcome(operation_id id, device_action& into) {
  for (std::size_t i = actions_.size(); i-- != 0;) {
    device_action& a = actions_[i];
    if (a.kind != device_action_kind::operation_done || a.operation != id) continue;
    into = std::move(a);
    actions_.erase(i);
    return true;
  }
  return false;
}

inline void device_core::finish(operation_id id, result<void> outcome) {
  device_action a;
  a.kind = device_action_kind::operation_done;
  a.operation = id;
  a.outcome = std::move(outcome);
  actions_.push(std::move(a));
}

inline void device_core::set_status(connection_status status, connection_reason reason) {
  if (status == status_) return;
  status_ = status;
  // A handler that hangs must not make the client grow: of changes that nobody saw, the latest counts.
  if (!actions_.empty() && actions_.back().kind == device_action_kind::connection_changed && actions_.size() > 64) {
    actions_.back().status = status;
    actions_.back().reason = reason;
    return;
  }
  device_action a;
  a.kind = device_action_kind::connection_changed;
  a.status = status;
  a.reason = reason;
  actions_.push(std::move(a));
}

}  // namespace v0
}  // namespace iothub
