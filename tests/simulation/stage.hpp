// What the parts of a simulated run share: the script, the judge, time, and clients without their template parameters.
//
// Each wiring is a file of its own (wiring_*.cpp), since clients are what costs when compiling; the rest of the program
// knows them by the interfaces here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <iothub/base/function.hpp>
#include <iothub/device/device_driver.hpp>
#include <iothub/service/checkpoint_store.hpp>
#include <iothub/simulation/fault.hpp>
#include <iothub/simulation/line.hpp>
#include <iothub/simulation/station.hpp>
#include <iothub/wire/c2d_feedback.hpp>
#include <iothub/wire/hub_event.hpp>

#include "oracle.hpp"
#include "script.hpp"

namespace iothub_test {

// A device client, as an application uses it.
class any_device {
 public:
  virtual ~any_device() = default;
  virtual void connect(iothub::function<void(iothub::result<void>)> done) = 0;
  virtual void close() = 0;
  [[nodiscard]] virtual iothub::connection_status status() const = 0;
  [[nodiscard]] virtual std::string why() const = 0;  // the last failure of the connection
  [[nodiscard]] virtual std::int64_t utc_seconds() const = 0;
  virtual void send(iothub::message what, std::chrono::seconds limit, iothub::function<void(iothub::result<void>)> done) = 0;
  virtual iothub::result<void> send_and_wait(iothub::message what, std::chrono::seconds limit) = 0;
  virtual void report(iothub::json::value const& patch, iothub::function<void(iothub::result<std::int64_t>)> done) = 0;
  virtual void get_twin(iothub::function<void(iothub::result<iothub::device_twin>)> done) = 0;
  virtual void after(iothub::duration wait, iothub::function<void()> call) = 0;
  virtual void on_connection_change(iothub::function<void(iothub::connection_status, iothub::connection_reason)> h) = 0;
  virtual void on_method(char const* name, iothub::function<void(iothub::method_request const&, iothub::responder)> h) = 0;
  virtual void on_message(iothub::function<iothub::settlement(iothub::c2d_message const&)> h) = 0;
  virtual void on_desired(
      iothub::function<void(iothub::json::value const&, std::int64_t, iothub::desired_scope)> h) = 0;
};

// A back end's client.
class any_service {
 public:
  virtual ~any_service() = default;
  virtual void invoke(std::string const& id, iothub::method_request what, iothub::method_options const& how,
                      iothub::function<void(iothub::result<iothub::method_response>)> done) = 0;
  virtual void update_twin(std::string const& id, iothub::json::value const& patch,
                           iothub::function<void(iothub::result<void>)> done) = 0;
  virtual void get_twin(std::string const& id, iothub::function<void(iothub::result<void>)> done) = 0;
  virtual void close() = 0;
};

// An event reader with a handler; `failed` is told when it is over, or a partition is.
class any_reader {
 public:
  virtual ~any_reader() = default;
  virtual void close() = 0;
};
struct reader_plan {
  iothub::checkpoint_store* store = nullptr;
  bool share = false;
  std::string name = {};
  std::uint32_t prefetch = 300;
  iothub::function<void(iothub::hub_event const&)> on_event = {};
  iothub::function<void(iothub::error const& why)> failed = {};
};

class any_messenger {
 public:
  virtual ~any_messenger() = default;
  virtual void send(std::string const& id, iothub::message what, bool wants_feedback,
                    iothub::function<void(iothub::result<void>)> done) = 0;
  virtual void close() = 0;
};

std::unique_ptr<any_device> make_amqp_device(iothub::sim::station const& at, iothub::device_options const& options);
std::unique_ptr<any_reader> make_reader(iothub::sim::station const& at, reader_plan plan);
std::unique_ptr<any_messenger> make_messenger(iothub::sim::station const& at,
                                              iothub::function<void(iothub::delivery_feedback const&)> on_feedback);

class stage {
 public:
  stage(script const& s, std::size_t keep) : script_{s}, judge{s, keep} {}
  stage(stage const&) = delete;

  virtual void clock() = 0;  // tells the judge what time it is
  virtual void later(iothub::duration wait, iothub::function<void()> what) = 0;
  virtual void count(iothub::sim::fault f) = 0;
  virtual void observe(std::string_view id, iothub::sim::line_observer* whom) = 0;
  virtual void learn_secret(std::string_view id) = 0;
  virtual void drop(std::string_view id) = 0;  // the hub ends its connection
  [[nodiscard]] virtual std::optional<std::int64_t> desired_version(std::string const& id) = 0;
  virtual std::unique_ptr<any_device> make_device(int number, std::string const& id) = 0;
  virtual iothub::sim::station back_end(std::string const& name) = 0;
  [[nodiscard]] script const& script_of() const noexcept { return script_; }

 protected:
  ~stage() = default;
  script const script_;

 public:
  oracle judge;
};

}  // namespace iothub_test
