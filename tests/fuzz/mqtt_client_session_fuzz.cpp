// Any bytes as what a server sends to a client session, which meanwhile publishes, subscribes and is reconnected. It
// must not crash; everything it sends must decode; it must send nothing after its end; `published` comes once per
// publish.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include <iothub/mqtt/client_session.hpp>
#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/decoder.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

struct checking_sink final : mqtt::packet_sink {
  void send(mqtt::packet const& what) override {
    require(linked);
    byte_buffer out;
    encode(what, out);
    mqtt::packet again;
    mqtt::filter_scratch scratch;
    mqtt::decoded const found = decode(out.view(), 1u << 20, again, scratch);
    require(found.status == mqtt::decode_status::complete && found.size == out.size() && again.type == what.type);
  }
  void end() override {
    require(linked);
    linked = false;
  }
  bool linked = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  checking_sink sink;
  mqtt::client_session session{sink, {.max_inflight = 8}};
  mqtt::decoder in{1u << 16};
  std::set<std::uint16_t> waiting;
  time_point now{std::chrono::seconds{1}};
  mqtt::connect how;
  how.client_id = "dev";
  how.keep_alive = 60;

  // The first byte of each round says what the client does, the second how many bytes of the server follow.
  while (size >= 2) {
    unsigned const verb = data[0];
    std::size_t const piece = data[1] < size - 2 ? data[1] : size - 2;
    now += std::chrono::seconds{verb >> 4};
    if (session.state() == mqtt::client_session::state_type::closed) {
      in.reset();
      sink.linked = true;
      how.clean_session = verb & 1;
      require(session.open(how, now).has_value());
    }
    mqtt::subscription const filter{"a/#", 1};
    std::string_view const name = "a/#";
    switch (verb & 7) {
      case 0:
      case 1:
        if (auto const id = session.publish({.topic = "t", .payload = "p", .qos = 1}, now))
          require(*id != 0 && waiting.insert(*id).second);
        break;
      case 2: (void)session.subscribe({&filter, 1}, now); break;
      case 3: (void)session.unsubscribe({&name, 1}, now); break;
      case 4:
        if (!waiting.empty()) {
          session.abandon(*waiting.begin());
          waiting.erase(waiting.begin());
        }
        break;
      case 5: session.acknowledge(static_cast<std::uint16_t>(verb >> 3), now); break;
      case 6:
        if (verb == 6) {
          session.close(mqtt::close_mode::graceful);
          sink.linked = false;
        }
        break;
      default: (void)session.on_time(now);
    }
    in.append({reinterpret_cast<char const*>(data) + 2, piece});
    data += 2 + piece;
    size -= 2 + piece;
    mqtt::packet what;
    while (session.state() != mqtt::client_session::state_type::closed) {
      mqtt::decode_status const found = in.next(what);
      if (found == mqtt::decode_status::need_more) break;
      mqtt::client_event const* const e =
          found == mqtt::decode_status::complete ? session.receive(what, now) : session.broken(in.rule());
      if (!e) continue;
      if (e->kind == mqtt::client_event_kind::published) require(waiting.erase(e->id) == 1);
      if (e->kind == mqtt::client_event_kind::message && e->publish.qos == 1) session.acknowledge(e->id, now);
      if (e->kind == mqtt::client_event_kind::closed || e->kind == mqtt::client_event_kind::refused)
        require(session.state() == mqtt::client_session::state_type::closed);
    }
    require(session.inflight() == waiting.size());
  }
  return 0;
}
