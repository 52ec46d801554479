// Links of devices and modules: telemetry, cloud-to-device messages, direct methods, twin.
//
// Theory of operation. All links of one identity on a connection share an amqp_device, which is the core's device_link:
// it is connected when the first of them is attached and disconnected when the last one goes. As azure-iot-sdk-node and
// -csharp use them:
//   telemetry    messages in; a batch (message format 0x80013700) is several in the data sections of one
//   devicebound  messages out, each under a lock of the core; accepted, rejected, released and modified settle it
//   methods      out: correlation-id names the call, application property IoThub-methodname; in: the same
//                correlation-id and IoThub-status
//   twin         in: annotations operation (GET, PATCH, PUT, DELETE), resource, version; out: the same correlation-id
//                with annotations status and version, and the desired changes without a correlation-id
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/send_queue.hpp>
#include <iothub/hub/amqp_face_interface.hpp>
#include <iothub/hub/amqp_message.hpp>
#include <iothub/hub/mqtt_face_operations.hpp>
#include <iothub/hub/telemetry_view.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_device_node;

class amqp_device final : public device_link {
 public:
  amqp_device(amqp_face& face, device_key who) : face_{face}, who_{std::move(who)} {}

  [[nodiscard]] device_key const& who() const noexcept { return who_; }

  // --- device_link
  inline void deliver_method(method_delivery const& call) override;
  void deliver_c2d(c2d_message const&, bool) override {}  // fetched instead
  inline void c2d_waits() override;
  inline void deliver_desired(std::int64_t version, json::value const& patch) override;
  inline void on_drop(error const& reason) override;
  [[nodiscard]] bool has_parts() const noexcept override { return true; }
  inline bool end_part(link_part what, error const& reason) override;

 private:
  friend class amqp_device_node;
  friend class amqp_telemetry_node;
  friend class amqp_face;
  [[nodiscard]] amqp_device_node* out(amqp_place place) noexcept;
  void send(amqp_place place, amqp::message_view const& what);

  amqp_face& face_;
  device_key who_;
  std::vector<amqp_device_node*> nodes_;
};

class amqp_device_node final : public amqp_node {
 public:
  amqp_device_node(amqp_face& face, amqp::link& link, amqp_device& device, amqp_place place)
      : amqp_node{face, link}, device_{&device}, place_{place} {
    device.nodes_.push_back(this);
  }
  inline ~amqp_device_node() override;

  inline void start(instant at) override;
  inline void on_transfer(amqp::delivery const& what, instant at) override;
  void on_credit(instant at) override { work(at); }
  inline void on_settled(amqp::settlement const& what, instant at) override;
  inline void work(instant at) override;

 private:
  friend class amqp_device;
  friend class amqp_face;
  // A message that was sent and not settled: the core's lock on it.
  struct locked {
    std::uint64_t user;
    std::string token;
  };

  [[nodiscard]] hub_core& core() noexcept { return face_.front_.core_; }
  [[nodiscard]] link_part part() const noexcept {
    bool const out = link_.is_sender();
    switch (place_) {
      case amqp_place::device_c2d: return link_part::c2d;
      case amqp_place::device_methods: return out ? link_part::method_requests : link_part::method_answers;
      case amqp_place::device_twin: return out ? link_part::twin_answers : link_part::twin_requests;
      default: return link_part::telemetry;
    }
  }
  void fetch(instant at);
  void on_telemetry(amqp::delivery const& what, instant at);
  result<receipt> take_telemetry(byte_view payload, instant at);
  void on_method_answer(amqp::message_view const& message, instant at);
  void on_twin_request(amqp::message_view const& message, instant at);
  void answer_twin(amqp::encoded correlation, int status, std::optional<std::int64_t> version, std::string_view body);
  void answer_twin_error(amqp::encoded correlation, error const& why, instant at);

  amqp_device* device_;
  amqp_place place_;
  amqp::send_queue waiting_;
  std::vector<locked> locked_;
  std::uint64_t last_user_ = 0;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// The correlation id of a method call: a UUID that holds the ticket, in the form of version 4.
inline void write_ticket(method_ticket ticket, char (&into)[uuid_bytes]) noexcept {
  constexpr unsigned char head[8] = {0x69, 0x6f, 0x74, 0x68, 0x75, 0x62, 0x40, 0x00};
  for (std::size_t i = 0; i != 8; ++i) into[i] = static_cast<char>(head[i]);
  // The two highest bits of the ninth byte say which variant of UUID it is.
  for (std::size_t i = 0; i != 8; ++i) into[8 + i] = static_cast<char>(ticket >> (8 * (7 - i)));
  into[8] = static_cast<char>((static_cast<unsigned char>(into[8]) & 0x3f) | 0x80);
}
// From an id of any type, as the device gave it back; 0 for one that this hub never sent.
inline method_ticket read_ticket(amqp::encoded id) {
  std::string const text = amqp::id_text(id);
  if (text.size() != uuid_size) return 0;
  std::string digits;
  for (char c : std::string_view{text}.substr(19))
    if (c != '-') digits += c;
  method_ticket const ticket = ticket_of(digits);
  return ticket & 0x3fff'ffff'ffff'ffff;
}

}  // namespace detail

// --- the device ------------------------------------------------------------------------------------------------------

inline amqp_device_node* amqp_device::out(amqp_place place) noexcept {
  amqp_device_node* found = nullptr;  // of several the newest
  for (auto* const each : nodes_)
    if (each->place_ == place && each->link_.is_sender()) found = each;
  return found;
}

inline void amqp_device::send(amqp_place place, amqp::message_view const& what) {
  amqp_device_node* const to = out(place);
  if (to == nullptr) return;
  byte_buffer message;
  amqp::write_message(what, message);
  if (!to->waiting_.push(message.view(), to->link_))
    to->link_.detach({amqp::condition::resource_limit_exceeded, "too many messages wait for credit"});
  face_.output_made();
}

inline void amqp_device::deliver_method(method_delivery const& call) {
  char id[uuid_bytes];
  detail::write_ticket(call.ticket, id);
  auto const correlation = amqp::value::uuid({id, sizeof id});
  auto const properties = amqp::value::string_map({{"IoThub-methodname", call.name}});
  std::string body;
  call.payload.append_to(body);
  amqp::message_view message;
  message.has_properties = true;
  message.properties.correlation_id = correlation.bytes();
  message.application_properties = properties.bytes();
  message.body = amqp::body_kind::data;
  message.data = body;
  send(amqp_place::device_methods, message);
}

inline void amqp_device::c2d_waits() {
  if (amqp_device_node* const to = out(amqp_place::device_c2d)) face_.work_for(*to);
}

inline void amqp_device::deliver_desired(std::int64_t version, json::value const& patch) {
  auto const annotations =
      amqp::value::symbol_map({{"resource", "/properties/desired"}, {"version", version}});
  std::string body;
  detail::append_section(body, patch, version);
  amqp::message_view message;
  message.message_annotations = annotations.bytes();
  message.body = amqp::body_kind::data;
  message.data = body;
  send(amqp_place::device_twin, message);
}

inline void amqp_device::on_drop(error const& reason) {
  bool const detached = detail::without_memory_too([&] {
    for (auto* const each : nodes_) each->link_.detach(face_.refusal(reason).view());
  });
  if (!detached) face_.broken_ = true;
  face_.output_made();
}

inline bool amqp_device::end_part(link_part what, error const& reason) {
  bool had = true;
  bool const ended = detail::without_memory_too([&] {
    auto const why = face_.refusal(reason);
    if (what == link_part::connection)
      return face_.connection_->close({amqp::condition::connection_forced, reason.message()});
    if (what == link_part::session || what == link_part::token_requests || what == link_part::token_answers)
      return void(had = face_.end_shared(*this, what, why.view()));
    had = false;
    for (auto* const each : nodes_)
      if (each->part() == what) had = true, each->link_.detach(why.view());
  });
  if (!ended) face_.broken_ = true;
  face_.output_made();
  return had;
}

// What a device has together with the others of its connection.
inline bool amqp_face::end_shared(amqp_device const& whose, link_part what, amqp::error_view const& why) {
  bool had = false;
  connection_->for_each_session([&](amqp::session& session) {
    bool is_its = false;
    session.for_each_link([&](amqp::link& link) {
      for (auto const* const node : whose.nodes_) is_its = is_its || &node->link_ == &link;
      bool const hit = link.user == cbs_mark && link.is_sender() == (what == link_part::token_answers);
      if (hit && what != link_part::session) had = true, link.detach(why);
    });
    if (is_its && what == link_part::session) had = true, session.end(why);
  });
  return had;
}

inline result<amqp_device*> amqp_face::device_of(device_key who, std::string_view address, std::string_view model_id,
                                                 instant at) {
  auto grant = claims_.device(who, at);
  if (!grant && who.module_id.empty()) {
    // Some clients write the id as it is, and an id may look as if it were encoded.
    detail::address_segments const s{address};
    device_key raw{std::string{s.at[1]}, {}};
    if (raw != who) {
      auto second = claims_.device(raw, at);
      if (second) who = std::move(raw), grant = std::move(second);
    }
  }
  if (!grant) return std::move(grant).error();
  auto& kept = devices_[who];
  if (kept && kept->attached()) return kept.get();
  if (!kept) kept = std::make_unique<amqp_device>(*this, who);
  auto done = front_.core_.connect(*kept, kept->who(), *grant, {.clean_session = true, .model_id = model_id}, at);
  if (done) return kept.get();
  if (kept->nodes_.empty()) devices_.erase(who);
  return std::move(done).error();
}

inline result<std::unique_ptr<amqp_node>> amqp_face::open_device_node(amqp_address const& where, amqp::link& which,
                                                                      amqp::attach const& how, instant at) {
  if (where.place == amqp_place::device_c2d && !where.who.module_id.empty())
    return hub::refuse(errc::bad_request, 400003, "modules have no cloud-to-device messages");
  std::string const model = text_of(amqp::find(how.properties, "com.microsoft:model-id"));
  auto device = device_of(where.who, where.path, model, at);
  if (!device) return std::move(device).error();
  if ((*device)->nodes_.size() >= max_device_links)
    return hub::refuse(errc::quota_exceeded, 403005, "too many links of one identity on a connection");
  return std::unique_ptr<amqp_node>{new amqp_device_node{*this, which, **device, where.place}};
}

inline void amqp_face::renew_devices(instant at) {
  for (auto const& [who, device] : devices_) {
    if (!device->attached()) continue;
    auto const grant = claims_.device(who, at);
    if (grant) front_.core_.renew(*device, *grant, at);
  }
}

// --- a link ----------------------------------------------------------------------------------------------------------

inline amqp_device_node::~amqp_device_node() {
  amqp_device& device = *device_;
  for (std::size_t i = device.nodes_.size(); i-- != 0;)
    if (device.nodes_[i] == this) device.nodes_.erase(device.nodes_.begin() + static_cast<std::ptrdiff_t>(i));
  instant const at = face_.front_.host_.at(face_.now_);
  detail::without_memory_too([&] {  // the messages come again when their locks have ended
    for (auto const& each : locked_)
      (void)core().settle_c2d(device.who_.device_id, each.token, settlement::release, at);
    if (device.attached() && link_.is_sender()) {
      if (place_ == amqp_place::device_methods && !device.out(place_)) core().listen_methods(device, false, at);
      if (place_ == amqp_place::device_c2d && !device.out(place_)) core().listen_c2d(device, c2d_mode::off, at);
      if (place_ == amqp_place::device_twin && !device.out(place_)) core().listen_desired(device, false, at);
    }
  });
  if (!device.nodes_.empty()) return;
  core().disconnect(device, ending::graceful, at);
  face_.devices_.erase(face_.devices_.find(device.who_));
}

inline void amqp_device_node::start(instant at) {
  if (!link_.is_sender()) {
    link_.set_prefetch(place_ == amqp_place::device_events ? 1000 : 100);
    return;
  }
  if (place_ == amqp_place::device_methods) core().listen_methods(*device_, true, at);
  if (place_ == amqp_place::device_c2d) {
    core().listen_c2d(*device_, c2d_mode::fetched, at);
    fetch(at);
  }
}

inline void amqp_device_node::work(instant at) {
  waiting_.pump(link_);
  if (place_ == amqp_place::device_c2d) fetch(at);
}

// --- cloud to device

inline void amqp_device_node::fetch(instant at) {
  while (link_.can_send() && device_->attached()) {
    auto const next = core().receive_c2d(device_->who_.device_id, at);
    if (!next || !next->has_value()) return;
    c2d_message const& message = **next;
    byte_buffer& out = face_.front_.scratch_;
    out.clear();
    append_c2d_message(message, out);
    // The lock token is the tag, which azure-iot-sdk-csharp takes for a GUID.
    char tag[uuid_bytes];
    std::size_t size = 0;
    for (std::size_t i = 0; i + 1 < message.lock_token.size() && size != uuid_bytes; ++i) {
      if (message.lock_token[i] == '-') continue;
      tag[size++] = static_cast<char>(hex_value(message.lock_token[i]) * 16 + hex_value(message.lock_token[i + 1]));
      ++i;
    }
    amqp::outgoing_delivery what;
    what.payload = out.view();
    what.tag = {tag, size};
    what.user = ++last_user_;
    if (!link_.send(what)) {
      (void)core().settle_c2d(device_->who_.device_id, message.lock_token, settlement::reject, at);
      continue;
    }
    if (link_.snd_settle_mode() == amqp::sender_settles::settled)
      (void)core().settle_c2d(device_->who_.device_id, message.lock_token, settlement::complete, at);
    else
      locked_.push_back({what.user, message.lock_token});
  }
}

inline void amqp_device_node::on_settled(amqp::settlement const& what, instant at) {
  for (std::size_t i = 0; i != locked_.size(); ++i) {
    if (locked_[i].user != what.user) continue;
    if (!what.state.terminal() && !what.settled) return;
    auto const done = std::move(locked_[i]);
    locked_.erase(locked_.begin() + static_cast<std::ptrdiff_t>(i));
    settlement const how = what.state.is == amqp::outcome::accepted   ? settlement::complete
                           : what.state.is == amqp::outcome::rejected ? settlement::reject
                                                                      : settlement::abandon;
    (void)core().settle_c2d(device_->who_.device_id, done.token, how, at);  // its lock may be gone: too late
    return;
  }
}

// --- from the device

inline void amqp_device_node::on_transfer(amqp::delivery const& what, instant at) {
  if (!device_->attached()) return;  // dropped: its links are on their way out
  if (place_ == amqp_place::device_events) return on_telemetry(what, at);
  amqp::message_view message;
  if (amqp::violation const rule = amqp::read_message(what.payload, message))
    return face_.reject(link_, what.id, error{errc::bad_request, std::string{rule.what()}}, at);
  link_.settle(what.id);
  place_ == amqp_place::device_methods ? on_method_answer(message, at) : on_twin_request(message, at);
}

inline result<receipt> amqp_device_node::take_telemetry(byte_view payload, instant at) {
  amqp::message_view view;
  if (amqp::violation const rule = amqp::read_message(payload, view))
    return hub::refuse(errc::bad_request, 400004, std::string{rule.what()});
  message content;
  if (auto read = read_amqp_message(view, content); !read) return std::move(read).error();
  auto const what = view_of(content, content.body.bytes(), face_.front_.properties_);
  return core().send_telemetry(*device_, what, at);
}

inline void amqp_device_node::on_telemetry(amqp::delivery const& what, instant at) {
  constexpr std::uint32_t batch_format = 0x80013700;  // azure-iot-sdk-csharp AmqpConstants, -node amqp.ts
  result<receipt> taken = receipt{};
  if (what.message_format == batch_format) {
    amqp::message_view batch;
    if (amqp::violation const rule = amqp::read_message(what.payload, batch))
      taken = hub::refuse(errc::bad_request, 400004, std::string{rule.what()});
    else
      amqp::for_each_data(batch, [&](byte_view part) {
        if (taken) taken = take_telemetry(part, at);
      });
  } else {
    taken = take_telemetry(what.payload, at);
  }
  if (!device_->attached()) return;
  if (!taken) return face_.reject(link_, what.id, taken.error(), at);
  if (taken->withheld) return;
  if (taken->delay <= duration::zero()) return link_.settle(what.id);
  face_.settle_later(link_, what.id, add(at.now, taken->delay));
}

inline void amqp_device_node::on_method_answer(amqp::message_view const& message, instant at) {
  method_ticket const ticket = detail::read_ticket(message.properties.correlation_id);
  auto const status = amqp::find(message.application_properties, "IoThub-status").as_int();
  if (!status || *status != static_cast<int>(*status))
    return core().answer_method_badly(*device_, ticket, "the status is no number of 32 bits", at);
  method_response response;
  response.status = static_cast<int>(*status);
  iothub::message content;
  if (!read_amqp_message(message, content))
    return core().answer_method_badly(*device_, ticket, "the payload is no bytes", at);
  if (!trim(content.body.bytes()).empty()) {
    auto payload = json::parse(content.body.bytes());
    if (!payload) return core().answer_method_badly(*device_, ticket, "the payload is not JSON", at);
    response.payload = std::move(*payload);
  }
  core().answer_method(*device_, ticket, std::move(response), at);
}

inline void amqp_device_node::answer_twin(amqp::encoded correlation, int status, std::optional<std::int64_t> version,
                                          std::string_view body) {
  auto const annotations = amqp::value::made([&](amqp::writer& w) {
    auto const begun = w.begin_compound();
    w.symbol("status"), w.int32(status);
    if (version) w.symbol("version"), w.int64(*version);
    w.end_map(begun, version ? 4 : 2);
  });
  amqp::message_view message;
  message.message_annotations = annotations.bytes();
  message.has_properties = true;
  message.properties.correlation_id = correlation;
  message.body = amqp::body_kind::data;
  message.data = body;
  device_->send(amqp_place::device_twin, message);
}

inline void amqp_device_node::answer_twin_error(amqp::encoded correlation, error const& why, instant at) {
  auto const outside = outward(why, face_.front_.tracking_.next(), at.utc);
  answer_twin(correlation, outside.code / 1000, std::nullopt, print_error_body(outside, error_form::bare_json));
}

inline void amqp_device_node::on_twin_request(amqp::message_view const& message, instant at) {
  auto const annotation = [&](std::string_view name) { return amqp::find(message.message_annotations, name); };
  std::string const operation = text_of(annotation("operation"));
  std::string const resource = text_of(annotation("resource"));
  amqp::encoded const correlation = message.properties.correlation_id;
  bool const desired = iequals(resource, "/notifications/twin/properties/desired");
  if (iequals(operation, "GET")) {
    auto const twin = core().get_device_twin(*device_, at);
    if (!device_->attached()) return;
    if (!twin) return answer_twin_error(correlation, twin.error(), at);
    std::string body = "{\"desired\":";
    detail::append_section(body, twin->desired, twin->desired_version);
    body += ",\"reported\":";
    detail::append_section(body, twin->reported, twin->reported_version);
    body += '}';
    return answer_twin(correlation, 200, std::nullopt, body);
  }
  if (iequals(operation, "PATCH") && iequals(resource, "/properties/reported")) {
    iothub::message content;
    auto read = read_amqp_message(message, content);
    auto const patch = json::parse(content.body.bytes());
    std::optional<std::int64_t> expected;
    if (auto const given = annotation("version").as_int()) expected = *given;
    auto const version =
        read && patch
            ? core().patch_reported(*device_, *patch, expected, at)
            : result<std::int64_t>{hub::refuse(errc::bad_request, 400004, "the reported properties are not JSON")};
    if (!device_->attached()) return;
    if (!version) return answer_twin_error(correlation, version.error(), at);
    return answer_twin(correlation, 200, *version, {});
  }
  if (desired && (iequals(operation, "PUT") || iequals(operation, "DELETE"))) {
    core().listen_desired(*device_, iequals(operation, "PUT"), at);
    return answer_twin(correlation, 200, std::nullopt, {});
  }
  answer_twin_error(correlation, hub::refuse(errc::bad_request, 400003, "there is no such operation on a twin"), at);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/amqp_face.hpp>  // whoever includes this first gets the bodies too
