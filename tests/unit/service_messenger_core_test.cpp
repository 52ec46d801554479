// The messenger's core against a server that says what the test wants, frame by frame: what no real hub does, or only on a
// bad day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include <iothub/amqp/cbs.hpp>
#include <iothub/service/messenger_core.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using stream = messenger_core::stream;

// Attaches what is asked for, takes every token, and settles messages only when it is told to.
struct hub_server final : amqp::connection_handler {
  amqp::cbs_server cbs;
  std::map<std::string, amqp::link*> links;  // by the address that the client asked for
  std::vector<std::uint32_t> deliveries;
  std::vector<std::string> settled;  // by the client: what it made of our deliveries
  std::map<std::string, std::string> refuse;
  int token_status = 200;
  int answer_tokens = 1000;
  std::uint32_t credit = 100;
  bool ignore_session = false;

  std::optional<amqp::sasl_code> on_sasl(amqp::sasl_login const&, time_point) override { return amqp::sasl_code::ok; }
  void on_open(amqp::open const&, time_point) override {}
  void on_attach(amqp::link& which, amqp::attach const& how, time_point) override {
    std::string const address{which.is_sender() ? how.source.address : how.target.address};
    if (address == "$cbs") return cbs.attach(which, how);
    if (auto const no = refuse.find(address); no != refuse.end()) return which.refuse({no->second, "by the test"});
    links[address] = &which;
    if (!which.is_sender() && credit != 0) which.set_prefetch(credit);
    which.accept();
  }
  void on_credit(amqp::link& which, time_point) override { cbs.on_credit(which); }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    if (links.count("/messages/devicebound") != 0 && links["/messages/devicebound"] == &which)
      return deliveries.push_back(what.id);
    if (answer_tokens-- > 0)
      cbs.receive(which, what, [&](amqp::put_token const&) { return amqp::request_status{token_status, "said the test"}; });
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    settled.push_back(what.state.is == amqp::outcome::accepted   ? "accepted"
                      : what.state.is == amqp::outcome::rejected ? "rejected"
                                                                 : "released");
  }
  void on_detached(amqp::link& which, amqp::end_reason const&, time_point) override {
    cbs.on_detached(which);
    std::erase_if(links, [&](auto const& each) { return each.second == &which; });
  }
  void on_closed(error const&, amqp::error_view const&, time_point) override { links.clear(); }

  amqp::link& sender() { return *links.at("/messages/devicebound"); }
  amqp::link& feedback() { return *links.at("/messages/serviceBound/feedback"); }
  amqp::link& files() { return *links.at("/messages/serviceBound/filenotifications"); }
  void give(amqp::link& to, std::string_view body) {
    amqp::message_view m;
    m.body = amqp::body_kind::data;
    m.data = body;
    byte_buffer out;
    amqp::write_message(m, out);
    EXPECT_TRUE(to.send({.payload = out.view()}).has_value());
  }
};

constexpr std::string_view one_record =
    R"([{"originalMessageId":"m","description":"Success","deviceGenerationId":"1","deviceId":"d",)"
    R"("enqueuedTimeUtc":"2024-01-01T00:00:00Z","statusCode":"Success"}])";
constexpr std::string_view one_file =
    R"({"deviceId":"d","blobUri":"https://b","blobName":"n","lastUpdatedTime":"2024-01-01T00:00:00Z","blobSizeInBytes":1,)"
    R"("enqueuedTimeUtc":"2024-01-01T00:00:01Z"})";

struct MessengerCore : testing::Test, amqp_port, messenger_host {
  result<void> open(endpoint const&, amqp::connection_options const& how, amqp::sasl_credentials login,
                    amqp::connection_handler& owner, time_point at) override {
    ++attempts;
    if (unreachable) return error{errc::connection_refused, "by the test"};
    server.emplace();
    if (prepare) prepare(*server);
    client_side.emplace(amqp::connection_role::client, owner, how, at);
    server_side.emplace(amqp::connection_role::server, *server, server_options, at);
    return client_side->open(std::move(login), at);
  }
  amqp::connection* connection() override { return client_side ? &*client_side : nullptr; }
  void close() override {
    if (client_side) client_side->close();
  }
  void drop() override { client_side.reset(), server_side.reset(); }
  void wake() override {}
  result<std::string> sign(sas_form, std::string_view) override {
    if (cannot_sign) return error{errc::io_error, "by the test"};
    return std::string{"token"};
  }
  [[nodiscard]] utc_time utc_now() const override { return from_unix_seconds(1'704'067'200); }
  void outcome(std::uint64_t id, result<void> what) override {
    outcomes.push_back(std::to_string(id) + (what ? " ok" : " " + std::string{to_string(what.error().code())}));
    if (!what) words = what.error().message();
  }
  void output() override { ++told; }

  MessengerCore() { make({}); }
  void make(messenger_options how) { core.emplace(*this, *this, endpoint{"h", 5671}, "h", how); }
  void run() {
    for (int quiet = 0; quiet != 3; ++quiet) {
      core->step(now);
      if (!client_side) continue;
      client_side->step(now), server_side->step(now);
      bool const asked = move(*client_side, *server_side);
      bool const answered = client_side && move(*server_side, *client_side);
      if (asked || answered) quiet = -1;
    }
  }
  bool move(amqp::connection& from, amqp::connection& to) {
    std::string const out{from.output()};
    from.consume(out.size());
    if (!out.empty()) to.receive(out, now);
    return !out.empty();
  }
  void pass(duration time) {
    now += time;
    run();
  }
  std::uint64_t send(std::string_view body = "hello", c2d_send_options how = {}) {
    message m{.body = std::string{body}};
    m.message_id = "m";
    auto const id = core->send("d", m, how, now);
    EXPECT_TRUE(id.has_value());
    run();
    return id.value_or(0);
  }
  void listen(stream to) {
    core->receive(to, now);
    run();
  }
  std::string next_error(stream of) {
    auto const e = core->take_error(of);
    return e ? std::string{to_string(e->code())} : std::string{};
  }
  void lose() {
    client_side->link_lost(errc::connection_lost, now);
    run();
  }

  time_point now{1h};
  std::function<void(hub_server&)> prepare;
  bool unreachable = false;
  bool cannot_sign = false;
  int attempts = 0;
  int told = 0;
  std::vector<std::string> outcomes;
  std::string words;
  amqp::connection_options server_options = amqp_test::named("server");
  std::optional<hub_server> server;
  std::optional<amqp::connection> client_side;
  std::optional<amqp::connection> server_side;
  std::optional<messenger_core> core;
};

// --- messages

TEST_F(MessengerCore, TellsWhatTheHubMadeOfEachMessage) {
  for (int i = 0; i != 5; ++i) send();
  ASSERT_EQ(server->deliveries.size(), 5u);
  auto const& ids = server->deliveries;
  server->sender().settle(ids[0], amqp::delivery_state::accepted());
  server->sender().settle(ids[1], amqp::delivery_state::rejected({"amqp:not-found", "no such device"}));
  server->sender().settle(ids[2], amqp::delivery_state::rejected());
  server->sender().settle(ids[3], amqp::delivery_state::released());
  amqp::delivery_state modified;
  modified.is = amqp::outcome::modified;
  server->sender().settle(ids[4], modified);
  run();
  EXPECT_THAT(outcomes, ElementsAre("1 ok", "2 device_not_found", "3 bad_request", "4 service_unavailable", "5 service_unavailable"));
  EXPECT_EQ(core->pending(), 0u);
}

TEST_F(MessengerCore, TakesNoMoreThanItIsAllowed) {
  make({.max_pending = 2});
  send(), send();
  message m;
  EXPECT_EQ(core->send("d", m, {}, now).error(), errc::outbox_full);
  EXPECT_EQ(core->send("", m, {}, now).error(), errc::invalid_argument);
  EXPECT_EQ(core->send("a b", m, {}, now).error(), errc::invalid_argument);
  core->forget(1);
  core->forget(77);  // nobody's
  EXPECT_TRUE(core->send("d", m, {}, now).has_value());
}

TEST_F(MessengerCore, AMessageForgottenBeforeItIsSentIsNot) {
  prepare = [](hub_server& s) { s.credit = 0; };
  auto const id = send();
  core->forget(id);
  server->sender().set_prefetch(10);
  run();
  EXPECT_THAT(server->deliveries, IsEmpty());
  EXPECT_THAT(outcomes, IsEmpty());
}

TEST_F(MessengerCore, RefusesWhatIsLargerThanTheHubTakes) {
  server_options.max_message_size = 1000;
  send(std::string(2000, 'x'));
  EXPECT_THAT(outcomes, ElementsAre("1 too_large"));
  send("small");
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, SaysWhetherAMessageThatIsLateWasSent) {
  prepare = [](hub_server& s) { s.credit = 1; };
  send("a", {.timeout = 10s}), send("b", {.timeout = 10s}), send("c", {.timeout = 20s});
  pass(10s);
  EXPECT_THAT(outcomes, ElementsAre("1 timeout", "2 timeout"));
  EXPECT_THAT(words, HasSubstr("could not be sent"));
  EXPECT_EQ(core->next_deadline(), now + 10s);
}

TEST_F(MessengerCore, AMessageOnALostConnectionMayHaveArrived) {
  prepare = [](hub_server& s) { s.credit = 1; };
  send(), send();
  lose();
  EXPECT_THAT(outcomes, ElementsAre("1 connection_lost"));  // the other waits for the next connection
  EXPECT_THAT(words, HasSubstr("not known"));
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, WritesEveryPropertyThatAMessageHas) {
  message m;
  m.creation_time = from_unix_seconds(1);
  m.user_id = "u";
  m.properties = {{"a", "b"}};
  m.properties.push_back({"none"});
  m.properties.back().has_value = false;
  byte_buffer out;
  write_c2d_message("d e", m, feedback_request::none, out);
  amqp::message_view read;
  ASSERT_FALSE(amqp::read_message(out.view(), read));
  EXPECT_EQ(read.properties.to, "/devices/d%20e/messages/devicebound");
  EXPECT_EQ(read.properties.user_id, "u");
  EXPECT_EQ(amqp::to_text(read.application_properties), R"({"a": "b", "none": null})");
  EXPECT_EQ(read.properties.creation_time, 1000);
}

// --- the sender's link ends

TEST_F(MessengerCore, AHubThatIsGoneEndsWhatWaits) {
  prepare = [](hub_server& s) { s.refuse["/messages/devicebound"] = "com.microsoft:iot-hub-not-found-error"; };
  send();
  EXPECT_THAT(outcomes, ElementsAre("1 not_found"));
}

TEST_F(MessengerCore, ABusyHubIsAskedAgainLater) {
  prepare = [](hub_server& s) { s.refuse["/messages/devicebound"] = "com.microsoft:server-busy"; };
  send();
  EXPECT_THAT(outcomes, IsEmpty());
  EXPECT_LE(core->next_deadline(), now + 31s);
  server->refuse.clear();
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 1u);
  EXPECT_EQ(attempts, 1);
}

TEST_F(MessengerCore, ALinkThatEndsLeavesOpenWhatWasSent) {
  prepare = [](hub_server& s) { s.credit = 1; };
  send(), send();
  server->sender().detach();
  run();
  EXPECT_THAT(outcomes, ElementsAre("1 connection_lost"));
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 2u);
  server->sender().settle(server->deliveries[1], amqp::delivery_state::accepted());
  run();
  EXPECT_THAT(outcomes, ElementsAre("1 connection_lost", "2 ok"));
}

TEST_F(MessengerCore, ATokenThatEndedIsShownAnewOnANewConnection) {
  prepare = [](hub_server& s) { s.credit = 1; };
  send(), send();
  server->sender().detach({"amqp:unauthorized-access", "the token has expired"});
  run();
  EXPECT_THAT(outcomes, ElementsAre("1 connection_lost"));
  pass(31s);
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, WhoMayNotSendIsToldSo) {
  prepare = [](hub_server& s) { s.refuse["/messages/devicebound"] = "amqp:unauthorized-access"; };
  send();
  EXPECT_THAT(outcomes, ElementsAre("1 unauthorized"));
}

// --- feedback and file notifications

TEST_F(MessengerCore, ReceivesFeedbackAndFileNotificationsAtTheSameTime) {
  listen(stream::feedback), listen(stream::files);
  listen(stream::files);  // asking twice is asking once
  server->give(server->feedback(), one_record);
  server->give(server->files(), one_file);
  run();
  feedback_batch batch;
  file_notification file;
  EXPECT_TRUE(core->has(stream::feedback) && core->has(stream::files));
  ASSERT_TRUE(core->take(batch));
  ASSERT_TRUE(core->take(file));
  EXPECT_FALSE(core->take(batch));
  EXPECT_FALSE(core->take(file));
  EXPECT_EQ(batch.records.at(0).original_message_id, "m");
  EXPECT_EQ(batch.enqueued_time, no_time);  // the annotation was not there
  EXPECT_EQ(file.blob_name, "n");
  EXPECT_TRUE(core->settle(stream::feedback, batch.lock, true).has_value());
  EXPECT_TRUE(core->settle(stream::files, file.lock, false).has_value());
  run();
  EXPECT_THAT(server->settled, ElementsAre("accepted", "released"));
}

TEST_F(MessengerCore, RejectsWhatCannotBeRead) {
  listen(stream::feedback), listen(stream::files);
  server->give(server->feedback(), "no feedback");
  server->give(server->files(), "[]");
  EXPECT_TRUE(server->feedback().send({.payload = std::string_view{"no message"}}).has_value());
  run();
  EXPECT_THAT(server->settled, ElementsAre("rejected", "rejected", "rejected"));
  EXPECT_FALSE(core->has(stream::feedback) || core->has(stream::files));
}

TEST_F(MessengerCore, ALockEndsWithItsConnection) {
  listen(stream::feedback);
  server->give(server->feedback(), one_record);
  run();
  feedback_batch batch;
  ASSERT_TRUE(core->take(batch));
  lose();
  EXPECT_EQ(core->settle(stream::feedback, batch.lock, true).error(), errc::lock_lost);
  pass(31s);
  EXPECT_EQ(core->settle(stream::feedback, batch.lock, true).error(), errc::lock_lost);
}

TEST_F(MessengerCore, WhoMayNotHearFeedbackIsToldAndAskedNoMore) {
  prepare = [](hub_server& s) { s.refuse["/messages/serviceBound/feedback"] = "amqp:unauthorized-access"; };
  listen(stream::feedback);
  EXPECT_EQ(next_error(stream::feedback), "unauthorized");
  EXPECT_EQ(next_error(stream::feedback), "");
  EXPECT_EQ(next_error(stream::files), "");
  server->refuse.clear();
  pass(61s);
  EXPECT_THAT(server->links, IsEmpty());
}

TEST_F(MessengerCore, AReceiverThatEndsIsAttachedAgain) {
  listen(stream::feedback), listen(stream::files);
  server->files().detach({"com.microsoft:server-busy", "later"});
  run();
  EXPECT_EQ(next_error(stream::files), "");
  EXPECT_LE(core->next_deadline(), now + 31s);
  pass(31s);
  EXPECT_EQ(server->links.size(), 2u);
  server->feedback().detach({"amqp:unauthorized-access", "the token has expired"});
  run();
  EXPECT_EQ(next_error(stream::feedback), "");
  pass(31s);
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(server->links.size(), 2u);
}

// --- the connection

TEST_F(MessengerCore, ARefusedTokenEndsEverything) {
  prepare = [](hub_server& s) { s.token_status = 401; };
  core->receive(stream::feedback, now);
  send();
  EXPECT_THAT(outcomes, ElementsAre("1 unauthorized"));
  EXPECT_EQ(next_error(stream::feedback), "unauthorized");
  EXPECT_EQ(core->next_deadline(), never);
  EXPECT_EQ(core->describe(), "");
}

TEST_F(MessengerCore, AHubThatIsTooBusyForATokenIsAskedAgain) {
  for (int status : {429, 500, 503}) {
    prepare = [status](hub_server& s) { s.token_status = status; };
    make({});
    send();
    EXPECT_THAT(outcomes, IsEmpty()) << status;
    prepare = nullptr;
    pass(31s);
    EXPECT_EQ(server->deliveries.size(), 1u) << status;
  }
}

// Back-off begins anew where a token was taken, not where a session was.
TEST_F(MessengerCore, AHubThatIsSilentAboutTokensIsAskedLessAndLess) {
  prepare = [](hub_server& s) { s.answer_tokens = 0; };
  make({.token_timeout = 100ms});
  send("a", {.timeout = 24h});
  time_point const from = now;
  while (attempts != 20 && now < from + 1h) pass(core->next_deadline() > now ? core->next_deadline() - now : duration{1ms});
  EXPECT_EQ(attempts, 20);
  EXPECT_GT(now - from, 60s);
}

TEST_F(MessengerCore, AMessageIsLateAlsoWhereThereIsNoSession) {
  prepare = [](hub_server& s) { s.answer_tokens = 0; };
  send("a", {.timeout = 5s});
  EXPECT_EQ(core->next_deadline(), now + 5s);
}

TEST_F(MessengerCore, FeedbackThatNobodyTookGoesWithItsConnection) {
  listen(stream::feedback);
  server->give(server->feedback(), one_record);
  run();
  EXPECT_TRUE(core->has(stream::feedback));
  lose();
  EXPECT_FALSE(core->has(stream::feedback));  // its lock is gone: the hub delivers it again
}

TEST_F(MessengerCore, AHubThatIsAwayIsAskedAgain) {
  unreachable = true;
  send();
  EXPECT_THAT(outcomes, IsEmpty());
  unreachable = false;
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, WhatCannotBeSignedIsTriedAgain) {
  cannot_sign = true;
  send();
  EXPECT_THAT(server->links, IsEmpty());
  cannot_sign = false;
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, ConnectsAgainWhereTheTokenIsNotAnswered) {
  prepare = [](hub_server& s) { s.answer_tokens = 0; };
  send("a", {.timeout = 1h});
  prepare = nullptr;
  pass(61s);
  pass(31s);
  EXPECT_EQ(server->deliveries.size(), 1u);
}

TEST_F(MessengerCore, AServerThatEndsTheSessionOrTheTokensNodeIsAskedAgain) {
  for (char const* what : {"session", "session with a reason", "node"}) {
    listen(stream::feedback);
    amqp::link& link = server->feedback();
    if (what == std::string_view{"session"}) link.parent().end();
    if (what == std::string_view{"session with a reason"}) link.parent().end({"amqp:internal-error", "later"});
    if (what == std::string_view{"node"}) server_side->close({"amqp:connection:forced", "later"});
    run();
    EXPECT_EQ(next_error(stream::feedback), "") << what;
    pass(61s);
    EXPECT_EQ(server->links.size(), 1u) << what;
  }
}

TEST_F(MessengerCore, AGoodByeWithoutAReasonIsALostConnection) {
  listen(stream::feedback);
  server_side->close();
  run();
  pass(31s);
  EXPECT_EQ(server->links.size(), 1u);
}

TEST_F(MessengerCore, RestsWhereNobodyWantsAnything) {
  send();
  server->sender().settle(server->deliveries[0], amqp::delivery_state::accepted());
  run();
  lose();
  pass(1h);
  EXPECT_EQ(attempts, 1);
  send();
  EXPECT_EQ(attempts, 2);
}

TEST_F(MessengerCore, RenewsItsTokenWhenItIsTold) {
  make({.token_lifetime = 100s, .token_margin = 90s});
  listen(stream::feedback);
  cannot_sign = true;  // nobody asks yet
  pass(9s);
  EXPECT_EQ(server->links.size(), 1u);
  pass(1s);
  EXPECT_NE(core->state(), kept_connection::state_type::ready);
}

TEST_F(MessengerCore, SaysWhatItWaitsFor) {
  EXPECT_EQ(core->describe(), "");
  prepare = [](hub_server& s) { s.credit = 0; };
  send();
  EXPECT_EQ(core->describe(), "a service messenger waits for h to take 1 message(s)");
  core->forget(1);
  EXPECT_EQ(core->describe(), "a service messenger waits for h");
  listen(stream::feedback);
  EXPECT_EQ(core->describe(), "a service messenger waits for h to send feedback");
}

TEST_F(MessengerCore, EndsWhatWaitsWhenItIsClosed) {
  listen(stream::feedback);
  prepare = [](hub_server& s) { s.credit = 1; };
  send(), send();
  core->close();
  EXPECT_THAT(outcomes, ElementsAre("1 closed", "2 closed"));
  run();
  EXPECT_EQ(core->state(), kept_connection::state_type::idle);
  core->close();
  EXPECT_EQ(core->describe(), "");
}

// --- options

TEST(MessengerOptions, SayWhatIsWrong) {
  auto const wrong = [](auto change, std::string_view word) {
    messenger_options o;
    change(o);
    auto const checked = validate(o);
    ASSERT_FALSE(checked) << word;
    EXPECT_EQ(checked.error(), errc::invalid_argument);
    EXPECT_THAT(checked.error().message(), HasSubstr(std::string{word}));
  };
  using options = messenger_options;
  EXPECT_TRUE(validate(options{}));
  wrong([](options& o) { o.amqps_port = 0; }, "port");
  wrong([](options& o) { o.sasl = amqp::sasl_mechanism::plain; }, "sasl");
  wrong([](options& o) { o.sasl = amqp::sasl_mechanism::external; }, "sasl");
  wrong([](options& o) { o.connect_timeout = 0s; }, "time limit");
  wrong([](options& o) { o.token_timeout = 0s; }, "time limit");
  wrong([](options& o) { o.idle_timeout = -1s; }, "time limit");
  wrong([](options& o) { o.token_lifetime = 59s; }, "token_lifetime");
  wrong([](options& o) { o.token_margin = -1s; }, "token_margin");
  wrong([](options& o) { o.token_margin = 3600s; }, "token_margin");
  wrong([](options& o) { o.max_pending = 0; }, "queue");
  wrong([](options& o) { o.feedback_window = 0; }, "queue");
  wrong([](options& o) { o.retry.shortest = -1s; }, "retry");
  wrong([](options& o) { o.retry.first = -1s; }, "retry");
  wrong([](options& o) { o.retry.longest = 1ms; }, "retry");
}

}  // namespace
