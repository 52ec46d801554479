// Any bytes from the peer of a connection, either role, with and without SASL and $cbs. What the owner is told must be
// the same however the bytes are cut; every link and session that was told of is told to be over, exactly once; what
// the connection sends is frames that its own reader takes. Bytes of the input:
//   0: role, SASL, list form   1: size of the pieces   rest: what the peer says; where the first byte of it is not the
//   start of a protocol header, the opening is said first, so that the frames behind it are reached
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

struct owner final : amqp::connection_handler {
  std::string log;
  amqp::connection* on = nullptr;
  amqp::cbs_server cbs;
  int links = 0;
  int sessions = 0;
  int closed = 0;

  std::optional<amqp::sasl_code> on_sasl(amqp::sasl_login const& who, time_point) override {
    log.append("sasl ").append(who.user).append("\n");
    return who.user == "later" ? std::nullopt : std::optional{amqp::sasl_code::ok};
  }
  void on_open(amqp::open const& peer, time_point) override {
    log.append("open ").append(peer.container_id).append("\n");
    if (on->role() == amqp::connection_role::client) sessions += on->begin().has_value();
  }
  void on_session(amqp::session&, time_point) override {
    ++sessions;
    log.append("session\n");
  }
  void on_begun(amqp::session& which, time_point) override {
    log.append("begun\n");
    amqp::attach how;
    how.has_source = how.has_target = true;
    how.name = "out";
    links += which.attach(how).has_value();
    how.name = "in";
    how.role = amqp::link_role::receiver;
    auto const made = which.attach(how);
    if (!made) return;
    ++links;
    (*made)->set_prefetch(5);
  }
  void on_attach(amqp::link& which, amqp::attach const& how, time_point) override {
    ++links;
    log.append("attach ").append(which.name()).append("\n");
    if (which.name() == "no") return which.refuse({amqp::condition::not_found, "no", {}});
    if (which.name() == "wait") return;
    cbs.attach(which, how);
  }
  void on_attached(amqp::link& which, amqp::attach const&, time_point) override {
    log.append("attached ").append(which.name()).append("\n");
  }
  void on_credit(amqp::link& which, time_point) override {
    log.append("credit ").append(which.name()).append("\n");
    cbs.on_credit(which);
    if (which.unsettled() < 3) static_cast<void>(which.send({.payload = std::string_view{"some message"}}));
  }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    log.append("transfer ").append(what.tag).append(what.payload).append("\n");
    if (what.payload == "end") return which.parent().end();
    if (what.payload == "detach") return which.detach();
    if (what.payload == "close") return on->close();
    cbs.receive(which, what, [](amqp::put_token const& asked) {
      return amqp::request_status{asked.token.empty() ? 401 : 200, "told"};
    });
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    log.append("disposition ").append(what.state.error.condition).append(what.settled ? "!\n" : "\n");
  }
  void on_detached(amqp::link& which, amqp::end_reason const& why, time_point) override {
    --links;
    require(closed == 0 && links >= 0);
    log.append("detached ").append(which.name()).append(why.error.condition).append("\n");
    cbs.on_detached(which);
  }
  void on_ended(amqp::session&, amqp::end_reason const&, time_point) override {
    --sessions;
    require(closed == 0 && sessions >= 0);
    log.append("ended\n");
  }
  void on_closed(iothub::error const& reason, amqp::error_view const&, time_point) override {
    log.append("closed ").append(to_string(reason.code())).append("\n");
    ++closed;
  }
};

void greet(std::string& out) {
  byte_buffer said;
  amqp::write_protocol_header(amqp::protocol_id::amqp, said);
  amqp::open o;
  o.container_id = "peer";
  std::size_t begun = amqp::begin_frame(amqp::frame_type::amqp, 0, said);
  amqp::encode(o, amqp::list_form::brief, said);
  amqp::end_frame(begun, said);
  out.append(said.view());
}

// What was sent must be well-formed.
void check_output(std::string_view out) {
  amqp::frame what;
  amqp::protocol_id id{};
  while (!out.empty()) {
    amqp::frame_read found = amqp::read_protocol_header(out, id);
    if (found.status != amqp::read_status::complete) {
      found = amqp::read_frame(out, 65'536, what);
      require(found.status == amqp::read_status::complete);
      amqp::performative body;
      if (!what.body.empty()) require(!amqp::read_performative(what.body, body));
    }
    out.remove_prefix(found.size);
  }
}

std::string run(std::string_view bytes, unsigned how, std::size_t piece) {
  amqp::connection_options options;
  options.max_frame_size = 4096;
  options.max_message_size = 6000;
  options.max_assembling = 8000;
  options.channel_max = 3;
  options.handle_max = 5;
  options.max_unsettled = 16;
  options.incoming_window = 64;
  if ((how & 4) != 0) options.lists = amqp::list_form::full;
  owner o;
  bool const client = (how & 1) != 0;
  amqp::connection c{client ? amqp::connection_role::client : amqp::connection_role::server, o, options, time_point{}};
  o.on = &c;
  if (client) {
    amqp::sasl_credentials who;
    if ((how & 2) != 0) {
      who.mechanism = amqp::sasl_mechanism::plain;
      who.user = "u";
    }
    require(c.open(std::move(who), time_point{}).has_value());
  }
  std::string all;
  if (!bytes.empty() && bytes[0] != 'A' && (how & 2) == 0) greet(all);
  all.append(bytes);
  std::string sent;
  std::string_view left = all;
  while (!left.empty()) {
    c.receive(left.substr(0, piece), time_point{});
    left.remove_prefix(piece < left.size() ? piece : left.size());
    require(c.finished() == (o.closed == 1));
  }
  c.step(time_point{});
  sent.append(c.output());
  c.consume(sent.size());
  check_output(sent);
  c.sasl_outcome(amqp::sasl_code::ok);
  c.step(time_point{} + std::chrono::hours{1});
  c.link_lost(iothub::errc::connection_lost, time_point{});
  require(o.closed == 1 && o.links == 0 && o.sessions == 0);
  return o.log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < 2) return 0;
  std::string_view const bytes{reinterpret_cast<char const*>(data) + 2, size - 2};
  std::string const whole = run(bytes, data[0], size);
  require(run(bytes, data[0], data[1] == 0 ? 1 : data[1]) == whole);
  return 0;
}
