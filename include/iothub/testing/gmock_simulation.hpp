// Matchers of GoogleMock for what a simulation leaves behind: messages that arrived, twins, faults.
//
//   EXPECT_THAT(sim.bodies("pump-7"), NothingLost(logic.readings()));
//   EXPECT_THAT(sim.bodies("pump-7", false), NoDuplicates());
//   EXPECT_THAT(sim.hub().get_twin("pump-7"), ReportedAt("/valve/state", "open"));
//   EXPECT_THAT(sim.faults(), Reached(sim::fault::reset_after_packet));
#pragma once

#include <gmock/gmock.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {
namespace testing {

namespace detail {

template <class Items>
std::vector<std::string> texts_of(Items const& items) {
  std::vector<std::string> all;
  for (auto const& item : items) all.emplace_back(item);
  return all;
}
inline bool holds(std::vector<std::string> const& all, std::string const& one) {
  for (auto const& each : all)
    if (each == one) return true;
  return false;
}
// "/a/b": the member b of the member a.
inline json::value const& value_at(json::value const& from, std::string_view path) {
  json::value const* at = &from;
  while (!path.empty()) {
    path.remove_prefix(1);
    auto const end = path.find('/');
    at = &(*at)[path.substr(0, end)];
    path = end == std::string_view::npos ? std::string_view{} : path.substr(end);
  }
  return *at;
}

}  // namespace detail

// All of these texts are there, whatever else is, in whatever order.
MATCHER_P(NothingLost, sent, negation ? "misses some of what was sent" : "has all that was sent") {
  auto const arrived = detail::texts_of(arg);
  std::size_t missing = 0, count = 0;
  std::string first;
  for (auto const& one : detail::texts_of(sent)) {
    ++count;
    if (detail::holds(arrived, one)) continue;
    if (missing++ == 0) first = one;
  }
  if (missing == 0) *result_listener << "which has all " << count;
  if (missing != 0) *result_listener << "which misses " << missing << " of " << count << ", first \"" << first << '"';
  return missing == 0;
}

// Nothing is there twice.
MATCHER(NoDuplicates, negation ? "has duplicates" : "has no duplicates") {
  std::vector<std::string> seen;
  for (auto& one : detail::texts_of(arg)) {
    if (detail::holds(seen, one)) {
      *result_listener << "where \"" << one << "\" is twice";
      return false;
    }
    seen.push_back(std::move(one));
  }
  return true;
}

// Those of these texts that are there came first in this order.
MATCHER_P(InOrderOf, sent, negation ? "came in another order" : "came in the order of sending") {
  auto const arrived = detail::texts_of(arg);
  auto const wanted = detail::texts_of(sent);
  std::vector<std::string> first;
  for (auto const& one : arrived)
    if (detail::holds(wanted, one) && !detail::holds(first, one)) first.push_back(one);
  std::size_t at = 0;
  for (auto const& one : wanted) {
    if (at != first.size() && first[at] == one) {
      ++at;
    } else if (detail::holds(first, one)) {
      *result_listener << "where \"" << one << "\" is out of order";
      return false;
    }
  }
  return true;
}

// A twin whose reported (desired) properties have this value at this path.
MATCHER_P2(ReportedAt, path, value, std::string{negation ? "does not report " : "reports "} + path) {
  auto const& there = detail::value_at(arg.reported.properties, path);
  *result_listener << "where it is " << there.dump();
  return there == json::value{value};
}
MATCHER_P2(DesiredAt, path, value, std::string{negation ? "does not want " : "wants "} + path) {
  auto const& there = detail::value_at(arg.desired.properties, path);
  *result_listener << "where it is " << there.dump();
  return there == json::value{value};
}

// A count of faults in which this one happened.
MATCHER_P(Reached, what, std::string{negation ? "never had " : "had "} + std::string{to_string(what)}) {
  *result_listener << "where it happened " << arg[what] << " times";
  return arg[what] != 0;
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
