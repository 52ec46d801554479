// The items of a query, page after page, as a range. Each item is a result: when a page cannot be had, its error is the
// last item.
//
//   for (auto& item : service.query("SELECT deviceId FROM devices")) {
//     if (!item) …item.error()…
//     else …(*item)["deviceId"]…
//   }
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include <iothub/base/function.hpp>
#include <iothub/base/maybe.hpp>
#include <iothub/base/result.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// One pass, and lazy: a page is asked for when its first item is. begin() asks for the first one.
class pager {
 public:
  // Gives the page behind a continuation; an empty one stands for the first page.
  using fetch = function<result<query_page>(std::string const& continuation)>;
  // A hub may answer with a page that is empty and yet not the last. More than this many in a row are an error.
  static constexpr int max_empty_pages = 100;

  struct sentinel {};
  class iterator {
   public:
    using value_type = result<json::value>;
    using difference_type = std::ptrdiff_t;
    explicit iterator(pager& pages) noexcept : pages_{&pages} {}
    result<json::value>& operator*() const noexcept { return *pages_->current_; }
    result<json::value>* operator->() const noexcept { return &*pages_->current_; }
    iterator& operator++() {
      pages_->advance();
      return *this;
    }
    void operator++(int) { pages_->advance(); }
    friend bool operator==(iterator const& it, sentinel) noexcept { return it.at_end(); }

   private:
    [[nodiscard]] bool at_end() const noexcept { return !pages_->current_; }
    pager* pages_;
  };

  explicit pager(fetch get) noexcept : get_{std::move(get)} {}
  pager(pager&&) noexcept = default;
  pager& operator=(pager&&) noexcept = default;

  [[nodiscard]] iterator begin() {
    if (!started_) advance();
    return iterator{*this};
  }
  [[nodiscard]] sentinel end() const noexcept { return {}; }
  // Twin, Raw or DeviceJob, as the hub said; empty before begin().
  [[nodiscard]] std::string const& item_type() const noexcept { return page_.item_type; }

 private:
  void advance() {
    current_.reset();
    if (failed_) return;
    for (int empty = 0; next_ == page_.items.size(); ++empty) {
      if (started_ && page_.continuation.empty()) return;
      auto page = empty <= max_empty_pages
                      ? get_(page_.continuation)
                      : result<query_page>{error{errc::protocol_error, "the query's pages do not end"}};
      started_ = true;
      if (!page) {
        failed_ = true;
        current_.emplace(std::move(page).error());
        return;
      }
      page_ = *std::move(page);
      next_ = 0;
    }
    current_.emplace(std::move(page_.items[next_++]));
  }

  fetch get_;
  query_page page_ = {};
  std::size_t next_ = 0;
  maybe<result<json::value>> current_ = {};
  bool started_ = false;
  bool failed_ = false;
};

}  // namespace v0
}  // namespace iothub
