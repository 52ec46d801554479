// What happens in hub_core without being asked for: its beginning and end, its clock, its log, and faults.
#pragma once

#include <iothub/hub/hub_core_interface.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

inline hub_core::hub_core(hub::options settings, security& keys, log_sink* log)
    : settings_{std::move(settings)},
      keys_{keys},
      log_{log},
      registry_{settings_, keys_},
      access_{settings_, keys_, registry_},
      events_{settings_.retention} {
  char seed[8] = {};
  (void)keys_.fill_random({seed, sizeof seed});  // lock tokens are names, not secrets
  std::uint64_t start = 0;
  for (char c : seed) start = start << 8 | static_cast<unsigned char>(c);
  tokens_ = prng{start};
}

inline hub_core::~hub_core() {
  for (auto& [key, record] : registry_.records())
    if (record.link != nullptr) record.link->identity_ = nullptr;
}

inline hub::options const& hub_core::options() const noexcept { return settings_; }

// --- time -----------------------------------------------------------------------------------------------------------

inline time_point hub_core::deadline() const {
  time_point due = methods_.deadline();
  if (!timers_.empty() && timers_.begin()->due < due) due = timers_.begin()->due;
  if (!scheduled_.empty() && scheduled_.begin()->first < due) due = scheduled_.begin()->first;
  return due;
}

inline void hub_core::on_time(instant at) {
  last_ = at;
  while (!scheduled_.empty() && scheduled_.begin()->first <= at.now) {
    auto const fault = scheduled_.begin()->second;
    scheduled_by_.erase({fault.who, fault.kind});
    scheduled_.erase(scheduled_.begin());
    run_scheduled(fault, at);
  }
  while (!timers_.empty() && timers_.begin()->due <= at.now) run_timer(*timers_.begin()->record, at);
  while (method_ticket const ticket = methods_.next_due(at.now)) {
    bool const delivered = methods_.find(ticket)->delivered;
    methods_.finish(ticket,
                    delivered ? refuse(errc::device_timeout, 504101, "Timed out waiting for the response from device.")
                              : refuse(errc::device_offline, 404103, "Timed out waiting for device to connect."));
  }
  give_outcomes();
}

inline void hub_core::set_timer(identity_record& record, instant at) {
  time_point due = record.drop_at;
  if (record.queue && record.queue->size() != 0) {
    time_point const queue_due = record.queue->deadline(at);
    if (queue_due < due) due = queue_due;
  }
  if (due == record.due) return;
  if (record.due != never) timers_.erase({record.due, record.serial, &record});
  record.due = never;
  if (due == never) return;
  timers_.insert({due, record.serial, &record});
  record.due = due;
}

inline void hub_core::run_timer(identity_record& record, instant at) {
  timers_.erase({record.due, record.serial, &record});
  record.due = never;
  if (record.drop_at <= at.now && record.link != nullptr)
    drop_record(record, refuse(errc::unauthorized, 401003, "the token expired"), at);
  settle_time(record, false, at);
  deliver_pending(record, at);
  set_timer(record, at);
}

inline void hub_core::give_outcomes() {
  auto outcomes = methods_.take_outcomes();
  for (auto& o : outcomes)
    if (o.caller != nullptr) o.caller->on_method_outcome(o.ticket, std::move(o.what));
  methods_.give_back(std::move(outcomes));
}

inline void hub_core::log(log_level level, instant at, std::string_view event, key_view who, std::string_view reason) {
  if (log_ == nullptr) return;
  log_entry entry;
  entry.level = level;
  entry.when = at;
  entry.event = event;
  entry.device_id = who.device_id;
  entry.module_id = who.module_id;
  entry.reason = reason;
  log_->write(entry);
}

// --- faults ---------------------------------------------------------------------------------------------------------

inline error hub_core::fault_refusal(fault_decision const& decision, fault_point where) {
  int const code = decision.hub_code != 0 ? decision.hub_code : hub_code_of(decision.code);
  return refuse(decision.code, code, "Refused by the fault plan (" + describe(decision, where) + ")");
}

inline result<void> hub_core::check_fault(fault_point where, key_view who, instant at) {
  last_ = at;
  if (faults_.empty()) return {};
  fault_decision const decision = faults_.decide(where, who, at.now);
  if (!decision.rejects) return {};
  return fault_refusal(decision, where);
}

// The link's record, after the fault plan had its say.
inline result<identity_record*> hub_core::attached(device_link& link, fault_point where, instant at) {
  last_ = at;
  identity_record* const record = link.identity_;
  if (record == nullptr) return error{errc::not_connected, "the connection is not attached to the hub"};
  record->last_activity = at.utc;
  if (faults_.empty()) return record;
  fault_decision const decision = faults_.decide(where, *record->key, at.now);
  if (decision.drops_link) {
    auto const how = describe(decision, where);
    drop_record(*record, refuse(errc::connection_lost, 400029, "Dropped by the fault plan (" + how + ")"), at);
    give_outcomes();
    return error{errc::not_connected, "the connection was dropped by the fault plan (" + how + ")"};
  }
  if (decision.rejects) return fault_refusal(decision, where);
  return record;
}

// azure-iot-sdk-csharp, FaultInjection.cs: Kill... and ShutDown... end the connection or the part of it that they name,
// Invoke... refuse for a while. Whether a part may come back at once is unconfirmed for the real hub; here it may.
inline void hub_core::run_scheduled(scheduled_fault const& fault, instant at) {
  bool const drops = fault.kind == requested_kind::end_connection;
  identity_record* const record = drops ? registry_.find(fault.who) : nullptr;
  bool ends = record != nullptr && record->link != nullptr;
  bool const in_parts = ends && record->link->has_parts();
  if (in_parts)
    ends = record->link->end_part(fault.part, refuse(errc::connection_lost, 400029, "Closed by fault injection"));
  if (ends && !fault.type.empty() && faults_.on_effect) faults_.on_effect({fault.who, 0, fault.type});
  if (in_parts && fault.part != link_part::connection) return;
  fault_rule rule;
  rule.times = ~std::uint64_t{0};
  rule.until = add(at.now, fault.lasting);
  if (drops) {
    rule.where = fault_point::connect;
    rule.code = errc::service_unavailable;
    rule.hub_code = 400030;
  } else if (fault.kind == requested_kind::refuse_token) {
    rule.code = errc::unauthorized;
    rule.hub_code = 401003;
  } else {
    rule.where = fault_point::send_telemetry;
    rule.code = fault.kind == requested_kind::throttle ? errc::throttled : errc::quota_exceeded;
  }
  std::string_view const told = drops ? std::string_view{} : fault.type;  // the end of a connection was told above
  if (fault.lasting != duration{}) faults_.put_requested(fault.who, fault.kind, std::move(rule), told);
  if (record != nullptr) drop_record(*record, refuse(errc::connection_lost, 400029, "Closed by fault injection"), at);
}

// A later wish of the same kind takes the place of one that still waits.
inline void hub_core::schedule(identity_record const& record, requested_fault const& asked, instant at) {
  auto const [found, fresh] = scheduled_by_.try_emplace({*record.key, asked.kind}, scheduled_.end());
  // No iterator is left to what is gone, should the next line have no memory.
  if (!fresh && found->second != scheduled_.end()) scheduled_.erase(std::exchange(found->second, scheduled_.end()));
  found->second = scheduled_.emplace(
      add(at.now, asked.delay), scheduled_fault{*record.key, asked.kind, asked.part, asked.lasting, asked.type});
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
