// The event reader's core against a server that says what the test wants, frame by frame: what no real endpoint does, or
// only on a bad day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/send_queue.hpp>
#include <iothub/service/event_reader_core.hpp>

#include "amqp_peers.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The server: takes every token, answers $management, and attaches receivers as it is told.
struct endpoint_server final : amqp::connection_handler {
  amqp::cbs_server cbs;
  std::vector<std::string> said;  // what the client asked for
  std::map<std::string, amqp::link*> receivers;
  amqp::link* management_in = nullptr;
  amqp::link* management_out = nullptr;
  amqp::send_queue answers;
  int token_status = 200;
  int management_status = 200;
  bool answer_management = true;
  bool give_partitions = true;
  bool partitions_as_list = false;
  bool answer_somebody_else_first = false;
  std::string refuse_management;
  std::int64_t last_sequence = 41;
  std::map<std::string, std::string> refuse;  // condition, by a part of the address
  std::optional<amqp::value> redirect;

  std::optional<amqp::sasl_code> on_sasl(amqp::sasl_login const& who, time_point) override {
    said.push_back("sasl " + std::string{amqp::to_string(who.mechanism)});
    return amqp::sasl_code::ok;
  }
  void on_open(amqp::open const&, time_point) override {}
  void on_attach(amqp::link& which, amqp::attach const& how, time_point) override {
    std::string const address{which.is_sender() ? how.source.address : how.target.address};
    if (address == "$cbs") return cbs.attach(which, how);
    if (address == "$management") {
      if (!refuse_management.empty()) return which.refuse({refuse_management, "by the test"});
      (which.is_sender() ? management_out : management_in) = &which;
      if (!which.is_sender()) which.set_prefetch(10);
      return which.accept();
    }
    if (address.starts_with("/messages/events")) {
      if (!redirect) return which.accept();
      return which.refuse({amqp::condition::link_redirect, "there", redirect->bytes()});
    }
    auto const filter = amqp::find(how.source.filter, "apache.org:selector-filter:string");
    amqp::value_view name, content;
    EXPECT_TRUE(amqp::split_described(filter, name, content));
    EXPECT_EQ(name.as_uint(), 0x468C00000004u);
    std::string line = address + " " + std::string{*content.as_text()};
    if (auto const epoch = amqp::find(how.properties, "com.microsoft:epoch").as_int()) line += " epoch " + std::to_string(*epoch);
    said.push_back(line);
    for (auto const& [part, condition] : refuse)
      if (address.find(part) != std::string::npos) return which.refuse({condition, "by the test"});
    receivers[address.substr(address.rfind('/') + 1)] = &which;
    which.accept();
  }
  void on_credit(amqp::link& which, time_point) override {
    if (&which == management_out) return answers.pump(which);
    cbs.on_credit(which);
  }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    if (&which != management_in) {
      cbs.receive(which, what, [&](amqp::put_token const& request) {
        said.push_back("token " + std::string{request.name});
        EXPECT_EQ(request.type, "servicebus.windows.net:sastoken");
        return amqp::request_status{token_status, "said the test"};
      });
      return;
    }
    amqp::message_view m;
    EXPECT_FALSE(amqp::read_message(what.payload, m));
    if (!what.settled) which.settle(what.id);
    said.push_back("READ " + amqp::to_text(m.application_properties));
    if (!answer_management) return;
    if (answer_somebody_else_first) {
      byte_buffer stray;
      amqp::value const nobody{"nobody"};
      amqp::write_response_head(nobody.bytes(), {200, "said the test"}, stray);
      amqp::writer{stray}.describe(amqp::descriptor::amqp_value);
      amqp::writer{stray}.null();
      EXPECT_TRUE(answers.push(stray.view(), *management_out));
      EXPECT_TRUE(answers.push("no message", *management_out));
    }
    byte_buffer out;
    amqp::write_response_head(m.properties.message_id, {management_status, "said the test"}, out);
    amqp::writer w{out};
    w.describe(amqp::descriptor::amqp_value);
    auto const begun = w.begin_compound();
    std::vector<std::string> const ids = give_partitions ? std::vector<std::string>{"0", "1"} : std::vector<std::string>{};
    w.string("partition_ids");
    if (partitions_as_list) {
      auto const list = w.begin_compound();
      for (auto const& id : ids) w.string(id);
      w.end_list(list, static_cast<std::uint32_t>(ids.size()));
    } else {
      w.string_array(ids);
    }
    w.string("last_enqueued_sequence_number"), w.int64(last_sequence);
    w.end_map(begun, 4);
    EXPECT_TRUE(answers.push(out.view(), *management_out));
  }
  void on_detached(amqp::link& which, amqp::end_reason const&, time_point) override {
    cbs.on_detached(which);
    std::erase_if(receivers, [&](auto const& each) { return each.second == &which; });
  }
  void on_closed(error const&, amqp::error_view const&, time_point) override { receivers.clear(); }

  void send(std::string const& partition, std::int64_t sequence, std::string_view device, bool settled = true,
            std::string_view raw = {}) {
    auto const annotations = amqp::value::symbol_map({{"x-opt-sequence-number", sequence},
                                                      {"x-opt-offset", std::to_string(10 * sequence)},
                                                      {"iothub-connection-device-id", device}});
    amqp::message_view m;
    m.message_annotations = annotations.bytes();
    m.body = amqp::body_kind::data;
    m.data = device;
    byte_buffer out;
    if (raw.empty())
      amqp::write_message(m, out);
    else
      out.append(raw);
    EXPECT_TRUE(receivers.at(partition)->send({.payload = out.view(), .settled = settled}).has_value());
  }
};

struct EventCore : testing::Test, amqp_port, event_reader_host {
  // --- amqp_port: a client connection and a server's, back to back
  result<void> open(endpoint const& where, amqp::connection_options const& how, amqp::sasl_credentials login,
                    amqp::connection_handler& owner, time_point at) override {
    peers.push_back(where.host + ":" + std::to_string(where.port));
    if (refuse_connections) return error{errc::connection_refused, "by the test"};
    options = how;
    server.emplace();
    server->cbs = {};
    if (prepare) prepare(*server);
    client_side.emplace(amqp::connection_role::client, owner, options, at);
    server_side.emplace(amqp::connection_role::server, *server, server_options, at);
    return client_side->open(std::move(login), at);
  }
  amqp::connection* connection() override { return client_side ? &*client_side : nullptr; }
  void close() override {
    if (client_side) client_side->close();
  }
  void drop() override { client_side.reset(), server_side.reset(); }
  void wake() override {}
  // --- event_reader_host
  result<std::string> sign(sas_form form, std::string_view resource) override {
    signed_for.push_back((form == sas_form::iot_hub ? "hub " : "events ") + std::string{resource});
    return std::string{"token"};
  }
  [[nodiscard]] utc_time utc_now() const override { return from_unix_seconds(1'704'067'200) + (now - time_point{}); }
  void output() override {}

  void run() {
    for (int quiet = 0; quiet != 3; ++quiet) {
      core->step(now);
      if (!client_side) continue;
      client_side->step(now), server_side->step(now);
      bool const asked = move(*client_side, *server_side);
      bool const answered = move(*server_side, *client_side);
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
  void make(event_reader_options how, std::string_view text = "Endpoint=sb://e/;SharedAccessKeyName=x;SharedAccessKey=eA==;EntityPath=h") {
    how.reader_name = "r";
    core.emplace(*this, *this, parse_event_source(text, how).value(), how);
    core->begin(now);
    run();
  }
  std::vector<std::string> bodies() {
    std::vector<std::string> all;
    for (hub_event e; core->take(e);) {
      all.push_back(e.partition + ":" + std::to_string(e.sequence_number));
      if (e.missed_before != 0) all.back() += " missed " + std::to_string(e.missed_before);
    }
    run();
    return all;
  }
  std::vector<reader_notice> notices() {
    std::vector<reader_notice> all;
    for (reader_notice n; core->take_notice(n);) all.push_back(std::move(n));
    return all;
  }
  std::string next_error() {
    auto const e = core->take_error();
    return e ? std::string{to_string(e->code())} : std::string{};
  }

  time_point now{1h};
  std::vector<std::string> peers;
  std::vector<std::string> signed_for;
  std::function<void(endpoint_server&)> prepare;
  bool refuse_connections = false;
  std::optional<event_reader_core> core;
  amqp::connection_options options;
  amqp::connection_options server_options = amqp_test::named("server");
  std::optional<endpoint_server> server;
  std::optional<amqp::connection> client_side;
  std::optional<amqp::connection> server_side;
};

TEST_F(EventCore, AsksForPartitionsThenForEvents) {
  make({.start = event_position::earliest()});
  EXPECT_THAT(server->said,
              ElementsAre("sasl ANONYMOUS", "token sb://e/h",
                          R"(READ {"operation": "READ", "name": "h", "type": "com.microsoft:eventhub"})",
                          "h/ConsumerGroups/$Default/Partitions/0 amqp.annotation.x-opt-offset > '-1'",
                          "h/ConsumerGroups/$Default/Partitions/1 amqp.annotation.x-opt-offset > '-1'"));
  EXPECT_THAT(signed_for, ElementsAre("events sb://e/h"));
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, AsksWhereTheLatestIs) {
  make({.partitions = {"1"}, .start = event_position::latest()});
  EXPECT_EQ(server->said.back(), "h/ConsumerGroups/$Default/Partitions/1 amqp.annotation.x-opt-sequence-number > '41'");
}

TEST_F(EventCore, TakesTheEndpointsWordWhereTheLatestIsNotTold) {
  prepare = [](endpoint_server& s) { s.management_status = 500; };
  make({.partitions = {"1"}, .start = event_position::latest()});
  EXPECT_EQ(server->said.back(), "h/ConsumerGroups/$Default/Partitions/1 amqp.annotation.x-opt-offset > '@latest'");
}

TEST_F(EventCore, BeginsAtTheBeginningOfAPartitionThatIsEmpty) {
  prepare = [](endpoint_server& s) { s.last_sequence = -1; };
  make({.partitions = {"1"}, .start = event_position::latest()});
  EXPECT_EQ(server->said.back(), "h/ConsumerGroups/$Default/Partitions/1 amqp.annotation.x-opt-offset > '-1'");
}

TEST_F(EventCore, FollowsTheRedirect) {
  prepare = [](endpoint_server& s) {
    s.redirect = amqp::value::symbol_map({{"hostname", "ns.servicebus.windows.net"},
                                          {"port", std::uint32_t{5671}},
                                          {"address", "amqps://ns.servicebus.windows.net:5671/entity/$management"}});
  };
  make({.start = event_position::earliest()}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
  EXPECT_THAT(peers, ElementsAre("hub.net:5671", "ns.servicebus.windows.net:5671"));
  EXPECT_THAT(signed_for, ElementsAre("hub hub.net", "events sb://ns.servicebus.windows.net/entity"));
  EXPECT_EQ(core->entity(), "entity");
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, RefusesARedirectToNowhere) {
  prepare = [](endpoint_server& s) { s.redirect = amqp::value::symbol_map({{"hostname", "ns"}}); };
  make({}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "protocol_error");
}

TEST_F(EventCore, SaysThatAHubDoesNotRedirect) {
  make({}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
  EXPECT_EQ(next_error(), "protocol_error");
  EXPECT_FALSE(core->failed());  // it is tried again
}

TEST_F(EventCore, AsksTheHubAgainWhenItsEndpointIsGone) {
  prepare = [](endpoint_server& s) {
    s.redirect = amqp::value::symbol_map({{"hostname", "ns"}, {"address", "amqps://ns:5671/entity/"}});
  };
  make({.start = event_position::earliest()}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
  ASSERT_TRUE(core->reading());
  peers.clear();
  refuse_connections = true;
  client_side->link_lost(errc::connection_lost, now);
  for (int i = 0; i != 5; ++i) pass(31s);
  refuse_connections = false;
  for (int i = 0; i != 3; ++i) pass(31s);
  EXPECT_EQ(peers[0], "ns:5671");
  EXPECT_THAT(peers, testing::Contains("hub.net:5671"));
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, GoesOnBehindWhatItReceivedNotBehindWhatItHandedOut) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  for (int i = 0; i != 3; ++i) server->send("0", i, "d");
  run();
  hub_event first;
  ASSERT_TRUE(core->take(first));
  client_side->link_lost(errc::connection_lost, now);
  pass(31s);
  EXPECT_EQ(server->said.back(), "h/ConsumerGroups/$Default/Partitions/0 amqp.annotation.x-opt-offset > '20'");
  server->send("0", 3, "d");
  run();
  EXPECT_THAT(bodies(), ElementsAre("0:1", "0:2", "0:3"));
}

TEST_F(EventCore, CountsWhatIsMissing) {
  make({.partitions = {"0"}, .start = event_position::sequence_number(4)});
  server->send("0", 5, "d");
  server->send("0", 9, "d");
  run();
  EXPECT_THAT(bodies(), ElementsAre("0:5", "0:9 missed 3"));
  EXPECT_EQ(core->missed(), 3u);
}

TEST_F(EventCore, SettlesWhatComesUnsettledAndPassesOverWhatIsNoMessage) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .prefetch = 2});
  server->send("0", 0, "d", false);
  server->send("0", 1, "d", true, "nonsense");
  run();
  EXPECT_EQ(server->receivers.at("0")->unsettled(), 0u);
  EXPECT_THAT(bodies(), ElementsAre("0:0"));
  server->send("0", 2, "d");  // there is credit again for both
  server->send("0", 3, "d");
  run();
  EXPECT_THAT(bodies(), ElementsAre("0:2 missed 1", "0:3"));
}

TEST_F(EventCore, GivesCreditOnlyForWhatWasTaken) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .prefetch = 4});
  EXPECT_EQ(server->receivers.at("0")->credit(), 4u);
  for (int i = 0; i != 4; ++i) server->send("0", i, "d");
  run();
  EXPECT_EQ(server->receivers.at("0")->credit(), 0u);
  hub_event e;
  ASSERT_TRUE(core->take(e) && core->take(e) && core->take(e));  // two are finished
  run();
  EXPECT_EQ(server->receivers.at("0")->credit(), 2u);
}

TEST_F(EventCore, EndsAPartitionThatIsRefusedForGood) {
  prepare = [](endpoint_server& s) { s.refuse = {{"Partitions/1", "amqp:not-found"}}; };
  make({.start = event_position::earliest()});
  EXPECT_EQ(next_error(), "not_found");
  EXPECT_FALSE(core->failed());
  EXPECT_THAT(core->partitions(), ElementsAre("0"));
  pass(50s);
  EXPECT_EQ(server->receivers.size(), 1u);
}

TEST_F(EventCore, TriesAPartitionAgainThatIsBusy) {
  prepare = [](endpoint_server& s) { s.refuse = {{"Partitions/1", "com.microsoft:server-busy"}}; };
  make({.start = event_position::earliest()});
  EXPECT_EQ(next_error(), "");
  EXPECT_LE(core->next_deadline(), now + 31s);
  server->refuse.clear();
  pass(31s);
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, FailsWhereItMayNotRead) {
  prepare = [](endpoint_server& s) { s.refuse = {{"Partitions", "amqp:unauthorized-access"}}; };
  make({.start = event_position::earliest()});
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "unauthorized");
}

TEST_F(EventCore, FailsWhereItsTokenIsRefused) {
  prepare = [](endpoint_server& s) { s.token_status = 401; };
  make({.start = event_position::earliest()});
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "unauthorized");
  EXPECT_EQ(core->next_deadline(), never);
}

TEST_F(EventCore, ConnectsAgainWhereManagementIsSilent) {
  prepare = [](endpoint_server& s) { s.answer_management = false; };
  make({.start = event_position::earliest()});
  pass(61s);
  EXPECT_EQ(next_error(), "");  // it was connected before
  prepare = nullptr;
  pass(31s);
  pass(31s);
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, RefusesAnEndpointWithoutPartitions) {
  prepare = [](endpoint_server& s) { s.give_partitions = false; };
  make({.start = event_position::earliest()});
  reader_notice n;
  std::vector<errc> why;
  while (core->take_notice(n))
    if (n.what == reader_notice::kind::disconnected) why.push_back(n.why.code());
  EXPECT_THAT(why, ElementsAre(errc::protocol_error));
}

TEST_F(EventCore, RenewsItsTokenBeforeItEnds) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .token_lifetime = 100s});
  EXPECT_EQ(signed_for.size(), 1u);
  pass(79s);
  EXPECT_EQ(signed_for.size(), 1u);
  pass(1s);
  EXPECT_EQ(signed_for.size(), 2u);
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, BearsATokenThatEndsWithoutARenewal) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  server->receivers.at("0")->detach({"amqp:unauthorized-access", "the token has expired"});
  run();
  EXPECT_FALSE(core->failed());
  pass(31s);
  EXPECT_TRUE(core->reading());
  EXPECT_EQ(signed_for.size(), 2u);
}

TEST_F(EventCore, FailsWhereTheStoreCannotSayWhereToBegin) {
  struct broken final : checkpoint_store {
    error const no{errc::io_error, "the disk is gone"};
    result<std::vector<event_checkpoint>> checkpoints(event_scope const&) override { return no; }
    result<void> save(event_scope const&, event_checkpoint const&) override { return no; }
    result<std::vector<partition_claim>> claims(event_scope const&) override { return no; }
    result<void> claim(event_scope const&, partition_claim const&, partition_claim const&) override { return no; }
  } store;
  make({.start = event_position::earliest(), .checkpoints = &store});
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "io_error");
}

// --- $management on a bad day

TEST_F(EventCore, TakesThePartitionsAsAListToo) {
  prepare = [](endpoint_server& s) { s.partitions_as_list = true; };
  make({.start = event_position::earliest()});
  EXPECT_THAT(core->partitions(), ElementsAre("0", "1"));
}

TEST_F(EventCore, PassesOverAnswersThatAreNotForIt) {
  prepare = [](endpoint_server& s) { s.answer_somebody_else_first = true; };
  make({.start = event_position::earliest()});
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, SaysWhyItDoesNotKnowThePartitions) {
  struct row {
    int status;
    std::string_view why;
  };
  for (row const& each : {row{404, "not_found"}, row{401, "unauthorized"}, row{403, "unauthorized"}}) {
    prepare = [&](endpoint_server& s) { s.management_status = each.status; };
    make({.start = event_position::earliest()});
    EXPECT_TRUE(core->failed()) << each.status;
    EXPECT_EQ(next_error(), each.why);
  }
  for (row const& each : {row{429, "throttled"}, row{500, "service_unavailable"}, row{100, "service_unavailable"}}) {
    prepare = [&](endpoint_server& s) { s.management_status = each.status; };
    make({.start = event_position::earliest()});
    EXPECT_FALSE(core->failed()) << each.status;
    auto const told = notices();
    EXPECT_TRUE(std::any_of(told.begin(), told.end(), [&](reader_notice const& n) {
      return n.what == reader_notice::kind::disconnected && to_string(n.why.code()) == each.why;
    })) << each.status;
    prepare = nullptr;
    pass(31s);
    EXPECT_TRUE(core->reading());
  }
}

TEST_F(EventCore, FailsWhereManagementIsRefused) {
  prepare = [](endpoint_server& s) { s.refuse_management = "amqp:unauthorized-access"; };
  make({.start = event_position::earliest()});
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "unauthorized");
}

TEST_F(EventCore, AnEndpointThatIsLostWhileItIsAskedIsAskedAgain) {
  prepare = [](endpoint_server& s) { s.answer_management = false; };
  make({.start = event_position::earliest()});
  server->management_out->detach({"com.microsoft:server-busy", "later"});
  run();
  EXPECT_FALSE(core->failed());
  prepare = nullptr;
  pass(31s);
  EXPECT_TRUE(core->reading());
}

// --- the redirect

TEST_F(EventCore, RefusesEveryRedirectThatSaysNotWhereTo) {
  auto const refused = [&](amqp::value info) {
    prepare = [&](endpoint_server& s) { s.redirect = info; };
    make({}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
    EXPECT_TRUE(core->failed());
    EXPECT_EQ(next_error(), "protocol_error");
  };
  refused(amqp::value::symbol_map({{"address", "amqps://ns:5671/entity/"}}));
  refused(amqp::value::symbol_map({{"hostname", ""}, {"address", "amqps://ns:5671/entity/"}}));
  refused(amqp::value::symbol_map({{"hostname", "ns"}, {"address", "amqps://ns:5671"}}));
  refused(amqp::value::symbol_map({{"hostname", "ns"}, {"address", "amqps://ns/e/"}, {"port", std::uint32_t{0}}}));
  refused(amqp::value::symbol_map({{"hostname", "ns"}, {"address", "amqps://ns/e/"}, {"port", std::uint32_t{65'536}}}));
}

TEST_F(EventCore, AHubThatRefusesTheRedirectIsToldOf) {
  prepare = [](endpoint_server& s) { s.redirect = amqp::value::symbol_map({}); };
  make({}, "HostName=hub.net;SharedAccessKeyName=x;SharedAccessKey=eA==");
  EXPECT_TRUE(core->failed());
}

TEST_F(EventCore, ShowsAReadyMadeTokenAndRenewsNothing) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .token_lifetime = 100s},
       "Endpoint=sb://e/;SharedAccessSignature=SharedAccessSignature sr=e&sig=x&se=9999999999;EntityPath=h");
  EXPECT_TRUE(core->reading());
  pass(1h);
  EXPECT_EQ(signed_for.size(), 1u);
}

TEST_F(EventCore, RenewsAsEarlyAsItIsTold) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .token_lifetime = 100s, .token_margin = 90s});
  pass(9s);
  EXPECT_EQ(signed_for.size(), 1u);
  pass(1s);
  EXPECT_EQ(signed_for.size(), 2u);
}

// --- receivers

TEST_F(EventCore, SaysForEachReasonWhetherAPartitionIsOver) {
  for (char const* final : {"amqp:not-allowed", "com.microsoft:entity-disabled", "amqp:not-implemented",
                            "amqp:resource-limit-exceeded", "amqp:link:stolen"}) {
    prepare = [&](endpoint_server& s) { s.refuse = {{"Partitions/1", final}}; };
    make({.start = event_position::earliest()});
    EXPECT_NE(next_error(), "") << final;
    EXPECT_THAT(core->partitions(), ElementsAre("0")) << final;
  }
}

TEST_F(EventCore, GivesNoMoreCreditThanItsInboxHasRoomFor) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .prefetch = 4});
  for (int i = 0; i != 3; ++i) server->send("0", i, "d");
  run();
  client_side->link_lost(errc::connection_lost, now);
  pass(31s);
  EXPECT_EQ(server->receivers.at("0")->credit(), 1u);
}

TEST_F(EventCore, AQuotaThatIsUsedUpLaterIsWaitedFor) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  server->receivers.at("0")->detach({"amqp:resource-limit-exceeded", "five readers"});
  run();
  EXPECT_EQ(next_error(), "");
  pass(31s);
  EXPECT_TRUE(core->reading());
}

TEST_F(EventCore, FailsWhenItsLastPartitionIsOver) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  server->receivers.at("0")->detach({"amqp:link:stolen", "a higher epoch"});
  run();
  EXPECT_TRUE(core->failed());
  EXPECT_EQ(next_error(), "link_stolen");
}

TEST_F(EventCore, ALinkThatEndsWithoutAReasonIsAttachedAgainBehindWhatCame) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  server->send("0", 4, "d");
  run();
  server->receivers.at("0")->detach();
  run();
  pass(31s);
  EXPECT_THAT(server->said.back(), HasSubstr("x-opt-offset > '40'"));
}

TEST_F(EventCore, AnEventWithoutANumberIsHandedOutAndCountsForNothing) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  amqp::message_view m;
  m.body = amqp::body_kind::data;
  m.data = "x";
  byte_buffer bytes;
  amqp::write_message(m, bytes);
  server->send("0", 0, "d", true, bytes.view());
  server->send("0", 5, "d");
  run();
  EXPECT_THAT(bodies(), ElementsAre("0:-1", "0:5"));
  EXPECT_EQ(core->missed(), 0u);
}

TEST_F(EventCore, KeepsTheLastOfManyNoticesThatNobodyReads) {
  make({.partitions = {"0"}, .start = event_position::earliest(), .prefetch = 10'000});
  for (int i = 1; i != 1100; ++i) server->send("0", 2 * i, "d"), run();
  auto const all = notices();
  EXPECT_EQ(all.size(), 1000u);
  EXPECT_EQ(all.back().what, reader_notice::kind::events_missed);
  EXPECT_EQ(core->missed(), 1098u);
}

// --- checkpoints and claims

// A store in memory that can be told to fail, once for each kind of call or always.
struct moody_store final : checkpoint_store {
  std::map<std::string, event_checkpoint> saved;
  std::map<std::string, partition_claim> claimed;
  errc fail_checkpoints{}, fail_save{}, fail_claims{}, fail_claim{};
  static error no(errc why) { return {why, "by the test"}; }
  result<std::vector<event_checkpoint>> checkpoints(event_scope const&) override {
    if (fail_checkpoints != errc{}) return no(fail_checkpoints);
    std::vector<event_checkpoint> all;
    for (auto const& each : saved) all.push_back(each.second);
    return all;
  }
  result<void> save(event_scope const&, event_checkpoint const& what) override {
    if (fail_save != errc{}) return no(fail_save);
    saved[what.partition] = what;
    return {};
  }
  result<std::vector<partition_claim>> claims(event_scope const&) override {
    if (fail_claims != errc{}) return no(fail_claims);
    std::vector<partition_claim> all;
    for (auto const& each : claimed) all.push_back(each.second);
    return all;
  }
  result<void> claim(event_scope const&, partition_claim const& made, partition_claim const&) override {
    if (fail_claim != errc{}) return no(fail_claim);
    claimed[made.partition] = made;
    return {};
  }
};

TEST_F(EventCore, SavesWhatIsFinishedAndSaysWhyItCannot) {
  moody_store store;
  make({.partitions = {"0"}, .start = event_position::earliest(), .checkpoints = &store});
  server->send("0", 0, "d"), server->send("0", 1, "d");
  run();
  hub_event first, second;
  ASSERT_TRUE(core->take(first) && core->take(second));  // the first is finished
  store.fail_save = errc::io_error;
  EXPECT_EQ(core->save().error(), errc::io_error);
  auto const told = notices();
  EXPECT_EQ(told.back().what, reader_notice::kind::checkpoint_failed);
  store.fail_save = errc{};
  EXPECT_LE(core->next_deadline(), now + 5s);  // it is tried again
  pass(5s);
  EXPECT_EQ(store.saved.at("0").sequence_number, 0);
  EXPECT_TRUE(core->save(second).has_value());
  EXPECT_EQ(store.saved.at("0").sequence_number, 1);
}

TEST_F(EventCore, SavesOnlyEventsOfItsOwnAndOnlyWithAStore) {
  hub_event e;
  e.partition = "7";
  make({.partitions = {"0"}, .start = event_position::earliest()});
  EXPECT_EQ(core->save(e).error(), errc::invalid_state);
  EXPECT_TRUE(core->save().has_value());
  moody_store store;
  make({.partitions = {"0"}, .start = event_position::earliest(), .checkpoints = &store});
  EXPECT_EQ(core->save(e).error(), errc::invalid_argument);
}

TEST_F(EventCore, SharesAsFarAsTheStoreLetsIt) {
  moody_store store;
  store.fail_claims = errc::io_error;
  make({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true});
  EXPECT_THAT(core->partitions(), IsEmpty());
  store.fail_claims = errc{};
  store.fail_claim = errc::io_error;
  pass(10s);
  EXPECT_THAT(core->partitions(), IsEmpty());
  store.fail_claim = errc{};
  store.fail_checkpoints = errc::io_error;  // claimed, but where to begin is not known
  pass(10s);
  EXPECT_THAT(core->partitions(), IsEmpty());
  auto const told = notices();
  EXPECT_GE(std::count_if(told.begin(), told.end(),
                          [](reader_notice const& n) { return n.what == reader_notice::kind::checkpoint_failed; }), 3);
  store.fail_checkpoints = errc{};
  for (int i = 0; i != 3; ++i) pass(10s);
  EXPECT_THAT(core->partitions(), ElementsAre("0", "1"));
  EXPECT_FALSE(core->failed());
}

TEST_F(EventCore, KeepsItsPartitionsWhileTheStoreIsAway) {
  moody_store store;
  make({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true});
  pass(10s);
  ASSERT_EQ(core->partitions().size(), 2u);
  store.fail_claim = errc::io_error;
  pass(10s);
  EXPECT_EQ(core->partitions().size(), 2u);
}

TEST_F(EventCore, LosesAPartitionThatAnotherClaimedAndWhatWasNotHandedOut) {
  moody_store store;
  make({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true});
  pass(10s);
  ASSERT_EQ(core->partitions().size(), 2u);
  server->send("0", 0, "d"), server->send("1", 0, "d");
  run();
  store.claimed["0"].owner = "other";
  store.claimed["0"].level += 1;
  store.claimed["0"].renewed = utc_now() + 10s;
  store.claimed["1"].renewed = utc_now() + 10s;
  pass(10s);
  EXPECT_THAT(core->partitions(), ElementsAre("1"));
  EXPECT_THAT(bodies(), ElementsAre("1:0"));
  hub_event e;
  e.partition = "0";
  EXPECT_EQ(core->save(e).error(), errc::lock_lost);
}

TEST_F(EventCore, LosesAPartitionWhoseCheckpointIsAnothers) {
  moody_store store;
  make({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true});
  pass(10s);
  server->send("0", 0, "d");
  run();
  EXPECT_THAT(bodies(), ElementsAre("0:0"));
  store.fail_save = errc::lock_lost;
  hub_event e;
  (void)core->take(e);
  EXPECT_TRUE(core->save().has_value());
  EXPECT_THAT(core->partitions(), ElementsAre("1"));
}

TEST_F(EventCore, GivesUpItsClaimsWhenItIsClosed) {
  moody_store store;
  make({.start = event_position::earliest(), .checkpoints = &store, .share_partitions = true});
  pass(10s);
  core->close();
  EXPECT_EQ(core->describe(), "an event reader waits for e to say good-bye");
  run();
  EXPECT_EQ(store.claimed.at("0").owner, "");
  EXPECT_EQ(core->describe(), "");
}

TEST_F(EventCore, SaysWhatItWaitsFor) {
  make({.partitions = {"0"}, .start = event_position::earliest()});
  EXPECT_EQ(core->describe(), "an event reader waits for e to send events");
  refuse_connections = true;
  client_side->link_lost(errc::connection_lost, now);
  run();
  EXPECT_EQ(core->describe(), "an event reader connects to e");
}

TEST(EventReaderOptions, SayWhatIsWrong) {
  auto const wrong = [](auto change, std::string_view word) {
    event_reader_options o;
    change(o);
    auto const checked = validate(o);
    ASSERT_FALSE(checked) << word;
    EXPECT_EQ(checked.error(), errc::invalid_argument);
    EXPECT_THAT(checked.error().message(), HasSubstr(std::string{word}));
  };
  using options = event_reader_options;
  moody_store store;
  EXPECT_TRUE(validate(options{}));
  EXPECT_TRUE(validate(options{.partitions = {"0", "1"}, .checkpoints = &store, .share_partitions = true}));
  wrong([](options& o) { o.consumer_group.clear(); }, "consumer_group");
  wrong([](options& o) { o.prefetch = 10'001; }, "prefetch");
  wrong([](options& o) { o.owner_level = -1; }, "owner_level");
  wrong([&](options& o) { o.share_partitions = true, o.checkpoints = &store, o.owner_level = 1; }, "share_partitions");
  wrong([&](options& o) { o.share_partitions = true, o.checkpoints = &store, o.claim_interval = 0s; }, "claim");
  wrong([&](options& o) { o.share_partitions = true, o.checkpoints = &store, o.claim_expiry = 10s; }, "claim");
  wrong([](options& o) { o.amqps_port = 0; }, "port");
  wrong([](options& o) { o.amqp_port = 0; }, "port");
  wrong([](options& o) { o.sasl = amqp::sasl_mechanism::plain; }, "sasl");
  wrong([](options& o) { o.sasl = amqp::sasl_mechanism::external; }, "sasl");
  wrong([](options& o) { o.connect_timeout = 0s; }, "time limit");
  wrong([](options& o) { o.token_timeout = 0s; }, "time limit");
  wrong([](options& o) { o.idle_timeout = -1s; }, "time limit");
  wrong([](options& o) { o.checkpoint_interval = -1s; }, "checkpoint_interval");
  wrong([](options& o) { o.token_lifetime = 59s; }, "token_lifetime");
  wrong([](options& o) { o.token_margin = -1s; }, "token_margin");
  wrong([](options& o) { o.token_margin = 3600s; }, "token_margin");
  wrong([](options& o) { o.retry.shortest = -1s; }, "retry");
  wrong([](options& o) { o.retry.first = -1s; }, "retry");
  wrong([](options& o) { o.retry.longest = 1ms; }, "retry");
}

}  // namespace
