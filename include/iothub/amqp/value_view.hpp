// One encoded value where it lies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include <iothub/amqp/types.hpp>
#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

namespace detail {
struct value_parser;
}

// One encoded value. The bytes must outlive it.
class value_view {
 public:
  constexpr value_view() noexcept = default;  // null

  [[nodiscard]] kind type() const noexcept { return kind_; }
  [[nodiscard]] bool is_null() const noexcept { return kind_ == kind::null; }

  // Nothing when the value is of another type. Every width and sign of an integer is taken where it fits.
  [[nodiscard]] std::optional<bool> as_bool() const noexcept;
  [[nodiscard]] std::optional<std::int64_t> as_int() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> as_uint() const noexcept;
  [[nodiscard]] std::optional<double> as_double() const noexcept;  // float and double
  [[nodiscard]] std::optional<char32_t> as_char() const noexcept;
  [[nodiscard]] std::optional<std::int64_t> as_timestamp() const noexcept;  // milliseconds since 1970
  [[nodiscard]] std::optional<byte_view> as_string() const noexcept;
  [[nodiscard]] std::optional<byte_view> as_symbol() const noexcept;
  [[nodiscard]] std::optional<byte_view> as_text() const noexcept;  // string or symbol
  [[nodiscard]] std::optional<byte_view> as_binary() const noexcept;
  [[nodiscard]] std::optional<byte_view> as_uuid() const noexcept;  // 16 bytes, RFC 4122 order

  // The value's own bytes: characters of a string, big-endian bytes of a number or decimal, the items of a list or map
  // one after the other, the elements of an array, descriptor and value of a described one.
  [[nodiscard]] byte_view content() const noexcept { return content_; }
  // Items of a list, keys and values together of a map, elements of an array; 0 otherwise.
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  // Constructor included; empty for an element of an array, whose constructor stands elsewhere.
  [[nodiscard]] encoded bytes() const noexcept { return bytes_; }

 private:
  friend class reader;
  friend class array_reader;
  friend struct detail::value_parser;

  char const* data() const noexcept { return content_.data(); }

  byte_view content_;
  byte_view bytes_;
  std::uint32_t count_ = 0;
  kind kind_ = kind::null;
  std::uint8_t code_ = detail::code_null;
};

// ---------------------------------------------------------------------------------------------------------------------

inline std::optional<bool> value_view::as_bool() const noexcept {
  if (kind_ != kind::boolean) return std::nullopt;
  return code_ == detail::code_boolean ? content_[0] != 0 : code_ == detail::code_true;
}

inline std::optional<std::uint64_t> value_view::as_uint() const noexcept {
  switch (kind_) {
    case kind::uint8:
    case kind::uint16:
    case kind::uint32:
    case kind::uint64: break;
    case kind::int8:
    case kind::int16:
    case kind::int32:
    case kind::int64: {
      std::int64_t const signed_value = *as_int();
      if (signed_value < 0) return std::nullopt;
      return static_cast<std::uint64_t>(signed_value);
    }
    default: return std::nullopt;
  }
  switch (content_.size()) {
    case 0: return 0;
    case 1: return static_cast<unsigned char>(content_[0]);
    case 2: return detail::load16(data());
    case 4: return detail::load32(data());
    default: return detail::load64(data());
  }
}

inline std::optional<std::int64_t> value_view::as_int() const noexcept {
  switch (kind_) {
    case kind::int8:
    case kind::int16:
    case kind::int32:
    case kind::int64: break;
    case kind::uint8:
    case kind::uint16:
    case kind::uint32:
    case kind::uint64: {
      std::uint64_t const unsigned_value = *as_uint();
      if (unsigned_value > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
      return static_cast<std::int64_t>(unsigned_value);
    }
    default: return std::nullopt;
  }
  switch (content_.size()) {
    case 1: return static_cast<std::int8_t>(content_[0]);
    case 2: return static_cast<std::int16_t>(detail::load16(data()));
    case 4: return static_cast<std::int32_t>(detail::load32(data()));
    default: return static_cast<std::int64_t>(detail::load64(data()));
  }
}

inline std::optional<double> value_view::as_double() const noexcept {
  if (kind_ == kind::float32) {
    std::uint32_t const bits = detail::load32(data());
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<double>(value);
  }
  if (kind_ != kind::float64) return std::nullopt;
  std::uint64_t const bits = detail::load64(data());
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::optional<char32_t> value_view::as_char() const noexcept {
  if (kind_ != kind::character) return std::nullopt;
  return static_cast<char32_t>(detail::load32(data()));
}
inline std::optional<std::int64_t> value_view::as_timestamp() const noexcept {
  if (kind_ != kind::timestamp) return std::nullopt;
  return static_cast<std::int64_t>(detail::load64(data()));
}
inline std::optional<byte_view> value_view::as_string() const noexcept {
  if (kind_ != kind::string) return std::nullopt;
  return content_;
}
inline std::optional<byte_view> value_view::as_symbol() const noexcept {
  if (kind_ != kind::symbol) return std::nullopt;
  return content_;
}
inline std::optional<byte_view> value_view::as_text() const noexcept {
  if (kind_ != kind::symbol && kind_ != kind::string) return std::nullopt;
  return content_;
}
inline std::optional<byte_view> value_view::as_binary() const noexcept {
  if (kind_ != kind::binary) return std::nullopt;
  return content_;
}
inline std::optional<byte_view> value_view::as_uuid() const noexcept {
  if (kind_ != kind::uuid) return std::nullopt;
  return content_;
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
