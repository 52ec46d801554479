// The limit: a blocking loop by hand that sends all it may in one TLS record and counts the PUBACKs. No callbacks, no
// retries, no copies kept, no time-outs: no client of use can be cheaper.
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string_view>

#include "publish_bench.hpp"

namespace publish_bench {
namespace {

void put_text(std::string& out, std::string_view text) {
  out += static_cast<char>(text.size() >> 8);
  out += static_cast<char>(text.size());
  out += text;
}
std::string packet(char first, std::string_view body) {
  std::string out{first};
  std::size_t length = body.size();
  do {
    out += static_cast<char>((length & 127) | (length > 127 ? 128 : 0));
    length >>= 7;
  } while (length != 0);
  return out.append(body);
}

int connect_to(plan const& p) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(p.host.c_str(), std::to_string(p.port).c_str(), &hints, &found) != 0) give_up("limit", "no such host");
  int const fd = socket(found->ai_family, found->ai_socktype, 0);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) give_up("limit", "cannot connect");
  freeaddrinfo(found);
  int const one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

class connection {
 public:
  explicit connection(plan const& p) : context_{SSL_CTX_new(TLS_client_method())}, fd_{connect_to(p)} {
    SSL_CTX_load_verify_locations(context_, p.ca_file.c_str(), nullptr);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_read_ahead(context_, 1);
    ssl_ = SSL_new(context_);
    SSL_set1_host(ssl_, p.host.c_str());
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) give_up("limit", ERR_reason_error_string(ERR_get_error()));
  }
  connection(connection const&) = delete;
  connection& operator=(connection const&) = delete;
  ~connection() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  void write(std::string_view bytes) {
    std::size_t put = 0;
    if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &put) != 1) give_up("limit", "the connection broke");
  }
  // How many bytes have come: all records that one read of the socket brought.
  std::size_t read() {
    std::size_t all = 0;
    do {
      std::size_t got = 0;
      if (SSL_read_ex(ssl_, room_, sizeof room_, &got) != 1) give_up("limit", "the connection broke");
      all += got;
    } while (SSL_has_pending(ssl_) == 1);
    return all;
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  int fd_;
  char room_[16 * 1024];
};

}  // namespace

void run_limit(plan const& p, stopwatch& watch) {
  connection peer{p};
  std::string body;
  put_text(body, "MQTT");
  body += '\x04';  // 3.1.1
  body += '\xc2';  // user name, password, clean session
  body += std::string_view{"\0\xf0", 2};
  put_text(body, p.client_id);
  put_text(body, p.user_name);
  put_text(body, p.password);
  peer.write(packet('\x10', body));
  std::size_t answered = 0;
  while (answered < 4) answered += peer.read();  // CONNACK

  progress work{p, watch};
  body.clear();
  put_text(body, p.topic);
  std::size_t const id_at = body.size();
  body += "id" + p.payload;
  std::string message = packet('\x32', body);
  std::size_t const id_in_message = message.size() - body.size() + id_at;
  unsigned id = 0;
  std::size_t acknowledged = 0;  // bytes of PUBACKs, four each
  std::string out;
  while (!work.done()) {
    out.clear();
    for (; work.may_send(); work.sent()) {
      id = id % 65535 + 1;
      message[id_in_message] = static_cast<char>(id >> 8);
      message[id_in_message + 1] = static_cast<char>(id);
      out += message;
    }
    if (!out.empty()) peer.write(out);
    for (acknowledged += peer.read(); acknowledged >= 4; acknowledged -= 4) work.confirmed();
  }
}

}  // namespace publish_bench
