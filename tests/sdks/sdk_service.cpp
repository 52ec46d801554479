// One back-end operation on this library, for run.py: sdk_service VERB JSON-ARGUMENTS; prints one JSON line, as
// node_service.js and python_service.py.
#include "../../examples/environment.hpp"

#include <chrono>
#include <iothub/wire/model_json.hpp>

using iothub::json::value;

namespace {

value answer(value what) { return {{"ok", true}, {"value", std::move(what)}}; }
value answer(iothub::error const& why) {
  return {{"ok", false}, {"error", to_string(why.code())}, {"text", why.message()}};
}
template <class T, class F>
value answer(iothub::result<T> const& outcome, F to_value) {
  return outcome ? answer(to_value(*outcome)) : answer(outcome.error());
}

value perform(iothub::service_client& service, std::string_view verb, value const& a) {
  std::string const id{a["id"].as_string().value_or("")};
  auto const identity = [](iothub::device_identity const& d) { return iothub::to_json(d); };
  auto const twin = [](iothub::twin const& t) { return iothub::to_json(t); };
  if (verb == "create") return answer(service.create_device(id), identity);
  if (verb == "get") return answer(service.get_device(id), identity);
  if (verb == "twin") return answer(service.get_twin(id), twin);
  if (verb == "patch")
    return answer(service.update_twin(id, a["patch"], a["etag"].as_string().value_or("*")), twin);
  if (verb == "remove") {
    auto const removed = service.delete_device(id);
    return removed ? answer(value{}) : answer(removed.error());
  }
  if (verb == "method") {
    auto const reply = service.invoke_method(
        id, {.name = std::string{a["name"].as_string().value_or("")}, .payload = a["payload"]},
        {.response_timeout = std::chrono::seconds{a["timeout"].as_int().value_or(30)}});
    return answer(reply, [](iothub::method_response const& r) {
      return value{{"status", r.status}, {"payload", r.payload}};
    });
  }
  if (verb == "query") {
    value rows = value::make_array();
    for (auto& row : service.query(a["text"].as_string().value_or(""))) {
      if (!row) return answer(row.error());
      rows.push_back(std::move(*row));
    }
    return answer(std::move(rows));
  }
  return {{"ok", false}, {"error", "usage"}, {"text", "no such verb"}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) example::refuse("usage: sdk_service VERB JSON-ARGUMENTS");
  auto const arguments = iothub::json::parse(argv[2]);
  if (!arguments) example::refuse(arguments.error().message());
  iothub::net::epoll_loop loop;
  auto service = example::service(loop);
  std::puts(perform(service, argv[1], *arguments).dump().c_str());
  return 0;
}
