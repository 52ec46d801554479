// A JSON document (RFC 8259) as a tree of regular values. Include json/value.hpp, which adds parse() and dump().
//
//   json::value v{{"temperature", 21.5}, {"tags", json::array{"a", "b"}}};   // braces are always an object
//   v["interval"] = 10;
//   if (auto seconds = v["interval"].as_int()) …
//
// Integers (int64) and reals (double) are kept apart and compare by their numeric value. Objects keep the order in
// which members were added; wide ones are indexed, so that a lookup does not depend on their width. Values do not share
// state: distinct ones may be used in distinct threads. What is parsed or copied in one go lies in one block of memory;
// a part moved out of it keeps that whole block, a copy of the part does not.
// Text is UTF-8; the program is trusted to put only valid UTF-8 in. Copying, comparing and printing recurse: a document
// built by hand should not be deeper than a few thousand levels (parse() has a limit of its own).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>
#include <iothub/base/exchange.hpp>
#include <iothub/json/storage.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

enum class kind : std::uint8_t { null, boolean, integer, real, string, array, object };

class value;
class member;
struct array;
template <class Member>
class member_range;
template <class Value>
struct element_range;

class value {
 public:
  value() noexcept : unit_{} {}
  value(std::nullptr_t) noexcept : unit_{} {}  // NOLINT(google-explicit-constructor): literals are values
  template <std::same_as<bool> Bool>
  value(Bool b) noexcept : unit_{} {  // NOLINT: a template, so that pointers are not taken for booleans
    unit_.store(static_cast<std::int64_t>(b));
    unit_.raw[15] = detail::bool_tag;
  }
  // Unsigned numbers beyond int64 become reals.
  template <std::integral Int>
    requires(!std::same_as<Int, bool>)
  value(Int i) noexcept : unit_{} {  // NOLINT
    if (std::in_range<std::int64_t>(i)) {
      unit_.store(static_cast<std::int64_t>(i));
      unit_.raw[15] = detail::int_tag;
    } else {
      unit_.store(static_cast<double>(i));
      unit_.raw[15] = detail::real_tag;
    }
  }
  // NaN and the infinities, which JSON does not have, print as null.
  template <std::floating_point Real>
  value(Real r) noexcept : unit_{} {  // NOLINT
    unit_.store(static_cast<double>(r));
    unit_.raw[15] = detail::real_tag;
  }
  value(std::string_view text) : unit_{detail::make_own_text(text)} {}          // NOLINT
  value(std::string const& text) : value{std::string_view{text}} {}             // NOLINT
  value(char const* text) : value{std::string_view{text}} {}                    // NOLINT
  value(array items) noexcept;                                                  // NOLINT
  value(std::initializer_list<member> members);                                 // NOLINT

  value(value&& other) noexcept : unit_{exchanged(other.unit_, detail::unit{})} {}
  value(value const& other);
  value& operator=(value other) noexcept {
    std::swap(unit_, other.unit_);
    return *this;
  }
  ~value() {
    if (unit_.owns()) detail::destroy(unit_);
  }

  static value make_object() noexcept { return value{detail::object_tag}; }
  static value make_array() noexcept { return value{detail::array_tag}; }

  // --- reading
  [[nodiscard]] json::kind kind() const noexcept;
  [[nodiscard]] bool is_null() const noexcept { return unit_.tag() == detail::null_tag; }
  [[nodiscard]] bool is_bool() const noexcept { return unit_.tag() == detail::bool_tag; }
  [[nodiscard]] bool is_int() const noexcept { return unit_.tag() == detail::int_tag; }
  [[nodiscard]] bool is_number() const noexcept { return is_int() || unit_.tag() == detail::real_tag; }
  [[nodiscard]] bool is_string() const noexcept {
    return unit_.tag() == detail::short_tag || unit_.tag() == detail::long_tag;
  }
  [[nodiscard]] bool is_array() const noexcept { return unit_.tag() == detail::array_tag; }
  [[nodiscard]] bool is_object() const noexcept { return unit_.tag() == detail::object_tag; }

  [[nodiscard]] std::optional<bool> as_bool() const noexcept;
  // Also of a real that is a whole number in the range of int64.
  [[nodiscard]] std::optional<std::int64_t> as_int() const noexcept;
  [[nodiscard]] std::optional<double> as_double() const noexcept;
  // Holds until this value changes or moves; of a temporary value it is a copy.
  [[nodiscard]] std::optional<std::string_view> as_string() const& noexcept;
  [[nodiscard]] std::optional<std::string> as_string() &&;

  // Members of an object or elements of an array; 0 for all else.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  // The member of that name; nullptr where there is none or this is no object.
  [[nodiscard]] value const* find(std::string_view name) const& noexcept;
  [[nodiscard]] value* find(std::string_view name) & noexcept;
  value* find(std::string_view name) && = delete;  // would point into a temporary value: keep that in a variable
  // The member or element; a null value where there is none. Absent and null differ only for find(). Of a temporary
  // value it is a copy.
  [[nodiscard]] value const& operator[](std::string_view name) const& noexcept;
  [[nodiscard]] value const& operator[](std::size_t at) const& noexcept;
  [[nodiscard]] value const& operator[](std::size_t at) & noexcept { return std::as_const(*this)[at]; }
  [[nodiscard]] value operator[](std::string_view name) && { return std::as_const(*this)[name]; }
  [[nodiscard]] value operator[](std::size_t at) && { return std::as_const(*this)[at]; }
  // In the order in which they were added; empty ranges for other kinds. Changing size ends the range.
  [[nodiscard]] member_range<member const> members() const& noexcept;
  [[nodiscard]] member_range<member> members() & noexcept;
  member_range<member> members() && = delete;  // as find()
  [[nodiscard]] element_range<value const> elements() const& noexcept;
  [[nodiscard]] element_range<value> elements() & noexcept;
  element_range<value> elements() && = delete;  // as find()

  // --- changing. What is not yet an object (an array) becomes an empty one first.
  // The member of that name, made (null) where there is none. References to members hold until one is added or erased.
  value& operator[](std::string_view name) & { return member_for(detail::probe{name}); }
  // Adds the member or replaces its value in place.
  value& set(std::string_view name, value item);
  // False where there was none of that name. The order of the others stays.
  bool erase(std::string_view name) noexcept;
  value& push_back(value item);

  // --- printing (json/print.hpp)
  [[nodiscard]] std::string dump() const;  // compact
  [[nodiscard]] std::string pretty(unsigned indent = 2) const;
  void append_to(std::string& out) const;
  void append_to(byte_buffer& out) const;

  // Numbers are equal when their values are, objects when they have equal members in any order.
  friend bool operator==(value const& a, value const& b) noexcept { return equal(a.unit_, b.unit_); }
  template <class Text>
    requires(std::convertible_to<Text const&, std::string_view> && !std::derived_from<Text, value>)
  friend bool operator==(value const& a, Text const& b) noexcept {
    return a.is_string() && detail::text_of(a.unit_) == std::string_view{b};
  }

 private:
  friend class parser;
  friend class printer;
  friend class merger;
  friend class member;
  explicit value(detail::tag empty) noexcept : unit_{} { unit_.raw[15] = static_cast<unsigned char>(empty); }
  explicit value(detail::unit adopted) noexcept : unit_{adopted} {}

  static bool equal(detail::unit const& a, detail::unit const& b) noexcept;
  static bool equal_numbers(detail::unit const& a, detail::unit const& b) noexcept;
  [[nodiscard]] detail::container* node() const noexcept { return unit_.load<detail::container*>(); }
  void become(detail::tag kind) {
    if (unit_.tag() != kind) *this = value{kind};
  }
  void make_room(detail::tag kind);
  value& member_for(detail::probe const& name);
  bool erase_member(detail::probe const& name) noexcept;

  detail::unit unit_;
};
static_assert(sizeof(value) == 16);

// A name and its value. The name of a member cannot change: erase it and set another.
class member {
 public:
  member(std::string_view key, json::value item) : key_{key}, value_{std::move(item)} {}
  member(member&&) noexcept = default;
  member(member const&) = default;
  member& operator=(member const&) = delete;

  [[nodiscard]] std::string_view key() const noexcept { return detail::text_of(key_.unit_); }
  [[nodiscard]] json::value const& value() const noexcept { return value_; }
  [[nodiscard]] json::value& value() noexcept { return value_; }

 private:
  template <class Member>
  friend class member_range;
  [[nodiscard]] bool erased() const noexcept { return key_.unit_.tag() == detail::dead_tag; }

  json::value key_;
  json::value value_;
};
static_assert(sizeof(member) == 32);

// An array written out: json::array{1, "two", json::array{}}. With one element in braces, json::array{{"a", 1}}, C++
// takes the braces for the array's own, and it is ["a",1]; and compilers disagree on an array whose only element is an
// array. Say array_of() there: json::array_of({{{"a", 1}}}) is [{"a":1}].
struct array {
  array() noexcept = default;
  array(std::initializer_list<value> items) {
    for (auto const& item : items) document.push_back(item);
  }
  value document = value::make_array();
};

// An array of what a container holds: json::array_of(names), where names is a std::vector<std::string>.
template <class Items>
[[nodiscard]] value array_of(Items const& items) {
  value made = value::make_array();
  for (auto const& item : items) made.push_back(item);
  return made;
}
// Each element in braces of its own: json::array_of({{{"a", 1}}, {{"b", 2}}}) is [{"a":1},{"b":2}].
[[nodiscard]] inline value array_of(std::initializer_list<value> items) { return value{array{items}}; }

template <class Member>
class member_range {
 public:
  class iterator {
   public:
    using value_type = member;
    using difference_type = std::ptrdiff_t;
    iterator() noexcept = default;
    iterator(Member* at, Member* end) noexcept : at_{at}, end_{end} { skip(); }
    Member& operator*() const noexcept { return *at_; }
    Member* operator->() const noexcept { return at_; }
    iterator& operator++() noexcept {
      ++at_;
      skip();
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator const before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(iterator const& a, iterator const& b) noexcept { return a.at_ == b.at_; }

   private:
    void skip() noexcept {
      while (at_ != end_ && at_->erased()) ++at_;
    }
    Member* at_ = nullptr;
    Member* end_ = nullptr;
  };
  member_range(Member* begin, Member* end) noexcept : begin_{begin}, end_{end} {}
  [[nodiscard]] iterator begin() const noexcept { return {begin_, end_}; }
  [[nodiscard]] iterator end() const noexcept { return {end_, end_}; }

 private:
  Member* begin_;
  Member* end_;
};

template <class Value>
struct element_range {
  Value* first = nullptr;
  Value* last = nullptr;
  [[nodiscard]] Value* begin() const noexcept { return first; }
  [[nodiscard]] Value* end() const noexcept { return last; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(last - first); }
};

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

inline value const& null_value() noexcept {
  static value const null{};
  return null;
}

// What a copy of a unit needs.
struct extent {
  std::size_t bytes = 0;
  std::size_t nodes = 0;
};
inline std::size_t live(container const* c) noexcept { return std::size_t{c->size} - c->dead; }

inline void measure(unit const& u, extent& sum) noexcept {
  if (!u.owns()) return;
  ++sum.nodes;
  if (u.tag() == long_tag) {
    sum.bytes += string_bytes(u.load<std::uint32_t>(8));
    return;
  }
  auto const* const c = u.load<container*>();
  sum.bytes += container_bytes(u.tag(), live(c));
  std::size_t const units = std::size_t{c->size} * (u.tag() == object_tag ? 2 : 1);
  for (std::size_t i = 0; i != units; ++i) measure(c->units()[i], sum);
}

inline unit copy_into(arena& memory, unit const& u) {
  if (!u.owns()) return u;
  if (u.tag() == long_tag) return memory.make_text(text_of(u));
  auto const* const from = u.load<container*>();
  unit out{};
  out.raw[15] = static_cast<unsigned char>(u.tag());
  if (live(from) == 0) return out;
  container* const to = memory.make_container(u.tag(), live(from));
  out.store(to);
  if (u.tag() == array_tag) {
    for (std::uint32_t i = 0; i != from->size; ++i) to->units()[i] = copy_into(memory, from->units()[i]);
    to->size = from->size;
    return out;
  }
  if (to->capacity > index_threshold) clear_index(to);
  for (std::uint32_t i = 0; i != from->size; ++i) {
    unit const* const m = from->units() + 2 * std::size_t{i};
    if (m->tag() == dead_tag) continue;
    unit const key = copy_into(memory, m[0]);
    append_member(to, key, copy_into(memory, m[1]));
  }
  return out;
}

inline unit copy(unit const& u) {
  if (!u.owns()) return u;
  if (u.tag() == long_tag) return make_own_text(text_of(u));
  extent sum;
  measure(u, sum);
  arena memory{sum.bytes};
  unit const out = copy_into(memory, u);
  memory.keep();
  return out;
}

}  // namespace detail

inline value::value(array items) noexcept : value{std::move(items.document)} {}
inline value::value(std::initializer_list<member> members) : value{detail::object_tag} {
  if (members.size() == 0) return;
  detail::extent sum;
  sum.bytes = detail::container_bytes(detail::object_tag, members.size());
  for (auto const& m : members) {
    if (m.key().size() > detail::short_limit) sum.bytes += detail::string_bytes(m.key().size());
    detail::measure(m.value().unit_, sum);
  }
  detail::arena memory{sum.bytes};
  detail::container* const all = memory.make_container(detail::object_tag, members.size());
  if (all->capacity > detail::index_threshold) detail::clear_index(all);
  for (auto const& m : members) {
    auto const slot = detail::find_slot(all, detail::probe{m.key()});
    auto const item = detail::copy_into(memory, m.value().unit_);
    if (slot == all->size) {
      detail::append_member(all, memory.make_text(m.key()), item);
    } else {  // the last one of a name counts
      memory.drop(exchanged(all->units()[2 * std::size_t{slot} + 1], item));
    }
  }
  unit_.store(all);
  memory.keep();
}
inline value::value(value const& other) : unit_{detail::copy(other.unit_)} {}

inline json::kind value::kind() const noexcept {
  constexpr json::kind kinds[] = {json::kind::null,   json::kind::boolean, json::kind::integer, json::kind::real,
                                  json::kind::string, json::kind::string,  json::kind::array,   json::kind::object};
  return kinds[unit_.tag()];
}

inline std::optional<bool> value::as_bool() const noexcept {
  if (!is_bool()) return std::nullopt;
  return unit_.load<std::int64_t>() != 0;
}
inline std::optional<std::int64_t> value::as_int() const noexcept {
  if (is_int()) return unit_.load<std::int64_t>();
  if (!is_number()) return std::nullopt;
  auto const real = unit_.load<double>();
  if (!(real >= -0x1p63 && real < 0x1p63)) return std::nullopt;
  auto const whole = static_cast<std::int64_t>(real);
  if (static_cast<double>(whole) != real) return std::nullopt;
  return whole;
}
inline std::optional<double> value::as_double() const noexcept {
  if (is_int()) return static_cast<double>(unit_.load<std::int64_t>());
  if (!is_number()) return std::nullopt;
  return unit_.load<double>();
}
inline std::optional<std::string_view> value::as_string() const& noexcept {
  if (!is_string()) return std::nullopt;
  return detail::text_of(unit_);
}
inline std::optional<std::string> value::as_string() && {
  if (!is_string()) return std::nullopt;
  return std::string{detail::text_of(unit_)};
}

inline std::size_t value::size() const noexcept {
  return unit_.tag() >= detail::array_tag && node() != nullptr ? detail::live(node()) : 0;
}
inline value const* value::find(std::string_view name) const& noexcept {
  if (!is_object() || node() == nullptr) return nullptr;
  auto const slot = detail::find_slot(node(), detail::probe{name});
  if (slot == node()->size) return nullptr;
  return reinterpret_cast<value const*>(node()->units() + 2 * std::size_t{slot} + 1);
}
inline value* value::find(std::string_view name) & noexcept {
  return const_cast<value*>(std::as_const(*this).find(name));
}
inline value const& value::operator[](std::string_view name) const& noexcept {
  value const* const found = find(name);
  return found != nullptr ? *found : detail::null_value();
}
inline value const& value::operator[](std::size_t at) const& noexcept {
  auto const all = elements();
  return at < all.size() ? all.first[at] : detail::null_value();
}
inline member_range<member> value::members() & noexcept {
  if (!is_object() || node() == nullptr) return {nullptr, nullptr};
  auto* const first = reinterpret_cast<member*>(node()->units());
  return {first, first + node()->size};
}
inline member_range<member const> value::members() const& noexcept {
  if (!is_object() || node() == nullptr) return {nullptr, nullptr};
  auto const* const first = reinterpret_cast<member const*>(node()->units());
  return {first, first + node()->size};
}
inline element_range<value> value::elements() & noexcept {
  if (!is_array() || node() == nullptr) return {};
  auto* const first = reinterpret_cast<value*>(node()->units());
  return {first, first + node()->size};
}
inline element_range<value const> value::elements() const& noexcept {
  auto const all = const_cast<value*>(this)->elements();
  return {all.first, all.last};
}

// Room for one more.
inline void value::make_room(detail::tag kind) {
  detail::container* const c = node();
  if (c != nullptr && c->size != c->capacity) return;
  std::size_t const used = c == nullptr ? 0 : detail::live(c);
  std::size_t const wanted = used < 4 ? 4 : used * 2;
  unit_.store(detail::regrow(c, kind, wanted));
}
inline value& value::member_for(detail::probe const& name) {
  become(detail::object_tag);
  if (detail::container* const c = node()) {
    auto const slot = detail::find_slot(c, name);
    if (slot != c->size) return reinterpret_cast<value&>(c->units()[2 * std::size_t{slot} + 1]);
  }
  value key{name.text};  // before the room is made: the name may lie in this very object
  make_room(detail::object_tag);
  auto& added = detail::append_member(node(), exchanged(key.unit_, detail::unit{}), detail::unit{});
  return reinterpret_cast<value&>(added);
}
inline value& value::set(std::string_view name, value item) {
  return member_for(detail::probe{name}) = std::move(item);
}

inline bool value::erase(std::string_view name) noexcept { return erase_member(detail::probe{name}); }
inline bool value::erase_member(detail::probe const& name) noexcept {
  if (!is_object() || node() == nullptr) return false;
  detail::container* const c = node();
  auto const slot = detail::find_slot(c, name);
  if (slot == c->size) return false;
  detail::unit* const at = c->units() + 2 * std::size_t{slot};
  if (at[0].owns()) detail::destroy(at[0]);
  if (at[1].owns()) detail::destroy(at[1]);
  if (c->capacity > detail::index_threshold) {
    at[0] = at[1] = detail::unit{};
    at[0].raw[15] = detail::dead_tag;
    if (++c->dead == c->size) *this = make_object();
  } else {
    --c->size;
    std::memmove(at, at + 2, std::size_t{c->size - slot} * 2 * sizeof(detail::unit));
  }
  return true;
}
inline value& value::push_back(value item) {
  become(detail::array_tag);
  make_room(detail::array_tag);
  detail::container* const c = node();
  c->units()[c->size] = exchanged(item.unit_, detail::unit{});
  return reinterpret_cast<value&>(c->units()[c->size++]);
}

inline bool value::equal_numbers(detail::unit const& a, detail::unit const& b) noexcept {
  if (a.tag() == b.tag())
    return a.tag() == detail::int_tag ? a.load<std::int64_t>() == b.load<std::int64_t>()
                                      : a.load<double>() == b.load<double>();
  double const real = a.tag() == detail::real_tag ? a.load<double>() : b.load<double>();
  std::int64_t const whole = a.tag() == detail::int_tag ? a.load<std::int64_t>() : b.load<std::int64_t>();
  return real >= -0x1p63 && real < 0x1p63 && static_cast<std::int64_t>(real) == whole &&
         static_cast<double>(static_cast<std::int64_t>(real)) == real;
}
inline bool value::equal(detail::unit const& a, detail::unit const& b) noexcept {
  using namespace detail;
  bool const numbers = (a.tag() == int_tag || a.tag() == real_tag) && (b.tag() == int_tag || b.tag() == real_tag);
  if (numbers) return equal_numbers(a, b);
  if (a.tag() != b.tag()) return false;
  if (a.tag() == long_tag) return text_of(a) == text_of(b);
  if (a.tag() < array_tag) return a.load<std::uint64_t>() == b.load<std::uint64_t>() &&
                                  a.load<std::uint64_t>(8) == b.load<std::uint64_t>(8);
  auto* const left = a.load<container*>();
  auto* const right = b.load<container*>();
  std::size_t const size = left != nullptr ? live(left) : 0;
  if (size != (right != nullptr ? live(right) : 0)) return false;
  if (size == 0) return true;
  for (std::uint32_t i = 0; i != left->size; ++i) {
    if (a.tag() == array_tag) {
      if (!equal(left->units()[i], right->units()[i])) return false;
      continue;
    }
    unit const* const m = left->units() + 2 * std::size_t{i};
    if (m->tag() == dead_tag) continue;
    auto const slot = find_slot(right, probe{m[0]});
    if (slot == right->size || !equal(m[1], right->units()[2 * std::size_t{slot} + 1])) return false;
  }
  return true;
}

}  // namespace json
}  // namespace v0
}  // namespace iothub
