// Twins: merging, versions, metadata, ETags, notices (Microsoft docs: iot-hub-devguide-device-twins).
#include "hub_world.hpp"

namespace {

using namespace hub_test;

struct twin_world : world {
  recording_link link;
  twin_world() {
    create("d1");
    connect(link, "d1");
    hub.listen_desired(link, true, at);
  }
  ~twin_world() { hub.disconnect(link, ih::ending::graceful, at); }

  iothub::result<std::int64_t> report(std::string_view patch) { return hub.patch_reported(link, parse(patch), {}, at); }
  iothub::twin twin() { return hub.get_twin({"d1", {}}).value(); }
  iothub::result<iothub::twin> patch(std::string_view desired, iothub::if_match condition = ih::unconditional) {
    value const v = parse(desired);
    return hub.patch_twin({"d1", {}}, {nullptr, &v}, condition, at);
  }
  iothub::result<iothub::twin> replace(std::string_view desired) {
    value const v = parse(desired);
    return hub.replace_twin({"d1", {}}, {nullptr, &v}, ih::unconditional, at);
  }
  iothub::result<iothub::twin> tag(std::string_view tags) {
    value const v = parse(tags);
    return hub.patch_twin({"d1", {}}, {&v, nullptr}, ih::unconditional, at);
  }
};

TEST(HubTwin, ANewTwinIsEmpty) {
  twin_world w;
  auto const t = w.twin();
  EXPECT_EQ(t.etag, "AAAAAAAAAAE=");
  EXPECT_EQ(t.version, 2);
  EXPECT_EQ(t.desired.properties, parse("{}"));
  EXPECT_EQ(t.desired.metadata, parse(R"({"$lastUpdated":"2024-01-01T00:00:00.0000000Z"})"));
  EXPECT_EQ(t.desired.version, 1);
  EXPECT_EQ(t.reported, t.desired);
  EXPECT_EQ(t.tags, parse("{}"));
  EXPECT_EQ(t.device_etag, w.hub.get_identity({"d1", {}}).value().etag);
  EXPECT_EQ(t.connection_state, iothub::connection_state::connected);
}

TEST(HubTwin, AModuleTwinStartsWithTheSentinelTime) {
  twin_world w;
  auto const m = w.create("d1", "m1");
  auto const t = w.hub.get_twin({"d1", "m1"}).value();
  EXPECT_EQ(t.module_id, "m1");
  EXPECT_EQ(t.device_etag, m.etag);
  EXPECT_EQ(t.desired.metadata["$lastUpdated"], "0001-01-01T00:00:00.0000000Z");
}

struct merge_row {
  char const* before;
  char const* patch;
  char const* after;
};
class HubTwinMerge : public ::testing::TestWithParam<merge_row> {};

TEST_P(HubTwinMerge, ReportedAndDesiredMergeAlike) {
  auto const& row = GetParam();
  twin_world w;
  ASSERT_EQ(w.report(row.before).value(), 2);
  ASSERT_EQ(w.report(row.patch).value(), 3);
  EXPECT_EQ(w.twin().reported.dump(), row.after);
  ASSERT_TRUE(w.patch(row.before).has_value());
  EXPECT_EQ(w.patch(row.patch).value().desired.dump(), row.after);
  EXPECT_EQ(w.twin().desired.version, 3);
}

INSTANTIATE_TEST_SUITE_P(Rows, HubTwinMerge,
                         ::testing::Values(merge_row{"{}", R"({"a":1})", R"({"a":1})"},
                                           merge_row{R"({"a":{"x":1}})", R"({"a":{"y":2}})", R"({"a":{"x":1,"y":2}})"},
                                           merge_row{R"({"a":1,"b":2})", R"({"a":null})", R"({"b":2})"},
                                           merge_row{"{}", R"({"a":null})", "{}"},
                                           merge_row{"{}", R"({"a":{"b":null}})", R"({"a":{}})"},
                                           merge_row{R"({"a":1})", R"({"a":{"x":1}})", R"({"a":{"x":1}})"},
                                           merge_row{R"({"a":{"x":1}})", R"({"a":1})", R"({"a":1})"},
                                           merge_row{R"({"a":[1,2]})", R"({"a":[3]})", R"({"a":[3]})"},
                                           merge_row{R"({"a":1})", "{}", R"({"a":1})"},
                                           merge_row{R"({"a":1})", R"({"a":1})", R"({"a":1})"}));

TEST(HubTwin, APatchThatIsNoObjectIsRefused) {
  twin_world w;
  for (std::string_view bad : {"[1]", "5", "null", "\"x\"", "true"}) {
    auto const refused = w.report(bad);
    EXPECT_EQ(hub_code(refused), 400004) << bad;
    EXPECT_EQ(refused.error().http_status(), 400);
    EXPECT_EQ(hub_code(w.patch(bad)), 400004) << bad;
  }
  EXPECT_EQ(w.twin().reported.version, 1);
}

TEST(HubTwin, BookkeepingIsRefusedFromTheDeviceAndIgnoredFromTheService) {
  twin_world w;
  EXPECT_EQ(hub_code(w.report(R"({"$version":3})")), 400004);
  EXPECT_EQ(hub_code(w.report(R"({"$metadata":{}})")), 400004);
  auto const t = w.patch(R"({"a":1,"$metadata":{"x":1},"$version":77})").value();
  EXPECT_EQ(t.desired.dump(), R"({"a":1})");
  EXPECT_EQ(t.desired.version, 2);
  EXPECT_EQ(w.link.desired, std::vector<std::string>{R"(2 {"a":1})"});
  EXPECT_EQ(hub_code(w.patch(R"({"a":{"$version":1}})")), 400004);
}

TEST(HubTwin, OneBadPropertyRefusesTheWholePatch) {
  twin_world w;
  ASSERT_TRUE(w.report(R"({"a":1})").has_value());
  auto const refused = w.report(R"({"a":2,"b":{"c d":1}})");
  EXPECT_EQ(hub_code(refused), 400004);
  EXPECT_NE(text_of(refused).find("c d"), std::string::npos);
  EXPECT_EQ(w.twin().reported.dump(), R"({"a":1})");
  EXPECT_EQ(w.twin().reported.version, 2);
}

TEST(HubTwin, ReportedWritesLeaveTheTwinVersionAlone) {
  twin_world w;
  EXPECT_EQ(w.report(R"({"a":1})").value(), 2);
  EXPECT_EQ(w.report(R"({"a":2})").value(), 3);
  EXPECT_EQ(w.twin().version, 2);
  EXPECT_EQ(w.twin().etag, "AAAAAAAAAAE=");
}

TEST(HubTwin, AServiceWriteRaisesVersionAndEtagByOne) {
  twin_world w;
  value const tags = parse(R"({"t":1})"), desired = parse(R"({"d":1})");
  auto const t = w.hub.patch_twin({"d1", {}}, {&tags, &desired}, ih::unconditional, w.at).value();
  EXPECT_EQ(t.version, 3);
  EXPECT_EQ(t.etag, "AAAAAAAAAAI=");
  EXPECT_EQ(t.desired.version, 2);
  EXPECT_EQ(w.tag(R"({"t":2})").value().desired.version, 2);
  EXPECT_EQ(w.twin().version, 4);
  EXPECT_EQ(w.hub.patch_twin({"d1", {}}, {}, ih::unconditional, w.at).value().version, 4);
}

TEST(HubTwin, MetadataIsKeptForWhatWasWritten) {
  twin_world w;
  w.patch(R"({"a":{"x":1,"y":2},"b":1})").value();
  w.advance(seconds{1});
  w.patch(R"({"a":{"x":5},"b":null})").value();
  EXPECT_EQ(w.twin().desired.metadata, parse(R"({
    "$lastUpdated":"2024-01-01T00:00:01.0000000Z","$lastUpdatedVersion":3,
    "a":{"$lastUpdated":"2024-01-01T00:00:01.0000000Z","$lastUpdatedVersion":3,
      "x":{"$lastUpdated":"2024-01-01T00:00:01.0000000Z","$lastUpdatedVersion":3},
      "y":{"$lastUpdated":"2024-01-01T00:00:00.0000000Z","$lastUpdatedVersion":2}}})"));
  w.report(R"({"r":1})").value();
  EXPECT_EQ(w.twin().reported.metadata, parse(R"({"$lastUpdated":"2024-01-01T00:00:01.0000000Z",
    "r":{"$lastUpdated":"2024-01-01T00:00:01.0000000Z"}})"));
  w.patch(R"({"a":7})").value();
  EXPECT_EQ(w.twin().desired.metadata["a"].size(), 2u);
}

TEST(HubTwin, AWrongEtagChangesNothing) {
  twin_world w;
  auto const refused = w.patch(R"({"a":1})", {iothub::if_match_kind::exact, "AAAAAAAAAAc="});
  EXPECT_EQ(refused.error().code(), errc::precondition_failed);
  EXPECT_EQ(refused.error().hub_code(), 412001);
  EXPECT_EQ(refused.error().message(), "ETag mismatch for device ID 'd1'");
  EXPECT_EQ(w.twin().version, 2);
  EXPECT_TRUE(w.patch(R"({"a":1})", {iothub::if_match_kind::exact, "AAAAAAAAAAE="}).has_value());
  EXPECT_TRUE(w.patch(R"({"a":1})", {}).has_value());
}

TEST(HubTwin, UnknownTwinsAreNotFound) {
  twin_world w;
  value const v = parse("{}");
  EXPECT_EQ(hub_code(w.hub.get_twin({"d2", {}})), 404001);
  EXPECT_EQ(hub_code(w.hub.get_twin({"d1", "m1"})), 404010);
  EXPECT_EQ(hub_code(w.hub.patch_twin({"d2", {}}, {&v, nullptr}, ih::unconditional, w.at)), 404001);
  EXPECT_EQ(hub_code(w.hub.replace_twin({"d1", "m1"}, {&v, nullptr}, ih::unconditional, w.at)), 404010);
}

TEST(HubTwin, ReplaceKeepsWhatIsGivenOnly) {
  twin_world w;
  w.patch(R"({"a":1,"b":{"c":1}})").value();
  w.tag(R"({"t":1,"u":1})").value();
  auto const t = w.replace(R"({"b":{"d":null,"e":2},"$version":9})").value();
  EXPECT_EQ(t.desired.dump(), R"({"b":{"e":2}})");
  EXPECT_EQ(t.desired.version, 3);
  EXPECT_EQ(t.desired.metadata.size(), 3u);
  EXPECT_EQ(t.tags.dump(), R"({"t":1,"u":1})");
  value const tags = parse(R"({"u":2})");
  EXPECT_EQ(w.hub.replace_twin({"d1", {}}, {&tags, nullptr}, ih::unconditional, w.at).value().tags.dump(), R"({"u":2})");
  EXPECT_EQ(w.link.desired.back(), R"(3 {"b":{"e":2}})");
}

TEST(HubTwin, NoticesCarryThePatchWithItsNulls) {
  twin_world w;
  w.patch(R"({"a":1,"b":2})").value();
  w.patch(R"({"a":null})").value();
  w.patch(R"({"b":2})").value();  // an equal value is told as well
  EXPECT_EQ(w.link.desired, (std::vector<std::string>{R"(2 {"a":1,"b":2})", R"(3 {"a":null})", R"(4 {"b":2})"}));
  w.tag(R"({"t":1})").value();
  EXPECT_EQ(w.link.desired.size(), 3u);
}

TEST(HubTwin, NoNoticeIsKeptForADeviceThatIsAwayOrDoesNotListen) {
  twin_world w;
  w.hub.listen_desired(w.link, false, w.at);
  w.patch(R"({"a":1})").value();
  w.hub.disconnect(w.link, ih::ending::graceful, w.at);
  w.patch(R"({"a":2})").value();
  w.connect(w.link, "d1");
  w.hub.listen_desired(w.link, true, w.at);
  EXPECT_TRUE(w.link.desired.empty());
  auto const seen = w.hub.get_device_twin(w.link, w.at).value();
  EXPECT_EQ(seen.desired, parse(R"({"a":2})"));
  EXPECT_EQ(seen.desired_version, 3);
  EXPECT_EQ(seen.reported, parse("{}"));
  EXPECT_EQ(seen.reported_version, 1);
}

TEST(HubTwin, AReportedPatchMayNameTheVersionItExpects) {
  twin_world w;
  EXPECT_EQ(hub_code(w.hub.patch_reported(w.link, parse(R"({"a":1})"), 7, w.at)), 412001);
  EXPECT_EQ(w.hub.patch_reported(w.link, parse(R"({"a":1})"), 1, w.at).value(), 2);
}

TEST(HubTwin, TheModelOfTheConnectionIsShown) {
  twin_world w;
  ih::connect_options how;
  how.model_id = "dtmi:com:example:Pump;1";
  recording_link again;
  ASSERT_TRUE(w.hub.connect(again, {"d1", {}}, {}, how, w.at).has_value());
  EXPECT_EQ(w.twin().model_id, "dtmi:com:example:Pump;1");
}

}  // namespace
