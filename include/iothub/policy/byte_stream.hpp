// The byte-stream policy: an ordered, reliable flow of bytes both ways, opened by the client side.
// Models: memory::pipe_stream, net::tcp_stream, net::tls_stream over any of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

enum class io_status : unsigned char {
  done,         // `size` bytes were moved, at least one
  would_block,  // nothing now; whoever was attached is woken when that changes (also while still connecting)
  end,          // read only: the peer closed in order, no byte will follow
  failed,       // the stream is dead; last_error() says why
};
struct io_result {
  io_status status = io_status::would_block;
  std::size_t size = 0;
  friend bool operator==(io_result, io_result) = default;
};

// open() starts connecting and never blocks; a failure may come from open() or from a later read() or write(). write()
// may be partial. close() drops the connection at once, throws nothing, and may be called at any time, also twice;
// after it the stream can be opened again. deadline() is the next time at which step(now) or an I/O call can make
// progress without being woken (latency in a pipe, a connect time-out); `never` where there is none. attach() names
// the participant that is woken when the stream becomes ready; it must outlive the stream or be replaced.
//
// Optional: `bool peer_left(time_point now) const`, whether the peer closed its side or broke away, without reading
// what it sent before; whoever is attached is woken for that too. The hub asks it while it does not want to read.
template <class S>
concept byte_stream = requires(S& s, S const& c, endpoint const& where, byte_span into, byte_view from, time_point now,
                               loop& on, participant& whom) {
  { s.open(where, now) } -> std::same_as<result<void>>;
  { s.read(into, now) } -> std::same_as<io_result>;
  { s.write(from, now) } -> std::same_as<io_result>;
  { s.close() } -> std::same_as<void>;
  { c.last_error() } -> std::convertible_to<error>;
  { c.deadline() } -> std::same_as<time_point>;
  { s.attach(on, whom) } -> std::same_as<void>;
};

}  // namespace v0
}  // namespace iothub
