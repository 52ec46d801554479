// Any bytes as what a client sends to a served connection. It must not crash; its answers must decode; the handler must
// be called in a legal order: CONNECT first, nothing after the end, one end. Cut into pieces or not, all is the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/mqtt/codec.hpp>
#include <iothub/mqtt/server_connection.hpp>

namespace {

using namespace iothub;

void require(bool condition) {
  if (!condition) std::abort();
}

struct checking_owner final : mqtt::server_handler {
  void on_connect(mqtt::connect const& how, time_point now) override {
    require(!connected && !closed);
    connected = true;
    log += "C" + std::string{how.client_id};
    if (how.keep_alive % 7 == 3)
      session->refuse(mqtt::connect_code::not_authorized);
    else
      session->accept(how.keep_alive % 2 == 0, now);
  }
  void on_publish(mqtt::publish const& m, time_point) override {
    require(connected && !closed && m.qos <= 1);
    log += "P" + std::string{m.topic};
    if (m.qos == 1 && m.payload.size() % 3 != 0) session->acknowledge(m.id);
    if (m.qos == 1 && m.payload.size() % 3 == 0 && m.id % 2 == 0) session->withhold(m.id);
    if (auto const id = session->publish({.topic = "answer", .payload = m.payload, .qos = 1})) require(*id != 0);
  }
  void on_puback(std::uint16_t id, time_point) override {
    require(connected && !closed);
    log += "A" + std::to_string(id);
  }
  void on_subscribe(mqtt::subscribe const& request, time_point) override {
    require(connected && !closed && !request.filters.empty());
    std::vector<std::uint8_t> codes;
    for (mqtt::subscription const& each : request.filters) codes.push_back(each.qos);
    session->suback(request.id, codes);
  }
  void on_unsubscribe(mqtt::unsubscribe const& request, time_point) override {
    require(connected && !closed && !request.filters.empty());
    session->unsuback(request.id);
  }
  void on_closed(error const&, bool clean, time_point) override {
    require(!closed && (connected || !clean));
    closed = true;
    log += clean ? "D" : "X";
  }
  mqtt::server_session* session = nullptr;
  bool connected = false;
  bool closed = false;
  std::string log;
};

std::string run(std::string_view bytes, std::size_t piece) {
  time_point const now{std::chrono::seconds{1}};
  checking_owner owner;
  mqtt::server_options options;
  options.max_packet_size = 1u << 16;
  mqtt::server_connection link{owner, options, now};
  owner.session = &link.session();
  while (!bytes.empty() && link.session().reading()) {
    link.receive(bytes.substr(0, piece), now);
    bytes.remove_prefix(bytes.size() < piece ? bytes.size() : piece);
  }
  std::string const answers{link.output()};
  std::string_view left = answers;
  mqtt::packet what;
  mqtt::filter_scratch scratch;
  while (!left.empty()) {
    mqtt::decoded const found = decode(left, 1u << 20, what, scratch);
    require(found.status == mqtt::decode_status::complete);
    left.remove_prefix(found.size);
  }
  require(!owner.closed || link.finished());
  return owner.log + '|' + answers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view const bytes{reinterpret_cast<char const*>(data) + 1, size - 1};
  require(run(bytes, size) == run(bytes, data[0] == 0 ? 1 : data[0]));
  return 0;
}
