// Nodes of a std::map or std::set that wait for the next element: what comes and goes all the time then costs no
// allocation.
#pragma once

#include <cstddef>
#include <utility>

namespace iothub {
inline namespace v0 {
namespace hub {

template <class Tree>
class spare_nodes {
 public:
  // Both overwrite nothing: the key must not be in the tree. The element is at the place that is returned.
  template <class Key>
  auto insert(Tree& tree, Key const& key) {
    if (count_ == 0) return tree.insert(key).first;
    auto node = std::move(nodes_[--count_]);
    node.value() = key;
    return tree.insert(std::move(node)).position;
  }
  template <class Key, class Value>
  auto insert(Tree& tree, Key const& key, Value&& value) {
    if (count_ == 0) return tree.emplace(key, std::forward<Value>(value)).first;
    auto node = std::move(nodes_[--count_]);
    node.key() = key;
    node.mapped() = std::forward<Value>(value);
    return tree.insert(std::move(node)).position;
  }
  void erase(Tree& tree, typename Tree::const_iterator at) {
    auto node = tree.extract(at);
    if (count_ == size) return;
    if constexpr (requires { node.mapped(); }) node.mapped() = {};
    nodes_[count_++] = std::move(node);
  }

 private:
  static constexpr std::size_t size = 8;

  typename Tree::node_type nodes_[size];
  std::size_t count_ = 0;
};

}  // namespace hub
}  // namespace v0
}  // namespace iothub
