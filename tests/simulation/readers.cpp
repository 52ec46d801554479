#include "readers.hpp"

#include <cstdlib>
#include <utility>

namespace iothub_test {

using namespace iothub;
using namespace std::chrono_literals;

// --- the log

std::uint64_t event_book::hash_of(iothub::message const& m) {
  std::uint64_t h = 14695981039346656037u;
  auto const mix = [&h](std::string_view text) {
    for (char const c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211u;
    h = (h ^ text.size()) * 1099511628211u;
  };
  for (std::string_view const text : {m.body.bytes(), std::string_view{m.message_id}, std::string_view{m.correlation_id},
                                      std::string_view{m.content_type}, std::string_view{m.content_encoding}})
    mix(text);
  for (auto const& p : m.properties) mix(p.name), mix(p.value);
  return h;
}
void event_book::wrote(std::size_t partition, int device, iothub::message const& m) {
  if (partitions.size() <= partition) partitions.resize(partition + 1);
  partitions[partition].push_back({device, hash_of(m)});
}

// --- the store

namespace {
std::size_t number_of(std::string const& partition) {
  return static_cast<std::size_t>(std::strtoull(partition.c_str(), nullptr, 10));
}
error no_store() { return {errc::io_error, "the store is not there"}; }
}  // namespace

result<std::vector<event_checkpoint>> watched_store::checkpoints(scope const& of) {
  if (fails()) return no_store();
  return inner_.checkpoints(of);
}
result<void> watched_store::save(scope const& of, event_checkpoint const& what) {
  if (fails()) return no_store();
  auto saved = inner_.save(of, what);
  if (saved) {
    next_[number_of(what.partition)] = what.sequence_number + 1;
    if (on_save) on_save(number_of(what.partition), what.sequence_number);
  }
  return saved;
}
result<std::vector<partition_claim>> watched_store::claims(scope const& of) {
  if (fails()) return no_store();
  return inner_.claims(of);
}
result<void> watched_store::claim(scope const& of, partition_claim const& what, partition_claim const& expected) {
  if (fails()) return no_store();
  auto claimed = inner_.claim(of, what, expected);
  if (claimed && owner_[number_of(what.partition)] != what.owner) {
    owner_[number_of(what.partition)] = what.owner;
    ++hands_[number_of(what.partition)];
  }
  return claimed;
}
std::int64_t watched_store::next_of(std::size_t partition) const {
  auto const found = next_.find(partition);
  return found == next_.end() ? 0 : found->second;
}
std::uint64_t watched_store::hands(std::size_t partition) const {
  auto const found = hands_.find(partition);
  return found == hands_.end() ? 0 : found->second;
}

// --- the readers

readers::readers(stage& on, event_book const& book) : stage_{on}, book_{book}, share_{on.script_of().share != 0} {
  for (int i = 0; i != static_cast<int>(on.script_of().readers); ++i) {
    all_.push_back(std::make_unique<one>());
    one& r = *all_.back();
    r.number = i;
    r.name = "reader " + std::to_string(i);
    if (!share_ || stores_.empty()) stores_.push_back(std::make_unique<watched_store>());
    r.store = stores_.back().get();
    r.store->on_save = [this, &r](std::size_t partition, std::int64_t sequence) {
      stage_.clock();
      stage_.judge.note("checkpoint", -1, static_cast<std::int64_t>(partition), sequence, r.name);
      std::int64_t const read = share_ ? seen_[partition] : r.next[partition];
      if (sequence >= read)
        fail("I9", r, "the checkpoint of partition " + std::to_string(partition) + " is behind event " +
            std::to_string(sequence) +
                          ", which was not handed out");
    };
  }
}

void readers::fail(char const* invariant, one const& r, std::string what) {
  stage_.judge.fail(invariant, -1, r.name + ": " + std::move(what));
}

void readers::start() {
  for (auto const& r : all_) make(*r);
}

void readers::make(one& r) {
  if (ended_) return;
  stage_.clock();
  stage_.judge.note("reader", -1, r.number);
  ++r.incarnation;
  r.next.clear();
  for (std::size_t p = 0; p != 64 && !share_; ++p)
    if (auto const n = r.store->next_of(p); n != 0) r.next[p] = n;
  reader_plan plan;
  plan.store = r.store;
  plan.share = share_;
  plan.name = r.name;
  plan.prefetch = static_cast<std::uint32_t>(stage_.script_of().prefetch);
  plan.on_event = [this, &r](hub_event const& e) { on_event(r, e); };
  plan.failed = [this, &r, n = r.incarnation](error const& why) {
    stage_.clock();
    stage_.judge.scan(why.message());
    stage_.judge.note("reader failed", -1, r.number, 0, why.message());
    stage_.later(10s, [this, &r, n] {
      if (n != r.incarnation || r.client == nullptr) return;
      r.client.reset();
      ++restarts_;
      make(r);
    });
  };
  r.client = iothub_test::make_reader(stage_.back_end(r.name), std::move(plan));
}

void readers::made_anew(one& r, duration wait) {
  ++restarts_;
  stage_.later(wait, [this, &r] {
    if (r.client == nullptr) make(r);
  });
}

void readers::stop(int which, duration away) {
  if (which >= count() || of(which).client == nullptr) return;
  one& r = of(which);
  stage_.clock();
  stage_.judge.note("reader stops", -1, r.number);
  r.client->close();
  stage_.later(5s, [this, &r, n = r.incarnation, away] {
    if (r.incarnation != n || r.client == nullptr) return;
    r.client.reset();
    made_anew(r, away);
  });
}

void readers::crash(int which, duration away, bool in_handler) {
  if (which >= count() || of(which).client == nullptr) return;
  one& r = of(which);
  r.away = away;
  if (in_handler) return void(r.dies_in_handler = true);
  stage_.clock();
  stage_.judge.note("reader crashes", -1, r.number);
  r.client.reset();
  made_anew(r, away);
}

void readers::on_event(one& r, hub_event const& e) {
  stage_.clock();
  std::size_t const p = number_of(e.partition);
  stage_.judge.note("read", -1, static_cast<std::int64_t>(p), e.sequence_number, r.name);
  if (e.missed_before != 0) fail("I1", r, std::to_string(e.missed_before) + " events are told to be missed; the log has them");
  if (p >= book_.partitions.size() || e.sequence_number < 0 ||
      static_cast<std::size_t>(e.sequence_number) >= book_.partitions[p].size())
    return fail("I2", r, "event " + std::to_string(e.sequence_number) + " of partition " + e.partition + " is not in the log");
  auto const& was = book_.partitions[p][static_cast<std::size_t>(e.sequence_number)];
  if (e.device_id != "d" + std::to_string(was.device) || event_book::hash_of(e.content) != was.hash)
    return fail("I2", r, "event " + std::to_string(e.sequence_number) + " of partition " + e.partition +
        " is not what the log has");
  order(r, p, e.sequence_number);
  if (!std::exchange(r.dies_in_handler, false)) return;
  stage_.judge.note("reader dies", -1, r.number);
  r.client.reset();
  made_anew(r, r.away);
}

void readers::order(one& r, std::size_t p, std::int64_t sequence) {
  std::string const which = "event " + std::to_string(sequence) + " of partition " + std::to_string(p);
  if (!share_) {
    std::int64_t& next = r.next[p];
    if (sequence < next) return fail("I3", r, which + " came after event " + std::to_string(next - 1));
    if (sequence > next) return fail("I1", r, which + " came, event " + std::to_string(next) + " was to come");
    ++next;
    return;
  }
  std::int64_t& seen = seen_[p];
  if (sequence > seen) return fail("I1", r, which + " came, event " + std::to_string(seen) + " did not");
  auto& times = times_[p];
  if (sequence == seen) {
    ++seen;
    times.push_back(0);
  }
  if (auto& n = times[static_cast<std::size_t>(sequence)]; ++n > 1 + r.store->hands(p) + restarts_)
    fail("I3", r, which + " came " + std::to_string(n) + " times");
}

bool readers::settled() const {
  for (auto const& r : all_) {
    if (r->client == nullptr) return false;
    for (std::size_t p = 0; p != book_.partitions.size(); ++p) {
      auto const& from = share_ ? seen_ : r->next;
      auto const found = from.find(p);
      if ((found == from.end() ? 0u : static_cast<std::size_t>(found->second)) != book_.partitions[p].size()) return false;
    }
  }
  return true;
}

std::string readers::describe() const {
  std::string text;
  for (auto const& r : all_) {
    text += (text.empty() ? "" : "; ") + r->name + (r->client == nullptr ? " is away" : "");
    for (std::size_t p = 0; p != book_.partitions.size(); ++p) {
      auto const& from = share_ ? seen_ : r->next;
      auto const found = from.find(p);
      std::int64_t const next = found == from.end() ? 0 : found->second;
      if (static_cast<std::size_t>(next) != book_.partitions[p].size())
        text += ", has " + std::to_string(next) + " of " + std::to_string(book_.partitions[p].size()) +
            " events of partition " + std::to_string(p);
    }
  }
  return text;
}

void readers::calm() {
  for (auto const& r : all_) {
    r->dies_in_handler = false;
    r->store->failures_left = 0;
  }
}

void readers::end() {
  ended_ = true;
  for (auto const& r : all_) {
    r->dies_in_handler = false;
    if (r->client != nullptr) r->client->close();
  }
  stage_.later(20s, [this] {
    for (auto const& r : all_) r->client.reset();
  });
}

}  // namespace iothub_test
