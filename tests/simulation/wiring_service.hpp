// A service client of whatever kind behind the interface of stage.hpp.
#pragma once

#include <string>
#include <utility>

#include <iothub/service_client.hpp>

#include "stage.hpp"

namespace iothub_test {

template <class Client>
class service_of final : public any_service {
 public:
  explicit service_of(Client&& made) : client_{std::move(made)} {}
  void invoke(std::string const& id, iothub::method_request what, iothub::method_options const& how,
              iothub::function<void(iothub::result<iothub::method_response>)> done) override {
    client_.async_invoke_method(id, std::move(what), how, std::move(done));
  }
  void update_twin(std::string const& id, iothub::json::value const& patch,
                   iothub::function<void(iothub::result<void>)> done) override {
    client_.async_update_twin(id, patch, iothub::any_etag, without_value(std::move(done)));
  }
  void get_twin(std::string const& id, iothub::function<void(iothub::result<void>)> done) override {
    client_.async_get_twin(id, without_value(std::move(done)));
  }
  void close() override { client_.close(); }

 private:
  static auto without_value(iothub::function<void(iothub::result<void>)> done) {
    return [done = std::move(done)](iothub::result<iothub::twin> r) mutable {
      done(r ? iothub::result<void>{} : iothub::result<void>{std::move(r).error()});
    };
  }
  Client client_;
};

}  // namespace iothub_test
