// MQTT PUBLISH at QoS 1, encode and decode. Topic of 43 bytes, as telemetry has it.
//
// limit: the same bytes by hand, without a check: what the hardware allows. text_checked is the limit plus one pass
// over the topic, byte by byte. owning: a plain codec of our own with std::string and std::vector, as textbooks have
// it, for comparison only. libmosquitto and paho, which Debian packages, do not expose their codecs; they are measured
// end to end elsewhere. `allocs` counts heap allocations per packet.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <iothub/memory/direct_mqtt.hpp>
#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/decoder.hpp>
#include <iothub/mqtt/server_connection.hpp>

namespace {
std::uint64_t allocations = 0;
void* counted(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc{};
}
}  // namespace

void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, std::size_t) noexcept {
  std::free(p);
}

namespace {

using namespace iothub;

constexpr std::string_view topic = "devices/thermostat-0000001/messages/events/";
static_assert(topic.size() == 43);

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

std::string payload_of(benchmark::State const& state) {
  return std::string(static_cast<std::size_t>(state.range(0)), 'x');
}

mqtt::publish message(std::string_view payload) {
  return {.topic = topic, .payload = payload, .id = 4711, .qos = 1};
}
std::string encoded(std::string_view payload) {
  byte_buffer out;
  encode(message(payload), out);
  return std::string{out.view()};
}

// --- encode
// -----------------------------------------------------------------------------------------------------------

char* put_by_hand(char* at, std::string_view name, std::string_view payload, unsigned id) {
  std::size_t length = 4 + name.size() + payload.size();
  *at++ = 0x32;
  do {
    *at++ = static_cast<char>((length & 127) | (length > 127 ? 128 : 0));
    length >>= 7;
  } while (length != 0);
  *at++ = static_cast<char>(name.size() >> 8);
  *at++ = static_cast<char>(name.size());
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  *at++ = static_cast<char>(id >> 8);
  *at++ = static_cast<char>(id);
  std::memcpy(at, payload.data(), payload.size());
  return at + payload.size();
}

void encode_limit(benchmark::State& state) {
  std::string const payload = payload_of(state);
  std::vector<char> room(payload.size() + 100);
  std::string_view name = topic;
  std::string_view body = payload;
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(name);
    benchmark::DoNotOptimize(body);
    benchmark::DoNotOptimize(put_by_hand(room.data(), name, body, 4711));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(encode_limit)->Arg(100)->Arg(1000);

void encode_iothub(benchmark::State& state) {
  std::string const payload = payload_of(state);
  byte_buffer out;
  mqtt::publish m = message(payload);
  encode(m, out);
  out.clear();
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(m);
    encode(m, out);
    benchmark::DoNotOptimize(out.view().data());
    benchmark::ClobberMemory();
    out.clear();
  }
}
BENCHMARK(encode_iothub)->Arg(100)->Arg(1000);

std::vector<std::uint8_t> encode_to_vector(std::string const& name, std::string const& payload, std::uint16_t id) {
  std::vector<std::uint8_t> body;
  auto const put_u16 = [&](std::size_t value) {
    body.push_back(static_cast<std::uint8_t>(value >> 8));
    body.push_back(static_cast<std::uint8_t>(value));
  };
  put_u16(name.size());
  body.insert(body.end(), name.begin(), name.end());
  put_u16(id);
  body.insert(body.end(), payload.begin(), payload.end());
  std::vector<std::uint8_t> out{0x32};
  std::size_t length = body.size();
  do {
    out.push_back(static_cast<std::uint8_t>((length & 127) | (length > 127 ? 128 : 0)));
    length >>= 7;
  } while (length != 0);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

void encode_owning(benchmark::State& state) {
  std::string const payload = payload_of(state);
  std::string const name{topic};
  count_allocations const allocs{state};
  for (auto _ : state) benchmark::DoNotOptimize(encode_to_vector(name, payload, 4711));
}
BENCHMARK(encode_owning)->Arg(100)->Arg(1000);

// --- decode
// -----------------------------------------------------------------------------------------------------------

struct parsed {
  std::string_view name;
  std::string_view payload;
  unsigned id;
};
bool take_by_hand(std::string_view raw, parsed& into) {
  auto const u8 = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(raw[i])); };
  if (raw.size() < 2 || u8(0) >> 4 != 3) return false;
  std::size_t length = 0;
  std::size_t at = 1;
  for (unsigned shift = 0;; shift += 7, ++at) {
    if (shift == 28 || at == raw.size()) return false;
    length |= static_cast<std::size_t>(u8(at) & 127) << shift;
    if (u8(at) < 128) break;
  }
  ++at;
  if (raw.size() - at < length || length < 4) return false;
  std::size_t const size = u8(at) << 8 | u8(at + 1);
  if (size + 4 > length) return false;
  into.name = raw.substr(at + 2, size);
  into.id = u8(at + 2 + size) << 8 | u8(at + 3 + size);
  into.payload = raw.substr(at + 4 + size, length - 4 - size);
  return true;
}
bool check_by_hand(std::string_view name) {
  for (char const c : name)
    if (static_cast<unsigned char>(c) >= 128 || c == 0 || c == '+' || c == '#') return false;
  return !name.empty();
}

template <bool Checked>
void decode_by_hand(benchmark::State& state) {
  std::string const raw = encoded(payload_of(state));
  std::string_view in = raw;
  parsed out{};
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(in);
    bool good = take_by_hand(in, out);
    if constexpr (Checked) good = good && check_by_hand(out.name);
    benchmark::DoNotOptimize(good);
    benchmark::DoNotOptimize(out);
  }
}
void decode_limit(benchmark::State& state) {
  decode_by_hand<false>(state);
}
void decode_limit_text_checked(benchmark::State& state) {
  decode_by_hand<true>(state);
}
BENCHMARK(decode_limit)->Arg(100)->Arg(1000);
BENCHMARK(decode_limit_text_checked)->Arg(100)->Arg(1000);

void decode_iothub(benchmark::State& state) {
  std::string const raw = encoded(payload_of(state));
  std::string_view in = raw;
  mqtt::packet what;
  mqtt::filter_scratch scratch;
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(in);
    mqtt::decoded const found = decode(in, 1u << 20, what, scratch);
    benchmark::DoNotOptimize(found);
    benchmark::DoNotOptimize(what);
  }
}
BENCHMARK(decode_iothub)->Arg(100)->Arg(1000);

// A stream of packets through the buffer, as a connection sees it: per packet.
void decode_iothub_stream(benchmark::State& state) {
  std::string const one = encoded(payload_of(state));
  std::string burst;
  for (int i = 0; i < 100; ++i) burst += one;
  mqtt::decoder in{1u << 20};
  mqtt::packet what;
  in.append(burst);
  while (in.next(what) == mqtt::decode_status::complete) {
  }
  count_allocations const allocs{state, 100};
  for (auto _ : state) {
    in.append(burst);
    while (in.next(what) == mqtt::decode_status::complete) benchmark::DoNotOptimize(what);
  }
  state.SetItemsProcessed(state.iterations() * 100);
}
BENCHMARK(decode_iothub_stream)->Arg(100)->Arg(1000);

struct owned {
  std::string name;
  std::vector<std::uint8_t> payload;
  unsigned id = 0;
};
void decode_owning(benchmark::State& state) {
  std::string const raw = encoded(payload_of(state));
  std::string_view in = raw;
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(in);
    parsed views{};
    owned out;
    if (take_by_hand(in, views) && check_by_hand(views.name)) {
      out.name = views.name;
      out.payload.assign(views.payload.begin(), views.payload.end());
      out.id = views.id;
    }
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(decode_owning)->Arg(100)->Arg(1000);

// --- sessions: a whole QoS 1 round trip without I/O, client and server on bytes
// -------------------------------------------

struct acknowledging_owner final : mqtt::server_handler {
  void on_connect(mqtt::connect const&, time_point now) override { session->accept(false, now); }
  void on_publish(mqtt::publish const& m, time_point) override { session->acknowledge(m.id); }
  void on_puback(std::uint16_t, time_point) override {}
  void on_subscribe(mqtt::subscribe const&, time_point) override {}
  void on_unsubscribe(mqtt::unsubscribe const&, time_point) override {}
  void on_closed(error const&, bool, time_point) override {}
  mqtt::server_session* session = nullptr;
};
struct byte_sink final : mqtt::packet_sink {
  void send(mqtt::packet const& what) override { encode(what, out); }
  void end() override {}
  byte_buffer out;
};

void qos1_round_trip_on_bytes(benchmark::State& state) {
  time_point const now{std::chrono::seconds{1}};
  acknowledging_owner owner;
  mqtt::server_options const options;
  mqtt::server_connection server{owner, options, now};
  owner.session = &server.session();
  byte_sink sink;
  mqtt::client_session client{sink};
  mqtt::decoder from_server{1u << 20};
  mqtt::connect how;
  how.client_id = "dev";
  if (!client.open(how, now)) return state.SkipWithError("open");
  std::string const payload = payload_of(state);
  mqtt::packet what;
  auto const exchange = [&] {
    server.receive(sink.out.view(), now);
    sink.out.clear();
    from_server.append(server.output());
    server.consume(server.output().size());
    while (from_server.next(what) == mqtt::decode_status::complete) benchmark::DoNotOptimize(client.receive(what, now));
  };
  exchange();
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(client.publish({.topic = topic, .payload = payload, .qos = 1}, now));
    exchange();
  }
  if (client.inflight() != 0) state.SkipWithError("not acknowledged");
}
BENCHMARK(qos1_round_trip_on_bytes)->Arg(100)->Arg(1000);

// The same in the in-process wiring: values, no bytes.
struct direct_peer {
  mqtt::server_session* accept(endpoint const&, mqtt::packet_sink& to_client, time_point now) {
    owner.session = new mqtt::server_session{owner, to_client, options, now};
    return owner.session;
  }
  void release(mqtt::server_session& which) { delete &which; }
  acknowledging_owner owner;
  mqtt::server_options options;
};

void qos1_round_trip_direct(benchmark::State& state) {
  time_point const now{std::chrono::seconds{1}};
  direct_peer peer;
  memory::direct_mqtt<direct_peer> client{peer};
  mqtt::connect how;
  how.client_id = "dev";
  if (!client.open({}, how, now) || !client.next_event()) return state.SkipWithError("open");
  std::string const payload = payload_of(state);
  count_allocations const allocs{state};
  for (auto _ : state) {
    benchmark::DoNotOptimize(client.publish({.topic = topic, .payload = payload, .qos = 1}, now));
    client.step(now);
    while (mqtt::client_event const* const e = client.next_event()) benchmark::DoNotOptimize(e);
  }
  if (client.session().inflight() != 0) state.SkipWithError("not acknowledged");
}
BENCHMARK(qos1_round_trip_direct)->Arg(100)->Arg(1000);

}  // namespace

BENCHMARK_MAIN();
