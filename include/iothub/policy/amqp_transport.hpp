// The AMQP policy of a client: one connection at a time to one server, opened again as often as its owner wants.
// Model: stream_amqp over any byte_stream (pipe, TCP, TLS, WebSocket).
#pragma once

#include <concepts>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/participant.hpp>
#include <iothub/policy/endpoint.hpp>

namespace iothub {
inline namespace v0 {

// open() starts and never blocks. When it succeeded, the owner's callbacks come from inside step(), and on_closed comes
// exactly once, whatever happens, unless drop() comes first; then open() may be called again (not from the callback).
// The reason that on_closed gets is the stream's own error where the stream failed (host_not_found, connection_refused,
// connection_lost, tls_failed, certificate_rejected), else what amqp::connection says (see handler.hpp).
//
// connection() holds from open() on, also when it is closed, until the next open(), drop() or the end of the transport.
// Verbs called on it outside of step() gather output; wake() makes sure that it leaves.
//
// close() says good-bye first; drop() ends at once, without callbacks, and must not be called from inside one: the
// owner forgets its links and sessions.
template <class T>
concept amqp_transport = requires(T& t, T const& c, endpoint const& where, amqp::connection_options const& how,
                                  amqp::sasl_credentials login, amqp::connection_handler& owner, time_point now,
                                  loop& on, participant& whom) {
  { t.open(where, how, std::move(login), owner, now) } -> std::same_as<result<void>>;
  { t.connection() } -> std::same_as<amqp::connection*>;
  { t.close() } -> std::same_as<void>;
  { t.drop() } -> std::same_as<void>;
  { t.step(now) } -> std::same_as<void>;
  { t.wake() } -> std::same_as<void>;
  { c.deadline() } -> std::same_as<time_point>;
  { t.attach(on, whom) } -> std::same_as<void>;
};

}  // namespace v0
}  // namespace iothub
