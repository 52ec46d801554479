// What may be called from several threads, and that clients on loops of their own share nothing that they must not. Run
// under the thread sanitizer by scripts/test-preset tsan; nothing here asserts how long anything takes.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <iothub/hub_server.hpp>
#include <iothub/iothub.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tls_context.hpp>

#include "process.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;

constexpr int many = 4;

template <class F>
void in_threads(F f) {
  std::vector<std::thread> all;
  for (int n = 0; n != many; ++n) all.emplace_back([f, n] { f(n); });
  for (auto& each : all) each.join();
}

// A hub that serves in a thread of its own until this goes.
class served_hub {
 public:
  served_hub() {
    auto const ca = net::open_certificate_authority(folder_.file("ca"), {}, on_.utc_now()).value();
    ca_file = ca.ca_file;
    hub_server_options how;
    how.https_port = how.mqtt_port = 0;
    how.certificate_pem = ca.chain_pem;
    how.private_key_pem = ca.private_key_pem;
    server_ = hub_server::start(on_, std::move(how)).value();
    https_port = server_->https_port();
    mqtt_port = server_->mqtt_port();
    for (int n = 0; n != many; ++n) {
      auto const made = server_->core().put_identity({.device_id = "d" + std::to_string(n)}, {}, server_->runtime().now()).value();
      keys.push_back(made.authentication.primary_key);
    }
    name = server_->core().options().hostname;
    owner_key = server_->core().find_policy("iothubowner")->primary_key;
    thread_ = std::thread{[this] { (void)on_.run_until([] { return false; }); }};
  }
  ~served_hub() {
    on_.stop();
    thread_.join();
  }
  [[nodiscard]] device_client device(loop& on, int n) const {
    device_options how;
    how.ca_file = ca_file;
    how.mqtt_port = mqtt_port;
    how.https_port = https_port;
    return device_client::from_connection_string(
               on, "HostName=" + name + ";DeviceId=d" + std::to_string(n) + ";SharedAccessKey=" + keys.at(static_cast<std::size_t>(n)) +
                       ";GatewayHostName=localhost",
               how)
        .value();
  }
  // Asks in the hub's own thread.
  [[nodiscard]] std::size_t events() {
    net::epoll_loop here;
    std::size_t found = 0;
    bool done = false;
    on_.post([&] {
      std::size_t const count = server_->core().events().all().size();
      here.post([&, count] { found = count, done = true; });
    });
    EXPECT_TRUE(here.run_until([&] { return done; }).has_value());
    return found;
  }

  std::string ca_file, name, owner_key;
  std::vector<std::string> keys;
  std::uint16_t https_port = 0, mqtt_port = 0;

 private:
  iothub_test::temporary_folder folder_;
  net::epoll_loop on_;
  std::unique_ptr<hub_server> server_;
  std::thread thread_;
};

TEST(Threads, ClientsOnLoopsOfTheirOwnWorkAtTheSameTime) {
  served_hub hub;
  in_threads([&hub](int n) {
    net::epoll_loop on;
    auto device = hub.device(on, n);
    device.on_method("echo", [](method_request const& r) -> method_response { return {.status = 200, .payload = r.payload}; });
    ASSERT_TRUE(device.connect().has_value());
    for (int i = 0; i != 5; ++i) EXPECT_TRUE(device.send_telemetry({.body = "x"}).has_value());
    json::value patch = json::value::make_object();
    patch.set("n", n);
    EXPECT_TRUE(device.update_reported_properties(patch).has_value());
    EXPECT_EQ(device.get_twin()->reported.properties["n"], n);
    service_options how;
    how.ca_file = hub.ca_file;
    how.https_port = hub.https_port;
    auto service = service_client::from_connection_string(
                       on, "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=" + hub.owner_key, how)
                       .value();
    (void)service.get_twin("d" + std::to_string(n));
    device.close();
  });
  EXPECT_EQ(hub.events(), many * 5u);
}

TEST(Threads, StopEndsABlockingCallOfAClient) {
  served_hub hub;
  net::epoll_loop on;
  auto device = hub.device(on, 0);
  ASSERT_TRUE(device.connect().has_value());
  std::thread other{[&] { device.stop(); }};
  EXPECT_FALSE(device.run_until([] { return false; }));
  other.join();
  EXPECT_EQ(device.send_telemetry({.body = "x"}).error(), errc::cancelled);
  on.restart();
  EXPECT_TRUE(device.send_telemetry({.body = "x"}).has_value());
}

TEST(Threads, WorkIsPostedToTheLoopOfAClient) {
  served_hub hub;
  net::epoll_loop on;
  auto device = hub.device(on, 0);
  ASSERT_TRUE(device.connect().has_value());
  int sent = 0;
  std::vector<std::thread> others;
  for (int n = 0; n != many; ++n)
    others.emplace_back([&] {
      for (int i = 0; i != 5; ++i)
        on.post([&] { device.async_send_telemetry({.body = "x"}, [&](result<void> r) { sent += r.has_value(); }); });
    });
  EXPECT_TRUE(device.run_until([&] { return sent == many * 5; }));
  for (auto& each : others) each.join();
  EXPECT_EQ(hub.events(), many * 5u);
}

TEST(Threads, TlsContextsAreMadeSharedAndDroppedAnywhere) {
  auto const ca = net::make_certificate_authority({}, from_unix_seconds(1'700'000'000)).value();
  auto const shared = net::tls_context::client({{.ca_pem = ca.ca_pem}}).value();
  in_threads([&](int n) {
    for (int i = 0; i != 20; ++i) {
      auto const copy = shared;
      auto const same = net::tls_context::client({{.ca_pem = ca.ca_pem}});
      ASSERT_TRUE(same.has_value());
      EXPECT_EQ(same->native_handle(), copy.native_handle());
      EXPECT_TRUE(net::tls_context::client({{.ca_pem = ca.ca_pem + std::string(static_cast<std::size_t>(n), '\n')}}).has_value());
    }
  });
}

// The parts hold one piece of memory together, whose count is what threads touch.
TEST(Threads, PartsOfADocumentMayEndUpInDifferentThreads) {
  for (int round = 0; round != 20; ++round) {
    std::string text = "[";
    for (int i = 0; i != many * 20; ++i) text += (i == 0 ? "" : ",") + std::string{R"({"a":["a long string that needs a node",1]})"};
    auto document = json::parse(text + "]").value();
    std::vector<std::vector<json::value>> parts(many);
    for (std::size_t i = 0; i != many * 20; ++i) parts[i % many].push_back(std::move(document[i]));
    std::thread whole{[d = std::move(document)]() mutable { d = nullptr; }};
    in_threads([&](int n) {
      for (auto& each : parts[static_cast<std::size_t>(n)]) {
        EXPECT_EQ(each["a"][1], 1);
        each = nullptr;
      }
    });
    whole.join();
  }
}

TEST(Threads, OneCryptoServesAll) {
  openssl_crypto const crypto;
  auto const key = crypto.prepare("key").value();
  auto const expected = crypto.sign(key, "text").value();
  in_threads([&](int) {
    for (int i = 0; i != 100; ++i) {
      EXPECT_EQ(crypto.sign(key, "text").value(), expected);
      char bytes[16];
      EXPECT_TRUE(crypto.fill_random(byte_span{bytes, sizeof bytes}).has_value());
    }
  });
}

}  // namespace
