// sim: the tests of the simulation, and a program that runs seeds.
//
//   sim                                    the tests
//   sim --seeds 2000 [--first 1] [--jobs 2] [--quick]   runs seeds, tells how it goes, ends at the first failure
//   sim --seed 17                          one seed, judged
//   sim --replay 17                        the same, with every event
//   sim --shrink 17                        the smallest script that fails as the seed does
//   sim --draw 17                          its script
//   sim --script FILE                      runs a script
//   sim --speed                            simulated device-hours per minute of CPU
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "world.hpp"

namespace iothub_test {
namespace {

namespace sim = iothub::sim;

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
double wall_seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// What a worker says of one seed.
struct outcome {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0, events = 0, messages = 0;
  double device_hours = 0, cpu = 0;
  sim::fault_counts faults = {};
  char ok = 1, same = 1;
};

outcome judge_seed(std::uint64_t seed, bool twice) {
  script const s = draw(seed);
  double const began = cpu_seconds();
  verdict const v = run(s, 0);
  outcome o;
  o.seed = seed;
  o.hash = v.hash;
  o.events = v.events;
  o.messages = v.messages;
  o.device_hours = v.device_hours;
  o.faults = v.faults;
  o.ok = v.ok();
  o.cpu = cpu_seconds() - began;
  // TLS takes its randomness from elsewhere.
  if (twice && !s.tls && v.ok()) o.same = run(s, 0).hash == v.hash;
  return o;
}

int explain(std::uint64_t seed, std::string const& self) {
  script const s = draw(seed);
  verdict const v = run(s);
  if (v.ok()) {
    std::printf("seed %llu holds: %llu events, %.1f device-hours, hash %016llx\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(v.events), v.device_hours, static_cast<unsigned long long>(v.hash));
    return 0;
  }
  std::printf("seed %llu FAILS\n%s", static_cast<unsigned long long>(seed),
              report(v, s, self + " --replay " + std::to_string(seed)).c_str());
  return 1;
}

// A worker of its own for each job: a crash in one seed is that seed's failure, and says which.
int run_seeds(std::uint64_t first, std::uint64_t count, int jobs, bool quick, std::string const& self) {
  std::vector<int> pipes;
  std::vector<pid_t> workers;
  std::vector<std::uint64_t> at(static_cast<std::size_t>(jobs), 0);
  for (int j = 0; j != jobs; ++j) {
    int ends[2];
    if (pipe(ends) != 0) return 2;
    pid_t const child = fork();
    if (child == 0) {
      close(ends[0]);
      for (std::uint64_t n = static_cast<std::uint64_t>(j); n < count; n += static_cast<std::uint64_t>(jobs)) {
        outcome const o = judge_seed(first + n, n % 50 == 0);
        if (write(ends[1], &o, sizeof o) != sizeof o || !o.ok || !o.same) _exit(0);
      }
      _exit(0);
    }
    close(ends[1]);
    pipes.push_back(ends[0]);
    workers.push_back(child);
  }
  double const began = wall_seconds();
  double told = began, cpu = 0, hours = 0;
  std::uint64_t done = 0, messages = 0, failed = 0;
  bool crashed = false, differs = false;
  sim::fault_counts all;
  std::vector<bool> open(pipes.size(), true);
  for (std::size_t left = pipes.size(); left != 0 && failed == 0;) {
    for (std::size_t j = 0; j != pipes.size() && failed == 0; ++j) {
      if (!open[j]) continue;
      outcome o;
      std::size_t got = 0;
      while (got != sizeof o) {
        auto const n = read(pipes[j], reinterpret_cast<char*>(&o) + got, sizeof o - got);
        if (n <= 0) break;
        got += static_cast<std::size_t>(n);
      }
      if (got != sizeof o) {
        open[j] = false;
        --left;
        int status = 0;
        waitpid(workers[j], &status, 0);
        if (!WIFEXITED(status)) failed = first + static_cast<std::uint64_t>(j) + at[j] * pipes.size(), crashed = true;
        continue;
      }
      ++at[j];
      ++done;
      all += o.faults;
      cpu += o.cpu;
      hours += o.device_hours;
      messages += o.messages;
      if (!o.ok || !o.same) failed = o.seed, differs = o.ok != 0;
    }
    if (wall_seconds() - told > 5) {
      told = wall_seconds();
      std::printf("%llu of %llu seeds hold, %zu kinds of faults, %.0f device-hours per CPU-minute\n",
                  static_cast<unsigned long long>(done), static_cast<unsigned long long>(count), all.kinds(),
                  cpu > 0 ? hours / cpu * 60 : 0);
      std::fflush(stdout);
    }
  }
  if (failed != 0) {
    for (std::size_t j = 0; j != workers.size(); ++j)
      if (open[j]) kill(workers[j], SIGKILL), waitpid(workers[j], nullptr, 0);
    std::printf("after %llu seeds: ", static_cast<unsigned long long>(done));
    if (crashed) std::printf("seed %llu CRASHES; play it again: %s --replay %llu\n", static_cast<unsigned long long>(failed), self.c_str(), static_cast<unsigned long long>(failed));
    else if (differs) std::printf("I20: seed %llu does not give the same run twice\n", static_cast<unsigned long long>(failed));
    else explain(failed, self);
    return 1;
  }
  std::printf("%llu seeds hold in %.0f s (%.0f s of CPU): %llu messages, %.0f device-hours, %.0f per CPU-minute\n",
              static_cast<unsigned long long>(done), wall_seconds() - began, cpu, static_cast<unsigned long long>(messages),
              hours, cpu > 0 ? hours / cpu * 60 : 0);
  std::size_t missing = 0;
  for (std::size_t i = 0; i != sim::fault_kinds; ++i) {
    auto const f = static_cast<sim::fault>(i);
    std::printf("  %-26s %llu\n", std::string{to_string(f)}.c_str(), static_cast<unsigned long long>(all[f]));
    if (f != sim::fault::allocation_failure && all[f] == 0) ++missing;
  }
  std::printf("%zu kinds of faults happened\n", all.kinds());
  if (missing == 0 || quick) return 0;
  std::printf("%zu kinds were never reached: run more seeds, or the drawing is wrong\n", missing);
  return 1;
}

// 1 message in 10 s, 1 method and 1 twin patch a minute for each device, over bytes, nothing wrong.
int speed() {
  script s;
  s.devices = 20;
  s.length = 10 * 3'600'000;
  for (std::int64_t t = 1000; t < s.length; t += 10'000)
    for (int d = 0; d != s.devices; ++d) {
      s.steps.push_back({t + d, "telemetry", d, 0, 1});
      if (t % 60'000 == 1000) s.steps.push_back({t + d, "method", d, 0, 0}), s.steps.push_back({t + d, "report", d, 0, 0});
    }
  double const began = cpu_seconds();
  verdict const v = run(s, 0);
  double const cpu = cpu_seconds() - began;
  std::printf("%.0f device-hours in %.2f s of CPU: %.0f device-hours per CPU-minute, judged (%s)\n", v.device_hours, cpu,
              v.device_hours / cpu * 60, v.ok() ? "all invariants hold" : v.what.c_str());
  return v.ok() ? 0 : 1;
}

int command(int argc, char** argv) {
  std::string const self = argv[0];
  std::map<std::string, std::string> said;
  for (int i = 1; i < argc; ++i) {
    std::string const word = argv[i];
    if (word.rfind("--", 0) == 0) said[word.substr(2)] = i + 1 < argc && argv[i + 1][0] != '-' ? argv[++i] : "1";
  }
  auto const number = [&](char const* name, std::uint64_t otherwise) {
    auto const found = said.find(name);
    return found == said.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
  };
  if (said.count("seeds") != 0)
    return run_seeds(number("first", 1), number("seeds", 1), static_cast<int>(number("jobs", 2)), said.count("quick") != 0, self);
  if (said.count("seed") != 0) return explain(number("seed", 1), self);
  if (said.count("replay") != 0) {
    script const s = draw(number("replay", 1));
    verdict const v = run(s, 10'000'000);
    std::fputs(report(v, s, self + " --replay " + said["replay"]).c_str(), stdout);
    return v.ok() ? 0 : 1;
  }
  if (said.count("draw") != 0) return std::fputs(print(draw(number("draw", 1))).c_str(), stdout), 0;
  if (said.count("shrink") != 0) {
    script const s = draw(number("shrink", 1));
    verdict const v = run(s, 0);
    if (v.ok()) return std::puts("the seed holds"), 1;
    script const less = shrink(s, v);
    std::printf("# %s: %s\n%s", v.broken.c_str(), v.what.c_str(), print(less).c_str());
    return 0;
  }
  if (said.count("script") != 0) {
    std::ifstream in{said["script"]};
    std::string const text{std::istreambuf_iterator<char>{in}, {}};
    script const s = parse(text);
    verdict const v = run(s, 10'000'000);
    std::fputs(report(v, s, self + " --script " + said["script"]).c_str(), stdout);
    return v.ok() ? 0 : 1;
  }
  if (said.count("speed") != 0) return speed();
  return -1;
}

}  // namespace
}  // namespace iothub_test

int main(int argc, char** argv) {
  if (argc > 1 && std::strncmp(argv[1], "--gtest", 7) != 0) {
    int const ended = iothub_test::command(argc, argv);
    if (ended >= 0) return ended;
    std::fputs("sim: see the head of tests/simulation/main.cpp for what it takes\n", stderr);
    return 2;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
