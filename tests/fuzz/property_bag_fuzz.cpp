// A bag that is accepted, written again and read again is the same message, and what is written is plain ASCII without
// a slash: it cannot change the topic it stands in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/message_properties.hpp>

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string_view const bag{reinterpret_cast<char const*>(data), size};
  c2d_message m;
  if (auto const read = read_c2d_bag(bag, m); !read) {
    require(read.error() == errc::malformed || read.error() == errc::too_large);
    return 0;
  }
  require(m.content.properties.size() <= bag_options{}.max_properties);
  std::string written;
  if (!append_c2d_bag(written, m, "d1")) return 0;  // it holds a name such as $.schema
  require(written.size() <= max_topic_size && written.find_first_of("/#+ ") == std::string::npos);
  require(is_clean_text(written));
  c2d_message again;
  require(read_c2d_bag(written, again).has_value());
  require(again.ack == m.ack && again.content.properties == m.content.properties);
  require(again.content.message_id == m.content.message_id && again.content.content_type == m.content.content_type);

  std::string telemetry;
  if (!append_telemetry_bag(telemetry, m.content)) return 0;
  message back;
  require(read_property_bag(telemetry, back).has_value());
  m.content.connection_device_id.clear();  // a device does not send these two
  m.content.connection_module_id.clear();
  back.expiry_time = m.content.expiry_time;  // milliseconds are written, microseconds were read
  back.creation_time = m.content.creation_time;
  require(back == m.content);
  return 0;
}
