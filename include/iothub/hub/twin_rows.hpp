// Twins as the service shows them, and as rows of a query, looked up in place: a condition over one property of a large
// twin costs that property. Names of root fields are not case-sensitive, names of tags and properties are (the latter
// is unconfirmed for the real hub).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/ascii.hpp>
#include <iothub/hub/query.hpp>
#include <iothub/hub/registry.hpp>
#include <iothub/wire/model_json.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

[[nodiscard]] inline twin describe_twin(identity_record const& record);

class twin_row final : public query_row {
 public:
  twin_row() noexcept = default;
  explicit twin_row(identity_record const& record) noexcept : record_{&record} {}

  [[nodiscard]] inline operand field(std::span<std::string const> path) const override;
  [[nodiscard]] inline std::string output_name(std::span<std::string const> path) const override;
  [[nodiscard]] inline json::value whole() const override;

 private:
  enum class root : std::uint8_t {
    device_id, module_id, etag, device_etag, status, status_reason, status_update_time, connection_state,
    last_activity_time, c2d_count, authentication_type, thumbprint, model_id, version, tags, properties, capabilities,
    device_scope, parent_scopes, none
  };
  static constexpr std::string_view names[] = {
      "deviceId", "moduleId", "etag", "deviceEtag", "status", "statusReason", "statusUpdateTime", "connectionState",
      "lastActivityTime", "cloudToDeviceMessageCount", "authenticationType", "x509Thumbprint", "modelId", "version",
      "tags", "properties", "capabilities", "deviceScope", "parentScopes"};

  static root find_root(std::string_view name) noexcept;
  [[nodiscard]] operand root_field(root which) const;
  [[nodiscard]] operand property(std::span<std::string const> path) const;
  [[nodiscard]] operand section(twin_section_state const& section, twin_part part,
                                std::span<std::string const> path) const;
  [[nodiscard]] static operand walk(json::value const& from, std::span<std::string const> path);
  [[nodiscard]] static operand own(json::value from, std::span<std::string const> path);

  identity_record const* record_ = nullptr;
};

// The twins of devices, or of modules, in the order of their ids.
class twin_rows final : public query_source {
 public:
  twin_rows(registry const& all, query_from from) : all_{all}, from_{from}, at_{all.records().begin()} {}

  inline void seek(std::string_view key) override;
  inline query_row const* next() override;
  [[nodiscard]] inline std::string key() const override;

 private:
  registry const& all_;
  query_from from_;
  registry::map::const_iterator at_;
  identity_record const* current_ = nullptr;
  twin_row row_;
};

// --------------------------------------------------------------------------------------------------------------------

inline twin describe_twin(identity_record const& record) {
  identity_extras const& more = record.more();
  twin out;
  out.device_id = record.key->device_id;
  out.module_id = record.key->module_id;
  out.etag = twin_etag(record.twin);
  out.device_etag = registry::etag_text(record);
  out.model_id = more.model_id;
  out.version = record.twin.version;
  out.status = record.status;
  out.status_reason = more.status_reason;
  out.status_update_time = record.status_updated;
  out.connection_state = record.link ? connection_state::connected : connection_state::disconnected;
  out.last_activity_time = record.last_activity;
  out.cloud_to_device_message_count = record.queue ? static_cast<std::uint32_t>(record.queue->size()) : 0;
  out.authentication_type = record.type;
  out.primary_thumbprint = more.primary_thumbprint;
  out.secondary_thumbprint = more.secondary_thumbprint;
  out.iot_edge = record.iot_edge;
  out.tags = document(record.twin.tags);
  out.desired = {document(record.twin.desired.properties), metadata(record.twin.desired.stamps, twin_part::desired),
                 record.twin.desired.version};
  out.reported = {document(record.twin.reported.properties),
                  metadata(record.twin.reported.stamps, twin_part::reported), record.twin.reported.version};
  return out;
}

inline twin_row::root twin_row::find_root(std::string_view name) noexcept {
  for (std::uint8_t i = 0; i != static_cast<std::uint8_t>(root::none); ++i)
    if (iequals(names[i], name)) return static_cast<root>(i);
  return root::none;
}

inline operand twin_row::walk(json::value const& from, std::span<std::string const> path) {
  json::value const* at = &from;
  for (auto const& name : path) {
    at = at->is_object() ? at->find(name) : nullptr;
    if (at == nullptr) return {};
  }
  return operand::borrowed(at);
}
inline operand twin_row::own(json::value from, std::span<std::string const> path) {
  operand const found = walk(from, path);
  return found.defined() ? operand{found.value()} : operand{};
}

inline operand twin_row::section(twin_section_state const& s, twin_part part, std::span<std::string const> path) const {
  if (path.empty()) {
    json::value whole = document(s.properties);
    whole.set("$metadata", metadata(s.stamps, part));
    whole.set("$version", s.version);
    return operand{std::move(whole)};
  }
  if (path[0] == "$version") return path.size() == 1 ? operand{json::value{s.version}} : operand{};
  if (path[0] == "$metadata") return own(metadata(s.stamps, part), path.subspan(1));
  return walk(s.properties, path);
}

inline operand twin_row::property(std::span<std::string const> path) const {
  twin_state const& twin = record_->twin;
  if (path.empty()) {
    json::value both = json::value::make_object();
    both.set("desired", section(twin.desired, twin_part::desired, {}).value());
    both.set("reported", section(twin.reported, twin_part::reported, {}).value());
    return operand{std::move(both)};
  }
  if (iequals(path[0], "desired")) return section(twin.desired, twin_part::desired, path.subspan(1));
  if (iequals(path[0], "reported")) return section(twin.reported, twin_part::reported, path.subspan(1));
  return {};
}

inline operand twin_row::root_field(root which) const {
  identity_record const& r = *record_;
  identity_extras const& more = r.more();
  auto const text = [](std::string_view s) { return operand{json::value{s}}; };
  auto const or_null = [](std::string_view s) { return s.empty() ? json::value{} : json::value{s}; };
  auto const text_if = [&](std::string_view s) { return s.empty() ? operand{} : text(s); };
  switch (which) {
    case root::device_id: return text(r.key->device_id);
    case root::module_id: return text_if(r.key->module_id);
    case root::etag: return text(twin_etag(r.twin));
    case root::device_etag: return text(registry::etag_text(r));
    case root::status: return text(to_string(r.status));
    case root::status_reason: return text_if(more.status_reason);
    case root::status_update_time: return text(to_service_time(r.status_updated));
    case root::connection_state:
      return text(to_string(r.link != nullptr ? connection_state::connected : connection_state::disconnected));
    case root::last_activity_time: return text(to_service_time(r.last_activity));
    case root::c2d_count: return operand{json::value{r.queue ? r.queue->size() : std::size_t{0}}};
    case root::authentication_type: return text(to_string(r.type));
    case root::thumbprint:
      return operand{json::value{{"primaryThumbprint", or_null(more.primary_thumbprint)},
                                 {"secondaryThumbprint", or_null(more.secondary_thumbprint)}}};
    case root::model_id: return text_if(more.model_id);
    case root::version: return operand{json::value{r.twin.version}};
    case root::tags: return r.twin.tags.empty() ? operand{} : operand::borrowed(&r.twin.tags);
    case root::properties: return property({});
    case root::capabilities:
      return r.is_module() ? operand{} : operand{json::value{{"iotEdge", r.iot_edge}}};
    case root::device_scope: return text_if(more.device_scope);
    case root::parent_scopes: {
      if (more.parent_scopes.empty()) return {};
      json::value scopes = json::value::make_array();
      for (auto const& s : more.parent_scopes) scopes.push_back(s);
      return operand{std::move(scopes)};
    }
    default: return {};
  }
}

inline operand twin_row::field(std::span<std::string const> path) const {
  if (path.empty()) return {};
  root const which = find_root(path[0]);
  if (which == root::properties) return property(path.subspan(1));
  if (which == root::tags) return path.size() == 1 ? root_field(which) : walk(record_->twin.tags, path.subspan(1));
  operand const value = root_field(which);
  if (path.size() == 1 || !value.defined()) return path.size() == 1 ? value : operand{};
  return own(value.value(), path.subspan(1));
}

inline std::string twin_row::output_name(std::span<std::string const> path) const {
  if (path.empty()) return {};
  root const which = path.size() == 1 ? find_root(path[0]) : root::none;
  return which == root::none ? path.back() : std::string{names[static_cast<std::size_t>(which)]};
}

inline json::value twin_row::whole() const { return to_json(describe_twin(*record_)); }

inline void twin_rows::seek(std::string_view key) {
  split_pair const ids = split_once(key, '\n');
  at_ = key.empty() ? all_.records().begin() : all_.records().upper_bound(key_view{ids.before, ids.after});
  current_ = nullptr;
}

inline query_row const* twin_rows::next() {
  bool const modules = from_ == query_from::modules;
  while (at_ != all_.records().end() && (from_ == query_from::jobs || at_->second.is_module() != modules)) ++at_;
  if (at_ == all_.records().end()) return nullptr;
  current_ = &at_->second;
  row_ = twin_row{*current_};
  ++at_;
  return &row_;
}

inline std::string twin_rows::key() const {
  std::string text = current_->key->device_id;
  return text.append("\n").append(current_->key->module_id);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
