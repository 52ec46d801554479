// What back ends do in a run: they call methods, change twins and send messages, over HTTP or a messenger's AMQP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stage.hpp"

namespace iothub_test {

class back_end {
 public:
  back_end(stage& on, std::unique_ptr<any_service> service) : stage_{on}, judge_{on.judge}, service_{std::move(service)} {}
  void start();  // the messenger, if the script has one
  void invoke(int d, std::uint64_t kind, std::int64_t lasting);
  // A patch for the desired properties: which depends on `kind`.
  [[nodiscard]] iothub::json::value desired_patch(std::uint64_t kind);
  void update_desired(int d, iothub::json::value const& patch);
  // By the messenger, where there is one; false: somebody else has to.
  bool message(int d, iothub::message const& what, std::uint64_t n, std::uint64_t kind);
  void look(int d);
  // A method that has to run, once the device is there.
  void probe(int d, int tries = 3);
  [[nodiscard]] bool idle() const noexcept { return pending_ == 0; }
  [[nodiscard]] std::size_t answered() const noexcept { return answered_; }
  void forget_answered() noexcept { answered_ = 0; }
  void close();

 private:
  stage& stage_;
  oracle& judge_;
  std::unique_ptr<any_service> service_;
  std::unique_ptr<any_messenger> messenger_;
  std::size_t pending_ = 0, answered_ = 0;
  std::uint64_t changes_ = 0;
};

}  // namespace iothub_test
