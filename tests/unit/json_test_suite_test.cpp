// JSONTestSuite (Nicolas Seriot): y_ must parse, n_ must not, i_ may do either. Its files are not part of this project.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <iothub/json/value.hpp>

#include "test_data.hpp"

namespace {

std::vector<std::filesystem::path> cases(std::filesystem::path const& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code ignored;
  for (auto const& entry : std::filesystem::directory_iterator{folder, ignored})
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

TEST(JsonTestSuite, IsAcceptedAndRefusedAsItSays) {
  auto const all = cases(IOTHUB_FOREIGN_DATA "/JSONTestSuite/test_parsing");
  if (all.empty()) {
    std::puts("JSONTestSuite is not there: 0 of its cases ran");
    GTEST_SKIP() << "JSONTestSuite is not there: 0 of its cases ran";
  }
  int accepted = 0;
  int refused = 0;
  for (auto const& path : all) {
    std::string const name = path.filename().string();
    auto const parsed = iothub::json::parse(iothub_test::read_file(path.string()));
    ++(parsed ? accepted : refused);
    EXPECT_TRUE(!parsed || *iothub::json::parse(parsed->dump()) == *parsed) << name;
    EXPECT_TRUE(parsed.has_value() || !name.starts_with("y_")) << name;
    EXPECT_FALSE(parsed.has_value() && name.starts_with("n_")) << name;
  }
  EXPECT_GE(all.size(), 300u);
  std::printf("JSONTestSuite: %zu cases ran, %d accepted, %d refused\n", all.size(), accepted, refused);
}

}  // namespace
