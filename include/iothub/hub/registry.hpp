// The identity registry: devices and modules, their keys and ETags.
//
// Sources: IoT Hub REST reference (DeviceIdentity, ModuleIdentity), Microsoft docs "Understand the identity registry in
// your IoT hub", and recorded sessions of the service for the generation id (.NET ticks of creation) and the ETag
// (base64 of a decimal counter that starts anywhere and grows by one per update). Key sizes of 16 to 64 bytes and the
// limit of modules per device are unconfirmed for the real hub.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/base64.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/hub/identity_record.hpp>
#include <iothub/wire/identity_rules.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// A key without its own strings, to look one up.
struct key_view {
  constexpr key_view() noexcept = default;
  constexpr key_view(std::string_view device, std::string_view module = {}) noexcept  // NOLINT: "d1" is a device's
      : device_id{device}, module_id{module} {}
  key_view(device_key const& key) noexcept : device_id{key.device_id}, module_id{key.module_id} {}  // NOLINT
  std::string_view device_id = {};
  std::string_view module_id = {};
};

class registry {
 public:
  // Devices in the order of their ids, each followed by its modules: the order of lists and queries.
  struct order {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(A const& a, B const& b) const noexcept {
      std::string_view const left{a.device_id}, right{b.device_id};
      int const c = left.compare(right);
      return c != 0 ? c < 0 : std::string_view{a.module_id} < std::string_view{b.module_id};
    }
  };
  using map = std::map<device_key, identity_record, order>;

  struct written {
    identity_record* record;
    bool created;
  };

  registry(options const& settings, security& keys);

  [[nodiscard]] identity_record* find(key_view key) noexcept;
  [[nodiscard]] identity_record const* find(key_view key) const noexcept;
  // The same, or why not: device_not_found, module_not_found.
  [[nodiscard]] result<identity_record*> get(key_view key);
  [[nodiscard]] static error missing(key_view key, bool device_exists);

  // See hub_core::put_identity().
  result<written> put(device_identity const& wanted, if_match condition, utc_time now);
  // Whether the record may be deleted under that condition.
  [[nodiscard]] result<identity_record*> check_erase(key_view key, if_match condition);
  void erase(identity_record& record);

  [[nodiscard]] device_identity describe(identity_record const& record) const;
  [[nodiscard]] map const& records() const noexcept { return records_; }
  [[nodiscard]] map& records() noexcept { return records_; }
  [[nodiscard]] registry_statistics const& statistics() const noexcept { return statistics_; }

  [[nodiscard]] static std::string etag_text(identity_record const& record) {
    return to_base64(std::to_string(record.etag));
  }

 private:
  struct checked_keys {
    std::string primary;
    std::string secondary;
  };
  result<checked_keys> check_keys(device_identity const& wanted, identity_record const* present);
  result<std::string> read_or_make_key(std::string_view text, std::string const* present);
  result<void> check_document(device_identity const& wanted) const;
  result<written> create(device_identity const& wanted, utc_time now);
  result<written> update(identity_record& record, device_identity const& wanted, utc_time now);
  void fill(identity_record& record, device_identity const& wanted, checked_keys&& keys);
  std::size_t count_modules(std::string_view device_id) const noexcept;

  options const& settings_;
  security& keys_;
  map records_;
  registry_statistics statistics_ = {};
  std::uint64_t last_serial_ = 0;
  std::int64_t last_generation_ = 0;
};

// --------------------------------------------------------------------------------------------------------------------

namespace detail {
inline bool is_thumbprint(std::string_view text) noexcept {
  if (text.size() != 40 && text.size() != 64) return false;
  for (char c : text)
    if (hex_value(c) < 0) return false;
  return true;
}
// Ticks of 100 ns since 0001-01-01.
inline std::int64_t dotnet_ticks(utc_time t) noexcept { return (t - no_time).count() * 10; }
}  // namespace detail

inline registry::registry(options const& settings, security& keys) : settings_{settings}, keys_{keys} {}

inline identity_record* registry::find(key_view key) noexcept {
  auto const found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}
inline identity_record const* registry::find(key_view key) const noexcept {
  return const_cast<registry*>(this)->find(key);
}

inline error registry::missing(key_view key, bool device_exists) {
  if (!key.module_id.empty() && device_exists)
    return refuse(errc::module_not_found, 404010,
                  "Module '" + std::string{key.module_id.substr(0, 128)} + "' of device '" +
                      std::string{key.device_id.substr(0, 128)} + "' is not registered");
  return refuse(errc::device_not_found, 404001,
                "Device '" + std::string{key.device_id.substr(0, 128)} + "' is not registered");
}

inline result<identity_record*> registry::get(key_view key) {
  if (identity_record* const record = find(key)) return record;
  return missing(key, key.module_id.empty() || find({key.device_id, {}}) != nullptr);
}

inline result<std::string> registry::read_or_make_key(std::string_view text, std::string const* present) {
  if (!text.empty()) {
    auto bytes = from_base64(text);
    if (!bytes || bytes->size() < 16 || bytes->size() > 64)
      return refuse(errc::bad_request, 400004, "A symmetric key must be the base64 of 16 to 64 bytes");
    return std::move(*bytes);
  }
  if (present != nullptr && !present->empty()) return *present;
  std::string fresh(32, '\0');
  if (auto filled = keys_.fill_random({fresh.data(), fresh.size()}); !filled) return filled.error();
  return fresh;
}

// Empty keys are made on create. On update they are kept (what the service does then is unconfirmed).
inline result<registry::checked_keys> registry::check_keys(device_identity const& wanted,
                                                           identity_record const* present) {
  checked_keys out;
  if (wanted.authentication.type != authentication_type::sas) return out;
  auto primary = read_or_make_key(wanted.authentication.primary_key, present ? &present->keys[0].bytes : nullptr);
  if (!primary) return std::move(primary).error();
  auto secondary = read_or_make_key(wanted.authentication.secondary_key, present ? &present->keys[1].bytes : nullptr);
  if (!secondary) return std::move(secondary).error();
  out.primary = std::move(*primary);
  out.secondary = std::move(*secondary);
  return out;
}

inline result<void> registry::check_document(device_identity const& wanted) const {
  auto const out_of_form = [](char const* which, std::string const& id) {
    return refuse(errc::bad_request, 400004,
                  std::string{"The "}.append(which).append(" id '").append(id, 0, 128).append("' is out of form"));
  };
  if (!is_valid_id(wanted.device_id)) return out_of_form("device", wanted.device_id);
  if (!wanted.module_id.empty() && !is_valid_id(wanted.module_id)) return out_of_form("module", wanted.module_id);
  if (wanted.status_reason.size() > 128)
    return refuse(errc::bad_request, 400004, "The status reason is above 128 bytes");
  auto const& a = wanted.authentication;
  if (a.type == authentication_type::self_signed && a.primary_thumbprint.empty() && a.secondary_thumbprint.empty())
    return refuse(errc::bad_request, 400004, "Self-signed authentication needs a thumbprint");
  for (auto const* t : {&a.primary_thumbprint, &a.secondary_thumbprint})
    if (!t->empty() && !detail::is_thumbprint(*t))
      return refuse(errc::bad_request, 400004, "A thumbprint must be 40 or 64 hexadecimal digits");
  return {};
}

inline std::size_t registry::count_modules(std::string_view device_id) const noexcept {
  std::size_t n = 0;
  for (auto i = records_.upper_bound(key_view{device_id, {}}); i != records_.end(); ++i, ++n)
    if (i->first.device_id != device_id) break;
  return n;
}

inline result<registry::written> registry::put(device_identity const& wanted, if_match condition, utc_time now) {
  if (auto good = check_document(wanted); !good) return good.error();
  identity_record* const record = find({wanted.device_id, wanted.module_id});
  if (record == nullptr) {
    bool const parent = wanted.module_id.empty() || find({wanted.device_id, {}}) != nullptr;
    if (condition.kind != if_match_kind::none || !parent)
      return missing({wanted.device_id, wanted.module_id}, parent);
    return create(wanted, now);
  }
  if (condition.kind == if_match_kind::none)
    return record->is_module()
               ? refuse(errc::already_exists, 409301,
                        "A module with ID '" + wanted.module_id + "' is already registered on device '" +
                            wanted.device_id + "'.")
               : refuse(errc::already_exists, 409001,
                        "A device with ID '" + wanted.device_id + "' is already registered.");
  if (!condition.met_by(etag_text(*record)))
    return refuse(errc::precondition_failed, 412001, "PreconditionFailed");
  return update(*record, wanted, now);
}

inline result<registry::written> registry::create(device_identity const& wanted, utc_time now) {
  if (records_.size() >= settings_.limits.devices)
    return refuse(errc::forbidden, 403000, "The hub holds as many identities as it may");
  if (!wanted.module_id.empty() && count_modules(wanted.device_id) >= settings_.limits.modules_per_device)
    return refuse(errc::too_large, 413003, "The device has as many modules as it may");
  auto keys = check_keys(wanted, nullptr);
  if (!keys) return std::move(keys).error();
  unsigned char start[4] = {};
  if (auto filled = keys_.fill_random({reinterpret_cast<char*>(start), sizeof start}); !filled) return filled.error();

  auto const at = records_.try_emplace(device_key{wanted.device_id, wanted.module_id}).first;
  identity_record& record = at->second;
  record.key = &at->first;
  record.serial = ++last_serial_;
  std::int64_t const ticks = detail::dotnet_ticks(now);
  record.generation = last_generation_ = ticks > last_generation_ ? ticks : last_generation_ + 1;
  record.etag = (std::uint64_t{start[0]} << 16 | std::uint64_t{start[1]} << 8 | start[2]) + 100'000'000u;
  // A recorded device twin shows the time of creation, a module twin "never".
  utc_time const first = record.is_module() ? no_time : now;
  record.twin.desired.stamps.updated = record.twin.reported.stamps.updated = first;
  record.status = wanted.status;
  fill(record, wanted, std::move(*keys));
  if (!record.is_module()) {
    ++statistics_.total_device_count;
    ++(record.status == identity_status::enabled ? statistics_.enabled_device_count
                                                 : statistics_.disabled_device_count);
  }
  return written{&record, true};
}

inline result<registry::written> registry::update(identity_record& record, device_identity const& wanted,
                                                  utc_time now) {
  auto keys = check_keys(wanted, &record);
  if (!keys) return std::move(keys).error();
  if (!record.is_module() && record.status != wanted.status) {
    bool const on = wanted.status == identity_status::enabled;
    ++(on ? statistics_.enabled_device_count : statistics_.disabled_device_count);
    --(on ? statistics_.disabled_device_count : statistics_.enabled_device_count);
    record.status = wanted.status;
    record.status_updated = now;
  }
  fill(record, wanted, std::move(*keys));
  ++record.etag;
  return written{&record, false};
}

inline void registry::fill(identity_record& record, device_identity const& wanted, checked_keys&& keys) {
  record.type = wanted.authentication.type;
  record.iot_edge = wanted.iot_edge && !record.is_module();
  record.keys[0] = {std::move(keys.primary), {}};
  record.keys[1] = {std::move(keys.secondary), {}};
  auto const& a = wanted.authentication;
  bool const special = !wanted.status_reason.empty() || !a.primary_thumbprint.empty() ||
                       !a.secondary_thumbprint.empty() || !wanted.managed_by.empty() || !wanted.device_scope.empty() ||
                       !wanted.parent_scopes.empty() || record.iot_edge || record.extras;
  if (!special) return;
  identity_extras& more = record.add_more();
  more.status_reason = wanted.status_reason;
  more.primary_thumbprint = a.primary_thumbprint;
  more.secondary_thumbprint = a.secondary_thumbprint;
  more.managed_by = wanted.managed_by;
  more.parent_scopes = wanted.parent_scopes;
  // An edge device's scope is made by the service and never changes; others may be given their parent's.
  if (!record.iot_edge)
    more.device_scope = wanted.device_scope;
  else if (more.device_scope.empty())
    more.device_scope = "ms-azure-iot-edge://" + wanted.device_id + "-" + std::to_string(record.generation);
  if (!record.iot_edge && !more.device_scope.empty() && more.parent_scopes.empty())
    more.parent_scopes.push_back(more.device_scope);
}

inline result<identity_record*> registry::check_erase(key_view key, if_match condition) {
  auto record = get(key);
  if (record && !condition.met_by(etag_text(**record)))
    return refuse(errc::precondition_failed, 412001, "PreconditionFailed");
  return record;
}

inline void registry::erase(identity_record& record) {
  if (!record.is_module()) {
    --statistics_.total_device_count;
    --(record.status == identity_status::enabled ? statistics_.enabled_device_count
                                                 : statistics_.disabled_device_count);
  }
  records_.erase(records_.find(*record.key));
}

inline device_identity registry::describe(identity_record const& record) const {
  identity_extras const& more = record.more();
  device_identity out;
  out.device_id = record.key->device_id;
  out.module_id = record.key->module_id;
  out.generation_id = std::to_string(record.generation);
  out.etag = etag_text(record);
  out.connection_state = record.link ? connection_state::connected : connection_state::disconnected;
  out.connection_state_updated_time = record.connection_state_updated;
  out.status = record.status;
  out.status_reason = more.status_reason;
  out.status_updated_time = record.status_updated;
  out.last_activity_time = record.last_activity;
  out.cloud_to_device_message_count = record.queue ? static_cast<std::uint32_t>(record.queue->size()) : 0;
  out.authentication.type = record.type;
  out.authentication.primary_key = to_base64(record.keys[0].bytes);
  out.authentication.secondary_key = to_base64(record.keys[1].bytes);
  out.authentication.primary_thumbprint = more.primary_thumbprint;
  out.authentication.secondary_thumbprint = more.secondary_thumbprint;
  out.iot_edge = record.iot_edge;
  out.managed_by = more.managed_by;
  out.device_scope = more.device_scope;
  out.parent_scopes = more.parent_scopes;
  return out;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
