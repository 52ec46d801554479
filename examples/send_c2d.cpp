// Sends a message to a device and waits for what becomes of it: send_c2d --help says how. Needs
// IOTHUB_SERVICE_CONNECTION_STRING.
#include "environment.hpp"

#include <chrono>
#include <cstdio>
#include <optional>

#include <iothub/net/signals.hpp>
#include <iothub/service_messenger.hpp>

using namespace std::chrono_literals;

namespace {

constexpr char help[] =
    R"(send_c2d: sends a cloud-to-device message and says what became of it.

  send_c2d DEVICE [BODY] [--property NAME=VALUE]... [--id ID] [--correlation ID] [--content-type TYPE]
           [--ttl SECONDS] [--ack full|positive|negative|none] [--timeout SECONDS]

  BODY                 default: hello
  --property           an application property; may be given several times
  --id ID              the message id, by which feedback names it; default: a random one
  --ttl SECONDS        how long the hub keeps the message; default: as the hub is configured
  --ack full           waits until the device has completed or rejected it, or it expired (default);
      none             ends when the hub has it
      positive, negative   waits for that half of the outcomes
  --timeout SECONDS    how long to wait for the outcome, default 120

Feedback is one queue of the hub: what is there of other messages is printed too, and is gone then.
IOTHUB_SERVICE_CONNECTION_STRING: of a policy with the right ServiceConnect. SSL_CERT_FILE, IOTHUB_AMQPS_PORT: for a hub
of your own.
Exit status: 0 the device completed it (with --ack none: the hub has it), 1 it was not sent, or nobody knows, 2 wrong
usage, 3 the device rejected it, or it expired, 4 no outcome in time.
)";
constexpr int undelivered = 3, no_outcome = 4;

struct wanted {
  std::string device = {};
  iothub::message message = {.body = "hello"};
  iothub::feedback_request ack = iothub::feedback_request::full;
  std::optional<std::chrono::seconds> ttl = {};
  std::chrono::seconds timeout{120};
};

std::chrono::seconds seconds(std::string_view name, std::string_view text) {
  auto const number = iothub::parse_int<std::int32_t>(text);
  if (!number || *number < 1) example::refuse(std::string{name} + " takes a number of seconds above 0");
  return std::chrono::seconds{*number};
}

iothub::feedback_request ack(std::string_view text) {
  using iothub::feedback_request;
  for (auto const each :
       {feedback_request::none, feedback_request::positive, feedback_request::negative, feedback_request::full})
    if (to_string(each) == text) return each;
  example::refuse("--ack takes full, positive, negative or none");
}

wanted parse(int argc, char** argv) {
  wanted made;
  int words = 0;
  for (int i = 1; i < argc; ++i) {
    std::string_view const name = argv[i];
    auto const value = [&]() -> std::string_view {
      if (i + 1 == argc) example::refuse(std::string{name} + " takes a value; --help says more");
      return argv[++i];
    };
    if (name == "--help" || name == "-h") {
      std::fputs(help, stdout);
      std::exit(0);
    } else if (name == "--property") {
      auto const [key, content, has_value] = iothub::split_once(value(), '=');
      if (key.empty()) example::refuse("--property takes NAME=VALUE");
      made.message.properties.push_back({std::string{key}, std::string{content}, has_value});
    } else if (name == "--id") {
      made.message.message_id = value();
    } else if (name == "--correlation") {
      made.message.correlation_id = value();
    } else if (name == "--content-type") {
      made.message.content_type = value();
    } else if (name == "--ttl") {
      made.ttl = seconds(name, value());
    } else if (name == "--timeout") {
      made.timeout = seconds(name, value());
    } else if (name == "--ack") {
      made.ack = ack(value());
    } else if (name.starts_with("--")) {
      example::refuse("There is no option " + std::string{name} + "; --help says more.");
    } else if (++words == 1) {
      made.device = name;
    } else if (words == 2) {
      made.message.body = name;
    } else {
      example::refuse("There is one DEVICE and one BODY; --help says more.");
    }
  }
  if (made.device.empty()) example::refuse("To which device? --help says more.");
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  wanted what = parse(argc, argv);
  iothub::net::epoll_loop loop;
  iothub::net::stop_on_signals const ctrl_c{loop};
  iothub::messenger_options options;
  options.amqps_port = example::port("IOTHUB_AMQPS_PORT", options.amqps_port);
  auto messenger = iothub::service_messenger::from_connection_string(
      loop, example::connection_string("IOTHUB_SERVICE_CONNECTION_STRING"), options);
  if (!messenger) example::refuse(messenger.error().message());

  if (what.ttl) what.message.expiry_time = loop.utc_now() + *what.ttl;
  auto const sent = messenger->send_c2d(what.device, std::move(what.message), {.ack = what.ack});
  if (!sent) {
    switch (sent.error().code()) {
      case iothub::errc::device_not_found: return example::failed("there is no such device", sent.error());
      case iothub::errc::queue_full: return example::failed("too many messages wait for the device", sent.error());
      case iothub::errc::too_large: return example::failed("the message is too large", sent.error());
      default: return example::failed("the message was not sent", sent.error());
    }
  }
  std::printf("%s: the hub has it\n", sent->c_str());
  std::fflush(stdout);
  if (what.ack == iothub::feedback_request::none) return 0;

  auto const give_up = loop.now() + what.timeout;
  for (;;) {
    auto const batch = messenger->receive_feedback(give_up - loop.now());
    if (!batch && (batch.error() == iothub::errc::timeout || loop.stopped())) {
      std::fprintf(stderr, "%s: no outcome so far\n", sent->c_str());
      return no_outcome;
    }
    if (!batch) return example::failed("cannot receive feedback", batch.error());
    std::optional<iothub::delivery_status> outcome;
    for (auto const& record : batch->records) {
      std::printf("%s: %s (%s)\n", record.original_message_id.c_str(), std::string{to_string(record.status)}.c_str(),
                  record.device_id.c_str());
      if (record.original_message_id == *sent) outcome = record.status;
    }
    (void)messenger->complete(*batch);
    if (!outcome) continue;
    messenger->close();
    return *outcome == iothub::delivery_status::success ? 0 : undelivered;
  }
}
