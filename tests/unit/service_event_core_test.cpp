// The event reader's core against a server that says what the test wants, frame by frame: what no real endpoint does, or
// only on a bad day.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    byte_buffer out;
    amqp::write_response_head(m.properties.message_id, {management_status, "said the test"}, out);
    amqp::writer w{out};
    w.describe(amqp::descriptor::amqp_value);
    auto const begun = w.begin_compound();
    std::vector<std::string> const ids = give_partitions ? std::vector<std::string>{"0", "1"} : std::vector<std::string>{};
    w.string("partition_ids"), w.string_array(ids);
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

}  // namespace
