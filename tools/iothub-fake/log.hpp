// The log of iothub-fake: one line an entry, as text for people or as JSON for programs. Everything that came over the
// network is escaped, so that no client writes lines, colours or terminal commands into somebody's log; what needs no
// credentials is limited in number, so that nobody fills a disk with it; and a reader that does not read stops no hub.
#pragma once

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/hex.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/hub/log.hpp>

#include "options.hpp"

namespace iothub_fake {

// The entry as one line, line feed included.
[[nodiscard]] inline std::string format_log(iothub::hub::log_entry const& entry, log_format form);

// What people read of an error: only what could move their cursor or turn their text around is escaped.
inline void append_for_people(std::string& line, std::string_view text);

// Lets 20 warnings and notes about connections of one reason pass in a second, and counts the others.
class log_limiter {
 public:
  static constexpr std::uint32_t per_second = 20;
  static constexpr std::size_t reasons = 64;  // that are told apart; further ones share one count

  [[nodiscard]] bool admits(iothub::hub::log_entry const& entry);
  // How many were held back in seconds that are over at `now`, by reason; each is told once.
  [[nodiscard]] std::map<std::string, std::uint64_t, std::less<>> take_suppressed(iothub::time_point now);

 private:
  struct window {
    iothub::time_point began = {};
    std::uint32_t passed = 0;
    std::uint64_t suppressed = 0;
  };
  std::map<std::string, window, std::less<>> windows_;
  bool any_ = false;
};

// Lines to a descriptor that may have a slow reader or none: what cannot be written at once is dropped, and counted in
// a line of its own before the next one.
class line_writer {
 public:
  explicit line_writer(int to) : to_{to} {}
  void write(std::string_view line);
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }
  // Told: counts from 0 again.
  void forget_dropped() noexcept { dropped_ = 0; }
  // Whether something can be written without waiting.
  [[nodiscard]] bool ready() const;

 private:
  int to_;
  std::uint64_t dropped_ = 0;
};

namespace detail {

// Takes the next character off `text`: its code point, or the byte itself where the text is no UTF-8.
struct decoded_character {
  std::uint32_t code = 0;
  std::string_view bytes = {};
  bool valid = true;
};
inline decoded_character take_character(std::string_view& text) {
  auto const* const p = reinterpret_cast<unsigned char const*>(text.data());
  decoded_character out{p[0], text.substr(0, 1), p[0] < 0x80};
  if (p[0] >= 0x80) {
    if (auto const size = iothub::detail::utf8_sequence(p, text.size()); size != 0) {
      out = {p[0] & (0xffu >> (size + 1)), text.substr(0, size), true};
      for (std::size_t i = 1; i != size; ++i) out.code = out.code << 6 | (p[i] & 0x3fu);
    }
  }
  text.remove_prefix(out.bytes.size());
  return out;
}

inline void append_u(std::string& line, std::uint32_t unit) {
  char const bytes[] = {static_cast<char>(unit >> 8), static_cast<char>(unit)};
  line.append("\\u").append(iothub::to_hex({bytes, 2}));
}

// Plain ASCII stays; JSON gets \uXXXX for a character (RFC 8259 section 7), text \xNN for a byte.
inline void append_escaped(std::string& line, std::string_view text, log_format form) {
  while (!text.empty()) {
    auto const next = take_character(text);
    if (next.code == '"' || next.code == '\\') {
      line.append(1, '\\').append(next.bytes);
    } else if (next.code >= 0x20 && next.code < 0x7f) {
      line.append(next.bytes);
    } else if (form == log_format::text) {
      for (char const c : next.bytes) line.append("\\x").append(iothub::to_hex({&c, 1}));
    } else if (next.code < 0x10000) {
      append_u(line, next.code);
    } else {
      append_u(line, 0xd800 + ((next.code - 0x10000) >> 10));
      append_u(line, 0xdc00 + ((next.code - 0x10000) & 0x3ff));
    }
  }
}

// C0, DEL and C1 controls, line and paragraph separators, and the marks that change the direction of writing.
constexpr bool moves_text(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

inline void append_field(std::string& line, std::string_view name, std::string_view value, log_format form) {
  if (value.empty()) return;
  if (form == log_format::json)
    line.append(",\"").append(name).append("\":\"");
  else
    line.append(1, ' ').append(name).append("=\"");
  append_escaped(line, value, form);
  line.push_back('"');
}

inline std::string_view level_name(iothub::hub::log_level level) {
  switch (level) {
    case iothub::hub::log_level::debug: return "debug";
    case iothub::hub::log_level::info: return "info";
    case iothub::hub::log_level::warning: return "warning";
  }
  return "info";
}

// The part of a reason that is the hub's own words: up to the first digit, quote or colon.
inline std::string kind_of(iothub::hub::log_entry const& entry) {
  auto const words = entry.reason.substr(0, entry.reason.find_first_of("0123456789'\":"));
  return std::string{entry.event}.append(": ").append(words.substr(0, 64));
}

}  // namespace detail

inline void append_for_people(std::string& line, std::string_view text) {
  while (!text.empty()) {
    auto const next = detail::take_character(text);
    if (next.valid && !detail::moves_text(next.code)) {
      line.append(next.bytes);
      continue;
    }
    for (char const c : next.bytes) line.append("\\x").append(iothub::to_hex({&c, 1}));
  }
}

inline bool log_limiter::admits(iothub::hub::log_entry const& entry) {
  bool const limited =
      entry.level == iothub::hub::log_level::warning || entry.event == "connection" || entry.event == "closed";
  if (!limited) return true;
  auto kind = detail::kind_of(entry);
  auto found = windows_.find(kind);
  if (found == windows_.end()) {
    if (windows_.size() >= reasons) kind = "others";
    found = windows_.try_emplace(std::move(kind)).first;
    if (found->second.passed == 0) found->second.began = entry.when.now;
  }
  window& w = found->second;
  // What a second held back is told before the next one begins.
  if (w.suppressed == 0 && entry.when.now - w.began >= std::chrono::seconds{1}) w = {entry.when.now, 0, 0};
  if (w.passed != per_second) return ++w.passed, true;
  ++w.suppressed;
  any_ = true;
  return false;
}

inline std::map<std::string, std::uint64_t, std::less<>> log_limiter::take_suppressed(iothub::time_point now) {
  std::map<std::string, std::uint64_t, std::less<>> out;
  if (!std::exchange(any_, false)) return out;
  for (auto& [kind, w] : windows_) {
    if (w.suppressed == 0) continue;
    if (now - w.began < std::chrono::seconds{1}) {
      any_ = true;
      continue;
    }
    out.emplace(kind, w.suppressed);
    w = {now, 0, 0};
  }
  return out;
}

inline bool line_writer::ready() const {
  pollfd one{to_, POLLOUT, 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLOUT) != 0;
}

// A pipe that can be written to takes PIPE_BUF bytes at once (POSIX, write()).
inline void line_writer::write(std::string_view line) {
  bool begun = false;
  while (!line.empty()) {
    auto const put = ready() ? ::write(to_, line.data(), line.size() < PIPE_BUF ? line.size() : PIPE_BUF) : -1;
    if (put <= 0) {
      if (!begun) ++dropped_;
      return;
    }
    begun = true;
    line.remove_prefix(static_cast<std::size_t>(put));
  }
}

inline std::string format_log(iothub::hub::log_entry const& entry, log_format form) {
  std::string line;
  if (form == log_format::json) {
    line.append("{\"time\":\"").append(iothub::to_iso8601(entry.when.utc)).append("\",\"level\":\"");
    line.append(detail::level_name(entry.level)).append("\",\"event\":\"");
    detail::append_escaped(line, entry.event, form);
    line.push_back('"');
  } else {
    line.append(iothub::to_iso8601(entry.when.utc)).append(1, ' ').append(detail::level_name(entry.level));
    line.append(1, ' ');
    detail::append_escaped(line, entry.event, form);
  }
  detail::append_field(line, "device", entry.device_id, form);
  detail::append_field(line, "module", entry.module_id, form);
  detail::append_field(line, "reason", entry.reason, form);
  return line.append(form == log_format::json ? "}\n" : "\n");
}

}  // namespace iothub_fake
