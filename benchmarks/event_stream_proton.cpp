// The rival of event_stream_bench: Qpid Proton's C proactor, used as its example programs send.c and receive.c use it, but
// without printing what came.
#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/message.h>
#include <proton/proactor.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/ssl.h>
#include <proton/transport.h>

#include <string>

#include "event_stream_bench.hpp"

namespace event_stream {

namespace {

struct run {
  plan const& p;
  stopwatch& watch;
  bool reads;
  std::string message = {};
  std::string buffer = {};
  long sent = 0;
  long done = 0;
};

void attach(run& r, pn_connection_t* connection) {
  pn_connection_set_container(connection, "bench");
  pn_connection_open(connection);
  pn_session_t* const session = pn_session(connection);
  pn_session_open(session);
  pn_link_t* const link = r.reads ? pn_receiver(session, "bench") : pn_sender(session, "bench");
  pn_terminus_set_address(r.reads ? pn_link_source(link) : pn_link_target(link), "examples");
  pn_link_open(link);
  if (r.reads) pn_link_flow(link, credit_window);
}

void receive(run& r, pn_delivery_t* delivery, pn_message_t* decoder) {
  if (!pn_delivery_readable(delivery)) return;
  pn_link_t* const link = pn_delivery_link(delivery);
  if (r.done == 0 && r.buffer.empty()) r.watch.start();
  std::size_t const before = r.buffer.size();
  r.buffer.resize(before + pn_delivery_pending(delivery));
  if (pn_link_recv(link, r.buffer.data() + before, r.buffer.size() - before) < 0) give_up("pn_link_recv");
  if (pn_delivery_partial(delivery)) return;
  if (pn_message_decode(decoder, r.buffer.data(), r.buffer.size()) != 0) give_up("a message is broken");
  r.buffer.clear();
  pn_delivery_update(delivery, PN_ACCEPTED);
  pn_delivery_settle(delivery);
  if (pn_link_credit(link) < static_cast<int>(credit_window / 2))
    pn_link_flow(link, static_cast<int>(credit_window) - pn_link_credit(link));
  if (++r.done != r.p.count) return;
  r.watch.stop();
  pn_connection_close(pn_session_connection(pn_link_session(link)));
}

void send(run& r, pn_link_t* link) {
  while (r.sent != r.p.count && pn_link_credit(link) > 0) {
    pn_delivery(link, pn_dtag(reinterpret_cast<char const*>(&r.sent), sizeof r.sent));
    pn_link_send(link, r.message.data(), r.message.size());
    pn_link_advance(link);
    ++r.sent;
  }
}

bool handle(run& r, pn_event_t* event, pn_message_t* decoder) {
  switch (pn_event_type(event)) {
    case PN_CONNECTION_INIT: attach(r, pn_event_connection(event)); break;
    case PN_LINK_FLOW:
      if (!r.reads) send(r, pn_event_link(event));
      break;
    case PN_DELIVERY: {
      pn_delivery_t* const delivery = pn_event_delivery(event);
      if (r.reads) {
        receive(r, delivery, decoder);
      } else if (pn_delivery_remote_state(delivery) == PN_ACCEPTED) {
        pn_delivery_settle(delivery);
        if (++r.done == r.p.count) pn_connection_close(pn_event_connection(event));
      }
      break;
    }
    case PN_TRANSPORT_CLOSED: {
      pn_condition_t* const why = pn_transport_condition(pn_event_transport(event));
      if (pn_condition_is_set(why)) give_up(pn_condition_get_description(why));
      break;
    }
    case PN_PROACTOR_INACTIVE: return false;
    default: break;
  }
  return true;
}

void run_proton(run& r) {
  pn_proactor_t* const proactor = pn_proactor();
  char address[PN_MAX_ADDR];
  pn_proactor_addr(address, sizeof address, "127.0.0.1", std::to_string(r.p.port).c_str());
  pn_transport_t* transport = nullptr;
  pn_ssl_domain_t* domain = nullptr;
  if (r.p.tls) {
    transport = pn_transport();
    domain = pn_ssl_domain(PN_SSL_MODE_CLIENT);
    pn_ssl_domain_set_peer_authentication(domain, PN_SSL_ANONYMOUS_PEER, nullptr);
    pn_ssl_init(pn_ssl(transport), domain, nullptr);
    pn_sasl_allowed_mechs(pn_sasl(transport), "ANONYMOUS");
  }
  pn_message_t* const decoder = pn_message();
  pn_proactor_connect2(proactor, nullptr, transport, address);
  for (bool more = true; more;) {
    pn_event_batch_t* const events = pn_proactor_wait(proactor);
    for (pn_event_t* event = pn_event_batch_next(events); more && event != nullptr; event = pn_event_batch_next(events))
      more = handle(r, event, decoder);
    pn_proactor_done(proactor, events);
  }
  pn_message_free(decoder);
  pn_proactor_free(proactor);
  if (domain != nullptr) pn_ssl_domain_free(domain);
  if (r.done != r.p.count) give_up("the connection ended early");
}

}  // namespace

void read_proton(plan const& p, stopwatch& watch) {
  run r{p, watch, true};
  run_proton(r);
}

void fill_proton(plan const& p, stopwatch& watch) {
  run r{p, watch, false, p.annotated ? annotated_event(p.size) : plain_event(p.size)};
  watch.start();
  run_proton(r);
  watch.stop();
}

}  // namespace event_stream
