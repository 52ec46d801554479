// Where readers remember how far they are, and agree on who reads what.
//
// Checkpoints. One per partition of a scope (hub and consumer group): the last event that was handled. A reader that is
// started again goes on behind it.
//
// Claims. Several readers with one store share the partitions among them: each claims some, renews its claims, and
// takes over what is not renewed any more. A claim has a level, which rises by one with each change of hands and is the
// owner level (epoch) of the receiver on the wire: the hub throws out whoever has a lower one, so that two readers
// never get the same partition side by side for longer than that takes, whatever their clocks say. The same level
// guards the checkpoints: one of a reader that lost its claim meanwhile is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// What checkpoints belong to: "hub/$Default".
struct event_scope {
  std::string entity = {};
  std::string consumer_group = {};
  [[nodiscard]] std::string name() const { return entity + '/' + consumer_group; }
  friend bool operator==(event_scope const&, event_scope const&) = default;
};

struct event_checkpoint {
  std::string partition = {};
  std::string offset = {};
  std::int64_t sequence_number = -1;
  std::int64_t level = 0;  // of the claim under which it was read; 0: none
  friend bool operator==(event_checkpoint const&, event_checkpoint const&) = default;
};

struct partition_claim {
  std::string partition = {};
  std::string owner = {};  // empty: given up
  std::int64_t level = 0;
  utc_time renewed = no_time;
  friend bool operator==(partition_claim const&, partition_claim const&) = default;
};

// Called from the reader's loop: an implementation should answer soon, and must not call the reader. Errors end
// nothing: the reader tries again later and says so by a notice.
class checkpoint_store {
 public:
  virtual result<std::vector<event_checkpoint>> checkpoints(event_scope const& of) = 0;
  // errc::lock_lost when somebody else holds a claim of a higher level.
  virtual result<void> save(event_scope const& of, event_checkpoint const& what) = 0;
  virtual result<std::vector<partition_claim>> claims(event_scope const& of) = 0;
  // Puts a claim in the place of `expected` (one with level 0: nobody ever had one), unless it changed meanwhile, in
  // owner or level: then errc::precondition_failed.
  virtual result<void> claim(event_scope const& of, partition_claim const& what, partition_claim const& expected) = 0;

 protected:
  ~checkpoint_store() = default;
};

// Holds the rules that all stores share: a table of one scope.
struct checkpoint_table {
  std::vector<event_checkpoint> checkpoints = {};
  std::vector<partition_claim> claims = {};

  [[nodiscard]] partition_claim const* claim_of(std::string_view partition) const noexcept {
    for (auto const& each : claims)
      if (each.partition == partition) return &each;
    return nullptr;
  }
  result<void> save(event_checkpoint const& what) {
    auto const* const held = claim_of(what.partition);
    if (held != nullptr && held->level > what.level && what.level != 0)
      return error{errc::lock_lost, "another reader has claimed partition " + what.partition};
    for (auto& each : checkpoints)
      if (each.partition == what.partition) {
        each = what;
        return {};
      }
    checkpoints.push_back(what);
    return {};
  }
  result<void> claim(partition_claim const& what, partition_claim const& expected) {
    auto const* const held = claim_of(what.partition);
    if (held == nullptr ? expected.level != 0 : held->level != expected.level || held->owner != expected.owner)
      return error{errc::precondition_failed, "the claim on partition " + what.partition + " has changed hands"};
    if (held == nullptr)
      claims.push_back(what);
    else
      claims[static_cast<std::size_t>(held - claims.data())] = what;
    return {};
  }
};

// In the memory of one process: for tests, and for readers that only share partitions.
class memory_checkpoint_store final : public checkpoint_store {
 public:
  result<std::vector<event_checkpoint>> checkpoints(event_scope const& of) override { return table(of).checkpoints; }
  result<void> save(event_scope const& of, event_checkpoint const& what) override { return table(of).save(what); }
  result<std::vector<partition_claim>> claims(event_scope const& of) override { return table(of).claims; }
  result<void> claim(event_scope const& of, partition_claim const& what, partition_claim const& expected) override {
    return table(of).claim(what, expected);
  }

 private:
  struct entry {
    std::string scope;
    checkpoint_table table = {};
  };
  checkpoint_table& table(event_scope const& of) {
    std::string const name = of.name();
    for (auto& each : tables_)
      if (each.scope == name) return each.table;
    tables_.push_back({name});
    return tables_.back().table;
  }
  std::vector<entry> tables_;
};

}  // namespace v0
}  // namespace iothub
