// A second pair of eyes for AMQP 1.0: what a client sends on one connection, checked frame by frame against the standard
// (OASIS AMQP 1.0 Part 2), and what the frames of a device mean. It shares nothing with the library's codec.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/simulation/amqp_frame.hpp>

namespace iothub_test {

// What a frame is about.
struct seen_frame {
  enum class kind { other, opened, closed, attached, telemetry, method_answer, token, settled, call, message };
  kind what = kind::other;
  char const* wrong = nullptr;    // the rule that is broken
  std::string_view name = {};     // of the performative
  std::string address = {};       // of the link, where there is one
  std::string_view body = {};     // of a message: as much of it as is in this frame
  std::string correlation = {};   // of a message, encoded
  std::uint32_t delivery = 0;     // of a transfer; of `settled`: the first
  std::uint32_t last = 0;         // of `settled`
  bool accepted = false;          // of `settled`; of `closed`: without an error
};

class amqp_witness {
 public:
  // A frame of the client, and one that is handed to it.
  seen_frame up(std::string_view bytes);
  seen_frame down(std::string_view bytes);
  [[nodiscard]] std::size_t links_attached() const noexcept;  // those of a device, without $cbs
  [[nodiscard]] bool opened() const noexcept { return open_down_; }
  // What the hub wants to hear something within, in ms; 0: it does not care.
  [[nodiscard]] std::uint64_t hub_patience() const noexcept { return hub_patience_; }

 private:
  using frame = iothub::sim::amqp_frame;
  using field = iothub::sim::amqp_field;
  struct link {
    std::string name, address;
    bool sends = false;       // the client does
    bool answered = false;    // the hub attached as well
    bool inside = false;      // a delivery has more to come
    std::uint32_t theirs = 0;  // the hub's handle
    std::uint32_t delivery_count = 0, limit = 0;  // so many deliveries may have been sent
  };

  char const* up_rules(frame const& f, seen_frame& seen);
  char const* up_attach(frame const& f);
  char const* up_transfer(frame const& f, seen_frame& seen);
  char const* up_disposition(frame const& f, seen_frame& seen);
  char const* up_flow(frame const& f);
  link* of_hub(std::uint32_t handle);

  bool sasl_ = false, header_ = false, open_up_ = false, close_up_ = false, open_down_ = false;
  bool begun_ = false, begun_down_ = false;
  std::uint64_t most_ = 512;       // bytes of a frame to the hub
  std::uint64_t hub_patience_ = 0;
  std::uint32_t next_out_ = 0, window_until_ = 0;  // transfer ids
  std::uint32_t next_delivery_ = 0;
  bool any_delivery_ = false;
  std::map<std::uint32_t, link> links_;            // by the client's handle
  std::set<std::uint32_t> received_;               // deliveries of the hub that the client has not settled
};

}  // namespace iothub_test
