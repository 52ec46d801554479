// What stands between an AMQP client and its stream: sees every frame whole, and loses, cuts, holds or makes up some,
// as the line's faults say.
//
// Theory of operation. As mqtt_wire.hpp, with frames in place of packets. What an AMQP connection is allowed to lose it
// loses only together with the connection, so most faults end it sooner or later. Those of MQTT that have a counterpart
// happen to that: PUBACK is a disposition, CONNACK is `open`, PINGRESP an empty frame. The others wait for a packet
// that never comes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/bytes.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/policy/byte_stream.hpp>
#include <iothub/simulation/amqp_frame.hpp>
#include <iothub/simulation/line.hpp>

namespace iothub {
inline namespace v0 {
namespace sim {

// Frames that no correct server sends on a connection that is open (OASIS AMQP 1.0, Part 2, sections 2.3, 2.7).
[[nodiscard]] inline std::string illegal_frame(std::uint64_t which) {
  using namespace std::string_view_literals;
  static constexpr std::string_view frames[] = {
      "\x00\x00\x00\x07\x02\x00\x00\x00"sv,                              // a size below 8
      "\x00\x00\x00\x08\x01\x00\x00\x00"sv,                              // a header of 4 bytes
      "\x00\x00\x00\x08\x03\x00\x00\x00"sv,                              // a header longer than the frame
      "\x7f\xff\xff\xff\x02\x00\x00\x00"sv,                              // a size of 2 GB
      "\x00\x00\x00\x09\x02\x00\x00\x00\x40"sv,                          // null in place of a performative
      "\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x10\x45"sv,              // `open` without a container id
      "\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x14\x45"sv,              // `transfer` without a handle
      "\x00\x00\x00\x0d\x02\x00\x00\x00\x00\x53\x17\xc0\xff"sv,          // a list longer than the frame
  };
  return std::string{frames[which % (sizeof frames / sizeof frames[0])]};
}

// Next is a byte_stream.
template <class Next>
class amqp_wire {
 public:
  template <class... Arguments>
  explicit amqp_wire(line& on, Arguments&&... arguments) : line_{&on}, next_{std::forward<Arguments>(arguments)...} {}

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
    for (std::size_t size; (size = amqp_frame_size(from_client_.view())) != 0;) {
      byte_view const frame = from_client_.view().substr(0, size);  // all of it where it frames as none
      up(frame, now);
      from_client_.consume(frame.size());
    }
    if (!flush(now)) return {io_status::failed, 0};
    return {io_status::done, from.size()};
  }
  io_result read(byte_span into, time_point now) {
    flush(now);  // a failure comes back from reading as well
    if (to_client_.empty()) pull(now);
    if (now < joined_until_) return {};
    if (to_client_.empty()) return ended_;
    std::size_t const size = into.size() < to_client_.size() ? into.size() : to_client_.size();
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

 private:
  static constexpr std::size_t most_held = 64 * 1024;

  void reset() {
    from_client_ = {};
    to_hub_ = {};
    from_hub_ = {};
    to_client_ = {};
    ended_ = {};
    mute_ = deaf_ = open_ = false;
    joined_until_ = time_point::min();
  }
  bool flush(time_point now) {
    while (!to_hub_.empty()) {
      io_result const moved = next_.write(to_hub_.view(), now);
      if (moved.status == io_status::would_block) return true;
      if (moved.status != io_status::done) return false;
      to_hub_.consume(moved.size);
    }
    return true;
  }
  [[nodiscard]] time_point soon(duration wait) const { return iothub::add(line_->now(), wait); }

  void up(byte_view frame, time_point now) {
    if (line_->observer() != nullptr) line_->observer()->on_up(frame, now);
    amqp_frame const f = read_amqp_frame(frame);
    if (f.what() == amqp_performative::transfer && !f.fields.at(4).is_true() && !f.fields.at(5).is_true())
      ++line_->known.unacknowledged;
    if (mute_) return;
    armed_fault fault_now;
    if (line_->take(fault::reset_before_packet)) return mute_ = true, line_->reset_at(now);
    bool const settles = f.what() == amqp_performative::disposition && f.fields.at(0).is_true();
    if (settles && line_->take(fault::settlement_lost)) return mute_ = true, line_->reset_at(now);
    if (line_->take(fault::reset_inside_packet, fault_now)) {
      to_hub_.append(frame.substr(0, 1 + fault_now.amount % (frame.size() - 1)));
      mute_ = true;
      return line_->reset_at(soon(std::chrono::milliseconds{500}));
    }
    to_hub_.append(frame);
    if (line_->take(fault::reset_after_packet)) {
      mute_ = true;
      line_->reset_at(soon(std::chrono::milliseconds{500}));
    }
  }

  void pull(time_point now) {
    char bytes[4096];
    for (int i = 0; i != 16; ++i) {
      ended_ = next_.read(bytes, now);
      if (ended_.status != io_status::done) break;
      from_hub_.append({bytes, ended_.size});
      for (std::size_t size; (size = amqp_frame_size(from_hub_.view())) != 0;) {
        std::string const frame{from_hub_.view().substr(0, size)};
        from_hub_.consume(frame.size());
        down(frame, now);
      }
    }
    if (ended_.status == io_status::done) {
      ended_ = {};
      line_->wake_client_at(now);
    }
  }
  void give(byte_view frame, time_point now) {
    if (line_->observer() != nullptr) line_->observer()->on_down(frame, now);
    to_client_.append(frame);
  }
  void down(byte_view frame, time_point now) {
    if (deaf_) return;
    amqp_frame const f = read_amqp_frame(frame);
    armed_fault fault_now;
    if (open_ && line_->take(fault::illegal_packet, fault_now)) give(illegal_frame(fault_now.amount), now);
    if (line_->take(fault::packets_joined, fault_now)) {
      constexpr std::chrono::seconds most{5};
      joined_until_ = iothub::add(now, fault_now.lasting < most ? fault_now.lasting : duration{most});
      line_->wake_client_at(joined_until_);
    }
    if (f.what() == amqp_performative::open) {
      if (line_->take(fault::connack_lost)) return void(deaf_ = true);
      open_ = line_->known.connected = true;
      ++line_->known.connects;
    }
    if (f.what() == amqp_performative::disposition && f.fields.at(0).is_true()) {
      if (line_->take(fault::puback_lost)) return deaf_ = true, line_->reset_at(now);
      if (line_->take(fault::puback_late, fault_now)) {
        deaf_ = true;
        return line_->reset_at(iothub::add(now, fault_now.lasting));
      }
      std::uint64_t const first = f.fields.at(1).number(), last = f.fields.at(2).number(first);
      std::uint64_t const settled = f.fields.at(3).is_true() && last >= first ? last - first + 1 : 0;
      auto& waiting = line_->known.unacknowledged;
      waiting -= settled < waiting ? static_cast<std::size_t>(settled) : waiting;
    }
    if (f.good && !f.sasl && !f.protocol && f.code == 0 && line_->take(fault::pingresp_missing)) return;
    give(frame, now);
  }

  line* line_;
  byte_buffer from_client_, to_hub_, from_hub_, to_client_;
  io_result ended_ = {};  // what the stream said last, told when all before it was read
  bool mute_ = false;     // the connection is about to break: nothing of the client gets through
  bool deaf_ = false;     // ... and nothing of the hub
  bool open_ = false;
  time_point joined_until_ = time_point::min();
  Next next_;
};

}  // namespace sim
}  // namespace v0
}  // namespace iothub
