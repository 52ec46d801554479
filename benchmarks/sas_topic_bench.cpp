// SAS tokens and topics against what one would write by hand: one-shot HMAC() of OpenSSL with base64 and escapes, and
// topics put together from std::string. Each of ours is timed beside its rival in one process; the table at the end
// gives the ratios and the allocations of one call.
#include <benchmark/benchmark.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>

#include <iothub/crypto/openssl.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/hub_topics.hpp>
#include <iothub/wire/sas_signer.hpp>

namespace {
std::size_t allocations = 0;

// Not inlined, or the compiler sees malloc() meet delete and warns.
[[gnu::noinline]] void* counted(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc{};
}
[[gnu::noinline]] void give_back(void* p) noexcept {
  std::free(p);
}

// What OpenSSL allocates counts as well.
void* counted_malloc(std::size_t size, char const*, int) {
  ++allocations;
  return std::malloc(size);
}
void* counted_realloc(void* p, std::size_t size, char const*, int) {
  ++allocations;
  return std::realloc(p, size);
}
void counted_free(void* p, char const*, int) {
  std::free(p);
}
}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void operator delete(void* p) noexcept {
  give_back(p);
}
void operator delete(void* p, std::size_t) noexcept {
  give_back(p);
}

namespace {

using namespace iothub;

struct fixed_clock {
  [[nodiscard]] time_point now() const { return {}; }
  [[nodiscard]] utc_time utc_now() const { return from_unix_seconds(1'700'000'000); }
};

std::string const key_text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

// Counts what one iteration allocates, beside the time.
template <class F>
void run(benchmark::State& state, F f) {
  f();
  std::size_t const before = allocations;
  std::size_t rounds = 0;
  for (auto _ : state) {
    f();
    ++rounds;
  }
  state.counters["allocs"] = static_cast<double>(allocations - before) / static_cast<double>(rounds);
}

// --- the rivals, as one would write them by hand

std::string naive_escape(std::string const& text) {
  std::string out;
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      char escape[4];
      std::snprintf(escape, sizeof escape, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    }
  }
  return out;
}

// No more than the work itself: HMAC() with the decoded key, base64, escapes written to a buffer.
std::size_t one_shot_signature(std::string const& key, std::string const& text, char* out) {
  unsigned char digest[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<unsigned char const*>(text.data()),
       text.size(), digest, &size);
  unsigned char base64[64];
  int const length = EVP_EncodeBlock(base64, digest, 32);
  char* end = out;
  for (int i = 0; i != length; ++i) {
    char const c = static_cast<char>(base64[i]);
    if (c == '+' || c == '/' || c == '=') {
      std::memcpy(end, c == '+' ? "%2B" : c == '/' ? "%2F" : "%3D", 3);
      end += 3;
    } else {
      *end++ = c;
    }
  }
  return static_cast<std::size_t>(end - out);
}

std::string naive_topic(std::string const& device_id, message const& m) {
  std::string topic = "devices/" + device_id + "/messages/events/";
  bool first = true;
  auto const add = [&](std::string const& name, std::string const& value) {
    if (!first) topic += '&';
    first = false;
    topic += naive_escape(name) + "=" + naive_escape(value);
  };
  if (!m.message_id.empty()) add("$.mid", m.message_id);
  if (!m.content_type.empty()) add("$.ct", m.content_type);
  for (auto const& p : m.properties) add(p.name, p.value);
  return topic;
}

// --- SAS

void sas_sign_one_shot_openssl(benchmark::State& state) {
  std::string const key = from_base64(key_text).value();
  std::string const text = "myhub.azure-devices.net%2Fdevices%2Fdevice1\n1700000000";
  run(state, [&] {
    char out[3 * 44];
    benchmark::DoNotOptimize(one_shot_signature(key, text, out));
    benchmark::ClobberMemory();
  });
}
BENCHMARK(sas_sign_one_shot_openssl);

auto make_signer() {
  return basic_sas_signer<fixed_clock, openssl_crypto>::make(
             {}, {}, secret{key_text}, {.host_name = "myhub.azure-devices.net", .device_id = "device1"})
      .value();
}

void sas_append_token_ours(benchmark::State& state) {
  auto signer = make_signer();
  std::string text;
  run(state, [&] {
    text.clear();
    signer.append_token(text).value();
    benchmark::DoNotOptimize(text.data());
  });
}
BENCHMARK(sas_append_token_ours);

void sas_token_ours(benchmark::State& state) {
  auto signer = make_signer();
  run(state, [&] { benchmark::DoNotOptimize(signer.token().value()); });
}
BENCHMARK(sas_token_ours);

// The hub's side: parse and verify a token, and see what it opens.
void sas_check_one_shot_openssl(benchmark::State& state) {
  std::string const key = from_base64(key_text).value();
  std::string const token = make_signer().token().value();
  run(state, [&] {
    auto const parsed = parse_sas_token(token);
    std::string text{parsed->resource};
    text.append("\n").append(parsed->expiry_text);
    char out[3 * 44];
    benchmark::DoNotOptimize(one_shot_signature(key, text, out));
  });
}
BENCHMARK(sas_check_one_shot_openssl);

void sas_check_ours(benchmark::State& state) {
  openssl_crypto crypto;
  auto key = crypto.prepare(from_base64(key_text).value()).value();
  std::string const token = make_signer().token().value();
  run(state, [&] {
    auto const parsed = parse_sas_token(token);
    bool const good = verify_sas_signature(*parsed, crypto, key).value() &&
                      sas_resource_covers(parsed->resource, "myhub.azure-devices.net/devices/device1");
    if (!good) state.SkipWithError("the token is not accepted");
  });
}
BENCHMARK(sas_check_ours);

// --- topics

message five_properties() {
  message m{.properties = {{"temperatureAlert", "true"}, {"room", "kitchen 2"}, {"unit", "C"}}};
  m.message_id = "message_17";
  m.content_type = "application/json";
  return m;
}

void topic_build_naive(benchmark::State& state) {
  message const m = five_properties();
  run(state, [&] { benchmark::DoNotOptimize(naive_topic("device1", m)); });
}
BENCHMARK(topic_build_naive);

void topic_build_ours(benchmark::State& state) {
  message const m = five_properties();
  auto const topics = device_topics::make({"device1"}).value();
  byte_buffer out;
  run(state, [&] {
    out.clear();
    topics.append_telemetry(out, m).value();
    benchmark::DoNotOptimize(out.view().data());
  });
}
BENCHMARK(topic_build_ours);

void topic_build_ours_into_string(benchmark::State& state) {
  message const m = five_properties();
  auto const topics = device_topics::make({"device1"}).value();
  std::string out;
  run(state, [&] {
    out.clear();
    topics.append_telemetry(out, m).value();
    benchmark::DoNotOptimize(out.data());
  });
}
BENCHMARK(topic_build_ours_into_string);

// The least that anything could do: the same bytes copied.
void topic_build_limit_memcpy(benchmark::State& state) {
  std::string const ready = naive_topic("device1", five_properties());
  byte_buffer out;
  run(state, [&] {
    out.clear();
    out.append(ready);
    benchmark::DoNotOptimize(out.view().data());
  });
}
BENCHMARK(topic_build_limit_memcpy);

constexpr std::string_view inbound[] = {
    "$iothub/methods/POST/SetTelemetryInterval/?$rid=1a", "$iothub/twin/res/204/?$rid=17&$version=42",
    "$iothub/twin/PATCH/properties/desired/?$version=43",
    "devices/device1/messages/devicebound/%24.to=%2Fdevices%2Fdevice1%2Fmessages%2FdeviceBound&a=1"};

// Splits at slashes and looks at the parts, as hand-written clients do.
void topic_classify_naive(benchmark::State& state) {
  std::size_t i = 0;
  run(state, [&] {
    std::string const topic{inbound[i++ % 4]};
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (std::size_t at; (at = topic.find('/', begin)) != std::string::npos; begin = at + 1)
      parts.push_back(topic.substr(begin, at - begin));
    parts.push_back(topic.substr(begin));
    int kind = 0;
    if (parts.size() >= 5 && parts[0] == "$iothub" && parts[1] == "methods") kind = 1;
    if (parts.size() >= 4 && parts[0] == "$iothub" && parts[1] == "twin") kind = parts[2] == "res" ? 2 : 3;
    if (parts.size() >= 4 && parts[0] == "devices" && parts[1] == "device1") kind = 4;
    benchmark::DoNotOptimize(kind);
  });
}
BENCHMARK(topic_classify_naive);

void topic_classify_ours(benchmark::State& state) {
  auto const topics = device_topics::make({"device1"}).value();
  std::size_t i = 0;
  run(state, [&] {
    auto const read = topics.classify(inbound[i++ % 4]);
    if (read.kind == inbound_kind::unknown) state.SkipWithError("a topic is unknown");
    benchmark::DoNotOptimize(read);
  });
}
BENCHMARK(topic_classify_ours);

void topic_classify_publish_ours(benchmark::State& state) {
  std::string const topic = naive_topic("device1", five_properties());
  run(state, [&] { benchmark::DoNotOptimize(classify_publish(topic)); });
}
BENCHMARK(topic_classify_publish_ours);

void bag_read_ours(benchmark::State& state) {
  std::string topic = naive_topic("device1", five_properties());
  std::string_view const bag = classify_publish(topic).bag;
  run(state, [&] {
    message m;
    read_property_bag(bag, m).value();
    benchmark::DoNotOptimize(m);
  });
}
BENCHMARK(bag_read_ours);

// --- the table

class ratio_table : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(std::vector<Run> const& runs) override {
    for (auto const& r : runs)
      if (!r.error_occurred && r.iterations != 0) nanoseconds_[r.benchmark_name()] = r.GetAdjustedCPUTime();
    ConsoleReporter::ReportRuns(runs);
  }
  void print() {
    std::printf("\n%-34s %-30s %8s\n", "ours", "rival", "ours/rival");
    for (auto const& [ours, rival] :
         {std::pair{"sas_append_token_ours", "sas_sign_one_shot_openssl"},
          std::pair{"sas_token_ours", "sas_sign_one_shot_openssl"},
          std::pair{"sas_check_ours", "sas_check_one_shot_openssl"}, std::pair{"topic_build_ours", "topic_build_naive"},
          std::pair{"topic_build_ours_into_string", "topic_build_naive"},
          std::pair{"topic_classify_ours", "topic_classify_naive"}})
      if (nanoseconds_.count(ours) != 0 && nanoseconds_.count(rival) != 0)
        std::printf("%-34s %-30s %8.3f\n", ours, rival, nanoseconds_[ours] / nanoseconds_[rival]);
  }

 private:
  std::map<std::string, double> nanoseconds_;
};

}  // namespace

int main(int argc, char** argv) {
  CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);
  benchmark::Initialize(&argc, argv);
  ratio_table table;
  benchmark::RunSpecifiedBenchmarks(&table);
  table.print();
}
