// Any bytes as frames: every performative that is read is written, brief and in full, and read again to the same; the
// frames are the same however the bytes are cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/performatives.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class T>
void round_trip(amqp::value_view const& fields) {
  T what;
  if (amqp::decode(fields, what)) return;
  for (amqp::list_form const form : {amqp::list_form::brief, amqp::list_form::full}) {
    byte_buffer once;
    amqp::encode(what, form, once);
    amqp::performative found;
    require(!amqp::read_performative(once.view(), found) && found.payload.empty());
    T again;
    require(!amqp::decode(found.fields, again));
    byte_buffer twice;
    amqp::encode(again, form, twice);
    require(once.view() == twice.view());
  }
}

void body(byte_view bytes) {
  amqp::performative found;
  if (amqp::read_performative(bytes, found)) return;
  require(found.payload.size() <= bytes.size());
  switch (found.what) {
    case amqp::descriptor::open: return round_trip<amqp::open>(found.fields);
    case amqp::descriptor::begin: return round_trip<amqp::begin>(found.fields);
    case amqp::descriptor::attach: return round_trip<amqp::attach>(found.fields);
    case amqp::descriptor::flow: return round_trip<amqp::flow>(found.fields);
    case amqp::descriptor::transfer: return round_trip<amqp::transfer>(found.fields);
    case amqp::descriptor::disposition: return round_trip<amqp::disposition>(found.fields);
    case amqp::descriptor::detach: return round_trip<amqp::detach>(found.fields);
    case amqp::descriptor::end: return round_trip<amqp::end>(found.fields);
    case amqp::descriptor::close: return round_trip<amqp::close>(found.fields);
    default: return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view bytes{reinterpret_cast<char const*>(data), size};
  body(bytes);
  amqp::protocol_id id{};
  amqp::frame_read found = amqp::read_protocol_header(bytes, id);
  if (found.status == amqp::read_status::complete) bytes.remove_prefix(found.size);
  amqp::frame what;
  while ((found = amqp::read_frame(bytes, 65'536, what)).status == amqp::read_status::complete) {
    require(found.size >= amqp::frame_header_size && found.size <= bytes.size());
    amqp::frame cut;
    require(amqp::read_frame(bytes.substr(0, found.size - 1), 65'536, cut).status == amqp::read_status::need_more);
    body(what.body);
    bytes.remove_prefix(found.size);
  }
  return 0;
}
