// Settlement: every outcome, both modes of the receiver, prefetch, ranges, and the ends of numbers.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/connection.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::link_role;

TEST(AmqpSettlement, GathersAcceptedDeliveriesInOneDisposition) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(100);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 100; ++i) ASSERT_TRUE(out.send({.payload = "x"}).has_value());
  p.c.transfer = [](amqp::link& which, amqp::delivery const& what) { which.settle(what.id); };
  p.move(p.server, p.client);
  amqp::disposition d;
  d.role = link_role::receiver;
  d.last = 99;
  d.settled = true;
  d.state = amqp::delivery_state::accepted();
  EXPECT_EQ(hex(p.client.output()), hex(framed(0, encoded(d))));
  p.run();
  EXPECT_EQ(out.unsettled(), 0u);
}

TEST(AmqpSettlement, TellsEveryOutcome) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 5; ++i) ASSERT_TRUE(out.send({.payload = "x"}).has_value());
  p.run();
  p.s.log.clear();
  in.settle(3, amqp::delivery_state::released());
  in.settle(1, amqp::delivery_state::rejected({"amqp:not-found", "no", {}}));
  in.settle(4, amqp::delivery_state::modified(true, false));
  in.settle(0);
  in.settle(0);
  in.settle(77);
  p.run();
  EXPECT_EQ(p.s.take(),
            "disposition l 3 released settled | disposition l 1 rejected settled amqp:not-found | "
            "disposition l 4 modified settled | disposition l 0 accepted settled");
  EXPECT_EQ(out.unsettled(), 1u);
  EXPECT_EQ(in.unsettled(), 1u);
}

TEST(AmqpSettlement, SettlesInAnswerInTheSecondMode) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in =
      p.attach(on, link_role::receiver, "l", amqp::sender_settles::unsettled, amqp::receiver_settles::second);
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  ASSERT_TRUE(out.send({.payload = "x", .settled = true}).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "transfer l 0");
  p.s.log.clear();
  in.settle(0);
  p.move(p.client, p.server);
  EXPECT_EQ(p.s.take(), "disposition l 0 accepted settled");
  EXPECT_EQ(in.unsettled(), 1u);
  p.run();
  EXPECT_EQ(p.c.take(), "disposition l 0 accepted settled");
  EXPECT_EQ(in.unsettled() + out.unsettled(), 0u);
}

TEST(AmqpSettlement, ReceiverSettlesFirstUnlessItsOwnerSaysOtherwise) {
  for (bool const second : {false, true}) {
    pair p;
    p.s.attach = [&](amqp::link& which, amqp::attach const& how) {
      EXPECT_EQ(how.rcv_settle_mode, amqp::receiver_settles::second);
      which.add_credit(1);
      which.accept({.rcv_settle_mode = second ? amqp::receiver_settles::second : amqp::receiver_settles::first});
    };
    p.s.transfer = [](amqp::link& which, amqp::delivery const& what) { which.settle(what.id); };
    amqp::session& on = p.connect();
    amqp::link& out =
        p.attach(on, link_role::sender, "l", amqp::sender_settles::unsettled, amqp::receiver_settles::second);
    EXPECT_EQ(out.rcv_settle_mode() == amqp::receiver_settles::second, second);
    ASSERT_TRUE(out.send({.payload = "x"}).has_value());
    p.run();
    EXPECT_EQ(p.c.take(), "disposition l 0 accepted settled");
    EXPECT_EQ(p.s.take(), second ? "transfer l 0 | disposition l 0 accepted settled" : "transfer l 0");
  }
}

TEST(AmqpSettlement, SendsSettledWhereTheModeSaysSo) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l", amqp::sender_settles::settled);
  in.set_prefetch(4);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 12; ++i) {
    ASSERT_TRUE(out.send({.payload = "x"}).has_value()) << i;
    p.run();
  }
  EXPECT_EQ(in.unsettled() + out.unsettled(), 0u);
  EXPECT_EQ(p.c.payloads.size(), 12u);
}

TEST(AmqpSettlement, PrefetchCountsWhatIsNotSettled) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.set_prefetch(4);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 4; ++i) ASSERT_TRUE(out.send({.payload = "x"}).has_value());
  p.run();
  EXPECT_EQ(out.credit(), 0u);
  in.settle(0);
  in.settle(1);
  p.run();
  EXPECT_EQ(out.credit(), 2u);
}

TEST(AmqpSettlement, BoundsDeliveriesThatAreNotSettled) {
  amqp::connection_options few = named("server");
  few.max_unsettled = 2;
  pair p{1u << 20, named("client"), few};
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  EXPECT_TRUE(out.send({.payload = "x"}).has_value());
  EXPECT_TRUE(out.send({.payload = "x"}).has_value());
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::outbox_full);
  p.run();
  p.s.log.clear();
  in.settle(1);
  p.run();
  EXPECT_EQ(p.s.take(), "disposition l 1 accepted settled | credit l 8");
}

TEST(AmqpSettlement, EndsAPeerThatLeavesTooMuchOpen) {
  amqp::connection_options few = named("client");
  few.max_unsettled = 2;
  pair p{1u << 20, few};
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  for (int i = 0; i != 3; ++i) ASSERT_TRUE(p.s.links.at(0)->send({.payload = "x"}).has_value());
  p.run();
  EXPECT_EQ(p.c.take(),
            "transfer l 0 | transfer l 1 | detached l by session amqp:resource-limit-exceeded | "
            "ended by this side amqp:resource-limit-exceeded");
}

TEST(AmqpSettlement, PassesAStateOnThatItDoesNotKnow) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(1);
  p.run();
  ASSERT_TRUE(p.s.links.at(0)->send({.payload = "x"}).has_value());
  p.s.log.clear();
  p.server.receive(framed(0, bytes("00 53 15 c0 0c 05 41 43 40 42 00 53 34 c0 02 01 40")), p.now);
  EXPECT_EQ(p.s.take(), "disposition l 0 other");
  amqp::delivery_state unknown;
  unknown.is = amqp::outcome::other;
  EXPECT_EQ(hex(encoded(unknown)), "40");
}

TEST(AmqpSettlement, TakesARangeFromZeroToTheEnd) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 3; ++i) ASSERT_TRUE(out.send({.payload = "x"}).has_value());
  p.s.log.clear();
  amqp::disposition d;
  d.role = link_role::receiver;
  d.last = 0x7fffffff;
  d.settled = true;
  d.state = amqp::delivery_state::accepted();
  p.server.receive(framed(0, encoded(d)), p.now);
  EXPECT_EQ(p.s.log.size(), 3u);
}

TEST(AmqpSettlement, CountsDeliveriesPastTheEndOfTheirNumbers) {
  pair p;
  amqp::session& on = p.connect();
  amqp::attach how;
  how.name = "l";
  how.has_source = how.has_target = true;
  how.initial_delivery_count = 0xfffffffe;
  amqp::link& out = **on.attach(how);
  p.run();
  p.s.links.at(0)->set_prefetch(2);
  p.s.transfer = [](amqp::link& which, amqp::delivery const& what) { which.settle(what.id); };
  for (int i = 0; i != 6; ++i) {
    p.run();
    ASSERT_TRUE(out.send({.payload = "x"}).has_value()) << i;
  }
  p.run();
  EXPECT_EQ(p.s.payloads.size(), 6u);
  EXPECT_EQ(out.unsettled(), 0u);
}

}  // namespace
