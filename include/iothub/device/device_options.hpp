// Every knob of a device client, with its default and its range. A core never reads the environment: what is not
// written here is not configurable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {

// What a back-off of one's own is told.
struct retry_attempt {
  unsigned number = 0;       // how many were made since a connection last proved good; stays at 64
  bool throttled = false;    // the hub asked for less, or said that it is unavailable
  std::uint64_t random = 0;  // of the client's own seeded generator
};

// The wait before attempt n after a loss is drawn evenly from min_delay to min(max_delay, base_delay * 2^n): full
// jitter, so that a fleet that lost its hub does not come back as one wave. After a throttle or a "server unavailable"
// the throttled pair is used instead. n starts at 0 again only after a connection lasted `proven_after`: two clients
// that take the same identity from each other must not do it in a tight loop.
struct reconnect_options {
  duration min_delay = std::chrono::milliseconds{100};
  duration base_delay = std::chrono::seconds{1};           // at least min_delay
  duration max_delay = std::chrono::seconds{30};           // at least base_delay
  duration throttled_base_delay = std::chrono::seconds{5}; // at least base_delay
  duration throttled_max_delay = std::chrono::seconds{60}; // at least throttled_base_delay
  duration proven_after = std::chrono::seconds{60};
  duration give_up_after = duration{0};                    // since the connection was lost; 0: never
  // The wait before an attempt in place of all that; less than 0 counts as 0. Without jitter a fleet comes back as one
  // wave: draw from `random`.
  duration (*own_delay)(retry_attempt const& attempt) = nullptr;
};

// A token is renewed by a planned reconnect, since MQTT carries it in CONNECT only; over AMQP it is shown on the same
// connection. It happens between `renewal_margin` and one and a half of it before the token expires.
struct token_options {
  std::chrono::seconds lifetime{3600};            // what the official SDKs use; 60 s to 365 days
  std::chrono::seconds renewal_margin{600};       // at least 1 s; at most half of the lifetime
  duration settle_limit = std::chrono::seconds{10};  // how long the reconnect waits for messages in flight
};

struct outbox_options {
  std::size_t messages = 1000;
  std::size_t bytes = 4u << 20;
};

struct device_options {
  // Where and how to connect.
  std::string ca_file = {};          // PEM; empty: the file named by SSL_CERT_FILE, else what the system trusts
  std::string crl_file = {};         // PEM revocation lists; empty: none are looked at (docs/tls-matrix.md)
  std::uint16_t mqtt_port = 8883;
  std::uint16_t amqps_port = 5671;
  std::uint16_t https_port = 443;
  std::chrono::seconds keep_alive{240};  // 0 (off) to 1177: the hub drops an idle connection at 1.5 times, at most
                                         // 1767 s (Microsoft docs: "Use MQTT to connect to an IoT hub"). Over AMQP the
                                         // hub is asked to say something this often; silence of twice the time ends it
  std::string model_id = {};         // IoT Plug and Play, "dtmi:…"
  std::string product_info = {};     // appended to the DeviceClientType of this library

  duration connect_timeout = std::chrono::seconds{60};    // one attempt, until the hub accepted it
  duration subscribe_timeout = std::chrono::seconds{10};  // one SUBSCRIBE; a miss counts as a lost connection
  duration connect_limit = std::chrono::seconds{60};      // how long connect() keeps trying in all
  reconnect_options reconnect = {};
  token_options token = {};

  // What waits for its outcome.
  duration publish_timeout = std::chrono::seconds{10};    // of a telemetry message, from send to confirmation
  duration twin_timeout = std::chrono::seconds{60};       // of get_twin and update_reported_properties
  outbox_options outbox = {};
  std::size_t twin_requests = 32;                         // pending at once
  std::size_t inbox = 64;                                 // method calls and messages waiting for a handler; the
                                                          // hub itself holds at most 50 messages for a device
  std::uint64_t seed = 0;            // of the jitter; 0: random bytes of the crypto policy
};

// errc::invalid_argument naming the first field outside its range.
[[nodiscard]] result<void> validate(device_options const& options);

// --- implementation -------------------------------------------------------------------------------------------------

inline result<void> validate(device_options const& o) {
  using std::chrono::seconds;
  auto const bad = [](char const* text) { return error{errc::invalid_argument, text}; };
  if (o.keep_alive < seconds{0} || o.keep_alive > seconds{1177})
    return bad("device_options.keep_alive is outside 0 to 1177 s");
  if (o.mqtt_port == 0 || o.amqps_port == 0 || o.https_port == 0)
    return bad("device_options: port 0 is no port to connect to");
  if (o.token.lifetime < seconds{60} || o.token.lifetime > seconds{365 * 86400})
    return bad("device_options.token.lifetime is outside 60 s to 365 days");
  if (o.token.renewal_margin < seconds{1} || o.token.renewal_margin * 2 > o.token.lifetime)
    return bad("device_options.token.renewal_margin is outside 1 s to half of the lifetime");
  auto const& r = o.reconnect;
  if (r.min_delay < duration{0} || r.base_delay < r.min_delay || r.max_delay < r.base_delay ||
      r.throttled_base_delay < r.base_delay || r.throttled_max_delay < r.throttled_base_delay)
    return bad("device_options.reconnect: the delays are not in rising order");
  if (o.connect_timeout <= duration{0} || o.subscribe_timeout <= duration{0} || o.connect_limit <= duration{0} ||
      o.publish_timeout <= duration{0} || o.twin_timeout <= duration{0})
    return bad("device_options: a time limit is not positive");
  if (o.outbox.messages == 0 || o.inbox == 0 || o.twin_requests == 0)
    return bad("device_options: a queue without room");
  return {};
}

}  // namespace v0
}  // namespace iothub
