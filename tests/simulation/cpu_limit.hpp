// A run that goes round in circles where the judge sees nothing would never end. While one of these lives, a minute of CPU
// ends the program (SIGPROF).
#pragma once

#include <sys/time.h>

namespace iothub_test {

class cpu_limit {
 public:
  cpu_limit() noexcept { set(60); }
  cpu_limit(cpu_limit const&) = delete;
  cpu_limit& operator=(cpu_limit const&) = delete;
  ~cpu_limit() { set(0); }

 private:
  static void set(long seconds) noexcept {
    itimerval const timer{{0, 0}, {seconds, 0}};
    setitimer(ITIMER_PROF, &timer, nullptr);
  }
};

}  // namespace iothub_test
