// Identities: the ETag table, keys, ids, modules (IoT Hub service REST reference, DeviceIdentity and ModuleIdentity).
#include "hub_world.hpp"

namespace {

using namespace hub_test;

iothub::device_identity named(std::string id, std::string module_id = {}) {
  iothub::device_identity wanted;
  wanted.device_id = std::move(id);
  wanted.module_id = std::move(module_id);
  return wanted;
}
iothub::if_match exactly(std::string_view etag) { return {iothub::if_match_kind::exact, etag}; }

TEST(HubRegistry, CreateMakesKeysGenerationAndEtag) {
  world w;
  auto const d = w.create("d1");
  EXPECT_EQ(d.device_id, "d1");
  EXPECT_EQ(iothub::from_base64(d.authentication.primary_key).value().size(), 32u);
  EXPECT_EQ(iothub::from_base64(d.authentication.secondary_key).value().size(), 32u);
  EXPECT_NE(d.authentication.primary_key, d.authentication.secondary_key);
  // 2024-01-01 in ticks of 100 ns since the year 1.
  EXPECT_EQ(d.generation_id, "638396640000000000");
  EXPECT_EQ(iothub::from_base64(d.etag).value().size(), 9u);
  EXPECT_EQ(d.connection_state, iothub::connection_state::disconnected);
  EXPECT_EQ(d.connection_state_updated_time, iothub::no_time);
  EXPECT_EQ(d.status_updated_time, iothub::no_time);
  EXPECT_EQ(d.last_activity_time, iothub::no_time);
  EXPECT_EQ(d.cloud_to_device_message_count, 0u);
  EXPECT_EQ(w.hub.get_identity({"d1", {}}).value(), d);
}

TEST(HubRegistry, CreateKeepsGivenKeys) {
  world w;
  auto wanted = named("d1");
  wanted.authentication.primary_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  auto const d = w.hub.put_identity(wanted, {}, w.at).value();
  EXPECT_EQ(d.authentication.primary_key, wanted.authentication.primary_key);
  EXPECT_EQ(iothub::from_base64(d.authentication.secondary_key).value().size(), 32u);
}

TEST(HubRegistry, KeysHave16To64Bytes) {
  world w;
  for (auto const& [size, good] : {std::pair{15u, false}, {16u, true}, {64u, true}, {65u, false}}) {
    auto wanted = named("d" + std::to_string(size));
    wanted.authentication.primary_key = iothub::to_base64(std::string(size, 'k'));
    EXPECT_EQ(w.hub.put_identity(wanted, {}, w.at).has_value(), good) << size;
  }
  auto wanted = named("bad");
  wanted.authentication.secondary_key = "not base64";
  EXPECT_EQ(hub_code(w.hub.put_identity(wanted, {}, w.at)), 400004);
}

TEST(HubRegistry, PutWithoutConditionOfExistingIsConflict) {
  world w;
  w.create("d1");
  auto const again = w.hub.put_identity(named("d1"), {}, w.at);
  EXPECT_EQ(again.error().code(), errc::already_exists);
  EXPECT_EQ(again.error().http_status(), 409);
  EXPECT_EQ(again.error().hub_code(), 409001);
  EXPECT_EQ(again.error().message(), "A device with ID 'd1' is already registered.");
}

TEST(HubRegistry, PutAnyUpdatesAndRaisesTheEtagByOne) {
  world w;
  auto const before = w.create("d1");
  auto wanted = before;
  wanted.status_reason = "spare";
  auto const after = w.hub.put_identity(wanted, ih::unconditional, w.at).value();
  EXPECT_EQ(std::stoll(iothub::from_base64(after.etag).value()), std::stoll(iothub::from_base64(before.etag).value()) + 1);
  EXPECT_EQ(after.status_reason, "spare");
  EXPECT_EQ(after.generation_id, before.generation_id);
  EXPECT_EQ(after.authentication, before.authentication);
}

TEST(HubRegistry, PutAnyOfAbsentIsNotFound) {
  world w;
  EXPECT_EQ(hub_code(w.hub.put_identity(named("d1"), ih::unconditional, w.at)), 404001);
}

TEST(HubRegistry, PutWithEqualEtagIsApplied) {
  world w;
  auto const d = w.create("d1");
  EXPECT_TRUE(w.hub.put_identity(d, exactly(d.etag), w.at).has_value());
}

TEST(HubRegistry, PutWithOtherEtagChangesNothing) {
  world w;
  auto const d = w.create("d1");
  auto wanted = d;
  wanted.status_reason = "x";
  auto const refused = w.hub.put_identity(wanted, exactly("MQ=="), w.at);
  EXPECT_EQ(refused.error().code(), errc::precondition_failed);
  EXPECT_EQ(refused.error().hub_code(), 412001);
  EXPECT_EQ(refused.error().message(), "PreconditionFailed");
  EXPECT_EQ(w.hub.get_identity({"d1", {}}).value(), d);
}

TEST(HubRegistry, DeleteFollowsTheConditions) {
  world w;
  auto const d = w.create("d1");
  EXPECT_EQ(hub_code(w.hub.delete_identity({"d1", {}}, exactly("MQ=="), w.at)), 412001);
  EXPECT_TRUE(w.hub.delete_identity({"d1", {}}, exactly(d.etag), w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.delete_identity({"d1", {}}, ih::unconditional, w.at)), 404001);
  w.create("d2");
  EXPECT_TRUE(w.hub.delete_identity({"d2", {}}, {}, w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.get_identity({"d2", {}})), 404001);
}

TEST(HubRegistry, RecreatedDeviceHasANewGeneration) {
  world w;
  auto const first = w.create("d1");
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, {}, w.at).has_value());
  EXPECT_NE(w.create("d1").generation_id, first.generation_id);
}

TEST(HubRegistry, ModulesBelongToTheirDevice) {
  world w;
  EXPECT_EQ(hub_code(w.hub.put_identity(named("d1", "m1"), {}, w.at)), 404001);
  w.create("d1");
  w.create("d1", "m2");
  w.create("d1", "m1");
  w.create("d10");
  EXPECT_EQ(hub_code(w.hub.put_identity(named("d1", "m1"), {}, w.at)), 409301);
  EXPECT_EQ(hub_code(w.hub.get_identity({"d1", "m3"})), 404010);
  auto const modules = w.hub.list_modules("d1").value();
  ASSERT_EQ(modules.size(), 2u);
  EXPECT_EQ(modules[0].module_id, "m1");
  EXPECT_EQ(modules[1].module_id, "m2");
  EXPECT_EQ(w.hub.list_devices().size(), 2u);
  ASSERT_TRUE(w.hub.delete_identity({"d1", {}}, {}, w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.get_identity({"d1", "m1"})), 404001);
  EXPECT_EQ(hub_code(w.hub.list_modules("d1")), 404001);
}

TEST(HubRegistry, ADeviceHasFiftyModules) {
  world w;
  w.create("d1");
  for (int i = 0; i != 50; ++i) w.create("d1", "m" + std::to_string(i));
  EXPECT_EQ(hub_code(w.hub.put_identity(named("d1", "one-more"), {}, w.at)), 413003);
}

TEST(HubRegistry, IdsHave1To128OfTheirCharacters) {
  world w;
  for (std::string_view bad : {"", "a b", "a/b", "\xc3\xa4", "a\"b", "a&b"})
    EXPECT_EQ(hub_code(w.hub.put_identity(named(std::string{bad}), {}, w.at)), 400004) << bad;
  EXPECT_TRUE(w.hub.put_identity(named("-:.+%_#*?!(),=@;$'aZ0"), {}, w.at).has_value());
  EXPECT_TRUE(w.hub.put_identity(named(std::string(128, 'a')), {}, w.at).has_value());
  EXPECT_EQ(hub_code(w.hub.put_identity(named(std::string(129, 'a')), {}, w.at)), 400004);
  EXPECT_EQ(hub_code(w.hub.put_identity(named("d1", "a/b"), {}, w.at)), 400004);
}

TEST(HubRegistry, IdsKeepTheirCase) {
  world w;
  w.create("Dev");
  w.create("dev");
  EXPECT_EQ(w.hub.list_devices().size(), 2u);
}

TEST(HubRegistry, StatusReasonHas128BytesAtMost) {
  world w;
  auto wanted = named("d1");
  wanted.status_reason = std::string(129, 'r');
  EXPECT_EQ(hub_code(w.hub.put_identity(wanted, {}, w.at)), 400004);
}

TEST(HubRegistry, SelfSignedNeedsAThumbprintOf40Or64Digits) {
  world w;
  auto wanted = named("d1");
  wanted.authentication.type = iothub::authentication_type::self_signed;
  EXPECT_EQ(hub_code(w.hub.put_identity(wanted, {}, w.at)), 400004);
  wanted.authentication.primary_thumbprint = std::string(39, 'a');
  EXPECT_EQ(hub_code(w.hub.put_identity(wanted, {}, w.at)), 400004);
  wanted.authentication.primary_thumbprint = std::string(40, 'g');
  EXPECT_EQ(hub_code(w.hub.put_identity(wanted, {}, w.at)), 400004);
  wanted.authentication.primary_thumbprint = std::string(64, 'A');
  auto const d = w.hub.put_identity(wanted, {}, w.at).value();
  EXPECT_EQ(d.authentication.primary_thumbprint, std::string(64, 'A'));
  EXPECT_EQ(d.authentication.primary_key, "");
}

TEST(HubRegistry, StatisticsCountDevicesByStatus) {
  world w;
  w.create("d1");
  w.create("d1", "m1");
  auto off = named("d2");
  off.status = iothub::identity_status::disabled;
  w.hub.put_identity(off, {}, w.at).value();
  EXPECT_EQ(w.hub.statistics(), (iothub::registry_statistics{2, 1, 1}));
  w.advance(seconds{5});
  auto d1 = w.hub.get_identity({"d1", {}}).value();
  d1.status = iothub::identity_status::disabled;
  EXPECT_EQ(w.hub.put_identity(d1, ih::unconditional, w.at).value().status_updated_time, start + seconds{5});
  EXPECT_EQ(w.hub.statistics(), (iothub::registry_statistics{2, 0, 2}));
  ASSERT_TRUE(w.hub.delete_identity({"d2", {}}, {}, w.at).has_value());
  EXPECT_EQ(w.hub.statistics(), (iothub::registry_statistics{1, 0, 1}));
}

TEST(HubRegistry, ListsAtMostAThousandInOrder) {
  world w;
  for (int i = 0; i != 3; ++i) w.create("d" + std::to_string(2 - i));
  auto const two = w.hub.list_devices(2);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].device_id, "d0");
  EXPECT_EQ(two[1].device_id, "d1");
  EXPECT_EQ(w.hub.list_devices(0).size(), 3u);
  EXPECT_EQ(w.hub.list_devices(5000).size(), 3u);
}

TEST(HubRegistry, EdgeDevicesGetAScopeAndLeavesInheritTheirs) {
  world w;
  auto edge = named("e1");
  edge.iot_edge = true;
  auto const made = w.hub.put_identity(edge, {}, w.at).value();
  EXPECT_EQ(made.device_scope, "ms-azure-iot-edge://e1-" + made.generation_id);
  auto changed = made;
  changed.device_scope = "other";
  EXPECT_EQ(w.hub.put_identity(changed, ih::unconditional, w.at).value().device_scope, made.device_scope);
  auto leaf = named("leaf");
  leaf.device_scope = made.device_scope;
  EXPECT_EQ(w.hub.put_identity(leaf, {}, w.at).value().parent_scopes, std::vector<std::string>{made.device_scope});
}

TEST(HubRegistry, TheHubHoldsAsManyAsItMay) {
  auto o = plain_options();
  o.limits.devices = 1;
  world w{o};
  w.create("d1");
  EXPECT_EQ(w.hub.put_identity(named("d2"), {}, w.at).error().code(), errc::forbidden);
}


TEST(HubRegistry, ARefusedIdIsQuoted) {
  world w;
  iothub::device_identity wanted;
  wanted.device_id = "a b";
  EXPECT_EQ(text_of(w.hub.put_identity(wanted, {}, w.at)), "The device id 'a b' is out of form");
  wanted.device_id = "d";
  wanted.module_id = "m/1";
  EXPECT_EQ(text_of(w.hub.put_identity(wanted, {}, w.at)), "The module id 'm/1' is out of form");
}

}  // namespace
