// Who reads which partition: the claims that a reader should make now, from the claims that there are. Every reader
// decides by itself; the store's comparison decides between two that want the same.
//
//   1. What is mine is renewed, as long as it is not more than my share needs; a reader never gives up a partition by
//      itself, others take it.
//   2. What is free (never claimed, given up, or not renewed for `expiry`) is taken, up to the larger share: with seven
//      partitions and two readers one may have four.
//   3. Who has less than the smaller share takes from those who have more than it, from the one with most first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/base/time.hpp>
#include <iothub/service/checkpoint_store.hpp>

namespace iothub {
inline namespace v0 {

struct wanted_claim {
  partition_claim made = {};
  partition_claim expected = {};
};

// `partitions` in the order in which they are offered; `me` is not empty.
[[nodiscard]] inline std::vector<wanted_claim> balance_partitions(std::vector<std::string> const& partitions,
                                                                  std::vector<partition_claim> const& claims,
                                                                  std::string_view me, utc_time now, duration expiry) {
  struct share {
    std::string_view owner;
    std::size_t count;
  };
  std::vector<share> owners{{me, 0}};
  std::vector<partition_claim> held(partitions.size());
  for (std::size_t i = 0; i != partitions.size(); ++i) {
    held[i].partition = partitions[i];
    for (auto const& each : claims)
      if (each.partition == partitions[i]) held[i] = each;
  }
  auto const live = [&](partition_claim const& c) {
    return c.level != 0 && !c.owner.empty() && (c.owner == me || now - c.renewed < expiry);
  };
  for (auto const& each : held) {
    if (!live(each)) continue;
    bool known = false;
    for (auto& owner : owners)
      if (owner.owner == each.owner) ++owner.count, known = true;
    if (!known) owners.push_back({each.owner, 1});
  }
  std::size_t const least = partitions.size() / owners.size();
  std::size_t const most = least + (partitions.size() % owners.size() != 0 ? 1 : 0);

  std::vector<wanted_claim> wanted;
  auto const want = [&](partition_claim& c) {
    partition_claim const before = c;
    if (c.owner != me || c.level == 0) ++c.level;
    c.owner = me;
    c.renewed = now;
    wanted.push_back({c, before});
  };
  std::size_t& mine = owners[0].count;
  for (auto& each : held)
    if (live(each) && each.owner == me) want(each);
  for (auto& each : held)
    if (!live(each) && mine < most) ++mine, want(each);
  while (mine < least) {
    share* richest = nullptr;
    for (std::size_t i = 1; i != owners.size(); ++i)
      if (owners[i].count > least && (richest == nullptr || owners[i].count > richest->count)) richest = &owners[i];
    if (richest == nullptr) break;
    for (std::size_t i = held.size(); i-- != 0;)
      if (held[i].owner == richest->owner && live(held[i])) {
        --richest->count, ++mine;
        want(held[i]);
        break;
      }
  }
  return wanted;
}

}  // namespace v0
}  // namespace iothub
