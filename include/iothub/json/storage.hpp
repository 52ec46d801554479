// Memory of JSON documents: where containers and long strings live, and how wide objects are indexed.
//
// Theory. A value is 16 bytes; what does not fit there is a node: a container (header, elements and, for a wide object,
// its index, in one piece) or the characters of a long string. Nodes made one by one are heap blocks of their own. A
// parsed or copied document puts its nodes into chunks instead: a chunk is one heap block, filled from the front, that
// counts the nodes in use and goes when the last of them does. So a document of hundreds of nodes costs one or two
// allocations, any part of it may still be moved elsewhere and outlive the rest, and a part that does keeps its chunk.
// The count is atomic: parts of one document may end up in different threads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include <iothub/base/shared_cell.hpp>

namespace iothub {
inline namespace v0 {
namespace json {
namespace detail {

// The 16 bytes of a value. Byte 15 is the tag: its low half one of these, its high half the length of a short string,
// whose characters are bytes 0 to 14, padded with zeros. A long string is {pointer, 32-bit size}, a container a pointer
// (none: empty), a number or boolean its 8 bytes. A string is short exactly when it has at most 15 bytes, thus equal
// short strings have equal bytes.
// clang-format off
enum tag : unsigned char {
  null_tag, bool_tag, int_tag, real_tag, short_tag, long_tag, array_tag, object_tag, dead_tag
};
// clang-format on
inline constexpr std::size_t short_limit = 15;
inline constexpr std::size_t index_threshold = 16;  // objects with room for more members carry an index

struct unit {
  alignas(8) unsigned char raw[16];

  template <class T>
  [[nodiscard]] T load(std::size_t at = 0) const noexcept {
    T out;
    std::memcpy(&out, raw + at, sizeof out);
    return out;
  }
  template <class T>
  void store(T const& from, std::size_t at = 0) noexcept {
    std::memcpy(raw + at, &from, sizeof from);
  }
  [[nodiscard]] detail::tag tag() const noexcept { return static_cast<detail::tag>(raw[15] & 15); }
  [[nodiscard]] bool owns() const noexcept {
    auto const t = static_cast<unsigned>(raw[15] & 15);
    return t - long_tag <= unsigned{object_tag - long_tag} && load<void*>() != nullptr;
  }
};
static_assert(sizeof(unit) == 16 && sizeof(void*) <= 8);

struct chunk {
  iothub::detail::shared_cell<std::uint32_t> used{1};  // nodes in use, plus one while it is being filled
  chunk* next = nullptr;               // while it is being filled: the others of the same document
};

// Every node starts with its distance from the start of its chunk; 0: a block of its own.
struct string_node {
  std::uint32_t offset = 0;
  std::uint32_t capacity = 0;  // bytes of text there is room for
  [[nodiscard]] char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
};
struct container {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;      // slots in use, erased members included
  std::uint32_t capacity = 0;  // in slots: one unit in an array, two (key, value) in an object
  std::uint32_t dead = 0;      // erased members of an indexed object: their key is tagged dead_tag
  std::uint32_t seed = 0;      // of the index
  std::uint32_t unused = 0;
  [[nodiscard]] unit* units() noexcept { return reinterpret_cast<unit*>(this + 1); }
  [[nodiscard]] unit const* units() const noexcept { return reinterpret_cast<unit const*>(this + 1); }
};
static_assert(sizeof(container) == 24 && sizeof(string_node) == 8 && sizeof(chunk) % 8 == 0);

constexpr std::size_t round_up8(std::size_t size) noexcept { return (size + 7) & ~std::size_t{7}; }

// Slots of the index of an object with room for `capacity` members: at most half of them are ever used.
constexpr std::size_t table_size(std::size_t capacity) noexcept {
  return capacity <= index_threshold ? 0 : std::bit_ceil(capacity * 2);
}
constexpr std::size_t container_bytes(tag kind, std::size_t capacity) noexcept {
  return kind == array_tag ? sizeof(container) + capacity * sizeof(unit)
                           : sizeof(container) + capacity * 2 * sizeof(unit) + table_size(capacity) * 4;
}
constexpr std::size_t string_bytes(std::size_t size) noexcept { return round_up8(sizeof(string_node) + size); }

// --- text -----------------------------------------------------------------------------------------------------------

inline std::string_view text_of(unit const& u) noexcept {
  if (u.tag() == short_tag) return {reinterpret_cast<char const*>(u.raw), static_cast<std::size_t>(u.raw[15] >> 4)};
  return {u.load<string_node*>()->text(), u.load<std::uint32_t>(8)};
}
inline unit short_string(char const* text, std::size_t size) noexcept {
  unit u{};
  if (size != 0) std::memcpy(u.raw, text, size);
  u.raw[15] = static_cast<unsigned char>(short_tag | size << 4);
  return u;
}
inline unit long_string(string_node* node, std::string_view text) noexcept {
  std::memcpy(node->text(), text.data(), text.size());
  unit u{};
  u.store(node);
  u.store(static_cast<std::uint32_t>(text.size()), 8);
  u.raw[15] = long_tag;
  return u;
}

// A name to look for, in the form that compares fast.
struct probe {
  explicit probe(std::string_view name) noexcept : text{name}, is_short{name.size() <= short_limit} {
    if (is_short) image = short_string(name.data(), name.size());
  }
  explicit probe(unit const& key) noexcept : text{text_of(key)}, image{key}, is_short{key.tag() == short_tag} {}
  [[nodiscard]] bool matches(unit const& key) const noexcept {
    if (is_short)
      return key.load<std::uint64_t>() == image.load<std::uint64_t>() &&
             key.load<std::uint64_t>(8) == image.load<std::uint64_t>(8);
    return key.tag() == long_tag && text_of(key) == text;
  }
  // Not for outsiders: two objects hash the same name differently, so that a peer cannot choose names that collide.
  [[nodiscard]] std::uint32_t hash(std::uint32_t seed) const noexcept {
    constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;
    std::uint64_t h = (seed + text.size()) * odd;
    auto const mix = [&h](std::uint64_t word) {
      h = (h ^ word) * odd;
      h ^= h >> 29;
    };
    if (is_short) {
      mix(image.load<std::uint64_t>());
      mix(image.load<std::uint64_t>(8));
    } else {
      std::size_t at = 0;
      std::uint64_t word = 0;
      for (; at + 8 <= text.size(); at += 8) {
        std::memcpy(&word, text.data() + at, 8);
        mix(word);
      }
      std::memcpy(&word, text.data() + text.size() - 8, 8);
      mix(word);
    }
    return static_cast<std::uint32_t>(h >> 32);
  }

  std::string_view text;
  unit image{};
  bool is_short;
};

// --- giving memory back ---------------------------------------------------------------------------------------------

// Returns nodes; those of one chunk in one go.
class releaser {
 public:
  releaser() noexcept = default;
  releaser(releaser const&) = delete;
  releaser& operator=(releaser const&) = delete;
  ~releaser() { flush(); }

  void give(void* node, std::uint32_t offset) noexcept {
    if (offset == 0) return ::operator delete(node);
    auto* const home = reinterpret_cast<chunk*>(static_cast<char*>(node) - offset);
    if (home != chunk_) {
      flush();
      chunk_ = home;
    }
    ++count_;
  }

 private:
  void flush() noexcept {
    if (chunk_ != nullptr && chunk_->used.subtract(count_) == 0)
      ::operator delete(chunk_);
    chunk_ = nullptr;
    count_ = 0;
  }

  chunk* chunk_ = nullptr;
  std::uint32_t count_ = 0;
};

// Releases all that a unit owns. Never recurses, however deep the document: the way back up is kept in the headers of
// the containers on it (in `capacity` and `dead`, no longer needed), and `size` counts what is left of each.
inline void destroy(unit const& root) noexcept {
  releaser release;
  if (root.tag() == long_tag) {
    auto* const node = root.load<string_node*>();
    return release.give(node, node->offset);
  }
  auto const give_string = [&release](unit const& u) {
    if (u.tag() == long_tag) release.give(u.load<string_node*>(), u.load<string_node*>()->offset);
  };
  static_assert(offsetof(container, capacity) == 8);
  container* at = root.load<container*>();
  bool is_object = root.tag() == object_tag;
  std::uint64_t up = 0;  // address of the parent, lowest bit set where that is an object
  for (;;) {
    if (at->size == 0) {
      release.give(at, at->offset);
      if (up == 0) return;
      at = reinterpret_cast<container*>(static_cast<std::uintptr_t>(up & ~std::uint64_t{1}));
      is_object = (up & 1) != 0;
      std::memcpy(&up, reinterpret_cast<char*>(at) + 8, sizeof up);
      continue;
    }
    std::uint32_t const last = --at->size;
    if (is_object) give_string(at->units()[2 * last]);
    unit const& item = at->units()[is_object ? 2 * last + 1 : last];
    if (item.tag() < array_tag || !item.owns()) {
      give_string(item);
      continue;
    }
    std::memcpy(reinterpret_cast<char*>(at) + 8, &up, sizeof up);
    up = reinterpret_cast<std::uintptr_t>(at) | std::uint64_t{is_object};
    at = item.load<container*>();
    is_object = item.tag() == object_tag;
  }
}

// --- taking memory --------------------------------------------------------------------------------------------------

// Fills chunks with the nodes of one document. Until keep() all of it goes with the arena.
class arena {
 public:
  // `hint`: bytes of nodes to expect.
  explicit arena(std::size_t hint) noexcept : hint_{hint} {}
  arena(arena const&) = delete;
  arena& operator=(arena const&) = delete;
  ~arena() {
    while (chunks_ != nullptr) {
      chunk* const next = chunks_->next;
      ::operator delete(chunks_);
      chunks_ = next;
    }
  }

  string_node* make_string(std::size_t size) {
    std::uint32_t offset = 0;
    void* const at = allocate(string_bytes(size), offset);
    return ::new (at) string_node{offset, static_cast<std::uint32_t>(size)};
  }
  container* make_container(tag kind, std::size_t capacity) {
    std::uint32_t offset = 0;
    void* const at = allocate(container_bytes(kind, capacity), offset);
    auto* const node = ::new (at) container{};
    node->offset = offset;
    node->capacity = static_cast<std::uint32_t>(capacity);
    return node;
  }
  unit make_text(std::string_view text) {
    return text.size() <= short_limit ? short_string(text.data(), text.size())
                                      : long_string(make_string(text.size()), text);
  }
  // Drops a unit whose nodes came from here.
  void drop(unit const& item) noexcept {
    settle();
    if (item.owns()) destroy(item);
  }
  // The document is complete: from here on its nodes keep its chunks.
  void keep() noexcept {
    settle();
    while (chunks_ != nullptr) {
      chunk* const next = chunks_->next;
      if (chunks_->used.subtract(1) == 0) ::operator delete(chunks_);
      chunks_ = next;
    }
  }

 private:
  static constexpr std::size_t largest = 256 * 1024;  // of a chunk, unless one node needs more

  void* allocate(std::size_t size, std::uint32_t& offset) {
    if (size > static_cast<std::size_t>(end_ - at_)) return allocate_slowly(size, offset);
    void* const out = at_;
    offset = static_cast<std::uint32_t>(at_ - reinterpret_cast<char*>(current_));
    at_ += size;
    ++fresh_;
    return out;
  }
  void* allocate_slowly(std::size_t size, std::uint32_t& offset) {
    if (size > largest / 4) {
      chunk* const own = add_chunk(sizeof(chunk) + size);
      own->used.store(2);
      offset = sizeof(chunk);
      return own + 1;
    }
    std::size_t wanted = hint_ < largest ? hint_ : largest;
    if (wanted < size) wanted = size;
    chunk* const fresh = add_chunk(sizeof(chunk) + round_up8(wanted));
    settle();
    current_ = fresh;
    at_ = reinterpret_cast<char*>(fresh + 1);
    end_ = at_ + round_up8(wanted);
    return allocate(size, offset);
  }
  chunk* add_chunk(std::size_t bytes) {
    auto* const fresh = ::new (::operator new(bytes)) chunk{};
    fresh->next = chunks_;
    return chunks_ = fresh;
  }
  void settle() noexcept {
    if (current_ != nullptr)
      current_->used.store(current_->used.load() + fresh_);
    fresh_ = 0;
  }

  std::size_t hint_;
  chunk* chunks_ = nullptr;
  chunk* current_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::uint32_t fresh_ = 0;  // nodes in `current_` that it does not count yet
};

// A container of its own block.
inline container* make_own_container(tag kind, std::size_t capacity) {
  auto* const node = ::new (::operator new(container_bytes(kind, capacity))) container{};
  node->capacity = static_cast<std::uint32_t>(capacity);
  return node;
}
inline unit make_own_text(std::string_view text) {
  if (text.size() <= short_limit) return short_string(text.data(), text.size());
  return long_string(
      ::new (::operator new(string_bytes(text.size()))) string_node{0, static_cast<std::uint32_t>(text.size())}, text);
}

// --- the index of wide objects --------------------------------------------------------------------------------------

// A table of 32-bit slot numbers plus one behind the members (open addressing, linear probing). Entries of erased
// members stay, as stepping stones, until the next rebuild.
inline char* table_of(container* c) noexcept {
  return reinterpret_cast<char*>(c->units() + 2 * std::size_t{c->capacity});
}
inline std::uint32_t table_at(char const* table, std::size_t at) noexcept {
  std::uint32_t out;
  std::memcpy(&out, table + at * 4, 4);
  return out;
}

// The slot of the member of that name; `size` where there is none. `free_entry` is then where an index has room for it.
inline std::uint32_t find_slot(container* c, probe const& name, std::size_t* free_entry = nullptr) noexcept {
  if (c->capacity <= index_threshold) {
    for (std::uint32_t i = 0; i != c->size; ++i)
      if (name.matches(c->units()[2 * std::size_t{i}])) return i;
    return c->size;
  }
  char const* const table = table_of(c);
  std::size_t const mask = table_size(c->capacity) - 1;
  std::size_t at = name.hash(c->seed) & mask;
  for (;; at = (at + 1) & mask) {
    std::uint32_t const entry = table_at(table, at);
    if (entry == 0) break;
    if (name.matches(c->units()[2 * std::size_t{entry - 1}])) return entry - 1;
  }
  if (free_entry != nullptr) *free_entry = at;
  return c->size;
}
inline void set_entry(container* c, std::size_t entry, std::uint32_t slot) noexcept {
  std::uint32_t const value = slot + 1;
  std::memcpy(table_of(c) + entry * 4, &value, 4);
}
inline void clear_index(container* c) noexcept {
  std::memset(table_of(c), 0, table_size(c->capacity) * 4);
  c->seed = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(c) >> 4) * 0x9e37'79b1u;
}

// Adds a member that is not there yet; the container has room for it.
inline unit& append_member(container* c, unit const& key, unit const& item) noexcept {
  if (c->capacity > index_threshold) {
    std::size_t entry = 0;
    find_slot(c, probe{key}, &entry);
    set_entry(c, entry, c->size);
  }
  unit* const slot = c->units() + 2 * std::size_t{c->size++};
  slot[0] = key;
  slot[1] = item;
  return slot[1];
}

// Moves all into a block of its own with room for `capacity`, without the erased members.
inline container* regrow(container* old, tag kind, std::size_t capacity) {
  container* const fresh = make_own_container(kind, capacity);
  if (kind == object_tag && capacity > index_threshold) clear_index(fresh);
  if (old == nullptr) return fresh;
  if (kind == object_tag && (capacity > index_threshold || old->dead != 0)) {
    for (std::uint32_t i = 0; i != old->size; ++i)
      if (unit const* const m = old->units() + 2 * std::size_t{i}; m->tag() != dead_tag)
        append_member(fresh, m[0], m[1]);
  } else {
    std::memcpy(fresh->units(), old->units(), std::size_t{old->size} * (kind == object_tag ? 32 : 16));
    fresh->size = old->size;
  }
  releaser{}.give(old, old->offset);
  return fresh;
}

}  // namespace detail
}  // namespace json
}  // namespace v0
}  // namespace iothub
