// What a client's certificate says of its user (CON-35).

#include "node/server/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace warren::server {
namespace {

using From = CertLogin::From;

/// A certificate of this common name with these alternative names, as in openssl.cnf.
TlsFacts facts_of(std::string_view common_name, const char* alternative_names) {
  const std::unique_ptr<X509, decltype(&X509_free)> cert(X509_new(), X509_free);
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Test"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 60);
  if (alternative_names != nullptr) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternative_names);
    EXPECT_NE(extension, nullptr);
    X509_add_ext(cert.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  TlsFacts facts = certificate_facts(cert.get());
  facts.verified = true;
  return facts;
}

TEST(CertLoginTest, CON35_DistinguishedOrCommonName) {
  const TlsFacts facts = facts_of("client", nullptr);
  EXPECT_EQ(login_of(facts, {}), "CN=client,O=Test");
  EXPECT_EQ(login_of(facts, {From::common_name, "", 0}), "client");
  EXPECT_EQ(login_of(facts, {From::alternative_name, "dns", 0}), "");
}

TEST(CertLoginTest, CON35_AlternativeNames) {
  const TlsFacts facts = facts_of(
      "client", "DNS:one.example,email:who@example,DNS:two.example,URI:urn:x,IP:10.1.2.3,IP:2001:db8::1,otherName:1.2.3;UTF8:other");
  const auto named = [&](const char* kind, std::size_t index) {
    return login_of(facts, {From::alternative_name, kind, index});
  };
  EXPECT_EQ(named("dns", 0), "one.example");
  EXPECT_EQ(named("dns", 1), "two.example");
  EXPECT_EQ(named("dns", 2), "");
  EXPECT_EQ(named("email", 0), "who@example");
  EXPECT_EQ(named("uri", 0), "urn:x");
  EXPECT_EQ(named("ip", 0), "10.1.2.3");
  EXPECT_EQ(named("ip", 1), "2001:db8::1");
  EXPECT_EQ(named("other_name", 0), "other");
}

TEST(CertLoginTest, CON35_UnverifiedOnesNameNobody) {
  TlsFacts facts = facts_of("client", "DNS:one.example");
  facts.verified = false;
  for (const From from : {From::distinguished_name, From::common_name, From::alternative_name})
    EXPECT_EQ(login_of(facts, {from, "dns", 0}), "");
  EXPECT_EQ(login_of(certificate_facts(nullptr), {}), "");
}

/// "admin" with a tail behind a NUL, which somebody was given by a careless authority, is not admin.
TEST(CertLoginTest, CON35_ANulInANameMakesNoOtherName) {
  const TlsFacts facts = facts_of(std::string_view("admin\0.example", 14), nullptr);
  EXPECT_EQ(login_of(facts, {From::common_name, "", 0}), "");
}

}  // namespace
}  // namespace warren::server
