// Back ends over AMQP: cloud-to-device messages and their feedback.
#include "hub_amqp_peer.hpp"

namespace {

using namespace hub_amqp_test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

struct Service : testing::Test {
  Service() {
    w.create("d1");
    c.put_token("a", w.service_token("service"));
  }
  std::string send(std::string_view to, std::string_view ack = {}, std::string_view id = "m1", std::string_view body = "x",
                   std::int64_t expiry = 0) {
    amqp::value const message_id{id};
    amqp::value const properties = ack.empty() ? amqp::value::string_map({{"k", "v"}, {"n", std::int32_t{7}}})
                                               : amqp::value::string_map({{"iothub-ack", ack}});
    amqp::message_view m;
    m.has_properties = true;
    m.properties.message_id = message_id.bytes();
    m.properties.to = to;
    if (expiry != 0) m.properties.absolute_expiry_time = expiry;
    m.application_properties = properties.bytes();
    m.body = amqp::body_kind::data;
    m.data = body;
    return c.send(c.sender("/messages/devicebound"), m);
  }
  // A message with that fate.
  void settled(std::string id, hub::settlement how, std::string_view ack = "full") {
    ASSERT_EQ(send("/devices/d1/messages/devicebound", ack, id), "accepted");
    auto const got = w.hub.receive_c2d("d1", w.at).value();
    ASSERT_TRUE(w.hub.settle_c2d("d1", got->lock_token, how, w.at).has_value());
  }
  amqp::link* feedback(amqp_client& from, std::uint32_t credit = 10) {
    return from.link("/messages/serviceBound/feedback", amqp::link_role::receiver, "another", {}, {}, credit);
  }
  amqp_world w;
  amqp_client c{w};
};

TEST_F(Service, SendsWithAllThatIsOnTheMessage) {
  EXPECT_EQ(send("/devices/d1/messages/deviceBound", "", "m1", "body", 1704070000000), "accepted");
  auto const got = w.hub.receive_c2d("d1", w.at).value();
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->content.body.bytes(), "body");
  EXPECT_EQ(got->content.message_id, "m1");
  EXPECT_EQ(got->content.properties, (property_list{{"k", "v"}, {"n", "7"}}));
  EXPECT_EQ(got->content.expiry_time, from_unix_seconds(1704070000));
  EXPECT_EQ(got->ack, feedback_request::none);
}

TEST_F(Service, SendsToAnIdInEitherForm) {
  w.create("dev%201");
  w.create("dev+1");
  EXPECT_EQ(send("/devices/dev%2B1/messages/devicebound"), "accepted");
  EXPECT_EQ(send("/devices/dev+1/messages/devicebound"), "accepted");
  EXPECT_EQ(send("/devices/dev%201/messages/devicebound"), "accepted");
}

TEST_F(Service, IsToldWhyAMessageIsNotTaken) {
  EXPECT_EQ(send("/devices/nobody/messages/devicebound"), "rejected amqp:not-found: Device 'nobody' is not registered");
  EXPECT_EQ(send(""), "rejected amqp:not-allowed: Amqp Message.Properties.To must contain the device identifier");
  EXPECT_THAT(send("/devices/d1/modules/m/messages/devicebound"), StartsWith("rejected amqp:not-allowed"));
  EXPECT_THAT(send("/devices/d1/messages/devicebound", "maybe"), StartsWith("rejected com.microsoft:argument-error"));
  EXPECT_THAT(send("/devices/d1/messages/devicebound", "", "m", std::string(65'537, 'x')),
              StartsWith("rejected amqp:link:message-size-exceeded"));
  EXPECT_THAT(send("/devices/d1/messages/devicebound", "", "m", "x", 1000), StartsWith("rejected amqp:not-allowed"));
  EXPECT_THAT(c.send(c.sender("/messages/devicebound"), "no message"), StartsWith("rejected com.microsoft:argument-error"));
}

TEST_F(Service, The51stMessageIsOneTooMany) {
  for (int n = 0; n != 50; ++n) ASSERT_EQ(send("/devices/d1/messages/devicebound"), "accepted");
  EXPECT_THAT(send("/devices/d1/messages/devicebound"),
              StartsWith("rejected amqp:resource-limit-exceeded: C2D messages enqueued for the device exceeded the queue "
                         "limit of 50"));
}

TEST_F(Service, FeedbackIsABatchAsDocumented) {
  settled("good", hub::settlement::complete, "positive");
  settled("bad", hub::settlement::reject, "negative");
  auto const generation = w.hub.get_identity({"d1", {}}).value().generation_id;
  amqp::link* const link = feedback(c);
  auto const got = c.take(link);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].tag.size(), 16u);
  EXPECT_EQ(got[0].text,
            R"(uid=h ct=application/vnd.microsoft.iothub.feedback.json A{iothub-enqueuedtime: @1704067200000} )"
            R"([{"originalMessageId":"good","description":"Success","deviceGenerationId":")" +
                generation +
                R"(","deviceId":"d1","enqueuedTimeUtc":"2024-01-01T00:00:00.0000000Z","statusCode":"Success"},)"
                R"({"originalMessageId":"bad","description":"Rejected","deviceGenerationId":")" +
                generation +
                R"(","deviceId":"d1","enqueuedTimeUtc":"2024-01-01T00:00:00.0000000Z","statusCode":"Rejected"}])");
}

TEST_F(Service, FeedbackWaits15SecondsOrFor64Records) {
  amqp::link* const link = feedback(c);
  settled("1", hub::settlement::complete);
  c.run();
  EXPECT_THAT(c.take(link), SizeIs(1));
  settled("2", hub::settlement::complete);
  c.run();
  EXPECT_THAT(c.take(link), IsEmpty());
  EXPECT_EQ(w.front.deadline(), w.at.now + 15s);
  w.pass(15s);
  c.run();
  EXPECT_THAT(c.take(link), SizeIs(1));
  for (int n = 0; n != 64; ++n) settled(std::to_string(n), hub::settlement::complete);
  c.run();
  auto const full = c.take(link);
  ASSERT_THAT(full, SizeIs(1));
  EXPECT_THAT(full[0].text, HasSubstr(R"("originalMessageId":"63")"));
}

TEST_F(Service, FeedbackComesAgainUntilItIsCompleted) {
  settled("1", hub::settlement::complete);
  amqp::link* const link = feedback(c);
  auto got = c.take(link);
  ASSERT_THAT(got, SizeIs(1));
  link->settle(got[0].id, amqp::delivery_state::released());
  c.run();
  got = c.take(link);
  ASSERT_THAT(got, SizeIs(1));
  w.pass(60s);  // the lock
  c.run();
  got = c.take(link);
  ASSERT_THAT(got, SizeIs(1));
  link->settle(got[0].id);
  c.run();
  w.pass(120s);
  c.run();
  EXPECT_THAT(c.take(link), IsEmpty());
  EXPECT_EQ(w.front.deadline(), never);
}

TEST_F(Service, FeedbackOfAReceiverThatWentGoesToAnother) {
  settled("1", hub::settlement::complete);
  {
    amqp_client first{w};
    first.put_token("a", w.service_token());
    EXPECT_THAT(first.take(feedback(first)), SizeIs(1));
    EXPECT_THAT(c.take(feedback(c)), IsEmpty());
  }
  c.run();
  EXPECT_THAT(c.take(c.receiver("/messages/serviceBound/feedback")), SizeIs(1));
}

TEST_F(Service, FeedbackGoesToReceiversInTurnAndNotWithoutCredit) {
  amqp::link* const none = feedback(c, 0);
  settled("1", hub::settlement::complete);
  c.run();
  EXPECT_THAT(c.take(none), IsEmpty());
  none->add_credit(1);
  c.run();
  EXPECT_THAT(c.take(none), SizeIs(1));
}

// The simulator found it (seed 34440): a batch waited for a receiver with credit, the next one had its 15 seconds, and the
// hub was due for ever.
TEST_F(Service, FeedbackThatNobodyTakesYetKeepsTheHubAsleep) {
  settled("1", hub::settlement::complete);
  {
    amqp_client first{w};
    first.put_token("a", w.service_token());
    EXPECT_THAT(first.take(feedback(first)), SizeIs(1));
    settled("2", hub::settlement::complete);
    first.run();
  }
  amqp::link* const later = feedback(c, 0);
  w.pass(20s);
  c.run();
  EXPECT_GT(w.front.deadline(), w.at.now);
  later->add_credit(10);
  c.run();
  EXPECT_THAT(c.take(later), SizeIs(2));
}

TEST_F(Service, FeedbackOlderThanAnHourIsGone) {
  settled("1", hub::settlement::complete);
  c.pass(3599s);
  settled("2", hub::settlement::complete);
  c.pass(1s);
  auto const got = c.texts(feedback(c));
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_THAT(got[0], testing::Not(HasSubstr(R"("originalMessageId":"1")")));
  EXPECT_THAT(got[0], HasSubstr(R"("originalMessageId":"2")"));
}

// Microsoft docs "Upload files with IoT Hub", service file upload notifications.
TEST_F(Service, AFileNotificationIsAMessageAsDocumented) {
  w.create("mydevice");
  amqp::link* const link = c.receiver("/messages/serviceBound/filenotifications");
  EXPECT_THAT(c.take(link), IsEmpty());
  EXPECT_EQ(w.hub.notify_of_file({.device_id = "nobody"}, w.at).error(), errc::device_not_found);
  ASSERT_TRUE(w.hub.notify_of_file({.device_id = "mydevice",
                                    .blob_uri = "https://s.blob.core.windows.net/c/mydevice/myfile.jpg",
                                    .blob_name = "mydevice/myfile.jpg",
                                    .last_updated = w.at.utc - 2s,
                                    .blob_size = 1234},
                                   w.at));
  w.front.on_time(w.at.now);
  c.run();
  auto const got = c.take(link);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_EQ(got[0].tag.size(), 16u);
  EXPECT_EQ(got[0].text, R"(uid=h ct=application/vnd.microsoft.iothub.filenotification.json )"
                         R"(A{iothub-enqueuedtime: @1704067200000} )"
                         R"({"deviceId":"mydevice","blobUri":"https://s.blob.core.windows.net/c/mydevice/myfile.jpg",)"
                         R"("blobName":"mydevice/myfile.jpg","lastUpdatedTime":"2023-12-31T23:59:58+00:00",)"
                         R"("blobSizeInBytes":1234,"enqueuedTimeUtc":"2024-01-01T00:00:00.0000000Z"})");
  link->settle(got[0].id, amqp::delivery_state::released());
  c.run();
  auto const again = c.take(link);
  ASSERT_THAT(again, SizeIs(1));
  link->settle(again[0].id);
  c.run();
  EXPECT_EQ(w.front.deadline(), never);
}

TEST_F(Service, FileNotificationsWaitForAReceiverAnHourAndNotLonger) {
  ASSERT_TRUE(w.hub.notify_of_file({.device_id = "d1", .blob_name = "old"}, w.at));
  c.pass(1800s);
  ASSERT_TRUE(w.hub.notify_of_file({.device_id = "d1", .blob_name = "new"}, w.at));
  c.pass(1800s);
  auto const got = c.texts(c.receiver("/messages/servicebound/filenotifications"));
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_THAT(got[0], HasSubstr(R"("blobName":"new")"));
}

}  // namespace
