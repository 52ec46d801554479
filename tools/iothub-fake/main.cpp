// iothub-fake: the fake hub as a program, for clients that cannot be in its process.
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include <iothub/version.hpp>

#include "connstr.hpp"
#include "events.hpp"
#include "options.hpp"
#include "serve.hpp"

namespace {

using namespace iothub_fake;

int print_ca(options const& wanted) {
  iothub::net::epoll_loop const clock;
  auto const ca = open_ca(wanted, clock.utc_now());
  if (!ca) return fail(exit_no_tls, ca.error().message());
  return say(ca->ca_file + "\n");
}

int run(std::span<char const* const> arguments) {
  if (!arguments.empty() && std::string_view{arguments[0]} == "events") return print_events(arguments.subspan(1));
  auto const parsed = parse_options(arguments);
  if (!parsed) return fail(exit_usage, std::string{parsed.error().message()} + " (--help says more)");
  switch (parsed->command) {
    case command::help: return say(help_text);
    case command::version: return say("iothub-fake " + std::string{iothub::version_text} + "\n");
    case command::serve: return served_hub{*parsed}.run();
    case command::connstr: return print_connection_string(*parsed);
    case command::ca: return print_ca(*parsed);
  }
  return exit_internal;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
  } catch (std::exception const& failure) {
    return fail(exit_internal, failure.what());
  }
}
