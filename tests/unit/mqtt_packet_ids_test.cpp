// Packet ids, acknowledgements owed, and publishes in flight.
#include <iothub/mqtt/packet_ids.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

#include <iothub/mqtt/ack_queue.hpp>
#include <iothub/mqtt/inflight.hpp>

namespace {

using namespace iothub::mqtt;
using ids_of = std::initializer_list<std::uint16_t>;

TEST(MqttPacketIds, StartAtOneAndGoRoundTheCircleWithoutZero) {
  packet_ids ids;
  for (unsigned expected = 1; expected <= 65535; ++expected) {
    ASSERT_EQ(ids.take(), expected);
    ASSERT_TRUE(ids.release(static_cast<std::uint16_t>(expected)));
  }
  EXPECT_EQ(ids.take(), 1u);
}

TEST(MqttPacketIds, MQTT_2_3_1_2_AreNeverGivenOutTwice) {
  packet_ids ids;
  std::set<std::uint16_t> seen;
  for (int i = 0; i < 65535; ++i) {
    std::uint16_t const id = ids.take();
    ASSERT_NE(id, 0u);
    ASSERT_TRUE(seen.insert(id).second) << id;
  }
  EXPECT_EQ(ids.take(), 0u) << "all are in use";
  EXPECT_EQ(ids.size(), 65535u);
}

TEST(MqttPacketIds, MQTT_2_3_1_3_AFullCircleGivesOutWhatWasReleased) {
  packet_ids ids;
  for (int i = 0; i < 65535; ++i) ids.take();
  for (std::uint16_t const id : {std::uint16_t{40000}, std::uint16_t{1}, std::uint16_t{65535}, std::uint16_t{64}}) {
    EXPECT_TRUE(ids.release(id));
    EXPECT_FALSE(ids.contains(id));
    EXPECT_EQ(ids.take(), id);
    EXPECT_TRUE(ids.contains(id));
    EXPECT_EQ(ids.take(), 0u);
  }
  std::set<std::uint16_t> freed{7, 63, 64, 65, 30000, 65535};
  for (std::uint16_t const id : freed) ids.release(id);
  while (std::uint16_t const id = ids.take()) EXPECT_EQ(freed.erase(id), 1u) << id;
  EXPECT_TRUE(freed.empty());
}

TEST(MqttPacketIds, AStuckIdIsSkippedEveryTimeRound) {
  packet_ids ids;
  std::uint16_t const stuck = ids.take();
  for (int i = 0; i < 200'000; ++i) {
    std::uint16_t const id = ids.take();
    ASSERT_NE(id, 0u);
    ASSERT_NE(id, stuck);
    ASSERT_TRUE(ids.release(id));
  }
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_TRUE(ids.contains(stuck));
}

TEST(MqttPacketIds, ReservingKeepsAnId) {
  packet_ids ids;
  EXPECT_TRUE(ids.reserve(500));
  EXPECT_FALSE(ids.reserve(500));
  EXPECT_TRUE(ids.reserve(510));
  EXPECT_TRUE(ids.reserve(499)) << "before the window";
  EXPECT_TRUE(ids.contains(499) && ids.contains(500) && ids.contains(510));
  for (int i = 0; i < 65532; ++i) {
    std::uint16_t const id = ids.take();
    ASSERT_TRUE(id != 0 && id != 499 && id != 500 && id != 510) << id;
  }
  EXPECT_EQ(ids.take(), 0u);
}

TEST(MqttPacketIds, AgreesWithASetUnderRandomUse) {
  packet_ids ids;
  std::set<std::uint16_t> model;
  std::uint32_t random = 12345;
  for (int i = 0; i < 300'000; ++i) {
    random = random * 1664525 + 1013904223;
    bool const grow = (random >> 16) % 100 < ((i / 50'000) % 2 == 0 ? 60u : 40u);
    auto const pick = static_cast<std::uint16_t>(random >> 8);
    if (grow) {
      if (pick % 16 == 0 && pick != 0) {
        EXPECT_EQ(ids.reserve(pick), model.insert(pick).second);
      } else if (std::uint16_t const id = ids.take()) {
        ASSERT_TRUE(model.insert(id).second) << id;
      }
    } else if (!model.empty()) {
      auto found = model.lower_bound(pick);
      if (found == model.end()) found = model.begin();
      ASSERT_TRUE(ids.release(*found));
      ASSERT_FALSE(ids.release(*found));
      model.erase(found);
    }
    ASSERT_EQ(ids.size(), model.size());
    ASSERT_EQ(ids.contains(pick), model.count(pick) == 1);
  }
}

TEST(MqttAckQueue, MQTT_4_6_0_2_LeavesInTheOrderTheMessagesCame) {
  ack_queue owed;
  for (std::uint16_t const id : ids_of{5, 6, 7}) owed.push(id);
  EXPECT_TRUE(owed.mark(7));
  EXPECT_TRUE(owed.mark(6));
  EXPECT_EQ(owed.take(), 0u);
  EXPECT_TRUE(owed.mark(5));
  EXPECT_EQ(owed.take(), 5u);
  EXPECT_EQ(owed.take(), 6u);
  EXPECT_EQ(owed.take(), 7u);
  EXPECT_EQ(owed.take(), 0u);
  EXPECT_FALSE(owed.mark(7));
}

TEST(MqttAckQueue, ADroppedOneHoldsNobodyUp) {
  ack_queue owed;
  for (std::uint16_t const id : ids_of{5, 6}) owed.push(id);
  owed.mark(6);
  EXPECT_TRUE(owed.drop(5));
  EXPECT_FALSE(owed.drop(5));
  EXPECT_EQ(owed.take(), 6u);
}

TEST(MqttAckQueue, TheSameIdTwiceIsTwoMessages) {
  ack_queue owed;
  owed.push(5);
  owed.push(5);
  EXPECT_TRUE(owed.mark(5));
  EXPECT_EQ(owed.take(), 5u);
  EXPECT_EQ(owed.take(), 0u);
  EXPECT_TRUE(owed.mark(5));
  EXPECT_EQ(owed.take(), 5u);
}

TEST(MqttAckQueue, StaysInOrderOverManyMessages) {
  ack_queue owed;
  std::uint16_t next_in = 1;
  std::uint16_t next_out = 1;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 7; ++i) owed.push(next_in++);
    owed.mark(static_cast<std::uint16_t>(next_in - 1));
    for (std::uint16_t i = next_out; i != next_in && round % 3 == 0; ++i) owed.mark(i);
    while (std::uint16_t const id = owed.take()) ASSERT_EQ(id, next_out++);
  }
  EXPECT_GT(next_out, 6900u);
}

TEST(MqttAckQueue, KeepsALongQueueTidyWhileItsEndWaits) {
  ack_queue owed;
  for (std::uint16_t id = 1; id <= 500; ++id) owed.push(id);
  for (std::uint16_t id = 1; id <= 499; ++id) {
    ASSERT_TRUE(owed.mark(id));
    ASSERT_EQ(owed.take(), id);
    ASSERT_EQ(owed.size(), 500u - id);
  }
  EXPECT_TRUE(owed.mark(500));
  EXPECT_EQ(owed.take(), 500u);
  EXPECT_TRUE(owed.empty());
}

publish message(std::uint16_t id, std::string_view payload) {
  publish m;
  m.topic = "t";
  m.payload = payload;
  m.qos = 1;
  m.id = id;
  return m;
}
std::string ids_in(inflight_store const& store) {
  std::string out;
  store.for_each([&](publish const& m) { out += std::to_string(m.id) + ":" + std::string{m.payload} + " "; });
  return out;
}

TEST(MqttInflight, KeepsMessagesInTheOrderOfSending) {
  inflight_store store;
  for (std::uint16_t const id : ids_of{3, 1, 2}) store.push(message(id, "p" + std::to_string(id)));
  EXPECT_EQ(ids_in(store), "3:p3 1:p1 2:p2 ");
  EXPECT_TRUE(store.remove(1));
  EXPECT_FALSE(store.remove(1));
  EXPECT_EQ(ids_in(store), "3:p3 2:p2 ");
  EXPECT_TRUE(store.remove(3));
  EXPECT_EQ(ids_in(store), "2:p2 ");
  EXPECT_TRUE(store.remove(2));
  EXPECT_EQ(store.size(), 0u);
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(MqttInflight, OneThatIsNeverAnsweredDoesNotMakeItGrow) {
  inflight_store store;
  std::string const payload(200, 'x');
  store.push(message(1, "stuck"));
  for (std::uint16_t id = 2; id < 60000; ++id) {
    store.push(message(id, payload));
    store.push(message(static_cast<std::uint16_t>(id + 1), payload));
    ASSERT_TRUE(store.remove(static_cast<std::uint16_t>(id + 1)));
    ASSERT_TRUE(store.remove(id));
  }
  EXPECT_EQ(ids_in(store), "1:stuck ");
}

}  // namespace
