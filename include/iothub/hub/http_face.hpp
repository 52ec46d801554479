// The hub's HTTPS endpoints in values: requests to calls of the hub core, outcomes to responses. The carrier (bytes of
// HTTP/1.1, or none at all) is http/server.hpp's; the rules are the core's.
//
// Sources: IoT Hub service REST reference, api-version 2021-04-12; what official SDKs send and accept where it is
// silent.
//
// Rules
//   1. In this order: the Host (421), Origin (403), the path (404, 405), api-version (400001), the token (401), the
//      body (400), the core.
//   2. Any api-version is taken.
//   3. A direct method is the one request that is answered later: its ticket is the core's own.
//   4. If-Match: * and "*" are any; "tag" is that one; "" is none. A tag without quotes is taken for any, since the
//      real service was seen to ignore it (azure-iot-sdk-node issue 606).
//   5. Origin is what a browser sends: each has to name a host that Host may name, so that no page from elsewhere talks
//      to a hub on its visitor's machine. Unconfirmed for the real hub. Nothing ever answers with a CORS field.
//   6. The content type of a JSON body is not looked at: clients vary.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/maybe.hpp>
#include <iothub/http/server.hpp>
#include <iothub/hub/face_host.hpp>
#include <iothub/hub/host_filter.hpp>
#include <iothub/hub/http_answers.hpp>
#include <iothub/hub/http_telemetry.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/spare_nodes.hpp>
#include <iothub/hub/telemetry_view.hpp>
#include <iothub/wire/etag.hpp>
#include <iothub/wire/message_properties.hpp>
#include <iothub/wire/model_json.hpp>
#include <iothub/wire/rest_routes.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

struct http_face_options {
  // Which Host fields are answered; all and none, unless a server on sockets says otherwise. Then a request without one
  // (HTTP/1.0 allows that) is refused like one with a wrong name.
  host_filter hosts = {};
  // For carriers of bytes: how long a connection may live without a request.
  duration first_request_wait = std::chrono::seconds{120};
};

class http_face final : public http::request_handler, private method_caller {
 public:
  // All must outlive the face, and the face its carriers.
  http_face(hub_core& core, face_host& host, http_face_options options = {}, log_sink* log = nullptr)
      : core_{core}, host_{host}, options_{std::move(options)}, log_{log}, tracking_{2} {}
  http_face(http_face const&) = delete;
  http_face& operator=(http_face const&) = delete;

  [[nodiscard]] inline http::ticket on_request(http::request&& what, http::reply_to to, time_point now) override;
  inline void on_cancel(http::ticket pending) override;
  [[nodiscard]] http_face_options const& options() const noexcept { return options_; }
  // Whether whoever sent it may speak to this hub, as far as Origin tells.
  [[nodiscard]] inline bool allows_origin(http::request const& what) const noexcept;
  [[nodiscard]] std::size_t pending_calls() const noexcept { return calls_.size(); }

 private:
  struct visit {  // one request
    http::request& what;
    rest_route const& route;
    answering const& answer;
    instant at;
    [[nodiscard]] key_view key() const noexcept { return {route.device_id, route.module_id}; }
    // Text and no more; what it names is the request's.
    [[nodiscard]] if_match condition() const noexcept;
  };
  struct call {  // a direct method that is not answered yet
    http::reply_to to = {};
    tracking_id request_id = {};
    method_options how = {};
    std::string body = {};       // of the request, if it is small: the answer is written in their place
    http::headers fields = {};
  };
  using call_map = std::map<method_ticket, call>;

  inline void on_method_outcome(method_ticket ticket, result<method_response> outcome) override;

  static bool tells_nothing(error const& why, std::string_view token);
  result<void> admit(visit const& v, grant& with);
  http::response dispatch(visit const& v, grant const& with);
  http::response put_identity(visit const& v);
  http::response list(visit const& v);
  http::response change_twin(visit const& v);
  http::response run_query(visit const& v);
  http::response take_telemetry(visit const& v, grant const& with);
  http::ticket invoke(visit const& v, http::reply_to to);
  [[nodiscard]] http::response not_allowed(http::request const& what, answering const& answer) const;
  [[nodiscard]] http::response wrong_host(answering const& answer) const;
  // The answer to those who may not speak to this hub at all.
  maybe<http::response> turned_away(http::request const& what, answering const& answer, instant at);
  void note(http::request const& what, http::response const& answer, instant at);

  hub_core& core_;
  face_host& host_;
  http_face_options options_;
  log_sink* log_;
  tracking_ids tracking_;
  call_map calls_;
  spare_nodes<call_map> spare_calls_;
  // Of the request that is being looked at; here for their memory.
  rest_route route_;
  std::string path_;
  method_call wanted_;
  std::vector<property_view> properties_;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/http_face_operations.hpp>  // the bodies
