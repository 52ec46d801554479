// Any bytes into the MQTT decoder. The packets must be the same however the bytes are cut; what was decoded must encode
// to bytes that decode to the same again; an error is final. A second decoder, written from the standard alone, finds the
// same in them. The first byte of the input is the size of the pieces.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/decoder.hpp>

#include "../simulation/strict_mqtt.hpp"

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string encoded(mqtt::packet const& what) {
  byte_buffer out;
  encode(what, out);
  return std::string{out.view()};
}

// What the strict decoder says of a packet that ours took.
void compare(mqtt::packet const& ours, std::string_view bytes) {
  iothub_test::seen_packet const theirs = iothub_test::read_packet(bytes, iothub_test::sender::anybody);
  // No client may say that, and a server answers it (MQTT-3.1.3-7, -8): the decoder, which serves both, lets it pass.
  if (ours.type == mqtt::packet_type::connect && ours.connect.client_id.empty() && !ours.connect.clean_session)
    return require(theirs.wrong != nullptr);
  require(theirs.wrong == nullptr && theirs.type == static_cast<int>(ours.type));
  switch (ours.type) {
    case mqtt::packet_type::connect:
      require(theirs.client_id == ours.connect.client_id && theirs.keep_alive == ours.connect.keep_alive);
      return;
    case mqtt::packet_type::publish:
      require(theirs.topic == ours.publish.topic && theirs.payload == ours.publish.payload);
      require(theirs.qos == ours.publish.qos && theirs.dup == ours.publish.dup && theirs.retain == ours.publish.retain);
      require(theirs.id == (ours.publish.qos == 0 ? 0 : ours.publish.id));
      return;
    case mqtt::packet_type::subscribe:
      require(theirs.filters.size() == ours.subscribe.filters.size());
      for (std::size_t i = 0; i != theirs.filters.size(); ++i) require(theirs.filters[i] == ours.subscribe.filters[i].filter);
      return;
    default: return;
  }
}

struct outcome {
  std::string packets;
  bool broken = false;
};

outcome run(std::string_view bytes, std::size_t piece) {
  outcome o;
  mqtt::decoder in{1u << 16};
  while (!bytes.empty()) {
    std::string_view const part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    in.append(part);
    mqtt::packet what;
    mqtt::decode_status found;
    while ((found = in.next(what)) == mqtt::decode_status::complete) {
      if (what.type == mqtt::packet_type::connect && what.connect.protocol_level != 4) continue;
      std::string const once = encoded(what);
      compare(what, once);
      mqtt::packet again;
      mqtt::filter_scratch scratch;
      mqtt::decoded const redecoded = decode(once, 1u << 20, again, scratch);
      require(redecoded.status == mqtt::decode_status::complete && redecoded.size == once.size());
      require(encoded(again) == once);
      o.packets += once;
    }
    o.broken = found == mqtt::decode_status::broken;
    require(o.broken == static_cast<bool>(in.rule()));
  }
  return o;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const bytes{reinterpret_cast<char const*>(data) + 1, size - 1};
  outcome const whole = run(bytes, size);
  outcome const cut = run(bytes, data[0] == 0 ? 1 : data[0]);
  require(whole.packets == cut.packets && whole.broken == cut.broken);
  return 0;
}
