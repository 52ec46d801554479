// What docs/security.md says of the served fake hub, sentence by sentence: who may speak to it, and what it tells nobody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub_server.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/wire/sas_signer.hpp>

#include <talker.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct all_lines final : hub::log_sink {
  void write(hub::log_entry const& e) override {
    for (auto const part : {e.event, e.device_id, e.module_id, e.reason}) text.append(part).append(" ");
    text += '\n';
  }
  std::string text;
};

// Every face of the hub on pipes, with the names that a served hub has.
class Threats : public testing::Test {
 protected:
  using peer_type = iothub_test::talker<memory::pipe_stream>;
  template <class Protocol>
  using server = stream_server<memory::pipe_listener, Protocol, as_accepted>;

  Threats() {
    web.start().value();
    mqtt.start().value();
    amqp.start().value();
    runtime.core().put_identity({.device_id = "d"}, {}, runtime.now()).value();
  }
  std::string answer_to(std::string bytes, std::uint16_t port = 443) {
    peer_type peer{loop, memory::pipe_stream{network}};
    peer.stream.open({"hub", port}, loop.now()).value();
    peer.say(std::move(bytes));
    EXPECT_TRUE(loop.run_for(1s));
    return peer.received;
  }
  std::string key_of_device() { return runtime.core().get_identity({"d", {}}).value().authentication.primary_key; }
  std::string key_of_owner() { return runtime.core().find_policy("iothubowner")->primary_key; }
  std::string token(std::string const& key, std::string device, std::string policy = {}, std::chrono::seconds life = 1h) {
    auto signer = basic_sas_signer<loop_clock, seeded_crypto>::make(
        loop_clock{loop}, seeded_crypto{1}, secret{std::string_view{key}},
        {.host_name = "hub", .device_id = std::move(device), .policy = std::move(policy), .lifetime = life, .margin = 0s});
    return signer.value().token().value();
  }

  all_lines log;
  memory::virtual_loop loop;
  memory::pipe_network network{loop};
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1", "*.azure-devices.net", "*.servicebus.windows.net", "hub"};
  hub_runtime<seeded_crypto> runtime{
      loop, seeded_crypto{1}, {.hostname = "hub", .host_aliases = names}, &log, {.hosts = hub::host_filter{names}}};
  server<web_protocol> web{loop, network.listen({"hub", 443}).value(), runtime.web(), {}, {.log = &log, .name = "HTTPS"}};
  server<mqtt_protocol> mqtt{loop, network.listen({"hub", 8883}).value(), runtime.mqtt(), {}, {.log = &log, .name = "MQTT"}};
  server<amqp_protocol> amqp{loop, network.listen({"hub", 5672}).value(), runtime.amqp(), {}, {.log = &log, .name = "AMQP"}};
};

// --- pages in the developer's browser

// The doors of the HTTPS port, each knocked at as its users do, with the fields that a row adds.
struct door {
  char const* name;
  std::string method, target, more, body;
  int open;  // the status for whoever may come in
};

class Doors : public Threats {
 protected:
  std::vector<door> doors() {
    std::string const upgrade =
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ";
    return {
        {"back ends", "GET", "/devices?api-version=1", "Authorization: " + token(key_of_owner(), {}, "iothubowner") + "\r\n",
         "", 200},
        {"devices", "POST", "/devices/d/messages/events?api-version=1",
         "Content-Length: 1\r\nAuthorization: " + token(key_of_device(), "d") + "\r\n", "x", 204},
        {"MQTT in WebSockets", "GET", "/$iothub/websocket", upgrade + "mqtt\r\n", "", 101},
        {"AMQP in WebSockets", "GET", "/$iothub/websocket", upgrade + "AMQPWSB10\r\n", "", 101},
        {"the event endpoint in WebSockets", "GET", "/$servicebus/websocket", upgrade + "AMQPWSB10\r\n", "", 101},
        {"no path of ours", "GET", "/", "", "", 404},
    };
  }
  int knock(door const& d, std::string const& fields, std::string_view target_prefix = {}, char const* version = "1.1") {
    auto const answer = answer_to(d.method + " " + std::string{target_prefix} + d.target + " HTTP/" + version + "\r\n" +
                                  fields + d.more + "\r\n" + d.body);
    EXPECT_THAT(answer, Not(HasSubstr("Access-Control-")));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 "));
    return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
  }
};

TEST_F(Doors, AnswerToNamesOfTheHub) {
  for (auto const& d : doors())
    for (auto const* host : {"localhost", "LocalHost:443", "127.0.0.1", "127.0.0.1:8443", "[::1]", "[::1]:443", "hub:",
                             "myhub.azure-devices.net", "NS.servicebus.windows.net:5671"})
      EXPECT_EQ(knock(d, "Host: "s + host + "\r\n"), d.open) << d.name << ' ' << host;
}

// A page that its own server rebinds to 127.0.0.1 is same-origin with the port, but its browser still names the page.
TEST_F(Doors, AnswerToNoOtherName) {
  for (auto const& d : doors())
    for (auto const* host :
         {"evil.example", "evil.example:443", "localhost.evil.example", "localhost.", "localhost.:443", "azure-devices.net",
          "x.azure-devices.net.evil.example", "xazure-devices.net", "", "[::1", "::1", "[::2]", "127.0.0.2", "0.0.0.0",
          "2130706433", "0x7f.1", "localhost@evil.example", "evil.example@localhost", "localhost:1:2", "localhost:x",
          "localhost,evil.example", "localhost evil.example", "localhost/evil", "localhost\t.evil.example"})
      EXPECT_EQ(knock(d, "Host: "s + host + "\r\n"), 421) << d.name << ' ' << host;
  EXPECT_THAT(log.text, HasSubstr("the Host field names another host: evil.example"));
}

TEST_F(Doors, WantExactlyOneHost) {
  for (auto const& d : doors()) {
    EXPECT_EQ(knock(d, ""), 400) << d.name;
    EXPECT_EQ(knock(d, "Host: localhost\r\nHost: localhost\r\n"), 400) << d.name;
    EXPECT_EQ(knock(d, "Host: localhost\r\nHost: evil.example\r\n"), 400) << d.name;
    EXPECT_EQ(knock(d, "Host: evil.example\r\nhOST: localhost\r\n"), 400) << d.name;
    EXPECT_EQ(knock(d, "Host : localhost\r\n"), 400) << d.name;
    EXPECT_EQ(knock(d, "", {}, "1.0"), 421) << d.name;  // HTTP/1.0 may leave it out
  }
}

// RFC 9112 section 3.2.2: then Host does not count.
TEST_F(Doors, JudgeTheTargetsAuthorityWhereThereIsOne) {
  for (auto const& d : doors()) {
    EXPECT_EQ(knock(d, "Host: evil.example\r\n", "https://localhost:443"), d.open) << d.name;
    EXPECT_EQ(knock(d, "Host: localhost\r\n", "https://evil.example"), 421) << d.name;
    EXPECT_EQ(knock(d, "Host: localhost\r\n", "http://localhost@evil.example"), 421) << d.name;
    EXPECT_EQ(knock(d, "Host: localhost\r\n", "ftp://localhost"), 400) << d.name;
  }
}

TEST_F(Doors, AreShutForPagesFromElsewhere) {
  for (auto const& d : doors()) {
    for (auto const* origin : {"https://localhost:3000", "http://127.0.0.1", "https://[::1]:8080", "HTTPS://LOCALHOST"})
      EXPECT_EQ(knock(d, "Host: localhost\r\nOrigin: "s + origin + "\r\n"), d.open) << d.name << ' ' << origin;
    for (auto const* origin : {"https://evil.example", "null", "", "file://", "localhost", "https://localhost.evil.example",
                               "https://evil.example/localhost", "https://localhost, https://evil.example"})
      EXPECT_EQ(knock(d, "Host: localhost\r\nOrigin: "s + origin + "\r\n"), 403) << d.name << ' ' << origin;
    for (auto const* two : {"Origin: https://localhost\r\nOrigin: https://evil.example\r\n",
                            "Origin: https://evil.example\r\norigin: https://localhost\r\n",
                            "Origin: https://localhost\r\nOrigin: https://localhost\r\n"})
      EXPECT_EQ(knock(d, "Host: localhost\r\n"s + two), 403) << d.name;
  }
  EXPECT_THAT(log.text, HasSubstr("Origin names another host: https://evil.example"));
}

// The browser asks first whether it may send Authorization across sites; it is not told yes.
TEST_F(Doors, TellNoBrowserThatItMay) {
  for (auto const* origin : {"https://evil.example", "https://localhost:3000"}) {
    auto const answer =
        answer_to("OPTIONS /devices?api-version=1 HTTP/1.1\r\nHost: localhost\r\nOrigin: "s + origin +
                  "\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: authorization\r\n\r\n");
    EXPECT_THAT(answer, testing::AnyOf(StartsWith("HTTP/1.1 403 "), StartsWith("HTTP/1.1 405 "), StartsWith("HTTP/1.1 404 ")));
    EXPECT_THAT(answer, Not(HasSubstr("Access-Control-")));
  }
}

// What a page can send without asking, a form or a "simple" request, carries no token.
TEST_F(Doors, DoNothingWithoutAToken) {
  for (auto const* target : {"/devices/e?api-version=1", "/devices/query?api-version=1", "/twins/d/methods?api-version=1",
                             "/devices/d/messages/events?api-version=1"})
    EXPECT_THAT(answer_to("POST "s + target +
                          " HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"),
                testing::AnyOf(StartsWith("HTTP/1.1 401 "), StartsWith("HTTP/1.1 405 ")))
        << target;
  EXPECT_EQ(runtime.core().events().all().size(), 0u);
}

// RFC 9110 section 7.8: a server ignores Upgrade in HTTP/1.0.
TEST_F(Doors, DoNotUpgradeHttp10) {
  for (auto const& d : doors()) {
    if (d.open != 101) continue;
    EXPECT_EQ(knock(d, "Host: localhost\r\n", {}, "1.0"), 426) << d.name;
  }
}

// A page can make its browser send HTTP to any port, and text of its choice in it.
TEST_F(Threats, HttpAtTheOtherPortsIsNoProtocolOfTheirs) {
  std::string const request =
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\nAMQP\x03\x01\x00\x00"s + "\x10\x10\x00\x04MQTT"s;
  EXPECT_EQ(answer_to(request, 8883), "");
  EXPECT_THAT(answer_to(request, 5672), testing::AnyOf(std::string{}, "AMQP\x03\x01\x00\x00"s, "AMQP\x00\x01\x00\x00"s));
  EXPECT_EQ(mqtt.connections() + amqp.connections(), 0u);
}

// Refused by its announced length, before the bytes are there.
TEST_F(Threats, AStrangersFirstPacketIsSmall) {
  for (std::size_t const size : {70'000u, 90'000u, 250'000u}) {
    peer_type peer{loop, memory::pipe_stream{network}};
    peer.stream.open({"hub", 8883}, loop.now()).value();
    std::string head = "\x10";
    for (std::size_t rest = size; rest != 0; rest >>= 7) head += static_cast<char>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    peer.say(head);
    EXPECT_TRUE(loop.run_for(1s));
    EXPECT_EQ(peer.ended || peer.failed, size > 80 * 1024) << size;
  }
}

// --- what is written down

// Right and wrong credentials of every kind at every face: what the log and the answers say holds none of them.
TEST_F(Threats, NeitherLogNorAnswersHoldWhatWasShown) {
  std::string const owner = key_of_owner(), device = key_of_device(), wrong = "d3JvbmcgYnV0IGxvbmcgZW5vdWdoIGtleSBvZiBhIGRldg==";
  std::vector<std::string> shown{owner, device, wrong, "hunter2hunter2"};
  for (auto const& key : {owner, device, wrong})
    for (auto const& policy : {""s, "iothubowner"s, "nobody"s})
      for (auto const& who : {""s, "d"s, "other"s})
        for (auto const life : {1s, 3600s}) shown.push_back(token(key, who, policy, life));
  std::string const good = token(owner, {}, "iothubowner");
  for (auto const& change : {"sr="s, "sig="s, "se="s}) {
    std::string broken = good;
    broken.replace(broken.find(change), change.size(), change + "%zz");
    shown.push_back(broken);
  }
  ASSERT_TRUE(loop.run_for(20min));  // the short ones are over
  std::string said;
  for (std::string const& each : shown) {
    std::string const authorization = "Authorization: " + each + "\r\n";
    for (auto const* target : {"/devices/d", "/devices/other", "/twins/d", "/nowhere"})
      said += answer_to("GET "s + target + "?api-version=1 HTTP/1.1\r\nHost: hub\r\n" + authorization + "\r\n");
    said += answer_to("POST /devices/d/messages/events?api-version=1 HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n" +
                      authorization + "\r\n");
    auto const mark = each.find("sig=");
    said += answer_to("GET /container/blob?se=1&" + (mark == std::string::npos ? "SIG=" + each : each.substr(mark)) +
                      " HTTP/1.1\r\nHost: hub\r\n\r\n");
    for (std::string const id : {"d", "other"}) {
      byte_buffer connect;
      auto const user = "hub/" + id + "/?api-version=2021-04-12";
      mqtt::encode(mqtt::connect{.client_id = id,
                                 .username = user,
                                 .password = each,
                                 .has_username = true,
                                 .has_password = true,
                                 .clean_session = true},
                   connect);
      said += answer_to(std::string{connect.view()}, 8883);
    }
    // SASL PLAIN: header, then sasl-init with mechanism and initial-response.
    for (std::string const user : {"d@sas.root.hub", "iothubowner@sas.root.hub", "iothubowner"}) {
      std::string const response = "\0"s + user + "\0"s + each;
      std::string body = "\x00\x53\x41\xd0"s;
      std::string const fields = "\xa3\x05PLAIN\xb0"s + '\0' + '\0' + static_cast<char>(response.size() >> 8) +
                                 static_cast<char>(response.size() & 0xff) + response;
      std::size_t const size = fields.size() + 4;
      body += "\0\0"s + static_cast<char>(size >> 8) + static_cast<char>(size & 0xff) + "\0\0\0\x02"s + fields;
      std::size_t const frame = body.size() + 8;
      said += answer_to("AMQP\x03\x01\x00\x00\0\0"s + static_cast<char>(frame >> 8) + static_cast<char>(frame & 0xff) +
                            "\x02\x01\0\0"s + body,
                        5672);
    }
  }
  EXPECT_THAT(log.text, HasSubstr("wrong key"));
  EXPECT_THAT(log.text, HasSubstr("malformed"));
  EXPECT_THAT(log.text, HasSubstr("expired"));
  for (std::string const& each : shown) {
    auto const mark = each.find("sig=");
    // Of a token, the signature is what is secret; the rest says who it was.
    std::string const bare = mark == std::string::npos ? each : each.substr(mark + 4, each.find('&', mark) - mark - 4);
    EXPECT_EQ(log.text.find(bare), std::string::npos);
    if (each == device || each == owner) continue;  // back ends are told the keys of devices, that is what they ask for
    EXPECT_EQ(said.find(bare), std::string::npos);
  }
}

// --- other hosts on the network

// The local addresses of listening sockets with that port, as the system tells them.
std::set<std::string> listening_at(std::uint16_t port) {
  std::set<std::string> found;
  char wanted[8];
  std::snprintf(wanted, sizeof wanted, ":%04X", port);
  for (auto const* name : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream table{name};
    for (std::string number, local, remote, state, rest; table >> number >> local >> remote >> state;) {
      std::getline(table, rest);
      if (state == "0A" && local.ends_with(wanted)) found.insert(local.substr(0, local.find(':')));
    }
  }
  return found;
}

class Served : public testing::Test {
 protected:
  result<std::unique_ptr<hub_server>> serve(hub_server_options options = {}) {
    options.https_port = options.mqtt_port = 0;
    options.amqps_port = options.amqp_port = 0;
    options.certificate_pem = ca.chain_pem;
    options.private_key_pem = ca.private_key_pem;
    return hub_server::start(loop, std::move(options));
  }
  static std::vector<std::uint16_t> ports(hub_server& of) {
    return {of.https_port(), of.mqtt_port(), of.amqps_port(), of.amqp_port()};
  }
  net::epoll_loop loop;
  net::certificate_authority ca = net::make_certificate_authority({}, loop.utc_now()).value();
  static constexpr auto ipv4_loopback = "0100007F", ipv6_loopback = "00000000000000000000000001000000";
};

TEST_F(Served, ListensOnTheLoopbackUnlessToldOtherwise) {
  auto const server = serve().value();
  for (auto const port : ports(*server)) {
    auto const at = listening_at(port);
    EXPECT_TRUE(at.contains(ipv4_loopback)) << port;
    for (auto const& each : at) EXPECT_TRUE(each == ipv4_loopback || each == ipv6_loopback) << each;
  }
}

TEST_F(Served, AnotherAddressNeedsAFlagThatSaysSo) {
  for (auto const* address : {"0.0.0.0", "::", "192.0.2.1", "127.0.0.1.example", "127.evil"}) {
    auto const refused = serve({.bind = address});
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().code(), errc::invalid_argument);
    EXPECT_EQ(refused.error().message(),
              "other machines can reach "s + address + ", and expose_to_network is not set");
  }
}

// Its key protects nothing where everybody knows it; a program may take it where nobody else can come.
TEST_F(Served, RefusesTheWellKnownKeyWhereOthersReachIt) {
  hub_server_options options{.bind = "0.0.0.0", .expose_to_network = true};
  options.hub.owner_key = "aW90aHViLWZha2Ugd2VsbC1rbm93biBvd25lciBrZXk=";
  auto const refused = serve(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::invalid_argument);
  EXPECT_EQ(refused.error().message(), "other machines can reach 0.0.0.0, and everybody knows this owner key");
  options.bind = "localhost";
  EXPECT_TRUE(serve(options));
  options.bind = "0.0.0.0";
  options.hub.owner_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  EXPECT_TRUE(serve(options));
}

TEST_F(Served, AmqpWithoutTlsStaysOnTheLoopbackAndNobodyAsksForFaultsFromOutside) {
  auto const server = serve({.bind = "0.0.0.0", .expose_to_network = true}).value();
  EXPECT_TRUE(listening_at(server->https_port()).contains("00000000"));
  for (auto const& each : listening_at(server->amqp_port())) EXPECT_TRUE(each == ipv4_loopback || each == ipv6_loopback) << each;
  EXPECT_FALSE(server->core().options().honour_fault_properties);
  EXPECT_TRUE(serve().value()->core().options().honour_fault_properties);
}

TEST_F(Served, AnswersToTheAddressItIsBoundToAndNotToTheWildcard) {
  auto const server = serve({.bind = "127.0.0.2"}).value();
  EXPECT_TRUE(server->runtime().http().options().hosts.allows("127.0.0.2:443"));
  EXPECT_FALSE(serve().value()->runtime().http().options().hosts.allows("127.0.0.2"));
  auto const open = serve({.bind = "0.0.0.0", .expose_to_network = true, .host_names = {"dev.example"}}).value();
  EXPECT_TRUE(open->runtime().http().options().hosts.allows("dev.example"));
  for (auto const* host : {"0.0.0.0", "192.0.2.1", "evil.example", ""})
    EXPECT_FALSE(open->runtime().http().options().hosts.allows(host)) << host;
}

// Without a key of its own a hub makes one: there is no key that everybody knows unless a program says so.
TEST_F(Served, HasKeysThatNobodyKnows) {
  auto const first = serve().value(), second = serve().value();
  for (auto const* policy : {"iothubowner", "service", "device", "registryRead", "registryReadWrite"}) {
    auto const key = first->core().find_policy(policy)->primary_key;
    EXPECT_EQ(from_base64(key).value().size(), 32u);
    EXPECT_NE(key, second->core().find_policy(policy)->primary_key);
    EXPECT_NE(key, first->core().find_policy(policy)->secondary_key);
  }
}

}  // namespace
