// The files of the served hub's CA: read, written in one step, and kept from other users.
//
// Whoever may write to the folder could put a key of his own there, or a link or FIFO in a file's place. So the folder
// has to be the user's (or root's) and writable by nobody else, and a file in it a regular one of the user's, judged by
// its descriptor, not by its name.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/hex.hpp>
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

// Nobody but this user and root can put anything into the folder.
inline result<void> check_folder(std::string const& folder) {
  descriptor const opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  struct stat found = {};
  if (opened.get() < 0 || ::fstat(opened.get(), &found) != 0) return file_error("open the folder", folder, errno);
  if (found.st_uid != ::geteuid() && found.st_uid != 0)
    return error{errc::io_error, "the folder " + folder + " belongs to another user; a CA is not safe there"};
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return error{errc::io_error, "others may write to the folder " + folder + "; a CA is not safe there (chmod go-w)"};
  return {};
}

// A regular file of this user's, no link to one.
inline result<void> check_own_file(int file, std::string const& path, mode_t& mode) {
  struct stat found = {};
  if (::fstat(file, &found) != 0) return file_error("read", path, errno);
  if (!S_ISREG(found.st_mode)) return error{errc::io_error, path + " is no regular file"};
  if (found.st_uid != ::geteuid()) return error{errc::io_error, path + " belongs to another user"};
  mode = found.st_mode;
  return {};
}

inline error open_error(char const* what, std::string const& path, int reason) {
  if (reason == ELOOP) return error{errc::io_error, path + " is a symbolic link; it is not followed"};
  return file_error(what, path, reason);
}

// Held until it goes out of scope; another process waits for it.
class folder_lock {
 public:
  result<void> acquire(std::string const& path) {
    file_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (file_.get() < 0) return open_error("write", path, errno);
    mode_t mode = 0;
    if (auto own = check_own_file(file_.get(), path, mode); !own) return own;
    while (::flock(file_.get(), LOCK_EX) != 0)
      if (errno != EINTR) return file_error("lock", path, errno);
    return {};
  }

 private:
  descriptor file_;
};

inline constexpr std::size_t max_pem_file = 1u << 20;

inline result<std::string> read_whole(int file, std::string const& path, std::size_t limit = max_pem_file) {
  std::string text;
  char block[4096];
  for (;;) {
    auto const size = ::read(file, block, sizeof block);
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_error("read", path, errno);
    text.append(block, static_cast<std::size_t>(size));
    if (text.size() > limit) return error{errc::too_large, path + " is above " + std::to_string(limit) + " bytes"};
  }
}

// The whole file, whatever it is. `missing` is set, and the result is empty, when there is none of that name.
inline result<std::string> read_file(std::string const& path, bool& missing, std::size_t limit = max_pem_file) {
  descriptor const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  missing = file.get() < 0 && errno == ENOENT;
  if (missing) return std::string{};
  if (file.get() < 0) return file_error("read", path, errno);
  return read_whole(file.get(), path, limit);
}

// The same of a file that this user keeps in the CA's folder; it stays open for what is to be done about its mode.
inline result<std::string> read_own_file(std::string const& path, bool& missing, descriptor& file, mode_t& mode) {
  file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  missing = file.get() < 0 && errno == ENOENT;
  if (missing) return std::string{};
  if (file.get() < 0) return open_error("read", path, errno);
  if (auto own = check_own_file(file.get(), path, mode); !own) return own.error();
  return read_whole(file.get(), path);
}
inline result<std::string> read_own_file(std::string const& path, bool& missing) {
  descriptor file;
  mode_t mode = 0;
  return read_own_file(path, missing, file, mode);
}

// A key that others may read is closed to them.
inline result<void> close_to_others(descriptor const& file, std::string const& path, mode_t mode) {
  if ((mode & (S_IRWXG | S_IRWXO)) == 0) return {};
  if (::fchmod(file.get(), 0600) != 0) return file_error("close to other users", path, errno);
  return {};
}

inline result<void> write_all(int file, std::string_view text, std::string const& path) {
  while (!text.empty()) {
    auto const size = ::write(file, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return file_error("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  if (::fsync(file) != 0) return file_error("write", path, errno);
  return {};
}

// Replaces the file in one step, so that a reader sees the old or the new one and a full disk destroys neither. The new
// one is written beside it, under a name that nobody has: no other file is touched.
inline result<void> write_file(std::string const& path, std::string_view text, mode_t mode) {
  char random[8] = {};
  if (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    return file_error("write", path, errno);
  auto const fresh = path + "." + to_hex({random, sizeof random});
  descriptor const file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
  if (file.get() < 0) return file_error("write", fresh, errno);
  auto done = write_all(file.get(), text, fresh);
  if (done && ::rename(fresh.c_str(), path.c_str()) != 0) done = file_error("write", path, errno);
  if (!done) ::unlink(fresh.c_str());
  return done;
}

// The key in that file; made where there is none. A key others may read is closed to them.
inline result<x509_key> load_or_make_key(std::string const& path, bool& created) {
  descriptor file;
  mode_t mode = 0;
  auto text = read_own_file(path, created, file, mode);
  if (!text) return std::move(text).error();
  if (!created) {
    auto key = key_from_pem(*text);
    if (!key) return error{errc::malformed, path + " is there but holds no private key; move it away to have one made"};
    if (auto closed = close_to_others(file, path, mode); !closed) return closed.error();
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
  auto text = read_own_file(path, missing);
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
