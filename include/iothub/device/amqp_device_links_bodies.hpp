// Bodies of amqp_device_links.hpp.
#pragma once

#include <iothub/device/amqp_device_links.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

// --- the connection --------------------------------------------------------------------------------------------------

inline void amqp_device_links::begin(amqp::connection& wire, connection_parameters const& how,
                                     std::string_view token) {
  forget();
  if (path_.empty()) {
    random_ = prng{how.seed};
    path_ = "/devices/" + percent_encode(how.who.device_id);
    if (!how.who.module_id.empty()) path_ += "/modules/" + percent_encode(how.who.module_id);
    client_version_ = "iothub-cpp/" + std::string{version_text};
    if (!how.product_info.empty()) client_version_ += " " + how.product_info;
    model_id_ = how.model_id;
  }
  wire_ = &wire;
  over_ = false;
  link_stem_ = new_uuid();
  if (token.empty()) return;
  // The name of a token is what it opens, as it stands in it (azure-iot-sdk-node).
  auto const parsed = parse_sas_token(token);
  audience_ = parsed ? std::string{parsed->resource} : sas_resource(how.hub, how.who.device_id, how.who.module_id);
  first_token_ = cbs_.put(audience_, token, "servicebus.windows.net:sastoken", never);
}

inline void amqp_device_links::forget() noexcept {
  wire_ = nullptr;
  session_ = nullptr;
  for (auto& each : links_) each = nullptr;
  for (auto& each : owed_credit_) each = 0;
  cbs_ = amqp::cbs_client{};
  first_token_ = 0;
  methods_queue_.clear();
  twin_queue_.clear();
  twin_requests_.clear();
  held_.clear();
  events_.clear();
  for (std::size_t i = 0; i != sent_.size(); ++i) sent_[i].on_wire = false;
  wanted_ = told_ = {};
  attached_ = 0;
  ready_ = following_ = false;
  over_ = true;
}

inline std::string amqp_device_links::new_uuid() {
  char bytes[uuid_bytes];
  random_.fill(bytes);
  return to_uuid({bytes, sizeof bytes});
}

inline std::string_view amqp_device_links::name_of(place where) noexcept {
  constexpr std::string_view names[] = {"telemetry",     "cloud-to-device", "method response",
                                        "method request", "twin request",    "twin response"};
  return where < places ? names[where] : std::string_view{"$cbs"};
}

// `what` and what the peer said about it.
inline error amqp_device_links::error_of(std::string what, amqp::error_view const& peer) {
  if (!peer) return error{errc::connection_lost, std::move(what)};
  auto const tracking = peer.info.empty() ? amqp::value_view{} : amqp::find(peer.info, "com.microsoft:tracking-id");
  error const told =
      amqp_error(peer.condition, peer.description, amqp_side::device, tracking.as_text().value_or(std::string_view{}));
  // Another client took the place of this one, or the hub sends its devices elsewhere: .NET's device client takes both
  // for transient, and so does this (amqpTransportExceptions.md).
  bool const moved = peer.condition == amqp::condition::link_stolen ||
                     peer.condition == amqp::condition::detach_forced ||
                     peer.condition == amqp::condition::connection_forced;
  error made{moved ? errc::connection_lost : told.code(), what.append(": ").append(told.message())};
  if (!told.tracking_id().empty()) made.with_http(0, 0, std::string{told.tracking_id()});
  return made;
}

// The same for what worked before. The hub says unauthorized-access when a token has ended, and when the device was
// disabled or deleted: the next attempt will tell, as over MQTT.
inline error amqp_device_links::lost(std::string what, amqp::error_view const& peer) const {
  error made = error_of(std::move(what), peer);
  if (!ready_ || made == errc::throttled || made == errc::quota_exceeded) return made;
  error moved{errc::connection_lost, std::string{made.message()}};
  if (!made.tracking_id().empty()) moved.with_http(0, 0, std::string{made.tracking_id()});
  return moved;
}

// The connection is given up; what is on its way is not told any more.
inline void amqp_device_links::fail(error why) {
  if (over_) return;
  over_ = true;
  push(device_event_kind::closed).outcome = std::move(why);
  wire_->close();
}

inline void amqp_device_links::on_open(amqp::open const&, time_point) {
  if (over_) return;
  auto const made = wire_->begin();
  if (!made) return fail(made.error());
  session_ = *made;
}

inline void amqp_device_links::on_begun(amqp::session& which, time_point) {
  if (over_ || &which != session_) return;
  if (first_token_ == 0) return attach_or_fail(telemetry);
  if (auto const started = cbs_.start(which); !started) fail(started.error());
}

inline void amqp_device_links::on_closed(error const& reason, amqp::error_view const& peer, time_point) {
  if (over_) return;
  over_ = true;
  wire_ = nullptr;
  push(device_event_kind::closed).outcome =
      peer                    ? lost("the hub closed the connection", peer)
      : reason == errc::closed ? error{errc::connection_lost, "the hub closed the connection"}
                               : reason;
}

inline void amqp_device_links::on_ended(amqp::session& which, amqp::end_reason const& why, time_point) {
  if (over_ || &which != session_ || why.by == amqp::ended_by::connection) return;
  session_ = nullptr;
  if (why.by == amqp::ended_by::peer) return fail(lost("the hub ended the session", why.error));
  fail(error{errc::protocol_error, "the hub broke a rule of the session: " + std::string{why.error.description}});
}

// --- links -----------------------------------------------------------------------------------------------------------

inline void amqp_device_links::attach_or_fail(place where) {
  attach(where);
  if (links_[where] == nullptr) fail(error{errc::connection_lost, "the session took no further link"});
}

inline void amqp_device_links::attach(place where) {
  struct plan {
    std::string_view suffix, path, channel;
    bool sends;
  };
  constexpr plan plans[places] = {
      {"_TelemetrySenderLink", "/messages/events", "", true},
      {"_TelemetryReceiverLink", "/messages/devicebound", "", false},
      {"_MethodsSenderLink", "/methods/devicebound", "methods:", true},
      {"_MethodsReceiverLink", "/methods/devicebound", "methods:", false},
      {"_TwinSenderLink", "/twin", "twin:", true},
      {"_TwinReceiverLink", "/twin", "twin:", false},
  };
  plan const& p = plans[where];
  std::string const name = link_stem_ + std::string{p.suffix};
  std::string const address = path_ + std::string{p.path};
  auto const properties = amqp::value::made([&](amqp::writer& w) {
    auto const begun = w.begin_compound();
    std::uint32_t count = 0;
    auto const add = [&](std::string_view key, std::string_view text) {
      w.symbol(key), w.string(text);
      count += 2;
    };
    add("com.microsoft:client-version", client_version_);
    if (!model_id_.empty()) add("com.microsoft:model-id", model_id_);
    if (!p.channel.empty()) {
      add("com.microsoft:channel-correlation-id", std::string{p.channel}.append(link_stem_));
      add("com.microsoft:api-version", device_api_version);
    }
    w.end_map(begun, count);
  });
  amqp::attach how;
  how.name = name;
  how.role = p.sends ? amqp::link_role::sender : amqp::link_role::receiver;
  how.snd_settle_mode = p.channel.empty() ? amqp::sender_settles::unsettled : amqp::sender_settles::settled;
  how.has_source = how.has_target = true;
  if (p.sends)
    how.target = amqp::target::at(address);
  else
    how.source = amqp::source::at(address);
  how.properties = properties.bytes();
  auto const made = session_ == nullptr ? result<amqp::link*>{errc::not_connected} : session_->attach(how);
  if (!made) return;
  amqp::link& which = **made;
  which.user = where + 1u;
  links_[where] = &which;
  if (where == messages)
    which.set_prefetch(message_window);
  else if (!p.sends)
    which.add_credit(window);
}

inline void amqp_device_links::on_attached(amqp::link& which, amqp::attach const&, time_point) {
  if (over_) return;
  if (cbs_.owns(which)) return cbs_.on_attached(which);
  place const where = place_of(which);
  if (where == places) return;
  attached_ = static_cast<std::uint8_t>(attached_ | 1u << where);
  if (where == telemetry) {
    ready_ = true;
    push(device_event_kind::ready);
    return send_kept();
  }
  features_may_be_ready();
}

inline void amqp_device_links::on_detached(amqp::link& which, amqp::end_reason const& why, time_point) {
  bool const of_cbs = cbs_.owns(which);
  if (of_cbs) cbs_.on_detached(which);
  place const where = place_of(which);
  bool const had = where != places && attached(where);
  if (where != places) {
    links_[where] = nullptr;
    attached_ = static_cast<std::uint8_t>(attached_ & ~(1u << where));
  }
  if (over_ || why.by == amqp::ended_by::session || why.by == amqp::ended_by::connection) return;
  std::string const link = "the " + std::string{name_of(where)} + " link";
  if (why.by == amqp::ended_by::this_side)
    return fail(error{errc::protocol_error,
                      "the hub broke a rule on " + link + ": " + std::string{why.error.description}});
  if (of_cbs || had) return fail(lost("the hub detached " + link, why.error));
  error refused = error_of("the hub refused " + link, why.error);
  if (!why.error) refused = error{errc::unsupported, "the hub refused " + link + "; its tier may not have the feature"};
  if (where == telemetry) return fail(std::move(refused));
  feature const asked = where == messages                             ? feature::messages
                        : where == methods_in || where == methods_out ? feature::methods
                                                                      : feature::twin;
  feature_is_ready(asked, std::move(refused));
}

inline result<void> amqp_device_links::enable(feature_set features) {
  if (!ready()) return errc::not_connected;
  wanted_ = wanted_ | features;
  told_ = told_ - features;
  if (wanted_.has(feature::desired_properties)) wanted_ = wanted_ | feature::twin;
  auto const need = [&](place where) {
    if (links_[where] == nullptr && !over_) attach_or_fail(where);
  };
  if (features.has(feature::methods)) need(methods_out), need(methods_in);
  if (wanted_.has(feature::twin)) need(twin_out), need(twin_in);
  if (features.has(feature::messages)) need(messages);
  if (over_) return errc::not_connected;
  features_may_be_ready();
  return {};
}

inline void amqp_device_links::features_may_be_ready() {
  if (attached(methods_in) && attached(methods_out)) feature_is_ready(feature::methods);
  if (attached(messages)) feature_is_ready(feature::messages);
  if (!attached(twin_in) || !attached(twin_out)) return;
  feature_is_ready(feature::twin);
  if (!wanted_.has(feature::desired_properties) || following_) return;
  following_ = request_twin(request_kind::follow_desired, " ").has_value();
}

inline void amqp_device_links::feature_is_ready(feature which, result<void> outcome) {
  if (!wanted_.has(which) || told_.has(which)) return;
  told_ = told_ | which;
  pending& made = push(device_event_kind::features_ready);
  made.features = which;
  made.outcome = std::move(outcome);
}

inline void amqp_device_links::on_credit(amqp::link& which, time_point) {
  if (over_) return;
  if (cbs_.owns(which)) return cbs_.on_credit(which);
  switch (place_of(which)) {
    case telemetry: return send_kept();
    case methods_out: return methods_queue_.pump(which);
    case twin_out: return twin_queue_.pump(which);
    default: return;
  }
}

// --- tokens ----------------------------------------------------------------------------------------------------------

inline result<void> amqp_device_links::renew(std::string_view token, time_point now) {
  if (!ready() || first_token_ == 0) return errc::not_connected;
  cbs_.put(audience_, token, "servicebus.windows.net:sastoken", add(now, renewal_timeout));
  return {};
}

inline void amqp_device_links::on_token(amqp::cbs_client::outcome done) {
  if (over_) return;
  if (!done.what && done.what.error() != errc::timeout)
    done.what = error{done.what.error().code(),
                      "the hub refused the token: " + std::string{done.what.error().message()}};
  if (done.id != first_token_) {
    push(device_event_kind::token_renewed).outcome = std::move(done.what);
    return;
  }
  if (!done.what) return fail(std::move(done.what).error());
  attach_or_fail(telemetry);
}

inline void amqp_device_links::on_time(time_point now) {
  if (over_) return;
  while (auto late = cbs_.expire(now)) on_token(std::move(*late));
}

// --- telemetry -------------------------------------------------------------------------------------------------------

inline result<ticket> amqp_device_links::send_telemetry(message const& what) {
  amqp::link* const out = links_[telemetry];
  if (!ready() || out == nullptr) return errc::not_connected;
  bool const kept = !sent_.empty() && !sent_.back().on_wire;  // those come first
  if (kept || !out->can_send()) return errc::outbox_full;
  scratch_.clear();
  if (auto good = append_amqp_telemetry(what, scratch_); !good) return std::move(good).error();
  sent_message made;
  made.ticket = next_ticket();
  made.on_wire = true;
  made.payload.assign(scratch_.view());
  done_with_scratch();
  ticket const given = made.ticket;
  sent_.push(std::move(made));
  undo back{[&]() noexcept { sent_.erase(sent_.size() - 1); }};  // nobody would be told of it, nor when its time is up
  amqp::outgoing_delivery delivery;
  delivery.payload = sent_.back().payload;
  delivery.user = given;
  auto const sent = out->send(delivery);
  if (sent) return back.dismiss(), given;
  if (sent.error() == errc::too_large)
    return error{errc::too_large, "the message is larger than the hub takes on the telemetry link"};
  return sent.error();
}

// Those that an earlier connection left without an outcome, as far as the hub takes them.
inline void amqp_device_links::send_kept() {
  amqp::link* const out = links_[telemetry];
  for (std::size_t i = 0; i != sent_.size() && out != nullptr; ++i) {
    sent_message& each = sent_[i];
    if (each.on_wire) continue;
    amqp::outgoing_delivery delivery;
    delivery.payload = each.payload;
    delivery.user = each.ticket;
    if (!out->send(delivery)) return;
    each.on_wire = true;
  }
}

inline void amqp_device_links::abandon_telemetry(ticket which) {
  for (std::size_t i = 0; i != sent_.size(); ++i)
    if (sent_[i].ticket == which) return i == 0 ? sent_.drop_front() : sent_.erase(i);
}

// Part 3, 3.4. What is released or modified was not stored; a hub that wants it again would have said so by a link that
// ends, so it is told as failed and the program decides.
inline void amqp_device_links::on_disposition(amqp::link& which, amqp::settlement const& what, time_point) {
  if (over_ || place_of(which) != telemetry || !what.settled) return;
  auto const where = static_cast<ticket>(what.user);
  std::size_t at = 0;
  while (at != sent_.size() && sent_[at].ticket != where) ++at;
  if (at == sent_.size()) return;  // given up meanwhile
  events_.make_room();  // before it is forgotten
  at == 0 ? sent_.drop_front() : sent_.erase(at);
  pending& made = push(device_event_kind::telemetry_settled);
  made.ticket = where;
  switch (what.state.is) {
    case amqp::outcome::accepted: return;
    case amqp::outcome::rejected:
      made.outcome = what.state.error ? error_of("the hub rejected the message", what.state.error)
                                      : error{errc::bad_request, "the hub rejected the message and did not say why"};
      return;
    case amqp::outcome::released:
      made.outcome = error{errc::service_unavailable, "the hub did not take the message (released)"};
      return;
    case amqp::outcome::modified:
      made.outcome = error{errc::service_unavailable, "the hub could not take the message (modified)"};
      return;
    default:
      made.outcome = error{errc::protocol_error, "the hub settled the message without saying what became of it"};
      return;
  }
}

// --- what the hub sends ----------------------------------------------------------------------------------------------

inline void amqp_device_links::on_transfer(amqp::link& which, amqp::delivery const& what, time_point) {
  if (over_) return;
  if (cbs_.owns(which)) {
    if (auto done = cbs_.on_transfer(which, what)) on_token(std::move(*done));
    return;
  }
  place const where = place_of(which);
  if (where == messages) return on_message(which, what);
  if (where != methods_in && where != twin_in) return;
  which.settle(what.id);
  amqp::message_view message;
  std::size_t const before = events_.size();
  if (!amqp::read_message(what.payload, message)) where == methods_in ? on_method(message) : on_twin(message);
  // What came to nothing holds no credit.
  if (events_.size() == before || events_.back().credit != where) consumed(where);
}

inline void amqp_device_links::consumed(place where) {
  if (links_[where] == nullptr || over_) return;
  if (++owed_credit_[where] < window / 2) return;
  links_[where]->add_credit(owed_credit_[where]);
  owed_credit_[where] = 0;
}

inline void amqp_device_links::on_message(amqp::link& from, amqp::delivery const& what) {
  auto read = make_owned<c2d_message>();
  if (auto const good = read_amqp_c2d(what.payload, *read); !good) {
    from.settle(what.id, amqp::delivery_state::rejected({amqp::condition::decode_error, good.error().message()}));
    return;
  }
  pending& made = push(device_event_kind::message_received);
  made.message = std::move(read);
  if (what.settled) return;
  made.ticket = next_ticket();
  held_.push_back({made.ticket, what.id});
}

inline result<void> amqp_device_links::settle_message(ticket which, settlement how) {
  if (which == 0) return {};
  if (!ready() || links_[messages] == nullptr) return errc::not_connected;
  for (std::size_t i = 0; i != held_.size(); ++i) {
    if (held_[i].ticket != which) continue;
    links_[messages]->settle(held_[i].delivery, how == settlement::accept   ? amqp::delivery_state::accepted()
                                                : how == settlement::reject ? amqp::delivery_state::rejected()
                                                                            : amqp::delivery_state::released());
    held_.erase(held_.begin() + i);
    break;
  }
  return {};
}

inline void amqp_device_links::on_method(amqp::message_view const& from) {
  auto const name = amqp::find(from.application_properties, "IoThub-methodname").as_text();
  amqp::encoded const id = from.properties.correlation_id;
  std::string body;
  if (!name || id.empty() || id.size() > 256 || !read_amqp_body(from, body)) return;
  pending& made = push(device_event_kind::method_called);
  made.credit = methods_in;
  made.name = name->size();
  made.rid = id.size();
  made.text.reserve(name->size() + id.size() + body.size());
  made.text.append(*name).append(id).append(body);
}

inline result<void> amqp_device_links::answer_method(std::string_view rid, int status, std::string_view payload) {
  if (!ready() || links_[methods_out] == nullptr) return errc::not_connected;
  auto const properties = amqp::value::string_map({{"IoThub-status", static_cast<std::int32_t>(status)}});
  amqp::message_view answer;
  answer.has_properties = true;
  answer.properties.correlation_id = rid;
  answer.application_properties = properties.bytes();
  answer.body = amqp::body_kind::data;
  answer.data = payload;
  scratch_.clear();
  amqp::write_message(answer, scratch_);
  bool const taken = methods_queue_.push(scratch_.view(), *links_[methods_out]);
  done_with_scratch();
  if (!taken) return error{errc::outbox_full, "too many method responses wait for the hub"};
  return {};
}

// --- twin ------------------------------------------------------------------------------------------------------------

inline result<ticket> amqp_device_links::request_twin(request_kind kind, std::string_view body) {
  if (!ready() || links_[twin_out] == nullptr) return errc::not_connected;
  twin_request made;
  made.ticket = next_ticket();
  made.kind = kind;
  made.id = new_uuid();
  auto const annotations = amqp::value::made([&](amqp::writer& w) {
    auto const begun = w.begin_compound();
    w.symbol("operation");
    w.string(kind == request_kind::get ? "GET" : kind == request_kind::patch ? "PATCH" : "PUT");
    if (kind != request_kind::get) {
      w.symbol("resource");
      w.string(kind == request_kind::patch ? "/properties/reported" : "/notifications/twin/properties/desired");
    }
    w.end_map(begun, kind == request_kind::get ? 2 : 4);
  });
  amqp::value const id{made.id};
  amqp::message_view request;
  request.message_annotations = annotations.bytes();
  request.has_properties = true;
  request.properties.correlation_id = id.bytes();
  request.body = amqp::body_kind::data;
  request.data = body;
  scratch_.clear();
  amqp::write_message(request, scratch_);
  bool const taken = twin_queue_.push(scratch_.view(), *links_[twin_out]);
  done_with_scratch();
  if (!taken) return errc::outbox_full;
  // The core stops waiting by itself; a hub that answers nothing must not make this grow.
  if (twin_requests_.size() == most_twin_requests) twin_requests_.erase(twin_requests_.begin());
  ticket const given = made.ticket;
  twin_requests_.push_back(std::move(made));
  return given;
}

inline void amqp_device_links::on_twin(amqp::message_view const& from) {
  if (from.properties.correlation_id.empty()) {
    std::string body;
    if (!read_amqp_body(from, body)) return;
    pending& made = push(device_event_kind::desired_changed);
    made.credit = twin_in;
    made.version = amqp::find(from.message_annotations, "version").as_int().value_or(0);
    made.text = std::move(body);
    return;
  }
  std::string const id = amqp::id_text(from.properties.correlation_id);
  for (std::size_t i = 0; i != twin_requests_.size(); ++i) {
    if (twin_requests_[i].id != id) continue;
    twin_request const request = std::move(twin_requests_[i]);
    twin_requests_.erase(twin_requests_.begin() + i);
    return on_twin_answer(request, from);
  }
}

inline void amqp_device_links::on_twin_answer(twin_request const& request, amqp::message_view const& from) {
  std::string body;
  result<void> outcome;
  // azure-iot-sdk-node takes an answer without a status for a success.
  auto const status = amqp::find(from.message_annotations, "status").as_int().value_or(200);
  if (!read_amqp_body(from, body)) outcome = error{errc::malformed, "the body of a twin answer is no bytes"};
  if (status / 100 != 2)
    outcome = read_error_body(status > 0 && status < 1000 ? static_cast<int>(status) : 500, body);
  if (request.kind == request_kind::follow_desired)
    return feature_is_ready(feature::desired_properties, std::move(outcome));
  pending& made =
      push(request.kind == request_kind::get ? device_event_kind::twin_received : device_event_kind::patch_settled);
  made.credit = twin_in;
  made.ticket = request.ticket;
  made.version = amqp::find(from.message_annotations, "version").as_int().value_or(0);
  made.text = std::move(body);
  made.outcome = std::move(outcome);
}

// --- events ----------------------------------------------------------------------------------------------------------

inline bool amqp_device_links::next_event(device_event& event) {
  if (events_.empty()) {
    if (current_.text.capacity() > 1024) current_ = pending{};
    return false;
  }
  current_ = events_.take();
  if (current_.credit != places) consumed(current_.credit);
  std::string_view const text = current_.text;
  event = device_event{};
  event.kind = current_.kind;
  event.features = current_.features;
  event.ticket = current_.ticket;
  event.version = current_.version;
  event.name = text.substr(0, current_.name);
  event.rid = text.substr(current_.name, current_.rid);
  event.payload = text.substr(current_.name + current_.rid);
  event.message = std::move(current_.message);
  event.outcome = std::move(current_.outcome);
  return true;
}

}  // namespace detail
}  // namespace v0
}  // namespace iothub
