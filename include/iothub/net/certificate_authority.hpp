// The certificate authority of the served hub: one CA, kept, and one server certificate under it.
//
// Theory of operation. A client of the served hub trusts one file, so that file has to outlive a restart: the CA is
// made once per folder and its key stays there (mode 0600). The server's certificate is cheap: it is made anew whenever
// it no longer fits the host names that are asked for, comes near its end, or does not belong to the CA. The CA is
// bound to the hub's names (RFC 5280 section 4.2.1.10), so that a leaked key cannot impersonate anybody else; when a
// host name outside those is asked for, the CA certificate is signed again by the same key with the name added, and
// `extended` says that clients have to load the file again. The system's trust store is never touched.
//
// In the folder: ca.pem (what clients trust), ca-key.pem, server.pem (the chain that is sent: leaf, then CA),
// server-key.pem. A lock file keeps two processes that start at once from making two CAs.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <iothub/base/result.hpp>
#include <iothub/base/time.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

struct certificate_authority_options {
  // Names and addresses the server certificate holds beside the built-in ones (below). DNS names, one level of
  // wildcard at the left, or IP addresses.
  std::vector<std::string> host_names = {};
  std::chrono::hours ca_lifetime{24 * 3650};
  std::chrono::hours leaf_lifetime{24 * 397};  // longer ones are refused by some clients
  std::chrono::hours renew_before{24 * 30};    // a leaf with less left than this is made anew
};

struct certificate_authority {
  std::string ca_pem = {};           // the trust anchor, for clients
  std::string chain_pem = {};        // what the server sends: its certificate, then the CA's
  std::string private_key_pem = {};  // of the server's certificate
  std::string ca_file = {};          // path of ca.pem; empty for one that lives in memory
  bool created = false;              // the CA is new: nobody trusts it yet
  bool extended = false;             // the CA certificate was signed again for a new name: clients load it again
};

// Always in the certificate: localhost, hub.localhost, *.azure-devices.net, 127.0.0.1 and ::1. Clients that refuse a
// host without a dot use 127.0.0.1 or hub.localhost; *.azure-devices.net serves made-up hub names.
[[nodiscard]] std::vector<std::string> const& built_in_host_names();

// Opens the CA in `folder`, making the folder (mode 0700) and what is missing in it. Fails with errc::io_error where
// the folder or a file cannot be read or written, where the folder is another user's or others may write to it, and
// where a file in it is no regular one of this user's; errc::malformed where a file is there but is no key or
// certificate, and errc::invalid_argument for a host name that is none.
[[nodiscard]] result<certificate_authority> open_certificate_authority(std::string const& folder,
                                                                       certificate_authority_options const& options,
                                                                       utc_time now);

// The same in memory, for tests and for a hub that shall leave nothing behind.
[[nodiscard]] result<certificate_authority> make_certificate_authority(certificate_authority_options const& options,
                                                                       utc_time now);

}  // namespace net
}  // namespace v0
}  // namespace iothub

#include <iothub/net/certificate_authority_files.hpp>
#include <iothub/net/x509_builder.hpp>

namespace iothub {
inline namespace v0 {
namespace net {

inline std::vector<std::string> const& built_in_host_names() {
  static std::vector<std::string> const names{"localhost", "hub.localhost", "*.azure-devices.net", "127.0.0.1", "::1"};
  return names;
}

namespace detail {

inline result<std::vector<std::string>> all_host_names(certificate_authority_options const& options) {
  std::vector<std::string> names = built_in_host_names();
  for (auto const& name : options.host_names) {
    auto const lower = lower_case(name);
    if (!is_host_name(lower) && !is_ip_address(lower))
      return error{errc::invalid_argument, "\"" + printable(name) + "\" is neither a host name nor an IP address"};
    bool known = false;
    for (auto const& other : names) known = known || other == lower;
    if (!known) names.push_back(lower);
  }
  return names;
}

inline result<void> issue_leaf(certificate_authority& authority, x509_key const& ca_key, x509_certificate const& ca,
                               std::vector<std::string> const& names, certificate_authority_options const& options,
                               utc_time now) {
  auto key = make_p256_key();
  if (!key) return std::move(key).error();
  auto leaf = make_leaf(*key, ca, ca_key, names, now, options.leaf_lifetime);
  if (!leaf) return std::move(leaf).error();
  authority.chain_pem = to_pem(*leaf) + to_pem(ca);
  authority.private_key_pem = to_pem(*key);
  return {};
}

// The CA certificate whose constraints allow every name: the old one where it does already.
inline result<x509_certificate> ca_for(x509_key const& key, x509_certificate old, std::vector<std::string> const& names,
                                       certificate_authority_options const& options, utc_time now, bool& extended) {
  std::vector<std::string> allowed = old ? constrained_names(old) : std::vector<std::string>{};
  bool fits = static_cast<bool>(old) && valid_for(old, now, options.renew_before);
  for (auto const& name : names) {
    auto const constraint = constraint_for(name);
    bool known = false;
    for (auto const& other : allowed) known = known || other == constraint;
    if (known) continue;
    allowed.push_back(constraint);
    fits = false;
  }
  if (fits) return old;
  extended = static_cast<bool>(old);
  return make_ca(key, allowed, now, options.ca_lifetime);
}

// Takes the server's certificate from its files; false where there is none that still does.
inline bool load_leaf(std::string const& chain_file, std::string const& key_file, x509_certificate const& ca,
                      std::vector<std::string> const& names, utc_time now, std::chrono::hours renew_before,
                      certificate_authority& authority) {
  bool missing = false;
  descriptor file;
  mode_t mode = 0;
  auto chain = read_own_file(chain_file, missing);
  auto key_text = read_own_file(key_file, missing, file, mode);
  if (!chain || !key_text || missing) return false;
  auto const leaf = certificate_from_pem(*chain);
  auto const key = key_from_pem(*key_text);
  if (!leaf || !key || X509_check_private_key(leaf.get(), key.get()) != 1) return false;
  if (X509_verify(leaf.get(), X509_get0_pubkey(ca.get())) != 1 || names_of(leaf) != names)
    return ERR_clear_error(), false;
  if (!valid_for(leaf, now, renew_before) || !close_to_others(file, key_file, mode)) return false;
  authority.chain_pem = to_pem(leaf) + to_pem(ca);
  authority.private_key_pem = std::move(*key_text);
  return true;
}

}  // namespace detail

inline result<certificate_authority> make_certificate_authority(certificate_authority_options const& options,
                                                                utc_time now) {
  auto names = detail::all_host_names(options);
  if (!names) return std::move(names).error();
  auto key = detail::make_p256_key();
  if (!key) return std::move(key).error();
  certificate_authority authority;
  auto ca = detail::ca_for(*key, {}, *names, options, now, authority.extended);
  if (!ca) return std::move(ca).error();
  authority.created = true;
  authority.ca_pem = detail::to_pem(*ca);
  if (auto issued = detail::issue_leaf(authority, *key, *ca, *names, options, now); !issued) return issued.error();
  return authority;
}

inline result<certificate_authority> open_certificate_authority(std::string const& folder,
                                                                certificate_authority_options const& options,
                                                                utc_time now) {
  auto names = detail::all_host_names(options);
  if (!names) return std::move(names).error();
  if (auto made = detail::make_folder(folder); !made) return made.error();
  if (auto safe = detail::check_folder(folder); !safe) return safe.error();
  detail::folder_lock lock;
  if (auto locked = lock.acquire(folder + "/.lock"); !locked) return locked.error();

  certificate_authority authority;
  authority.ca_file = folder + "/ca.pem";
  auto ca_key = detail::load_or_make_key(folder + "/ca-key.pem", authority.created);
  if (!ca_key) return std::move(ca_key).error();
  detail::x509_certificate old;
  if (!authority.created) {
    auto read = detail::load_certificate(authority.ca_file, *ca_key);
    if (!read) return std::move(read).error();
    old = std::move(*read);
  }
  bool const had_certificate = static_cast<bool>(old);
  auto ca = detail::ca_for(*ca_key, std::move(old), *names, options, now, authority.extended);
  if (!ca) return std::move(ca).error();
  authority.ca_pem = detail::to_pem(*ca);
  if (!had_certificate || authority.extended) {
    authority.created = !had_certificate;
    if (auto wrote = detail::write_file(authority.ca_file, authority.ca_pem, 0644); !wrote) return wrote.error();
  }

  auto const chain_file = folder + "/server.pem";
  auto const key_file = folder + "/server-key.pem";
  if (detail::load_leaf(chain_file, key_file, *ca, *names, now, options.renew_before, authority)) return authority;
  if (auto issued = detail::issue_leaf(authority, *ca_key, *ca, *names, options, now); !issued) return issued.error();
  if (auto wrote = detail::write_file(key_file, authority.private_key_pem, 0600); !wrote) return wrote.error();
  if (auto wrote = detail::write_file(chain_file, authority.chain_pem, 0644); !wrote) return wrote.error();
  return authority;
}

}  // namespace net
}  // namespace v0
}  // namespace iothub
