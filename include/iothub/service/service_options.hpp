// Every knob of a service client, with its default and its range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/retry.hpp>

namespace iothub {
inline namespace v0 {

struct service_options {
  // Where and how to connect; the files are for transports that are made here.
  std::string ca_file = {};           // PEM; empty: the file named by SSL_CERT_FILE, else what the system trusts
  std::string crl_file = {};          // PEM revocation lists; empty: none are looked at (docs/tls-matrix.md)
  std::uint16_t https_port = 443;
  std::string user_agent = {};        // appended to this library's own

  // How long an operation may take in all, retries included. A direct method gets what it asked the hub to wait
  // (connect_timeout + response_timeout) and the margin on top, so that it is the hub that says "timed out".
  duration request_timeout = std::chrono::seconds{60};
  duration method_margin = std::chrono::seconds{15};

  // A token for the whole hub is made when one is needed, and anew when it is about to end.
  std::chrono::seconds token_lifetime{3600};  // what the official SDKs use; at least 60 s
  std::chrono::seconds token_margin{0};       // how long before its end; 0: a fifth of the lifetime

  // Operations that only read (get, list, query) are repeated when the hub is busy (429, 503) or the connection broke:
  // after the time that the hub named (Retry-After), else by this schedule. All others end at once, since they may have
  // been carried out.
  std::uint32_t read_retries = 3;
  retry_schedule retry = {.shortest = std::chrono::milliseconds{200},
                          .first = std::chrono::seconds{1},
                          .longest = std::chrono::seconds{20},
                          .attempts = 0};

  std::size_t max_pending = 1000;     // operations at once
  std::uint64_t seed = 0;             // of the jitter; 0: random bytes of the crypto policy
};

// errc::invalid_argument naming the first field outside its range.
[[nodiscard]] inline result<void> validate(service_options const& o) {
  auto const bad = [](char const* text) { return error{errc::invalid_argument, text}; };
  if (o.https_port == 0) return bad("service_options: port 0 is no port to connect to");
  if (o.request_timeout <= duration{0} || o.method_margin <= duration{0})
    return bad("service_options: a time limit is not positive");
  if (o.token_lifetime < std::chrono::seconds{60}) return bad("service_options.token_lifetime is below 60 s");
  if (o.token_margin < std::chrono::seconds{0} || o.token_margin >= o.token_lifetime)
    return bad("service_options.token_margin is not below the lifetime");
  if (o.retry.shortest < duration{0} || o.retry.first < duration{0} || o.retry.longest < o.retry.shortest)
    return bad("service_options.retry: the delays are not in rising order");
  if (o.max_pending == 0) return bad("service_options.max_pending: a queue without room");
  for (char const c : o.user_agent)
    if (c < ' ' || c > '~') return bad("service_options.user_agent holds a character that is not printable ASCII");
  return {};
}

}  // namespace v0
}  // namespace iothub
