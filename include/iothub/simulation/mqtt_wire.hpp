// What stands between an MQTT client and its stream: sees every packet whole, and changes, drops, doubles, delays or
// adds some, as the line's faults say.
//
// Theory of operation. Bytes of the client are cut into packets, shown to the observer and passed on; bytes of the hub
// the same in the other direction. Only framing is done here (a type, a length), by code that has nothing in common
// with the library's codec. What is legal stays legal: PUBACKs keep their order, acknowledgements are lost only
// together with their connection, and what may overtake what is what a slow server might do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/simulation/hostile_packets.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// How long the first packet in the bytes is; 0: not all of it is there. More than there is: it never will be one.
[[nodiscard]] inline std::size_t packet_size(byte_view bytes) noexcept {
  std::size_t length = 0;
  for (std::size_t i = 1; i != 5; ++i) {
    if (i >= bytes.size()) return 0;
    auto const b = static_cast<unsigned char>(bytes[i]);
    length |= static_cast<std::size_t>(b & 127) << (7 * (i - 1));
    if ((b & 128) == 0) return bytes.size() >= i + 1 + length ? i + 1 + length : 0;
  }
  return bytes.size() + 1;
}

// Next is a byte_stream with a member on() that gives its line.
template <class Next>
class mqtt_wire {
 public:
  template <class... Arguments>
  explicit mqtt_wire(line& on, Arguments&&... arguments) : line_{&on}, next_{std::forward<Arguments>(arguments)...} {}

  result<void> open(endpoint const& where, time_point now) {
    reset();
    return next_.open(where, now);
  }
  io_result write(byte_view from, time_point now) {
    if (to_hub_.size() > most_held) {
      if (!flush(now)) return {io_status::failed, 0};
      if (to_hub_.size() > most_held) return {};
    }
    from_client_.append(from);
    for (;;) {
      std::size_t const size = packet_size(from_client_.view());
      if (size == 0) break;
      byte_view const packet = from_client_.view().substr(0, size);  // all of it where it frames as none
      up(packet, now);
      from_client_.consume(packet.size());
    }
    if (!flush(now)) return {io_status::failed, 0};
    return {io_status::done, from.size()};
  }
  io_result read(byte_span into, time_point now) {
    flush(now);  // a failure comes back from reading as well
    if (to_client_.empty()) pull(now);
    if (to_client_.empty() || now < joined_until_) {
      if (now < joined_until_) return {};
      return ended_;
    }
    std::size_t size = into.size() < to_client_.size() ? into.size() : to_client_.size();
    if (one_by_one_ != 0 && size != 0) size = 1, --one_by_one_;
    for (std::size_t i = 0; i != size; ++i) into[i] = to_client_.view()[i];
    to_client_.consume(size);
    return {io_status::done, size};
  }
  void close() {
    next_.close();
    reset();
  }
  [[nodiscard]] error last_error() const { return next_.last_error(); }
  [[nodiscard]] time_point deadline() const { return next_.deadline(); }
  void attach(loop& on, participant& whom) { next_.attach(on, whom); }
  [[nodiscard]] Next& next_layer() noexcept { return next_; }

 private:
  static constexpr std::size_t most_held = 64 * 1024;
  struct held {
    time_point at;
    std::string packet;
  };

  void reset() {
    from_client_ = {};
    to_hub_ = {};
    from_hub_ = {};
    to_client_ = {};
    held_.clear();
    held_up_.clear();
    ended_ = {};
    made_up_ids_ = one_by_one_ = 0;
    mute_ = pubacks_stopped_ = connected_ = subscribed_ = false;
    joined_until_ = time_point::min();
  }
  bool flush(time_point now) {
    for (std::size_t i = 0; i != held_up_.size();) {
      if (held_up_[i].at > now) {
        ++i;
        continue;
      }
      if (!mute_) to_hub_.append(held_up_[i].packet);
      held_up_.erase(held_up_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    while (!to_hub_.empty()) {
      io_result const moved = next_.write(to_hub_.view(), now);
      if (moved.status == io_status::would_block) return true;
      if (moved.status != io_status::done) return false;
      to_hub_.consume(moved.size);
    }
    return true;
  }
  [[nodiscard]] time_point soon(duration wait) const { return iothub::add(line_->now(), wait); }

  static bool is_method(byte_view packet, byte_view way) {
    byte_view const names = "$iothub/methods/";
    if (packet.size() < 24 || static_cast<unsigned char>(packet[0]) >> 4 != 3) return false;
    auto const at = packet.substr(0, 24).find(names);
    return at != byte_view::npos && packet.substr(at + names.size(), way.size()) == way;
  }

  // --- from the client

  void up(byte_view packet, time_point now) {
    bool const puback = packet.size() == 4 && packet[0] == '\x40';
    // For a message that the hub never sent. Both sides still hear of each other.
    if (puback && made_up_ids_ != 0 && packet[2] == 0 && packet[3] == 10) --made_up_ids_, packet = {"\xc0\x00", 2};
    if (line_->observer() != nullptr) line_->observer()->on_up(packet, now);
    if ((static_cast<unsigned char>(packet[0]) & 0xf6) == 0x32) ++line_->known.unacknowledged;
    if (mute_) return;
    armed_fault f;
    if (line_->take(fault::reset_before_packet)) return mute_ = true, line_->reset_at(now);
    if (puback && line_->take(fault::settlement_lost)) return mute_ = true, line_->reset_at(now);
    if (is_method(packet, "res/") && line_->take(fault::method_answer_late, f)) {
      held_up_.push_back({soon(f.lasting), std::string{packet}});
      return line_->wake_client_at(held_up_.back().at);
    }
    if (packet.size() > 1 && line_->take(fault::reset_inside_packet, f)) {
      to_hub_.append(packet.substr(0, 1 + f.amount % (packet.size() - 1)));
      mute_ = true;
      return line_->reset_at(soon(std::chrono::milliseconds{500}));
    }
    to_hub_.append(packet);
    if (line_->take(fault::reset_after_packet)) {
      mute_ = true;
      line_->reset_at(soon(std::chrono::milliseconds{500}));
    }
  }

  // --- from the hub

  void pull(time_point now) {
    release_held(now);
    char bytes[4096];
    for (int i = 0; i != 16; ++i) {
      ended_ = next_.read(bytes, now);
      if (ended_.status != io_status::done) break;
      from_hub_.append({bytes, ended_.size});
      for (;;) {
        std::size_t const size = packet_size(from_hub_.view());
        if (size == 0) break;
        std::string packet{from_hub_.view().substr(0, size)};
        from_hub_.consume(packet.size());
        down(packet, now);
      }
    }
    if (ended_.status == io_status::done) {
      ended_ = {};
      line_->wake_client_at(now);
    }
  }
  void release_held(time_point now) {
    for (std::size_t i = 0; i != held_.size();) {
      if (held_[i].at > now) {
        ++i;
        continue;
      }
      std::string const packet = std::move(held_[i].packet);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
      give(packet, now);
    }
  }
  void hold(std::string packet, duration wait) {
    held_.push_back({soon(wait), std::move(packet)});
    line_->wake_client_at(held_.back().at);
  }
  void give(byte_view packet, time_point now) {
    if (line_->observer() != nullptr) line_->observer()->on_down(packet, now);
    if (packet.size() == 4 && packet[0] == '\x20') {
      line_->known.connected = packet[3] == 0;
      line_->known.connects += packet[3] == 0;
      connected_ = true;
    }
    if (packet[0] == '\x90') subscribed_ = true;
    if (packet.size() == 4 && packet[0] == '\x40' && line_->known.unacknowledged != 0) --line_->known.unacknowledged;
    to_client_.append(packet);
  }
  void down(std::string& packet, time_point now) {
    armed_fault f;
    auto const head = static_cast<unsigned char>(packet[0]);
    if (connected_ && line_->take(fault::illegal_packet, f)) give(illegal_packet(f.amount), now);
    if (subscribed_ && line_->take(fault::packet_unexpected, f)) {
      unexpected const made_up = unexpected_packet(f.amount);
      made_up_ids_ += made_up.bytes[0] == '\x32';
      give(made_up.bytes, now);
      if (made_up.one_by_one) one_by_one_ = to_client_.size();
    }
    if (line_->take(fault::packets_joined, f)) {
      joined_until_ = iothub::add(now, f.lasting < std::chrono::seconds{5} ? f.lasting : std::chrono::seconds{5});
      line_->wake_client_at(joined_until_);
    }
    switch (head >> 4) {
      case 2: return connack(packet, now);
      case 3: return publish(packet, head, now);
      case 4: return puback(packet, now);
      case 9: return suback(packet, now);
      case 13:
        if (line_->take(fault::pingresp_missing)) return;
        break;
      default: break;
    }
    give(packet, now);
  }
  void connack(std::string& packet, time_point now) {
    if (line_->take(fault::connack_lost)) return;
    armed_fault f;
    if (line_->take(fault::connack_wrong, f)) {
      byte_view const other = wrong_connack(f.amount);
      return other.empty() ? line_->reset_at(now) : give(other, now);
    }
    for (int code = 1; code != 6 && packet.size() == 4; ++code) {
      auto const which = static_cast<fault>(static_cast<int>(fault::connack_1) + code - 1);
      if (!line_->take(which)) continue;
      packet[2] = 0;
      packet[3] = static_cast<char>(code);
      return give(packet, now);
    }
    if (packet.size() == 4 && packet[3] == 0) {
      if (line_->take(fault::session_forgotten)) packet[2] = 0;
      if (line_->take(fault::session_invented)) packet[2] = 1;
    }
    give(packet, now);
  }
  void publish(std::string& packet, unsigned char head, time_point now) {
    bool const answer = packet.find("$iothub/twin/res/") != std::string::npos;
    armed_fault f;
    if (answer && line_->take(fault::twin_answer_unknown)) {
      std::string stranger = packet;
      // The digit that begins the request id becomes one that was never used: ids start at 1.
      std::size_t const at = stranger.find("$rid=");
      if (at != std::string::npos && at + 5 < stranger.size()) stranger[at + 5] = '0', give(stranger, now);
    }
    if (answer && line_->take(fault::twin_answer_late, f)) return hold(std::move(packet), f.lasting);
    if (is_method(packet, "POST/") && line_->take(fault::method_late, f)) return hold(std::move(packet), f.lasting);
    give(packet, now);
    if ((head & 6) == 2 && line_->take(fault::publish_doubled)) {
      packet[0] = static_cast<char>(head | 8);
      give(packet, now);
    }
  }
  void puback(std::string& packet, time_point now) {
    if (pubacks_stopped_) return;
    armed_fault f;
    if (line_->take(fault::puback_lost)) {
      pubacks_stopped_ = true;
      return line_->reset_at(now);
    }
    if (line_->take(fault::puback_late, f)) {
      pubacks_stopped_ = true;
      return line_->reset_at(iothub::add(now, f.lasting));
    }
    give(packet, now);
  }
  void suback(std::string& packet, time_point now) {
    if (packet.size() >= 5 && line_->take(fault::suback_refused)) packet.back() = '\x80';
    armed_fault f;
    if (line_->take(fault::suback_late, f)) {
      duration const wait = f.lasting < std::chrono::seconds{3} ? f.lasting : std::chrono::seconds{3};
      return hold(std::move(packet), wait);
    }
    give(packet, now);
  }

  line* line_;
  byte_buffer from_client_, to_hub_, from_hub_, to_client_;
  std::vector<held> held_, held_up_;
  io_result ended_ = {};  // what the stream said last, told when all before it was read
  bool mute_ = false;     // the connection is about to break: nothing of the client gets through
  bool pubacks_stopped_ = false;
  bool connected_ = false;
  bool subscribed_ = false;
  std::size_t made_up_ids_ = 0;  // messages at QoS 1 with the id 10 that the hub knows nothing of
  std::size_t one_by_one_ = 0;   // bytes for the client
  time_point joined_until_ = time_point::min();
  Next next_;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
