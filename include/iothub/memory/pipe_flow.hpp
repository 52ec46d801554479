// One direction of a pipe: what was written at one end and not yet read at the other, and when it arrives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/loop.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

struct pipe_options {
  duration latency{0};               // one way; connecting takes two
  duration jitter{0};                // up to this much more, drawn for each written piece
  std::size_t max_chunk = 0;         // read() and write() move 1 to this many bytes a call, drawn; 0: all they can
  std::size_t capacity = 64 * 1024;  // bytes under way or unread in one direction before write() would block
  std::uint64_t drop_after = std::numeric_limits<std::uint64_t>::max();  // resets when so many were written, both ways
  std::uint64_t seed = 1;
};

namespace detail {

// What was written at one end and not yet read at the other.
class pipe_flow {
 public:
  void write(byte_view bytes, time_point arrives) {
    if (arrives > last_arrival_) last_arrival_ = arrives;  // jitter never reorders
    if (!pieces_.empty() && pieces_.back().arrives == last_arrival_) {
      content_.append(bytes);
      pieces_.back().size += bytes.size();
    } else {
      pieces_.reserve(pieces_.size() + 1);
      content_.append(bytes);
      pieces_.push_back({last_arrival_, bytes.size()});
    }
  }
  void end(time_point arrives) noexcept {
    if (arrives > last_arrival_) last_arrival_ = arrives;
    ended_ = true;
  }
  // Bytes that arrived by `now`.
  [[nodiscard]] std::size_t available(time_point now) noexcept {
    while (next_piece_ != pieces_.size() && pieces_[next_piece_].arrives <= now)
      arrived_ += pieces_[next_piece_++].size;
    if (next_piece_ == pieces_.size()) {
      pieces_.clear();
      next_piece_ = 0;
    }
    return arrived_;
  }
  void read(byte_span into) noexcept {
    std::memcpy(into.data(), content_.view().data(), into.size());
    content_.consume(into.size());
    content_.shrink();
    arrived_ -= into.size();
  }
  [[nodiscard]] bool at_end(time_point now) const noexcept {
    return ended_ && content_.empty() && last_arrival_ <= now;
  }
  [[nodiscard]] time_point last_arrival() const noexcept { return last_arrival_; }
  [[nodiscard]] std::size_t size() const noexcept { return content_.size(); }
  void clear() noexcept {
    content_ = {};
    pieces_.clear();
    arrived_ = next_piece_ = 0;
  }
  bool held = false;

 private:
  struct piece {
    time_point arrives;
    std::size_t size;
  };
  byte_buffer content_;
  std::vector<piece> pieces_;  // those from next_piece_ on have not arrived
  std::size_t next_piece_ = 0;
  std::size_t arrived_ = 0;
  time_point last_arrival_ = time_point::min();
  bool ended_ = false;
};

// Whom to wake at one end.
struct pipe_end {
  loop* on = nullptr;
  participant* whom = nullptr;
  bool wants_to_write = false;
  bool closed = false;
  void wake() const noexcept {
    if (on != nullptr) on->wake(*whom);
  }
};

}  // namespace detail
}  // namespace memory
}  // namespace v0
}  // namespace iothub
