// How a stream or another library's sockets take part in a loop that can watch file descriptors.
#pragma once

#include <cstdint>

#include <iothub/base/result.hpp>
#include <iothub/io/participant.hpp>

namespace iothub {
inline namespace v0 {

enum class fd_interest : unsigned char { none = 0, read = 1, write = 2, both = 3 };

enum class fd_trigger : unsigned char {
  edge,   // woken once when the state changes: read and write until would-block; one registration for a whole life
  level,  // woken in every turn while the state holds: for other libraries' sockets
};

// Given out by loop::watcher(); a loop in virtual time has none. One participant per descriptor.
class fd_watcher {
 public:
  // Wakes `whom` when `fd` becomes ready (errors and hang-ups count as both). Called again for the same descriptor it
  // replaces what was said before. errc::io_error when the system refuses.
  virtual result<void> watch(int fd, fd_interest interest, participant& whom,
                             fd_trigger trigger = fd_trigger::edge) = 0;
  // To be called before the descriptor is closed and before the participant ends; an unknown one is ignored.
  virtual void unwatch(int fd) noexcept = 0;
  // What the descriptor became ready for since the last call.
  [[nodiscard]] virtual fd_interest take_events(int fd) noexcept = 0;

 protected:
  ~fd_watcher() = default;
};

}  // namespace v0
}  // namespace iothub
