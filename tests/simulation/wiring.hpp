// A device client of whatever kind behind the interface of stage.hpp.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "stage.hpp"

namespace iothub_test {

template <class Client>
class device_of final : public any_device {
 public:
  explicit device_of(Client&& made) : client_{std::move(made)} {}
  void connect(iothub::function<void(iothub::result<void>)> done) override { client_.async_connect(std::move(done)); }
  void close() override { client_.close(); }
  iothub::connection_status status() const override { return client_.status(); }
  std::string why() const override {
    auto const& e = client_.last_connection_error();
    return e ? std::string{e->message()} : std::string{};
  }
  std::int64_t utc_seconds() const override { return iothub::unix_seconds(client_.utc_now()); }
  void send(iothub::message what, std::chrono::seconds limit, iothub::function<void(iothub::result<void>)> done) override {
    client_.async_send_telemetry(std::move(what), limit, std::move(done));
  }
  iothub::result<void> send_and_wait(iothub::message what, std::chrono::seconds limit) override {
    return client_.send_telemetry(std::move(what), limit);
  }
  void report(iothub::json::value const& patch, iothub::function<void(iothub::result<std::int64_t>)> done) override {
    client_.async_update_reported_properties(patch, std::move(done));
  }
  void get_twin(iothub::function<void(iothub::result<iothub::device_twin>)> done) override {
    client_.async_get_twin(std::move(done));
  }
  void after(iothub::duration wait, iothub::function<void()> call) override { client_.after(wait, std::move(call)); }
  void on_connection_change(iothub::function<void(iothub::connection_status, iothub::connection_reason)> h) override {
    client_.on_connection_change(std::move(h));
  }
  void on_method(char const* name, iothub::function<void(iothub::method_request const&, iothub::responder)> h) override {
    client_.on_method(name, std::move(h));
  }
  void on_message(iothub::function<iothub::settlement(iothub::c2d_message const&)> h) override {
    client_.on_message(std::move(h));
  }
  void on_desired(iothub::function<void(iothub::json::value const&, std::int64_t, iothub::desired_scope)> h) override {
    client_.on_desired(std::move(h));
  }

 private:
  Client client_;
};

}  // namespace iothub_test
