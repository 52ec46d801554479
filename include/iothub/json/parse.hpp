// JSON text to json::value: strict RFC 8259.
//
// Refused: invalid UTF-8 and escaped lone surrogates, control characters in strings, a byte order mark, trailing
// commas, comments, anything behind the document, numbers too large for a double. A number with fraction or exponent,
// or outside int64, becomes a real; so does -0. Of members with the same name the last one's value wins, in the place
// of the first (RFC 8259 section 4 leaves it open; JavaScript does the same). NUL is a character like any other. Time
// is linear in the text and the parser does not recurse. Memory is at most about 32 times the text, in one or two
// blocks for a typical document.
#pragma once

#include <bit>
#include <cfloat>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/json/dom.hpp>
#include <iothub/json/scan.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

struct parse_limits {
  std::size_t max_depth = 64;                // levels of containers: 1 to 1000
  std::size_t max_size = 16 * 1024 * 1024;   // bytes of text: at most 1 GiB
};

// errc::malformed with what is wrong and its offset; errc::too_large above a limit.
result<value> parse(std::string_view text, parse_limits limits = {});

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

// Units of the containers that are still open, mostly without the heap.
class scratch {
 public:
  unit* push() {
    if (size_ == capacity_) grow();
    return data_ + size_++;
  }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  void resize(std::uint32_t size) noexcept { size_ = size; }
  unit& operator[](std::size_t at) noexcept { return data_[at]; }

 private:
  void grow() {
    owned<unit[]> more{new unit[std::size_t{capacity_} * 2]};
    std::memcpy(more.get(), data_, size_ * sizeof(unit));
    heap_ = std::move(more);
    data_ = heap_.get();
    capacity_ *= 2;
  }

  unit first_[512];
  owned<unit[]> heap_;
  unit* data_ = first_;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 512;
};

}  // namespace detail

// Where the text is read: every step takes the place and returns the place behind what it read, or nullptr after
// fail().
class parser {
 public:
  parser(std::string_view text, parse_limits limits) noexcept
      : begin_{text.data()}, end_{text.data() + text.size()}, limits_{limits},
        memory_{text.size() * 3 + 192} {  // what the nodes of typical documents need
    if (limits_.max_depth > 1000) limits_.max_depth = 1000;
    if (limits_.max_size > std::size_t{1} << 30) limits_.max_size = std::size_t{1} << 30;
  }

  result<value> run() {
    if (static_cast<std::size_t>(end_ - begin_) > limits_.max_size)
      return error{errc::too_large,
                   "JSON text is longer than the limit of " + std::to_string(limits_.max_size) + " bytes"};
    if (!document(begin_))
      return error{code_, std::string{"JSON: "} + why_ + " at offset " + std::to_string(failed_at_ - begin_)};
    memory_.keep();
    return value{stack_[0]};
  }

 private:
  using unit = detail::unit;
  using place = char const*;

  // Down into containers until a value is complete, then up as far as containers end with it. A container that is open
  // holds in its own unit the frame of the one around it; its keys and values are behind that unit on the stack.
  bool document(place p) {
    p = skip_space(p);
    for (;;) {
      if (p == end_) return fail(p, "unexpected end") != nullptr;
      unit& item = *stack_.push();
      if (*p == '"') {
        p = string(p, item);
      } else if (*p == '{' || *p == '[') {
        bool opened = false;
        p = open(p, item, opened);
        if (opened && p != nullptr) continue;
      } else {
        p = *p <= '9' ? number(p, item) : literal(p, item);
      }
      if (p == nullptr) return false;
      for (;;) {  // behind a value
        p = skip_space(p);
        if (depth_ == 0) return p == end_ || fail(p, "text behind the document") != nullptr;
        if (p == end_) return fail(p, "unexpected end") != nullptr;
        if (*p == ',') {
          p = skip_space(p + 1);
          if (is_object_ && (p = name(p)) == nullptr) return false;
          break;
        }
        if (*p != (is_object_ ? '}' : ']'))
          return fail(p, is_object_ ? "expected ',' or '}'" : "expected ',' or ']'") != nullptr;
        ++p;
        close();
      }
    }
  }

  // A container begins; `opened` is false when it was empty and is complete.
  place open(place p, unit& item, bool& opened) {
    bool const is_object = *p == '{';
    if (depth_ == limits_.max_depth) {
      code_ = errc::too_large;
      return fail(p, "containers nested deeper than the limit");
    }
    p = skip_space(p + 1);
    if (p != end_ && *p == (is_object ? '}' : ']')) {
      item = unit{};
      item.raw[15] = is_object ? detail::object_tag : detail::array_tag;
      return p + 1;
    }
    item.store(frame_);
    item.store(std::uint32_t{is_object_}, 4);
    frame_ = stack_.size();
    is_object_ = is_object;
    ++depth_;
    opened = true;
    return is_object ? name(p) : p;
  }

  place name(place p) {
    if (p == end_ || *p != '"') return fail(p, "expected a member name");
    p = string(p, *stack_.push());
    if (p == nullptr) return nullptr;
    p = skip_space(p);
    if (p == end_ || *p != ':') return fail(p, "expected ':'");
    return skip_space(p + 1);
  }

  // The innermost container is complete.
  void close() {
    using namespace detail;
    tag const kind = is_object_ ? object_tag : array_tag;
    if (is_object_) drop_repeated_names();
    std::size_t const units = stack_.size() - frame_;
    std::size_t const slots = is_object_ ? units / 2 : units;
    container* const node = memory_.make_container(kind, slots);
    if (is_object_ && slots > index_threshold) {
      fill_indexed(node, slots);
    } else {
      std::memcpy(node->units(), &stack_[frame_], units * sizeof(unit));
      node->size = static_cast<std::uint32_t>(slots);
    }
    stack_.resize(frame_);
    unit& item = stack_[frame_ - 1];
    frame_ = item.load<std::uint32_t>();
    is_object_ = item.load<std::uint32_t>(4) != 0;
    --depth_;
    item = unit{};
    item.store(node);
    item.raw[15] = static_cast<unsigned char>(kind);
  }

  void fill_indexed(detail::container* node, std::size_t slots) {
    detail::clear_index(node);
    for (std::size_t i = 0; i != slots; ++i) {
      unit const& key = stack_[frame_ + 2 * i];
      unit const& item = stack_[frame_ + 2 * i + 1];
      std::size_t entry = 0;
      auto const slot = detail::find_slot(node, detail::probe{key}, &entry);
      unit* const to = node->units() + 2 * std::size_t{slot};
      if (slot == node->size) {
        detail::set_entry(node, entry, slot);
        ++node->size;
        to[0] = key;
      } else {
        memory_.drop(key);
        memory_.drop(to[1]);
      }
      to[1] = item;
    }
  }

  // Of a narrow object; wide ones find repeated names when they are indexed.
  void drop_repeated_names() {
    std::size_t const size = stack_.size() - frame_;
    if (size / 2 > detail::index_threshold) return;
    unit* const first = &stack_[frame_];
    std::uint64_t seen = 0;  // one bit per name; names that share a bit are compared
    std::size_t kept = 0;
    for (std::size_t i = 0; i != size; i += 2) {
      std::uint64_t const bit = name_bit(first[i]);
      std::size_t same = kept;
      if ((seen & bit) != 0) {
        detail::probe const name{first[i]};
        for (same = 0; same != kept && !name.matches(first[same]);) same += 2;
      }
      seen |= bit;
      if (same == kept) {
        if (kept != i) {
          first[kept] = first[i];
          first[kept + 1] = first[i + 1];
        }
        kept += 2;
        continue;
      }
      memory_.drop(first[i]);
      memory_.drop(first[same + 1]);
      first[same + 1] = first[i + 1];
    }
    stack_.resize(frame_ + static_cast<std::uint32_t>(kept));
  }
  static std::uint64_t name_bit(unit const& key) noexcept {
    std::uint64_t a = key.load<std::uint64_t>();
    if (key.tag() == detail::long_tag) std::memcpy(&a, detail::text_of(key).data(), 8);
    std::uint64_t const mixed = (a ^ std::rotl(key.load<std::uint64_t>(8), 23)) * 0x9e37'79b9'7f4a'7c15u;
    return std::uint64_t{1} << (mixed >> 58);
  }

  place literal(place p, unit& out) {
    out = unit{};
    auto const is = [this, p](std::string_view word) {
      return static_cast<std::size_t>(end_ - p) >= word.size() && std::memcmp(p, word.data(), word.size()) == 0;
    };
    if (is("null")) return p + 4;
    out.raw[15] = detail::bool_tag;
    if (is("false")) return p + 5;
    if (!is("true")) return fail(p, "expected a value");
    out.store(std::int64_t{1});
    return p + 4;
  }

  // --- numbers
  place number(place const start, unit& out) {
    out = unit{};
    bool const negative = *start == '-';
    place const whole = start + (negative ? 1 : 0);
    std::uint64_t digits = 0;  // the value of all digits so far; it wraps beyond 19 of them, then it is not used
    place p = take_digits(whole, digits);
    if (p == whole) return fail(p, negative ? "expected a digit" : "expected a value");
    auto count = p - whole;
    if (*whole == '0' && count > 1) return fail(whole, "number with a leading zero");
    constexpr std::uint64_t largest = 9'223'372'036'854'775'807u;
    if ((p == end_ || (*p != '.' && (*p | 0x20) != 'e')) && count <= 19 && digits <= largest + (negative ? 1 : 0) &&
        !(negative && digits == 0)) {
      out.store(negative ? 0 - digits : digits);
      out.raw[15] = detail::int_tag;
      return p;
    }
    std::int64_t exponent = 0;
    if (p != end_ && *p == '.') {
      place const fraction = ++p;
      p = take_digits(p, digits);
      if (p == fraction) return fail(p, "expected a digit");
      count += p - fraction;
      exponent = -(p - fraction);
    }
    if (p != end_ && (*p | 0x20) == 'e') {
      p = take_exponent(p, exponent);
      if (p == nullptr) return nullptr;
    }
    return real(start, p, count <= 19 ? digits : ~std::uint64_t{0}, exponent, out);
  }
  place take_digits(place p, std::uint64_t& sum) const noexcept {
    std::uint64_t digits = sum;
    for (; p != end_; ++p) {
      auto const digit = static_cast<unsigned>(*p - '0');
      if (digit > 9) break;
      digits = digits * 10 + digit;
    }
    sum = digits;
    return p;
  }
  place take_exponent(place p, std::int64_t& exponent) {
    ++p;
    bool const negative = p != end_ && *p == '-';
    if (p != end_ && (*p == '-' || *p == '+')) ++p;
    std::uint64_t amount = 0;
    place const after = take_digits(p, amount);
    if (after == p) return fail(p, "expected a digit");
    if (after - p > 9) amount = 999'999'999;  // out of reach of the short way; the long way reads the text again
    exponent += negative ? -static_cast<std::int64_t>(amount) : static_cast<std::int64_t>(amount);
    return after;
  }
  // Up to 2^53 and 10^22 both factors are exact doubles, and one operation rounds once (Clinger 1990).
  place real(place start, place p, std::uint64_t digits, std::int64_t exponent, unit& out) {
    double d = 0;
    bool const negative = *start == '-';
    if (FLT_EVAL_METHOD == 0 && digits <= (std::uint64_t{1} << 53) && exponent >= -22 && exponent <= 22) {
      d = static_cast<double>(digits);
      d = exponent < 0 ? d / detail::powers_of_ten[-exponent] : d * detail::powers_of_ten[exponent];
      if (negative) d = -d;
    } else if (std::from_chars(start, p, d).ec != std::errc{}) {
      // Out of range: too small is zero, too large is no number of ours.
      if (is_huge(start, p)) return fail(start, "number out of range");
      d = negative ? -0.0 : 0.0;
    }
    out.store(d);
    out.raw[15] = detail::real_tag;
    return p;
  }
  // Whether a number outside the range of double is beyond its upper end: the power of ten of its first digit that is
  // not zero tells, since that is far from 0 on either side.
  static bool is_huge(place p, place end) noexcept {
    std::int64_t power = 0;
    bool point = false;
    bool nonzero = false;
    for (p += *p == '-' ? 1 : 0; p != end && (*p | 0x20) != 'e'; ++p) {
      if (*p == '.') {
        point = true;
        continue;
      }
      if (nonzero ? !point : (point && *p == '0')) power += nonzero ? 1 : -1;
      nonzero = nonzero || *p != '0';
    }
    if (!nonzero || p == end) return nonzero && power > 0;
    bool const negative = *++p == '-';
    std::int64_t amount = 0;
    for (; p != end; ++p)
      if (*p >= '0' && *p <= '9' && amount < 1'000'000'000'000) amount = amount * 10 + (*p - '0');
    return power + (negative ? -amount : amount) > 0;
  }

  // --- strings
  place string(place p, unit& out) {
    place const start = ++p;
#if defined(__SSE2__) && defined(__GNUC__)
    if (end_ - p >= 16) {  // most strings end within 16 bytes
      auto const block = detail::load16(p);
      unsigned const stops = detail::stops_plain_ascii(block);
      if (stops != 0) {
        auto const size = static_cast<unsigned>(std::countr_zero(stops));
        if (p[size] == '"') {
          detail::store_prefix(out.raw, block, size);
          out.raw[15] = static_cast<unsigned char>(detail::short_tag | size << 4);
          return p + size + 1;
        }
      }
    }
#endif
    bool escaped = false;
    for (;;) {  // to the closing quote, checking all but the escapes
      p = plain_end(p);
      if (p == end_) return fail(p, "unexpected end");
      auto const c = static_cast<unsigned char>(*p);
      if (c == '"') break;
      if (c < 0x20) return fail(p, "control character in a string");
      if (c == '\\') {
        escaped = true;
        if (end_ - p < 2) return fail(end_, "unexpected end");
        if (static_cast<unsigned char>(p[1]) < 0x20 || static_cast<unsigned char>(p[1]) >= 0x80)
          return fail(p, "unknown escape");
        p += 2;
      } else {
        std::size_t const length = iothub::detail::utf8_sequence(reinterpret_cast<unsigned char const*>(p),
                                                                 static_cast<std::size_t>(end_ - p));
        if (length == 0) return fail(p, "invalid UTF-8");
        p += length;
      }
    }
    if (escaped) return unescape(start, p, out);
    out = memory_.make_text({start, static_cast<std::size_t>(p - start)});
    return p + 1;
  }
  // The first byte that is not plain ASCII text.
  [[nodiscard]] place plain_end(place p) const noexcept {
#if defined(__SSE2__) && defined(__GNUC__)
    for (; end_ - p >= 16; p += 16)
      if (unsigned const stops = detail::stops_plain_ascii(detail::load16(p)); stops != 0)
        return p + std::countr_zero(stops);
#endif
    if constexpr (std::endian::native == std::endian::little) {
      for (; end_ - p >= 8; p += 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        std::uint64_t const stops = detail::special_bytes(word) | (word & detail::repeat(0x80));
        if (stops != 0) return p + std::countr_zero(stops) / 8;
      }
    }
    while (p != end_) {
      auto const c = static_cast<unsigned char>(*p);
      if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
      ++p;
    }
    return p;
  }

  place unescape(place from, place to, unit& out) {
    char few[256];
    std::string many;
    char* into = few;
    if (to - from > static_cast<std::ptrdiff_t>(sizeof few)) {
      many.resize(static_cast<std::size_t>(to - from));
      into = many.data();
    }
    char* end = into;
    for (place p = from; p != to;) {
      auto const* const slash = static_cast<place>(std::memchr(p, '\\', static_cast<std::size_t>(to - p)));
      auto const plain = static_cast<std::size_t>((slash != nullptr ? slash : to) - p);
      std::memcpy(end, p, plain);
      end += plain;
      if (slash == nullptr) break;
      p = slash + 2;
      if (!escape(slash, p, to, end)) return fail(slash, "unknown escape or lone surrogate");
    }
    out = memory_.make_text({into, static_cast<std::size_t>(end - into)});
    return to + 1;
  }
  // RFC 8259 section 7; `p` is behind the letter.
  static bool escape(place slash, place& p, place to, char*& end) noexcept {
    auto const put = [&end](std::uint32_t byte) { *end++ = static_cast<char>(byte); };
    switch (slash[1]) {
      case '"': case '\\': case '/': return *end++ = slash[1], true;
      case 'b': return put('\b'), true;
      case 'f': return put('\f'), true;
      case 'n': return put('\n'), true;
      case 'r': return put('\r'), true;
      case 't': return put('\t'), true;
      case 'u': break;
      default: return false;
    }
    std::uint32_t c = 0;
    if (!hex4(p, to, c) || (c >= 0xdc00 && c <= 0xdfff)) return false;
    if (c >= 0xd800 && c <= 0xdbff) {
      std::uint32_t low = 0;
      if (to - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p += 2, to, low) || low < 0xdc00 || low > 0xdfff)
        return false;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    if (c < 0x80) return put(c), true;
    if (c < 0x800) return put(0xc0 | c >> 6), put(0x80 | (c & 63)), true;
    if (c < 0x10000) return put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63)), true;
    return put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63)), true;
  }
  static bool hex4(place& p, place to, std::uint32_t& out) noexcept {
    if (to - p < 4) return false;
    for (int i = 0; i != 4; ++i, ++p) {
      unsigned const c = static_cast<unsigned char>(*p);
      unsigned const digit = c - '0' < 10u ? c - '0' : (c | 0x20) - 'a' < 6u ? (c | 0x20) - 'a' + 10 : 16;
      if (digit == 16) return false;
      out = out << 4 | digit;
    }
    return true;
  }

  [[nodiscard]] place skip_space(place p) const noexcept {
    while (p != end_ && static_cast<unsigned char>(*p) <= 0x20 && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
      ++p;
    return p;
  }
  place fail(place at, char const* why) noexcept {
    failed_at_ = at;
    why_ = why;
    return nullptr;
  }

  place begin_;
  place end_;
  parse_limits limits_;
  detail::arena memory_;
  detail::scratch stack_;
  std::size_t depth_ = 0;
  std::uint32_t frame_ = 0;  // where the units of the innermost open container begin
  bool is_object_ = false;   // the innermost open container
  errc code_ = errc::malformed;
  place failed_at_ = nullptr;
  char const* why_ = "";
};

inline result<value> parse(std::string_view text, parse_limits limits) { return parser{text, limits}.run(); }

}  // namespace json
}  // namespace v0
}  // namespace iothub
