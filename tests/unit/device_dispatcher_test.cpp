#include <iothub/device/method_dispatcher.hpp>
#include <iothub/device/twin_patch_builder.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>

namespace {

using namespace iothub;

// Catches the answer to one call.
struct caller {
  std::vector<method_response> answers;
  responder make() {
    return responder{[this](method_response&& r) -> result<void> {
      answers.push_back(std::move(r));
      return {};
    }};
  }
};

TEST(MethodDispatcher, TheReturnValueIsTheAnswer) {
  method_dispatcher d;
  d.on("add", [](method_request const& r) -> method_response {
    return {.status = 200, .payload = *r.payload.as_int() + 1};
  });
  caller c;
  d.dispatch("add", "41", c.make());
  EXPECT_EQ(c.answers, (std::vector<method_response>{{.status = 200, .payload = 42}}));
}

TEST(MethodDispatcher, AnUnknownMethodIs501WithItsName) {
  method_dispatcher d;
  caller c;
  d.dispatch("nope", "", c.make());
  EXPECT_EQ(c.answers, (std::vector<method_response>{
                           {.status = 501, .payload = {{"message", "method nope is not implemented"}}}}));
}

TEST(MethodDispatcher, NamesAreCaseSensitive) {
  method_dispatcher d;
  d.on("Reboot", [](method_request const&) -> method_response { return {}; });
  caller c;
  d.dispatch("reboot", "", c.make());
  EXPECT_EQ(c.answers.at(0).status, 501);
}

TEST(MethodDispatcher, TheFallbackTakesEveryOtherName) {
  method_dispatcher d;
  d.on_unknown([](method_request const& r) -> method_response {
    return {.status = 404, .payload = {{"Response", "Direct method " + r.name + " not defined"}}};
  });
  caller c;
  d.dispatch("x", "null", c.make());
  EXPECT_EQ(c.answers, (std::vector<method_response>{
                           {.status = 404, .payload = {{"Response", "Direct method x not defined"}}}}));
}

TEST(MethodDispatcher, AnEmptyPayloadIsNullAndABrokenOneIs400) {
  method_dispatcher d;
  int runs = 0;
  d.on("m", [&runs](method_request const& r) -> method_response {
    ++runs;
    EXPECT_TRUE(r.payload.is_null());
    return {};
  });
  caller c;
  d.dispatch("m", "", c.make());
  d.dispatch("m", "{", c.make());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(c.answers.at(1), (method_response{.status = 400, .payload = {{"message", "the payload is not valid JSON"}}}));
}

TEST(MethodDispatcher, AHandlerThatThrowsIs500) {
  method_dispatcher d;
  d.on("m", [](method_request const&) -> method_response { throw std::runtime_error{"secret detail"}; });
  d.on("n", [](method_request const&, responder) { throw 5; });
  caller c;
  d.dispatch("m", "", c.make());
  d.dispatch("n", "", c.make());
  ASSERT_EQ(c.answers.size(), 2u);
  EXPECT_EQ(c.answers[0].status, 500);
  EXPECT_EQ(c.answers[0].payload.dump().find("secret"), std::string::npos);
  EXPECT_EQ(c.answers[1].status, 500);
  d.dispatch("m", "", c.make());  // still there
  EXPECT_EQ(c.answers.size(), 3u);
}

TEST(MethodDispatcher, AKeptResponderAnswersLater) {
  method_dispatcher d;
  std::optional<responder> kept;
  d.on("m", [&kept](method_request const&, responder r) { kept = std::move(r); });
  caller c;
  d.dispatch("m", "", c.make());
  EXPECT_TRUE(c.answers.empty());
  EXPECT_TRUE(kept->answer({.status = 202}));
  EXPECT_EQ(kept->answer({.status = 200}).error(), errc::invalid_state);
  EXPECT_EQ(c.answers, (std::vector<method_response>{{.status = 202}}));
}

TEST(MethodDispatcher, ADroppedResponderIs500) {
  method_dispatcher d;
  d.on("m", [](method_request const&, responder) {});
  caller c;
  d.dispatch("m", "", c.make());
  EXPECT_EQ(c.answers.at(0).status, 500);
}

TEST(MethodDispatcher, AHandlerMayReplaceAndRemoveItself) {
  method_dispatcher d;
  auto alive = std::make_shared<int>(1);
  d.on("m", [&d, alive](method_request const&) -> method_response {
    d.on("m", [](method_request const&) -> method_response { return {.status = 2}; });
    return {.status = *alive};
  });
  d.on("n", [&d, alive](method_request const&) -> method_response {
    EXPECT_TRUE(d.remove("n"));
    return {.status = *alive};
  });
  caller c;
  for (char const* name : {"m", "m", "n", "n"}) d.dispatch(name, "", c.make());
  EXPECT_EQ(c.answers.at(0).status, 1);
  EXPECT_EQ(c.answers.at(1).status, 2);
  EXPECT_EQ(c.answers.at(2).status, 1);
  EXPECT_EQ(c.answers.at(3).status, 501);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(TwinPatchBuilder, BuildsNestedPatchesFromPaths) {
  twin_patch_builder b;
  b.set("firmware.version", "1.2").remove("firmware.error").set("level", 3);
  EXPECT_EQ(b.build()->dump(), R"({"firmware":{"version":"1.2","error":null},"level":3})");
}

TEST(TwinPatchBuilder, TheLaterCallWins) {
  twin_patch_builder b;
  b.set("a", 1).set("a.b", 2).remove("c").set("c", 3);
  EXPECT_EQ(b.build()->dump(), R"({"a":{"b":2},"c":3})");
}

TEST(TwinPatchBuilder, LaysPatchesOverEachOtherAndKeepsNulls) {
  twin_patch_builder b;
  b.set("a.x", 1).merge({{"a", {{"y", nullptr}}}, {"b", nullptr}});
  EXPECT_EQ(b.build()->dump(), R"({"a":{"x":1,"y":null},"b":null})");
}

TEST(TwinPatchBuilder, RefusesWhatTheHubWouldRefuse) {
  EXPECT_EQ(twin_patch_builder{}.set("a b", 1).build().error(), errc::invalid_argument);
  EXPECT_EQ(twin_patch_builder{}.set("$a", 1).build().error(), errc::invalid_argument);
  EXPECT_EQ(twin_patch_builder{}.set("n", std::int64_t{1} << 60).build().error(), errc::invalid_argument);
  EXPECT_EQ(twin_patch_builder{}.set("s", std::string(4097, 'x')).build().error(), errc::too_large);
  EXPECT_EQ(twin_patch_builder{}.set("l", json::array{1, nullptr}).build().error(), errc::invalid_argument);
  std::string deep = "a";
  for (int i = 0; i != 11; ++i) deep += ".a";
  EXPECT_EQ(twin_patch_builder{}.set(deep, 1).build().error(), errc::too_large);
}

TEST(TwinPatchBuilder, JudgesTheSizeOfTheMergedSection) {
  twin_section now;
  for (int i = 0; i != 8; ++i) now.properties.set("p" + std::to_string(i), std::string(4000, 'x'));
  EXPECT_TRUE(twin_patch_builder{}.set("q", std::string(700, 'x')).build_for(now));
  EXPECT_EQ(twin_patch_builder{}.set("q", std::string(800, 'x')).build_for(now).error(), errc::too_large);
  EXPECT_TRUE(twin_patch_builder{}.set("q", std::string(800, 'x')).remove("p0").build_for(now));
}

}  // namespace
