#include <iothub/service/pager.hpp>

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

using iothub::errc;
using iothub::pager;
using iothub::query_page;
using iothub::result;

struct Pager : ::testing::Test {
  pager over(std::vector<result<query_page>> pages) {
    return pager{[this, pages = std::move(pages)](std::string const& continuation) {
      asked += "<" + continuation + ">";
      return pages[next++];
    }};
  }
  static std::string walk(pager& pages) {
    std::string all;
    for (auto& item : pages) all += (item ? item->dump() : std::string{to_string(item.error().code())}) + " ";
    return all;
  }
  std::string asked;
  std::size_t next = 0;
};

TEST_F(Pager, AsksForAPageWhenItsFirstItemIsWanted) {
  auto pages = over({query_page{.item_type = "Raw", .items = {1, 2}, .continuation = "a"}, query_page{.items = {3}}});
  auto it = pages.begin();
  EXPECT_EQ(asked, "<>");
  EXPECT_EQ(pages.item_type(), "Raw");
  ++it;
  EXPECT_EQ(asked, "<>");
  ++it;
  EXPECT_EQ(asked, "<><a>");
  EXPECT_EQ(**it, 3);
  ++it;
  EXPECT_TRUE(it == pages.end());
}

TEST_F(Pager, IsEmptyWhenTheHubHasNothing) {
  auto pages = over({query_page{}});
  EXPECT_EQ(walk(pages), "");
}

TEST_F(Pager, GoesOnBehindAnEmptyPage) {
  auto pages = over({query_page{.continuation = "a"}, query_page{.items = {1}, .continuation = "b"}, query_page{}});
  EXPECT_EQ(walk(pages), "1 ");
  EXPECT_EQ(asked, "<><a><b>");
}

TEST_F(Pager, EndsWithTheErrorOfAPage) {
  auto pages = over({query_page{.items = {1}, .continuation = "a"}, errc::throttled});
  EXPECT_EQ(walk(pages), "1 throttled ");
}

TEST_F(Pager, GivesUpOnPagesThatDoNotEnd) {
  std::vector<result<query_page>> endless(200, query_page{.continuation = "x"});
  auto pages = over(std::move(endless));
  EXPECT_EQ(walk(pages), "protocol_error ");
  EXPECT_EQ(next, 101u);
}

TEST_F(Pager, MayBeMoved) {
  auto pages = over({query_page{.items = {1, 2}}});
  pager moved = std::move(pages);
  EXPECT_EQ(walk(moved), "1 2 ");
}

}  // namespace
