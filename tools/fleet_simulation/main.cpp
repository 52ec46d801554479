// fleet_simulation: what back-offs do to a hub that comes back, and to the devices that wait for it (docs/fleet.md).
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <iothub/version.hpp>

#include "fleet.hpp"
#include "options.hpp"
#include "plot.hpp"
#include "report.hpp"

namespace {

using namespace fleet_simulation;

int fail(exit_code status, std::string const& text) {
  std::fprintf(stderr, "fleet_simulation: %s\n", text.c_str());
  return status;
}

// Before hours are spent on what cannot be written down.
bool can_write(std::string const& name) {
  std::FILE* const file = std::fopen(name.c_str(), "ab");
  return file != nullptr && std::fclose(file) == 0;
}

double peak_memory() {
  struct rusage used = {};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) / 1024;
}

int run(std::span<char const* const> arguments) {
  auto const wanted = parse_options(arguments);
  if (!wanted) return fail(exit_usage, std::string{wanted.error().message()} + " (--help says more)");
  if (wanted->help) return std::fwrite(help_text.data(), 1, help_text.size(), stdout), exit_ok;
  if (wanted->version) return std::printf("fleet_simulation %s\n", std::string{iothub::version_text}.c_str()), exit_ok;
  for (auto const* const name : {&wanted->summary, &wanted->series, &wanted->svg})
    if (!name->empty() && !can_write(*name)) return fail(exit_cannot_write, "cannot write " + *name);

  progress tells{wanted->quiet};
  std::vector<tally> results;
  for (policy const* each : wanted->policies) {
    auto const begun = std::chrono::steady_clock::now();
    results.push_back(run_fleet(*wanted, *each, tells));
    double const took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    if (!wanted->quiet)
      std::fprintf(stderr, "%-7.*s done in %.1f s; %.0f MB at most so far\n", static_cast<int>(each->name.size()),
                   each->name.data(), took, peak_memory());
  }
  std::string const text = table(*wanted, results);
  std::fwrite(text.data(), 1, text.size(), stdout);
  if (!wanted->summary.empty() && !write_file(wanted->summary, summary_csv(*wanted, results)))
    return fail(exit_cannot_write, "cannot write " + wanted->summary);
  if (!wanted->series.empty() && !write_file(wanted->series, series_csv(*wanted, results)))
    return fail(exit_cannot_write, "cannot write " + wanted->series);
  if (!wanted->svg.empty() && !write_file(wanted->svg, plot_svg(*wanted, results)))
    return fail(exit_cannot_write, "cannot write " + wanted->svg);
  return exit_ok;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)});
  } catch (std::exception const& failure) {
    return fail(exit_internal, failure.what());
  }
}
