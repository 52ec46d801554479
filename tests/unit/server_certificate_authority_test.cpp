#include <iothub/net/certificate_authority.hpp>

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace {

using namespace iothub;
using namespace std::chrono_literals;

utc_time const new_year = from_unix_seconds(1'704'067'200);

class CertificateAuthority : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "iothub_ca_XXXXXX";
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    folder_ = path;
  }
  void TearDown() override {
    for (auto const* name : {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem", ".lock"})
      std::remove((folder_ + "/" + name).c_str());
    std::remove(folder_.c_str());
  }
  net::certificate_authority open(std::vector<std::string> names = {}, utc_time now = new_year) {
    return net::open_certificate_authority(folder_, {.host_names = std::move(names)}, now).value();
  }
  mode_t mode_of(std::string const& name) {
    struct stat found = {};
    EXPECT_EQ(::stat((folder_ + "/" + name).c_str(), &found), 0);
    return found.st_mode & 0777;
  }
  void write(std::string const& name, std::string const& text) { std::ofstream{folder_ + "/" + name} << text; }

  std::string folder_;
};

// What a client does: verifies the chain for that host at that time, with nothing but the CA file. 0 is X509_V_OK.
int verify(net::certificate_authority const& server, std::string const& ca_pem, std::string const& host, utc_time now) {
  auto const anchor = net::detail::certificate_from_pem(ca_pem);
  auto const leaf = net::detail::certificate_from_pem(server.chain_pem);
  auto* const store = X509_STORE_new();
  X509_STORE_add_cert(store, anchor.get());
  auto* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf.get(), nullptr);
  auto* const how = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(how, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set_time(how, static_cast<time_t>(unix_seconds(now)));
  if (net::detail::is_ip_address(host))
    X509_VERIFY_PARAM_set1_ip_asc(how, host.c_str());
  else
    X509_VERIFY_PARAM_set1_host(how, host.c_str(), host.size());
  X509_verify_cert(context);
  int const verdict = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return verdict;
}

TEST_F(CertificateAuthority, ServesEveryBuiltInNameAndEachAskedFor) {
  auto const made = open({"Hub.Example.com", "192.168.7.9"});
  for (auto const* host :
       {"localhost", "hub.localhost", "myhub.azure-devices.net", "127.0.0.1", "::1", "hub.example.com", "192.168.7.9"})
    EXPECT_EQ(verify(made, made.ca_pem, host, new_year), X509_V_OK) << host;
  EXPECT_EQ(verify(made, made.ca_pem, "example.com", new_year), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(verify(made, made.ca_pem, "192.168.7.8", new_year), X509_V_ERR_IP_ADDRESS_MISMATCH);
}

TEST_F(CertificateAuthority, KeepsBothKeysFromOtherUsers) {
  auto const made = open();
  EXPECT_TRUE(made.created);
  EXPECT_EQ(mode_of("ca-key.pem"), 0600u);
  EXPECT_EQ(mode_of("server-key.pem"), 0600u);
}

TEST_F(CertificateAuthority, ClosesAKeyFileThatWasLeftOpen) {
  open();
  ::chmod((folder_ + "/ca-key.pem").c_str(), 0644);
  open();
  EXPECT_EQ(mode_of("ca-key.pem"), 0600u);
}

TEST_F(CertificateAuthority, StaysTheSameOverARestart) {
  auto const first = open({"hub.example.com"});
  auto const second = open({"hub.example.com"}, new_year + 24h);
  EXPECT_EQ(second.ca_pem, first.ca_pem);
  EXPECT_EQ(second.chain_pem, first.chain_pem);
  EXPECT_EQ(second.private_key_pem, first.private_key_pem);
  EXPECT_FALSE(second.created);
  EXPECT_FALSE(second.extended);
}

TEST_F(CertificateAuthority, MakesTheServerCertificateAnewBeforeItEnds) {
  auto const first = open();
  auto const second = open({}, new_year + 24h * 370);
  EXPECT_EQ(second.ca_pem, first.ca_pem);
  EXPECT_NE(second.chain_pem, first.chain_pem);
  EXPECT_EQ(verify(second, first.ca_pem, "localhost", new_year + 24h * 400), X509_V_OK);
}

TEST_F(CertificateAuthority, DropsANameThatIsNoLongerAskedForUnderTheSameCa) {
  auto const first = open({"hub.example.com"});
  auto const second = open();
  EXPECT_EQ(second.ca_pem, first.ca_pem);
  EXPECT_EQ(verify(second, first.ca_pem, "hub.example.com", new_year), X509_V_ERR_HOSTNAME_MISMATCH);
}

TEST_F(CertificateAuthority, SignsTheCaAgainWithItsOwnKeyForANameOutsideItsConstraints) {
  auto const first = open();
  auto const second = open({"hub.example.com"});
  EXPECT_TRUE(second.extended);
  EXPECT_NE(second.ca_pem, first.ca_pem);
  EXPECT_EQ(verify(second, second.ca_pem, "hub.example.com", new_year), X509_V_OK);
  EXPECT_EQ(verify(second, first.ca_pem, "hub.example.com", new_year), X509_V_ERR_PERMITTED_VIOLATION);
}

TEST_F(CertificateAuthority, CannotVouchForANameOutsideItsConstraints) {
  auto const made = open();
  auto const ca_key = net::detail::key_from_pem([&] {
    std::ifstream file{folder_ + "/ca-key.pem"};
    return std::string{std::istreambuf_iterator<char>{file}, {}};
  }());
  auto const ca = net::detail::certificate_from_pem(made.ca_pem);
  auto key = net::detail::make_p256_key().value();
  auto stolen = net::detail::make_leaf(key, ca, ca_key, {"bank.example"}, new_year, 24h).value();
  net::certificate_authority forged;
  forged.chain_pem = net::detail::to_pem(stolen);
  EXPECT_EQ(verify(forged, made.ca_pem, "bank.example", new_year), X509_V_ERR_PERMITTED_VIOLATION);
}

TEST_F(CertificateAuthority, SendsTheLeafThenTheCa) {
  auto const made = open();
  auto const second = made.chain_pem.find("-----BEGIN CERTIFICATE-----", 1);
  ASSERT_NE(second, std::string::npos);
  EXPECT_EQ(made.chain_pem.substr(second), made.ca_pem);
}

TEST_F(CertificateAuthority, RefusesANameThatIsNone) {
  for (auto const* name : {"", "a b", "a,DNS:evil", "*", "*.com", "a..b", "http://x", "x\n"}) {
    auto const refused = net::open_certificate_authority(folder_, {.host_names = {name}}, new_year);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), errc::invalid_argument) << name;
  }
}

TEST_F(CertificateAuthority, SaysWhichFileHoldsNoKey) {
  open();
  write("ca-key.pem", "not a key\n");
  auto const refused = net::open_certificate_authority(folder_, {}, new_year);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::malformed);
  EXPECT_EQ(refused.error().message(),
            folder_ + "/ca-key.pem is there but holds no private key; move it away to have one made");
}

TEST_F(CertificateAuthority, SaysWhichFileHoldsNoCertificate) {
  open();
  write("ca.pem", "");
  auto const refused = net::open_certificate_authority(folder_, {}, new_year);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            folder_ + "/ca.pem is there but holds no certificate; move it away to have one made");
}

TEST_F(CertificateAuthority, RefusesACertificateOfAnotherKey) {
  open();
  write("ca.pem", net::make_certificate_authority({}, new_year).value().ca_pem);
  auto const refused = net::open_certificate_authority(folder_, {}, new_year);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::malformed);
}

TEST_F(CertificateAuthority, MakesALostServerKeyAnew) {
  auto const first = open();
  write("server-key.pem", "");
  auto const second = open();
  EXPECT_EQ(second.ca_pem, first.ca_pem);
  EXPECT_EQ(verify(second, first.ca_pem, "localhost", new_year), X509_V_OK);
}

TEST_F(CertificateAuthority, SaysThatAFileIsNoFolder) {
  auto const path = folder_ + "/ca.pem";
  write("ca.pem", "");
  auto const refused = net::open_certificate_authority(path, {}, new_year);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::io_error);
  EXPECT_EQ(refused.error().message(), "cannot use as a folder " + path + ": Not a directory");
}

TEST_F(CertificateAuthority, SaysThatAFolderCannotBeMade) {
  auto const refused = net::open_certificate_authority("/proc/nowhere/ca", {}, new_year);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "cannot make the folder /proc/nowhere: No such file or directory");
}


// --- what others could put there

std::string refusal(std::string const& folder) {
  auto const refused = net::open_certificate_authority(folder, {}, new_year);
  return refused ? "opened" : std::string{refused.error().message()};
}

TEST_F(CertificateAuthority, RefusesAFolderThatOthersMayWriteTo) {
  for (mode_t const mode : {0770u, 0702u}) {
    ::chmod(folder_.c_str(), mode);
    EXPECT_EQ(refusal(folder_), "others may write to the folder " + folder_ + "; a CA is not safe there (chmod go-w)");
  }
  ::chmod(folder_.c_str(), 0755);
  EXPECT_EQ(refusal(folder_), "opened");
}

TEST_F(CertificateAuthority, FollowsNoLinkAndWaitsForNoFifo) {
  auto const elsewhere = testing::TempDir() + "iothub_ca_elsewhere";
  std::ofstream{elsewhere} << "x";
  for (std::string const name : {"ca-key.pem", "ca.pem", ".lock"}) {
    open();
    auto const path = folder_ + "/" + name;
    std::remove(path.c_str());
    ASSERT_EQ(::symlink(elsewhere.c_str(), path.c_str()), 0);
    EXPECT_EQ(refusal(folder_), path + " is a symbolic link; it is not followed");
    std::remove(path.c_str());
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(refusal(folder_), path + " is no regular file");
    std::remove(path.c_str());
    std::remove((folder_ + "/ca.pem").c_str());
  }
  std::remove(elsewhere.c_str());
}

TEST_F(CertificateAuthority, ReplacesALinkInTheServerKeysPlace) {
  open();
  auto const elsewhere = testing::TempDir() + "iothub_ca_elsewhere";
  ASSERT_EQ(std::rename((folder_ + "/server-key.pem").c_str(), elsewhere.c_str()), 0);
  ASSERT_EQ(::symlink(elsewhere.c_str(), (folder_ + "/server-key.pem").c_str()), 0);
  open();
  struct stat found = {};
  ASSERT_EQ(::lstat((folder_ + "/server-key.pem").c_str(), &found), 0);
  EXPECT_TRUE(S_ISREG(found.st_mode));
  std::remove(elsewhere.c_str());
}

TEST_F(CertificateAuthority, ClosesAServerKeyThatWasLeftOpen) {
  open();
  ::chmod((folder_ + "/server-key.pem").c_str(), 0644);
  open();
  EXPECT_EQ(mode_of("server-key.pem"), 0600u);
}

TEST_F(CertificateAuthority, LeavesTheModeOfAFileThatIsNoKey) {
  open();
  write("ca-key.pem", "notes of mine\n");
  ::chmod((folder_ + "/ca-key.pem").c_str(), 0644);
  EXPECT_NE(refusal(folder_), "opened");
  EXPECT_EQ(mode_of("ca-key.pem"), 0644u);
}

TEST_F(CertificateAuthority, WritingAFileTouchesNoOther) {
  auto const path = folder_ + "/ports";
  write("ports.new", "somebody else's");
  ASSERT_TRUE(net::detail::write_file(path, "{}\n", 0644));
  std::ifstream other{path + ".new"};
  EXPECT_EQ((std::string{std::istreambuf_iterator<char>{other}, {}}), "somebody else's");
  std::remove(path.c_str());
  EXPECT_FALSE(net::detail::write_file(folder_, "x", 0644));  // a folder is there: nothing stays behind
  std::remove((path + ".new").c_str());
}

}  // namespace
