// basic_sas_signer alone: it makes SAS tokens with any clock and any crypto. Then its token opens the fake hub, and the
// hub that IOTHUB_SERVICE_CONNECTION_STRING names, if it is set.
#include "environment.hpp"

#include <cstdio>
#include <iothub/fake_hub.hpp>

namespace {

// A clock of one's own; here one that stands still.
struct stopped_clock {
  [[nodiscard]] iothub::time_point now() const { return {}; }
  [[nodiscard]] iothub::utc_time utc_now() const { return iothub::from_unix_seconds(1'700'000'000); }
};

// The same connection string with a token in the place of the key, made by the clock of that loop.
template <class Crypto>
iothub::result<iothub::connection_string> with_token(iothub::loop& loop, Crypto crypto, std::string_view text) {
  auto connection = iothub::parse_service_connection_string(text);
  if (!connection) return std::move(connection).error();
  auto signer = iothub::basic_sas_signer<iothub::loop_clock, Crypto>::make(
      iothub::loop_clock{loop}, std::move(crypto), connection->shared_access_key,
      {.host_name = connection->host_name, .policy = connection->shared_access_key_name});
  if (!signer) return std::move(signer).error();
  auto token = signer->token();
  if (!token) return std::move(token).error();
  connection->shared_access_key = {};
  connection->shared_access_signature = iothub::secret{std::move(*token)};
  return connection;
}

}  // namespace

int main(int argc, char** argv) {
  example::usage(argc, argv, 0,
                 "standalone_sas_signer\n"
                 "Needs nothing; with IOTHUB_SERVICE_CONNECTION_STRING it also asks that hub.");
  // Alone. The key is the example's own; the same second gives the same token.
  auto signer = iothub::basic_sas_signer<stopped_clock, iothub::openssl_crypto>::make(
                    {}, {}, iothub::secret{"c29tZSBrZXkgb2YgYW4gZXhhbXBsZQ=="},
                    {.host_name = "example.azure-devices.net", .device_id = "d1", .lifetime = std::chrono::minutes{10}})
                    .value();
  std::printf("alone     %s\n", signer.token().value().c_str());
  std::printf("alone     good until %s, a new one is due at %s\n", iothub::to_iso8601(signer.expires_at()).c_str(),
              iothub::to_iso8601(signer.renew_at()).c_str());

  // With the fake hub: any crypto will do, here one whose random bytes can be repeated.
  iothub::fake_hub hub;
  hub.create_device("d1");
  auto const connection = with_token(hub.loop(), iothub::seeded_crypto{}, hub.service_connection_string());
  if (!connection) return example::failed("fake hub", connection.error());
  auto service = iothub::fake_hub::service_client<>::create(
      hub.loop(), *connection, [&hub] { return iothub::memory::direct_http{hub.runtime().http()}; },
      iothub::loop_clock{hub.loop()}, iothub::seeded_crypto{});
  auto const devices = service ? service->list_devices() : service.error();
  if (!devices) return example::failed("fake hub", devices.error());
  std::printf("fake hub  knows %zu device\n", devices->size());

  // With the real transport.
  if (!example::is_set("IOTHUB_SERVICE_CONNECTION_STRING")) return 0;
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto const real =
      with_token(loop, iothub::openssl_crypto{}, example::connection_string("IOTHUB_SERVICE_CONNECTION_STRING"));
  if (!real) return example::failed("real hub", real.error());
  auto back_end = iothub::service_client::create(
      loop, *real, [] { return iothub::service_transport<iothub::net::curl_http>::make(example::service_options()); },
      iothub::loop_clock{loop}, iothub::openssl_crypto{}, example::service_options());
  auto const found = back_end ? back_end->list_devices() : back_end.error();
  if (!found) return loop.stopped() ? 0 : example::failed("real hub", found.error());
  std::printf("real hub  knows %zu devices\n", found->size());
  return 0;
}
