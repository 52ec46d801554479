// The two JSON documents that a device sees of its twin (Microsoft docs: "Understand and use device twins"): the whole
// twin without tags and metadata, and the notice of a desired change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/result.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/model_reading.hpp>
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

inline result<device_twin> parse_device_twin(std::string_view text) {
  auto document = json::parse(text);
  if (!document) return std::move(document).error();
  for (char const* const name : {"desired", "reported"})
    if (!std::as_const(*document)[name].is_object())
      return error{errc::malformed, std::string{"the twin has no "} + name + " properties"};
  return device_twin_from_json(std::move(*document));
}

inline result<desired_update> parse_desired_notice(std::string_view text, std::int64_t version) {
  auto document = json::parse(text);
  if (!document) return std::move(document).error();
  if (!document->is_object()) return error{errc::malformed, "the notice of a desired change is no JSON object"};
  desired_update update;
  update.version = version != 0 ? version : std::as_const(*document)["$version"].as_int().value_or(0);
  document->erase("$version");
  update.properties = std::move(*document);
  if (update.version <= 0) return error{errc::malformed, "the notice of a desired change has no version"};
  return update;
}

}  // namespace v0
}  // namespace iothub
