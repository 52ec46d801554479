// One device's application: it connects and stays connected, answers, reports, and makes its client anew when it has to.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stage.hpp"

namespace iothub_test {

class app final : private iothub::sim::line_observer {
 public:
  app(stage& on, int number);
  app(app const&) = delete;

  void start();
  void close_client();
  void destroy_client();
  void connect();
  void send(std::uint64_t count, iothub::property_list extra = {}, std::int64_t seconds = 0);
  void report();
  void read_twin();
  void do_process_fault(iothub::sim::fault what, std::uint64_t amount);
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] std::string const& id() const noexcept { return id_; }
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool connected() const {
    return client_ != nullptr && client_->status() == iothub::connection_status::connected;
  }
  void look();
  void stop_everything() { restarts_ = false; }
  void calm() { armed_.clear(), flaps_ = 0; }
  void flap(std::uint64_t times) { flaps_ = times; }
  [[nodiscard]] std::string describe() const;

 private:
  using fault = iothub::sim::fault;
  using time_point = iothub::time_point;

  void on_attempt(time_point now) override;
  void on_up(iothub::byte_view packet, time_point now) override;
  void on_down(iothub::byte_view packet, time_point now) override;
  void on_gone(time_point now) override;
  void on_goodbye(time_point now) override;
  void on_fault(fault what, time_point now) override;

  void on_status(iothub::connection_status status, iothub::connection_reason why);
  void on_method(iothub::method_request const& request, iothub::responder answer);
  iothub::settlement on_message(iothub::c2d_message const& m);
  void on_desired(iothub::json::value const& patch, std::int64_t version, iothub::desired_scope scope);
  void end(std::uint64_t op, char const* how);
  // Makes a call into the client, in which memory may run out. False: it threw, so nobody will be told how it ended.
  template <class Call>
  bool begins(Call const& call);
  // Whether a fault of the process was to happen in the next handler.
  bool take(fault what, std::uint64_t* amount = nullptr);
  void maybe_destroy();
  void start_soon(iothub::duration wait);

  stage& stage_;
  oracle& judge_;
  int number_;
  std::string id_;
  std::unique_ptr<any_device> client_;
  std::vector<std::pair<fault, std::uint64_t>> armed_;
  std::set<std::uint64_t> abandoned_;
  std::uint64_t reports_ = 0;
  std::uint64_t flaps_ = 0;
  std::uint64_t incarnation_ = 0;
  bool restarts_ = true;
  bool connecting_ = false;
};

}  // namespace iothub_test
