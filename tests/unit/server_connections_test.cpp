// Served connections over pipes in virtual time: what a peer cannot do to the hub by taking nothing, by leaving without
// a word, or by something that throws.
#include <gtest/gtest.h>

#include <stdexcept>

#include <iothub/crypto/seeded.hpp>
#include <iothub/hub_connections.hpp>
#include <iothub/hub_runtime.hpp>
#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/mqtt/codec.hpp>

#include <talker.hpp>

namespace {

using namespace iothub;
using namespace std::chrono_literals;
using talker = iothub_test::talker<memory::pipe_stream>;

// A protocol whose every answer the test gives.
struct script {
  std::string output;
  bool wants = true;
  bool ending = false;
  bool throws = false;
  int ends = 0;
  std::string received = {};
};
class scripted_protocol {
 public:
  using service = script;
  scripted_protocol(service& s, function<void()>, time_point, std::string) : s_{s} {}
  [[nodiscard]] bool wants_input() const noexcept { return s_.wants; }
  void receive(byte_view bytes, time_point) {
    if (s_.throws) throw std::runtime_error{"no such luck"};
    s_.received += bytes;
  }
  void receive_end(time_point) { ++s_.ends, s_.ending = true; }
  void lost(error, time_point) {}
  [[nodiscard]] byte_view output() const noexcept { return s_.output; }
  void consume_output(std::size_t size, time_point) { s_.output.erase(0, size); }
  void on_time(time_point) {}
  [[nodiscard]] bool ending() const noexcept { return s_.ending; }
  [[nodiscard]] bool finished() const noexcept { return s_.ending && s_.output.empty(); }
  [[nodiscard]] time_point deadline() const noexcept { return never; }
  [[nodiscard]] error const* rejected() const noexcept { return nullptr; }

 private:
  service& s_;
};

struct log_lines final : hub::log_sink {
  void write(hub::log_entry const& entry) override { text += std::string{entry.reason} + '\n'; }
  std::string text = {};
};

class ServedConnection : public testing::Test {
 protected:
  ServedConnection() {
    server.start().value();
    client.reading = false;
    client.stream.open({"hub", 1}, loop.now()).value();
  }
  void run(duration time) { ASSERT_TRUE(loop.run_for(time)); }

  memory::virtual_loop loop;
  memory::pipe_network network{loop, {.capacity = 1000}};
  script service;
  log_lines log;
  stream_server<memory::pipe_listener, scripted_protocol, as_accepted> server{
      loop, network.listen({"hub", 1}).value(), service, {}, {.log = &log, .name = "toy"}};
  talker client{loop, memory::pipe_stream{network}};
};

TEST_F(ServedConnection, EndsWhenThePeerTakesNothingForAMinute) {
  service.output = std::string(5000, 'x');
  run(59s);
  EXPECT_EQ(server.connections(), 1u);
  char some[100];
  EXPECT_EQ(client.stream.read(some, loop.now()).size, 100u);
  run(59s);
  EXPECT_EQ(server.connections(), 1u);
  run(1s);
  EXPECT_EQ(server.connections(), 0u);
  EXPECT_EQ(log.text, "toy: the peer took nothing for too long\n");
}

TEST_F(ServedConnection, StaysWhileThereIsNothingToTake) {
  service.output = std::string(500, 'x');
  run(24h);
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(ServedConnection, ThePeerHasTwoSecondsForTheRestWhenItIsOver) {
  service.output = std::string(5000, 'x');
  run(10s);
  service.ending = true;
  client.say("!");
  run(1999ms);
  EXPECT_EQ(server.connections(), 1u);
  run(1ms);
  EXPECT_EQ(server.connections(), 0u);
  EXPECT_EQ(log.text, "toy: the peer did not take the rest\n");
}

TEST_F(ServedConnection, NoticesThatThePeerLeftWhileReadingIsPaused) {
  service.wants = false;
  client.say("unread");
  run(1h);
  EXPECT_EQ(server.connections(), 1u);
  client.close();
  run(1999ms);
  EXPECT_EQ(server.connections(), 1u);
  run(1ms);
  EXPECT_EQ(service.ends, 1);
  EXPECT_EQ(server.connections(), 0u);
}

TEST_F(ServedConnection, ReadsWhatThePeerSaidBeforeItLeftWhenReadingGoesOnInTime) {
  service.wants = false;
  client.say("unread");
  run(1h);
  client.close();
  run(1s);
  service.wants = true;
  run(1s);
  EXPECT_EQ(service.received, "unread");
  EXPECT_EQ(service.ends, 1);
  EXPECT_EQ(server.connections(), 0u);
}

TEST_F(ServedConnection, AnExceptionEndsItsConnectionAlone) {
  talker other{loop, memory::pipe_stream{network}};
  other.stream.open({"hub", 1}, loop.now()).value();
  run(1s);
  ASSERT_EQ(server.connections(), 2u);
  service.throws = true;
  client.say("!");
  run(1s);
  EXPECT_EQ(server.connections(), 1u);
  EXPECT_EQ(log.text, "toy: no such luck\n");
}

// The whole way, with the MQTT face: the refusal is four bytes, of which the peer takes two.
TEST(ServedMqttConnection, ThatIsClosedDoesNotWaitForeverForItsPeerToRead) {
  memory::virtual_loop loop;
  memory::pipe_network network{loop, {.capacity = 2}};
  hub_runtime<seeded_crypto> runtime{loop, seeded_crypto{1}, {}};
  stream_server<memory::pipe_listener, mqtt_protocol, as_accepted> server{
      loop, network.listen({"hub", 1883}).value(), runtime.mqtt(), {}, {.name = "MQTT"}};
  server.start().value();
  talker client{loop, memory::pipe_stream{network}};
  client.reading = false;
  client.stream.open({"hub", 1883}, loop.now()).value();
  byte_buffer hello;
  mqtt::encode(mqtt::connect{.client_id = "nobody"}, hello);
  client.say(hello.view());
  ASSERT_TRUE(loop.run_for(1s));
  EXPECT_EQ(server.connections(), 1u);
  ASSERT_TRUE(loop.run_for(1s));
  EXPECT_EQ(server.connections(), 0u);
}

}  // namespace
