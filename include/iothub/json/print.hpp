// json::value to JSON text (RFC 8259).
//
// Escaped is only what must be: quote, backslash and control characters; other UTF-8 passes as it is. A real prints
// with the fewest digits that read back as the same double, and always with a point or an exponent, so that it stays a
// real.
#pragma once

#include <bit>
#include <cfloat>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/json/dom.hpp>
#include <iothub/json/scan.hpp>

namespace iothub {
inline namespace v0 {
namespace json {

// Appends `text` as a JSON string, with its quotes.
void append_quoted(std::string& out, std::string_view text);

// --- bodies ---------------------------------------------------------------------------------------------------------

class printer {
 public:
  explicit printer(std::string& out) noexcept : string_{&out} {}
  explicit printer(byte_buffer& out) noexcept : buffer_{&out} {}

  void print(value const& document, unsigned indent) {
    indent_ = indent;
    pretty_ = indent != 0;
    char few[256];  // what is short goes into a string at once and exactly
    std::size_t const size = estimate(document.unit_) + ahead;
    if (string_ != nullptr && size <= sizeof few) {
      is_apart_ = true;
      begin_ = at_ = few;
      end_ = few + sizeof few;
    } else {
      room(size);
    }
    put(document.unit_, 0);
    finish();
  }
  void print_text(std::string_view text) {
    room(text.size() + 2);
    quoted(text);
    finish();
  }

 private:
  using unit = detail::unit;

  // --- the sink: [at_, end_) may be written
  void room(std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < size) grow(size);
  }
  void grow(std::size_t size) {
    if (buffer_ != nullptr) {
      finish();
      byte_span const space = buffer_->prepare(size < 256 ? 256 : size);
      begin_ = at_ = space.data();
      end_ = begin_ + space.size();
      return;
    }
    if (is_apart_) finish();
    if (begin_ == nullptr) offset_ = string_->size();
    std::size_t const used = offset_ + static_cast<std::size_t>(at_ - begin_);
    std::size_t wanted = used + size;
    if (begin_ != nullptr && wanted < used * 2) wanted = used * 2;
    string_->resize(wanted);
    begin_ = string_->data() + offset_;
    at_ = string_->data() + used;
    end_ = string_->data() + string_->size();
  }
  void finish() {
    auto const used = static_cast<std::size_t>(at_ - begin_);
    if (is_apart_) {
      string_->append(begin_, used);
      is_apart_ = false;
      begin_ = at_ = end_ = nullptr;
    } else if (buffer_ == nullptr) {
      string_->resize(offset_ + used);
    } else if (begin_ != nullptr) {
      buffer_->commit(used);
      begin_ = at_;
    }
  }

  // About the length of the text, rather more than less.
  static std::size_t estimate(unit const& u) noexcept {
    static constexpr unsigned char sizes[16] = {6, 6, 7, 8, 3, 3, 3, 3};
    std::size_t sum = sizes[u.raw[15] & 15] + std::size_t{u.raw[15]} / 16;
    if (!u.owns()) return sum;
    if (u.tag() == detail::long_tag) return sum + u.load<std::uint32_t>(8);
    auto const* const c = u.load<detail::container*>();
    std::size_t const units = std::size_t{c->size} * (u.tag() == detail::object_tag ? 2 : 1);
    for (std::size_t i = 0; i != units; ++i) sum += estimate(c->units()[i]);
    return sum;
  }

  // Before each value there is room for `ahead` bytes: what is short is written without asking again.
  static constexpr std::size_t ahead = 64;

  void put(unit const& u, std::size_t depth) {
    switch (u.tag()) {
      case detail::bool_tag: return literal(u.load<std::int64_t>() != 0 ? "true" : "false");
      case detail::int_tag: return integer(u.load<std::int64_t>());
      case detail::real_tag: return real(u.load<double>());
      case detail::short_tag:
      case detail::long_tag: return text(u);
      case detail::array_tag: return list(u, depth, 1);
      case detail::object_tag: return list(u, depth, 2);
      default: return literal("null");
    }
  }
  void literal(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void integer(std::int64_t i) noexcept {
    if (i >= 0 && i < 10)
      *at_++ = static_cast<char>('0' + i);
    else
      at_ = std::to_chars(at_, end_, i).ptr;
  }
  void list(unit const& u, std::size_t depth, std::size_t stride) {
    *at_++ = stride == 2 ? '{' : '[';
    bool first = true;
    if (auto const* const c = u.load<detail::container*>()) {
      unit const* const end = c->units() + std::size_t{c->size} * stride;
      for (unit const* item = c->units(); item != end; item += stride) {
        if (stride == 2 && item->tag() == detail::dead_tag) continue;
        room(ahead);
        if (!first) *at_++ = ',';
        first = false;
        if (pretty_) new_line(depth + 1);
        if (stride == 2) {
          text(item[0]);
          *at_++ = ':';
          if (pretty_) *at_++ = ' ';
        }
        unit const& content = item[stride - 1];
        if (content.tag() == detail::short_tag)
          text(content);
        else
          put(content, depth + 1);
      }
    }
    room(ahead);
    if (pretty_ && !first) new_line(depth);
    *at_++ = stride == 2 ? '}' : ']';
  }
  void new_line(std::size_t depth) {
    room(ahead + depth * indent_);
    *at_++ = '\n';
    std::memset(at_, ' ', depth * indent_);
    at_ += depth * indent_;
  }

  void real(double d) {
    if (!(d - d == 0)) return literal("null");  // infinite or not a number
    room(ahead);
    if (short_decimal(d)) return;
    char const* const start = at_;
    at_ = std::to_chars(at_, end_, d).ptr;
    for (char const* p = start; p != at_; ++p)
      if (*p == '.' || *p == 'e') return;
    *at_++ = '.';
    *at_++ = '0';
  }
  // Most reals in practice have few digits. Where d * 10^k rounds to a whole number m of at most 15 digits and m / 10^k
  // gives d again, m * 10^-k is the only decimal of at most 15 digits that reads as d, hence with the least k the
  // shortest.
  bool short_decimal(double d) {
    double const size = d < 0 ? -d : d;
    if (FLT_EVAL_METHOD != 0 || !(size < 1e9) || (size < 1e-3 && size != 0)) return false;
    for (unsigned k = 1; k != 6; ++k) {
      auto const m = static_cast<std::int64_t>(size * detail::powers_of_ten[k] + 0.5);
      if (static_cast<double>(m) / detail::powers_of_ten[k] != size) continue;
      auto const unit_size = static_cast<std::int64_t>(detail::powers_of_ten[k]);
      if (std::bit_cast<std::uint64_t>(d) >> 63 != 0) *at_++ = '-';  // also of -0.0
      at_ = std::to_chars(at_, end_, m / unit_size).ptr;
      *at_++ = '.';
      std::int64_t rest = m % unit_size;
      for (unsigned i = k; i-- != 0; rest /= 10) at_[i] = static_cast<char>('0' + rest % 10);
      at_ += k;
      return true;
    }
    return false;
  }

  void text(unit const& u) {
#if defined(__SSE2__) && defined(__GNUC__)
    std::size_t const size = u.raw[15] >> 4;
    auto const block = detail::load16(u.raw);
    if (u.tag() == detail::short_tag && (detail::stops_plain_text(block) & ((1u << size) - 1)) == 0) {
      char* const p = at_;
      *p = '"';
      std::memcpy(p + 1, &block, 16);
      p[size + 1] = '"';
      at_ = p + size + 2;
      return;
    }
#endif
    quoted(detail::text_of(u));
  }
  void quoted(std::string_view text) {
    room(text.size() + ahead);
    *at_++ = '"';
    char const* from = text.data();
    char const* const end = from + text.size();
    for (;;) {
      char const* const stop = plain_end(from, end);
      auto const plain = static_cast<std::size_t>(stop - from);
      room(plain + ahead);
      if (plain != 0) std::memcpy(at_, from, plain);
      at_ += plain;
      if (stop == end) break;
      escape(static_cast<unsigned char>(*stop));
      from = stop + 1;
    }
    *at_++ = '"';
  }
  static char const* plain_end(char const* p, char const* end) noexcept {
#if defined(__SSE2__) && defined(__GNUC__)
    for (; end - p >= 16; p += 16)
      if (unsigned const stops = detail::stops_plain_text(detail::load16(p)); stops != 0)
        return p + std::countr_zero(stops);
#endif
    if constexpr (std::endian::native == std::endian::little) {
      for (; end - p >= 8; p += 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        std::uint64_t const stop = detail::special_bytes(word);
        if (stop != 0) return p + std::countr_zero(stop) / 8;
      }
    }
    while (p != end && static_cast<unsigned char>(*p) >= 0x20 && *p != '"' && *p != '\\') ++p;
    return p;
  }
  void escape(unsigned char c) noexcept {
    *at_++ = '\\';
    if (c == '"' || c == '\\') {
      *at_++ = static_cast<char>(c);
    } else if (c >= 8 && c <= 13 && c != 11) {
      *at_++ = "btn?fr"[c - 8];
    } else {
      constexpr char const* hex = "0123456789abcdef";
      char const text[] = {'u', '0', '0', hex[c >> 4], hex[c & 15]};
      std::memcpy(at_, text, sizeof text);
      at_ += sizeof text;
    }
  }

  std::string* string_ = nullptr;
  byte_buffer* buffer_ = nullptr;
  std::size_t offset_ = 0;  // of what is printed here, in the string
  char* begin_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::size_t indent_ = 0;
  bool pretty_ = false;
  bool is_apart_ = false;   // [begin_, end_) is not the string's own memory
};

inline std::string value::dump() const {
  std::string out;
  printer{out}.print(*this, 0);
  return out;
}
inline std::string value::pretty(unsigned indent) const {
  std::string out;
  printer{out}.print(*this, indent);
  return out;
}
inline void value::append_to(std::string& out) const { printer{out}.print(*this, 0); }
inline void value::append_to(byte_buffer& out) const { printer{out}.print(*this, 0); }
inline void append_quoted(std::string& out, std::string_view text) { printer{out}.print_text(text); }

}  // namespace json
}  // namespace v0
}  // namespace iothub
