// Bodies of connection.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

inline std::string_view connection::waits_for() const noexcept {
  switch (state_) {
    case state_type::start: return role_ == connection_role::client ? "a connection" : "a protocol header";
    case state_type::sasl: return deciding_ ? "the decision on SASL" : "a SASL frame";
    case state_type::header: return "a protocol header";
    case state_type::opening: return "open";
    case state_type::open: return "frames";
    case state_type::closing: return "close";
    case state_type::closed: break;
  }
  return "nothing";
}

// --- verbs -----------------------------------------------------------------------------------------------------------

inline result<void> connection::open(sasl_credentials credentials, time_point now) {
  if (role_ != connection_role::client || state_ != state_type::start) return errc::invalid_state;
  wire_.now = wire_.last_sent = since_ = last_received_ = now;
  mechanism_ = credentials.mechanism;
  if (mechanism_ == sasl_mechanism::none) {
    send_header(protocol_id::amqp);
    send_open();
  } else {
    sasl_client_ = std::make_unique<sasl_client>(std::move(credentials), options().hostname);
    send_header(protocol_id::sasl);
  }
  state_ = state_type::header;
  return {};
}

inline void connection::sasl_outcome(sasl_code code) {
  if (!deciding_) return;
  deciding_ = false;
  sasl_server::write_outcome(code, wire_.out);
  sasl_server_.reset();
  if (code == sasl_code::ok)
    state_ = state_type::header;
  else
    ending_ = error{errc::unauthorized, "the client's credentials were refused"};
}

inline result<session*> connection::begin() {
  if (state_ != state_type::open) return errc::not_connected;
  session* const made = new_session();
  if (!made) return error{errc::quota_exceeded, "all channels of the connection are in use"};
  undo unsent{[this, channel = made->channel_]() noexcept { sessions_[channel].reset(); }};
  made->send_begin(std::nullopt);
  unsent.dismiss();
  made->told_ = true;
  return made;
}

inline void connection::close(error_view const& why) {
  if (state_ == state_type::closing || state_ == state_type::closed || ending_) return;
  if (state_ != state_type::open) {
    ending_ = error{errc::closed};
    return;
  }
  flush();
  send_close(why);
  state_ = state_type::closing;
  since_ = wire_.now;
}

// --- driver ----------------------------------------------------------------------------------------------------------

inline std::size_t connection::room() const noexcept {
  if (wire_.backed_up()) return 0;
  if (!deciding_) return max_held;
  return in_.size() < max_held ? max_held - in_.size() : 0;
}

inline void connection::receive(byte_view bytes, time_point now) {
  wire_.now = now;
  if (!bytes.empty()) last_received_ = now;
  if (in_.empty()) {
    std::size_t const used = handle(bytes);
    if (state_ != state_type::closed) in_.append(bytes.substr(used));
  } else {
    in_.append(bytes);
    in_.consume(handle(in_.view()));
  }
  if (state_ == state_type::closed) in_.clear();
  in_.shrink(keep);
  sweep();
}

inline void connection::step(time_point now) {
  receive({}, now);
  settle_end();
  // It is counted from when it was written: a peer that does not read has the stream's time-out.
  if (wire_.ends_sent != 0 && (ends_since_ == never || !wire_.out.empty())) ends_since_ = now;
  if (state_ != state_type::closed && now >= silent_until()) on_silence();
  unblock();
  settle_end();
  sweep();
}

inline void connection::link_lost(error reason, time_point now) {
  wire_.now = now;
  if (state_ != state_type::closed) finish(std::move(reason), {});
  in_.clear();
  in_.shrink();
  wire_.out.clear();
  wire_.out.shrink();
  sweep();
}

inline byte_view connection::output() {
  flush();
  return wire_.out.view();
}

inline void connection::consume(std::size_t size) noexcept {
  wire_.out.consume(size);
  wire_.out.shrink(keep);
}

inline time_point connection::deadline() const noexcept {
  if (state_ == state_type::closed) return never;
  if (ending_ || (wire_.ends_sent != 0 && ends_since_ == never)) return wire_.now;
  if (wire_.backed && wire_.writable && wire_.out.size() <= options().max_backlog / 2) return wire_.now;
  return silent_until();
}

// When a time-out or a heartbeat is due.
inline time_point connection::silent_until() const noexcept {
  if (state_ == state_type::start && role_ == connection_role::client) return never;
  if (state_ == state_type::closing) return add(since_, options().close_timeout);
  if (state_ != state_type::open) return add(since_, options().open_timeout);
  time_point const deaf = options().idle_timeout > duration{0} ? add(last_received_, options().idle_timeout) : never;
  time_point const mute = peer_idle_time_out_ != 0 ? add(wire_.last_sent, heartbeat()) : never;
  time_point const unanswered = wire_.ends_sent != 0 ? add(ends_since_, options().close_timeout) : never;
  return std::min({deaf, mute, unanswered});
}

inline void connection::on_silence() {
  time_point const now = wire_.now;
  if (state_ == state_type::closing) return finish(error{errc::timeout, "the peer did not answer close"}, {});
  if (state_ != state_type::open) return finish(error{errc::timeout, "the connection was not opened in time"}, {});
  if (options().idle_timeout > duration{0} && now >= add(last_received_, options().idle_timeout)) {
    send_close({condition::resource_limit_exceeded, "2.4.5: nothing came for longer than the idle time-out"});
    return finish(error{errc::timeout, "nothing came for longer than the idle time-out"}, {});
  }
  if (wire_.ends_sent != 0 && now >= add(ends_since_, options().close_timeout)) {
    send_close({condition::connection_forced, "2.5.2: an end was not answered in time"});
    return finish(error{errc::timeout, "the peer did not answer end"}, {});
  }
  // Something else is on its way already where the peer does not read.
  if (wire_.out.empty()) end_frame(begin_frame(frame_type::amqp, 0, wire_.out), wire_.out);
  wire_.last_sent = now;
  for_each_session([](session& each) {
    each.sent_.shrink();
    each.received_.shrink();
  });
}

// --- input -----------------------------------------------------------------------------------------------------------

inline std::size_t connection::handle(byte_view bytes) {
  std::size_t used = 0;
  while (reading()) {
    bool const before_frames = state_ == state_type::start || state_ == state_type::header;
    std::size_t const size = before_frames ? handle_header(bytes.substr(used)) : handle_frame(bytes.substr(used));
    settle_end();
    if (size == 0) break;
    used += size;
  }
  return used;
}

inline std::size_t connection::handle_header(byte_view bytes) {
  if (bytes.empty() || (role_ == connection_role::client && state_ == state_type::start)) return 0;
  protocol_id id{};
  frame_read const found = read_protocol_header(bytes, id);
  if (found.status == read_status::broken) {
    // 2.2: a server says what it speaks, then closes.
    if (role_ == connection_role::server)
      send_header(options().accept_without_sasl || options().sasl.empty() ? protocol_id::amqp : protocol_id::sasl);
    finish(error{errc::protocol_error, std::string{found.rule.what()}}, {});
    return 0;
  }
  if (found.status == read_status::complete) on_header(id);
  return found.size;
}

inline void connection::on_header(protocol_id id) {
  if (role_ == connection_role::client) {
    if (id != (sasl_client_ ? protocol_id::sasl : protocol_id::amqp))
      return finish(error{errc::unsupported,
                          id == protocol_id::sasl ? "the server wants a SASL layer" : "the server has no SASL layer"},
                    {});
    state_ = sasl_client_ ? state_type::sasl : state_type::opening;
    return;
  }
  bool const authenticated = state_ == state_type::header;
  bool const sasl_offered = !options().sasl.empty();
  if (id == protocol_id::sasl && sasl_offered && !authenticated) {
    send_header(id);
    sasl_server_ = std::make_unique<sasl_server>(options().sasl);
    sasl_server_->start(wire_.out);
    state_ = state_type::sasl;
  } else if (id == protocol_id::amqp && (authenticated || !sasl_offered || options().accept_without_sasl)) {
    send_header(id);
    state_ = state_type::opening;
  } else {
    send_header(sasl_offered && !authenticated ? protocol_id::sasl : protocol_id::amqp);
    finish(error{errc::protocol_error, "2.2: a layer that is not offered"}, {});
  }
}

inline std::size_t connection::frame_limit() const noexcept {
  // 2.4.1: before open no frame is above 512 bytes. Tokens in SASL and long properties in open make them longer.
  constexpr std::size_t early = 16'384;
  std::size_t const limit = options().max_frame_size;
  return state_ >= state_type::open || limit < early ? limit : early;
}

inline std::size_t connection::handle_frame(byte_view bytes) {
  frame what;
  frame_read const found = read_frame(bytes, frame_limit(), what);
  if (found.status == read_status::broken) fail(found.rule);
  if (found.status != read_status::complete) return 0;
  if (state_ == state_type::sasl) {
    if (what.type == frame_type::sasl)
      on_sasl_frame(what.body);
    else
      fail({condition::framing_error, "2.3.1: not a SASL frame"});
  } else {
    on_amqp_frame(what);
  }
  return found.size;
}

inline void connection::on_sasl_frame(byte_view body) {
  violation rule;
  if (sasl_client_) {
    switch (sasl_client_->receive(body, wire_.out, rule)) {
      case sasl_client::step::wait: return;
      case sasl_client::step::done:
        sasl_client_.reset();
        send_header(protocol_id::amqp);
        send_open();
        state_ = state_type::header;
        return;
      case sasl_client::step::refused:
        return finish(sasl_client_->code() == sasl_code::auth
                          ? error{errc::unauthorized, "SASL: the server refused the credentials"}
                          : error{errc::service_unavailable, "SASL: the server could not check the credentials"},
                      {});
      case sasl_client::step::not_offered:
        return finish(error{errc::unsupported, "SASL: the server does not offer the mechanism"}, {});
      case sasl_client::step::broken: return fail(rule);
    }
    return;
  }
  sasl_login login;
  switch (sasl_server_->receive(body, wire_.out, login, rule)) {
    case sasl_server::step::wait: return;
    case sasl_server::step::broken: return fail(rule);
    case sasl_server::step::refuse: deciding_ = true; return sasl_outcome(sasl_code::auth);
    case sasl_server::step::decide: break;
  }
  mechanism_ = login.mechanism;
  deciding_ = true;
  if (auto const answer = wire_.owner->on_sasl(login, wire_.now)) sasl_outcome(*answer);
}

inline void connection::on_amqp_frame(frame const& what) {
  if (what.type != frame_type::amqp) return fail({condition::framing_error, "2.3.1: not an AMQP frame"});
  if (what.body.empty()) return;  // 2.4.5: a heartbeat
  performative found;
  if (violation const rule = read_performative(what.body, found)) return fail(rule);
  if (found.what == descriptor::close && state_ != state_type::opening) return on_close(found.fields);
  if (state_ == state_type::closing) return;
  if (state_ == state_type::opening) {
    if (found.what != descriptor::open) return fail({condition::not_allowed, "2.4.1: the first frame is not open"});
    return on_open(found.fields);
  }
  if (found.what == descriptor::open) return fail({condition::not_allowed, "2.4.1: a second open"});
  if (what.channel > options().channel_max)
    return fail({condition::framing_error, "2.7.1: a channel above channel-max"});
  if (found.what == descriptor::begin) return on_begin(what.channel, found.fields);
  on_session_frame(what.channel, found);
}

inline void connection::on_open(value_view const& fields) {
  amqp::open peer;
  violation rule = decode(fields, peer);
  if (!rule && peer.max_frame_size < min_max_frame_size)
    rule = {condition::invalid_field, "2.4.1: a maximum frame size below 512"};
  if (!rule && peer.idle_time_out != 0 &&
      std::chrono::milliseconds{peer.idle_time_out} < options().min_peer_idle_timeout)
    rule = {condition::not_allowed, "2.4.5: an idle time-out too short to be served"};
  if (rule) return fail(rule);
  wire_.max_frame = peer.max_frame_size < options().max_frame_size ? peer.max_frame_size : options().max_frame_size;
  wire_.peer_channel_max = peer.channel_max;
  peer_idle_time_out_ = peer.idle_time_out;
  if (!open_sent_) send_open();
  state_ = state_type::open;
  wire_.writable = true;
  wire_.owner->on_open(peer, wire_.now);
}

inline void connection::on_begin(std::uint16_t channel, value_view const& fields) {
  amqp::begin what;
  if (violation const rule = decode(fields, what)) return fail(rule);
  if (channel < by_peer_.size() && by_peer_[channel])
    return fail({condition::not_allowed, "2.5.1: a begin on a channel in use"});
  if (what.remote_channel) {
    session* const asked = *what.remote_channel < sessions_.size() ? sessions_[*what.remote_channel].get() : nullptr;
    if (!asked || asked->peer_begun_)
      return fail({condition::not_allowed, "2.5.1: an answer to a begin that was not sent"});
    bind(*asked, channel);
    asked->receive_begin(what);
    if (asked->state_ != session::state_type::beginning) return;
    asked->state_ = session::state_type::begun;
    return wire_.owner->on_begun(*asked, wire_.now);
  }
  session* const made = new_session();
  if (!made) return fail({condition::resource_limit_exceeded, "2.5.1: no channel is left to answer with"});
  bind(*made, channel);
  made->receive_begin(what);
  made->send_begin(channel);
  made->state_ = session::state_type::begun;
  made->told_ = true;
  wire_.owner->on_session(*made, wire_.now);
}

inline void connection::on_session_frame(std::uint16_t channel, performative const& what) {
  session* const which = channel < by_peer_.size() ? by_peer_[channel] : nullptr;
  if (!which) {
    // azure-eventhub for Python detaches its links after it has ended their session; nothing is lost by letting it.
    if (what.what != descriptor::attach && what.what != descriptor::transfer) return;
    return fail({condition::not_allowed, "2.5.1: a frame on a channel without a session"});
  }
  if (what.what != descriptor::end) return which->receive(what);
  amqp::end fields;
  if (violation const rule = decode(what.fields, fields)) return fail(rule);
  if (which->state_ == session::state_type::ending) {
    error_view told = fields.error;
    if (which->broken_ && !told) told = {which->broken_.condition(), which->broken_.what()};
    return end_session(*which, ended_by::this_side, told);
  }
  which->flush_disposition();
  wire_.send(which->channel_, amqp::end{});
  end_session(*which, ended_by::peer, fields.error);
}

inline void connection::on_close(value_view const& fields) {
  amqp::close peer;
  if (violation const rule = decode(fields, peer)) return fail(rule);
  if (state_ == state_type::open) {
    flush();
    send_close({});
  }
  finish(peer.error ? to_error(peer.error) : error{errc::closed}, peer.error);
}

// --- output ----------------------------------------------------------------------------------------------------------

inline void connection::send_open() {
  amqp::open what;
  connection_options const& how = options();
  what.container_id = how.container_id;
  if (role_ == connection_role::client) what.hostname = how.hostname;
  what.max_frame_size = how.max_frame_size < min_max_frame_size ? min_max_frame_size : how.max_frame_size;
  what.channel_max = how.channel_max;
  auto const half = std::chrono::duration_cast<std::chrono::milliseconds>(how.idle_timeout).count() / 2;
  what.idle_time_out = half > 0 ? static_cast<std::uint32_t>(half < 0x7fffffff ? half : 0x7fffffff) : 0;
  what.properties = how.properties.bytes();
  what.offered_capabilities = how.offered_capabilities.bytes();
  what.desired_capabilities = how.desired_capabilities.bytes();
  wire_.send(0, what);
  open_sent_ = true;
}

inline void connection::send_close(error_view const& why) {
  wire_.send(0, amqp::close{why});
  wire_.writable = false;
}

inline void connection::flush() {
  if (!wire_.dirty || !wire_.writable) return;
  wire_.dirty = false;
  for_each_session([](session& each) {
    if (each.dirty_) each.flush();
  });
}

// Tells senders that were refused for lack of room that there may be some again.
inline void connection::unblock() {
  if (!wire_.blocked || !wire_.writable || wire_.out.size() > options().max_backlog / 2) return;
  wire_.blocked = wire_.backed = false;
  for_each_session([&](session& each) {
    each.for_each_link([&](link& which) {
      if (!which.blocked_ || !which.can_send()) return;
      which.blocked_ = false;
      wire_.owner->on_credit(which, wire_.now);
    });
  });
}

// --- sessions and the end --------------------------------------------------------------------------------------------

inline session* connection::new_session() {
  std::size_t channel = 0;
  while (channel < sessions_.size() && sessions_[channel]) ++channel;
  if (channel > wire_.peer_channel_max) return nullptr;
  if (channel == sessions_.size()) sessions_.emplace_back();
  finished_.reserve(finished_.size() + sessions_.size());  // end_session() does not allocate
  sessions_[channel] = std::make_unique<session>(wire_, static_cast<std::uint16_t>(channel));
  return sessions_[channel].get();
}

inline void connection::bind(session& which, std::uint16_t peer_channel) {
  if (by_peer_.size() <= peer_channel) by_peer_.resize(std::size_t{peer_channel} + 1);
  by_peer_[peer_channel] = &which;
  which.peer_channel_ = peer_channel;
  which.peer_begun_ = true;
}

inline void connection::end_session(session& which, ended_by by, error_view const& why) {
  if (which.peer_begun_) by_peer_[which.peer_channel_] = nullptr;
  if (which.state_ == session::state_type::ending)  // the next is given its own time
    ends_since_ = --wire_.ends_sent == 0 ? never : wire_.now;
  finished_.push_back(std::move(sessions_[which.channel_]));
  which.finish(by == ended_by::connection ? by : ended_by::session, why);
  if (which.told_) wire_.owner->on_ended(which, {by, why}, wire_.now);
}

inline void connection::end_all() {
  for (std::size_t i = 0; i < sessions_.size(); ++i)
    if (sessions_[i]) end_session(*sessions_[i], ended_by::connection, {});
}

inline void connection::finish(error reason, error_view const& peer) {
  if (state_ == state_type::closed) return;
  state_ = state_type::closed;
  wire_.writable = false;
  deciding_ = false;
  ending_.reset();
  sasl_client_.reset();
  sasl_server_.reset();
  end_all();
  wire_.owner->on_closed(reason, peer, wire_.now);
}

inline void connection::fail(violation rule) {
  if (state_ == state_type::opening && !open_sent_) send_open();  // 2.4.2: close comes after open
  if (state_ == state_type::opening || state_ == state_type::open) {
    flush();
    send_close({rule.condition(), rule.what()});
  }
  finish(error{errc::protocol_error, std::string{rule.what()}}, {});
}

inline void connection::settle_end() {
  if (state_ == state_type::closed) return;
  if (wire_.broken) return fail(wire_.broken);
  if (!ending_) return;
  error reason = std::move(*ending_);
  finish(std::move(reason), {});
}

// Frees what ended in this turn. Callbacks may have held references until here.
inline void connection::sweep() noexcept {
  finished_.clear();
  if (!wire_.garbage) return;
  wire_.garbage = false;
  for_each_session([](session& each) { each.finished_.clear(); });
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
