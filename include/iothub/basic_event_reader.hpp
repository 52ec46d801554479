// The event reader: what devices said, from the hub's built-in endpoint. The alias event_reader is in event_reader.hpp.
//
//   auto reader = iothub::event_reader::from_connection_string(text, {.start = event_position::earliest()}).value();
//   for (auto& event : reader) {
//     if (!event) …event.error()…
//     else std::cout << event->device_id << ": " << event->content.body.bytes() << '\n';
//   }
//
// The text is that of an IoT hub (HostName=…;SharedAccessKeyName=service;SharedAccessKey=…), which redirects to its
// event endpoint, or that of the endpoint itself
// (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…), with UseDevelopmentEmulator=true also without
// TLS.
//
// Three ways to get events: the range above, next(limit), or on_event(handler), whose handler is called from the loop
// and may block, like all handlers here; the reader keeps its connection meanwhile. A handler may destroy the reader.
// Events of a partition come in their order, those of different partitions in the order of arrival.
//
// What is lost and what comes twice. A connection that breaks is made again, and reading goes on behind the last event
// that was received: nothing is skipped and nothing comes twice. After a restart reading goes on behind the last
// checkpoint, so that events may come twice, and none is skipped. What retention dropped meanwhile cannot be read:
// hub_event::missed_before says how many events there were.
//
// Several readers that share the partitions: event_reader_options::share_partitions, and checkpoint_store.hpp.
//
// Errors. open(), and next() until the first connection stands, tell every failed attempt, and go on trying when called
// again; later the reader reconnects by itself, with notices (on_notice). What is over for good comes out of next():
//   errc::unauthorized          the policy, its key or its rights; certificate_rejected: not the hub's certificate,
//                               where none was good before
//   errc::not_found             no such entity, consumer group or partition
//   errc::link_stolen           a reader with the same or a higher owner level took the partition; the others go on
//   errc::quota_exceeded        five receivers read that partition and group already
// One thread: everything here, and everything on the same loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <iothub/base/exchange.hpp>
#include <iothub/base/owned.hpp>
#include <iothub/base/result.hpp>
#include <iothub/base/prng.hpp>
#include <iothub/base/uuid.hpp>
#include <iothub/crypto/crypto.hpp>
#include <iothub/policy/client_handle.hpp>
#include <iothub/policy/amqp_transport.hpp>
#include <iothub/policy/clock.hpp>
#include <iothub/policy/held.hpp>
#include <iothub/service/event_reader_driver.hpp>
#include <iothub/service/sas_passes.hpp>

namespace iothub {
inline namespace v0 {

namespace detail {
template <class Transport, class Clock, class Crypto>
class event_reader_state;
}  // namespace detail

// Transport, Clock and Crypto are policies: values, or references to what the caller keeps. The destructor calls no
// handler and saves no checkpoint: close() does.
template <class Transport, class Clock, class Crypto>
class basic_event_reader : public client_handle<detail::event_reader_state<Transport, Clock, Crypto>> {
  static_assert(amqp_transport<std::remove_reference_t<Transport>>,
                "basic_event_reader: Transport must be an amqp_transport; see iothub/policy/amqp_transport.hpp");
  static_assert(clock<std::remove_reference_t<Clock>>,
                "basic_event_reader: Clock must offer `time_point now() const` and `utc_time utc_now() const`");
  static_assert(crypto<std::remove_reference_t<Crypto>>,
                "basic_event_reader: Crypto must offer signing_key, prepare(), sign() and fill_random(); "
                "see iothub/crypto/crypto.hpp");

 public:
  // On a loop that outlives the reader. Each source is a policy, a reference to one, or a function that makes one.
  // errc::malformed or invalid_argument: what is wrong with the connection string, the key or an option.
  template <class TransportSource, class ClockSource, class CryptoSource>
  [[nodiscard]] static result<basic_event_reader> create(loop& on, std::string_view text, TransportSource&& transport,
                                                         ClockSource&& clock, CryptoSource&& crypto,
                                                         event_reader_options const& options = {}) {
    return make(on, nullptr, text, std::forward<TransportSource>(transport), std::forward<ClockSource>(clock),
                std::forward<CryptoSource>(crypto), options);
  }
  // With a loop of its own, or on one that it shares, for transports that need nothing but options. errc::io_error: an
  // unreadable CA file.
  [[nodiscard]] static result<basic_event_reader> from_connection_string(std::string_view text,
                                                                         event_reader_options const& options = {})
    requires self_made_amqp<Transport>
  {
    auto own = make_owned<typename back_end_transport<Transport>::loop_type>();
    loop& on = *own;
    return self_made(on, std::move(own), text, options);
  }
  [[nodiscard]] static result<basic_event_reader> from_connection_string(loop& on, std::string_view text,
                                                                         event_reader_options const& options = {})
    requires self_made_amqp<Transport>
  {
    return self_made(on, nullptr, text, options);
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  // Connects and waits until all receivers are there; next(), the range and on_event() do so by themselves.
  // errc::timeout when they are not within `limit`: it goes on trying. Errors as above.
  result<void> open(duration limit = std::chrono::seconds{60}) { return state().open(limit); }
  // The next event; the one before it is finished. errc::timeout when none came within `limit`, closed after close()
  // and after the reader has failed, cancelled by stop(), stalled in virtual time; other errors as above.
  result<hub_event> next(duration limit = duration::max()) { return state().next(limit); }

  struct sentinel {};
  class iterator {
   public:
    using value_type = result<hub_event>;
    using difference_type = std::ptrdiff_t;
    explicit iterator(event_reader_driver& reader) noexcept : reader_{&reader} {}
    result<hub_event>& operator*() const noexcept { return *reader_->current(); }
    result<hub_event>* operator->() const noexcept { return &*reader_->current(); }
    iterator& operator++() {
      reader_->advance();
      return *this;
    }
    void operator++(int) { reader_->advance(); }
    friend bool operator==(iterator const& it, sentinel) noexcept { return !it.reader_->current(); }

   private:
    event_reader_driver* reader_;
  };
  // One event after the other, without an end but stop(), close() and an error for good, which is its last item. The
  // reader stays where it is meanwhile.
  [[nodiscard]] iterator begin() {
    state().advance();
    return iterator{state()};
  }
  [[nodiscard]] sentinel end() const noexcept { return {}; }

  // From now on events go to this handler: void(hub_event const&). An event is finished when it has returned. An
  // exception leaves the call that ran the loop; the event does not come again, and only a checkpoint behind a later
  // one of its partition passes it.
  template <class F>
  void on_event(F handler) {
    state().on_event(std::move(handler));
  }
  // What happens beside events: void(reader_notice const&).
  template <class F>
  void on_notice(F handler) {
    state().on_notice(std::move(handler));
  }

  // --- position ------------------------------------------------------------------------------------------------------

  // Saves a checkpoint behind every event that is finished. Errors of the store.
  result<void> checkpoint() { return state().core().save(); }
  // Saves one behind this event, finished or not. errc::lock_lost: the partition is another reader's now.
  result<void> checkpoint(hub_event const& behind) { return state().core().save(behind); }
  // Saves, gives partitions up to other readers, and says good-bye. What was received and not asked for is dropped;
  // open() begins anew, behind the checkpoints or where the options say.
  void close() { state().close(); }

  // The partitions that are this reader's now.
  [[nodiscard]] std::vector<std::string> partitions() const { return state().core().partitions(); }
  [[nodiscard]] std::string const& name() const noexcept { return state().core().name(); }
  // Events handed out, and events that retention dropped before they could be.
  [[nodiscard]] std::uint64_t events() const noexcept { return state().core().events(); }
  [[nodiscard]] std::uint64_t missed() const noexcept { return state().core().missed(); }

  [[nodiscard]] std::remove_reference_t<Transport>& transport() noexcept { return state().transport(); }

 private:
  using state_type = detail::event_reader_state<Transport, Clock, Crypto>;
  using handle = client_handle<state_type>;
  explicit basic_event_reader(state_type* of) noexcept : handle{of} {}
  using handle::state;
  template <class T, class C, class K>
  static result<basic_event_reader> make(loop& on, owned<loop> own, std::string_view text, T&& transport, C&& clock,
                                         K&& crypto, event_reader_options const& options) {
    if (auto valid = validate(options); !valid) return std::move(valid).error();
    auto source = parse_event_source(text, options);
    if (!source) return std::move(source).error();
    basic_event_reader made{new state_type(on, std::move(own), std::forward<T>(transport), std::forward<C>(clock),
                                           std::forward<K>(crypto))};
    if (auto started = made.state().take(*std::move(source), options); !started) return std::move(started).error();
    return made;
  }
  static result<basic_event_reader> self_made(loop& on, owned<loop> own, std::string_view text,
                                              event_reader_options const& options) {
    auto source = parse_event_source(text, options);
    if (!source) return std::move(source).error();
    using transport = back_end_transport<Transport>;
    trusted_files const files{options.ca_file, options.crl_file};
    if (auto good = transport::check(files, source->plain); !good) return std::move(good).error();
    bool const plain = source->plain;
    return make(on, std::move(own), text, [&] { return transport::make(files, plain); },
                [&] { return std::remove_reference_t<Clock>{on}; }, [] { return std::remove_reference_t<Crypto>{}; },
                options);
  }
};

// --- bodies ---------------------------------------------------------------------------------------------------------

namespace detail {

template <class Transport, class Clock, class Crypto>
class event_reader_state final : private held_policies<Transport, Clock, Crypto>, public event_reader_driver {
  using policies = held_policies<Transport, Clock, Crypto>;
  using transport_type = std::remove_reference_t<Transport>;
  using passes_type = sas_passes<std::remove_reference_t<Crypto>&>;

 public:
  template <class T, class C, class K>
  event_reader_state(loop& on, owned<loop> own, T&& transport, C&& clock, K&& crypto)
      : policies(std::move(own), std::forward<T>(transport), std::forward<C>(clock), std::forward<K>(crypto)),
        event_reader_driver(on) {
    this->transport_.attach(on, this->io());
  }

  result<void> take(event_source_address source, event_reader_options options) {
    auto passes = passes_type::make(this->crypto_, source.policy, source.key, source.signature);
    if (!passes) return std::move(passes).error();
    passes_.emplace(*std::move(passes));
    source.key.clear();
    lifetime_ = options.token_lifetime;
    options.seed = make_seed(options.seed, this->crypto_);
    if (options.reader_name.empty()) {
      char bytes[uuid_bytes];
      if (!this->crypto_.fill_random(byte_span{bytes, sizeof bytes})) prng{options.seed}.fill(bytes);
      options.reader_name = to_uuid({bytes, sizeof bytes});
    }
    start(port_, std::move(source), std::move(options));
    return {};
  }
  [[nodiscard]] transport_type& transport() noexcept { return this->transport_; }

 private:
  ~event_reader_state() override { this->transport_.drop(); }

  void step_transport(time_point now) override { this->transport_.step(now); }
  [[nodiscard]] time_point transport_deadline() const override {
    return static_cast<transport_type const&>(this->transport_).deadline();
  }
  result<std::string> sign(sas_form form, std::string_view resource) override {
    return passes_->token(form, resource, utc_now(), lifetime_);
  }
  [[nodiscard]] utc_time utc_now() const override { return this->clock_.utc_now(); }

  amqp_port_of<transport_type> port_{this->transport_};
  std::optional<passes_type> passes_;
  std::chrono::seconds lifetime_{};
};

}  // namespace detail

}  // namespace v0
}  // namespace iothub
