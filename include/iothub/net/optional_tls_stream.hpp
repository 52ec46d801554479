// A stream with or without TLS, as its maker decides: for servers that are reached in plain text on purpose, such as
// the Event Hubs emulator.
#pragma once

#include <optional>
#include <utility>

#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

template <byte_stream Next>
class optional_tls_stream {
 public:
  explicit optional_tls_stream(Next plain) : plain_{std::move(plain)} {}
  optional_tls_stream(tls_context context, Next next) { secure_.emplace(std::move(context), std::move(next)); }

  result<void> open(endpoint const& where, time_point now) {
    return secure_ ? secure_->open(where, now) : plain_->open(where, now);
  }
  io_result read(byte_span into, time_point now) {
    return secure_ ? secure_->read(into, now) : plain_->read(into, now);
  }
  io_result write(byte_view from, time_point now) {
    return secure_ ? secure_->write(from, now) : plain_->write(from, now);
  }
  void close() { secure_ ? secure_->close() : plain_->close(); }
  [[nodiscard]] error last_error() const { return secure_ ? secure_->last_error() : error{plain_->last_error()}; }
  [[nodiscard]] time_point deadline() const { return secure_ ? secure_->deadline() : plain_->deadline(); }
  void attach(loop& on, participant& whom) { secure_ ? secure_->attach(on, whom) : plain_->attach(on, whom); }
  [[nodiscard]] bool secure() const noexcept { return secure_.has_value(); }

 private:
  std::optional<tls_stream<Next>> secure_;
  std::optional<Next> plain_;
};

}  // namespace net
}  // namespace v0
}  // namespace iothub
