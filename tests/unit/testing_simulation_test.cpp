// The fixture and the matchers for simulations: that each matcher takes what it should, and says no, and why, where it should.
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <iothub/testing/gmock.hpp>
#include <iothub/testing/simulation_test.hpp>

namespace {

using namespace iothub;
using namespace iothub::testing;
using namespace std::chrono_literals;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::Not;
using ::testing::StartsWith;
using strings = std::vector<std::string>;

// What a matcher says of a value that it does not take; "(takes it)" when it does.
template <class Value, class Matcher>
std::string why_not(Value const& value, Matcher const& matcher) {
  ::testing::StringMatchResultListener listener;
  return ::testing::ExplainMatchResult(matcher, value, &listener) ? "(takes it)" : listener.str();
}

// --- sequences

TEST(NothingLostMatcher, TakesAllThatWasSentAndNamesWhatIsMissing) {
  EXPECT_THAT((strings{"c", "x", "a", "b", "a"}), NothingLost(strings{"a", "b", "c"}));
  EXPECT_EQ(why_not(strings{}, NothingLost(strings{})), "where nothing was sent that could be lost");
  EXPECT_EQ(why_not(strings{"a"}, NothingLost(strings{"a", "a"})),
            "where 2 texts were sent and only 1 differ, so that nobody can tell which are lost");
  EXPECT_EQ(why_not(strings{"a", "e"}, NothingLost(strings{"a", "b", "c", "d", "e", "f"})),
            R"(which misses 4 of 6: "b" to "d" (3), "f")");
}
TEST(NothingInventedMatcher, NamesWhatWasNeverSent) {
  EXPECT_THAT((strings{"b", "b"}), NothingInvented(strings{"a", "b"}));
  EXPECT_EQ(why_not(strings{"a", "z"}, NothingInvented(strings{"a", "b"})), R"(where "z" was never sent)");
}
TEST(NoDuplicatesMatcher, NamesWhatIsTwice) {
  EXPECT_THAT((strings{"a", "b"}), NoDuplicates());
  EXPECT_EQ(why_not(strings{"a", "b", "a"}, NoDuplicates()), R"(where "a" is twice)");
}
TEST(NoDuplicatesByMatcher, ComparesWhatTheKeyIs) {
  auto const first_letter = [](std::string const& text) { return text.substr(0, 1); };
  EXPECT_THAT((strings{"a1", "b1"}), NoDuplicatesBy(first_letter));
  EXPECT_EQ(why_not(strings{"a1", "b1", "a2"}, NoDuplicatesBy(first_letter)), R"(where number 2 and number 0 are both "a")");
}
TEST(DuplicatesMatcher, CountsTheSecondAndLater) {
  EXPECT_THAT((strings{"a", "b", "a", "a"}), Duplicates(2));
  EXPECT_THAT((strings{"a", "b", "a", "a"}), Duplicates(Lt(3u)));
  EXPECT_EQ(why_not(strings{"a", "a"}, Duplicates(0)), "which has 1 duplicates");
}
TEST(InOrderOfMatcher, LooksAtFirstAppearances) {
  EXPECT_THAT((strings{"a", "c", "a", "x"}), InOrderOf(strings{"a", "b", "c"}));
  EXPECT_EQ(why_not(strings{"b", "a"}, InOrderOf(strings{"a", "b"})), R"(where "a" came after "b")");
}

// --- messages, twins, results

TEST(BodyMatcher, TakesTextsAndMatchers) {
  message const m{.body = "12.5 C"};
  EXPECT_THAT(m, HasBody("12.5 C"));
  EXPECT_THAT((telemetry_event{.content = m}), HasBody(StartsWith("12")));
  EXPECT_EQ(why_not(m, HasBody("13")), R"(whose body is "12.5 C")");
}
TEST(FromDeviceMatcher, SaysWhoseItIs) {
  telemetry_event e;
  e.source.device_id = "pump";
  EXPECT_THAT(e, FromDevice("pump"));
  EXPECT_EQ(why_not(e, FromDevice("valve")), "which is from pump");
}
TEST(JsonAtMatcher, FindsAPathInWhateverHoldsJson) {
  std::string const text = R"({"a":{"b":3,"on":true,"f":1.5},"name":"pump"})";
  EXPECT_THAT(text, JsonAt("/a/b", 3));
  EXPECT_THAT(*json::parse(text), JsonAt("/name", "pump"));
  EXPECT_THAT((message{.body = text}), JsonAt("/a/b", Gt(2)));
  EXPECT_THAT((message{.body = text}), JsonAt("/a/f", Lt(2.0)));
  EXPECT_THAT((method_response{.payload = *json::parse(text)}), JsonAt("/name", StartsWith("p")));
  EXPECT_THAT(text, JsonAt("/a/on", true));
  EXPECT_THAT(text, JsonAt("/a/f", ::testing::DoubleNear(1.5, 0.1)));
  EXPECT_THAT(text, Not(JsonAt("/name", ::testing::DoubleNear(1.5, 0.1))));
  EXPECT_THAT(text, JsonAt("/a", JsonEq(R"({"f":1.5,"on":true,"b":3})")));
  EXPECT_THAT(text, JsonAt("/a/b", AllOf(Gt(2), Not(::testing::Eq(4)))));
  EXPECT_THAT(text, JsonAt("/nowhere", nullptr));
  EXPECT_EQ(why_not(text, JsonAt("/a/b", 4)), "where /a/b is 3");
  EXPECT_EQ(why_not(text, JsonAt("/name", Gt(4))), R"(where /name is "pump")");
  EXPECT_EQ(why_not(std::string{"no JSON"}, JsonAt("/a", 4)), "where /a is null");
  EXPECT_EQ(::testing::DescribeMatcher<std::string>(JsonAt("/a", 4)), "has 4 at /a");
}
TEST(TwinMatchers, LookIntoTheirSection) {
  twin t;
  t.version = 7;
  t.reported.properties = {{"valve", {{"state", "open"}}}, {"level", 4}};
  t.desired.properties = {{"level", 5}};
  t.tags = {{"hall", "north"}};
  EXPECT_THAT(t, AllOf(ReportedAt("/valve/state", "open"), ReportedAt("/level", Ge(4)), DesiredAt("/level", 5), TagAt("/hall", "north"),
                       TwinVersionIs(7), TwinVersionIs(Gt(6))));
  EXPECT_EQ(why_not(t, ReportedAt("/valve/state", "shut")), R"(where it is "open")");
  EXPECT_EQ(why_not(t, ReportedAt("/level", Gt(4))), "where it is 4");
  EXPECT_EQ(why_not(t, DesiredAt("/level", 4)), "where it is 5");
  EXPECT_EQ(why_not(t, TagAt("/hall", "south")), R"(where it is "north")");
  EXPECT_EQ(why_not(t, TwinVersionIs(8)), "whose version is 7");
}
TEST(MethodResultMatcher, SaysWhatCameInstead) {
  result<method_response> const good{method_response{.status = 202, .payload = {{"eta", 20}}}};
  result<method_response> const bad{error{errc::device_offline, "it is not there"}};
  EXPECT_THAT(good, MethodResultIs(202, _));
  EXPECT_THAT(good, MethodResultIs(202, json::value{{"eta", 20}}));
  EXPECT_EQ(why_not(good, MethodResultIs(200, _)), R"(which is 202 {"eta":20})");
  EXPECT_EQ(why_not(good, MethodResultIs(202, 1)), R"(which is 202 {"eta":20})");
  EXPECT_THAT(why_not(bad, MethodResultIs(202, _)), AllOf(StartsWith("which is no answer"), HasSubstr("it is not there")));
}
TEST(ErrorMatchers, CompareTheHubsNumbers) {
  error e{errc::device_offline, "not online"};
  e.with_http(404, 404103, "t");
  result<int> const failed{e}, good{3};
  EXPECT_THAT(failed, AllOf(IsIotHubError(404103), IsHttpStatus(404)));
  EXPECT_EQ(why_not(failed, IsIotHubError(404001)), "which is 404103, not online");
  EXPECT_EQ(why_not(failed, IsHttpStatus(429)), "which is 404, not online");
  EXPECT_EQ(why_not(good, IsIotHubError(404103)), "which is a success");
  EXPECT_EQ(why_not(good, IsHttpStatus(404)), "which is a success");
}
TEST(ReachedMatcher, LooksAtOneKind) {
  sim::fault_counts counts;
  counts.add(sim::fault::outage);
  EXPECT_THAT(counts, AllOf(Reached(sim::fault::outage), Not(Reached(sim::fault::clog))));
  EXPECT_EQ(why_not(counts, Reached(sim::fault::clog)), "where it happened 0 times");
}

// --- connections: packets of the standard, by hand

struct line_told {
  void connect(duration at, char session = 0, char code = 0) {
    log.on_attempt(time_point{at});
    log.on_down(std::string{'\x20', '\2', session, code}, time_point{at});
  }
  void publish(std::string const& topic, bool up) {
    std::string const packet = std::string{"\x30", 1} + static_cast<char>(topic.size() + 2) + '\0' + static_cast<char>(topic.size()) + topic;
    up ? log.on_up(packet, time_point{}) : log.on_down(packet, time_point{});
  }
  void lose(duration at) { log.on_gone(time_point{at}); }
  void leave(duration at) { log.on_up(std::string{"\xe0\0", 2}, time_point{at}), lose(at); }
  connection_log log;
};

TEST(ConnectionLog, CountsWhatItSees) {
  line_told line;
  EXPECT_THAT(line.log, AllOf(Not(Connected()), ReconnectedTimes(0)));
  line.connect(0s);
  line.publish("devices/d/messages/events/", true);
  line.publish("$iothub/methods/POST/x/?$rid=1", false);
  line.publish("$iothub/methods/res/200/?$rid=1", true);
  line.lose(10s);
  line.connect(12s, 0, 3);  // refused
  line.lose(12s);
  line.connect(20s, 1);
  EXPECT_THAT(line.log, AllOf(Connected(), SessionPresent(), ReconnectedTimes(1), PlannedReconnects(0)));
  line.leave(60s);
  line.connect(60s);
  EXPECT_THAT(line.log, AllOf(ReconnectedTimes(Gt(1u)), PlannedReconnects(1), Not(SessionPresent()), EveryCallAnswered()));
  EXPECT_EQ(line.log.telemetry_packets(), 1u);
  EXPECT_EQ(line.log.attempts(), 4u);
  EXPECT_THAT(line.log.waits(), ::testing::ElementsAre(2s, 8s));
  EXPECT_THAT(line.log.text(), AllOf(HasSubstr("12.000 s  refused"), HasSubstr("20.000 s  accepted, session present")));
  EXPECT_THAT(line.log.text(1), Not(HasSubstr("refused")));
  EXPECT_THAT(line.log.text(40, utc_time{}), HasSubstr("1970-01-01T00:00:"));
}
TEST(ConnectionMatchers, SayWhatWasSeenInstead) {
  line_told line;
  line.connect(0s);
  line.publish("$iothub/methods/POST/x/?$rid=1", false);
  for (int n = 0; n != 5; ++n) line.lose(10s * (n + 1)), line.connect(10s * (n + 1) + 1s);
  EXPECT_THAT(line.log, AllOf(BackoffWithin(1s, 1s), AttemptsIn(10s, 2), AttemptsIn(1h, 6)));
  EXPECT_EQ(why_not(line.log, BackoffWithin(2s, 5s)), "where wait 0 of 5 was 1 s");
  EXPECT_EQ(why_not(line.log, BackoffWithin(100ms, 999ms)), "where wait 0 of 5 was 1 s");
  EXPECT_EQ(why_not(line.log, AttemptsIn(60s, 3)), "where 4 attempts came within 31 s");
  EXPECT_EQ(why_not(line.log, ReconnectedTimes(4)), "which has 5 reconnects");
  EXPECT_EQ(why_not(line.log, PlannedReconnects(1)), "which has 0 planned reconnects");
  EXPECT_EQ(why_not(line.log, EveryCallAnswered()), "which answered 0 of 1 calls");
  line.lose(100s);
  EXPECT_NE(why_not(line.log, Connected()), "(takes it)");
  EXPECT_NE(why_not(line.log, SessionPresent()), "(takes it)");
}

// --- the fixture

class Weather : public simulation_test {
 public:
  Weather() : simulation_test{{.seed = 5}} {}
  using simulation_test::expect_nothing_lost_across;
  using simulation_test::sim;
  using simulation_test::story;
  using simulation_test::watch;
};

// What the statements made fail, as text.
template <class Statements>
std::string failures_of(Statements statements) {
  ::testing::TestPartResultArray all;
  {
    ::testing::ScopedFakeTestPartResultReporter here{::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &all};
    statements();
  }
  std::string text;
  for (int i = 0; i != all.size(); ++i) text += std::string{all.GetTestPartResult(i).message()} + "\n";
  return text;
}

TEST_F(Weather, WatchesALine) {
  auto const& log = watch("pump");
  auto device = sim.connect_device("pump");
  sim.inject(sim::fault::link_dropped, "pump");
  sim.run_for(5min);
  EXPECT_THAT(log, AllOf(Connected(), ReconnectedTimes(1), PlannedReconnects(0), BackoffWithin(1ms, 2min), AttemptsIn(1min, 4)));
  EXPECT_EQ(&watch("pump"), &log);
}
TEST_F(Weather, LosesNothingWhereTheLogicKeepsItsReadings) {
  auto device = sim.connect_device("pump");
  expect_nothing_lost_across(sim::fault::outage, "pump", [&](int n) {
    device.async_send_telemetry({.body = std::to_string(n)}, 1h, [](result<void>) {});
    return std::to_string(n);
  });
  EXPECT_THAT(sim.faults(), Reached(sim::fault::outage));
}
TEST_F(Weather, SaysWhatALogicLosesThatGivesUp) {
  auto device = sim.connect_device("pump");
  std::string const said = failures_of([&] {
    expect_nothing_lost_across(sim::fault::hub_restart, "pump", [&](int n) {
      device.async_send_telemetry({.body = std::to_string(n)}, 1s, [](result<void>) {});
      return std::to_string(n);
    });
  });
  EXPECT_THAT(said, AllOf(HasSubstr("across hub_restart"), HasSubstr("which misses"), HasSubstr("of 20")));
}
TEST_F(Weather, SaysWhatIsNotItsToMake) {
  auto device = sim.connect_device("pump");
  std::string const said = failures_of([&] {
    expect_nothing_lost_across(sim::fault::handler_throws, "pump", [&](int n) {
      device.async_send_telemetry({.body = std::to_string(n)}, 1h, [](result<void>) {});
      return std::to_string(n);
    });
  });
  EXPECT_THAT(said, HasSubstr("handler_throws is not the simulation's to make"));
}
TEST_F(Weather, TellsItsStory) {
  (void)watch("pump");
  auto device = sim.connect_device("pump");
  sim.inject(sim::fault::outage, "pump", 30s);
  sim.run_for(2min);
  EXPECT_THAT(story(), AllOf(StartsWith("seed "), HasSubstr("Z outage pump"), HasSubstr("the line of pump"), HasSubstr("accepted"),
                             HasSubstr("run it again: IOTHUB_SEED="), HasSubstr("--gtest_filter='Weather.TellsItsStory'")));
}
TEST_F(Weather, SaysHowManyLinesThereAreAndShowsThemAll) {
  auto device = sim.connect_device("pump");
  sim.set_weather(sim::calm_weather());
  auto const others = sim.history().size();
  sim.inject(sim::fault::clog, "pump", 1ms);
  for (int i = 0; i != 700; ++i) sim.inject(sim::fault::latency_spike, "pump", 1ms), sim.run_for(1s);
  auto const all = std::to_string(701 + others);
  EXPECT_THAT(story(), AllOf(HasSubstr("all, and not the last 40 lines: IOTHUB_HISTORY=" + all + "\n"), Not(HasSubstr("Z clog pump"))));
  setenv("IOTHUB_HISTORY", all.c_str(), 1);
  EXPECT_THAT(story(), AllOf(HasSubstr("Z clog pump"), Not(HasSubstr("and not the last"))));
  unsetenv("IOTHUB_HISTORY");
}
TEST_F(Weather, HasTheSeedOfTheEnvironment) {
  EXPECT_EQ(sim.seed(), std::getenv("IOTHUB_SEED") == nullptr ? 5u : seed_or(0));
}

// A test that fails says how to run it again, whatever its body says: its end is run here by hand.
class Ending : public simulation_test {
 public:
  using simulation_test::TearDown;
};
TEST_F(Ending, OfATestThatHoldsSaysNothing) {
  EXPECT_EQ(failures_of([&] { TearDown(); }), "");
}

using EachSeed = simulation_test;
TEST_P(EachSeed, HasAnotherSeed) {
  EXPECT_EQ(sim.seed(), GetParam());
  std::string const filter = "--gtest_filter='Some/EachSeed.HasAnotherSeed/*'";
  struct teller : simulation_test {
    void TestBody() override {}
    using simulation_test::story;
  } now;
  EXPECT_THAT(now.story(), HasSubstr("IOTHUB_SEED=" + std::to_string(GetParam()) + " "));
  EXPECT_THAT(now.story(), HasSubstr(filter));
}
INSTANTIATE_TEST_SUITE_P(Some, EachSeed, seeds(3, 40));

std::vector<std::uint64_t> all_of(decltype(seeds(1)) const& from) {
  ::testing::internal::ParamGenerator<std::uint64_t> const generator = from;
  return {generator.begin(), generator.end()};
}
TEST(Seeds, AreCountedFromTheFirstUnlessTheEnvironmentSaysOtherwise) {
  if (std::getenv("IOTHUB_SEED") != nullptr || std::getenv("IOTHUB_SEEDS") != nullptr) return;
  EXPECT_EQ(all_of(seeds(3, 10)), (std::vector<std::uint64_t>{10, 11, 12}));
  setenv("IOTHUB_SEEDS", "2", 1);
  EXPECT_EQ(all_of(seeds(3, 10)), (std::vector<std::uint64_t>{10, 11}));
  setenv("IOTHUB_SEED", "77", 1);
  EXPECT_EQ(all_of(seeds(3, 10)), (std::vector<std::uint64_t>{77}));
  EXPECT_EQ(seed_or(3), 77u);
  setenv("IOTHUB_SEED", "soon", 1);
  EXPECT_EXIT((void)seed_or(3), ::testing::ExitedWithCode(2), "IOTHUB_SEED wants a number, not \"soon\"");
  unsetenv("IOTHUB_SEED");
  unsetenv("IOTHUB_SEEDS");
}

}  // namespace
