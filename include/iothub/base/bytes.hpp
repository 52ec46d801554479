// Bytes. Borrowed bytes are std::string_view and owned bytes are std::string, everywhere: topics, payloads, JSON and
// HTTP are all read both as text and as bytes, and one vocabulary saves every conversion. byte_buffer is the queue
// between a producer and a consumer of bytes.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>

namespace iothub {
inline namespace v0 {

using byte_view = std::string_view;   // bytes to read
using byte_span = std::span<char>;    // bytes to fill

// A contiguous first-in-first-out queue of bytes. Views into it hold until the next non-const call.
// Idle it owns no memory after shrink(); growth doubles; consuming all of it is free.
class byte_buffer {
 public:
  byte_buffer() noexcept = default;
  byte_buffer(byte_buffer&& other) noexcept
      : data_{std::move(other.data_)},
        capacity_{exchanged(other.capacity_, 0)},
        begin_{exchanged(other.begin_, 0)},
        end_{exchanged(other.end_, 0)} {}
  byte_buffer& operator=(byte_buffer&& other) noexcept {
    data_ = std::move(other.data_);
    capacity_ = exchanged(other.capacity_, 0);
    begin_ = exchanged(other.begin_, 0);
    end_ = exchanged(other.end_, 0);
    return *this;
  }

  [[nodiscard]] byte_view view() const noexcept { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  // At least `size` writable bytes behind the content; commit() makes the first of them content.
  byte_span prepare(std::size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    return {data_.get() + end_, capacity_ - end_};
  }
  void commit(std::size_t size) noexcept { end_ += size; }
  void append(byte_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  void push_back(char byte) {
    prepare(1)[0] = byte;
    commit(1);
  }
  void consume(std::size_t size) noexcept {
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  // Takes back what was appended last: the first `size` bytes of the content stay.
  void truncate(std::size_t size) noexcept { end_ = begin_ + size; }
  void clear() noexcept { begin_ = end_ = 0; }
  // Gives the memory back when there is no content and more than `keep` bytes are held.
  void shrink(std::size_t keep = 0) noexcept {
    if (!empty() || capacity_ <= keep) return;
    data_.reset();
    capacity_ = begin_ = end_ = 0;
  }

 private:
  void make_room(std::size_t size) {
    std::size_t const used = end_ - begin_;
    if (capacity_ >= used + size && begin_ >= capacity_ / 2) {
      std::memmove(data_.get(), data_.get() + begin_, used);
    } else {
      std::size_t grown = capacity_ < 64 ? 64 : capacity_ * 2;
      while (grown < used + size) grown *= 2;
      owned<char[]> fresh{new char[grown]};
      if (used != 0) std::memcpy(fresh.get(), data_.get() + begin_, used);
      data_ = std::move(fresh);
      capacity_ = grown;
    }
    begin_ = 0;
    end_ = used;
  }

  owned<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace v0
}  // namespace iothub
