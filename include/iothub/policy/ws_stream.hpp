// A WebSocket over any byte stream, client role: a byte stream again. Over TLS it is what firewalls let pass, port 443.
//
// Theory of operation. open() opens the stream below and asks for the upgrade; read() and write() carry the handshake
// on until it is done, and then move bytes in frames: each write is one frame, and of what is read only the payload is
// left. Bytes that came behind the server's 101 are kept and used up first.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <iothub/base/attempt.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/http/h1_connection.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/ws/connection.hpp>
#include <iothub/ws/handshake.hpp>

namespace iothub {
inline namespace v0 {

struct ws_stream_options {
  std::string path = "/";                                 // with its query, percent-encoded
  std::string subprotocol = {};                           // the one that is asked for; empty: none
  ws::random_source random = {};                          // bytes that nobody can foresee; needed
  duration handshake_timeout = std::chrono::seconds{30};  // from open() to the server's 101
};

// write() puts what it is given into one frame of at most 16 kB and sends it at once: hand over in one call what a turn
// has to say. A write() that would block must be repeated later with the same bytes in front, more may follow.
template <byte_stream Next>
class ws_stream {
 public:
  ws_stream(ws_stream_options options, Next next)
      : options_{std::move(options)}, next_{std::move(next)}, wire_{ws::role::client, std::move(options_.random)} {}
  ws_stream(ws_stream&&) noexcept = default;
  ws_stream& operator=(ws_stream&&) noexcept = default;
  ~ws_stream() = default;

  // As Next has it; besides errc::invalid_argument for a path that cannot be sent or without a random source, and what
  // that source says. read() and write() fail with what the server answered instead of 101 (ws/handshake.hpp has the
  // codes), errc::timeout (the handshake took too long), protocol_error, too_large or unsupported (the server broke a
  // rule), errc::connection_lost (an end without a close frame, or with a code that is none of good order), or as Next
  // does.
  result<void> open(endpoint const& where, time_point now);
  io_result read(byte_span into, time_point now);
  io_result write(byte_view from, time_point now);
  // Says close, as far as it can be sent at once, and closes Next.
  void close() noexcept;
  [[nodiscard]] error last_error() const { return last_error_ ? *last_error_ : error{errc::closed}; }
  [[nodiscard]] time_point deadline() const {
    time_point const below = next_.deadline();
    return handshake_ends_ < below ? handshake_ends_ : below;
  }
  void attach(loop& on, participant& whom) {
    loop_ = &on;
    whom_ = &whom;
    next_.attach(on, whom);
  }

  // Of the connection below, where that can tell.
  [[nodiscard]] bool peer_left(time_point now) const noexcept requires requires(Next const& next) {
    next.peer_left(now);
  }
  { return next_.peer_left(now); }
  [[nodiscard]] bool established() const noexcept { return open_ && !http_; }
  [[nodiscard]] Next& next_layer() noexcept { return next_; }
  [[nodiscard]] Next const& next_layer() const noexcept { return next_; }

 private:
  static constexpr std::size_t max_payload = 16 * 1024;  // of a frame: with its header, two records of TLS at most
  static constexpr int rounds_per_call = 8;

  result<void> start(endpoint const& where);
  io_status handshake(time_point now);
  io_result answered();
  io_status flush(time_point now);
  io_result ended();
  // More may lie there, and what watches the stream may tell of new bytes only.
  void go_on_later() {
    if (loop_ != nullptr) loop_->wake(*whom_);
  }
  io_result fail(error e) {
    close();
    last_error_ = std::move(e);
    return {io_status::failed, 0};
  }

  ws_stream_options options_;
  Next next_;
  ws::connection wire_;
  maybe<http::h1_connection> http_;  // as long as the handshake lasts
  std::string key_;
  byte_buffer early_;       // what came behind the server's 101
  std::size_t framed_ = 0;  // bytes in a frame that is not wholly sent
  bool open_ = false;
  time_point handshake_ends_ = never;
  time_point last_now_ = {};
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  maybe<error> last_error_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <byte_stream Next>
result<void> ws_stream<Next>::open(endpoint const& where, time_point now) {
  if (open_) return error{errc::invalid_state, "the connection is open already"};
  last_error_.reset();
  last_now_ = now;
  if (auto started = start(where); !started) return started;
  open_ = true;
  handshake_ends_ = iothub::add(now, options_.handshake_timeout);
  auto opened = next_.open(where, now);
  if (!opened) fail(opened.error());
  return opened;
}

template <byte_stream Next>
result<void> ws_stream<Next>::start(endpoint const& where) {
  char bytes[ws::key_bytes];
  if (auto drawn = wire_.draw(bytes); !drawn) return drawn;
  key_ = to_base64({bytes, sizeof bytes});
  bool const literal = where.host.find(':') != std::string::npos;
  std::string host = literal ? "[" + where.host + "]" : where.host;
  if (where.port != 443) host += ":" + std::to_string(where.port);
  http_.emplace(http::h1_role::client);
  auto sent = http_->send(ws::make_request(options_.path, key_, options_.subprotocol), host);
  if (!sent) http_.reset();
  return sent;
}

template <byte_stream Next>
io_status ws_stream<Next>::handshake(time_point now) {
  if (!http_) return io_status::done;
  while (!http_->output().empty()) {
    io_result const sent = next_.write(http_->output(), now);
    if (sent.status == io_status::failed) return fail(next_.last_error()).status;
    if (sent.status != io_status::done) break;
    http_->consume_output(sent.size);
  }
  for (int round = 0;; ++round) {
    if (round == rounds_per_call) {
      go_on_later();
      break;
    }
    char bytes[2048];
    io_result const got = next_.read(bytes, now);
    if (got.status == io_status::failed) return fail(next_.last_error()).status;
    if (got.status == io_status::would_block) break;
    if (got.status == io_status::end) http_->receive_end();
    http_->receive({bytes, got.size});
    switch (http_->next()) {
      case http::h1_event::none: continue;
      case http::h1_event::response: return answered().status;
      default: return fail(http_->last_error()).status;
    }
  }
  if (now < handshake_ends_) return io_status::would_block;
  return fail({errc::timeout, "the WebSocket handshake took too long"}).status;
}

template <byte_stream Next>
io_result ws_stream<Next>::answered() {
  auto const agreed = ws::check_response(http_->take_response(), key_, options_.subprotocol);
  if (!agreed) return fail(agreed.error());
  early_ = http_->take_input();
  http_.reset();
  handshake_ends_ = never;
  return {io_status::done, 0};
}

template <byte_stream Next>
io_status ws_stream<Next>::flush(time_point now) {
  while (!wire_.output().empty()) {
    io_result const sent = next_.write(wire_.output(), now);
    if (sent.status != io_status::done) return sent.status;
    wire_.consume_output(sent.size);
  }
  wire_.shrink(512);
  return io_status::done;
}

// What a reader learns at the end of what came.
template <byte_stream Next>
io_result ws_stream<Next>::ended() {
  if (wire_.broken() != nullptr) return fail(*wire_.broken());
  std::uint16_t const code = wire_.peer_code();
  if (code == ws::close_code::normal || code == ws::close_code::going_away || code == ws::close_code::none)
    return {io_status::end, 0};
  std::string text = "the server closed the WebSocket with code " + std::to_string(code);
  if (!wire_.peer_reason().empty() && is_clean_text(wire_.peer_reason())) text.append(": ").append(wire_.peer_reason());
  return fail({errc::connection_lost, std::move(text)});
}

template <byte_stream Next>
io_result ws_stream<Next>::read(byte_span into, time_point now) {
  if (!open_) return {io_status::failed, 0};
  last_now_ = now;
  if (io_status const status = handshake(now); status != io_status::done) return {status, 0};
  if (flush(now) == io_status::failed) return fail(next_.last_error());
  if (into.empty()) return {};
  for (int round = 0; round != rounds_per_call; ++round) {
    if (wire_.over()) return ended();
    std::size_t moved = 0;
    if (!early_.empty()) {
      byte_view const part = early_.view().substr(0, into.size());
      moved = wire_.receive(part, into.data());
      early_.consume(part.size());
      early_.shrink();
    } else {
      io_result const got = next_.read(into, now);
      if (got.status == io_status::would_block) return {};
      if (got.status == io_status::failed) return fail(next_.last_error());
      if (got.status == io_status::end)  // RFC 6455 section 7.1.5
        return fail({errc::connection_lost, "the connection ended without a WebSocket close frame"});
      moved = wire_.receive({into.data(), got.size}, into.data());
    }
    if (flush(now) == io_status::failed && moved == 0 && !wire_.over()) return fail(next_.last_error());
    if (moved != 0) return {io_status::done, moved};
  }
  go_on_later();  // frames without a byte for the reader
  return {};
}

template <byte_stream Next>
io_result ws_stream<Next>::write(byte_view from, time_point now) {
  if (!open_) return {io_status::failed, 0};
  last_now_ = now;
  if (io_status const status = handshake(now); status != io_status::done) return {status, 0};
  if (from.empty() && framed_ == 0) return {};
  io_status sent = flush(now);
  if (sent == io_status::done && framed_ == 0) {
    byte_view const part = from.substr(0, max_payload);
    if (wire_.over() && ended().status == io_status::failed) return {io_status::failed, 0};
    if (wire_.over()) return fail({errc::connection_lost, "the server closed the WebSocket"});
    if (auto put = wire_.send(part); !put) return fail(put.error());
    framed_ = part.size();
    sent = flush(now);
  }
  if (sent == io_status::failed) return fail(next_.last_error());
  if (sent != io_status::done) return {};
  return {io_status::done, exchanged(framed_, 0)};
}

template <byte_stream Next>
void ws_stream<Next>::close() noexcept {
  attempt([this] {  // without memory for it the peer sees a connection that was cut
    if (!established()) return;
    wire_.close();
    flush(last_now_);
  });
  wire_.restart();
  http_.reset();
  early_ = {};
  framed_ = 0;
  open_ = false;
  handshake_ends_ = never;
  last_error_.reset();
  next_.close();
}

}  // namespace v0
}  // namespace iothub
