// The files of the served hub's CA: read, written in one step, and kept from other users.
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

#include <iothub/base/result.hpp>
#include <iothub/net/x509_builder.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

namespace detail {

inline error file_error(std::string what, std::string const& path, int reason) {
  return error{errc::io_error, "cannot " + std::move(what) + " " + path + ": " + std::strerror(reason)};
}

// Makes the folder and those above it; what is there already stays as it is.
inline result<void> make_folder(std::string const& folder) {
  if (folder.empty()) return error{errc::invalid_argument, "the CA folder has no name"};
  for (std::size_t at = 1; at <= folder.size(); ++at) {
    if (at != folder.size() && folder[at] != '/') continue;
    auto const part = folder.substr(0, at);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return file_error("make the folder", part, errno);
  }
  struct stat found = {};
  if (::stat(folder.c_str(), &found) != 0) return file_error("open the folder", folder, errno);
  if (!S_ISDIR(found.st_mode)) return file_error("use as a folder", folder, ENOTDIR);
  return {};
}

class descriptor {
 public:
  explicit descriptor(int owned = -1) noexcept : fd_{owned} {}
  descriptor(descriptor const&) = delete;
  descriptor& operator=(descriptor const&) = delete;
  ~descriptor() { reset(-1); }
  void reset(int owned) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = owned;
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// Held until it goes out of scope; another process waits for it.
class folder_lock {
 public:
  result<void> acquire(std::string const& path) {
    file_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (file_.get() < 0) return file_error("write", path, errno);
    while (::flock(file_.get(), LOCK_EX) != 0)
      if (errno != EINTR) return file_error("lock", path, errno);
    return {};
  }

 private:
  descriptor file_;
};

inline constexpr std::size_t max_pem_file = 1u << 20;

// The whole file. `missing` is set, and the result is empty, when there is none of that name.
inline result<std::string> read_file(std::string const& path, bool& missing) {
  missing = false;
  descriptor const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.get() < 0) {
    missing = errno == ENOENT;
    if (missing) return std::string{};
    return file_error("read", path, errno);
  }
  std::string text;
  char block[4096];
  for (;;) {
    auto const size = ::read(file.get(), block, sizeof block);
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_error("read", path, errno);
    text.append(block, static_cast<std::size_t>(size));
    if (text.size() > max_pem_file) return error{errc::too_large, path + " is larger than any key or certificate"};
  }
}

// Replaces the file in one step, so that a reader sees the old or the new one and a full disk destroys neither.
inline result<void> write_file(std::string const& path, std::string_view text, mode_t mode) {
  auto const fresh = path + ".new";
  ::unlink(fresh.c_str());
  descriptor file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
  if (file.get() < 0) return file_error("write", fresh, errno);
  while (!text.empty()) {
    auto const size = ::write(file.get(), text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_error("write", fresh, errno);
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  if (::fsync(file.get()) != 0) return file_error("write", fresh, errno);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return file_error("write", path, errno);
  return {};
}

// The key in that file; made where there is none. A key others may read is closed to them.
inline result<x509_key> load_or_make_key(std::string const& path, bool& created) {
  auto text = read_file(path, created);
  if (!text) return std::move(text).error();
  if (!created) {
    (void)::chmod(path.c_str(), 0600);
    auto key = key_from_pem(*text);
    if (!key) return error{errc::malformed, path + " is there but holds no private key; move it away to have one made"};
    return key;
  }
  auto key = make_p256_key();
  if (!key) return std::move(key).error();
  if (auto wrote = write_file(path, to_pem(*key), 0600); !wrote) return wrote.error();
  return key;
}

// The CA certificate in that file; empty where there is none, so that a key without one gets a new certificate.
inline result<x509_certificate> load_certificate(std::string const& path, x509_key const& key) {
  bool missing = false;
  auto text = read_file(path, missing);
  if (!text) return std::move(text).error();
  if (missing) return x509_certificate{};
  auto certificate = certificate_from_pem(*text);
  if (!certificate)
    return error{errc::malformed, path + " is there but holds no certificate; move it away to have one made"};
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return error{errc::malformed, path + " does not belong to the key beside it; move both away to have new ones made"};
  return certificate;
}

}  // namespace detail
}  // namespace net
}  // namespace v0
}  // namespace iothub
