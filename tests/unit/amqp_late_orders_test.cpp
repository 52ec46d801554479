// What is over takes no more orders, from this side or from the peer whose frames cross the good-bye; and requests and
// answers of $cbs of which a part is missing.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include <iothub/amqp/cbs.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::link_role;
using amqp::value;

TEST(AmqpLateOrders, ALinkKnowsWhichSideItIs) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const&) { which.accept(); };
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "out");
  amqp::link& in = p.attach(on, link_role::receiver, "in");
  out.add_credit(5), out.set_prefetch(5), out.drain();  // a sender gives no credit
  p.run();
  EXPECT_EQ(p.s.take(), "");
  EXPECT_EQ(out.credit(), 0u);
  EXPECT_FALSE(in.can_send());
  EXPECT_EQ(in.send({.payload = "x"}).error(), errc::invalid_argument);
}

TEST(AmqpLateOrders, CreditHasAnEnd) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "in");
  in.add_credit(0xffffffffu);
  in.add_credit(1);
  EXPECT_EQ(in.credit(), 0x7fffffffu);
  in.set_prefetch(0xffffffffu);
  p.run();
  EXPECT_EQ(p.s.take(), "credit in 2147483647");
}

TEST(AmqpLateOrders, ADetachedLinkDoesNothingMore) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "in");
  amqp::link& out = p.attach(on, link_role::sender, "out");
  in.detach(), out.detach();
  in.add_credit(3), in.set_prefetch(3), in.drain(), in.settle(0), in.detach(), out.detach();
  EXPECT_FALSE(out.can_send());
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::not_connected);
  p.run();
  EXPECT_EQ(p.s.take(), "detached in by peer | detached out by peer");
  EXPECT_EQ(p.c.take(), "detached in by this side | detached out by this side");
}

// What the peer said before it heard of the good-bye is thrown away, and what it says afterwards is still understood.
TEST(AmqpLateOrders, FramesThatCrossTheGoodByeChangeNothing) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const&) { which.accept(); };
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "in");
  amqp::link& out = p.attach(on, link_role::sender, "out");
  amqp::link& stays = p.attach(on, link_role::receiver, "stays");
  ASSERT_EQ(p.s.links.size(), 3u);
  in.add_credit(10), stays.add_credit(10);
  p.s.links[1]->add_credit(10);
  p.run();
  ASSERT_TRUE(out.send({.payload = "mine"}).has_value());
  p.run();
  p.c.log.clear(), p.s.log.clear();
  // Both at once, and neither has heard of the other.
  in.detach(), out.detach();
  ASSERT_TRUE(p.s.links[0]->send({.payload = "late"}).has_value());
  p.s.links[1]->settle(0);
  p.s.links[1]->add_credit(50);
  p.run();
  EXPECT_EQ(p.c.take(), "detached in by this side | detached out by this side");
  ASSERT_TRUE(p.s.links[2]->send({.payload = "next"}).has_value());  // its id follows that of the one that was thrown away
  p.run();
  EXPECT_EQ(p.c.payloads.back(), "next");
}

TEST(AmqpLateOrders, AnEndedSessionTakesNoLinksAndNoMessages) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const&) {
    which.set_prefetch(10);
    which.accept();
  };
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "out");
  ASSERT_TRUE(out.send({.payload = "x"}).has_value());
  on.end();
  on.end();
  amqp::attach how;
  how.name = "late";
  EXPECT_EQ(on.attach(how).error(), errc::not_connected);
  EXPECT_FALSE(out.can_send());
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::not_connected);
  out.detach();
  p.run();
  EXPECT_EQ(p.client.state(), amqp::connection::state_type::open);
}

TEST(AmqpLateOrders, AClosedConnectionTakesNoSessions) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "out");
  p.client.close();
  p.client.close();
  EXPECT_FALSE(p.client.begin().has_value());
  amqp::attach how;
  how.name = "late";
  EXPECT_EQ(on.attach(how).error(), errc::not_connected);
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::not_connected);
  p.run();
  EXPECT_EQ(p.client.state(), amqp::connection::state_type::closed);
  p.client.receive("more", p.now);
  p.client.step(p.now);
  EXPECT_EQ(p.client.output(), "");
  p.client.link_lost(errc::connection_lost, p.now);  // told once, and that was before
  EXPECT_EQ(p.c.take().find("connection_lost"), std::string::npos);
}

// The simulator found it: the hub said good-bye in the turn in which it accepted a link, and was due for ever.
TEST(AmqpLateOrders, ALinkThatIsAcceptedBeforeTheGoodByeLeavesNothingToDo) {
  pair p;
  amqp::session& on = p.connect();
  p.s.attach = [&](amqp::link& which, amqp::attach const&) {
    which.accept();
    p.server.close();
  };
  amqp::attach how;
  how.name = "in";
  how.role = link_role::receiver;
  how.has_source = how.has_target = true;
  ASSERT_TRUE(on.attach(how).has_value());
  ASSERT_TRUE(p.move(p.client, p.server));
  p.server.step(p.now);
  EXPECT_EQ(p.server.state(), amqp::connection::state_type::closing);
  EXPECT_GT(p.server.deadline(), p.now);
}

TEST(AmqpLateOrders, ALinkAnswersAFlowThatWantsAnEcho) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "out");
  (void)out;
  amqp::flow what;
  what.next_incoming_id = 0;
  what.incoming_window = 100;
  what.next_outgoing_id = 0;
  what.outgoing_window = 100;
  what.handle = 0;
  what.delivery_count = 0;
  what.link_credit = 3;
  what.echo = true;
  p.client.receive(framed(0, encoded(what)), p.now);
  p.client.step(p.now);
  EXPECT_NE(p.client.output(), "");
  EXPECT_EQ(out.credit(), 3u);
  // Less credit than is on its way is none, and a flow without credit changes none.
  what.echo = false;
  what.link_credit.reset();
  p.client.receive(framed(0, encoded(what)), p.now);
  EXPECT_EQ(out.credit(), 3u);
}

// --- $cbs

std::string put(value const& properties, value const& id, value const& body) {
  amqp::message_view m;
  m.has_properties = true;
  m.properties.message_id = id.bytes();
  m.application_properties = properties.bytes();
  m.body = amqp::body_kind::value;
  m.value = body.bytes();
  byte_buffer out;
  amqp::write_message(m, out);
  return std::string{out.view()};
}

TEST(AmqpCbsParts, ARequestNeedsAllOfThem) {
  value const id{"1"}, token{"t"};
  auto const read = [](std::string const& bytes, amqp::put_token& into) {
    amqp::message_view m;
    EXPECT_FALSE(amqp::read_message(bytes, m));
    return amqp::read_put_token(m, into);
  };
  auto const whole = value::string_map({{"operation", "put-token"}, {"type", "jwt"}, {"name", "n"}, {"expiration", std::int64_t{7}}});
  amqp::put_token found;
  std::string const text = put(whole, id, token), bytes = put(whole, id, value::binary("b"));
  ASSERT_TRUE(read(text, found));
  EXPECT_EQ(found.token, "t");
  EXPECT_EQ(found.expiration, 7);  // a number of any kind; a timestamp is the usual one
  ASSERT_TRUE(read(bytes, found));
  EXPECT_EQ(found.token, "b");
  EXPECT_FALSE(read(put(whole, {}, token), found));
  EXPECT_FALSE(read(put(whole, id, value{std::int32_t{1}}), found));
  EXPECT_FALSE(read(put(value::string_map({{"operation", "put-token"}, {"name", "n"}}), id, token), found));
  EXPECT_FALSE(read(put(value::string_map({{"operation", "put-token"}, {"type", "t"}}), id, token), found));
  EXPECT_FALSE(read(put(value::string_map({{"operation", "delete-token"}, {"type", "t"}, {"name", "n"}}), id, token), found));
  EXPECT_FALSE(read(put({}, id, token), found));
}

TEST(AmqpCbsParts, AStatusThatIsNoneIsNoSuccess) {
  for (value const& code : {value{std::int32_t{0}}, value{std::int32_t{-200}}, value{std::int32_t{1200}}, value{"200"}, value{}}) {
    auto const properties = value::string_map({{"status-code", code}});
    amqp::message_view m;
    m.application_properties = properties.bytes();
    auto const status = amqp::read_status(m);
    EXPECT_TRUE(status.code < 200 || status.code > 299);
    EXPECT_EQ(status.description, "");
  }
}

TEST(AmqpCbsParts, AnswersThatAreNotForTheClientAreLeftAlone) {
  pair p;
  amqp::cbs_client puts;
  std::string told;
  p.s.attach = [](amqp::link& which, amqp::attach const&) {
    if (!which.is_sender()) which.set_prefetch(10);
    which.accept();
  };
  p.c.credit = [&](amqp::link& which) { puts.on_credit(which); };
  p.c.transfer = [&](amqp::link& which, amqp::delivery const& what) {
    if (auto const outcome = puts.on_transfer(which, what))
      told += std::to_string(outcome->id) + (outcome->what ? " ok|" : " " + std::string{outcome->what.error().message()} + "|");
  };
  ASSERT_TRUE(puts.start(p.connect()).has_value());
  puts.put("a", "t", "jwt", never);
  p.run();
  amqp::link* answers = nullptr;
  for (auto* each : p.s.links)
    if (each->is_sender()) answers = each;
  ASSERT_NE(answers, nullptr);
  auto const say = [&](std::string_view payload) {
    ASSERT_TRUE(answers->send({.payload = payload}).has_value());
    p.run();
  };
  auto const answer = [&](std::string_view id, int status) {
    value const number{id};
    byte_buffer out;
    amqp::write_response(number.bytes(), {status, ""}, out);
    say(out.view());
  };
  say("no message");
  answer("2", 200);
  answer("x", 200);
  EXPECT_EQ(told, "");
  answer("1", 199);
  EXPECT_EQ(told, "1 the token was refused|");
  answer("1", 200);  // it is answered already
  EXPECT_EQ(told, "1 the token was refused|");
}

}  // namespace
