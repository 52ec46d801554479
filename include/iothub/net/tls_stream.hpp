// TLS over any byte stream, in both roles: over TCP for the world, over a pipe for tests in virtual time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <iothub/base/attempt.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/net/tls_engine.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct tls_stream_options {
  duration handshake_timeout = std::chrono::seconds{30};
  // The time at which certificates are judged. Unless given: the loop's, so that virtual time is obeyed.
  function<utc_time()> utc_now = {};
};

// write() puts what it is given into one record (of at most 16 kB) and sends it at once: hand over in one call what a
// turn has to say. A write() that would block must be repeated later with the same bytes in front, more may follow:
// they are encrypted already.
//
// A peer can send records without end in which there is nothing to read, such as KeyUpdate (RFC 8446 section 4.6.3). So
// a call reads Next a few times only and then has itself called again; and what comes without a byte for the reader is
// limited, to sixteen times the largest record, after which the connection fails.
template <byte_stream Next>
class tls_stream {
 public:
  // A client, to be opened.
  tls_stream(tls_context context, Next next, tls_stream_options options = {})
      : context_{std::move(context)}, next_{std::move(next)}, options_{std::move(options)} {
    if (context_.role() != tls_role::server) return;
    if (auto started = start({}); !started) last_error_ = std::move(started).error();
  }
  // The server's end of a connection that was accepted: the same constructor, with a server's context.

  tls_stream(tls_stream&&) noexcept = default;
  tls_stream& operator=(tls_stream&&) noexcept = default;
  ~tls_stream() = default;

  // As Next has it; besides errc::invalid_argument for a host that no certificate can name and errc::unsupported at the
  // server's end. read() and write() fail with errc::certificate_rejected, errc::tls_failed, errc::timeout (the
  // handshake took too long), errc::protocol_error (too many records without data), errc::connection_lost (also an end
  // without close_notify), or as Next does.
  result<void> open(endpoint const& where, time_point now);
  io_result read(byte_span into, time_point now);
  io_result write(byte_view from, time_point now);
  // Says close_notify, as far as it can be sent at once, and closes Next.
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
  [[nodiscard]] bool peer_left(time_point now) const noexcept
    requires requires(Next const& next) { next.peer_left(now); }
  {
    return next_.peer_left(now);
  }

  [[nodiscard]] bool established() const noexcept { return engine_ && engine_->established(); }
  // The certificate of the other side as DER; empty when there is none or the handshake is not complete.
  [[nodiscard]] std::string peer_certificate() const {
    return established() ? engine_->peer_certificate() : std::string{};
  }
  [[nodiscard]] Next& next_layer() noexcept { return next_; }
  [[nodiscard]] Next const& next_layer() const noexcept { return next_; }

 private:
  // More than a record with its header, so that one read of the system takes one of the peer's writes.
  static constexpr std::size_t scratch_size = 16 * 1024 + 512;
  static constexpr int rounds_per_call = 8;
  static constexpr std::size_t barren_limit = 16 * scratch_size;

  // Declared behind the memory that is lent to the engine, so that no way out of a function leaves a view of it.
  class loan {
   public:
    explicit loan(maybe<tls_engine>& to) noexcept : to_{to} {}
    loan(loan const&) = delete;
    loan& operator=(loan const&) = delete;
    ~loan() {
      if (to_) to_->end_loan();
    }

   private:
    maybe<tls_engine>& to_;
  };

  result<void> start(std::string const& host);
  io_status handshake(time_point now);
  // Also when an exception left the handshake that did it.
  io_status established_now() noexcept {
    if (handshake_ends_ != never) barren_ = 0;
    handshake_ends_ = never;
    return io_status::done;
  }
  io_status receive(char (&scratch)[scratch_size], time_point now);
  io_status flush(time_point now);
  // After rounds_per_call rounds: the rest in another step, which nothing else may cause, since what watches the
  // stream may tell of new bytes only.
  io_status go_on_later() {
    if (loop_ != nullptr) loop_->wake(*whom_);
    return io_status::would_block;
  }
  io_result fail(error e);  // tells the peer why, if that can be sent at once

  tls_context context_;
  Next next_;
  tls_stream_options options_;
  maybe<tls_engine> engine_;
  std::size_t encrypted_ = 0;  // plain bytes in a record that is not wholly sent
  time_point handshake_ends_ = never;
  time_point last_now_ = {};
  std::size_t barren_ = 0;  // bytes received since the last one for the reader
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  maybe<error> last_error_;
};

template <byte_stream Next>
result<void> tls_stream<Next>::start(std::string const& host) {
  std::optional<utc_time> utc;
  if (options_.utc_now)
    utc = options_.utc_now();
  else if (loop_ != nullptr)
    utc = loop_->utc_now();
  auto made = tls_engine::make(context_, host, utc);
  if (!made) return std::move(made).error();
  engine_.emplace(*std::move(made));
  encrypted_ = 0;
  barren_ = 0;
  return {};
}

template <byte_stream Next>
result<void> tls_stream<Next>::open(endpoint const& where, time_point now) {
  if (context_.role() == tls_role::server) return error{errc::unsupported, "the server's end of TLS cannot be opened"};
  if (engine_) return error{errc::invalid_state, "the connection is open already"};
  last_error_.reset();
  last_now_ = now;
  if (auto started = start(where.host); !started) return started;
  handshake_ends_ = iothub::add(now, options_.handshake_timeout);
  auto opened = next_.open(where, now);
  if (!opened) fail(opened.error());
  return opened;
}

template <byte_stream Next>
io_result tls_stream<Next>::fail(error e) {
  close();
  last_error_ = std::move(e);
  return {io_status::failed, 0};
}

template <byte_stream Next>
io_status tls_stream<Next>::flush(time_point now) {
  byte_buffer& out = engine_->outgoing();
  while (!out.empty()) {
    io_result const sent = next_.write(out.view(), now);
    if (sent.status != io_status::done) return sent.status;
    out.consume(sent.size);
  }
  out.shrink();
  return io_status::done;
}

// Lends the engine what has come in; would_block when nothing has, and after a failure all is done for it.
template <byte_stream Next>
io_status tls_stream<Next>::receive(char (&scratch)[scratch_size], time_point now) {
  if (barren_ > barren_limit) {
    fail({errc::protocol_error, "TLS: too many records without data"});
    return io_status::failed;
  }
  io_result const got = next_.read(byte_span{scratch}, now);
  barren_ += got.size;
  if (got.status == io_status::failed) fail(next_.last_error());
  if (got.status == io_status::done) engine_->lend({scratch, got.size});
  if (got.status == io_status::end) engine_->feed_end();
  return got.status;
}

template <byte_stream Next>
io_status tls_stream<Next>::handshake(time_point now) {
  if (engine_->established()) return established_now();
  if (context_.role() == tls_role::server && handshake_ends_ == never)
    handshake_ends_ = iothub::add(now, options_.handshake_timeout);
  char scratch[scratch_size];
  loan const ends_here{engine_};
  for (int round = 0;; ++round) {
    io_status const status = engine_->handshake();
    engine_->keep_rest();
    if (status == io_status::failed) return fail(engine_->last_error()).status;
    if (flush(now) == io_status::failed) return fail(next_.last_error()).status;
    if (status == io_status::done) break;
    io_status got = io_status::would_block;
    if (round != rounds_per_call)
      got = receive(scratch, now);
    else if (now < handshake_ends_)
      go_on_later();
    if (got == io_status::failed) return got;
    if (got != io_status::would_block) continue;
    if (now < handshake_ends_) return got;
    return fail({errc::timeout, "the TLS handshake took too long"}).status;
  }
  return established_now();
}

template <byte_stream Next>
io_result tls_stream<Next>::read(byte_span into, time_point now) {
  if (!engine_) return {io_status::failed, 0};
  last_now_ = now;
  if (io_status const status = handshake(now); status != io_status::done) return {status, 0};
  if (flush(now) == io_status::failed) return fail(next_.last_error());
  if (into.empty()) return {};
  char scratch[scratch_size];
  loan const ends_here{engine_};
  std::size_t moved = 0;
  for (int round = 0;;) {
    io_result const got = engine_->read(into.subspan(moved));
    moved += got.size;
    bool const full = moved == into.size();
    if (got.status == io_status::done && !full) continue;
    if (moved != 0) {  // an end or a failure comes again with the next call
      barren_ = 0;
      engine_->keep_rest();
      return {io_status::done, moved};
    }
    engine_->keep_rest();
    if (got.status == io_status::failed) return fail(engine_->last_error());
    if (got.status == io_status::end) return got;
    io_status const received = round++ == rounds_per_call ? go_on_later() : receive(scratch, now);
    if (received == io_status::failed) return {received, 0};
    if (received == io_status::would_block) return {};
  }
}

template <byte_stream Next>
io_result tls_stream<Next>::write(byte_view from, time_point now) {
  if (!engine_) return {io_status::failed, 0};
  last_now_ = now;
  if (io_status const status = handshake(now); status != io_status::done) return {status, 0};
  if (from.empty() && encrypted_ == 0) return {};
  io_status sent = flush(now);
  if (sent == io_status::done && encrypted_ == 0) {
    io_result const put = engine_->write(from);
    if (put.status == io_status::failed) return fail(engine_->last_error());
    if (put.status != io_status::done) return put;
    encrypted_ = put.size;
    sent = flush(now);
  }
  if (sent == io_status::failed) return fail(next_.last_error());
  if (sent != io_status::done) return {};
  return {io_status::done, exchanged(encrypted_, 0)};
}

template <byte_stream Next>
void tls_stream<Next>::close() noexcept {
  attempt([this] {  // without memory for it the peer sees a connection that was cut
    if (!engine_) return;
    engine_->shutdown();
    flush(last_now_);
  });
  engine_.reset();
  encrypted_ = 0;
  handshake_ends_ = never;
  last_error_.reset();
  next_.close();
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
