// A client that has shown tokens for everything sends the hub any bytes: nothing crashes, another client stays
// connected, and what the hub answers and keeps does not depend on how the bytes were cut. The first byte says whether
// the bytes are frames behind an open session or the whole connection.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../unit/hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;

struct raw_client {
  explicit raw_client(amqp_world& hub)
      : w{hub}, face{hub.front}, connection{amqp::connection_role::server, face, hub.front.connection_options(), hub.at.now} {
    face.attach(connection);
  }
  ~raw_client() { connection.link_lost(errc::connection_lost, w.at.now); }
  void send(std::string_view bytes) {
    connection.receive(bytes, w.at.now);
    face.on_time(w.at.now);
    connection.step(w.at.now);
    auto const out = connection.output();
    seen.append(out);
    connection.consume(out.size());
  }
  amqp_world& w;
  client_face face;
  amqp::connection connection;
  std::string seen;
};

// A connection with a session on channel 0 and the tokens of a device, a policy and the event endpoint.
std::string preamble(amqp_world& w) {
  byte_buffer out;
  amqp::write_protocol_header(amqp::protocol_id::amqp, out);
  auto const frame = [&](auto const& what, byte_view payload = {}) {
    std::size_t const begun = amqp::begin_frame(amqp::frame_type::amqp, 0, out);
    amqp::encode(what, amqp::list_form::brief, out);
    out.append(payload);
    amqp::end_frame(begun, out);
  };
  amqp::open open;
  open.container_id = "c";
  frame(open);
  amqp::begin begin;
  begin.incoming_window = begin.outgoing_window = 1000;
  frame(begin);
  amqp::attach attach;
  attach.name = "cbs";
  attach.has_source = attach.has_target = true;
  attach.source = amqp::source::at("$cbs");
  attach.target = amqp::target::at("$cbs");
  attach.initial_delivery_count = 0;
  frame(attach);
  std::uint32_t id = 0;
  for (std::string const& token :
       {w.device_token("d1"), w.service_token(), w.events_token("sb://h.azure-devices.net/h")}) {
    byte_buffer message;
    amqp::value const message_id{std::uint64_t{id}};
    amqp::put_token request;
    request.type = "jwt";
    request.name = std::string_view{"abc"}.substr(id, 1);
    request.token = token;
    request.message_id = message_id.bytes();
    amqp::write_put_token(request, message);
    amqp::transfer transfer;
    transfer.delivery_id = id++;
    transfer.has_delivery_tag = true;
    transfer.delivery_tag = "t";
    transfer.settled = true;
    frame(transfer, message.view());
  }
  return std::string{out.view()};
}

std::string run(std::string_view bytes, bool behind, std::size_t step) {
  amqp_world w;
  w.create("d1");
  w.create("d2");
  amqp_client bystander{w};
  bystander.put_token("a", w.device_token("d2"));
  bystander.sender("/devices/d2/messages/events");
  w.event(0, "event");
  w.send_c2d("d1", "message", feedback_request::full);
  raw_client client{w};
  if (behind) client.send(preamble(w));
  client.seen.clear();
  for (std::size_t at = 0; at < bytes.size(); at += step) client.send(bytes.substr(at, step));
  bystander.run();
  if (!bystander.open() || !bystander.ended("/devices/d2").empty()) std::abort();
  w.pass(100s);
  std::string kept;
  for (auto const& event : w.hub.events().all()) kept += event.source.device_id + ' ' + std::string{event.content.body.bytes()};
  return kept + w.hub.get_twin({"d1", {}}).value().reported.dump();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const bytes{reinterpret_cast<char const*>(data) + 1, size - 1};
  bool const behind = (data[0] & 1) != 0;
  std::string const whole = run(bytes, behind, size);
  if (whole != run(bytes, behind, 1) || whole != run(bytes, behind, 7)) std::abort();
  return 0;
}
