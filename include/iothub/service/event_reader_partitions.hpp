// Bodies of event_reader_core.hpp: which partitions there are, and which of them are this reader's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/service/event_reader_core.hpp>

namespace iothub {
inline namespace v0 {

// --- $management -----------------------------------------------------------------------------------------------------

inline void event_reader_core::ask(std::string partition_id, time_point now) {
  requests_.push_back({++last_request_, std::move(partition_id), add(now, options_.token_timeout)});
  if (management_out_ == nullptr)
    if (auto made = attach_management(); !made) return fail(std::move(made).error());
  pump_requests();
}

inline result<void> event_reader_core::attach_management() {
  std::string const reply_to = "management-" + std::to_string(++links_made_);
  amqp::attach how;
  how.has_source = how.has_target = true;
  auto const attach = [&](amqp::link_role role, std::string_view name, std::string_view from,
                          std::string_view to) -> result<amqp::link*> {
    how.name = name;
    how.role = role;
    how.source = amqp::source::at(from);
    how.target = amqp::target::at(to);
    auto made = session()->attach(how);
    if (made) (*made)->user = management_mark;
    return made;
  };
  auto in = attach(amqp::link_role::receiver, reply_to, "$management", reply_to);
  if (!in) return std::move(in).error();
  management_in_ = *in;
  management_in_->set_prefetch(50);
  auto out = attach(amqp::link_role::sender, reply_to + "-requests", reply_to, "$management");
  if (!out) return std::move(out).error();
  management_out_ = *out;
  wake();
  return {};
}

inline void event_reader_core::pump_requests() {
  if (management_out_ == nullptr || management_in_ == nullptr) return;
  if (management_in_->state() != amqp::link::state_type::attached) return;
  for (request& each : requests_) {
    if (each.sent || !management_out_->can_send()) continue;
    amqp::value const id{std::to_string(each.id)};
    amqp::message_view message;
    message.has_properties = true;
    message.properties.message_id = id.bytes();
    message.properties.to = "$management";
    message.properties.reply_to = management_in_->name();
    auto const words = each.partition.empty()
                           ? amqp::value::string_map({{"operation", "READ"},
                                                      {"name", entity_},
                                                      {"type", "com.microsoft:eventhub"}})
                           : amqp::value::string_map({{"operation", "READ"},
                                                      {"name", entity_},
                                                      {"type", "com.microsoft:partition"},
                                                      {"partition", each.partition}});
    message.application_properties = words.bytes();
    message.body = amqp::body_kind::data;
    message.data = "[]";  // as @azure/event-hubs
    byte_buffer bytes;
    amqp::write_message(message, bytes);
    if (!management_out_->send({.payload = bytes.view(), .settled = true})) return;
    each.sent = true;
    wake();
  }
}

inline void event_reader_core::answered(amqp::message_view const& message, time_point now) {
  std::string const id = amqp::id_text(message.properties.correlation_id);
  std::size_t at = 0;
  while (at != requests_.size() && std::to_string(requests_[at].id) != id) ++at;
  if (at == requests_.size()) return;
  request const asked = std::move(requests_[at]);
  requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(at));
  amqp::request_status const status = amqp::read_status(message);
  bool const good = status.code >= 200 && status.code < 300;
  amqp::value_view const body = amqp::view_of(message.value);
  if (asked.partition.empty()) {
    if (!good) {
      errc const code = status.code == 404                         ? errc::not_found
                        : status.code == 401 || status.code == 403 ? errc::unauthorized
                        : status.code == 429                       ? errc::throttled
                                                                   : errc::service_unavailable;
      return fail(
          {code, std::string{"the event endpoint does not say what partitions it has: "}.append(status.description)});
    }
    know_partitions(body, now);
  } else {
    for (partition& p : partitions_)
      if (p.id == asked.partition) know_end(p, body, good);
    open_receivers(now);
  }
  if (requests_.empty()) end_management();
}

inline void event_reader_core::know_partitions(amqp::value_view const& body, time_point now) {
  amqp::value_view const ids = amqp::find(body, "partition_ids");
  std::deque<partition> known;  // all or none
  if (ids.type() == amqp::kind::array) {
    amqp::array_reader each{ids};
    amqp::value_view id;
    while (each.next(id))
      if (auto const text = id.as_text()) known.emplace_back().id = *text;
  } else if (ids.type() == amqp::kind::list) {
    amqp::reader each{ids};
    amqp::value_view id;
    while (each.next(id))
      if (auto const text = id.as_text()) known.emplace_back().id = *text;
  }
  partitions_.swap(known);
  if (partitions_.empty()) return fail({errc::protocol_error, "the event endpoint names no partitions"});
  arrange(now);
}

inline void event_reader_core::know_end(partition& p, amqp::value_view const& body, bool good) {
  p.asked = p.resolve = false;
  auto const last = amqp::find(body, "last_enqueued_sequence_number").as_int();
  if (!good || !last) return;  // the endpoint's own idea of the end has to do
  p.from = *last < 0 ? event_position::earliest() : event_position::sequence_number(*last);
  p.received = *last;
}

inline void event_reader_core::end_management() {
  if (auto* const out = std::exchange(management_out_, nullptr)) out->detach();
  if (auto* const in = std::exchange(management_in_, nullptr)) in->detach();
}

// --- which partitions ------------------------------------------------------------------------------------------------

inline void event_reader_core::arrange(time_point now) {
  if (options_.checkpoints != nullptr && options_.checkpoint_interval > duration{0} && save_at_ == never)
    save_at_ = add(now, options_.checkpoint_interval);
  if (options_.share_partitions) {
    balance(now);
    return open_receivers(now);
  }
  std::vector<event_checkpoint> known;
  bool needed = false;
  for (partition const& p : partitions_) needed = needed || !p.assigned;
  if (needed && options_.checkpoints != nullptr) {
    auto read = options_.checkpoints->checkpoints(scope());
    if (!read) return give_up(std::move(read).error());  // beginning somewhere else would skip or repeat
    known = *std::move(read);
  }
  for (partition& p : partitions_)
    if (!p.assigned) assign(p, 0, known);
  open_receivers(now);
}

inline void event_reader_core::assign(partition& p, std::int64_t level, std::vector<event_checkpoint> const& known) {
  p.over = false;
  p.level = level;
  ++p.term;
  p.pending = p.used = p.attempts = 0;
  p.retry_at = time_point::min();
  p.from = options_.start;
  p.received = -1;
  p.received_offset.clear();
  p.done = event_checkpoint{p.id, {}, -1, level};
  p.dirty = false;
  p.resolve = options_.start.what == event_position::by::latest;
  if (options_.start.what == event_position::by::sequence_number)
    p.received = options_.start.number - (options_.start.inclusive ? 1 : 0);
  for (auto const& each : known)
    if (each.partition == p.id && each.sequence_number >= 0) {
      p.received = each.sequence_number;
      p.received_offset = each.offset;
      p.done = each;
      p.done.level = level;
      p.resolve = false;
      p.from = event_position::sequence_number(each.sequence_number);
    }
  p.assigned = true;  // last: one that is half assigned would begin somewhere else
}

inline void event_reader_core::balance(time_point now) {
  balance_at_ = add(now, options_.claim_interval);
  auto const trouble = [&](error const& why) { tell(reader_notice::kind::checkpoint_failed, {}, why); };
  auto const claims = options_.checkpoints->claims(scope());
  if (!claims) return trouble(claims.error());
  std::vector<std::string> ids;
  for (partition const& p : partitions_) ids.push_back(p.id);
  auto const wanted =
      balance_partitions(ids, *claims, options_.reader_name, host_.utc_now(), options_.claim_expiry);
  std::vector<partition const*> kept;
  std::vector<event_checkpoint> known;
  bool loaded = false;
  for (auto const& want : wanted) {
    auto const done = options_.checkpoints->claim(scope(), want.made, want.expected);
    if (!done && done.error() != errc::precondition_failed) trouble(done.error());
    if (!done && done.error() == errc::precondition_failed) continue;
    for (partition& p : partitions_) {
      if (p.id != want.made.partition) continue;
      if (p.assigned && (p.level == want.made.level || !done)) kept.push_back(&p);
      if (p.assigned || !done) continue;
      if (!loaded) {
        auto read = options_.checkpoints->checkpoints(scope());
        if (!read) return trouble(read.error());  // claimed, but not opened: the next look finds it
        known = *std::move(read);
        loaded = true;
      }
      assign(p, want.made.level, known);
      kept.push_back(&p);
    }
  }
  for (partition& p : partitions_) {
    bool mine = false;
    for (auto const* each : kept) mine = mine || each == &p;
    if (p.assigned && !mine) lose(p, {errc::link_stolen, "another reader claimed the partition"});
  }
}

// Not this reader's any more. What was not handed out is the new owner's, who begins behind the last checkpoint.
inline void event_reader_core::lose(partition& p, error why) {
  std::size_t const place = [&] {
    for (std::size_t i = 0;; ++i)
      if (&partitions_[i] == &p) return i;
  }();
  std::deque<entry> kept;
  for (entry& each : inbox_)
    if (each.partition != place) kept.emplace_back();
  p.assigned = false;  // what may fail is done, or ends with the connection
  p.asked = false;
  p.pending = p.used = 0;
  ++p.term;
  auto to = kept.begin();
  for (entry& each : inbox_)
    if (each.partition != place) *to++ = std::move(each);
  inbox_.swap(kept);
  if (p.link != nullptr) std::exchange(p.link, nullptr)->detach();
  tell(reader_notice::kind::partition_lost, p.id, std::move(why));
  wake();
}

}  // namespace v0
}  // namespace iothub
