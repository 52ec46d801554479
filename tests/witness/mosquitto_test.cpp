// An independent peer: Debian's mosquitto as broker for our MQTT client over TLS, with a CA of the test's own.
#include <gtest/gtest.h>

#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_mqtt.hpp>

#include "certificates.hpp"
#include "process.hpp"

namespace {

using namespace std::chrono_literals;
using iothub::mqtt::client_event_kind;
using mqtt_over_tls = iothub::stream_mqtt<iothub::net::tls_stream<iothub::net::tcp_stream>>;

struct seen_event {
  client_event_kind kind;
  std::uint16_t id;
  std::string topic;
  std::string payload;
  int qos;
  std::string reason;
};

class broker {
 public:
  broker() {
    auto const leaf = authority.issue();
    folder.write("ca.pem", authority.ca_pem());
    folder.write("server.pem", leaf.pem());
    folder.write("server.key", leaf.key_pem());
    folder.write("mosquitto.conf", "listener " + std::to_string(port) + " 127.0.0.1\nallow_anonymous true\nuser root\n" +
                                       "log_type all\ncertfile " + folder.file("server.pem") + "\nkeyfile " +
                                       folder.file("server.key") + "\n");
    start();
  }
  void start() {
    std::string program = "/usr/sbin/mosquitto";  // Debian keeps it out of a user's PATH
    running = std::make_unique<iothub_test::process>(
        std::vector<std::string>{program, "-c", folder.file("mosquitto.conf")}, folder.file("log"));
  }
  void kill() { running->stop(SIGKILL); }
  [[nodiscard]] bool logged(std::string const& text) const { return folder.read("log").find(text) != std::string::npos; }

  iothub_test::certificate_maker authority;
  iothub_test::temporary_folder folder;
  std::uint16_t port = iothub_test::free_port();
  std::unique_ptr<iothub_test::process> running;
};

// Keeps what a session says. Opens again when the connection ends, if told to.
class client : public iothub::participant {
 public:
  client(iothub::net::epoll_loop& on, broker& to, std::string const& trusted_pem)
      : loop{on},
        peer{to},
        session{iothub::mqtt::client_options{}, iothub::net::tls_context::client({.trust = {.ca_pem = trusted_pem}}).value(),
                iothub::net::tcp_stream{}} {
    session.attach(on, *this);
    on.add(*this);
  }
  void open(std::uint16_t keep_alive = 60) {
    EXPECT_TRUE(session.open({.host = "localhost", .port = peer.port},
                             {.client_id = "witness", .clean_session = false, .keep_alive = keep_alive}, loop.now()));
    loop.wake(*this);
  }
  void step(iothub::time_point now) override {
    session.step(now);
    while (auto const* e = session.next_event()) {
      events.push_back({e->kind, e->kind == client_event_kind::message ? e->publish.id : e->id,
                        std::string{e->publish.topic}, std::string{e->publish.payload}, e->publish.qos,
                        e->kind == client_event_kind::closed ? std::string{e->reason.message()} : std::string{}});
      if (e->kind == client_event_kind::message && e->publish.qos == 1) session.acknowledge(e->publish.id, now);
    }
  }
  iothub::time_point deadline() const override { return session.deadline(); }

  [[nodiscard]] int count(client_event_kind kind) const {
    int n = 0;
    for (auto const& e : events) n += e.kind == kind;
    return n;
  }
  bool wait(client_event_kind kind, int times = 1) {
    (void)loop.run_until([&] { return count(kind) >= times; }, iothub::add(loop.now(), 30s));
    return count(kind) >= times;
  }
  // mosquitto needs a moment to listen: a refused connection is tried again.
  void connect(std::uint16_t keep_alive = 60) {
    int const before = count(client_event_kind::connected);
    for (int attempt = 0; attempt != 200 && count(client_event_kind::connected) == before; ++attempt) {
      std::size_t const seen = events.size();
      open(keep_alive);
      (void)loop.run_until([&] { return events.size() > seen; }, iothub::add(loop.now(), 30s));
      if (count(client_event_kind::connected) == before) (void)loop.run_for(50ms);
    }
    ASSERT_GT(count(client_event_kind::connected), before) << (events.empty() ? "" : events.back().reason);
  }

  iothub::net::epoll_loop& loop;
  broker& peer;
  mqtt_over_tls session;
  std::vector<seen_event> events;
};

struct Mosquitto : testing::Test {
  iothub::net::epoll_loop loop;
  broker server;
  client device{loop, server, server.authority.ca_pem()};
};

TEST_F(Mosquitto, CarriesBothQualitiesOfServiceBothWays) {
  device.connect();
  std::array<iothub::mqtt::subscription, 2> const filters{{{.filter = "once/#", .qos = 1}, {.filter = "maybe/+", .qos = 0}}};
  ASSERT_TRUE(device.session.subscribe(filters, loop.now()));
  ASSERT_TRUE(device.wait(client_event_kind::subscribed));
  ASSERT_TRUE(device.session.publish({.topic = "once/a/b", .payload = std::string_view{"one\0two", 7}, .qos = 1}, loop.now()));
  ASSERT_TRUE(device.session.publish({.topic = "maybe/c", .payload = "three", .qos = 0}, loop.now()));
  ASSERT_TRUE(device.wait(client_event_kind::message, 2));
  ASSERT_TRUE(device.wait(client_event_kind::published));
  std::map<std::string, seen_event> got;
  for (auto const& e : device.events)
    if (e.kind == client_event_kind::message) got.emplace(e.topic, e);
  ASSERT_EQ(got.count("once/a/b"), 1u);
  EXPECT_EQ(got.at("once/a/b").payload, (std::string{"one\0two", 7}));
  EXPECT_EQ(got.at("once/a/b").qos, 1);
  ASSERT_EQ(got.count("maybe/c"), 1u);
  EXPECT_EQ(got.at("maybe/c").qos, 0);
}

TEST_F(Mosquitto, SeesAKeepAliveWhenTheLinkIsIdle) {
  device.connect(1);
  int const closed_before = device.count(client_event_kind::closed);  // attempts before it listened
  (void)loop.run_until([&] { return server.logged("Sending PINGRESP to witness"); }, iothub::add(loop.now(), 30s));
  EXPECT_TRUE(server.logged("Received PINGREQ from witness"));
  EXPECT_EQ(device.count(client_event_kind::closed), closed_before);
}

TEST_F(Mosquitto, ConfirmsAfterItsRestartWhatWasInFlightBefore) {
  device.connect();
  ASSERT_TRUE(device.session.publish({.topic = "t", .payload = "before", .qos = 1}, loop.now()));
  ASSERT_TRUE(device.wait(client_event_kind::published));
  int const closed_before = device.count(client_event_kind::closed);  // attempts before it listened
  server.kill();
  auto const id = device.session.publish({.topic = "t", .payload = "in flight", .qos = 1}, loop.now());
  ASSERT_TRUE(id);
  ASSERT_TRUE(device.wait(client_event_kind::closed, closed_before + 1));
  server.start();
  device.connect();
  ASSERT_TRUE(device.wait(client_event_kind::published, 2));
  EXPECT_EQ(device.events.back().id, *id);
}

TEST_F(Mosquitto, IsRefusedWhenItsAuthorityIsNotTrusted) {
  device.connect();  // it listens
  iothub_test::certificate_maker const stranger{"somebody else"};
  client suspicious{loop, server, stranger.ca_pem()};
  suspicious.open();
  ASSERT_TRUE(suspicious.wait(client_event_kind::closed));
  EXPECT_NE(suspicious.events.back().reason.find("certificate"), std::string::npos) << suspicious.events.back().reason;
}

}  // namespace
