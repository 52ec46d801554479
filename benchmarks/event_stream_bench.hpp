// What both libraries of event_stream_bench share: the plan and the stopwatch.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace event_stream {

struct plan {
  int port = 5672;
  long count = 200'000;
  std::size_t size = 256;
  std::string key;
  std::string ca_file;
  std::string connection_string;
  std::string device;
  bool annotated = false;
  bool tls = false;
};

inline constexpr unsigned credit_window = 1000;  // as Proton's own receiver

// Wall clock and CPU of this process.
class stopwatch {
 public:
  void start() { wall_ = wall_clock(), cpu_ = cpu_clock(); }
  void stop() { wall_ = wall_clock() - wall_, cpu_ = cpu_clock() - cpu_; }
  [[nodiscard]] double wall() const { return wall_; }
  [[nodiscard]] double cpu() const { return cpu_; }

 private:
  static double wall_clock() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  }
  static double cpu_clock() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  }
  double wall_ = 0;
  double cpu_ = 0;
};

[[noreturn]] inline void give_up(std::string const& why) {
  std::fprintf(stderr, "event_stream_bench: %s\n", why.c_str());
  std::exit(1);
}

void read_ours(plan const& p, stopwatch& watch);
void fill_ours(plan p, stopwatch& watch);
void read_proton(plan const& p, stopwatch& watch);
void fill_proton(plan const& p, stopwatch& watch);

// Encoded messages with a body of that many bytes: as an event of the built-in endpoint, and bare.
std::string annotated_event(std::size_t size);
std::string plain_event(std::size_t size);

}  // namespace event_stream
