// Any bytes as AMQP values: what check_value() passes can be walked to its end without breaking a rule, printed, and
// copied to the same bytes; what is cut short never passes. The same for messages: what is read is written and read
// again to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/amqp/reader.hpp>
#include <iothub/amqp/value.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

void walk(amqp::value_view const& what, unsigned depth) {
  require(depth <= amqp::max_depth);
  std::uint32_t seen = 0;
  amqp::value_view item;
  if (what.type() == amqp::kind::array) {
    amqp::array_reader in{what};
    for (; in.next(item); ++seen) walk(item, depth + 1);
    require(!in.rule() && seen == what.count());
  } else if (what.type() == amqp::kind::described) {
    amqp::value_view descriptor;
    require(amqp::split_described(what, descriptor, item));
    walk(descriptor, depth + 1);
    walk(item, depth + 1);
  } else {
    amqp::reader in{what};
    for (; in.next(item); ++seen) walk(item, depth + 1);
    require(!in.rule() && seen == what.count());
  }
}

void one_value(std::string_view bytes) {
  if (amqp::check_value(bytes)) return;
  amqp::value_view const what = amqp::view_of(bytes);
  walk(what, 0);
  require(!amqp::to_text(what).empty() || what.as_symbol() == "");  // a symbol is printed as it is
  amqp::value const copy{what};
  require(what.is_null() ? copy.bytes().empty() : copy.bytes() == bytes);
  require(static_cast<bool>(amqp::check_value(bytes.substr(0, bytes.size() - 1))));
}

std::string written(amqp::message_view const& what) {
  byte_buffer out;
  amqp::write_message(what, out);
  return std::string{out.view()};
}

void one_message(std::string_view bytes) {
  amqp::message_view what;
  if (amqp::read_message(bytes, what)) return;
  std::string const once = written(what);
  amqp::message_view again;
  require(!amqp::read_message(once, again));
  require(written(again) == once);
  std::size_t parts = 0;
  amqp::for_each_data(what, [&](byte_view) { ++parts; });
  require(parts == (what.body == amqp::body_kind::data ? what.body_count : 0));
  amqp::put_token token;
  if (amqp::read_put_token(what, token)) {
    byte_buffer out;
    amqp::write_response(token.message_id, amqp::read_status(what), out);
    amqp::message_view answer;
    require(!amqp::read_message(out.view(), answer));
    require(answer.properties.correlation_id == token.message_id);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  one_value(bytes);
  one_message(bytes);
  return 0;
}
