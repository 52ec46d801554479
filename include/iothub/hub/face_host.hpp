// What the faces ask of whoever runs the hub: the wall clock, and a timer that is read again.
#pragma once

#include <iothub/base/time.hpp>
#include <iothub/hub/options.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class face_host {
 public:
  [[nodiscard]] virtual utc_time wall_clock() const = 0;
  // A face called the hub core: core.deadline() may have moved.
  virtual void core_touched() = 0;

  [[nodiscard]] instant at(time_point now) const { return {now, wall_clock()}; }

 protected:
  ~face_host() = default;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
