// What a hub begins with: devices from a JSON file.
//
//   {"devices": [{"deviceId": "pump-7", "primaryKey": "…", "secondaryKey": "…", "status": "disabled",
//                 "tags": {"plant": "Redmond43"}, "desired": {"telemetryInterval": 10}}]}
//
// and file notifications that wait for a back end, which has no other way to see one as long as there are no uploads:
//
//    "fileNotifications": [{"deviceId": "pump-7", "blobName": "pump-7/log.txt", "blobUri": "https://…", "blobSizeInBytes": 9}]
//
// All but deviceId may be left out; a missing key is made by the hub. Anything else in the file is refused, so that a
// misspelt name does not go unnoticed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/hub_core.hpp>
#include <iothub/json/value.hpp>

#include "json_place.hpp"

namespace iothub_fake {

// Reads the text into the hub; the number of devices. The error says where: "line 3, column 15: status is ...".
[[nodiscard]] inline iothub::result<std::size_t> load_fixture(std::string_view text, iothub::hub::hub_core& hub,
                                                              iothub::hub::instant at);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

class fixture_reader {
 public:
  fixture_reader(std::string_view text, iothub::hub::hub_core& hub, iothub::hub::instant at)
      : text_{text}, hub_{hub}, at_{at} {}

  iothub::result<std::size_t> read() {
    auto parsed = iothub::json::parse(text_);
    if (!parsed) return not_json(parsed.error());
    auto const& top = *parsed;
    if (!top.is_object()) return fault({0}, "the fixture is an object with the member devices");
    for (auto const& m : top.members())
      if (m.key() != "devices" && m.key() != "fileNotifications")
        return fault(json_walker{text_}.member(m.key(), true),
                     "there is no member \"" + std::string{m.key()} + "\" here");
    auto const& devices = top["devices"];
    if (!devices.is_array()) return fault(json_walker{text_}.member("devices"), "devices is an array");
    for (std::size_t i = 0; i != devices.size(); ++i)
      if (auto added = add(i, devices[i]); !added) return added.error();
    auto const& files = top["fileNotifications"];
    if (!files.is_array() && !files.is_null())
      return fault(json_walker{text_}.member("fileNotifications"), "fileNotifications is an array");
    for (std::size_t i = 0; i != files.size(); ++i)
      if (auto added = add_file(files[i]); !added)
        return fault(json_walker{text_}.member("fileNotifications").element(i), std::string{added.error().message()});
    return devices.size();
  }

 private:
  struct offset_of {
    std::size_t value;
    offset_of(std::size_t offset) : value{offset} {}                  // NOLINT(google-explicit-constructor)
    offset_of(json_walker const& walker) : value{walker.offset()} {}  // NOLINT(google-explicit-constructor)
  };
  [[nodiscard]] iothub::error fault(offset_of where, std::string const& what) const {
    place const at = place_at(text_, where.value);
    return {iothub::errc::malformed,
            "line " + std::to_string(at.line) + ", column " + std::to_string(at.column) + ": " + what};
  }
  // The parser names an offset at the end of its sentence; people count lines.
  [[nodiscard]] iothub::error not_json(iothub::error const& why) const {
    constexpr std::string_view mark = " at offset ";
    std::string_view const sentence = why.message();
    auto const found = sentence.rfind(mark);
    if (found == std::string_view::npos) return why;
    auto const offset = iothub::parse_int<std::size_t>(sentence.substr(found + mark.size()));
    return fault({offset.value_or(0)}, std::string{sentence.substr(0, found)});
  }
  [[nodiscard]] json_walker device_at(std::size_t index) const {
    return json_walker{text_}.member("devices").element(index);
  }

  iothub::result<void> add(std::size_t index, iothub::json::value const& entry) {
    if (!entry.is_object()) return fault(device_at(index), "a device is an object");
    iothub::device_identity identity;
    iothub::hub::twin_update twin;
    for (auto const& m : entry.members()) {
      if (auto taken = take(m.key(), m.value(), identity, twin); !taken)
        return fault(device_at(index).member(m.key(), taken.error() == iothub::errc::unsupported),
                     std::string{taken.error().message()});
    }
    if (identity.device_id.empty()) return fault(device_at(index), "the device has no deviceId");
    if (auto made = hub_.put_identity(identity, {}, at_); !made)
      return fault(device_at(index), "device " + identity.device_id + ": " + std::string{made.error().message()});
    if (twin.tags == nullptr && twin.desired == nullptr) return {};
    if (auto set = hub_.patch_twin({identity.device_id, {}}, twin, iothub::hub::unconditional, at_); !set)
      return fault(device_at(index).member(twin.desired != nullptr ? "desired" : "tags"),
                   "device " + identity.device_id + ": " + std::string{set.error().message()});
    return {};
  }

  static iothub::result<void> take(std::string_view name, iothub::json::value const& value,
                                   iothub::device_identity& identity, iothub::hub::twin_update& twin) {
    auto const wrong = [&](char const* what) {
      return iothub::error{iothub::errc::malformed, std::string{name} + what};
    };
    if (name == "tags" || name == "desired") {
      if (!value.is_object()) return wrong(" is an object");
      (name == "tags" ? twin.tags : twin.desired) = &value;
      return {};
    }
    bool const known = name == "deviceId" || name == "primaryKey" || name == "secondaryKey" || name == "status";
    if (!known) return iothub::error{iothub::errc::unsupported, "a device has no member \"" + std::string{name} + "\""};
    auto const text = value.as_string();
    if (!text || text->empty()) return wrong(" is a text that is not empty");
    if (name == "status") {
      if (*text != "enabled" && *text != "disabled") return wrong(" is enabled or disabled");
      identity.status = *text == "enabled" ? iothub::identity_status::enabled : iothub::identity_status::disabled;
      return {};
    }
    (name == "deviceId"     ? identity.device_id
     : name == "primaryKey" ? identity.authentication.primary_key
                            : identity.authentication.secondary_key) = *text;
    return {};
  }

  iothub::result<void> add_file(iothub::json::value const& entry) {
    auto const wrong = [](std::string what) { return iothub::error{iothub::errc::malformed, std::move(what)}; };
    if (!entry.is_object()) return wrong("a file notification is an object");
    iothub::hub::file_notification file{.last_updated = at_.utc};
    for (auto const& m : entry.members()) {
      auto const text = m.value().as_string();
      auto const size = m.value().as_int();
      std::string* const into = m.key() == "deviceId"   ? &file.device_id
                                : m.key() == "blobName" ? &file.blob_name
                                : m.key() == "blobUri"  ? &file.blob_uri
                                                        : nullptr;
      if (into != nullptr && text)
        *into = *text;
      else if (m.key() == "blobSizeInBytes" && size && *size >= 0)
        file.blob_size = static_cast<std::uint64_t>(*size);
      else
        return wrong("a file notification has the texts deviceId, blobName and blobUri, and the number blobSizeInBytes");
    }
    return hub_.notify_of_file(std::move(file), at_);
  }

  std::string_view text_;
  iothub::hub::hub_core& hub_;
  iothub::hub::instant at_;
};

}  // namespace detail

inline iothub::result<std::size_t> load_fixture(std::string_view text, iothub::hub::hub_core& hub,
                                                iothub::hub::instant at) {
  return detail::fixture_reader{text, hub, at}.read();
}

}  // namespace iothub_fake
