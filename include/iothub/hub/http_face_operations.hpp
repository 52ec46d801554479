// The bodies of http_face: each route's request taken apart, and its outcome put together.
#pragma once

#include <iothub/hub/http_face.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

namespace detail {

constexpr operation operation_of(route_kind kind) noexcept {
  switch (kind) {
    case route_kind::list_devices:
    case route_kind::get_device:
    case route_kind::list_modules:
    case route_kind::get_module: return operation::read_identity;
    case route_kind::put_device:
    case route_kind::put_module: return operation::write_identity;
    case route_kind::delete_device:
    case route_kind::delete_module: return operation::delete_identity;
    case route_kind::get_twin: return operation::read_twin;
    case route_kind::patch_twin:
    case route_kind::put_twin: return operation::write_twin;
    case route_kind::invoke_method: return operation::invoke_method;
    case route_kind::query: return operation::query;
    case route_kind::registry_statistics: return operation::read_device_statistics;
    case route_kind::service_statistics: return operation::read_service_statistics;
    case route_kind::purge_c2d: return operation::purge_c2d;
    case route_kind::send_telemetry: break;  // a device's own
  }
  return operation::read_events;
}

// A body that has to be there, as JSON. 400005 for none, 400006 for one that does not parse.
inline result<json::value> read_body(http::request const& what) {
  if (trim(what.body).empty()) return hub::refuse(errc::bad_request, 400005, "BadRequest");
  auto parsed = json::parse(what.body);
  if (!parsed) return hub::refuse(errc::bad_request, 400006, std::string{parsed.error().message()});
  if (!parsed->is_object()) return hub::refuse(errc::bad_request, 400006, "the body is no JSON object");
  return parsed;
}
// Without a tree in between: method calls are what a hub is asked for most.
inline std::string print(method_response const& response, std::string text) {
  text.clear();
  text.reserve(160);
  append_int(text.append(R"({"status":)"), response.status);
  response.payload.append_to(text.append(R"(,"payload":)"));
  text += '}';
  return text;
}
inline error invalid(error const& why) {
  return hub::refuse(errc::bad_request, 400004, std::string{why.message()});
}

}  // namespace detail

inline if_match http_face::visit::condition() const noexcept {
  auto const header = trim(what.headers.get("If-Match"));
  auto const read = read_if_match(header);
  if (read.kind != if_match_kind::none || header.empty() || header == "\"\"") return read;
  return unconditional;  // a tag without quotes
}

// --- the way of a request -------------------------------------------------------------------------------------------

inline http::ticket http_face::on_request(http::request&& what, http::reply_to to, time_point now) {
  instant const at = host_.at(now);
  host_.core_touched();
  answering const answer{tracking_.next(), at.utc};
  if (auto refusal = turned_away(what, answer, at)) {
    to.respond(std::move(*refusal));
    return http::answered;
  }
  auto const routed = parse_route(what.method, what.target, what.headers.get("X-HTTP-Method-Override"), route_);
  if (!routed) {
    auto response = routed.error() == errc::unsupported   ? not_allowed(what, answer)
                    : routed.error() == errc::bad_request ? answer.refusal(detail::invalid(routed.error()))
                                                          : answer.refusal(refuse(errc::not_found, 404000, "NotFound"));
    note(what, response, at);
    to.respond(std::move(response));
    return http::answered;
  }
  visit const v{what, route_, answer, at};
  grant with;
  if (auto admitted = admit(v, with); !admitted) {
    auto response = answer.refusal(admitted.error());
    note(what, response, at);
    to.respond(std::move(response));
    return http::answered;
  }
  if (route_.kind == route_kind::invoke_method) return invoke(v, to);
  auto response = dispatch(v, with);
  note(what, response, at);
  to.respond(std::move(response));
  return http::answered;
}

inline maybe<http::response> http_face::turned_away(http::request const& what, answering const& answer, instant at) {
  bool const host = options_.hosts.allows(what.headers.get("Host"));
  if (host && allows_origin(what)) return {};
  if (log_ != nullptr) {
    auto const why = host ? "Origin names another host: " + std::string{what.headers.get("Origin").substr(0, 64)}
                     : what.headers.has("Host")
                         ? "the Host field names another host: " + std::string{what.headers.get("Host").substr(0, 64)}
                         : std::string{"the request has no Host field"};
    log_->write({log_level::warning, at, "refused", {}, {}, why});
  }
  if (!host) return wrong_host(answer);
  auto response = answer.refusal(refuse(errc::bad_request, 400000, "Origin names another host than this hub"));
  response.status = 403;
  return response;
}

// RFC 6454 section 7: scheme "://" host [ ":" port ], or "null". A browser sends one; with two somebody else has a say.
inline bool http_face::allows_origin(http::request const& what) const noexcept {
  std::size_t count = 0;
  for (http::header const& field : what.headers) {
    if (!iequals(field.name, "Origin")) continue;
    auto const origin = trim(field.value);
    auto const scheme = origin.find("://");
    auto const host = scheme == std::string_view::npos ? std::string_view{} : origin.substr(scheme + 3);
    if (++count > 1 || !options_.hosts.allows(host)) return false;
  }
  return true;
}

// One answer for a wrong key and for a device that is not there, so that a stranger cannot try which ids exist. Who
// holds a policy's key may know.
inline bool http_face::tells_nothing(error const& why, std::string_view token) {
  if (why == errc::unauthorized) return true;
  if (why != errc::device_not_found && why != errc::module_not_found) return false;
  auto const parsed = parse_sas_token(token);
  return !parsed || parsed->policy.empty();
}

inline result<void> http_face::admit(visit const& v, grant& with) {
  if (v.route.api_version.empty())
    return refuse(errc::bad_request, 400001, "the query parameter api-version is missing");
  auto const token = v.what.headers.get("Authorization");
  result<grant> granted = errc::unauthorized;
  if (v.route.kind == route_kind::send_telemetry) {
    granted = core_.authorize_device(v.key(), token, v.at);
    if (!granted && tells_nothing(granted.error(), token))
      return refuse(errc::unauthorized, 401003, "Unauthorized: the hub's log says why");
  } else {
    auto const path = std::string_view{v.what.target}.substr(1, v.what.target.find('?') - 1);
    path_.resize(path.size());
    char const* const end = read_percent(path_.data(), path);
    path_.resize(end != nullptr ? static_cast<std::size_t>(end - path_.data()) : 0);
    granted = core_.authorize_service(detail::operation_of(v.route.kind), path_, token, v.at);
  }
  if (!granted) return std::move(granted).error();
  with = *granted;
  return {};
}

inline http::response http_face::dispatch(visit const& v, grant const& with) {
  auto const document = [&](auto const& outcome) {
    return outcome ? v.answer.json(to_json(*outcome)) : v.answer.refusal(outcome.error());
  };
  switch (v.route.kind) {
    case route_kind::list_devices:
    case route_kind::list_modules: return list(v);
    case route_kind::get_device: {
      auto const identity = core_.get_identity(v.key());
      auto response = document(identity);
      if (identity) response.headers.add("ETag", quote_etag(identity->etag));
      return response;
    }
    case route_kind::get_module: return document(core_.get_identity(v.key()));
    case route_kind::put_device:
    case route_kind::put_module: return put_identity(v);
    case route_kind::delete_device:
    case route_kind::delete_module: {
      auto condition = v.condition();
      if (condition.kind == if_match_kind::none) condition = unconditional;  // unconfirmed for the real hub
      auto const done = core_.delete_identity(v.key(), condition, v.at);
      return done ? v.answer.nothing() : v.answer.refusal(done.error());
    }
    case route_kind::get_twin: return document(core_.get_twin(v.key()));
    case route_kind::patch_twin:
    case route_kind::put_twin: return change_twin(v);
    case route_kind::query: return run_query(v);
    case route_kind::registry_statistics: return v.answer.json(to_json(core_.statistics()));
    case route_kind::service_statistics: return v.answer.json({{"connectedDeviceCount", core_.connected_devices()}});
    case route_kind::purge_c2d: {
      auto const purged = core_.purge_c2d(v.route.device_id, v.at);
      if (!purged) return v.answer.refusal(purged.error());
      return v.answer.json({{"totalMessagesPurged", *purged}, {"deviceId", v.route.device_id}, {"moduleId", nullptr}});
    }
    case route_kind::send_telemetry: return take_telemetry(v, with);
    case route_kind::invoke_method: break;  // answered later, elsewhere
  }
  return v.answer.refusal(errc::server_error);
}

inline http::response http_face::wrong_host(answering const& answer) const {
  auto response = answer.refusal(refuse(errc::bad_request, 400000, "the Host field does not name this hub"));
  response.status = 421;  // RFC 9110 section 15.5.20
  return response;
}

// Says which methods there are (RFC 9110 section 15.5.6).
inline http::response http_face::not_allowed(http::request const& what, answering const& answer) const {
  auto response = answer.refusal(refuse(errc::bad_request, 405000, "this path does not take that method"));
  std::string allowed;
  for (std::string_view const method : {"GET", "PUT", "PATCH", "POST", "DELETE"})
    if (parse_route(method, what.target)) allowed.append(allowed.empty() ? "" : ", ").append(method);
  response.headers.add("Allow", allowed);
  return response;
}

// The header fields hold secrets; the target none, unless somebody puts a signature into it as for storage.
inline void http_face::note(http::request const& what, http::response const& answer, instant at) {
  if (log_ == nullptr) return;
  std::string_view target = std::string_view{what.target}.substr(0, 512);
  bool cut = false;
  for (std::size_t i = 0; i + 4 <= target.size() && !cut; ++i)
    if (iequals(target.substr(i, 4), "sig=")) target = target.substr(0, i + 4), cut = true;
  auto const line = what.method + ' ' + std::string{target} + (cut ? "..." : "") + ' ' + std::to_string(answer.status);
  log_->write({log_level::debug, at, "request", {}, {}, line});
}

// --- identities -----------------------------------------------------------------------------------------------------

inline http::response http_face::put_identity(visit const& v) {
  auto const body = detail::read_body(v.what);
  if (!body) return v.answer.refusal(body.error());
  auto wanted = identity_from_json(*body);
  if (!wanted) return v.answer.refusal(detail::invalid(wanted.error()));
  auto const key = v.key();
  if ((!wanted->device_id.empty() && wanted->device_id != key.device_id) ||
      (!wanted->module_id.empty() && wanted->module_id != key.module_id))
    return v.answer.refusal(refuse(errc::bad_request, 400004, "the id in the body is not the one in the path"));
  wanted->device_id = key.device_id;
  wanted->module_id = key.module_id;
  auto const condition = v.condition();
  auto const made = core_.put_identity(*wanted, condition, v.at);
  if (!made) return v.answer.refusal(made.error());
  auto response = v.answer.json(
      to_json(*made, condition.kind == if_match_kind::none ? identity_form::created : identity_form::stored));
  if (key.module_id.empty()) response.headers.add("ETag", quote_etag(made->etag));
  return response;
}

inline http::response http_face::list(visit const& v) {
  json::value documents = json::value::make_array();
  if (v.route.kind == route_kind::list_devices) {
    int const top = v.route.top.value_or(1000);
    for (auto const& identity : core_.list_devices(top < 1 ? 1000u : static_cast<std::size_t>(top)))
      documents.push_back(to_json(identity));
    return v.answer.json(documents);
  }
  auto const modules = core_.list_modules(v.route.device_id);
  if (!modules) return v.answer.refusal(modules.error());
  for (auto const& identity : *modules) documents.push_back(to_json(identity));
  return v.answer.json(documents);
}

// --- twins and queries ----------------------------------------------------------------------------------------------

// A whole twin as it was read may come back: all but tags and desired is passed over (recorded so).
inline http::response http_face::change_twin(visit const& v) {
  auto const body = detail::read_body(v.what);
  if (!body) return v.answer.refusal(body.error());
  twin_update update;
  auto const& tags = (*body)["tags"];
  auto const& desired = (*body)["properties"]["desired"];
  if (!tags.is_null()) update.tags = &tags;
  if (!desired.is_null()) update.desired = &desired;
  auto condition = v.condition();
  if (condition.kind == if_match_kind::none) condition = unconditional;
  auto const changed = v.route.kind == route_kind::put_twin ? core_.replace_twin(v.key(), update, condition, v.at)
                                                            : core_.patch_twin(v.key(), update, condition, v.at);
  return changed ? v.answer.json(to_json(*changed)) : v.answer.refusal(changed.error());
}

inline http::response http_face::run_query(visit const& v) {
  auto const body = detail::read_body(v.what);
  if (!body) return v.answer.refusal(body.error());
  auto const text = (*body)["query"].as_string();
  if (!text) return v.answer.refusal(refuse(errc::bad_request, 400005, "BadRequest"));
  std::size_t size = 0;
  if (auto const wanted = v.what.headers.get("x-ms-max-item-count"); !wanted.empty()) {
    auto const number = parse_int<std::int64_t>(trim(wanted));
    if (!number) return v.answer.refusal(refuse(errc::bad_request, 400004, "x-ms-max-item-count is no number"));
    size = *number < 1 ? 0 : *number > 1000 ? 1000 : static_cast<std::size_t>(*number);
  }
  auto page = core_.query(*text, size, v.what.headers.get("x-ms-continuation"));
  if (!page) return v.answer.refusal(page.error());
  json::value items = json::value::make_array();
  for (auto& item : page->items) items.push_back(std::move(item));
  auto response = v.answer.json(items);
  response.headers.add("x-ms-item-type", page->item_type);
  // Absent on the last page: an empty field keeps azure-iot-sdk-node and -java asking.
  if (!page->continuation.empty()) response.headers.add("x-ms-continuation", page->continuation);
  return response;
}

// --- telemetry of a device ------------------------------------------------------------------------------------------

inline http::response http_face::take_telemetry(visit const& v, grant const& with) {
  auto const messages = read_http_telemetry(std::move(v.what));
  if (!messages) return v.answer.refusal(detail::invalid(messages.error()));
  std::size_t total = 0;
  for (auto const& m : *messages) total += message_size(m);
  if (total > core_.options().limits.d2c_message)
    return v.answer.refusal(refuse(errc::too_large, 413001, "the message is larger than 256 KB"));
  for (auto const& m : *messages)
    if (auto const taken = core_.send_telemetry(v.key(), with, view_of(m, m.body.bytes(), properties_), v.at); !taken)
      return v.answer.refusal(taken.error());
  return v.answer.nothing();
}

// --- direct methods -------------------------------------------------------------------------------------------------

inline http::ticket http_face::invoke(visit const& v, http::reply_to to) {
  wanted_.options = {};
  auto const ticket = [&]() -> result<method_ticket> {
    auto body = detail::read_body(v.what);
    if (!body) return std::move(body).error();
    if ((*body)["methodName"].is_null()) return refuse(errc::bad_request, 400005, "BadRequest");
    if (auto read = read_method_call(std::move(*body), wanted_); !read) return detail::invalid(read.error());
    return core_.invoke_method(v.key(), wanted_.request, wanted_.options, *this, v.at);
  }();
  wanted_.request.payload = nullptr;
  if (!ticket) {
    bool const offline = ticket.error() == errc::device_offline;
    to.respond(v.answer.method_refusal(ticket.error(), offline ? time_span(wanted_.options.connect_timeout) : ""));
    return http::answered;
  }
  call pending{.to = to, .request_id = v.answer.request_id(), .how = wanted_.options};
  constexpr std::size_t small = 1024;
  if (v.what.body.capacity() <= small) pending.body = std::move(v.what.body);
  if (v.what.headers.capacity() <= small) pending.fields = std::move(v.what.headers);
  spare_calls_.insert(calls_, *ticket, std::move(pending));
  return *ticket;
}

inline void http_face::on_method_outcome(method_ticket ticket, result<method_response> outcome) {
  auto const found = calls_.find(ticket);
  if (found == calls_.end()) return;
  call pending = std::move(found->second);
  spare_calls_.erase(calls_, found);
  answering const answer{pending.request_id, host_.wall_clock()};
  if (outcome)
    return pending.to.respond(
        answer.json_text(detail::print(*outcome, std::move(pending.body)), std::move(pending.fields)));
  auto const& why = outcome.error();
  std::string const waited = why == errc::device_offline   ? time_span(pending.how.connect_timeout)
                             : why == errc::device_timeout ? time_span(pending.how.response_timeout)
                                                           : std::string{};
  pending.to.respond(answer.method_refusal(why, waited));
}

inline void http_face::on_cancel(http::ticket pending) {
  if (calls_.erase(pending) == 0) return;
  core_.cancel_method(pending);
  host_.core_touched();
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
