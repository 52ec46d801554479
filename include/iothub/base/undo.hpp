// Undoes what was begun when an allocation fails in between.
#pragma once

namespace iothub {
inline namespace v0 {

//   entries_.push_back(e);
//   undo back{[&]() noexcept { entries_.pop_back(); }};
//   …what may throw, or return early…
//   back.dismiss();
template <class F>
class undo {
 public:
  explicit undo(F f) noexcept : f_{f} {}
  undo(undo const&) = delete;
  undo& operator=(undo const&) = delete;
  ~undo() {
    if (armed_) f_();
  }
  void dismiss() noexcept { armed_ = false; }

 private:
  F f_;
  bool armed_ = true;
};

}  // namespace v0
}  // namespace iothub
