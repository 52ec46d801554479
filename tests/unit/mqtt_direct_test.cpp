// The in-process transport: client session and server session exchange values, inside one loop in virtual time.
#include <iothub/memory/direct_mqtt.hpp>

#include <gtest/gtest.h>

#include <memory>

#include <iothub/memory/pipe.hpp>
#include <iothub/memory/virtual_loop.hpp>
#include <iothub/mqtt/packet_queue.hpp>
#include <iothub/mqtt/server_connection.hpp>
#include <iothub/policy/stream_mqtt.hpp>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::logging_owner;
using iothub_test::text;
using lines = std::vector<std::string>;

// A server with one owner for one link at a time.
struct test_peer {
  server_session* accept(endpoint const& where, packet_sink& to_client, time_point now) {
    if (where.host != "hub") return nullptr;
    session = std::make_unique<server_session>(owner, to_client, options, now);
    owner.session = session.get();
    return session.get();
  }
  void release(server_session& which) {
    EXPECT_EQ(&which, session.get());
    EXPECT_TRUE(which.closed());
    session.reset();
    ++released;
  }
  server_options options;
  logging_owner owner;
  std::unique_ptr<server_session> session;
  int released = 0;
};

// Steps a transport and writes its events down; acknowledges at once.
template <class Transport>
struct driver final : participant {
  explicit driver(Transport& t) : transport{t} {}
  void step(time_point now) override {
    ++steps;
    transport.step(now);
    while (client_event const* const e = transport.next_event()) {
      log.push_back(text(e));
      if (e->kind == client_event_kind::message && e->publish.qos == 1) transport.acknowledge(e->id, now);
    }
  }
  [[nodiscard]] time_point deadline() const override { return transport.deadline(); }
  lines taken() { return std::exchange(log, {}); }
  Transport& transport;
  lines log;
  int steps = 0;
};

mqtt::connect how(bool clean = false) {
  mqtt::connect c;
  c.client_id = "dev";
  c.keep_alive = 60;
  c.clean_session = clean;
  return c;
}

class MqttDirect : public ::testing::Test {
 protected:
  MqttDirect() {
    world.add(device);
    client.attach(world, device);
  }
  void run(double seconds = 0.001) { (void)world.run_for(duration{static_cast<std::int64_t>(seconds * 1e6)}); }
  void connected() {
    ASSERT_TRUE(client.open({"hub", 8883}, how(), world.now()));
    run();
    ASSERT_EQ(device.taken(), lines{"connected"});
    ASSERT_EQ(peer.owner.taken(), lines{"connect dev"});
  }

  memory::virtual_loop world;
  test_peer peer;
  memory::direct_mqtt<test_peer> client{peer};
  driver<memory::direct_mqtt<test_peer>> device{client};
};

TEST_F(MqttDirect, NobodyListensElsewhere) {
  EXPECT_EQ(client.open({"nowhere", 8883}, how(), world.now()).error(), errc::connection_refused);
}

TEST_F(MqttDirect, AConnectThatMustNotBeSentLeavesNoLink) {
  mqtt::connect bad = how();
  bad.client_id = "";
  EXPECT_EQ(client.open({"hub", 8883}, bad, world.now()).error(), errc::invalid_argument);
  EXPECT_EQ(peer.released, 1);
}

TEST_F(MqttDirect, PublishesReachTheServerInsideTheCallAndAreAnsweredInTheNextTurn) {
  connected();
  EXPECT_EQ(*client.publish({.topic = "t", .payload = "a", .qos = 1}, world.now()), 1u);
  EXPECT_EQ(peer.owner.taken(), lines{"publish t a qos1"});
  EXPECT_EQ(device.taken(), lines{});
  run();
  EXPECT_EQ(device.taken(), lines{"published 1"});
}

TEST_F(MqttDirect, SubscribesAndReceives) {
  connected();
  subscription const filter{"a/#", 1};
  std::string_view const name = "a/#";
  ASSERT_TRUE(client.subscribe({&filter, 1}, world.now()));
  ASSERT_TRUE(client.unsubscribe({&name, 1}, world.now()));
  ASSERT_EQ(*peer.session->publish({.topic = "a/b", .payload = "hello", .qos = 1}), 1u);
  ASSERT_EQ(*peer.session->publish({.topic = "a/c", .payload = "bye"}), 0u);
  run();
  EXPECT_EQ(device.taken(),
            (lines{"subscribed 1: 1", "unsubscribed 2", "message a/b hello qos1 id1", "message a/c bye qos0"}));
  EXPECT_EQ(peer.owner.taken(), (lines{"subscribe a/#:1", "unsubscribe a/#", "puback 1"}));
}

TEST_F(MqttDirect, ViewsInAnEventHoldWhileTheServerGoesOnSending) {
  connected();
  ASSERT_TRUE(peer.session->publish({.topic = "t", .payload = "first"}));
  client.step(world.now());
  client_event const* const e = client.next_event();
  ASSERT_EQ(text(e), "message t first qos0");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(peer.session->publish({.topic = "t", .payload = "another"}));
  EXPECT_EQ(text(e), "message t first qos0");
  run();
  EXPECT_EQ(device.taken().size(), 1000u);
}

TEST_F(MqttDirect, ARefusalComesWithItsCode) {
  peer.owner.decides = false;
  ASSERT_TRUE(client.open({"hub", 8883}, how(), world.now()));
  run();
  EXPECT_EQ(device.taken(), lines{});
  peer.session->refuse(connect_code::not_authorized);
  run();
  EXPECT_EQ(device.taken(), lines{"refused 5"});
  EXPECT_EQ(peer.released, 1);
  EXPECT_EQ(peer.owner.taken(), lines{"connect dev"});
}

TEST_F(MqttDirect, GracefulCloseIsAnOrderlyEndForTheServer) {
  connected();
  client.close(close_mode::graceful, world.now());
  EXPECT_EQ(peer.owner.taken(), lines{"closed clean"});
  EXPECT_EQ(peer.released, 1);
  run();
  EXPECT_EQ(device.taken(), lines{});
}

TEST_F(MqttDirect, AbortIsALostConnectionForTheServer) {
  connected();
  client.close(close_mode::abort, world.now());
  EXPECT_EQ(peer.owner.taken(), lines{"closed connection_lost"});
  EXPECT_EQ(peer.released, 1);
}

TEST_F(MqttDirect, TheServersEndIsToldAfterWhatItSentBefore) {
  connected();
  ASSERT_TRUE(peer.session->publish({.topic = "t", .payload = "last"}));
  peer.session->close();
  run();
  EXPECT_EQ(device.taken(), (lines{"message t last qos0", "closed connection_lost"}));
  EXPECT_EQ(peer.released, 1);
  EXPECT_EQ(client.deadline(), never);
}

TEST_F(MqttDirect, ACutIsALostConnectionForBothAndLosesWhatIsUnderWay) {
  connected();
  ASSERT_EQ(*client.publish({.topic = "t", .payload = "a", .qos = 1}, world.now()), 1u);
  client.cut(world.now());
  EXPECT_EQ(peer.owner.taken(), (lines{"publish t a qos1", "closed connection_lost"}));
  run();
  EXPECT_EQ(device.taken(), lines{"closed connection_lost"}) << "the PUBACK was lost with the link";
  peer.owner.session_present = true;
  ASSERT_TRUE(client.open({"hub", 8883}, how(), world.now()));
  run();
  EXPECT_EQ(device.taken(), (lines{"connected, session kept", "published 1"}));
  EXPECT_EQ(peer.owner.taken(), (lines{"connect dev", "publish t a qos1 dup"}));
}

TEST_F(MqttDirect, AnIdleConnectionLivesOnPings) {
  connected();
  run(3600);
  EXPECT_EQ(device.taken(), lines{});
  EXPECT_EQ(peer.owner.taken(), lines{});
  EXPECT_LE(device.steps, 2 + 3 * 80) << "a ping each 45 s: one step to send it, one for the answer";
}

TEST_F(MqttDirect, WaitsWhileTheServersOwnerIsBehind) {
  peer.options.max_unacknowledged = 1;
  connected();
  peer.owner.acknowledges = false;
  for (std::string_view each : {"a", "b", "c"})
    ASSERT_TRUE(client.publish({.topic = "t", .payload = each, .qos = 1}, world.now()));
  EXPECT_EQ(peer.owner.taken(), lines{"publish t a qos1"});
  peer.owner.acknowledges = true;
  peer.session->acknowledge(1);
  run();
  EXPECT_EQ(peer.owner.taken(), (lines{"publish t b qos1", "publish t c qos1"}));
  EXPECT_EQ(device.taken(), (lines{"published 1", "published 2", "published 3"}));
}

TEST_F(MqttDirect, ADestroyedTransportIsALostConnectionForTheServer) {
  {
    memory::direct_mqtt<test_peer> other{peer};
    ASSERT_TRUE(other.open({"hub", 8883}, how(), world.now()));
  }
  EXPECT_EQ(peer.owner.taken(), (lines{"connect dev", "closed connection_lost"}));
  EXPECT_EQ(peer.released, 1);
}

TEST_F(MqttDirect, IsSmall) {
  EXPECT_LE(sizeof(client) + sizeof(server_session), 640u);
}

TEST(MqttPacketQueue, GivesBackWhatWasPutIn) {
  packet_queue queue;
  std::uint8_t const codes[] = {1, 0x80};
  publish m{.topic = "t", .payload = "p", .id = 7, .qos = 1, .dup = true, .retain = true};
  packet const all[] = {connack{true, connect_code::accepted},
                        connack{false, connect_code::not_authorized},
                        m,
                        suback{3, codes},
                        packet{packet_type::puback, 9},
                        packet{packet_type::unsuback, 4},
                        packet{packet_type::pingresp}};
  for (packet const& each : all) queue.push(each);
  for (packet const& each : all) {
    ASSERT_FALSE(queue.empty());
    EXPECT_EQ(iothub_test::hex(iothub_test::encoded(queue.front())), iothub_test::hex(iothub_test::encoded(each)));
    queue.pop();
  }
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
