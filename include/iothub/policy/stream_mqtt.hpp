// An MQTT transport on any byte stream: the client session, its bytes, and nothing else.
//
// Theory of operation. The verbs append to an output buffer and wake the participant; step() writes all of it in one
// call, then reads what is there, up to a bound; next_event() takes packets out of the input until it is empty. Only
// then is time looked at: a PINGRESP that lies unread must not be taken for missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/decoder.hpp>
#include <iothub/mqtt/encode.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/policy/mqtt_transport.hpp>

namespace iothub {
inline namespace v0 {

// ByteStream may be a reference: then the stream is the caller's and must live longer.
template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
class stream_mqtt final : private mqtt::packet_sink {
 public:
  using stream_type = std::remove_reference_t<ByteStream>;

  // Where the stream needs nothing to be made: stream_mqtt<S>{}.
  template <class S = ByteStream>
  requires std::is_default_constructible_v<S> stream_mqtt()
      : session_{*this}, input_{session_.options().max_packet_size} {}
  // The stream is made from the remaining arguments.
  template <class... Args>
  requires std::is_constructible_v<ByteStream, Args&&...>
  explicit stream_mqtt(mqtt::client_options const& options, Args&&... args)
      : session_{*this, options}, input_{options.max_packet_size}, stream_(std::forward<Args>(args)...) {}
  stream_mqtt(stream_mqtt const&) = delete;
  stream_mqtt& operator=(stream_mqtt const&) = delete;

  [[nodiscard]] stream_type& stream() noexcept { return stream_; }
  [[nodiscard]] mqtt::client_session const& session() const noexcept { return session_; }

  result<void> open(endpoint const& where, mqtt::connect const& how, time_point now);
  result<std::uint16_t> publish(mqtt::publish const& message, time_point now) { return session_.publish(message, now); }
  result<std::uint16_t> subscribe(std::span<mqtt::subscription const> filters, time_point now) {
    return session_.subscribe(filters, now);
  }
  result<std::uint16_t> unsubscribe(std::span<std::string_view const> names, time_point now) {
    return session_.unsubscribe(names, now);
  }
  void acknowledge(std::uint16_t id, time_point now) { session_.acknowledge(id, now); }
  void abandon(std::uint16_t id) noexcept { session_.abandon(id); }
  void close(mqtt::close_mode mode, time_point now);

  void step(time_point now);
  mqtt::client_event const* next_event();
  [[nodiscard]] time_point deadline() const;
  void attach(loop& on, participant& whom) {
    loop_ = &on;
    whom_ = &whom;
    stream_.attach(on, whom);
  }

 private:
  static constexpr std::size_t first_read = 512;       // most of what comes to a device is small
  static constexpr std::size_t largest_read = 65'536;  // per call, and bound of a step

  void send(mqtt::packet const& what) override {
    mqtt::encode(what, output_);
    wake();
  }
  void end() override {}  // whoever called the session looks at its state afterwards
  [[nodiscard]] std::size_t backlog() const override { return output_.size(); }

  void wake() noexcept {
    if (loop_) loop_->wake(*whom_);
  }
  void write(time_point now);
  void read(time_point now);
  void drop();

  mqtt::client_session session_;
  mqtt::decoder input_;
  byte_buffer output_;
  maybe<error> lost_;  // the stream is dead; said once the input is used up
  time_point now_ = {};        // of the last step
  std::size_t read_size_ = first_read;
  loop* loop_ = nullptr;
  participant* whom_ = nullptr;
  ByteStream stream_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>> result<void> stream_mqtt<ByteStream>::open(
    endpoint const& where, mqtt::connect const& how, time_point now) {
  if (session_.state() != mqtt::client_session::state_type::closed) return errc::invalid_state;
  drop();
  now_ = now;
  if (result<void> begun = session_.open(how, now); !begun) return begun;
  result<void> connecting = stream_.open(where, now);
  if (!connecting) {
    session_.close(mqtt::close_mode::abort);
    drop();
  }
  return connecting;
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_mqtt<ByteStream>::close(mqtt::close_mode mode, time_point now) {
  session_.close(mode);
  if (mode == mqtt::close_mode::graceful && !lost_) write(now);
  drop();
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_mqtt<ByteStream>::step(time_point now) {
  now_ = now;
  if (session_.state() == mqtt::client_session::state_type::closed || lost_) return;
  write(now);
  read(now);
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_mqtt<ByteStream>::write(time_point now) {
  while (!output_.empty()) {
    io_result const moved = stream_.write(output_.view(), now);
    if (moved.status == io_status::would_block) return;
    if (moved.status != io_status::done) {
      lost_ = stream_.last_error();
      output_.clear();
      return wake();  // what the server said before it closed may still be there to read
    }
    output_.consume(moved.size);
  }
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_mqtt<ByteStream>::read(time_point now) {
  std::size_t const enough = session_.options().max_packet_size + largest_read;
  std::size_t total = 0;
  while (total < largest_read) {
    if (input_.size() >= enough) return wake();
    byte_span const room = input_.prepare(read_size_).first(read_size_);
    io_result const moved = stream_.read(room, now);
    if (moved.status == io_status::done) {
      input_.commit(moved.size);
      total += moved.size;
      if (moved.size == room.size() && read_size_ < largest_read) read_size_ *= 2;
      continue;
    }
    if (moved.status == io_status::end)
      lost_ = error{errc::connection_lost, "the server closed the connection"};
    else if (moved.status == io_status::failed && !lost_)
      lost_ = stream_.last_error();
    if (total == 0 && moved.status == io_status::would_block) {  // a quiet turn: give memory back
      read_size_ = first_read;
      if (input_.size() == 0) input_.shrink();
      output_.shrink();
    }
    return;
  }
  wake();
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>> mqtt::client_event const*
stream_mqtt<ByteStream>::next_event() {
  if (session_.state() == mqtt::client_session::state_type::closed) return nullptr;
  mqtt::client_event const* event = nullptr;
  mqtt::packet what;
  while (!event) {
    mqtt::decode_status const found = input_.next(what);
    if (found == mqtt::decode_status::need_more) break;
    event = found == mqtt::decode_status::complete ? session_.receive(what, now_) : session_.broken(input_.rule());
  }
  if (!event) event = lost_ ? session_.link_lost(std::move(*lost_)) : session_.on_time(now_);
  // The event may hold views into the input, which stays until the next open().
  if (session_.state() == mqtt::client_session::state_type::closed) {
    output_.clear();
    stream_.close();
    lost_.reset();
  }
  return event;
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>> time_point stream_mqtt<ByteStream>::deadline()
const {
  if (session_.state() == mqtt::client_session::state_type::closed) return never;
  time_point const ours = session_.deadline();
  time_point const theirs = stream_.deadline();
  return ours < theirs ? ours : theirs;
}

template <class ByteStream>
requires byte_stream<std::remove_reference_t<ByteStream>>
void stream_mqtt<ByteStream>::drop() {
  stream_.close();
  input_.reset();
  output_.clear();
  output_.shrink();
  lost_.reset();
}

}  // namespace v0
}  // namespace iothub
