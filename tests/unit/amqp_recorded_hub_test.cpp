// What a real IoT hub once said to a device of azure-iot-sdk-c, frame by frame (the seeds of that SDK's fuzzer), said to
// our client, which attaches links of the same names. Each file is a frame behind two bytes: its number and the complement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/amqp/cbs.hpp>
#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/message.hpp>

#include "test_data.hpp"

namespace {

using namespace iothub;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int frames = 27;
bool are_there() {
  if (std::filesystem::exists(IOTHUB_FOREIGN_DATA "/fuzz_seeds/amqp/26.bin")) return true;
  std::puts("fuzz_seeds/amqp is not there: the recorded hub said nothing");
  return false;
}
std::string const& frame(int number) {
  static auto const all = [] {
    std::array<std::string, frames> read;
    for (int n = 0; n != frames; ++n) {
      auto& text = read[static_cast<std::size_t>(n)];
      text = iothub_test::read_file(IOTHUB_FOREIGN_DATA "/fuzz_seeds/amqp/" + std::to_string(n) + ".bin");
      text.erase(0, 2);
    }
    return read;
  }();
  return all.at(static_cast<std::size_t>(number));
}

struct recorded_device : amqp::connection_handler {
  std::vector<std::string> seen;
  amqp::connection_options options;
  time_point const now{std::chrono::seconds{1000}};
  amqp::connection connection;
  amqp::session* session = nullptr;
  int changed = -1;          // this frame is another one
  std::string instead = {};

  recorded_device() : options{made()}, connection{amqp::connection_role::client, *this, options, now} {}
  static amqp::connection_options made() {
    amqp::connection_options o;
    o.container_id = "device";
    o.hostname = "localhost";
    return o;
  }
  // The last frame that was heard; what the client answers is thrown away.
  void hear(int first, int last) {
    for (int n = first; n <= last; ++n) {
      connection.receive(n == changed ? instead : frame(n), now);
      connection.step(now);
      connection.consume(connection.output().size());
    }
  }
  amqp::link* attach(std::string_view name, amqp::link_role role, std::string_view address) {
    amqp::attach how;
    how.name = name;
    how.role = role;
    how.has_source = how.has_target = true;
    (role == amqp::link_role::sender ? how.target.address : how.source.address) = address;
    how.source.has_address = how.target.has_address = true;
    auto const made = session->attach(how);
    if (made && role == amqp::link_role::receiver) (*made)->add_credit(10);
    return made ? *made : nullptr;
  }
  std::vector<std::string> heard() { return std::exchange(seen, {}); }

  void on_open(amqp::open const& peer, time_point) override {
    seen.push_back("open " + std::string{peer.container_id} + " " + std::to_string(peer.max_frame_size));
  }
  void on_begun(amqp::session&, time_point) override { seen.push_back("begun"); }
  void on_attached(amqp::link& which, amqp::attach const&, time_point) override {
    seen.push_back("attached " + std::string{which.name().substr(0, 12)} + " " + std::to_string(which.peer_max_message_size()));
  }
  void on_credit(amqp::link& which, time_point) override {
    seen.push_back("credit " + std::string{which.name().substr(0, 12)} + " " + std::to_string(which.credit()));
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    seen.push_back("settled " + std::to_string(what.id) +
                   (what.state.is == amqp::outcome::accepted && what.settled ? " accepted" : " otherwise"));
  }
  void on_transfer(amqp::link&, amqp::delivery const& what, time_point) override {
    amqp::message_view m;
    if (amqp::read_message(what.payload, m)) return seen.push_back("no message");
    auto const status = amqp::read_status(m);
    std::string text = status.code != 0 ? std::to_string(status.code) + " " + std::string{status.description}
                                        : amqp::to_text(m.message_annotations);
    text.append(" ").append(amqp::id_text(m.properties.correlation_id)).append(" ").append(m.data);
    seen.push_back(text);
  }
  void on_detached(amqp::link& which, amqp::end_reason const&, time_point) override {
    seen.push_back("detached " + std::string{which.name()});
  }
  void on_closed(error const& reason, amqp::error_view const&, time_point) override {
    seen.push_back("closed " + std::string{reason.message()});
  }
};

// What the device does between what it hears, until the connection ends or `last` was heard.
struct conversation : recorded_device {
  std::string const host = "amqps://ericwol-hub.azure-devices.net/devices/eeqq/";
  amqp::link* cbs = nullptr;
  amqp::link* events = nullptr;

  bool goes_on() { return connection.state() != amqp::connection::state_type::closed; }
  void tokens() {
    cbs = attach("$cbs-sender", amqp::link_role::sender, "$cbs");
    (void)attach("$cbs-receiver", amqp::link_role::receiver, "$cbs");
  }
  void links() {
    events = attach("link-snd-eeqq-0cf52e61-30db-4461-acaa-b79f144d19d9", amqp::link_role::sender, host + "messages/events");
    (void)attach("link-rcv-eeqq-c27d5794-eaa9-4ff6-af8b-201b6da40ded", amqp::link_role::receiver, host + "messages/devicebound");
    (void)attach("link-snd-eeqq-0615aaaf-cc93-49a1-a797-c2e8d3b4d483", amqp::link_role::sender, host + "twin");
    (void)attach("link-rcv-eeqq-64d6e28e-2ccb-4c00-9d86-94b47487cba0", amqp::link_role::receiver, host + "twin");
  }
  void methods() {
    (void)attach("methods_responses_link-eeqq", amqp::link_role::sender, host + "methods/devicebound");
    (void)attach("methods_requests_link-eeqq", amqp::link_role::receiver, host + "methods/devicebound");
  }
  // All of it, whatever was said.
  void run(int last) {
    ASSERT_TRUE(connection.open({amqp::sasl_mechanism::mssbcbs, "", {}}, now));
    for (int n = 0; n <= last && goes_on(); ++n) {
      if (n == 5) {
        auto const begun = connection.begin();
        session = begun ? *begun : nullptr;
      }
      if (n == 6 && session != nullptr) tokens();
      if (n == 9 && cbs != nullptr) (void)cbs->send({.payload = std::string_view{"token"}});
      if (n == 11 && session != nullptr) links();
      if (n == 17 && events != nullptr)
        for (int i = 0; i != 4; ++i) (void)events->send({.payload = std::string_view{"a message"}});
      if (n == 17 && session != nullptr) methods();
      hear(n, n);
    }
  }
  // They are gone with their link, and all links with their session.
  void on_detached(amqp::link& which, amqp::end_reason const& why, time_point at) override {
    if (&which == cbs) cbs = nullptr;
    if (&which == events) events = nullptr;
    recorded_device::on_detached(which, why, at);
  }
  void on_ended(amqp::session&, amqp::end_reason const&, time_point) override { session = nullptr, cbs = events = nullptr; }
};

TEST(RecordedHub, IsUnderstoodByOurClient) {
  if (!are_there()) GTEST_SKIP() << "fuzz_seeds/amqp is not there";
  conversation d;
  ASSERT_TRUE(d.connection.open({amqp::sasl_mechanism::mssbcbs, "", {}}, d.now));
  d.hear(0, 4);
  EXPECT_THAT(d.heard(), ElementsAre("open DeviceGateway_64d8f22bdf5347baa2fd5bbf50f1fd69 65536"));
  d.session = d.connection.begin().value();
  d.hear(5, 5);
  EXPECT_THAT(d.heard(), ElementsAre("begun"));

  d.tokens();
  d.hear(6, 8);
  EXPECT_THAT(d.heard(), ElementsAre("attached $cbs-sender 1048576", "credit $cbs-sender 100", "attached $cbs-receive 1048576"));
  ASSERT_TRUE(d.cbs->send({.payload = std::string_view{"token"}}));
  d.hear(9, 10);  // the request is settled before it is answered
  EXPECT_THAT(d.heard(), ElementsAre("settled 0 accepted", "200 OK 0 "));

  d.links();
  d.hear(11, 16);
  EXPECT_THAT(d.heard(), ElementsAre("attached link-snd-eeq 1048576", "credit link-snd-eeq 1000", "attached link-rcv-eeq 65536",
                                     "attached link-snd-eeq 1048576", "credit link-snd-eeq 1000",
                                     "attached link-rcv-eeq 1048576"));
  for (int n = 0; n != 4; ++n) ASSERT_TRUE(d.events->send({.payload = std::string_view{"a message"}}));
  d.methods();
  d.hear(17, 26);
  EXPECT_THAT(d.heard(),
              ElementsAre("settled 1 accepted", "settled 2 accepted", "attached methods_resp 1048576",
                          "credit methods_resp 1000", "attached methods_requ 1048576",
                          AllOf(HasSubstr("{status: 200} 7a7d5e01-4bb1-480b-8b67-fcf6bfe9732e {\"desired\":"),
                                HasSubstr("\"$version\":2},\"reported\":{\"$version\":1}}")),
                          HasSubstr("{status: 200} 04b942ad-7d8b-456c-8a47-6b42c855ea4c {\"desired\":"), "settled 4 accepted",
                          "{status: 200} efe54a7a-9dd0-4cc2-bd9c-709ae2167c9a ", "settled 3 accepted"));
  EXPECT_EQ(d.connection.state(), amqp::connection::state_type::open);
}

// Every byte and every four of what that hub said are nothing or all ones: sizes, counts and codes among them. Memory was used
// after it was freed and freed twice by such frames, https://github.com/Azure/azure-uamqp-c/pull/384,
// https://github.com/Azure/azure-uamqp-c/pull/463. A connection ends with a reason or goes on.
TEST(RecordedHub, MayBreakAnyOfItsFrames) {
  if (!are_there()) GTEST_SKIP() << "fuzz_seeds/amqp is not there";
  int ended = 0, went_on = 0;
  for (int n = 0; n != frames; ++n)
    for (std::size_t i = 0; i != frame(n).size(); ++i)
      for (auto const& [size, byte] : {std::pair<std::size_t, char>{1, '\0'}, {1, '\xff'}, {4, '\0'}, {4, '\xff'}}) {
        if (i + size > frame(n).size()) continue;
        conversation d;
        d.changed = n;
        (d.instead = frame(n)).replace(i, size, size, byte);
        d.run(n + 2 < frames ? n + 2 : frames - 1);
        ASSERT_EQ(d.goes_on(), d.seen.empty() || d.seen.back().substr(0, 7) != "closed ") << n << " byte " << i;
        ++(d.goes_on() ? went_on : ended);
      }
  EXPECT_GT(ended, 1'000);
  EXPECT_GT(went_on, 5'000);
}

}  // namespace
