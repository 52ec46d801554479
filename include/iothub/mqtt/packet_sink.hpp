// Where a session puts what it sends. A byte connection encodes it, the in-process wiring hands it to the other
// session.
#pragma once

#include <cstddef>

#include <iothub/mqtt/packet.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

class packet_sink {
 public:
  // The views in `what` hold during the call only. Never calls back into the session.
  virtual void send(packet const& what) = 0;
  // The session is over: drop the link once everything sent before has left. Called at most once per link.
  virtual void end() = 0;
  // Server sessions only: reading() turned true again, held packets may be delivered.
  virtual void resume() {}
  // Bytes sent that the peer has not taken yet; a session refuses new publishes above its limit.
  [[nodiscard]] virtual std::size_t backlog() const { return 0; }

 protected:
  packet_sink() = default;
  packet_sink(packet_sink const&) = default;
  packet_sink& operator=(packet_sink const&) = default;
  ~packet_sink() = default;
};

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
