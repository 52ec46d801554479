// Bodies of session.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/link.hpp>
#include <iothub/amqp/session.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// --- begin and end ---------------------------------------------------------------------------------------------------

inline void session::send_begin(std::optional<std::uint16_t> remote_channel) {
  window_left_ = wire_->options->incoming_window;
  amqp::begin what;
  what.remote_channel = remote_channel;
  what.next_outgoing_id = next_outgoing_id_;
  what.incoming_window = window_left_;
  what.outgoing_window = 0x7fffffff;
  what.handle_max = wire_->options->handle_max;
  wire_->send(channel_, what);
}

inline void session::receive_begin(amqp::begin const& what) noexcept {
  next_incoming_id_ = what.next_outgoing_id;
  peer_window_ = what.incoming_window;
  peer_handle_max_ = what.handle_max;
}

inline void session::end(error_view const& why) {
  if (state_ != state_type::beginning && state_ != state_type::begun) return;
  if (wire_->writable) {
    flush_disposition();
    wire_->send(channel_, amqp::end{why});
  }
  state_ = state_type::ending;
  ++wire_->ends_sent;  // where nothing can be written any more the connection is about to end
}

inline void session::fail(violation rule) {
  if (state_ != state_type::begun) return;
  broken_ = rule;
  end({rule.condition(), rule.what()});
}

// Everything on it is over; the owner is told of each link.
inline void session::finish(ended_by by, error_view const& why) {
  state_ = state_type::ended;
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (links_[i]) release(*links_[i], by, why);
}

// --- links -----------------------------------------------------------------------------------------------------------

inline link* session::find(std::string_view name, link_role role, link::state_type state) noexcept {
  for (auto const& each : links_)
    if (each && each->role_ == role && each->state_ == state && each->name_ == name) return each.get();
  return nullptr;
}

inline link* session::new_link(std::string_view name, link_role role) {
  std::size_t handle = 0;
  while (handle < links_.size() && links_[handle]) ++handle;
  if (handle > peer_handle_max_ || handle > 0xffff) return nullptr;
  if (handle == links_.size()) links_.emplace_back();
  finished_.reserve(finished_.size() + links_.size());  // release() does not allocate
  links_[handle] = std::make_unique<link>(*this, static_cast<std::uint32_t>(handle), std::string{name}, role);
  return links_[handle].get();
}

inline void session::bind(link& which, std::uint32_t peer_handle) {
  if (by_peer_.size() <= peer_handle) by_peer_.resize(std::size_t{peer_handle} + 1);
  by_peer_[peer_handle] = &which;
  which.peer_handle_ = peer_handle;
  which.peer_attached_ = true;
}

inline void session::release(link& which, ended_by by, error_view const& why) {
  which.leave();
  which.state_ = link::state_type::detached;
  if (which.peer_attached_) by_peer_[which.peer_handle_] = nullptr;
  finished_.push_back(std::move(links_[which.handle_]));
  wire_->garbage = true;
  error_view told = why;
  if (by == ended_by::this_side && which.broken_ && !told) told = {which.broken_.condition(), which.broken_.what()};
  if (which.told_) wire_->owner->on_detached(which, {by, told}, wire_->now);
}

inline result<link*> session::attach(amqp::attach const& how) {
  if (state_ != state_type::begun || !wire_->writable) return errc::not_connected;
  for (auto const& each : links_)
    if (each && each->role_ == how.role && each->name_ == how.name)
      return error{errc::invalid_argument, "this link name is in use on the session"};
  link* const made = new_link(how.name, how.role);
  if (!made) return error{errc::quota_exceeded, "all link handles of the session are in use"};
  made->snd_mode_ = how.snd_settle_mode;
  made->rcv_mode_ = how.rcv_settle_mode;
  made->initial_count_ = made->delivery_count_ = how.initial_delivery_count.value_or(0);
  made->state_ = link::state_type::attaching;
  undo unsent{[this, handle = made->handle_]() noexcept { links_[handle].reset(); }};
  amqp::attach what = how;
  made->send_attach(what);
  unsent.dismiss();
  made->told_ = true;
  return made;
}

inline void session::receive_attach(amqp::attach const& what) {
  if (what.handle > wire_->options->handle_max)
    return wire_->fail({condition::framing_error, "2.7.2: a handle above handle-max"});
  // A limit of our own: the name is kept for as long as the link is there, a refused link's until the peer agrees.
  if (what.name.size() > 4096) return wire_->fail({condition::invalid_field, "2.7.3: a link name above 4096 bytes"});
  if (by_peer_handle(what.handle)) return fail({condition::handle_in_use, "2.7.3: an attach to a handle in use"});
  link_role const role = what.role == link_role::sender ? link_role::receiver : link_role::sender;
  link* asked = find(what.name, role, link::state_type::attaching);
  if (asked && asked->peer_attached_) asked = nullptr;
  if (!asked) {
    asked = find(what.name, role, link::state_type::detaching);
    if (asked && asked->peer_attached_) asked = nullptr;
  }
  if (asked) {
    bind(*asked, what.handle);
    return asked->receive_attach(what);
  }
  link* const offered = new_link(what.name, role);
  if (!offered) return fail({condition::resource_limit_exceeded, "2.7.2: no handle is left to answer with"});
  bind(*offered, what.handle);
  offered->state_ = link::state_type::offered;
  offered->source_ = what.raw_source;
  offered->target_ = what.raw_target;
  offered->snd_mode_ = what.snd_settle_mode;
  offered->rcv_mode_ = what.rcv_settle_mode;
  offered->peer_max_message_size_ = what.max_message_size;
  if (!offered->is_sender()) offered->delivery_count_ = what.initial_delivery_count.value_or(0);
  offered->told_ = true;
  wire_->owner->on_attach(*offered, what, wire_->now);
}

inline void session::receive_detach(amqp::detach const& what) {
  link* const which = by_peer_handle(what.handle);
  if (!which) return fail({condition::unattached_handle, "2.7.7: a detach of a handle that is not attached"});
  if (which->state_ == link::state_type::detaching) return release(*which, ended_by::this_side, what.error);
  flush_disposition();
  if (which->state_ == link::state_type::offered) {
    amqp::attach answer;
    which->send_attach(answer);
  }
  wire_->send(channel_, amqp::detach{which->handle_, what.closed, {}});
  release(*which, ended_by::peer, what.error);
}

// --- frames ----------------------------------------------------------------------------------------------------------

inline void session::receive(performative const& what) {
  if (state_ != state_type::begun) return;  // 2.5.5: what comes after end was sent is thrown away
  violation rule;
  switch (what.what) {
    case descriptor::attach: {
      amqp::attach fields;
      if ((rule = decode(what.fields, fields))) break;
      return receive_attach(fields);
    }
    case descriptor::flow: {
      flow fields;
      if ((rule = decode(what.fields, fields))) break;
      return receive_flow(fields);
    }
    case descriptor::transfer: {
      transfer fields;
      if ((rule = decode(what.fields, fields))) break;
      return receive_transfer(fields, what.payload);
    }
    case descriptor::disposition: {
      disposition fields;
      if ((rule = decode(what.fields, fields))) break;
      return receive_disposition(fields);
    }
    case descriptor::detach: {
      amqp::detach fields;
      if ((rule = decode(what.fields, fields))) break;
      return receive_detach(fields);
    }
    default: rule = {condition::not_allowed, "2.3.2: not a performative of a session"}; break;
  }
  fail(rule);
}

inline void session::receive_flow(flow const& what) {
  // 2.5.6: the peer's incoming window counts from the first frame that it has not seen.
  std::uint32_t const on_the_way = next_outgoing_id_ - what.next_incoming_id.value_or(0);
  peer_window_ = what.incoming_window > on_the_way ? what.incoming_window - on_the_way : 0;
  resume_pending();
  if (!what.handle) {
    if (what.echo) {
      flow_due_ = true;
      want_flush();
    }
    return;
  }
  link* const which = by_peer_handle(*what.handle);
  if (!which) return fail({condition::unattached_handle, "2.7.4: a flow for a handle that is not attached"});
  which->receive_flow(what);
}

inline void session::receive_transfer(transfer const& what, byte_view payload) {
  if (window_left_ == 0) return fail({condition::window_violation, "2.5.6: more transfers than the window allows"});
  --window_left_;
  ++next_incoming_id_;
  if (window_left_ <= wire_->options->incoming_window / 2) {
    flow_due_ = true;
    want_flush();
  }
  link* const which = by_peer_handle(what.handle);
  if (!which) return fail({condition::unattached_handle, "2.7.5: a transfer to a handle that is not attached"});
  which->receive_transfer(what, payload);
}

// --- dispositions ----------------------------------------------------------------------------------------------------

inline void session::receive_disposition(disposition const& what) {
  if (detail::serial_distance(what.last, what.first) < 0)
    return fail({condition::invalid_field, "2.7.6: a range of deliveries that ends before it begins"});
  detail::unsettled_list& list = what.role == link_role::receiver ? sent_ : received_;
  for (std::uint32_t id = what.first; state_ == state_type::begun && wire_->writable; ++id) {
    detail::unsettled_entry* const entry = list.at_or_after(id);
    if (!entry || detail::serial_distance(entry->id, what.last) > 0) return;
    id = entry->id;
    what.role == link_role::receiver ? told_outcome(*entry, what) : told_settled(*entry, what);
    if (id == what.last) return;
  }
}

// About a delivery that this side sent.
inline void session::told_outcome(detail::unsettled_entry& entry, disposition const& what) {
  link& which = *entry.owner;
  settlement const told{entry.id, entry.user, what.state, what.settled || what.state.terminal()};
  if (told.settled) {
    sent_.settle(&entry);
    --which.unsettled_;
    if (wire_->blocked == false && which.blocked_) wire_->blocked = true;
  }
  wire_->owner->on_disposition(which, told, wire_->now);
  if (!told.settled || what.settled || state_ != state_type::begun || !wire_->writable) return;
  disposition answer;
  answer.role = link_role::sender;
  answer.first = answer.last = told.id;
  answer.settled = true;
  answer.state = what.state;
  say(answer);
}

// About a delivery that this side received.
inline void session::told_settled(detail::unsettled_entry& entry, disposition const& what) {
  if (!what.settled) return;
  link& which = *entry.owner;
  settlement const told{entry.id, 0, what.state, true};
  received_.settle(&entry);
  --which.unsettled_;
  wire_->owner->on_disposition(which, told, wire_->now);
  if (which.state_ == link::state_type::attached) which.refill();
}

// Sends it, or holds it back so that its neighbours leave with it.
inline void session::say(disposition const& what) {
  bool const plain = what.state.is == outcome::accepted || what.state.is == outcome::released;
  disposition& held = disposition_.what;
  if (plain && disposition_.used && held.last + 1 == what.first && held.role == what.role &&
      held.settled == what.settled && held.state.is == what.state.is) {
    held.last = what.last;
    return;
  }
  flush_disposition();
  if (!plain) return wire_->send(channel_, what);
  held = what;
  held.state = what.state.is == outcome::accepted ? delivery_state::accepted() : delivery_state::released();
  disposition_.used = true;
  want_flush();
}

inline void session::flush_disposition() {
  if (!disposition_.used) return;
  wire_->send(channel_, disposition_.what);
  disposition_.used = false;
}

// --- windows ---------------------------------------------------------------------------------------------------------

// The longest transfer is 8 bytes of frame header, 3 of descriptor, 9 of list and 65 of fields.
namespace detail {
inline constexpr std::size_t transfer_head = 96;
}

// Allocates all that sending a payload of this size may need.
inline void session::make_room(std::size_t payload) {
  std::size_t const frames = payload / (wire_->max_frame - detail::transfer_head) + 1;
  wire_->out.prepare(payload + frames * detail::transfer_head);
  if (frames > peer_window_) pending_.rest.prepare(payload);
}

// Sends frames from the front of the payload until it is used up or the window is shut; what is left stays in
// `payload`. `first` is the transfer of the first frame, null when that has left before.
inline void session::send_parts(link& which, transfer const* first, byte_view& payload) {
  std::size_t const room = wire_->max_frame - detail::transfer_head;
  do {
    transfer what;
    if (first) what = *first;
    what.handle = which.handle_;
    first = nullptr;
    byte_view const part = payload.substr(0, room);
    what.more = part.size() < payload.size();
    wire_->send(channel_, what, part);
    payload.remove_prefix(part.size());
    ++next_outgoing_id_;
    --peer_window_;
  } while (!payload.empty() && peer_window_ != 0);
}

inline void session::resume_pending() {
  if (!pending_.owner || peer_window_ == 0) return;
  byte_view left = pending_.rest.view();
  send_parts(*pending_.owner, nullptr, left);
  pending_.rest.consume(pending_.rest.size() - left.size());
  if (left.empty()) {
    pending_.owner = nullptr;
    pending_.rest.shrink(65'536);
  }
}

inline void session::fill(flow& into) noexcept {
  window_left_ = wire_->options->incoming_window;
  flow_due_ = false;
  if (peer_begun_) into.next_incoming_id = next_incoming_id_;
  into.incoming_window = window_left_;
  into.next_outgoing_id = next_outgoing_id_;
  into.outgoing_window = 0x7fffffff;
}

inline void session::flush() {
  dirty_ = false;
  if (state_ != state_type::begun) return;
  flush_disposition();
  for (auto const& each : links_)
    if (each && each->flow_due_ && each->state_ == link::state_type::attached) each->send_flow();
  if (!flow_due_) return;
  flow what;
  fill(what);
  wire_->send(channel_, what);
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
