// The words of the IoT Hub query language. Names are letters, digits, _ and $ and all that is not ASCII, or anything in
// [[ ]]; numbers are decimal or 0x hexadecimal; strings stand in single or double quotes with the escapes \' \" \\ and
// \uXXXX (Microsoft docs: iot-hub-devguide-query-language). Keywords have no case; one as a name needs [[ ]].
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include <iothub/base/ascii.hpp>
#include <iothub/base/hex.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {
namespace detail {

enum class query_token : std::uint8_t { end, name, bracketed, keyword, number, string, symbol, bad };

inline bool is_query_keyword(std::string_view word) noexcept {
  for (std::string_view k : {"select", "from", "where", "and", "or", "not", "in", "nin", "group", "by", "as", "true",
                             "false", "null", "undefined"})
    if (iequals(word, k)) return true;
  return false;
}

class query_lexer {
 public:
  explicit query_lexer(std::string_view text) noexcept : text_{text} { next(); }

  [[nodiscard]] query_token kind() const noexcept { return kind_; }
  [[nodiscard]] std::string_view word() const noexcept { return word_; }      // as it stands there
  [[nodiscard]] std::string const& string() const noexcept { return string_; }  // decoded
  [[nodiscard]] json::value const& number() const noexcept { return number_; }
  [[nodiscard]] std::size_t position() const noexcept { return start_ + 1; }
  [[nodiscard]] char const* problem() const noexcept { return problem_; }

  void next() {
    while (at_ != text_.size() && (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) ++at_;
    start_ = at_;
    if (at_ == text_.size()) return set(query_token::end, 0);
    char const c = text_[at_];
    if (is_name_char(c) && !is_digit(c)) return read_name();
    if (is_digit(c) || (c == '.' && at_ + 1 != text_.size() && is_digit(text_[at_ + 1]))) return read_number();
    if (c == '\'' || c == '"') return read_string(c);
    if (text_.substr(at_).starts_with("[[")) return read_bracketed();
    for (std::string_view s : {"!=", "<>", "<=", ">="})
      if (text_.substr(at_).starts_with(s)) return set(query_token::symbol, 2);
    if (std::string_view{"=<>()[],.*+-/%"}.find(c) != std::string_view::npos) return set(query_token::symbol, 1);
    fail("unexpected character");
  }

 private:
  static bool is_name_char(char c) noexcept {
    return is_alnum(c) || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
  }
  void set(query_token kind, std::size_t size) noexcept {
    kind_ = kind;
    word_ = text_.substr(at_, size);
    at_ += size;
  }
  void fail(char const* why) noexcept {
    kind_ = query_token::bad;
    problem_ = why;
    word_ = text_.substr(start_, 1);
  }
  void read_name() {
    std::size_t end = at_;
    while (end != text_.size() && is_name_char(text_[end])) ++end;
    set(query_token::name, end - at_);
    if (is_query_keyword(word_)) kind_ = query_token::keyword;
  }
  void read_bracketed() {
    std::size_t const end = text_.find("]]", at_ + 2);
    if (end == std::string_view::npos || end == at_ + 2) return fail("a name in [[ ]] does not end");
    string_ = text_.substr(at_ + 2, end - at_ - 2);
    set(query_token::bracketed, end + 2 - at_);
  }
  void read_number() {
    std::string_view const rest = text_.substr(at_);
    if (istarts_with(rest, "0x")) {
      std::int64_t whole = 0;
      auto const [end, problem] = std::from_chars(rest.data() + 2, rest.data() + rest.size(), whole, 16);
      if (problem != std::errc{}) return fail("not a hexadecimal number");
      number_ = whole;
      return finish_number(static_cast<std::size_t>(end - rest.data()));
    }
    std::size_t end = 0;
    bool real = false;
    for (; end != rest.size(); ++end) {
      char const c = rest[end];
      bool const sign = (c == '+' || c == '-') && end != 0 && to_lower(rest[end - 1]) == 'e';
      if (!is_digit(c) && c != '.' && to_lower(c) != 'e' && !sign) break;
      real = real || !is_digit(c);
    }
    std::string_view const digits = rest.substr(0, end);
    std::int64_t whole = 0;
    if (!real && std::from_chars(digits.data(), digits.data() + end, whole).ec == std::errc{}) {
      number_ = whole;
      return finish_number(end);
    }
    double value = 0;
    auto const [stop, problem] = std::from_chars(digits.data(), digits.data() + end, value);
    if (problem != std::errc{} || stop != digits.data() + end) return fail("not a number");
    number_ = value;
    finish_number(end);
  }
  void finish_number(std::size_t size) {
    set(query_token::number, size);
    if (at_ != text_.size() && is_name_char(text_[at_])) fail("a number runs into a name");
  }
  void read_string(char quote) {
    string_.clear();
    for (std::size_t i = at_ + 1; i != text_.size(); ++i) {
      char const c = text_[i];
      if (c == quote) return set(query_token::string, i + 1 - at_);
      if (c != '\\') {
        string_.push_back(c);
      } else if (!read_escape(i)) {
        return fail("a string has a bad escape");
      }
    }
    fail("a string does not end");
  }
  // `i` at the backslash; leaves it at the last character of the escape.
  bool read_escape(std::size_t& i) {
    if (++i == text_.size()) return --i, false;
    char const c = text_[i];
    if (c == '\'' || c == '"' || c == '\\') return string_.push_back(c), true;
    if (c != 'u') return false;
    std::uint32_t code = 0;
    if (!read_unit(i, code)) return false;
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(i + 1).starts_with("\\u")) {
      std::uint32_t low = 0;
      std::size_t after = i + 2;
      if (!read_unit(after, low) || low < 0xdc00 || low > 0xdfff) return false;
      i = after;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    if (code >= 0xd800 && code <= 0xdfff) return false;
    append_utf8(code);
    return true;
  }
  bool read_unit(std::size_t& i, std::uint32_t& code) const noexcept {
    if (text_.size() - i < 5) return false;
    for (int n = 0; n != 4; ++n) {
      int const digit = hex_value(text_[++i]);
      if (digit < 0) return false;
      code = code * 16 + static_cast<std::uint32_t>(digit);
    }
    return true;
  }
  void append_utf8(std::uint32_t code) {
    auto const put = [&](std::uint32_t byte) { string_.push_back(static_cast<char>(byte)); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | code >> 6);
    } else {
      if (code < 0x10000) {
        put(0xe0 | code >> 12);
      } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
      }
      put(0x80 | (code >> 6 & 0x3f));
    }
    put(0x80 | (code & 0x3f));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
  query_token kind_ = query_token::end;
  std::string_view word_;
  std::string string_;
  json::value number_;
  char const* problem_ = nullptr;
};

}  // namespace detail
}  // namespace hub
}  // namespace v0
}  // namespace iothub
