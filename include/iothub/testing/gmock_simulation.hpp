// Matchers of GoogleMock for what a simulation leaves behind: messages that arrived, twins, answers of methods,
// connections, faults. Where a value is taken, a matcher of it is taken as well: ReportedAt("/level", Gt(3)).
//
//   EXPECT_THAT(sim.bodies("pump-7"), NothingLost(logic.readings));
//   EXPECT_THAT(sim.bodies("pump-7", false), Duplicates(Lt(5)));
//   EXPECT_THAT(sim.hub().get_twin("pump-7"), ReportedAt("/valve/state", "open"));
//   EXPECT_THAT(service.invoke_method("pump-7", {.name = "reboot"}), MethodResultIs(202, _));
//   EXPECT_THAT(log, AllOf(Connected(), BackoffWithin(100ms, 5min)));            // connection_log.hpp
//   EXPECT_THAT(sim.faults(), Reached(sim::fault::reset_after_packet));
#pragma once

#include <gmock/gmock.h>

#include <chrono>
#include <compare>
#include <cstddef>
#include <iterator>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/json/parse.hpp>
#include <iothub/json/value.hpp>
#include <iothub/testing/connection_log.hpp>
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
inline std::string quoted(std::string_view text) {
  return '"' + std::string{text.substr(0, 60)} + (text.size() > 60 ? "...\"" : "\"");
}

// A JSON value for matchers of numbers, texts and booleans: another kind of value compares to nothing.
class json_item : public json::value {
 public:
  explicit json_item(json::value const& v) : json::value(v) {}
  operator std::string() const {  // NOLINT(google-explicit-constructor): StartsWith() and its kin want a text
    auto const text = as_string();
    return text ? std::string{*text} : std::string{};
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  friend bool operator==(json_item const& a, T b) {
    if constexpr (std::is_same_v<T, bool>) {
      auto const flag = a.as_bool();
      return flag && *flag == b;
    } else {
      auto const number = a.as_double();
      return number && *number == static_cast<double>(b);
    }
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  friend std::partial_ordering operator<=>(json_item const& a, T b) {
    auto const number = a.as_double();
    return number ? *number <=> static_cast<double>(b) : std::partial_ordering::unordered;
  }
  friend bool operator==(json_item const& a, std::string_view b) { return a.as_string() && *a.as_string() == b; }
  friend void PrintTo(json_item const& v, std::ostream* out) { *out << v.dump(); }
};

// Whether a JSON value is this value, or is what this matcher wants.
template <class Wanted>
bool json_matches(json::value const& there, Wanted const& wanted) {
  if constexpr (std::is_convertible_v<Wanted const&, json::value>) {
    return there == json::value{wanted};
  } else if constexpr (std::is_convertible_v<Wanted const&, ::testing::Matcher<json_item const&>>) {
    return ::testing::Matcher<json_item const&>(wanted).Matches(json_item{there});
  } else if constexpr (std::is_convertible_v<Wanted const&, ::testing::Matcher<json::value const&>>) {
    return ::testing::Matcher<json::value const&>(wanted).Matches(there);
  } else {
    auto const number = there.as_double();  // DoubleNear()
    return number && ::testing::SafeMatcherCast<double>(wanted).Matches(*number);
  }
}
template <class Wanted>
std::string wanted_text(Wanted const& wanted) {
  if constexpr (std::is_convertible_v<Wanted const&, json::value>)
    return json::value{wanted}.dump();
  else
    return "what the matcher wants";
}

inline message const& content_of(message const& m) { return m; }
inline message const& content_of(telemetry_event const& e) { return e.content; }
inline message const& content_of(c2d_message const& m) { return m.content; }

inline json::value json_of(json::value const& v) { return v; }
inline json::value json_of(method_response const& r) { return r.payload; }
inline json::value json_of(std::string_view text) {
  auto parsed = json::parse(text);
  return parsed ? *std::move(parsed) : json::value{};
}
inline json::value json_of(std::string const& text) { return json_of(std::string_view{text}); }
inline json::value json_of(char const* text) { return json_of(std::string_view{text}); }
template <class Message>
  requires requires(Message const& m) { content_of(m); }
json::value json_of(Message const& m) {
  return json_of(content_of(m).body.bytes());
}

// The field that has this name in `message`; null for a name that is none.
inline std::string const* system_property(message const& m, std::string_view name) {
  struct field {
    char const* name;
    std::string message::*value;
  };
  constexpr field fields[] = {{"message_id", &message::message_id},
                              {"correlation_id", &message::correlation_id},
                              {"user_id", &message::user_id},
                              {"content_type", &message::content_type},
                              {"content_encoding", &message::content_encoding},
                              {"to", &message::to},
                              {"output_name", &message::output_name},
                              {"component_name", &message::component_name},
                              {"interface_id", &message::interface_id},
                              {"connection_device_id", &message::connection_device_id},
                              {"connection_module_id", &message::connection_module_id}};
  for (auto const& each : fields)
    if (each.name == name) return &(m.*each.value);
  return nullptr;
}

inline std::string seconds_text(duration d) {
  return ::testing::PrintToString(std::chrono::duration<double>(d).count()) + " s";
}

}  // namespace detail

// --- sequences of bodies --------------------------------------------------------------------------------------------

// All of these texts are there, whatever else is, in whatever order. There have to be some, and each of its own: of two
// equal ones nobody can tell which has arrived. Give readings a number.
MATCHER_P(NothingLost, sent, negation ? "misses some of what was sent" : "has all that was sent") {
  std::set<std::string> arrived;
  for (auto& one : detail::texts_of(arg)) arrived.insert(std::move(one));
  auto const all = detail::texts_of(sent);
  if (all.empty()) {
    *result_listener << "where nothing was sent that could be lost";
    return false;
  }
  if (std::set<std::string> const distinct(all.begin(), all.end()); distinct.size() != all.size()) {
    *result_listener << "where " << all.size() << " texts were sent and only " << distinct.size()
                     << " differ, so that nobody can tell which are lost";
    return false;
  }
  std::size_t missing = 0, stretches = 0;
  std::string which;
  for (std::size_t i = 0; i != all.size();) {
    if (arrived.count(all[i]) != 0) {
      ++i;
      continue;
    }
    std::size_t const from = i;
    while (i != all.size() && arrived.count(all[i]) == 0) ++i;
    missing += i - from;
    if (stretches++ < 5) {
      which += (which.empty() ? "" : ", ") + detail::quoted(all[from]);
      if (i - from > 1) which += " to " + detail::quoted(all[i - 1]) + " (" + std::to_string(i - from) + ")";
    }
  }
  if (missing == 0) *result_listener << "which has all " << all.size();
  if (missing != 0)
    *result_listener << "which misses " << missing << " of " << all.size() << ": " << which
                     << (stretches > 5 ? ", ..." : "");
  return missing == 0;
}

// Nothing is there that was not sent.
MATCHER_P(NothingInvented, sent, negation ? "has what was never sent" : "has only what was sent") {
  auto const all = detail::texts_of(sent);
  std::set<std::string> const known(all.begin(), all.end());
  for (auto const& one : detail::texts_of(arg)) {
    if (known.count(one) != 0) continue;
    *result_listener << "where " << detail::quoted(one) << " was never sent";
    return false;
  }
  return true;
}

// Nothing is there twice.
MATCHER(NoDuplicates, negation ? "has duplicates" : "has no duplicates") {
  std::set<std::string> seen;
  for (auto& one : detail::texts_of(arg)) {
    if (!seen.insert(one).second) {
      *result_listener << "where " << detail::quoted(one) << " is twice";
      return false;
    }
  }
  return true;
}
// The same by a key: NoDuplicatesBy([](iothub::telemetry_event const& e) { return e.content.message_id; }).
MATCHER_P(NoDuplicatesBy, key, negation ? "has duplicates" : "has no duplicates") {
  std::map<std::string, std::size_t> seen;
  std::size_t n = 0;
  for (auto const& one : arg) {
    auto const [first, fresh] = seen.emplace(std::string{key(one)}, n++);
    if (fresh) continue;
    *result_listener << "where number " << n - 1 << " and number " << first->second << " are both "
                     << detail::quoted(first->first);
    return false;
  }
  return true;
}
// How many are there for the second time or more: at QoS 1 a message may be stored again when a connection broke.
MATCHER_P(Duplicates, count,
          "has a number of duplicates that " + ::testing::DescribeMatcher<std::size_t>(count, negation)) {
  std::set<std::string> seen;
  std::size_t again = 0;
  for (auto& one : detail::texts_of(arg)) again += !seen.insert(std::move(one)).second;
  *result_listener << "which has " << again << " duplicates";
  return ::testing::SafeMatcherCast<std::size_t>(count).Matches(again);
}

// Those of these texts that are there came first in this order.
MATCHER_P(InOrderOf, sent, negation ? "came in another order" : "came in the order of sending") {
  std::map<std::string, std::size_t> place;
  std::size_t n = 0;
  for (auto& one : detail::texts_of(sent)) place.emplace(std::move(one), n++);
  std::set<std::string> seen;
  std::size_t next = 0;
  std::string before;
  for (auto& one : detail::texts_of(arg)) {
    auto const found = place.find(one);
    if (found == place.end() || !seen.insert(one).second) continue;
    if (found->second < next) {
      *result_listener << "where " << detail::quoted(one) << " came after " << detail::quoted(before);
      return false;
    }
    next = found->second;
    before = std::move(one);
  }
  return true;
}

// So many are there, as a number or a matcher of one: ReceivedExactly(10), ReceivedExactly(Gt(3u)).
MATCHER_P(ReceivedExactly, count,
          "has a number of items that " + ::testing::DescribeMatcher<std::size_t>(count, negation)) {
  auto const there = static_cast<std::size_t>(std::distance(arg.begin(), arg.end()));
  *result_listener << "which has " << there;
  return ::testing::SafeMatcherCast<std::size_t>(count).Matches(there);
}

// --- a message, or an event of telemetry -----------------------------------------------------------------------------

MATCHER_P(HasBody, body, "has a body that " + ::testing::DescribeMatcher<std::string>(body, negation)) {
  std::string const there{detail::content_of(arg).body.bytes()};
  *result_listener << "whose body is " << detail::quoted(there);
  return ::testing::SafeMatcherCast<std::string>(body).Matches(there);
}
// A system property by the name that it has in `message`: HasSystemProperty("content_type", "application/json").
MATCHER_P2(HasSystemProperty, name, value,
           std::string{"has a system property "} + name + " that " +
               ::testing::DescribeMatcher<std::string>(value, negation)) {
  std::string const* const there = detail::system_property(detail::content_of(arg), name);
  if (there == nullptr) {
    *result_listener << "but no message has a system property " << name;
    return false;
  }
  *result_listener << "where it is " << detail::quoted(*there);
  return ::testing::SafeMatcherCast<std::string>(value).Matches(*there);
}
MATCHER_P(FromDevice, id, std::string{negation ? "is not" : "is"} + " from device " + std::string{id}) {
  *result_listener << "which is from " << arg.source.device_id;
  return arg.source.device_id == id;
}
// JSON, as a value, as text, in a message or in a method's response, has this at this path: JsonAt("/a/b", 3).
MATCHER_P2(JsonAt, path, value,
           std::string{negation ? "has not " : "has "} + detail::wanted_text(value) + " at " + std::string{path}) {
  json::value const all = detail::json_of(arg);
  auto const& there = detail::value_at(all, path);
  *result_listener << "where " << path << " is " << there.dump();
  return detail::json_matches(there, value);
}

// --- twins ----------------------------------------------------------------------------------------------------------

// A twin whose reported (desired) properties, or tags, have this at this path.
MATCHER_P2(ReportedAt, path, value,
           std::string{negation ? "does not report " : "reports "} + path + " as " + detail::wanted_text(value)) {
  auto const& there = detail::value_at(arg.reported.properties, path);
  *result_listener << "where it is " << there.dump();
  return detail::json_matches(there, value);
}
MATCHER_P2(DesiredAt, path, value,
           std::string{negation ? "does not want " : "wants "} + path + " to be " + detail::wanted_text(value)) {
  auto const& there = detail::value_at(arg.desired.properties, path);
  *result_listener << "where it is " << there.dump();
  return detail::json_matches(there, value);
}
MATCHER_P2(TagAt, path, value,
           std::string{negation ? "has not the tag " : "has the tag "} + path + " as " + detail::wanted_text(value)) {
  auto const& there = detail::value_at(arg.tags, path);
  *result_listener << "where it is " << there.dump();
  return detail::json_matches(there, value);
}
MATCHER_P(TwinVersionIs, version, "has a version that " + ::testing::DescribeMatcher<std::int64_t>(version, negation)) {
  *result_listener << "whose version is " << arg.version;
  return ::testing::SafeMatcherCast<std::int64_t>(version).Matches(arg.version);
}

// --- results ---------------------------------------------------------------------------------------------------------

// result<method_response>: the device answered with this status and this payload (a value or a matcher; _ for any).
MATCHER_P2(MethodResultIs, status, payload,
           std::string{negation ? "is not" : "is"} + " an answer with status " + ::testing::PrintToString(status)) {
  if (!arg.has_value()) {
    *result_listener << "which is no answer: " << to_string(arg.error().code()) << ", " << arg.error().message();
    return false;
  }
  *result_listener << "which is " << arg->status << ' ' << arg->payload.dump();
  if (arg->status != status) return false;
  if constexpr (std::is_same_v<std::decay_t<decltype(payload)>, std::decay_t<decltype(::testing::_)>>)
    return true;
  else
    return detail::json_matches(arg->payload, payload);
}
// A result that failed with this code of the hub (404103), or with this HTTP status.
MATCHER_P(IsIotHubError, hub_code,
          std::string{negation ? "is not" : "is"} + " the hub's error " + ::testing::PrintToString(hub_code)) {
  if (arg.has_value()) {
    *result_listener << "which is a success";
    return false;
  }
  *result_listener << "which is " << arg.error().hub_code() << ", " << arg.error().message();
  return arg.error().hub_code() == hub_code;
}
MATCHER_P(IsHttpStatus, status,
          std::string{negation ? "did not fail" : "failed"} + " with HTTP status " + ::testing::PrintToString(status)) {
  if (arg.has_value()) {
    *result_listener << "which is a success";
    return false;
  }
  *result_listener << "which is " << arg.error().http_status() << ", " << arg.error().message();
  return arg.error().http_status() == status;
}

// --- a connection_log ------------------------------------------------------------------------------------------------

MATCHER(Connected, negation ? "is not connected" : "is connected") { return arg.connected(); }
MATCHER(SessionPresent, negation ? "began without a session" : "went on with its session") {
  return arg.session_present();
}
// How often it was connected again; and those of them that it planned itself, as for a new token.
MATCHER_P(ReconnectedTimes, count,
          "has a number of reconnects that " + ::testing::DescribeMatcher<std::uint64_t>(count, negation)) {
  *result_listener << "which has " << arg.reconnects() << " reconnects";
  return ::testing::SafeMatcherCast<std::uint64_t>(count).Matches(arg.reconnects());
}
MATCHER_P(PlannedReconnects, count,
          "has a number of planned reconnects that " + ::testing::DescribeMatcher<std::uint64_t>(count, negation)) {
  *result_listener << "which has " << arg.planned_reconnects() << " planned reconnects";
  return ::testing::SafeMatcherCast<std::uint64_t>(count).Matches(arg.planned_reconnects());
}
// How often it came with another SAS token than before.
MATCHER_P(RenewedSasTimes, count,
          "has a number of renewed tokens that " + ::testing::DescribeMatcher<std::uint64_t>(count, negation)) {
  *result_listener << "which renewed its token " << arg.renewed_tokens() << " times";
  return ::testing::SafeMatcherCast<std::uint64_t>(count).Matches(arg.renewed_tokens());
}
// Every wait before an unplanned attempt was this long, and there was one.
MATCHER_P2(BackoffWithin, least, most,
           std::string{negation ? "does not wait " : "waits "} + detail::seconds_text(least) + " to " +
               detail::seconds_text(most) + " before each attempt") {
  for (std::size_t i = 0; i != arg.waits().size(); ++i) {
    duration const wait = arg.waits()[i];
    if (wait >= least && wait <= most) continue;
    *result_listener << "where wait " << i << " of " << arg.waits().size() << " was " << detail::seconds_text(wait);
    return false;
  }
  *result_listener << "which waited " << arg.waits().size() << " times";
  return !arg.waits().empty();
}
// No window of this length has more attempts to connect than that, and there was one.
MATCHER_P2(AttemptsIn, window, most, std::string{negation ? "tries more often" : "tries no more often"} + " than " +
                                         ::testing::PrintToString(most) + " times in " + detail::seconds_text(window)) {
  auto const& times = arg.attempt_times();
  for (std::size_t from = 0, to = 0; to != times.size(); ++to) {
    while (times[to] - times[from] > window) ++from;
    if (to - from + 1 <= static_cast<std::size_t>(most)) continue;
    *result_listener << "where " << to - from + 1 << " attempts came within "
                     << detail::seconds_text(times[to] - times[from]);
    return false;
  }
  *result_listener << "which tried " << times.size() << " times";
  return !times.empty();
}
// As many calls were answered as reached the device, and some did.
MATCHER(EveryCallAnswered, negation ? "left a call without an answer" : "answered every call") {
  *result_listener << "which answered " << arg.method_answers() << " of " << arg.method_calls() << " calls";
  return arg.method_answers() == arg.method_calls() && arg.method_calls() != 0;
}

// A call of this method reached the device, with this payload (a JSON value, or a matcher; _ for any).
MATCHER_P2(MethodCalled, name, payload, std::string{negation ? "had no call" : "had a call"} + " of " + name) {
  std::string others;
  for (auto const& c : arg.calls()) {
    bool matches = c.name == name;
    if constexpr (!std::is_same_v<std::decay_t<decltype(payload)>, std::decay_t<decltype(::testing::_)>>)
      matches = matches && detail::json_matches(detail::json_of(c.payload), payload);
    if (matches) return true;
    if (others.size() < 200) others += (others.empty() ? "" : ", ") + c.name + ' ' + c.payload.substr(0, 60);
  }
  *result_listener << (others.empty() ? "which had no call" : "which had " + others);
  return false;
}
// Every call that reached the device was answered so soon, and there was one.
MATCHER_P(WasAnsweredWithin, limit, std::string{negation ? "left a call" : "left no call"} + " without an answer for " +
                                        detail::seconds_text(limit)) {
  for (auto const& c : arg.calls()) {
    if (c.answered != never && c.answered - c.at <= duration{limit}) continue;
    *result_listener << "where " << c.name;
    if (c.answered == never)
      *result_listener << " was not answered";
    else
      *result_listener << " was answered after " << detail::seconds_text(c.answered - c.at);
    return false;
  }
  *result_listener << "which had " << arg.calls().size() << " calls";
  return !arg.calls().empty();
}

// --- faults ----------------------------------------------------------------------------------------------------------

// A count of faults in which this one happened.
MATCHER_P(Reached, what, std::string{negation ? "never had " : "had "} + std::string{to_string(what)}) {
  *result_listener << "where it happened " << arg[what] << " times";
  return arg[what] != 0;
}

}  // namespace testing
}  // namespace v0
}  // namespace iothub
