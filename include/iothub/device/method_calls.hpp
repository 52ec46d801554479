// Direct method calls that the device has not answered yet.
//
// Rules. One handler run per request id and connection, one response per request id, and none across a reconnect: the
// hub forgets its pending calls with the connection (Microsoft docs: "Understand and invoke direct methods"), so an
// answer on the next one could meet a stranger's id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <iothub/base/lean_vector.hpp>
#include <iothub/base/maybe.hpp>

namespace iothub {
inline namespace v0 {

using call_id = std::uint64_t;  // never 0, never used twice by one client

class method_calls {
 public:
  // Calls that one device may leave open; a hub that sends more gets no answer to them.
  static constexpr std::size_t most_open = 1024;

  // 0 when a call with this request id is open already, or too many are.
  [[nodiscard]] call_id begin(std::string_view rid) {
    if (calls_.size() == most_open) return 0;
    for (auto const& c : calls_)
      if (c.rid == rid) return 0;
    calls_.push_back(call{++last_, std::string{rid}});
    return last_;
  }
  // The request id to answer; nothing when the call was answered or its connection is gone.
  [[nodiscard]] maybe<std::string> take(call_id id) {
    for (std::size_t i = 0; i != calls_.size(); ++i) {
      if (calls_[i].id != id) continue;
      maybe<std::string> rid{std::move(calls_[i].rid)};
      calls_[i] = std::move(calls_.back());
      calls_.pop_back();
      return rid;
    }
    return {};
  }
  void offline() noexcept { lean_vector<call>{}.swap(calls_); }
  [[nodiscard]] std::size_t size() const noexcept { return calls_.size(); }
  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }

 private:
  struct call {
    call_id id = 0;
    std::string rid = {};
  };
  lean_vector<call> calls_;
  call_id last_ = 0;
};

}  // namespace v0
}  // namespace iothub
