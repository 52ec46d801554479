// libmosquitto with its own loop in the caller's thread, which is its fastest form.
#include <mosquitto.h>

#include "publish_bench.hpp"

namespace publish_bench {
namespace {

struct session {
  progress* work;
  bool connected = false;
};

void check(int outcome) {
  if (outcome != MOSQ_ERR_SUCCESS) give_up("mosquitto", mosquitto_strerror(outcome));
}
void on_connect(mosquitto*, void* user, int code) {
  if (code != 0) give_up("mosquitto", mosquitto_connack_string(code));
  static_cast<session*>(user)->connected = true;
}
void on_publish(mosquitto*, void* user, int) { static_cast<session*>(user)->work->confirmed(); }

}  // namespace

void run_mosquitto(plan const& p, stopwatch& watch) {
  progress work{p, watch};
  session s{&work};
  mosquitto_lib_init();
  mosquitto* const client = mosquitto_new(p.client_id.c_str(), true, &s);
  mosquitto_connect_callback_set(client, on_connect);
  mosquitto_publish_callback_set(client, on_publish);
  check(mosquitto_username_pw_set(client, p.user_name.c_str(), p.password.c_str()));
  check(mosquitto_tls_set(client, p.ca_file.c_str(), nullptr, nullptr, nullptr, nullptr));
  check(mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1));
  check(mosquitto_max_inflight_messages_set(client, static_cast<unsigned>(p.window)));
  check(mosquitto_connect(client, p.host.c_str(), p.port, 240));
  while (!s.connected) check(mosquitto_loop(client, 1000, 1));
  while (!work.done()) {
    while (work.may_send()) {
      work.sent();
      check(mosquitto_publish(client, nullptr, p.topic.c_str(), static_cast<int>(p.payload.size()), p.payload.data(), 1,
                              false));
    }
    check(mosquitto_loop(client, 1000, 1));
  }
  mosquitto_disconnect(client);
  mosquitto_destroy(client);
  mosquitto_lib_cleanup();
}

}  // namespace publish_bench
