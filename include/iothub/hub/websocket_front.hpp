// Where the hub's HTTPS port lets WebSockets in: which requests are handshakes, what is behind the two paths, and clear
// words for those that are not let in. The bytes behind a handshake are the business of whoever serves the connection.
//
//   path                    subprotocols
//   /$iothub/websocket      mqtt, AMQPWSB10   Microsoft docs iot-mqtt-connect-to-iot-hub; azure-iot-sdk-node
//   /$servicebus/websocket  AMQPWSB10         azure-sdk-for-js core-amqp; azure-sdk-for-python _pyamqp
//
// Rules
//   1. A path may be percent-encoded, and its query is not looked at (azure-iot-sdk-java adds iothub-no-client-cert).
//   2. In this order: the Host (the HTTP face refuses it with 421), Origin (403), the path (404), the handshake itself
//      (RFC 6455 section 4.2.1; 400, or 426 for another version), the subprotocol (400). Statuses are unconfirmed for
//      the real hub.
//   3. Origin as in http_face.hpp: a page from elsewhere cannot reach a hub on the loopback address through its
//      visitor's browser. The same-origin policy does not bind WebSockets, so this is all that stops it.
//   4. Extensions are declined by silence (section 9.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/percent.hpp>
#include <iothub/hub/amqp_front.hpp>
#include <iothub/hub/face_host.hpp>
#include <iothub/hub/http_face.hpp>
#include <iothub/hub/log.hpp>
#include <iothub/hub/mqtt_front.hpp>
#include <iothub/ws/handshake.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

enum class websocket_kind : std::uint8_t { none, mqtt, amqp };

class websocket_front {
 public:
  struct verdict {
    websocket_kind kind = websocket_kind::none;  // with another than none the answer is 101
    http::response answer = {};
  };

  // All of them must outlive the front.
  websocket_front(http_face& http, mqtt_front& mqtt, amqp_front& amqp, face_host& host, log_sink* log = nullptr)
      : http_{http}, mqtt_{mqtt}, amqp_{amqp}, host_{host}, log_{log} {}
  websocket_front(websocket_front const&) = delete;
  websocket_front& operator=(websocket_front const&) = delete;

  [[nodiscard]] http_face& http() noexcept { return http_; }
  [[nodiscard]] mqtt_front& mqtt() noexcept { return mqtt_; }
  [[nodiscard]] amqp_front& amqp() noexcept { return amqp_; }

  // Nothing: the request is one for the HTTP face.
  [[nodiscard]] maybe<verdict> judge(http::request const& what, std::string_view peer, time_point now);

 private:
  static constexpr std::string_view iothub_path = "/$iothub/websocket";
  static constexpr std::string_view servicebus_path = "/$servicebus/websocket";

  result<websocket_kind> admit(http::request const& what, std::string_view path) const;
  static error refusal(int status, std::string text) {
    return error{errc::bad_request, std::move(text)}.with_http(status, 0, {});
  }

  http_face& http_;
  mqtt_front& mqtt_;
  amqp_front& amqp_;
  face_host& host_;
  log_sink* log_;
  tracking_ids tracking_{3};
};

// ---------------------------------------------------------------------------------------------------------------------

inline maybe<websocket_front::verdict> websocket_front::judge(http::request const& what, std::string_view peer,
                                                              time_point now) {
  auto const raw = std::string_view{what.target}.substr(0, what.target.find('?'));
  std::string path(raw.size(), '\0');
  char const* const end = read_percent(path.data(), raw);
  path.resize(end != nullptr ? static_cast<std::size_t>(end - path.data()) : 0);
  bool const door = iequals(path, iothub_path) || iequals(path, servicebus_path);
  if (!door && !ws::wants_websocket(what)) return {};
  if (!http_.options().hosts.allows(what.headers.get("Host"))) return {};
  verdict out;
  auto const admitted = admit(what, path);
  if (admitted) {
    out.kind = *admitted;
    out.answer = ws::make_response(what, out.kind == websocket_kind::mqtt ? "mqtt" : "AMQPWSB10");
    return out;
  }
  error const& why = admitted.error();
  instant const at = host_.at(now);
  answering const answer{tracking_.next(), at.utc};
  int const status = why.http_status();
  out.answer = answer.refusal(refuse(errc::bad_request, status == 404 ? 404000 : 400000, std::string{why.message()}));
  out.answer.status = status;
  if (status == 426) {  // RFC 9110 section 15.5.22, RFC 6455 section 4.4
    out.answer.headers.add("Upgrade", "websocket");
    out.answer.headers.add("Connection", "Upgrade");
    out.answer.headers.add("Sec-WebSocket-Version", ws::version);
  }
  if (log_ != nullptr) {
    auto text = "a WebSocket" + std::string{peer.empty() ? "" : " from "}.append(peer) + " at " +
                what.target.substr(0, 64) + ": " + std::string{why.message()};
    log_->write({log_level::info, at, "refused", {}, {}, text});
  }
  return out;
}

inline result<websocket_kind> websocket_front::admit(http::request const& what, std::string_view path) const {
  if (!http_.allows_origin(what)) return refusal(403, "Origin names another host than this hub");
  bool const iothub = iequals(path, iothub_path);
  if (!iothub && !iequals(path, servicebus_path))
    return refusal(404,
                   "WebSockets are at /$iothub/websocket (mqtt, AMQPWSB10) and /$servicebus/websocket (AMQPWSB10)");
  if (auto good = ws::check_request(what); !good) return std::move(good).error();
  constexpr std::string_view names[] = {"AMQPWSB10", "mqtt"};
  auto const chosen = ws::choose_subprotocol(what, {names, iothub ? 2u : 1u});
  if (chosen.empty())
    return refusal(400, iothub ? "Sec-WebSocket-Protocol offers neither mqtt nor AMQPWSB10"
                               : "Sec-WebSocket-Protocol does not offer AMQPWSB10");
  return chosen == "mqtt" ? websocket_kind::mqtt : websocket_kind::amqp;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
