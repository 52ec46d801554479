// What a topic is taken for is what it says: built again from what was read it gives the same, and nothing that could
// be sent back leads to another topic.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/hub_topics.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/mqtt_user_name.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_inbound(device_topics const& who, std::string_view topic) {
  auto const read = who.classify(topic);
  std::string again;
  switch (read.kind) {
    case inbound_kind::method_request: {
      require(is_valid_method_name(read.name) && is_valid_request_id(read.rid));
      append_method_response_topic(again, 200, read.rid);
      auto const answer = classify_publish(again);
      require(answer.kind == publish_kind::method_response && answer.rid == read.rid && answer.status == 200);
      again.clear();
      append_method_request_topic(again, read.name, read.rid);
      require(who.classify(again) == read);
      return;
    }
    case inbound_kind::twin_response:
      append_twin_response_topic(again, read.status, read.rid, read.version);
      require(who.classify(again) == read);
      return;
    case inbound_kind::desired_change:
      append_desired_change_topic(again, read.version);
      require(who.classify(again) == read);
      return;
    default: return;
  }
}

void check_outbound(std::string_view topic) {
  auto const read = classify_publish(topic);
  if (read.kind == publish_kind::telemetry) {
    require(!read.device_id.empty() && read.device_id.find('/') == std::string_view::npos);
    require(read.module_id.find('/') == std::string_view::npos);
  } else if (read.kind != publish_kind::unknown) {
    require(read.rid.empty() || is_valid_request_id(read.rid));
  }
  auto const filter = classify_filter(topic);
  require(filter.kind == filter_kind::unknown || topic.ends_with('#'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static auto const device = device_topics::make({"d1"}).value();
  static auto const module = device_topics::make({"d1", "m1"}).value();
  std::string const input{reinterpret_cast<char const*>(data), size};
  for (std::string const& topic : {input, "$iothub/" + input, "$iothub/methods/POST/" + input}) {
    check_inbound(device, topic);
    check_inbound(module, topic);
    check_outbound(topic);
  }
  if (auto const identity = parse_mqtt_user_name(input))
    require(is_valid_id(identity->device_id) && (identity->module_id.empty() || is_valid_id(identity->module_id)));
  return 0;
}
