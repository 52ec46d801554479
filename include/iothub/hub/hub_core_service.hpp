// The service side of hub_core: access, identities, twins, method calls, cloud-to-device messages, queries.
#pragma once

#include <iothub/hub/hub_core_device.hpp>
#include <iothub/hub/hub_core_interface.hpp>
#include <iothub/wire/hub_topics.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// --- access ---------------------------------------------------------------------------------------------------------

inline result<grant> hub_core::authorize_device(key_view who, std::string_view token, instant at) {
  last_ = at;
  auto outcome = access_.authorize_device(who, token, at);
  if (outcome) return outcome;
  // Anybody can say any name: one that is not the hub's own is cut.
  if (registry_.find(who) == nullptr) who = {who.device_id.substr(0, 64), who.module_id.substr(0, 64)};
  log(log_level::warning, at, "refused", who, outcome.error().message());
  return outcome;
}
inline result<grant> hub_core::authorize_service(operation what, std::string_view path, std::string_view token,
                                                 instant at) {
  last_ = at;
  auto outcome = access_.authorize_service(what, path, token, at);
  if (!outcome) log(log_level::warning, at, "refused", {}, outcome.error().message());
  return outcome;
}
inline std::vector<access_policy> const& hub_core::policies() const noexcept {
  return access_.policies();
}
inline access_policy const* hub_core::find_policy(std::string_view name) const noexcept {
  return access_.find_policy(name);
}
inline bool hub_core::is_host(std::string_view host) const noexcept {
  return access_.is_host(host);
}

// --- identities -----------------------------------------------------------------------------------------------------

inline result<device_identity> hub_core::put_identity(device_identity const& wanted, if_match condition, instant at) {
  if (auto ok = check_fault(fault_point::registry, {wanted.device_id, wanted.module_id}, at); !ok)
    return std::move(ok).error();
  auto written = registry_.put(wanted, condition, at.utc);
  if (!written) return std::move(written).error();
  identity_record& record = *written->record;
  if (!record.is_module() && record.status == identity_status::disabled)
    for_device_and_modules(wanted.device_id, [&](identity_record& each) {
      drop_record(each, refuse(errc::device_disabled, 403012, "the device was disabled"), at);
    });
  log(log_level::info, at, written->created ? "created" : "updated", {wanted.device_id, wanted.module_id});
  if (written->created) tell_lifecycle(record, "createDeviceIdentity", at);
  give_outcomes();
  return registry_.describe(record);
}

inline result<device_identity> hub_core::get_identity(key_view key) const {
  key_view const wanted = key;
  if (identity_record const* const record = registry_.find(wanted)) return registry_.describe(*record);
  return registry::missing(wanted, key.module_id.empty() || registry_.find({key.device_id, {}}) != nullptr);
}

template <class Visit>
void hub_core::for_device_and_modules(std::string_view device_id, Visit&& visit) {
  auto& records = registry_.records();
  for (auto i = records.lower_bound(key_view{device_id, {}}); i != records.end() && i->first.device_id == device_id;) {
    identity_record& record = i->second;
    ++i;  // `visit` may erase the record
    visit(record);
  }
}

inline result<void> hub_core::delete_identity(key_view key, if_match condition, instant at) {
  if (auto ok = check_fault(fault_point::registry, key, at); !ok) return ok;
  auto record = registry_.check_erase(key, condition);
  if (!record) return std::move(record).error();
  device_key const gone{std::string{key.device_id},
                        std::string{key.module_id}};  // the caller's may be the record's own
  if (gone.module_id.empty())
    for_device_and_modules(gone.device_id, [&](identity_record& each) { remove(each, at); });
  else
    remove(**record, at);
  log(log_level::info, at, "deleted", {gone.device_id, gone.module_id});
  give_outcomes();
  return {};
}

inline void hub_core::remove(identity_record& record, instant at) {
  for (method_ticket const ticket : methods_.of(record))
    methods_.finish(ticket, registry::missing({record.key->device_id, record.key->module_id}, true));
  drop_record(record, registry::missing({record.key->device_id, record.key->module_id}, true), at);
  if (record.due != never) timers_.erase({record.due, record.serial, &record});
  faults_.forget(*record.key);
  auto const first = scheduled_by_.lower_bound({*record.key, requested_kind::none});
  auto next = first;
  for (; next != scheduled_by_.end() && next->first.first == *record.key; ++next)
    if (next->second != scheduled_.end()) scheduled_.erase(next->second);
  scheduled_by_.erase(first, next);
  tell_lifecycle(record, "deleteDeviceIdentity", at);
  for (auto* const watcher : watchers_) watcher->on_identity_removed(*record.key);
  registry_.erase(record);
}

inline void hub_core::unwatch_identities(identity_watcher& whom) noexcept {
  for (auto i = watchers_.begin(); i != watchers_.end(); ++i)
    if (*i == &whom) return void(watchers_.erase(i));
}

inline std::vector<device_identity> hub_core::list_devices(std::size_t top) const {
  if (top == 0 || top > 1000) top = 1000;
  std::vector<device_identity> out;
  for (auto const& [key, record] : registry_.records()) {
    if (out.size() == top) break;
    if (!record.is_module()) out.push_back(registry_.describe(record));
  }
  return out;
}

inline result<std::vector<device_identity>> hub_core::list_modules(std::string_view device_id) const {
  if (registry_.find({device_id, {}}) == nullptr) return registry::missing({device_id, {}}, false);
  std::vector<device_identity> out;
  auto const& records = registry_.records();
  for (auto i = records.upper_bound(key_view{device_id, {}}); i != records.end(); ++i) {
    if (i->first.device_id != device_id) break;
    out.push_back(registry_.describe(i->second));
  }
  return out;
}

inline registry_statistics hub_core::statistics() const noexcept {
  return registry_.statistics();
}
inline std::uint64_t hub_core::connected_devices() const noexcept {
  return connected_;
}

// --- twins ----------------------------------------------------------------------------------------------------------

inline result<twin> hub_core::get_twin(key_view key) const {
  key_view const wanted = key;
  if (identity_record const* const record = registry_.find(wanted)) return describe_twin(*record);
  return registry::missing(wanted, key.module_id.empty() || registry_.find({key.device_id, {}}) != nullptr);
}

inline result<identity_record*> hub_core::writable_twin(key_view key, if_match condition, instant at) {
  if (auto ok = check_fault(fault_point::service_twin, key, at); !ok) return std::move(ok).error();
  auto record = registry_.get(key);
  if (record && !condition.met_by(twin_etag((*record)->twin)))
    return refuse(errc::precondition_failed, 412001,
                  "ETag mismatch for device ID '" + std::string{key.device_id} + "'");
  return record;
}

// Back ends send whole twins back as they read them: the service's own members are ignored.
inline void hub_core::strip(twin_change& change) {
  if (change.desired == nullptr) return;
  if (change.desired->find("$metadata") == nullptr && change.desired->find("$version") == nullptr) return;
  change.stripped = *change.desired;
  change.stripped.erase("$metadata");
  change.stripped.erase("$version");
  change.desired = &change.stripped;
}

inline result<twin> hub_core::patch_twin(key_view key, twin_update const& update, if_match condition, instant at) {
  auto found = writable_twin(key, condition, at);
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  twin_state& state = record.twin;
  twin_change change{update.tags, update.desired};
  strip(change);
  if (change.tags != nullptr) {
    auto size = check_patch(state.tags, state.tags_size, *change.tags, twin_part::tags, settings_);
    if (!size) return std::move(size).error();
    change.tags_size = *size;
  }
  if (change.desired != nullptr) {
    auto size =
        check_patch(state.desired.properties, state.desired.size, *change.desired, twin_part::desired, settings_);
    if (!size) return std::move(size).error();
    change.desired_size = *size;
  }
  json::value tags;
  if (change.tags != nullptr) {
    tags = state.tags;
    merge(tags, nullptr, *change.tags, at.utc, 0);
  }
  if (change.desired != nullptr)
    state.desired = merged(state.desired, *change.desired, change.desired_size, at.utc);  // behind this nothing throws
  if (change.tags != nullptr) {
    state.tags = std::move(tags);
    state.tags_size += change.tags_size;
  }
  if (change.tags != nullptr || change.desired != nullptr) ++state.version;
  if (change.desired != nullptr && record.listens_desired)
    deliver_or_drop(record, at,
                    [&](device_link& link) { link.deliver_desired(state.desired.version, *change.desired); });
  tell_twin_updated(record, change.tags, change.desired, nullptr, at);
  return describe_twin(record);
}

inline result<twin> hub_core::replace_twin(key_view key, twin_update const& update, if_match condition, instant at) {
  auto found = writable_twin(key, condition, at);
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  twin_state& state = record.twin;
  twin_change change{update.tags, update.desired};
  strip(change);
  if (change.tags != nullptr) {
    auto size = check_replacement(state.tags_size, *change.tags, twin_part::tags, settings_);
    if (!size) return std::move(size).error();
    change.tags_size = *size;
  }
  if (change.desired != nullptr) {
    auto size = check_replacement(state.desired.size, *change.desired, twin_part::desired, settings_);
    if (!size) return std::move(size).error();
    change.desired_size = *size;
  }
  json::value tags;
  if (change.tags != nullptr) merge(tags, nullptr, *change.tags, at.utc, 0);
  if (change.desired != nullptr) {
    twin_section_state nothing;
    nothing.version = state.desired.version;
    nothing.size = 0;
    state.desired = merged(nothing, *change.desired, change.desired_size, at.utc);  // behind this nothing throws
  }
  if (change.tags != nullptr) {
    state.tags = std::move(tags);
    state.tags_size = change.tags_size;
  }
  if (change.tags != nullptr || change.desired != nullptr) ++state.version;
  if (change.desired != nullptr && record.listens_desired)
    deliver_or_drop(record, at, [&](device_link& link) {
      link.deliver_desired(state.desired.version, document(state.desired.properties));
    });
  if (change.tags != nullptr || change.desired != nullptr) tell_twin_replaced(record, at);
  return describe_twin(record);
}

// --- methods --------------------------------------------------------------------------------------------------------

inline result<void> hub_core::check_method(method_request const& request, method_options const& how) const {
  using std::chrono::seconds;
  if (auto good = check_method_name(request.name); !good)
    return refuse(errc::bad_request, 400004, std::string{good.error().message()});
  if (how.response_timeout < seconds{5} || how.response_timeout > seconds{300})
    return refuse(errc::bad_request, 400004, "responseTimeoutInSeconds must be within [5; 300].");
  if (how.connect_timeout < seconds{0} || how.connect_timeout > seconds{300})
    return refuse(errc::bad_request, 400004, "connectTimeoutInSeconds must be within [0; 300].");
  if (prints_above(request.payload, settings_.limits.method_payload))
    return refuse(errc::too_large, 413001,
                  "The payload of the method is above " + std::to_string(settings_.limits.method_payload) + " bytes");
  return {};
}

inline result<method_ticket> hub_core::invoke_method(key_view key, method_request const& request,
                                                     method_options const& how, method_caller& caller, instant at) {
  if (auto ok = check_fault(fault_point::invoke_method, key, at); !ok) return std::move(ok).error();
  if (auto ok = check_method(request, how); !ok) return std::move(ok).error();
  auto found = registry_.get(key);
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  // Error 404001 stands for "not registered or disabled".
  if (is_disabled(record)) return registry::missing(key, false);
  bool const listening = record.link != nullptr && record.listens_methods;
  if (!listening && how.connect_timeout == std::chrono::seconds{0})
    return refuse(errc::device_offline, 404103,
                  "The operation failed because the requested device isn't online or hasn't registered the direct "
                  "method callback.");
  if (record.calls >= settings_.limits.methods_in_flight)
    return refuse(errc::forbidden, 403800, "Too many methods of the device are in flight");
  pending_call call;
  call.target = &record;
  call.caller = &caller;
  call.response_timeout = how.response_timeout;
  if (!listening) call.request = request;
  method_ticket const ticket = methods_.add(std::move(call));
  pending_call& kept = *methods_.find(ticket);
  struct cancelled_when_not_taken {  // the caller never hears of a ticket that it was not given
    hub_core& hub;
    method_ticket ticket;
    bool taken = false;
    ~cancelled_when_not_taken() {
      if (!taken) hub.cancel_method(ticket);
    }
  } guard{*this, ticket};
  if (listening)
    deliver(ticket, kept, request, at);
  else
    methods_.set_due(ticket, kept, add(at.now, how.connect_timeout));
  guard.taken = true;
  return ticket;
}

inline void hub_core::deliver(method_ticket ticket, pending_call& call, method_request const& request, instant at) {
  call.delivered = true;
  methods_.set_due(ticket, call, add(at.now, call.response_timeout));
  deliver_or_drop(*call.target, at,
                  [&](device_link& link) { link.deliver_method({ticket, request.name, request.payload}); });
}

inline void hub_core::cancel_method(method_ticket ticket) {
  methods_.erase(ticket);
  methods_.forget_outcome(ticket);
}

// --- cloud to device ------------------------------------------------------------------------------------------------

inline result<std::uint64_t> hub_core::send_c2d(std::string_view device_id, c2d_send what, instant at) {
  if (auto ok = check_fault(fault_point::send_c2d, device_id, at); !ok) return std::move(ok).error();
  auto found = registry_.get({device_id, {}});
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  if (size_of(what.content) > settings_.limits.c2d_message)
    return refuse(errc::too_large, 413001,
                  "The message is above " + std::to_string(settings_.limits.c2d_message) + " bytes");
  if (what.content.expiry_time && *what.content.expiry_time <= at.utc)
    return refuse(errc::forbidden, 403009, "The message has expired already");
  std::string topic;
  if (auto fits = append_c2d_topic(topic, device_id, {.content = what.content}); !fits) return std::move(fits).error();
  if (topic.size() > settings_.limits.c2d_topic)
    return refuse(errc::too_large, 413001, "The message's properties, percent-encoded, do not fit into an MQTT topic");
  settle_time(record, false, at);
  if (record.queue && record.queue->size() >= settings_.limits.c2d_queue)
    return refuse(errc::queue_full, 403004,
                  "C2D messages enqueued for the device exceeded the queue limit of " +
                      std::to_string(settings_.limits.c2d_queue));
  if (!record.queue) record.queue = std::make_unique<c2d_queue>();
  c2d_entry entry;
  entry.expires_at = what.content.expiry_time ? *what.content.expiry_time : at.utc + settings_.c2d_default_ttl;
  entry.message.content = std::move(what.content);
  if (entry.message.content.to.empty())
    entry.message.content.to = std::string{"/devices/"}.append(device_id).append("/messages/devicebound");
  entry.message.ack = what.ack;
  entry.message.enqueued_time = at.utc;
  std::uint64_t const sequence = record.queue->push(std::move(entry)).message.sequence_number;
  deliver_pending(record, at);
  set_timer(record, at);
  return sequence;
}

inline std::string hub_core::new_lock_token() {
  std::uint64_t const words[2] = {tokens_(), tokens_()};
  char bytes[uuid_bytes];
  for (std::size_t i = 0; i != uuid_bytes; ++i) bytes[i] = static_cast<char>(words[i / 8] >> (8 * (i % 8)));
  return to_uuid({bytes, sizeof bytes});
}

// In the order of sending; each message once per connection.
inline void hub_core::deliver_pending(identity_record& record, instant at) {
  if (record.link == nullptr || record.c2d == c2d_mode::off || !record.queue) return;
  deliver_or_drop(record, at, [&](device_link& link) {
    if (record.c2d == c2d_mode::fetched) {
      if (record.queue->next() != nullptr) link.c2d_waits();
      return;
    }
    while (c2d_entry* const entry = record.queue->next(record.c2d_since)) {
      bool const again = std::exchange(entry->seen, true);
      if (record.c2d == c2d_mode::at_most_once) {
        c2d_entry const gone = record.queue->take(*entry);
        link.deliver_c2d(gone.message, again);
        depart(record, gone, feedback_status::success, at);
        continue;
      }
      entry->message.lock_token = new_lock_token();
      entry->locked_until = never;
      link.deliver_c2d(entry->message, again);
    }
  });
}

inline void hub_core::settle_time(identity_record& record, bool connection_ended, instant at) {
  if (!record.queue || record.queue->size() == 0) return;
  std::vector<c2d_departed> departed;
  record.queue->settle_time(at, connection_ended, settings_, departed);
  for (auto& d : departed) depart(record, std::move(d.entry), d.status, at);
}

inline std::size_t hub_core::give_up_c2d(std::string_view device_id, feedback_status why, instant at) {
  last_ = at;
  identity_record* const record = registry_.find({device_id, {}});
  if (record == nullptr || !record->queue) return 0;
  std::size_t many = 0;
  for (c2d_entry* one; (one = record->queue->next()) != nullptr; ++many)
    depart(*record, record->queue->take(*one), why, at);
  set_timer(*record, at);
  return many;
}

// A message left the queue: feedback where it was asked for, and a place among the dead letters where it failed.
inline void hub_core::depart(identity_record& record, c2d_entry entry, feedback_status status, instant at) {
  if (wants_feedback(entry.message.ack, status)) {
    if (feedback_.size() >= settings_.limits.feedback_records) feedback_.pop_front();
    feedback_.push_back(
        {entry.message.content.message_id, record.key->device_id, std::to_string(record.generation), at.utc, status});
  }
  if (status == feedback_status::success || status == feedback_status::purged) return;
  log(log_level::info, at, "dead-lettered", {record.key->device_id, {}}, to_string(status));
  if (settings_.limits.dead_letters == 0) return;
  if (dead_letters_.size() >= settings_.limits.dead_letters) dead_letters_.pop_front();
  dead_letters_.push_back({record.key->device_id, std::move(entry.message), status});
}

inline result<std::optional<c2d_message>> hub_core::receive_c2d(std::string_view device_id, instant at) {
  last_ = at;
  auto found = registry_.get({device_id, {}});
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  record.last_activity = at.utc;
  settle_time(record, false, at);
  c2d_entry* const entry = record.queue ? record.queue->next() : nullptr;
  std::optional<c2d_message> out;
  if (entry != nullptr) {
    entry->seen = true;
    entry->message.lock_token = new_lock_token();
    entry->locked_until = add(at.now, settings_.c2d_lock);
    out = entry->message;
  }
  set_timer(record, at);
  return out;
}

inline result<void> hub_core::settle_c2d(device_link& link, std::string_view lock_token, settlement how, instant at) {
  touch(link, at);
  if (!link.attached()) return error{errc::not_connected, "the connection is not attached to the hub"};
  return settle(*link.identity_, lock_token, how, at);
}
inline result<void> hub_core::settle_c2d(std::string_view device_id, std::string_view lock_token, settlement how,
                                         instant at) {
  last_ = at;
  auto record = registry_.get({device_id, {}});
  if (!record) return std::move(record).error();
  return settle(**record, lock_token, how, at);
}

inline result<void> hub_core::settle(identity_record& record, std::string_view lock_token, settlement how, instant at) {
  settle_time(record, false, at);
  c2d_entry* const entry = record.queue ? record.queue->find_locked(lock_token) : nullptr;
  if (entry == nullptr) {
    set_timer(record, at);
    return refuse(errc::lock_lost, 412002, "The lock of the message is gone");
  }
  if (how == settlement::complete) {
    depart(record, record.queue->take(*entry), feedback_status::success, at);
  } else if (how == settlement::reject) {
    depart(record, record.queue->take(*entry), feedback_status::rejected, at);
  } else if (c2d_queue::unlock(*entry, how == settlement::abandon, settings_)) {
    depart(record, record.queue->take(*entry), feedback_status::delivery_count_exceeded, at);
  }
  deliver_pending(record, at);
  set_timer(record, at);
  return {};
}

inline result<std::uint32_t> hub_core::purge_c2d(std::string_view device_id, instant at) {
  last_ = at;
  auto found = registry_.get({device_id, {}});
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  auto gone = record.queue ? record.queue->take_all() : std::vector<c2d_entry>{};
  for (auto& entry : gone) depart(record, std::move(entry), feedback_status::purged, at);
  set_timer(record, at);
  return static_cast<std::uint32_t>(gone.size());
}

inline std::vector<feedback_record> hub_core::take_feedback(std::size_t at_most) {
  std::vector<feedback_record> out;
  for (; !feedback_.empty() && out.size() != at_most; feedback_.pop_front())
    out.push_back(std::move(feedback_.front()));
  return out;
}

// --- file uploads ---------------------------------------------------------------------------------------------------

inline result<void> hub_core::notify_of_file(file_notification what, instant at) {
  last_ = at;
  if (auto found = registry_.get({what.device_id, {}}); !found) return std::move(found).error();
  what.enqueued_time = at.utc;
  if (files_.size() >= settings_.limits.feedback_records) files_.pop_front();
  log(log_level::info, at, "file", {what.device_id, {}}, what.blob_name);
  files_.push_back(std::move(what));
  return {};
}

inline std::vector<file_notification> hub_core::take_file_notifications(std::size_t at_most) {
  std::vector<file_notification> out;
  for (; !files_.empty() && out.size() != at_most; files_.pop_front()) out.push_back(std::move(files_.front()));
  return out;
}

// --- queries --------------------------------------------------------------------------------------------------------

inline result<query_page> hub_core::query(std::string_view text, std::size_t page_size,
                                          std::string_view continuation) const {
  auto tree = parse_query(text, settings_.limits);
  if (!tree) return std::move(tree).error();
  twin_rows rows{registry_, tree->from};
  return run_query(*tree, text, rows, page_size, continuation);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
