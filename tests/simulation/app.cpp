#include "app.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>

#include "../support/failing_allocator.hpp"

namespace iothub_test {

using namespace iothub;
using namespace std::chrono_literals;

app::app(stage& on, int number) : stage_{on}, judge_{on.judge}, number_{number}, id_{"d" + std::to_string(number)} {}

void app::start() {
  stage_.clock();
  client_ = stage_.make_device(number_, id_);
  stage_.learn_secret(id_);
  stage_.observe(id_, this);
  judge_.client_made(number_);
  ++incarnation_;
  connecting_ = false;
  client_->on_connection_change([this](connection_status s, connection_reason r) { on_status(s, r); });
  for (char const* name : {"echo", "slow"})
    client_->on_method(name, [this](method_request const& r, responder a) { on_method(r, std::move(a)); });
  client_->on_message([this](c2d_message const& m) { return on_message(m); });
  client_->on_desired([this](json::value const& p, std::int64_t v, desired_scope s) { on_desired(p, v, s); });
  connect();
}

void app::connect() {
  if (client_ == nullptr || connecting_) return;
  stage_.clock();
  if (client_->status() == connection_status::disconnected) judge_.connecting(number_);
  connecting_ = true;
  auto const op = judge_.begin(number_, "connect", 70s / 1us);
  client_->connect([this, op](result<void> r) {
    connecting_ = false;
    if (!r) judge_.scan(r.error().message());
    end(op, r ? "connect ok" : "connect failed");
  });
}

void app::end(std::uint64_t op, char const* how) {
  stage_.clock();
  judge_.end(number_, op, how);
}

void app::close_client() {
  if (client_ == nullptr) return;
  stage_.clock();
  client_->close();
  stage_.clock();
  if (client_ != nullptr) judge_.client_gone(number_, true);
}

void app::destroy_client() {
  if (client_ == nullptr) return;
  stage_.clock();
  judge_.client_gone(number_, false);
  auto const gone = std::move(client_);  // client_ is empty while the destructor runs
}

void app::start_soon(duration wait) {
  stage_.later(wait, [this] {
    if (client_ == nullptr && restarts_) start();
  });
}

void app::maybe_destroy() {
  if (!take(fault::destroyed_in_handler)) return;
  destroy_client();
  start_soon(1s);
}

void app::on_status(connection_status status, connection_reason why) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.connection(number_, to_string(status), to_string(why));
  if (status == connection_status::connected && flaps_ != 0) {
    --flaps_;
    stage_.later(2s, [this] { stage_.drop(id_); });
  }
  if (status == connection_status::disconnected && restarts_)
    stage_.later(30s, [this, n = incarnation_] {
      if (restarts_ && n == incarnation_ && client_ != nullptr && client_->status() == connection_status::disconnected)
        connect();
    });
  maybe_destroy();
}

template <class Call>
bool app::begins(Call const& call) {
  auto const armed = std::find_if(armed_.begin(), armed_.end(),
      [](auto const& a) { return a.first == fault::allocation_failure; });
  if (armed == armed_.end()) return call(), true;
  fail_allocation(1 + armed->second % 5);  // few calls need more
  bool thrown = false;
  try {
    call();
  } catch (std::bad_alloc const&) {
    thrown = true;
  }
  if (memory_is_back()) (void)take(fault::allocation_failure);  // else it made do with less, and the next call may not
  return !thrown;
}

void app::send(std::uint64_t count, property_list extra, std::int64_t seconds) {
  if (seconds == 0 || seconds > stage_.script_of().publish_timeout) seconds = stage_.script_of().publish_timeout;
  for (; count != 0 && client_ != nullptr; --count) {
    stage_.clock();
    message m;
    auto const n = judge_.sent(number_, m, extra);
    auto const op = judge_.begin(number_, "telemetry", seconds * second);
    bool const begun = begins([&] {
      client_->send(std::move(m), std::chrono::seconds{seconds}, [this, n, op](result<void> r) {
        end(op, r ? "telemetry ok" : "telemetry failed");
        judge_.send_ended(number_, n, r.has_value(), r ? std::string_view{} : r.error().message());
        if (r.has_value()) maybe_destroy();
      });
    });
    if (begun) continue;
    end(op, "telemetry threw");
    judge_.send_threw(number_, n);
  }
}

void app::report() {
  if (client_ == nullptr) return;
  stage_.clock();
  auto const n = reports_++;
  auto const op = judge_.begin(number_, "report", stage_.script_of().twin_timeout * second);
  json::value const patch = report_of(n).patch;
  judge_.report_begun(number_, n);
  bool const begun = begins([&] {
    client_->report(patch, [this, n, op](result<std::int64_t> v) {
      end(op, v ? "report ok" : "report failed");
      if (!v) judge_.scan(v.error().message());
      judge_.report_ended(number_, n, v.has_value(), v ? *v : 0);
    });
  });
  if (begun) return;
  end(op, "report threw");
  judge_.report_ended(number_, n, false, 0);
}

void app::read_twin() {
  if (client_ == nullptr) return;
  stage_.clock();
  auto const op = judge_.begin(number_, "read twin", stage_.script_of().twin_timeout * second);
  bool const begun = begins([&] {
    client_->get_twin([this, op](result<device_twin> t) {
      end(op, t ? "twin ok" : "twin failed");
      if (t) judge_.twin_read(number_, t->desired.dump() + t->reported.dump());
    });
  });
  if (!begun) end(op, "twin threw");
}

void app::on_method(method_request const& request, responder answer) {
  stage_.clock();
  auto const call = request.payload.as_int();
  judge_.method_ran(number_, call ? static_cast<std::uint64_t>(*call) : ~std::uint64_t{0});
  std::uint64_t amount = 0;
  if (take(fault::handler_throws)) {
    judge_.method_threw(call ? static_cast<std::uint64_t>(*call) : ~std::uint64_t{0});
    throw std::runtime_error{"the application is broken"};
  }
  if (take(fault::handler_reenters)) {
    message m;
    auto const n = judge_.sent(number_, m);
    judge_.busy(number_, true);
    auto const sent = client_->send_and_wait(std::move(m), 5s);
    stage_.clock();
    judge_.busy(number_, false);
    judge_.send_ended(number_, n, sent.has_value(), sent ? std::string_view{} : sent.error().message());
  }
  bool const slow = take(fault::handler_slow, &amount);
  if (client_ != nullptr && (slow || request.name == "slow")) {
    if (!slow && call) amount = static_cast<std::uint64_t>(*call) * 7;  // sooner or later, so that links break meanwhile
    client_->after(std::chrono::seconds{1 + amount % 60},
                   [answer = std::move(answer), payload = request.payload]() mutable { answer({.payload = payload}); });
  } else {
    answer({.payload = request.payload});
  }
  maybe_destroy();
}

settlement app::on_message(c2d_message const& m) {
  stage_.clock();
  auto const n = judge_.message_seen(number_, m.content);
  if (take(fault::handler_throws)) throw std::runtime_error{"the application is broken"};
  bool const once = m.content.body.bytes().find(" once more") == std::string_view::npos || m.delivery_count != 0 ||
      !abandoned_.insert(n).second;
  if (take(fault::destroyed_in_handler)) {
    destroy_client();
    start_soon(1s);
    return settlement::accept;
  }
  if (!once) return settlement::abandon;
  judge_.message_accepted(number_, n);
  return settlement::accept;
}

void app::on_desired(json::value const& patch, std::int64_t version, desired_scope scope) {
  stage_.clock();
  judge_.desired_seen(number_, patch, version, scope == desired_scope::whole, stage_.desired_version(id_).value_or(version));
  maybe_destroy();
}

bool app::take(fault what, std::uint64_t* amount) {
  for (std::size_t i = 0; i != armed_.size(); ++i) {
    if (armed_[i].first != what) continue;
    if (amount != nullptr) *amount = armed_[i].second;
    armed_.erase(armed_.begin() + static_cast<std::ptrdiff_t>(i));
    stage_.count(what);
    judge_.fault(number_, to_string(what));
    return true;
  }
  return false;
}

void app::do_process_fault(fault what, std::uint64_t amount) {
  if (what != fault::client_closed && what != fault::client_destroyed) return armed_.push_back({what, amount});
  if (client_ == nullptr) return;
  stage_.count(what);
  judge_.fault(number_, to_string(what));
  if (what == fault::client_closed) return close_client();  // the notice of it brings it back
  destroy_client();
  start_soon(std::chrono::seconds{1 + amount % 30});
}

void app::look() {
  stage_.clock();
  judge_.look(number_);
}
bool app::settled() const {
  return connected() && judge_.idle(number_) && judge_.status(number_) == "connected";
}
std::string app::describe() const {
  if (client_ == nullptr) return "no client";
  std::string const why = client_->why();
  return "status " + std::string{to_string(client_->status())} + (why.empty() ? "" : " (" + why + ")") +
         ", pending:" + judge_.pending_of(number_);
}

// What looks on is not the client: it may be called in the middle of a call that has no memory.
void app::on_attempt(time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.attempt(number_, client_ != nullptr ? client_->utc_seconds() : 0);
}
void app::on_up(byte_view packet, time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.up(number_, packet, client_ != nullptr ? client_->utc_seconds() : 0);
}
void app::on_down(byte_view packet, time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.down(number_, packet);
}
void app::on_gone(time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.gone(number_);
}
void app::on_goodbye(time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.goodbye(number_);
}
void app::on_fault(fault what, time_point) {
  test_owns_memory const ours;
  stage_.clock();
  judge_.fault(number_, to_string(what));
}

}  // namespace iothub_test
