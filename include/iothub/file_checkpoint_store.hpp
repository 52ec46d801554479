// Checkpoints and claims in a file, shared by the readers of one machine.
//
// Theory of operation. The file is one JSON document:
//
//   {"version":1,"scopes":{"hub/$Default":{
//     "checkpoints":{"0":{"offset":"4711","sequenceNumber":17,"level":2}},
//     "claims":{"0":{"owner":"reader-1","level":2,"renewed":"2024-01-01T00:00:00.000Z"}}}}}
//
// Every change reads it, writes the whole of it into a file beside it and renames that over it, so that whoever reads
// sees the one or the other, also after a crash. Changes exclude one another, in all processes, by a lock on a third
// file beside it, "NAME.lock", which stays there.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/exchange.hpp>
#include <iothub/base/iso8601.hpp>
#include <iothub/base/result.hpp>
#include <iothub/json/value.hpp>
#include <iothub/service/checkpoint_store.hpp>

namespace iothub {
inline namespace v0 {

// Errors of every call: errc::io_error with the system's reason, errc::malformed when the file is there and is no such
// document (it is left as it is), and those of checkpoint_store.
class file_checkpoint_store final : public checkpoint_store {
 public:
  // The folder must exist; the file is made when something is saved.
  explicit file_checkpoint_store(std::string path) : path_{std::move(path)} {}

  inline result<std::vector<event_checkpoint>> checkpoints(event_scope const& of) override;
  inline result<void> save(event_scope const& of, event_checkpoint const& what) override;
  inline result<std::vector<partition_claim>> claims(event_scope const& of) override;
  inline result<void> claim(event_scope const& of, partition_claim const& what,
                            partition_claim const& expected) override;

  [[nodiscard]] std::string const& path() const noexcept { return path_; }

 private:
  class file {
   public:
    explicit file(int descriptor) noexcept : descriptor_{descriptor} {}
    file(file&& other) noexcept : descriptor_{exchanged(other.descriptor_, -1)} {}
    file& operator=(file&&) = delete;
    ~file() {
      if (descriptor_ >= 0) ::close(descriptor_);
    }
    [[nodiscard]] int get() const noexcept { return descriptor_; }
    explicit operator bool() const noexcept { return descriptor_ >= 0; }

   private:
    int descriptor_;
  };

  static error trouble(std::string_view verb, std::string const& path) {
    return {errc::io_error, std::string{"cannot "}.append(verb).append(" ").append(path).append(": ").append(
                                std::strerror(errno))};  // NOLINT(concurrency-mt-unsafe)
  }
  [[nodiscard]] error no_document() const { return {errc::malformed, path_ + " holds no checkpoints of this library"}; }
  result<json::value> load() const;
  result<void> store(json::value const& document) const;
  static checkpoint_table read_table(json::value const* scope);
  static json::value print_table(checkpoint_table const& table);
  static json::value const* find_scope(json::value const& document, event_scope const& of) {
    auto const* const scopes = document.find("scopes");
    return scopes != nullptr ? scopes->find(of.name()) : nullptr;
  }
  // Calls result<void> change(checkpoint_table&) and writes what it left, unless it refuses.
  template <class Change>
  result<void> update(event_scope const& of, Change change) const;

  std::string path_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline result<json::value> file_checkpoint_store::load() const {
  file const in{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!in) {
    if (errno != ENOENT) return trouble("read", path_);
    return json::value{{"version", 1}, {"scopes", json::value::make_object()}};
  }
  std::string text;
  char bytes[16 * 1024];
  for (;;) {
    ssize_t const got = ::read(in.get(), bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return trouble("read", path_);
    if (got == 0) break;
    text.append(bytes, static_cast<std::size_t>(got));
    if (text.size() > (std::size_t{64} << 20)) return no_document();
  }
  auto parsed = json::parse(text);
  if (!parsed || !parsed->is_object() || parsed->find("scopes") == nullptr || !parsed->find("scopes")->is_object())
    return no_document();
  return parsed;
}

inline result<void> file_checkpoint_store::store(json::value const& document) const {
  std::string const fresh = path_ + ".new";  // under the lock: nobody else's
  {
    file const out{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (!out) return trouble("write", fresh);
    std::string const text = document.dump() + '\n';
    for (std::string_view rest = text; !rest.empty();) {
      ssize_t const put = ::write(out.get(), rest.data(), rest.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return trouble("write", fresh);
      rest.remove_prefix(static_cast<std::size_t>(put));
    }
    if (::fsync(out.get()) != 0) return trouble("write", fresh);
  }
  if (::rename(fresh.c_str(), path_.c_str()) != 0) return trouble("write", path_);
  return {};
}

inline checkpoint_table file_checkpoint_store::read_table(json::value const* scope) {
  checkpoint_table table;
  if (scope == nullptr) return table;
  auto const text = [](json::value const& from, std::string_view name) {
    auto const* const found = from.find(name);
    return found != nullptr ? std::string{found->as_string().value_or("")} : std::string{};
  };
  auto const number = [](json::value const& from, std::string_view name, std::int64_t otherwise) {
    auto const* const found = from.find(name);
    return found != nullptr ? found->as_int().value_or(otherwise) : otherwise;
  };
  if (auto const* const all = scope->find("checkpoints"))
    for (auto const& each : all->members())
      table.checkpoints.push_back({std::string{each.key()}, text(each.value(), "offset"),
                                   number(each.value(), "sequenceNumber", -1), number(each.value(), "level", 0)});
  if (auto const* const all = scope->find("claims"))
    for (auto const& each : all->members()) {
      auto const renewed = parse_iso8601(text(each.value(), "renewed"));
      table.claims.push_back({std::string{each.key()}, text(each.value(), "owner"), number(each.value(), "level", 0),
                              renewed ? *renewed : no_time});
    }
  return table;
}

inline json::value file_checkpoint_store::print_table(checkpoint_table const& table) {
  json::value checkpoints = json::value::make_object();
  for (auto const& each : table.checkpoints)
    checkpoints.set(each.partition,
                    {{"offset", each.offset}, {"sequenceNumber", each.sequence_number}, {"level", each.level}});
  json::value claims = json::value::make_object();
  for (auto const& each : table.claims)
    claims.set(each.partition, {{"owner", each.owner}, {"level", each.level}, {"renewed", to_iso8601(each.renewed)}});
  return {{"checkpoints", std::move(checkpoints)}, {"claims", std::move(claims)}};
}

template <class Change>
result<void> file_checkpoint_store::update(event_scope const& of, Change change) const {
  std::string const lock_path = path_ + ".lock";
  file const lock{::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)};
  if (!lock) return trouble("lock", lock_path);
  // Others hold it for as long as one write takes. Never wait for long: this is the loop's thread.
  for (int tries = 0; ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || tries == 200) return trouble("lock", lock_path);
    ::usleep(5'000);
  }
  auto document = load();
  if (!document) return std::move(document).error();
  checkpoint_table table = read_table(find_scope(*document, of));
  if (auto changed = change(table); !changed) return changed;
  (*document)["scopes"].set(of.name(), print_table(table));
  return store(*document);
}

inline result<std::vector<event_checkpoint>> file_checkpoint_store::checkpoints(event_scope const& of) {
  auto const document = load();
  if (!document) return document.error();
  return read_table(find_scope(*document, of)).checkpoints;
}
inline result<std::vector<partition_claim>> file_checkpoint_store::claims(event_scope const& of) {
  auto const document = load();
  if (!document) return document.error();
  return read_table(find_scope(*document, of)).claims;
}
inline result<void> file_checkpoint_store::save(event_scope const& of, event_checkpoint const& what) {
  return update(of, [&](checkpoint_table& table) { return table.save(what); });
}
inline result<void> file_checkpoint_store::claim(event_scope const& of, partition_claim const& what,
                                                 partition_claim const& expected) {
  return update(of, [&](checkpoint_table& table) { return table.claim(what, expected); });
}

}  // namespace v0
}  // namespace iothub
