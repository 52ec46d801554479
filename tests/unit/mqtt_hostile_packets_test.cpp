// Every packet of the hostile and border-line sets, cut at every byte, against what the sets expect. The link is fed in
// two pieces for each split point, and byte by byte: the outcome must not depend on it. One packet is too large to be cut
// everywhere (split_points).
#include <gtest/gtest.h>

#include <algorithm>

#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/decoder.hpp>
#include <iothub/mqtt/server_connection.hpp>

#include "mqtt_peers.hpp"
#include "test_data.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::bytes;
using iothub_test::hex;
using iothub_test::text;

struct test_case {
  std::string name;
  std::string state;
  std::string expect;
  std::string raw;
};

std::string str(json::value const& v) {
  return std::string{v.as_string().value_or("")};
}

std::vector<test_case> load_cases(std::string const& file) {
  json::value const document = iothub_test::load(file);
  std::vector<test_case> cases;
  for (json::value const& each : document["cases"].elements()) {
    test_case c{str(each["name"]), str(each["state"]), str(each["expect"]), {}};
    if (each.find("parts")) {
      for (json::value const& part : each["parts"].elements())
        for (std::int64_t i = 0; i < part[1].as_int().value_or(0); ++i) c.raw += bytes(*part[0].as_string());
    } else {
      c.raw = bytes(*each["hex"].as_string());
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

// What one run of a case led to.
struct outcome {
  std::string sent;       // hex
  std::string delivered;  // events or handler calls
  bool closed = false;
  friend bool operator==(outcome const&, outcome const&) = default;
};
void PrintTo(outcome const& o, std::ostream* out) {
  *out << "sent " << o.sent << ", closed " << o.closed << ", delivered " << o.delivered;
}

// One alternative of an "X_or_Y".
bool fulfils(outcome const& o, std::string const& expect) {
  bool const silent = o.sent.empty();
  if (expect.rfind("reply:", 0) == 0) return !o.closed && o.sent == expect.substr(6);
  if (expect == "reply" || expect == "reply_any") return !o.closed && !silent;
  if (expect == "refuse") return o.closed && (silent || (o.sent.substr(0, 6) == "200200" && o.sent != "20020000"));
  if (expect == "retry") return o.closed && silent && o.delivered == "closed connection_lost;opened again;";
  if (expect == "connack0_then_close") return o.closed && o.sent == "20020000";
  if (expect.rfind("connack", 0) == 0) return o.closed && o.sent == "2002000" + expect.substr(7);
  if (expect == "close") return o.closed;
  if (expect == "close_silent" || expect == "close_silent_fast" || expect == "close_noreply") return o.closed && silent;
  if (expect == "open" || expect == "wait") return !o.closed && silent;
  if (expect == "suback80") return !o.closed && o.sent.substr(0, 2) == "90" && o.sent.substr(o.sent.size() - 2) == "80";
  if (expect == "any") return o.delivered.find("message") == std::string::npos;
  if (expect == "connect") return !o.closed && o.delivered == "connected;";
  if (expect == "deliver") return !o.closed && o.delivered.rfind("message", 0) == 0;
  if (expect.rfind("deliver_puback:", 0) == 0)
    return o.delivered.rfind("message", 0) == 0 && o.sent == "4002" + expect.substr(15);
  ADD_FAILURE() << "no meaning for expectation " << expect;
  return false;
}
bool fulfils_one_of(outcome const& o, std::string const& expect) {
  for (std::size_t from = 0;;) {
    std::size_t const end = expect.find("_or_", from);
    if (fulfils(o, expect.substr(from, end - from))) return true;
    if (end == std::string::npos) return false;
    from = end + 4;
  }
}

// Splits at every byte. A packet above 4,000 bytes, of which there is one with 65,542, is cut at the first and last forty
// and at every 499th; byte by byte it is fed like all others.
std::vector<std::size_t> split_points(std::size_t size) {
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i <= size; ++i)
    if (size < 4000 || i < 40 || size - i < 40 || i % 499 == 0) points.push_back(i);
  return points;
}

template <class Run>
void check(test_case const& c, Run run) {
  outcome const whole = run(std::vector<std::string_view>{c.raw});
  EXPECT_TRUE(fulfils_one_of(whole, c.expect))
      << c.name << ": expected " << c.expect << ", " << ::testing::PrintToString(whole);
  for (std::size_t const split : split_points(c.raw.size())) {
    std::string_view const raw = c.raw;
    ASSERT_EQ(run(std::vector<std::string_view>{raw.substr(0, split), raw.substr(split)}), whole)
        << c.name << " split at " << split;
  }
  std::vector<std::string_view> single;
  for (char const& byte : c.raw) single.push_back({&byte, 1});
  EXPECT_EQ(run(single), whole) << c.name << " byte by byte";
}

outcome run_server(test_case const& c, std::vector<std::string_view> const& pieces) {
  server_options const options;
  iothub_test::logging_owner owner;
  server_connection link{owner, options, at(0)};
  owner.session = &link.session();
  if (c.state == "connected") {
    link.receive(bytes("10 0e 0004 'MQTT' 04 02 003c 0002 'c1'"), at(0));
    link.consume(link.output().size());
    owner.log.clear();
  }
  for (std::string_view const piece : pieces) link.receive(piece, at(1));
  link.step(at(1));
  outcome o{hex(link.output()), {}, link.finished()};
  for (std::string const& line : owner.log) o.delivered += line + ";";
  if (c.state == "fresh" && o.sent.empty() && !o.closed) {  // the connect time-out ends the wait
    link.step(at(60));
    EXPECT_TRUE(link.finished()) << c.name;
    EXPECT_TRUE(link.output().empty()) << c.name;
  }
  return o;
}

outcome run_client(test_case const& c, std::vector<std::string_view> const& pieces) {
  iothub_test::written_down sink;
  client_session session{sink};
  decoder input{1u << 20};
  mqtt::connect how;
  how.client_id = "c1";
  how.clean_session = true;
  how.keep_alive = 60;
  EXPECT_TRUE(session.open(how, at(0)));
  if (c.state == "connected") {
    session.receive(connack{}, at(0));
    subscription const all{"#", 1};
    EXPECT_EQ(*session.subscribe({&all, 1}, at(0)), 1u);
    std::uint8_t const code = 1;
    EXPECT_NE(session.receive(suback{1, {&code, 1}}, at(0)), nullptr);
  }
  sink.taken();
  outcome o;
  for (std::string_view const piece : pieces) {
    input.append(piece);
    packet what;
    for (;;) {
      decode_status const found = input.next(what);
      if (found == decode_status::need_more || session.state() == client_session::state_type::closed) break;
      client_event const* const e =
          found == decode_status::complete ? session.receive(what, at(1)) : session.broken(input.rule());
      if (!e) continue;
      o.delivered += text(e) + ";";
      if (e->kind == client_event_kind::message && e->publish.qos == 1) session.acknowledge(e->id, at(1));
    }
  }
  if (c.expect == "retry") {  // the link ends here; its owner is told once, and may open it again
    for (int i = 0; i != 2; ++i)
      if (client_event const* const e = session.link_lost(errc::connection_lost)) o.delivered += text(e) + ";";
    o.sent = sink.taken();
    o.closed = session.state() == client_session::state_type::closed;
    if (session.open(how, at(2))) o.delivered += "opened again;";
    return o;
  }
  o.sent = sink.taken();
  o.closed = session.state() == client_session::state_type::closed;
  if (c.state == "await_connack" && o.delivered.empty()) {
    EXPECT_NE(session.on_time(at(60)), nullptr) << c.name;
  }
  return o;
}

TEST(MqttHostilePackets, ClientToServer) {
  std::vector<test_case> const cases = load_cases("mqtt_client_to_server.json");
  EXPECT_EQ(cases.size(), 85u);
  EXPECT_EQ(std::count_if(cases.begin(), cases.end(), [](test_case const& c) { return c.raw.size() >= 4000; }), 1);
  for (test_case const& c : cases) check(c, [&](auto const& pieces) { return run_server(c, pieces); });
}

TEST(MqttHostilePackets, ServerToClient) {
  std::vector<test_case> const cases = load_cases("mqtt_server_to_client.json");
  EXPECT_EQ(cases.size(), 48u);
  EXPECT_EQ(std::count_if(cases.begin(), cases.end(), [](test_case const& c) { return c.raw.size() >= 4000; }), 0);
  EXPECT_EQ(std::count_if(cases.begin(), cases.end(), [](test_case const& c) { return c.expect == "retry"; }), 1);
  for (test_case const& c : cases) check(c, [&](auto const& pieces) { return run_client(c, pieces); });
}

}  // namespace
