// A reader of one partition of the event endpoint.
//
// Epochs (Microsoft docs "Event Hubs: epoch", owner level in the newer SDKs): at most one receiver with an epoch per
// consumer group and partition. One of the same or a higher epoch takes its place, and that of receivers without; one
// of a lower epoch, or without, is refused while it is there. The one that loses sees amqp:link:stolen, in both cases.
// What retention dropped. A reader that asks for something older than the oldest event, or that is slower than events
// come, goes on with the oldest that is left. Sequence numbers of a partition have no gaps, so the client sees what it
// missed in x-opt-sequence-number of the first event it gets, and in begin_sequence_number of $management; Event Hubs
// has no other word for it on the wire. The hub logs it as "missed".
// Consumer groups need not be made: a group is there when somebody reads by its name (the real endpoint knows $Default
// and those that were made).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/hub/amqp_event_message.hpp>
#include <iothub/hub/amqp_face_interface.hpp>
#include <iothub/hub/amqp_selector.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

class amqp_event_node final : public amqp_node, public amqp_event_waiter {
 public:
  static result<std::unique_ptr<amqp_node>> open(amqp_face& face, amqp_address const& where, amqp::link& which,
                                                 amqp::attach const& how, instant at);
  inline ~amqp_event_node() override;

  inline amqp::attach_answer answer() override;
  void start(instant at) override { send(at); }
  void on_credit(instant at) override { send(at); }
  void work(instant at) override { send(at); }
  result<void> permitted(instant at) override { return face_.claims_.events(path_, at); }

  // There is something new in the partition.
  void appended() override {
    waiting_ = false;
    face_.work_for(*this);
  }

 private:
  // What one turn sends at most, so that others on the loop have theirs.
  static constexpr std::uint32_t events_per_turn = 256;

  using node_list = std::vector<amqp_event_node*>;

  amqp_event_node(amqp_face& face, amqp::link& link) : amqp_node{face, link} {}
  result<void> take_place(instant at);
  void tell_missed(event_position const& asked, instant at) const;
  void send(instant at);
  void wait();
  partition_end end_now(instant at) const;

  std::string path_;
  std::pair<std::string, std::uint32_t> place_;  // group and partition
  std::optional<std::int64_t> epoch_;
  event_cursor cursor_;
  amqp::value capabilities_;
  bool metrics_ = false;
  bool listed_ = false;
  bool waiting_ = false;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

// Microsoft docs: resource-name-rules (consumergroups) and "Event Hubs quotas". $Default is there without being made;
// other groups, unlike the real hub's, need not be made either.
inline bool is_consumer_group(std::string_view name) noexcept {
  if (iequals(name, "$Default")) return true;
  for (char const c : name)
    if (!is_alnum(c) && c != '.' && c != '-' && c != '_') return false;
  return !name.empty() && name.size() <= 50;
}

}  // namespace detail

inline result<std::unique_ptr<amqp_node>> amqp_event_node::open(amqp_face& face, amqp_address const& where,
                                                                amqp::link& which, amqp::attach const& how,
                                                                instant at) {
  amqp_front& front = face.front_;
  event_log const& log = front.core_.events();
  if (auto ok = face.claims_.events(where.path, at); !ok) return std::move(ok).error();
  auto const missing = [](std::string what) { return hub::refuse(errc::not_found, 404000, std::move(what)); };
  if (!front.is_entity(where.entity)) return missing("there is no entity of that name; the hub's is its own name");
  auto const partition = parse_int<std::uint32_t>(where.partition);
  if (!partition || *partition >= log.partitions())
    return missing("there is no such partition; the hub has " + std::to_string(log.partitions()));
  if (!detail::is_consumer_group(where.group))
    return missing("there is no such consumer group; a name has 1 to 50 letters, digits, '.', '-' and '_'");
  auto const epoch = amqp::find(how.properties, "com.microsoft:epoch").as_int();
  if (epoch && *epoch < 0) return hub::refuse(errc::bad_request, 400004, "an epoch is not below 0");
  auto const from = read_event_filter(how.source.filter);
  if (!from) return from.error();
  std::unique_ptr<amqp_event_node> made{new amqp_event_node{face, which}};
  made->path_ = where.path;
  made->place_ = {to_lower(where.group), *partition};
  made->epoch_ = epoch;
  made->metrics_ = amqp::has_symbol(how.desired_capabilities, "com.microsoft:enable-receiver-runtime-metric");
  made->cursor_.sequence = find_position(log, *partition, *from);
  if (auto ok = made->take_place(at); !ok) return std::move(ok).error();
  made->tell_missed(*from, at);
  if (made->cursor_.sequence < log.first(*partition)) made->cursor_.sequence = log.first(*partition);
  return std::unique_ptr<amqp_node>{std::move(made)};
}

inline void amqp_event_node::tell_missed(event_position const& asked, instant at) const {
  event_log const& log = face_.front_.core_.events();
  std::uint64_t const first = log.first(place_.second);
  auto const wanted = static_cast<std::uint64_t>(asked.value) + (asked.inclusive ? 0 : 1);
  std::string text;
  if (asked.what == event_position::by::sequence_number && wanted < first)
    text = std::to_string(first - wanted) + " events from sequence number " + std::to_string(wanted) + " on";
  else if (asked.what == event_position::by::offset && first != 0 && wanted < log.first_offset(place_.second))
    text = "the events behind offset " + std::to_string(asked.value);
  else
    return;
  text.append(" were dropped by retention before a reader of ")
      .append(path_)
      .append(" asked for them; it begins with ");
  face_.front_.log(log_level::warning, at, "missed", {}, text + std::to_string(first));
}

inline result<void> amqp_event_node::take_place(instant at) {
  auto& readers = face_.front_.readers_[place_];
  std::int64_t highest = -1;
  std::size_t without = 0;
  for (auto const* each : readers) {
    if (!each->epoch_)
      ++without;
    else if (*each->epoch_ > highest)
      highest = *each->epoch_;
  }
  auto const stolen = [](std::string text) { return hub::refuse(errc::connection_lost, 400027, std::move(text)); };
  if (highest >= 0 && (!epoch_ || *epoch_ < highest))
    return stolen("Receiver with a higher epoch of '" + std::to_string(highest) + "' already exists.");
  if (!epoch_ && without >= max_event_readers)
    return hub::refuse(errc::queue_full, 403000, "Exceeded the maximum number of allowed receivers per partition in a "
                                                 "consumer group which is 5");
  if (epoch_) {
    std::string const text = "New receiver with higher epoch of '" + std::to_string(*epoch_) +
                             "' is created hence current receiver is getting disconnected.";
    for (amqp_event_node* const each : std::exchange(readers, node_list{})) {
      each->listed_ = false;
      each->link_.detach(face_.refusal(stolen(text)).view());
      each->face_.output_made();
      face_.front_.log(log_level::info, at, "stolen", {}, text);
    }
  }
  readers.push_back(this);
  listed_ = true;
  return {};
}

inline amqp_event_node::~amqp_event_node() {
  auto& all = face_.front_.readers_;
  auto const drop = [this](auto& list) {
    for (std::size_t i = list.size(); i-- != 0;)
      if (list[i] == this) list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
  };
  if (waiting_) drop(face_.front_.waiting_[place_.second]);
  auto const found = all.find(place_);
  if (found == all.end()) return;
  if (listed_) drop(found->second);
  if (found->second.empty()) all.erase(found);
}

inline amqp::attach_answer amqp_event_node::answer() {
  amqp::attach_answer how = amqp_node::answer();
  if (metrics_) {
    capabilities_ = amqp::value::symbols({"com.microsoft:enable-receiver-runtime-metric"});
    how.offered_capabilities = capabilities_.bytes();
  }
  return how;
}

inline partition_end amqp_event_node::end_now(instant at) const {
  partition_end end;
  end.now = at.utc;
  face_.front_.core_.events().newest(place_.second, [&](event_view const& event) {
    end.sequence = static_cast<std::int64_t>(event.sequence_number());
    end.offset = event.offset();
    end.enqueued = event.enqueued_time();
  });
  return end;
}

inline void amqp_event_node::wait() {
  if (waiting_) return;
  face_.front_.waiting_[place_.second].push_back(this);
  waiting_ = true;
}

inline void amqp_event_node::send(instant at) {
  amqp_front& front = face_.front_;
  event_log const& log = front.core_.events();
  std::uint32_t const partition = place_.second;
  if (!link_.can_send()) return;  // on_credit follows when it can
  if (cursor_.sequence < log.first(partition))
    front.log(log_level::warning, at, "missed", {},
              "a reader of " + path_ + " was too slow: " + std::to_string(log.first(partition) - cursor_.sequence) +
                  " events were dropped by retention before it read them");
  partition_end end;
  if (metrics_) end = end_now(at);
  std::uint32_t sent = 0;
  bool out_of_room = false;
  log.read(partition, cursor_, [&](event_view const& event) {
    if (sent == events_per_turn || !link_.can_send()) return false;
    front.scratch_.clear();
    append_event_message(event, metrics_ ? &end : nullptr, front.scratch_);
    amqp::outgoing_delivery what;
    what.payload = front.scratch_.view();
    what.settled = true;
    auto const gone = link_.send(what);
    out_of_room = !gone && gone.error() != errc::too_large;  // what the peer does not take is passed over
    if (!out_of_room) ++sent;
    return !out_of_room;
  });
  if (cursor_.sequence >= log.next(partition)) return wait();
  if (sent == events_per_turn) face_.work_for(*this);
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub

#include <iothub/hub/amqp_face.hpp>  // whoever includes this first gets the bodies too
