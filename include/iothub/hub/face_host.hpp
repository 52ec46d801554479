// What the faces ask of whoever runs the hub: the wall clock, and a timer that is read again.
#pragma once

#include <iothub/base/time.hpp>
#include <iothub/hub/options.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class face_host {
 public:
  // The wall clock's reading at this moment of the monotonic one.
  [[nodiscard]] virtual utc_time utc_at(time_point now) const = 0;
  // A face called the hub core: core.deadline() may have moved.
  virtual void core_touched() = 0;

  [[nodiscard]] instant at(time_point now) const { return {now, utc_at(now)}; }

 protected:
  ~face_host() = default;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
