// The HTTP transport policy: several exchanges may be open at once, since a direct method may hang for 300 s.
// Models: net::curl_http, stream_http<ByteStream>, memory::direct_http<Peer>; blocking_http makes one from a lambda.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

using exchange_id = std::uint64_t;  // never 0, never used twice by one transport

struct http_completion {
  exchange_id id = 0;
  result<http::response> outcome = errc::closed;
};

// start() never blocks; each started exchange ends in exactly one completion, unless it was cancelled: then in none.
// The transport adds Host and Content-Length; everything else is the caller's. No user code runs inside the transport.
template <class H>
concept http_transport = requires(H& h, H const& c, endpoint const& where, http::request request, exchange_id id,
                                  time_point now, loop& on, participant& whom) {
  { h.start(where, static_cast<http::request&&>(request), now) } -> std::same_as<exchange_id>;
  { h.cancel(id) } -> std::same_as<void>;
  { h.step(now) } -> std::same_as<void>;
  { h.next_completion() } -> std::same_as<std::optional<http_completion>>;
  { c.deadline() } -> std::same_as<time_point>;
  { h.attach(on, whom) } -> std::same_as<void>;
};

}  // namespace v0
}  // namespace iothub
