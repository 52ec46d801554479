// A value that owns its bytes: what annotations, link properties and capabilities are built from where no speed is
// needed. It holds the encoding itself, so passing it on is a copy and comparing is comparing bytes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/types.hpp>
#include <iothub/amqp/writer.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

struct map_entry;

// A regular value: two are equal when they are encoded alike. Short ones fit into the string itself.
class value {
 public:
  value() = default;  // null
  value(bool v) {
    build([&](writer& w) { w.boolean(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::uint8_t v) {
    build([&](writer& w) { w.uint8(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::uint16_t v) {
    build([&](writer& w) { w.uint16(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::uint32_t v) {
    build([&](writer& w) { w.uint32(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::uint64_t v) {
    build([&](writer& w) { w.uint64(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::int8_t v) {
    build([&](writer& w) { w.int8(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::int16_t v) {
    build([&](writer& w) { w.int16(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::int32_t v) {
    build([&](writer& w) { w.int32(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::int64_t v) {
    build([&](writer& w) { w.int64(v); });
  }  // NOLINT(google-explicit-constructor)
  value(float v) {
    build([&](writer& w) { w.float32(v); });
  }  // NOLINT(google-explicit-constructor)
  value(double v) {
    build([&](writer& w) { w.float64(v); });
  }  // NOLINT(google-explicit-constructor)
  value(std::string_view v) {
    build([&](writer& w) { w.string(v); });
  }                                                            // NOLINT(google-explicit-constructor)
  value(std::string const& v) : value{std::string_view{v}} {}  // NOLINT(google-explicit-constructor)
  value(char const* v) : value{std::string_view{v}} {}         // NOLINT(google-explicit-constructor)
  // A copy of what the view names; an element of an array gets a constructor of its own.
  explicit value(value_view const& v);

  static value symbol(std::string_view text) {
    return made([&](writer& w) { w.symbol(text); });
  }
  static value binary(byte_view bytes) {
    return made([&](writer& w) { w.binary(bytes); });
  }
  static value timestamp(std::int64_t milliseconds) {
    return made([&](writer& w) { w.timestamp(milliseconds); });
  }
  // 16 bytes.
  static value uuid(byte_view bytes) {
    return made([&](writer& w) { w.uuid(bytes); });
  }
  static value character(char32_t c) {
    return made([&](writer& w) { w.character(c); });
  }
  static value list(std::initializer_list<value> items);
  // Keys are symbols, as in annotations and all maps of Part 2 ("fields"), or strings, as in application properties.
  static value symbol_map(std::initializer_list<map_entry> entries);
  static value string_map(std::initializer_list<map_entry> entries);
  static value symbols(std::initializer_list<std::string_view> texts) {
    return made([&](writer& w) { w.symbol_array(texts); });
  }
  static value strings(std::initializer_list<std::string_view> texts) {
    return made([&](writer& w) { w.string_array(texts); });
  }
  static value described(descriptor what, value const& content) {
    return made([&](writer& w) { w.describe(what), w.raw(content.bytes()); });
  }
  static value described(std::string_view symbolic, value const& content) {
    return made([&](writer& w) { w.describe(symbolic), w.raw(content.bytes()); });
  }
  // Whatever `write` writes, exactly one value.
  template <class F>
  static value made(F write) {
    value v;
    v.build(write);
    return v;
  }

  // Empty for null. Views of this object, hence not of a temporary one.
  [[nodiscard]] encoded bytes() const& noexcept { return bytes_; }
  [[nodiscard]] value_view view() const& noexcept { return view_of(bytes_); }
  encoded bytes() const&& = delete;
  value_view view() const&& = delete;
  [[nodiscard]] bool is_null() const noexcept { return bytes_.empty(); }

  friend bool operator==(value const&, value const&) = default;

 private:
  template <class F>
  void build(F const& write) {
    byte_buffer out;
    writer w{out};
    write(w);
    if (out.view() != byte_view{"\x40", 1}) bytes_.assign(out.view());
  }

  std::string bytes_;
};

struct map_entry {
  std::string_view key;
  value content;
};

// A value for people: {x-opt-offset: "5", n: 3}. For logs and for the failures of tests.
std::string to_text(value_view const& what);
inline std::string to_text(encoded what) {
  return to_text(view_of(what));
}

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Writes a value that was read, constructor included, from its kind and content.
inline void rewrite(writer& out, value_view const& what) {
  if (!what.bytes().empty()) return out.raw(what.bytes());
  switch (what.type()) {
    case kind::null: return out.null();
    case kind::boolean: return out.boolean(*what.as_bool());
    case kind::uint8: return out.uint8(static_cast<std::uint8_t>(*what.as_uint()));
    case kind::uint16: return out.uint16(static_cast<std::uint16_t>(*what.as_uint()));
    case kind::uint32: return out.uint32(static_cast<std::uint32_t>(*what.as_uint()));
    case kind::uint64: return out.uint64(*what.as_uint());
    case kind::int8: return out.int8(static_cast<std::int8_t>(*what.as_int()));
    case kind::int16: return out.int16(static_cast<std::int16_t>(*what.as_int()));
    case kind::int32: return out.int32(static_cast<std::int32_t>(*what.as_int()));
    case kind::int64: return out.int64(*what.as_int());
    case kind::float32: return out.float32(static_cast<float>(*what.as_double()));
    case kind::float64: return out.float64(*what.as_double());
    case kind::decimal32:
    case kind::decimal64:
    case kind::decimal128: return out.decimal(what.content());
    case kind::character: return out.character(*what.as_char());
    case kind::timestamp: return out.timestamp(*what.as_timestamp());
    case kind::uuid: return out.uuid(what.content());
    case kind::binary: return out.binary(what.content());
    case kind::string: return out.string(what.content());
    case kind::symbol: return out.symbol(what.content());
    case kind::list:
    case kind::map: {
      writer::mark const begun = out.begin_compound();
      out.buffer().append(what.content());
      what.type() == kind::list ? out.end_list(begun, what.count()) : out.end_map(begun, what.count());
      return;
    }
    case kind::array: {
      writer::mark const begun = out.begin_compound();
      out.buffer().append(what.content());
      return out.end_array(begun, what.count());
    }
    case kind::described: return out.null();  // an element of an array is never described by itself
  }
}

inline void append_number(std::string& out, std::int64_t value) {
  char digits[24];
  char* end = digits + sizeof digits;
  char* at = end;
  std::uint64_t left = value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  do *--at = static_cast<char>('0' + left % 10);
  while ((left /= 10) != 0);
  if (value < 0) *--at = '-';
  out.append(at, end);
}

inline void append_hex(std::string& out, byte_view bytes) {
  for (char const c : bytes) {
    constexpr char digits[] = "0123456789abcdef";
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
}

inline void append_text(std::string& out, value_view const& what, unsigned depth);

inline void append_items(std::string& out, value_view const& what, unsigned depth) {
  bool const map = what.type() == kind::map;
  out.push_back(map ? '{' : '[');
  reader in{what};
  value_view item;
  for (bool first = true, key = true; in.next(item); first = false, key = !key) {
    if (!first) out.append(map && !key ? ": " : ", ");
    append_text(out, item, depth);
  }
  out.push_back(map ? '}' : ']');
}

inline void append_text(std::string& out, value_view const& what, unsigned depth) {
  if (depth > max_depth) {
    out.append("...");
    return;
  }
  switch (what.type()) {
    case kind::null: out.append("null"); return;
    case kind::boolean: out.append(*what.as_bool() ? "true" : "false"); return;
    case kind::string: out.append(1, '"').append(what.content()).append(1, '"'); return;
    case kind::symbol: out.append(what.content()); return;
    case kind::timestamp: append_number(out.append("@"), *what.as_timestamp()); return;
    case kind::character: append_number(out.append("char "), static_cast<std::int64_t>(*what.as_char())); return;
    case kind::list:
    case kind::map: return append_items(out, what, depth + 1);
    case kind::array: {
      out.push_back('<');
      array_reader in{what};
      value_view element;
      for (bool first = true; in.next(element); first = false) {
        if (!first) out.append(", ");
        append_text(out, element, depth + 1);
      }
      out.push_back('>');
      return;
    }
    case kind::described: {
      value_view name;
      value_view content;
      if (!split_described(what, name, content)) return;
      append_text(out.append("("), name, depth + 1);
      append_text(out.append(") "), content, depth + 1);
      return;
    }
    case kind::uint64:
      if (!what.as_int()) {
        append_hex(out.append("0x"), what.content());
        return;
      }
      [[fallthrough]];
    case kind::uint8:
    case kind::uint16:
    case kind::uint32:
    case kind::int8:
    case kind::int16:
    case kind::int32:
    case kind::int64: append_number(out, *what.as_int()); return;
    default: append_hex(out.append(to_string(what.type())).append(" "), what.content()); return;
  }
}

}  // namespace detail

inline value::value(value_view const& v) {
  build([&](writer& w) { detail::rewrite(w, v); });
}

inline value value::list(std::initializer_list<value> items) {
  return made([&](writer& w) {
    writer::mark const begun = w.begin_compound();
    for (value const& item : items) w.raw(item.bytes());
    w.end_list(begun, static_cast<std::uint32_t>(items.size()));
  });
}

inline value value::symbol_map(std::initializer_list<map_entry> entries) {
  return made([&](writer& w) {
    writer::mark const begun = w.begin_compound();
    for (map_entry const& entry : entries) w.symbol(entry.key), w.raw(entry.content.bytes());
    w.end_map(begun, static_cast<std::uint32_t>(2 * entries.size()));
  });
}

inline value value::string_map(std::initializer_list<map_entry> entries) {
  return made([&](writer& w) {
    writer::mark const begun = w.begin_compound();
    for (map_entry const& entry : entries) w.string(entry.key), w.raw(entry.content.bytes());
    w.end_map(begun, static_cast<std::uint32_t>(2 * entries.size()));
  });
}

inline std::string to_text(value_view const& what) {
  std::string out;
  detail::append_text(out, what, 0);
  return out;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
