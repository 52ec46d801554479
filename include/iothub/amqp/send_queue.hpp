// Messages that wait for a link's credit: answers on $cbs, $management, twin and method links. A sender that nobody
// gives credit to costs a bounded number of bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/link.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

class send_queue {
 public:
  explicit send_queue(std::size_t max_bytes = 1u << 18) noexcept : max_bytes_{max_bytes} {}

  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

  // Sends the message, or keeps it until pump() can. False: the queue is full, nothing happened.
  [[nodiscard]] bool push(byte_view message, link& to) {
    if (bytes_.empty() && to.can_send()) return send(message, to) || keep(message);
    return keep(message);
  }
  // Call it from on_credit and after on_attached.
  void pump(link& to) {
    while (!bytes_.empty() && to.can_send()) {
      std::size_t const size = detail::load32(bytes_.view().data());
      if (!send(bytes_.view().substr(4, size), to)) return;
      bytes_.consume(4 + size);
    }
    bytes_.shrink();
  }
  void clear() noexcept {
    bytes_.clear();
    bytes_.shrink();
  }

 private:
  // A message that the peer finds too large is dropped.
  static bool send(byte_view message, link& to) {
    outgoing_delivery what;
    what.payload = message;
    what.settled = true;
    auto const sent = to.send(what);
    return sent.has_value() || sent.error() == errc::too_large;
  }
  bool keep(byte_view message) {
    if (bytes_.size() + message.size() + 4 > max_bytes_) return false;
    char* const at = bytes_.prepare(4 + message.size()).data();
    detail::store32(at, static_cast<std::uint32_t>(message.size()));
    message.copy(at + 4, message.size());
    bytes_.commit(4 + message.size());
    return true;
  }

  byte_buffer bytes_;  // size and message, one after the other
  std::size_t max_bytes_;
};

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
