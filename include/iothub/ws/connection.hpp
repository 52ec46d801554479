// One WebSocket connection behind its opening handshake (RFC 6455), either role, bytes in and bytes out: no clock, no
// I/O.
//
// Theory of operation. It carries a byte stream: the payload of binary messages is handed on as it comes, and where
// messages or frames begin and end means nothing, as MQTT (3.1.1 section 6) and AMQP have it. So nothing is gathered
// but the header of a frame and the payload of a control frame, 139 bytes in all, and there is no length that a peer
// could announce to make this side allocate.
//
// What it does by itself: masks, fragments, pongs, the answer to a close frame. A broken rule ends the connection: a
// close frame with its code goes to output(), broken() says which rule it was, and what comes after it is dropped.
//
//   open --close()--> closing --peer's close--> closed
//   open --peer's close (is answered)--> closed
//   open or closing --broken rule--> closed
//
// Pings are answered in output(); while much is waiting there, only the latest of them (section 5.5.3), so that a peer
// that pings and does not read is no burden.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/ws/frame.hpp>

namespace iothub {
inline namespace v0 {
namespace ws {

// Fills with bytes that a peer cannot foresee (section 10.3): a client's masks and its key.
using random_source = function<result<void>(byte_span)>;

class connection {
 public:
  // A frame above it is refused with 1009. No memory depends on it.
  static constexpr std::uint64_t max_frame = std::uint64_t{16} << 20;

  // A client cannot send without a source of random bytes.
  explicit connection(role who, random_source random = {}) noexcept : random_{std::move(random)}, role_{who} {}

  // As it was made: for the next connection.
  void restart() noexcept {
    random_source random = std::move(random_);
    *this = connection{role_, std::move(random)};
  }

  // Takes all of `from` and puts the bytes of the stream at `to`, which has room for from.size() bytes and may be where
  // `from` begins. Returns how many there are; after the end none.
  [[nodiscard]] std::size_t receive(byte_view from, char* to);

  // One binary message in one frame. Nothing after close() or after the end: errc::closed. Otherwise as draw().
  result<void> send(byte_view bytes);
  // At most 125 bytes; otherwise as send().
  result<void> ping(byte_view payload = {}) { return send_control(opcode::ping, payload.substr(0, max_control_size)); }
  // Bytes of the random source: errc::invalid_argument where there is none, or what it says when it has nothing to
  // give.
  result<void> draw(byte_span into) {
    if (!random_) return error{errc::invalid_argument, "a WebSocket client needs a source of random bytes"};
    return random_(into);
  }
  // Begins the closing handshake, once; later calls do nothing. A reason of more than 123 bytes is cut.
  void close(std::uint16_t code = close_code::normal, std::string_view reason = {});

  [[nodiscard]] byte_view output() const noexcept { return out_.view(); }
  void consume_output(std::size_t size);
  // Gives the memory of an empty output() back when it is more than `keep`.
  void shrink(std::size_t keep = 0) noexcept { out_.shrink(keep); }

  // This side has sent its close frame, or rather put it into output().
  [[nodiscard]] bool closing() const noexcept { return sent_close_; }
  // The peer has said that it closes: with this code (close_code::none if it gave none) and reason.
  [[nodiscard]] bool peer_closed() const noexcept { return got_close_; }
  [[nodiscard]] std::uint16_t peer_code() const noexcept { return peer_code_; }
  [[nodiscard]] std::string_view peer_reason() const noexcept { return peer_reason_; }
  // The rule that the peer broke: errc::protocol_error, too_large, unsupported (a text frame). Null: none.
  [[nodiscard]] error const* broken() const noexcept { return broken_ ? &*broken_ : nullptr; }
  // Nothing that comes will be read.
  [[nodiscard]] bool over() const noexcept { return got_close_ || broken_.has_value(); }

 private:
  static constexpr std::size_t pong_backlog = 4096;

  void begin_frame();
  void end_frame();
  void on_close();
  void fail(std::uint16_t code, errc what, char const* rule);
  result<void> append(opcode op, byte_view payload);
  result<void> send_control(opcode op, byte_view payload);
  void send_pong();

  random_source random_;
  byte_buffer out_;
  std::string peer_reason_;
  maybe<error> broken_;
  frame_header frame_;
  std::uint64_t taken_ = 0;  // of the frame's payload
  std::size_t held_ = 0;     // of the next frame's header
  std::size_t pong_size_ = 0;
  std::uint16_t peer_code_ = 0;
  role role_;
  bool in_frame_ = false;
  bool in_message_ = false;  // a fragmented message goes on
  bool sent_close_ = false;
  bool got_close_ = false;
  bool pong_due_ = false;
  char head_[max_header_size] = {};
  char control_[max_control_size] = {};  // the payload that is coming
  char pong_[max_control_size] = {};
};

// ---------------------------------------------------------------------------------------------------------------------

inline std::size_t connection::receive(byte_view from, char* to) {
  char* const begin = to;
  while (!from.empty() && !over()) {
    if (!in_frame_) {
      std::size_t part = header_size({head_, held_}) - held_;
      if (part > from.size()) part = from.size();
      std::memcpy(head_ + held_, from.data(), part);
      from.remove_prefix(part);
      held_ += part;
      if (held_ == header_size({head_, held_})) begin_frame();
      continue;
    }
    std::uint64_t const left = frame_.size - taken_;
    std::size_t const part = left < from.size() ? static_cast<std::size_t>(left) : from.size();
    bool const control = is_control(frame_.op);
    if (control || !sent_close_) {
      char* const at = control ? control_ + taken_ : to;
      if (frame_.masked)
        copy_masked(at, from.data(), part, frame_.mask, taken_);
      else if (at != from.data())
        std::memmove(at, from.data(), part);
      if (!control) to += part;
    }
    from.remove_prefix(part);
    taken_ += part;
    if (taken_ == frame_.size) end_frame();
  }
  return static_cast<std::size_t>(to - begin);
}

inline void connection::begin_frame() {
  char const* const rule = read_header({head_, held_}, role_, frame_);
  held_ = 0;
  if (rule != nullptr) return fail(close_code::protocol_error, errc::protocol_error, rule);
  switch (frame_.op) {
    case opcode::continuation:
      if (!in_message_)
        return fail(close_code::protocol_error, errc::protocol_error, "a continuation of nothing (section 5.4)");
      break;
    case opcode::text:
      // MQTT 3.1.1 [MQTT-6.0.0-1]; AMQP over WebSocket Binding section 2.2.
      return fail(close_code::unsupported_data, errc::unsupported,
                  "a text frame, where only binary ones mean something");
    case opcode::binary:
      if (in_message_)
        return fail(close_code::protocol_error, errc::protocol_error, "a message inside of another (section 5.4)");
      break;
    default: break;
  }
  if (frame_.size > max_frame) return fail(close_code::too_large, errc::too_large, "a frame above 16 MiB");
  if (!is_control(frame_.op)) in_message_ = !frame_.final;
  taken_ = 0;
  in_frame_ = true;
  if (frame_.size == 0) end_frame();
}

inline void connection::end_frame() {
  in_frame_ = false;
  if (frame_.op == opcode::close) return on_close();
  if (frame_.op != opcode::ping || sent_close_) return;
  pong_size_ = static_cast<std::size_t>(frame_.size);
  std::memcpy(pong_, control_, pong_size_);
  pong_due_ = true;
  if (out_.size() < pong_backlog) send_pong();
}

inline void connection::send_pong() {
  pong_due_ = false;
  (void)send_control(opcode::pong, {pong_, pong_size_});
}

// Sections 5.5.1 and 7.4: a code of two bytes and a reason in UTF-8, or nothing at all. The answer carries the code.
inline void connection::on_close() {
  byte_view const payload{control_, static_cast<std::size_t>(frame_.size)};
  if (payload.size() == 1)
    return fail(close_code::protocol_error, errc::protocol_error, "half a close code (section 5.5.1)");
  peer_code_ = close_code::none;
  if (payload.size() >= 2) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(payload[i]); };
    auto const code = static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
    bool const known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    if (!known && (code < 3000 || code > 4999))
      return fail(close_code::protocol_error, errc::protocol_error, "a close code that cannot be sent (section 7.4)");
    if (!is_utf8(payload.substr(2)))
      return fail(close_code::invalid_text, errc::protocol_error, "a close reason that is not UTF-8 (section 8.1)");
    peer_code_ = code;
    peer_reason_.assign(payload.substr(2));
  }
  got_close_ = true;
  if (sent_close_) return;
  sent_close_ = true;
  pong_due_ = false;
  (void)append(opcode::close, payload.substr(0, 2));
}

inline void connection::fail(std::uint16_t code, errc what, char const* rule) {
  close(code);
  broken_ = error{what, std::string{"WebSocket: the peer sent "} + rule};
}

inline void connection::close(std::uint16_t code, std::string_view reason) {
  if (sent_close_) return;
  char payload[max_control_size] = {static_cast<char>(static_cast<unsigned char>(code >> 8)),
                                    static_cast<char>(static_cast<unsigned char>(code))};
  std::size_t size = reason.size() < max_control_size - 2 ? reason.size() : max_control_size - 2;
  while (size != 0 && !is_utf8(reason.substr(0, size))) --size;  // not in the middle of a character
  if (size != 0) std::memcpy(payload + 2, reason.data(), size);
  (void)append(opcode::close, {payload, 2 + size});
  sent_close_ = true;
  pong_due_ = false;
}

inline result<void> connection::send(byte_view bytes) {
  if (sent_close_) return error{errc::closed, "the WebSocket is closed"};
  return append(opcode::binary, bytes);
}

inline result<void> connection::send_control(opcode op, byte_view payload) {
  if (sent_close_) return error{errc::closed, "the WebSocket is closed"};
  return append(op, payload);
}

inline result<void> connection::append(opcode op, byte_view payload) {
  frame_header head{.op = op, .masked = role_ == role::client, .size = payload.size()};
  if (head.masked) {
    char fresh[4];
    if (auto drawn = draw(fresh); !drawn) return drawn;
    std::memcpy(head.mask, fresh, 4);
  }
  char* const at = out_.prepare(max_header_size + payload.size()).data();
  char* const body = write_header(at, head);
  if (head.masked)
    copy_masked(body, payload.data(), payload.size(), head.mask, 0);
  else if (!payload.empty())
    std::memcpy(body, payload.data(), payload.size());
  out_.commit(static_cast<std::size_t>(body - at) + payload.size());
  return {};
}

inline void connection::consume_output(std::size_t size) {
  out_.consume(size);
  if (pong_due_ && out_.size() < pong_backlog) send_pong();
}

}  // namespace ws
}  // namespace v0
}  // namespace iothub
