// Frames, protocol headers and performatives, byte for byte.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/frame.hpp>
#include <iothub/amqp/performatives.hpp>
#include <iothub/amqp/value.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::list_form;
using amqp::read_status;
using amqp::value;

TEST(AmqpProtocolHeader, IsReadByteByByte) {
  std::string const header = bytes("41 4d 51 50 03 01 00 00");
  amqp::protocol_id id{};
  for (std::size_t size = 0; size != 8; ++size)
    EXPECT_EQ(amqp::read_protocol_header(header.substr(0, size), id).status, read_status::need_more) << size;
  EXPECT_EQ(amqp::read_protocol_header(header + "more", id).size, 8u);
  EXPECT_EQ(id, amqp::protocol_id::sasl);
}

TEST(AmqpProtocolHeader, IsRefusedAtTheFirstWrongByte) {
  amqp::protocol_id id{};
  for (char const* each :
       {"47", "41 4d 51 51", "41 4d 51 50 01", "41 4d 51 50 00 00", "41 4d 51 50 00 01 01", "41 4d 51 50 00 01 00 01"})
    EXPECT_EQ(amqp::read_protocol_header(bytes(each), id).status, read_status::broken) << each;
}

TEST(AmqpFrame, IsReadWhole) {
  std::string const heartbeat = bytes("00 00 00 08 02 00 00 00");
  std::string const extended = bytes("00 00 00 0d 03 01 00 07 aa bb cc dd 40");
  amqp::frame found;
  for (std::size_t size = 0; size != heartbeat.size(); ++size)
    EXPECT_EQ(amqp::read_frame(heartbeat.substr(0, size), 512, found).status, read_status::need_more);
  EXPECT_EQ(amqp::read_frame(heartbeat, 512, found).size, 8u);
  EXPECT_TRUE(found.body.empty());
  EXPECT_EQ(amqp::read_frame(extended, 512, found).size, 13u);
  EXPECT_EQ(found.type, amqp::frame_type::sasl);
  EXPECT_EQ(found.channel, 7);
  EXPECT_EQ(hex(found.body), "40");
}

TEST(AmqpFrame, IsRefusedByItsSizeAlone) {
  struct row {
    char const* encoding;
    char const* rule;
  };
  amqp::frame found;
  for (row const& each : {row{"00 00 00 00", "2.3.1: a frame smaller than its header"},
                          {"00 00 00 07", "2.3.1: a frame smaller than its header"},
                          {"ff ff ff ff", "2.3.1: a frame above the maximum frame size"},
                          {"00 00 02 01", "2.3.1: a frame above the maximum frame size"},
                          {"00 00 00 08 01 00 00 00", "2.3.1: a data offset inside the header"},
                          {"00 00 00 08 03 00 00 00", "2.3.1: a data offset behind the frame"},
                          {"00 00 00 08 02 02 00 00", "2.3.1: an unknown frame type"}}) {
    auto const read = amqp::read_frame(bytes(each.encoding), 512, found);
    EXPECT_EQ(read.status, read_status::broken) << each.encoding;
    EXPECT_EQ(read.rule.what(), each.rule);
    EXPECT_EQ(read.rule.condition(), amqp::condition::framing_error);
  }
}

amqp::open an_open() {
  amqp::open what;
  what.container_id = "a";
  what.hostname = "h";
  what.max_frame_size = 65536;
  what.channel_max = 255;
  what.idle_time_out = 60'000;
  return what;
}

TEST(AmqpPerformative, OpenIsWrittenBriefAndInFull) {
  EXPECT_EQ(hex(encoded(an_open())),
            "00 53 10 c0 14 05 "  // described by 0x10: list8 of 5
            "a1 01 61 a1 01 68 "  // container-id, hostname
            "70 00 01 00 00 "     // max-frame-size
            "60 00 ff "           // channel-max
            "70 00 00 ea 60");    // idle-time-out
  EXPECT_EQ(hex(encoded(an_open(), list_form::full)),
            "00 53 10 c0 19 0a a1 01 61 a1 01 68 70 00 01 00 00 60 00 ff 70 00 00 ea 60 40 40 40 40 40");
}

TEST(AmqpPerformative, BeginAlwaysNamesItsLimits) {
  amqp::begin what;
  what.incoming_window = 2048;
  what.outgoing_window = 0x7fffffff;
  what.handle_max = 255;
  EXPECT_EQ(hex(encoded(what)), "00 53 11 c0 0f 05 40 43 70 00 00 08 00 70 7f ff ff ff 52 ff");
  what.remote_channel = 1;
  EXPECT_EQ(hex(encoded(what, list_form::full)),
            "00 53 11 c0 14 08 60 00 01 43 70 00 00 08 00 70 7f ff ff ff 52 ff 40 40 40");
}

TEST(AmqpPerformative, AttachInFullHasFourteenFields) {
  amqp::attach what;
  what.name = "n";
  what.handle = 1;
  what.role = amqp::link_role::receiver;
  what.has_source = what.has_target = true;
  what.source = amqp::source::at("s");
  what.target = amqp::target::at("t");
  EXPECT_EQ(hex(encoded(what)),
            "00 53 12 c0 1d 07 a1 01 6e 52 01 41 50 02 50 00 "
            "00 53 28 c0 04 01 a1 01 73 "
            "00 53 29 c0 04 01 a1 01 74");
  EXPECT_EQ(hex(encoded(what, list_form::full)),
            "00 53 12 c0 34 0e a1 01 6e 52 01 41 50 02 50 00 "
            "00 53 28 c0 0e 0b a1 01 73 40 40 40 40 40 40 40 40 40 40 "
            "00 53 29 c0 0a 07 a1 01 74 40 40 40 40 40 40 "
            "40 40 40 40 40 40 40");
}

TEST(AmqpPerformative, TransferFlowAndDispositionAreGolden) {
  amqp::transfer t;
  t.delivery_id = 0;
  std::string const tag(4, '\0');
  t.delivery_tag = tag;
  t.has_delivery_tag = true;
  t.message_format = 0;
  t.settled = false;
  EXPECT_EQ(hex(encoded(t)), "00 53 14 c0 0c 06 43 43 a0 04 00 00 00 00 43 42 42");
  EXPECT_EQ(hex(encoded(t, list_form::full)), "00 53 14 c0 11 0b 43 43 a0 04 00 00 00 00 43 42 42 40 40 40 40 40");
  amqp::flow f;
  f.incoming_window = 10;
  f.outgoing_window = 11;
  EXPECT_EQ(hex(encoded(f)), "00 53 13 c0 07 04 40 52 0a 43 52 0b");
  f.handle = 0;
  f.link_credit = 300;
  EXPECT_EQ(hex(encoded(f, list_form::full)), "00 53 13 c0 12 0b 40 52 0a 43 52 0b 43 40 70 00 00 01 2c 40 40 40 40");
  amqp::disposition d;
  d.role = amqp::link_role::receiver;
  d.settled = true;
  d.state = amqp::delivery_state::accepted();
  EXPECT_EQ(hex(encoded(d)), "00 53 15 c0 09 05 41 43 40 41 00 53 24 45");
}

TEST(AmqpPerformative, ErrorsAreWrittenInDetachEndAndClose) {
  amqp::error_view const why{"amqp:not-found", "gone", {}};
  std::string const error_bytes = "00 53 1d c0 17 02 a3 0e 61 6d 71 70 3a 6e 6f 74 2d 66 6f 75 6e 64 a1 04 67 6f 6e 65";
  EXPECT_EQ(hex(encoded(amqp::detach{2, true, why})), "00 53 16 c0 20 03 52 02 41 " + error_bytes);
  EXPECT_EQ(hex(encoded(amqp::end{why})), "00 53 17 c0 1d 01 " + error_bytes);
  EXPECT_EQ(hex(encoded(amqp::close{})), "00 53 18 45");
  EXPECT_EQ(hex(encoded(amqp::close{}, list_form::full)), "00 53 18 c0 02 01 40");
  amqp::error_view read;
  std::string const encoding = encoded(why, list_form::full);
  ASSERT_FALSE(amqp::decode(encoding, read));
  EXPECT_EQ(read, why);
}

template <class T>
T reread(T const& what, list_form form) {
  std::string const encoding = encoded(what, form);
  amqp::performative found;
  EXPECT_FALSE(amqp::read_performative(encoding, found));
  T again;
  EXPECT_FALSE(amqp::decode(found.fields, again));
  EXPECT_EQ(encoded(again, form), encoding);
  return T{};
}

TEST(AmqpPerformative, EveryOneComesBackTheSame) {
  value const map = value::symbol_map({{"k", 1}});
  value const texts = value::symbols({"a", "b"});
  value const released = value::described(amqp::descriptor::released, value::list({}));
  for (list_form const form : {list_form::brief, list_form::full}) {
    amqp::open o = an_open();
    o.outgoing_locales = o.incoming_locales = o.offered_capabilities = o.desired_capabilities = texts.bytes();
    o.properties = map.bytes();
    reread(o, form);
    amqp::begin b;
    b.remote_channel = 5;
    b.next_outgoing_id = 0xfffffffe;
    b.properties = map.bytes();
    reread(b, form);
    amqp::attach a;
    a.name = "link";
    a.handle = 70'000;
    a.snd_settle_mode = amqp::sender_settles::settled;
    a.rcv_settle_mode = amqp::receiver_settles::second;
    a.has_source = a.has_target = true;
    a.source = amqp::source::at("from");
    a.source.durable = amqp::terminus_durability::unsettled_state;
    a.source.expiry_policy = "never";
    a.source.timeout = 9;
    a.source.dynamic = true;
    a.source.distribution_mode = "move";
    a.source.filter = map.bytes();
    a.source.default_outcome = released.bytes();
    a.source.outcomes = texts.bytes();
    a.target = amqp::target::at("to");
    a.target.capabilities = texts.bytes();
    a.unsettled = map.bytes();
    a.incomplete_unsettled = true;
    a.initial_delivery_count = 4;
    a.max_message_size = 1u << 20;
    a.properties = map.bytes();
    reread(a, form);
    amqp::flow f;
    f.next_incoming_id = 1;
    f.handle = 2;
    f.delivery_count = 3;
    f.link_credit = 4;
    f.available = 5;
    f.drain = f.echo = true;
    f.properties = map.bytes();
    reread(f, form);
    amqp::transfer t;
    t.handle = 1;
    t.delivery_id = 2;
    t.delivery_tag = "tag";
    t.has_delivery_tag = true;
    t.message_format = 0x80013700;
    t.settled = true;
    t.more = true;
    t.rcv_settle_mode = std::uint8_t{1};
    t.resume = t.aborted = t.batchable = true;
    reread(t, form);
    amqp::disposition d;
    d.first = 1;
    d.last = 7;
    d.batchable = true;
    for (amqp::delivery_state const& state :
         {amqp::delivery_state::accepted(), amqp::delivery_state::released(), amqp::delivery_state::rejected(),
          amqp::delivery_state::rejected({"c", "d", map.bytes()}), amqp::delivery_state::modified(true, true)}) {
      d.state = state;
      reread(d, form);
    }
    d.state.is = amqp::outcome::received;
    d.state.section_number = 1;
    d.state.section_offset = 2;
    reread(d, form);
    reread(amqp::detach{3, true, {"c", "", {}}}, form);
    reread(amqp::end{{"c", "d", map.bytes()}}, form);
    reread(amqp::close{}, form);
  }
}

TEST(AmqpPerformative, IsRefusedWhenCutAnywhere) {
  amqp::attach a;
  a.name = "link";
  a.has_source = true;
  a.source = amqp::source::at("from");
  std::string const encoding = encoded(a, list_form::full);
  for (std::size_t size = 0; size != encoding.size(); ++size) {
    amqp::performative found;
    EXPECT_TRUE(amqp::read_performative(encoding.substr(0, size), found)) << size;
  }
}

TEST(AmqpPerformative, TakesShortListsAndIgnoresUnknownFields) {
  amqp::performative found;
  std::string const brief = bytes("00 53 10 c0 04 01 a1 01 61");
  ASSERT_FALSE(amqp::read_performative(brief, found));
  amqp::open o;
  EXPECT_FALSE(amqp::decode(found.fields, o));
  EXPECT_EQ(o.container_id, "a");
  EXPECT_EQ(o.max_frame_size, 0xffffffff);
  std::string const longer = bytes("00 53 18 c0 04 03 40 41 42");
  ASSERT_FALSE(amqp::read_performative(longer, found));
  amqp::close c;
  EXPECT_FALSE(amqp::decode(found.fields, c));
}

template <class T>
std::string_view refused(char const* encoding) {
  static std::string kept;
  kept = bytes(encoding);
  amqp::performative found;
  if (auto const rule = amqp::read_performative(kept, found)) return rule.what();
  T into;
  return amqp::decode(found.fields, into).what();
}

TEST(AmqpPerformative, IsRefusedWithoutMandatoryFields) {
  EXPECT_EQ(refused<amqp::open>("00 53 10 45"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::begin>("00 53 11 c0 05 04 40 43 43 40"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::attach>("00 53 12 c0 04 01 a1 01 61"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::flow>("00 53 13 45"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::transfer>("00 53 14 45"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::disposition>("00 53 15 c0 02 01 41"), "1.4: a mandatory field is missing");
  EXPECT_EQ(refused<amqp::detach>("00 53 16 45"), "1.4: a mandatory field is missing");
}

TEST(AmqpPerformative, IsRefusedWithFieldsOfOtherTypes) {
  EXPECT_EQ(refused<amqp::open>("00 53 10 c0 02 01 41"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::open>("00 53 10 c0 0b 04 a1 01 61 40 40 70 00 01 00 00"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::attach>("00 53 12 c0 08 04 a1 01 61 43 41 50 03"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::transfer>(
                "00 53 14 c0 26 03 43 43 a0 21 000000000000000000000000000000000000000000000000000000000000000000"),
            "2.8.7: a delivery tag above 32 bytes");
  EXPECT_EQ(refused<amqp::attach>("00 53 12 c0 0d 07 a1 01 61 43 41 40 40 00 53 29 45 40"),
            "1.4: another type was expected");
  EXPECT_EQ(refused<amqp::attach>("00 53 12 c0 0d 07 a1 01 61 43 42 40 40 40 00 53 30 45"),
            "Part 4: transactions are not supported");
  EXPECT_EQ(refused<amqp::transfer>("00 53 14 c0 06 03 43 43 a1 01 61"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::transfer>("00 53 14 c0 07 05 43 43 40 40 43 42"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::transfer>("00 53 14 c0 07 06 43 43 40 40 40 43"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::begin>("00 53 11 c0 06 01 70 00 01 00 00"), "1.4: a field of another type");
  EXPECT_EQ(refused<amqp::end>("40"), "2.3.2: a frame whose body is not a performative");
  EXPECT_EQ(refused<amqp::end>("00 53 17 c1 01 00"), "2.3.2: a frame whose body is not a performative");
}

TEST(AmqpError, HasTheCodeThatCallersBranchOn) {
  EXPECT_EQ(amqp::to_error({"amqp:unauthorized-access", "no", {}}).code(), errc::unauthorized);
  EXPECT_EQ(amqp::to_error({"amqp:not-found", "no", {}}).message(), "amqp:not-found: no");
  EXPECT_EQ(amqp::to_errc("com.example:whatever"), errc::server_error);
}

}  // namespace
