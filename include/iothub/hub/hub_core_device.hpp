// The device side of hub_core: connections, telemetry, the device's view of its twin, its answers.
#pragma once

#include <iothub/hub/hub_core_interface.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

inline device_link::~device_link() {
  if (hub_ != nullptr && identity_ != nullptr) hub_->forget(*this);
}

// --- connections ----------------------------------------------------------------------------------------------------

inline bool hub_core::is_disabled(identity_record const& record) const noexcept {
  if (!record.is_module()) return record.status == identity_status::disabled;
  identity_record const* const device = registry_.find({record.key->device_id, {}});
  return device != nullptr && device->status == identity_status::disabled;
}
inline error hub_core::disabled(identity_record const& record) const {
  return refuse(errc::device_disabled, 403012, "Device '" + record.key->device_id + "' is disabled");
}

inline result<connected> hub_core::connect(device_link& link, key_view who, grant const& with,
                                           connect_options const& how, instant at) {
  if (link.attached()) return error{errc::invalid_state, "the connection is attached already"};
  auto found = registry_.get(who);
  if (!found) return std::move(found).error();
  identity_record& record = **found;
  if (is_disabled(record)) return disabled(record);
  if (auto ok = check_fault(fault_point::connect, who, at); !ok) return std::move(ok).error();
  if (record.link != nullptr)
    drop_record(record, refuse(errc::connection_lost, 400027, "the same identity connected again"), at);

  connected const outcome{!how.clean_session && record.session_stored};
  if (how.clean_session) {
    record.session_stored = false;
    record.c2d = c2d_mode::off;
    if (settings_.clean_session_purges_queue && record.queue) (void)record.queue->take_all();
  }
  attach(link, record, with, how, at);
  log(log_level::info, at, "connected", who);
  tell_connection(record, "deviceConnected", at);
  settle_time(record, true, at);  // what an earlier connection held, and had no memory to give back
  deliver_pending(record, at);
  set_timer(record, at);
  give_outcomes();
  return outcome;
}

inline void hub_core::attach(device_link& link, identity_record& record, grant const& with, connect_options const& how,
                             instant at) {
  if (how.will != nullptr) record.will = std::make_unique<message>(*how.will);
  if (record.more().model_id != how.model_id) record.add_more().model_id = how.model_id;
  link.hub_ = this;
  link.identity_ = &record;
  record.link = &link;
  record.clean = how.clean_session;
  record.scope = with.scope;
  record.connection_state_updated = record.last_activity = at.utc;
  record.partition = events_.partition_of(record.key->device_id);
  set_drop(record, with, at);
  if (!record.is_module()) ++connected_;
}

// A token may be of any length: only what is within reach of both clocks gets a timer.
inline void hub_core::set_drop(identity_record& record, grant const& with, instant at) {
  record.drop_at = never;
  if (with.expires_at >= utc_time::max() - settings_.token_grace) return;
  utc_time const end = with.expires_at + settings_.token_grace;
  record.drop_at = add(at.now, end > at.utc ? end - at.utc : duration{});
}

inline void hub_core::renew(device_link& link, grant const& with, instant at) {
  touch(link, at);
  if (!link.attached()) return;
  link.identity_->scope = with.scope;
  set_drop(*link.identity_, with, at);
  set_timer(*link.identity_, at);
}

// The link is gone, the state stays right; the caller sees to outcomes. What cannot fail is done first: when memory
// runs out behind it the device is gone all the same, what it held comes back when it connects again, and calls time
// out.
inline void hub_core::cut(identity_record& record, instant at) noexcept {
  record.link->identity_ = nullptr;
  record.link = nullptr;
  record.connection_state_updated = at.utc;
  record.listens_methods = record.listens_desired = false;
  record.drop_at = never;
  if (!record.is_module()) --connected_;
  if (!record.clean) return;
  record.session_stored = false;
  record.c2d = c2d_mode::off;
}

inline void hub_core::clear_up(identity_record& record, ending how, instant at) {
  auto const will = std::exchange(record.will, nullptr);
  if (how == ending::lost && will) publish_will(record, *will, at);
  settle_time(record, true, at);
  for (method_ticket const ticket : methods_.of(record))
    if (methods_.find(ticket)->delivered)
      methods_.finish(ticket, refuse(errc::device_offline, 404104, "Device unavailable: its connection ended"));
  set_timer(record, at);
  tell_connection(record, "deviceDisconnected", at);
}

inline void hub_core::disconnect(device_link& link, ending how, instant at) {
  last_ = at;
  if (!link.attached()) return;
  identity_record& record = *link.identity_;
  cut(record, at);
  detail::without_memory_too([&] {
    clear_up(record, how, at);
    log(log_level::info, at, "disconnected", {record.key->device_id, record.key->module_id},
        how == ending::graceful ? "by the device" : "connection lost");
    give_outcomes();
  });
}

inline void hub_core::forget(device_link& link) noexcept {
#if IOTHUB_EXCEPTIONS
  try {
    disconnect(link, ending::lost, last_);
  } catch (...) {  // what user code (a log, an answer) threw
  }
#else
  disconnect(link, ending::lost, last_);
#endif
}

inline void hub_core::drop_record(identity_record& record, error const& reason, instant at) {
  device_link* const link = record.link;
  if (link == nullptr) return;
  cut(record, at);
  link->on_drop(reason);
  detail::without_memory_too([&] {
    clear_up(record, ending::lost, at);
    log(log_level::info, at, "dropped", {record.key->device_id, record.key->module_id}, reason.message());
  });
}

// Hands something to the record's connection. One that there is no memory to serve is dropped: its device comes back,
// and gets what waits for it then.
template <class Deliver>
void hub_core::deliver_or_drop(identity_record& record, instant at, Deliver deliver) {
  bool const delivered = detail::without_memory_too([&] { deliver(*record.link); });
  if (!delivered) drop_record(record, errc::out_of_memory, at);
}

inline bool hub_core::drop(key_view who, error reason, instant at) {
  last_ = at;
  identity_record* const record = registry_.find(who);
  if (record == nullptr || record->link == nullptr) return false;
  drop_record(*record, reason, at);
  give_outcomes();
  return true;
}

inline bool hub_core::expire_token(key_view who, instant at) {
  last_ = at;
  identity_record* const record = registry_.find(who);
  if (record == nullptr || record->link == nullptr) return false;
  record->drop_at = at.now;
  set_timer(*record, at);
  return true;
}

inline void hub_core::drop_all(error const& reason, instant at) {
  last_ = at;
  for (auto& [key, record] : registry_.records()) drop_record(record, reason, at);
  give_outcomes();
}

inline void hub_core::forget_sessions() {
  for (auto& [key, record] : registry_.records()) {
    if (record.link != nullptr) continue;
    record.session_stored = false;
    record.c2d = c2d_mode::off;
  }
}

inline void hub_core::touch(device_link& link, instant at) {
  last_ = at;
  if (link.attached()) link.identity_->last_activity = at.utc;
}

inline void hub_core::listen_methods(device_link& link, bool on, instant at) {
  touch(link, at);
  if (!link.attached()) return;
  identity_record& record = *link.identity_;
  record.listens_methods = on;
  if (!on) return;
  if (!record.clean) record.session_stored = true;
  for (method_ticket const ticket : methods_.of(record)) {
    pending_call& call = *methods_.find(ticket);
    if (call.delivered) continue;
    method_request const request = std::move(call.request);
    deliver(ticket, call, request, at);
  }
}

inline void hub_core::listen_desired(device_link& link, bool on, instant at) {
  touch(link, at);
  if (!link.attached()) return;
  link.identity_->listens_desired = on;
  if (on && !link.identity_->clean) link.identity_->session_stored = true;
}

inline void hub_core::listen_c2d(device_link& link, c2d_mode mode, instant at) {
  touch(link, at);
  if (!link.attached()) return;
  identity_record& record = *link.identity_;
  record.c2d = mode;
  if (mode == c2d_mode::off) return;
  if (mode != c2d_mode::fetched && !record.c2d_ever_subscribed) {
    record.c2d_ever_subscribed = true;
    record.c2d_since = record.queue && !settings_.deliver_pending_on_subscribe ? record.queue->last_sequence() : 0;
    if (record.c2d_since != 0 && record.queue->size() != 0)
      log(log_level::info, at, "skipped", {record.key->device_id, {}},
          std::to_string(record.queue->size()) +
              " message(s) sent before the device's first subscription: MQTT does not deliver them");
  }
  if (!record.clean) record.session_stored = true;
  settle_time(record, false, at);
  deliver_pending(record, at);
  set_timer(record, at);
}

// --- telemetry ------------------------------------------------------------------------------------------------------

inline result<receipt> hub_core::send_telemetry(device_link& link, d2c_message const& what, instant at) {
  last_ = at;
  if (!link.attached()) return error{errc::not_connected, "the connection is not attached to the hub"};
  return take_telemetry(*link.identity_, link.identity_->scope, what, at);
}

inline result<receipt> hub_core::send_telemetry(key_view who, grant const& with, d2c_message const& what,
                                                instant at) {
  last_ = at;
  auto record = registry_.get(who);
  if (!record) return std::move(record).error();
  if (is_disabled(**record)) return disabled(**record);
  (*record)->partition = events_.partition_of(who.device_id);
  return take_telemetry(**record, with.scope, what, at);
}

inline result<receipt> hub_core::take_telemetry(identity_record& record, auth_scope scope, d2c_message const& what,
                                                instant at) {
  record.last_activity = at.utc;
  std::size_t const size = event_log::size_of(what);
  if (size > settings_.limits.d2c_message)
    return refuse(errc::too_large, 413001, "The message has " + std::to_string(size) + " bytes, above " +
                                               std::to_string(settings_.limits.d2c_message));
  receipt out;
  if (!faults_.empty()) {
    fault_decision const decision = faults_.decide(fault_point::send_telemetry, *record.key, at.now);
    if (decision.drops_link && record.link != nullptr) {
      auto const how = describe(decision, fault_point::send_telemetry);
      drop_record(record, refuse(errc::connection_lost, 400029, "Dropped by the fault plan (" + how + ")"), at);
      give_outcomes();
      return error{errc::not_connected, "the connection was dropped by the fault plan (" + how + ")"};
    }
    if (decision.rejects) return fault_refusal(decision, fault_point::send_telemetry);
    out.delay = decision.delay;
  }
  if (settings_.honour_fault_properties && !what.properties.empty()) {
    requested_fault const asked = find_requested_fault(what.properties);
    // Over MQTT the end of the connection comes before the PUBACK of the message that asks for it. A part that ends
    // takes no answer with it that goes another way.
    bool const elsewhere = record.link != nullptr && record.link->has_parts() && asked.part != link_part::connection &&
                           asked.part != link_part::session && asked.part != link_part::telemetry;
    out.withheld = asked.kind == requested_kind::end_connection && !elsewhere;
    if (asked.kind != requested_kind::none) schedule(record, asked, at);
  }
  keep_telemetry(record, scope, what, at);
  return out;
}

inline void hub_core::keep_telemetry(identity_record const& record, auth_scope scope, d2c_message const& what,
                                     instant at) {
  if (!settings_.routes.telemetry) return;
  event_source from;
  from.device_id = record.key->device_id;
  from.module_id = record.key->module_id;
  from.model_id = record.more().model_id;
  from.generation = record.generation;
  from.scope = scope;
  events_.append(record.partition, from, what, at.utc);
}

// Microsoft docs "Communicate with your IoT hub using MQTT": a will is telemetry with iothub-MessageType = Will.
inline void hub_core::publish_will(identity_record& record, message const& will, instant at) {
  std::vector<property_view> properties{{"iothub-MessageType", "Will", true}};
  for (auto const& p : will.properties) properties.push_back({p.name, p.value, p.has_value});
  d2c_message what;
  what.body = will.body.bytes();
  what.properties = properties;
  what.message_id = will.message_id;
  what.correlation_id = will.correlation_id;
  what.user_id = will.user_id;
  what.content_type = will.content_type;
  what.content_encoding = will.content_encoding;
  what.to = will.to;
  what.output_name = will.output_name;
  what.component_name = will.component_name;
  what.interface_id = will.interface_id;
  what.creation_time = will.creation_time;
  what.expiry_time = will.expiry_time;
  if (event_log::size_of(what) <= settings_.limits.d2c_message) keep_telemetry(record, record.scope, what, at);
}

// --- the device's twin and answers ----------------------------------------------------------------------------------

inline result<device_twin_view> hub_core::get_device_twin(device_link& link, instant at) {
  auto record = attached(link, fault_point::get_device_twin, at);
  if (!record) return std::move(record).error();
  twin_state const& twin = (*record)->twin;
  return device_twin_view{document(twin.desired.properties), document(twin.reported.properties), twin.desired.version,
                          twin.reported.version};
}

inline result<std::int64_t> hub_core::patch_reported(device_link& link, json::value const& patch,
                                                     std::optional<std::int64_t> expected, instant at) {
  auto record = attached(link, fault_point::patch_reported, at);
  if (!record) return std::move(record).error();
  twin_section_state& section = (*record)->twin.reported;
  // The code for a version that does not match is unconfirmed for the real hub.
  if (expected && *expected != section.version)
    return refuse(errc::precondition_failed, 412001,
                  "The reported properties have version " + std::to_string(section.version));
  auto change = check_patch(section.properties, section.size, patch, twin_part::reported, settings_);
  if (!change) return std::move(change).error();
  section = merged(section, patch, *change, at.utc);
  tell_twin_updated(**record, nullptr, nullptr, &patch, at);
  return section.version;
}

inline pending_call* hub_core::answered(device_link& link, method_ticket ticket) {
  pending_call* const call = link.attached() ? methods_.find(ticket) : nullptr;
  return call != nullptr && call->target == link.identity_ && call->delivered ? call : nullptr;
}

inline void hub_core::answer_method(device_link& link, method_ticket ticket, method_response response, instant at) {
  touch(link, at);
  if (answered(link, ticket) == nullptr) return;
  if (prints_above(response.payload, settings_.limits.method_payload))
    return answer_method_badly(link, ticket, "the payload is too large", at);
  methods_.finish(ticket, std::move(response));
  give_outcomes();
}

inline void hub_core::answer_method_badly(device_link& link, method_ticket ticket, std::string_view why, instant at) {
  touch(link, at);
  if (answered(link, ticket) == nullptr) return;
  methods_.finish(ticket, refuse(errc::bad_device_response, 502000,
                                 std::string{"The device's answer is not valid: "}.append(why)));
  give_outcomes();
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
