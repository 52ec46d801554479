// Events from a server to one reader over loopback: what an event costs the reader, ours from iothub-fake, Qpid Proton's
// from Proton's example broker. The server's share is measured by whoever starts it (run.py).
//
//   event_stream_bench fill  --port N --connection-string TEXT [--count 200000] [--size 256]    ours, a device sends
//   event_stream_bench read  --port N --key KEY [--count 200000] [--ca FILE]                    ours, partition 0 from its start
//   event_stream_bench proton-fill --port N [--count 200000] [--size 256] [--annotated]         Proton, into a queue
//   event_stream_bench proton-read --port N [--count 200000] [--tls]                            Proton, out of the queue
//
// --annotated sends what an IoT hub puts around the body, so that both servers carry the same bytes. Prints one line of
// JSON: the CPU of this process and the time from the first event to the last.
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/amqp/message.hpp>
#include <iothub/crypto/openssl.hpp>
#include <iothub/hub/amqp_event_message.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/net/tcp_stream.hpp>
#include <iothub/net/tls_stream.hpp>
#include <iothub/policy/stream_amqp.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/sas_token.hpp>

#include "event_stream_bench.hpp"

namespace event_stream {

namespace {

using namespace iothub;

struct client : participant, amqp::connection_handler {
  plan const& p;
  stopwatch& watch;
  net::epoll_loop& loop;
  long done = 0;
  std::string failed;
  bool over = false;

  client(plan const& what, stopwatch& w, net::epoll_loop& on) : p{what}, watch{w}, loop{on} {}
  void on_open(amqp::open const&, time_point) override {}
  void on_transfer(amqp::link&, amqp::delivery const&, time_point) override {}
  void on_detached(amqp::link&, amqp::end_reason const& why, time_point) override {
    if (failed.empty() && done < p.count) failed = std::string{why.error.condition} + " " + std::string{why.error.description};
    over = true;
  }
  void on_closed(error const& reason, amqp::error_view const&, time_point) override {
    if (failed.empty() && done < p.count) failed = std::string{reason.message()};
    over = true;
  }
};

template <class Stream>
struct driven final : client {
  template <class... Args>
  driven(plan const& what, stopwatch& w, net::epoll_loop& on, Args&&... args)
      : client{what, w, on}, transport{std::forward<Args>(args)...} {
    transport.attach(on, *this);
    on.add(*this);
  }
  void step(time_point now) override { transport.step(now); }
  [[nodiscard]] time_point deadline() const override { return transport.deadline(); }
  void on_open(amqp::open const&, time_point) override { session = transport.connection()->begin().value(); }
  void on_begun(amqp::session& which, time_point) override {
    std::string const target = p.device.empty() ? "bench" : "/devices/" + p.device + "/messages/events";
    amqp::attach how;
    how.name = "bench";
    how.has_source = how.has_target = true;
    how.source = amqp::source::at(p.device.empty() ? "localhost/ConsumerGroups/$Default/Partitions/0" : "bench");
    how.target = amqp::target::at(target);
    how.role = p.device.empty() ? amqp::link_role::receiver : amqp::link_role::sender;
    auto* const link = which.attach(how).value();
    if (p.device.empty()) link->set_prefetch(credit_window);
  }
  void on_credit(amqp::link& link, time_point) override {
    while (sent != p.count && link.can_send()) {
      if (!link.send({.payload = message_of(p.size)})) return;
      ++sent;
    }
  }
  void on_disposition(amqp::link&, amqp::settlement const& what, time_point) override {
    if (what.state.is != amqp::outcome::accepted) failed = "the hub did not accept an event";
    if (++done == p.count) transport.close();
  }
  void on_transfer(amqp::link&, amqp::delivery const& what, time_point) override {
    if (done == 0) watch.start();
    amqp::message_view message;
    if (amqp::read_message(what.payload, message) || message.data.size() != p.size) failed = "an event is broken";
    if (++done != p.count) return;
    watch.stop();
    transport.close();
  }
  void run(amqp::sasl_credentials login) {
    amqp::connection_options how;
    how.hostname = "localhost";
    auto opened = transport.open({.host = "localhost", .port = static_cast<std::uint16_t>(p.port)}, how, std::move(login), *this,
                                 loop.now());
    if (!opened) give_up(std::string{opened.error().message()});
    (void)loop.run_until([&] { return over; }, add(loop.now(), std::chrono::minutes{1}));
    if (done < p.count || !failed.empty()) give_up(failed.empty() ? "the time is up" : failed);
  }
  static byte_view message_of(std::size_t size) {
    static byte_buffer const made = [size] {
      byte_buffer out;
      amqp::message_view m;
      std::string const body(size, 'x');
      m.body = amqp::body_kind::data;
      m.data = body;
      amqp::write_message(m, out);
      return out;
    }();
    return made.view();
  }

  stream_amqp<Stream> transport;
  amqp::session* session = nullptr;
  long sent = 0;
};

}  // namespace

void read_ours(plan const& p, stopwatch& watch) {
  net::epoll_loop loop;
  amqp::sasl_credentials login{amqp::sasl_mechanism::plain, "iothubowner", secret{p.key}};
  if (p.ca_file.empty()) return driven<net::tcp_stream>{p, watch, loop}.run(std::move(login));
  auto context = net::tls_context::client({.trust = {.ca_file = p.ca_file}});
  if (!context) give_up(std::string{context.error().message()});
  driven<net::tls_stream<net::tcp_stream>>{p, watch, loop, std::move(*context), net::tcp_stream{}}.run(std::move(login));
}

void fill_ours(plan p, stopwatch& watch) {
  auto const connection = parse_device_connection_string(p.connection_string);
  if (!connection) give_up(std::string{connection.error().message()});
  p.device = connection->device_id;
  net::epoll_loop loop;
  openssl_crypto crypto;
  auto key = crypto.prepare(from_base64(connection->shared_access_key.reveal()).value()).value();
  sas_template shape{sas_resource(connection->host_name, p.device)};
  std::int64_t const expiry = unix_seconds(loop.utc_now()) + 3600;
  std::string token;
  shape.append(token, crypto.sign(key, shape.string_to_sign(expiry)).value(), expiry);
  watch.start();
  driven<net::tcp_stream>{p, watch, loop}.run({amqp::sasl_mechanism::plain, p.device + "@sas.localhost", secret{token}});
  watch.stop();
}

std::string annotated_event(std::size_t size) {
  hub::event_log log{{.partitions = 1}};
  std::string const body(size, 'x');
  hub::d2c_message what;
  what.body = body;
  log.append(0, {.device_id = "reader-of-events", .generation = 638'000'000'000'000'000}, what, from_unix_seconds(1'704'067'200));
  byte_buffer out;
  log.newest(0, [&](hub::event_view const& event) { hub::append_event_message(event, nullptr, out); });
  return std::string{out.view()};
}
std::string plain_event(std::size_t size) { return std::string{driven<net::tcp_stream>::message_of(size)}; }

}  // namespace event_stream

int main(int argc, char** argv) {
  using namespace event_stream;
  plan p;
  std::string_view const verb = argc > 1 ? argv[1] : "";
  for (int i = 2; i < argc; ++i) {
    std::string_view const name = argv[i];
    if (name == "--annotated") { p.annotated = true; continue; }
    if (name == "--tls") { p.tls = true; continue; }
    char const* const value = i + 1 < argc ? argv[++i] : "";
    if (name == "--port") p.port = std::atoi(value);
    else if (name == "--count") p.count = std::atol(value);
    else if (name == "--size") p.size = static_cast<std::size_t>(std::atol(value));
    else if (name == "--key") p.key = value;
    else if (name == "--ca") p.ca_file = value;
    else if (name == "--connection-string") p.connection_string = value;
    else give_up("unknown option " + std::string{name});
  }
  stopwatch watch;
  if (verb == "fill") fill_ours(p, watch);
  else if (verb == "read") read_ours(p, watch);
  else if (verb == "proton-fill") fill_proton(p, watch);
  else if (verb == "proton-read") read_proton(p, watch);
  else give_up("fill, read, proton-fill or proton-read");
  double const count = static_cast<double>(p.count);
  std::printf("{\"count\": %ld, \"events_per_second\": %.0f, \"cpu_seconds_per_million\": %.3f}\n", p.count, count / watch.wall(),
              watch.cpu() / count * 1e6);
}
