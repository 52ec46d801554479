// Event readers in a run, and what is promised of them:
//   I1  every event of the log reaches a reader, none is skipped      I3  none twice, but behind the last checkpoint
//   I2  nothing is read that is not in the log, bit by bit            I4  the order of a partition is kept
//   I9  a checkpoint is never ahead of what was handed out            I13 when the faults end, all is read in bounded time
// Two that share the partitions may both see what the one had not saved when the other took over, and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "stage.hpp"

namespace iothub_test {

// The hub's log, as it was written.
struct event_book {
  struct entry {
    int device;
    std::uint64_t hash;  // of all that it says
  };
  static std::uint64_t hash_of(iothub::message const& m);
  void wrote(std::size_t partition, int device, iothub::message const& m);
  std::vector<std::vector<entry>> partitions = {};
};

// Keeps checkpoints and claims in memory, and fails when it is told to.
class watched_store final : public iothub::checkpoint_store {
 public:
  using scope = iothub::event_scope;
  iothub::result<std::vector<iothub::event_checkpoint>> checkpoints(scope const& of) override;
  iothub::result<void> save(scope const& of, iothub::event_checkpoint const& what) override;
  iothub::result<std::vector<iothub::partition_claim>> claims(scope const& of) override;
  iothub::result<void> claim(scope const& of, iothub::partition_claim const& what,
                             iothub::partition_claim const& expected) override;
  // The sequence number behind the checkpoint; 0 where there is none.
  [[nodiscard]] std::int64_t next_of(std::size_t partition) const;
  [[nodiscard]] std::uint64_t hands(std::size_t partition) const;
  std::uint64_t failures_left = 0;
  iothub::function<void(std::size_t partition, std::int64_t sequence)> on_save;

 private:
  bool fails() { return failures_left != 0 && failures_left-- != 0; }
  iothub::memory_checkpoint_store inner_;
  std::map<std::size_t, std::int64_t> next_;
  std::map<std::size_t, std::uint64_t> hands_;  // how often a claim went to another
  std::map<std::size_t, std::string> owner_;
};

class readers {
 public:
  readers(stage& on, event_book const& book);
  void start();
  // Stops and starts it again, behind its checkpoints: in order (close), or as a process that dies does, maybe in its handler.
  void stop(int which, iothub::duration away);
  void crash(int which, iothub::duration away, bool in_handler);
  void store_fails(int which, std::uint64_t times) { of(which).store->failures_left = times; }
  [[nodiscard]] int count() const noexcept { return static_cast<int>(all_.size()); }
  // All that is in the log was read.
  [[nodiscard]] bool settled() const;
  // What is missing, in words.
  [[nodiscard]] std::string describe() const;
  void calm();  // none fails or dies any more
  void end();

 private:
  struct one {
    int number = 0;
    std::string name = {};
    std::unique_ptr<any_reader> client = {};
    watched_store* store = nullptr;
    std::map<std::size_t, std::int64_t> next = {};  // per partition, the sequence number that has to come
    std::uint64_t incarnation = 0;
    bool dies_in_handler = false;
    iothub::duration away = std::chrono::seconds{1};
  };
  one& of(int which) { return *all_[static_cast<std::size_t>(which)]; }
  void make(one& r);
  void made_anew(one& r, iothub::duration wait);
  void on_event(one& r, iothub::hub_event const& e);
  void order(one& r, std::size_t partition, std::int64_t sequence);
  void fail(char const* invariant, one const& r, std::string what);

  stage& stage_;
  event_book const& book_;
  bool share_;
  bool ended_ = false;
  std::vector<std::unique_ptr<watched_store>> stores_;
  std::vector<std::unique_ptr<one>> all_;
  std::map<std::size_t, std::int64_t> seen_;  // of all that share: behind the newest
  std::map<std::size_t, std::vector<std::uint16_t>> times_;  // ... how often each was read
  std::uint64_t restarts_ = 0;
};

}  // namespace iothub_test
