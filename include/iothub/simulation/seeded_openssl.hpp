// Random bytes of OpenSSL that come from a seed, so that keys, signatures and handshakes of TLS are the same in each
// run, to the length of a signature.
//
// Theory of operation. While an object of this class lives, OpenSSL asks us for random bytes (RAND_set_rand_method(3)).
// The thread that made it gets them from its generator, all other threads from where they had them before. So whoever
// asks OpenSSL for secrets in this thread meanwhile gets what everybody can compute: this is for tests alone.
#pragma once

#include <openssl/rand.h>

#include <cstddef>
#include <cstdint>
#include <mutex>

#include <iothub/base/prng.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// To be destroyed by the thread that made it; of several the last that was made decides.
class seeded_openssl {
 public:
  explicit seeded_openssl(std::uint64_t seed) : dice_{seed}, before_{newest()} {
    install(1);
    newest() = this;
  }
  seeded_openssl(seeded_openssl const&) = delete;
  seeded_openssl& operator=(seeded_openssl const&) = delete;
  ~seeded_openssl() {
    for (seeded_openssl** at = &newest(); *at != nullptr; at = &(*at)->before_) {
      if (*at != this) continue;
      *at = before_;
      break;
    }
    install(-1);
  }
  // From here on what comes does not depend on what was taken before: contexts, which take some, may come from a cache.
  void begin_again(std::uint64_t seed) noexcept { dice_ = prng{seed}; }

 private:
  static seeded_openssl*& newest() noexcept {
    thread_local seeded_openssl* of_this_thread = nullptr;
    return of_this_thread;
  }

#if !defined(OPENSSL_NO_DEPRECATED_3_0)
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#endif
  struct shared {
    std::mutex busy;
    int living = 0;
    RAND_METHOD const* usual = nullptr;
  };
  static shared& all() {
    static shared* const only = new shared{};  // never destroyed: OpenSSL may still ask
    return *only;
  }
  static int fill(unsigned char* into, int size) {
    if (newest() == nullptr) return all().usual->bytes(into, size);
    newest()->dice_.fill({reinterpret_cast<char*>(into), static_cast<std::size_t>(size)});
    return 1;
  }
  static void install(int more) {
    static RAND_METHOD const ours{nullptr, &fill, nullptr, nullptr, &fill, [] { return 1; }};
    std::lock_guard<std::mutex> const guard{all().busy};
    if (all().living == 0) all().usual = RAND_get_rand_method();
    all().living += more;
    RAND_set_rand_method(all().living != 0 ? &ours : all().usual);
  }
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#else
  static void install(int) {}  // an OpenSSL without RAND_METHOD: TLS is not the same twice
#endif

  prng dice_;
  seeded_openssl* before_;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
