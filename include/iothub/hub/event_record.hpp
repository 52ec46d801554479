// One event as the log keeps it: how it is packed, and how it is read where it lies.
//
// A record is a fixed header of 48 bytes, the times and texts that the event has, its properties, its body; what an
// event has not takes no room.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Whom an event comes from, beside what it says.
struct event_source {
  std::string_view device_id = {};
  std::string_view module_id = {};
  std::string_view model_id = {};
  std::int64_t generation = 0;  // .NET ticks
  auth_scope scope = auth_scope::device;
  event_kind kind = event_kind::telemetry;
};

// One event, borrowed from the log: holds until the next append.
class event_view {
 public:
  [[nodiscard]] std::uint64_t sequence_number() const noexcept { return sequence_; }
  [[nodiscard]] std::uint64_t ordinal() const noexcept { return head_.ordinal; }
  [[nodiscard]] std::uint32_t partition() const noexcept { return partition_; }
  [[nodiscard]] utc_time enqueued_time() const noexcept { return utc_time{duration{head_.enqueued}}; }
  [[nodiscard]] std::string_view device_id() const noexcept { return text(field::device_id); }
  [[nodiscard]] std::string_view module_id() const noexcept { return text(field::module_id); }
  [[nodiscard]] std::string_view message_id() const noexcept { return text(field::message_id); }
  [[nodiscard]] std::string_view model_id() const noexcept { return text(field::model_id); }
  [[nodiscard]] std::string_view correlation_id() const noexcept { return text(field::correlation_id); }
  [[nodiscard]] std::string_view user_id() const noexcept { return text(field::user_id); }
  [[nodiscard]] std::string_view content_type() const noexcept { return text(field::content_type); }
  [[nodiscard]] std::string_view content_encoding() const noexcept { return text(field::content_encoding); }
  [[nodiscard]] std::string_view to() const noexcept { return text(field::to); }
  [[nodiscard]] std::string_view output_name() const noexcept { return text(field::output_name); }
  [[nodiscard]] std::string_view component_name() const noexcept { return text(field::component_name); }
  [[nodiscard]] std::string_view interface_id() const noexcept { return text(field::interface_id); }
  [[nodiscard]] std::string_view body() const noexcept { return {record_ + head_.size - head_.body, head_.body}; }
  [[nodiscard]] std::uint64_t offset() const noexcept { return head_.offset; }
  [[nodiscard]] std::int64_t generation() const noexcept { return head_.generation; }
  [[nodiscard]] auth_scope scope() const noexcept { return static_cast<auth_scope>(head_.flags >> 20 & 15u); }
  [[nodiscard]] event_kind kind() const noexcept { return static_cast<event_kind>(head_.flags >> 24); }
  [[nodiscard]] std::optional<utc_time> creation_time() const noexcept {
    return (head_.flags & has_creation) != 0 ? std::optional{time_at(0)} : std::nullopt;
  }
  [[nodiscard]] std::optional<utc_time> expiry_time() const noexcept {
    return (head_.flags & has_expiry) != 0 ? std::optional{time_at((head_.flags & has_creation) != 0 ? 8 : 0)}
                                           : std::nullopt;
  }
  [[nodiscard]] std::uint32_t property_count() const noexcept { return head_.properties; }
  // Calls f(property_view const&) for each application property.
  template <class F>
  void for_each_property(F f) const;
  // As a value of its own.
  [[nodiscard]] telemetry_event copy() const;

 private:
  friend class event_log;
  friend class event_packer;
  enum class field : std::uint8_t {
    device_id, module_id, model_id, message_id, correlation_id, user_id, content_type, content_encoding, to,
    output_name, component_name, interface_id, count
  };
  static constexpr std::size_t fields = static_cast<std::size_t>(field::count);
  // Behind it: creation and expiry (8 bytes each), the lengths of the texts (4 bytes each), the texts, the properties,
  // the body; the flags say which of them are there.
  struct header {
    std::uint32_t size;  // of the record, this header included
    std::uint32_t body;
    std::uint64_t ordinal;
    std::uint64_t offset;  // bytes of the partition before this record, since its beginning
    std::int64_t enqueued;
    std::int64_t generation;
    std::uint32_t properties;
    // From bit 0: which texts it has; 16, 17: has creation, expiry; 20: auth_scope; 24: event_kind.
    std::uint32_t flags;
  };
  static_assert(sizeof(header) == 48 && fields <= 16);
  static constexpr std::uint32_t has_creation = 1u << 16, has_expiry = 1u << 17;
  struct property_head {
    std::uint32_t name;
    std::uint32_t value;  // the highest bit: there is one
  };
  static constexpr std::uint32_t has_value = 1u << 31;

  event_view(char const* record, std::uint64_t sequence, std::uint32_t partition) noexcept
      : record_{record}, sequence_{sequence}, partition_{partition} {
    std::memcpy(&head_, record, sizeof head_);
    char const* lengths = record + sizeof head_ + ((head_.flags & has_creation) != 0 ? 8 : 0) +
                          ((head_.flags & has_expiry) != 0 ? 8 : 0);
    auto at = static_cast<std::uint32_t>(lengths - record) +
              4 * static_cast<std::uint32_t>(std::popcount(head_.flags & 0xffffu));
    for (std::size_t i = 0; i != fields; ++i) {
      begins_[i] = at;
      if ((head_.flags >> i & 1u) == 0) continue;
      std::uint32_t length;
      std::memcpy(&length, lengths, sizeof length);
      lengths += sizeof length;
      at += length;
    }
    begins_[fields] = at;
  }
  [[nodiscard]] std::string_view text(field f) const noexcept {
    auto const i = static_cast<std::size_t>(f);
    return {record_ + begins_[i], begins_[i + 1] - begins_[i]};
  }
  [[nodiscard]] utc_time time_at(std::size_t place) const noexcept {
    std::int64_t count;
    std::memcpy(&count, record_ + sizeof head_ + place, sizeof count);
    return utc_time{duration{count}};
  }

  header head_;
  char const* record_;
  std::uint32_t begins_[fields + 1];
  std::uint64_t sequence_;
  std::uint32_t partition_;
};

// One event on its way into the log. What it refers to has to live until write().
class event_packer {
 public:
  event_packer(event_source const& from, d2c_message const& what) noexcept;
  // Of the record, in bytes.
  [[nodiscard]] std::size_t size() const noexcept { return head_.size; }
  // `into` has that much room.
  void write(char* into, std::uint64_t ordinal, std::uint64_t offset, utc_time enqueued) noexcept;

 private:
  d2c_message const& what_;
  std::string_view texts_[event_view::fields];
  event_view::header head_;
};

// `{"scope":...}` as iothub-connection-auth-method has it (Microsoft docs: "Create and read IoT Hub messages").
[[nodiscard]] inline std::string_view auth_method_text(auth_scope scope) noexcept {
  switch (scope) {
    case auth_scope::module: return R"({"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})";
    case auth_scope::hub: return R"({"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})";
    default: return R"({"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})";
  }
}

// --------------------------------------------------------------------------------------------------------------------

namespace detail {
inline char* put(char* at, std::string_view bytes) noexcept {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}
template <class Plain>
char* put_raw(char* at, Plain const& what) noexcept {
  std::memcpy(at, &what, sizeof what);
  return at + sizeof what;
}
}  // namespace detail

inline event_packer::event_packer(event_source const& from, d2c_message const& what) noexcept
    : what_{what}, texts_{from.device_id,    from.module_id,        from.model_id,
                          what.message_id,   what.correlation_id,   what.user_id,
                          what.content_type, what.content_encoding, what.to,
                          what.output_name,  what.component_name,   what.interface_id} {
  head_.flags = (what.creation_time ? event_view::has_creation : 0u) |
                (what.expiry_time ? event_view::has_expiry : 0u) | (static_cast<std::uint32_t>(from.scope) << 20) |
                (static_cast<std::uint32_t>(from.kind) << 24);
  std::size_t size = sizeof head_ + what.body.size() + (what.creation_time ? 8u : 0u) + (what.expiry_time ? 8u : 0u);
  for (std::size_t i = 0; i != event_view::fields; ++i) {
    if (texts_[i].empty()) continue;
    head_.flags |= 1u << i;
    size += sizeof(std::uint32_t) + texts_[i].size();
  }
  for (auto const& q : what.properties) size += sizeof(event_view::property_head) + q.name.size() + q.value.size();
  head_.size = static_cast<std::uint32_t>(size);
  head_.body = static_cast<std::uint32_t>(what.body.size());
  head_.generation = from.generation;
  head_.properties = static_cast<std::uint32_t>(what.properties.size());
}

inline void event_packer::write(char* into, std::uint64_t ordinal, std::uint64_t offset, utc_time enqueued) noexcept {
  head_.ordinal = ordinal;
  head_.offset = offset;
  head_.enqueued = enqueued.time_since_epoch().count();
  char* at = detail::put_raw(into, head_);
  if (what_.creation_time) at = detail::put_raw(at, std::int64_t{what_.creation_time->time_since_epoch().count()});
  if (what_.expiry_time) at = detail::put_raw(at, std::int64_t{what_.expiry_time->time_since_epoch().count()});
  for (auto const& t : texts_)
    if (!t.empty()) at = detail::put_raw(at, static_cast<std::uint32_t>(t.size()));
  for (auto const& t : texts_) at = detail::put(at, t);
  for (auto const& q : what_.properties) {
    event_view::property_head const h{
        static_cast<std::uint32_t>(q.name.size()),
        static_cast<std::uint32_t>(q.value.size()) | (q.has_value ? event_view::has_value : 0)};
    at = detail::put(detail::put(detail::put_raw(at, h), q.name), q.value);
  }
  detail::put(at, what_.body);
}

template <class F>
void event_view::for_each_property(F f) const {
  char const* at = record_ + begins_[fields];
  for (std::uint32_t i = 0; i != head_.properties; ++i) {
    property_head h;
    std::memcpy(&h, at, sizeof h);
    at += sizeof h;
    std::uint32_t const value = h.value & ~has_value;
    f(property_view{{at, h.name}, {at + h.name, value}, (h.value & has_value) != 0});
    at += h.name + value;
  }
}

inline telemetry_event event_view::copy() const {
  telemetry_event out;
  out.source = {std::string{device_id()}, std::string{module_id()}};
  message& m = out.content;
  m.message_id = text(field::message_id);
  m.correlation_id = text(field::correlation_id);
  m.user_id = text(field::user_id);
  m.content_type = text(field::content_type);
  m.content_encoding = text(field::content_encoding);
  m.to = text(field::to);
  m.output_name = text(field::output_name);
  m.component_name = text(field::component_name);
  m.interface_id = text(field::interface_id);
  m.creation_time = creation_time();
  m.expiry_time = expiry_time();
  m.properties.reserve(head_.properties);
  for_each_property([&](property_view const& p) {
    m.properties.push_back({std::string{p.name}, std::string{p.value}, p.has_value});
  });
  m.body = message_body{body()};
  out.enqueued_time = enqueued_time();
  out.sequence_number = sequence_;
  out.partition = partition_;
  out.offset = head_.offset;
  out.generation_id = std::to_string(head_.generation);
  out.auth_method = auth_method_text(scope());
  out.model_id = text(field::model_id);
  out.message_source = source_text(kind());
  return out;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
