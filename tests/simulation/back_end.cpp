#include "back_end.hpp"

#include <chrono>
#include <cstdlib>

namespace iothub_test {

using namespace iothub;
using namespace std::chrono_literals;

void back_end::start() {
  if (stage_.script_of().messenger == 0) return;
  messenger_ = make_messenger(stage_.back_end("messenger"), [this](delivery_feedback const& f) {
    stage_.clock();
    // "m3.17": message 17 of device 3.
    auto const stop = f.original_message_id.find('.');
    if (f.original_message_id.empty() || f.original_message_id[0] != 'm' || stop == std::string::npos)
      return judge_.fail("I2", -1, "feedback of a message that nobody sent: " + f.original_message_id);
    int const d = std::atoi(f.original_message_id.c_str() + 1);
    if (f.device_id != "d" + std::to_string(d)) return judge_.fail("I2", d, "feedback names " + f.device_id);
    judge_.feedback(d, std::strtoull(f.original_message_id.c_str() + stop + 1, nullptr, 10),
        f.status == delivery_status::success);
  });
}

void back_end::invoke(int d, std::uint64_t kind, std::int64_t lasting) {
  method_options const how{.response_timeout = std::chrono::seconds{5 + kind % 50},
                           .connect_timeout = std::chrono::seconds{kind % 8 == 7 ? lasting / 1000 % 300 : 0}};
  auto const call = judge_.invoked(d, (how.response_timeout + how.connect_timeout + 16s) / 1us, kind % 8 != 5);
  char const* const name = kind % 8 == 5 ? "unknown" : kind % 8 == 6 ? "slow" : "echo";
  ++pending_;
  service_->invoke("d" + std::to_string(d), {.name = name, .payload = static_cast<std::int64_t>(call)}, how,
                   [this, call](result<method_response> r) {
                     stage_.clock();
                     --pending_;
                     judge_.call_ended(call, r);
                   });
}

json::value back_end::desired_patch(std::uint64_t kind) {
  json::value patch = json::value::make_object();
  patch.set("p" + std::to_string(kind % 5), kind % 7 == 0 ? json::value{} : json::value{static_cast<std::int64_t>(++changes_)});
  if (kind % 11 == 0)
    patch.set("deep", json::value{{"x", static_cast<std::int64_t>(changes_)}, {"y" + std::to_string(kind % 3), true}});
  return patch;
}
void back_end::update_desired(int d, json::value const& patch) {
  ++pending_;
  judge_.desired_asked(d);
  service_->update_twin("d" + std::to_string(d), {{"properties", {{"desired", patch}}}}, [this, d](result<void> r) {
    stage_.clock();
    --pending_;
    if (r) judge_.desired_done(d);
    if (!r) judge_.scan(r.error().message());
  });
}
void back_end::look(int d) {
  ++pending_;
  service_->get_twin("d" + std::to_string(d), [this](result<void> r) {
    stage_.clock();
    --pending_;
    if (!r) judge_.scan(r.error().message());
  });
}

bool back_end::message(int d, iothub::message const& what, std::uint64_t n, std::uint64_t kind) {
  if (messenger_ == nullptr || kind % 3 == 0) return false;
  bool const wants_feedback = kind % 2 == 0;
  judge_.message_by_messenger(d, n, wants_feedback);
  ++pending_;
  messenger_->send("d" + std::to_string(d), what, wants_feedback, [this, d, n](result<void> r) {
    stage_.clock();
    --pending_;
    judge_.message_taken(d, n, r.has_value(), r ? std::string_view{} : r.error().message());
  });
  return true;
}

// A call may meet a planned reconnect: such a one is made again.
void back_end::probe(int d, int tries) {
  auto const call = judge_.invoked(d, 46s / 1us, true);
  ++pending_;
  service_->invoke("d" + std::to_string(d), {.name = "echo", .payload = static_cast<std::int64_t>(call)},
      {.response_timeout = 30s},
                   [this, d, tries, call](result<method_response> r) {
    --pending_;
    stage_.clock();
    judge_.call_ended(call, r);
    if (r && r->status == 200) return void(++answered_);
    if (tries == 0 || r || r.error() != errc::device_offline)
      return judge_.fail("I13", d, "a method does not get through: " +
          (r ? std::to_string(r->status) : std::string{r.error().message()}));
    stage_.later(10s, [this, d, tries] { probe(d, tries - 1); });
  });
}

void back_end::close() {
  service_->close();
  if (messenger_ == nullptr) return;
  messenger_->close();
  stage_.later(20s, [this] { messenger_.reset(); });
}

}  // namespace iothub_test
