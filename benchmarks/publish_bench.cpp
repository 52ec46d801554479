// QoS 1 publish over loopback TLS: what a message costs its client, ours against libmosquitto, paho and hand-written
// code, each against the same broker, with the same topic, payload, user name and password.
//
//   publish_bench --client ours|mosquitto|paho|limit --port PORT --ca FILE [--host localhost] [--count 100000]
//                 [--window 20] [--size 100] [--connection-string TEXT]
//
// Prints one line of JSON. A broker that lets everybody in needs no connection string: one is made up.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/crypto/openssl.hpp>
#include <iothub/policy/loop_clock.hpp>
#include <iothub/net/epoll_loop.hpp>
#include <iothub/version.hpp>
#include <iothub/wire/connection_string.hpp>
#include <iothub/wire/device_topics.hpp>
#include <iothub/wire/mqtt_identity.hpp>
#include <iothub/wire/sas_signer.hpp>

#include "publish_bench.hpp"

namespace {

using namespace publish_bench;

constexpr char usage[] =
    "usage: publish_bench --client ours|mosquitto|paho|limit --port PORT --ca FILE [--host localhost]\n"
    "                     [--count 100000] [--window 20] [--size 100] [--connection-string TEXT]\n";

// What the rivals log in with: ours makes the same of the connection string.
void fill_in_credentials(plan& p) {
  auto const connection = iothub::parse_device_connection_string(p.connection_string);
  if (!connection) give_up("connection string", std::string{connection.error().message()});
  iothub::net::epoll_loop clock;
  auto signer = iothub::basic_sas_signer<iothub::loop_clock, iothub::openssl_crypto>::make(
      iothub::loop_clock{clock}, {}, connection->shared_access_key,
      {.host_name = connection->host_name, .device_id = connection->device_id});
  if (!signer) give_up("key", std::string{signer.error().message()});
  p.password = signer->token().value();
  p.client_id = connection->device_id;
  p.user_name = iothub::mqtt_user_name({.host_name = connection->host_name,
                                        .device_id = connection->device_id,
                                        .client_type = "iothub-cpp/" + std::string{iothub::version_text}});
  p.topic = iothub::device_topics::make({.device_id = connection->device_id}).value().telemetry_topic();
}

}  // namespace

int main(int argc, char** argv) {
  plan p;
  std::string client;
  std::size_t size = 100;
  for (int i = 1; i < argc; i += 2) {
    std::string_view const name = argv[i];
    if (name == "--help" || i + 1 == argc) return std::fputs(usage, name == "--help" ? stdout : stderr), name != "--help";
    char const* const value = argv[i + 1];
    if (name == "--client") client = value;
    else if (name == "--host") p.host = value;
    else if (name == "--port") p.port = std::atoi(value);
    else if (name == "--ca") p.ca_file = value;
    else if (name == "--count") p.count = std::atol(value);
    else if (name == "--window") p.window = std::atoi(value);
    else if (name == "--size") size = static_cast<std::size_t>(std::atol(value));
    else if (name == "--connection-string") p.connection_string = value;
    else return std::fputs(usage, stderr), 2;
  }
  // Ours holds at most device_options.outbox.messages, of which there are 1000.
  if (p.window < 1 || p.window > 1000 || p.count < 1 || p.ca_file.empty()) return std::fputs(usage, stderr), 2;
  if (p.connection_string.empty())
    p.connection_string = "HostName=" + p.host + ";DeviceId=thermostat-0000001;SharedAccessKey=a2V5IG9mIGEgYmVuY2htYXJr";
  p.payload.assign(size, 'x');
  fill_in_credentials(p);

  stopwatch watch;
  if (client == "ours") run_ours(p, watch);
  else if (client == "mosquitto") run_mosquitto(p, watch);
  else if (client == "paho") run_paho(p, watch);
  else if (client == "limit") run_limit(p, watch);
  else return std::fputs(usage, stderr), 2;
  double const count = static_cast<double>(p.count);
  std::printf("{\"client\": \"%s\", \"window\": %d, \"count\": %ld, \"messages_per_second\": %.0f, "
              "\"cpu_seconds_per_million\": %.3f}\n",
              client.c_str(), p.window, p.count, count / watch.wall(), watch.cpu() / count * 1e6);
}
