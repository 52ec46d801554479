// Conditions and projections of a query over one row.
//
// Rules (Microsoft docs "IoT Hub query language", expressions and conditions): only true selects; comparisons are of
// primitives of one kind, by number, by the bytes of a string, or false below true; a path that is not there is
// undefined, and every comparison with undefined is false. Values of different kinds are not equal. That a missing
// member is left out of a projection, and all of NOT over undefined, is unconfirmed for the real hub.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/hub/query_parser.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

// A value, borrowed or own, or undefined.
class operand {
 public:
  operand() noexcept = default;
  explicit operand(json::value own) noexcept : own_{std::move(own)}, defined_{true} {}
  static operand borrowed(json::value const* value) noexcept {
    operand out;
    out.borrowed_ = value;
    out.defined_ = value != nullptr;
    return out;
  }
  [[nodiscard]] bool defined() const noexcept { return defined_; }
  [[nodiscard]] json::value const& value() const noexcept { return borrowed_ != nullptr ? *borrowed_ : own_; }
  [[nodiscard]] bool is_true() const noexcept { return defined_ && value().as_bool() == true; }

 private:
  json::value own_ = {};
  json::value const* borrowed_ = nullptr;
  bool defined_ = false;
};

// What a query runs over.
class query_row {
 public:
  // The value behind a path; undefined where there is none.
  [[nodiscard]] virtual operand field(std::span<std::string const> path) const = 0;
  // The name under which a path is projected when it has no alias.
  [[nodiscard]] virtual std::string output_name(std::span<std::string const> path) const = 0;
  [[nodiscard]] virtual json::value whole() const = 0;

 protected:
  ~query_row() = default;
};

[[nodiscard]] inline operand evaluate(query_tree const& tree, std::uint32_t node, query_row const& row);
[[nodiscard]] inline bool selects(query_tree const& tree, query_row const& row) {
  return !tree.where || evaluate(tree, *tree.where, row).is_true();
}

// --------------------------------------------------------------------------------------------------------------------

namespace detail {

// Less than 0, 0, more than 0; nothing for values that do not compare.
inline std::optional<int> compare_values(json::value const& a, json::value const& b) noexcept {
  auto const three_way = [](auto const& x, auto const& y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_int() && b.is_int()) return three_way(*a.as_int(), *b.as_int());
  if (a.is_number() && b.is_number()) return three_way(*a.as_double(), *b.as_double());
  if (a.is_string() && b.is_string()) return three_way(*a.as_string(), *b.as_string());
  if (a.is_bool() && b.is_bool()) return three_way(*a.as_bool() ? 1 : 0, *b.as_bool() ? 1 : 0);
  if (a.is_null() && b.is_null()) return 0;
  return std::nullopt;
}
inline bool is_primitive(json::value const& v) noexcept { return !v.is_object() && !v.is_array(); }

inline bool compare(query_op op, operand const& a, operand const& b) noexcept {
  if (!a.defined() || !b.defined() || !is_primitive(a.value()) || !is_primitive(b.value())) return false;
  auto const order = compare_values(a.value(), b.value());
  if (!order) return op == query_op::not_equal;
  if (a.value().is_null() && op != query_op::equal && op != query_op::not_equal) return false;
  switch (op) {
    case query_op::equal: return *order == 0;
    case query_op::not_equal: return *order != 0;
    case query_op::less: return *order < 0;
    case query_op::greater: return *order > 0;
    case query_op::less_equal: return *order <= 0;
    default: return *order >= 0;
  }
}

inline bool contains(json::value const& list, json::value const& wanted) noexcept {
  for (auto const& e : list.elements())
    if (compare_values(e, wanted) == 0) return true;
  return false;
}

inline operand arithmetic_real(query_op op, double a, double b) noexcept {
  double out = 0;
  switch (op) {
    case query_op::add: out = a + b; break;
    case query_op::subtract: out = a - b; break;
    case query_op::multiply: out = a * b; break;
    case query_op::divide: out = a / b; break;
    default: out = std::fmod(a, b); break;
  }
  return std::isfinite(out) ? operand{json::value{out}} : operand{};
}
inline operand arithmetic(query_op op, operand const& a, operand const& b) noexcept {
  if (!a.defined() || !b.defined() || !a.value().is_number() || !b.value().is_number()) return {};
  if (a.value().is_int() && b.value().is_int()) {
    std::int64_t const x = *a.value().as_int(), y = *b.value().as_int();
    std::int64_t out = 0;
    bool const fits = op == query_op::add        ? !__builtin_add_overflow(x, y, &out)
                      : op == query_op::subtract ? !__builtin_sub_overflow(x, y, &out)
                      : op == query_op::multiply ? !__builtin_mul_overflow(x, y, &out)
                                                 : false;
    if (fits) return operand{json::value{out}};
    if (op == query_op::modulo && y != 0) return operand{json::value{y == -1 ? std::int64_t{0} : x % y}};
    if (op == query_op::divide && y != 0 && y != -1 && x % y == 0) return operand{json::value{x / y}};
  }
  return arithmetic_real(op, *a.value().as_double(), *b.value().as_double());
}

inline operand match_text(query_op op, operand const& a, operand const& b) noexcept {
  if (!a.defined() || !b.defined() || !a.value().is_string() || !b.value().is_string()) return {};
  std::string_view const text = *a.value().as_string(), part = *b.value().as_string();
  return operand{json::value{op == query_op::starts_with ? text.starts_with(part) : text.ends_with(part)}};
}

inline operand negated(query_op op, operand const& a) noexcept {
  if (!a.defined()) return {};
  if (op == query_op::negate) return arithmetic(query_op::subtract, operand{json::value{0}}, a);
  auto const truth = a.value().as_bool();
  return truth ? operand{json::value{!*truth}} : operand{};
}

}  // namespace detail

namespace detail {
// A chain of one logical operator leans to the left: walked by a loop, from its right end. The parser bounds the rest.
inline bool evaluate_chain(query_tree const& tree, std::uint32_t index, query_row const& row) {
  query_op const op = tree.nodes[index].op;
  bool const decisive = op == query_op::logical_or;
  for (; tree.nodes[index].op == op; index = tree.nodes[index].left)
    if (evaluate(tree, tree.nodes[index].right, row).is_true() == decisive) return decisive;
  return evaluate(tree, index, row).is_true();
}
}  // namespace detail

inline operand evaluate(query_tree const& tree, std::uint32_t index, query_row const& row) {
  query_node const& node = tree.nodes[index];
  switch (node.op) {
    case query_op::literal:
    case query_op::list: return operand::borrowed(&node.literal);
    case query_op::undefined: return {};
    case query_op::path: return row.field(node.path);
    case query_op::is_defined: return operand{json::value{row.field(node.path).defined()}};
    case query_op::logical_or:
    case query_op::logical_and: return operand{json::value{detail::evaluate_chain(tree, index, row)}};
    case query_op::logical_not:
    case query_op::negate: return detail::negated(node.op, evaluate(tree, node.left, row));
    case query_op::in:
    case query_op::not_in: {
      operand const a = evaluate(tree, node.left, row);
      if (!a.defined() || !detail::is_primitive(a.value())) return operand{json::value{false}};
      bool const found = detail::contains(tree.nodes[node.right].literal, a.value());
      return operand{json::value{found == (node.op == query_op::in)}};
    }
    case query_op::starts_with:
    case query_op::ends_with:
      return detail::match_text(node.op, evaluate(tree, node.left, row), evaluate(tree, node.right, row));
    case query_op::add:
    case query_op::subtract:
    case query_op::multiply:
    case query_op::divide:
    case query_op::modulo:
      return detail::arithmetic(node.op, evaluate(tree, node.left, row), evaluate(tree, node.right, row));
    default:
      return operand{
          json::value{detail::compare(node.op, evaluate(tree, node.left, row), evaluate(tree, node.right, row))}};
  }
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
