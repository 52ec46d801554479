// The served hub on loopback sockets, with this library's own clients on the same loop, and with peers that misbehave.
// Times here are bounds on hanging.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include <iothub/hub_server.hpp>
#include <iothub/iothub.hpp>
#include <iothub/net/certificate_authority.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

struct log_text final : hub::log_sink {
  void write(hub::log_entry const& entry) override {
    text += std::string{entry.event} + ' ' + std::string{entry.reason} + '\n';
  }
  std::string text;
};

class HubServer : public testing::Test {
 protected:
  void start(std::size_t max_connections = 100) {
    ca = net::make_certificate_authority({}, loop.utc_now()).value();
    ca_file = testing::TempDir() + "hub_server_ca_" + std::to_string(::getpid()) + ".pem";
    std::ofstream{ca_file} << ca.ca_pem;
    server = hub_server::start(loop, {.https_port = 0,
                                      .mqtt_port = 0,
                                      .certificate_pem = ca.chain_pem,
                                      .private_key_pem = ca.private_key_pem,
                                      .max_connections = max_connections,
                                      .log = &log})
                 .value();
  }
  void TearDown() override { std::remove(ca_file.c_str()); }

  std::string device_string(std::string_view id) {
    auto const made = server->core().put_identity({.device_id = std::string{id}}, {}, server->runtime().now()).value();
    return "HostName=localhost;DeviceId=" + std::string{id} + ";SharedAccessKey=" + made.authentication.primary_key;
  }
  [[nodiscard]] device_options how() const { return {.ca_file = ca_file, .mqtt_port = server->mqtt_port()}; }
  service_client service(std::string_view host = "localhost") {
    auto const text = "HostName=" + std::string{host} + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" +
                      server->core().find_policy("iothubowner")->primary_key;
    return service_client::from_connection_string(loop, text, {.ca_file = ca_file, .https_port = server->https_port()})
        .value();
  }
  template <class Predicate>
  bool soon(Predicate done) {
    return loop.run_until(done, loop.now() + 20s).has_value();
  }

  net::epoll_loop loop;
  log_text log;
  net::certificate_authority ca;
  std::string ca_file;
  std::unique_ptr<hub_server> server;
};

TEST_F(HubServer, CarriesTheQuickstart) {
  start();
  auto device = device_client::from_connection_string(loop, device_string("d1"), how()).value();
  device.on_method("echo", [](method_request const& request) -> method_response {
    return {.status = 200, .payload = request.payload};
  });
  device.connect().value();
  device.send_telemetry({.body = {{"t", 1}}}).value();
  EXPECT_EQ(server->core().events().all().at(0).content.body.bytes(), R"({"t":1})");
  auto back_end = service();
  auto const reply = back_end.invoke_method("d1", {.name = "echo", .payload = 10}).value();
  EXPECT_EQ(reply.payload, 10);
  device.update_reported_properties({{"on", true}}).value();
  EXPECT_EQ(back_end.get_twin("d1").value().reported["on"], true);
  EXPECT_GE(server->connections(), 2u);
  device.close();
  EXPECT_TRUE(soon([&] { return server->core().connected_devices() == 0; }));
}

TEST_F(HubServer, AnswersUnderTheAddressToo) {
  start();
  EXPECT_TRUE(service("127.0.0.1").create_device("d2"));
}

// A TCP peer that speaks no TLS.
struct raw_peer final : participant {
  raw_peer(net::epoll_loop& on, std::uint16_t port) : loop_{on} {
    on.add(*this);
    stream.attach(on, *this);
    stream.open({"127.0.0.1", port}, on.now()).value();
  }
  void step(time_point now) override {
    char bytes[512];
    for (;;) {
      auto const got = stream.read(bytes, now);
      if (got.status == io_status::would_block) break;
      if (got.status != io_status::done) {
        ended = true;
        break;
      }
    }
    while (!to_send.empty() && !ended) {
      auto const put = stream.write(to_send, now);
      if (put.status != io_status::done) break;
      to_send.erase(0, put.size);
    }
  }
  time_point deadline() const override { return stream.deadline(); }
  void send(std::string text) { to_send += text, loop_.wake(*this); }
  net::epoll_loop& loop_;
  net::tcp_stream stream;
  std::string to_send;
  bool ended = false;
};

TEST_F(HubServer, APeerThatSpeaksNoTlsEndsAlone) {
  start();
  auto device = device_client::from_connection_string(loop, device_string("d1"), how()).value();
  device.connect().value();
  for (auto const port : {server->https_port(), server->mqtt_port()}) {
    raw_peer peer{loop, port};
    peer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(soon([&] { return peer.ended; }));
  }
  device.send_telemetry({.body = "still here"}).value();
  EXPECT_THAT(log.text, testing::HasSubstr("connection HTTPS from 127.0.0.1"));
}

TEST_F(HubServer, ClosesConnectionsAboveItsLimit) {
  start(2);
  raw_peer first{loop, server->mqtt_port()}, second{loop, server->mqtt_port()};
  EXPECT_TRUE(soon([&] { return server->connections() == 2; }));
  raw_peer third{loop, server->mqtt_port()};
  EXPECT_TRUE(soon([&] { return third.ended; }));
  EXPECT_FALSE(first.ended);
  first.stream.close();
  EXPECT_TRUE(soon([&] { return server->connections() == 1; }));
  raw_peer fourth{loop, server->mqtt_port()};
  EXPECT_TRUE(soon([&] { return server->connections() == 2; }));
  EXPECT_FALSE(fourth.ended);
}

// That each ends a silent connection then is tested in virtual time: unit_mqtt, unit_http, unit_hub_amqp.
TEST_F(HubServer, IsSetToGiveAStrangerTenSecondsAtEachPort) {
  start();
  EXPECT_EQ(server->runtime().mqtt().session_options().connect_timeout, 10s);
  EXPECT_EQ(server->runtime().http().options().first_request_wait, 10s);
  EXPECT_EQ(server->runtime().amqp().connection_options().open_timeout, 10s);
}

TEST_F(HubServer, SaysWhichPortWasRefusedAndWhy) {
  start();
  hub_server::refused_port refused;
  auto const second = hub_server::start(loop,
                                        {.https_port = 0,
                                         .mqtt_port = server->mqtt_port(),
                                         .certificate_pem = ca.chain_pem,
                                         .private_key_pem = ca.private_key_pem},
                                        &refused);
  ASSERT_FALSE(second);
  EXPECT_EQ(refused.port, server->mqtt_port());
  EXPECT_EQ(refused.reason, EADDRINUSE);
}

TEST_F(HubServer, RefusesACertificateThatIsNone) {
  EXPECT_FALSE(
      hub_server::start(loop, {.https_port = 0, .mqtt_port = 0, .certificate_pem = "x", .private_key_pem = "y"}));
}

}  // namespace
