#include <gtest/gtest.h>

#include <iothub/testing/gmock.hpp>

namespace {

TEST(Printers, ShowValuesAsText) {
  using testing::PrintToString;
  EXPECT_EQ(PrintToString(iothub::json::value{{"a", 1}}), R"({"a":1})");
  EXPECT_EQ(PrintToString(iothub::errc::timeout), "timeout");
  EXPECT_EQ(PrintToString(iothub::error{iothub::errc::timeout, "late"}), "timeout: late");
  EXPECT_EQ(PrintToString(iothub::method_response{.status = 200, .payload = 1}), "200 1");
  EXPECT_EQ(PrintToString(iothub::message{.body = "hello", .properties = {{"a", "b"}, {"c", "", false}}}),
            R"(message "hello" a=b c)");
  iothub::twin t{.device_id = "d"};
  t.reported.properties.set("x", 1);
  EXPECT_EQ(PrintToString(t), R"(twin of d with tags {}, desired version 1 {}, reported version 1 {"x":1})");
  EXPECT_EQ(PrintToString(iothub::result<iothub::twin>{t}), PrintToString(t));
  EXPECT_EQ(PrintToString(iothub::result<iothub::method_response>{{.status = 200, .payload = 1}}), "200 1");
  EXPECT_EQ(PrintToString(iothub::result<iothub::method_response>{iothub::errc::timeout}), "timeout: timeout");
  EXPECT_EQ(PrintToString(iothub::result<void>{}), "done");
}

}  // namespace
