// The smallest script that still fails as a big one does.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "world.hpp"

namespace iothub_test {

// Delta debugging (Zeller, Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", 2002) over the steps, then
// over what surrounds them.
script shrink(script const& failing, std::string const& kind, std::function<std::string(script const&)> const& try_it,
              int tries) {
  script best = failing;
  // No device is made of options that are not valid: such a script fails, and says nothing of the library.
  auto const still = [&](script const& s) {
    return validate(device_options_of(s)).has_value() && tries-- > 0 && try_it(s) == kind;
  };
  for (std::size_t chunk = best.steps.size(); chunk != 0 && tries > 0; chunk /= 2) {
    for (std::size_t at = 0; at < best.steps.size() && tries > 0;) {
      script less = best;
      auto const end = std::min(at + chunk, less.steps.size());
      less.steps.erase(less.steps.begin() + static_cast<std::ptrdiff_t>(at), less.steps.begin() + static_cast<std::ptrdiff_t>(end));
      if (still(less))
        best = std::move(less);
      else
        at += chunk;
    }
  }
  script const usual;
  for (auto const member : {&script::latency, &script::jitter, &script::chunk, &script::start, &script::inbox, &script::outbox,
                            &script::outbox_bytes, &script::twin_requests, &script::token, &script::margin, &script::max_delay, &script::values, &script::messenger,
                            &script::share, &script::readers, &script::amqp, &script::prefetch}) {
    script less = best;
    less.*member = member == &script::latency || member == &script::jitter ? 0 : usual.*member;
    if (less.*member != best.*member && still(less)) best = std::move(less);
  }
  int used = 0;
  for (auto const& t : best.steps) used = std::max(used, t.device + 1);
  script less = best;
  less.devices = std::max(used, 1);
  if (less.devices != best.devices && still(less)) best = std::move(less);
  std::int64_t const last = best.steps.empty() ? 0 : best.steps.back().at;
  less = best;
  less.length = last + 1000;
  if (still(less)) best = std::move(less);
  return best;
}

}  // namespace iothub_test
