// JSON text to json::value: strict RFC 8259.
//
// Refused: invalid UTF-8 and escaped lone surrogates, control characters in strings, a byte order mark, trailing commas,
// comments, anything behind the document, numbers too large for a double. A number with fraction or exponent, or outside
// int64, becomes a real; so does -0. Of members with the same name the last one's value wins, in the place of the first
// (RFC 8259 section 4 leaves it open; JavaScript does the same). NUL is a character like any other.
// Time is linear in the text and the parser does not recurse. Memory is at most about 32 times the text, in one or two
// blocks for a typical document.
#pragma once

#include <bit>
#include <cfloat>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <iothub/base/result.hpp>
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

// Length of the well-formed UTF-8 sequence (Unicode 15 table 3-7) of a non-ASCII character; 0 where there is none.
inline std::size_t utf8_length(char const* text, char const* end) noexcept {
  auto const byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto const left = static_cast<std::size_t>(end - text);
  auto const tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  unsigned const lead = byte(0);
  if (lead < 0xc2 || lead > 0xf4) return 0;
  if (lead < 0xe0) return left >= 2 && tail(1) ? 2 : 0;
  unsigned const low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned const high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (left < 2 || byte(1) < low || byte(1) > high) return 0;
  if (lead < 0xf0) return left >= 3 && tail(2) ? 3 : 0;
  return left >= 4 && tail(2) && tail(3) ? 4 : 0;
}

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
    std::unique_ptr<unit[]> more{new unit[std::size_t{capacity_} * 2]};
    std::memcpy(more.get(), data_, size_ * sizeof(unit));
    heap_ = std::move(more);
    data_ = heap_.get();
    capacity_ *= 2;
  }

  unit first_[512];
  std::unique_ptr<unit[]> heap_;
  unit* data_ = first_;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 512;
};

}  // namespace detail

class parser {
 public:
  parser(std::string_view text, parse_limits limits) noexcept
      : begin_{text.data()}, at_{text.data()}, end_{text.data() + text.size()}, limits_{limits},
        memory_{text.size() + text.size() / 2 + 64} {
    if (limits_.max_depth > 1000) limits_.max_depth = 1000;
    if (limits_.max_size > std::size_t{1} << 30) limits_.max_size = std::size_t{1} << 30;
  }

  result<value> run() {
    if (static_cast<std::size_t>(end_ - begin_) > limits_.max_size)
      return error{errc::too_large, "JSON text is longer than the limit of " + std::to_string(limits_.max_size) + " bytes"};
    detail::unit root{};
    if (!document(root))
      return error{code_, std::string{"JSON: "} + why_ + " at offset " + std::to_string(at_ - begin_)};
    memory_.keep();
    return value{root};
  }

 private:
  using unit = detail::unit;
  enum class next : unsigned char { item, done, failed };

  // Down into containers until a value is complete, then up as far as containers end with it.
  bool document(unit& root) {
    skip_space();
    for (;;) {
      unit item{};
      if (at_ == end_) return fail("unexpected end");
      if (*at_ == '{' || *at_ == '[') {
        next const n = open(item);
        if (n == next::failed) return false;
        if (n == next::item) continue;
      } else if (!scalar(item)) {
        return false;
      }
      for (;;) {
        if (depth_ == 0) {
          root = item;
          skip_space();
          return at_ == end_ || fail("text behind the document");
        }
        *stack_.push() = item;
        next const n = separator();
        if (n == next::failed) return false;
        if (n == next::item) break;
        item = close();
      }
    }
  }

  // A container begins: its frame goes on the stack. done: it was empty and is complete.
  next open(unit& item) {
    bool const is_object = *at_++ == '{';
    skip_space();
    if (at_ != end_ && *at_ == (is_object ? '}' : ']')) {
      ++at_;
      item.raw[15] = is_object ? detail::object_tag : detail::array_tag;
      if (depth_ == limits_.max_depth) return too_deep();
      return next::done;
    }
    if (depth_ == limits_.max_depth) return too_deep();
    ++depth_;
    unit& frame = *stack_.push();
    frame.store(frame_);
    frame.store(std::uint32_t{is_object_}, 4);
    frame_ = stack_.size();
    is_object_ = is_object;
    return !is_object || name() ? next::item : next::failed;
  }

  // Behind a value: on to the next one (item), or its container ends (done).
  next separator() {
    skip_space();
    if (at_ == end_) return fail("unexpected end"), next::failed;
    char const c = *at_;
    if (c == ',') {
      ++at_;
      skip_space();
      return !is_object_ || name() ? next::item : next::failed;
    }
    if (c != (is_object_ ? '}' : ']')) return fail(is_object_ ? "expected ',' or '}'" : "expected ',' or ']'"), next::failed;
    ++at_;
    return next::done;
  }

  bool name() {
    if (at_ == end_ || *at_ != '"') return fail("expected a member name");
    unit key;
    if (!string(key)) return false;
    *stack_.push() = key;
    skip_space();
    if (at_ == end_ || *at_ != ':') return fail("expected ':'");
    ++at_;
    skip_space();
    return true;
  }

  // The innermost container, complete.
  unit close() {
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
    unit out{};
    out.store(node);
    out.raw[15] = static_cast<unsigned char>(kind);
    unit const frame = stack_[frame_ - 1];
    stack_.resize(frame_ - 1);
    frame_ = frame.load<std::uint32_t>();
    is_object_ = frame.load<std::uint32_t>(4) != 0;
    --depth_;
    return out;
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

  bool scalar(unit& out) {
    switch (*at_) {
      case '"': return string(out);
      case 't': return literal("true", detail::bool_tag, 1, out);
      case 'f': return literal("false", detail::bool_tag, 0, out);
      case 'n': return literal("null", detail::null_tag, 0, out);
      default: return number(out);
    }
  }
  bool literal(std::string_view word, detail::tag kind, std::int64_t content, unit& out) {
    if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0)
      return fail("expected a value");
    at_ += word.size();
    out.store(content);
    out.raw[15] = static_cast<unsigned char>(kind);
    return true;
  }

  // --- numbers
  bool number(unit& out) {
    char const* const start = at_;
    bool const negative = *at_ == '-';
    if (negative) ++at_;
    std::uint64_t digits = 0;  // of all digits so far; wraps beyond 19 of them, then it is not used
    char const* const whole = at_;
    if (!take_digits(digits)) return fail(negative ? "expected a digit" : "expected a value");
    auto const whole_count = at_ - whole;
    if (*whole == '0' && whole_count > 1) return at_ = whole, fail("number with a leading zero");
    bool const plain = at_ == end_ || (*at_ != '.' && (*at_ | 0x20) != 'e');
    constexpr std::uint64_t largest = 9'223'372'036'854'775'807u;
    if (plain && whole_count <= 19 && digits <= largest + (negative ? 1 : 0) && !(negative && digits == 0)) {
      out.store(static_cast<std::int64_t>(negative ? 0 - digits : digits));
      out.raw[15] = detail::int_tag;
      return true;
    }
    std::int64_t exponent = 0;
    auto count = whole_count;
    if (at_ != end_ && *at_ == '.') {
      char const* const fraction = ++at_;
      if (!take_digits(digits)) return fail("expected a digit");
      count += at_ - fraction;
      exponent = -(at_ - fraction);
    }
    if (at_ != end_ && (*at_ | 0x20) == 'e' && !take_exponent(exponent)) return false;
    return real(start, negative, count <= 19, digits, exponent, out);
  }
  bool take_digits(std::uint64_t& sum) noexcept {
    char const* const start = at_;
    for (; at_ != end_; ++at_) {
      auto const digit = static_cast<unsigned>(*at_ - '0');
      if (digit > 9) break;
      sum = sum * 10 + digit;
    }
    return at_ != start;
  }
  bool take_exponent(std::int64_t& exponent) {
    ++at_;
    bool const negative = at_ != end_ && *at_ == '-';
    if (at_ != end_ && (*at_ == '-' || *at_ == '+')) ++at_;
    char const* const start = at_;
    std::uint64_t amount = 0;
    if (!take_digits(amount)) return fail("expected a digit");
    if (at_ - start > 9) amount = 999'999'999;  // only the slow path, which reads the text again, can follow
    exponent += negative ? -static_cast<std::int64_t>(amount) : static_cast<std::int64_t>(amount);
    return true;
  }
  // Up to 2^53 and 10^22 both factors are exact doubles, and one operation rounds once (Clinger 1990).
  bool real(char const* start, bool negative, bool digits_hold, std::uint64_t digits, std::int64_t exponent, unit& out) {
    double d = 0;
    if (FLT_EVAL_METHOD == 0 && digits_hold && digits <= (std::uint64_t{1} << 53) && exponent >= -22 && exponent <= 22) {
      d = static_cast<double>(digits);
      d = exponent < 0 ? d / detail::powers_of_ten[-exponent] : d * detail::powers_of_ten[exponent];
      if (negative) d = -d;
    } else if (std::from_chars(start, at_, d).ec != std::errc{}) {
      // Out of range: too small is zero, too large is no number of ours.
      if (is_huge(start)) return at_ = start, fail("number out of range");
      d = negative ? -0.0 : 0.0;
    }
    out.store(d);
    out.raw[15] = detail::real_tag;
    return true;
  }
  // Whether a number outside the range of double is beyond its upper end: the power of ten of its first digit that is
  // not zero tells, since that is far from 0 on either side.
  [[nodiscard]] bool is_huge(char const* start) const noexcept {
    char const* p = *start == '-' ? start + 1 : start;
    std::int64_t power = 0;
    bool point = false;
    bool nonzero = false;
    for (; p != at_ && (*p | 0x20) != 'e'; ++p) {
      if (*p == '.') {
        point = true;
        continue;
      }
      if (nonzero ? !point : (point && *p == '0')) power += nonzero ? 1 : -1;
      nonzero = nonzero || *p != '0';
    }
    if (!nonzero) return false;
    if (p == at_) return power > 0;
    bool const negative = *++p == '-';
    std::int64_t amount = 0;
    for (; p != at_; ++p)
      if (*p >= '0' && *p <= '9' && amount < 1'000'000'000'000) amount = amount * 10 + (*p - '0');
    return power + (negative ? -amount : amount) > 0;
  }

  // --- strings
  bool string(unit& out) {
    char const* const start = ++at_;
    char const* p = plain_end(start);
    if (p != end_ && *p == '"') return at_ = p + 1, text(start, p, out), true;
    bool escaped = false;
    for (;;) {  // to the closing quote, checking all but the escapes
      if (p == end_) return at_ = p, fail("unexpected end");
      auto const c = static_cast<unsigned char>(*p);
      if (c == '"') break;
      if (c < 0x20) return at_ = p, fail("control character in a string");
      if (c == '\\') {
        escaped = true;
        if (end_ - p < 2) return at_ = end_, fail("unexpected end");
        p += 2;
        if (static_cast<unsigned char>(p[-1]) < 0x20 || static_cast<unsigned char>(p[-1]) >= 0x80)
          return at_ = p - 1, fail("unknown escape");
      } else {
        std::size_t const length = detail::utf8_length(p, end_);
        if (length == 0) return at_ = p, fail("invalid UTF-8");
        p += length;
      }
      p = plain_end(p);
    }
    if (escaped) return unescape(start, p, out);
    at_ = p + 1;
    text(start, p, out);
    return true;
  }
  // The first byte that is not plain ASCII text.
  [[nodiscard]] char const* plain_end(char const* p) const noexcept {
    if constexpr (std::endian::native == std::endian::little) {
      for (; end_ - p >= 8; p += 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        std::uint64_t const stop = detail::special_bytes(word) | (word & detail::repeat(0x80));
        if (stop != 0) return p + std::countr_zero(stop) / 8;
      }
    }
    while (p != end_) {
      auto const c = static_cast<unsigned char>(*p);
      if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
      ++p;
    }
    return p;
  }
  void text(char const* from, char const* to, unit& out) {
    auto const size = static_cast<std::size_t>(to - from);
    if (std::endian::native == std::endian::little && size <= detail::short_limit && end_ - from >= 16) {
      std::uint64_t low;
      std::uint64_t high;
      std::memcpy(&low, from, 8);
      std::memcpy(&high, from + 8, 8);
      std::uint64_t const all = ~std::uint64_t{0};
      if (size < 8) {
        low &= ~(all << (8 * size));
        high = 0;
      } else {
        high &= ~(all << (8 * (size - 8)));
      }
      out.store(low);
      out.store(high | std::uint64_t{detail::short_tag | size << 4} << 56, 8);
      return;
    }
    out = memory_.make_text({from, size});
  }

  bool unescape(char const* from, char const* to, unit& out) {
    char few[256];
    std::string many;
    char* into = few;
    if (to - from > static_cast<std::ptrdiff_t>(sizeof few)) {
      many.resize(static_cast<std::size_t>(to - from));
      into = many.data();
    }
    char* end = into;
    for (char const* p = from; p != to;) {
      auto const* const slash = static_cast<char const*>(std::memchr(p, '\\', static_cast<std::size_t>(to - p)));
      auto const plain = static_cast<std::size_t>((slash != nullptr ? slash : to) - p);
      std::memcpy(end, p, plain);
      end += plain;
      if (slash == nullptr) break;
      p = slash + 2;
      if (!escape(slash, p, to, end)) return at_ = slash, fail("unknown escape or lone surrogate");
    }
    out = memory_.make_text({into, static_cast<std::size_t>(end - into)});
    at_ = to + 1;
    return true;
  }
  // RFC 8259 section 7; `p` is behind the letter.
  static bool escape(char const* slash, char const*& p, char const* to, char*& end) noexcept {
    switch (slash[1]) {
      case '"': case '\\': case '/': return *end++ = slash[1], true;
      case 'b': return *end++ = '\b', true;
      case 'f': return *end++ = '\f', true;
      case 'n': return *end++ = '\n', true;
      case 'r': return *end++ = '\r', true;
      case 't': return *end++ = '\t', true;
      case 'u': break;
      default: return false;
    }
    std::uint32_t c = 0;
    if (!hex4(p, to, c) || (c >= 0xdc00 && c <= 0xdfff)) return false;
    if (c >= 0xd800 && c <= 0xdbff) {
      std::uint32_t low = 0;
      if (to - p < 6 || p[0] != '\\' || p[1] != 'u' || !hex4(p += 2, to, low) || low < 0xdc00 || low > 0xdfff) return false;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    auto const put = [&end](std::uint32_t byte) { *end++ = static_cast<char>(byte); };
    if (c < 0x80) return put(c), true;
    if (c < 0x800) return put(0xc0 | c >> 6), put(0x80 | (c & 63)), true;
    if (c < 0x10000) return put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63)), true;
    return put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63)), true;
  }
  static bool hex4(char const*& p, char const* to, std::uint32_t& out) noexcept {
    if (to - p < 4) return false;
    for (int i = 0; i != 4; ++i, ++p) {
      unsigned const c = static_cast<unsigned char>(*p);
      unsigned const digit = c - '0' < 10u ? c - '0' : (c | 0x20) - 'a' < 6u ? (c | 0x20) - 'a' + 10 : 16;
      if (digit == 16) return false;
      out = out << 4 | digit;
    }
    return true;
  }

  void skip_space() noexcept {
    while (at_ != end_ && static_cast<unsigned char>(*at_) <= 0x20 &&
           (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t'))
      ++at_;
  }
  bool fail(char const* why) noexcept {
    why_ = why;
    return false;
  }
  next too_deep() noexcept {
    code_ = errc::too_large;
    fail("containers nested deeper than the limit");
    return next::failed;
  }

  char const* begin_;
  char const* at_;
  char const* end_;
  parse_limits limits_;
  detail::arena memory_;
  detail::scratch stack_;
  std::size_t depth_ = 0;
  std::uint32_t frame_ = 0;   // where the innermost container's units begin, behind its frame
  bool is_object_ = false;    // the innermost container
  errc code_ = errc::malformed;
  char const* why_ = "";
};

inline result<value> parse(std::string_view text, parse_limits limits) { return parser{text, limits}.run(); }

}  // namespace json
}  // namespace v0
}  // namespace iothub
