// Any bytes as the bodies of SASL frames, to both roles: neither reads or writes beyond its frames, both are done after
// the frames that an exchange may have, and what the client writes is an exchange that the server understands. Bytes:
//   0: mechanism of the client, its bits 4 and 5 the server's offer   then pieces, each behind its size in one byte
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/sasl.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

// Whole SASL frames and nothing else.
void check_frames(byte_view bytes) {
  while (!bytes.empty()) {
    amqp::frame found;
    auto const read = amqp::read_frame(bytes, 512, found);
    require(read.status == amqp::read_status::complete && found.type == amqp::frame_type::sasl);
    bytes.remove_prefix(read.size);
  }
}

void serve(std::string_view pieces, amqp::sasl_mechanisms offered) {
  amqp::sasl_server server{offered};
  byte_buffer out;
  server.start(out);
  for (unsigned frames = 0; !pieces.empty(); ++frames) {
    std::size_t const size = static_cast<unsigned char>(pieces[0]);
    byte_view const body = pieces.substr(1, size);
    pieces.remove_prefix(1 + body.size());
    amqp::sasl_login login;
    amqp::violation rule;
    auto const step = server.receive(body, out, login, rule);
    require((step == amqp::sasl_server::step::broken) == static_cast<bool>(rule));
    require(frames < amqp::max_sasl_steps || step == amqp::sasl_server::step::broken);
    if (step == amqp::sasl_server::step::decide) {
      require(offered.contains(login.mechanism));
      require(login.user.size() + login.password.size() + login.authorization_id.size() <= body.size());
      require(login.mechanism != amqp::sasl_mechanism::plain || !login.user.empty());
      amqp::sasl_server::write_outcome(amqp::sasl_code::ok, out);
      break;
    }
    if (step != amqp::sasl_server::step::wait) break;
  }
  check_frames(out.view());
}

void ask(std::string_view pieces, amqp::sasl_mechanism mechanism) {
  amqp::sasl_client client{{mechanism, "user", secret{"password"}}, "host"};
  byte_buffer out;
  for (unsigned frames = 0; !pieces.empty(); ++frames) {
    std::size_t const size = static_cast<unsigned char>(pieces[0]);
    byte_view const body = pieces.substr(1, size);
    pieces.remove_prefix(1 + body.size());
    amqp::violation rule;
    auto const step = client.receive(body, out, rule);
    require((step == amqp::sasl_client::step::broken) == static_cast<bool>(rule));
    require(frames < amqp::max_sasl_steps || step == amqp::sasl_client::step::broken);
    if (step != amqp::sasl_client::step::wait) break;
  }
  check_frames(out.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const pieces{reinterpret_cast<char const*>(data) + 1, size - 1};
  using is = amqp::sasl_mechanism;
  constexpr is mechanisms[] = {is::anonymous, is::plain, is::external, is::mssbcbs};
  amqp::sasl_mechanisms const offers[] = {amqp::all_sasl_mechanisms, {is::plain}, {is::anonymous}, {}};
  serve(pieces, offers[data[0] >> 4 & 3]);
  ask(pieces, mechanisms[data[0] & 3]);
  return 0;
}
