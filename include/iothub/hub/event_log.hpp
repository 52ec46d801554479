// The device-to-cloud events, as the built-in endpoint keeps them: partitions of packed records.
//
// Theory of operation. An event is packed behind the others of its partition into one chunk of memory: a fixed header of
// 48 bytes, the times and texts that it has, then the body; what an event has not takes no room. An append is a handful of
// memcpys and no allocation in the long run, since the chunk that retention empties is used again. Sequence numbers run per partition from 0 without a gap; `ordinal` counts over
// all partitions, so that a reader can see the order of arrival. A device's events are all in one partition, by a hash
// of its id (FNV-1a, the same in every run), and keep their order (Microsoft docs: "Read device-to-cloud messages from
// the built-in endpoint").
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/function.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

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
  enum class field : std::uint8_t {
    device_id, module_id, model_id, message_id, correlation_id, user_id, content_type, content_encoding, to,
    output_name, component_name, interface_id, count
  };
  static constexpr std::size_t fields = static_cast<std::size_t>(field::count);
  // Behind it: creation and expiry (8 bytes each), the lengths of the texts (4 bytes each), the texts, the properties, the
  // body; the flags say which of them are there.
  struct header {
    std::uint32_t size;  // of the record, this header included
    std::uint32_t body;
    std::uint64_t ordinal;
    std::uint64_t offset;  // bytes of the partition before this record, since its beginning
    std::int64_t enqueued;
    std::int64_t generation;
    std::uint32_t properties;
    std::uint32_t flags;  // from bit 0: which texts it has; 16, 17: has creation, expiry; 20: auth_scope; 24: event_kind
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

// Where a reader of a partition is: the sequence number that it wants next, and where that was found the last time.
struct event_cursor {
  std::uint64_t sequence = 0;
  std::uint64_t chunk = ~std::uint64_t{0};
  std::size_t at = 0;
};

// Whom an event comes from, beside what it says.
struct event_source {
  std::string_view device_id = {};
  std::string_view module_id = {};
  std::string_view model_id = {};
  std::int64_t generation = 0;  // .NET ticks
  auth_scope scope = auth_scope::device;
  event_kind kind = event_kind::telemetry;
};

class event_log {
 public:
  explicit event_log(retention keep);

  [[nodiscard]] std::uint32_t partitions() const noexcept { return static_cast<std::uint32_t>(partitions_.size()); }
  [[nodiscard]] std::uint32_t partition_of(std::string_view device_id) const noexcept;
  // The size by the hub's formula: body, values of system properties, names and values of application properties.
  [[nodiscard]] static std::size_t size_of(d2c_message const& what) noexcept;

  void append(std::uint32_t partition, event_source const& from, d2c_message const& what, utc_time enqueued);

  // The sequence numbers that can be read are first() <= n < next().
  [[nodiscard]] std::uint64_t first(std::uint32_t partition) const noexcept { return partitions_[partition].first; }
  [[nodiscard]] std::uint64_t next(std::uint32_t partition) const noexcept { return partitions_[partition].next; }
  // Where the oldest event begins; where the next one will, when there is none.
  [[nodiscard]] std::uint64_t first_offset(std::uint32_t partition) const noexcept {
    return partitions_[partition].offset - partitions_[partition].bytes;
  }
  // Calls visit(event_view const&) for up to `at_most` events from `from` on; returns where to go on.
  template <class Visit>
  std::uint64_t read(std::uint32_t partition, std::uint64_t from, std::size_t at_most, Visit&& visit) const;
  // Calls visit(event_view const&) for one event after the other from the cursor on, which it moves, until it returns
  // false; that one is not passed. A cursor before first() goes there; going on costs the same wherever it stands.
  template <class Visit>
  void read(std::uint32_t partition, event_cursor& from, Visit&& visit) const;
  // Where readers begin: the first event with an offset of at least `offset`, or that came later than `when` (by the
  // hub's clock, which is taken to go forward). next() where there is none.
  [[nodiscard]] std::uint64_t find_offset(std::uint32_t partition, std::uint64_t offset) const;
  [[nodiscard]] std::uint64_t find_time(std::uint32_t partition, utc_time when) const;
  // The newest event; `visit` is not called where there is none.
  template <class Visit>
  void newest(std::uint32_t partition, Visit&& visit) const;
  // Everything that is still there, in the order of arrival.
  [[nodiscard]] std::vector<telemetry_event> all() const;
  [[nodiscard]] std::uint64_t size() const noexcept;
  [[nodiscard]] std::uint64_t appended() const noexcept { return ordinal_; }

  // Called inside every append, with the event; it must not call the hub. An empty function ends it.
  void observe(function<void(event_view const&)> observer) { observer_ = std::move(observer); }
  // Called at the end of every append with the partition, for those who read later: it must only queue.
  void on_append(function<void(std::uint32_t)> notify) { notify_ = std::move(notify); }

 private:
  static constexpr std::size_t chunk_size = std::size_t{64} << 10;
  struct chunk {
    std::unique_ptr<char[]> data;
    std::size_t capacity = 0;
    std::size_t used = 0;
    std::uint64_t first = 0;  // sequence number of its first record
  };
  struct part {
    std::deque<chunk> chunks;
    std::size_t head = 0;  // where the oldest record lies in the first chunk
    std::size_t bytes = 0;
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    std::uint64_t offset = 0;
    chunk spare;
  };

  template <class Before>
  [[nodiscard]] std::uint64_t find_first(std::uint32_t partition, Before&& before) const;
  static char* room(part& p, std::size_t size);
  static void drop_oldest(part& p) noexcept;

  retention keep_;
  std::vector<part> partitions_;
  std::uint64_t ordinal_ = 0;
  function<void(event_view const&)> observer_;
  function<void(std::uint32_t)> notify_;
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

inline event_log::event_log(retention keep) : keep_{keep}, partitions_(keep.partitions != 0 ? keep.partitions : 1) {}

inline std::uint32_t event_log::partition_of(std::string_view device_id) const noexcept {
  std::uint32_t hash = 2166136261u;
  for (char c : device_id) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash % partitions();
}

inline std::size_t event_log::size_of(d2c_message const& what) noexcept {
  std::size_t size = what.body.size() + what.message_id.size() + what.correlation_id.size() + what.user_id.size() +
                     what.content_type.size() + what.content_encoding.size() + what.to.size() +
                     what.output_name.size() + what.component_name.size() + what.interface_id.size();
  for (auto const& p : what.properties) size += p.name.size() + p.value.size();
  return size;
}

inline char* event_log::room(part& p, std::size_t size) {
  if (p.chunks.empty() || p.chunks.back().capacity - p.chunks.back().used < size) {
    chunk fresh = std::exchange(p.spare, chunk{});
    if (fresh.capacity < size) {
      // The first chunk of a partition is small, so that an idle hub is.
      std::size_t const wanted = p.chunks.empty() && p.next == 0 ? chunk_size / 16 : chunk_size;
      fresh.capacity = wanted < size ? size : wanted;
      fresh.data.reset(new char[fresh.capacity]);
    }
    fresh.used = 0;
    fresh.first = p.next;
    p.chunks.push_back(std::move(fresh));
  }
  chunk& c = p.chunks.back();
  return c.data.get() + c.used;
}

inline void event_log::drop_oldest(part& p) noexcept {
  chunk& c = p.chunks.front();
  std::uint32_t size;
  std::memcpy(&size, c.data.get() + p.head, sizeof size);
  p.head += size;
  p.bytes -= size;
  ++p.first;
  if (p.head != c.used) return;
  p.head = 0;
  if (c.capacity == chunk_size) p.spare = std::move(c);
  p.chunks.pop_front();
}

inline void event_log::append(std::uint32_t partition, event_source const& from, d2c_message const& what,
                              utc_time enqueued) {
  part& p = partitions_[partition];
  std::string_view const texts[event_view::fields] = {
      from.device_id,        from.module_id, from.model_id,    what.message_id,     what.correlation_id, what.user_id,
      what.content_type,     what.content_encoding, what.to,   what.output_name,    what.component_name, what.interface_id};
  event_view::header head;
  head.flags = (what.creation_time ? event_view::has_creation : 0u) | (what.expiry_time ? event_view::has_expiry : 0u) |
               (static_cast<std::uint32_t>(from.scope) << 20) | (static_cast<std::uint32_t>(from.kind) << 24);
  std::size_t size = sizeof head + what.body.size() + (what.creation_time ? 8u : 0u) + (what.expiry_time ? 8u : 0u);
  for (std::size_t i = 0; i != event_view::fields; ++i) {
    if (texts[i].empty()) continue;
    head.flags |= 1u << i;
    size += sizeof(std::uint32_t) + texts[i].size();
  }
  for (auto const& q : what.properties) size += sizeof(event_view::property_head) + q.name.size() + q.value.size();
  head.size = static_cast<std::uint32_t>(size);
  head.body = static_cast<std::uint32_t>(what.body.size());
  head.ordinal = ordinal_;
  head.offset = p.offset;
  head.enqueued = enqueued.time_since_epoch().count();
  head.generation = from.generation;
  head.properties = static_cast<std::uint32_t>(what.properties.size());

  char* const record = room(p, size);
  char* at = detail::put_raw(record, head);
  if (what.creation_time) at = detail::put_raw(at, std::int64_t{what.creation_time->time_since_epoch().count()});
  if (what.expiry_time) at = detail::put_raw(at, std::int64_t{what.expiry_time->time_since_epoch().count()});
  for (auto const& t : texts)
    if (!t.empty()) at = detail::put_raw(at, static_cast<std::uint32_t>(t.size()));
  for (auto const& t : texts) at = detail::put(at, t);
  for (auto const& q : what.properties) {
    event_view::property_head const h{static_cast<std::uint32_t>(q.name.size()),
                                      static_cast<std::uint32_t>(q.value.size()) | (q.has_value ? event_view::has_value : 0)};
    at = detail::put(detail::put(detail::put_raw(at, h), q.name), q.value);
  }
  detail::put(at, what.body);

  p.chunks.back().used += size;
  p.bytes += size;
  p.offset += size;
  ++ordinal_;
  std::uint64_t const sequence = p.next++;
  while (p.next - p.first > keep_.events || (p.bytes > keep_.bytes && p.next - p.first > 1)) drop_oldest(p);
  if (observer_ && p.first <= sequence) observer_(event_view{record, sequence, partition});
  if (notify_) notify_(partition);
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

template <class Visit>
void event_log::read(std::uint32_t partition, event_cursor& from, Visit&& visit) const {
  part const& p = partitions_[partition];
  if (from.sequence < p.first) from = {p.first};
  if (from.sequence >= p.next) return;
  std::size_t low = 0, high = p.chunks.size();
  while (high - low > 1) {
    std::size_t const middle = (low + high) / 2;
    (p.chunks[middle].first <= from.sequence ? low : high) = middle;
  }
  for (std::size_t i = low; i < p.chunks.size(); ++i) {
    chunk const& c = p.chunks[i];
    bool const known = i == low && from.chunk == c.first;
    std::uint64_t sequence = known ? from.sequence : i == 0 ? p.first : c.first;
    for (std::size_t at = known ? from.at : i == 0 ? p.head : 0; at != c.used; ++sequence) {
      event_view const event{c.data.get() + at, sequence, partition};
      if (sequence >= from.sequence && !visit(event)) {
        from.chunk = c.first;
        from.at = at;
        return;
      }
      at += event.head_.size;
      if (sequence < from.sequence) continue;
      from = {sequence + 1, c.first, at};
    }
  }
}

template <class Visit>
void event_log::newest(std::uint32_t partition, Visit&& visit) const {
  part const& p = partitions_[partition];
  if (p.next == p.first) return;
  event_cursor last{p.next - 1};
  read(partition, last, [&](event_view const& event) {
    visit(event);
    return true;
  });
}

// The first event for which `before` is false; it must be true for none after that. Chunks are skipped by their first
// event.
template <class Before>
std::uint64_t event_log::find_first(std::uint32_t partition, Before&& before) const {
  part const& p = partitions_[partition];
  if (p.next == p.first) return p.next;
  std::size_t low = 0, high = p.chunks.size();
  while (high - low > 1) {
    std::size_t const middle = (low + high) / 2;
    chunk const& c = p.chunks[middle];
    (before(event_view{c.data.get(), c.first, partition}) ? low : high) = middle;
  }
  event_cursor from{low == 0 ? p.first : p.chunks[low].first};
  read(partition, from, [&](event_view const& event) { return before(event); });
  return from.sequence;
}

inline std::uint64_t event_log::find_offset(std::uint32_t partition, std::uint64_t offset) const {
  return find_first(partition, [&](event_view const& event) { return event.offset() < offset; });
}
inline std::uint64_t event_log::find_time(std::uint32_t partition, utc_time when) const {
  return find_first(partition, [&](event_view const& event) { return event.enqueued_time() <= when; });
}

template <class Visit>
std::uint64_t event_log::read(std::uint32_t partition, std::uint64_t from, std::size_t at_most, Visit&& visit) const {
  part const& p = partitions_[partition];
  if (from < p.first) from = p.first;
  std::size_t low = 0, high = p.chunks.size();  // the last chunk that begins at or before `from`
  while (high - low > 1) {
    std::size_t const middle = (low + high) / 2;
    (p.chunks[middle].first <= from ? low : high) = middle;
  }
  for (std::size_t i = low; i < p.chunks.size() && at_most != 0; ++i) {
    chunk const& c = p.chunks[i];
    std::uint64_t sequence = i == 0 ? p.first : c.first;
    for (std::size_t at = i == 0 ? p.head : 0; at != c.used && at_most != 0; ++sequence) {
      event_view const event{c.data.get() + at, sequence, partition};
      at += event.head_.size;
      if (sequence < from) continue;
      visit(event);
      from = sequence + 1;
      --at_most;
    }
  }
  return from;
}

inline std::uint64_t event_log::size() const noexcept {
  std::uint64_t n = 0;
  for (auto const& p : partitions_) n += p.next - p.first;
  return n;
}

inline std::vector<telemetry_event> event_log::all() const {
  struct entry {
    std::uint64_t ordinal;
    telemetry_event event;
  };
  std::vector<std::vector<entry>> sorted(partitions_.size());
  for (std::uint32_t i = 0; i != partitions(); ++i)
    read(i, first(i), ~std::size_t{0}, [&](event_view const& e) { sorted[i].push_back({e.ordinal(), e.copy()}); });
  std::vector<telemetry_event> events;
  events.reserve(static_cast<std::size_t>(size()));
  for (std::vector<std::size_t> at(sorted.size());;) {
    std::size_t oldest = sorted.size();
    for (std::size_t i = 0; i != sorted.size(); ++i)
      if (at[i] != sorted[i].size() &&
          (oldest == sorted.size() || sorted[i][at[i]].ordinal < sorted[oldest][at[oldest]].ordinal))
        oldest = i;
    if (oldest == sorted.size()) return events;
    events.push_back(std::move(sorted[oldest][at[oldest]++].event));
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
