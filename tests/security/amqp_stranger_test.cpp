// What somebody without a token can make the hub's AMQP side hold and do, and what a peer can who lets nothing go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "../unit/hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

bool logged(amqp_world const& w, std::string_view what) {
  for (auto const& line : w.log.lines)
    if (line.find(what) != std::string::npos) return true;
  return false;
}

TEST(AmqpStranger, HasFewSessions) {
  amqp_world w;
  amqp_client c{w};
  for (int i = 0; i != 7; ++i) ASSERT_TRUE(c.connection().begin());
  c.run();
  EXPECT_TRUE(c.open());
  ASSERT_TRUE(c.connection().begin());
  c.run();
  EXPECT_FALSE(c.open());
  EXPECT_EQ(c.closed, "quota_exceeded");
  EXPECT_TRUE(logged(w, "too many sessions on a connection without a token"));
}

TEST(AmqpStranger, HasFewLinksRefusedOnesIncluded) {
  amqp_world w;
  amqp_client c{w};
  int links = 0;
  while (c.open() && links != 100) {
    c.link("$cbs", links % 2 == 0 ? amqp::link_role::sender : amqp::link_role::receiver, "another");
    ++links;
  }
  EXPECT_EQ(links, 17);
  EXPECT_TRUE(logged(w, "too many links on a connection without a token"));
}

// A client that never answers the detach of a refused link keeps it on the hub's side: bytes, since ours would answer.
struct mute_client {
  explicit mute_client(amqp_world& w) : world{w}, face{w.front, "192.0.2.7"}, server{amqp::connection_role::server, face, w.front.connection_options(), w.at.now} {
    face.attach(server);
    wire.open({.container_id = "mute", .hostname = "h.azure-devices.net"});
  }
  struct bytes {
    byte_buffer out;
    template <class What>
    void frame(std::uint16_t channel, What const& what) {
      std::size_t const begun = amqp::begin_frame(amqp::frame_type::amqp, channel, out);
      amqp::encode(what, amqp::list_form::brief, out);
      amqp::end_frame(begun, out);
    }
    void open(amqp::open what) {
      amqp::write_protocol_header(amqp::protocol_id::amqp, out);
      what.max_frame_size = 65'536;
      what.channel_max = 255;
      frame(0, what);
    }
    void begin(std::uint16_t channel) {
      amqp::begin what;
      what.incoming_window = what.outgoing_window = 1000;
      what.handle_max = 255;
      frame(channel, what);
    }
    void attach(std::uint16_t channel, std::uint32_t handle, std::string_view address) {
      amqp::attach what;
      std::string const name = "l" + std::to_string(handle);
      what.name = name;
      what.handle = handle;
      what.role = amqp::link_role::sender;
      what.has_source = what.has_target = true;
      what.source = amqp::source::at("here");
      what.target = amqp::target::at(address);
      what.initial_delivery_count = 0;
      frame(channel, what);
    }
    void transfer(std::uint16_t channel, std::uint32_t handle, std::uint32_t id, bool first, byte_view payload) {
      amqp::transfer what;
      what.handle = handle;
      if (first) {
        what.delivery_id = id;
        what.delivery_tag = "t";
        what.has_delivery_tag = true;
        what.message_format = 0;
      }
      what.more = true;
      std::size_t const begun = amqp::begin_frame(amqp::frame_type::amqp, channel, out);
      amqp::encode(what, amqp::list_form::brief, out);
      out.append(payload);
      amqp::end_frame(begun, out);
    }
  };
  void send() {
    server.receive(wire.out.view(), world.at.now);
    wire.out.clear();
    server.step(world.at.now);
    server.consume(server.output().size());
  }
  [[nodiscard]] bool open() const { return server.state() == amqp::connection::state_type::open; }

  amqp_world& world;
  client_face face;
  amqp::connection server;
  bytes wire;
};

TEST(AmqpStranger, RefusedLinksThatAreNotLetGoCount) {
  amqp_world w;
  mute_client c{w};
  c.wire.begin(0);
  c.send();
  std::uint32_t handle = 0;
  while (c.open() && handle != 100) c.wire.attach(0, handle++, "/messages/devicebound"), c.send();
  EXPECT_EQ(handle, 17u);
}

TEST(AmqpStranger, HasRoomForATokenAndNotForMore) {
  amqp_world w;
  mute_client c{w};
  c.wire.begin(0);
  for (std::uint32_t i = 0; i != 4; ++i) c.wire.attach(0, i, "$cbs");
  c.send();
  std::string const part(10'000, 'x');
  std::size_t taken = 0;
  for (std::uint32_t i = 0; i != 4 && c.open(); ++i)
    for (int n = 0; n != 50 && c.open(); ++n) {
      c.wire.transfer(0, i, i, n == 0, part);
      c.send();
      if (c.open()) taken += part.size();
    }
  EXPECT_FALSE(c.open());
  EXPECT_LE(taken, 64u * 1024);
  EXPECT_GE(taken, 32u * 1024);
  EXPECT_TRUE(logged(w, "too many bytes of unfinished messages (from 192.0.2.7)"));
}

TEST(AmqpStranger, WhoShowedATokenHasRoomAndIsAStrangerAgainWhenItEnds) {
  amqp_world w;
  amqp_client c{w};
  EXPECT_THAT(c.put_token("sb://h.azure-devices.net/", w.service_token("service")), HasSubstr("200"));
  for (int i = 0; i != 30; ++i) ASSERT_TRUE(c.connection().begin());
  for (int i = 0; i != 30; ++i) c.link("/messages/devicebound", amqp::link_role::sender, "another");
  EXPECT_TRUE(c.open());
  std::string const big(200'000, 'x');
  amqp::message_view m;
  m.body = amqp::body_kind::data;
  m.data = big;
  m.has_properties = true;
  m.properties.to = "/devices/nobody/messages/devicebound";
  EXPECT_NE(c.send(c.sender("/messages/devicebound"), m), "none");
  EXPECT_TRUE(c.open());
  c.pass(2h);
  EXPECT_FALSE(c.open());
}

TEST(AmqpPeer, LetsRefusedLinksGoOrIsCutOff) {
  amqp_world w;
  mute_client c{w};
  // A token by hand is long; a login is as good.
  std::uint32_t refused = 0;
  auto const* const owner = w.hub.find_policy("iothubowner");
  amqp::sasl_login login;
  login.mechanism = amqp::sasl_mechanism::plain;
  login.user = owner->name;
  login.password = owner->primary_key;
  ASSERT_EQ(c.face.on_sasl(login, w.at.now), amqp::sasl_code::ok);
  for (std::uint16_t channel = 0; channel != 3; ++channel) {
    c.wire.begin(channel);
    c.send();
    for (std::uint32_t handle = 0; handle != 256 && c.open(); ++handle, ++refused) {
      c.wire.attach(channel, handle, "/nowhere/" + std::to_string(handle));
      c.send();
    }
  }
  EXPECT_EQ(refused, 257u);
  EXPECT_TRUE(logged(w, "too many refused links that the peer does not let go (from 192.0.2.7)"));
}

TEST(AmqpPeer, HasABoundedNumberOfCbsLinks) {
  amqp_world w;
  amqp_client c{w};
  EXPECT_THAT(c.put_token("sb://h.azure-devices.net/", w.service_token()), HasSubstr("200"));
  for (int i = 0; i != 40; ++i) c.link("$cbs", amqp::link_role::receiver, "another");
  EXPECT_TRUE(c.open());
  EXPECT_THAT(c.ended("$cbs"), HasSubstr("too many links of $cbs on one connection"));
}

TEST(AmqpPeer, HasABoundedNumberOfLinksOfOneDevice) {
  amqp_world w;
  w.create("d1");
  amqp_client c{w};
  EXPECT_THAT(c.put_token("h.azure-devices.net/devices/d1", w.device_token("d1")), HasSubstr("200"));
  for (int i = 0; i != 32; ++i) c.link("/devices/d1/messages/events", amqp::link_role::sender, "another");
  EXPECT_EQ(c.ended("/devices/d1"), "");
  c.link("/devices/d1/messages/events", amqp::link_role::sender, "another");
  EXPECT_THAT(c.ended("/devices/d1"), HasSubstr("too many links of one identity"));
  EXPECT_EQ(w.hub.connected_devices(), 1u);
}

// An answer that nobody takes is kept, but not without end.
TEST(AmqpPeer, WhoTakesNoAnswersOfCbsLosesTheLink) {
  amqp_world w;
  amqp_client c{w};
  c.link("$cbs", amqp::link_role::receiver, "cbs-reply", {}, {}, 0);
  amqp::link* const out = c.sender("$cbs");
  std::string const long_id(8'000, 'i');
  amqp::value const id{long_id};
  byte_buffer message;
  amqp::put_token request;
  request.type = "servicebus.windows.net:sastoken";
  request.name = "n";
  request.token = "t";
  request.message_id = id.bytes();
  request.reply_to = "cbs-reply";
  amqp::write_put_token(request, message);
  int sent = 0;
  while (c.ended("$cbs").empty() && c.open() && sent != 1000) c.send(out, message.view()), ++sent;
  EXPECT_LT(sent, 60);
  EXPECT_THAT(c.ended("$cbs"), HasSubstr("too many answers wait for credit"));
}

TEST(AmqpCbsMalformed, IsAnsweredHoweverItCame) {
  amqp_world w;
  for (bool const settled : {false, true})
    for (bool const with_id : {false, true}) {
      amqp_client c{w};
      amqp::link* const in = c.link("$cbs", amqp::link_role::receiver, "cbs-reply");
      amqp::link* const out = c.sender("$cbs");
      amqp::message_view m;
      amqp::value const id{"put-1"};
      m.has_properties = true;
      if (with_id) m.properties.message_id = id.bytes();
      m.properties.reply_to = "cbs-reply";
      m.body = amqp::body_kind::data;
      m.data = "no token";
      byte_buffer bytes;
      amqp::write_message(m, bytes);
      amqp::outgoing_delivery what;
      what.payload = bytes.view();
      what.settled = settled;
      ASSERT_TRUE(out->send(what));
      c.run();
      auto const answers = c.take(in);
      SCOPED_TRACE(std::to_string(settled) + std::to_string(with_id));
      EXPECT_EQ(answers.size(), settled && with_id ? 1u : 0u);
      for (auto const& answer : answers) EXPECT_THAT(answer.text, testing::AllOf(HasSubstr("400"), HasSubstr("put-1")));
      EXPECT_EQ(c.ended("$cbs>").empty(), !settled || with_id);
      EXPECT_EQ(c.order.empty() ? "" : c.order.back(), settled ? with_id ? "transfer" : "" : "settled");
    }
}

TEST(AmqpRefusals, NameThePeerInTheLog) {
  amqp_world w;
  mute_client c{w};
  c.wire.begin(0);
  c.wire.attach(0, 0, "/messages/devicebound");
  c.send();
  EXPECT_THAT(w.log.lines, Contains(testing::AllOf(StartsWith("refused"), HasSubstr("(from 192.0.2.7)"))));
}

TEST(AmqpEvents, GroupsHaveNamesAndEpochsAreNotBelowZero) {
  amqp_world w;
  amqp_client c{w};
  EXPECT_THAT(c.put_token("sb://h.azure-devices.net/", w.service_token()), HasSubstr("200"));
  for (auto const& group : {std::string{}, std::string(51, 'g'), std::string(3'000, 'g'), std::string{"a b"}, std::string{"g\0h", 3},
                            std::string{"gr\xc3\xbcn"}, std::string{"$other"}}) {
    std::string const address = "h/ConsumerGroups/" + group + "/Partitions/0";
    c.receiver(address);
    EXPECT_THAT(c.ended(address), StartsWith("amqp:not-found: ")) << group.substr(0, 60);
  }
  for (auto const& group : {std::string{"$Default"}, std::string{"$default"}, std::string(50, 'g'), std::string{"a.b-c_D9"}}) {
    std::string const address = "h/ConsumerGroups/" + group + "/Partitions/0";
    c.receiver(address);
    EXPECT_EQ(c.ended(address), "") << group;
  }
  for (auto const epoch : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{7}}) {
    auto const properties = amqp::value::symbol_map({{"com.microsoft:epoch", epoch}});
    std::string const address = "h/ConsumerGroups/epoch/Partitions/" + std::to_string(epoch == 7 ? 1 : 0);
    c.link(address, amqp::link_role::receiver, "another", {}, properties);
    if (epoch < 0) {
      EXPECT_THAT(c.ended(address), HasSubstr("an epoch is not below 0"));
    } else {
      EXPECT_EQ(c.connection().state(), amqp::connection::state_type::open);
    }
  }
}

// Many links end in a time that grows with their number alone: counted in what is done, not in seconds, a connection
// with n times the links does about n times the work. Here only that all of it is undone.
TEST(AmqpPeer, AConnectionWithManyLinksEndsWhole) {
  amqp_world w;
  {
    amqp_client c{w};
    EXPECT_THAT(c.put_token("sb://h.azure-devices.net/", w.service_token()), HasSubstr("200"));
    for (int i = 0; i != 200; ++i) c.link("/messages/devicebound", amqp::link_role::sender, "another");
    std::vector<amqp::link*> some;
    c.session->for_each_link([&](amqp::link& each) {
      if (each.name().find("devicebound") != std::string_view::npos && some.size() < 120) some.push_back(&each);
    });
    for (std::size_t i = 0; i != some.size(); i += 3) some[i]->detach({});  // in no order of their own
    c.run();
    for (int i = 0; i != 20; ++i) c.link("/messages/devicebound", amqp::link_role::sender, "another");
    EXPECT_TRUE(c.open());
  }
  amqp_client again{w};
  EXPECT_TRUE(again.open());
}

}  // namespace
