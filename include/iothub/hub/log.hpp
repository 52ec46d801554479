// The hub's log: entries with a shape, so that tests assert them and the server prints them as text or JSON. An entry
// never holds a key, a token or a payload.
#pragma once

#include <cstdint>
#include <string_view>

#include <iothub/hub/options.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

enum class log_level : std::uint8_t { debug, info, warning };

// The views hold during the call of write() alone.
struct log_entry {
  log_level level = log_level::info;
  instant when = {};
  std::string_view event = {};      // a fixed word: "connected", "refused", "dropped", "dead-lettered", ...
  std::string_view device_id = {};
  std::string_view module_id = {};
  std::string_view reason = {};     // half a sentence: "token expired by 12 s"
};

class log_sink {
 public:
  virtual void write(log_entry const& entry) = 0;

 protected:
  ~log_sink() = default;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
