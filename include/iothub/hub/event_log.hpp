// The device-to-cloud events, as the built-in endpoint keeps them: partitions of packed records.
//
// Theory of operation. An event is packed (event_record.hpp) behind the others of its partition into one chunk of
// memory. An append is a handful of memcpys and no allocation in the long run, since the chunk that retention empties
// is used again. Sequence numbers run per partition from 0 without a gap; `ordinal` counts over all partitions, so that
// a reader can see the order of arrival. A device's events are all in one partition, by a hash of its id (FNV-1a, the
// same in every run), and keep their order (Microsoft docs: "Read device-to-cloud messages from the built-in
// endpoint").
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/function.hpp>
#include <iothub/hub/event_record.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Where a reader of a partition is: the sequence number that it wants next, and where that was found the last time.
struct event_cursor {
  std::uint64_t sequence = 0;
  std::uint64_t chunk = ~std::uint64_t{0};
  std::size_t at = 0;
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
  // Called in every append, before the observer, with the partition, for those who read later: it must only queue.
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

// --------------------------------------------------------------------------------------------------------------------

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
  event_packer event{from, what};
  std::size_t const size = event.size();
  char* const record = room(p, size);
  event.write(record, ordinal_, p.offset, enqueued);

  p.chunks.back().used += size;
  p.bytes += size;
  p.offset += size;
  ++ordinal_;
  std::uint64_t const sequence = p.next++;
  while (p.next - p.first > keep_.events || (p.bytes > keep_.bytes && p.next - p.first > 1)) drop_oldest(p);
  if (notify_) notify_(partition);  // before what may throw
  if (observer_ && p.first <= sequence) observer_(event_view{record, sequence, partition});
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

}  // namespace hub
}  // namespace v0
}  // namespace iothub
