// paho's asynchronous C client, MQTTAsync, which runs threads of its own.
#include <MQTTAsync.h>

#include <condition_variable>
#include <mutex>

#include "publish_bench.hpp"

namespace publish_bench {
namespace {

struct session {
  std::mutex mutex;
  std::condition_variable changed;
  progress* work = nullptr;
  bool connected = false;
};

void on_connect(void* context, MQTTAsync_successData*) {
  auto& s = *static_cast<session*>(context);
  std::lock_guard const lock{s.mutex};
  s.connected = true;
  s.changed.notify_one();
}
void on_failure(void*, MQTTAsync_failureData* why) {
  give_up("paho", why != nullptr && why->message != nullptr ? why->message : "it failed");
}
void on_confirmed(void* context, MQTTAsync_successData*) {
  auto& s = *static_cast<session*>(context);
  std::lock_guard const lock{s.mutex};
  s.work->confirmed();
  s.changed.notify_one();
}
void check(int outcome) {
  if (outcome != MQTTASYNC_SUCCESS) give_up("paho", "error " + std::to_string(outcome));
}

}  // namespace

void run_paho(plan const& p, stopwatch& watch) {
  progress work{p, watch};
  session s;
  s.work = &work;
  MQTTAsync_init_options start = MQTTAsync_init_options_initializer;
  start.do_openssl_init = 1;
  MQTTAsync_global_init(&start);
  MQTTAsync client = nullptr;
  std::string const where = "ssl://" + p.host + ":" + std::to_string(p.port);
  check(MQTTAsync_create(&client, where.c_str(), p.client_id.c_str(), MQTTCLIENT_PERSISTENCE_NONE, nullptr));
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.trustStore = p.ca_file.c_str();
  tls.verify = 1;
  MQTTAsync_connectOptions how = MQTTAsync_connectOptions_initializer;
  how.MQTTVersion = MQTTVERSION_3_1_1;
  how.keepAliveInterval = 240;
  how.cleansession = 1;
  how.maxInflight = p.window;
  how.username = p.user_name.c_str();
  how.password = p.password.c_str();
  how.ssl = &tls;
  how.onSuccess = on_connect;
  how.onFailure = on_failure;
  how.context = &s;
  check(MQTTAsync_connect(client, &how));
  std::unique_lock lock{s.mutex};
  s.changed.wait(lock, [&] { return s.connected; });
  while (!work.done()) {
    s.changed.wait(lock, [&] { return work.may_send() || work.done(); });
    while (work.may_send()) {
      work.sent();
      lock.unlock();  // its callbacks come from another thread
      MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
      response.onSuccess = on_confirmed;
      response.onFailure = on_failure;
      response.context = &s;
      check(MQTTAsync_send(client, p.topic.c_str(), static_cast<int>(p.payload.size()), p.payload.data(), 1, 0,
                           &response));
      lock.lock();
    }
  }
  lock.unlock();
  MQTTAsync_disconnectOptions bye = MQTTAsync_disconnectOptions_initializer;
  MQTTAsync_disconnect(client, &bye);
  MQTTAsync_destroy(&client);
}

}  // namespace publish_bench
