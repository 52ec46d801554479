// The server's side of one connection, without I/O: bytes in, requests to a handler, answers in order, bytes out.
//
// Theory of operation. The driver hands bytes to receive() as long as wants_input() holds, and writes output(). Each
// whole request goes to the handler (http/server.hpp); answers may come in any order and are held until those before
// them are there, since HTTP/1.1 answers in the order of the requests. Three things stop the reading: max_pipelined
// requests wait, output_limit bytes are ready that a slow peer did not take or that wait behind an earlier answer, or
// the connection ends. So what one peer can make the server hold is bounded by the options.
//
// A request can be much work for the handler. Between two calls of on_time(), which begin the driver's steps, only one
// is handed over; when more have come the driver is woken, so that other connections have their turn first.
//
// A broken request is answered once with its 4xx or 5xx, in its turn, and the connection ends. When the peer goes away,
// everything still pending is cancelled at the handler. All time limits are deadlines: call on_time() when deadline()
// is due.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/h1_connection.hpp>
#include <iothub/http/message.hpp>
#include <iothub/http/server.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

struct server_options {
  h1_options h1 = {};
  std::size_t output_limit = 256 * 1024;                // above this no further request is handled
  duration request_timeout = std::chrono::seconds{30};  // from the first byte of a request to its last
  duration idle_timeout = std::chrono::seconds{120};    // between requests; longer than clients keep theirs
  duration first_timeout = std::chrono::seconds{120};   // from the start to the first byte of the first request
  duration write_timeout = std::chrono::seconds{60};    // without the peer taking a byte
  duration linger_timeout = std::chrono::seconds{2};    // after a refusal, for a peer that still sends
};

class server_connection final : public reply_sink {
 public:
  explicit server_connection(request_handler& handler, time_point now, server_options options = {},
                             std::string peer = {})
      : h1_{h1_role::server, options.h1}, options_{options}, handler_{&handler}, peer_{std::move(peer)}, since_{now} {}
  server_connection(server_connection const&) = delete;
  server_connection& operator=(server_connection const&) = delete;
  ~server_connection() { cancel_all(); }

  // False while the driver should not read: see above. Bytes that are received anyway are kept.
  [[nodiscard]] bool wants_input() const noexcept {
    if (end_due_) return false;
    return lingering() || (!h1_.finished() && !h1_.upgraded() && exchanges_.size() < options_.h1.max_pipelined &&
                           ready_bytes() < options_.output_limit);
  }
  void receive(byte_view bytes, time_point now);
  // The same without a copy: fill the span, then commit.
  [[nodiscard]] byte_span prepare(std::size_t size) { return h1_.prepare(size); }
  void commit(std::size_t size, time_point now);
  // The peer closed its side or broke away. Requests that came before are still handed over; then those that were not
  // answered at once are cancelled, and what is in output() may still be written.
  void receive_end(time_point now);

  [[nodiscard]] byte_view output() const noexcept { return aborted_ ? byte_view{} : h1_.output(); }
  void consume_output(std::size_t size, time_point now);

  // Close the stream: nothing is left to write and nothing will follow.
  [[nodiscard]] bool finished() const noexcept {
    return aborted_ || (h1_.finished() && exchanges_.empty() && output().empty() && !lingering());
  }
  // 101 was sent: write output(), then give take_input() and the stream to the next protocol.
  [[nodiscard]] bool upgraded() const noexcept { return h1_.upgraded(); }
  [[nodiscard]] byte_buffer take_input() noexcept { return h1_.take_input(); }

  [[nodiscard]] time_point deadline() const noexcept;
  void on_time(time_point now);

  // Called when an answer that came from outside made output() or ended the connection, and when on_time() has another
  // request to hand over: wake the driver.
  void on_output(function<void()> wake) { wake_ = std::move(wake); }
  [[nodiscard]] std::size_t pending() const noexcept { return exchanges_.size(); }
  // Why the peer was refused, for a log line; null when it was not.
  [[nodiscard]] error const* rejected() const noexcept { return broken_ ? &h1_.last_error() : nullptr; }

  inline void respond(std::uint64_t exchange, response&& answer) override;
  [[nodiscard]] std::string_view peer() const override { return peer_; }

 private:
  // What the connection waits for, each with a limit of its own.
  enum class wait : unsigned char { request, rest_of_request, answer, room, farewell };
  struct entry {
    std::uint64_t exchange = 0;
    ticket pending = answered;
    bool ready = false;
    response answer = {};
  };
  // Marks that a call of the driver is running: it looks at output() afterwards anyway.
  struct visit {
    explicit visit(server_connection& self) noexcept : inside{self.inside_} { inside = true; }
    ~visit() { inside = false; }
    visit(visit const&) = delete;
    visit& operator=(visit const&) = delete;
    bool& inside;
  };

  void process(time_point now);
  void dispatch(time_point now);
  void refuse();
  void flush();
  // What the peer has to take before the server may forget it, heads of waiting answers aside.
  [[nodiscard]] std::size_t ready_bytes() const noexcept;
  [[nodiscard]] time_point limit() const noexcept;
  void settle(time_point now) noexcept;
  void cancel_all() noexcept;
  [[nodiscard]] entry* find(std::uint64_t exchange) noexcept;
  [[nodiscard]] wait waiting_for() const noexcept;
  [[nodiscard]] duration patience(wait what) const noexcept;
  // After a refusal the peer may still be sending. Closing at once would make TCP reset the connection and tear the
  // refusal out of its hands (RFC 9112 section 9.6), so what comes is read and dropped for a while.
  [[nodiscard]] bool lingering() const noexcept { return broken_ && !ended_ && !aborted_; }

  h1_connection h1_;
  std::vector<entry> exchanges_;  // in the order of the requests
  server_options options_;
  request_handler* handler_;
  std::string peer_;
  function<void()> wake_;
  time_point since_;  // when the present wait began
  std::uint64_t last_exchange_ = 0;
  wait wait_ = wait::request;
  bool since_unknown_ = false;  // an answer came from outside, and brought no time with it
  bool inside_ = false;
  bool may_dispatch_ = true;  // no request was handed over in this step
  bool more_ = false;         // bytes came that are for the next step
  bool end_due_ = false;      // the peer closed its side behind them
  bool broken_ = false;  // the peer sent something that is no request
  bool ended_ = false;
  bool aborted_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void server_connection::receive(byte_view bytes, time_point now) {
  if (!h1_.finished()) h1_.receive(bytes);
  process(now);
}

inline void server_connection::commit(std::size_t size, time_point now) {
  h1_.commit(size);
  if (h1_.finished()) h1_.discard_input();
  process(now);
}

inline void server_connection::receive_end(time_point now) {
  end_due_ = more_ && !aborted_;
  if (end_due_) return;
  ended_ = true;
  cancel_all();
  h1_.abandon();
  settle(now);
}

inline void server_connection::consume_output(std::size_t size, time_point now) {
  h1_.consume_output(size);
  since_ = now;
  process(now);
}

inline void server_connection::process(time_point now) {
  if (inside_) return;
  visit const here{*this};
  more_ = false;
  while (!h1_.finished() && ready_bytes() < options_.output_limit) {
    if (!may_dispatch_) {
      more_ = h1_.in_message();
      break;
    }
    h1_event const event = h1_.next();
    if (event == h1_event::failed) refuse();
    if (event != h1_event::request) break;
    may_dispatch_ = false;
    dispatch(now);
  }
  settle(now);
  if (more_ && wake_) wake_();
}

inline void server_connection::dispatch(time_point now) {
  std::uint64_t const exchange = ++last_exchange_;
  exchanges_.push_back(entry{.exchange = exchange});
  ticket const pending = handler_->on_request(h1_.take_request(), reply_to{this, exchange}, now);
  if (entry* const e = find(exchange); e != nullptr && !e->ready) {
    e->pending = pending;
    if (pending == answered) {  // the handler broke its promise; the peer shall not hang for it
      e->ready = true;
      e->answer.status = 500;
    }
  }
  flush();
}

// The refusal takes its place behind the requests that still wait.
inline void server_connection::refuse() {
  broken_ = true;
  flush();
}

inline void server_connection::respond(std::uint64_t exchange, response&& answer) {
  entry* const e = find(exchange);
  if (e == nullptr || e->ready) return;
  e->answer = std::move(answer);
  e->ready = true;
  e->pending = answered;
  if (inside_) return;
  flush();
  if (waiting_for() == wait_) return;
  since_unknown_ = true;
  if (wake_) wake_();
}

inline void server_connection::flush() {
  while (!exchanges_.empty() && exchanges_.front().ready && !h1_.closing()) {
    response const answer = std::move(exchanges_.front().answer);
    exchanges_.erase(exchanges_.begin());
    if (!h1_.send(answer)) (void)h1_.send(response{.status = 500});
  }
  if (h1_.closing()) cancel_all();  // an answer said close: requests behind it are never answered
  if (broken_ && exchanges_.empty() && !h1_.closing()) h1_.send_refusal(h1_.status());
}

inline std::size_t server_connection::ready_bytes() const noexcept {
  std::size_t size = h1_.output().size();
  for (entry const& e : exchanges_) size += e.answer.body.size();
  return size;
}

inline void server_connection::cancel_all() noexcept {
  std::vector<entry> const gone = std::exchange(exchanges_, {});
  for (entry const& e : gone)
    if (e.pending != answered) handler_->on_cancel(e.pending);
}

inline server_connection::entry* server_connection::find(std::uint64_t exchange) noexcept {
  for (entry& e : exchanges_)
    if (e.exchange == exchange) return &e;
  return nullptr;
}

inline server_connection::wait server_connection::waiting_for() const noexcept {
  if (!h1_.output().empty()) return wait::room;
  if (h1_.closing()) return wait::farewell;
  if (h1_.in_message() && wants_input() && !broken_) return wait::rest_of_request;
  return exchanges_.empty() ? wait::request : wait::answer;
}

inline duration server_connection::patience(wait what) const noexcept {
  switch (what) {
    case wait::request: return last_exchange_ == 0 ? options_.first_timeout : options_.idle_timeout;
    case wait::rest_of_request: return options_.request_timeout;
    case wait::answer: return duration::max();  // the handler's business
    case wait::room: return options_.write_timeout;
    case wait::farewell: return options_.linger_timeout;
  }
  return duration::max();
}

inline void server_connection::settle(time_point now) noexcept {
  wait const what = waiting_for();
  if (what != wait_ || since_unknown_) since_ = now;
  wait_ = what;
  since_unknown_ = false;
  if (what == wait::request) h1_.shrink();
}

inline time_point server_connection::deadline() const noexcept {
  return more_ ? time_point::min() : limit();
}

inline time_point server_connection::limit() const noexcept {
  if (finished() || upgraded()) return never;
  return since_unknown_ ? time_point{} : add(since_, patience(wait_));
}

inline void server_connection::on_time(time_point now) {
  may_dispatch_ = true;
  if (more_) process(now);
  if (end_due_ && !more_) receive_end(now);
  if (since_unknown_) settle(now);
  if (now < limit()) return;
  if (wait_ == wait::rest_of_request) {
    h1_.reject("HTTP: the request did not arrive in time", errc::timeout, 408);  // RFC 9110 section 15.5.9
    refuse();
    settle(now);
    return;
  }
  aborted_ = true;
  more_ = false;
  cancel_all();
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
