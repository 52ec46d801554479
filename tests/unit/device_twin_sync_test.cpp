#include <iothub/device/twin_sync.hpp>

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

constexpr time_point start{1h};

struct sync_world {
  twin_sync sync;
  time_point now = start;

  void online() {
    sync.online(now);
    ask();
  }
  void ask() {
    ASSERT_TRUE(sync.wants_twin(now));
    sync.twin_asked(++where, now + 60s);
  }
  void twin(char const* text, std::int64_t version) {
    twin_section s;
    s.properties = json::parse(text).value();
    s.version = version;
    sync.on_twin(std::move(s), now);
  }
  void notice(char const* text, std::int64_t version) {
    sync.on_notice({json::parse(text).value(), version, desired_scope::patch});
  }
  std::vector<std::string> taken() {
    std::vector<std::string> list;
    desired_update u;
    while (sync.next(u))
      list.push_back((u.scope == desired_scope::whole ? "whole " : "patch ") + u.properties.dump() + " v" +
                     std::to_string(u.version));
    return list;
  }
  ticket where = 0;
};
using lines = std::vector<std::string>;

TEST(TwinSync, HandsOverTheWholeAtFirstAndPatchesAfter) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 4);
  w.notice(R"({"a":2})", 5);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":1} v4)", R"(patch {"a":2} v5)"}));
}

TEST(TwinSync, AnEmptyFirstDocumentIsNoNews) {
  sync_world w;
  w.online();
  w.twin("{}", 1);
  EXPECT_EQ(w.taken(), lines{});
  w.notice(R"({"a":2})", 2);
  EXPECT_EQ(w.taken(), (lines{R"(patch {"a":2} v2)"}));
}

TEST(TwinSync, ATwinThatWasMadeAnewIsHandedOverAlsoAtTheVersionThatIsKnown) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 4);
  w.notice(R"({"b":2,"a":null})", 5);
  w.taken();
  w.sync.offline();
  w.online();
  w.twin(R"({"b":2})", 5);  // what is known, patches included
  EXPECT_EQ(w.taken(), lines{});
  w.sync.offline();
  w.online();
  w.twin(R"({"b":3})", 5);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"b":3} v5)"}));
  w.sync.offline();
  w.online();
  w.twin("{}", 5);
  EXPECT_EQ(w.taken(), (lines{"whole {} v5"}));
}

TEST(TwinSync, NoticeBeforeTheAnswerWaitsForIt) {
  sync_world w;
  w.online();
  w.notice(R"({"a":4})", 4);
  w.notice(R"({"a":5})", 5);
  EXPECT_EQ(w.taken(), lines{});
  w.twin(R"({"a":4})", 4);  // the answer covers version 4 already
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":4} v4)", R"(patch {"a":5} v5)"}));
}

TEST(TwinSync, NoticeAfterAnAnswerThatCoversItIsDropped) {
  sync_world w;
  w.online();
  w.twin(R"({"a":5})", 5);
  w.notice(R"({"a":5})", 5);
  w.notice(R"({"a":4})", 4);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":5} v5)"}));
}

TEST(TwinSync, AGapReadsTheTwinAgain) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 1);
  (void)w.taken();
  w.notice(R"({"a":3})", 3);
  EXPECT_EQ(w.taken(), lines{});
  w.ask();
  w.twin(R"({"a":3,"b":2})", 3);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":3,"b":2} v3)"}));
  EXPECT_FALSE(w.sync.wants_twin(w.now));
}

TEST(TwinSync, AGapBehindTheAnswerReadsOnceMore) {
  sync_world w;
  w.online();
  w.notice(R"({"a":9})", 9);
  w.twin(R"({"a":7})", 7);  // 8 was lost
  EXPECT_FALSE(w.sync.wants_twin(w.now));  // a hub that goes on so does not keep the device asking
  w.now += 1s;
  w.ask();
  w.twin(R"({"a":9})", 9);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":9} v9)"}));
}

TEST(TwinSync, SameVersionAfterAReconnectIsNoNews) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 4);
  (void)w.taken();
  w.sync.offline();
  w.online();
  w.twin(R"({"a":1})", 4);
  EXPECT_EQ(w.taken(), lines{});
}

TEST(TwinSync, WhatWasSetWhileAwayComesWhole) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1,"b":1})", 4);
  (void)w.taken();
  w.sync.offline();
  w.notice(R"({"x":1})", 5);  // a stray of the old connection
  w.online();
  w.twin(R"({"a":2})", 6);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":2} v6)"}));
}

TEST(TwinSync, ALowerVersionAfterAReconnectIsANewTwin) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 40);
  (void)w.taken();
  w.sync.offline();
  w.online();
  w.twin(R"({"z":1})", 2);
  w.notice(R"({"z":2})", 3);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"z":1} v2)", R"(patch {"z":2} v3)"}));
}

TEST(TwinSync, WholeReplacesWhatNobodyHasTakenYet) {
  sync_world w;
  w.online();
  w.twin(R"({"a":1})", 1);
  w.notice(R"({"a":2})", 2);
  w.sync.offline();
  w.online();
  w.twin(R"({"a":3})", 3);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":3} v3)"}));
}

TEST(TwinSync, AFailedReadIsTriedAgainLater) {
  sync_world w;
  w.online();
  w.sync.on_failure(w.now + 5s);
  EXPECT_FALSE(w.sync.wants_twin(w.now));
  EXPECT_EQ(w.sync.deadline(), w.now + 5s);
  w.now += 5s;
  EXPECT_TRUE(w.sync.wants_twin(w.now));
}

TEST(TwinSync, QueuesAreBoundedAndLoseNothingForGood) {
  sync_world w;
  w.online();
  for (int v = 2; v != 200; ++v) w.notice(R"({"n":0})", v);
  w.twin(R"({"n":1})", 1);
  w.now += 1s;
  w.ask();  // the oldest early notices went, so there is a gap
  w.twin(R"({"n":199})", 199);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"n":199} v199)"}));
  for (int v = 200; v != 300; ++v) {
    w.notice(R"({"n":0})", v);  // nobody takes them
    if (w.sync.wants_twin(w.now)) {
      w.ask();
      w.twin(R"({"n":"all"})", v);
    }
  }
  auto const list = w.taken();
  ASSERT_FALSE(list.empty());
  EXPECT_LE(list.size(), 33u);
  EXPECT_EQ(list.front().substr(0, 5), "whole");
  EXPECT_EQ(w.sync.version(), 299);
}

TEST(TwinSync, TakesAnyVersionThatAHubMayInvent) {
  sync_world w;
  w.online();
  w.notice(R"({"a":2})", 2);
  w.twin(R"({"a":1})", std::numeric_limits<std::int64_t>::max());
  w.notice(R"({"a":3})", 3);
  EXPECT_EQ(w.taken(), (lines{R"(whole {"a":1} v9223372036854775807)"}));
  sync_world other;
  other.online();
  other.notice(R"({"a":2})", 2);
  other.twin(R"({"a":1})", std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(other.taken(), (lines{R"(whole {"a":1} v-9223372036854775808)"}));
}

TEST(TwinDocument, ReadsWhatADeviceSees) {
  auto const t = parse_device_twin(R"({"desired":{"a":1,"$version":3},"reported":{"b":2,"$version":5}})");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->desired.dump(), R"({"a":1})");
  EXPECT_EQ(t->desired.version, 3);
  EXPECT_EQ(t->reported.dump(), R"({"b":2})");
  EXPECT_EQ(t->reported.version, 5);
}

TEST(TwinDocument, RefusesWhatIsNone) {
  for (char const* text : {"", "5", "{}", R"({"desired":{}})", R"({"desired":1,"reported":{}})",
                           R"({"desired":{},"reported":[]})"})
    EXPECT_EQ(parse_device_twin(text).error(), errc::malformed) << text;
  EXPECT_EQ(parse_desired_notice("[1]", 3).error(), errc::malformed);
  EXPECT_EQ(parse_desired_notice("{}", 0).error(), errc::malformed);
  EXPECT_EQ(parse_desired_notice(R"({"a":1,"$version":3})", 0)->version, 3);
}

}  // namespace
