// expect: a method handler is called as method_response(method_request const&), or to answer later as
#include <iothub/device/method_dispatcher.hpp>

void add(iothub::method_dispatcher& methods) {
#ifdef FIXED
  methods.on("m", [](iothub::method_request const&) -> iothub::method_response { return {}; });
#else
  methods.on("m", [](int) { return 5; });  // neither answers nor takes a responder
#endif
}
