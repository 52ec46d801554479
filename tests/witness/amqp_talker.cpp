// Our AMQP client against a server that is not ours (Proton, rhea): says what it heard, a line each. Plain TCP, SASL ANONYMOUS.
//   amqp_talker PORT
// It sends three messages to "inbox" (every section; above the frame size; a value) and takes four from "outbox", to which
// it says accepted, rejected, released and modified. When the server detaches "outbox" it closes.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <iothub/amqp/message.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/policy/stream_amqp.hpp>

namespace {

using namespace iothub;

void say(std::string const& line) { std::printf("%s\n", line.c_str()), std::fflush(stdout); }

struct talker final : participant, amqp::connection_handler {
  explicit talker(net::epoll_loop& on) : loop{on} {
    transport.attach(on, *this);
    on.add(*this);
  }
  void step(time_point now) override { transport.step(now); }
  [[nodiscard]] time_point deadline() const override { return transport.deadline(); }

  void on_open(amqp::open const& peer, time_point) override {
    say("open " + std::string{peer.container_id});
    (void)transport.connection()->begin();
  }
  void on_begun(amqp::session& which, time_point) override {
    amqp::attach how;
    how.has_source = how.has_target = true;
    how.name = "to inbox";
    how.source = amqp::source::at("here");
    how.target = amqp::target::at("inbox");
    (void)which.attach(how).value();
    how.name = "from outbox";
    how.role = amqp::link_role::receiver;
    how.source = amqp::source::at("outbox");
    how.target = amqp::target::at("here");
    which.attach(how).value()->add_credit(4);
  }
  void on_attached(amqp::link& which, amqp::attach const&, time_point) override {
    say("attached " + std::string{which.name()});
  }
  void on_credit(amqp::link& link, time_point) override {
    while (sent != 3 && link.can_send()) {
      byte_buffer out;
      write(sent, out);
      if (!link.send({.payload = out.view(), .user = static_cast<std::uint64_t>(sent)})) return;
      ++sent;
    }
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    using is = amqp::outcome;
    say("outcome " + std::to_string(what.user) +
        (what.state.is == is::accepted   ? " accepted"
         : what.state.is == is::rejected ? " rejected " + std::string{what.state.error.condition}
         : what.state.is == is::released ? " released"
                                         : " other"));
  }
  void on_transfer(amqp::link& link, amqp::delivery const& what, time_point) override {
    amqp::message_view m;
    if (amqp::violation const rule = amqp::read_message(what.payload, m)) return say("broken " + std::string{rule.what()});
    std::string body{m.data.substr(0, 40)};
    if (m.body == amqp::body_kind::value) body = amqp::to_text(m.value);
    say("message " + std::to_string(what.payload.size()) + " id=" + amqp::to_text(m.properties.message_id) +
        " A" + amqp::to_text(m.message_annotations) + " P" + amqp::to_text(m.application_properties) + " " + body);
    amqp::delivery_state modified;
    modified.is = amqp::outcome::modified;
    amqp::delivery_state const answers[] = {amqp::delivery_state::accepted(),
                                            amqp::delivery_state::rejected({"test:no", "not this one"}),
                                            amqp::delivery_state::released(), modified};
    link.settle(what.id, answers[heard++ % 4]);
  }
  void on_detached(amqp::link& which, amqp::end_reason const& why, time_point) override {
    say("detached " + std::string{which.name()} + " " + std::string{why.error.condition} + " " +
        std::string{why.error.description});
    transport.close();
  }
  void on_closed(error const& reason, amqp::error_view const&, time_point) override {
    say("closed " + std::string{to_string(reason.code())});
    over = true;
  }

  static void write(int number, byte_buffer& out) {
    std::string const large(100'000, 'L');
    amqp::value const id{"talker-" + std::to_string(number)};
    auto const annotations = amqp::value::symbol_map({{"x-note", std::int64_t{-5}}, {"x-when", amqp::value::timestamp(1000)}});
    auto const properties = amqp::value::made([](amqp::writer& w) {
      auto const begun = w.begin_compound();
      w.string("text"), w.string("häßlich");
      w.string("yes"), w.boolean(true);
      w.string("int"), w.int32(-7);
      w.string("long"), w.int64(1ll << 40);
      w.string("double"), w.float64(1.5);
      w.string("nothing"), w.null();
      w.end_map(begun, 12);
    });
    amqp::message_view m;
    m.has_properties = true;
    m.properties.message_id = id.bytes();
    auto const value = amqp::value{"just text"};
    if (number == 0) {
      m.has_header = true;
      m.header.durable = true;
      m.message_annotations = annotations.bytes();
      m.properties.to = "somebody";
      m.properties.content_type = "text/plain";
      m.application_properties = properties.bytes();
    }
    m.body = number == 2 ? amqp::body_kind::value : amqp::body_kind::data;
    m.data = number == 1 ? std::string_view{large} : std::string_view{"bytes"};
    m.value = value.bytes();
    amqp::write_message(m, out);
  }

  net::epoll_loop& loop;
  stream_amqp<net::tcp_stream> transport;
  int sent = 0;
  int heard = 0;
  bool over = false;
};

}  // namespace

int main(int argc, char** argv) {
  net::epoll_loop loop;
  talker who{loop};
  amqp::connection_options how;
  how.container_id = "talker";
  how.idle_timeout = std::chrono::seconds{20};
  auto const opened =
      who.transport.open({.host = "127.0.0.1", .port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0)}, how,
                         {amqp::sasl_mechanism::anonymous, "talker", {}}, who, loop.now());
  if (!opened) return say("cannot open: " + std::string{opened.error().message()}), 1;
  (void)loop.run_until([&] { return who.over; }, add(loop.now(), std::chrono::seconds{60}));
  return who.over ? 0 : 1;
}
