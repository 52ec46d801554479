// What a person wants to read of a failure. It is written for somebody who has never seen this program.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "promises.hpp"
#include "world.hpp"

namespace iothub_test {

// `replay`: the command that plays it again. The verdict stands before and after the events, so that it is seen.
inline std::string report(verdict const& v, script const& s, std::string const& replay) {
  std::string device;
  std::string what = v.what;
  if (auto const colon = what.find(": "); what.size() > 1 && what[0] == 'd' && what[1] >= '0' && what[1] <= '9' && colon != std::string::npos) {
    device = what.substr(0, colon);
    what = what.substr(colon + 2);
  }
  std::string head = "  promise   " + v.broken + ": " + std::string{words_of(v.broken)} + "\n";
  head += "  broken    " + what + (device.empty() ? "" : " (device " + device + " of " + std::to_string(s.devices) + ")") + "\n";
  head += "  when      " + duration_text(v.at) + " into the run, in virtual time";
  if (!s.steps.empty()) head += "; the faults end at " + duration_text(s.length);
  head += "\n";
  std::string text = head;
  if (!v.last.empty()) {
    text += "\n  the last " + std::to_string(v.last.size()) + " of " + std::to_string(v.events) + " events: seconds, device, what\n\n";
    for (auto const& line : v.last) text += "  " + line + "\n";
    text += "\n" + head;
  }
  return text + "  replay    " + replay + "\n";
}

// The command that runs the present test once more, from the root of the repository.
inline std::string replay_this_test() {
  auto const* const test = ::testing::UnitTest::GetInstance()->current_test_info();
  return std::string{"build/bin/sim --gtest_filter="} + test->test_suite_name() + "." + test->name();
}

}  // namespace iothub_test
