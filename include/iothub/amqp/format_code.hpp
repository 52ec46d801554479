// The encodings of Part 1, 1.6 as a table.
#pragma once

#include <cstdint>

#include <iothub/amqp/types.hpp>

namespace iothub {
inline namespace v0 {
namespace amqp {
namespace detail {

// What a format code says: the kind, and how the bytes behind it are laid out.
enum class layout : std::uint8_t { fixed, variable, compound, array, unknown };
struct code_meaning {
  kind type = kind::null;
  layout form = layout::unknown;
  std::uint8_t width = 0;  // of the value, or of its size and count
};
struct code_table {
  code_meaning of[256];
  constexpr code_table() noexcept : of{} {
    struct row {
      std::uint8_t code;
      kind type;
    };
    constexpr row rows[] = {
        {code_null, kind::null},           {code_true, kind::boolean},
        {code_false, kind::boolean},       {code_boolean, kind::boolean},
        {code_uint0, kind::uint32},        {code_small_uint, kind::uint32},
        {code_uint, kind::uint32},         {code_ulong0, kind::uint64},
        {code_small_ulong, kind::uint64},  {code_ulong, kind::uint64},
        {code_list0, kind::list},          {code_list8, kind::list},
        {code_list32, kind::list},         {code_ubyte, kind::uint8},
        {code_byte, kind::int8},           {code_small_int, kind::int32},
        {code_int, kind::int32},           {code_small_long, kind::int64},
        {code_long, kind::int64},          {code_ushort, kind::uint16},
        {code_short, kind::int16},         {code_float, kind::float32},
        {code_char, kind::character},      {code_decimal32, kind::decimal32},
        {code_double, kind::float64},      {code_timestamp, kind::timestamp},
        {code_decimal64, kind::decimal64}, {code_decimal128, kind::decimal128},
        {code_uuid, kind::uuid},           {code_vbin8, kind::binary},
        {code_vbin32, kind::binary},       {code_str8, kind::string},
        {code_str32, kind::string},        {code_sym8, kind::symbol},
        {code_sym32, kind::symbol},        {code_map8, kind::map},
        {code_map32, kind::map},           {code_array8, kind::array},
        {code_array32, kind::array},
    };
    for (row const& each : rows) {
      unsigned const high = each.code >> 4;
      code_meaning& what = of[each.code];
      what.type = each.type;
      what.form = high < 0xa   ? layout::fixed
                  : high < 0xc ? layout::variable
                  : high < 0xe ? layout::compound
                               : layout::array;
      what.width = static_cast<std::uint8_t>(high >= 0xa ? ((high & 1) != 0 ? 4 : 1)
                                             : high <= 4 ? 0
                                                         : 1u << (high - 5));
    }
  }
};
inline constexpr code_table code_meanings{};

}  // namespace detail
}  // namespace amqp
}  // namespace v0
}  // namespace iothub
