// The hub core alone: what an operation of a known device costs, and what an idle identity weighs.
#include <benchmark/benchmark.h>

#include <malloc.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <iothub/crypto/openssl.hpp>
#include <iothub/hub/hub_core.hpp>
#include <iothub/json/parse.hpp>
#include <iothub/wire/sas_token.hpp>

namespace {

namespace ih = iothub::hub;
using std::chrono::seconds;

constexpr iothub::utc_time start = iothub::from_unix_seconds(1'704'067'200);

struct silent_link final : ih::device_link {
  void deliver_method(ih::method_delivery const& m) override { ticket = m.ticket; }
  void deliver_c2d(iothub::c2d_message const&, bool) override {}
  void deliver_desired(std::int64_t, iothub::json::value const&) override {}
  void on_drop(iothub::error const&) override {}
  ih::method_ticket ticket = 0;
};
struct silent_caller final : ih::method_caller {
  void on_method_outcome(ih::method_ticket, iothub::result<iothub::method_response>) override {}
};

ih::options settings() {
  ih::options o;
  o.hostname = "h.azure-devices.net";
  o.retention.events = 100'000;
  return o;
}

struct world {
  ih::policy_security<iothub::openssl_crypto> keys;
  ih::hub_core hub{settings(), keys};
  ih::instant at{iothub::time_point{seconds{1000}}, start};
  silent_link link;
  silent_caller caller;
  iothub::device_identity device;

  world() {
    iothub::device_identity wanted;
    wanted.device_id = "device1";
    device = hub.put_identity(wanted, {}, at).value();
    hub.connect(link, {"device1", {}}, {}, {}, at).value();
    hub.listen_methods(link, true, at);
  }
  ~world() { hub.disconnect(link, ih::ending::graceful, at); }
};

// A message of 100 bytes with two application properties into the event log.
void append_telemetry(benchmark::State& state) {
  world w;
  std::string const body(100, 'b');
  ih::property_view const properties[] = {{"temperatureAlert", "false", true}, {"Property", "PropMsg_1", true}};
  ih::d2c_message m;
  m.body = body;
  m.properties = properties;
  m.message_id = "message_1";
  for (auto _ : state) benchmark::DoNotOptimize(w.hub.send_telemetry(w.link, m, w.at).has_value());
}
BENCHMARK(append_telemetry);

std::size_t heap_in_use() {
  struct mallinfo2 const info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// A million retained events of 256 bytes from a thousand devices, two application properties on each: what one takes
// beside its body and the texts of its properties.
void retained_events(benchmark::State& state) {
  constexpr std::size_t count = 1'000'000, devices = 1'000;
  std::string const body(256, 'b');
  ih::property_view const properties[] = {{"temperatureAlert", "false", true}, {"Property", "PropMsg_1", true}};
  std::vector<std::string> ids;
  for (std::size_t i = 0; i != devices; ++i) ids.push_back("thermostat-" + std::to_string(1'000'000 + i));
  ih::d2c_message m;
  m.body = body;
  m.properties = properties;
  m.content_type = "application/json";
  m.content_encoding = "utf-8";
  std::size_t texts = body.size();
  for (auto const& p : properties) texts += p.name.size() + p.value.size();
  for (auto _ : state) {
    malloc_trim(0);
    std::size_t const before = heap_in_use();
    ih::event_log log{{.partitions = 4, .events = count, .bytes = std::size_t{1} << 30}};
    for (std::size_t i = 0; i != count; ++i) {
      std::string const& id = ids[i % devices];
      log.append(log.partition_of(id), {.device_id = id, .generation = 7}, m, start);
    }
    if (log.size() != count) state.SkipWithError("events are missing");
    double const used = static_cast<double>(heap_in_use() - before);
    state.counters["overhead_per_event"] = used / static_cast<double>(count) - static_cast<double>(texts);
  }
}
BENCHMARK(retained_events)->Iterations(1)->Unit(benchmark::kMillisecond);

std::string nested_document(std::size_t bytes) {
  std::string text = "{";
  for (int i = 0; text.size() < bytes; ++i) {
    std::string const n = std::to_string(i);
    text += (i == 0 ? "\"group" : ",\"group") + n + "\":{\"setting\":" + n + ",\"name\":\"value of " + n +
            "\",\"on\":true,\"inner\":{\"a\":1.5,\"b\":\"text\"}}";
  }
  return text + "}";
}

// A patch of about 277 bytes, parsed anew each time, on a resident twin of state.range(0) bytes.
void patch_resident_twin(benchmark::State& state) {
  world w;
  auto const size = static_cast<std::size_t>(state.range(0));
  auto const document = iothub::json::parse(nested_document(size)).value();
  w.hub.patch_reported(w.link, document, {}, w.at).value();
  std::string const text =
      R"({"group1":{"setting":17,"name":"another value","inner":{"a":2.5,"b":"changed"}},)"
      R"("group3":{"setting":18,"name":"another value","inner":{"a":2.5,"b":"changed"}},)"
      R"("group5":{"setting":19,"name":"another value","inner":{"a":2.5,"b":"changed"}},"group7":{"on":false}})";
  for (auto _ : state) {
    auto const patch = iothub::json::parse(text).value();
    benchmark::DoNotOptimize(w.hub.patch_reported(w.link, patch, {}, w.at).has_value());
  }
}
BENCHMARK(patch_resident_twin)->Arg(4'300)->Arg(32'700);

void patch_resident_twin_already_parsed(benchmark::State& state) {
  world w;
  auto const size = static_cast<std::size_t>(state.range(0));
  w.hub.patch_reported(w.link, iothub::json::parse(nested_document(size)).value(), {}, w.at).value();
  auto const patch = iothub::json::parse(R"({"group1":{"setting":17,"inner":{"a":2.5}}})").value();
  for (auto _ : state) benchmark::DoNotOptimize(w.hub.patch_reported(w.link, patch, {}, w.at).has_value());
}
BENCHMARK(patch_resident_twin_already_parsed)->Arg(4'300)->Arg(32'700);

void check_token_of_known_device(benchmark::State& state) {
  world w;
  iothub::openssl_crypto crypto;
  auto key = crypto.prepare(iothub::from_base64(w.device.authentication.primary_key).value()).value();
  iothub::sas_template shape{iothub::sas_resource("h.azure-devices.net", "device1")};
  std::int64_t const expiry = iothub::unix_seconds(start) + 3600;
  std::string token;
  shape.append(token, crypto.sign(key, shape.string_to_sign(expiry)).value(), expiry);
  iothub::device_key const who{"device1", {}};
  for (auto _ : state) benchmark::DoNotOptimize(w.hub.authorize_device(who, token, w.at).has_value());
}
BENCHMARK(check_token_of_known_device);

void method_through_the_core(benchmark::State& state) {
  world w;
  iothub::device_key const who{"device1", {}};
  iothub::method_request const request{"SetTelemetryInterval", 10};
  for (auto _ : state) {
    w.hub.invoke_method(who, request, {}, w.caller, w.at).value();
    w.hub.answer_method(w.link, w.link.ticket, {200, nullptr}, w.at);
  }
}
BENCHMARK(method_through_the_core);

void query_a_thousand_twins(benchmark::State& state) {
  world w;
  for (int i = 0; i != 1000; ++i) {
    iothub::device_identity wanted;
    wanted.device_id = "d" + std::to_string(i);
    w.hub.put_identity(wanted, {}, w.at).value();
  }
  for (auto _ : state)
    benchmark::DoNotOptimize(
        w.hub.query("SELECT deviceId FROM devices WHERE properties.reported.x > 1 OR tags.y = 'z'", 100, {}).has_value());
}
BENCHMARK(query_a_thousand_twins);

// Bytes of heap for one connected, idle identity with its twin and session, after it presented a token once.
void memory_of_an_idle_device(benchmark::State& state) {
  constexpr std::size_t count = 10'000;
  double each = 0;
  for (auto _ : state) {
    world w;
    std::vector<std::unique_ptr<silent_link>> links;
    links.reserve(count);
    for (std::size_t i = 0; i != count; ++i) links.push_back(std::make_unique<silent_link>());
    std::size_t const before = mallinfo2().uordblks;
    iothub::openssl_crypto crypto;
    for (std::size_t i = 0; i != count; ++i) {
      iothub::device_identity wanted;
      wanted.device_id = "device-" + std::to_string(i);
      auto const made = w.hub.put_identity(wanted, {}, w.at).value();
      auto key = crypto.prepare(iothub::from_base64(made.authentication.primary_key).value()).value();
      iothub::sas_template shape{iothub::sas_resource("h.azure-devices.net", wanted.device_id)};
      std::int64_t const expiry = iothub::unix_seconds(start) + 3600;
      std::string token;
      shape.append(token, crypto.sign(key, shape.string_to_sign(expiry)).value(), expiry);
      auto const grant = w.hub.authorize_device({wanted.device_id, {}}, token, w.at).value();
      w.hub.connect(*links[i], {wanted.device_id, {}}, grant, {}, w.at).value();
      w.hub.listen_methods(*links[i], true, w.at);
      w.hub.listen_c2d(*links[i], ih::c2d_mode::at_least_once, w.at);
    }
    each = static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(count);
  }
  state.counters["bytes_each"] = each;
}
BENCHMARK(memory_of_an_idle_device)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
