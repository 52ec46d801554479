// Bodies of link.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/link.hpp>
#include <iothub/amqp/session.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

inline void connection_handler::on_attach(link& which, attach const&, time_point) {
  which.refuse({condition::not_implemented, "no link is attached here"});
}

inline void link::send_attach(attach& what) {
  what.name = name_;
  what.handle = handle_;
  what.role = role_;
  what.snd_settle_mode = snd_mode_;
  what.rcv_settle_mode = rcv_mode_;
  what.initial_delivery_count.reset();
  if (is_sender()) what.initial_delivery_count = delivery_count_;
  what.max_message_size = parent_->wire_->options->max_message_size;
  parent_->wire_->send(parent_->channel_, what);
}

inline void link::accept(attach_answer const& how) {
  IOTHUB_ASSERT(state_ == state_type::offered);
  if (state_ != state_type::offered || parent_->state_ != session::state_type::begun) return;
  attach answer;
  answer.raw_source = source_;
  answer.raw_target = target_;
  answer.has_source = answer.has_target = true;  // null would say that there is no such node (2.6.3)
  if (!how.source_address.empty()) {
    static_cast<void>(decode(source_, answer.source));
    answer.source.address = how.source_address;
    answer.source.has_address = true;
    answer.raw_source = {};
  }
  if (!how.target_address.empty()) {
    static_cast<void>(decode(target_, answer.target));
    answer.target.address = how.target_address;
    answer.target.has_address = true;
    answer.raw_target = {};
  }
  if (is_sender())
    snd_mode_ = how.snd_settle_mode.value_or(snd_mode_);
  else
    rcv_mode_ = how.rcv_settle_mode;
  answer.properties = how.properties;
  answer.offered_capabilities = how.offered_capabilities;
  answer.desired_capabilities = how.desired_capabilities;
  send_attach(answer);
  state_ = state_type::attached;
  source_ = {};
  target_ = {};
  if (is_sender()) {  // credit may have come before the answer
    blocked_ = true;
    parent_->wire_->blocked = parent_->wire_->backed = true;
  } else if (flow_due_) {
    parent_->want_flush();
  }
}

inline void link::refuse(error_view const& why) {
  IOTHUB_ASSERT(state_ == state_type::offered);
  if (state_ != state_type::offered || parent_->state_ != session::state_type::begun) return;
  attach answer;
  send_attach(answer);
  parent_->wire_->send(parent_->channel_, amqp::detach{handle_, true, why});
  state_ = state_type::detaching;
}

inline void link::detach(error_view const& why, bool closed) {
  if (state_ == state_type::offered) return refuse(why);
  if (state_ != state_type::attaching && state_ != state_type::attached) return;
  if (parent_->state_ == session::state_type::begun) {
    parent_->flush_disposition();
    parent_->wire_->send(parent_->channel_, amqp::detach{handle_, closed, why});
  }
  leave();
  state_ = state_type::detaching;
}

// Forgets all that is under way.
inline void link::leave() noexcept {
  parent_->sent_.forget(this);
  parent_->received_.forget(this);
  if (parent_->pending_.owner == this) {
    parent_->pending_.owner = nullptr;
    parent_->pending_.rest.clear();
    parent_->wire_->blocked = true;
  }
  unsettled_ = 0;
  credit_ = 0;
  prefetch_ = 0;
  flow_due_ = false;
  drop_assembly();
}

inline void link::drop_assembly() noexcept {
  parent_->wire_->assembling -= assembly_.size();
  assembly_.clear();
  receiving_ = false;
}

inline void link::fail(violation rule) {
  broken_ = rule;
  detach({rule.condition(), rule.what()}, true);
}

// The answer to this side's attach.
inline void link::receive_attach(attach const& what) {
  snd_mode_ = what.snd_settle_mode;
  rcv_mode_ = what.rcv_settle_mode;
  peer_max_message_size_ = what.max_message_size;
  if (!is_sender()) delivery_count_ = what.initial_delivery_count.value_or(0);
  if (state_ != state_type::attaching) return;
  bool const has_node = is_sender() ? what.has_target : what.has_source;
  if (!has_node && !parent_->wire_->options->accept_missing_terminus) return;
  state_ = state_type::attached;
  if (flow_due_) parent_->want_flush();
  parent_->wire_->owner->on_attached(*this, what, parent_->wire_->now);
}

// --- sender ----------------------------------------------------------------------------------------------------------

inline bool link::can_send() noexcept {
  detail::wire& shared = *parent_->wire_;
  if (state_ != state_type::attached || !is_sender() || credit_ == 0) return false;
  if (parent_->state_ != session::state_type::begun || !shared.writable) return false;
  bool const full = snd_mode_ != sender_settles::settled && parent_->sent_.size() >= shared.options->max_unsettled;
  if (!full && parent_->window_open() && !shared.backed_up()) return true;
  blocked_ = true;
  shared.blocked = true;
  if (shared.backed_up()) shared.backed = true;
  return false;
}

inline result<std::uint32_t> link::send(outgoing_delivery const& what) {
  session& on = *parent_;
  if (state_ != state_type::attached || on.state_ != session::state_type::begun || !on.wire_->writable)
    return errc::not_connected;
  if (!is_sender()) return error{errc::invalid_argument, "a receiver does not send"};
  if (what.tag.size() > sizeof tag_) return error{errc::invalid_argument, "a delivery tag above 32 bytes"};
  if (peer_max_message_size_ != 0 && what.payload.size() > peer_max_message_size_) return errc::too_large;
  if (!can_send()) return errc::outbox_full;
  // What was settled before is said before: azure-uamqp-c takes an answer on a $management link for none when its
  // request has not been settled (amqp_management.c).
  on.flush_disposition();

  std::uint32_t const id = on.next_delivery_id_;
  char made_tag[4];
  detail::store32(made_tag, id);
  transfer first;
  first.handle = handle_;
  first.delivery_id = id;
  first.delivery_tag = what.tag.empty() ? byte_view{made_tag, sizeof made_tag} : what.tag;
  first.has_delivery_tag = true;
  first.message_format = what.message_format;
  first.settled = settles(what.settled);
  byte_view left = what.payload;
  on.make_room(left.size());  // nothing below fails but the first line
  if (!*first.settled) {
    on.sent_.push({id, false, false, this, what.user});
    ++unsettled_;
  }
  ++on.next_delivery_id_;
  ++delivery_count_;
  --credit_;
  on.send_parts(*this, &first, left);
  if (!left.empty()) {
    on.pending_.rest.append(left);
    on.pending_.owner = this;
  }
  return id;
}

inline void link::receive_flow(flow const& what) {
  is_sender() ? receive_credit(what) : receive_count(what);
  if (what.echo && state_ == state_type::attached) want_flow();
}

// 2.6.7: credit here = the receiver's delivery-count + link-credit - delivery-count here.
inline void link::receive_credit(flow const& what) {
  if (state_ == state_type::detaching) return;
  if (what.link_credit) {
    std::uint32_t const on_the_way = delivery_count_ - what.delivery_count.value_or(initial_count_);
    credit_ = *what.link_credit > on_the_way ? *what.link_credit - on_the_way : 0;
  }
  drain_ = what.drain;
  if (state_ != state_type::attached) return;
  if (can_send()) {
    blocked_ = false;
    parent_->wire_->owner->on_credit(*this, parent_->wire_->now);
  }
  if (!drain_ || state_ != state_type::attached) return;
  delivery_count_ += credit_;
  credit_ = 0;
  send_flow();
  drain_ = false;
}

// A sender that gave credit back counts as if it had sent.
inline void link::receive_count(flow const& what) {
  if (state_ != state_type::attached || !what.delivery_count) return;
  std::uint32_t const given_back = *what.delivery_count - delivery_count_;
  if (given_back <= credit_) {
    credit_ -= given_back;
    delivery_count_ = *what.delivery_count;
  }
  if (!drain_ || credit_ != 0) return;
  drain_ = false;
  parent_->wire_->owner->on_drained(*this, parent_->wire_->now);
  refill();
}

// --- receiver --------------------------------------------------------------------------------------------------------

inline void link::want_flow() noexcept {
  flow_due_ = true;
  if (state_ == state_type::attached) parent_->want_flush();
}

inline void link::add_credit(std::uint32_t count) {
  if (is_sender() || state_ >= state_type::detaching) return;
  credit_ = count > 0x7fffffffu - credit_ ? 0x7fffffffu : credit_ + count;
  want_flow();
}

inline void link::set_prefetch(std::uint32_t window) {
  if (is_sender() || state_ >= state_type::detaching) return;
  prefetch_ = window > 0x7fffffffu ? 0x7fffffffu : window;
  refill();
}

inline void link::refill() noexcept {
  if (prefetch_ == 0 || drain_) return;
  std::uint32_t const used = credit_ + unsettled_;
  if (used >= prefetch_) return;
  if (credit_ == 0 || prefetch_ - used >= (prefetch_ + 1) / 2) want_flow();
}

inline void link::drain() {
  if (is_sender() || state_ >= state_type::detaching) return;
  drain_ = true;
  want_flow();
}

inline void link::send_flow() {
  if (!is_sender() && !drain_ && prefetch_ > credit_ + unsettled_) credit_ = prefetch_ - unsettled_;
  flow what;
  parent_->fill(what);
  what.handle = handle_;
  what.delivery_count = delivery_count_;
  what.link_credit = credit_;
  if (is_sender()) what.available = 0;
  what.drain = drain_;
  flow_due_ = false;
  parent_->wire_->send(parent_->channel_, what);
}

inline void link::receive_transfer(transfer const& what, byte_view payload) {
  if (state_ == state_type::detaching) {  // thrown away, but its id counts
    if (what.delivery_id) parent_->next_peer_delivery_id_ = *what.delivery_id + 1;
    return;
  }
  if (is_sender()) return fail({condition::not_allowed, "2.6.12: a transfer to the side that sends"});
  detail::wire& shared = *parent_->wire_;
  if (!receiving_) {
    begin_delivery(what);
    if (!receiving_) return;
  } else if (what.delivery_id && *what.delivery_id != incoming_.id) {
    return parent_->fail({condition::invalid_field, "2.7.5: a delivery begins inside another one"});
  }
  incoming_.settled = incoming_.settled || what.settled.value_or(false) || snd_mode_ == sender_settles::settled;
  if (what.aborted) {
    drop_assembly();
    return refill();
  }
  if (assembly_.size() + payload.size() > shared.options->max_message_size)
    return fail({condition::message_size_exceeded, "2.7.3: a message above max-message-size"});
  if (!what.more && assembly_.empty()) {
    receiving_ = false;
    return deliver(payload);
  }
  if (shared.assembling + payload.size() > shared.max_assembling)
    return shared.fail({condition::resource_limit_exceeded, "too many bytes of unfinished messages"});
  assembly_.append(payload);
  shared.assembling += payload.size();
  if (what.more) return;
  byte_buffer whole = std::move(assembly_);
  shared.assembling -= whole.size();
  receiving_ = false;
  deliver(whole.view());
  whole.clear();
  whole.shrink(65'536);
  assembly_ = std::move(whole);
}

// The first frame of a delivery. Leaves receiving_ false when the delivery is refused.
inline void link::begin_delivery(transfer const& what) {
  session& on = *parent_;
  if (!what.delivery_id) return fail({condition::invalid_field, "2.7.5: a delivery without an id"});
  if (on.peer_delivered_ && *what.delivery_id != on.next_peer_delivery_id_)
    return on.fail({condition::invalid_field, "2.7.5: a delivery id that is not the next one"});
  on.peer_delivered_ = true;
  on.next_peer_delivery_id_ = *what.delivery_id + 1;
  if (credit_ == 0)
    return fail({condition::transfer_limit_exceeded, "2.6.7: a delivery for which there was no credit"});
  --credit_;
  ++delivery_count_;
  incoming_ = delivery{};
  incoming_.id = *what.delivery_id;
  incoming_.message_format = what.message_format.value_or(0);
  tag_size_ = static_cast<std::uint8_t>(what.delivery_tag.size());
  if (tag_size_ != 0) std::memcpy(tag_, what.delivery_tag.data(), tag_size_);
  second_ = what.rcv_settle_mode.value_or(static_cast<std::uint8_t>(rcv_mode_)) != 0;
  receiving_ = true;
}

inline void link::deliver(byte_view payload) {
  session& on = *parent_;
  if (!incoming_.settled) {
    if (on.received_.size() >= on.wire_->options->max_unsettled)
      return on.fail({condition::resource_limit_exceeded, "too many deliveries that are not settled"});
    on.received_.push({incoming_.id, second_, false, this, 0});
    ++unsettled_;
  }
  delivery told = incoming_;
  told.tag = {tag_, tag_size_};
  told.payload = payload;
  on.wire_->owner->on_transfer(*this, told, on.wire_->now);
  if (state_ == state_type::attached) refill();
}

inline void link::settle(std::uint32_t delivery_id, delivery_state const& state) {
  session& on = *parent_;
  detail::unsettled_entry* const entry = on.received_.find(delivery_id);
  if (!entry || entry->owner != this || entry->told) return;
  if (on.state_ != session::state_type::begun || !on.wire_->writable) return;
  disposition what;
  what.role = link_role::receiver;
  what.first = what.last = delivery_id;
  what.settled = !entry->second;
  what.state = state;
  on.say(what);
  if (entry->second) {
    entry->told = true;
    return;
  }
  on.received_.settle(entry);
  --unsettled_;
  refill();
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
