// The log of iothub-fake: one line an entry, as text for people or as JSON for programs. Everything that came over the
// network is escaped, so that no client writes lines, colours or terminal commands into somebody's log.
#pragma once

#include <string>
#include <string_view>

#include <iothub/base/hex.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/utf8.hpp>
#include <iothub/hub/log.hpp>

#include "options.hpp"

namespace iothub_fake {

// The entry as one line, line feed included.
[[nodiscard]] inline std::string format_log(iothub::hub::log_entry const& entry, log_format form);

namespace detail {

inline void append_escaped(std::string& line, std::string_view text, log_format form) {
  bool const whole = form == log_format::json && iothub::is_utf8(text);
  for (char c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line.append(1, '\\').append(1, c);
    } else if (byte >= 0x20 && (byte < 0x7f || (whole && byte >= 0x80))) {
      line.push_back(c);
    } else {
      line.append(form == log_format::json ? "\\u00" : "\\x").append(iothub::to_hex({&c, 1}));
    }
  }
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

}  // namespace detail

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
