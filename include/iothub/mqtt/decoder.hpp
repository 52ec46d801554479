// Packets out of a stream of bytes that comes in pieces of any size.
#pragma once

#include <cstddef>

#include <iothub/base/bytes.hpp>
#include <iothub/mqtt/decode.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// Bytes go in at the end, packets come out at the front. The buffer grows with the bytes that really came, never with
// what a length field announces. After `broken` the stream has no meaning any more: every further call says the same.
class decoder {
 public:
  explicit decoder(std::size_t max_packet_size) noexcept : max_packet_size_{max_packet_size} {}

  // Space to read into; commit() what was read. Ends the life of the views in the last packet.
  byte_span prepare(std::size_t size) {
    drop_last();
    return in_.prepare(size);
  }
  void commit(std::size_t size) noexcept { in_.commit(size); }
  void append(byte_view bytes) {
    drop_last();
    in_.append(bytes);
  }

  // The next packet; its views hold until the next call of a non-const member.
  decode_status next(packet& into) {
    drop_last();
    if (rule_) return decode_status::broken;
    decoded const found = decode(in_.view(), max_packet_size_, into, scratch_);
    last_ = found.status == decode_status::complete ? found.size : 0;
    rule_ = found.rule;
    return found.status;
  }
  // The rule that was broken; false before.
  [[nodiscard]] violation rule() const noexcept { return rule_; }
  // Bytes that are not yet part of a packet taken.
  [[nodiscard]] std::size_t size() const noexcept { return in_.size() - last_; }

  void reset() noexcept {
    in_.clear();
    last_ = 0;
    rule_ = {};
    shrink();
  }
  // Gives memory back where nothing is left to read.
  void shrink() noexcept {
    drop_last();
    in_.shrink();
    if (!scratch_.subscriptions.empty() || !scratch_.names.empty()) scratch_ = {};
  }

 private:
  void drop_last() noexcept {
    in_.consume(last_);
    last_ = 0;
  }

  byte_buffer in_;
  filter_scratch scratch_;
  std::size_t last_ = 0;  // size of the packet that next() gave last, still in front
  std::size_t max_packet_size_;
  violation rule_;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
