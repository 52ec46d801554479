// A callback that has something of its own, and looks at it when what it did has been done: whoever is destroyed while one
// of its callbacks runs may not take that callback with it.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace iothub_test {

template <class Stage>
struct probe {
  Stage* stage;
  std::string own = "a text that is long enough to be somewhere else";
  void operator()() {
    stage->inside();
    EXPECT_EQ(own, "a text that is long enough to be somewhere else");
  }
};

}  // namespace iothub_test
