// Links: attach and refusal, credit, messages in one frame and in many, settlement in every mode, detach.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/connection.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::link_role;

std::string big(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i != size; ++i) out[i] = static_cast<char>(i * 7 + i / 251);
  return out;
}

// A handler that implements nothing beyond what it must.
struct refuse_all final : amqp::connection_handler {
  void on_open(amqp::open const&, time_point) override {}
  void on_transfer(amqp::link&, amqp::delivery const&, time_point) override {}
  void on_detached(amqp::link&, amqp::end_reason const&, time_point) override {}
  void on_closed(iothub::error const&, amqp::error_view const&, time_point) override {}
};

TEST(AmqpLink, CarriesAMessageInManyFramesByteByByte) {
  amqp::connection_options small = named("server");
  small.max_frame_size = 512;
  for (std::size_t const piece : {1u << 20, 1u}) {
    pair p{piece, named("client"), small};
    p.s.attach = [](amqp::link& which, amqp::attach const& how) {
      EXPECT_EQ(how.source.address, "from");
      EXPECT_EQ(how.target.address, "to");
      EXPECT_FALSE(which.is_sender());
      which.add_credit(10);
      which.accept();
    };
    p.s.transfer = [](amqp::link& which, amqp::delivery const& what) {
      EXPECT_EQ(what.tag, "tag-1");
      EXPECT_EQ(what.message_format, 0u);
      which.settle(what.id);
    };
    amqp::session& on = p.connect();
    amqp::attach how;
    how.name = "l";
    how.has_source = how.has_target = true;
    how.source = amqp::source::at("from");
    how.target = amqp::target::at("to");
    amqp::link& out = **on.attach(how);
    EXPECT_FALSE(out.can_send());
    p.run();
    EXPECT_EQ(p.c.take(), "attached l | credit l 10");
    EXPECT_EQ(p.s.take(), "attach l");
    std::string const message = big(5000);
    auto const sent = out.send({.payload = message, .tag = "tag-1", .user = 77});
    ASSERT_TRUE(sent.has_value());
    EXPECT_EQ(out.unsettled(), 1u);
    p.c.disposition = [](amqp::link&, amqp::settlement const& what) { EXPECT_EQ(what.user, 77u); };
    p.run();
    EXPECT_EQ(p.s.take(), "transfer l 0");
    ASSERT_EQ(p.s.payloads.size(), 1u);
    EXPECT_EQ(p.s.payloads[0], message);
    EXPECT_EQ(p.c.take(), "disposition l 0 accepted settled");
    EXPECT_EQ(out.unsettled(), 0u);
    EXPECT_EQ(out.credit(), 9u);
    out.detach();
    p.run();
    EXPECT_EQ(p.c.take(), "detached l by this side");
    EXPECT_EQ(p.s.take(), "detached l by peer");
    on.end();
    p.run();
    p.client.close();
    p.run();
    EXPECT_EQ(p.c.take(), "ended by this side | closed closed");
    EXPECT_EQ(p.s.take(), "ended by peer | closed closed");
  }
}

TEST(AmqpLink, IsRefusedWithTheErrorOfTheOwner) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const&) {
    which.refuse({amqp::condition::link_redirect, "go there", {}});
  };
  amqp::session& on = p.connect();
  amqp::attach how;
  how.name = "l";
  how.role = link_role::receiver;
  how.has_source = how.has_target = true;
  ASSERT_TRUE(on.attach(how).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "detached l by peer amqp:link:redirect");
  EXPECT_EQ(p.s.take(), "attach l | detached l by this side");
}

TEST(AmqpLink, OfferedIsRefusedByDefaultAndByDetach) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const& how) {
    if (how.name == "a")
      refuse_all{}.amqp::connection_handler::on_attach(which, how, {});
    else
      which.detach({amqp::condition::not_found, "", {}});
  };
  amqp::session& on = p.connect();
  amqp::attach how;
  how.has_source = how.has_target = true;
  how.name = "a";
  ASSERT_TRUE(on.attach(how).has_value());
  how.name = "b";
  ASSERT_TRUE(on.attach(how).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "detached a by peer amqp:not-implemented | detached b by peer amqp:not-found");
}

TEST(AmqpLink, OfferedMayGoBeforeItIsAnswered) {
  pair p;
  p.s.attach = [](amqp::link&, amqp::attach const&) {};
  amqp::session& on = p.connect();
  amqp::attach how;
  how.name = "l";
  how.has_source = how.has_target = true;
  amqp::link& out = **on.attach(how);
  out.detach();
  p.run();
  EXPECT_EQ(p.s.take(), "attach l | detached l by peer");
  EXPECT_EQ(p.c.take(), "detached l by this side");
}

TEST(AmqpLink, IsAcceptedUnderAnotherAddress) {
  pair p;
  p.s.attach = [](amqp::link& which, amqp::attach const& how) {
    EXPECT_TRUE(how.source.dynamic);
    which.accept({.source_address = "made-up", .target_address = "there"});
  };
  amqp::session& on = p.connect();
  amqp::attach how;
  how.name = "l";
  how.role = link_role::receiver;
  how.has_source = how.has_target = true;
  how.source.dynamic = true;
  ASSERT_TRUE(on.attach(how).has_value());
  p.move(p.client, p.server);
  std::string const answer = hex(p.server.output());
  EXPECT_NE(answer.find(hex("made-up")), std::string::npos);
  EXPECT_NE(answer.find(hex("there")), std::string::npos);
}

TEST(AmqpLink, IsAcceptedLaterWithCreditThatCameBefore) {
  pair p;
  p.s.attach = [](amqp::link&, amqp::attach const&) {};
  amqp::session& on = p.connect();
  amqp::attach how;
  how.name = "l";
  how.role = link_role::receiver;
  how.has_source = how.has_target = true;
  amqp::link& in = **on.attach(how);
  in.add_credit(5);
  p.run();
  EXPECT_EQ(p.c.take(), "");
  amqp::link& out = *p.s.links.at(0);
  EXPECT_EQ(out.state(), amqp::link::state_type::offered);
  amqp::value const properties = amqp::value::symbol_map({{"k", 1}});
  out.accept({.properties = properties.bytes(), .source_address = "really"});
  EXPECT_EQ(p.server.deadline(), p.now);
  p.run();
  EXPECT_EQ(p.c.take(), "attached l");
  EXPECT_EQ(p.s.take(), "attach l | credit l 5");
}

TEST(AmqpLink, SendsNothingWithoutCredit) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "l");
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::outbox_full);
  p.s.links.at(0)->add_credit(1);
  p.run();
  EXPECT_EQ(p.c.take(), "credit l 1");
  EXPECT_TRUE(out.send({.payload = "x"}).has_value());
  EXPECT_EQ(out.send({.payload = "y"}).error(), errc::outbox_full);
}

TEST(AmqpLink, RefusesWhatItCannotSend) {
  amqp::connection_options little = named("server");
  little.max_message_size = 10;
  pair p{1u << 20, named("client"), little};
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, link_role::sender, "l");
  p.s.links.at(0)->add_credit(5);
  p.run();
  EXPECT_EQ(out.send({.payload = std::string_view{"12345678901"}}).error(), errc::too_large);
  std::string const tag(33, 't');
  EXPECT_EQ(out.send({.payload = "x", .tag = tag}).error(), errc::invalid_argument);
  EXPECT_EQ(p.s.links.at(0)->send({.payload = "x"}).error(), errc::invalid_argument);
  EXPECT_EQ(on.attach({.name = "l"}).error(), errc::invalid_argument);
  out.detach();
  EXPECT_EQ(out.send({.payload = "x"}).error(), errc::not_connected);
}

TEST(AmqpLink, DrainsCredit) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  p.s.credit = [](amqp::link& which) {
    EXPECT_TRUE(which.draining());
    ASSERT_TRUE(which.send({.payload = "last", .settled = true}).has_value());
  };
  p.s.log.clear();
  in.drain();
  p.run();
  EXPECT_EQ(p.s.take(), "credit l 10");
  EXPECT_EQ(p.c.take(), "transfer l 0 settled | drained l");
  EXPECT_EQ(out.credit() + in.unsettled(), 0u);
  p.s.credit = nullptr;
  in.add_credit(3);
  p.run();
  EXPECT_EQ(out.credit(), 3u);
  EXPECT_EQ(p.s.take(), "credit l 3");
}

TEST(AmqpLink, HoldsAMessageThatTheWindowHasNoRoomFor) {
  amqp::connection_options narrow = named("server");
  narrow.max_frame_size = 512;
  narrow.incoming_window = 2;
  pair p{1u << 20, named("client"), narrow};
  amqp::session& on = p.connect();
  amqp::link& first = p.attach(on, link_role::sender, "a");
  amqp::link& second = p.attach(on, link_role::sender, "b");
  p.s.links.at(0)->add_credit(10);
  p.s.links.at(1)->add_credit(10);
  p.run();
  p.c.log.clear();
  std::string const message = big(4000);
  ASSERT_TRUE(first.send({.payload = message}).has_value());
  EXPECT_FALSE(second.can_send());
  EXPECT_EQ(second.send({.payload = "y"}).error(), errc::outbox_full);
  p.run();
  EXPECT_EQ(p.c.take(), "credit b 10");
  ASSERT_EQ(p.s.payloads.size(), 1u);
  EXPECT_EQ(p.s.payloads[0], message);
  EXPECT_TRUE(second.send({.payload = "y"}).has_value());
}

TEST(AmqpLink, SaysWhenTheOutputHasDrained) {
  amqp::connection_options little = named("server");
  little.max_backlog = 1000;
  pair p{1u << 20, named("client"), little};
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(1000);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  std::size_t sent = 0;
  while (out.can_send()) {
    ASSERT_TRUE(out.send({.payload = big(100), .settled = true}).has_value());
    ++sent;
  }
  EXPECT_LT(sent, 20u);
  p.s.log.clear();
  p.server.step(p.now);
  EXPECT_EQ(p.s.take(), "");
  p.move(p.server, p.client);
  EXPECT_EQ(p.server.deadline(), p.now);
  p.server.step(p.now);
  EXPECT_EQ(p.s.take(), "credit l " + std::to_string(1000 - sent));
}

TEST(AmqpLink, EndsAPeerThatSendsTooMuch) {
  amqp::connection_options little = named("client");
  little.max_message_size = 10;
  little.max_frame_size = 512;
  pair p{1u << 20, little};
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(1);
  p.run();
  // The server is made to forget what it was told.
  amqp::attach how;
  how.name = "m";
  how.has_source = how.has_target = true;
  how.initial_delivery_count = 0;
  amqp::transfer t;
  t.handle = 0;
  t.delivery_id = 0;
  p.client.receive(framed(0, encoded(t) + std::string(11, 'x')), p.now);
  EXPECT_EQ(p.c.take(), "");
  EXPECT_NE(hex(p.client.output()).find(hex("amqp:link:message-size-exceeded")), std::string::npos);
  p.client.consume(p.client.output().size());
  t.delivery_id = 1;
  p.client.receive(framed(0, encoded(t) + "x"), p.now);  // thrown away
  EXPECT_EQ(p.c.take(), "");
  p.client.receive(framed(0, encoded(amqp::detach{0, true, {}})), p.now);
  EXPECT_EQ(p.c.take(), "detached l by this side amqp:link:message-size-exceeded");
}

TEST(AmqpLink, EndsAPeerThatHasNoCredit) {
  pair p;
  amqp::session& on = p.connect();
  p.attach(on, link_role::receiver, "l");
  amqp::transfer t;
  t.delivery_id = 0;
  p.client.receive(framed(0, encoded(t) + "x"), p.now);
  EXPECT_NE(hex(p.client.output()).find(hex("amqp:link:transfer-limit-exceeded")), std::string::npos);
}

TEST(AmqpLink, RefusesTransfersToASender) {
  pair p;
  amqp::session& on = p.connect();
  p.attach(on, link_role::sender, "l");
  amqp::transfer t;
  t.delivery_id = 0;
  p.client.receive(framed(0, encoded(t) + "x"), p.now);
  EXPECT_NE(hex(p.client.output()).find(hex("amqp:not-allowed")), std::string::npos);
}

TEST(AmqpLink, RefusesADeliveryInsideAnother) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(5);
  p.run();
  amqp::transfer t;
  t.delivery_id = 0;
  t.more = true;
  p.client.receive(framed(0, encoded(t) + "part"), p.now);
  t.delivery_id = 1;
  p.client.receive(framed(0, encoded(t) + "other"), p.now);
  EXPECT_NE(hex(p.client.output()).find(hex("amqp:invalid-field")), std::string::npos);
}

TEST(AmqpLink, ForgetsADeliveryThatIsAborted) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(5);
  p.run();
  amqp::transfer t;
  t.delivery_id = 0;
  t.more = true;
  p.client.receive(framed(0, encoded(t) + "part"), p.now);
  t.aborted = true;
  t.more = false;
  p.client.receive(framed(0, encoded(t)), p.now);
  t.aborted = false;
  t.delivery_id = 1;
  p.client.receive(framed(0, encoded(t) + "whole"), p.now);
  EXPECT_EQ(p.c.take(), "transfer l 1");
  EXPECT_EQ(p.c.payloads.at(0), "whole");
}

TEST(AmqpLink, BoundsMessagesThatAreNotComplete) {
  amqp::connection_options little = named("client");
  little.max_assembling = 1000;
  pair p{1u << 20, little};
  amqp::session& on = p.connect();
  amqp::link& a = p.attach(on, link_role::receiver, "a");
  amqp::link& b = p.attach(on, link_role::receiver, "b");
  a.add_credit(1);
  b.add_credit(1);
  p.run();
  amqp::transfer t;
  t.more = true;
  t.delivery_id = 0;
  p.client.receive(framed(0, encoded(t) + big(600)), p.now);
  t.handle = 1;
  t.delivery_id = 1;
  p.client.receive(framed(0, encoded(t) + big(600)), p.now);
  EXPECT_EQ(p.c.take(),
            "detached a by connection | detached b by connection | ended by connection | closed protocol_error");
}

TEST(AmqpLink, MayBeDetachedInsideItsOwnCallbacks) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  amqp::link& out = *p.s.links.at(0);
  for (int i = 0; i != 3; ++i) ASSERT_TRUE(out.send({.payload = big(5000)}).has_value());
  p.c.transfer = [](amqp::link& which, amqp::delivery const&) { which.detach(); };
  p.run();
  EXPECT_EQ(p.c.take(), "transfer l 0 | detached l by this side");
  EXPECT_EQ(p.s.take(), "credit l 10 | detached l by peer");
  amqp::link& again = p.attach(on, link_role::receiver, "l");
  again.add_credit(1);
  p.run();
  p.c.transfer = [&](amqp::link&, amqp::delivery const&) { on.end(); };
  ASSERT_TRUE(p.s.links.back()->send({.payload = "x"}).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "transfer l 3 | detached l by session | ended by this side");
}

TEST(AmqpLink, ClosesTheConnectionInsideACallback) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& in = p.attach(on, link_role::receiver, "l");
  in.add_credit(10);
  p.run();
  p.c.transfer = [&](amqp::link& which, amqp::delivery const& what) {
    which.settle(what.id);
    p.client.close();
  };
  for (int i = 0; i != 3; ++i) ASSERT_TRUE(p.s.links.at(0)->send({.payload = "x"}).has_value());
  p.s.log.clear();
  p.run();
  EXPECT_EQ(p.c.take(), "transfer l 0 | detached l by connection | ended by connection | closed closed");
  EXPECT_EQ(p.s.take(),
            "disposition l 0 accepted settled | detached l by connection | ended by connection | closed closed");
}

TEST(AmqpLink, NamesHaveALimit) {
  for (std::size_t const size : {4096u, 4097u}) {
    pair p{};
    amqp::session& on = p.connect();
    amqp::attach how;
    std::string const name(size, 'n');
    how.name = name;
    how.role = link_role::receiver;
    how.has_source = true;
    ASSERT_TRUE(on.attach(how).has_value());
    p.run();
    EXPECT_EQ(p.server.finished(), size > 4096) << size;
  }
}

TEST(AmqpLink, AcceptsAnAnswerWithoutTerminusOnlyWhereItMay) {
  for (bool const lenient : {false, true}) {
    amqp::connection_options o = named("client");
    o.accept_missing_terminus = lenient;
    pair p{1u << 20, o};
    amqp::session& on = p.connect();
    amqp::attach how;
    how.name = "l";
    how.role = link_role::receiver;
    how.has_source = true;
    ASSERT_TRUE(on.attach(how).has_value());
    p.client.consume(p.client.output().size());
    amqp::attach answer;
    answer.name = "l";
    answer.initial_delivery_count = 0;
    p.client.receive(framed(0, encoded(answer)), p.now);
    EXPECT_EQ(p.c.take(), lenient ? "attached l" : "");
  }
}

}  // namespace
