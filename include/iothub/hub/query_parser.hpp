// The IoT Hub query language as a tree.
//
//   query      := SELECT [TOP number] ('*' | item (',' item)*) FROM source [WHERE expr] [GROUP BY path (',' path)*]
//   item       := (path | COUNT '(' ')' | (AVG|SUM|MIN|MAX) '(' path ')') [AS name]
//   source     := devices | devices.modules | devices.jobs
//   expr       := and (OR and)*        and := not (AND not)*        not := NOT not | comparison
//   comparison := sum [(= | != | <> | < | > | <= | >=) sum | (IN | NIN) '[' literals ']']
//   sum        := product ((+|-) product)*     product := unary ((*|/|%) unary)*     unary := '-' unary | primary
//   primary    := literal | path | IS_DEFINED(path) | STARTSWITH(sum, sum) | ENDSWITH(sum, sum) | '(' expr ')'
//   path       := name ('.' name)*     a name may be written [[name]]
// Source: Microsoft docs "IoT Hub query language for device and module twins, jobs, and message routing". Keywords are
// not case-sensitive. STARTSWITH without an underscore is what twin queries were seen to take; ENDSWITH by analogy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/hub/query_lexer.hpp>
#include <iothub/hub/types.hpp>
#include <iothub/json/value.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

using query_path = std::vector<std::string>;

enum class query_op : std::uint8_t {
  literal, undefined, list, path, logical_or, logical_and, logical_not,
  equal, not_equal, less, greater, less_equal, greater_equal, in, not_in,
  add, subtract, multiply, divide, modulo, negate, is_defined, starts_with, ends_with
};
struct query_node {
  query_op op = query_op::undefined;
  std::uint32_t left = 0;   // indices into query_tree::nodes
  std::uint32_t right = 0;
  std::uint32_t height = 1; // of the tree below; a chain of one logical operator counts once
  json::value literal = {}; // literal: the value; list: an array
  query_path path = {};     // path, is_defined
};

enum class query_aggregate : std::uint8_t { none, count, avg, sum, min, max };
struct query_item {
  query_aggregate aggregate = query_aggregate::none;
  query_path path = {};
  std::string alias = {};
};
enum class query_from : std::uint8_t { devices, modules, jobs };

struct query_tree {
  bool everything = false;  // SELECT *
  std::optional<std::uint64_t> top = {};
  std::vector<query_item> items = {};
  query_from from = query_from::devices;
  std::optional<std::uint32_t> where = {};
  std::vector<query_path> group_by = {};
  std::vector<query_node> nodes = {};
  [[nodiscard]] bool aggregates() const noexcept {
    for (auto const& item : items)
      if (item.aggregate != query_aggregate::none) return true;
    return !group_by.empty();
  }
};

// errc::bad_request (400006) saying what is wrong and at which character, from 1; 400004 above a limit.
[[nodiscard]] inline result<query_tree> parse_query(std::string_view text, limits const& allowed = {});

// --------------------------------------------------------------------------------------------------------------------

namespace detail {

// Recursive descent; every function returns false after the first problem was noted.
class query_parser {
 public:
  query_parser(std::string_view text, limits const& allowed) noexcept : lexer_{text}, text_{text}, allowed_{allowed} {}

  result<query_tree> run() {
    if (select() && source() && where() && group() && finish()) return std::move(tree_);
    return refuse(errc::bad_request, 400006,
                  "The query is invalid at character " + std::to_string(at_) + ": " + problem_ +
                      ". Please check the format of the query and try again." + near());
  }

 private:
  bool fail(std::string_view why) {
    if (lexer_.problem() != nullptr) why = lexer_.problem();
    problem_ = why;
    at_ = lexer_.position();
    return false;
  }
  // The text at the mistake, for a person: at most 24 bytes, no character cut in two.
  [[nodiscard]] std::string near() const {
    std::string_view const rest = text_.substr(at_ - 1 < text_.size() ? at_ - 1 : text_.size());
    if (rest.empty()) return " It ends there.";
    std::size_t size = rest.size() < 24 ? rest.size() : 24;
    while (size != 0 && size != rest.size() && (static_cast<unsigned char>(rest[size]) & 0xC0) == 0x80) --size;
    return " There it says: " + std::string{rest.substr(0, size)} + (size < rest.size() ? "..." : "");
  }
  [[nodiscard]] bool at_word(std::string_view word) const noexcept {
    return (lexer_.kind() == query_token::keyword || lexer_.kind() == query_token::name) &&
           iequals(lexer_.word(), word);
  }
  [[nodiscard]] bool at_symbol(std::string_view s) const noexcept {
    return lexer_.kind() == query_token::symbol && lexer_.word() == s;
  }
  bool take_word(std::string_view word) {
    if (!at_word(word)) return false;
    lexer_.next();
    return true;
  }
  bool take_symbol(std::string_view s) {
    if (!at_symbol(s)) return false;
    lexer_.next();
    return true;
  }
  bool need_word(std::string_view word) { return take_word(word) || fail(std::string{word} + " expected"); }
  bool need_symbol(std::string_view s) { return take_symbol(s) || fail("'" + std::string{s} + "' expected"); }

  bool select() {
    if (!need_word("SELECT")) return false;
    if (take_word("TOP")) {
      auto const n = lexer_.kind() == query_token::number ? lexer_.number().as_int() : std::nullopt;
      if (!n || *n < 0) return fail("TOP needs a whole number");
      tree_.top = static_cast<std::uint64_t>(*n);
      lexer_.next();
    }
    if (take_symbol("*")) {
      tree_.everything = true;
      return true;
    }
    do {
      if (!item()) return false;
    } while (take_symbol(","));
    return true;
  }
  bool item() {
    query_item out;
    bool const bare = lexer_.kind() == query_token::name;
    std::string const first{lexer_.word()};
    if (!path(out.path)) return false;
    if (bare && out.path.size() == 1 && at_symbol("(") && !aggregate(first, out)) return false;
    if (take_word("AS")) {
      if (lexer_.kind() == query_token::bracketed) {
        out.alias = lexer_.string();
      } else if (lexer_.kind() == query_token::name) {
        out.alias = lexer_.word();
      } else {
        return fail("a name expected");
      }
      lexer_.next();
    }
    tree_.items.push_back(std::move(out));
    return true;
  }
  bool aggregate(std::string_view name, query_item& out) {
    struct known {
      std::string_view name;
      query_aggregate what;
    };
    out.path.clear();
    for (known const k : {known{"count", query_aggregate::count}, known{"avg", query_aggregate::avg},
                          known{"sum", query_aggregate::sum}, known{"min", query_aggregate::min},
                          known{"max", query_aggregate::max}})
      if (iequals(name, k.name)) out.aggregate = k.what;
    if (out.aggregate == query_aggregate::none) return fail("unknown function");
    lexer_.next();
    if (out.aggregate != query_aggregate::count && !path(out.path)) return false;
    return need_symbol(")");
  }
  bool source() {
    if (!need_word("FROM")) return false;
    if (!take_word("devices")) return fail("devices, devices.modules or devices.jobs expected");
    if (!take_symbol(".")) return true;
    if (take_word("modules")) {
      tree_.from = query_from::modules;
    } else if (take_word("jobs")) {
      tree_.from = query_from::jobs;
    } else {
      return fail("devices.modules or devices.jobs expected");
    }
    return true;
  }
  bool where() {
    if (!take_word("WHERE")) return true;
    std::uint32_t root = 0;
    if (!disjunction(root)) return false;
    if (tree_.nodes[root].height > 4 * allowed_.query_depth) return fail("the expression is nested too deeply");
    tree_.where = root;
    return true;
  }
  bool group() {
    if (!take_word("GROUP")) return true;
    if (!need_word("BY")) return false;
    do {
      query_path by;
      if (!path(by)) return false;
      tree_.group_by.push_back(std::move(by));
    } while (take_symbol(","));
    return true;
  }
  bool finish() {
    if (lexer_.kind() != query_token::end) return fail("unexpected text");
    if (tree_.from == query_from::jobs && !tree_.everything) return fail("devices.jobs allows SELECT * only");
    if (!tree_.group_by.empty() && tree_.from != query_from::devices) return fail("GROUP BY is for devices only");
    if (!tree_.aggregates()) return true;
    if (tree_.everything) return fail("GROUP BY does not go with SELECT *");
    for (auto const& i : tree_.items)
      if (i.aggregate == query_aggregate::none && !grouped(i.path))
        return fail("a selected path is not in GROUP BY");
    return true;
  }
  [[nodiscard]] bool grouped(query_path const& wanted) const noexcept {
    for (auto const& by : tree_.group_by)
      if (by == wanted) return true;
    return false;
  }

  // A leaf, or an operator over nodes made before.
  std::uint32_t make(query_op op) {
    query_node node;
    node.op = op;
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }
  std::uint32_t make(query_op op, std::uint32_t left) { return make(op, left, left); }
  std::uint32_t make(query_op op, std::uint32_t left, std::uint32_t right) {
    query_node node;
    node.op = op;
    node.left = left;
    node.right = right;
    std::uint32_t const a = tree_.nodes[left].height, b = tree_.nodes[right].height + 1;
    bool const chain = (op == query_op::logical_or || op == query_op::logical_and) && tree_.nodes[left].op == op;
    node.height = chain ? (a > b ? a : b) : (a + 1 > b ? a + 1 : b);
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }
  // Depth is counted where the grammar recurses; the height of the tree is what the evaluator recurses along.
  bool enter() { return ++depth_ <= allowed_.query_depth || fail("the expression is nested too deeply"); }

  bool disjunction(std::uint32_t& out) {
    if (!enter() || !conjunction(out)) return false;
    while (take_word("OR")) {
      std::uint32_t right = 0;
      if (!conjunction(right)) return false;
      out = make(query_op::logical_or, out, right);
    }
    --depth_;
    return true;
  }
  bool conjunction(std::uint32_t& out) {
    if (!negation(out)) return false;
    while (take_word("AND")) {
      std::uint32_t right = 0;
      if (!negation(right)) return false;
      out = make(query_op::logical_and, out, right);
    }
    return true;
  }
  bool negation(std::uint32_t& out) {
    if (!take_word("NOT")) return comparison(out);
    if (!enter() || !negation(out)) return false;
    out = make(query_op::logical_not, out);
    --depth_;
    return true;
  }
  bool comparison(std::uint32_t& out) {
    struct known {
      std::string_view symbol;
      query_op op;
    };
    if (!sum(out)) return false;
    for (known const k : {known{"=", query_op::equal}, known{"!=", query_op::not_equal},
                          known{"<>", query_op::not_equal}, known{"<", query_op::less}, known{">", query_op::greater},
                          known{"<=", query_op::less_equal}, known{">=", query_op::greater_equal}}) {
      if (!take_symbol(k.symbol)) continue;
      std::uint32_t right = 0;
      if (!sum(right)) return false;
      out = make(k.op, out, right);
      return true;
    }
    bool const in = at_word("IN");
    if (!in && !at_word("NIN")) return true;
    lexer_.next();
    std::uint32_t right = 0;
    if (!list(right)) return false;
    out = make(in ? query_op::in : query_op::not_in, out, right);
    return true;
  }
  bool sum(std::uint32_t& out) {
    if (!product(out)) return false;
    while (at_symbol("+") || at_symbol("-")) {
      query_op const op = at_symbol("+") ? query_op::add : query_op::subtract;
      lexer_.next();
      std::uint32_t right = 0;
      if (!product(right)) return false;
      out = make(op, out, right);
    }
    return true;
  }
  bool product(std::uint32_t& out) {
    if (!unary(out)) return false;
    while (at_symbol("*") || at_symbol("/") || at_symbol("%")) {
      query_op const op = at_symbol("*") ? query_op::multiply : at_symbol("/") ? query_op::divide : query_op::modulo;
      lexer_.next();
      std::uint32_t right = 0;
      if (!unary(right)) return false;
      out = make(op, out, right);
    }
    return true;
  }
  bool unary(std::uint32_t& out) {
    if (!take_symbol("-")) return primary(out);
    if (!enter() || !unary(out)) return false;
    out = make(query_op::negate, out);
    --depth_;
    return true;
  }
  bool primary(std::uint32_t& out) {
    if (take_symbol("(")) return disjunction(out) && need_symbol(")");
    if (at_symbol("[")) return list(out);
    json::value value;
    if (take_word("undefined")) return out = make(query_op::undefined), true;
    if (literal(value)) {
      out = make(query_op::literal);
      tree_.nodes[out].literal = std::move(value);
      return true;
    }
    if (lexer_.kind() != query_token::name && lexer_.kind() != query_token::bracketed) return fail("a value expected");
    bool const bare = lexer_.kind() == query_token::name;
    std::string const first{lexer_.word()};
    query_path names;
    if (!path(names)) return false;
    if (bare && names.size() == 1 && at_symbol("(")) return call(first, out);
    out = make(query_op::path);
    tree_.nodes[out].path = std::move(names);
    return true;
  }
  bool call(std::string_view name, std::uint32_t& out) {
    bool const defined = iequals(name, "IS_DEFINED");
    bool const starts = iequals(name, "STARTSWITH");
    if (!defined && !starts && !iequals(name, "ENDSWITH")) return fail("unknown function");
    lexer_.next();
    if (defined) {
      query_path names;
      if (!path(names)) return false;
      out = make(query_op::is_defined);
      tree_.nodes[out].path = std::move(names);
      return need_symbol(")");
    }
    std::uint32_t left = 0, right = 0;
    if (!enter() || !sum(left) || !need_symbol(",") || !sum(right)) return false;
    --depth_;
    out = make(starts ? query_op::starts_with : query_op::ends_with, left, right);
    return need_symbol(")");
  }
  // False without a problem noted where there is no literal.
  bool literal(json::value& out) {
    if (lexer_.kind() == query_token::number) {
      out = lexer_.number();
    } else if (lexer_.kind() == query_token::string) {
      out = json::value{lexer_.string()};
    } else if (at_word("true") || at_word("false")) {
      out = json::value{at_word("true")};
    } else if (at_word("null")) {
      out = nullptr;
    } else {
      return false;
    }
    lexer_.next();
    return true;
  }
  bool list(std::uint32_t& out) {
    if (!need_symbol("[")) return false;
    json::value items = json::value::make_array();
    while (!at_symbol("]")) {
      bool const negative = take_symbol("-");
      json::value value;
      if (negative && lexer_.kind() != query_token::number) return fail("a number expected");
      if (!literal(value)) return fail("a literal expected");
      if (negative && value.is_int())
        value = -*value.as_int();
      else if (negative)
        value = -*value.as_double();
      items.push_back(std::move(value));
      if (!take_symbol(",")) break;
    }
    out = make(query_op::list);
    tree_.nodes[out].literal = std::move(items);
    return need_symbol("]");
  }
  bool path(query_path& out) {
    do {
      if (lexer_.kind() == query_token::bracketed) {
        out.push_back(lexer_.string());
      } else if (lexer_.kind() == query_token::name) {
        out.emplace_back(lexer_.word());
      } else {
        return fail(lexer_.kind() == query_token::keyword ? "a reserved word as a name needs [[ ]]"
                                                          : "a name expected");
      }
      lexer_.next();
    } while (take_symbol("."));
    return true;
  }

  query_lexer lexer_;
  std::string_view text_;
  limits const& allowed_;
  query_tree tree_;
  std::string problem_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
};

}  // namespace detail

inline result<query_tree> parse_query(std::string_view text, limits const& allowed) {
  if (text.size() > allowed.query_text)
    return refuse(errc::bad_request, 400004,
                  "The query has more than " + std::to_string(allowed.query_text) + " characters");
  return detail::query_parser{text, allowed}.run();
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
