// Text in ASCII: comparing without case, cutting without copying, and numbers that are read strictly. Nothing here
// depends on a locale and nothing allocates.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

#include <iothub/base/bytes.hpp>
#include <iothub/base/maybe.hpp>

namespace iothub {
inline namespace v0 {

constexpr char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
constexpr bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_alnum(char c) noexcept {
  return is_digit(c) || is_alpha(c);
}

// Equal when upper and lower case of the letters A to Z count as the same.
constexpr bool iequals(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i != a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}
constexpr bool istarts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && iequals(text.substr(0, prefix.size()), prefix);
}

inline std::string to_lower(std::string_view text) {
  std::string lower{text};
  for (char& c : lower) c = to_lower(c);
  return lower;
}

// Without blanks and tabs at both ends (the optional white space of RFC 9110 section 5.6.3).
constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// What stands before and after the first `separator`; `found` is false and `after` empty where there is none.
struct split_pair {
  std::string_view before = {};
  std::string_view after = {};
  bool found = false;
};
constexpr split_pair split_once(std::string_view text, char separator) noexcept {
  std::size_t const at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}, false};
  return {text.substr(0, at), text.substr(at + 1), true};
}

// The parts of a text between separators, one at a time: "a;;b" has three, "" has one, which is empty.
class splitter {
 public:
  constexpr splitter(std::string_view text, char separator) noexcept : rest_{text}, separator_{separator} {}

  // The next part; false when there is none left.
  constexpr bool next(std::string_view& part) noexcept {
    if (done_) return false;
    split_pair const cut = split_once(rest_, separator_);
    part = cut.before;
    rest_ = cut.after;
    done_ = !cut.found;
    return true;
  }

 private:
  std::string_view rest_;
  char separator_;
  bool done_ = false;
};

// The whole text as a decimal number: no blanks, no plus sign, no base prefix, no overflow; else nothing.
template <std::integral T>
maybe<T> parse_int(std::string_view text) noexcept {
  T value{};
  char const* const end = text.data() + text.size();
  auto const [stop, problem] = std::from_chars(text.data(), end, value);
  if (text.empty() || problem != std::errc{} || stop != end) return {};
  return value;
}

// Writes the decimal form at `out` and returns the end of it; at most 20 characters.
template <std::integral T>
char* write_int(char* out, T value) noexcept {
  return std::to_chars(out, out + 20, value).ptr;
}
template <std::integral T>
void append_int(std::string& out, T value) {
  char digits[20];
  out.append(digits, static_cast<std::size_t>(write_int(digits, value) - digits));
}
template <std::integral T>
void append_int(byte_buffer& out, T value) {
  char* const begin = out.prepare(20).data();
  out.commit(static_cast<std::size_t>(write_int(begin, value) - begin));
}

}  // namespace v0
}  // namespace iothub
