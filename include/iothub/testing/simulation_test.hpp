// A GoogleTest fixture: device logic in bad weather, once for each seed.
//
//   using Meter = iothub::testing::simulation_test;
//   TEST_P(Meter, LosesNothingInAMonthOfBadNetwork) {
//     auto device = sim.connect_device("meter");
//     meter logic{device};                                         // what is tested
//     sim.run_for(30 * 24h);                                       // about a second
//     ASSERT_TRUE(sim.settle());                                   // the weather clears, everything comes to rest
//     EXPECT_THAT(sim.bodies("meter"), NothingLost(logic.readings));
//   }
//   INSTANTIATE_TEST_SUITE_P(Weather, Meter, iothub::testing::seeds(10));
//
// A test that fails says its seed, what happened when, and the command that runs it again. In the environment,
// IOTHUB_SEED=17 runs this seed alone, IOTHUB_SEEDS=1000 runs a thousand, and IOTHUB_HISTORY=500 shows 500 lines of
// each kind and not 40. With TEST_F there is one seed: 1, or IOTHUB_SEED. Other weather:
//   struct Meter : simulation_test { Meter() : simulation_test{{.faults = iothub::sim::bad_hub()}} {} };
#pragma once

#include <gtest/gtest.h>

#include <cerrno>  // program_invocation_name
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/simulation.hpp>
#include <iothub/testing/gmock_simulation.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

namespace detail {
// The number that the variable holds; `otherwise` where there is none.
inline std::uint64_t number_from_environment(char const* name, std::uint64_t otherwise) {
  char const* const text = std::getenv(name);
  if (text == nullptr || *text == 0) return otherwise;
  char* end = nullptr;
  errno = 0;
  auto const number = std::strtoull(text, &end, 10);
  if (*end == 0 && *text != '-' && errno == 0) return number;
  std::fprintf(stderr, "%s wants a number, not \"%s\"\n", name, text);
  std::exit(2);
}
}  // namespace detail

// For INSTANTIATE_TEST_SUITE_P: `first` and those after it, `count` in all, unless the environment says otherwise.
inline auto seeds(std::uint64_t count, std::uint64_t first = 1) {
  std::vector<std::uint64_t> all;
  if (char const* const one = std::getenv("IOTHUB_SEED"); one != nullptr && *one != 0)
    all.push_back(detail::number_from_environment("IOTHUB_SEED", first));
  else
    for (std::uint64_t n = detail::number_from_environment("IOTHUB_SEEDS", count); n != 0; --n) all.push_back(first++);
  return ::testing::ValuesIn(all);
}
// For tests that make their own simulation: {.seed = seed_or(7), ...}.
inline std::uint64_t seed_or(std::uint64_t usual) { return detail::number_from_environment("IOTHUB_SEED", usual); }

class simulation_test : public ::testing::TestWithParam<std::uint64_t> {
 public:
  explicit simulation_test(simulation_options options = {.faults = sim::bad_network()})
      : sim{seeded(std::move(options))} {}

 protected:
  // What became of this device's connections. From the first time it is asked for: so before the client connects.
  connection_log const& watch(std::string_view id) {
    auto& log = logs_[std::string{id}];
    if (log == nullptr) {
      log = std::make_unique<connection_log>();
      sim.observe(id, log.get());
    }
    return *log;
  }

  // `send(n)` makes the device's logic send message n and returns its body. Sends 20, one a second, with this fault
  // after the tenth, and expects all of them at the hub, in their order, when everything has come to rest.
  template <class Send>
  void expect_nothing_lost_across(sim::fault what, std::string_view id, Send send,
                                  duration lasting = std::chrono::minutes{1}) {
    std::vector<std::string> sent;
    auto const before = sim.faults()[what];
    for (int n = 0; n != 20; ++n) {
      if (n == 10 && !sim.inject(what, id, lasting))
        ADD_FAILURE() << to_string(what) << " is not the simulation's to make";
      sent.push_back(send(n));
      sim.run_for(std::chrono::seconds{1});
    }
    EXPECT_TRUE(sim.settle()) << "after " << to_string(what);
    EXPECT_GT(sim.faults()[what], before) << to_string(what) << " was ordered and never took effect: nothing was tried";
    auto const arrived = sim.bodies(id);
    EXPECT_THAT(arrived, NothingLost(sent)) << "across " << to_string(what);
    EXPECT_THAT(arrived, InOrderOf(sent)) << "across " << to_string(what);
  }

  // The seed, what happened when, and how to run this test again.
  [[nodiscard]] std::string story() const;

  void TearDown() override {
    auto const* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    if (HasFailure()) ADD_FAILURE_AT(test->file(), test->line()) << story();
  }

 private:
  static simulation_options seeded(simulation_options options) {
    auto const* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    options.seed = test != nullptr && test->value_param() != nullptr ? GetParam() : seed_or(options.seed);
    return options;
  }
  std::map<std::string, std::unique_ptr<connection_log>, std::less<>> logs_;

 protected:
  simulation sim;  // clients, which are locals of the test, end before it
};

inline std::string simulation_test::story() const {
  auto const* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  std::string name = test->name();
  if (auto const cut = name.rfind('/'); cut != std::string::npos) name = name.substr(0, cut) + "/*";
  std::string text = "seed " + std::to_string(sim.seed()) + ", " + to_iso8601(sim.utc_now()) + " in virtual time; " +
                     std::to_string(sim.faults().total()) + " faults of " + std::to_string(sim.faults().kinds()) +
                     " kinds took effect\n";
  auto const& history = sim.history();
  auto const lines = static_cast<std::size_t>(detail::number_from_environment("IOTHUB_HISTORY", 40));
  std::size_t const from = history.size() > lines ? history.size() - lines : 0;
  for (std::size_t i = 0; i != sim::fault_kinds; ++i)
    if (auto const kind = static_cast<sim::fault>(i); sim.faults()[kind] != 0)
      text += "  " + std::string{to_string(kind)} + " " + std::to_string(sim.faults()[kind]) + "\n";
  if (!history.empty()) text += "the last that were ordered:\n";
  for (std::size_t i = from; i != history.size(); ++i) text += "  " + history[i] + "\n";
  utc_time const origin = sim.utc_now() - sim.now().time_since_epoch();
  for (auto const& [id, log] : logs_) text += "the line of " + id + ":\n" + log->text(lines, origin);
  std::size_t most = history.size();
  for (auto const& [id, log] : logs_) most = log->entries().size() > most ? log->entries().size() : most;
  if (most > lines)
    text += "all, and not the last " + std::to_string(lines) + " lines: IOTHUB_HISTORY=" + std::to_string(most) + "\n";
#if defined(__GLIBC__)
  std::string const program = program_invocation_name;
#else
  std::string const program = "THIS_PROGRAM";
#endif
  return text + "run it again: IOTHUB_SEED=" + std::to_string(sim.seed()) + " " + program + " --gtest_filter='" +
         test->test_suite_name() + "." + name + "'\n";
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
