// Bodies of pipe.hpp.
#pragma once

#include <iothub/memory/pipe.hpp>

namespace iothub {
inline namespace v0 {
namespace memory {

// ---- pipe_stream

inline pipe_stream::pipe_stream(pipe_stream&& other) noexcept
    : network_{other.network_},
      link_{std::exchange(other.link_, nullptr)},
      end_{other.end_},
      attached_{std::exchange(other.attached_, {})},
      open_error_{std::move(other.open_error_)},
      fails_at_{std::exchange(other.fails_at_, never)},
      last_error_{std::move(other.last_error_)} {}

inline pipe_stream& pipe_stream::operator=(pipe_stream&& other) noexcept {
  if (this == &other) return *this;
  close();
  network_ = other.network_;
  link_ = std::exchange(other.link_, nullptr);
  end_ = other.end_;
  attached_ = std::exchange(other.attached_, {});
  open_error_ = std::move(other.open_error_);
  fails_at_ = std::exchange(other.fails_at_, never);
  last_error_ = std::move(other.last_error_);
  return *this;
}

inline result<void> pipe_stream::open(endpoint const& where, time_point now) {
  if (network_ == nullptr) return error{errc::unsupported, "an accepted pipe cannot be opened"};
  if (link_ != nullptr || open_error_) return error{errc::invalid_state, "the pipe is open already"};
  last_error_.reset();
  result<detail::pipe_link*> made = network_->connect(where, now);
  if (!made) {
    open_error_ = std::move(made).error();
    fails_at_ = iothub::add(now, 2 * network_->options_.latency);
    attached_.wake();
    return {};
  }
  link_ = *made;
  ++link_->handles;
  link_->ends[0] = attached_;
  link_->wake_at(0, link_->established, now);
  return {};
}

inline void pipe_stream::attach(loop& on, participant& whom) noexcept {
  attached_.on = &on;
  attached_.whom = &whom;
  if (link_ == nullptr) return;
  link_->ends[end_].on = &on;
  link_->ends[end_].whom = &whom;
}

// A draw for every call keeps the run the same whatever the sizes are.
inline std::size_t pipe_stream::limit(std::size_t size) noexcept {
  if (link_->options.max_chunk == 0) return size;
  std::size_t const chunk = 1 + static_cast<std::size_t>(link_->random.below(link_->options.max_chunk));
  return size < chunk ? size : chunk;
}

inline io_result pipe_stream::read(byte_span into, time_point now) {
  if (link_ == nullptr) return without_link(now);
  if (now < link_->established) return {};
  detail::pipe_flow& flow = link_->flows[end_];
  if (flow.held && !link_->cut) return {};
  std::size_t const available = flow.available(now);
  std::size_t const size = limit(available < into.size() ? available : into.size());
  if (size != 0) {
    flow.read(into.first(size));
    detail::pipe_end& writer = link_->ends[1 - end_];
    if (std::exchange(writer.wants_to_write, false)) writer.wake();
    return {io_status::done, size};
  }
  if (link_->cut && flow.size() == 0) return fail({errc::connection_lost, "the connection was reset by the peer"});
  if (flow.at_end(now)) return {io_status::end, 0};
  return {};
}

inline io_result pipe_stream::write(byte_view from, time_point now) {
  if (link_ == nullptr) return without_link(now);
  if (now < link_->established) return {};
  int const peer = 1 - end_;
  // What the peer did is known here only once its end has arrived.
  bool const heard_of_end = !link_->flows[end_].held && link_->flows[end_].last_arrival() <= now;
  if (link_->cut || (link_->ends[peer].closed && heard_of_end))
    return fail({errc::connection_lost, "the peer has closed the connection"});
  detail::pipe_flow& flow = link_->flows[peer];
  std::size_t const room = link_->options.capacity > flow.size() ? link_->options.capacity - flow.size() : 0;
  std::size_t size = limit(from.size() < room ? from.size() : room);
  std::uint64_t const left = link_->options.drop_after - link_->written;
  if (size > left) size = static_cast<std::size_t>(left);
  if (size == 0 && left != 0) {
    link_->ends[end_].wants_to_write = true;
    return {};
  }
  if (!link_->ends[peer].closed && size != 0) {
    if (link_->network != nullptr) link_->network->reserve_wakeups();
    flow.write(from.substr(0, size), iothub::add(now, pipe_network::delay(*link_)));
    link_->wake_at(peer, flow.last_arrival(), now);
  }
  link_->written += size;
  if (link_->written >= link_->options.drop_after) pipe_network::cut(*link_);
  return size != 0 ? io_result{io_status::done, size} : fail({errc::connection_lost, "the connection was reset"});
}

inline void pipe_stream::close() noexcept {
  open_error_.reset();
  fails_at_ = never;
  if (link_ == nullptr) return;
  detail::pipe_link& link = *std::exchange(link_, nullptr);
  detail::pipe_end& own = link.ends[end_];
  own = {};
  own.closed = true;
  link.flows[end_].clear();
  int const peer = 1 - end_;
  time_point const now = link.network != nullptr ? link.network->loop_.now() : time_point{};
  link.flows[peer].end(iothub::add(now, link.options.latency));
  link.wake_at(peer, link.flows[peer].last_arrival(), now);
  pipe_network::release_handle(link);
}

// ---- pipe_listener

inline void pipe_listener::attach(loop& on, participant& whom) noexcept {
  port_->listener.on = &on;
  port_->listener.whom = &whom;
  if (!port_->backlog.empty()) port_->listener.wake();
}

inline std::optional<pipe_stream> pipe_listener::accept(time_point now) {
  if (!port_) return std::nullopt;
  auto& backlog = port_->backlog;
  if (backlog.empty() || backlog.front().arrives > now) return std::nullopt;
  detail::pipe_link& link = *backlog.front().link;
  backlog.erase(backlog.begin());
  pipe_stream end{link, 1};
  pipe_network::release_handle(link);
  return std::optional<pipe_stream>{std::move(end)};
}

inline void pipe_listener::close() noexcept {
  if (!port_) return;
  if (port_->network != nullptr) {
    auto& ports = port_->network->ports_;
    for (std::size_t i = 0; i != ports.size(); ++i)
      if (ports[i] == port_.get()) {
        ports.erase(ports.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
  }
  for (detail::pipe_port::waiting const& w : port_->backlog) {
    pipe_network::cut(*w.link);
    pipe_network::release_handle(*w.link);
  }
  port_.reset();
}

// ---- pipe_network

inline pipe_network::~pipe_network() {
  for (detail::pipe_port* port : ports_) port->network = nullptr;
  for (slot_id id = links_.first(); id != 0; id = links_.after(id)) (*links_.find(id))->network = nullptr;
}

inline detail::pipe_port* pipe_network::find_port(endpoint const& where) const noexcept {
  detail::pipe_port* any = nullptr;
  for (detail::pipe_port* port : ports_) {
    if (port->at == where) return port;
    if (port->at.host == "*" && port->at.port == where.port) any = port;
  }
  return any;
}

inline bool pipe_network::knows_host(std::string_view host) const noexcept {
  for (detail::pipe_port const* port : ports_)
    if (port->at.host == host || port->at.host == "*") return true;
  return false;
}

inline result<pipe_listener> pipe_network::listen(endpoint const& at) {
  std::unique_ptr<detail::pipe_port> port{new detail::pipe_port{}};
  port->network = this;
  port->at = at;
  while (port->at.port == 0) {
    port->at.port = next_free_port_++;
    if (next_free_port_ == 0) next_free_port_ = 49152;
    if (find_port(port->at) != nullptr) port->at.port = 0;
  }
  for (detail::pipe_port const* other : ports_)
    if (other->at == port->at)
      return error{errc::already_exists, at.host + ":" + std::to_string(at.port) + " is listened on already"};
  ports_.push_back(port.get());
  return pipe_listener{std::move(port)};
}

inline result<detail::pipe_link*> pipe_network::connect(endpoint const& where, time_point now) {
  std::string const name = where.host + ":" + std::to_string(where.port);
  if (refusals_ != 0) {
    --refusals_;
    return error{errc::connection_refused, name + " refuses connections for now"};
  }
  detail::pipe_port* const port = find_port(where);
  if (port == nullptr && knows_host(where.host)) return error{errc::connection_refused, "nobody listens on " + name};
  if (port == nullptr) return error{errc::host_not_found, "there is no host " + where.host};
  port->backlog.reserve(port->backlog.size() + 1);
  reserve_wakeups();
  std::unique_ptr<detail::pipe_link> link{new detail::pipe_link{}};
  link->network = this;
  link->options = options_;
  link->random = prng{random_()};
  time_point const arrives = iothub::add(now, options_.latency);
  link->established = iothub::add(arrives, options_.latency);
  link->id = links_.emplace(link.get());
  link->handles = 1;
  port->backlog.push_back({link.get(), arrives});
  detail::pipe_link* const made = link.release();
  wake_at(*made, 2, arrives, now);
  return made;
}

inline duration pipe_network::delay(detail::pipe_link& link) noexcept {
  if (link.options.jitter <= duration{0}) return link.options.latency;
  return link.options.latency + duration{link.random.between(0, link.options.jitter.count())};
}

inline void detail::pipe_link::wake_at(int end, time_point at, time_point now) noexcept {
  if (network != nullptr)
    network->wake_at(*this, static_cast<unsigned char>(end), at, now);
  else
    ends[end].wake();
}

inline void pipe_network::wake_at(detail::pipe_link& link, unsigned char which, time_point at,
                                  time_point now) noexcept {
  if (at <= now)
    wake(link, which);
  else
    schedule({at, 0, link.id, which});
}

inline void pipe_network::wake(detail::pipe_link& link, unsigned char which) const noexcept {
  if (which != 2) return link.ends[which].wake();
  for (detail::pipe_port const* port : ports_)
    for (detail::pipe_port::waiting const& w : port->backlog)
      if (w.link == &link) port->listener.wake();
}

inline void pipe_network::schedule(wakeup w) noexcept {
  w.sequence = ++sequence_;
  wakeups_.push_back(w);
  for (std::size_t i = wakeups_.size() - 1; i != 0 && wakeups_[i] < wakeups_[(i - 1) / 2]; i = (i - 1) / 2)
    std::swap(wakeups_[i], wakeups_[(i - 1) / 2]);
  if (wakeups_.front().sequence == sequence_) loop_.wake(*this);
}

inline void pipe_network::step(time_point now) {
  while (!wakeups_.empty() && wakeups_.front().at <= now) {
    wakeup const due = wakeups_.front();
    wakeups_.front() = wakeups_.back();
    wakeups_.pop_back();
    for (std::size_t i = 0, child = 1; child < wakeups_.size(); i = child, child = 2 * i + 1) {
      if (child + 1 < wakeups_.size() && wakeups_[child + 1] < wakeups_[child]) ++child;
      if (!(wakeups_[child] < wakeups_[i])) break;
      std::swap(wakeups_[i], wakeups_[child]);
    }
    if (detail::pipe_link* const* const link = links_.find(due.link)) wake(**link, due.which);
  }
}

inline void pipe_network::release_handle(detail::pipe_link& link) noexcept {
  if (--link.handles != 0) return;
  if (link.network != nullptr) link.network->links_.erase(link.id);
  delete &link;
}

inline void pipe_network::cut(detail::pipe_link& link) noexcept {
  link.cut = true;
  link.ends[0].wake();
  link.ends[1].wake();
}

inline void pipe_network::reset(connection_id id) noexcept {
  detail::pipe_link* const* const link = links_.find(id);
  if (link == nullptr) return;
  (*link)->flows[0].clear();
  (*link)->flows[1].clear();
  cut(**link);
}

inline void pipe_network::set_held(connection_id id, pipe_direction which, bool held) noexcept {
  detail::pipe_link* const* const link = links_.find(id);
  if (link == nullptr) return;
  if ((static_cast<unsigned>(which) & static_cast<unsigned>(pipe_direction::to_client)) != 0)
    (*link)->flows[0].held = held;
  if ((static_cast<unsigned>(which) & static_cast<unsigned>(pipe_direction::to_server)) != 0)
    (*link)->flows[1].held = held;
  (*link)->ends[0].wake();
  (*link)->ends[1].wake();
}

inline void pipe_network::reset_all() noexcept {
  for (slot_id id = links_.first(); id != 0; id = links_.after(id)) reset(id);
}
inline void pipe_network::hold_all(pipe_direction which) noexcept {
  for (slot_id id = links_.first(); id != 0; id = links_.after(id)) hold(id, which);
}
inline void pipe_network::release_all() noexcept {
  for (slot_id id = links_.first(); id != 0; id = links_.after(id)) release(id);
}
inline std::vector<connection_id> pipe_network::connections() const {
  std::vector<connection_id> ids;
  for (slot_id id = links_.first(); id != 0; id = links_.after(id)) ids.push_back(id);
  return ids;
}

inline std::pair<pipe_stream, pipe_stream> make_pipe(pipe_options const& options) {
  std::unique_ptr<detail::pipe_link> link{new detail::pipe_link{}};
  link->options = options;
  link->options.latency = link->options.jitter = duration{0};
  link->random = prng{options.seed};
  detail::pipe_link& both = *link.release();
  return {pipe_stream{both, 0}, pipe_stream{both, 1}};
}

static_assert(byte_stream<pipe_stream>);

}  // namespace memory
}  // namespace v0
}  // namespace iothub
