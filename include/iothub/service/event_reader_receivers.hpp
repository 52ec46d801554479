// Bodies of event_reader_core.hpp: receivers, events on their way to the user, checkpoints, time.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <iothub/service/event_reader_core.hpp>

namespace iothub {
inline namespace v0 {

// --- receivers -------------------------------------------------------------------------------------------------------

inline void event_reader_core::open_receivers(time_point now) {
  if (session() == nullptr || entity_.empty()) return;
  for (partition& p : partitions_) {
    if (!p.assigned || p.over || p.link != nullptr || p.asked || p.retry_at > now) continue;
    if (session() == nullptr) return;
    if (p.resolve) {
      p.asked = true;
      ask(p.id, now);
    } else {
      open_receiver(p, now);
    }
  }
}

inline void event_reader_core::open_receiver(partition& p, time_point now) {
  event_position at = p.from;
  if (!p.received_offset.empty()) {
    at = event_position::offset(p.received_offset);
  } else if (p.received >= 0) {
    at = event_position::sequence_number(p.received);
  }
  constexpr std::uint64_t selector_filter = 0x0000468C'00000004;  // the registered code of the selector filter
  auto const filter = amqp::value::symbol_map(
      {{"apache.org:selector-filter:string", amqp::value::made([&](amqp::writer& w) {
          w.describe(static_cast<amqp::descriptor>(selector_filter));
          w.string(at.selector());
        })}});
  auto const properties =
      options_.share_partitions || options_.owner_level
          ? amqp::value::symbol_map({{"com.microsoft:receiver-name", options_.reader_name},
                                     {"com.microsoft:epoch", options_.owner_level.value_or(p.level)}})
          : amqp::value::symbol_map({{"com.microsoft:receiver-name", options_.reader_name}});
  std::string const address = entity_ + "/ConsumerGroups/" + options_.consumer_group + "/Partitions/" + p.id;
  std::string const name = options_.reader_name + '-' + p.id + '-' + std::to_string(++links_made_);
  amqp::attach how;
  how.name = name;
  how.role = amqp::link_role::receiver;
  how.has_source = how.has_target = true;
  how.source = amqp::source::at(address);
  how.source.filter = filter.bytes();
  how.target = amqp::target::at(options_.reader_name);
  how.properties = properties.bytes();
  auto made = session()->attach(how);
  if (!made) return receiver_ended(p, std::move(made).error(), now);
  p.link = *made;
  p.link->user = receiver_mark;
  p.link->context = &p;
  p.used = 0;
  if (p.pending < options_.prefetch) p.link->add_credit(options_.prefetch - p.pending);
  wake();
}

inline void event_reader_core::receiver_ended(partition& p, error why, time_point now) {
  bool final = why == errc::link_stolen || why == errc::not_found || why == errc::bad_request ||
               why == errc::forbidden || why == errc::unsupported || (why == errc::quota_exceeded && !p.ever_attached);
  if (why == errc::link_stolen && options_.share_partitions) return lose(p, std::move(why));
  if (why == errc::unauthorized) {
    if (std::exchange(p.ever_attached, false))  // the token's time is over, or the key's: a new connection will tell
      return fail({errc::connection_lost, std::string{why.message()}});
    return give_up(std::move(why));
  }
  if (!final) {
    p.retry_at = add(now, back_off(p.attempts++));
    return;
  }
  p.over = true;
  tell(reader_notice::kind::partition_ended, p.id, why);
  bool any = false;
  for (partition const& each : partitions_) any = any || (each.assigned && !each.over);
  if (!any && !options_.share_partitions) return give_up(std::move(why));
  errors_.push_back(std::move(why));
}

inline void event_reader_core::on_event(partition& p, amqp::link& from, amqp::delivery const& what) {
  entry made{{}, 0, p.term};
  bool const good = read_event(what.payload, made.event);
  if (!what.settled) from.settle(what.id);
  if (p.link != &from) return;
  hub_event& e = made.event;
  e.partition = p.id;
  bool const numbered = good && e.sequence_number >= 0;
  std::int64_t const number = e.sequence_number;
  if (numbered && p.received >= 0 && number > p.received + 1)
    e.missed_before = static_cast<std::uint64_t>(number - p.received - 1);
  std::uint64_t const missed = e.missed_before;
  std::string offset = e.offset;
  bool const wanted = good && (options_.device_id.empty() || e.device_id == options_.device_id);
  if (wanted) {
    while (&partitions_[made.partition] != &p) ++made.partition;
    inbox_.push_back(std::move(made));
    ++p.pending;
    host_.output();
  }
  // Only now: what is received is not asked for again, so it must be in safety.
  if (numbered) {
    p.received = number;
    p.received_offset = std::move(offset);
  }
  missed_ += missed;
  if (missed != 0) tell(reader_notice::kind::events_missed, p.id, errc::closed, missed);
  if (wanted) return;
  used_one(p);
  if (p.pending == 0) completed(p);
}

inline void event_reader_core::used_one(partition& p) {
  ++p.used;
  if (p.link == nullptr || p.used < (options_.prefetch + 1) / 2) return;
  p.link->add_credit(std::exchange(p.used, 0u));
  wake();
}

// Everything that was received is finished.
inline void event_reader_core::completed(partition& p) {
  if (p.received < 0 || p.received == p.done.sequence_number) return;
  p.done = event_checkpoint{p.id, p.received_offset, p.received, p.level};
  p.dirty = true;
}

inline bool event_reader_core::take(hub_event& into) {
  finish();
  if (inbox_.empty()) return false;
  in_hand_mark_.offset = inbox_.front().event.offset;  // while the event is still there
  entry next = std::move(inbox_.front());
  inbox_.pop_front();
  in_hand_ = std::pair{next.partition, next.term};
  in_hand_mark_.sequence_number = next.event.sequence_number;
  into = std::move(next.event);
  ++taken_;
  return true;
}

inline void event_reader_core::finish() {
  if (!in_hand_) return;
  auto const [place, term] = *in_hand_;
  partition& p = partitions_[place];
  if (p.term != term) {
    in_hand_failed_ = false;
    return in_hand_.reset();
  }
  if (in_hand_failed_) {
    in_hand_failed_ = false;
  } else if (p.pending == 1) {
    completed(p);
  } else {
    p.done = event_checkpoint{p.id, in_hand_mark_.offset, in_hand_mark_.sequence_number, p.level};
    p.dirty = true;
  }
  in_hand_.reset();
  --p.pending;
  used_one(p);
}

inline bool event_reader_core::take_notice(reader_notice& into) {
  if (notices_.empty()) return false;
  into = std::move(notices_.front());
  notices_.pop_front();
  return true;
}

inline maybe<error> event_reader_core::take_error() {
  if (errors_.empty()) return {};
  error next = std::move(errors_.front());
  errors_.pop_front();
  return next;
}

inline bool event_reader_core::reading() const noexcept {
  if (session() == nullptr || entity_.empty() || partitions_.empty()) return false;
  for (partition const& p : partitions_) {
    if (!p.assigned && !options_.share_partitions) return false;
    if (p.assigned && !p.over &&
        (p.link == nullptr || p.link->state() != amqp::link::state_type::attached))
      return false;
  }
  return true;
}

inline std::vector<std::string> event_reader_core::partitions() const {
  std::vector<std::string> ids;
  for (partition const& p : partitions_)
    if (p.assigned && !p.over) ids.push_back(p.id);
  return ids;
}

// --- checkpoints -----------------------------------------------------------------------------------------------------

inline result<void> event_reader_core::save(partition& p, event_checkpoint what) {
  auto saved = options_.checkpoints->save(scope(), what);
  if (saved) return saved;
  if (saved.error() == errc::lock_lost && options_.share_partitions && p.assigned) {
    lose(p, saved.error());
    return {};
  }
  tell(reader_notice::kind::checkpoint_failed, p.id, saved.error());
  return saved;
}

inline result<void> event_reader_core::save() {
  if (options_.checkpoints == nullptr) return {};
  result<void> first;
  for (partition& p : partitions_) {
    if (!p.dirty || !p.assigned) continue;
    auto saved = save(p, p.done);
    if (saved)
      p.dirty = false;
    else if (first)
      first = std::move(saved);
  }
  return first;
}

inline result<void> event_reader_core::save(hub_event const& what) {
  if (options_.checkpoints == nullptr)
    return error{errc::invalid_state, "the reader has no checkpoint store (event_reader_options.checkpoints)"};
  for (partition& p : partitions_)
    if (p.id == what.partition)
      return p.assigned ? save(p, {p.id, what.offset, what.sequence_number, p.level})
                        : result<void>{error{errc::lock_lost, "the partition is not this reader's any more"}};
  return error{errc::invalid_argument, "the event is of no partition of this reader"};
}

inline void event_reader_core::close() {
  finish();
  (void)save();
  if (options_.share_partitions && !home_.empty())
    for (partition& p : partitions_) {
      if (!p.assigned) continue;
      partition_claim const mine{p.id, options_.reader_name, p.level, host_.utc_now()};
      partition_claim free = mine;
      free.owner.clear();
      (void)options_.checkpoints->claim(scope(), free, mine);
    }
  for (partition& p : partitions_) p.assigned = false, p.link = nullptr, ++p.term;
  inbox_.clear();
  requests_.clear();  // else each would be due while the peer takes its time to say good-bye
  balance_at_ = save_at_ = never;
  leave();
}

// --- time ------------------------------------------------------------------------------------------------------------

inline void event_reader_core::step(time_point now) {
  on_time(now);
  if (state() == state_type::idle) return;
  for (request const& each : requests_)
    if (each.give_up <= now) {
      requests_.clear();  // given up: until the connection has gone nothing is due for them again
      return fail({errc::timeout, "the event endpoint did not answer on $management"});
    }
  if (balance_at_ <= now) {
    balance(now);
    open_receivers(now);
  }
  if (save_at_ <= now) {
    (void)save();
    save_at_ = add(now, options_.checkpoint_interval);
  }
  for (partition const& p : partitions_)
    if (p.assigned && !p.over && p.link == nullptr && !p.asked && p.retry_at <= now) return open_receivers(now);
}

inline time_point event_reader_core::next_deadline() const noexcept {
  time_point due = deadline();
  auto const at = [&](time_point t) {
    if (t < due) due = t;
  };
  for (request const& each : requests_) at(each.give_up);
  if (state() == state_type::idle) return due;
  at(balance_at_);
  bool dirty = false;
  for (partition const& p : partitions_) {
    dirty = dirty || p.dirty;
    // Not while the hub is asked where the endpoint is now, nor when the session has gone and the connection goes after
    // it.
    if (session() != nullptr && !entity_.empty() && p.assigned && !p.over && p.link == nullptr && !p.asked &&
        p.retry_at != time_point::min())
      at(p.retry_at);
  }
  if (dirty) at(save_at_);
  return due;
}

inline std::string event_reader_core::describe() const {
  switch (state()) {
    case state_type::idle: return {};
    case state_type::ready:
      return "an event reader waits for " + peer().host + (entity_.empty() ? " to redirect it" : " to send events");
    case state_type::leaving: return "an event reader waits for " + peer().host + " to say good-bye";
    default: return "an event reader connects to " + peer().host;
  }
}

}  // namespace v0
}  // namespace iothub
