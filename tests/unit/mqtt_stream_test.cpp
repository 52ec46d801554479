// The MQTT transport on a byte stream: against a server connection over a pipe, and against a scripted stream.
#include <iothub/policy/stream_mqtt.hpp>

#include <gtest/gtest.h>

#include <deque>

#include <iothub/mqtt/server_connection.hpp>
#include <iothub/testing/gmock_mqtt.hpp>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::bytes;
using iothub_test::hex;
using iothub_test::text;

// A stream whose reads are typed in and whose writes are written down, one entry per call.
struct scripted_stream {
  result<void> open(endpoint const& where, time_point) {
    opened.push_back(where.host);
    if (open_fails) return errc::host_not_found;
    return {};
  }
  io_result read(byte_span into, time_point) {
    if (reads.empty()) return {then, 0};
    std::string& next = reads.front();
    std::size_t const size = next.size() < into.size() ? next.size() : into.size();
    next.copy(into.data(), size);
    largest_read = size > largest_read ? size : largest_read;
    if (size == next.size())
      reads.pop_front();
    else
      next.erase(0, size);
    return {io_status::done, size};
  }
  io_result write(byte_view from, time_point) {
    if (write_fails) return {io_status::failed, 0};
    std::size_t const size = from.size() < writable ? from.size() : writable;
    writable -= size;
    if (size == 0) return {io_status::would_block, 0};
    writes.push_back(hex(from.substr(0, size)));
    return {io_status::done, size};
  }
  void close() { ++closes; }
  [[nodiscard]] error last_error() const { return {errc::connection_lost, "reset by peer"}; }
  [[nodiscard]] time_point deadline() const { return due; }
  void attach(loop&, participant&) {}

  std::vector<std::string> opened;
  std::deque<std::string> reads;
  std::vector<std::string> writes;
  io_status then = io_status::would_block;
  std::size_t writable = SIZE_MAX;
  std::size_t largest_read = 0;
  bool open_fails = false;
  bool write_fails = false;
  int closes = 0;
  time_point due = never;
};
static_assert(byte_stream<scripted_stream>);
static_assert(mqtt_transport<stream_mqtt<scripted_stream>>);
static_assert(mqtt_transport<stream_mqtt<scripted_stream&>>);

class MqttStream : public ::testing::Test {
 protected:
  static mqtt::connect how() {
    mqtt::connect c;
    c.client_id = "dev";
    c.keep_alive = 60;
    return c;
  }
  // One turn; all events, one per line.
  std::string turn(double seconds = 0) {
    client.step(at(seconds));
    std::string out;
    while (client_event const* const e = client.next_event()) out += text(e) + "\n";
    return out;
  }
  void connected() {
    ASSERT_TRUE(client.open({"hub", 8883}, how(), at(0)));
    stream.reads.push_back(bytes("20 02 00 00"));
    ASSERT_EQ(turn(), "connected\n");
    stream.writes.clear();
    stream.closes = 0;
  }
  void publish(std::string_view payload, std::uint8_t qos = 1) {
    ASSERT_TRUE(client.publish({.topic = "t", .payload = payload, .qos = qos}, at(0)));
  }

  scripted_stream stream;
  stream_mqtt<scripted_stream&> client{client_options{}, stream};
};

TEST_F(MqttStream, OpensTheStreamAndSendsConnectWhenItCan) {
  stream.writable = 5;
  ASSERT_TRUE(client.open({"hub", 8883}, how(), at(0)));
  EXPECT_EQ(stream.opened, std::vector<std::string>{"hub"});
  EXPECT_EQ(turn(), "");
  EXPECT_EQ(stream.writes, std::vector<std::string>{"100f00044d"});
  stream.writable = SIZE_MAX;
  stream.reads.push_back(bytes("20 02 00 00"));
  EXPECT_EQ(turn(), "connected\n");
  EXPECT_EQ(stream.writes.back(),
            "51545404"
            "00"
            "003c"
            "0003646576");
  EXPECT_EQ(client.open({"hub", 8883}, how(), at(0)).error(), errc::invalid_state);
}

TEST_F(MqttStream, EverythingOfATurnGoesOutInOneWrite) {
  connected();
  stream.reads.push_back(bytes("32 05 0001 't' 0001 32 05 0001 't' 0002"));
  EXPECT_EQ(turn(), "message t  qos1 id1\nmessage t  qos1 id2\n");
  client.acknowledge(1, at(0));
  client.acknowledge(2, at(0));
  publish("a");
  publish("b", 0);
  EXPECT_TRUE(stream.writes.empty());
  turn();
  EXPECT_EQ(stream.writes, std::vector<std::string>{"40020001"
                                                    "40020002"
                                                    "3206000174000161"
                                                    "300400017462"});
}

TEST_F(MqttStream, AStreamThatCannotBeOpenedIsAnError) {
  stream.open_fails = true;
  EXPECT_EQ(client.open({"hub", 8883}, how(), at(0)).error(), errc::host_not_found);
  EXPECT_EQ(turn(), "");
  EXPECT_EQ(client.deadline(), never);
  stream.open_fails = false;
  EXPECT_TRUE(client.open({"hub", 8883}, how(), at(0)));
}

TEST_F(MqttStream, AnEndIsToldAfterWhatCameBeforeIt) {
  connected();
  stream.reads.push_back(bytes("30 04 0001 't' 'x' 40"));
  stream.then = io_status::end;
  EXPECT_EQ(turn(), "message t x qos0\nclosed connection_lost\n");
  EXPECT_EQ(stream.closes, 1);
  EXPECT_EQ(turn(), "");
}

TEST_F(MqttStream, AFailureIsToldWithTheStreamsReason) {
  connected();
  stream.then = io_status::failed;
  client.step(at(0));
  client_event const* const e = client.next_event();
  ASSERT_EQ(text(e), "closed connection_lost");
  EXPECT_EQ(e->reason.message(), "reset by peer");
}

TEST_F(MqttStream, ARefusalIsSeenAlthoughWritingFails) {
  ASSERT_TRUE(client.open({"hub", 8883}, how(), at(0)));
  stream.write_fails = true;
  stream.reads.push_back(bytes("20 02 00 05"));
  EXPECT_EQ(turn(), "refused 5\n");
  EXPECT_EQ(stream.closes, 2) << "once before opening, once after";
}

TEST_F(MqttStream, ABrokenPacketEndsTheConnection) {
  connected();
  stream.reads.push_back(bytes("30 05 0003 't/#' f0"));
  EXPECT_EQ(turn(), "closed protocol_error\n");
  EXPECT_EQ(stream.closes, 1);
}

TEST_F(MqttStream, UnacknowledgedPublishesGoOutAgainOnTheNextConnection) {
  connected();
  publish("a");
  turn();
  stream.then = io_status::end;
  EXPECT_EQ(turn(), "closed connection_lost\n");
  stream.then = io_status::would_block;
  stream.writes.clear();
  ASSERT_TRUE(client.open({"hub", 8883}, how(), at(1)));
  stream.reads.push_back(bytes("20 02 01 00"));
  EXPECT_EQ(turn(1), "connected, session kept\n");
  turn(1);
  EXPECT_EQ(stream.writes.back(), "3a06000174000161");
}

TEST_F(MqttStream, GracefulCloseSaysDisconnect) {
  connected();
  publish("a", 0);
  client.close(close_mode::graceful, at(0));
  EXPECT_EQ(stream.writes, std::vector<std::string>{"300400017461"
                                                    "e000"});
  EXPECT_EQ(stream.closes, 1);
  EXPECT_EQ(turn(), "");
}

TEST_F(MqttStream, AbortSaysNothing) {
  connected();
  publish("a", 0);
  client.close(close_mode::abort, at(0));
  EXPECT_TRUE(stream.writes.empty());
  EXPECT_EQ(stream.closes, 1);
}

TEST_F(MqttStream, APingrespThatLiesUnreadIsNotTakenForMissing) {
  connected();
  EXPECT_EQ(client.deadline(), at(45));
  EXPECT_EQ(turn(45), "");
  EXPECT_EQ(turn(45), "");
  EXPECT_EQ(stream.writes, std::vector<std::string>{"c000"});
  stream.reads.push_back(bytes("d0 00"));  // the process slept for an hour meanwhile
  EXPECT_EQ(turn(3645), "");
  EXPECT_EQ(turn(3645), "");
  EXPECT_EQ(stream.writes.back(), "c000") << "and the next ping leaves at once";
  EXPECT_EQ(turn(3675), "closed connection_lost\n");
}

TEST_F(MqttStream, ReadsABoundedAmountPerStep) {
  connected();
  stream.reads.push_back(std::string(1u << 20, '\0'));
  stream.reads.back().replace(0, 10, bytes("30 fa ff 3f 0001 't' 'x'"));  // one packet of nearly 1 MiB
  client.step(at(0));
  EXPECT_GT(stream.reads.front().size(), (1u << 20) - 140'000u);
  EXPECT_LE(stream.largest_read, 65536u);
}

TEST_F(MqttStream, TheStreamsDeadlineCounts) {
  connected();
  stream.due = at(3);
  EXPECT_EQ(client.deadline(), at(3));
}

TEST(MqttMock, IsATransportThatSucceedsByDefault) {
  ::testing::NiceMock<iothub::testing::mock_mqtt_transport> mock;
  EXPECT_TRUE(mock.open({}, {}, at(0)));
  EXPECT_EQ(*mock.publish({.topic = "t"}, at(0)), 0u);
  EXPECT_EQ(*mock.publish({.topic = "t", .qos = 1}, at(0)), 1u);
  EXPECT_EQ(*mock.subscribe({}, at(0)), 2u);
  EXPECT_EQ(mock.next_event(), nullptr);
  EXPECT_EQ(mock.deadline(), never);
}

}  // namespace
