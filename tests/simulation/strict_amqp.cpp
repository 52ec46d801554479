#include "strict_amqp.hpp"

namespace iothub_test {
namespace {

using iothub::sim::amqp_field;
using iothub::sim::amqp_performative;

// Per field a letter for its type, large where it must be there: s string, y symbol, u uint, h ushort, g ubyte, b boolean,
// n binary, m map, a symbols, * whatever.
struct rule {
  amqp_performative what;
  char const* name;
  char const* fields;
};
constexpr rule rules[] = {
    {amqp_performative::open, "open", "Ssuhuaaaam"},
    {amqp_performative::begin, "begin", "hUUUuaam"},
    {amqp_performative::attach, "attach", "SUBgg**mbu*aam"},
    {amqp_performative::flow, "flow", "uUUUuuuubbm"},
    {amqp_performative::transfer, "transfer", "Uunubbg*bbb"},
    {amqp_performative::disposition, "disposition", "BUub*b"},
    {amqp_performative::detach, "detach", "Ub*"},
    {amqp_performative::end, "end", "*"},
    {amqp_performative::close, "close", "*"},
};
rule const* rule_of(amqp_performative what) {
  for (rule const& r : rules)
    if (r.what == what) return &r;
  return nullptr;
}
bool has_type(amqp_field const& f, char type) {
  unsigned const c = f.code();
  switch (type) {
    case 's': return c == 0xa1 || c == 0xb1;
    case 'y': return c == 0xa3 || c == 0xb3;
    case 'u': return c == 0x43 || c == 0x52 || c == 0x70;
    case 'h': return c == 0x60;
    case 'g': return c == 0x50;
    case 'b': return c == 0x41 || c == 0x42 || c == 0x56;
    case 'n': return c == 0xa0 || c == 0xb0;
    case 'm': return f.is_map();
    case 'a': return c == 0xa3 || c == 0xb3 || c == 0xe0 || c == 0xf0;
    default: return true;
  }
}
char const* fields_wrong(amqp_field const& list, char const* types) {
  std::string_view rest = list.items();
  std::size_t count = 0;
  for (; !rest.empty(); ++count) {
    std::size_t const size = iothub::sim::amqp_value_size(rest);
    if (size == 0) return "1.6.22: a list holds what is no value";
    if (*types == 0) return "2.7: a performative has more fields than there are";
    amqp_field const f{rest.substr(0, size)};
    bool const needed = *types >= 'A' && *types <= 'Z';
    char const type = needed ? static_cast<char>(*types + 32) : *types;
    if (f.is_null() && needed) return "2.7: a field is missing that has to be there";
    if (!f.is_null() && !has_type(f, type)) return "2.7: a field has another type";
    ++types;
    rest.remove_prefix(size);
  }
  if (count != list.count()) return "1.6.22: a list holds another number of values than it says";
  for (; *types != 0; ++types)
    if (*types >= 'A' && *types <= 'Z') return "2.7: a field is missing that has to be there";
  return nullptr;
}
std::uint32_t number(amqp_field const& f, std::uint64_t otherwise = 0) { return static_cast<std::uint32_t>(f.number(otherwise)); }
bool before(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }  // RFC 1982

// Sections of a message (Part 3, 3.2), as far as they are there.
void read_message(std::string_view payload, seen_frame& into) {
  while (payload.size() > 3 && payload[0] == 0) {
    std::size_t const name = iothub::sim::amqp_value_size(payload.substr(1));
    if (name == 0) return;
    auto const section = amqp_field{payload.substr(1, name)}.number();
    std::string_view rest = payload.substr(1 + name);
    std::size_t const size = iothub::sim::amqp_value_size(rest);
    if (section == 0x73 && size != 0) into.correlation = std::string{amqp_field{rest}.at(5).bytes};
    if (section == 0x75 || section == 0x77) {
      std::size_t const head = rest.empty() ? 0 : (static_cast<unsigned char>(rest[0]) & 0xf0) == 0xa0 ? 2 : 5;
      into.body = rest.substr(0, size == 0 ? rest.size() : size);
      into.body.remove_prefix(head < into.body.size() ? head : into.body.size());
      return;
    }
    if (size == 0) return;
    payload = rest.substr(size);
  }
}
bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

std::size_t amqp_witness::links_attached() const noexcept {
  std::size_t n = 0;
  for (auto const& [handle, l] : links_) n += l.answered && l.address.compare(0, 9, "/devices/") == 0;
  return n;
}
amqp_witness::link* amqp_witness::of_hub(std::uint32_t handle) {
  for (auto& [ours, l] : links_)
    if (l.answered && l.theirs == handle) return &l;
  return nullptr;
}

seen_frame amqp_witness::up(std::string_view bytes) {
  seen_frame seen;
  auto const f = iothub::sim::read_amqp_frame(bytes);
  seen.wrong = up_rules(f, seen);
  if (seen.wrong == nullptr && bytes.size() > most_ && !f.sasl) seen.wrong = "2.7.1: a frame is larger than the hub takes";
  return seen;
}

char const* amqp_witness::up_rules(frame const& f, seen_frame& seen) {
  if (!f.good) return "2.3: no frame";
  if (f.protocol) {
    seen.name = "header";
    if (header_) return "2.2: a second protocol header";
    if (sasl_) header_ = true;
    sasl_ = true;  // the first may be that of SASL
    return nullptr;
  }
  if (f.sasl) return seen.name = "sasl", sasl_ ? nullptr : "5.3: SASL before its protocol header";
  header_ = true;
  if (!sasl_) return "2.2: a frame before the protocol header";
  if (close_up_) return "2.4.3: a frame after `close`";
  if (f.code == 0) return seen.name = "empty", open_up_ ? nullptr : "2.4.1: a frame before `open`";
  rule const* const r = rule_of(f.what());
  if (r == nullptr) return "2.7: a performative that is none";
  seen.name = r->name;
  if (char const* const wrong = fields_wrong(f.fields, r->fields)) return wrong;
  if (open_up_ == (f.what() == amqp_performative::open)) return "2.4.1: `open` comes first and once";
  bool const of_session = f.what() != amqp_performative::open && f.what() != amqp_performative::close;
  if (of_session && (f.what() == amqp_performative::begin) == begun_) return "2.5.1: a frame outside of a session";
  switch (f.what()) {
    case amqp_performative::open: open_up_ = true; return nullptr;
    case amqp_performative::close:
      close_up_ = true;
      seen.what = seen_frame::kind::closed;
      seen.accepted = f.fields.at(0).is_null();
      return nullptr;
    case amqp_performative::begin:
      begun_ = true;
      next_out_ = window_until_ = number(f.fields.at(1));
      return nullptr;
    case amqp_performative::end: begun_ = false, begun_down_ = false, links_.clear(); return nullptr;
    case amqp_performative::attach: return up_attach(f);
    case amqp_performative::flow: return up_flow(f);
    case amqp_performative::transfer: return up_transfer(f, seen);
    case amqp_performative::disposition: return up_disposition(f, seen);
    case amqp_performative::detach:
      return links_.erase(number(f.fields.at(0))) == 0 ? "2.6.6: `detach` of a link that is not there" : nullptr;
    default: return nullptr;
  }
}

char const* amqp_witness::up_attach(frame const& f) {
  std::uint32_t const handle = number(f.fields.at(1));
  std::string const name{f.fields.at(0).text()};
  for (auto const& [h, l] : links_) {
    if (h == handle) return "2.6.2: a handle that is in use";
    if (l.name == name && l.sends == !f.fields.at(2).is_true()) return "2.6.1: two links of one name and role";
  }
  link made;
  made.name = name;
  made.sends = !f.fields.at(2).is_true();
  made.address = std::string{f.fields.at(made.sends ? 6 : 5).described().at(0).text()};
  made.delivery_count = made.limit = number(f.fields.at(9));
  if (made.sends && f.fields.at(9).is_null()) return "2.7.3: a sender without initial-delivery-count";
  links_[handle] = made;
  return nullptr;
}

char const* amqp_witness::up_transfer(frame const& f, seen_frame& seen) {
  auto const found = links_.find(number(f.fields.at(0)));
  if (found == links_.end() || !found->second.sends) return "2.6.12: a transfer on a link that does not send";
  link& l = found->second;
  seen.address = l.address;
  if (!before(next_out_, window_until_)) return "2.5.6: a transfer beyond the hub's incoming window";
  ++next_out_;
  bool const more = f.fields.at(5).is_true();
  if (!l.inside) {
    if (f.fields.at(1).is_null() || f.fields.at(2).is_null()) return "2.7.5: a delivery begins without id or tag";
    std::uint32_t const id = number(f.fields.at(1));
    if (any_delivery_ && id != next_delivery_) return "2.6.12: delivery ids do not rise by one";
    any_delivery_ = true;
    next_delivery_ = id + 1;
    if (f.fields.at(2).text().empty() || f.fields.at(2).text().size() > 32) return "2.8.7: a delivery tag of another size";
    if (!before(l.delivery_count, l.limit)) return "2.6.7: a delivery without credit";
    seen.delivery = id;
    read_message(f.payload, seen);
    if (ends_with(l.address, "/messages/events")) seen.what = seen_frame::kind::telemetry;
    if (ends_with(l.address, "/methods/devicebound")) seen.what = seen_frame::kind::method_answer;
    if (l.address == "$cbs") {
      seen.what = seen_frame::kind::token;
      seen.body = f.payload;
    }
  }
  l.inside = more;
  if (!more) ++l.delivery_count;
  return nullptr;
}

char const* amqp_witness::up_disposition(frame const& f, seen_frame& seen) {
  if (!f.fields.at(0).is_true()) return nullptr;  // a sender's own
  std::uint32_t const first = number(f.fields.at(1)), last = number(f.fields.at(2), first);
  if (before(last, first)) return "2.7.6: `last` is before `first`";
  seen.what = seen_frame::kind::settled;
  seen.delivery = first;
  seen.last = last;
  seen.accepted = f.fields.at(4).descriptor() == 0x24;
  if (!f.fields.at(3).is_true()) return nullptr;
  for (std::uint32_t id = first; !before(last, id); ++id)
    if (received_.erase(id) == 0) return "2.6.12: a delivery is settled that is not there, or a second time";
  return nullptr;
}

char const* amqp_witness::up_flow(frame const& f) {
  if (begun_down_ && f.fields.at(0).is_null() && !received_.empty()) return "2.7.4: `flow` without next-incoming-id";
  if (number(f.fields.at(2)) != next_out_) return "2.7.4: `flow` with another next-outgoing-id";
  if (f.fields.at(4).is_null()) {
    for (std::size_t i = 5; i != 9; ++i)
      if (!f.fields.at(i).is_null() && f.fields.at(i).is_true()) return "2.7.4: `flow` of the session with fields of a link";
    return nullptr;
  }
  return links_.count(number(f.fields.at(4))) == 0 ? "2.7.4: `flow` for a link that is not there" : nullptr;
}

seen_frame amqp_witness::down(std::string_view bytes) {
  seen_frame seen;
  auto const f = iothub::sim::read_amqp_frame(bytes);
  if (!f.good || f.protocol || f.sasl) return seen;
  rule const* const r = rule_of(f.what());
  seen.name = r == nullptr ? "empty" : r->name;
  auto const& x = f.fields;
  switch (f.what()) {
    case amqp_performative::open:
      open_down_ = true;
      most_ = x.at(2).number(0xffffffffu);
      hub_patience_ = x.at(4).number();
      seen.what = seen_frame::kind::opened;
      break;
    case amqp_performative::begin:
      begun_down_ = true;
      window_until_ = next_out_ + number(x.at(2));
      break;
    case amqp_performative::attach:
      for (auto& [handle, l] : links_) {
        if (l.answered || l.name != x.at(0).text() || l.sends != x.at(2).is_true()) continue;
        l.answered = true;
        l.theirs = number(x.at(1));
        seen.what = seen_frame::kind::attached;
        seen.address = l.address;
        break;
      }
      break;
    case amqp_performative::flow:
      if (!x.at(0).is_null()) window_until_ = number(x.at(0)) + number(x.at(1));
      if (link* const l = x.at(4).is_null() ? nullptr : of_hub(number(x.at(4))); l != nullptr && l->sends)
        l->limit = (x.at(5).is_null() ? l->delivery_count : number(x.at(5))) + number(x.at(6));
      break;
    case amqp_performative::transfer: {
      link* const l = of_hub(number(x.at(0)));
      if (l == nullptr || l->sends) break;
      bool const first = !l->inside;
      l->inside = x.at(5).is_true();
      if (!first) break;
      seen.delivery = number(x.at(1));
      seen.address = l->address;
      if (!x.at(4).is_true()) received_.insert(seen.delivery);
      read_message(f.payload, seen);
      if (ends_with(l->address, "/methods/devicebound")) seen.what = seen_frame::kind::call;
      if (ends_with(l->address, "/messages/devicebound")) seen.what = seen_frame::kind::message;
      break;
    }
    case amqp_performative::detach:
      // The client's handle stays taken until it has answered.
      break;
    default: break;
  }
  return seen;
}

}  // namespace iothub_test
