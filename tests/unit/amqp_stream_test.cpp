// The AMQP transport on a byte stream: against a server connection over a pipe, in virtual time.
#include <iothub/policy/stream_amqp.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using amqp_test::recorder;

// The other end: takes one connection after the other and pumps it with an amqp::connection of its own.
struct server final : participant {
  server(loop& on, memory::pipe_network& network) : loop_{on}, listener{*network.listen({"hub", 5671})} {
    on.add(*this);
    listener.attach(on, *this);
  }
  void step(time_point now) override {
    if (auto came = listener.accept(now)) {
      stream.emplace(std::move(*came));
      stream->attach(loop_, *this);
      connection.emplace(amqp::connection_role::server, face, options, now);
    }
    if (!stream) return;
    connection->step(now);
    char bytes[4096];
    for (;;) {
      io_result const got = stream->read(bytes, now);
      if (got.status != io_status::done) break;
      connection->receive({bytes, got.size}, now);
    }
    connection->step(now);
    while (!connection->output().empty()) {
      io_result const put = stream->write(connection->output(), now);
      if (put.status != io_status::done) break;
      connection->consume(put.size);
    }
    if (connection->finished() && connection->output().empty()) stream->close();
  }
  [[nodiscard]] time_point deadline() const override { return connection ? connection->deadline() : never; }

  loop& loop_;
  memory::pipe_listener listener;
  amqp::connection_options options{.container_id = "server", .idle_timeout = 60s};
  recorder face;
  std::optional<memory::pipe_stream> stream;
  std::optional<amqp::connection> connection;
};

struct client final : participant {
  client(loop& on, memory::pipe_network& network) : loop_{on}, transport{memory::pipe_stream{network}} {
    on.add(*this);
    transport.attach(on, *this);
  }
  void step(time_point now) override { transport.step(now); }
  [[nodiscard]] time_point deadline() const override { return transport.deadline(); }
  result<void> open(std::string host = "hub", amqp::sasl_credentials login = {}) {
    return transport.open({std::move(host), 5671}, options, std::move(login), face, loop_.now());
  }

  loop& loop_;
  amqp::connection_options options{.container_id = "client", .idle_timeout = 60s};
  recorder face;
  stream_amqp<memory::pipe_stream> transport;
};
static_assert(amqp_transport<stream_amqp<memory::pipe_stream>>);
static_assert(amqp_transport<stream_amqp<memory::pipe_stream&>>);

struct StreamAmqp : testing::Test {
  explicit StreamAmqp(memory::pipe_options const& how = {}) : network{on, how} {}
  void run(duration by = 1s) { EXPECT_TRUE(on.run_for(by).has_value()); }
  amqp::link& attach(amqp::link_role role) {
    c.face.take();
    amqp::session* const session = c.transport.connection()->begin().value();
    c.transport.wake();
    run();
    amqp::attach how;
    how.name = "l";
    how.role = role;
    how.has_source = how.has_target = true;
    how.source = amqp::source::at("from");
    how.target = amqp::target::at("to");
    amqp::link* const made = session->attach(how).value();
    c.transport.wake();
    run();
    c.face.take();
    s.face.take();
    return *made;
  }
  memory::virtual_loop on;
  memory::pipe_network network;
  server s{on, network};
  client c{on, network};
};

TEST_F(StreamAmqp, OpensALinkAndSendsAMessage) {
  ASSERT_TRUE(c.open().has_value());
  EXPECT_EQ(c.open().error(), errc::invalid_state);
  run();
  EXPECT_EQ(c.face.take(), "open server");
  EXPECT_EQ(s.face.take(), "open client");
  amqp::link& link = attach(amqp::link_role::sender);
  s.face.links.at(0)->add_credit(10);
  on.wake(s);
  run();
  EXPECT_EQ(c.face.take(), "credit l 10");
  ASSERT_TRUE(link.send({.payload = "hello"}).has_value());
  c.transport.wake();
  run();
  EXPECT_EQ(s.face.take(), "transfer l 0");
}

TEST_F(StreamAmqp, AsksForTheHostItConnectsTo) {
  std::string asked;
  s.face.sasl = [&](amqp::sasl_login const& who) {
    asked = who.hostname;
    return amqp::sasl_code::ok;
  };
  ASSERT_TRUE(c.open("hub", {.mechanism = amqp::sasl_mechanism::mssbcbs}).has_value());
  run();
  EXPECT_EQ(asked, "hub");
  EXPECT_EQ(c.face.take(), "open server");
}

TEST_F(StreamAmqp, SaysThatCredentialsWereRefused) {
  s.face.sasl = [](amqp::sasl_login const&) { return amqp::sasl_code::auth; };
  ASSERT_TRUE(c.open("hub", {amqp::sasl_mechanism::plain, "u", secret{"p"}}).has_value());
  run();
  EXPECT_EQ(c.face.take(), "closed unauthorized");
  EXPECT_EQ(c.transport.deadline(), never);
}

TEST_F(StreamAmqp, TellsTheErrorOfTheStream) {
  ASSERT_TRUE(c.open("nowhere").has_value());
  run();
  EXPECT_EQ(c.face.take(), "closed host_not_found");
  network.refuse(1);
  ASSERT_TRUE(c.open().has_value());
  run();
  EXPECT_EQ(c.face.take(), "closed connection_refused");
}

TEST_F(StreamAmqp, OpensAgainAfterTheConnectionBroke) {
  ASSERT_TRUE(c.open().has_value());
  run();
  attach(amqp::link_role::receiver);
  network.reset_all();
  run();
  EXPECT_EQ(c.face.take(), "detached l by connection | ended by connection | closed connection_lost");
  ASSERT_TRUE(c.open().has_value());
  run();
  EXPECT_EQ(c.face.take(), "open server");
}

TEST_F(StreamAmqp, ReadsWhatTheServerSaidBeforeItClosed) {
  ASSERT_TRUE(c.open().has_value());
  run();
  c.face.take();
  s.connection->close({"amqp:connection:forced", "maintenance"});
  on.wake(s);
  run();
  EXPECT_EQ(c.face.take(), "closed service_unavailable amqp:connection:forced");
}

TEST_F(StreamAmqp, SaysGoodbyeOnceWhenItCloses) {
  ASSERT_TRUE(c.open().has_value());
  run();
  c.face.take(), s.face.take();
  c.transport.close();
  run();
  EXPECT_EQ(c.face.take(), "closed closed");
  EXPECT_EQ(s.face.take(), "closed closed");
}

TEST_F(StreamAmqp, DropsWithoutAWord) {
  ASSERT_TRUE(c.open().has_value());
  run();
  c.face.take();
  c.transport.drop();
  run();
  EXPECT_EQ(c.face.take(), "");
  EXPECT_EQ(c.transport.connection(), nullptr);
  EXPECT_TRUE(c.open().has_value());
}

TEST_F(StreamAmqp, StaysOpenWhileNothingIsSaid) {
  ASSERT_TRUE(c.open().has_value());
  run(30min);
  EXPECT_EQ(c.face.take(), "open server");
}

TEST_F(StreamAmqp, EndsWhenTheServerFallsSilent) {
  ASSERT_TRUE(c.open().has_value());
  run();
  c.face.take();
  network.hold_all();
  run(61s);
  EXPECT_EQ(c.face.take(), "closed timeout");
}

struct StreamAmqpInPieces : StreamAmqp {
  StreamAmqpInPieces() : StreamAmqp{memory::pipe_options{.latency = 3ms, .max_chunk = 3}} {}
};
TEST_F(StreamAmqpInPieces, WorksByteByByte) {
  ASSERT_TRUE(c.open("hub", {.mechanism = amqp::sasl_mechanism::anonymous, .user = "me"}).has_value());
  run();
  EXPECT_EQ(c.face.take(), "open server");
  amqp::link& link = attach(amqp::link_role::sender);
  s.face.links.at(0)->add_credit(1);
  on.wake(s);
  run();
  ASSERT_TRUE(link.send({.payload = std::string(3000, 'x')}).has_value());
  c.transport.wake();
  run(60s);
  ASSERT_EQ(s.face.payloads.size(), 1u);
  EXPECT_EQ(s.face.payloads[0], std::string(3000, 'x'));
}

// A message beyond the backlog leaves in parts, and the sender that waited for room is told.
TEST_F(StreamAmqp, TellsSendersWhenThereIsRoomAgain) {
  c.options.max_backlog = 10'000;
  ASSERT_TRUE(c.open().has_value());
  run();
  amqp::link& link = attach(amqp::link_role::sender);
  s.face.links.at(0)->add_credit(1000);
  on.wake(s);
  run();
  int sent = 0;
  auto const fill = [&](amqp::link& to) {
    while (sent != 200 && to.send({.payload = std::string(1000, 'x'), .settled = true})) ++sent;
  };
  c.face.credit = fill;
  fill(link);
  EXPECT_LT(sent, 200);
  c.transport.wake();
  run();
  EXPECT_EQ(sent, 200);
  EXPECT_EQ(s.face.payloads.size(), 200u);
}

}  // namespace
