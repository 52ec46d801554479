// From the name of a direct method to the handler that answers it. Usable alone: whatever brings calls hands dispatch()
// a request and a responder.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <iothub/base/borrowed_handler.hpp>
#include <iothub/base/function.hpp>
#include <iothub/base/lean_vector.hpp>
#include <iothub/base/result.hpp>
#include <iothub/device/handler_error.hpp>
#include <iothub/device/responder.hpp>
#include <iothub/json/value.hpp>
#include <iothub/wire/models.hpp>

namespace iothub {
inline namespace v0 {

// Answers at once by its return value.
template <class F>
concept answering_method_handler = std::is_invocable_r_v<method_response, F&, method_request const&>;
// Answers through the responder, now or later.
template <class F>
concept responding_method_handler = std::is_invocable_v<F&, method_request const&, responder>;
template <class F>
concept method_handler = answering_method_handler<F> || responding_method_handler<F>;

// Rules. Names are case-sensitive. A name without a handler goes to the fallback, and without that is answered 501 with
// {"message":"method NAME is not implemented"}. A payload that is no JSON is answered 400, and no handler runs. A
// handler that throws is answered 500 (see responder), and what it threw goes to on_error(). A handler may add, replace
// and remove handlers, itself included.
class method_dispatcher {
 public:
  using handler = function<void(method_request const&, responder)>;

  // The handler for one name, replacing the one before.
  template <class F>
  void on(std::string_view name, F f) {
    set(name, wrap(std::move(f)));
  }
  // For every name without a handler of its own.
  template <class F>
  void on_unknown(F f) {
    unknown_ = wrap(std::move(f));
  }
  // Called with what a handler threw, after its call was answered. An exception of its own leaves dispatch().
  void on_error(function<void(handler_error const&)> report) { error_ = std::move(report); }
  void report(handler_error const& what) {
    if (!error_) return;
    detail::borrowed_handler borrowed{error_, [this] { return &error_; }};
    borrowed.call()(what);
  }
  bool remove(std::string_view name);
  [[nodiscard]] bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return handlers_.size(); }

  void dispatch(method_request const& request, responder answer);
  // The same from the wire: an empty payload is null.
  void dispatch(std::string_view name, std::string_view payload, responder answer);
  // What a payload that is no JSON is answered.
  static void refuse_payload(responder answer) {
    answer({.status = 400, .payload = {{"message", "the payload is not valid JSON"}}});
  }

 private:
  struct entry {
    std::string name = {};
    handler call = {};
  };

  template <class F>
  static handler wrap(F f) {
    static_assert(method_handler<F>,
                  "a method handler is called as method_response(method_request const&), or to answer later as "
                  "void(method_request const&, responder)");
    if constexpr (!method_handler<F>) {
      return {};
    } else if constexpr (answering_method_handler<F>) {
      return [f = std::move(f)](method_request const& request, responder answer) mutable { answer(f(request)); };
    } else {
      return handler{std::move(f)};
    }
  }
  void set(std::string_view name, handler call);
  [[nodiscard]] entry const* find(std::string_view name) const noexcept;
  [[nodiscard]] handler* place_of(std::string_view name) noexcept;

  lean_vector<entry> handlers_;  // few, in the order they were set
  handler unknown_;
  function<void(handler_error const&)> error_;
};

// --- implementation -------------------------------------------------------------------------------------------------

inline method_dispatcher::entry const* method_dispatcher::find(std::string_view name) const noexcept {
  for (entry const& e : handlers_)
    if (e.name == name) return &e;
  return nullptr;
}

inline method_dispatcher::handler* method_dispatcher::place_of(std::string_view name) noexcept {
  for (entry& e : handlers_)
    if (e.name == name) return &e.call;
  return nullptr;
}

inline void method_dispatcher::set(std::string_view name, handler call) {
  if (handler* const place = place_of(name)) {
    *place = std::move(call);
    return;
  }
  handlers_.push_back(entry{std::string{name}, std::move(call)});
}

inline bool method_dispatcher::remove(std::string_view name) {
  for (std::size_t i = 0; i != handlers_.size(); ++i) {
    if (handlers_[i].name != name) continue;
    handlers_.erase(handlers_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

inline void method_dispatcher::dispatch(method_request const& request, responder answer) {
  bool const known = place_of(request.name) != nullptr;
  auto const find = [this, known, &request] { return known ? place_of(request.name) : &unknown_; };
  handler* const place = find();
  if (!*place) {
    std::string text = "method ";
    text.append(request.name).append(" is not implemented");
    return answer({.status = 501, .payload = {{"message", std::move(text)}}});
  }
  detail::borrowed_handler borrowed{*place, find};
#if IOTHUB_EXCEPTIONS
  try {
    borrowed.call()(request, std::move(answer));
  } catch (...) {  // the responder, destroyed on the way here, has answered 500
    if (!error_) return;
    std::string const text = detail::thrown_text();
    report({.kind = handler_kind::method, .name = request.name, .what = text});
  }
#else
  borrowed.call()(request, std::move(answer));
#endif
}

inline void method_dispatcher::dispatch(std::string_view name, std::string_view payload, responder answer) {
  method_request request;
  request.name.assign(name);
  if (!payload.empty()) {
    auto parsed = json::parse(payload);
    if (!parsed) return refuse_payload(std::move(answer));
    request.payload = std::move(*parsed);
  }
  dispatch(request, std::move(answer));
}

}  // namespace v0
}  // namespace iothub
