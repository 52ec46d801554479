// Every knob of a service messenger, with its default and its range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <iothub/amqp/sasl.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/retry.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// How a cloud-to-device message is sent. Its expiry is message::expiry_time; without one the hub's default counts.
struct c2d_send_options {
  feedback_request ack = feedback_request::none;
  duration timeout = std::chrono::seconds{60};  // for the hub to take it
};

struct messenger_options {
  // Where and how to connect; the files are for transports that are made here.
  std::string ca_file = {};  // PEM; empty: the file named by SSL_CERT_FILE, else what the system trusts
  std::string crl_file = {}; // PEM revocation lists; empty: none are looked at (docs/tls-matrix.md)
  std::uint16_t amqps_port = 5671;
  amqp::sasl_mechanism sasl = amqp::sasl_mechanism::anonymous;  // or mssbcbs, or none: no SASL layer
  duration connect_timeout = std::chrono::seconds{60};
  duration idle_timeout = std::chrono::seconds{120};
  duration token_timeout = std::chrono::seconds{60};
  std::chrono::seconds token_lifetime{3600};  // at least 60 s
  std::chrono::seconds token_margin{0};       // how long before its end it is renewed; 0: a fifth of the lifetime

  std::size_t max_pending = 1000;    // messages whose outcome is open
  std::uint32_t feedback_window = 10;  // batches that are received and neither completed nor abandoned

  // After the connection or a link broke.
  retry_schedule retry = {.shortest = std::chrono::milliseconds{200},
                          .first = std::chrono::seconds{1},
                          .longest = std::chrono::seconds{30},
                          .attempts = 0};
  std::uint64_t seed = 0;  // of jitter and message ids; 0: random bytes of the crypto policy
};

// errc::invalid_argument naming the first field outside its range.
[[nodiscard]] inline result<void> validate(messenger_options const& o) {
  auto const bad = [](char const* text) { return error{errc::invalid_argument, text}; };
  if (o.amqps_port == 0) return bad("messenger_options: port 0 is no port to connect to");
  if (o.sasl == amqp::sasl_mechanism::plain || o.sasl == amqp::sasl_mechanism::external)
    return bad("messenger_options.sasl: a back end shows a token on $cbs");
  if (o.connect_timeout <= duration{0} || o.token_timeout <= duration{0} || o.idle_timeout < duration{0})
    return bad("messenger_options: a time limit is not positive");
  if (o.token_lifetime < std::chrono::seconds{60}) return bad("messenger_options.token_lifetime is below 60 s");
  if (o.token_margin < std::chrono::seconds{0} || o.token_margin >= o.token_lifetime)
    return bad("messenger_options.token_margin is not below the lifetime");
  if (o.max_pending == 0 || o.feedback_window == 0) return bad("messenger_options: a queue without room");
  if (o.retry.shortest < duration{0} || o.retry.first < duration{0} || o.retry.longest < o.retry.shortest)
    return bad("messenger_options.retry: the delays are not in rising order");
  return {};
}

}  // namespace v0
}  // namespace iothub
