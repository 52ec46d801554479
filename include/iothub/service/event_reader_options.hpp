// Every knob of an event reader, with its default and its range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <iothub/amqp/sasl.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/io/retry.hpp>
#include <iothub/service/checkpoint_store.hpp>
#include <iothub/wire/hub_event.hpp>

namespace iothub {
inline namespace v0 {

struct event_reader_options {
  // What to read.
  std::string consumer_group = "$Default";
  std::vector<std::string> partitions = {};  // "0", "1", …; empty: all
  // Where to begin in a partition that has no checkpoint.
  event_position start = event_position::latest();
  std::string device_id = {};  // only events of this device; empty: all. The hub has no such filter: this side skips

  // Events per partition that are fetched before they are asked for; 1 to 10,000.
  std::uint32_t prefetch = 300;
  // The owner level (epoch) of the receivers, 0 or more: at most one receiver with one per consumer group and
  // partition, the highest wins, the other gets errc::link_stolen. Not together with `share_partitions`, which sets it.
  std::optional<std::int64_t> owner_level = {};

  // Where it remembers how far it is; must outlive the reader. See checkpoint_store.hpp.
  checkpoint_store* checkpoints = nullptr;
  // Finished events are saved so often, and by close(). Zero: by checkpoint() only. An event is finished when the next
  // one is asked for, or when its handler has returned.
  duration checkpoint_interval = std::chrono::seconds{5};
  // Reads a share of the partitions: the readers that use the same store, hub and consumer group divide them.
  bool share_partitions = false;
  std::string reader_name = {};                      // unique among them; empty: random
  duration claim_interval = std::chrono::seconds{10};  // between two looks at the claims
  duration claim_expiry = std::chrono::seconds{30};    // a reader that did not renew its claims for so long is gone

  // Where and how to connect; the files are for transports that are made here.
  std::string ca_file = {};  // PEM; empty: the file named by SSL_CERT_FILE, else what the system trusts
  std::string crl_file = {}; // PEM revocation lists; empty: none are looked at (docs/tls-matrix.md)
  std::uint16_t amqps_port = 5671;
  std::uint16_t amqp_port = 5672;  // with UseDevelopmentEmulator=true
  amqp::sasl_mechanism sasl = amqp::sasl_mechanism::anonymous;  // or mssbcbs, or none: no SASL layer
  duration connect_timeout = std::chrono::seconds{60};
  duration idle_timeout = std::chrono::seconds{120};  // a server that is silent for longer is lost
  duration token_timeout = std::chrono::seconds{60};

  std::chrono::seconds token_lifetime{3600};  // what the official SDKs use; at least 60 s
  std::chrono::seconds token_margin{0};       // how long before its end it is renewed; 0: a fifth of the lifetime

  // After the connection or a receiver broke.
  retry_schedule retry = {.shortest = std::chrono::milliseconds{200},
                          .first = std::chrono::seconds{1},
                          .longest = std::chrono::seconds{30},
                          .attempts = 0};
  std::uint64_t seed = 0;  // of jitter and names; 0: random bytes of the crypto policy
};

// errc::invalid_argument naming the first field outside its range.
[[nodiscard]] inline result<void> validate(event_reader_options const& o) {
  auto const bad = [](char const* text) { return error{errc::invalid_argument, text}; };
  if (o.consumer_group.empty()) return bad("event_reader_options.consumer_group is empty");
  if (o.prefetch == 0 || o.prefetch > 10'000) return bad("event_reader_options.prefetch is not 1 to 10000");
  if (o.owner_level && *o.owner_level < 0) return bad("event_reader_options.owner_level is below 0");
  if (o.share_partitions && o.checkpoints == nullptr)
    return bad("event_reader_options.share_partitions needs a checkpoint store, where the readers meet");
  if (o.share_partitions && o.owner_level) return bad("event_reader_options: share_partitions sets the owner level");
  if (o.share_partitions && (o.claim_interval <= duration{0} || o.claim_expiry <= o.claim_interval))
    return bad("event_reader_options: claim_expiry is not above claim_interval");
  if (o.amqps_port == 0 || o.amqp_port == 0) return bad("event_reader_options: port 0 is no port to connect to");
  if (o.sasl == amqp::sasl_mechanism::plain || o.sasl == amqp::sasl_mechanism::external)
    return bad("event_reader_options.sasl: who reads events shows a token on $cbs");
  if (o.connect_timeout <= duration{0} || o.token_timeout <= duration{0} || o.idle_timeout < duration{0})
    return bad("event_reader_options: a time limit is not positive");
  if (o.checkpoint_interval < duration{0}) return bad("event_reader_options.checkpoint_interval is below 0");
  if (o.token_lifetime < std::chrono::seconds{60}) return bad("event_reader_options.token_lifetime is below 60 s");
  if (o.token_margin < std::chrono::seconds{0} || o.token_margin >= o.token_lifetime)
    return bad("event_reader_options.token_margin is not below the lifetime");
  if (o.retry.shortest < duration{0} || o.retry.first < duration{0} || o.retry.longest < o.retry.shortest)
    return bad("event_reader_options.retry: the delays are not in rising order");
  for (std::size_t i = 0; i != o.partitions.size(); ++i)
    for (std::size_t j = i + 1; j < o.partitions.size(); ++j)
      if (o.partitions[i] == o.partitions[j]) return bad("event_reader_options.partitions names one twice");
  return {};
}

}  // namespace v0
}  // namespace iothub
