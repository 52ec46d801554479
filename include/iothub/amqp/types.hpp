// The words that all of AMQP 1.0 shares here: kinds of values, their encodings, broken rules, error conditions.
//
// Rules are quoted by part and section of "OASIS Advanced Message Queuing Protocol (AMQP) Version 1.0", 29 October
// 2012: Part 1 types, Part 2 transport, Part 3 messaging, Part 5 security.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <iothub/base/bytes.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {

// One encoded value, constructor byte included; empty stands for null. Fields whose form is free (properties, filters,
// capabilities, annotations) travel like this, so that passing one on is a copy of bytes.
using encoded = byte_view;

// The types of Part 1, 1.6. AMQP's ubyte … ulong are uint8 … uint64 here and its byte … long int8 … int64, since half
// of its names are words of the language.
enum class kind : std::uint8_t {
  null,
  boolean,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  float32,
  float64,
  decimal32,
  decimal64,
  decimal128,
  character,  // one UTF-32BE code point
  timestamp,  // milliseconds since 1970-01-01T00:00:00Z
  uuid,
  binary,
  string,  // UTF-8
  symbol,  // ASCII, from a constrained domain
  list,
  map,
  array,
  described,
};
constexpr std::string_view to_string(kind k) noexcept;

// A peer that nests values deeper breaks `decode-error`; every walk that recurses stops there.
inline constexpr unsigned max_depth = 32;
// An array whose elements have no bytes (null, true, empty lists …) could announce 2^32 of them in nine bytes.
inline constexpr std::uint32_t max_empty_elements = 1024;
// Part 2, 2.4.1: no peer may announce less, and SASL frames may not be longer (Part 5, 5.3.1).
inline constexpr std::uint32_t min_max_frame_size = 512;

// Error conditions, Part 2, 2.8.15 to 2.8.18.
namespace condition {
inline constexpr std::string_view internal_error = "amqp:internal-error";
inline constexpr std::string_view not_found = "amqp:not-found";
inline constexpr std::string_view unauthorized_access = "amqp:unauthorized-access";
inline constexpr std::string_view decode_error = "amqp:decode-error";
inline constexpr std::string_view resource_limit_exceeded = "amqp:resource-limit-exceeded";
inline constexpr std::string_view not_allowed = "amqp:not-allowed";
inline constexpr std::string_view invalid_field = "amqp:invalid-field";
inline constexpr std::string_view not_implemented = "amqp:not-implemented";
inline constexpr std::string_view resource_locked = "amqp:resource-locked";
inline constexpr std::string_view precondition_failed = "amqp:precondition-failed";
inline constexpr std::string_view resource_deleted = "amqp:resource-deleted";
inline constexpr std::string_view illegal_state = "amqp:illegal-state";
inline constexpr std::string_view frame_size_too_small = "amqp:frame-size-too-small";
inline constexpr std::string_view connection_forced = "amqp:connection:forced";
inline constexpr std::string_view framing_error = "amqp:connection:framing-error";
inline constexpr std::string_view connection_redirect = "amqp:connection:redirect";
inline constexpr std::string_view window_violation = "amqp:session:window-violation";
inline constexpr std::string_view errant_link = "amqp:session:errant-link";
inline constexpr std::string_view handle_in_use = "amqp:session:handle-in-use";
inline constexpr std::string_view unattached_handle = "amqp:session:unattached-handle";
inline constexpr std::string_view detach_forced = "amqp:link:detach-forced";
inline constexpr std::string_view transfer_limit_exceeded = "amqp:link:transfer-limit-exceeded";
inline constexpr std::string_view message_size_exceeded = "amqp:link:message-size-exceeded";
inline constexpr std::string_view link_redirect = "amqp:link:redirect";
inline constexpr std::string_view link_stolen = "amqp:link:stolen";
}  // namespace condition

// A rule that the peer broke: the condition to answer with, and a sentence that names the section.
class violation {
 public:
  constexpr violation() noexcept = default;
  constexpr violation(std::string_view condition, char const* what) noexcept : condition_{condition}, what_{what} {}
  constexpr violation(char const* what) noexcept  // NOLINT: a static sentence is a violation, of the encoding mostly
      : condition_{condition::decode_error}, what_{what} {}
  constexpr explicit operator bool() const noexcept { return what_ != nullptr; }
  [[nodiscard]] constexpr std::string_view condition() const noexcept { return condition_; }
  [[nodiscard]] constexpr std::string_view what() const noexcept { return what_ ? what_ : std::string_view{}; }

 private:
  std::string_view condition_;
  char const* what_ = nullptr;
};

// Descriptors of the composite types, Part 2, 2.7 and 2.8; Part 3, 3.2 to 3.5; Part 5, 5.3.3. Their domain is 0.
enum class descriptor : std::uint64_t {
  open = 0x10,
  begin = 0x11,
  attach = 0x12,
  flow = 0x13,
  transfer = 0x14,
  disposition = 0x15,
  detach = 0x16,
  end = 0x17,
  close = 0x18,
  error = 0x1d,
  received = 0x23,
  accepted = 0x24,
  rejected = 0x25,
  released = 0x26,
  modified = 0x27,
  source = 0x28,
  target = 0x29,
  coordinator = 0x30,
  sasl_mechanisms = 0x40,
  sasl_init = 0x41,
  sasl_challenge = 0x42,
  sasl_response = 0x43,
  sasl_outcome = 0x44,
  header = 0x70,
  delivery_annotations = 0x71,
  message_annotations = 0x72,
  properties = 0x73,
  application_properties = 0x74,
  data = 0x75,
  amqp_sequence = 0x76,
  amqp_value = 0x77,
  footer = 0x78,
  none = ~std::uint64_t{0},
};

// Whether lists leave their trailing nulls out, as Part 1, 1.4 allows, or are written with every field. Clients exist
// that index the fields without looking how many there are (azure-eventhub for Python, which brings its own AMQP).
enum class list_form : std::uint8_t { brief, full };

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Format codes, Part 1, 1.6. The high half says the width: 4 none, 5 one byte, 6 two, 7 four, 8 eight, 9 sixteen,
// a and b a size of one and four bytes, c and d size and count, e and f size, count and element constructor.
enum code : std::uint8_t {
  code_described = 0x00,
  code_null = 0x40,
  code_true = 0x41,
  code_false = 0x42,
  code_uint0 = 0x43,
  code_ulong0 = 0x44,
  code_list0 = 0x45,
  code_ubyte = 0x50,
  code_byte = 0x51,
  code_small_uint = 0x52,
  code_small_ulong = 0x53,
  code_small_int = 0x54,
  code_small_long = 0x55,
  code_boolean = 0x56,
  code_ushort = 0x60,
  code_short = 0x61,
  code_uint = 0x70,
  code_int = 0x71,
  code_float = 0x72,
  code_char = 0x73,
  code_decimal32 = 0x74,
  code_ulong = 0x80,
  code_long = 0x81,
  code_double = 0x82,
  code_timestamp = 0x83,
  code_decimal64 = 0x84,
  code_decimal128 = 0x94,
  code_uuid = 0x98,
  code_vbin8 = 0xa0,
  code_str8 = 0xa1,
  code_sym8 = 0xa3,
  code_vbin32 = 0xb0,
  code_str32 = 0xb1,
  code_sym32 = 0xb3,
  code_list8 = 0xc0,
  code_map8 = 0xc1,
  code_list32 = 0xd0,
  code_map32 = 0xd1,
  code_array8 = 0xe0,
  code_array32 = 0xf0,
};

inline std::uint16_t load16(char const* p) noexcept {
  auto const* u = reinterpret_cast<unsigned char const*>(p);
  return static_cast<std::uint16_t>(u[0] << 8 | u[1]);
}
inline std::uint32_t load32(char const* p) noexcept {
  auto const* u = reinterpret_cast<unsigned char const*>(p);
  return static_cast<std::uint32_t>(u[0]) << 24 | static_cast<std::uint32_t>(u[1]) << 16 |
         static_cast<std::uint32_t>(u[2]) << 8 | static_cast<std::uint32_t>(u[3]);
}
inline std::uint64_t load64(char const* p) noexcept {
  return static_cast<std::uint64_t>(load32(p)) << 32 | load32(p + 4);
}
inline void store16(char* p, std::uint32_t value) noexcept {
  p[0] = static_cast<char>(value >> 8);
  p[1] = static_cast<char>(value);
}
inline void store32(char* p, std::uint32_t value) noexcept {
  store16(p, value >> 16);
  store16(p + 2, value);
}
inline void store64(char* p, std::uint64_t value) noexcept {
  store32(p, static_cast<std::uint32_t>(value >> 32));
  store32(p + 4, static_cast<std::uint32_t>(value));
}

}  // namespace detail

constexpr std::string_view to_string(kind k) noexcept {
  constexpr std::string_view names[] = {
      "null",   "boolean", "ubyte",  "ushort",    "uint",      "ulong",      "byte",     "short",     "int",
      "long",   "float",   "double", "decimal32", "decimal64", "decimal128", "char",     "timestamp", "uuid",
      "binary", "string",  "symbol", "list",      "map",       "array",      "described"};
  return names[static_cast<std::size_t>(k)];
}

}  // namespace amqp
}  // namespace v0
}  // namespace iothub
