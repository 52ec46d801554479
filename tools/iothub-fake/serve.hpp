// iothub-fake serve, and what it shares with the other commands.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/hub_server.hpp>
#include <iothub/net/certificate_authority.hpp>
#include <iothub/net/signals.hpp>

#include "fixture.hpp"
#include "log.hpp"
#include "options.hpp"

namespace iothub_fake {

inline int fail(exit_code status, std::string_view why) {
  std::string line{"iothub-fake: "};
  append_for_people(line, why);
  std::fprintf(stderr, "%s\n", line.c_str());
  return status;
}

// Standard output: all that a command is for. A full disk must not look like success.
inline int say(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return exit_ok;
  return fail(exit_cannot_write, std::string{"cannot write to standard output: "} + std::strerror(errno));
}

// Writes what is of interest to whoever runs the hub to standard error; a line in one call, and never waits.
class stderr_log final : public iothub::hub::log_sink {
 public:
  explicit stderr_log(log_format form) : form_{form} {}
  void write(iothub::hub::log_entry const& entry) override {
    if (entry.level == iothub::hub::log_level::debug) return;
    tell_suppressed(entry.when);
    if (limiter_.admits(entry)) put(entry);
  }
  // What was held back until now; entries tell it too, but the last may have come.
  void tell_suppressed(iothub::hub::instant when) {
    for (auto const& [kind, count] : limiter_.take_suppressed(when.now))
      put({iothub::hub::log_level::warning, when, "suppressed", {}, {},
           std::to_string(count) + " more suppressed: " + kind});
  }
  void say(iothub::hub::instant when, std::string_view event, std::string_view text) {
    write({iothub::hub::log_level::info, when, event, {}, {}, text});
  }

 private:
  void put(iothub::hub::log_entry const& entry) {
    if (auto const gone = writer_.dropped(); gone != 0 && writer_.ready()) {
      writer_.forget_dropped();
      writer_.write(format_log({iothub::hub::log_level::warning, entry.when, "dropped-lines", {}, {},
                                std::to_string(gone) + " lines of this log could not be written"},
                               form_));
    }
    writer_.write(format_log(entry, form_));
  }

  log_format form_;
  log_limiter limiter_;
  line_writer writer_{STDERR_FILENO};
};

// One telemetry message on one line: size, properties, and the beginning of a body that is text.
inline std::string describe_telemetry(iothub::hub::event_view const& event) {
  std::string text = std::to_string(event.body().size()) + " bytes";
  std::string properties;
  event.for_each_property([&](iothub::hub::property_view const& p) {
    if (properties.size() > 400) return;
    properties.append(properties.empty() ? "" : ", ").append(p.name.substr(0, 64));
    if (p.has_value) properties.append("=").append(p.value.substr(0, 64));
  });
  if (!properties.empty()) text.append(", ").append(properties);
  if (auto const body = event.body(); !body.empty() && iothub::is_utf8(body)) {
    auto end = body.size() < 200 ? body.size() : std::size_t{200};
    while (end < body.size() && (static_cast<unsigned char>(body[end]) & 0xc0) == 0x80) --end;
    text.append(": ").append(body.substr(0, end)).append(end < body.size() ? "..." : "");
  }
  return text;
}

inline std::string default_ca_folder() {
  auto const folder = [](char const* variable, char const* rest) -> std::string {
    char const* const value = std::getenv(variable);
    return value != nullptr && *value == '/' ? std::string{value} + rest : std::string{};
  };
  auto found = folder("XDG_DATA_HOME", "/iothub-fake");
  if (found.empty()) found = folder("HOME", "/.local/share/iothub-fake");
  return found;
}

// The certificate authority that the options name. With --ephemeral-ca its key is kept nowhere.
inline iothub::result<iothub::net::certificate_authority> open_ca(options const& wanted, iothub::utc_time now) {
  auto const folder = wanted.ca_folder.empty() ? default_ca_folder() : wanted.ca_folder;
  if (folder.empty())
    return iothub::error{iothub::errc::invalid_argument,
                         "there is no home folder to keep the CA in; name one with --ca"};
  iothub::net::certificate_authority_options names{.host_names = wanted.hostnames};
  if (!iothub_fake::is_loopback(wanted.bind) && wanted.bind != "0.0.0.0" && wanted.bind != "::")
    names.host_names.push_back(wanted.bind);
  if (!wanted.ephemeral_ca) return iothub::net::open_certificate_authority(folder, names, now);
  names.ca_lifetime = names.leaf_lifetime = std::chrono::hours{24 * 7};
  auto made = iothub::net::make_certificate_authority(names, now);
  if (!made) return made;
  made->ca_file = folder + "/ephemeral-ca.pem";
  if (auto folder_made = iothub::net::detail::make_folder(folder); !folder_made) return folder_made.error();
  if (auto safe = iothub::net::detail::check_folder(folder); !safe) return safe.error();
  if (auto wrote = iothub::net::detail::write_file(made->ca_file, made->ca_pem, 0644); !wrote) return wrote.error();
  return made;
}

namespace detail {

// One sentence on why a port was refused, and how to get it.
inline std::string explain_refusal(iothub::error const& why, iothub::hub_server::refused_port refused,
                                   options const& wanted) {
  std::string text{why.message()};
  auto const port = std::to_string(refused.port);
  std::string const option = refused.port == wanted.mqtt    ? "--mqtt"
                             : refused.port == wanted.https ? "--https"
                             : refused.port == wanted.amqps ? "--amqps"
                                                            : "--amqp";
  bool const may_be_off = option == "--amqps" || option == "--amqp";
  auto const other = "take another one with " + option + ", where 0 picks a free one" +
                     (may_be_off ? " and off serves none" : "");
  if (refused.reason == EACCES || refused.reason == EPERM)
    return text + "; run as root, or give the program the capability (setcap cap_net_bind_service=+ep), or set " +
           "net.ipv4.ip_unprivileged_port_start=" + port + " with sysctl, or " + other;
  if (refused.reason == EADDRINUSE) return text + "; some other program listens there: end it, or " + other;
  if (refused.reason == EADDRNOTAVAIL) return text + "; --bind takes an address of this machine";
  return text;
}

// As many descriptors as the system lets us have: every connection takes one.
inline std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max < 65'536 ? limit.rlim_max : 65'536;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(limit.rlim_cur);
}

// Four ports share them, and the program needs some for itself.
constexpr std::size_t connections_per_port(std::size_t descriptors) {
  return descriptors > 128 ? (descriptors - 64) / 4 : 16;
}

inline std::string without_blanks(std::string_view path) {
  std::string out;
  for (char c : path) out.append(c == ' ' ? std::string_view{"%20"} : std::string_view{&c, 1});
  return out;
}

}  // namespace detail

class served_hub {
 public:
  explicit served_hub(options wanted) : wanted_{std::move(wanted)}, log_{wanted_.log} {}

  int run() {
    ::signal(SIGPIPE, SIG_IGN);
    iothub::net::stop_on_signals const signals{loop_};
    if (int const status = start(); status != exit_ok) return status;
    if (int const status = load(); status != exit_ok) return status;
    if (int const status = announce(); status != exit_ok) return forget_ports(), status;
    (void)loop_.run_until([] { return false; });  // ends by a signal
    forget_ports();
    hub_->stop();
    hub_.reset();
    log_.tell_suppressed({iothub::never, loop_.utc_now()});
    log_.say(now(), "stopped", "ended by a signal");
    return exit_ok;
  }

 private:
  [[nodiscard]] iothub::hub::instant now() { return {loop_.now(), loop_.utc_now()}; }

  int start() {
    auto ca = open_ca(wanted_, loop_.utc_now());
    if (!ca) return fail(exit_no_tls, ca.error().message());
    ca_ = std::move(*ca);
    iothub::hub_server_options settings;
    settings.hub.hostname = wanted_.hub_name();
    settings.hub.owner_key = wanted_.owner_key;
    settings.hub.routes = wanted_.routes;
    settings.hub.retention = wanted_.retention;
    settings.bind = wanted_.bind;
    settings.expose_to_network = wanted_.expose_to_network;
    settings.https_port = wanted_.https;
    settings.mqtt_port = wanted_.mqtt;
    settings.amqps_port = wanted_.amqps;
    settings.amqp_port = wanted_.amqp;
    settings.certificate_pem = ca_.chain_pem;
    settings.private_key_pem = ca_.private_key_pem;
    settings.host_names = wanted_.hostnames;
    settings.max_connections = detail::connections_per_port(detail::raise_descriptor_limit());
    settings.log = &log_;
    iothub::hub_server::refused_port refused;
    auto hub = iothub::hub_server::start(loop_, std::move(settings), &refused);
    if (hub) {
      hub_ = std::move(*hub);
      if (wanted_.show_telemetry)
        hub_->core().events().observe([this](iothub::hub::event_view const& event) {
          if (event.kind() != iothub::hub::event_kind::telemetry) return;
          log_.write({iothub::hub::log_level::info, now(), "telemetry", event.device_id(), event.module_id(),
                      describe_telemetry(event)});
        });
      return exit_ok;
    }
    if (refused.reason != 0) return fail(exit_cannot_bind, detail::explain_refusal(hub.error(), refused, wanted_));
    return fail(refused.port != 0 ? exit_cannot_bind : exit_no_tls, hub.error().message());
  }

  int load() {
    if (wanted_.fixture.empty()) return exit_ok;
    bool missing = false;
    auto text = iothub::net::detail::read_file(wanted_.fixture, missing, std::size_t{1} << 30);
    if (!text) return fail(exit_bad_fixture, text.error().message());
    if (missing) return fail(exit_bad_fixture, "there is no file " + wanted_.fixture);
    auto const loaded = load_fixture(*text, hub_->core(), now());
    if (!loaded) return fail(exit_bad_fixture, wanted_.fixture + ": " + std::string{loaded.error().message()});
    log_.say(now(), "fixture", std::to_string(*loaded) + " devices from " + wanted_.fixture);
    return exit_ok;
  }

  int announce() {
    auto const https = std::to_string(hub_->https_port());
    auto const mqtt = std::to_string(hub_->mqtt_port());
    if (!wanted_.ports_file.empty()) {
      iothub::json::value ports{
          {"hub", wanted_.hub_name()}, {"https", hub_->https_port()}, {"mqtt", hub_->mqtt_port()}, {"ca", ca_.ca_file}};
      if (wanted_.amqps) ports.set("amqps", hub_->amqps_port());
      if (wanted_.amqp) ports.set("amqp", hub_->amqp_port());
      ports_ = ports.dump() + "\n";
      if (auto wrote = iothub::net::detail::write_file(wanted_.ports_file, ports_, 0644); !wrote)
        return ports_.clear(), fail(exit_cannot_write, "--ports-file: " + std::string{wrote.error().message()});
    }
    if (ca_.created) log_.say(now(), "ca", "made a new CA; clients trust " + ca_.ca_file);
    if (ca_.extended) log_.say(now(), "ca", "the CA holds new names; clients have to load it again: " + ca_.ca_file);
    std::string amqp;  // behind what was there first
    if (wanted_.amqps) amqp += " amqps=" + std::to_string(hub_->amqps_port());
    if (wanted_.amqp) amqp += " amqp=" + std::to_string(hub_->amqp_port());
    return say("iothub-fake ready hub=" + wanted_.hub_name() + " https=" + https + " mqtt=" + mqtt +
               " ca=" + detail::without_blanks(ca_.ca_file) + amqp + "\n");
  }
  // The file would send clients to a port that may be somebody else's by then. Another hub's is left alone.
  void forget_ports() {
    bool missing = false;
    auto const there = iothub::net::detail::read_file(wanted_.ports_file, missing);
    if (!ports_.empty() && there && !missing && *there == ports_) ::unlink(wanted_.ports_file.c_str());
  }

  options wanted_;
  stderr_log log_;
  iothub::net::epoll_loop loop_;
  iothub::net::certificate_authority ca_;
  std::string ports_;  // what was written to the ports file
  std::unique_ptr<iothub::hub_server> hub_;
};

}  // namespace iothub_fake
