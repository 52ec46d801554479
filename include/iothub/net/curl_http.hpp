// The HTTP transport over libcurl, driven by the real loop.
//
// Theory of operation. libcurl's multi interface does the work; it says which sockets it waits for and when it wants to
// be called again. The sockets go to the loop's fd_watcher, level-triggered and on behalf of the attached participant;
// the time is deadline(). step() tells libcurl what became ready and collects what is done. Callbacks only store: no
// user code runs in them and no exception leaves them, since both would cross C frames.
//
// Safety is not an option here: the peer's certificate and name are always checked, on every connection anew, TLS
// is 1.2 or newer, only https, no redirects, no netrc, no proxy but one that is named, nothing is decompressed, and
// sizes are limited. Where libcurl uses the same OpenSSL as we do, its context gets the rules of the TLS stream
// (tls_rules.hpp): libcurl alone takes a name in the subject, and what the system's configuration of OpenSSL allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include <iothub/base/ascii.hpp>
#include <iothub/base/error.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/h1_writer.hpp>
#include <iothub/http/message.hpp>
#include <iothub/http/url.hpp>
#include <iothub/io/fd_watcher.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/net/curl_support.hpp>
#include <iothub/net/tls_rules.hpp>
#include <iothub/net/trust.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/policy/http_transport.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct curl_http_options {
  trust_options trust = {};
  duration connect_timeout = std::chrono::seconds{30};   // name, TCP and TLS together
  duration exchange_timeout = std::chrono::minutes{11};  // from start() on; a direct method may take 300 s + 300 s
  std::size_t max_body = 1024 * 1024;                    // of a response, bytes
  std::size_t max_head = 16 * 1024;                      // of a response, bytes
  long max_connections = 16;                             // to one host; further exchanges wait
  std::string proxy = {};       // "http://[user:password@]host:port"; empty: none, whatever the environment says
  std::string user_agent = {};  // for requests that bring no User-Agent; empty: none
};

// Movable. It must be attached to a loop with an fd_watcher before the first start(), and the loop must outlive it.
class curl_http {
 public:
  explicit curl_http(curl_http_options options = {}) : core_{make_owned<core>(std::move(options))} {}

  // Whether the trusted certificates and revocation lists could be read; if not, every exchange ends with this error.
  // errc::unsupported: revocation lists, and libcurl has another TLS library than OpenSSL.
  [[nodiscard]] result<void> ready() const { return core_->ready(); }

  // The outcomes of an exchange: errc::host_not_found, connection_refused, certificate_rejected, tls_failed, timeout,
  // connection_lost, protocol_error, too_large, invalid_argument (a request that cannot be sent, or a proxy that is
  // none), invalid_state (no loop).
  exchange_id start(endpoint const& where, http::request&& what, time_point now) {
    return core_->start(where, std::move(what), now);
  }
  void cancel(exchange_id id) { core_->cancel(id); }
  void step(time_point now) { core_->step(now); }
  std::optional<http_completion> next_completion() { return core_->next_completion(); }
  [[nodiscard]] time_point deadline() const noexcept { return core_->deadline(); }
  void attach(loop& on, participant& whom) { core_->attach(on, whom); }

 private:
  // One easy handle with all that libcurl points into while it runs.
  struct exchange {
    exchange() : easy{curl_easy_init()} {}
    exchange(exchange const&) = delete;
    exchange& operator=(exchange const&) = delete;
    ~exchange() {
      curl_slist_free_all(fields);
      if (easy != nullptr) curl_easy_cleanup(easy);
    }
    CURL* easy;
    exchange_id id = 0;
    std::string host = {};
    trust const* trusted = nullptr;
    http::request request = {};
    http::response response = {};
    curl_slist* fields = nullptr;
    std::size_t max_head = 0;
    std::size_t max_body = 0;
    std::size_t head_size = 0;
    maybe<errc> broken = {};  // why a callback stopped the transfer
    char message[CURL_ERROR_SIZE] = {};
    // What a callback returns to make libcurl give up.
    std::size_t stop(errc why) noexcept {
      broken = why;
      return 0;
    }
  };

  // Pinned, since libcurl keeps its address.
  class core {
   public:
    explicit core(curl_http_options options);
    core(core const&) = delete;
    core& operator=(core const&) = delete;
    ~core();

    [[nodiscard]] result<void> ready() const { return trust_ ? result<void>{} : result<void>{trust_.error()}; }
    exchange_id start(endpoint const& where, http::request&& what, time_point now);
    void cancel(exchange_id id);
    void step(time_point now);
    std::optional<http_completion> next_completion();
    [[nodiscard]] time_point deadline() const noexcept { return done_.empty() ? due_ : time_point{}; }
    void attach(loop& on, participant& whom);

   private:
    struct watched {
      curl_socket_t fd = CURL_SOCKET_BAD;
      fd_interest interest = fd_interest::none;
    };

    result<void> begin(exchange& e, endpoint const& where);
    result<void> set_fields(exchange& e);
    void set_method(exchange& e);
    void set_limits(exchange& e);
    void collect();
    void watch(curl_socket_t fd, int what);
    void forget(curl_socket_t fd) noexcept;
    owned<exchange> release(std::size_t index) noexcept;
    [[nodiscard]] error explain(exchange const& e, CURLcode code) const;

    static int on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept;
    static int on_timer(CURLM*, long milliseconds, void* self) noexcept;
    static std::size_t on_head(char* bytes, std::size_t one, std::size_t size, void* self) noexcept;
    static std::size_t on_body(char* bytes, std::size_t one, std::size_t size, void* self) noexcept;
    static CURLcode on_tls(CURL*, void* context, void* self) noexcept;
    static void read_head_line(http::response& into, std::string_view line);

    curl_http_options options_;
    result<trust> trust_;
    CURLM* multi_ = nullptr;
    lean_vector<owned<exchange>> running_;
    lean_vector<http_completion> done_;
    lean_vector<watched> sockets_;
    exchange_id last_id_ = 0;
    time_point now_ = {};
    time_point due_ = never;  // when libcurl wants to be called
    loop* loop_ = nullptr;
    participant* participant_ = nullptr;
    fd_watcher* watcher_ = nullptr;
  };

  owned<core> core_;
};

// ---------------------------------------------------------------------------------------------------------------------

inline curl_http::core::core(curl_http_options options)
    : options_{std::move(options)}, trust_{resolve_trust(options_.trust)} {
  detail::curl_start_up();
  if (trust_ && !trust_->crl_pem.empty()) {
    auto readable = detail::curl_shares_openssl()
                        ? detail::read_revocations(*trust_, [](X509_CRL*) {})
                        : result<void>{error{errc::unsupported, "this libcurl can take no revocation lists"}};
    if (!readable) trust_ = std::move(readable).error();
  }
  multi_ = curl_multi_init();
  if (multi_ == nullptr) return;
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &on_socket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &on_timer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, options_.max_connections);
}

inline curl_http::core::~core() {
  while (!running_.empty()) release(running_.size() - 1);
  if (multi_ != nullptr) curl_multi_cleanup(multi_);
  while (!sockets_.empty()) forget(sockets_.back().fd);
}

inline exchange_id curl_http::core::start(endpoint const& where, http::request&& what, time_point now) {
  now_ = now;
  exchange_id const id = last_id_ + 1;
  auto e = make_owned<exchange>();
  e->id = id;
  e->host = where.host;
  e->request = std::move(what);
  done_.reserve(done_.size() + running_.size() + 1);  // for every completion that can come
  running_.reserve(running_.size() + 1);
  if (auto begun = begin(*e, where); begun)
    running_.push_back(std::move(e));
  else
    done_.push_back(http_completion{.id = id, .outcome = std::move(begun).error()});
  last_id_ = id;
  if (loop_ != nullptr) loop_->wake(*participant_);
  return id;
}

inline result<void> curl_http::core::begin(exchange& e, endpoint const& where) {
  if (!trust_) return trust_.error();
  if (watcher_ == nullptr) return error{errc::invalid_state, "curl_http needs a real loop: attach it to one"};
  if (multi_ == nullptr || e.easy == nullptr) return error{errc::io_error, "libcurl could not be set up"};
  if (!http::is_token(e.request.method) || !http::is_target(e.request.target) || e.request.target.front() != '/')
    return error{errc::invalid_argument, "HTTP: the method or the target cannot be sent"};
  std::string url = "https://" + http::authority(where.host, where.port);
  auto const checked = http::parse_url(url);
  if (!checked || checked->host != where.host)
    return error{errc::invalid_argument, "HTTP: the host name or port cannot be used"};
  if (!options_.proxy.empty() && !detail::is_proxy(options_.proxy))
    return error{errc::invalid_argument, "HTTP: the proxy is not http://host:port"};
  url += e.request.target;
  curl_easy_setopt(e.easy, CURLOPT_URL, url.c_str());
  set_method(e);
  set_limits(e);
  if (auto set = set_fields(e); !set) return set;
  if (curl_multi_add_handle(multi_, e.easy) != CURLM_OK) return error{errc::io_error, "libcurl refused the exchange"};
  return {};
}

inline void curl_http::core::set_method(exchange& e) {
  http::request const& what = e.request;
  bool const upload = what.method == "POST" || what.method == "PUT" || what.method == "PATCH" || !what.body.empty();
  if (upload) {  // the body is not copied: the exchange holds it
    curl_easy_setopt(e.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(what.body.size()));
    curl_easy_setopt(e.easy, CURLOPT_POSTFIELDS, what.body.c_str());
  } else if (what.method == "HEAD") {
    curl_easy_setopt(e.easy, CURLOPT_NOBODY, 1L);
  } else {
    curl_easy_setopt(e.easy, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(e.easy, CURLOPT_CUSTOMREQUEST, what.method.c_str());
}

inline void curl_http::core::set_limits(exchange& e) {
  CURL* const easy = e.easy;
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);  // ".." is a legal device id
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_PROXY, options_.proxy.c_str());
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, nullptr);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, detail::milliseconds(options_.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, detail::milliseconds(options_.exchange_timeout));
  curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options_.max_body));
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  // Only roots are anchors, as in the TLS stream.
  curl_easy_setopt(easy, CURLOPT_SSL_OPTIONS, static_cast<long>(CURLSSLOPT_NO_PARTIALCHAIN));
#if LIBCURL_VERSION_NUM >= 0x075700
  // libcurl may put a store of its own in the place of the one that on_tls() gives the lists to.
  if (!trust_->crl_pem.empty()) curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
  // A resumed session would not show the certificate again, which may have ended or been revoked since;
  // libcurl from 8.12 on keeps sessions beyond one exchange.
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
  if (!trust_->is_system()) {
    curl_blob blob{const_cast<char*>(trust_->pem.data()), trust_->pem.size(), CURL_BLOB_NOCOPY};  // NOLINT: C interface
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  if (detail::curl_shares_openssl()) {
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, &on_tls);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &e);
  }
  e.trusted = &*trust_;
  e.max_head = options_.max_head;
  e.max_body = options_.max_body;
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &on_head);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &e);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &e);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, e.message);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &e);
}

// A field without a value is spelled "Name;" for libcurl, and "Name:" takes away one that it would add by itself.
inline result<void> curl_http::core::set_fields(exchange& e) {
  if (auto good = http::detail::check_fields(e.request.headers); !good) return good;
  bool full = true;
  auto const add = [&](std::string const& line) {
    curl_slist* const longer = curl_slist_append(e.fields, line.c_str());
    full = full && longer != nullptr;
    if (longer != nullptr) e.fields = longer;
  };
  for (http::header const& field : e.request.headers)
    if (!iequals(field.name, "Content-Length") && !iequals(field.name, "Transfer-Encoding"))
      add(std::string{field.name}.append(field.value.empty() ? ";" : ": ").append(field.value));
  for (char const* own : {"Accept", "Content-Type", "Expect"})
    if (!e.request.headers.has(own)) add(std::string{own} + ":");
  if (!options_.user_agent.empty() && !e.request.headers.has("User-Agent")) add("User-Agent: " + options_.user_agent);
  if (!full) return errc::io_error;
  curl_easy_setopt(e.easy, CURLOPT_HTTPHEADER, e.fields);
  return {};
}

inline void curl_http::core::cancel(exchange_id id) {
  for (std::size_t i = 0; i != running_.size(); ++i)
    if (running_[i]->id == id) return void(release(i));
  for (std::size_t i = 0; i != done_.size(); ++i)
    if (done_[i].id == id) return void(done_.erase(done_.begin() + static_cast<std::ptrdiff_t>(i)));
}

inline void curl_http::core::step(time_point now) {
  now_ = now;
  if (multi_ == nullptr) return;
  int still_running = 0;
  for (std::size_t i = 0; i < sockets_.size() && watcher_ != nullptr; ++i) {
    curl_socket_t const fd = sockets_[i].fd;
    auto const ready = static_cast<unsigned>(watcher_->take_events(fd));
    int const bits = ((ready & 1u) != 0 ? CURL_CSELECT_IN : 0) | ((ready & 2u) != 0 ? CURL_CSELECT_OUT : 0);
    if (bits != 0) curl_multi_socket_action(multi_, fd, bits, &still_running);
  }
  if (due_ <= now) {
    due_ = never;
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &still_running);
    // Called a little early, by its own clock, libcurl does nothing and does not say again when it wants to be called.
    long left = -1;
    curl_multi_timeout(multi_, &left);
    if (left >= 0) due_ = add(now, std::chrono::milliseconds{left});
  }
  collect();
}

inline void curl_http::core::collect() {
  int left = 0;
  while (CURLMsg const* const message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode const code = message->data.result;
    std::size_t i = 0;
    while (running_[i]->easy != message->easy_handle) ++i;
    owned<exchange> const e = release(i);
    // start() made room. Should memory run out for the explanation, the exchange still ends, in a word.
    done_.push_back(http_completion{.id = e->id, .outcome = e->broken.value_or(detail::from_curl(code))});
    done_.back().outcome = code == CURLE_OK ? result<http::response>{std::move(e->response)} : explain(*e, code);
  }
}

inline error curl_http::core::explain(exchange const& e, CURLcode code) const {
  errc const kind = e.broken ? *e.broken : detail::from_curl(code);
  if (e.broken == errc::too_large) return error{kind, "HTTP: the response of " + e.host + " is larger than its limit"};
  std::string text = "HTTP: " + e.host + ": " + (e.message[0] != '\0' ? e.message : curl_easy_strerror(code));
  if (kind == errc::certificate_rejected) text += trust_note(trust_->origin);
  return error{kind, std::move(text)};
}

inline std::optional<http_completion> curl_http::core::next_completion() {
  if (done_.empty()) return std::nullopt;
  std::optional<http_completion> out{std::move(done_.front())};
  done_.erase(done_.begin());
  return out;
}

inline void curl_http::core::attach(loop& on, participant& whom) {
  while (!sockets_.empty() && watcher_ != on.watcher()) forget(sockets_.back().fd);
  loop_ = &on;
  participant_ = &whom;
  watcher_ = on.watcher();
  for (watched const& socket : sockets_) (void)watcher_->watch(socket.fd, socket.interest, whom, fd_trigger::level);
}

inline owned<curl_http::exchange> curl_http::core::release(std::size_t index) noexcept {
  owned<exchange> e = std::move(running_[index]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
  curl_multi_remove_handle(multi_, e->easy);
  return e;
}

inline void curl_http::core::watch(curl_socket_t fd, int what) {
  if (watcher_ == nullptr) return;
  fd_interest const interest = what == CURL_POLL_IN    ? fd_interest::read
                               : what == CURL_POLL_OUT ? fd_interest::write
                                                       : fd_interest::both;
  bool known = false;
  for (watched& socket : sockets_) {
    if (socket.fd != fd) continue;
    socket.interest = interest;
    known = true;
  }
  if (!known) sockets_.push_back(watched{.fd = fd, .interest = interest});
  (void)watcher_->watch(fd, interest, *participant_, fd_trigger::level);
}

inline void curl_http::core::forget(curl_socket_t fd) noexcept {
  for (std::size_t i = 0; i != sockets_.size(); ++i) {
    if (sockets_[i].fd != fd) continue;
    if (watcher_ != nullptr) watcher_->unwatch(fd);
    sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

inline int curl_http::core::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) noexcept {
  core& c = *static_cast<core*>(self);
  auto const act = [&] {
    if (what == CURL_POLL_REMOVE)
      c.forget(fd);
    else
      c.watch(fd, what);
    return 0;
  };
  return detail::guarded(act, [] { return -1; });
}

inline int curl_http::core::on_timer(CURLM*, long milliseconds, void* self) noexcept {
  core& c = *static_cast<core*>(self);
  c.due_ = milliseconds < 0 ? never : add(c.now_, std::chrono::milliseconds{milliseconds});
  return 0;
}

inline std::size_t curl_http::core::on_head(char* bytes, std::size_t, std::size_t size, void* self) noexcept {
  exchange& e = *static_cast<exchange*>(self);
  auto const act = [&] {
    e.head_size += size;
    if (e.head_size > e.max_head) return e.stop(errc::too_large);
    read_head_line(e.response, {bytes, size});
    return size;
  };
  return detail::guarded(act, [&] { return e.stop(errc::io_error); });
}

inline std::size_t curl_http::core::on_body(char* bytes, std::size_t, std::size_t size, void* self) noexcept {
  exchange& e = *static_cast<exchange*>(self);
  auto const act = [&] {
    if (size > e.max_body - e.response.body.size()) return e.stop(errc::too_large);
    e.response.body.append(bytes, size);
    return size;
  };
  return detail::guarded(act, [&] { return e.stop(errc::io_error); });
}

// A status line begins anew: interim responses come first.
inline void curl_http::core::read_head_line(http::response& into, std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.substr(0, 5) == "HTTP/") {
    split_pair const status = split_once(split_once(line, ' ').after, ' ');
    into = {};
    into.status = parse_int<int>(status.before).value_or(0);
    into.reason = status.after;
    return;
  }
  split_pair const field = split_once(line, ':');
  if (field.found) into.headers.add(trim(field.before), trim(field.after));
}

// OpenSSL's own name check beside libcurl's: never the subject, no partial wildcards (RFC 9525 section 6).
inline CURLcode curl_http::core::on_tls(CURL*, void* context, void* self) noexcept {
  exchange const& e = *static_cast<exchange const*>(self);
  auto* const c = static_cast<SSL_CTX*>(context);
  auto const act = [&] {
    if (!detail::set_tls_rules(c)) return CURLE_SSL_CIPHER;
    X509_VERIFY_PARAM* const rules = SSL_CTX_get0_param(c);
    X509_VERIFY_PARAM_set_hostflags(rules, host_check_flags);
    std::string_view host = e.host;
    if (host.ends_with('.')) host.remove_suffix(1);  // a rooted name; certificates leave the dot out
    bool const address = X509_VERIFY_PARAM_set1_ip_asc(rules, e.host.c_str()) == 1;
    if (!address && X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) != 1) return CURLE_SSL_CERTPROBLEM;
    return detail::use_revocations(c, *e.trusted) ? CURLE_OK : CURLE_SSL_CRL_BADFILE;
  };
  CURLcode const code = detail::guarded(act, [] { return CURLE_OUT_OF_MEMORY; });
  ERR_clear_error();
  return code;
}

static_assert(http_transport<curl_http>);

}  // namespace net
}  // namespace v0
}  // namespace iothub
