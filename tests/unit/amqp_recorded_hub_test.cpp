// What a real IoT hub once said to a device of azure-iot-sdk-c, frame by frame (the seeds of that SDK's fuzzer), said to
// our client, which attaches links of the same names. Each file is a frame behind two bytes: its number and the complement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
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

std::string recorded_frame(int number) {
  auto const text = iothub_test::read_file(IOTHUB_FOREIGN_DATA "/fuzz_seeds/amqp/" + std::to_string(number) + ".bin");
  return text.size() > 2 ? text.substr(2) : text;
}

struct recorded_device final : amqp::connection_handler {
  std::vector<std::string> seen;
  amqp::connection_options options;
  time_point const now{std::chrono::seconds{1000}};
  amqp::connection connection;
  amqp::session* session = nullptr;

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
      connection.receive(recorded_frame(n), now);
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
    amqp::link* const made = session->attach(how).value();
    if (role == amqp::link_role::receiver) made->add_credit(10);
    return made;
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
    EXPECT_FALSE(amqp::read_message(what.payload, m));
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

TEST(RecordedHub, IsUnderstoodByOurClient) {
  if (!std::filesystem::exists(IOTHUB_FOREIGN_DATA "/fuzz_seeds/amqp/26.bin")) {
    std::puts("fuzz_seeds/amqp is not there: the recorded hub said nothing");
    GTEST_SKIP() << "fuzz_seeds/amqp is not there";
  }
  recorded_device d;
  ASSERT_TRUE(d.connection.open({amqp::sasl_mechanism::mssbcbs, "", {}}, d.now));
  d.hear(0, 4);
  EXPECT_THAT(d.heard(), ElementsAre("open DeviceGateway_64d8f22bdf5347baa2fd5bbf50f1fd69 65536"));
  d.session = d.connection.begin().value();
  d.hear(5, 5);
  EXPECT_THAT(d.heard(), ElementsAre("begun"));

  amqp::link* const cbs = d.attach("$cbs-sender", amqp::link_role::sender, "$cbs");
  (void)d.attach("$cbs-receiver", amqp::link_role::receiver, "$cbs");
  d.hear(6, 8);
  EXPECT_THAT(d.heard(), ElementsAre("attached $cbs-sender 1048576", "credit $cbs-sender 100", "attached $cbs-receive 1048576"));
  ASSERT_TRUE(cbs->send({.payload = std::string_view{"token"}}));
  d.hear(9, 10);  // the request is settled before it is answered
  EXPECT_THAT(d.heard(), ElementsAre("settled 0 accepted", "200 OK 0 "));

  std::string const host = "amqps://ericwol-hub.azure-devices.net/devices/eeqq/";
  amqp::link* const events =
      d.attach("link-snd-eeqq-0cf52e61-30db-4461-acaa-b79f144d19d9", amqp::link_role::sender, host + "messages/events");
  (void)d.attach("link-rcv-eeqq-c27d5794-eaa9-4ff6-af8b-201b6da40ded", amqp::link_role::receiver, host + "messages/devicebound");
  (void)d.attach("link-snd-eeqq-0615aaaf-cc93-49a1-a797-c2e8d3b4d483", amqp::link_role::sender, host + "twin");
  (void)d.attach("link-rcv-eeqq-64d6e28e-2ccb-4c00-9d86-94b47487cba0", amqp::link_role::receiver, host + "twin");
  d.hear(11, 16);
  EXPECT_THAT(d.heard(), ElementsAre("attached link-snd-eeq 1048576", "credit link-snd-eeq 1000", "attached link-rcv-eeq 65536",
                                     "attached link-snd-eeq 1048576", "credit link-snd-eeq 1000",
                                     "attached link-rcv-eeq 1048576"));
  for (int n = 0; n != 4; ++n) ASSERT_TRUE(events->send({.payload = std::string_view{"a message"}}));
  (void)d.attach("methods_responses_link-eeqq", amqp::link_role::sender, host + "methods/devicebound");
  (void)d.attach("methods_requests_link-eeqq", amqp::link_role::receiver, host + "methods/devicebound");
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

}  // namespace
