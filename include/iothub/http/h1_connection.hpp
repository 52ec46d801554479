// One HTTP/1.1 connection (RFC 9112), for either role, without I/O: bytes in, events out; messages in, bytes out.
//
// Theory of operation. Bytes that came go into receive(); next() is asked for events until it has none. What is to be
// sent collects in output(). This core knows who owes whom:
//
// - server: requests may come before earlier ones are answered (pipelining); they are remembered, up to max_pipelined,
//   and send() answers the oldest. Nothing is read behind a request that ends the connection or offers an upgrade.
// - client: one request at a time. Pipelining would let a direct method that hangs for minutes block all behind it, so
//   whoever wants more at once opens more connections. Bytes that answer no request are an error.
// - A connection is kept unless either side said `Connection: close` or spoke HTTP/1.0.
// - 100-continue: the server says so when the head is there, no byte of the body is, and all before it is answered; the
//   client never asks for it, and skips every interim response.
// - Upgrade: once 101 was sent or received, the connection is nobody's HTTP any more: next() says `upgraded`, and
//   take_input() hands on the bytes that came after.
//
// Two families of errors: send() fails when this side breaks the rules, next() says `failed` when the peer did.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/result.hpp>
#include <iothub/http/h1_parser.hpp>
#include <iothub/http/h1_writer.hpp>
#include <iothub/http/message.hpp>

namespace iothub {
inline namespace v0 {
namespace http {

struct h1_options {
  h1_limits limits = {};
  std::size_t max_pipelined = 16;  // server: requests that wait for their answers; no more are read then
};

enum class h1_event : unsigned char {
  none,      // more bytes are needed
  request,   // server: take_request()
  response,  // client: take_response()
  paused,    // server: not before the oldest request is answered
  upgraded,  // take_input() has what follows; nothing else will come
  closed,    // the connection is over in good order: nothing more is read
  failed,    // the peer broke the rules, or went away in the middle: last_error(), and status() for a server
};

class h1_connection {
 public:
  explicit h1_connection(h1_role role, h1_options options = {}) noexcept
      : parser_{role, options.limits}, options_{options}, role_{role} {}

  // Bytes from the peer. prepare() and commit() are the same without a copy.
  void receive(byte_view bytes) { in_.append(bytes); }
  [[nodiscard]] byte_span prepare(std::size_t size) { return in_.prepare(size); }
  void commit(std::size_t size) noexcept { in_.commit(size); }
  // The peer will send no more.
  void receive_end() noexcept { ended_ = true; }

  [[nodiscard]] h1_event next();
  [[nodiscard]] request take_request() noexcept { return std::move(taken_request_); }
  [[nodiscard]] response take_response() noexcept { return std::move(taken_response_); }

  // Server: answers the oldest request. errc::invalid_state when there is none, or for 101 to a request that did not
  // offer it; errc::invalid_argument when the response cannot be written: then nothing was. `close` ends the
  // connection.
  result<void> send(response const& answer, bool close = false);
  // Server: the last words to a peer that broke the rules, when all good requests before it are answered.
  void send_refusal(int status);
  // Server: treats the request that is arriving as broken.
  void reject(char const* what, errc code, int status) {
    (void)parser_.refuse(what, code, status);
    failed_ = true;
  }
  // Reads and answers nothing more; output() stays.
  void abandon() noexcept {
    over_ = true;
    in_.clear();
  }
  // Client: errc::invalid_state while another request is open or when the connection is used up.
  result<void> send(request const& what, std::string_view host);

  [[nodiscard]] byte_view output() const noexcept { return out_.view(); }
  void consume_output(std::size_t size) noexcept { out_.consume(size); }
  // Appends raw bytes; for what follows an upgrade.
  void append_output(byte_view bytes) { out_.append(bytes); }

  // Requests that wait: for their answer (server), for the response (client: 0 or 1).
  [[nodiscard]] std::size_t open_exchanges() const noexcept { return open_; }
  // Client: another request may be sent.
  [[nodiscard]] bool reusable() const noexcept {
    return !over_ && !upgraded_ && !failed_ && open_ == 0 && in_.empty() && out_.empty();
  }
  // No message will follow output().
  [[nodiscard]] bool finished() const noexcept { return over_ || failed_; }
  // The last message of this side was sent.
  [[nodiscard]] bool closing() const noexcept { return over_; }
  [[nodiscard]] bool upgraded() const noexcept { return upgraded_; }
  // A message began to arrive and is not whole.
  [[nodiscard]] bool in_message() const noexcept { return parser_.in_message() || !in_.empty(); }
  [[nodiscard]] error const& last_error() const noexcept { return parser_.last_error(); }
  [[nodiscard]] int status() const noexcept { return parser_.status(); }
  // The bytes that came and were not read as HTTP.
  [[nodiscard]] byte_buffer take_input() noexcept { return std::move(in_); }
  // Bytes that are of no use any more, after the end.
  void discard_input() noexcept { in_.clear(); }
  // Gives idle memory back, but for a little that the next exchange needs at once.
  void shrink(std::size_t keep = 4096) noexcept {
    in_.shrink(keep);
    out_.shrink(keep);
  }

 private:
  h1_event on_message();
  h1_event on_request();
  h1_event on_response();
  h1_event on_end();
  void offer_continue();

  byte_buffer in_;
  byte_buffer out_;
  h1_parser parser_;
  request taken_request_;
  response taken_response_;
  std::string head_flags_;  // one character per open request: 'H' for HEAD, else ' '
  h1_options options_;
  std::size_t open_ = 0;
  h1_role role_;
  bool ended_ = false;  // the peer will send no more
  bool over_ = false;   // neither side will begin another message
  bool failed_ = false;
  bool upgraded_ = false;
  bool last_request_ = false;     // the latest request ends the connection
  bool upgrade_offered_ = false;  // by the latest request
  bool continue_due_ = false;     // the peer waits for 100 before it sends its body
};

// ---------------------------------------------------------------------------------------------------------------------

inline h1_event h1_connection::next() {
  for (;;) {
    if (failed_) return h1_event::failed;
    if (upgraded_) return h1_event::upgraded;
    if (over_) return h1_event::closed;
    if (role_ == h1_role::server && open_ != 0 &&
        (last_request_ || upgrade_offered_ || open_ >= options_.max_pipelined))
      return h1_event::paused;
    h1_parser::outcome seen = h1_parser::outcome::need_data;
    if (role_ == h1_role::client && open_ == 0) {
      if (!in_.empty()) seen = parser_.refuse("HTTP: bytes that answer no request");
    } else {
      seen = parser_.parse(in_);
    }
    if (seen == h1_parser::outcome::need_data && ended_) return on_end();
    switch (seen) {
      case h1_parser::outcome::need_data: offer_continue(); return h1_event::none;
      case h1_parser::outcome::failed: failed_ = true; break;
      case h1_parser::outcome::head:
        continue_due_ =
            role_ == h1_role::server && parser_.head().expects_continue && parser_.head().has_body && in_.empty();
        break;
      case h1_parser::outcome::message:
        if (h1_event const event = on_message(); event != h1_event::none) return event;
        break;
    }
  }
}

inline h1_event h1_connection::on_message() {
  continue_due_ = false;
  return role_ == h1_role::server ? on_request() : on_response();
}

inline h1_event h1_connection::on_request() {
  last_request_ = !parser_.head().keep_alive;
  upgrade_offered_ = parser_.head().upgrade;
  taken_request_ = std::move(parser_.request());
  parser_.restart();
  head_flags_ += taken_request_.method == "HEAD" ? 'H' : ' ';
  ++open_;
  return h1_event::request;
}

// Interim responses are skipped; 101 is one only to a request that offered an upgrade (RFC 9110 section 15.2.2).
inline h1_event h1_connection::on_response() {
  int const status = parser_.response().status;
  if (status == 101) {
    if (!upgrade_offered_) {
      (void)parser_.refuse("HTTP: the server switched protocols without being asked");
      failed_ = true;
      return h1_event::failed;
    }
    upgraded_ = true;
  } else if (status < 200) {
    parser_.restart();
    parser_.expect_no_body(head_flags_ == "H");
    return h1_event::none;
  }
  if (!parser_.head().keep_alive || last_request_) over_ = true;
  taken_response_ = std::move(parser_.response());
  parser_.restart();
  open_ = 0;
  return h1_event::response;
}

inline h1_event h1_connection::on_end() {
  if (role_ == h1_role::server || open_ != 0) {
    switch (parser_.end_of_input()) {
      case h1_parser::outcome::message: return on_message();
      case h1_parser::outcome::failed: failed_ = true; return h1_event::failed;
      default: break;
    }
    if (role_ == h1_role::client) {
      (void)parser_.refuse("HTTP: the server closed the connection instead of answering", errc::connection_lost);
      failed_ = true;
      return h1_event::failed;
    }
  }
  over_ = true;
  return h1_event::closed;
}

inline void h1_connection::offer_continue() {
  if (!continue_due_ || open_ != 0) return;
  continue_due_ = false;
  if (in_.empty()) out_.append("HTTP/1.1 100 Continue\r\n\r\n");
}

inline result<void> h1_connection::send(response const& answer, bool close) {
  if (role_ != h1_role::server || open_ == 0) return error{errc::invalid_state, "HTTP: there is no request to answer"};
  bool const latest = open_ == 1;
  bool const upgrade = answer.status == 101;
  if (upgrade && !(latest && upgrade_offered_))
    return error{errc::invalid_state, "HTTP: 101 to a request that offered no upgrade"};
  if (answer.status < 200 && !upgrade) return error{errc::invalid_argument, "HTTP: an interim status is no answer"};
  close = close || (latest && last_request_) || list_has(answer.headers, "Connection", "close");
  if (auto done = write_response(out_, answer, {.close = close && !upgrade, .no_body = head_flags_.front() == 'H'});
      !done)
    return done;
  head_flags_.erase(0, 1);
  --open_;
  if (latest) upgrade_offered_ = false;
  if (upgrade)
    upgraded_ = true;
  else if (close)
    over_ = true;
  offer_continue();
  return {};
}

inline void h1_connection::send_refusal(int status) {
  (void)write_response(out_, response{.status = status}, {.close = true});
  over_ = true;
}

inline result<void> h1_connection::send(request const& what, std::string_view host) {
  if (role_ != h1_role::client || open_ != 0 || over_ || failed_ || upgraded_)
    return error{errc::invalid_state, "HTTP: this connection takes no request now"};
  if (auto done = write_request(out_, what, host); !done) return done;
  head_flags_ = what.method == "HEAD" ? "H" : " ";
  parser_.expect_no_body(what.method == "HEAD");
  upgrade_offered_ = what.headers.has("Upgrade") && list_has(what.headers, "Connection", "upgrade");
  last_request_ = list_has(what.headers, "Connection", "close");
  open_ = 1;
  return {};
}

}  // namespace http
}  // namespace v0
}  // namespace iothub
