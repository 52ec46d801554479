// An HTTP server on a loop for tests of the transports: accepts from any listener, answers from a desk.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <iothub/http/server_connection.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/byte_stream.hpp>

namespace iothub_test {

// Keeps requests whose target begins with /wait, echoes the others: status from ?status=, body = method, target, body.
struct http_desk final : iothub::http::request_handler {
  iothub::http::ticket on_request(iothub::http::request&& what, iothub::http::reply_to to,
                                  iothub::time_point) override {
    seen.push_back(what);
    if (what.target.rfind("/wait", 0) == 0) {
      kept[++last] = to;
      return last;
    }
    iothub::http::response answer{
        .headers = {{"X-Echo", what.headers.get("X-Ask").empty() ? "none" : std::string{what.headers.get("X-Ask")}}}};
    if (std::size_t const at = what.target.find("status="); at != std::string::npos)
      answer.status = std::stoi(what.target.substr(at + 7));
    if (what.target == "/close") answer.headers.add("Connection", "close");
    if (what.target == "/big") answer.body.assign(100'000, 'x');
    if (what.target != "/big") answer.body = what.method + " " + what.target + " " + what.body;
    to.respond(std::move(answer));
    return iothub::http::answered;
  }
  void on_cancel(iothub::http::ticket pending) override {
    kept.erase(pending);
    ++cancelled;
  }
  void answer(iothub::http::ticket pending, iothub::http::response what) {
    auto const to = kept.at(pending);
    kept.erase(pending);
    to.respond(std::move(what));
  }
  std::vector<iothub::http::request> seen;
  std::map<iothub::http::ticket, iothub::http::reply_to> kept;
  iothub::http::ticket last = 0;
  int cancelled = 0;
};

// Channel: read(), write(), close(), attach() as a byte_stream, from what accept() gave.
template <class Listener, class Channel>
class http_test_server final : public iothub::participant {
 public:
  template <class MakeChannel>
  http_test_server(iothub::loop& on, Listener listener, MakeChannel make)
      : loop_{on}, listener_{std::move(listener)}, make_{std::move(make)} {
    on.add(*this);
    (void)listener_.attach(on, *this);
  }
  ~http_test_server() override { served_.clear(); }

  void step(iothub::time_point now) override {
    while (auto stream = listener_.accept(now)) {
      served_.push_back(std::make_unique<served>(make_(std::move(*stream)), desk, now));
      served_.back()->channel.attach(loop_, *this);
      served_.back()->http.on_output([this] { loop_.wake(*this); });
      ++accepted;
    }
    for (std::size_t i = served_.size(); i-- != 0;) {
      served_[i]->http.on_time(now);
      if (!serve(*served_[i], now)) served_.erase(served_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  [[nodiscard]] iothub::time_point deadline() const override {
    iothub::time_point first = iothub::never;
    for (auto const& s : served_)
      if (s->http.deadline() < first) first = s->http.deadline();
    return first;
  }
  [[nodiscard]] std::string describe() const override { return "the test server waits for requests"; }
  void drop_all() { served_.clear(); }
  [[nodiscard]] std::size_t connections() const { return served_.size(); }

  http_desk desk;
  int accepted = 0;

 private:
  struct served {
    served(Channel c, http_desk& desk, iothub::time_point now) : channel{std::move(c)}, http{desk, now} {}
    Channel channel;
    iothub::http::server_connection http;
  };

  bool serve(served& s, iothub::time_point now) {
    for (bool progress = true; progress;) {
      progress = false;
      while (s.http.wants_input()) {
        auto const got = s.channel.read(s.http.prepare(4096), now);
        if (got.status == iothub::io_status::would_block) break;
        if (got.status == iothub::io_status::done) s.http.commit(got.size, now);
        if (got.status != iothub::io_status::done) return s.http.receive_end(now), false;
        progress = true;
      }
      while (!s.http.output().empty()) {
        auto const put = s.channel.write(s.http.output(), now);
        if (put.status == iothub::io_status::would_block) break;
        if (put.status != iothub::io_status::done) return false;
        s.http.consume_output(put.size, now);
        progress = true;
      }
    }
    if (s.http.finished()) s.channel.close();
    return !s.http.finished();
  }

  iothub::loop& loop_;
  Listener listener_;
  iothub::function<Channel(decltype(*std::declval<Listener&>().accept({}))&&)> make_;
  std::vector<std::unique_ptr<served>> served_;
};

// Drives an HTTP transport until the exchange ends.
template <class Transport>
class http_test_client final : public iothub::participant {
 public:
  http_test_client(iothub::loop& on, Transport& transport) : loop_{on}, transport_{transport} {
    on.add(*this);
    transport.attach(on, *this);
  }
  ~http_test_client() override = default;
  void step(iothub::time_point now) override {
    transport_.step(now);
    while (auto done = transport_.next_completion()) ended.emplace(done->id, std::move(done->outcome));
  }
  [[nodiscard]] iothub::time_point deadline() const override { return transport_.deadline(); }

  iothub::exchange_id start(iothub::endpoint const& where, iothub::http::request what) {
    return transport_.start(where, std::move(what), loop_.now());
  }
  iothub::result<iothub::http::response> wait(iothub::exchange_id id, iothub::duration limit = std::chrono::hours{1}) {
    auto ran = loop_.run_until([&] { return ended.count(id) != 0; }, iothub::add(loop_.now(), limit));
    if (!ran) return std::move(ran).error();
    return ended.at(id);
  }
  iothub::result<iothub::http::response> run(iothub::endpoint const& where, iothub::http::request what) {
    return wait(start(where, std::move(what)));
  }
  std::map<iothub::exchange_id, iothub::result<iothub::http::response>> ended;

 private:
  iothub::loop& loop_;
  Transport& transport_;
};

}  // namespace iothub_test
