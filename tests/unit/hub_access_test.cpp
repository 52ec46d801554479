// Tokens: whose, for what, until when, and why not (Microsoft docs: iot-hub-dev-guide-sas).
#include "hub_world.hpp"

namespace {

using namespace hub_test;

constexpr std::string_view device_resource = "h.azure-devices.net%2Fdevices%2Fd1";

struct access_world : world {
  iothub::device_identity d1 = create("d1");
  std::string const& primary() const { return d1.authentication.primary_key; }
  iothub::result<ih::grant> try_device(std::string_view sas, std::string module_id = {}) {
    return hub.authorize_device({"d1", std::move(module_id)}, sas, at);
  }
  iothub::result<ih::grant> try_policy(std::string_view policy, ih::operation what) {
    return hub.authorize_service(what, "twins/d1",
                                 token(hub.find_policy(policy)->primary_key, "h.azure-devices.net", 3600, policy), at);
  }
};

TEST(HubAccess, EitherKeyOfTheDeviceOpensIt) {
  access_world w;
  auto const g = w.try_device(w.token(w.primary(), device_resource)).value();
  EXPECT_EQ(g.scope, ih::auth_scope::device);
  EXPECT_EQ(g.expires_at, start + seconds{3600});
  EXPECT_TRUE(w.try_device(w.token(w.d1.authentication.secondary_key, device_resource)).has_value());
}

TEST(HubAccess, TheSignatureIsCheckedOverTheResourceAsSent) {
  access_world w;
  for (std::string_view r : {"h.azure-devices.net%2fdevices%2fd1", "h.azure-devices.net/devices/d1",
                             "H.Azure-Devices.net/devices/d1", "h.azure-devices.net%3A8883%2Fdevices%2Fd1",
                             "localhost%2Fdevices%2Fd1", "127.0.0.1:443/devices/d1"})
    EXPECT_TRUE(w.try_device(w.token(w.primary(), r)).has_value()) << r;
}

TEST(HubAccess, GoldenTokenOfADeviceIsTaken) {
  auto o = plain_options();
  o.hostname = "myhub.azure-devices.net";
  world w{o};
  iothub::device_identity wanted;
  wanted.device_id = "device1";
  wanted.authentication.primary_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  w.hub.put_identity(wanted, {}, w.at).value();
  w.at.utc = iothub::from_unix_seconds(1'699'999'000);
  auto const g = w.hub.authorize_device(
      {"device1", {}},
      "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdevice1&"
      "sig=gFSfLGMXDOvf906%2FiaX3KwzLLNFHgaFZyCbsGjxtd1Y%3D&se=1700000000",
      w.at);
  EXPECT_EQ(g.value().expires_at, iothub::from_unix_seconds(1'700'000'000));
}

TEST(HubAccess, RefusalsSayWhyAndNeverHoldTheToken) {
  access_world w;
  struct row {
    std::string token;
    std::string_view why;
  };
  row const rows[] = {
      {w.token("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", device_resource), "wrong key: the signature is of neither key"},
      {w.token(w.primary(), "h.azure-devices.net%2Fdevices%2Fd2"), "token is for another resource"},
      {w.token(w.primary(), "h.azure-devices.net%2Fdevices%2Fd"), "token is for another resource"},
      {w.token(w.primary(), "other.azure-devices.net%2Fdevices%2Fd1"), "token is for another hub"},
      {w.token(w.primary(), device_resource, -312), "token expired by 312 s"},
      {w.token(w.primary(), device_resource, 3600, "nobody"), "unknown policy"},
  };
  for (auto const& r : rows) {
    auto const refused = w.try_device(r.token);
    EXPECT_EQ(text_of(refused), r.why);
    EXPECT_EQ(hub_code(refused), 401003);
    EXPECT_EQ(refused.error().code(), errc::unauthorized);
    EXPECT_EQ(w.log.lines.back(), "refused d1 " + std::string{r.why});
  }
  EXPECT_TRUE(text_of(w.try_device("SharedAccessSignature sr=x&sig=secret")).starts_with("token is malformed"));
  EXPECT_EQ(text_of(w.try_device("SharedAccessSignature sr=x&sig=secret")).find("secret"), std::string::npos);
  EXPECT_EQ(hub_code(w.hub.authorize_device({"d9", {}}, w.token(w.primary(), device_resource), w.at)), 404001);
}

TEST(HubAccess, AClockMayBe300SecondsOff) {
  access_world w;
  EXPECT_TRUE(w.try_device(w.token(w.primary(), device_resource, -299)).has_value());
  EXPECT_FALSE(w.try_device(w.token(w.primary(), device_resource, -300)).has_value());
}

TEST(HubAccess, DisabledDeviceIsRefusedToWhoHoldsItsKeyOnly) {
  access_world w;
  auto off = w.d1;
  off.status = iothub::identity_status::disabled;
  w.hub.put_identity(off, ih::unconditional, w.at).value();
  EXPECT_EQ(w.try_device(w.token(w.primary(), device_resource)).error().code(), errc::device_disabled);
  EXPECT_EQ(hub_code(w.try_device(w.token(w.primary(), device_resource))), 403012);
  EXPECT_EQ(hub_code(w.try_device(w.token(iothub::to_base64(std::string(32, 'x')), device_resource))), 401003);
}

TEST(HubAccess, ModuleTokensOpenTheModuleAndDeviceTokensToo) {
  access_world w;
  auto const m1 = w.create("d1", "m1");
  constexpr std::string_view module_resource = "h.azure-devices.net%2Fdevices%2Fd1%2Fmodules%2Fm1";
  auto const own = w.token(m1.authentication.primary_key, module_resource);
  EXPECT_EQ(w.try_device(own, "m1").value().scope, ih::auth_scope::module);
  EXPECT_EQ(text_of(w.try_device(own)), "token is for another resource");
  EXPECT_EQ(w.try_device(w.token(w.primary(), device_resource), "m1").value().scope, ih::auth_scope::device);
  EXPECT_FALSE(w.try_device(w.token(w.primary(), module_resource), "m1").has_value());
  EXPECT_EQ(hub_code(w.try_device(own, "m2")), 404010);
}

TEST(HubAccess, DeviceTokensForModulesAreASwitch) {
  auto o = plain_options();
  o.device_token_opens_modules = false;
  world w{o};
  auto const d1 = w.create("d1");
  w.create("d1", "m1");
  EXPECT_FALSE(
      w.hub.authorize_device({"d1", "m1"}, w.token(d1.authentication.primary_key, device_resource), w.at).has_value());
}

TEST(HubAccess, PolicyTokensOpenDevicesWithDeviceConnect) {
  access_world w;
  for (std::string_view resource : {"h.azure-devices.net", "h.azure-devices.net%2Fdevices", "h.azure-devices.net%2Fdevices%2Fd1"}) {
    auto const g = w.try_device(w.token(w.hub.find_policy("device")->secondary_key, resource, 60, "device")).value();
    EXPECT_EQ(g.scope, ih::auth_scope::hub);
    EXPECT_EQ(g.policy, "device");
  }
  auto const service = w.token(w.hub.find_policy("service")->primary_key, "h.azure-devices.net", 60, "service");
  EXPECT_EQ(text_of(w.try_device(service)), "policy 'service' does not allow it");
  // A device's own key opens nothing but its device.
  EXPECT_FALSE(w.try_device(w.token(w.primary(), "h.azure-devices.net")).value_or(ih::grant{}).policy.size());
}

TEST(HubAccess, EachPolicyAllowsItsOperationsAndNoOther) {
  access_world w;
  using op = ih::operation;
  struct row {
    op what;
    std::string_view policies;  // in the order of the columns: owner, service, device, registryRead, registryReadWrite
  };
  constexpr row rows[] = {
      {op::read_identity, "1..11"},          {op::write_identity, "1...1"},
      {op::delete_identity, "1...1"},        {op::read_device_statistics, "1..11"},
      {op::read_service_statistics, "11..."}, {op::read_twin, "11..."},
      {op::write_twin, "11..."},             {op::query, "11..."},
      {op::invoke_method, "11..."},          {op::send_c2d, "11..."},
      {op::receive_feedback, "11..."},       {op::purge_c2d, "11..."},
      {op::read_events, "11..."},
  };
  constexpr std::string_view policies[] = {"iothubowner", "service", "device", "registryRead", "registryReadWrite"};
  for (auto const& r : rows)
    for (std::size_t i = 0; i != 5; ++i) {
      auto const outcome = w.try_policy(policies[i], r.what);
      EXPECT_EQ(outcome.has_value(), r.policies[i] == '1') << static_cast<int>(r.what) << " " << policies[i];
      if (!outcome) {
        EXPECT_EQ(hub_code(outcome), 401002);
      }
    }
}

TEST(HubAccess, ServiceTokensFollowThePrefixRule) {
  access_world w;
  auto const sas = [&](std::string_view resource) {
    return w.token(w.hub.find_policy("service")->primary_key, resource, 60, "service");
  };
  auto const try_path = [&](std::string_view resource, std::string_view path) {
    return w.hub.authorize_service(ih::operation::read_twin, path, sas(resource), w.at).has_value();
  };
  EXPECT_TRUE(try_path("h.azure-devices.net", "twins/d1"));
  EXPECT_TRUE(try_path("h.azure-devices.net/twins", "twins/d1"));
  EXPECT_TRUE(try_path("h.azure-devices.net/twins/d1", "twins/d1/methods"));
  EXPECT_FALSE(try_path("h.azure-devices.net/twins/d1", "twins/d10"));
  EXPECT_FALSE(try_path("h.azure-devices.net/devices", "twins/d1"));
  EXPECT_TRUE(try_path("localhost:25671", "twins/d1"));
}

TEST(HubAccess, ServiceNeedsAPolicyAndAGoodToken) {
  access_world w;
  auto const refused = [&](std::string_view sas) {
    return text_of(w.hub.authorize_service(ih::operation::query, "devices/query", sas, w.at));
  };
  EXPECT_EQ(refused(w.token(w.primary(), "h.azure-devices.net")), "token names no policy");
  EXPECT_EQ(refused(w.token(w.primary(), "h.azure-devices.net", 60, "service")),
            "wrong key: the signature is of neither key");
  EXPECT_EQ(refused(w.token(w.hub.find_policy("service")->primary_key, "h.azure-devices.net", -400, "service")),
            "token expired by 400 s");
  EXPECT_TRUE(refused("Bearer x").starts_with("token is malformed"));
}

TEST(HubAccess, OwnerKeyAndPoliciesAreOptions) {
  auto o = plain_options();
  o.owner_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
  world w{o};
  EXPECT_EQ(w.hub.find_policy("iothubowner")->primary_key, o.owner_key);
  EXPECT_EQ(w.hub.policies().size(), 5u);
  EXPECT_EQ(w.hub.find_policy("nobody"), nullptr);
  o.builtin_policies = false;
  EXPECT_TRUE(world{o}.hub.policies().empty());
}

// Eclipse mosquitto, https://www.cve.org/CVERecord?id=CVE-2018-12550: an empty list of rights was taken for "all".
TEST(HubAccess, WithoutPoliciesNobodyHasARight) {
  access_world before;
  auto o = plain_options();
  o.builtin_policies = false;
  world w{o};
  w.create("d1");
  for (auto const& policy : before.hub.policies())
    for (auto what = 0; what <= static_cast<int>(ih::operation::read_events); ++what) {
      auto const refused = w.hub.authorize_service(static_cast<ih::operation>(what), "twins/d1",
                                                   w.token(policy.primary_key, "h.azure-devices.net", 3600, policy.name), w.at);
      EXPECT_EQ(text_of(refused), "unknown policy") << policy.name << ' ' << what;
      EXPECT_EQ(hub_code(refused), 401002);
    }
  EXPECT_EQ(before.hub.policies().size(), 5u);
  // Nor has a policy of no rights any.
  for (auto const right : {ih::permission::registry_read, ih::permission::registry_write, ih::permission::service_connect,
                           ih::permission::device_connect})
    EXPECT_FALSE(ih::access_policy{.name = "empty"}.allows(right));
}

TEST(HubAccess, KnowsItsOwnNames) {
  world w;
  for (std::string_view good : {"h.azure-devices.net", "H.AZURE-devices.net:8883", "localhost", "localhost:1", "::1",
                                "[::1]:8883", "127.0.0.1"})
    EXPECT_TRUE(w.hub.is_host(good)) << good;
  for (std::string_view bad : {"", "x.azure-devices.net", "h.azure-devices.net.evil", ":8883"})
    EXPECT_FALSE(w.hub.is_host(bad)) << bad;
}

TEST(HubAccess, IdentityWithoutKeysTakesNoToken) {
  world w;
  iothub::device_identity wanted;
  wanted.device_id = "d1";
  wanted.authentication.type = iothub::authentication_type::certificate_authority;
  w.hub.put_identity(wanted, {}, w.at).value();
  EXPECT_EQ(text_of(w.hub.authorize_device({"d1", {}}, w.token(iothub::to_base64(std::string(32, 'x')), device_resource), w.at)),
            "the identity does not use keys");
}

TEST(HubAccess, ChangedKeysTakeEffectAtOnce) {
  access_world w;
  auto const old = w.token(w.primary(), device_resource);
  EXPECT_TRUE(w.try_device(old).has_value());
  auto changed = w.d1;
  changed.authentication.primary_key = iothub::to_base64(std::string(32, 'n'));
  w.hub.put_identity(changed, ih::unconditional, w.at).value();
  EXPECT_FALSE(w.try_device(old).has_value());
  EXPECT_TRUE(w.try_device(w.token(changed.authentication.primary_key, device_resource)).has_value());
}


TEST(HubAccess, WhoHoldsAPolicysKeyMayKnowThatADeviceIsNotThere) {
  access_world w;
  auto const good = w.token(w.hub.find_policy("device")->primary_key, "h.azure-devices.net", 60, "device");
  EXPECT_EQ(hub_code(w.hub.authorize_device({"d9", {}}, good, w.at)), 404001);
  auto const forged = w.token(w.primary(), "h.azure-devices.net", 60, "device");
  EXPECT_EQ(hub_code(w.hub.authorize_device({"d9", {}}, forged, w.at)), 401003);
}

TEST(HubAccess, APortIsDigits) {
  world w;
  EXPECT_TRUE(w.hub.is_host("localhost:8883"));
  EXPECT_FALSE(w.hub.is_host("localhost:x@evil.example"));
}

}  // namespace
