// All that the hub keeps of one identity: the identity itself, its keys, its twin, its session. An idle one is small: a
// hub of a hundred thousand devices in one process pays for each member here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <iothub/hub/c2d_queue.hpp>
#include <iothub/hub/link.hpp>
#include <iothub/hub/security.hpp>
#include <iothub/hub/twin_store.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// What few identities have.
struct identity_extras {
  std::string status_reason = {};
  std::string primary_thumbprint = {};
  std::string secondary_thumbprint = {};
  std::string managed_by = {};
  std::string device_scope = {};
  std::vector<std::string> parent_scopes = {};
  std::string model_id = {};       // announced at the last CONNECT
};

// One of an identity's two keys: its bytes, and the keyed state once it was needed.
struct key_slot {
  std::string bytes = {};
  std::unique_ptr<prepared_key> prepared = {};
};

struct identity_record {
  device_key const* key = nullptr;      // in the registry's map, beside this record
  std::uint64_t serial = 0;             // order of creation
  std::int64_t generation = 0;          // .NET ticks of creation
  std::uint64_t etag = 0;               // counts updates; printed as base64 of its decimal text
  utc_time connection_state_updated = no_time;
  utc_time status_updated = no_time;
  utc_time last_activity = no_time;
  key_slot keys[2] = {};
  std::unique_ptr<identity_extras> extras = {};
  authentication_type type = authentication_type::sas;
  identity_status status = identity_status::enabled;
  bool iot_edge = false;

  // --- session
  bool clean = false;                   // of the present connection, or the last
  bool listens_methods = false;
  bool listens_desired = false;
  bool session_stored = false;          // CleanSession 0 was used and something was subscribed
  bool c2d_ever_subscribed = false;
  c2d_mode c2d = c2d_mode::off;         // kept across connections of a stored session
  auth_scope scope = auth_scope::device;
  std::uint32_t partition = 0;
  std::uint32_t calls = 0;              // method calls in flight
  device_link* link = nullptr;
  std::unique_ptr<message> will = {};
  std::uint64_t c2d_since = 0;          // sequence number before the first subscription
  time_point drop_at = never;           // token expiry and grace
  time_point due = never;               // the record's place in the hub's timers

  twin_state twin = {};
  std::unique_ptr<c2d_queue> queue = {};

  [[nodiscard]] bool is_module() const noexcept { return !key->module_id.empty(); }
  identity_extras& add_more() {
    if (!extras) extras = std::make_unique<identity_extras>();
    return *extras;
  }
  [[nodiscard]] identity_extras const& more() const noexcept {
    static identity_extras const none;
    return extras ? *extras : none;
  }
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
