// What a back end reads: events, feedback and file notifications as any server may send them, and the event endpoint's
// connection strings. Whatever comes, it is refused or it can be printed.
#include <cstdint>
#include <string_view>

#include <iothub/service/event_message.hpp>
#include <iothub/wire/c2d_feedback.hpp>
#include <iothub/wire/event_hub_string.hpp>
#include <iothub/wire/hub_event_text.hpp>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes{reinterpret_cast<char const*>(data), size};
  iothub::hub_event event;
  if (iothub::read_event(bytes, event)) {
    auto const line = iothub::to_line(event);
    for (char const c : line)
      if (static_cast<unsigned char>(c) < ' ') __builtin_trap();
    if (!iothub::json::parse(to_json(event).dump())) __builtin_trap();
  }
  (void)iothub::parse_feedback(bytes);
  (void)iothub::parse_file_notification(bytes);
  if (auto const parsed = iothub::parse_event_hub_string(bytes); parsed && (parsed->host.empty() || parsed->entity.empty()))
    __builtin_trap();
  return 0;
}
