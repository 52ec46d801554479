// What a back end asks of a hub, as pure functions: operation to http::request, http::response to result.
//
// Theory. Each function checks what can be checked here (ids, names, ranges) and gives a service_call: the request
// without authorization, and how to read its answer. It knows no token, no connection and no time; whoever carries the
// request adds Authorization. Requests are those of the IoT Hub service REST reference, api-version 2021-04-12, in the
// form that azure-iot-sdk-node and azure-iot-hub-python send them, with two differences that no hub minds: no
// Request-Id (it is for the caller's own logs) and a User-Agent of ours. Errors come in the two body forms that
// wire/hub_errors.hpp reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/etag.hpp>
#include <iothub/wire/hub_errors.hpp>
#include <iothub/wire/identity_rules.hpp>
#include <iothub/wire/model_reading.hpp>
#include <iothub/wire/models.hpp>
#include <iothub/wire/rest_targets.hpp>

namespace iothub {
inline namespace v0 {

// One operation, ready to be carried.
template <class T>
struct service_call {
  http::request request = {};
  result<T> (*read)(http::response&& answer) = nullptr;
  bool only_reads = false;  // may be repeated
  duration hub_time = {};   // what the hub itself may take, where that is the caller's choice; 0: a moment
};

// What a change depends on: that nobody else changed the thing since (its ETag is still the same), or nothing.
enum class etag_match : std::uint8_t { same, any };

// Any ETag will do: the last argument of what deletes or changes.
inline constexpr std::string_view any_etag = "*";
inline constexpr std::size_t max_query_size = 8192;  // Microsoft docs: query-twins

// Every function: errc::invalid_argument for what the hub would refuse anyway. `module_id` empty: the device itself.
struct service_core {
  // --- identities
  static result<service_call<device_identity>> create_identity(device_identity const& what);
  static result<service_call<device_identity>> get_identity(std::string_view device_id,
                                                            std::string_view module_id = {});
  // `match` same needs the identity's etag.
  static result<service_call<device_identity>> update_identity(device_identity const& what, etag_match match);
  static result<service_call<void>> delete_identity(std::string_view device_id, std::string_view module_id,
                                                    std::string_view etag);
  // At most `top` devices in no promised order, 1 to 1000; the service has no paging here: query instead.
  static result<service_call<std::vector<device_identity>>> list_devices(int top);
  static result<service_call<std::vector<device_identity>>> list_modules(std::string_view device_id);
  static result<service_call<registry_statistics>> get_registry_statistics();
  static result<service_call<service_statistics>> get_service_statistics();

  // --- twins: {"tags": {…}, "properties": {"desired": {…}}}, each part optional
  static result<service_call<twin>> get_twin(std::string_view device_id, std::string_view module_id = {});
  static result<service_call<twin>> update_twin(std::string_view device_id, std::string_view module_id,
                                                json::value const& patch, std::string_view etag);
  static result<service_call<twin>> replace_twin(std::string_view device_id, std::string_view module_id,
                                                 json::value const& document, std::string_view etag);

  // --- direct methods
  static result<service_call<method_response>> invoke_method(std::string_view device_id, std::string_view module_id,
                                                             method_request const& what, method_options const& how);

  // --- queries: `page_size` 0 leaves it to the hub; an empty continuation asks for the first page
  static result<service_call<query_page>> query(std::string_view text, std::size_t page_size,
                                                std::string_view continuation);
};

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

inline error refused_argument(char const* why) { return error{errc::invalid_argument, why}; }
// An answer of a hub that does not keep to its own reference.
inline error bad_answer(std::string_view why) {
  return error{errc::protocol_error, std::string{"the hub's answer cannot be understood: "}.append(why)};
}

inline result<http::request> service_request(route_kind kind, std::string_view device_id, std::string_view module_id) {
  if (auto valid = check_id(device_id, "device id"); !valid) return std::move(valid).error();
  if (!module_id.empty())
    if (auto valid = check_id(module_id, "module id"); !valid) return std::move(valid).error();
  http::request request{.method = std::string{route_method(kind)}, .target = route_target(kind, device_id, module_id)};
  request.headers.reserve(5, 384);  // with those that whoever carries it adds
  return request;
}

inline http::request hub_request(route_kind kind, maybe<int> top = {}) {
  return {.method = std::string{route_method(kind)}, .target = route_target(kind, {}, {}, service_api_version, top)};
}

inline constexpr char const* json_type = "application/json; charset=utf-8";
inline void set_json(http::request& request, json::value const& body) {
  request.headers.add("Content-Type", json_type);
  body.append_to(request.body);
}

// Without a tree in between: this is the one operation that is called often.
inline void print_method_call(method_request const& what, method_options const& how, std::string& out) {
  out.reserve(192 + what.name.size());
  json::append_quoted(out.append(R"({"methodName":)"), what.name);
  append_int(out.append(R"(,"responseTimeoutInSeconds":)"), how.response_timeout.count());
  append_int(out.append(R"(,"connectTimeoutInSeconds":)"), how.connect_timeout.count());
  what.payload.append_to(out.append(R"(,"payload":)"));
  out.push_back('}');
}

// The tag goes in quotes, "any" too: an unquoted one was no condition at all (azure-iot-sdk-node issue 606).
inline result<void> set_if_match(http::request& request, std::string_view etag) {
  etag = unquote_etag(etag);
  if (etag.empty()) return refused_argument("the ETag is empty; iothub::any_etag stands for any");
  for (char const c : etag)
    if (c <= ' ' || c > '~' || c == '"') return refused_argument("the ETag holds a character that no ETag has");
  request.headers.add("If-Match", quote_etag(etag));
  return {};
}

// The document of an answer that is a success; else the hub's error.
inline result<json::value> read_document(http::response const& answer) {
  if (answer.status < 200 || answer.status > 299) return read_error_response(answer);
  auto document = json::parse(answer.body, {.max_size = 64u << 20});
  if (!document) return bad_answer(document.error().message());
  return document;
}
template <class T>
result<T> checked_answer(result<T>&& read) {
  if (!read) return bad_answer(read.error().message());
  return std::move(read);
}

inline result<device_identity> read_identity(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  auto identity = checked_answer(identity_from_json(*document));
  if (identity && identity->etag.empty()) identity->etag = unquote_etag(answer.headers.get("ETag"));
  return identity;
}
inline result<std::vector<device_identity>> read_identities(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  if (!document->is_array()) return bad_answer("it is no list");
  std::vector<device_identity> all;
  all.reserve(document->size());
  for (auto const& item : document->elements()) {
    auto identity = checked_answer(identity_from_json(item));
    if (!identity) return std::move(identity).error();
    all.push_back(*std::move(identity));
  }
  return all;
}
inline result<void> read_nothing(http::response&& answer) {
  if (answer.status < 200 || answer.status > 299) return read_error_response(answer);
  return {};
}
inline result<twin> read_twin(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  return checked_answer(twin_from_json(*document));
}
inline result<method_response> read_method_response(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  if (!(*document)["status"].is_number()) return bad_answer("it has no status");  // which must not pass for a 200
  return checked_answer(method_response_from_json(*std::move(document)));
}
inline result<registry_statistics> read_registry_statistics(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  return checked_answer(registry_statistics_from_json(*document));
}
inline result<service_statistics> read_service_statistics(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  return checked_answer(service_statistics_from_json(*document));
}
inline result<query_page> read_query_page(http::response&& answer) {
  auto document = read_document(answer);
  if (!document) return std::move(document).error();
  if (!document->is_array()) return bad_answer("it is no list");
  query_page page;
  page.item_type = answer.headers.get("x-ms-item-type");
  page.continuation = answer.headers.get("x-ms-continuation");
  page.items.reserve(document->size());
  for (auto& item : document->elements()) page.items.push_back(std::move(item));
  return page;
}

}  // namespace detail

inline result<service_call<device_identity>> service_core::create_identity(device_identity const& what) {
  auto const kind = what.module_id.empty() ? route_kind::put_device : route_kind::put_module;
  auto request = detail::service_request(kind, what.device_id, what.module_id);
  if (!request) return std::move(request).error();
  detail::set_json(*request, identity_request(what));
  return service_call<device_identity>{.request = *std::move(request), .read = detail::read_identity};
}

inline result<service_call<device_identity>> service_core::get_identity(std::string_view device_id,
                                                                        std::string_view module_id) {
  auto const kind = module_id.empty() ? route_kind::get_device : route_kind::get_module;
  auto request = detail::service_request(kind, device_id, module_id);
  if (!request) return std::move(request).error();
  return service_call<device_identity>{
      .request = *std::move(request), .read = detail::read_identity, .only_reads = true};
}

inline result<service_call<device_identity>> service_core::update_identity(device_identity const& what,
                                                                           etag_match match) {
  if (match == etag_match::same && what.etag.empty())
    return detail::refused_argument("the identity has no ETag to compare: read it first, or say etag_match::any");
  auto call = create_identity(what);
  if (!call) return call;
  auto set = detail::set_if_match(call->request, match == etag_match::same ? std::string_view{what.etag} : any_etag);
  if (!set) return std::move(set).error();
  return call;
}

inline result<service_call<void>> service_core::delete_identity(std::string_view device_id, std::string_view module_id,
                                                                std::string_view etag) {
  auto const kind = module_id.empty() ? route_kind::delete_device : route_kind::delete_module;
  auto request = detail::service_request(kind, device_id, module_id);
  if (!request) return std::move(request).error();
  if (auto set = detail::set_if_match(*request, etag); !set) return std::move(set).error();
  return service_call<void>{.request = *std::move(request), .read = detail::read_nothing};
}

inline result<service_call<std::vector<device_identity>>> service_core::list_devices(int top) {
  if (top < 1 || top > 1000) return detail::refused_argument("a list holds 1 to 1000 devices");
  return service_call<std::vector<device_identity>>{
      .request = detail::hub_request(route_kind::list_devices, top),
      .read = detail::read_identities,
      .only_reads = true};
}

inline result<service_call<std::vector<device_identity>>> service_core::list_modules(std::string_view device_id) {
  auto request = detail::service_request(route_kind::list_modules, device_id, {});
  if (!request) return std::move(request).error();
  return service_call<std::vector<device_identity>>{
      .request = *std::move(request), .read = detail::read_identities, .only_reads = true};
}

inline result<service_call<registry_statistics>> service_core::get_registry_statistics() {
  return service_call<registry_statistics>{.request = detail::hub_request(route_kind::registry_statistics),
                                           .read = detail::read_registry_statistics,
                                           .only_reads = true};
}
inline result<service_call<service_statistics>> service_core::get_service_statistics() {
  return service_call<service_statistics>{.request = detail::hub_request(route_kind::service_statistics),
                                          .read = detail::read_service_statistics,
                                          .only_reads = true};
}

inline result<service_call<twin>> service_core::get_twin(std::string_view device_id, std::string_view module_id) {
  auto request = detail::service_request(route_kind::get_twin, device_id, module_id);
  if (!request) return std::move(request).error();
  return service_call<twin>{.request = *std::move(request), .read = detail::read_twin, .only_reads = true};
}

namespace detail {
inline result<service_call<twin>> twin_change(route_kind kind, std::string_view device_id, std::string_view module_id,
                                              json::value const& document, std::string_view etag) {
  // The hub ignores members that it does not change, so a wrong shape would succeed and do nothing.
  if (!document["tags"].is_object() && !document["tags"].is_null())
    return refused_argument("a twin's tags are an object");
  if (document.find("tags") == nullptr && !document["properties"]["desired"].is_object())
    return refused_argument(
        "a change of a twin has tags, or properties with desired in them: {\"properties\":{\"desired\":{…}}}");
  auto request = service_request(kind, device_id, module_id);
  if (!request) return std::move(request).error();
  if (auto set = set_if_match(*request, etag); !set) return std::move(set).error();
  set_json(*request, document);
  return service_call<twin>{.request = *std::move(request), .read = read_twin};
}
}  // namespace detail

inline result<service_call<twin>> service_core::update_twin(std::string_view device_id, std::string_view module_id,
                                                            json::value const& patch, std::string_view etag) {
  return detail::twin_change(route_kind::patch_twin, device_id, module_id, patch, etag);
}
inline result<service_call<twin>> service_core::replace_twin(std::string_view device_id, std::string_view module_id,
                                                             json::value const& document, std::string_view etag) {
  return detail::twin_change(route_kind::put_twin, device_id, module_id, document, etag);
}

inline result<service_call<method_response>> service_core::invoke_method(std::string_view device_id,
                                                                         std::string_view module_id,
                                                                         method_request const& what,
                                                                         method_options const& how) {
  using std::chrono::seconds;
  if (auto valid = check_method_name(what.name); !valid) return std::move(valid).error();
  if (how.response_timeout < seconds{5} || how.response_timeout > seconds{300})
    return detail::refused_argument("method_options.response_timeout is outside 5 to 300 s");
  if (how.connect_timeout < seconds{0} || how.connect_timeout > seconds{300})
    return detail::refused_argument("method_options.connect_timeout is outside 0 to 300 s");
  auto request = detail::service_request(route_kind::invoke_method, device_id, module_id);
  if (!request) return std::move(request).error();
  request->headers.add("Content-Type", detail::json_type);
  detail::print_method_call(what, how, request->body);
  // The limit is that of the payload; what is around it is not worth a second print.
  if (request->body.size() > max_method_payload_size + 1024)
    return error{errc::too_large, "the payload of a direct method is above 128 KB"};
  return service_call<method_response>{.request = *std::move(request),
                                       .read = detail::read_method_response,
                                       .hub_time = how.response_timeout + how.connect_timeout};
}

inline result<service_call<query_page>> service_core::query(std::string_view text, std::size_t page_size,
                                                            std::string_view continuation) {
  if (text.empty()) return detail::refused_argument("the query is empty");
  if (text.size() > max_query_size) return error{errc::too_large, "the query has more than 8192 characters"};
  for (char const c : continuation)
    if (c < ' ' || c > '~') return detail::refused_argument("the continuation is none that a hub gave");
  http::request request = detail::hub_request(route_kind::query);
  if (!continuation.empty()) request.headers.add("x-ms-continuation", continuation);
  if (page_size != 0) request.headers.add("x-ms-max-item-count", std::to_string(page_size));
  detail::set_json(request, {{"query", text}});
  return service_call<query_page>{.request = std::move(request), .read = detail::read_query_page, .only_reads = true};
}

}  // namespace v0
}  // namespace iothub
