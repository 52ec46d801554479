// The judge: what devices report, and what they are told is desired.
#include <algorithm>

#include "oracle.hpp"

namespace iothub_test {

void oracle::report_ended(int d, std::uint64_t n, bool ok, std::int64_t version) {
  device_state& x = devices_[i(d)];
  note(ok ? "reported" : "report failed", d, static_cast<std::int64_t>(n), version);
  if (!ok || (x.anew_at != 0 && x.link_since <= x.anew_at)) return;  // the latter: it was of the device that was deleted
  x.reports[n] = 1;
  // Answers may come in another order than the patches were applied in.
  if (n < x.last_reported) return;
  if (version <= x.last_reported_version)
    fail("I7", d, "the version of the reported properties went from " + std::to_string(x.last_reported_version) +
        " to " + std::to_string(version));
  x.last_reported = n;
  x.last_reported_version = version;
}

void oracle::desired_seen(int d, iothub::json::value const& patch, std::int64_t version, bool whole, std::int64_t at_hub) {
  device_state& x = devices_[i(d)];
  note(whole ? "desired whole" : "desired", d, version, at_hub, patch.dump());
  bool const rises = version > x.last_desired || (whole && (version == x.last_desired || x.made_anew));
  if (!rises) fail("I8", d, "desired version " + std::to_string(version) + " came after " + std::to_string(x.last_desired));
  if (version > at_hub && !x.made_anew) fail("I8", d, "desired version " + std::to_string(version) + " was never at the hub");
  if (!whole && x.has_doc && !x.made_anew && version != x.last_desired + 1)
    fail("I8", d, "the patch to version " + std::to_string(version) + " was applied to " + std::to_string(x.last_desired));
  if (whole || !x.has_doc)
    x.doc = whole ? patch : iothub::json::value::make_object();
  if (!whole) merge(x.doc, patch);
  x.has_doc = true;
  if (whole && x.link_since > x.anew_at) x.made_anew = false;  // before, it may be what was under way
  x.last_desired = version;
  // Patch by patch the handler's document is what the hub's was.
  if (version == at_hub && !x.made_anew && x.doc != x.at_hub)
    fail("I8", d, "at version " + std::to_string(version) + " the handler has " + x.doc.dump() + ", the hub " + x.at_hub.dump());
  if (patch.dump().find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
}

void oracle::twin_read(int d, std::string const& document) {
  if (document.find("tag-") != std::string::npos) fail("I19", d, "tags reached the device");
}

// The hub has what all confirmed patches make, one after the other, and any of the others: a leaf is of the newest patch
// that is known to be there, or of a newer one; and where one leaf of a patch is there, the whole patch is.
void oracle::final_reported(int d, device_state& x, iothub::json::value const& reported) {
  std::vector<std::int64_t> there;  // -1: no such leaf
  std::vector<report_patch> patches;
  for (std::uint64_t n = 0; n != x.reports.size(); ++n) patches.push_back(report_of(n));
  for (std::size_t k = 0; k != report_leaf_count; ++k) {
    iothub::json::value const* at = &reported;
    for (std::string_view name = report_leaves[k]; !name.empty();) {
      auto const stop = name.find('.');
      at = &(*at)[std::string{name.substr(0, stop)}];
      name = stop == std::string_view::npos ? std::string_view{} : name.substr(stop + 1);
    }
    auto const number = at->as_int();
    there.push_back(number ? *number : -1);
    if (!number && !at->is_null()) return fail("I7", d, std::string{report_leaves[k]} + " is " + at->dump());
    if (!number) continue;
    auto const n = static_cast<std::uint64_t>(*number);
    if (n >= patches.size() || (patches[n].sets >> k & 1) == 0)
      return fail("I7", d, std::string{report_leaves[k]} + " has a value that was never sent");
    if (x.reports[n] == 0) x.reports[n] = 1;
  }
  for (std::size_t k = 0; k != report_leaf_count; ++k) {
    std::int64_t newest = -1, remover = -1;
    for (std::uint64_t n = 0; n != patches.size(); ++n) {
      if (((patches[n].sets | patches[n].removes) >> k & 1) != 0 && x.reports[n] == 1) newest = static_cast<std::int64_t>(n);
      if ((patches[n].removes >> k & 1) != 0) remover = static_cast<std::int64_t>(n);
    }
    bool const fits = there[k] >= 0 ? there[k] >= newest : newest < 0 || remover >= newest;
    if (!fits)
      return fail("I7", d, std::string{report_leaves[k]} + " is " + (there[k] < 0 ? "not there" : std::to_string(there[k])) +
                               ", and patch " + std::to_string(newest) + " is known to be");
  }
}

void oracle::final_twin(int d, iothub::json::value const& reported, iothub::json::value const& desired, std::int64_t version) {
  device_state& x = devices_[i(d)];
  final_reported(d, x, reported);
  // One more with each change, and no other way.
  if (x.anew_at == 0 && (version - 1 > x.desired_asked || version - 1 < x.desired_done))
    fail("I19", d, "the desired version is " + std::to_string(version) + " after " + std::to_string(x.desired_done) + " to " +
                       std::to_string(x.desired_asked) + " changes");
  if (version > 1 && x.last_desired != version)
    fail("I8", d, "the hub's desired version is " + std::to_string(version) + ", the handler saw " +
        std::to_string(x.last_desired));
  if (x.has_doc && x.doc != desired) fail("I8", d, "the handler has " + x.doc.dump() + ", the hub " + desired.dump());
}

// RFC 7396, once more.
void oracle::merge(iothub::json::value& into, iothub::json::value const& patch) {
  if (!patch.is_object()) {
    into = patch;
    return;
  }
  if (!into.is_object()) into = iothub::json::value::make_object();
  for (auto const& m : patch.members()) {
    if (m.value().is_null())
      into.erase(m.key());
    else
      merge(into[m.key()], m.value());
  }
}

}  // namespace iothub_test
