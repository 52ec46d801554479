// Direct method calls in flight: who waits for whom, and until when.
//
// Theory of operation. A call waits for its device (until connect_timeout) or for the device's answer (until
// response_timeout, counted from the delivery). The router only keeps calls and their deadlines; hub_core says when a
// device listens, answers or goes. Outcomes are collected and handed out by hub_core after its state is consistent, so
// a method_caller never sees the hub half-way. Everything is in order of tickets: the same run gives the same order.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <iothub/hub/identity_record.hpp>
#include <iothub/hub/spare_nodes.hpp>
#include <iothub/hub/types.hpp>

namespace iothub {
inline namespace v0 {
namespace hub {

struct pending_call {
  identity_record* target = nullptr;
  method_caller* caller = nullptr;
  method_request request = {};       // kept while it waits for its device
  duration response_timeout = {};
  duration connect_timeout = {};
  time_point due = never;
  bool delivered = false;
};

class method_router {
 public:
  struct outcome {
    method_ticket ticket;
    method_caller* caller;
    result<method_response> what;
  };

  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }
  [[nodiscard]] time_point deadline() const noexcept { return due_.empty() ? never : due_.begin()->first; }

  method_ticket add(pending_call call) {
    method_ticket const ticket = ++last_;
    pending_call& kept = spare_calls_.insert(calls_, ticket, std::move(call))->second;
    spare_targets_.insert(by_target_, std::pair{kept.target->serial, ticket});
    ++kept.target->calls;
    return ticket;
  }
  [[nodiscard]] pending_call* find(method_ticket ticket) noexcept {
    auto const found = calls_.find(ticket);
    return found == calls_.end() ? nullptr : &found->second;
  }
  void set_due(method_ticket ticket, pending_call& call, time_point due) {
    if (call.due != never) spare_dues_.erase(due_, due_.find({call.due, ticket}));
    call.due = never;
    if (due != never) spare_dues_.insert(due_, std::pair{due, ticket});
    call.due = due;
  }
  bool erase(method_ticket ticket) {
    auto const found = calls_.find(ticket);
    if (found == calls_.end()) return false;
    set_due(ticket, found->second, never);
    spare_targets_.erase(by_target_, by_target_.find({found->second.target->serial, ticket}));
    --found->second.target->calls;
    spare_calls_.erase(calls_, found);
    return true;
  }
  // Ends a call; the outcome waits for take_outcomes().
  void finish(method_ticket ticket, result<method_response> what) {
    pending_call const* const call = find(ticket);
    if (call == nullptr) return;
    outcomes_.push_back({ticket, call->caller, std::move(what)});
    erase(ticket);
  }
  [[nodiscard]] std::vector<outcome> take_outcomes() noexcept { return std::exchange(outcomes_, {}); }
  // The memory of those that are told, for the next ones.
  void give_back(std::vector<outcome>&& told) noexcept {
    told.clear();
    if (outcomes_.capacity() == 0 && told.capacity() <= 8) outcomes_ = std::move(told);
  }
  void forget_outcome(method_ticket ticket) {
    for (auto& o : outcomes_)
      if (o.ticket == ticket) o.caller = nullptr;
  }
  // Tickets of one device, oldest first.
  [[nodiscard]] std::vector<method_ticket> of(identity_record const& target) const {
    std::vector<method_ticket> tickets;
    if (target.calls == 0) return tickets;
    for (auto i = by_target_.lower_bound({target.serial, 0}); i != by_target_.end() && i->first == target.serial; ++i)
      tickets.push_back(i->second);
    return tickets;
  }
  // The call that is due, or 0.
  [[nodiscard]] method_ticket next_due(time_point now) const noexcept {
    return due_.empty() || due_.begin()->first > now ? 0 : due_.begin()->second;
  }

 private:
  using call_map = std::map<method_ticket, pending_call>;
  using due_set = std::set<std::pair<time_point, method_ticket>>;
  using target_set = std::set<std::pair<std::uint64_t, method_ticket>>;

  call_map calls_;
  due_set due_;
  target_set by_target_;
  spare_nodes<call_map> spare_calls_;
  spare_nodes<due_set> spare_dues_;
  spare_nodes<target_set> spare_targets_;
  std::vector<outcome> outcomes_;
  method_ticket last_ = 0;
};

// An upper bound of the printed length of a value, without printing it.
[[nodiscard]] inline std::size_t printed_bound(json::value const& v) {
  std::size_t size = 25;
  if (v.is_string()) return 2 + 6 * v.as_string()->size();
  if (v.is_object())
    for (auto const& m : v.members()) size += 4 + 6 * m.key().size() + printed_bound(m.value());
  if (v.is_array())
    for (auto const& e : v.elements()) size += 1 + printed_bound(e);
  return size;
}
[[nodiscard]] inline bool prints_above(json::value const& v, std::size_t limit) {
  return printed_bound(v) > limit && v.dump().size() > limit;
}

}  // namespace hub
}  // namespace v0
}  // namespace iothub
