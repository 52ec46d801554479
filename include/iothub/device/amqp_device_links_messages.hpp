// Bodies of amqp_device_links.hpp: what passes over the links.
#pragma once

#include <iothub/device/amqp_device_links.hpp>

namespace iothub {
inline namespace v0 {
namespace detail {

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
