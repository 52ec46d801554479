// Entity tags in If-Match, read as the service does. Official clients write "any" as * (azure-iot-sdk-c, -java) and as
// "*" in quotes (-node, -python, -csharp), and "" for no condition at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <iothub/base/ascii.hpp>

namespace iothub {
inline namespace v0 {

enum class if_match_kind : std::uint8_t { none, any, exact };

struct if_match {
  if_match_kind kind = if_match_kind::none;
  std::string_view etag = {};  // without its quotes; exact only
  // Whether something that exists with this tag (without quotes) meets the condition.
  [[nodiscard]] bool met_by(std::string_view current) const noexcept {
    return kind != if_match_kind::exact || etag == current;
  }
};

// A tag without its quotes; one that has none as it is.
constexpr std::string_view unquote_etag(std::string_view tag) noexcept {
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') return tag.substr(1, tag.size() - 2);
  return tag;
}
[[nodiscard]] inline std::string quote_etag(std::string_view tag) {
  return std::string{"\""}.append(tag).append("\"");
}

// A tag without quotes is no condition: the real service ignored those (azure-iot-sdk-node issue 606), and so it is
// here.
constexpr if_match read_if_match(std::string_view header) noexcept {
  header = trim(header);
  if (header == "*" || header == "\"*\"") return {if_match_kind::any, {}};
  std::string_view const tag = unquote_etag(header);
  if (tag.empty() || tag.size() == header.size()) return {};
  return {if_match_kind::exact, tag};
}

}  // namespace v0
}  // namespace iothub
