// The contract between whatever carries HTTP requests and whatever answers them, in values.
//
// Two carriers know it: http::server_connection (bytes of HTTP/1.1 in and out) and memory::direct_http (no bytes at
// all). One answerer is the hub's HTTP face. The rules:
//
//   carrier                                        handler
//   -------                                        -------
//   on_request(request&&, reply_to, now)  ------>  owns the request from now on
//                                         <------  to.respond(response) inside that call, and returns answered; or
//                                                  returns a ticket of its own (not 0) and responds later, once,
//                                                  in any order, from any other call, never from another thread
//   on_cancel(ticket)                     ------>  the client went away: forget it, do not respond
//
// - A ticket is the handler's own number for what it still owes; it may be anything but 0 that is unique among all
//   that is pending at this handler, whichever carrier it came from. The carrier only hands it back.
// - After on_cancel(), or after its one answer, a reply_to is dead and must not be used: the carrier may be gone.
// - A carrier that is destroyed cancels all its pending exchanges first, so a kept reply_to never dangles unnoticed.
//   The handler must outlive its carriers.
// - on_cancel() is never called inside on_request(), and neither of them throws anything but bad_alloc.
// - A request that came as bytes has one Host field and its body whole; one that came as a value need not have a Host.
// - A carrier does nothing with a response but carry it: it adds Content-Length (or leaves the body out where HTTP
//   forbids one), Date is the handler's. A header with CR, LF or NUL in it becomes a plain 500 on the wire.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

using ticket = std::uint64_t;
inline constexpr ticket answered = 0;

// Takes answers; the carrier's side.
class reply_sink {
 public:
  // `exchange` is the carrier's number from reply_to. An answer to an exchange that ended is ignored.
  virtual void respond(std::uint64_t exchange, response&& answer) = 0;
  // Who asks, for a log line ("127.0.0.1:51234", "in process"); for no decision.
  [[nodiscard]] virtual std::string_view peer() const { return {}; }

 protected:
  ~reply_sink() = default;
};

// Where one answer goes. A value; two words.
struct reply_to {
  reply_sink* sink = nullptr;
  std::uint64_t exchange = 0;

  void respond(response&& answer) const { sink->respond(exchange, std::move(answer)); }
  [[nodiscard]] std::string_view peer() const { return sink->peer(); }
};

// The handler's side, as a virtual interface.
class request_handler {
 public:
  // Answers at once and returns `answered`, or returns a ticket and answers later.
  [[nodiscard]] virtual ticket on_request(request&& what, reply_to to, time_point now) = 0;
  virtual void on_cancel(ticket pending) = 0;

 protected:
  ~request_handler() = default;
};

// The same without virtual calls: what memory::direct_http takes. Every request_handler is one.
template <class P>
concept peer = requires(P& p, request what, reply_to to, time_point now, ticket pending) {
  { p.on_request(static_cast<request&&>(what), to, now) } -> std::same_as<ticket>;
  { p.on_cancel(pending) } -> std::same_as<void>;
};

static_assert(peer<request_handler>);

}  // namespace http
}  // namespace v0
}  // namespace iothub
