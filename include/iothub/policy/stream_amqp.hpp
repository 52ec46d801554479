// An AMQP transport on any byte stream: a client's connection, its bytes, and nothing else. What is sent on links, and
// what the $cbs node is told (amqp::cbs_client), is the owner's business.
//
// Theory of operation. One step() reads what is there, up to a bound, then looks at the time, then writes: an answer
// that lies unread must not be taken for missing, and what callbacks sent leaves in the same step. When writing fails,
// what the server said before it went is still read; only then the connection is told that it is lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <iothub/amqp/connection.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/amqp_transport.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {

// ByteStream may be a reference: then the stream is the caller's and must live longer.
template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
class stream_amqp {
 public:
  using stream_type = std::remove_reference_t<ByteStream>;

  // The stream is made from the arguments.
  template <class... Args>
  requires std::is_constructible_v<ByteStream, Args&&...>
  explicit stream_amqp(Args&&... args) : stream_(std::forward<Args>(args)...) {}
  stream_amqp(stream_amqp const&) = delete;
  stream_amqp& operator=(stream_amqp const&) = delete;

  [[nodiscard]] stream_type& stream() noexcept { return stream_; }

  // errc::invalid_state while the last connection is not over; what the stream's open() says. `how` is copied; where it
  // names no hostname, the endpoint's host is asked for (Part 2, 2.7.1: what SNI would say).
  result<void> open(endpoint const& where, amqp::connection_options const& how, amqp::sasl_credentials login,
                    amqp::connection_handler& owner, time_point now);
  [[nodiscard]] amqp::connection* connection() noexcept { return connection_ ? &*connection_ : nullptr; }
  void close() {
    if (connection_) connection_->close();
    wake();
  }
  void drop() {
    stream_.close();
    connection_.reset();
    read_.shrink();
    lost_.reset();
    over_ = true;
  }

  void step(time_point now);
  [[nodiscard]] time_point deadline() const;
  void wake() noexcept {
    if (loop_) loop_->wake(*whom_);
  }
  void attach(loop& on, participant& whom) {
    loop_ = &on;
    whom_ = &whom;
    stream_.attach(on, whom);
  }

 private:
  static constexpr std::size_t first_read = 2048;
  static constexpr std::size_t largest_read = 65'536;
  static constexpr std::size_t reads_per_step = 4;
  static constexpr std::size_t writes_per_step = 16;

  void read(time_point now);
  void write(time_point now);

  amqp::connection_options options_;  // of the connection: it holds a reference
  std::optional<amqp::connection> connection_;
  byte_buffer read_;
  maybe<error> lost_;  // the stream is dead; told once nothing more can be read
  std::size_t read_size_ = first_read;
  bool over_ = true;  // the connection is closed and the stream too
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  ByteStream stream_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>> result<void> stream_amqp<ByteStream>::open(
    endpoint const& where, amqp::connection_options const& how, amqp::sasl_credentials login,
    amqp::connection_handler& owner, time_point now) {
  if (!over_) return errc::invalid_state;
  drop();
  options_ = how;
  if (options_.hostname.empty()) options_.hostname = where.host;
  connection_.emplace(amqp::connection_role::client, owner, options_, now);
  if (result<void> begun = connection_->open(std::move(login), now); !begun) return begun;
  if (result<void> connecting = stream_.open(where, now); !connecting) {
    drop();
    return connecting;
  }
  over_ = false;
  wake();
  return {};
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_amqp<ByteStream>::step(time_point now) {
  if (over_) return;
  write(now);  // first: what is said in reply to what is read now may need the room
  read(now);
  connection_->step(now);
  write(now);
  if (lost_) {
    error why = *std::move(lost_);
    lost_.reset();
    connection_->link_lost(std::move(why), now);
  }
  if (connection_->finished() && connection_->output().empty()) {
    stream_.close();
    read_.shrink();
    over_ = true;
  }
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_amqp<ByteStream>::read(time_point now) {
  for (std::size_t i = 0; i != reads_per_step; ++i) {
    if (connection_->finished() || connection_->room() == 0) return;  // room comes with write(), which wakes
    read_.clear();
    byte_span const room = read_.prepare(read_size_).first(read_size_);
    io_result const moved = stream_.read(room, now);
    if (moved.status == io_status::done) {
      if (moved.size == room.size() && read_size_ < largest_read) read_size_ *= 2;
      connection_->receive({room.data(), moved.size}, now);
      continue;
    }
    if (moved.status == io_status::end && !lost_)
      lost_ = error{errc::connection_lost, "the server closed the connection"};
    else if (moved.status == io_status::failed && !lost_)
      lost_ = stream_.last_error();
    if (i == 0 && moved.status == io_status::would_block) {  // a quiet turn: give memory back
      read_size_ = first_read;
      read_.shrink();
    }
    return;
  }
  wake();
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_amqp<ByteStream>::write(time_point now) {
  if (lost_) return;
  for (std::size_t i = 0; i != writes_per_step; ++i) {
    byte_view const bytes = connection_->output();
    if (bytes.empty()) return;
    bool const full = bytes.size() > options_.max_backlog;
    io_result const moved = stream_.write(bytes, now);
    if (moved.status == io_status::would_block) return;
    if (moved.status != io_status::done) {
      lost_ = stream_.last_error();
      return;
    }
    connection_->consume(moved.size);
    if (full) connection_->step(now), wake();  // senders, and reading, waited for room
  }
  wake();
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>> time_point stream_amqp<ByteStream>::deadline()
const {
  if (over_) return never;
  time_point const ours = connection_->deadline();
  time_point const theirs = stream_.deadline();
  return ours < theirs ? ours : theirs;
}

}  // namespace v0
}  // namespace iothub
