#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <iothub/net/curl_http.hpp>
#include <iothub/net/trust.hpp>

namespace {

using namespace iothub;
using net::resolve_trust;

std::string const pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

// A file that goes away with the test.
struct temporary_file {
  explicit temporary_file(std::string const& content) {
    path = testing::TempDir() + "trust_test_XXXXXX";
    int const fd = mkstemp(path.data());
    std::FILE* const file = fdopen(fd, "w");
    std::fwrite(content.data(), 1, content.size(), file);
    std::fclose(file);
  }
  ~temporary_file() { std::remove(path.c_str()); }
  std::string path;
};

struct Trust : testing::Test {
  Trust() { unsetenv("SSL_CERT_FILE"); }
  ~Trust() override { unsetenv("SSL_CERT_FILE"); }
};

TEST_F(Trust, IsTheSystemsWhenNothingIsGiven) {
  auto const t = resolve_trust({});
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->is_system());
}

TEST_F(Trust, TakesTheFileOfTheOptions) {
  temporary_file const file{pem};
  auto const t = resolve_trust({.ca_file = file.path});
  ASSERT_TRUE(t);
  EXPECT_EQ(t->pem, pem);
  EXPECT_EQ(t->origin, file.path);
}

TEST_F(Trust, TakesTheFileOfTheEnvironmentOnlyWhenTheOptionsAreSilent) {
  temporary_file const file{pem + "environment"};
  setenv("SSL_CERT_FILE", file.path.c_str(), 1);
  EXPECT_EQ(resolve_trust({})->pem, pem + "environment");
  EXPECT_EQ(resolve_trust({.ca_pem = pem})->pem, pem);
  setenv("SSL_CERT_FILE", "", 1);
  EXPECT_TRUE(resolve_trust({})->is_system());
}

TEST_F(Trust, PutsTextAndFileTogether) {
  temporary_file const file{pem};
  EXPECT_EQ(resolve_trust({.ca_file = file.path, .ca_pem = pem})->pem, pem + "\n" + pem);
}

TEST_F(Trust, NamesTheFileThatCannotBeRead) {
  auto const missing = resolve_trust({.ca_file = "/does/not/exist.pem"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), errc::io_error);
  EXPECT_EQ(missing.error().message(), "cannot read the CA file /does/not/exist.pem: No such file or directory");
  setenv("SSL_CERT_FILE", "/does/not/exist.pem", 1);
  EXPECT_EQ(resolve_trust({}).error().code(), errc::io_error);
  EXPECT_EQ(resolve_trust({.ca_file = "/"}).error().code(), errc::io_error);
}

TEST_F(Trust, RefusesWhatHoldsNoCertificate) {
  temporary_file const empty{""};
  temporary_file const text{"not a certificate"};
  EXPECT_EQ(resolve_trust({.ca_file = empty.path}).error().code(), errc::malformed);
  EXPECT_EQ(resolve_trust({.ca_file = text.path}).error().code(), errc::malformed);
  EXPECT_EQ(resolve_trust({.ca_pem = "x"}).error().code(), errc::malformed);
}

TEST_F(Trust, TakesRevocationListsBesideAnyCertificates) {
  std::string const list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
  temporary_file const file{list};
  auto const t = resolve_trust({.crl_file = file.path, .crl_pem = list});
  ASSERT_TRUE(t);
  EXPECT_TRUE(t->is_system());
  EXPECT_EQ(t->crl_pem, list + "\n" + list);
  EXPECT_EQ(t->crl_origin, file.path);
  EXPECT_EQ(resolve_trust({.crl_pem = pem}).error().code(), errc::malformed);
  temporary_file const certificate{pem};
  EXPECT_EQ(resolve_trust({.crl_file = certificate.path}).error().message(),
            "the CRL file " + certificate.path + " holds no PEM revocation list");
  EXPECT_EQ(resolve_trust({.crl_file = "/does/not/exist.crl"}).error().code(), errc::io_error);
}

TEST_F(Trust, FailsEveryExchangeOfCurlWhenItCannotBeRead) {
  net::curl_http http{{.trust = {.ca_file = "/does/not/exist.pem"}}};
  EXPECT_EQ(http.ready().error().code(), errc::io_error);
  for (int i = 0; i != 2; ++i) {
    auto const id = http.start({"localhost", 1}, {}, time_point{});
    auto const done = http.next_completion();
    ASSERT_TRUE(done);
    EXPECT_EQ(done->id, id);
    EXPECT_EQ(done->outcome.error().code(), errc::io_error);
  }
}

}  // namespace
