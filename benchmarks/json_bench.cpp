// Twin documents in JSON: ours against nlohmann/json, RapidJSON and Boost.JSON, in one binary.
//
// twin: parse a twin and a patch, merge (RFC 7396), print. parse, print: the same document alone. resident: a parsed
// patch applied to a document that stays, which is what a hub does; its cost must not grow with the document.
// `allocs` counts heap allocations per iteration (operator new; for RapidJSON its own allocator).
#include <benchmark/benchmark.h>

#include <boost/json/src.hpp>
#include <cstdint>
#include <cstdlib>
#include <iothub/json/merge_patch.hpp>
#include <iothub/json/value.hpp>
#include <new>
#include <nlohmann/json.hpp>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <string>

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

// --- documents ------------------------------------------------------------------------------------------------------

std::string number(int i) { return std::to_string(i); }

// One sensor as a device reports it: about 250 bytes.
std::string sensor(int i) {
  return "\"sensor" + number(i) + R"(":{"name":"Sensor )" + number(i) + R"(","unit":"celsius","value":)" +
         number(20 + i % 15) + "." + number(i % 9 + 1) + R"(,"min":-40,"max":)" + number(85 + i) +
         R"(,"enabled":)" + (i % 3 ? "true" : "false") + R"(,"firmware":"2.4.)" + number(i) +
         R"(-rc1+build.20240117","location":{"lat":47.6)" + number(100 + i) + R"(,"lon":-122.)" + number(1000 + i) +
         R"(,"floor":)" + number(i % 12) + R"(},"lastSeen":"2024-01-01T00:00:)" + number(10 + i % 50) +
         R"(.000Z","alarms":[)" + number(i) + "," + number(i * 7) + "]}";
}

std::string twin(std::size_t size) {
  std::string out =
      R"({"deviceId":"thermostat-1","etag":"AAAAAAAAAAE=","version":17,"tags":{"site":"Redmond 43","building":"43","plant":"assembly-7"},)"
      R"("properties":{"desired":{"telemetryConfig":{"sendFrequency":"5m","batch":10,"retry":{"max":5,"backoff":1.5}},"$version":4},"reported":{)";
  for (int i = 0; out.size() + 300 < size; ++i) {
    if (i != 0) out += ',';
    out += sensor(i);
  }
  return out + R"(,"$version":233}}})";
}

std::string const patch_text =
    R"({"properties":{"desired":{"telemetryConfig":{"sendFrequency":"10m","batch":null},"$version":5},)"
    R"("reported":{"sensor1":{"value":31.25,"enabled":false,"lastSeen":"2024-01-01T10:20:30.000Z"},)"
    R"("sensor3":{"alarms":[1,2,3],"firmware":null},"rebootTime":"2024-01-01T00:00:20.000Z","batteryLevel":87},"$version":234}})";

std::string const& document(std::int64_t size) {
  static std::string const small = twin(4 * 1024);
  static std::string const large = twin(32 * 1024);
  return size == 4 ? small : large;
}

// --- the libraries --------------------------------------------------------------------------------------------------

struct ours {
  using value = iothub::json::value;
  static value parse(std::string const& text) { return *iothub::json::parse(text); }
  static std::string print(value const& v) { return v.dump(); }
  static void merge_once(value& target, value&& patch) { iothub::json::merge_patch(target, std::move(patch)); }
  static void merge(value& target, value const& patch) { iothub::json::merge_patch(target, patch); }
};

struct with_nlohmann {
  using value = nlohmann::json;
  static value parse(std::string const& text) { return nlohmann::json::parse(text); }
  static std::string print(value const& v) { return v.dump(); }
  static void merge_once(value& target, value&& patch) { target.merge_patch(patch); }
  static void merge(value& target, value const& patch) { target.merge_patch(patch); }
};

struct counting_allocator : rapidjson::CrtAllocator {
  void* Malloc(std::size_t size) { return ++allocations, CrtAllocator::Malloc(size); }
  void* Realloc(void* p, std::size_t before, std::size_t after) {
    return ++allocations, CrtAllocator::Realloc(p, before, after);
  }
};
struct with_rapidjson {
  using pool = rapidjson::MemoryPoolAllocator<counting_allocator>;
  using value = rapidjson::GenericDocument<rapidjson::UTF8<>, pool, counting_allocator>;
  using node = value::ValueType;
  static value parse(std::string const& text) {
    value v;
    v.Parse(text.data(), text.size());
    return v;
  }
  static std::string print(value const& v) {
    rapidjson::GenericStringBuffer<rapidjson::UTF8<>, counting_allocator> out;
    rapidjson::Writer<decltype(out), rapidjson::UTF8<>, rapidjson::UTF8<>, counting_allocator> writer{out};
    v.Accept(writer);
    return {out.GetString(), out.GetSize()};
  }
  static void merge_node(node& target, node const& patch, pool& memory) {
    if (!patch.IsObject()) {
      target.CopyFrom(patch, memory);
      return;
    }
    if (!target.IsObject()) target.SetObject();
    for (auto const& m : patch.GetObject()) {
      auto const found = target.FindMember(m.name);
      if (m.value.IsNull()) {
        if (found != target.MemberEnd()) target.EraseMember(found);
      } else if (found != target.MemberEnd()) {
        merge_node(found->value, m.value, memory);
      } else {
        node fresh;
        merge_node(fresh, m.value, memory);
        target.AddMember(node{m.name, memory}, fresh, memory);
      }
    }
  }
  static void merge_once(value& target, value&& patch) { merge_node(target, patch, target.GetAllocator()); }
  static void merge(value& target, value const& patch) { merge_node(target, patch, target.GetAllocator()); }
};

struct with_boost {
  using value = boost::json::value;
  static value parse(std::string const& text) { return boost::json::parse(text); }
  static std::string print(value const& v) { return boost::json::serialize(v); }
  static void merge(value& target, value const& patch) {
    if (!patch.is_object()) {
      target = patch;
      return;
    }
    if (!target.is_object()) target.emplace_object();
    auto& object = target.get_object();
    for (auto const& m : patch.get_object()) {
      if (m.value().is_null())
        object.erase(m.key());
      else
        merge(object[m.key()], m.value());
    }
  }
  static void merge_once(value& target, value&& patch) { merge(target, patch); }
};
// The fastest form that Boost.JSON documents: everything of one round in one monotonic resource.
struct with_boost_monotonic : with_boost {};

// --- measurements ---------------------------------------------------------------------------------------------------

template <class F>
void measure(benchmark::State& state, std::size_t bytes, F&& once) {
  once();
  std::uint64_t const before = allocations;
  for (auto _ : state) once();
  state.counters["allocs"] =
      benchmark::Counter(static_cast<double>(allocations - before) / static_cast<double>(state.iterations()));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * static_cast<std::int64_t>(state.iterations()));
}

template <class Library>
void twin_round(benchmark::State& state) {
  std::string const& text = document(state.range(0));
  measure(state, text.size(), [&] {
    auto target = Library::parse(text);
    Library::merge_once(target, Library::parse(patch_text));
    benchmark::DoNotOptimize(Library::print(target));
  });
}
template <>
void twin_round<with_boost_monotonic>(benchmark::State& state) {
  std::string const& text = document(state.range(0));
  measure(state, text.size(), [&] {
    boost::json::monotonic_resource memory;
    auto target = boost::json::parse(text, &memory);
    with_boost::merge(target, boost::json::parse(patch_text, &memory));
    benchmark::DoNotOptimize(boost::json::serialize(target));
  });
}

template <class Library>
void parse(benchmark::State& state) {
  std::string const& text = document(state.range(0));
  measure(state, text.size(), [&] { benchmark::DoNotOptimize(Library::parse(text)); });
}

template <class Library>
void print(benchmark::State& state) {
  std::string const& text = document(state.range(0));
  auto const target = Library::parse(text);
  measure(state, text.size(), [&] { benchmark::DoNotOptimize(Library::print(target)); });
}

template <class Library>
void resident(benchmark::State& state) {
  auto target = Library::parse(document(state.range(0)));
  auto const patch = Library::parse(patch_text);
  measure(state, patch_text.size(), [&] {
    Library::merge(target, patch);
    benchmark::ClobberMemory();
  });
}

// All must agree before any is measured.
bool const agree = [] {
  for (int const size : {4, 32}) {
    auto const result = [&](auto library) {
      auto target = library.parse(document(size));
      library.merge_once(target, library.parse(patch_text));
      return nlohmann::json::parse(library.print(target));
    };
    auto const expected = result(with_nlohmann{});
    if (result(ours{}) != expected || result(with_rapidjson{}) != expected || result(with_boost{}) != expected) {
      std::fputs("json_bench: the libraries disagree\n", stderr);
      std::exit(1);
    }
  }
  return true;
}();

#define MEASURE(what)                                                          \
  BENCHMARK_TEMPLATE(what, ours)->Arg(4)->Arg(32);                             \
  BENCHMARK_TEMPLATE(what, with_nlohmann)->Arg(4)->Arg(32);                    \
  BENCHMARK_TEMPLATE(what, with_rapidjson)->Arg(4)->Arg(32);                   \
  BENCHMARK_TEMPLATE(what, with_boost)->Arg(4)->Arg(32)

MEASURE(twin_round);
BENCHMARK_TEMPLATE(twin_round, with_boost_monotonic)->Arg(4)->Arg(32);
MEASURE(parse);
MEASURE(print);
MEASURE(resident);

}  // namespace

BENCHMARK_MAIN();
