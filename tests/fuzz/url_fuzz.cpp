// Any text as URL, path and query: no crash, and what was taken apart goes together again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/http/url.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string_view const text{reinterpret_cast<char const*>(data), size};
  if (auto const url = http::parse_url(text)) {
    auto const again = http::parse_url("https://" + http::authority(url->host, url->port) + url->target);
    if (!again || !(*again == *url)) std::abort();
  }
  http::target_parts const parts = http::split_target(text);
  if (auto const segments = http::path_segments(parts.path)) {
    http::target_builder built;
    for (std::string const& segment : *segments) built.segment(segment);
    if (!segments->empty() && segments->back().empty()) return 0;  // a slash at the end counts for nothing
    auto const again = http::path_segments(built.take());
    if (!again || *again != *segments) std::abort();
  }
  http::target_builder query;
  query.query(text, text);
  std::string const target = query.take();
  auto const value = http::query_value(http::split_target(target).query, text);
  if (!value || *value != text) std::abort();
  (void)http::query_value(parts.query, "a");
  return 0;
}
