// Prints what devices send, as it comes: read_events --help says how. Needs IOTHUB_SERVICE_CONNECTION_STRING, of an IoT
// hub or of its event endpoint (Endpoint=sb://…).
#include "environment.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>

#include <iothub/event_reader.hpp>
#include <iothub/net/signals.hpp>
#include <iothub/wire/hub_event_text.hpp>

using namespace std::chrono_literals;

namespace {

constexpr char help[] =
    R"(read_events: prints what devices send to an IoT hub, as it comes; Ctrl-C ends.

  read_events [--device ID] [--from-beginning | --since WHEN] [--consumer-group NAME]
              [--checkpoints FILE [--share]] [--json] [--count N]

  --device ID            events of this device alone
  --from-beginning       all events that the hub still has; by default, what comes from now on
  --since WHEN           what the hub got later: 2024-01-31T12:00:00Z, or an age such as 90s, 10m, 2h
  --consumer-group NAME  default $Default
  --checkpoints FILE     remembers there how far it is, and goes on behind that when started again
  --share                shares the partitions with other readers of the same file
  --json                 one JSON document a line
  --count N              ends after N events

IOTHUB_SERVICE_CONNECTION_STRING: the connection string of an IoT hub with the right ServiceConnect, or the Event
Hubs-compatible one of its built-in endpoint. SSL_CERT_FILE, IOTHUB_AMQPS_PORT: for a hub of your own.
Exit status: 0 ended by Ctrl-C or --count, 1 failed, 2 wrong usage.
)";

struct wanted {
  iothub::event_reader_options options = {};
  std::string checkpoints = {};
  bool json = false;
  std::uint64_t count = 0;
};

// A time, or an age.
iothub::utc_time since(std::string_view text, iothub::utc_time now) {
  if (auto const time = iothub::parse_iso8601(text)) return *time;
  auto const unit = text.empty() ? ' ' : text.back();
  auto const number = iothub::parse_int<std::int64_t>(text.substr(0, text.empty() ? 0 : text.size() - 1));
  std::chrono::seconds const each = unit == 's' ? 1s : unit == 'm' ? 60s : unit == 'h' ? 3600s : 0s;
  if (!number || *number < 0 || *number > 1'000'000 || each == 0s)
    example::refuse("--since takes a time such as 2024-01-31T12:00:00Z, or an age such as 90s, 10m or 2h");
  return now - *number * each;
}

wanted parse(int argc, char** argv, iothub::utc_time now) {
  wanted made;
  for (int i = 1; i < argc; ++i) {
    std::string_view const name = argv[i];
    auto const value = [&]() -> std::string_view {
      if (i + 1 == argc || *argv[i + 1] == '\0') example::refuse(std::string{name} + " takes a value; --help says more");
      return argv[++i];
    };
    if (name == "--help" || name == "-h") {
      std::fputs(help, stdout);
      std::exit(0);
    } else if (name == "--device") {
      made.options.device_id = value();
    } else if (name == "--from-beginning") {
      made.options.start = iothub::event_position::earliest();
    } else if (name == "--since") {
      made.options.start = iothub::event_position::enqueued_after(since(value(), now));
    } else if (name == "--consumer-group") {
      made.options.consumer_group = value();
    } else if (name == "--checkpoints") {
      made.checkpoints = value();
    } else if (name == "--share") {
      made.options.share_partitions = true;
    } else if (name == "--json") {
      made.json = true;
    } else if (name == "--count") {
      auto const count = iothub::parse_int<std::uint64_t>(value());
      if (!count || *count == 0) example::refuse("--count takes a number above 0");
      made.count = *count;
    } else {
      example::refuse("There is no option " + std::string{name} + "; --help says more.");
    }
  }
  if (made.options.share_partitions && made.checkpoints.empty()) example::refuse("--share goes with --checkpoints FILE");
  return made;
}

// A line at the bottom of a terminal: how many events there were so far. Elsewhere it does nothing.
class counter {
 public:
  void clear() const {
    if (on_terminal_) std::fputs("\r\033[K", stderr);
  }
  void show(std::uint64_t events, std::uint64_t missed) const {
    if (!on_terminal_) return;
    std::fprintf(stderr, "\r\033[K%llu events", static_cast<unsigned long long>(events));
    if (missed != 0) std::fprintf(stderr, ", %llu missed", static_cast<unsigned long long>(missed));
    std::fflush(stderr);
  }

 private:
  bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
};

}  // namespace

int main(int argc, char** argv) {
  iothub::net::epoll_loop loop;
  wanted what = parse(argc, argv, loop.utc_now());
  iothub::net::stop_on_signals const ctrl_c{loop};
  std::optional<iothub::file_checkpoint_store> store;
  if (!what.checkpoints.empty()) what.options.checkpoints = &store.emplace(what.checkpoints);
  what.options.amqps_port = example::port("IOTHUB_AMQPS_PORT", what.options.amqps_port);
  auto made = iothub::event_reader::from_connection_string(
      loop, example::connection_string("IOTHUB_SERVICE_CONNECTION_STRING"), what.options);
  if (!made) example::refuse(made.error().message());
  auto reader = std::move(*made);

  counter const status;
  auto const say = [&](std::string const& text) {
    status.clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  };
  reader.on_notice([&](iothub::reader_notice const& notice) {
    using kind = iothub::reader_notice::kind;
    std::string const why{notice.why.message()};
    if (notice.what == kind::disconnected) say("disconnected: " + why + "; trying again");
    if (notice.what == kind::partition_lost) say("partition " + notice.partition + ": another reader has it now");
    if (notice.what == kind::checkpoint_failed) say("the checkpoint could not be saved: " + why);
    if (notice.what == kind::events_missed)
      say("partition " + notice.partition + ": " + std::to_string(notice.count) +
          " events were gone before they could be read");
  });
  if (auto opened = reader.open(); !opened)
    return loop.stopped() ? 0 : example::failed("cannot read events", opened.error());
  if (!what.json) say("reading " + std::to_string(reader.partitions().size()) + " partitions; Ctrl-C ends");

  int ended_with = 0;
  while (what.count == 0 || reader.events() < what.count) {
    auto const event = reader.next(1s);
    if (event) {
      status.clear();
      std::printf("%s\n", what.json ? to_json(*event).dump().c_str() : to_line(*event).c_str());
      std::fflush(stdout);
    } else if (event.error() != iothub::errc::timeout) {
      status.clear();
      if (!loop.stopped()) ended_with = example::failed("cannot read events", event.error());
      if (loop.stopped() || reader.partitions().empty()) break;
      ended_with = 0;  // of one partition; the others go on
    }
    status.show(reader.events(), reader.missed());
  }
  status.clear();
  loop.restart();  // for the good-bye: checkpoints are saved, shared partitions given up
  reader.close();
  return ended_with;
}
