// What a simulation's hub sends that no hub should: all of the common table of cases, and what a device makes of each.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>

#include <iothub/simulation.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using sim::fault;
namespace table = iothub::sim::detail;

std::string unhex(std::string const& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return bytes;
}
template <std::size_t N>
bool has(std::string_view const (&list)[N], std::string const& bytes) {
  return std::find(std::begin(list), std::end(list), bytes) != std::end(list);
}

TEST(HostilePackets, AreAllOfTheCommonTable) {
  auto const cases = iothub_test::load("mqtt_server_to_client.json")["cases"];
  EXPECT_EQ(cases.size(), 48u);
  std::size_t before = 0, closing = 0, singly = 0;
  for (json::value const& c : cases.elements()) {
    auto const text = [&](char const* name) { return std::string{c[name].as_string().value()}; };
    std::string const bytes = unhex(text("hex"));
    if (text("state") == "await_connack") {
      EXPECT_TRUE(has(table::wrong_connacks, bytes)) << text("name");
      ++before;
    } else if (text("expect") == "close") {
      EXPECT_TRUE(has(table::illegal_packets, bytes)) << text("name");
      ++closing;
    } else {
      EXPECT_TRUE(has(table::unexpected_packets, bytes) || has(table::illegal_packets, bytes)) << text("name");
      singly += text("name") == "byte by byte publish";
    }
  }
  EXPECT_EQ(before, std::size(table::wrong_connacks));
  EXPECT_EQ(closing, 22u);
  EXPECT_EQ(singly, 1u);
  EXPECT_TRUE(sim::unexpected_packet(std::size(table::unexpected_packets) - 1).one_by_one);
  EXPECT_FALSE(sim::unexpected_packet(0).one_by_one);
}

// Shows what came down.
struct downstream final : sim::line_observer {
  std::string all;
  int lost = 0;
  void on_attempt(time_point) override {}
  void on_up(byte_view, time_point) override {}
  void on_down(byte_view packet, time_point) override { all += packet; }
  void on_gone(time_point) override { ++lost; }
  void on_fault(fault, time_point) override {}
};

TEST(HostilePackets, ThatAreIllegalEndTheConnectionAndTheNextIsGood) {
  for (std::size_t i = 0; i != std::size(table::illegal_packets); ++i) {
    simulation sim{{.seed = i}};
    downstream seen;
    auto device = sim.connect_device("pump");
    sim.observe("pump", &seen);
    sim.inject(fault::illegal_packet, "pump", 1s, i);
    (void)device.send_telemetry({.body = "1"});
    sim.run_for(2min);
    EXPECT_EQ(seen.lost, 1) << i;
    EXPECT_EQ(seen.all.substr(0, sim::illegal_packet(i).size()), sim::illegal_packet(i));
    EXPECT_TRUE(sim.line_of("pump").known.connected) << i;
    EXPECT_EQ(sim.bodies("pump").size(), 1u);
  }
}
TEST(HostilePackets, ThatAreOnlyUnexpectedAreLivedWith) {
  for (std::size_t i = 0; i != std::size(table::unexpected_packets); ++i) {
    simulation sim{{.seed = i}};
    downstream seen;
    auto device = sim.connect_device("pump");
    int handled = 0;
    device.on_message([&](c2d_message const&) { ++handled; });
    sim.run_for(10s);
    sim.observe("pump", &seen);
    sim.inject(fault::packet_unexpected, "pump", 1s, i);
    EXPECT_TRUE(device.send_telemetry({.body = "1"}).has_value()) << i;
    sim.hub().send_c2d("pump", {.body = "hello"});
    sim.run_for(20min);  // the client's and the hub's keep-alive are content
    EXPECT_EQ(seen.lost, 0) << i;
    EXPECT_EQ(seen.all.substr(0, sim::unexpected_packet(i).bytes.size()), sim::unexpected_packet(i).bytes);
    EXPECT_EQ(handled, 1) << i;
    EXPECT_EQ(sim.hub().pending_c2d("pump"), 0u);
  }
}
TEST(HostilePackets, InPlaceOfConnackAreComeBackFrom) {
  for (std::size_t i = 0; i != std::size(table::wrong_connacks); ++i) {
    simulation sim{{.seed = i}};
    downstream seen;
    auto device = sim.make_device("pump");
    sim.observe("pump", &seen);
    sim.inject(fault::connack_wrong, "pump", 1s, i);
    auto connected = device.connect();
    EXPECT_EQ(sim.faults()[fault::connack_wrong], 1u);
    EXPECT_EQ(seen.all.substr(0, sim::wrong_connack(i).size()), sim::wrong_connack(i));
    bool const taken = i < 2, refused = i >= 2 && i < 6;  // connect; refuse; close or retry
    EXPECT_EQ(seen.lost == 0, taken) << i;
    if (refused) {
      for (int again = 0; !connected && again != 3; ++again) sim.run_for(1min), connected = device.connect();
    }
    EXPECT_TRUE(connected.has_value()) << i << ": " << connected.error().message();
    EXPECT_TRUE(device.send_telemetry({.body = "1"}).has_value()) << i;
  }
}

// That each is turned down for its own reason.
TEST(HostileServer, IsTurnedDownForWhatIsWrongWithItsCertificate) {
  struct row {
    fault what;
    char const* says;
  };
  for (row const& r : {row{fault::tls_wrong_name, "hostname mismatch"}, {fault::tls_expired, "certificate has expired"},
                       {fault::tls_not_yet_valid, "certificate is not yet valid"},
                       {fault::tls_unknown_authority, "in certificate chain"},
                       {fault::tls_self_signed, "self-signed certificate"},
                       {fault::tls_wrong_usage, "unsuitable certificate purpose"},
                       {fault::tls_too_old, "protocol version"}}) {
    simulation sim{{.seed = 9, .tls = true}};
    auto device = sim.make_device("pump");
    std::string said;
    device.on_connection_change([&](connection_status, connection_reason) {
      if (auto const why = device.last_connection_error()) said += why->message();
    });
    sim.inject(r.what, "pump");
    device.async_connect([](result<void>) {});
    sim.run_for(2min);
    EXPECT_EQ(sim.faults()[r.what], 1u);
    EXPECT_NE(said.find(r.says), std::string::npos) << to_string(r.what) << ": " << said;
  }
}

// The client of a server that speaks nothing newer than TLS 1.1 says so at once, and is there when a better one is.
TEST(HostileServer, WithAnOldTlsIsTurnedDownAndARenegotiationIsNot) {
  for (fault const f : {fault::tls_too_old, fault::tls_renegotiation}) {
    simulation sim{{.seed = 9, .tls = true}};
    downstream seen;
    auto device = sim.make_device("pump");
    sim.observe("pump", &seen);
    sim.inject(f, "pump");
    auto const began = sim.now();
    auto const connected = device.connect();
    EXPECT_EQ(sim.faults()[f], 1u);
    if (f == fault::tls_too_old) {
      EXPECT_GE(seen.lost, 1);
      EXPECT_TRUE(connected.has_value()) << connected.error().message();
      EXPECT_LT(sim.now() - began, 20s) << "it was not told, and waited";
    }
    sim.run_for(2min);
    EXPECT_EQ(seen.lost, 1) << to_string(f);
    EXPECT_TRUE(sim.line_of("pump").known.connected);
    EXPECT_TRUE(device.send_telemetry({.body = "1"}).has_value());
  }
}

}  // namespace
