// What iothub-fake serve does beside serving: how it ends, and what it shows of telemetry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iothub/iothub.hpp>

#include "../../tools/iothub-fake/serve.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;

struct kept_log final : hub::log_sink {
  void write(hub::log_entry const& entry) override {
    text += std::string{entry.event} + ' ' + std::string{entry.device_id} + ": " + std::string{entry.reason} + '\n';
  }
  std::string text;
};

// A TLS peer that reads until the end, and knows which end it was.
struct tls_peer final : participant {
  tls_peer(net::epoll_loop& on, std::uint16_t port, std::string const& ca_pem)
      : stream{net::tls_context::client({.trust = {.ca_pem = ca_pem}}).value(), net::tcp_stream{}} {
    on.add(*this);
    stream.attach(on, *this);
    stream.open({"localhost", port}, on.now()).value();
  }
  void step(time_point now) override {
    if (over) return;
    char bytes[512];
    auto const got = stream.read(bytes, now);
    over = got.status == io_status::end || got.status == io_status::failed;
    in_order = got.status == io_status::end;
  }
  time_point deadline() const override { return stream.deadline(); }
  net::tls_stream<net::tcp_stream> stream;
  bool over = false;
  bool in_order = false;
};

TEST(ServedHub, SaysGoodbyeWhenItStops) {
  net::epoll_loop loop;
  kept_log log;
  auto const ca = net::make_certificate_authority({}, loop.utc_now()).value();
  auto const ca_file = testing::TempDir() + "served_hub_ca_" + std::to_string(::getpid()) + ".pem";
  net::detail::write_file(ca_file, ca.ca_pem, 0600).value();
  auto server = hub_server::start(loop, {.https_port = 0,
                                         .mqtt_port = 0,
                                         .certificate_pem = ca.chain_pem,
                                         .private_key_pem = ca.private_key_pem,
                                         .log = &log})
                    .value();
  auto const made = server->core().put_identity({.device_id = "d1"}, {}, server->runtime().now()).value();
  auto device = device_client::from_connection_string(
                    loop, "HostName=localhost;DeviceId=d1;SharedAccessKey=" + made.authentication.primary_key,
                    {.ca_file = ca_file, .mqtt_port = server->mqtt_port()})
                    .value();
  device.connect().value();
  tls_peer mqtt{loop, server->mqtt_port(), ca.ca_pem};
  tls_peer https{loop, server->https_port(), ca.ca_pem};
  auto const both = [&] { return mqtt.stream.established() && https.stream.established(); };
  ASSERT_TRUE(loop.run_until(both, loop.now() + 20s));

  while (loop.poll_once()) {
  }  // the hub has read the last of the handshakes
  server->stop();
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_THAT(log.text, testing::HasSubstr("dropped d1: the hub stops\n"));
  auto const before = log.text;
  server.reset();
  EXPECT_EQ(log.text, before);
  EXPECT_TRUE(loop.run_until([&] { return mqtt.over && https.over; }, loop.now() + 20s));
  EXPECT_TRUE(mqtt.in_order) << mqtt.stream.last_error().message();
  EXPECT_TRUE(https.in_order) << https.stream.last_error().message();
  std::remove(ca_file.c_str());
}

TEST(ServedHub, ShowsAMessageOnALine) {
  hub::event_log events{{}};
  std::vector<std::string> shown;
  events.observe([&](hub::event_view const& event) { shown.push_back(iothub_fake::describe_telemetry(event)); });
  hub::property_view const properties[] = {{"colour", "red", true}, {"flag", {}, false}};
  events.append(0, {.device_id = "d1"}, {.body = R"({"t":1})", .properties = properties}, {});
  events.append(0, {.device_id = "d1"}, {.body = "\xff\x01"}, {});
  std::string const body = std::string(199, 'x') + "\xc3\xa9y";
  events.append(0, {.device_id = "d1"}, {.body = body}, {});
  EXPECT_THAT(shown, testing::ElementsAre(R"(7 bytes, colour=red, flag: {"t":1})", "2 bytes",
                                          "202 bytes: " + std::string(199, 'x') + "..."));
}

}  // namespace
