// Bodies of amqp_device_links.hpp: the connection, its links and tokens.
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

}  // namespace detail
}  // namespace v0
}  // namespace iothub
