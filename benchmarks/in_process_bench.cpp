// The fake hub in process, over direct wiring: what a message, a method round trip and an idle device cost, the client
// and the hub together.
//
// There is no rival for these; the aims are in README.md. `allocs` counts calls of operator new, per message or call;
// `bytes_per_device` is the heap as malloc accounts for it (mallinfo2, its own overhead included).
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <iothub/fake_hub.hpp>

namespace {
std::uint64_t allocations = 0;
void* counted(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc{};
}
}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace {

using namespace iothub;
using device = fake_hub::device_client<>;

// Few events are kept, so that what is measured is a message and not a log that grows.
fake_hub make_hub() {
  fake_hub_options options;
  options.hub.retention.events = 1000;
  return fake_hub{options};
}

class count_allocations {
 public:
  explicit count_allocations(benchmark::State& state, double per = 1)
      : state_{state}, per_{per}, before_{allocations} {}
  ~count_allocations() {
    double const all = static_cast<double>(allocations - before_);
    state_.counters["allocs"] = all / static_cast<double>(state_.iterations()) / per_;
  }

 private:
  benchmark::State& state_;
  double per_;
  std::uint64_t before_;
};

std::size_t heap_in_use() {
  struct mallinfo2 const heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

// --- telemetry ------------------------------------------------------------------------------------------------------

constexpr std::int64_t batch = 100;  // messages of one burst

message telemetry(bool with_properties) {
  message m{.body = R"({"temperature":31.5,"humidity":64.25})"};
  if (with_properties) {
    m.properties = {{"temperatureAlert", "true"}};
    m.content_type = "application/json";
    m.content_encoding = "utf-8";
  }
  return m;
}

// One message after the other; each call returns when the hub has confirmed it.
void telemetry_blocking(benchmark::State& state) {
  fake_hub hub = make_hub();
  device d = hub.connect_device("thermostat-0000001");
  message const m = telemetry(state.range(0) != 0);
  d.send_telemetry(m).value();
  count_allocations const allocs{state};
  for (auto _ : state)
    if (!d.send_telemetry(m)) return state.SkipWithError("not confirmed");
}
BENCHMARK(telemetry_blocking)->Arg(0)->Arg(1);

// Bursts, the confirmations counted by completions: time and allocations are per message.
void telemetry_async(benchmark::State& state) {
  fake_hub hub = make_hub();
  device d = hub.connect_device("thermostat-0000001");
  message const m = telemetry(state.range(0) != 0);
  std::int64_t confirmed = 0;
  auto const burst = [&] {
    for (std::int64_t i = 0; i != batch; ++i)
      d.async_send_telemetry(m, [&confirmed](result<void> outcome) { confirmed += outcome.has_value(); });
    hub.poll();
  };
  burst();
  confirmed = 0;
  {
    count_allocations const allocs{state, static_cast<double>(batch)};
    for (auto _ : state) burst();
  }
  if (confirmed != state.iterations() * batch) return state.SkipWithError("not confirmed");
  state.SetItemsProcessed(confirmed);
}
BENCHMARK(telemetry_async)->Arg(0)->Arg(1);

// --- direct methods -------------------------------------------------------------------------------------------------

// A back end calls a device and has the answer: the request is made, signed and checked as HTTP values, routed, sent as
// MQTT values, parsed, answered by the handler with JSON, and all of it back.
void round_trips(benchmark::State& state, std::string const& id, json::value const& payload) {
  fake_hub hub = make_hub();
  device d = hub.connect_device(id);
  d.on_method("SetTelemetryInterval", [](method_request const& call) -> method_response {
    auto const seconds = call.payload.is_object() ? call.payload["seconds"].as_int() : call.payload.as_int();
    if (!seconds || *seconds < 1) return {.status = 400, .payload = {{"Response", "Invalid parameter"}}};
    return {.status = 200, .payload = {{"Response", "Executed direct method SetTelemetryInterval"}}};
  });
  auto service = hub.connect_service();
  method_request const call{.name = "SetTelemetryInterval", .payload = payload};
  hub.poll();
  auto const once = [&] {
    auto const reply = service.invoke_method(id, call);
    return reply && reply->status == 200;
  };
  if (!once()) return state.SkipWithError("no answer");
  count_allocations const allocs{state};
  for (auto _ : state)
    if (!once()) return state.SkipWithError("no answer");
}
// As in the quickstart.
void method_round_trip(benchmark::State& state) { round_trips(state, "MyCppDevice", 10); }
BENCHMARK(method_round_trip);
// An object for a payload, and an id too long for a std::string without a block of its own.
void method_round_trip_object(benchmark::State& state) {
  round_trips(state, "thermostat-0000001", {{"seconds", 10}, {"reason", "benchmark"}, {"until", "2024-01-01T10:20:30Z"}});
}
BENCHMARK(method_round_trip_object);

// --- many idle devices ----------------------------------------------------------------------------------------------

// A hub with that many connected devices that do nothing. Made once, and never taken down.
struct fleet {
  fake_hub hub = make_hub();
  std::vector<device> devices;

  explicit fleet(std::int64_t size) {
    devices.reserve(static_cast<std::size_t>(size));
    grow(size);
  }
  void grow(std::int64_t size) {
    char name[32];
    while (static_cast<std::int64_t>(devices.size()) < size) {
      std::snprintf(name, sizeof name, "thermostat-%07zu", devices.size() + 1);
      devices.push_back(hub.connect_device(name));
    }
    hub.poll();
  }
};

fleet& fleet_of(std::int64_t size) {
  static std::vector<std::unique_ptr<fleet>> all;
  for (auto const& f : all)
    if (static_cast<std::int64_t>(f->devices.size()) == size) return *f;
  return *all.emplace_back(std::make_unique<fleet>(size));
}

// Connecting one device after the other, registration included: time and memory per device.
void idle_device(benchmark::State& state) {
  std::int64_t const size = state.range(0);
  for (auto _ : state) {
    malloc_trim(0);
    std::size_t const before = heap_in_use();
    fleet all{size};
    state.PauseTiming();
    double const used = static_cast<double>(heap_in_use() - before) - static_cast<double>(sizeof all);
    state.counters["bytes_per_device"] = used / static_cast<double>(size);
    for (device const& d : all.devices)
      if (!d.is_connected()) return state.SkipWithError("not connected");
    all.devices.clear();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * size);
}
BENCHMARK(idle_device)->Arg(1'000)->Arg(100'000)->Iterations(1)->Unit(benchmark::kMillisecond);

// A turn of the loop with one participant that has work, while so many devices are idle.
struct counting : participant {
  void step(time_point) override { ++steps; }
  [[nodiscard]] time_point deadline() const override { return never; }
  std::uint64_t steps = 0;
};
void turn_beside_idle_devices(benchmark::State& state) {
  fleet& all = fleet_of(state.range(0));
  counting busy;
  all.hub.loop().add(busy);
  all.hub.poll();
  for (auto _ : state) {
    all.hub.loop().wake(busy);
    all.hub.loop().run_one(all.hub.now());
  }
}
BENCHMARK(turn_beside_idle_devices)->Arg(0)->Arg(100'000);

// A blocking send and its confirmation, while so many devices are idle.
void telemetry_beside_idle_devices(benchmark::State& state) {
  fleet& all = fleet_of(state.range(0));
  device d = all.hub.connect_device("busy");
  message const m = telemetry(false);
  for (auto _ : state)
    if (!d.send_telemetry(m)) return state.SkipWithError("not confirmed");
}
BENCHMARK(telemetry_beside_idle_devices)->Arg(0)->Arg(100'000);

}  // namespace

BENCHMARK_MAIN();
