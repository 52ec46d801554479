// A device client without its template parameters: for code that should not care what it runs on, and that wants to be
// tested with a mock (testing/gmock.hpp has one).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <iothub/base/function.hpp>
#include <iothub/device/device_driver.hpp>

namespace iothub {
inline namespace v0 {

// What a device's own logic needs of its client. The words mean what they mean in basic_device_client.
class any_device_client {
 public:
  virtual ~any_device_client() = default;
  any_device_client(any_device_client const&) = delete;
  any_device_client& operator=(any_device_client const&) = delete;

  virtual result<void> connect() = 0;
  virtual void close() = 0;
  [[nodiscard]] virtual bool is_connected() const = 0;
  virtual result<void> send_telemetry(message what, std::optional<duration> timeout = {}) = 0;
  virtual void async_send_telemetry(message what, function<void(result<void>)> completion) = 0;
  virtual void on_method(std::string_view name, function<method_response(method_request const&)> handler) = 0;
  // The same with the right to answer later.
  virtual void on_method_call(std::string_view name, function<void(method_request const&, responder)> handler) = 0;
  virtual result<device_twin> get_twin() = 0;
  virtual result<std::int64_t> update_reported_properties(json::value const& patch) = 0;
  virtual void on_desired(function<void(json::value const&, std::int64_t)> handler) = 0;
  virtual void on_message(function<settlement(c2d_message const&)> handler) = 0;
  virtual void on_connection_change(function<void(connection_status, connection_reason)> handler) = 0;
  virtual timer_id after(duration wait, function<void()> call) = 0;
  virtual timer_id every(duration period, function<void()> call) = 0;
  virtual bool cancel_timer(timer_id id) = 0;
  virtual bool run_for(duration time) = 0;
  [[nodiscard]] virtual time_point now() const = 0;
  [[nodiscard]] virtual utc_time utc_now() const = 0;

 protected:
  any_device_client() noexcept = default;
};

// The view of a real client, which must outlive it.
template <class Client>
class device_client_view final : public any_device_client {
 public:
  explicit device_client_view(Client& client) noexcept : client_{client} {}

  result<void> connect() override { return client_.connect(); }
  void close() override { client_.close(); }
  [[nodiscard]] bool is_connected() const override { return client_.is_connected(); }
  result<void> send_telemetry(message what, std::optional<duration> timeout) override {
    return client_.send_telemetry(std::move(what), timeout);
  }
  void async_send_telemetry(message what, function<void(result<void>)> completion) override {
    client_.async_send_telemetry(std::move(what), std::move(completion));
  }
  void on_method(std::string_view name, function<method_response(method_request const&)> handler) override {
    client_.on_method(name, std::move(handler));
  }
  void on_method_call(std::string_view name, function<void(method_request const&, responder)> handler) override {
    client_.on_method(name, std::move(handler));
  }
  result<device_twin> get_twin() override { return client_.get_twin(); }
  result<std::int64_t> update_reported_properties(json::value const& patch) override {
    return client_.update_reported_properties(patch);
  }
  void on_desired(function<void(json::value const&, std::int64_t)> handler) override {
    client_.on_desired(std::move(handler));
  }
  void on_message(function<settlement(c2d_message const&)> handler) override { client_.on_message(std::move(handler)); }
  void on_connection_change(function<void(connection_status, connection_reason)> handler) override {
    client_.on_connection_change(std::move(handler));
  }
  timer_id after(duration wait, function<void()> call) override { return client_.after(wait, std::move(call)); }
  timer_id every(duration period, function<void()> call) override { return client_.every(period, std::move(call)); }
  bool cancel_timer(timer_id id) override { return client_.cancel_timer(id); }
  bool run_for(duration time) override { return client_.run_for(time); }
  [[nodiscard]] time_point now() const override { return client_.now(); }
  [[nodiscard]] utc_time utc_now() const override { return client_.utc_now(); }

 private:
  Client& client_;
};

}  // namespace v0
}  // namespace iothub
