// Writing AMQP values: each in the smallest encoding that Part 1, 1.6 has for it, appended to a byte_buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/amqp/types.hpp>
#include <iothub/base/bytes.hpp>
#include <iothub/base/config.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// Appends values. Lists, maps and arrays are begun and ended; between the two calls come their items. A compound value
// is begun in its short form and widened when it ends longer than that holds.
class writer {
 public:
  explicit writer(byte_buffer& out) noexcept : out_{&out} {}

  void null() { code(detail::code_null); }
  void boolean(bool value) { code(value ? detail::code_true : detail::code_false); }
  void uint8(std::uint8_t value) { one(detail::code_ubyte, value); }
  void uint16(std::uint16_t value) {
    char* const at = room(3, detail::code_ushort);
    detail::store16(at + 1, value);
    out_->commit(3);
  }
  void uint32(std::uint32_t value) {
    if (value == 0) return code(detail::code_uint0);
    if (value <= 0xff) return one(detail::code_small_uint, static_cast<std::uint8_t>(value));
    four(detail::code_uint, value);
  }
  void uint64(std::uint64_t value) {
    if (value == 0) return code(detail::code_ulong0);
    if (value <= 0xff) return one(detail::code_small_ulong, static_cast<std::uint8_t>(value));
    eight(detail::code_ulong, value);
  }
  void int8(std::int8_t value) { one(detail::code_byte, static_cast<std::uint8_t>(value)); }
  void int16(std::int16_t value) {
    char* const at = room(3, detail::code_short);
    detail::store16(at + 1, static_cast<std::uint16_t>(value));
    out_->commit(3);
  }
  void int32(std::int32_t value) {
    if (value >= -128 && value <= 127) return one(detail::code_small_int, static_cast<std::uint8_t>(value));
    four(detail::code_int, static_cast<std::uint32_t>(value));
  }
  void int64(std::int64_t value) {
    if (value >= -128 && value <= 127) return one(detail::code_small_long, static_cast<std::uint8_t>(value));
    eight(detail::code_long, static_cast<std::uint64_t>(value));
  }
  void float32(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    four(detail::code_float, bits);
  }
  void float64(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    eight(detail::code_double, bits);
  }
  // Decimals are carried, not computed with: their IEEE 754-2008 bytes, 4, 8 or 16 of them, most significant first.
  void decimal(byte_view bytes) {
    IOTHUB_ASSERT(bytes.size() == 4 || bytes.size() == 8 || bytes.size() == 16);
    fixed(bytes.size() == 4   ? detail::code_decimal32
          : bytes.size() == 8 ? detail::code_decimal64
                              : detail::code_decimal128,
          bytes);
  }
  void character(char32_t value) { four(detail::code_char, static_cast<std::uint32_t>(value)); }
  // Milliseconds since 1970-01-01T00:00:00Z.
  void timestamp(std::int64_t milliseconds) { eight(detail::code_timestamp, static_cast<std::uint64_t>(milliseconds)); }
  // 16 bytes in the order of RFC 4122.
  void uuid(byte_view bytes) {
    IOTHUB_ASSERT(bytes.size() == 16);
    fixed(detail::code_uuid, bytes);
  }
  void binary(byte_view bytes) { variable(detail::code_vbin8, bytes); }
  void string(std::string_view text) { variable(detail::code_str8, text); }
  void symbol(std::string_view text) { variable(detail::code_sym8, text); }

  // A value that is encoded already; empty writes null.
  void raw(encoded value) { value.empty() ? null() : out_->append(value); }
  // What comes before the value of a described one.
  void describe(descriptor what) {
    code(detail::code_described);
    uint64(static_cast<std::uint64_t>(what));
  }
  void describe(std::string_view symbolic) {
    code(detail::code_described);
    symbol(symbolic);
  }

  // Where a compound value began.
  struct mark {
    std::size_t at = 0;
  };
  mark begin_compound() {
    mark const here{out_->size()};
    out_->prepare(3);
    out_->commit(3);
    return here;
  }
  // `count` items were written since; of a map, keys and values are counted each. An empty list has a form of its own.
  void end_list(mark begun, std::uint32_t count) {
    if (count == 0) {
      out_->truncate(begun.at);
      return code(detail::code_list0);
    }
    finish(begun.at, detail::code_list8, count);
  }
  void end_map(mark begun, std::uint32_t count) { finish(begun.at, detail::code_map8, count); }
  // What was written since is the element constructor and `count` elements without one.
  void end_array(mark begun, std::uint32_t count) { finish(begun.at, detail::code_array8, count); }

  // An array of strings or of symbols.
  template <class Texts>
  void string_array(Texts const& texts) {
    text_array(texts, detail::code_str8);
  }
  template <class Texts>
  void symbol_array(Texts const& texts) {
    text_array(texts, detail::code_sym8);
  }

  [[nodiscard]] byte_buffer& buffer() noexcept { return *out_; }

 private:
  char* room(std::size_t size, std::uint8_t format) {
    char* const at = out_->prepare(size).data();
    at[0] = static_cast<char>(format);
    return at;
  }
  void code(std::uint8_t format) {
    room(1, format);
    out_->commit(1);
  }
  void one(std::uint8_t format, std::uint8_t value) {
    room(2, format)[1] = static_cast<char>(value);
    out_->commit(2);
  }
  void four(std::uint8_t format, std::uint32_t value) {
    detail::store32(room(5, format) + 1, value);
    out_->commit(5);
  }
  void eight(std::uint8_t format, std::uint64_t value) {
    detail::store64(room(9, format) + 1, value);
    out_->commit(9);
  }
  void fixed(std::uint8_t format, byte_view bytes) {
    std::memcpy(room(1 + bytes.size(), format) + 1, bytes.data(), bytes.size());
    out_->commit(1 + bytes.size());
  }
  void variable(std::uint8_t format, byte_view bytes) {
    IOTHUB_ASSERT(bytes.size() <= 0xffffffffu);
    std::size_t const head = bytes.size() <= 0xff ? 2 : 5;
    char* const at = room(head + bytes.size(), head == 2 ? format : static_cast<std::uint8_t>(format | 0x10));
    if (head == 2)
      at[1] = static_cast<char>(bytes.size());
    else
      detail::store32(at + 1, static_cast<std::uint32_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(at + head, bytes.data(), bytes.size());
    out_->commit(head + bytes.size());
  }
  char* content(std::size_t at) { return out_->prepare(0).data() - (out_->size() - at); }
  void finish(std::size_t at, std::uint8_t format, std::uint32_t count);
  template <class Texts>
  void text_array(Texts const& texts, std::uint8_t format);

  byte_buffer* out_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline void writer::finish(std::size_t at, std::uint8_t format, std::uint32_t count) {
  std::size_t const items = out_->size() - at - 3;
  if (items + 1 <= 0xff && count <= 0xff) {
    char* const head = content(at);
    head[0] = static_cast<char>(format);
    head[1] = static_cast<char>(items + 1);
    head[2] = static_cast<char>(count);
    return;
  }
  IOTHUB_ASSERT(items <= 0xffffffffu - 4);
  out_->prepare(6);
  out_->commit(6);
  char* const head = content(at);
  std::memmove(head + 9, head + 3, items);
  head[0] = static_cast<char>(format | 0x10);
  detail::store32(head + 1, static_cast<std::uint32_t>(items + 4));
  detail::store32(head + 5, count);
}

template <class Texts>
void writer::text_array(Texts const& texts, std::uint8_t format) {
  bool wide = false;
  std::uint32_t count = 0;
  for (std::string_view const text : texts) {
    wide = wide || text.size() > 0xff;
    ++count;
  }
  mark const begun = begin_compound();
  code(wide ? static_cast<std::uint8_t>(format | 0x10) : format);
  for (std::string_view const text : texts) {
    std::size_t const head = wide ? 4 : 1;
    char* const at = out_->prepare(head + text.size()).data();
    if (wide)
      detail::store32(at, static_cast<std::uint32_t>(text.size()));
    else
      at[0] = static_cast<char>(text.size());
    if (!text.empty()) std::memcpy(at + head, text.data(), text.size());
    out_->commit(head + text.size());
  }
  finish(begun.at, detail::code_array8, count);
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
