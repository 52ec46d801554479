// sim: the tests of the simulation, and a program that runs seeds, judges them, plays them again and makes them small.
// `sim --help` says how. Exit codes: 0 all held, 1 a promise was broken, 2 it was asked for what it does not know.
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <exception>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "report.hpp"
#include "world.hpp"

namespace iothub_test {
namespace {

namespace sim = iothub::sim;
using ull = unsigned long long;

constexpr char const usage[] =
    "sim puts the library through bad weather that is drawn from a seed, and judges it by twenty promises\n"
    "(docs/simulation.md, and `sim --promises`). The same seed gives the same run, on every machine.\n"
    "\n"
    "  sim                       the unit tests of the simulation; --gtest_... as ever\n"
    "  sim --seeds N             runs N seeds; says of the first that fails which promise broke, and how to replay it\n"
    "      [--first N]           beginning with this seed (1)\n"
    "      [--jobs N]            so many at a time (as many as there are cores)\n"
    "      [--minutes N]         no longer than this, however many seeds that is\n"
    "      [--keep-going]        does not end at the first that fails, but at the twentieth\n"
    "      [--quick]             need not reach every kind of fault, as few seeds do not\n"
    "  sim --seed N              one seed, with the last 200 events if it fails\n"
    "  sim --replay N            one seed, with every event; [--events N]: with the last N\n"
    "  sim --shrink N            the smallest script found that breaks what the seed breaks\n"
    "  sim --draw N              the script that the seed stands for\n"
    "  sim --script FILE         runs a script, as --replay does; - is standard input\n"
    "  sim --hashes N            hash and seed of N runs, one a line, to compare machines and compilers [--first N]\n"
    "  sim --speed               simulated device-hours per minute of CPU\n"
    "  sim --promises            the twenty promises\n";

double seconds_of(clockid_t which) {
  timespec t;
  clock_gettime(which, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}
double cpu_seconds() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }
double wall_seconds() { return seconds_of(CLOCK_MONOTONIC); }

// A run that takes more seconds of CPU than this has hung: the longest take one, and with sanitizers twenty.
#if defined(__SANITIZE_ADDRESS__)
constexpr int most_cpu = 200;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr int most_cpu = 200;
#else
constexpr int most_cpu = 30;
#endif
#else
constexpr int most_cpu = 30;
#endif
void limit_cpu(int seconds) {
  if (most_cpu < 100) {  // sanitizers want all addresses
    rlimit const most{rlim_t{4} << 30, rlim_t{4} << 30};
    setrlimit(RLIMIT_AS, &most);
  }
  itimerval t{};
  t.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &t, nullptr);
}
std::string how_it_died(int status) {
  if (!WIFSIGNALED(status)) return "ended the program with status " + std::to_string(WEXITSTATUS(status));
  if (WTERMSIG(status) == SIGPROF) return "hung: more than " + std::to_string(most_cpu) + " s of CPU";
  return "crashed: " + std::string{strsignal(WTERMSIG(status))};
}

struct options {
  std::string self;
  std::uint64_t first = 1, seeds = 0, events = 10'000'000, minutes = 0;
  int jobs = 1;
  bool quick = false, keep_going = false;
  [[nodiscard]] std::string replay(std::uint64_t seed) const { return self + " --replay " + std::to_string(seed); }
};

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
  if (twice && v.ok()) o.same = run(s, 0).hash == v.hash;
  return o;
}

// --- one run, explained

// How a run in a child ended.
struct ending {
  bool lived = true;  // else no verdict came, and it is a crash
  std::string broken = {}, what = {};
};
// What has to be the same for two failures to be the same: the promise, and of a crash its signal, that it hung, or what
// was thrown.
std::string kind_of(std::string const& broken, std::string const& what) {
  return broken == "crash" ? broken + ": " + what.substr(0, 100) : broken;
}

// Runs it in a child, which may not live to tell; with a trace it writes each event down as it happens.
ending run_apart(script const& s, int seconds, std::FILE* trace = nullptr) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  std::fflush(nullptr);
  pid_t const child = fork();
  if (child == 0) {
    close(ends[0]);
    live_trace = trace;
    if (trace != nullptr) std::setvbuf(trace, nullptr, _IOLBF, 1 << 16);
    limit_cpu(seconds);
    std::string told;
    bool lived = true;
    try {
      verdict const v = run(s, 0);
      told = v.broken + "\n" + v.what;
    } catch (std::exception const& e) {
      lived = false;
      told = std::string{"crash\nan exception came out of the run: "} + e.what();
    }
    told.resize(std::min<std::size_t>(told.size(), 1000));
    _exit(write(ends[1], told.data(), told.size()) == static_cast<ssize_t>(told.size()) && lived ? 0 : 1);
  }
  close(ends[1]);
  std::string told;
  char part[1024];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;) told.append(part, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  auto const line = told.find('\n');
  if (line == std::string::npos) return {false, "crash", "the process " + how_it_died(status)};
  return {status == 0, told.substr(0, line), told.substr(line + 1)};
}
// In which way a run fails, quickly.
std::string kind_apart(script const& s) {
  ending const e = run_apart(s, most_cpu / 6);
  return kind_of(e.broken, e.what);
}
// How a run crashed, with its last events.
verdict autopsy(script const& s, std::size_t keep) {
  verdict v;
  ending const e = run_apart(s, most_cpu);
  v.broken = e.broken;
  v.what = e.lived ? "it crashed, and when it was run again it did not" : e.what;
  if (e.lived) v.broken = "crash";
  std::FILE* const trace = std::tmpfile();
  (void)run_apart(s, most_cpu, trace);
  std::rewind(trace);
  std::deque<std::string> last;
  char* line = nullptr;
  std::size_t room = 0;
  for (ssize_t n; (n = getline(&line, &room, trace)) > 0; ++v.events) {
    last.emplace_back(line, static_cast<std::size_t>(n) - 1);
    if (last.size() > keep) last.pop_front();
  }
  std::free(line);
  std::fclose(trace);
  v.last.assign(last.begin(), last.end());
  if (!last.empty()) v.at = static_cast<std::int64_t>(std::strtod(last.back().c_str(), nullptr) * 1000);
  return v;
}

// What run() gives, from a child that may crash. A verdict crosses by a file: the numbers, then texts by their sizes.
std::FILE* put(std::FILE* to, std::string const& text) {
  std::fprintf(to, "%zu ", text.size());
  std::fwrite(text.data(), 1, text.size(), to);
  return to;
}
bool get(std::FILE* from, std::string& text) {
  std::size_t size = 0;
  if (std::fscanf(from, "%zu", &size) != 1 || std::fgetc(from) != ' ') return false;
  text.resize(size);
  return std::fread(text.data(), 1, size, from) == size;
}
verdict run_safely(script const& s, std::size_t keep) {
  std::FILE* const told = std::tmpfile();
  std::fflush(nullptr);
  pid_t const child = fork();
  if (child == 0) {
    limit_cpu(most_cpu);
    verdict const v = run(s, keep);
    std::fprintf(told, "%lld %llu %llu %llu %a %zu\n", static_cast<long long>(v.at), static_cast<ull>(v.hash),
                 static_cast<ull>(v.events), static_cast<ull>(v.messages), v.device_hours, v.last.size());
    put(put(told, v.broken), v.what);
    for (auto const& line : v.last) put(told, line);
    _exit(std::fflush(told) == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::rewind(told);
  verdict v;
  long long at = 0;
  ull hash = 0, events = 0, messages = 0;
  std::size_t lines = 0;
  int const numbers = std::fscanf(told, "%lld %llu %llu %llu %la %zu", &at, &hash, &events, &messages, &v.device_hours, &lines);
  bool whole = status == 0 && numbers == 6 &&
               std::fgetc(told) == '\n' && get(told, v.broken) && get(told, v.what);
  v.at = at, v.hash = hash, v.events = events, v.messages = messages;
  v.last.resize(whole ? lines : 0);
  for (auto& line : v.last) whole = whole && get(told, line);
  std::fclose(told);
  return whole ? v : autopsy(s, keep);
}

// Prints the report; true when everything held.
bool explain(std::string const& name, script const& s, std::size_t keep, bool always_events, std::string const& replay) {
  verdict const v = run_safely(s, keep);
  if (!v.ok()) {
    std::printf("%s BREAKS A PROMISE\n\n%s", name.c_str(), report(v, s, replay).c_str());
    return false;
  }
  if (always_events)
    for (auto const& line : v.last) std::printf("  %s\n", line.c_str());
  std::printf("%s holds: %zu steps, %d device(s), %s of virtual time, %llu events, %llu messages and calls, hash %016llx\n",
              name.c_str(), s.steps.size(), s.devices,
              duration_text(static_cast<std::int64_t>(v.device_hours / s.devices * 3'600'000)).c_str(), static_cast<ull>(v.events),
              static_cast<ull>(v.messages), static_cast<ull>(v.hash));
  return true;
}

// The few steps that are enough, where they are few and quickly found.
void tell_small(std::uint64_t seed, options const& o) {
  std::printf("  smaller   %s --shrink %llu\n", o.self.c_str(), static_cast<ull>(seed));
  std::fflush(nullptr);
  pid_t const child = fork();
  if (child == 0) {
    script const s = draw(seed);
    std::string const kind = kind_apart(s);
    if (kind.empty()) _exit(0);
    double const began = wall_seconds();
    auto const in_time = [&](script const& one) { return wall_seconds() - began < 5 ? kind_apart(one) : std::string{}; };
    script const less = shrink(s, kind, in_time, 200);
    if (less.steps.size() > 12) _exit(0);
    if (less.steps.empty()) std::printf("  enough    none of its %zu steps: what goes on beside them breaks it\n", s.steps.size());
    else std::printf("  enough    %zu of its %zu steps (milliseconds, what, device, lasting, amount)\n", less.steps.size(), s.steps.size());
    for (step const& t : less.steps)
      std::printf("              %lld %s %d %lld %llu\n", static_cast<long long>(t.at), t.what.c_str(), t.device,
                  static_cast<long long>(t.lasting), static_cast<ull>(t.amount));
    std::fflush(nullptr);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
}

// I20: where two runs of one seed part.
void explain_difference(std::uint64_t seed, options const& o) {
  script const s = draw(seed);
  verdict const one = run(s, 10'000'000), two = run(s, 10'000'000);
  std::printf("seed %llu BREAKS A PROMISE\n\n  promise   I20: %s\n", static_cast<ull>(seed), std::string{words_of("I20")}.c_str());
  std::size_t k = 0;
  while (k < one.last.size() && k < two.last.size() && one.last[k] == two.last[k]) ++k;
  for (std::size_t at = k > 5 ? k - 5 : 0; at < k; ++at) std::printf("  both      %s\n", one.last[at].c_str());
  std::printf("  first     %s\n", k < one.last.size() ? one.last[k].c_str() : "(ends)");
  std::printf("  second    %s\n", k < two.last.size() ? two.last[k].c_str() : "(ends)");
  std::printf("  replay    %s --hashes 2 --first %llu\n", o.self.c_str(), static_cast<ull>(seed));
}

// --- many runs

struct worker {
  int from = -1;  // its pipe
  pid_t process = 0;
  std::uint64_t next = 0;  // index of the seed that it tells of next
};

// Tells of the seeds with the indices n, n + jobs, ...
worker start_worker(std::uint64_t n, options const& o) {
  int ends[2];
  worker w;
  w.next = n;
  if (pipe(ends) != 0) return w;
  std::fflush(nullptr);
  w.process = fork();
  if (w.process == 0) {
    close(ends[0]);
    for (; n < o.seeds; n += static_cast<std::uint64_t>(o.jobs)) {
      limit_cpu(most_cpu);
      outcome const what = judge_seed(o.first + n, n % 50 == 0);
      if (write(ends[1], &what, sizeof what) != sizeof what) break;
      if ((!what.ok || !what.same) && !o.keep_going) break;
    }
    _exit(0);
  }
  close(ends[1]);
  w.from = ends[0];
  return w;
}
bool hear(worker const& w, outcome& into) {
  std::size_t got = 0;
  while (got != sizeof into) {
    auto const n = read(w.from, reinterpret_cast<char*>(&into) + got, sizeof into - got);
    if (n <= 0) return false;
    got += static_cast<std::size_t>(n);
  }
  return true;
}
void stop(worker& w) {
  if (w.from < 0) return;
  close(w.from);
  w.from = -1;
  kill(w.process, SIGKILL);
  waitpid(w.process, nullptr, 0);
}

// Workers of their own for each job: a crash in one seed is that seed's failure. They are heard in turn, so that seeds
// count in their order, whatever the number of jobs.
int run_seeds(options const& o) {
  std::vector<worker> workers;
  for (int j = 0; j != o.jobs; ++j) workers.push_back(start_worker(static_cast<std::uint64_t>(j), o));
  double const began = wall_seconds();
  double told = began, cpu = 0, hours = 0;
  std::uint64_t held = 0, messages = 0, longest = 0;
  double most = 0;
  std::vector<std::uint64_t> failed;
  sim::fault_counts all;
  bool in_time = true;
  auto const progress = [&] {
    std::printf("%llu of %llu seeds hold, %zu kinds of faults, %.0f device-hours, %.0f per CPU-minute\n", static_cast<ull>(held),
                static_cast<ull>(o.seeds), all.kinds(), hours, cpu > 0 ? hours / cpu * 60 : 0);
    std::fflush(stdout);
  };
  for (std::uint64_t n = 0; n != o.seeds && in_time && (failed.empty() || (o.keep_going && failed.size() < 20)); ++n) {
    worker& w = workers[n % static_cast<std::uint64_t>(o.jobs)];
    outcome what;
    bool const lived = w.from >= 0 && hear(w, what);
    if (lived && what.ok && what.same) {
      ++held;
      all += what.faults;
      cpu += what.cpu;
      if (what.cpu > most) most = what.cpu, longest = what.seed;
      hours += what.device_hours;
      messages += what.messages;
    } else {
      std::uint64_t const seed = o.first + n;
      failed.push_back(seed);
      std::printf("after %llu seeds that hold: ", static_cast<ull>(held));
      if (lived && what.ok) {
        explain_difference(seed, o);
      } else if (explain("seed " + std::to_string(seed), draw(seed), 200, false, o.replay(seed))) {
        std::printf("... alone, but not after the seeds before it\n  replay    %s --seeds %llu --first %llu --jobs 1\n", o.self.c_str(),
                    static_cast<ull>(n + 1), static_cast<ull>(o.first));
      } else {
        tell_small(seed, o);
      }
      std::fflush(stdout);
      if (!lived && o.keep_going) {
        stop(w);
        w = start_worker(n + static_cast<std::uint64_t>(o.jobs), o);
      }
    }
    double const now = wall_seconds();
    if (now - told > (now - began < 60 ? 5 : 60)) told = now, progress();
    in_time = o.minutes == 0 || now - began < static_cast<double>(o.minutes) * 60;
  }
  for (worker& w : workers) stop(w);
  if (!failed.empty()) {
    if (failed.size() > 1) {
      std::printf("%zu seeds failed, %llu held:", failed.size(), static_cast<ull>(held));
      for (auto const seed : failed) std::printf(" %llu", static_cast<ull>(seed));
      std::printf("\n");
    }
    return 1;
  }
  std::printf("%llu seeds hold in %.0f s (%.0f s of CPU): %llu messages and calls, %.0f device-hours, %.0f per CPU-minute\n",
              static_cast<ull>(held), wall_seconds() - began, cpu, static_cast<ull>(messages), hours, cpu > 0 ? hours / cpu * 60 : 0);
  std::printf("the longest took %.2f s: seed %llu\n", most, static_cast<ull>(longest));
  std::size_t missing = 0;
  for (std::size_t i = 0; i != sim::fault_kinds; ++i) {
    auto const f = static_cast<sim::fault>(i);
    std::printf("  %-26s %llu\n", std::string{to_string(f)}.c_str(), static_cast<ull>(all[f]));
    missing += all[f] == 0;
  }
  std::printf("%zu kinds of faults happened\n", all.kinds());
  if (missing == 0 || o.quick || !in_time) return 0;
  std::printf("%zu kinds were never reached: run more seeds, or the drawing is wrong (script.cpp)\n", missing);
  return 1;
}

int hashes(options const& o) {
  for (std::uint64_t n = 0; n != o.seeds; ++n) {
    std::printf("%016llx %llu\n", static_cast<ull>(run(draw(o.first + n), 0).hash), static_cast<ull>(o.first + n));
  }
  return 0;
}

// 1 message in 10 s, 1 method and 1 twin patch a minute for each device, nothing wrong.
bool speed_of(char const* wire, script s) {
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
  std::printf("%s: %.0f device-hours in %.2f s of CPU: %.0f device-hours per CPU-minute, judged (%s)\n", wire, v.device_hours, cpu,
              v.device_hours / cpu * 60, v.ok() ? "all promises hold" : v.what.c_str());
  return v.ok();
}
int speed() {
  script amqp, values, read;
  amqp.amqp = values.values = read.readers = 1;
  bool ok = speed_of("MQTT in bytes", {});
  ok = speed_of("AMQP in bytes", amqp) && ok;
  ok = speed_of("values", values) && ok;
  ok = speed_of("MQTT in bytes, and a reader", read) && ok;
  return ok ? 0 : 1;
}

int shrink_seed(std::uint64_t seed, options const& o) {
  script const s = draw(seed);
  ending const e = run_apart(s, most_cpu);
  if (e.broken.empty()) return std::printf("seed %llu holds: there is nothing to make small\n", static_cast<ull>(seed)), 0;
  std::string const kind = kind_of(e.broken, e.what);
  script less = shrink(s, kind, kind_apart);
  ending how = run_apart(less, most_cpu);
  if (kind_of(how.broken, how.what) != kind) {  // what seemed to hang was slow, or it is not the same twice
    less = s;
    how = e;
  }
  std::replace(how.what.begin(), how.what.end(), '\n', ' ');
  std::printf("# %s: %s\n# %s\n# seed %llu made small, from %zu steps to %zu; put it into a file and play it: %s --script FILE\n%s",
              how.broken.c_str(), std::string{words_of(how.broken)}.c_str(), how.what.c_str(), static_cast<ull>(seed), s.steps.size(),
              less.steps.size(), o.self.c_str(), print(less).c_str());
  return 0;
}

// --- the command line

int refuse(std::string const& why) {
  std::fprintf(stderr, "sim: %s\n`sim --help` says what it takes\n", why.c_str());
  return 2;
}

int run_file(std::string const& file, options const& o) {
  std::string text;
  std::ifstream opened;
  errno = 0;
  if (file != "-") opened.open(file);
  std::istream& in = file == "-" ? std::cin : opened;
  bool const open = in.good();
  char part[4096];
  while (in.read(part, sizeof part), in.gcount() > 0) text.append(part, static_cast<std::size_t>(in.gcount()));
  if (!open || in.bad() || std::ferror(stdin) != 0)
    return refuse("cannot read " + file + (errno != 0 ? std::string{": "} + std::strerror(errno) : std::string{}));
  script s;
  if (auto const wrong = parse(text, s); !wrong.empty()) return std::fprintf(stderr, "%s:%s\n", file.c_str(), wrong.c_str()), 2;
  if (auto const good = validate(device_options_of(s)); !good)
    return std::fprintf(stderr, "%s: %s\n", file.c_str(), std::string{good.error().message()}.c_str()), 2;
  return explain(file, s, o.events, true, o.self + " --script " + file) ? 0 : 1;
}

int command(int argc, char** argv) {
  constexpr char const* verbs[] = {"seeds", "seed", "replay", "shrink", "draw", "script", "hashes", "speed", "promises", "help"};
  constexpr char const* bare[] = {"speed", "promises", "help", "quick", "keep-going"};
  constexpr char const* others[] = {"first", "jobs", "minutes", "events", "quick", "keep-going"};
  auto const one_of = [](std::string const& word, auto const& list) {
    for (char const* each : list)
      if (word == each) return true;
    return false;
  };
  std::map<std::string, std::string> said;
  std::string verb;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "-h") word = "--help";
    if (word.rfind("--", 0) != 0) return refuse("\"" + word + "\" is not expected here");
    word = word.substr(2);
    std::string value;
    auto const equals = word.find('=');
    bool const attached = equals != std::string::npos;
    if (attached) value = word.substr(equals + 1), word = word.substr(0, equals);
    if (one_of(word, verbs)) {
      if (!verb.empty()) return refuse("--" + verb + " and --" + word + " are two things; ask for one");
      verb = word;
    } else if (!one_of(word, others)) {
      return refuse("there is no option --" + word);
    }
    if (!one_of(word, bare) && !attached) {
      if (i + 1 == argc) return refuse("--" + word + (word == "script" ? " wants a file" : " wants a number"));
      value = argv[++i];
    }
    if (said.count(word) != 0) return refuse("--" + word + " is said twice");
    if (!one_of(word, bare) && word != "script") {
      bool digits = !value.empty();
      for (char const c : value) digits = digits && c >= '0' && c <= '9';
      errno = 0;
      if (!digits || (std::strtoull(value.c_str(), nullptr, 10), errno == ERANGE))
        return refuse("--" + word + " wants a number from 0 to 18446744073709551615, not \"" + value + "\"");
    }
    said[word] = value;
  }
  auto const number = [&](std::string const& name, std::uint64_t otherwise) {
    auto const found = said.find(name);
    return found == said.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
  };
  if (verb.empty()) return refuse("say what to do: --seeds, --replay, ...");
  options o;
  o.self = argv[0];
  o.first = number("first", 1);
  o.seeds = number(verb, 1);
  o.events = number("events", o.events);
  o.minutes = number("minutes", 0);
  auto const cores = static_cast<std::uint64_t>(sysconf(_SC_NPROCESSORS_ONLN));
  if (number("jobs", cores) == 0 || number("jobs", cores) > 1000) return refuse("--jobs: 1 to 1000");
  o.jobs = static_cast<int>(number("jobs", cores));
  if (said.count("minutes") != 0 && o.minutes == 0) return refuse("--minutes: at least one");
  if ((verb == "seeds" || verb == "hashes") && o.first > std::numeric_limits<std::uint64_t>::max() - o.seeds)
    return refuse("--first: there are no " + std::to_string(o.seeds) + " seeds from " + std::to_string(o.first) + " on");
  o.quick = said.count("quick") != 0;
  o.keep_going = said.count("keep-going") != 0;
  std::uint64_t const seed = number(verb, 1);
  if (verb == "help") return std::fputs(usage, stdout), 0;
  if (verb == "seeds") return o.seeds == 0 ? refuse("--seeds: at least one") : run_seeds(o);
  if (verb == "seed") return explain("seed " + std::to_string(seed), draw(seed), 200, false, o.replay(seed)) ? 0 : 1;
  if (verb == "replay") return explain("seed " + std::to_string(seed), draw(seed), o.events, true, o.replay(seed)) ? 0 : 1;
  if (verb == "shrink") return shrink_seed(seed, o);
  if (verb == "draw") return std::fputs(print(draw(seed)).c_str(), stdout), 0;
  if (verb == "script") return run_file(said["script"], o);
  if (verb == "hashes") return hashes(o);
  if (verb == "speed") return speed();
  for (promise const& p : promises)
    if (p.name[0] == 'I') std::printf("%-4s %s\n", p.name, p.words);
  return 0;
}

}  // namespace
}  // namespace iothub_test

int main(int argc, char** argv) {
  if (argc > 1 && std::strncmp(argv[1], "--gtest", 7) != 0) return iothub_test::command(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
