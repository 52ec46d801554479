#include <gtest/gtest.h>

#include <iothub/http/message.hpp>
#include <iothub/http/url.hpp>

namespace {

using namespace iothub;
using http::headers;

TEST(HttpHeaders, CompareNamesWithoutCase) {
  headers const h{{"Content-Type", "text/plain"}, {"ETag", "\"1\""}};
  EXPECT_EQ(h.get("content-type"), "text/plain");
  EXPECT_EQ(h.get("ETAG"), "\"1\"");
  EXPECT_TRUE(h.has("etag"));
  EXPECT_FALSE(h.has("If-Match"));
  EXPECT_EQ(h.get("If-Match"), "");
}

TEST(HttpHeaders, DoNotFoldPunctuationLikeLetters) {
  EXPECT_FALSE((headers{{"a[", "1"}}.has("a{")));
  EXPECT_FALSE((headers{{"a@", "1"}}.has("a`")));
}

TEST(HttpHeaders, GiveTheFirstOfSeveralAndKeepTheirOrder) {
  headers h;
  h.add("A", "1");
  h.add("B", "2");
  h.add("a", "3");
  EXPECT_EQ(h.get("A"), "1");
  EXPECT_EQ(h, (headers{{"A", "1"}, {"B", "2"}, {"a", "3"}}));
}

TEST(HttpHeaders, TakeViewsOfTheirOwnFields) {
  headers h{{"Host", "a.example"}};
  for (int i = 0; i != 8; ++i) h.add("Copy", h.get("Host"));  // grows between
  h.set("Other", h.get("Copy"));
  h.set("Host", h.get("Other"));
  EXPECT_EQ(h.size(), 10u);
  for (auto const& field : h) EXPECT_EQ(field.value, "a.example") << field.name;
}

TEST(HttpHeaders, AreEmptyAfterAMoveAndAfterClear) {
  headers h{{"A", "1"}};
  headers const moved = std::move(h);
  EXPECT_EQ(moved, (headers{{"A", "1"}}));
  headers cleared = moved;
  cleared.clear();
  EXPECT_EQ(cleared, headers{});
  EXPECT_FALSE(cleared.has("A"));
  EXPECT_EQ(cleared.begin(), cleared.end());
}

TEST(HttpHeaders, SetReplacesAllOfThatName) {
  headers h{{"A", "1"}, {"B", "2"}, {"a", "3"}, {"A", "4"}};
  h.set("a", "x");
  EXPECT_EQ(h, (headers{{"A", "x"}, {"B", "2"}}));
  h.set("C", "y");
  EXPECT_EQ(h, (headers{{"A", "x"}, {"B", "2"}, {"C", "y"}}));
}

TEST(HttpHeaders, RemoveTakesAwayAllOfThatName) {
  headers h{{"A", "1"}, {"a", "2"}, {"B", "3"}, {"A", "4"}};
  h.remove("A");
  EXPECT_EQ(h, (headers{{"B", "3"}}));
  h.remove("A");
  EXPECT_EQ(h.size(), 1u);
}

TEST(HttpUrl, ParsesHostPortAndTarget) {
  EXPECT_EQ(*http::parse_url("https://h.azure-devices.net"), (http::url{"h.azure-devices.net", 443, "/"}));
  EXPECT_EQ(*http::parse_url("HTTPS://localhost:8443/a%20b?c=d"), (http::url{"localhost", 8443, "/a%20b?c=d"}));
  EXPECT_EQ(*http::parse_url("https://h?x=1"), (http::url{"h", 443, "/?x=1"}));
  EXPECT_EQ(*http::parse_url("https://[::1]:443/"), (http::url{"::1", 443, "/"}));
  EXPECT_EQ(*http::parse_url("https://[::1]"), (http::url{"::1", 443, "/"}));
}

TEST(HttpUrl, RefusesEverythingElse) {
  for (char const* text : {"",
                           "http://h/",
                           "h/",
                           "https:/h",
                           "https://",
                           "https:///x",
                           "https://h:/",
                           "https://h:0/",
                           "https://h:65536/",
                           "https://h:-1/",
                           "https://h:80x/",
                           "https://u@h/",
                           "https://u:p@h/",
                           "https://[::1/",
                           "https://[::1]x/",
                           "https://[]/",
                           "https://h h/",
                           "https://h/a b",
                           "https://h/#f",
                           "https://h#f",
                           "https://h/\r\nX: y",
                           "https://h\r\n/",
                           "https://h/\x80",
                           "https://h%2f/",
                           "https://[h]:1/"}) {
    auto const url = http::parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code(), errc::malformed) << text;
  }
}

TEST(HttpUrl, WritesTheAuthorityOfTheHostField) {
  EXPECT_EQ(http::authority("h", 443), "h");
  EXPECT_EQ(http::authority("h", 8443), "h:8443");
  EXPECT_EQ(http::authority("::1", 443), "[::1]");
  EXPECT_EQ(http::authority("::1", 1), "[::1]:1");
}

TEST(HttpTarget, IsBuiltWithEverythingEncoded) {
  EXPECT_EQ(http::target_builder{}
                .segment("twins")
                .segment("a/b c")
                .segment("methods")
                .query("api-version", "2021-04-12")
                .take(),
            "/twins/a%2Fb%20c/methods?api-version=2021-04-12");
  EXPECT_EQ(http::target_builder{}.segment("d").query("a&b", "c=d").query("e", "+").take(), "/d?a%26b=c%3Dd&e=%2B");
  EXPECT_EQ(http::target_builder{}.take(), "/");
  EXPECT_EQ(http::target_builder{}.query("a", "b").take(), "/?a=b");
}

TEST(HttpTarget, SplitsAtTheFirstQuestionMark) {
  EXPECT_EQ(http::split_target("/a?b=c?d"), (http::target_parts{"/a", "b=c?d"}));
  EXPECT_EQ(http::split_target("/a"), (http::target_parts{"/a", ""}));
}

TEST(HttpTarget, DecodesEachSegmentByItself) {
  using list = std::vector<std::string>;
  EXPECT_EQ(*http::path_segments("/devices/a%2Fb"), (list{"devices", "a/b"}));
  EXPECT_EQ(*http::path_segments("/devices/"), (list{"devices"}));
  EXPECT_EQ(*http::path_segments("/devices/.."), (list{"devices", ".."}));
  EXPECT_EQ(*http::path_segments("/"), list{});
  EXPECT_EQ(*http::path_segments("/a//b"), (list{"a", "", "b"}));
  EXPECT_EQ(*http::path_segments("/a+b"), (list{"a+b"}));
  for (char const* bad : {"", "a", "/%", "/%zz", "/a%2", "/%00", "/%ff"}) EXPECT_FALSE(http::path_segments(bad)) << bad;
}

TEST(HttpTarget, FindsQueryParameters) {
  EXPECT_EQ(http::query_value("api-version=2021-04-12&top=5", "top"), "5");
  EXPECT_EQ(http::query_value("a=%20%2B+", "a"), " ++");
  EXPECT_EQ(http::query_value("a=1&a=2", "a"), "1");
  EXPECT_EQ(http::query_value("a", "a"), "");
  EXPECT_EQ(http::query_value("A=1", "a"), std::nullopt);
  EXPECT_EQ(http::query_value("", "a"), std::nullopt);
  EXPECT_EQ(http::query_value("a=%zz", "a"), std::nullopt);
}

}  // namespace
