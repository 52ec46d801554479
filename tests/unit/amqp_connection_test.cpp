// The connection: opening, closing, sessions, time, and peers that break its rules.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/connection.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string const plain_header = bytes("41 4d 51 50 00 01 00 00");

// A server with a peer that is nothing but bytes.
struct lone_server {
  amqp::connection_options options = named("server");
  time_point now{};
  recorder s;
  amqp::connection server;

  explicit lone_server(amqp::connection_options with = named("server"))
      : options{std::move(with)}, server{amqp::connection_role::server, s, options, now} {
    s.attach = [](amqp::link& which, amqp::attach const&) { which.accept(); };
  }
  // What it answers, as hex.
  std::string say(std::string const& what) {
    server.receive(what, now);
    server.step(now);
    std::string const out{server.output()};
    server.consume(out.size());
    return hex(out);
  }
  // Past the opening, with a session on channel 0 where it is asked for.
  void open(bool with_session = true) {
    amqp::open o;
    o.container_id = "peer";
    say(plain_header + framed(0, encoded(o)));
    amqp::begin b;
    b.incoming_window = 100;
    b.outgoing_window = 100;
    if (with_session) say(framed(0, encoded(b)));
    s.log.clear();
  }
  std::string condition(std::string const& what) {
    say(what);
    return s.take();
  }
};

TEST(AmqpConnection, OpensAndClosesInWholePiecesAndByteByByte) {
  for (std::size_t const piece : {1u << 20, 1u}) {
    pair p{piece};
    ASSERT_TRUE(p.client.open({}, p.now).has_value());
    EXPECT_EQ(p.client.waits_for(), "a protocol header");
    p.run();
    EXPECT_EQ(p.c.take(), "open server");
    EXPECT_EQ(p.s.take(), "open client");
    ASSERT_TRUE(p.client.begin().has_value());
    p.run();
    EXPECT_EQ(p.c.take(), "begun");
    EXPECT_EQ(p.s.take(), "session");
    p.client.close();
    EXPECT_EQ(p.client.state(), amqp::connection::state_type::closing);
    p.run();
    EXPECT_EQ(p.c.take(), "ended by connection | closed closed");
    EXPECT_EQ(p.s.take(), "ended by connection | closed closed");
    EXPECT_TRUE(p.client.finished() && p.server.finished());
  }
}

TEST(AmqpConnection, WritesWhatTheStandardSays) {
  amqp::connection_options o = named("c");
  o.hostname = "h";
  o.idle_timeout = seconds{120};
  recorder r;
  amqp::connection client{amqp::connection_role::client, r, o, time_point{}};
  ASSERT_TRUE(client.open({}, time_point{}).has_value());
  EXPECT_EQ(hex(client.output()),
            "41 4d 51 50 00 01 00 00 "                  // AMQP 1.0.0
            "00 00 00 21 02 00 00 00 "                  // a frame of 33 bytes on channel 0
            "00 53 10 c0 14 05 a1 01 63 a1 01 68 "      // open: container-id c, hostname h
            "70 00 01 00 00 60 00 ff 70 00 00 ea 60");  // max-frame-size, channel-max, idle-time-out
}

TEST(AmqpConnection, RefusesASecondOpenVerb) {
  pair p;
  ASSERT_TRUE(p.client.open({}, p.now).has_value());
  EXPECT_EQ(p.client.open({}, p.now).error(), errc::invalid_state);
  EXPECT_EQ(p.server.open({}, p.now).error(), errc::invalid_state);
  EXPECT_EQ(p.client.begin().error(), errc::not_connected);
}

TEST(AmqpConnection, PassesTheErrorOfCloseOn) {
  pair p;
  p.connect();
  p.server.close({amqp::condition::connection_forced, "shutting down", {}});
  p.run();
  EXPECT_EQ(p.c.take(), "ended by connection | closed service_unavailable amqp:connection:forced");
  EXPECT_EQ(p.s.take(), "ended by connection | closed closed");
}

TEST(AmqpConnection, ClosedBeforeItIsOpenEndsInTheNextStep) {
  pair p;
  ASSERT_TRUE(p.client.open({}, p.now).has_value());
  p.client.close();
  EXPECT_EQ(p.client.deadline(), p.now);
  p.client.step(p.now);
  EXPECT_EQ(p.c.take(), "closed closed");
}

TEST(AmqpConnection, TellsEverythingOnceWhenTheStreamIsLost) {
  pair p;
  amqp::session& on = p.connect();
  p.attach(on, amqp::link_role::sender, "l");
  p.server.link_lost(error{errc::connection_lost}, p.now);
  EXPECT_EQ(p.s.take(), "detached l by connection | ended by connection | closed connection_lost");
  p.server.link_lost(error{errc::connection_lost}, p.now);
  EXPECT_EQ(p.s.take(), "");
  EXPECT_EQ(p.server.deadline(), never);
}

TEST(AmqpConnection, BeginsAndEndsSessionsFromBothSides) {
  pair p;
  amqp::session& first = p.connect();
  auto second = p.server.begin();
  ASSERT_TRUE(second.has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "session");
  EXPECT_EQ(p.s.take(), "begun");
  first.end({amqp::condition::internal_error, "enough", {}});
  p.run();
  EXPECT_EQ(p.c.take(), "ended by this side");
  EXPECT_EQ(p.s.take(), "ended by peer amqp:internal-error");
  (*second)->end();
  p.run();
  EXPECT_EQ(p.c.take(), "ended by peer");
  EXPECT_EQ(p.s.take(), "ended by this side");
  auto again = p.client.begin();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ((*again)->channel(), 0);
  p.run();
  EXPECT_EQ(p.c.take(), "begun");
}

TEST(AmqpConnection, HasNoMoreChannelsThanThePeerAllows) {
  amqp::connection_options few = named("server");
  few.channel_max = 1;
  pair p{1u << 20, named("client"), few};
  p.connect();
  EXPECT_TRUE(p.client.begin().has_value());
  EXPECT_EQ(p.client.begin().error(), errc::quota_exceeded);
}

TEST(AmqpConnection, SendsHeartbeatsWhenThePeerWantsThem) {
  pair p;  // both announce 60 s, and send after 30
  p.connect();
  EXPECT_EQ(p.client.deadline(), p.now + seconds{30});
  for (int i = 0; i != 100; ++i) {
    p.now += seconds{30};
    p.client.step(p.now);
    EXPECT_EQ(hex(p.client.output()), "00 00 00 08 02 00 00 00");
    p.run();
  }
  EXPECT_EQ(p.c.take(), "");
  EXPECT_EQ(p.s.take(), "");
}

TEST(AmqpConnection, EndsWhenNothingComes) {
  pair p;
  p.connect();
  p.now += seconds{120} - milliseconds{1};
  p.server.step(p.now);
  EXPECT_EQ(p.s.take(), "");
  p.now += milliseconds{1};
  p.server.step(p.now);
  EXPECT_EQ(p.s.take(), "ended by connection | closed timeout");
  p.client.receive(p.server.output(), p.now);
  EXPECT_EQ(p.c.take(), "ended by connection | closed quota_exceeded amqp:resource-limit-exceeded");
}

TEST(AmqpConnection, WaitsForEverWhereItIsToldTo) {
  amqp::connection_options patient = named("server");
  patient.idle_timeout = duration{0};
  amqp::connection_options too = named("client");
  too.idle_timeout = duration{0};
  pair p{1u << 20, too, patient};
  p.connect();
  EXPECT_EQ(p.server.deadline(), never);
}

TEST(AmqpConnection, EndsWhenItIsNotOpenedOrClosedInTime) {
  lone_server one;
  EXPECT_EQ(one.server.deadline(), one.now + seconds{60});
  one.now += seconds{60};
  one.server.step(one.now);
  EXPECT_EQ(one.s.take(), "closed timeout");
  pair p;
  p.connect();
  p.client.close();
  EXPECT_EQ(p.client.deadline(), p.now + seconds{10});
  p.now += seconds{10};
  p.client.step(p.now);
  EXPECT_EQ(p.c.take(), "ended by connection | closed timeout");
}

// A session that this side ended is of no use, and nothing of it comes again: without an answer the connection is none either.
TEST(AmqpConnection, EndsWhenAnEndIsNotAnswered) {
  pair p;
  amqp::session& first = p.connect();
  auto const second = p.client.begin();
  p.run();
  (void)p.c.take();
  p.now += seconds{20};  // between two turns, long after the last
  first.end();
  EXPECT_LE(p.client.deadline(), p.now);  // its time is not counted from the last turn
  p.client.step(p.now);
  EXPECT_EQ(p.client.deadline(), p.now + seconds{10});
  p.now += seconds{5};
  p.client.step(p.now);  // it was not written until now
  p.client.consume(p.client.output().size());
  p.now += seconds{9};
  p.client.step(p.now);
  EXPECT_EQ(p.client.deadline(), p.now + seconds{1});
  (*second)->end();
  p.client.receive(framed(0, encoded(amqp::end{})), p.now);  // somebody is there: the other gets its own time
  EXPECT_EQ(p.c.take(), "ended by this side");
  p.client.consume(p.client.output().size());
  p.now += seconds{10} - milliseconds{1};
  p.client.step(p.now);
  EXPECT_EQ(p.c.take(), "");
  p.now += milliseconds{1};
  p.client.step(p.now);
  EXPECT_EQ(p.c.take(), "ended by connection | closed timeout");
}

TEST(AmqpConnection, GivesEachEndItsOwnTime) {
  pair p;
  amqp::session& first = p.connect();
  auto const second = p.client.begin();
  p.run();
  (void)p.c.take();
  first.end();
  p.client.step(p.now);
  p.client.receive(framed(0, encoded(amqp::end{})), p.now);
  EXPECT_EQ(p.c.take(), "ended by this side");
  p.now += seconds{20};  // nothing was due meanwhile: no step()
  (*second)->end();
  p.client.step(p.now);
  EXPECT_EQ(p.client.deadline(), p.now + seconds{10});
  EXPECT_EQ(p.c.take(), "");
}

TEST(AmqpConnection, RefusesAPeerThatIsTooImpatient) {
  lone_server one;
  amqp::open o;
  o.container_id = "p";
  o.idle_time_out = 99;
  EXPECT_EQ(one.condition(plain_header + framed(0, encoded(o))), "closed protocol_error");
}

TEST(AmqpConnection, AnswersAStrangeHeaderWithItsOwn) {
  struct row {
    char const* said;
    char const* answer;
  };
  for (row const& each : {row{"47 45 54 20", "41 4d 51 50 00 01 00 00"},              // GET
                          {"41 4d 51 50 00 00 09 01", "41 4d 51 50 00 01 00 00"},     // AMQP 0-9-1
                          {"41 4d 51 50 02 01 00 00", "41 4d 51 50 03 01 00 00"}}) {  // TLS inside
    lone_server one;
    EXPECT_EQ(one.say(bytes(each.said)), each.answer);
    EXPECT_TRUE(one.server.finished());
  }
}

TEST(AmqpConnection, DoesWithoutSaslOnlyWhereItMay) {
  amqp::connection_options strict = named("server");
  strict.accept_without_sasl = false;
  lone_server one{strict};
  EXPECT_EQ(one.say(plain_header), "41 4d 51 50 03 01 00 00");
  EXPECT_EQ(one.s.take(), "closed protocol_error");
  amqp::connection_options none = named("server");
  none.sasl = {};
  lone_server other{none};
  EXPECT_EQ(other.say(bytes("41 4d 51 50 03 01 00 00")), "41 4d 51 50 00 01 00 00");
  EXPECT_EQ(other.s.take(), "closed protocol_error");
}

TEST(AmqpConnection, EndsWhenThePeerBreaksARule) {
  amqp::begin b;
  amqp::begin answer;
  answer.remote_channel = 7;
  amqp::open small;
  small.container_id = "p";
  small.max_frame_size = 511;
  struct row {
    std::string bytes;
    char const* description;
  };
  for (row const& each : {row{framed(0, bytes("00 53 10 c0 04 01 a1 01 61")), "2.4.1: a second open"},
                          {framed(256, encoded(b)), "2.7.1: a channel above channel-max"},
                          {framed(0, encoded(b)), "2.5.1: a begin on a channel in use"},
                          {framed(1, encoded(answer)), "2.5.1: an answer to a begin that was not sent"},
                          {framed(9, encoded(amqp::transfer{})), "2.5.1: a frame on a channel without a session"},
                          {framed(0, bytes("40")), "2.3.2: a frame whose body is not a performative"},
                          {framed(0, bytes("00 53 11 c0 ff")), "1.2: a size says more than there is"},
                          {bytes("00 01 00 01"), "2.3.1: a frame above the maximum frame size"},
                          {framed(0, encoded(amqp::end{}), amqp::frame_type::sasl), "2.3.1: not an AMQP frame"},
                          {framed(1, bytes("00 53 11 45")), "1.4: a mandatory field is missing"}}) {
    lone_server one;
    one.open();
    std::string const answered = one.say(each.bytes);
    EXPECT_NE(answered.find(hex(each.description)), std::string::npos) << each.description << "\n" << answered;
    EXPECT_EQ(one.s.take(), "ended by connection | closed protocol_error") << each.description;
  }
  lone_server early;
  EXPECT_EQ(early.condition(plain_header + framed(0, encoded(b))), "closed protocol_error");
  lone_server narrow;
  EXPECT_EQ(narrow.condition(plain_header + framed(0, encoded(small))), "closed protocol_error");
}

TEST(AmqpSession, EndsWhenThePeerBreaksARule) {
  auto const attach = [](std::uint32_t handle, amqp::link_role role, char const* name) {
    amqp::attach a;
    a.name = name;
    a.handle = handle;
    a.role = role;
    a.has_source = a.has_target = true;
    if (role == amqp::link_role::sender) a.initial_delivery_count = 0;
    return framed(0, encoded(a));
  };
  auto const transfer = [](std::uint32_t handle, std::optional<std::uint32_t> id) {
    amqp::transfer t;
    t.handle = handle;
    t.delivery_id = id;
    return framed(0, encoded(t));
  };
  amqp::flow elsewhere;
  elsewhere.handle = 5;
  amqp::disposition backwards;
  backwards.first = 2;
  backwards.last = 1;
  struct row {
    std::string bytes;
    char const* told;
  };
  for (row const& each : {row{attach(0, amqp::link_role::sender, "b"), "amqp:session:handle-in-use"},
                          {transfer(5, 0), "amqp:session:unattached-handle"},
                          {framed(0, encoded(elsewhere)), "amqp:session:unattached-handle"},
                          {framed(0, encoded(amqp::detach{5, true, {}})), "amqp:session:unattached-handle"},
                          {framed(0, encoded(backwards)), "amqp:invalid-field"},
                          {transfer(0, 0) + transfer(0, 2), "amqp:invalid-field"},
                          {framed(0, bytes("00 53 12 45")), "amqp:invalid-field"},
                          {framed(0, bytes("00 53 40 45")), "amqp:not-allowed"}}) {
    lone_server one;
    one.s.attach = [](amqp::link& which, amqp::attach const&) {
      which.add_credit(10);
      which.accept();
    };
    one.open();
    one.say(attach(0, amqp::link_role::sender, "a"));
    std::string const answered = one.say(each.bytes);
    EXPECT_NE(answered.find(hex(each.told)), std::string::npos) << each.told << "\n" << answered;
    one.s.log.clear();
    one.say(transfer(7, 9));  // thrown away after end was sent
    EXPECT_EQ(one.condition(framed(0, encoded(amqp::end{}))),
              "detached a by session " + std::string{each.told} + " | ended by this side " + each.told);
  }
  lone_server high;
  high.open();
  EXPECT_EQ(high.condition(attach(256, amqp::link_role::sender, "x")), "ended by connection | closed protocol_error");
}

TEST(AmqpConnection, SaysWhatItWaitsFor) {
  pair p;
  EXPECT_EQ(p.client.waits_for(), "a connection");
  EXPECT_EQ(p.server.waits_for(), "a protocol header");
  ASSERT_TRUE(p.client.open({}, p.now).has_value());
  p.server.receive(plain_header, p.now);
  EXPECT_EQ(p.server.waits_for(), "open");
  pair q;
  q.connect();
  EXPECT_EQ(q.client.waits_for(), "frames");
  q.client.close();
  EXPECT_EQ(q.client.waits_for(), "close");
  q.run();
  EXPECT_EQ(q.client.waits_for(), "nothing");
  pair r;
  amqp::sasl_credentials who;
  who.mechanism = amqp::sasl_mechanism::anonymous;
  ASSERT_TRUE(r.client.open(std::move(who), r.now).has_value());
  r.move(r.client, r.server);
  EXPECT_EQ(r.server.waits_for(), "a SASL frame");
}

TEST(AmqpSession, AnswersAFlowThatWantsAnEcho) {
  lone_server one;
  one.open();
  amqp::flow f;
  f.echo = true;
  EXPECT_EQ(one.say(framed(0, encoded(f))),
            "00 00 00 1a 02 00 00 00 00 53 13 c0 0d 04 43 70 00 00 08 00 43 70 7f ff ff ff");
}

TEST(AmqpSession, EndsWhenTheWindowIsOverrun) {
  amqp::connection_options narrow = named("server");
  narrow.incoming_window = 2;
  lone_server one{narrow};
  one.s.attach = [](amqp::link& which, amqp::attach const&) {
    which.add_credit(10);
    which.accept();
  };
  one.open();
  amqp::attach a;
  a.name = "a";
  a.initial_delivery_count = 0;
  one.say(framed(0, encoded(a)));
  amqp::transfer t;
  std::string all;
  for (t.delivery_id = 0; *t.delivery_id != 3; ++*t.delivery_id) all += framed(0, encoded(t));
  one.server.receive(all, one.now);
  EXPECT_NE(hex(one.server.output()).find(hex("amqp:session:window-violation")), std::string::npos);
}

TEST(AmqpConnection, OverlooksGoodByesOnAChannelThatIsOver) {
  lone_server one;
  one.open();
  EXPECT_EQ(one.condition(framed(0, encoded(amqp::end{})) + framed(0, encoded(amqp::detach{0, true, {}})) +
                          framed(0, encoded(amqp::end{}))),
            "ended by peer");
  EXPECT_EQ(one.server.state(), amqp::connection::state_type::open);
}

TEST(AmqpConnection, ReadsNoMoreWhileThePeerDoesNot) {
  amqp::connection_options little = named("server");
  little.max_backlog = 100;
  lone_server one{little};
  EXPECT_GT(one.server.room(), 0u);
  amqp::open o;
  o.container_id = "p";
  amqp::begin b;
  std::string greeting = plain_header + framed(0, encoded(o));
  for (std::uint16_t i = 0; i != 5; ++i) greeting += framed(i, encoded(b));
  one.server.receive(greeting, one.now);
  EXPECT_EQ(one.server.room(), 0u);
  one.server.consume(one.server.output().size());
  EXPECT_GT(one.server.room(), 0u);
}

TEST(AmqpConnection, TakesAnySplitOfTheSameBytes) {
  amqp::open o;
  o.container_id = "p";
  amqp::begin b;
  std::string const script =
      plain_header + framed(0, encoded(o)) + framed(3, encoded(b)) + framed(0, encoded(amqp::close{}));
  for (std::size_t at = 0; at <= script.size(); ++at) {
    lone_server one;
    one.say(script.substr(0, at));
    one.say(script.substr(at));
    EXPECT_EQ(one.s.take(), "open p | session | ended by connection | closed closed") << at;
  }
}

}  // namespace
