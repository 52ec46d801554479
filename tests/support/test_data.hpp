// Test vectors: our own from tests/data, other people's from a folder outside the repository.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include <iothub/json/parse.hpp>
#include <iothub/json/value.hpp>

#ifndef IOTHUB_TEST_DATA
#define IOTHUB_TEST_DATA "tests/data"
#endif
#ifndef IOTHUB_FOREIGN_DATA
#define IOTHUB_FOREIGN_DATA "../shared/data"
#endif

namespace iothub_test {

// The content of a file; a test failure and an empty string when it cannot be read.
inline std::string read_file(std::string const& path) {
  std::ifstream in{path, std::ios::binary};
  EXPECT_TRUE(in.good()) << "cannot read " << path;
  return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}

// One of our own vector files, parsed.
inline iothub::json::value load(std::string const& name) {
  auto document = iothub::json::parse(read_file(std::string{IOTHUB_TEST_DATA "/"} + name), {.max_size = 1u << 26});
  EXPECT_TRUE(document.has_value()) << name;
  return document ? *document : iothub::json::value{};
}

}  // namespace iothub_test
