// The two JSON documents that a device sees of its twin (Microsoft docs: "Understand and use device twins"): the whole
// twin without tags and metadata, and the notice of a desired change.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/json/parse.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

enum class desired_scope : std::uint8_t {
  patch,  // merge it: null removes, everything else replaces
  whole,  // all desired properties; what is not in it is not desired any more
};

struct desired_update {
  json::value properties = {};
  std::int64_t version = 0;
  desired_scope scope = desired_scope::patch;
};

// {"desired":{…,"$version":n},"reported":{…,"$version":m}}; errc::malformed for anything else.
[[nodiscard]] result<device_twin> parse_device_twin(std::string_view text);
// {…,"$version":n}; `version` is what the protocol said beside it, 0 where it did not.
[[nodiscard]] result<desired_update> parse_desired_notice(std::string_view text, std::int64_t version);

// --- implementation -------------------------------------------------------------------------------------------------

namespace detail {

// Moves "$version" out of a section and drops "$metadata"; false where the section is no object.
inline bool split_section(json::value&& document, twin_section& into) {
  if (!document.is_object()) return false;
  into.version = document["$version"].as_int().value_or(0);
  document.erase("$version");
  document.erase("$metadata");
  into.properties = std::move(document);
  return true;
}

}  // namespace detail

inline result<device_twin> parse_device_twin(std::string_view text) {
  auto document = json::parse(text);
  if (!document) return std::move(document).error();
  device_twin twin;
  json::value* const desired = document->find("desired");
  json::value* const reported = document->find("reported");
  if (desired == nullptr || !detail::split_section(std::move(*desired), twin.desired))
    return error{errc::malformed, "the twin has no desired properties"};
  if (reported == nullptr || !detail::split_section(std::move(*reported), twin.reported))
    return error{errc::malformed, "the twin has no reported properties"};
  return twin;
}

inline result<desired_update> parse_desired_notice(std::string_view text, std::int64_t version) {
  auto document = json::parse(text);
  if (!document) return std::move(document).error();
  twin_section section;
  if (!detail::split_section(std::move(*document), section))
    return error{errc::malformed, "the notice of a desired change is no JSON object"};
  desired_update update;
  update.properties = std::move(section.properties);
  update.version = version != 0 ? version : section.version;
  if (update.version <= 0) return error{errc::malformed, "the notice of a desired change has no version"};
  return update;
}

}  // namespace v0
}  // namespace iothub
