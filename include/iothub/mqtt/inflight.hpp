// The QoS 1 publishes of a client that no PUBACK has answered yet, in the order in which they were sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/mqtt/packet.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// One buffer holds them all: a head of 12 bytes, topic, payload, and so on. Servers acknowledge in order, so the one
// looked for is nearly always in front, and leaves at no cost; others are searched from the front. What is removed out
// of order stays as a gap until there are more gaps than messages.
class inflight_store {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return records_.size() - gaps_; }

  void push(publish const& message) {
    head const h{static_cast<std::uint32_t>(sizeof(head) + message.topic.size() + message.payload.size()), message.id,
                 static_cast<std::uint16_t>(message.topic.size()), message.retain, true};
    char* at = records_.prepare(h.size).data();
    std::memcpy(at, &h, sizeof h);
    if (!message.topic.empty()) std::memcpy(at + sizeof h, message.topic.data(), message.topic.size());
    if (!message.payload.empty())
      std::memcpy(at + sizeof h + message.topic.size(), message.payload.data(), message.payload.size());
    records_.commit(h.size);
    ++count_;
  }
  // False when there is none with this id.
  bool remove(std::uint16_t id) noexcept {
    std::size_t offset = 0;
    while (offset != records_.size()) {
      head h = head_at(offset);
      if (h.live && h.id == id) {
        h.live = false;
        std::memcpy(const_cast<char*>(records_.view().data()) + offset, &h, sizeof h);  // our own bytes
        gaps_ += h.size;
        --count_;
        tidy();
        return true;
      }
      offset += h.size;
    }
    return false;
  }
  // For a quiet moment: gives back the memory that a busy session keeps.
  void shrink() noexcept { records_.shrink(); }
  // f(publish) for each, oldest first; the views hold during the call, which must not change the store.
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t offset = 0; offset != records_.size();) {
      head const h = head_at(offset);
      std::string_view const rest = records_.view().substr(offset + sizeof(head), h.size - sizeof(head));
      offset += h.size;
      if (!h.live) continue;
      publish message;
      message.topic = rest.substr(0, h.topic_size);
      message.payload = rest.substr(h.topic_size);
      message.id = h.id;
      message.qos = 1;
      message.retain = h.retain;
      f(static_cast<publish const&>(message));
    }
  }

 private:
  struct head {
    std::uint32_t size;  // of the record, this head included
    std::uint16_t id;
    std::uint16_t topic_size;
    bool retain;
    bool live;
  };
  static constexpr std::size_t keep = 2048;  // bytes that stay between two messages

  [[nodiscard]] head head_at(std::size_t offset) const noexcept {
    head h;
    std::memcpy(&h, records_.view().data() + offset, sizeof h);
    return h;
  }
  void tidy() noexcept {
    while (!records_.empty()) {
      head const h = head_at(0);
      if (h.live) break;
      records_.consume(h.size);
      gaps_ -= h.size;
    }
    records_.shrink(keep);
    if (gaps_ > 4096 && gaps_ > records_.size() / 2) close_gaps();
  }
  // Moves the live records to the front of the same memory.
  void close_gaps() noexcept {
    char* const base = const_cast<char*>(records_.view().data());
    std::size_t const end = records_.size();
    std::size_t to = 0;
    for (std::size_t from = 0; from != end;) {
      head const h = head_at(from);
      if (h.live) {
        std::memmove(base + to, base + from, h.size);
        to += h.size;
      }
      from += h.size;
    }
    // The queue gives up bytes at its front only: what remains is moved to its end.
    std::memmove(base + (end - to), base, to);
    records_.consume(end - to);
    gaps_ = 0;
  }

  byte_buffer records_;
  std::size_t gaps_ = 0;
  std::size_t count_ = 0;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
