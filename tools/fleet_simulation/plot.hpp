// A comparison as an SVG plot: a row for each back-off with two curves over time and three bars, all rows on the same axes.
// Blue is this library, grey the others; orange is what knocks at the hub's door. The palette is Okabe and Ito's, which
// colour-blind people can read; nothing is said by colour alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"
#include "report.hpp"
#include "tally.hpp"

namespace fleet_simulation {

namespace detail {

// 600 as "10 minutes", 90 as "90 seconds".
inline std::string span_of(std::uint64_t seconds) {
  bool const minutes = seconds % 60 == 0;
  std::uint64_t const count = minutes ? seconds / 60 : seconds;
  return grouped(count) + (minutes ? " minute" : " second") + (count == 1 ? "" : "s");
}

class plot {
 public:
  plot(options const& wanted, std::vector<tally> const& results) : options_{wanted} {
    for (tally const& each : results) rows_.push_back(&each);
    std::stable_sort(rows_.begin(), rows_.end(), [](tally const* a, tally const* b) {
      return order_of(*a) < order_of(*b);
    });
    for (tally const* t : rows_) {
      last_second_ = std::max(last_second_, end_of(*t));
      top_ = std::max(top_, t->peak_attempts());
      longest_ = std::max(longest_, t->all_connected);
      slowest_ = std::max(slowest_, t->delay(0.99));
    }
    floor_ = best_time(wanted);
    longest_ = std::max({longest_, floor_, 1.0});
    last_second_ = std::max(last_second_ * 1.02, 10.0);
    while (static_cast<double>(wanted.connects_per_second) < 3 * std::pow(10, low_) && low_ > 0) --low_;
    while (static_cast<double>(wanted.connects_per_second) >= 30 * std::pow(10, low_)) ++low_;
    high_ = low_ + 1;
    while (std::pow(10, high_) < static_cast<double>(top_)) ++high_;
  }

  std::string svg() {
    auto const height = top_edge + row_height * static_cast<double>(rows_.size()) + 92;
    appendf(out_,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
            "font-family=\"'Segoe UI', 'Helvetica Neue', Helvetica, Arial, sans-serif\" fill=\"#1f2933\">\n",
            width, height);
    out_ += "<title>" + headline() + "</title>\n";
    appendf(out_, "<rect width=\"%.0f\" height=\"%.0f\" fill=\"#ffffff\"/>\n", width, height);
    text(left, 42, headline(), 24, "start", ink, true);
    text(left, 68, story(), 14, "start", grey);
    text(left, 88, "Nobody can be faster than " + rounded(floor_) +
                       " s: what counts is how close a back-off comes, and how hard it knocks meanwhile.",
         14, "start", grey);
    heads();
    grid();
    for (std::size_t i = 0; i != rows_.size(); ++i) row(*rows_[i], top_edge + row_height * static_cast<double>(i));
    axis();
    legend(height - 22);
    return std::move(out_) + "</svg>\n";
  }

 private:
  static constexpr double width = 1280, left = 28, top_edge = 160, row_height = 82, chart_height = 56;
  static constexpr double connected_x = 282, attempts_x = 594, chart_width = 262;
  static constexpr double bars_x[] = {892, 1020, 1148}, bar_width = 104;
  static constexpr char const* ink = "#1f2933";
  static constexpr char const* grey = "#5f6b7a";
  static constexpr char const* faint = "#dde2e8";
  static constexpr char const* ours = "#0072b2";
  static constexpr char const* others = "#8d99a6";
  static constexpr char const* orange = "#e69f00";
  static constexpr char const* red = "#d55e00";

  static double order_of(tally const& t) { return t.all_connected < 0 ? 1e18 : t.all_connected; }
  static bool is_ours(tally const& t) { return t.of->delay == nullptr; }
  static double end_of(tally const& t) {
    return t.all_connected >= 0 ? t.all_connected : static_cast<double>(t.rows.size()) - static_cast<double>(t.returned);
  }

  std::string headline() const {
    return grouped(options_.devices) + " devices come back to a hub that takes " +
           grouped(options_.connects_per_second) + " connections a second";
  }
  std::string story() const {
    return "The hub was away for " + span_of(options_.outage) + ". Real clients and a fake hub in virtual time; each device sends a message every " +
           span_of(options_.period) + ".";
  }

  void text(double x, double y, std::string_view words, double size, char const* anchor, char const* colour,
            bool bold = false) {
    appendf(out_, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.4g\" text-anchor=\"%s\" fill=\"%s\"%s>", x, y, size, anchor,
            colour, bold ? " font-weight=\"600\"" : "");
    out_ += words;
    out_ += "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, char const* colour, double thick, char const* dashes = "") {
    appendf(out_, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"%s\" stroke-width=\"%.2g\" fill=\"none\"%s/>\n", x1, y1, x2, y2,
            colour, thick, dashes);
  }
  static constexpr char const* dashed = " stroke-dasharray=\"4 3\"";

  void heads() {
    auto const head = [this](double x, std::string_view first, std::string_view second) {
      text(x, top_edge - 38, first, 13, "start", ink, true);
      text(x, top_edge - 21, second, 12, "start", grey);
    };
    head(left, "Back-off", "waits between attempts");
    head(connected_x, "Connected devices", "% of the fleet");
    head(attempts_x, "Attempts to connect", "per second, on a logarithmic scale");
    head(bars_x[0], "All are back", "after, s");
    head(bars_x[1], "Peak attempts", "per second");
    head(bars_x[2], "Message delay", "99th percentile, s");
  }

  // Seconds after the hub's return, from a little before it.
  [[nodiscard]] double at(double chart_x, double second) const {
    double const before = 0.04 * last_second_;
    return chart_x + chart_width * (second + before) / (last_second_ + before);
  }
  [[nodiscard]] double attempts_y(double base, double count) const {
    if (count < std::pow(10, low_)) return base;
    double const part = (std::log10(count) - low_) / (high_ - low_);
    return base - chart_height * std::min(part, 1.0);
  }
  [[nodiscard]] double step_of_ticks() const {
    for (double const step : {10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0})
      if (last_second_ / step <= 6) return step;
    return 36'000;
  }

  void grid() {
    double const bottom = top_edge + row_height * static_cast<double>(rows_.size());
    for (double const x : {connected_x, attempts_x})
      for (double t = 0; t <= last_second_; t += step_of_ticks()) line(at(x, t), top_edge, at(x, t), bottom - 8, faint, 1);
  }
  void axis() {
    double const y = top_edge + row_height * static_cast<double>(rows_.size()) + 8;
    bool const minutes = step_of_ticks() >= 60;
    for (double const x : {connected_x, attempts_x}) {
      for (double t = 0; t <= last_second_; t += step_of_ticks())
        text(at(x, t), y, rounded(minutes ? t / 60 : t), 11.5, "middle", grey);
      text(x + chart_width / 2, y + 18, minutes ? "minutes since the hub is back" : "seconds since the hub is back", 12,
           "middle", grey);
    }
  }

  void row(tally const& t, double y) {
    double const base = y + chart_height + 8;
    line(left, y - 4, width - left, y - 4, faint, 1);
    text(left, y + 32, t.of->title, 16, "start", is_ours(t) ? ours : ink, true);
    labels(t.of->formula, y + 50);
    connected(t, base);
    attempts(t, base);
    bar(0, y, t.all_connected, longest_, t.all_connected < 0 ? "not in time" : rounded(t.all_connected), t, floor_);
    bar(1, y, static_cast<double>(t.peak_attempts()), static_cast<double>(top_), grouped(t.peak_attempts()), t, -1);
    bar(2, y, t.delay(0.99), slowest_, rounded(t.delay(0.99)), t, -1);
  }
  // A formula of two sentences on two lines.
  void labels(std::string_view formula, double y) {
    auto const cut = formula.find("; ");
    text(left, y, formula.substr(0, cut), 11.5, "start", grey);
    if (cut != formula.npos) text(left, y + 15, formula.substr(cut + 2), 11.5, "start", grey);
  }

  void connected(tally const& t, double base) {
    line(at(connected_x, 0), base, at(connected_x, floor_), base - chart_height, others, 1.2, dashed);
    std::string path;
    auto const value = [&](second_row const& r) {
      return base - chart_height * static_cast<double>(r.connected) / static_cast<double>(t.devices);
    };
    double last_x = 0;
    for (auto i = static_cast<std::size_t>(first_row(t)); i < t.rows.size(); ++i) {
      double const x = at(connected_x, static_cast<double>(i) + 1 - static_cast<double>(t.returned));
      if (x > connected_x + chart_width + 0.1) break;
      if (!path.empty() && x - last_x < 2 && i + 1 != t.rows.size()) continue;
      appendf(path, "%s%.1f %.1f", path.empty() ? "M" : "L", x, value(t.rows[i]));
      last_x = x;
    }
    if (t.all_connected >= 0 && last_x < connected_x + chart_width)
      appendf(path, "L%.1f %.1f", connected_x + chart_width, base - chart_height);
    curve(path, base, is_ours(t) ? ours : others, is_ours(t) ? ours : others, 2.2);
    line(connected_x, base, connected_x + chart_width, base, grey, 1);
    text(connected_x - 5, base - chart_height + 8, "100", 10, "end", grey);
    text(connected_x - 5, base, "0", 10, "end", grey);
  }
  void attempts(tally const& t, double base) {
    std::string path;
    double const wide = 0.4;  // fine enough for waves of ten seconds to be seen as such
    double x = attempts_x;
    double most = 0;
    for (auto i = static_cast<std::size_t>(first_row(t)); i < t.rows.size(); ++i) {
      double const here = at(attempts_x, static_cast<double>(i) - static_cast<double>(t.returned));
      if (here > attempts_x + chart_width) break;
      most = std::max(most, static_cast<double>(t.rows[i].attempts));
      if (here < x + wide && i + 1 != t.rows.size()) continue;
      appendf(path, "%s%.1f %.1f", path.empty() ? "M" : "L", here, attempts_y(base, most));
      x = here;
      most = 0;
    }
    for (int power = low_; power <= high_; ++power) {
      double const y = attempts_y(base, std::pow(10, power));
      if (power != low_) line(attempts_x, y, attempts_x + chart_width, y, faint, 1);
      if (power == low_ || power == high_ || high_ - low_ < 3 || chart_height / (high_ - low_) > 13)
        text(attempts_x - 5, y + (power == high_ ? 7 : 3), short_number(power), 10, "end", grey);
    }
    curve(path, base, red, orange, 0.9);
    double const throttle = attempts_y(base, static_cast<double>(options_.connects_per_second));
    line(attempts_x, throttle, attempts_x + chart_width, throttle, ink, 1.3, dashed);
    line(attempts_x, base, attempts_x + chart_width, base, grey, 1);
  }
  void curve(std::string const& path, double base, char const* stroke, char const* fill, double thick) {
    if (path.empty()) return;
    std::string const end = path.substr(path.find_last_of("ML") + 1);
    std::string const begin = path.substr(1, path.find_first_of("L", 1) - 1);
    out_ += "<path d=\"" + path;
    appendf(out_, "L%s %.1fL%s %.1fZ\" fill=\"%s\" fill-opacity=\"0.22\"/>\n", end.substr(0, end.find(' ')).c_str(), base,
            begin.substr(0, begin.find(' ')).c_str(), base, fill);
    out_ += "<path d=\"" + path;
    appendf(out_, "\" stroke=\"%s\" stroke-width=\"%.2g\" fill=\"none\" stroke-linejoin=\"round\"/>\n", stroke, thick);
  }
  // Rows begin a little before the hub's return.
  [[nodiscard]] std::int64_t first_row(tally const& t) const {
    return std::max<std::int64_t>(0, t.returned - static_cast<std::int64_t>(0.04 * last_second_));
  }

  void bar(std::size_t column, double y, double value, double most, std::string_view words, tally const& t, double mark) {
    char const* const colour = is_ours(t) ? ours : others;
    double const x = bars_x[column];
    text(x, y + 30, words, 18, "start", is_ours(t) ? ours : ink, true);
    if (column == 1) {
      auto const times = static_cast<double>(t.peak_attempts()) / static_cast<double>(options_.connects_per_second);
      text(x, y + 66, rounded(times) + " × what it takes", 11.5, "start", grey);
    }
    double const long_ = value < 0 ? bar_width : bar_width * value / most;
    appendf(out_, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"10\" fill=\"%s\"/>\n", x, y + 40,
            std::max(long_, 1.0), colour);
    if (mark >= 0) line(x + bar_width * mark / most, y + 36, x + bar_width * mark / most, y + 54, ink, 1.5);
  }

  void legend(double y) {
    double x = connected_x;
    line(x, y - 4, x + 22, y - 4, others, 1.4, dashed);
    text(x + 28, y, "as fast as the throttle allows", 12, "start", grey);
    x = attempts_x;
    line(x, y - 4, x + 22, y - 4, ink, 1.4, dashed);
    text(x + 28, y, "what the hub takes: " + grouped(options_.connects_per_second) + " a second", 12, "start", grey);
    x = bars_x[0];
    line(x + 1, y - 11, x + 1, y + 3, ink, 1.5);
    text(x + 8, y, "as fast as the throttle allows", 12, "start", grey);
  }


  static std::string rounded(double value) {
    std::string text;
    appendf(text, value < 10 && value != std::floor(value) ? "%.1f" : "%.0f", value);
    return text;
  }
  static std::string short_number(int power) {
    std::string const digits = "1" + std::string(static_cast<std::size_t>(power % 3), '0');
    return digits + (power < 3 ? "" : power < 6 ? "k" : "M");
  }

  options const& options_;
  std::vector<tally const*> rows_ = {};
  std::string out_ = {};
  double last_second_ = 0;
  double longest_ = 0;
  double slowest_ = 0.001;
  double floor_ = 0;
  std::uint64_t top_ = 1;
  int low_ = 2;   // the attempts' axis goes from 10^low_ to 10^high_
  int high_ = 3;
};

}  // namespace detail

[[nodiscard]] inline std::string plot_svg(options const& wanted, std::vector<tally> const& results) {
  return detail::plot{wanted, results}.svg();
}

}  // namespace fleet_simulation
