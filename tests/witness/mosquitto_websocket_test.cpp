// An independent peer: mosquitto with libwebsockets as the server of our WebSocket client, over TLS, with a CA of the
// test's own.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <iothub/crypto/openssl.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_mqtt.hpp>
#include <iothub/policy/ws_stream.hpp>

#include "certificates.hpp"
#include "process.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using mqtt::client_event_kind;
using session_type = stream_mqtt<ws_stream<net::tls_stream<net::tcp_stream>>>;

class broker {
 public:
  broker() {
    auto const leaf = authority.issue();
    folder.write("server.pem", leaf.pem());
    folder.write("server.key", leaf.key_pem());
    // mosquitto 2.0.11 ends at once when it has no other listener than for WebSockets.
    folder.write("mosquitto.conf", "listener " + std::to_string(iothub_test::free_port()) + " 127.0.0.1\nlistener " +
                                       std::to_string(port) +
                                       " 127.0.0.1\nprotocol websockets\nallow_anonymous true\n" +
                                       "user root\nlog_type all\ncertfile " + folder.file("server.pem") + "\nkeyfile " +
                                       folder.file("server.key") + "\n");
    std::string const program = "/usr/sbin/mosquitto";  // Debian keeps it out of a user's PATH
    running = std::make_unique<iothub_test::process>(
        std::vector<std::string>{program, "-c", folder.file("mosquitto.conf")}, folder.file("log"));
  }

  iothub_test::certificate_maker authority;
  iothub_test::temporary_folder folder;
  std::uint16_t port = iothub_test::free_port();
  std::unique_ptr<iothub_test::process> running;
};

class client : public participant {
 public:
  client(net::epoll_loop& on, broker& to, std::string subprotocol = "mqtt")
      : loop{on},
        peer{to},
        session{
            mqtt::client_options{},
            ws_stream_options{.path = "/mqtt",
                              .subprotocol = std::move(subprotocol),
                              .random = [](byte_span into) { return openssl_crypto{}.fill_random(into); }},
            net::tls_stream<net::tcp_stream>{
                net::tls_context::client({.trust = {.ca_pem = to.authority.ca_pem()}}).value(), net::tcp_stream{}}} {
    session.attach(on, *this);
    on.add(*this);
  }
  void step(time_point now) override {
    session.step(now);
    while (auto const* e = session.next_event()) {
      ++events;
      if (e->kind == client_event_kind::connected) connected = true;
      if (e->kind == client_event_kind::published) ++published;
      if (e->kind == client_event_kind::subscribed) subscribed = true;
      if (e->kind == client_event_kind::closed) reason = e->reason.message(), code = e->reason.code();
      if (e->kind == client_event_kind::message) {
        received.emplace_back(e->publish.payload);
        session.acknowledge(e->publish.id, now);
      }
    }
  }
  time_point deadline() const override { return session.deadline(); }

  template <class Predicate>
  bool wait(Predicate done) {
    return loop.run_until(done, iothub::add(loop.now(), 30s)).has_value();
  }
  void open() {
    int const before = events;
    ASSERT_TRUE(session.open({.host = "localhost", .port = peer.port}, {.client_id = "witness", .clean_session = true},
                             loop.now()));
    loop.wake(*this);
    wait([&] { return events > before; });
  }
  // mosquitto needs a moment to listen: a refused connection is tried again.
  void connect() {
    for (int attempt = 0; attempt != 200 && !connected; ++attempt) {
      open();
      if (!connected) (void)loop.run_for(50ms);
    }
    ASSERT_TRUE(connected) << reason;
  }

  net::epoll_loop& loop;
  broker& peer;
  session_type session;
  int events = 0, published = 0;
  bool connected = false, subscribed = false;
  std::vector<std::string> received;
  std::string reason;
  errc code = errc::closed;
};

struct MosquittoWebSocket : testing::Test {
  net::epoll_loop loop;
  broker server;
};

TEST_F(MosquittoWebSocket, CarriesMessagesOfEverySizeOfFrame) {
  client device{loop, server};
  device.connect();
  mqtt::subscription const filters[] = {{.filter = "t", .qos = 1}};
  ASSERT_TRUE(device.session.subscribe(filters, loop.now()));
  ASSERT_TRUE(device.wait([&] { return device.subscribed; }));
  std::vector<std::string> sent;
  // Not more: mosquitto 2.0.11 looks at its WebSockets ten times a second.
  for (std::size_t const size : {0u, 1u, 110u, 126u, 16'384u, 40'000u}) {
    sent.emplace_back(size, static_cast<char>('a' + sent.size()));
    ASSERT_TRUE(device.session.publish({.topic = "t", .payload = sent.back(), .qos = 1}, loop.now()));
  }
  ASSERT_TRUE(device.wait([&] { return device.received.size() == sent.size() && device.published == 6; }));
  EXPECT_EQ(device.received, sent);
  device.session.close(mqtt::close_mode::graceful, loop.now());
  device.connected = false;
  device.connect();  // the same stream, opened again
}

TEST_F(MosquittoWebSocket, RefusesASubprotocolThatItDoesNotHave) {
  {
    client device{loop, server};
    device.connect();  // it listens
  }
  client stranger{loop, server, "AMQPWSB10"};
  stranger.open();
  EXPECT_FALSE(stranger.connected);
  EXPECT_NE(stranger.reason, "");
}

}  // namespace
