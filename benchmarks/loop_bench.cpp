// The loop and its timer wheel against what is usually taken: std::priority_queue, std::multimap.
//
// Hold model: N timers are pending; take the earliest, set it again at a random time. Turn: the cost of one wake-up and
// one step while N others are idle; it must not depend on N.
#include <iothub/base/prng.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/io/timer_wheel.hpp>
#include <iothub/memory/virtual_loop.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <vector>

namespace {

using namespace iothub;

constexpr std::uint64_t spread = 60'000'000;  // deadlines up to a minute ahead, in microseconds

struct node {
  std::uint64_t state = 0;
  detail::timer_links<node> links = {};
};

void hold_timer_wheel(benchmark::State& state) {
  prng random{1};
  auto wheel = std::make_unique<timer_wheel<node, &node::links>>();
  std::vector<node> nodes(static_cast<std::size_t>(state.range(0)));
  for (node& n : nodes) wheel->insert(n, time_point{duration{static_cast<std::int64_t>(random.below(spread))}});
  std::vector<node*> due;
  for (auto _ : state) {
    time_point const next = wheel->next_wakeup();
    wheel->advance(next, [&](node& n) { due.push_back(&n); });
    for (node* n : due) wheel->insert(*n, next + duration{static_cast<std::int64_t>(1 + random.below(spread))});
    state.counters["fired"] += static_cast<double>(due.size());
    due.clear();
  }
  state.counters["events/s"] = benchmark::Counter(state.counters["fired"], benchmark::Counter::kIsRate);
}

void hold_priority_queue(benchmark::State& state) {
  struct event {
    std::int64_t at;
    std::uint32_t which;
    bool operator>(event const& other) const { return at > other.at; }
  };
  prng random{1};
  std::priority_queue<event, std::vector<event>, std::greater<>> queue;
  for (std::int64_t i = 0; i != state.range(0); ++i)
    queue.push({static_cast<std::int64_t>(random.below(spread)), static_cast<std::uint32_t>(i)});
  for (auto _ : state) {
    event e = queue.top();
    queue.pop();
    e.at += 1 + static_cast<std::int64_t>(random.below(spread));
    queue.push(e);
  }
  state.counters["events/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void hold_multimap(benchmark::State& state) {
  prng random{1};
  std::multimap<std::int64_t, std::uint32_t> queue;
  for (std::int64_t i = 0; i != state.range(0); ++i)
    queue.emplace(static_cast<std::int64_t>(random.below(spread)), static_cast<std::uint32_t>(i));
  for (auto _ : state) {
    auto taken = queue.extract(queue.begin());
    taken.key() += 1 + static_cast<std::int64_t>(random.below(spread));
    queue.insert(std::move(taken));
  }
  state.counters["events/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

struct counting : participant {
  explicit counting(loop& on, time_point at = never) : due{at} { on.add(*this); }
  void step(time_point) override { ++steps; }
  time_point deadline() const override { return due; }
  time_point due;
  std::uint64_t steps = 0;
};

// One wake-up and one turn while others are idle, each with a deadline of its own.
void turn(benchmark::State& state) {
  memory::virtual_loop l;
  prng random{1};
  std::vector<std::unique_ptr<counting>> idle;
  for (std::int64_t i = 0; i != state.range(0); ++i)
    idle.push_back(std::make_unique<counting>(
        l, l.now() + std::chrono::hours{1} + duration{static_cast<std::int64_t>(random.below(spread))}));
  counting busy{l};
  l.poll();
  for (auto _ : state) {
    l.wake(busy);
    l.run_one(l.now());
  }
}

// A whole event: time jumps, the earliest of N participants is stepped and names its next deadline.
void virtual_event(benchmark::State& state) {
  struct periodic : participant {
    periodic(loop& on, prng& r) : random{r} { on.add(*this); }
    void step(time_point now) override { due = now + duration{static_cast<std::int64_t>(1 + random.below(spread))}; }
    time_point deadline() const override { return due; }
    prng& random;
    time_point due = never;
  };
  memory::virtual_loop l;
  prng random{1};
  std::vector<std::unique_ptr<periodic>> all;
  for (std::int64_t i = 0; i != state.range(0); ++i) all.push_back(std::make_unique<periodic>(l, random));
  l.poll();
  for (auto _ : state) l.run_one();
  state.counters["events/s"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(hold_timer_wheel)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(hold_priority_queue)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(hold_multimap)->Arg(1'000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(turn)->Arg(0)->Arg(1'000)->Arg(100'000);
BENCHMARK(virtual_event)->Arg(1)->Arg(1'000)->Arg(100'000);

}  // namespace

BENCHMARK_MAIN();
