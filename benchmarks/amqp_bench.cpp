// One event as the built-in endpoint hands it out (eight annotations, five properties, two application properties, 256
// bytes), encoded, decoded, and carried from a sender to a receiver in one process, ours beside Qpid Proton's C
// library.
//
//   encode   the fields into the bytes of the message, everything set anew
//   decode   the bytes into fields, then the four that every reader looks at
//   carry    send, frames out, frames in, message decoded, accepted, disposition back: both ends, credit 100
// Proton's decoded message owns its fields, ours names them in the bytes; neither copies the body. `allocs` counts heap
// allocations per event, Proton's malloc included.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/message.h>
#include <proton/session.h>
#include <proton/terminus.h>
#include <proton/transport.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include <iothub/amqp/connection.hpp>
#include <iothub/amqp/message.hpp>

namespace {
std::uint64_t allocations = 0;
}

// Both sides allocate with malloc in the end: this one counts, and hands on to the one behind it.
extern "C" void* malloc(std::size_t size) {
  using function = void* (*)(std::size_t);
  static function const real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "malloc"));
  ++allocations;
  return real(size);
}
extern "C" void* realloc(void* p, std::size_t size) {
  using function = void* (*)(void*, std::size_t);
  static function const real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "realloc"));
  ++allocations;
  return real(p, size);
}

namespace {

using namespace iothub;

class count_allocations {
 public:
  count_allocations(benchmark::State& state, double per) : state_{state}, per_{per}, before_{allocations} {}
  ~count_allocations() {
    double const events = static_cast<double>(state_.iterations()) * per_;
    state_.counters["allocs"] = static_cast<double>(allocations - before_) / events;
    state_.SetItemsProcessed(static_cast<std::int64_t>(events));
  }

 private:
  benchmark::State& state_;
  double per_;
  std::uint64_t before_;
};

constexpr std::string_view auth_method = "{\"scope\":\"device\",\"type\":\"sas\",\"issuer\":\"iothub\"}";
std::string const body(256, 'x');

// --- ours ------------------------------------------------------------------------------------------------------------

void encode_ours(std::int64_t number, byte_buffer& out) {
  amqp::writer w{out};
  w.describe(amqp::descriptor::message_annotations);
  auto map = w.begin_compound();
  w.symbol("x-opt-sequence-number"), w.int64(number);
  w.symbol("x-opt-offset"), w.string("37344");
  w.symbol("x-opt-enqueued-time"), w.timestamp(1'700'000'000'000 + number);
  w.symbol("iothub-connection-device-id"), w.string("thermostat-0000001");
  w.symbol("iothub-connection-auth-generation-id"), w.string("638356800000000000");
  w.symbol("iothub-connection-auth-method"), w.string(auth_method);
  w.symbol("iothub-enqueuedtime"), w.timestamp(1'700'000'000'000 + number);
  w.symbol("iothub-message-source"), w.string("Telemetry");
  w.end_map(map, 16);
  amqp::message_properties properties;
  static amqp::value const message_id{"8f14e45f-ceea-467a-9575-6e7f4d3f0a11"};
  static amqp::value const correlation{"c0ffee"};
  properties.message_id = message_id.bytes();
  properties.to = "/devices/thermostat-0000001/messages/events";
  properties.correlation_id = correlation.bytes();
  properties.content_type = "application/json";
  properties.content_encoding = "utf-8";
  amqp::write_properties(properties, out);
  w.describe(amqp::descriptor::application_properties);
  map = w.begin_compound();
  w.string("temperatureAlert"), w.string("false");
  w.string("level"), w.string("normal");
  w.end_map(map, 4);
  w.describe(amqp::descriptor::data);
  w.binary(body);
}

std::size_t read_ours(byte_view bytes) {
  amqp::message_view message;
  if (amqp::read_message(bytes, message)) std::abort();
  amqp::value_view const annotations = amqp::view_of(message.message_annotations);
  return static_cast<std::size_t>(*amqp::find(annotations, "x-opt-sequence-number").as_int()) +
         static_cast<std::size_t>(*amqp::find(annotations, "x-opt-enqueued-time").as_timestamp()) +
         amqp::find(annotations, "iothub-connection-device-id").as_string()->size() + message.data.size();
}

void encode_iothub(benchmark::State& state) {
  byte_buffer out;
  count_allocations const counted{state, 1};
  std::int64_t number = 0;
  for (auto _ : state) {
    out.clear();
    encode_ours(++number, out);
    benchmark::DoNotOptimize(out.view().data());
  }
}

void decode_iothub(benchmark::State& state) {
  byte_buffer out;
  encode_ours(5, out);
  count_allocations const counted{state, 1};
  for (auto _ : state) benchmark::DoNotOptimize(read_ours(out.view()));
}

struct end final : amqp::connection_handler {
  amqp::link* link = nullptr;
  std::size_t seen = 0;
  void on_open(amqp::open const&, time_point) override {}
  void on_attach(amqp::link& which, amqp::attach const&, time_point) override {
    link = &which;
    which.accept();
  }
  void on_attached(amqp::link& which, amqp::attach const&, time_point) override { link = &which; }
  void on_transfer(amqp::link& which, amqp::delivery const& what, time_point) override {
    seen += read_ours(what.payload);
    which.settle(what.id);
  }
  void on_detached(amqp::link&, amqp::end_reason const&, time_point) override {}
  void on_closed(iothub::error const&, amqp::error_view const&, time_point) override {}
};

constexpr int batch = 50;

void carry_iothub(benchmark::State& state) {
  amqp::connection_options const options;
  end hub_end;
  end reader_end;
  time_point const now{};
  amqp::connection hub{amqp::connection_role::server, hub_end, options, now};
  amqp::connection reader{amqp::connection_role::client, reader_end, options, now};
  auto const move = [&](amqp::connection& from, amqp::connection& to) {
    byte_view const out = from.output();
    to.receive(out, now);
    from.consume(out.size());
    return !out.empty();
  };
  auto const settle = [&] {
    while (move(reader, hub) || move(hub, reader)) {
    }
  };
  if (!reader.open({}, now)) std::abort();
  settle();
  amqp::session& on = **reader.begin();
  settle();
  amqp::attach how;
  how.name = "events";
  how.role = amqp::link_role::receiver;
  how.has_source = how.has_target = true;
  (*on.attach(how))->set_prefetch(2 * batch);
  settle();
  byte_buffer message;
  count_allocations const counted{state, batch};
  for (auto _ : state) {
    for (int i = 0; i != batch; ++i) {
      message.clear();
      encode_ours(i, message);
      if (!hub_end.link->send({.payload = message.view()})) std::abort();
    }
    settle();
    if (hub_end.link->unsettled() != 0) std::abort();
  }
  benchmark::DoNotOptimize(reader_end.seen);
}

// --- Proton ----------------------------------------------------------------------------------------------------------

pn_bytes_t text(std::string_view what) {
  return pn_bytes(what.size(), what.data());
}

void entry(pn_data_t* map, std::string_view key, std::string_view content) {
  pn_data_put_symbol(map, text(key));
  pn_data_put_string(map, text(content));
}

std::size_t encode_proton(pn_message_t* message, std::int64_t number, char* out, std::size_t room) {
  pn_message_clear(message);
  pn_data_t* const annotations = pn_message_annotations(message);
  pn_data_put_map(annotations);
  pn_data_enter(annotations);
  pn_data_put_symbol(annotations, text("x-opt-sequence-number"));
  pn_data_put_long(annotations, number);
  entry(annotations, "x-opt-offset", "37344");
  pn_data_put_symbol(annotations, text("x-opt-enqueued-time"));
  pn_data_put_timestamp(annotations, 1'700'000'000'000 + number);
  entry(annotations, "iothub-connection-device-id", "thermostat-0000001");
  entry(annotations, "iothub-connection-auth-generation-id", "638356800000000000");
  entry(annotations, "iothub-connection-auth-method", auth_method);
  pn_data_put_symbol(annotations, text("iothub-enqueuedtime"));
  pn_data_put_timestamp(annotations, 1'700'000'000'000 + number);
  entry(annotations, "iothub-message-source", "Telemetry");
  pn_data_exit(annotations);
  pn_data_put_string(pn_message_id(message), text("8f14e45f-ceea-467a-9575-6e7f4d3f0a11"));
  pn_message_set_address(message, "/devices/thermostat-0000001/messages/events");
  pn_data_put_string(pn_message_correlation_id(message), text("c0ffee"));
  pn_message_set_content_type(message, "application/json");
  pn_message_set_content_encoding(message, "utf-8");
  pn_data_t* const properties = pn_message_properties(message);
  pn_data_put_map(properties);
  pn_data_enter(properties);
  pn_data_put_string(properties, text("temperatureAlert"));
  pn_data_put_string(properties, text("false"));
  pn_data_put_string(properties, text("level"));
  pn_data_put_string(properties, text("normal"));
  pn_data_exit(properties);
  pn_message_set_inferred(message, true);
  pn_data_put_binary(pn_message_body(message), text(body));
  std::size_t size = room;
  if (pn_message_encode(message, out, &size) != 0) std::abort();
  return size;
}

std::size_t read_proton(pn_message_t* message, char const* bytes, std::size_t size) {
  if (pn_message_decode(message, bytes, size) != 0) std::abort();
  pn_data_t* const annotations = pn_message_annotations(message);
  std::size_t seen = 0;
  pn_data_rewind(annotations);
  pn_data_next(annotations);
  pn_data_enter(annotations);
  while (pn_data_next(annotations)) {
    pn_bytes_t const key = pn_data_get_symbol(annotations);
    std::string_view const name{key.start, key.size};
    pn_data_next(annotations);
    if (name == "x-opt-sequence-number")
      seen += static_cast<std::size_t>(pn_data_get_long(annotations));
    else if (name == "x-opt-enqueued-time")
      seen += static_cast<std::size_t>(pn_data_get_timestamp(annotations));
    else if (name == "iothub-connection-device-id")
      seen += pn_data_get_string(annotations).size;
  }
  pn_data_t* const content = pn_message_body(message);
  pn_data_rewind(content);
  pn_data_next(content);
  return seen + pn_data_get_binary(content).size;
}

void encode_qpid(benchmark::State& state) {
  pn_message_t* const message = pn_message();
  char out[2048];
  {
    count_allocations const counted{state, 1};
    std::int64_t number = 0;
    for (auto _ : state) benchmark::DoNotOptimize(encode_proton(message, ++number, out, sizeof out));
  }
  pn_message_free(message);
}

void decode_qpid(benchmark::State& state) {
  pn_message_t* const message = pn_message();
  char out[2048];
  std::size_t const size = encode_proton(message, 5, out, sizeof out);
  {
    count_allocations const counted{state, 1};
    for (auto _ : state) benchmark::DoNotOptimize(read_proton(message, out, size));
  }
  pn_message_free(message);
}

bool move(pn_transport_t* from, pn_transport_t* to) {
  ssize_t const pending = pn_transport_pending(from);
  if (pending <= 0) return false;
  ssize_t const room = pn_transport_capacity(to);
  ssize_t const size = pending < room ? pending : room;
  if (size <= 0) return false;
  std::memcpy(pn_transport_tail(to), pn_transport_head(from), static_cast<std::size_t>(size));
  pn_transport_process(to, static_cast<std::size_t>(size));
  pn_transport_pop(from, static_cast<std::size_t>(size));
  return true;
}

void carry_qpid(benchmark::State& state) {
  pn_transport_t* const hub_transport = pn_transport();
  pn_transport_t* const reader_transport = pn_transport();
  pn_transport_set_server(hub_transport);
  pn_connection_t* const hub = pn_connection();
  pn_connection_t* const reader = pn_connection();
  pn_transport_bind(hub_transport, hub);
  pn_transport_bind(reader_transport, reader);
  auto const settle = [&] {
    while (move(reader_transport, hub_transport) || move(hub_transport, reader_transport)) {
    }
  };
  pn_connection_open(hub);
  pn_connection_open(reader);
  pn_session_t* const reader_session = pn_session(reader);
  pn_session_open(reader_session);
  pn_link_t* const receiver = pn_receiver(reader_session, "events");
  pn_terminus_set_address(pn_link_source(receiver), "events");
  pn_link_open(receiver);
  settle();
  pn_session_open(pn_session_head(hub, 0));
  pn_link_t* const sender = pn_link_head(hub, 0);
  pn_terminus_copy(pn_link_source(sender), pn_link_remote_source(sender));
  pn_link_open(sender);
  pn_link_flow(receiver, 2 * batch);
  settle();
  pn_message_t* const message = pn_message();
  char bytes[2048];
  std::uint64_t tag = 0;
  std::size_t seen = 0;
  {
    count_allocations const counted{state, batch};
    for (auto _ : state) {
      for (int i = 0; i != batch; ++i) {
        std::size_t const size = encode_proton(message, i, bytes, sizeof bytes);
        ++tag;
        pn_delivery(sender, pn_dtag(reinterpret_cast<char const*>(&tag), sizeof tag));
        pn_link_send(sender, bytes, size);
        pn_link_advance(sender);
      }
      for (bool moved = true; moved;) {
        settle();
        moved = false;
        while (pn_delivery_t* const came = pn_link_current(receiver)) {
          if (!pn_delivery_readable(came) || pn_delivery_partial(came)) break;
          ssize_t const size = pn_link_recv(receiver, bytes, sizeof bytes);
          seen += read_proton(message, bytes, static_cast<std::size_t>(size));
          pn_link_advance(receiver);
          pn_delivery_update(came, PN_ACCEPTED);
          pn_delivery_settle(came);
          pn_link_flow(receiver, 1);
          moved = true;
        }
        for (pn_delivery_t* done = pn_unsettled_head(sender); done;) {
          pn_delivery_t* const next = pn_unsettled_next(done);
          if (pn_delivery_settled(done)) {
            pn_delivery_settle(done);
            moved = true;
          }
          done = next;
        }
      }
      if (pn_link_unsettled(sender) != 0) std::abort();
    }
  }
  benchmark::DoNotOptimize(seen);
  pn_message_free(message);
  pn_connection_free(hub);
  pn_connection_free(reader);
  pn_transport_free(hub_transport);
  pn_transport_free(reader_transport);
}

BENCHMARK(encode_iothub);
BENCHMARK(encode_qpid);
BENCHMARK(decode_iothub);
BENCHMARK(decode_qpid);
BENCHMARK(carry_iothub);
BENCHMARK(carry_qpid);

}  // namespace

BENCHMARK_MAIN();
