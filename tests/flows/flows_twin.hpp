// Flow 6: the device twin, from both sides.
#pragma once

#include <gmock/gmock.h>

#include "flow_world.hpp"

namespace {

using namespace iothub_test;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <class Wiring>
class Twin : public ::testing::Test {};
TYPED_TEST_SUITE(Twin, flow_wirings, wiring_names);

json::value desired(json::value patch) {
  return {{"properties", {{"desired", std::move(patch)}}}};
}

// What a device makes of its desired properties, as a program would.
struct follower {
  template <class DeviceClient>
  explicit follower(DeviceClient& device) {
    device.on_desired([this](json::value const& properties, std::int64_t at, desired_scope scope) {
      EXPECT_GT(at, version) << "versions only rise";
      version = at;
      ++updates;
      if (scope == desired_scope::whole)
        known = properties;
      else
        json::merge_patch(known, properties);
    });
  }
  json::value known = json::value::make_object();
  std::int64_t version = 0;
  int updates = 0;
};

TYPED_TEST(Twin, OfANewDeviceIsEmptyAtVersionOne) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  auto const seen = device.get_twin().value();
  EXPECT_EQ(seen.desired.properties, json::value::make_object());
  EXPECT_EQ(seen.reported.properties, json::value::make_object());
  EXPECT_EQ(seen.desired.version, 1);
  EXPECT_EQ(seen.reported.version, 1);
}

TYPED_TEST(Twin, DesiredPropertiesArriveLive) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  follower seen{device};
  device.connect().value();
  auto service = w.connect_service();
  service.update_twin("d", desired({{"interval", 5}, {"lamp", {{"on", true}, {"color", "red"}}}})).value();
  service.update_twin("d", desired({{"lamp", {{"color", nullptr}}}})).value();
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 3; }));
  EXPECT_EQ(seen.known, (json::value{{"interval", 5}, {"lamp", {{"on", true}}}}));
  EXPECT_EQ(seen.updates, 2);
}

TYPED_TEST(Twin, ANoticeHoldsTheNullsOfThePatch) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  json::value last;
  device.on_desired([&](json::value const& patch, std::int64_t) { last = patch; });
  device.connect().value();
  w.set_desired("d", {{"a", 1}});
  ASSERT_TRUE(w.wait_until([&] { return last == json::value{{"a", 1}}; }));
  w.set_desired("d", {{"a", nullptr}});
  ASSERT_TRUE(w.wait_until([&] { return last == json::value{{"a", nullptr}}; }));
}

TYPED_TEST(Twin, DesiredPropertiesSetWhileTheDeviceWasAwayArriveOnce) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  follower seen{device};
  w.set_desired("d", {{"first", 1}});
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 2; }));
  device.close();
  w.set_desired("d", {{"first", nullptr}});
  w.set_desired("d", {{"second", 2}});
  w.set_desired("d", {{"third", 3}});
  EXPECT_EQ(seen.updates, 1);
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 5; }));
  EXPECT_EQ(seen.known, (json::value{{"second", 2}, {"third", 3}}));
  EXPECT_EQ(seen.updates, 2);
  device.close();
  device.connect().value();
  w.run_for(3 * w.unit);
  EXPECT_EQ(seen.updates, 2);  // nothing changed
}

TYPED_TEST(Twin, ADeviceMadeAnewIsSeenAsSuch) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  json::value last;
  std::int64_t version = 0;
  device.on_desired([&](json::value const& properties, std::int64_t at) { last = properties, version = at; });
  w.set_desired("d", {{"a", 1}});
  w.set_desired("d", {{"b", 2}});
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return version == 3; }));
  device.close();
  auto const old = w.core().get_identity({"d", {}}).value();
  w.remove("d");
  w.core().put_identity(old, {}, w.touch()).value();
  w.set_desired("d", {{"c", 3}});
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return version == 2; }));
  EXPECT_EQ(last, (json::value{{"c", 3}}));
}

TYPED_TEST(Twin, ADeviceMadeAnewIsSeenAsSuchAlsoAtTheVersionItHadBefore) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  json::value last;
  int updates = 0;
  device.on_desired([&](json::value const& properties, std::int64_t) { last = properties, ++updates; });
  w.set_desired("d", {{"a", 1}});
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return updates == 1; }));
  device.close();
  auto const old = w.core().get_identity({"d", {}}).value();
  w.remove("d");
  w.core().put_identity(old, {}, w.touch()).value();
  w.set_desired("d", {{"c", 3}});  // version 2, as before
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return updates == 2; }));
  EXPECT_EQ(last, (json::value{{"c", 3}}));
}

TYPED_TEST(Twin, AHundredChangesInARowArriveInOrder) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  follower seen{device};
  device.connect().value();
  for (int i = 1; i <= 100; ++i) w.set_desired("d", {{"n", i}});
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 101; }));
  EXPECT_EQ(seen.known, (json::value{{"n", 100}}));
}

TYPED_TEST(Twin, ReportedPropertiesAreMergedAndSeenByTheBackEnd) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  EXPECT_EQ(device.update_reported_properties({{"a", 1}, {"o", {{"x", 1}}}, {"list", json::array{1, 2}}}).value(), 2);
  EXPECT_EQ(device.update_reported_properties({{"o", {{"y", 2.5}}}, {"list", json::array{3}}}).value(), 3);
  EXPECT_EQ(device.update_reported_properties({{"a", nullptr}, {"absent", nullptr}, {"n", {{"b", nullptr}}}}).value(),
            4);
  json::value const expected{
      {"o", {{"x", 1}, {"y", 2.5}}}, {"list", json::array{3}}, {"n", json::value::make_object()}};
  auto const seen = w.connect_service().get_twin("d").value();
  EXPECT_EQ(seen.reported.properties, expected);
  EXPECT_EQ(seen.reported.version, 4);
  auto const own = device.get_twin().value();
  EXPECT_EQ(own.reported.properties, expected);
  EXPECT_EQ(own.reported.version, 4);
  EXPECT_EQ(own.reported.metadata, json::value::make_object());
}

TYPED_TEST(Twin, PatchesThatOverlapAreAppliedInTheirOrder) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  std::vector<std::int64_t> versions;
  for (int i = 0; i != 20; ++i)
    device.async_update_reported_properties({{"n", i}}, [&](result<std::int64_t> v) { versions.push_back(v.value()); });
  result<device_twin> between{errc::closed};
  device.async_get_twin([&](result<device_twin> t) { between = std::move(t); });
  ASSERT_TRUE(w.wait_until([&] { return versions.size() == 20 && between; }));
  for (std::size_t i = 0; i != 20; ++i) EXPECT_EQ(versions[i], static_cast<std::int64_t>(i) + 2);
  EXPECT_EQ(between->reported["n"], 19);
}

TYPED_TEST(Twin, CarriesMetadataForTheBackEnd) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  device.update_reported_properties({{"o", {{"x", 1}}}}).value();
  auto service = w.connect_service();
  auto const seen = service.update_twin("d", desired({{"d", 1}})).value();
  auto const& reported = seen.reported.metadata;
  EXPECT_TRUE(reported["$lastUpdated"].is_string());
  EXPECT_TRUE(reported["o"]["x"]["$lastUpdated"].is_string());
  EXPECT_TRUE(reported["$lastUpdatedVersion"].is_null());
  EXPECT_EQ(seen.desired.metadata["$lastUpdatedVersion"], 2);
  EXPECT_EQ(seen.desired.metadata["d"]["$lastUpdatedVersion"], 2);
}

TYPED_TEST(Twin, IsGuardedByItsETag) {
  world<TypeParam> w;
  w.create("d");
  auto service = w.connect_service();
  auto const first = service.get_twin("d").value();
  auto const second = service.update_twin("d", desired({{"a", 1}}), first.etag).value();
  EXPECT_NE(second.etag, first.etag);
  auto const stale = service.update_twin("d", desired({{"a", 2}}), first.etag);
  ASSERT_THAT(stale, FailedWith(errc::precondition_failed));
  EXPECT_EQ(stale.error().http_status(), 412);
  EXPECT_EQ(service.get_twin("d").value().desired["a"], 1);
  EXPECT_EQ(service.update_twin("d", desired({{"a", 3}}), second.etag).value().desired.version, 3);
  EXPECT_EQ(service.update_twin("d", desired({{"a", 4}})).value().desired["a"], 4);  // whoever comes last
}

TYPED_TEST(Twin, HoldsTagsThatTheDeviceNeverSees) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  follower seen{device};
  device.connect().value();
  auto service = w.connect_service();
  auto const tagged =
      service
          .update_twin("d", {{"tags", {{"building", "43"}, {"floor", 1}}}, {"properties", {{"desired", {{"a", 1}}}}}})
          .value();
  EXPECT_EQ(tagged.tags, (json::value{{"building", "43"}, {"floor", 1}}));
  EXPECT_EQ(service.update_twin("d", {{"tags", {{"floor", nullptr}}}}).value().tags, (json::value{{"building", "43"}}));
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 2; }));
  EXPECT_EQ(seen.known, (json::value{{"a", 1}}));
  std::vector<std::string> found;
  for (auto& row :
       service.query("SELECT * FROM devices WHERE tags.building = '43' AND IS_DEFINED(properties.desired.a)"))
    found.push_back(twin_from_json(row.value()).value().device_id);
  EXPECT_THAT(found, ElementsAre("d"));
}

TYPED_TEST(Twin, ReplacedByTheBackEndReachesTheDeviceWhole) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  json::value last;
  device.on_desired([&](json::value const& properties, std::int64_t) { last = properties; });
  w.set_desired("d", {{"old", 1}});
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return last == json::value{{"old", 1}}; }));
  auto service = w.connect_service();
  EXPECT_EQ(service.replace_twin("d", desired({{"new", 2}})).value().desired.properties, (json::value{{"new", 2}}));
  ASSERT_TRUE(w.wait_until([&] { return last["new"] == 2; }));
  EXPECT_EQ(device.get_twin().value().desired.properties, (json::value{{"new", 2}}));
}

TYPED_TEST(Twin, OfAMissingDeviceIsACodeOfItsOwn) {
  world<TypeParam> w;
  auto service = w.connect_service();
  EXPECT_THAT(service.get_twin("nobody"), FailedWith(errc::device_not_found));
  EXPECT_THAT(service.update_twin("nobody", desired({{"a", 1}})), FailedWith(errc::device_not_found));
}

TYPED_TEST(Twin, OperationsOfAClientThatIsNotConnectedFailAtOnce) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  EXPECT_THAT(device.get_twin(), FailedWith(errc::not_connected));
  EXPECT_THAT(device.update_reported_properties({{"a", 1}}), FailedWith(errc::not_connected));
}

TYPED_TEST(Twin, SaysWhatTheHubRefused) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  w.core().faults().reject_next(hub::fault_point::patch_reported, errc::throttled);
  w.core().faults().reject_next(hub::fault_point::get_device_twin, errc::server_error);
  EXPECT_THAT(device.update_reported_properties({{"a", 1}}), FailedWith(errc::throttled));
  EXPECT_THAT(device.get_twin(), FailedWith(errc::server_error));
  EXPECT_EQ(device.update_reported_properties({{"a", 1}}).value(), 2);
}

TYPED_TEST(Twin, OperationsSurviveAnOutage) {
  world<TypeParam> w;
  auto device = w.connect_device("d");
  w.stop_hub();
  result<std::int64_t> patched{errc::closed};
  result<device_twin> read{errc::closed};
  bool done = false;
  device.async_update_reported_properties({{"a", 1}}, [&](result<std::int64_t> v) { patched = std::move(v); });
  device.async_get_twin([&](result<device_twin> t) { read = std::move(t), done = true; });
  w.run_for(3 * w.unit);
  EXPECT_FALSE(done);
  w.start_hub();
  ASSERT_TRUE(w.wait_until([&] { return done; }));
  EXPECT_TRUE(patched);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reported["a"], 1);
}

TYPED_TEST(Twin, ReadingIsRetriedWhenTheReadAfterConnectingFails) {
  world<TypeParam> w;
  auto device = w.make_device("d");
  follower seen{device};
  w.set_desired("d", {{"a", 1}});
  w.core().faults().reject_next(hub::fault_point::get_device_twin, errc::throttled, w.in_virtual_time ? 3 : 1);
  device.connect().value();
  ASSERT_TRUE(w.wait_until([&] { return seen.version == 2; }));
  EXPECT_EQ(seen.known, (json::value{{"a", 1}}));
}

}  // namespace
