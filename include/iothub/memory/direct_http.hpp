// An HTTP transport without HTTP: requests go into the peer as values and its responses come back as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>
#include <iothub/http/message.hpp>
#include <iothub/http/server.hpp>
#include <iothub/io/loop.hpp>
#include <iothub/policy/endpoint.hpp>
#include <iothub/policy/http_transport.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

// The peer gets the request inside start(); what it answers there can be taken at once, with no turn of the loop
// between. It must outlive this transport. The endpoint is not looked at: there is only this one peer. No Host field is
// added. An exchange allocates nothing of its own once the transport is warm. An idle transport that was never used is
// four words.
template <http::peer Peer>
class direct_http {
 public:
  explicit direct_http(Peer& peer) noexcept : peer_{&peer} {}
  direct_http(direct_http&&) noexcept = default;
  direct_http& operator=(direct_http&&) noexcept = default;

  exchange_id start(endpoint const& /*where*/, http::request&& what, time_point now) {
    if (!table_) table_ = std::make_unique<table>(*peer_, loop_, participant_);
    return table_->start(std::move(what), now);
  }
  // The peer hears of it, unless it answered already.
  void cancel(exchange_id id) {
    if (table_) table_->cancel(id);
  }
  void step(time_point /*now*/) noexcept {}
  std::optional<http_completion> next_completion() { return table_ ? table_->next_completion() : std::nullopt; }
  [[nodiscard]] time_point deadline() const noexcept { return never; }
  void attach(loop& on, participant& whom) noexcept {
    loop_ = &on;
    participant_ = &whom;
    if (table_) table_->attach(on, whom);
  }

 private:
  // Pinned, since the peer keeps its address while it owes an answer.
  class table final : public http::reply_sink {
   public:
    table(Peer& peer, loop* on, participant* whom) noexcept : peer_{&peer}, loop_{on}, participant_{whom} {}
    table(table const&) = delete;
    table& operator=(table const&) = delete;
    ~table() {
      std::vector<owed> const gone = std::exchange(owed_, {});
      for (owed const& o : gone) peer_->on_cancel(o.pending);
    }

    void attach(loop& on, participant& whom) noexcept {
      loop_ = &on;
      participant_ = &whom;
    }

    exchange_id start(http::request&& what, time_point now) {
      owed_.push_back(owed{.id = ++last_id_});
      exchange_id const id = last_id_;
      http::ticket const pending = peer_->on_request(std::move(what), http::reply_to{this, id}, now);
      for (owed& o : owed_)
        if (o.id == id) o.pending = pending;
      if (pending == http::answered) respond(id, http::response{.status = 500});  // ignored when it did answer
      return id;
    }

    void cancel(exchange_id id) {
      for (std::size_t i = next_done_; i != done_.size(); ++i) {
        if (done_[i].id != id) continue;
        done_.erase(done_.begin() + static_cast<std::ptrdiff_t>(i));
        return;
      }
      for (std::size_t i = 0; i != owed_.size(); ++i) {
        if (owed_[i].id != id) continue;
        http::ticket const pending = owed_[i].pending;
        owed_.erase(owed_.begin() + static_cast<std::ptrdiff_t>(i));
        peer_->on_cancel(pending);
        return;
      }
    }

    void respond(std::uint64_t exchange, http::response&& answer) override {
      for (std::size_t i = 0; i != owed_.size(); ++i) {
        if (owed_[i].id != exchange) continue;
        done_.push_back(http_completion{.id = exchange, .outcome = std::move(answer)});
        owed_.erase(owed_.begin() + static_cast<std::ptrdiff_t>(i));
        if (loop_ != nullptr) loop_->wake(*participant_);
        return;
      }
    }
    [[nodiscard]] std::string_view peer() const override { return "in process"; }

    std::optional<http_completion> next_completion() {
      if (next_done_ == done_.size()) return std::nullopt;
      std::optional<http_completion> out{std::move(done_[next_done_])};
      if (++next_done_ == done_.size()) {
        done_.clear();
        next_done_ = 0;
      }
      return out;
    }

   private:
    struct owed {
      exchange_id id = 0;
      http::ticket pending = http::answered;
    };

    Peer* peer_;
    loop* loop_;
    participant* participant_;
    std::vector<owed> owed_;  // by the peer, in the order of the requests
    std::vector<http_completion> done_;
    std::size_t next_done_ = 0;
    exchange_id last_id_ = 0;
  };

  Peer* peer_;
  loop* loop_ = nullptr;
  participant* participant_ = nullptr;
  std::unique_ptr<table> table_;
};

}  // namespace memory
}  // namespace v0
}  // namespace iothub
