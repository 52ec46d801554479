// Devices, readers and messengers over AMQP.
#include <optional>
#include <utility>

#include <iothub/simulation_amqp.hpp>

#include "wiring.hpp"

namespace iothub_test {
namespace {

using namespace iothub;

class reader final : public any_reader {
 public:
  reader(sim::station const& at, reader_plan plan)
      : client_{sim::make_event_reader(at, {.start = event_position::earliest(),
                                            .prefetch = plan.prefetch,
                                            .checkpoints = plan.store,
                                            .share_partitions = plan.share,
                                            .reader_name = plan.name})} {
    client_.on_notice([failed = std::move(plan.failed)](reader_notice const& n) mutable {
      if (n.what == reader_notice::kind::failed || n.what == reader_notice::kind::partition_ended) failed(n.why);
    });
    client_.on_event(std::move(plan.on_event));
  }
  void close() override { client_.close(); }

 private:
  sim::event_reader client_;
};

class messenger final : public any_messenger {
 public:
  messenger(sim::station const& at, function<void(delivery_feedback const&)> on_feedback)
      : client_{sim::make_messenger(at)} {
    client_.on_feedback([on_feedback = std::move(on_feedback)](feedback_batch const& batch) mutable {
      for (auto const& each : batch.records) on_feedback(each);
    });
  }
  void send(std::string const& id, message what, bool wants_feedback, function<void(result<void>)> done) override {
    client_.async_send_c2d(id, std::move(what), {.ack = wants_feedback ? feedback_request::full : feedback_request::none},
                           [done = std::move(done)](result<std::string> r) mutable {
                             done(r ? result<void>{} : result<void>{std::move(r).error()});
                           });
  }
  void close() override { client_.close(); }

 private:
  sim::service_messenger client_;
};

}  // namespace

std::unique_ptr<any_device> make_amqp_device(sim::station const& at, device_options const& options) {
  return std::make_unique<device_of<sim::amqp_device_client>>(sim::make_amqp_device(at, options));
}
std::unique_ptr<any_reader> make_reader(sim::station const& at, reader_plan plan) {
  return std::make_unique<reader>(at, std::move(plan));
}
std::unique_ptr<any_messenger> make_messenger(sim::station const& at, function<void(delivery_feedback const&)> on_feedback) {
  return std::make_unique<messenger>(at, std::move(on_feedback));
}

}  // namespace iothub_test
