// What a comparison is written to: a table, two CSV files.
#pragma once

#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"
#include "tally.hpp"

namespace fleet_simulation {

namespace detail {

[[gnu::format(printf, 2, 3)]] inline void appendf(std::string& to, char const* format, ...) {
  char text[512];
  std::va_list arguments;
  va_start(arguments, format);
  int const size = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size > 0) to.append(text, static_cast<std::size_t>(size) < sizeof text ? static_cast<std::size_t>(size) : sizeof text - 1);
}

// Seconds as CSV has them; nothing for what did not happen.
inline std::string seconds(double value) {
  std::string text;
  if (value >= 0) appendf(text, "%.3f", value);
  return text;
}
// 1234567 as 1,234,567.
inline std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
}

}  // namespace detail

// Seconds that the throttle needs for all, however they knock: its bucket is full when the hub is back.
[[nodiscard]] inline double best_time(options const& wanted) {
  std::uint64_t const at_once = wanted.burst != 0 ? wanted.burst : wanted.connects_per_second;
  if (at_once >= wanted.devices) return 0;
  return static_cast<double>(wanted.devices - at_once) / static_cast<double>(wanted.connects_per_second);
}

inline constexpr std::string_view summary_head =
    "policy,devices,seed,outage_s,connects_per_second,attempts_during_outage,attempts_after_return,accepted,refused,"
    "peak_attempts_per_s,peak_accepted_per_s,half_connected_s,nearly_connected_s,all_connected_s,caught_up_s,messages,"
    "delayed,delay_p50_s,delay_p99_s,delay_max_s,lost,stored_twice\n";
inline constexpr std::string_view series_head = "policy,second,connected,attempts,accepted,refused,waiting\n";

[[nodiscard]] inline std::string summary_csv(options const& wanted, std::vector<tally> const& results) {
  std::string text{summary_head};
  for (tally const& t : results) {
    text += t.of->name;
    for (std::uint64_t const number :
         {t.devices, wanted.seed, wanted.outage, wanted.connects_per_second, t.attempts_before(), t.attempts_after(),
          t.accepted(), t.refused(), t.peak_attempts(), t.peak_accepted()})
      detail::appendf(text, ",%" PRIu64, number);
    for (double const when : {t.half_connected, t.nearly_connected, t.all_connected, t.caught_up})
      text += ',' + detail::seconds(when);
    detail::appendf(text, ",%" PRIu64 ",%zu,%.3f,%.3f,%.3f,%" PRIu64 ",%" PRIu64 "\n", t.messages, t.delays.size(),
                    t.delay(0.5), t.delay(0.99), t.delay(1), t.lost, t.stored_twice);
  }
  return text;
}

[[nodiscard]] inline std::string series_csv(options const& wanted, std::vector<tally> const& results) {
  std::string text{series_head};
  auto const step = static_cast<std::int64_t>(wanted.every);
  for (tally const& t : results) {
    auto const count = static_cast<std::int64_t>(t.rows.size());
    // Rows begin at multiples of `every` from the hub's return, so the first may stand for less.
    for (std::int64_t from = 0; from < count;) {
      std::int64_t const relative = from - t.returned;
      std::int64_t const past = (relative % step + step) % step;
      std::int64_t const to = from + step - past < count ? from + step - past : count;
      second_row all = t.rows[static_cast<std::size_t>(to - 1)];
      for (std::int64_t i = from; i != to - 1; ++i) {
        auto const& row = t.rows[static_cast<std::size_t>(i)];
        all.attempts += row.attempts;
        all.accepted += row.accepted;
        all.refused += row.refused;
      }
      text += t.of->name;
      detail::appendf(text, ",%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", relative,
                      all.connected, all.attempts, all.accepted, all.refused, all.waiting);
      from = to;
    }
  }
  return text;
}

[[nodiscard]] inline std::string table(options const& wanted, std::vector<tally> const& results) {
  std::string text;
  detail::appendf(text, "%s devices, %s s without a hub, which then takes %s connections a second (at best %.1f s for all)\n\n",
                  detail::grouped(wanted.devices).c_str(), detail::grouped(wanted.outage).c_str(),
                  detail::grouped(wanted.connects_per_second).c_str(),
                  best_time(wanted));
  detail::appendf(text, "%-22s %9s %9s %9s %9s %12s %13s %13s %9s %9s %6s\n", "", "50 %", "99 %", "all", "caught up",
                  "peak", "attempts", "attempts", "delay", "delay", "");
  detail::appendf(text, "%-22s %9s %9s %9s %9s %12s %13s %13s %9s %9s %6s\n", "back-off of", "s", "s", "s", "s",
                  "attempts/s", "in the outage", "afterwards", "p50 s", "p99 s", "lost");
  auto const when = [](double value) { return value < 0 ? std::string{"never"} : detail::seconds(value).substr(0, detail::seconds(value).size() - 2); };
  for (tally const& t : results)
    detail::appendf(text, "%-22.*s %9s %9s %9s %9s %12s %13s %13s %9.1f %9.1f %6" PRIu64 "\n",
                    static_cast<int>(t.of->title.size()), t.of->title.data(), when(t.half_connected).c_str(),
                    when(t.nearly_connected).c_str(), when(t.all_connected).c_str(), when(t.caught_up).c_str(),
                    detail::grouped(t.peak_attempts()).c_str(), detail::grouped(t.attempts_before()).c_str(),
                    detail::grouped(t.attempts_after()).c_str(), t.delay(0.5), t.delay(0.99), t.lost);
  return text;
}

[[nodiscard]] inline bool write_file(std::string const& name, std::string_view text) {
  std::FILE* const file = std::fopen(name.c_str(), "wb");
  if (file == nullptr) return false;
  bool const written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  return std::fclose(file) == 0 && written;
}

}  // namespace fleet_simulation
