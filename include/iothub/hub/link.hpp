// A device's live connection as the hub core sees it. Each face implements one per served connection.
#pragma once

#include <cstdint>
#include <new>
#include <string_view>

#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class hub_core;
struct identity_record;

struct method_delivery {
  method_ticket ticket = 0;
  std::string_view name = {};
  json::value const& payload;
};

namespace detail {
// Runs what may fail for want of memory where somebody goes away and nobody can be told: whether it did not.
template <class Call>
bool without_memory_too(Call call) {
#if IOTHUB_EXCEPTIONS
  try {
    call();
  } catch (std::bad_alloc const&) {
    return false;
  }
#else
  call();
#endif
  return true;
}
}  // namespace detail

// What of an AMQP connection a fault may end alone, as the end-to-end tests of the official SDKs ask for it
// (azure-iot-sdk-csharp, FaultInjectionConstants.cs). Requests and answers of methods: to the device, and from it.
enum class link_part : std::uint8_t {
  connection,
  session,
  token_requests,
  token_answers,
  telemetry,
  c2d,
  twin_requests,
  twin_answers,
  method_requests,
  method_answers,
};

// The core calls these from inside its own members. They must only queue: no call back into the core, no throwing away
// of the link. What they are handed is borrowed for the duration of the call.
// A link is attached by hub_core::connect() and detached by hub_core::disconnect(), by the core just before on_drop(),
// and by its own destructor (which counts as ending::lost at the time last seen by the core). Every member of the core
// that takes a link answers errc::not_connected for a detached one.
class device_link {
 public:
  device_link() noexcept = default;
  device_link(device_link const&) = delete;
  device_link& operator=(device_link const&) = delete;

  // Only after listen_methods(). The answer goes to hub_core::answer_method().
  virtual void deliver_method(method_delivery const& call) = 0;
  // Only after listen_c2d(), or right inside connect() for a kept session: the face must have sent its CONNACK, or
  // queue behind it. `redelivered` says that the device may have seen the message before (DUP). With
  // c2d_mode::at_least_once the message stays locked until settle_c2d(link, lock_token, ...) or the end of the
  // connection.
  virtual void deliver_c2d(c2d_message const& message, bool redelivered) = 0;
  // Only after listen_c2d() with c2d_mode::fetched: there is a message that is not locked.
  virtual void c2d_waits() {}
  // Only after listen_desired(). The patch as the service sent it, nulls included; the whole section after a replace.
  // Without $version: the version is beside it.
  virtual void deliver_desired(std::int64_t version, json::value const& patch) = 0;
  // The core ended the connection (taken over, token expired, disabled, deleted, fault). Close it; do not disconnect().
  virtual void on_drop(error const& reason) = 0;
  // Whether the protocol has parts that can end alone; where not, a fault ends the connection.
  [[nodiscard]] virtual bool has_parts() const noexcept { return false; }
  // A fault ends what is there of that part; false: nothing is. The identity stays connected as long as it has a link.
  virtual bool end_part(link_part, error const&) { return false; }

  [[nodiscard]] bool attached() const noexcept { return identity_ != nullptr; }

 protected:
  inline virtual ~device_link();

 private:
  friend class hub_core;
  identity_record* identity_ = nullptr;
  hub_core* hub_ = nullptr;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
