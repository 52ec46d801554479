// TLS on an accepted socket, as little as a test's server needs; OpenSSL's own, so that it may be as bad as it likes.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/net/tcp_stream.hpp>

namespace iothub_test {

class tls_test_channel {
 public:
  tls_test_channel(iothub::net::tcp_stream stream, SSL_CTX* context)
      : stream_{std::move(stream)}, ssl_{SSL_new(context)} {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl_.get());
  }
  iothub::io_result read(iothub::byte_span into, iothub::time_point now) {
    char wire[4096];
    for (;;) {
      int const size = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
      int const problem = size > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), size);
      ERR_clear_error();
      flush(now);
      if (size > 0) return {iothub::io_status::done, static_cast<std::size_t>(size)};
      if (problem != SSL_ERROR_WANT_READ) return {iothub::io_status::end, 0};
      iothub::io_result const got = stream_.read(wire, now);
      if (got.status != iothub::io_status::done) return got;
      BIO_write(SSL_get_rbio(ssl_.get()), wire, static_cast<int>(got.size));
    }
  }
  iothub::io_result write(iothub::byte_view from, iothub::time_point now) {
    if (!flush(now)) return {};
    int const size = SSL_write(ssl_.get(), from.data(), static_cast<int>(from.size()));
    ERR_clear_error();
    flush(now);
    return size > 0 ? iothub::io_result{iothub::io_status::done, static_cast<std::size_t>(size)} : iothub::io_result{};
  }
  void close() { stream_.close(); }
  void attach(iothub::loop& on, iothub::participant& whom) { stream_.attach(on, whom); }

 private:
  struct free_ssl {
    void operator()(SSL* s) const { SSL_free(s); }
  };
  bool flush(iothub::time_point now) {
    char* bytes = nullptr;
    long const size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &bytes);
    if (size > 0) out_.append({bytes, static_cast<std::size_t>(size)});
    (void)BIO_reset(SSL_get_wbio(ssl_.get()));
    while (!out_.empty()) {
      iothub::io_result const put = stream_.write(out_.view(), now);
      if (put.status != iothub::io_status::done) return false;
      out_.consume(put.size);
    }
    return true;
  }
  iothub::net::tcp_stream stream_;
  std::unique_ptr<SSL, free_ssl> ssl_;
  iothub::byte_buffer out_;
};

}  // namespace iothub_test
