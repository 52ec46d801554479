// The server role: a scripted client, and an owner that writes down what it is asked.
#include <iothub/mqtt/server_session.hpp>

#include <gtest/gtest.h>

#include <iothub/mqtt/server_connection.hpp>

#include "mqtt_peers.hpp"

namespace {

using namespace iothub;
using namespace iothub::mqtt;
using iothub_test::at;
using iothub_test::bytes;
using iothub_test::hex;
using iothub_test::logging_owner;
using lines = std::vector<std::string>;

// CONNECT of "c1", clean session, keep-alive 60.
constexpr std::string_view hello = "10 0e 0004 'MQTT' 04 02 003c 0002 'c1'";

class MqttServer : public ::testing::Test {
 protected:
  MqttServer() { owner.session = &link.session(); }
  // What the server answers to these bytes, as hex.
  std::string client_says(std::string_view raw, double seconds = 0) {
    link.receive(bytes(raw), at(seconds));
    return answer();
  }
  std::string answer() {
    std::string const out = hex(link.output());
    link.consume(link.output().size());
    return out;
  }
  void connected() {
    ASSERT_EQ(client_says(hello), "20020000");
    ASSERT_EQ(owner.taken(), lines{"connect c1"});
  }

  server_options options;
  logging_owner owner;
  server_connection link{owner, options, at(0)};
};

TEST_F(MqttServer, MQTT_3_1_4_4_AnswersAValidConnect) {
  EXPECT_EQ(client_says(hello), "20020000");
  EXPECT_EQ(link.session().keep_alive(), 60);
  EXPECT_FALSE(link.finished());
}

TEST_F(MqttServer, MQTT_3_1_0_1_TheFirstPacketMustBeConnect) {
  EXPECT_EQ(client_says("c0 00"), "");
  EXPECT_EQ(owner.taken(), lines{"closed protocol_error"});
  EXPECT_TRUE(link.finished());
  EXPECT_EQ(client_says(hello), "") << "nothing after the end";
}

TEST_F(MqttServer, MQTT_3_1_0_2_ASecondConnectEndsTheLink) {
  connected();
  EXPECT_EQ(client_says(hello), "");
  EXPECT_EQ(owner.taken(), lines{"closed protocol_error"});
  EXPECT_EQ(owner.why.substr(0, 12), "MQTT-3.1.0-2");
}

TEST_F(MqttServer, MQTT_3_1_2_2_AnotherLevelIsAnsweredWithCode1) {
  EXPECT_EQ(client_says("10 0e 0004 'MQTT' 05 02 003c 0002 'c1'"), "20020001");
  EXPECT_TRUE(link.finished());
  EXPECT_EQ(owner.taken(), lines{"closed protocol_error"});
}

TEST_F(MqttServer, MQTT_3_1_3_8_AnEmptyIdWithoutCleanSessionIsAnsweredWithCode2) {
  EXPECT_EQ(client_says("10 0c 0004 'MQTT' 04 00 003c 0000"), "20020002");
  EXPECT_TRUE(link.finished());
}

TEST_F(MqttServer, AnEmptyIdWithCleanSessionIsTheOwnersChoice) {
  owner.decides = false;
  EXPECT_EQ(client_says("10 0c 0004 'MQTT' 04 02 003c 0000"), "");
  EXPECT_EQ(owner.taken(), lines{"connect "});
  link.session().refuse(connect_code::identifier_rejected);
  EXPECT_EQ(answer(), "20020002");
  EXPECT_EQ(owner.taken(), lines{}) << "no on_closed for the owner's own doing";
  EXPECT_TRUE(link.finished());
}

TEST_F(MqttServer, MQTT_3_2_2_2_SessionPresentIsTheOwnersKnowledge) {
  owner.session_present = true;
  EXPECT_EQ(client_says("10 0e 0004 'MQTT' 04 00 003c 0002 'c1'"), "20020100");
}

TEST_F(MqttServer, MQTT_3_2_2_1_NoSessionPresentForACleanSession) {
  owner.session_present = true;
  EXPECT_EQ(client_says(hello), "20020000");
}

TEST_F(MqttServer, MQTT_3_1_4_5_HoldsWhatComesBehindConnectUntilItIsDecided) {
  owner.decides = false;
  std::string const behind = " 82 06 0001 0001 'a' 01  32 06 0001 't' 0005 'x'";
  EXPECT_EQ(client_says(std::string{hello} + behind), "");
  EXPECT_EQ(client_says("c0 00"), "");
  EXPECT_EQ(owner.taken(), lines{"connect c1"});
  link.session().accept(false, at(1));
  link.step(at(1));
  EXPECT_EQ(answer(),
            "20020000"
            "9003000101"
            "40020005"
            "d000");
  EXPECT_EQ(owner.taken(), (lines{"subscribe a:1", "publish t x qos1"}));
}

TEST_F(MqttServer, MQTT_3_1_4_5_ThrowsAwayWhatComesBehindARefusedConnect) {
  owner.decides = false;
  EXPECT_EQ(client_says(std::string{hello} + " c0 00"), "");
  link.session().refuse(connect_code::not_authorized);
  link.step(at(1));
  EXPECT_EQ(answer(), "20020005");
  EXPECT_EQ(owner.taken(), lines{"connect c1"});
}

TEST_F(MqttServer, HoldsABoundedAmountBehindConnect) {
  owner.decides = false;
  client_says(hello);
  EXPECT_EQ(link.room(), 65536u);
  link.receive(std::string(65536, '\xc0'), at(0));
  EXPECT_EQ(link.room(), 0u);
}

TEST_F(MqttServer, MQTT_3_12_4_1_AnswersPings) {
  connected();
  EXPECT_EQ(client_says("c0 00 c0 00"), "d000d000");
}

TEST_F(MqttServer, PubacksOfABurstLeaveTogetherAndInOrder) {
  connected();
  EXPECT_EQ(client_says("32 05 0001 't' 0003  32 05 0001 't' 0001  32 05 0001 't' 0002"),
            "40020003"
            "40020001"
            "40020002");
}

TEST_F(MqttServer, ADelayedPubackHoldsTheLaterOnesUp) {
  connected();
  owner.acknowledges = false;
  EXPECT_EQ(client_says("32 05 0001 't' 0001  32 05 0001 't' 0002  32 05 0001 't' 0003"), "");
  link.session().acknowledge(2);
  link.session().acknowledge(77);
  EXPECT_EQ(answer(), "");
  link.session().acknowledge(1);
  EXPECT_EQ(answer(),
            "40020001"
            "40020002");
  owner.acknowledges = true;
  EXPECT_EQ(client_says("32 05 0001 't' 0004"), "") << "3 is still owed";
  link.session().acknowledge(3);
  EXPECT_EQ(answer(),
            "40020003"
            "40020004");
}

TEST_F(MqttServer, AWithheldPubackNeverComesAndHoldsNobodyUp) {
  connected();
  owner.acknowledges = false;
  client_says("32 05 0001 't' 0001  32 05 0001 't' 0002");
  link.session().acknowledge(2);
  link.session().withhold(1);
  EXPECT_EQ(answer(), "40020002");
  link.session().acknowledge(1);
  EXPECT_EQ(answer(), "");
}

TEST_F(MqttServer, APubackCanBeWithheldInsideTheCallback) {
  connected();
  owner.withholds = true;
  EXPECT_EQ(client_says("32 05 0001 't' 0001"), "") << "the acknowledge() behind it is ignored";
  owner.withholds = false;
  EXPECT_EQ(client_says("32 05 0001 't' 0002"), "40020002");
}

TEST_F(MqttServer, StopsReadingWhileTooMuchIsUnacknowledged) {
  options.max_unacknowledged = 2;
  connected();
  owner.acknowledges = false;
  client_says("32 05 0001 't' 0001  32 05 0001 't' 0002  30 04 0001 't' 'x'");
  EXPECT_FALSE(link.session().reading());
  EXPECT_EQ(owner.taken(), (lines{"publish t  qos1", "publish t  qos1"}));
  link.session().acknowledge(1);
  EXPECT_TRUE(link.session().reading());
  link.step(at(1));
  EXPECT_EQ(owner.taken(), (lines{"publish t x qos0"}));
}

TEST_F(MqttServer, StopsReadingWhileThePeerDoesNotReadItsAnswers) {
  options.max_backlog = 3;
  connected();
  link.receive(bytes("c0 00 c0 00"), at(0));
  EXPECT_EQ(link.room(), 0u);
  EXPECT_EQ(link.session().publish({.topic = "t"}).error(), errc::outbox_full);
  link.consume(4);
  EXPECT_NE(link.room(), 0u);
}

// Its end is to be seen, and nothing is kept.
TEST_F(MqttServer, ReadsOnWhenItIsClosedWhateverThePeerLeavesUnread) {
  options.max_backlog = 3;
  connected();
  link.receive(bytes("c0 00 c0 00"), at(0));
  EXPECT_EQ(link.room(), 0u);
  link.session().close();
  EXPECT_EQ(link.room(), 65536u);
  EXPECT_TRUE(link.finished());
}

TEST_F(MqttServer, MQTT_4_8_0_1_WhatAClientMustNotSendEndsTheLink) {
  for (std::string_view const bad :
       {"20 02 0000", "90 03 0001 00", "b0 02 0001", "d0 00", "50 02 0001", "62 02 0001", "70 02 0001", "f0 00"}) {
    logging_owner other;
    server_connection fresh{other, options, at(0)};
    other.session = &fresh.session();
    fresh.receive(bytes(hello), at(0));
    fresh.consume(fresh.output().size());
    fresh.receive(bytes(bad), at(0));
    EXPECT_TRUE(fresh.finished() && fresh.output().empty()) << bad;
    EXPECT_EQ(other.taken(), (lines{"connect c1", "closed protocol_error"})) << bad;
  }
}

TEST_F(MqttServer, Qos2EndsTheLink) {
  connected();
  EXPECT_EQ(client_says("34 05 0001 't' 0001"), "");
  EXPECT_EQ(owner.taken(), lines{"closed protocol_error"});
}

TEST_F(MqttServer, Qos2CanBeTakenAsQos1) {
  options.qos2 = qos2_policy::as_qos1;
  connected();
  EXPECT_EQ(client_says("34 05 0001 't' 0001"), "40020001");
  EXPECT_EQ(owner.taken(), lines{"publish t  qos1"});
}

TEST_F(MqttServer, MQTT_3_10_4_5_UnsubscribeIsAnsweredWhateverWasHeld) {
  connected();
  EXPECT_EQ(client_says("a2 0a 0009 0002 'zz' 0002 'yy'"), "b0020009");
  EXPECT_EQ(owner.taken(), lines{"unsubscribe zz yy"});
}

TEST_F(MqttServer, DisconnectIsAnOrderlyEnd) {
  connected();
  EXPECT_EQ(client_says("e0 00 30 03 0001 't'"), "");
  EXPECT_EQ(owner.taken(), lines{"closed clean"});
  EXPECT_TRUE(link.finished());
}

TEST_F(MqttServer, ALostLinkIsNoOrderlyEnd) {
  connected();
  link.link_lost(errc::connection_lost, at(1));
  EXPECT_EQ(owner.taken(), lines{"closed connection_lost"});
  link.link_lost(errc::connection_lost, at(1));
  link.step(at(1e6));
  EXPECT_EQ(owner.taken(), lines{});
}

TEST_F(MqttServer, TheOwnerCanEndTheSessionWithoutAWord) {
  connected();
  link.session().close();
  link.session().close();
  EXPECT_EQ(answer(), "");
  EXPECT_TRUE(link.finished());
  EXPECT_EQ(owner.taken(), lines{});
}

// --- messages to the client
// -------------------------------------------------------------------------------------------

TEST_F(MqttServer, MQTT_2_3_1_4_PublishesWithFreshIds) {
  EXPECT_EQ(link.session().publish({.topic = "t"}).error(), errc::not_connected);
  connected();
  EXPECT_EQ(*link.session().publish({.topic = "t", .payload = "a"}), 0u);
  EXPECT_EQ(*link.session().publish({.topic = "t", .payload = "b", .qos = 1}), 1u);
  EXPECT_EQ(*link.session().publish({.topic = "t", .payload = "c", .qos = 1}), 2u);
  EXPECT_EQ(answer(),
            "3004000174"
            "61"
            "3206000174000162"
            "3206000174000263");
  EXPECT_EQ(client_says("40 02 0002 40 02 0001 40 02 0001 40 02 0077"), "");
  EXPECT_EQ(owner.taken(), (lines{"puback 2", "puback 1"}));
}

TEST_F(MqttServer, MQTT_4_4_0_1_AMessageIsSentAgainWithItsIdAndDup) {
  connected();
  EXPECT_EQ(*link.session().publish({.topic = "t", .id = 9, .qos = 1, .dup = true}), 9u);
  EXPECT_EQ(answer(), "3a050001740009");
  EXPECT_EQ(link.session().publish({.topic = "t", .id = 9, .qos = 1}).error(), errc::invalid_argument);
  EXPECT_EQ(*link.session().publish({.topic = "t", .qos = 1}), 10u);
}

TEST_F(MqttServer, MQTT_3_3_1_2_NoDupAtQos0) {
  connected();
  EXPECT_EQ(*link.session().publish({.topic = "t", .id = 9, .dup = true}), 0u);
  EXPECT_EQ(answer(), "3003000174");
}

TEST_F(MqttServer, RefusesMessagesThatMustNotBeSent) {
  connected();
  EXPECT_EQ(link.session().publish({.topic = "a/+"}).error(), errc::invalid_argument);
  EXPECT_EQ(link.session().publish({.topic = ""}).error(), errc::invalid_argument);
  EXPECT_EQ(link.session().publish({.topic = "t", .qos = 2}).error(), errc::invalid_argument);
  EXPECT_EQ(link.session().publish({.topic = "t", .payload = {"", max_remaining_length}}).error(), errc::too_large);
}

TEST_F(MqttServer, FailsWhenAllPacketIdsAreInUse) {
  connected();
  for (int i = 0; i < 65535; ++i) {
    ASSERT_TRUE(link.session().publish({.topic = "t", .qos = 1}));
    link.consume(link.output().size());
  }
  EXPECT_EQ(link.session().publish({.topic = "t", .qos = 1}).error(), errc::outbox_full);
}

// --- time -----------------------------------------------------------------------------------------------------------

TEST_F(MqttServer, AConnectMustComeWithin60Seconds) {
  client_says("10 0e 0004", 59);
  EXPECT_EQ(link.deadline(), at(60));
  link.step(at(59.9));
  EXPECT_FALSE(link.finished());
  link.step(at(60));
  EXPECT_TRUE(link.finished());
  EXPECT_EQ(owner.taken(), lines{"closed timeout"});
}

TEST_F(MqttServer, MQTT_3_1_2_24_SilenceOfOneAndAHalfKeepAlivesEndsTheLink) {
  connected();
  EXPECT_EQ(client_says("c0 00", 89), "d000");
  link.step(at(89 + 89.9));
  EXPECT_FALSE(link.finished());
  EXPECT_EQ(link.deadline(), at(89 + 90));
  link.step(at(89 + 90));
  EXPECT_TRUE(link.finished());
  EXPECT_EQ(answer(), "");
  EXPECT_EQ(owner.taken(), lines{"closed timeout"});
}

TEST_F(MqttServer, SixtySecondsKeepAliveAndSilentFor91) {
  connected();
  link.step(at(89));
  EXPECT_FALSE(link.finished());
  link.step(at(91));
  EXPECT_TRUE(link.finished());
}

TEST_F(MqttServer, SilenceIsCappedAt1767Seconds) {
  client_says("10 0e 0004 'MQTT' 04 02 06cc 0002 'c1'");  // keep-alive 1740
  EXPECT_EQ(link.deadline(), at(1767));
}

TEST_F(MqttServer, KeepAlive1177IsTheLargestThatIsNotCapped) {
  client_says("10 0e 0004 'MQTT' 04 02 0499 0002 'c1'");
  EXPECT_EQ(link.deadline(), at(1765.5));
}

TEST_F(MqttServer, KeepAliveZeroFallsUnderTheCap) {
  client_says("10 0e 0004 'MQTT' 04 02 0000 0002 'c1'");
  EXPECT_EQ(link.deadline(), at(1767));
}

TEST_F(MqttServer, KeepAliveZeroCanMeanNoTimeAtAll) {
  options.cap_without_keep_alive = false;
  client_says("10 0e 0004 'MQTT' 04 02 0000 0002 'c1'");
  EXPECT_EQ(link.deadline(), never);
}

TEST_F(MqttServer, DecidingTakesAsLongAsTheOwnerLikes) {
  owner.decides = false;
  client_says(hello);
  EXPECT_EQ(link.deadline(), never);
  link.session().accept(false, at(1000));
  EXPECT_EQ(link.deadline(), at(1090));
}

}  // namespace
