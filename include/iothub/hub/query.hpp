// Runs a query over rows, page by page.
//
// A continuation token names the last row that was given out, not a position: pages stay right when rows come and go in
// between. It holds a hash of the query's text and is refused with another one. How the real hub's tokens look and how
// long they live is unconfirmed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/hub/query_evaluator.hpp>
#include <iothub/hub/query_parser.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// Rows in a fixed order, each with a key that is above the keys before it.
class query_source {
 public:
  // Goes behind the row of that key, or to the beginning for an empty one.
  virtual void seek(std::string_view key) = 0;
  // The next row; null at the end. It holds until the next call.
  virtual query_row const* next() = 0;
  // Of the row that next() gave.
  [[nodiscard]] virtual std::string key() const = 0;

 protected:
  ~query_source() = default;
};

inline constexpr std::size_t default_page_size = 100;   // unconfirmed for the real hub
inline constexpr std::size_t largest_page_size = 1000;

// See hub_core::query(). Documents: an absent FROM devices.jobs row set is the caller's to give (an empty source).
[[nodiscard]] inline result<query_page> run_query(query_tree const& tree, std::string_view text, query_source& rows,
                                                  std::size_t page_size, std::string_view continuation);

// --------------------------------------------------------------------------------------------------------------------

namespace detail {

struct query_position {
  std::uint64_t given = 0;  // rows given out so far
  std::string key = {};     // of the last one
};

inline std::uint64_t hash_text(std::string_view text) noexcept {
  std::uint64_t hash = 14695981039346656037u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}
inline std::string write_position(std::string_view text, query_position const& at) {
  std::string plain = std::to_string(hash_text(text));
  plain.append("\n").append(std::to_string(at.given)).append("\n").append(at.key);
  return to_base64(plain);
}
inline result<query_position> read_position(std::string_view text, std::string_view continuation) {
  query_position out;
  if (continuation.empty()) return out;
  auto const bad = [] {
    return refuse(errc::bad_request, 400004, "The continuation token does not belong to this query");
  };
  auto const plain = from_base64(continuation);
  if (!plain) return bad();
  split_pair const first = split_once(*plain, '\n');
  split_pair const second = split_once(first.after, '\n');
  auto const given = parse_int<std::uint64_t>(second.before);
  if (!second.found || !given || parse_int<std::uint64_t>(first.before) != hash_text(text)) return bad();
  out.given = *given;
  out.key = second.after;
  return out;
}

inline json::value project(query_tree const& tree, query_row const& row) {
  if (tree.everything) return row.whole();
  json::value out = json::value::make_object();
  for (auto const& item : tree.items) {
    operand const v = row.field(item.path);
    if (v.defined()) out.set(item.alias.empty() ? row.output_name(item.path) : item.alias, v.value());
  }
  return out;
}

// COUNT, SUM, ... of one group. Values that are no numbers are ignored (unconfirmed for the real hub).
struct query_tally {
  std::int64_t rows = 0;
  std::int64_t numbers = 0;
  operand sum = {};
  operand least = {};
  operand most = {};
  void add(operand const& v) {
    ++rows;
    if (!v.defined() || !v.value().is_number()) return;
    ++numbers;
    operand const own{v.value()};
    sum = sum.defined() ? arithmetic(query_op::add, sum, own) : own;
    if (!least.defined() || compare(query_op::less, own, least)) least = own;
    if (!most.defined() || compare(query_op::greater, own, most)) most = own;
  }
  [[nodiscard]] operand get(query_aggregate what) const {
    switch (what) {
      case query_aggregate::count: return operand{json::value{rows}};
      case query_aggregate::sum: return sum;
      case query_aggregate::min: return least;
      case query_aggregate::max: return most;
      case query_aggregate::avg:
        if (!sum.defined()) return {};
        return operand{json::value{*sum.value().as_double() / static_cast<double>(numbers)}};
      default: return {};
    }
  }
};
struct query_group {
  std::vector<operand> plain;       // one per item; defined for plain paths
  std::vector<query_tally> tallies;  // one per item
  std::vector<std::string> names;
};

inline std::string group_key(query_tree const& tree, query_row const& row) {
  std::string key;
  for (auto const& by : tree.group_by) {
    operand const v = row.field(by);
    key.append(v.defined() ? v.value().dump() : std::string{"-"}).push_back('\n');
  }
  return key;
}

inline query_group new_group(query_tree const& tree, query_row const* row) {
  query_group group;
  group.tallies.resize(tree.items.size());
  for (std::size_t i = 0; i != tree.items.size(); ++i) {
    query_item const& item = tree.items[i];
    bool const plain = item.aggregate == query_aggregate::none;
    operand const v = plain && row != nullptr ? row->field(item.path) : operand{};
    group.plain.push_back(v.defined() ? operand{v.value()} : operand{});
    // What an aggregate without an alias is called is unconfirmed for the real hub.
    std::string name = item.alias;
    if (name.empty()) name = plain && row != nullptr ? row->output_name(item.path) : "$" + std::to_string(i + 1);
    group.names.push_back(std::move(name));
  }
  return group;
}

inline json::value print_group(query_tree const& tree, query_group const& group) {
  json::value out = json::value::make_object();
  for (std::size_t i = 0; i != tree.items.size(); ++i) {
    bool const plain = tree.items[i].aggregate == query_aggregate::none;
    operand const v = plain ? group.plain[i] : group.tallies[i].get(tree.items[i].aggregate);
    if (v.defined()) out.set(group.names[i], v.value());
  }
  return out;
}

// All groups in the order of their keys; without GROUP BY one, also of nothing.
inline std::vector<json::value> aggregate(query_tree const& tree, query_source& rows) {
  std::map<std::string, query_group> groups;
  if (tree.group_by.empty()) groups.emplace(std::string{}, new_group(tree, nullptr));
  rows.seek({});
  while (query_row const* row = rows.next()) {
    if (!selects(tree, *row)) continue;
    std::string key = group_key(tree, *row);
    auto at = groups.find(key);
    if (at == groups.end()) at = groups.emplace(std::move(key), new_group(tree, row)).first;
    for (std::size_t i = 0; i != tree.items.size(); ++i) at->second.tallies[i].add(row->field(tree.items[i].path));
  }
  std::vector<json::value> out;
  for (auto const& [key, group] : groups) out.push_back(print_group(tree, group));
  return out;
}

inline void fill_page(query_tree const& tree, std::string_view text, query_source& rows, std::size_t size,
                      std::uint64_t most, query_position at, query_page& page) {
  rows.seek(at.key);
  while (at.given < most) {
    query_row const* row = rows.next();
    while (row != nullptr && !selects(tree, *row)) row = rows.next();
    if (row == nullptr) return;
    if (page.items.size() == size) {
      page.continuation = write_position(text, at);
      return;
    }
    page.items.push_back(project(tree, *row));
    ++at.given;
    at.key = rows.key();
  }
}

}  // namespace detail

inline result<query_page> run_query(query_tree const& tree, std::string_view text, query_source& rows,
                                    std::size_t page_size, std::string_view continuation) {
  // A page without rows would look like a hub whose jobs have all ended.
  if (tree.from == query_from::jobs)
    return refuse(errc::unsupported, 404013, "This hub has no jobs: devices.jobs cannot be queried");
  auto at = detail::read_position(text, continuation);
  if (!at) return std::move(at).error();
  std::size_t const size = page_size == 0 ? default_page_size
                           : page_size > largest_page_size ? largest_page_size
                                                           : page_size;
  std::uint64_t const most = tree.top ? *tree.top : ~std::uint64_t{0};
  query_page page;
  // Microsoft's .NET service client compares these names with case.
  page.item_type = tree.everything ? "Twin" : "Raw";
  if (!tree.aggregates()) {
    detail::fill_page(tree, text, rows, size, most, std::move(*at), page);
    return page;
  }
  auto all = detail::aggregate(tree, rows);
  std::uint64_t const end = most < all.size() ? most : all.size();
  for (; at->given < end && page.items.size() != size; ++at->given)
    page.items.push_back(std::move(all[static_cast<std::size_t>(at->given)]));
  if (at->given < end) page.continuation = detail::write_position(text, {at->given, {}});
  return page;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
