// Any bytes as a message to $cbs or $management, and as an answer from there: what is read as a request is written and
// read again to the same, an answer to it bears its message-id in the same type, and a token is never above the message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/message.hpp>
#include <iothub/base/utf8.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

void request(amqp::message_view const& message, std::size_t size) {
  amqp::put_token found;
  if (!amqp::read_put_token(message, found)) return;
  require(found.token.size() + found.name.size() + found.type.size() <= size);
  // Symbols may be any bytes here, and would be written as strings.
  for (std::string_view const text : {found.token, found.name, found.type, found.reply_to})
    if (!is_utf8(text)) return;
  byte_buffer written;
  amqp::write_put_token(found, written);
  amqp::message_view again;
  require(!amqp::read_message(written.view(), again));
  amqp::put_token same;
  require(amqp::read_put_token(again, same));
  require(same.token == found.token && same.name == found.name && same.type == found.type &&
          same.reply_to == found.reply_to && same.message_id == found.message_id && same.expiration == found.expiration);

  byte_buffer answer;
  amqp::write_response(found.message_id, {200, found.name}, answer);
  amqp::message_view answered;
  require(!amqp::read_message(answer.view(), answered));
  require(answered.properties.correlation_id == found.message_id);
  auto const status = amqp::read_status(answered);
  require(status.code == 200 && status.description == found.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  byte_view const bytes{reinterpret_cast<char const*>(data), size};
  amqp::message_view message;
  if (amqp::read_message(bytes, message)) return 0;
  request(message, size);
  require(amqp::read_status(message).description.size() <= size);
  return 0;
}
