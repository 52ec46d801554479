// Claims-based security, and the queue of answers that wait for credit.
#include <gtest/gtest.h>

#include <string>

#include <iothub/amqp/cbs.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace amqp_test;
using amqp::value;

// A pair whose server has $cbs and whose client uses it.
struct cbs_pair : pair {
  amqp::cbs_server node;
  amqp::cbs_client puts;
  std::string told;      // what the client learned
  std::string requests;  // what the server was asked

  using pair::pair;

  amqp::session& start() {
    s.attach = [this](amqp::link& which, amqp::attach const& how) { node.attach(which, how); };
    s.credit = [this](amqp::link& which) { node.on_credit(which); };
    s.transfer = [this](amqp::link& which, amqp::delivery const& what) {
      node.receive(which, what, [this](amqp::put_token const& asked) {
        requests.append(asked.type).append(" ").append(asked.name).append(" ").append(asked.token).append("|");
        return asked.token == "good" ? amqp::request_status{200, "OK"} : amqp::request_status{401, "bad token"};
      });
    };
    c.credit = [this](amqp::link& which) { puts.on_credit(which); };
    c.transfer = [this](amqp::link& which, amqp::delivery const& what) {
      if (auto const outcome = puts.on_transfer(which, what)) tell(*outcome);
    };
    amqp::session& on = connect();
    EXPECT_TRUE(puts.start(on).has_value());
    return on;
  }
  void tell(amqp::cbs_client::outcome const& outcome) {
    told.append(std::to_string(outcome.id)).append(outcome.what ? " ok|" : " ");
    if (!outcome.what) told.append(outcome.what.error().message()).append("|");
  }
};

TEST(AmqpCbs, PutsTokensAndLearnsWhatBecameOfThem) {
  for (std::size_t const piece : {1u << 20, 1u}) {
    cbs_pair p{piece};
    p.start();
    EXPECT_EQ(p.puts.put("hub/devices/d", "good", "servicebus.windows.net:sastoken", never), 1u);
    EXPECT_EQ(p.puts.put("hub/devices/e", "bad", "jwt", never), 2u);
    EXPECT_FALSE(p.puts.idle());
    p.run();
    EXPECT_EQ(p.requests, "servicebus.windows.net:sastoken hub/devices/d good|jwt hub/devices/e bad|");
    EXPECT_EQ(p.told, "1 ok|2 bad token|");
    EXPECT_TRUE(p.puts.idle());
  }
}

TEST(AmqpCbs, GivesUpInTime) {
  cbs_pair p;
  p.start();
  p.s.transfer = nullptr;
  p.puts.put("a", "good", "jwt", p.now + std::chrono::seconds{10});
  p.run();
  EXPECT_EQ(p.puts.deadline(), p.now + std::chrono::seconds{10});
  EXPECT_FALSE(p.puts.expire(p.now).has_value());
  auto const late = p.puts.expire(p.now + std::chrono::seconds{10});
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->what.error(), errc::timeout);
  EXPECT_EQ(p.puts.deadline(), never);
}

TEST(AmqpCbs, FailsWhatWaitsWhenALinkGoes) {
  cbs_pair p;
  p.start();
  p.run();
  p.s.transfer = nullptr;
  p.puts.put("a", "good", "jwt", never);
  p.puts.on_detached(*p.c.links.at(0));
  EXPECT_FALSE(p.puts.owns(*p.c.links.at(0)));
  auto const gone = p.puts.expire(p.now);
  ASSERT_TRUE(gone.has_value());
  EXPECT_EQ(gone->what.error(), errc::closed);
}

TEST(AmqpCbs, RefusesWhatIsNoRequest) {
  cbs_pair p;
  amqp::session& on = p.start();
  p.run();
  amqp::link& raw = p.attach(on, amqp::link_role::sender, "raw");
  p.run();
  std::string const nothing = bytes("00 53 77 40");
  ASSERT_TRUE(raw.send({.payload = nothing}).has_value());
  p.c.log.clear();
  p.run();
  EXPECT_EQ(p.c.take(), "disposition raw 0 rejected settled amqp:decode-error");
}

// The requests of Azure's clients differ in the type of the message id; the answer repeats it.
TEST(AmqpCbs, RepeatsTheMessageIdInItsType) {
  for (value const& id : {value{"m1"}, value{std::uint64_t{0}}, value::uuid("0123456789abcdef"), value::binary("b")}) {
    byte_buffer request;
    amqp::put_token what;
    what.message_id = id.bytes();
    what.type = "jwt";
    what.name = "sb://h/e";
    what.token = "t";
    what.expiration = 5;
    amqp::write_put_token(what, request);
    amqp::message_view message;
    ASSERT_FALSE(amqp::read_message(request.view(), message));
    amqp::put_token read;
    ASSERT_TRUE(amqp::read_put_token(message, read));
    EXPECT_EQ(read.expiration, 5);
    byte_buffer answer;
    amqp::write_response(read.message_id, {202, "Accepted"}, answer);
    amqp::message_view answered;
    ASSERT_FALSE(amqp::read_message(answer.view(), answered));
    EXPECT_EQ(hex(answered.properties.correlation_id), hex(id.bytes()));
    EXPECT_EQ(amqp::find(answered.application_properties, "status-code").type(), amqp::kind::int32);
    EXPECT_EQ(amqp::read_status(answered).code, 202);
    EXPECT_EQ(amqp::read_status(answered).description, "Accepted");
  }
}

TEST(AmqpCbs, AnswerIsGolden) {
  byte_buffer answer;
  value const id{std::uint64_t{0}};
  amqp::write_response(id.bytes(), {200, "OK"}, answer);
  EXPECT_EQ(hex(answer.view()),
            "00 53 73 c0 07 06 40 40 40 40 40 44 "                                      // correlation-id: ulong 0
            "00 53 74 c1 2b 04 a1 0b 73 74 61 74 75 73 2d 63 6f 64 65 71 00 00 00 c8 "  // status-code: int 200
            "a1 12 73 74 61 74 75 73 2d 64 65 73 63 72 69 70 74 69 6f 6e a1 02 4f 4b "
            "00 53 77 40");
}

TEST(AmqpCbs, ReadsTheOtherNamesOfTheStatus) {
  value const properties = value::string_map({{"statusCode", 404}, {"statusDescription", "no"}});
  amqp::message_view message;
  message.application_properties = properties.bytes();
  EXPECT_EQ(amqp::read_status(message).code, 404);
  EXPECT_EQ(amqp::read_status(message).description, "no");
  EXPECT_EQ(amqp::read_status({}).code, 0);
}

TEST(AmqpCbs, AnswersOnTheLinkWhoseTargetIsTheReplyTo) {
  cbs_pair p;
  amqp::session& first = p.start();
  p.run();
  amqp::session& second = **p.client.begin();
  p.run();
  amqp::attach how;  // a client that has its two links in two sessions, as azure-iot-sdk-java may
  how.name = "replies";
  how.role = amqp::link_role::receiver;
  how.has_source = how.has_target = true;
  how.source = amqp::source::at("$cbs");
  how.target = amqp::target::at("my-replies");
  (*second.attach(how))->add_credit(5);
  amqp::link& out = p.attach(first, amqp::link_role::sender, "requests");
  value const id{"m"};
  amqp::put_token what;
  what.message_id = id.bytes();
  what.reply_to = "my-replies";
  what.token = "good";
  byte_buffer request;
  amqp::write_put_token(what, request);
  ASSERT_TRUE(out.send({.payload = request.view(), .settled = true}).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "transfer replies 0 settled");
  what.reply_to = "elsewhere";
  request.clear();
  amqp::write_put_token(what, request);
  ASSERT_TRUE(out.send({.payload = request.view(), .settled = true}).has_value());
  p.run();
  EXPECT_EQ(p.c.take(), "transfer cbs-receiver 0 settled");
}

TEST(AmqpSendQueue, KeepsMessagesUntilThereIsCredit) {
  pair p;
  amqp::session& on = p.connect();
  amqp::link& out = p.attach(on, amqp::link_role::sender, "l");
  amqp::send_queue waiting{20};
  EXPECT_TRUE(waiting.push("one", out));
  EXPECT_TRUE(waiting.push("two", out));
  EXPECT_FALSE(waiting.push("too long for it", out));
  EXPECT_EQ(waiting.size(), 14u);
  p.c.credit = [&](amqp::link& which) { waiting.pump(which); };
  p.s.links.at(0)->add_credit(1);
  p.run();
  EXPECT_EQ(p.s.payloads, std::vector<std::string>{"one"});
  p.s.links.at(0)->add_credit(5);
  p.run();
  EXPECT_TRUE(waiting.empty());
  EXPECT_TRUE(waiting.push("three", out));
  p.run();
  EXPECT_EQ(p.s.payloads, (std::vector<std::string>{"one", "two", "three"}));
  out.detach();
  EXPECT_TRUE(waiting.push("four", out));
  waiting.clear();
  EXPECT_TRUE(waiting.empty());
}

}  // namespace
