// What is no query, and where; the limits of one.
#include "hub_world.hpp"

namespace {

using namespace hub_test;

std::string problem(std::string_view text) {
  auto const tree = ih::parse_query(text);
  if (tree) return "none";
  EXPECT_EQ(tree.error().code(), errc::bad_request);
  EXPECT_EQ(tree.error().hub_code(), 400006) << text;
  std::string_view message = tree.error().message();
  constexpr std::string_view before = "The query is invalid at character ", after = ". Please check";
  EXPECT_TRUE(message.starts_with(before));
  return std::string{message.substr(before.size(), message.find(after) - before.size())};
}

TEST(HubQueryParser, ErrorsQuoteTheTextAtTheirPlace) {
  auto const said = [](std::string_view text) {
    std::string const message{ih::parse_query(text).error().message()};
    return message.substr(message.find("try again.") + 10);
  };
  EXPECT_EQ(said("SELECT * FROM users"), " There it says: users");
  EXPECT_EQ(said("SELECT * FROM"), " It ends there.");
  EXPECT_EQ(said("UPDATE devices SET a = 'a long text'"), " There it says: UPDATE devices SET a = '...");
  EXPECT_EQ(said("SELECT * FROM devices WHERE ! \xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"),
            " There it says: ! \xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4...");
}

TEST(HubQueryParser, ErrorsNameTheirPlace) {
  struct row {
    std::string_view text;
    std::string_view problem;
  };
  constexpr row rows[] = {
      {"", "1: SELECT expected"},
      {"UPDATE devices", "1: SELECT expected"},
      {"SELECT", "7: a name expected"},
      {"SELECT *", "9: FROM expected"},
      {"SELECT * FROM", "14: devices, devices.modules or devices.jobs expected"},
      {"SELECT * FROM users", "15: devices, devices.modules or devices.jobs expected"},
      {"SELECT * FROM devices.users", "23: devices.modules or devices.jobs expected"},
      {"SELECT * FROM devices ORDER BY deviceId", "23: unexpected text"},
      {"SELECT * FROM devices WHERE", "28: a value expected"},
      {"SELECT * FROM devices WHERE a =", "32: a value expected"},
      {"SELECT * FROM devices WHERE (a = 1", "35: ')' expected"},
      {"SELECT * FROM devices WHERE a IN (1)", "34: '[' expected"},
      {"SELECT * FROM devices WHERE a IN [b]", "35: a literal expected"},
      {"SELECT * FROM devices WHERE a IN [-'x']", "36: a number expected"},
      {"SELECT * FROM devices WHERE a IN [1", "36: ']' expected"},
      {"SELECT * FROM devices WHERE tags.group = 1", "34: a reserved word as a name needs [[ ]]"},
      {"SELECT * FROM devices WHERE STARTS_WITH(a, 'x')", "40: unknown function"},
      {"SELECT * FROM devices WHERE IS_DEFINED(1)", "40: a name expected"},
      {"SELECT * FROM devices WHERE a = 'x", "33: a string does not end"},
      {"SELECT * FROM devices WHERE a = 'x\\n'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\u12", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\ud800'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\ud800\\u0041'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\ud800\\uffff'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\ud800\\u12'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\ude00'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE a = '\\u00g0'", "33: a string has a bad escape"},
      {"SELECT * FROM devices WHERE [[]] = 1", "29: a name in [[ ]] does not end"},
      {"SELECT * FROM devices WHERE a = 1e999", "33: not a number"},
      {"SELECT * FROM devices WHERE a = 1e", "33: not a number"},
      {"SELECT * FROM devices WHERE a = 1 + ", "37: a value expected"},
      {"SELECT * FROM devices WHERE a = 2 * ", "37: a value expected"},
      {"SELECT * FROM devices WHERE a = 0x", "33: not a hexadecimal number"},
      {"SELECT * FROM devices WHERE a = 1.2.3", "33: not a number"},
      {"SELECT * FROM devices WHERE a = 12ab", "33: a number runs into a name"},
      {"SELECT * FROM devices WHERE a # 1", "31: unexpected character"},
      {"SELECT * FROM devices WHERE [[a = 1", "29: a name in [[ ]] does not end"},
      {"SELECT * FROM devices WHERE a = 1 = 1", "35: unexpected text"},
      {"SELECT * FROM devices WHERE a.", "31: a name expected"},
      {"SELECT TOP x * FROM devices", "12: TOP needs a whole number"},
      {"SELECT TOP -1 * FROM devices", "12: TOP needs a whole number"},
      {"SELECT a AS 1 FROM devices", "13: a name expected"},
      {"SELECT MEDIAN(a) FROM devices", "14: unknown function"},
      {"SELECT COUNT(a) FROM devices", "14: ')' expected"},
      {"SELECT a, COUNT() FROM devices", "31: a selected path is not in GROUP BY"},
      {"SELECT * FROM devices GROUP BY a", "33: GROUP BY does not go with SELECT *"},
      {"SELECT COUNT() FROM devices.modules GROUP BY a", "47: GROUP BY is for devices only"},
      {"SELECT COUNT() FROM devices.jobs", "33: devices.jobs allows SELECT * only"},
      {"SELECT * FROM devices GROUP a", "29: BY expected"},
  };
  for (auto const& r : rows) EXPECT_EQ(problem(r.text), r.problem) << r.text;
}

TEST(HubQueryParser, CaseAndSpaceDoNotMatter) {
  for (std::string_view good : {"select*from devices", " SELECT\t*\nFROM\rdevices ", "Select top 3 * From Devices",
                                "SELECT count() AS n FROM DEVICES.MODULES where a=1 and b=2"})
    EXPECT_EQ(problem(good), "none") << good;
}

TEST(HubQueryParser, EscapesAreDecoded) {
  auto const tree = ih::parse_query(R"(SELECT * FROM devices WHERE '\'\"\\\u00e4\u20ac\ud83d\ude00' = "a'b")").value();
  EXPECT_EQ(tree.nodes[0].literal, "'\"\\\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(tree.nodes[1].literal, "a'b");
}

TEST(HubQueryParser, TheTextHas8192Characters) {
  std::string text = "SELECT * FROM devices WHERE a = ''";
  text.insert(text.size() - 1, std::string(8192 - text.size(), 'x'));
  EXPECT_TRUE(ih::parse_query(text).has_value());
  text.insert(text.size() - 1, "x");
  EXPECT_EQ(hub_code(ih::parse_query(text)), 400004);
}

TEST(HubQueryParser, NestingIsLimited) {
  auto const nested = [](std::size_t depth, std::string_view open, std::string_view close) {
    std::string text = "SELECT * FROM devices WHERE ";
    for (std::size_t i = 0; i != depth; ++i) text += open;
    text += "true";
    for (std::size_t i = 0; i != depth; ++i) text += close;
    return problem(text);
  };
  EXPECT_EQ(nested(63, "(", ")"), "none");
  EXPECT_TRUE(nested(64, "(", ")").ends_with("the expression is nested too deeply"));
  EXPECT_EQ(nested(63, "NOT ", ""), "none");
  EXPECT_TRUE(nested(64, "NOT ", "").ends_with("the expression is nested too deeply"));
  EXPECT_EQ(nested(63, "-", ""), "none");
  EXPECT_TRUE(nested(1000, "- ", "").ends_with("the expression is nested too deeply"));
}

TEST(HubQueryParser, ChainsOfAndAndOrAreLongAndThoseOfArithmeticAreNot) {
  std::string chain = "SELECT * FROM devices WHERE true", sum = "SELECT * FROM devices WHERE 0=1";
  for (int i = 0; i != 1500; ++i) chain += " OR a";
  for (int i = 0; i != 250; ++i) sum += "+1";
  EXPECT_EQ(problem(chain), "none");
  EXPECT_EQ(problem(sum), "none");
  for (int i = 0; i != 10; ++i) sum += "+1";
  EXPECT_TRUE(problem(sum).ends_with("the expression is nested too deeply"));
}

TEST(HubQueryParser, EveryTruncationIsAnErrorOrAQuery) {
  constexpr std::string_view text =
      "SELECT TOP 2 tags.[[a b]] AS x, deviceId FROM devices WHERE NOT (a.b >= -1.5e3 AND c IN ['x', \"\\u0041\"]) "
      "OR STARTSWITH(d, 'e') GROUP BY f";
  for (std::size_t n = 0; n <= text.size(); ++n) (void)ih::parse_query(text.substr(0, n));
}

}  // namespace
