// What the clients of publish_bench have in common: one plan, one stopwatch. Each is a file of its own, written as its
// library's documentation has it.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace publish_bench {

// `count` messages at QoS 1, never more than `window` of them unacknowledged, after `warm_up` that are not measured.
struct plan {
  std::string host = "localhost";
  int port = 8883;
  std::string ca_file;
  std::string connection_string;  // ours makes its own user name and token of it
  std::string client_id;          // the rivals are given theirs
  std::string user_name;
  std::string password;
  std::string topic;
  std::string payload;
  long count = 100'000;
  long warm_up = 2'000;
  int window = 20;
};

// Wall clock and CPU of this process, all threads, user and system.
class stopwatch {
 public:
  void start() {
    wall_ = wall_clock();
    cpu_ = cpu_clock();
  }
  void stop() {
    wall_ = wall_clock() - wall_;
    cpu_ = cpu_clock() - cpu_;
  }
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

// What still has to be sent and confirmed. A client sends while may_send(), and says confirmed() per PUBACK; the watch
// runs from the end of the warm-up to the last confirmation.
class progress {
 public:
  progress(plan const& p, stopwatch& watch) : plan_{p}, watch_{watch} {}

  [[nodiscard]] bool may_send() const { return sent_ < limit() && sent_ - confirmed_ < plan_.window; }
  void sent() { ++sent_; }
  void confirmed() {
    ++confirmed_;
    if (confirmed_ == plan_.warm_up) watch_.start();
    if (confirmed_ == plan_.warm_up + plan_.count) watch_.stop();
  }
  [[nodiscard]] bool done() const { return confirmed_ == plan_.warm_up + plan_.count; }

 private:
  // The measured part begins with an empty window, so that none of its work was done before.
  [[nodiscard]] long limit() const { return confirmed_ < plan_.warm_up ? plan_.warm_up : plan_.warm_up + plan_.count; }

  plan const& plan_;
  stopwatch& watch_;
  long sent_ = 0;
  long confirmed_ = 0;
};

[[noreturn]] inline void give_up(char const* what, std::string const& why) {
  std::fprintf(stderr, "publish_bench: %s: %s\n", what, why.c_str());
  std::exit(1);
}

void run_ours(plan const& p, stopwatch& watch);
void run_mosquitto(plan const& p, stopwatch& watch);
void run_paho(plan const& p, stopwatch& watch);
void run_limit(plan const& p, stopwatch& watch);

}  // namespace publish_bench
