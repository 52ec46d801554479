// Topic names and topic filters (4.7): what is valid, and what matches.
#pragma once

#include <cstddef>
#include <string_view>

#include <iothub/mqtt/packet.hpp>
#include <iothub/mqtt/text.hpp>

namespace iothub {
inline namespace v0 {
namespace mqtt {

// The largest Remaining Length: four bytes of seven bits (2.2.3).
inline constexpr std::size_t max_remaining_length = 268'435'455;

// Any string field that is no topic: client id, user name.
violation check_string(std::string_view text) noexcept;
// A topic name, as in PUBLISH and in a Will: not empty, at most 65535 bytes, no wildcard.
violation check_topic_name(std::string_view topic) noexcept;
// A topic filter, as in SUBSCRIBE and UNSUBSCRIBE: + fills a level, # is the last level.
violation check_topic_filter(std::string_view filter) noexcept;
// Does this valid filter cover this valid topic name? Bytes are compared as they are (MQTT-4.7.3-4). A filter that
// begins with a wildcard does not match a topic that begins with $ (MQTT-4.7.2-1).
bool matches(std::string_view filter, std::string_view topic) noexcept;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {
inline violation text_violation(text_fault fault) noexcept {
  if (fault == text_fault::has_nul) return "MQTT-1.5.3-2: a string holds U+0000";
  if (fault == text_fault::not_utf8) return "MQTT-1.5.3-1: a string is not valid UTF-8";
  return {};
}
}  // namespace detail

inline violation check_string(std::string_view text) noexcept {
  if (text.size() > 65535) return "1.5.3: a string is longer than 65535 bytes";
  return detail::text_violation(scan_text(text).fault);
}

inline violation check_topic_name(std::string_view topic) noexcept {
  if (topic.empty()) return "MQTT-4.7.3-1: a topic name is empty";
  if (topic.size() > 65535) return "MQTT-4.7.3-3: a topic name is longer than 65535 bytes";
  if (detail::plain_ascii(topic)) return {};
  text_scan const found = detail::scan_slowly(topic);
  if (found.fault == text_fault::has_nul) return "MQTT-4.7.3-2: a topic name holds U+0000";
  if (found.fault == text_fault::not_utf8) return "MQTT-1.5.3-1: a topic name is not valid UTF-8";
  if (found.wildcards) return "MQTT-3.3.2-2: a topic name holds a wildcard";
  return {};
}

inline violation check_topic_filter(std::string_view filter) noexcept {
  if (filter.empty()) return "MQTT-4.7.3-1: a topic filter is empty";
  if (filter.size() > 65535) return "MQTT-4.7.3-3: a topic filter is longer than 65535 bytes";
  text_scan const found = scan_text(filter);
  if (found.fault == text_fault::has_nul) return "MQTT-4.7.3-2: a topic filter holds U+0000";
  if (found.fault == text_fault::not_utf8) return "MQTT-3.8.3-1: a topic filter is not valid UTF-8";
  if (!found.wildcards) return {};
  for (std::size_t i = 0; i < filter.size(); ++i) {
    if (filter[i] != '#' && filter[i] != '+') continue;
    bool const begins = i == 0 || filter[i - 1] == '/';
    bool const last = i + 1 == filter.size();
    if (filter[i] == '#' && !(begins && last)) return "MQTT-4.7.1-2: # is not alone in the last level of a filter";
    if (filter[i] == '+' && !(begins && (last || filter[i + 1] == '/')))
      return "MQTT-4.7.1-3: + does not fill a whole level of a filter";
  }
  return {};
}

inline bool matches(std::string_view filter, std::string_view topic) noexcept {
  if (filter.empty() || topic.empty()) return false;
  if (topic.front() == '$' && (filter.front() == '#' || filter.front() == '+')) return false;
  std::size_t f = 0;
  std::size_t t = 0;
  while (f < filter.size()) {
    if (filter[f] == '#') return true;
    if (filter[f] == '+') {
      while (t < topic.size() && topic[t] != '/') ++t;
      ++f;
    } else if (t < topic.size() && filter[f] == topic[t]) {
      ++f;
      ++t;
    } else {
      // "a/#" covers its parent "a" as well (4.7.1.2).
      return t == topic.size() && filter.substr(f) == "/#";
    }
  }
  return t == topic.size();
}

}  // namespace mqtt
}  // namespace v0
}  // namespace iothub
