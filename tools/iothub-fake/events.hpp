// iothub-fake events: what devices send to a running hub, one line each; a client like any other.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/event_reader.hpp>
#include <iothub/net/signals.hpp>
#include <iothub/wire/hub_event_text.hpp>

#include "connstr.hpp"

namespace iothub_fake {

inline constexpr std::string_view events_help =
    R"(  iothub-fake events [--device ID] [--from-beginning] [--json] [--count N]
                     [--amqps 5671] [--hostname localhost] [--ca DIR] [--owner-key KEY] [--ports-file FILE]
      Prints the events of the running hub as they come: from now on, or all that it still has. --json
      prints one JSON document a line; --count ends after so many. Ctrl-C ends.
)";

namespace detail {

struct events_wanted {
  options hub = {};
  iothub::event_reader_options reader = {};
  bool json = false;
  bool help = false;
  std::uint64_t count = 0;
};

inline iothub::result<events_wanted> parse_events(std::span<char const* const> arguments) {
  events_wanted made;
  bool amqps_given = false;
  for (std::size_t i = 0; i != arguments.size(); ++i) {
    auto const [name, inline_value, has_value] = iothub::split_once(arguments[i], '=');
    if (name == "--help" || name == "-h") return made.help = true, std::move(made);
    if (name == "--from-beginning") {
      made.reader.start = iothub::event_position::earliest();
      continue;
    }
    if (name == "--json") {
      made.json = true;
      continue;
    }
    bool known = false;
    for (auto const each : {"--device", "--count", "--amqps", "--hostname", "--ca", "--owner-key", "--ports-file"})
      known = known || name == each;
    if (!known) return usage("events has no option \"" + std::string{name} + "\"");
    if (!has_value && i + 1 == arguments.size()) return usage(std::string{name} + " takes a value");
    std::string_view const value = has_value ? inline_value : std::string_view{arguments[++i]};
    if (name == "--device") {
      made.reader.device_id = value;
    } else if (name == "--count") {
      auto const count = iothub::parse_int<std::uint64_t>(value);
      if (!count || *count == 0) return usage("--count takes a number above 0");
      made.count = *count;
    } else {
      amqps_given = amqps_given || name == "--amqps";
      if (auto taken = take_value(made.hub, name, value); !taken) return std::move(taken).error();
    }
  }
  if (!made.hub.ports_file.empty() && !amqps_given) {
    bool missing = false;
    auto const text = iothub::net::detail::read_file(made.hub.ports_file, missing);
    bool const readable = text && !missing;
    auto const ports = readable ? iothub::json::parse(*text) : iothub::result<iothub::json::value>{iothub::errc::malformed};
    auto const port = ports ? (*ports)["amqps"].as_int() : std::nullopt;
    made.hub.amqps.reset();  // a hub with a ports file says there what it serves
    if (port && *port > 0 && *port < 65'536) made.hub.amqps = static_cast<std::uint16_t>(*port);
  }
  if (auto taken = take_ports_file(made.hub); !taken) return std::move(taken).error();
  if (!made.hub.amqps || *made.hub.amqps == 0) return usage("the hub serves no AMQP with TLS, which events come by");
  return made;
}

}  // namespace detail

inline int print_events(std::span<char const* const> arguments) {
  auto parsed = detail::parse_events(arguments);
  if (!parsed) return fail(exit_usage, std::string{parsed.error().message()} + " (--help says more)");
  if (parsed->help) return say(events_help);
  options const& hub = parsed->hub;
  auto& how = parsed->reader;
  how.amqps_port = *hub.amqps;
  auto const folder = hub.ca_folder.empty() ? default_ca_folder() : hub.ca_folder;
  how.ca_file = !hub.ca_file.empty() ? hub.ca_file : folder + "/ca.pem";
  if (hub.ca_folder.empty() && hub.ca_file.empty() && ::access(how.ca_file.c_str(), R_OK) != 0)
    how.ca_file.clear();  // SSL_CERT_FILE may know it
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  auto reader = iothub::event_reader::from_connection_string(
      loop, "HostName=" + hub.hub_name() + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + hub.owner_key, how);
  if (!reader) return fail(exit_no_hub, reader.error().message());
  if (auto opened = reader->open(); !opened)
    return loop.stopped() ? exit_ok : fail(exit_no_hub, "cannot read events: " + std::string{opened.error().message()});
  while (parsed->count == 0 || reader->events() < parsed->count) {
    auto const event = reader->next();
    if (!event && loop.stopped()) return exit_ok;
    if (!event) return fail(exit_no_hub, "cannot read events: " + std::string{event.error().message()});
    if (int const status = say((parsed->json ? to_json(*event).dump() : to_line(*event)) + "\n"); status != exit_ok)
      return status;
  }
  reader->close();
  return exit_ok;
}

}  // namespace iothub_fake
