// Reading AMQP values where they lie: a value_view names the bytes of one encoded value, a reader walks values that
// follow one another. Nothing is copied and nothing is allocated.
//
// Theory of operation. Part 1, 1.2 gives every value a constructor: one format code, or 0x00, a descriptor (itself a
// value) and another constructor. The code tells the width, or where the size stands; so the extent of any value is
// known without looking into it, except for described values, which are walked. Sizes and counts are compared with the
// bytes that are there before anything else is done with them; no arithmetic is done on them that could wrap. What is
// inside a list, map or array is looked at only when it is read; check_value() looks at all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <iothub/amqp/format_code.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/value_view.hpp>
#include <iothub/base/utf8.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// Reads the value at the front of `bytes`; returns its size, or 0 and the rule that it breaks. Not deep: see above.
std::size_t read_value(byte_view bytes, value_view& into, violation& rule) noexcept;
// The one value that `bytes` is; null when empty, broken, or followed by more.
value_view view_of(encoded bytes) noexcept;
// Walks all of one value, nested ones included: sizes, counts, depth, UTF-8, even number of map items.
violation check_value(encoded bytes) noexcept;

// Walks values that follow one another: the items of a list, the keys and values of a map, the sections of a message.
class reader {
 public:
  explicit reader(byte_view bytes) noexcept : rest_{bytes} {}
  // Of a list or map; of anything else: of nothing.
  explicit reader(value_view const& compound) noexcept
      : rest_{compound.type() == kind::list || compound.type() == kind::map ? compound.content() : byte_view{}} {}

  // False at the end and when a value is broken.
  bool next(value_view& into) noexcept {
    if (rest_.empty()) return false;
    std::size_t const size = read_value(rest_, into, rule_);
    if (size == 0) rest_ = {};
    rest_.remove_prefix(size);
    return size != 0;
  }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] byte_view rest() const noexcept { return rest_; }
  [[nodiscard]] violation rule() const noexcept { return rule_; }

 private:
  byte_view rest_;
  violation rule_;
};

// Walks the elements of an array. Elements have no constructor of their own: their bytes() is empty.
class array_reader {
 public:
  explicit array_reader(value_view const& array) noexcept;
  bool next(value_view& into) noexcept;
  [[nodiscard]] violation rule() const noexcept { return rule_; }

 private:
  byte_view rest_;
  std::uint32_t left_ = 0;
  std::uint8_t code_ = detail::code_null;
  violation rule_;
};

// What a described value is made of; false when it is not described.
bool split_described(value_view const& described, value_view& descriptor, value_view& content) noexcept;
// The descriptor of a described value as a number, whether it came as ulong or by its symbolic name; `none` otherwise.
descriptor descriptor_of(value_view const& described, value_view& content) noexcept;

// A described value at the front of `bytes`: its descriptor as above, what it describes, and all of its bytes. Returns
// their size, or 0 and the rule.
std::size_t read_described(byte_view bytes, descriptor& what, value_view& content, violation& rule) noexcept;

// The value under a key (string or symbol alike) in a map; a null view when absent. The first one counts.
value_view find(value_view const& map, std::string_view key) noexcept;
inline value_view find(encoded map, std::string_view key) noexcept {
  return find(view_of(map), key);
}
// Whether a "multiple" field (Part 1, 1.4: one symbol or an array of them) holds the symbol.
bool has_symbol(encoded field, std::string_view symbol) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

struct value_parser {
  // What is behind the first `size` bytes, which are there.
  static byte_view behind(byte_view bytes, std::size_t size) noexcept {
    return {bytes.data() + size, bytes.size() - size};
  }

  // The value that a constructor `code` makes of the front of `bytes` (behind the constructor); returns the bytes
  // used, npos when broken.
  static constexpr std::size_t npos = ~std::size_t{0};
  static std::size_t body(std::uint8_t code, byte_view bytes, value_view& into, violation& rule) noexcept {
    code_meaning const what = code_meanings.of[code];
    into.kind_ = what.type;
    into.code_ = code;
    into.count_ = 0;
    std::size_t const field = what.width;
    if (what.form == layout::fixed) {
      if (bytes.size() < field) return rule = "1.2: a value is cut off", npos;
      into.content_ = {bytes.data(), field};
      if (code == code_boolean && static_cast<unsigned char>(bytes[0]) > 1)
        return rule = "1.6.2: a boolean that is neither 0 nor 1", npos;
      return field;
    }
    if (what.form == layout::unknown) return rule = "1.6: an unknown format code", npos;
    if (bytes.size() < field) return rule = "1.2: the size of a value is cut off", npos;
    std::size_t const size = load(bytes.data(), field != 1);
    if (size > bytes.size() - field) return rule = "1.2: a size says more than there is", npos;
    into.content_ = {bytes.data() + field, size};
    if (what.form == layout::variable) return field + size;
    if (size < field) return rule = "1.6.22: the size of a compound value does not hold its count", npos;
    into.count_ = load(bytes.data() + field, field != 1);
    into.content_.remove_prefix(field);
    // Every item of a list or map has at least its constructor; elements of an array may have no bytes.
    if (what.form == layout::compound && into.count_ > into.content_.size())
      return rule = "1.6.22: a count says more than there is", npos;
    if (what.type == kind::map && (into.count_ & 1) != 0)
      return rule = "1.6.23: a map with a key that has no value", npos;
    return field + size;
  }

  // A whole value, constructor first.
  static std::size_t value(byte_view bytes, value_view& into, violation& rule, unsigned depth) noexcept {
    if (bytes.empty()) return rule = "1.2: a value is missing", 0;
    auto const code = static_cast<std::uint8_t>(bytes[0]);
    if (code == code_described) return described(bytes, into, rule, depth);
    std::size_t const size = body(code, behind(bytes, 1), into, rule);
    if (size == npos) return 0;
    into.bytes_ = {bytes.data(), size + 1};
    return size + 1;
  }

  static std::size_t described(byte_view bytes, value_view& into, violation& rule, unsigned depth) noexcept {
    if (depth >= max_depth) return rule = {condition::decode_error, "values are nested too deep"}, 0;
    std::size_t const first = value(behind(bytes, 1), into, rule, depth + 1);
    if (first == 0) return 0;
    std::size_t const second = value(behind(bytes, 1 + first), into, rule, depth + 1);
    if (second == 0) return 0;
    into.kind_ = kind::described;
    into.code_ = code_described;
    into.count_ = 0;
    into.bytes_ = {bytes.data(), 1 + first + second};
    into.content_ = behind(into.bytes_, 1);
    return into.bytes_.size();
  }

  // Everything inside one value that was read.
  static violation deep(value_view const& what, unsigned depth) noexcept {
    if (depth >= max_depth) return {condition::decode_error, "values are nested too deep"};
    switch (what.kind_) {
      case kind::string: return is_utf8(what.content_) ? violation{} : violation{"1.6.20: a string that is not UTF-8"};
      // 1.6.21 says ASCII; content types of any text travel as symbols, and what is read as text is written as strings.
      case kind::symbol: return is_utf8(what.content_) ? violation{} : violation{"1.6.21: a symbol that is not UTF-8"};
      case kind::list:
      case kind::map: return items(what, depth);
      case kind::array: return elements(what, depth);
      case kind::described: {
        value_view part;
        violation rule;
        reader in{what.content_};
        for (int i = 0; i != 2; ++i) {
          if (!in.next(part)) return in.rule() ? in.rule() : violation{"1.2: a described value is cut off"};
          if ((rule = deep(part, depth + 1))) return rule;
        }
        return {};
      }
      default: return {};
    }
  }

 private:
  static std::uint32_t load(char const* p, bool wide) noexcept {
    return wide ? load32(p) : static_cast<unsigned char>(*p);
  }

  static violation items(value_view const& what, unsigned depth) noexcept {
    reader in{what.content_};
    value_view item;
    std::uint32_t seen = 0;
    while (in.next(item)) {
      ++seen;
      if (item.kind_ < kind::string) continue;
      if (violation const rule = deep(item, depth + 1)) return rule;
    }
    if (in.rule()) return in.rule();
    return seen == what.count_ ? violation{} : violation{"1.6.22: a count that is not the number of items"};
  }

  static violation elements(value_view const& what, unsigned depth) noexcept {
    array_reader in{what};
    value_view element;
    while (in.next(element)) {
      if (element.kind_ < kind::string) continue;
      if (violation const rule = deep(element, depth + 1)) return rule;
    }
    return in.rule();
  }
};
}  // namespace detail

inline std::size_t read_value(byte_view bytes, value_view& into, violation& rule) noexcept {
  return detail::value_parser::value(bytes, into, rule, 0);
}

inline value_view view_of(encoded bytes) noexcept {
  value_view found;
  violation rule;
  if (bytes.empty() || read_value(bytes, found, rule) != bytes.size()) return {};
  return found;
}

inline violation check_value(encoded bytes) noexcept {
  value_view found;
  violation rule;
  std::size_t const size = read_value(bytes, found, rule);
  if (size == 0) return rule;
  if (size != bytes.size()) return "1.2: bytes behind a value";
  return detail::value_parser::deep(found, 0);
}

inline array_reader::array_reader(value_view const& array) noexcept {
  if (array.type() != kind::array) return;
  rest_ = array.content();
  left_ = array.count();
  value_view descriptor;
  // The constructor may be described, and that again (Part 1, 1.6.24); the descriptors are stepped over.
  for (unsigned depth = 0;; ++depth) {
    if (rest_.empty()) {
      left_ = 0;
      rule_ = "1.6.24: an array without an element constructor";
      return;
    }
    code_ = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    if (code_ != detail::code_described) break;
    std::size_t const size = depth < max_depth ? read_value(rest_, descriptor, rule_) : 0;
    if (size == 0) {
      if (!rule_) rule_ = {condition::decode_error, "values are nested too deep"};
      left_ = 0;
      return;
    }
    rest_.remove_prefix(size);
  }
  bool const no_bytes = code_ >= 0x40 && code_ < 0x50;
  if (left_ > (no_bytes ? max_empty_elements : rest_.size())) {
    left_ = 0;
    rule_ = "1.6.24: an array counts more elements than it holds";
  }
  if (left_ == 0 && !rule_ && array.count() == 0 && !rest_.empty()) rule_ = "1.6.24: bytes behind an array's elements";
}

inline bool array_reader::next(value_view& into) noexcept {
  if (left_ == 0) return false;
  std::size_t const size = detail::value_parser::body(code_, rest_, into, rule_);
  if (size == detail::value_parser::npos) {
    left_ = 0;
    return false;
  }
  into.bytes_ = {};
  rest_.remove_prefix(size);
  if (--left_ == 0 && !rest_.empty()) rule_ = "1.6.24: bytes behind an array's elements";
  return true;
}

inline bool split_described(value_view const& described, value_view& descriptor, value_view& content) noexcept {
  if (described.type() != kind::described) return false;
  reader in{described.content()};
  return in.next(descriptor) && in.next(content);
}

namespace detail {
struct symbolic_descriptor {
  std::string_view name;
  descriptor number;
};
// The symbolic names of the same descriptors: Part 2 and 3, at each type.
inline constexpr symbolic_descriptor symbolic_descriptors[] = {
    {"amqp:open:list", descriptor::open},
    {"amqp:begin:list", descriptor::begin},
    {"amqp:attach:list", descriptor::attach},
    {"amqp:flow:list", descriptor::flow},
    {"amqp:transfer:list", descriptor::transfer},
    {"amqp:disposition:list", descriptor::disposition},
    {"amqp:detach:list", descriptor::detach},
    {"amqp:end:list", descriptor::end},
    {"amqp:close:list", descriptor::close},
    {"amqp:error:list", descriptor::error},
    {"amqp:received:list", descriptor::received},
    {"amqp:accepted:list", descriptor::accepted},
    {"amqp:rejected:list", descriptor::rejected},
    {"amqp:released:list", descriptor::released},
    {"amqp:modified:list", descriptor::modified},
    {"amqp:source:list", descriptor::source},
    {"amqp:target:list", descriptor::target},
    {"amqp:coordinator:list", descriptor::coordinator},
    {"amqp:sasl-mechanisms:list", descriptor::sasl_mechanisms},
    {"amqp:sasl-init:list", descriptor::sasl_init},
    {"amqp:sasl-challenge:list", descriptor::sasl_challenge},
    {"amqp:sasl-response:list", descriptor::sasl_response},
    {"amqp:sasl-outcome:list", descriptor::sasl_outcome},
    {"amqp:header:list", descriptor::header},
    {"amqp:delivery-annotations:map", descriptor::delivery_annotations},
    {"amqp:message-annotations:map", descriptor::message_annotations},
    {"amqp:properties:list", descriptor::properties},
    {"amqp:application-properties:map", descriptor::application_properties},
    {"amqp:data:binary", descriptor::data},
    {"amqp:amqp-sequence:list", descriptor::amqp_sequence},
    {"amqp:amqp-value:*", descriptor::amqp_value},
    {"amqp:footer:map", descriptor::footer},
};
}  // namespace detail

inline std::size_t read_described(byte_view bytes, descriptor& what, value_view& content, violation& rule) noexcept {
  // Nearly every descriptor is written in one byte.
  if (bytes.size() > 3 && bytes[0] == 0 && static_cast<std::uint8_t>(bytes[1]) == detail::code_small_ulong) {
    what = static_cast<descriptor>(static_cast<std::uint8_t>(bytes[2]));
    std::size_t const size = detail::value_parser::value(detail::value_parser::behind(bytes, 3), content, rule, 1);
    return size == 0 ? 0 : size + 3;
  }
  value_view described;
  std::size_t const size = read_value(bytes, described, rule);
  if (size != 0) what = descriptor_of(described, content);
  return size;
}

inline descriptor descriptor_of(value_view const& described, value_view& content) noexcept {
  value_view name;
  if (!split_described(described, name, content)) return descriptor::none;
  if (name.type() == kind::uint64) return static_cast<descriptor>(*name.as_uint());
  if (auto const text = name.as_symbol())
    for (auto const& each : detail::symbolic_descriptors)
      if (each.name == *text) return each.number;
  return descriptor::none;
}

inline value_view find(value_view const& map, std::string_view key) noexcept {
  if (map.type() != kind::map) return {};
  reader in{map};
  value_view name;
  value_view found;
  while (in.next(name) && in.next(found))
    if (auto const text = name.as_text(); text && *text == key) return found;
  return {};
}

inline bool has_symbol(encoded field, std::string_view symbol) noexcept {
  value_view const what = view_of(field);
  if (auto const one = what.as_text()) return *one == symbol;
  array_reader in{what};
  value_view each;
  while (in.next(each))
    if (auto const text = each.as_text(); text && *text == symbol) return true;
  return false;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
