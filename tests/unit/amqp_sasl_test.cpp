// SASL: every mechanism, both roles, whole and byte by byte; and peers that do something else.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/sasl.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::sasl_code;
using amqp::sasl_mechanism;

amqp::sasl_credentials plain(std::string user, char const* password) {
  amqp::sasl_credentials who;
  who.mechanism = sasl_mechanism::plain;
  who.user = std::move(user);
  who.password = secret{password};
  return who;
}

amqp::sasl_credentials by(sasl_mechanism which) {
  amqp::sasl_credentials who;
  who.mechanism = which;
  return who;
}

TEST(AmqpSasl, OpensWithEveryMechanism) {
  for (std::size_t const piece : {1u << 20, 1u})
    for (sasl_mechanism const which : {sasl_mechanism::anonymous, sasl_mechanism::external, sasl_mechanism::mssbcbs}) {
      pair p{piece};
      ASSERT_TRUE(p.client.open(by(which), p.now).has_value());
      p.run();
      EXPECT_EQ(p.c.take(), "open server");
      EXPECT_EQ(p.s.take(), "sasl " + std::string{amqp::to_string(which)} + "  | open client");
      EXPECT_EQ(p.server.mechanism(), which);
    }
}

TEST(AmqpSasl, ShowsUserAndPasswordOfPlain) {
  for (std::size_t const piece : {1u << 20, 1u}) {
    pair p{piece};
    p.s.sasl = [](amqp::sasl_login const& who) {
      EXPECT_EQ(who.password, "SharedAccessSignature sr=x");
      EXPECT_EQ(who.authorization_id, "");
      return sasl_code::ok;
    };
    ASSERT_TRUE(p.client.open(plain("policy@sas.root.hub", "SharedAccessSignature sr=x"), p.now).has_value());
    p.run();
    EXPECT_EQ(p.c.take(), "open server");
    EXPECT_EQ(p.s.take(), "sasl PLAIN policy@sas.root.hub | open client");
  }
}

TEST(AmqpSasl, RefusesCredentials) {
  for (sasl_code const code : {sasl_code::auth, sasl_code::sys_temp}) {
    pair p;
    p.s.sasl = [&](amqp::sasl_login const&) { return code; };
    ASSERT_TRUE(p.client.open(plain("u", "p"), p.now).has_value());
    p.run();
    EXPECT_EQ(p.c.take(), code == sasl_code::auth ? "closed unauthorized" : "closed service_unavailable");
    EXPECT_EQ(p.s.take(), "sasl PLAIN u | closed unauthorized");
  }
}

TEST(AmqpSasl, IsRefusedByAHandlerThatDoesNotCare) {
  struct indifferent final : amqp::connection_handler {
    void on_open(amqp::open const&, time_point) override {}
    void on_transfer(amqp::link&, amqp::delivery const&, time_point) override {}
    void on_detached(amqp::link&, amqp::end_reason const&, time_point) override {}
    void on_closed(iothub::error const&, amqp::error_view const&, time_point) override {}
  } handler;
  EXPECT_EQ(handler.on_sasl({}, {}), sasl_code::auth);
}

TEST(AmqpSasl, WaitsForADecisionThatComesLater) {
  pair p{1};
  p.s.sasl = [](amqp::sasl_login const&) { return std::optional<sasl_code>{}; };
  ASSERT_TRUE(p.client.open(plain("u", "p"), p.now).has_value());
  p.run();
  EXPECT_EQ(p.s.take(), "sasl PLAIN u");
  EXPECT_EQ(p.server.waits_for(), "the decision on SASL");
  p.server.receive(bytes("41 4d"), p.now);  // what comes early is kept
  EXPECT_EQ(p.server.room(), 65'536u - 2u);
  p.server.sasl_outcome(sasl_code::ok);
  p.server.sasl_outcome(sasl_code::ok);
  p.server.step(p.now);
  p.server.receive(bytes("51 50 00 01 00 00"), p.now);
  EXPECT_EQ(p.server.state(), amqp::connection::state_type::opening);
}

TEST(AmqpSasl, ClientNeedsAMechanismThatIsOffered) {
  amqp::connection_options o = named("server");
  o.sasl = {sasl_mechanism::anonymous};
  pair p{1u << 20, named("client"), o};
  ASSERT_TRUE(p.client.open(plain("u", "p"), p.now).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "closed unsupported");
}

TEST(AmqpSasl, ClientAndServerMustWantTheSameLayer) {
  amqp::connection_options strict = named("server");
  strict.accept_without_sasl = false;
  pair p{1u << 20, named("client"), strict};
  ASSERT_TRUE(p.client.open({}, p.now).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "closed unsupported");
  amqp::connection_options none = named("server");
  none.sasl = {};
  pair q{1u << 20, named("client"), none};
  ASSERT_TRUE(q.client.open(plain("u", "p"), q.now).has_value());
  q.run();
  EXPECT_EQ(q.c.take(), "closed unsupported");
}

std::string sasl_frame(char const* body) {
  return framed(0, bytes(body), amqp::frame_type::sasl);
}

TEST(AmqpSasl, ServerIsGolden) {
  amqp::connection_options o = named("server");
  recorder s;
  amqp::connection server{amqp::connection_role::server, s, o, time_point{}};
  server.receive(bytes("41 4d 51 50 03 01 00 00"), time_point{});
  EXPECT_EQ(hex(server.output()),
            "41 4d 51 50 03 01 00 00 "
            "00 00 00 33 02 01 00 00 00 53 40 c0 26 01 e0 23 04 a3 "      // an array of four symbols
            "07 4d 53 53 42 43 42 53 05 50 4c 41 49 4e "                  // MSSBCBS, PLAIN
            "09 41 4e 4f 4e 59 4d 4f 55 53 08 45 58 54 45 52 4e 41 4c");  // ANONYMOUS, EXTERNAL
  server.consume(server.output().size());
  server.receive(sasl_frame("00 53 41 c0 0e 03 a3 07 4d 53 53 42 43 42 53 40 a1 01 68"), time_point{});
  EXPECT_EQ(s.take(), "sasl MSSBCBS ");
  EXPECT_EQ(hex(server.output()), "00 00 00 10 02 01 00 00 00 53 44 c0 03 01 50 00");  // outcome ok
}

TEST(AmqpSasl, ServerAsksForThePlainResponseThatIsMissing) {
  amqp::connection_options o = named("server");
  recorder s;
  amqp::connection server{amqp::connection_role::server, s, o, time_point{}};
  server.receive(bytes("41 4d 51 50 03 01 00 00"), time_point{});
  server.consume(server.output().size());
  server.receive(sasl_frame("00 53 41 c0 08 01 a3 05 50 4c 41 49 4e"), time_point{});
  EXPECT_EQ(hex(server.output()), "00 00 00 10 02 01 00 00 00 53 42 c0 03 01 a0 00");
  server.receive(sasl_frame("00 53 43 c0 07 01 a0 04 00 75 00 70"), time_point{});
  EXPECT_EQ(s.take(), "sasl PLAIN u");
}

TEST(AmqpSasl, ServerEndsWhenThePeerBreaksARule) {
  for (char const* each : {"00 53 43 c0 03 01 a0 00",                 // a response that nobody asked for
                           "00 53 41 45",                             // no mechanism
                           "00 53 44 c0 03 01 50 00",                 // an outcome from a client
                           "40", "00 53 41 c0 04 02 a3 01",           // no list; cut off
                           "00 53 41 c0 08 01 a3 05 58 58 58 58 58",  // XXXXX
                           "00 53 41 c0 0e 02 a3 05 50 4c 41 49 4e a0 04 00 00 00 70"}) {  // PLAIN with three NULs
    amqp::connection_options o = named("server");
    recorder s;
    amqp::connection server{amqp::connection_role::server, s, o, time_point{}};
    server.receive(bytes("41 4d 51 50 03 01 00 00") + sasl_frame(each), time_point{});
    std::string const told = s.take();
    EXPECT_TRUE(told == "closed protocol_error" || told == "closed unauthorized") << each << ": " << told;
  }
  amqp::connection_options o = named("server");
  recorder s;
  amqp::connection server{amqp::connection_role::server, s, o, time_point{}};
  server.receive(bytes("41 4d 51 50 03 01 00 00") + framed(0, bytes("00 53 10 45")), time_point{});
  EXPECT_EQ(s.take(), "closed protocol_error");
}

TEST(AmqpSasl, ClientEndsWhenThePeerBreaksARule) {
  for (char const* each : {"00 53 44 c0 03 01 50 00",  // an outcome before the mechanisms
                           "00 53 42 c0 03 01 a0 00",  // a challenge before the init
                           "00 53 40 c0 ff", "00 53 44 45"}) {
    amqp::connection_options o = named("client");
    recorder c;
    amqp::connection client{amqp::connection_role::client, c, o, time_point{}};
    ASSERT_TRUE(client.open(plain("u", "p"), time_point{}).has_value());
    client.receive(bytes("41 4d 51 50 03 01 00 00") + sasl_frame(each), time_point{});
    EXPECT_EQ(c.take(), "closed protocol_error") << each;
  }
  amqp::connection_options o = named("client");
  recorder c;
  amqp::connection client{amqp::connection_role::client, c, o, time_point{}};
  ASSERT_TRUE(client.open(plain("u", "p"), time_point{}).has_value());
  std::string forever = bytes("41 4d 51 50 03 01 00 00") + sasl_frame("00 53 40 c0 08 01 a3 05 50 4c 41 49 4e");
  for (int i = 0; i != 4; ++i) forever += sasl_frame("00 53 42 c0 03 01 a0 00");
  client.receive(forever, time_point{});
  EXPECT_EQ(c.take(), "closed protocol_error");
}

TEST(AmqpSasl, ReadsPlainAsRfc4616Says) {
  using namespace std::string_view_literals;
  amqp::sasl_login who;
  EXPECT_TRUE(amqp::parse_sasl_plain("a\0b\0c"sv, who));
  EXPECT_EQ(std::string{who.authorization_id} + "," + std::string{who.user} + "," + std::string{who.password}, "a,b,c");
  for (std::string_view const each : {""sv, "a"sv, "a\0b"sv, "\0\0p"sv, "a\0b\0c\0"sv})
    EXPECT_FALSE(amqp::parse_sasl_plain(each, who)) << each;
}

TEST(AmqpSasl, KnowsItsMechanismsByName) {
  EXPECT_EQ(amqp::sasl_mechanism_of("PLAIN"), sasl_mechanism::plain);
  EXPECT_EQ(amqp::sasl_mechanism_of("plain"), sasl_mechanism::none);
  EXPECT_FALSE(amqp::all_sasl_mechanisms.contains(sasl_mechanism::none));
}

}  // namespace
