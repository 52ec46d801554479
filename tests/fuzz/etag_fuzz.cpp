// An If-Match header is one of three: no condition, any, or a tag that stands inside the header between quotes. What
// quotes puts around a tag is taken off again, and a condition made of a tag is met by that tag alone.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <iothub/wire/etag.hpp>

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace iothub;
  std::string_view const header{reinterpret_cast<char const*>(data), size};
  if_match const read = read_if_match(header);
  if (read.kind == if_match_kind::exact) {
    require(!read.etag.empty() && read.etag.data() > header.data());
    require(read.etag.data()[-1] == '"' && read.etag.data()[read.etag.size()] == '"');
    require(read.met_by(read.etag) && !read.met_by(std::string{read.etag}.append("x")) && !read.met_by({}));
    require(quote_etag(read.etag) == trim(header));
  } else {
    require(read.etag.empty() && read.met_by(header) && read.met_by({}));
    require((read.kind == if_match_kind::any) == (trim(header) == "*" || trim(header) == "\"*\""));
  }
  std::string const quoted = quote_etag(header);
  require(unquote_etag(quoted) == header);
  if_match const own = read_if_match(quoted);
  if (header == "*")
    require(own.kind == if_match_kind::any);
  else if (header.empty())
    require(own.kind == if_match_kind::none);
  else
    require(own.kind == if_match_kind::exact && own.etag == header);
  return 0;
}
