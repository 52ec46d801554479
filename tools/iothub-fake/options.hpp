// The command line of iothub-fake.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/ascii.hpp>
#include <iothub/base/base64.hpp>
#include <iothub/base/result.hpp>
#include <iothub/hub/options.hpp>

namespace iothub_fake {

// What the process ends with; scripts tell these apart.
enum exit_code : int {
  exit_ok = 0,
  exit_internal = 1,
  exit_usage = 2,
  exit_cannot_bind = 3,
  exit_bad_fixture = 4,
  exit_no_tls = 5,  // the CA folder or what is in it cannot be used
  exit_no_hub = 6,  // connstr, events: the running hub cannot be reached, or said no
  exit_cannot_write = 7,  // standard output or the ports file
};

// The key of the policy iothubowner unless --owner-key says otherwise.
using iothub::hub::well_known_owner_key;

enum class command { help, version, serve, connstr, ca };
enum class log_format { text, json };

struct options {
  iothub_fake::command command = command::help;
  std::string bind = "localhost";
  std::vector<std::string> hostnames = {};  // the first one is the hub's name in connection strings
  std::uint16_t https = 443;
  std::uint16_t mqtt = 8883;
  std::optional<std::uint16_t> amqps = 5671;  // none: off
  std::optional<std::uint16_t> amqp = 5672;
  std::string ca_folder = {};  // empty: the default folder
  std::string ca_file = {};    // as a ports file says
  std::string ports_file = {};
  std::string fixture = {};
  log_format log = log_format::text;
  std::string owner_key{well_known_owner_key};
  bool own_key = false;  // --owner-key was given
  bool expose_to_network = false;
  bool ephemeral_ca = false;
  bool show_telemetry = false;
  iothub::hub::event_routes routes = {};
  iothub::hub::retention retention = {};
  // connstr
  bool service = false;
  std::string device = {};
  bool create = false;
  bool https_given = false;
  bool hostname_given = false;

  [[nodiscard]] std::string hub_name() const { return hostnames.empty() ? std::string{"localhost"} : hostnames[0]; }
};

inline constexpr std::string_view help_text =
    R"(iothub-fake: an Azure IoT Hub for tests, on this machine.

  iothub-fake serve [--bind localhost] [--hostname localhost] [--https 443] [--mqtt 8883]
                    [--amqps 5671] [--amqp 5672] [--ca DIR] [--ports-file FILE] [--fixture FILE]
                    [--log text|json] [--show-telemetry] [--events telemetry] [--partitions 4]
                    [--retain-events 1000000] [--retain-bytes 67108864]
      Serves devices over MQTT, AMQP and HTTPS and back ends over HTTPS and AMQP, all with TLS; MQTT and
      AMQP in WebSockets on the HTTPS port; and AMQP without TLS to this machine. Prints one line on
      standard output when it can serve; everything else goes to standard error.
      --bind ADDRESS      the address to listen on; localhost is 127.0.0.1 and, where there is one, ::1
      --hostname NAME     the hub's name in connection strings; may be given several times, then the
                          certificate holds them all. localhost, hub.localhost, 127.0.0.1, ::1 and
                          *.azure-devices.net are in it anyway
      --https PORT, --mqtt PORT   0 takes a free one
      --amqps PORT, --amqp PORT   with and without TLS; 0 takes a free one, off serves none
      --ca DIR            where the certificate authority is kept; made when it is not there
                          (default: iothub-fake below $XDG_DATA_HOME or ~/.local/share)
      --ephemeral-ca      a certificate authority for this run alone; its certificate is written to DIR,
                          its key nowhere
      --ports-file FILE   writes the name, the ports and the CA file there as JSON, when it can serve, and
                          removes it when it ends
      --fixture FILE      devices to begin with, as JSON; all but deviceId may be left out:
                            {"devices": [
                              {"deviceId": "pump-7", "primaryKey": "BASE64", "secondaryKey": "BASE64",
                               "status": "enabled", "tags": {"plant": 43}, "desired": {"interval": 10}}
                            ]}
      --log text|json     the form of the log on standard error
      --show-telemetry    a line in the log for each message of a device
      --events LIST       what goes to the built-in event endpoint, as routes would send it there, with
                          commas: telemetry (by default), twin, lifecycle, connection
      --partitions N      of the event endpoint, 1 to 32
      --retain-events N, --retain-bytes N   how much of its events each partition keeps; the oldest go
                          first. Bytes may end in K, M or G
      --owner-key KEY     the key of the policy iothubowner, base64, in place of the well-known one
      --expose-to-network allows an address that other machines can reach; needs --owner-key

  iothub-fake connstr --service
  iothub-fake connstr --device ID[/MODULE] [--create]
      Prints a connection string. The key of a device or module comes from the running hub.
      --bind, --hostname, --https, --ca, --owner-key   as given to serve, or
      --ports-file FILE   as written by serve

  iothub-fake events [--device ID] [--from-beginning] [--json] [--count N]
      Prints what devices send to the running hub, one line each; events --help says more.

  iothub-fake ca [--ca DIR] [--hostname NAME]
      Makes the certificate authority when it is not there, and prints the file that clients trust.

  iothub-fake --help | --version

Exit status: 0 ended as asked, 1 internal error, 2 wrong usage, 3 cannot listen on an address or port,
4 unusable fixture, 5 unusable certificate authority, 6 no answer or a refusal from the running hub,
7 cannot write to standard output or the ports file.
)";

// The command line as options; errc::invalid_argument with a sentence for what cannot be understood.
[[nodiscard]] inline iothub::result<options> parse_options(std::span<char const* const> arguments);

// Whether only this machine can reach that address.
[[nodiscard]] inline bool is_loopback(std::string_view address);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline iothub::error usage(std::string text) {
  return {iothub::errc::invalid_argument, std::move(text)};
}

inline iothub::result<std::uint16_t> parse_port(std::string_view name, std::string_view text) {
  auto const port = iothub::parse_int<std::uint16_t>(text);
  if (!port) return usage(std::string{name} + " takes a number from 0 to 65535");
  return *port;
}

inline iothub::result<void> check_key(std::string_view text) {
  auto const key = iothub::from_base64(text);
  if (!key || key->size() < 16 || key->size() > 64) return usage("--owner-key takes the base64 of 16 to 64 bytes");
  return {};
}

inline bool is_address(std::string const& text) {
  in6_addr unused;
  return text == "localhost" || ::inet_pton(AF_INET, text.c_str(), &unused) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), &unused) == 1;
}

inline iothub::result<iothub::hub::event_routes> parse_routes(std::string_view list) {
  iothub::hub::event_routes made{.telemetry = false};
  constexpr std::pair<std::string_view, bool iothub::hub::event_routes::*> words[] = {
      {"telemetry", &iothub::hub::event_routes::telemetry},
      {"twin", &iothub::hub::event_routes::twin},
      {"lifecycle", &iothub::hub::event_routes::lifecycle},
      {"connection", &iothub::hub::event_routes::connection}};
  for (bool more = true; more;) {
    auto const [word, rest, comma] = iothub::split_once(list, ',');
    bool known = false;
    for (auto const& [name, member] : words)
      if (word == name) made.*member = known = true;
    if (!known)
      return usage("--events takes telemetry, twin, lifecycle and connection, with commas; \"" + std::string{word} +
                   "\" is none of them");
    list = rest;
    more = comma;
  }
  return made;
}

// A count of at least one; K, M and G are multiples of 1024.
inline iothub::result<std::size_t> parse_amount(std::string_view name, std::string_view text, bool of_bytes) {
  std::size_t shift = 0;
  auto digits = text;
  if (of_bytes && !text.empty())
    if (auto const unit = std::string_view{"KMG"}.find(text.back()); unit != std::string_view::npos) {
      shift = 10 * (unit + 1);
      digits.remove_suffix(1);
    }
  auto const number = iothub::parse_int<std::uint64_t>(digits);
  if (!number || *number == 0 || *number > (~std::size_t{0} >> 1 >> shift))
    return usage(std::string{name} + " takes a number above 0" + (of_bytes ? ", which may end in K, M or G" : ""));
  return static_cast<std::size_t>(*number) << shift;
}

inline iothub::result<void> take_retention(options& into, std::string_view name, std::string_view value) {
  auto const amount = parse_amount(name, value, name == "--retain-bytes");
  if (!amount) return amount.error();
  if (name == "--partitions") {
    if (*amount > 32) return usage("--partitions takes a number from 1 to 32");
    into.retention.partitions = static_cast<std::uint32_t>(*amount);
    return {};
  }
  (name == "--retain-events" ? into.retention.events : into.retention.bytes) = *amount;
  return {};
}

// A switch without a value; false where it is none.
inline bool take_switch(options& into, std::string_view name) {
  if (name == "--expose-to-network") return into.expose_to_network = true;
  if (name == "--show-telemetry") return into.show_telemetry = true;
  if (name == "--ephemeral-ca") return into.ephemeral_ca = true;
  if (name == "--service") return into.service = true;
  if (name == "--create") return into.create = true;
  return false;
}

inline iothub::result<void> take_value(options& into, std::string_view name, std::string_view value) {
  if (name == "--https" || name == "--mqtt") {
    auto const port = parse_port(name, value);
    if (!port) return port.error();
    (name == "--https" ? into.https : into.mqtt) = *port;
    into.https_given = into.https_given || name == "--https";
    return {};
  }
  if (name == "--amqps" || name == "--amqp") {
    auto& port = name == "--amqps" ? into.amqps : into.amqp;
    port.reset();
    if (value == "off") return {};
    auto const number = parse_port(name, value);
    if (!number) return number.error();
    port = *number;
    return {};
  }
  if (name == "--log") {
    if (value != "text" && value != "json") return usage("--log takes text or json");
    into.log = value == "json" ? log_format::json : log_format::text;
    return {};
  }
  if (name == "--events") {
    auto const routes = parse_routes(value);
    if (!routes) return routes.error();
    into.routes = *routes;
    return {};
  }
  if (name == "--partitions" || name == "--retain-events" || name == "--retain-bytes")
    return take_retention(into, name, value);
  if (value.empty()) return usage(std::string{name} + " takes a value that is not empty");
  if (name == "--hostname") {
    into.hostname_given = true;
    into.hostnames.emplace_back(value);
  } else if (name == "--owner-key") {
    if (auto fine = check_key(value); !fine) return fine;
    into.own_key = true;
    into.owner_key = value;
  } else {
    (name == "--bind"         ? into.bind
     : name == "--ca"         ? into.ca_folder
     : name == "--ports-file" ? into.ports_file
     : name == "--fixture"    ? into.fixture
                              : into.device) = value;
  }
  return {};
}

// Which options a command knows, each followed by a blank.
inline std::string_view known_options(command which) {
  switch (which) {
    case command::serve:
      return "--bind --hostname --https --mqtt --amqps --amqp --ca --ports-file --fixture --log --owner-key --expose-to-network "
             "--ephemeral-ca --show-telemetry --events --partitions --retain-events --retain-bytes ";
    case command::connstr:
      return "--service --device --create --bind --hostname --https --ca --ports-file --owner-key ";
    case command::ca: return "--ca --hostname ";
    default: return "";
  }
}

// Two doors at one port: the system would only say that the second is taken.
inline iothub::result<void> check_ports(options const& made) {
  struct {
    std::string_view name;
    std::uint16_t port;
  } const doors[] = {{"--https", made.https}, {"--mqtt", made.mqtt}, {"--amqps", made.amqps.value_or(0)}, {"--amqp", made.amqp.value_or(0)}};
  for (auto const& one : doors)
    for (auto const& other : doors)
      if (&one < &other && one.port != 0 && one.port == other.port)
        return usage(std::string{one.name} + " and " + std::string{other.name} + " are both " + std::to_string(one.port) +
                     "; each takes a port of its own");
  return {};
}

inline iothub::result<void> check_together(options const& made) {
  if (made.command == command::connstr) {
    if (made.service == !made.device.empty()) return usage("connstr takes either --service or --device ID");
    if (made.create && made.service) return usage("--create goes with --device");
  }
  if (made.show_telemetry && !made.routes.telemetry) return usage("--show-telemetry wants telemetry among --events");
  if (!is_address(made.bind)) return usage("--bind takes an IP address or localhost, and " + made.bind + " is neither");
  if (made.command != command::serve) return {};
  if (auto fine = check_ports(made); !fine) return fine;
  if (is_loopback(made.bind)) return {};
  if (!made.expose_to_network)
    return usage("other machines can reach " + made.bind + "; say --expose-to-network if that is meant");
  if (!made.own_key || made.owner_key == well_known_owner_key)
    return usage("the well-known owner key is refused on " + made.bind +
                 ", which other machines can reach; give one of your own with --owner-key");
  return {};
}

}  // namespace detail

inline bool is_loopback(std::string_view address) {
  return address == "localhost" || address == "::1" ||
         (address.substr(0, 4) == "127." && address.find_first_not_of("0123456789.") == std::string_view::npos);
}

inline iothub::result<options> parse_options(std::span<char const* const> arguments) {
  options made;
  if (arguments.empty()) return detail::usage("which command? serve, connstr, events, ca, --help or --version");
  std::string_view const first = arguments[0];
  if (first == "--help" || first == "-h" || first == "help") return made;
  if (first == "--version") return made.command = command::version, made;
  if (first != "serve" && first != "connstr" && first != "ca")
    return detail::usage("there is no command \"" + std::string{first} + "\"; serve, connstr, events, ca, --help or --version");
  made.command = first == "serve" ? command::serve : first == "connstr" ? command::connstr : command::ca;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string_view const argument = arguments[i];
    if (argument == "--help" || argument == "-h") return options{};
    auto const [name, inline_value, has_value] = iothub::split_once(argument, '=');
    std::string const padded = std::string{name} + ' ';
    if (name.substr(0, 2) != "--" || detail::known_options(made.command).find(padded) == std::string_view::npos)
      return detail::usage(std::string{first} + " has no option \"" + std::string{name} + "\"");
    if (!has_value && detail::take_switch(made, name)) continue;
    if (!has_value && i + 1 == arguments.size()) return detail::usage(std::string{name} + " takes a value");
    auto const taken = detail::take_value(made, name, has_value ? inline_value : std::string_view{arguments[++i]});
    if (!taken) return taken.error();
  }
  if (auto fine = detail::check_together(made); !fine) return fine.error();
  return made;
}

}  // namespace iothub_fake
