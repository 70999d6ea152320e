#include "server/base/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/tls/openssl.h"

namespace strata::base {
namespace tls {
namespace {

std::string CommonName(const X509_NAME* name) {
  char text[256] = {};
  const int length = X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, text, sizeof text);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

absl::Time ToTime(const ASN1_TIME* time) {
  struct tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

std::string Text(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string Address(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
  return inet_ntop(family, ASN1_STRING_get0_data(bytes), text, sizeof text) == nullptr ? "" : text;
}

absl::StatusOr<BioPtr> Open(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  BioPtr bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text->data(), static_cast<int>(text->size()));
  return bio;
}

absl::Status NotPem(const std::string& path, const char* what) {
  (void)LastError();
  return absl::InvalidArgumentError(
      absl::StrCat(path, " holds no ", what, " in PEM form. 'strata admin certs' makes such files."));
}

}  // namespace

std::string LastError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "" : reason;
}

absl::StatusOr<X509Ptr> LoadCertificate(const std::string& path) {
  const auto bio = Open(path);
  if (!bio.ok()) return bio.status();
  X509Ptr certificate(PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return NotPem(path, "certificate");
  return certificate;
}

absl::StatusOr<KeyPtr> LoadKey(const std::string& path) {
  const auto bio = Open(path);
  if (!bio.ok()) return bio.status();
  // Never asks for a passphrase: a daemon has nobody to ask.
  char none[] = "";
  KeyPtr key(PEM_read_bio_PrivateKey(bio->get(), nullptr, nullptr, none));
  if (key == nullptr) return NotPem(path, "private key without a passphrase");
  return key;
}

absl::StatusOr<StorePtr> LoadAuthorities(const std::string& path) {
  const auto bio = Open(path);
  if (!bio.ok()) return bio.status();
  StorePtr store(X509_STORE_new());
  int count = 0;
  while (X509Ptr certificate{PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store.get(), certificate.get());
    ++count;
  }
  (void)LastError();  // the end of the file is one
  if (count == 0) return NotPem(path, "certificate");
  return store;
}

Certificate Describe(X509* certificate) {
  Certificate out;
  out.subject = CommonName(X509_get_subject_name(certificate));
  out.issuer = CommonName(X509_get_issuer_name(certificate));
  out.not_before = ToTime(X509_get0_notBefore(certificate));
  out.not_after = ToTime(X509_get0_notAfter(certificate));
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) out.hosts.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) out.hosts.push_back(Address(name->d.iPAddress));
    if (name->type == GEN_URI) ParseIdentity(Text(name->d.uniformResourceIdentifier), &out.role, &out.name);
  }
  GENERAL_NAMES_free(names);
  return out;
}

}  // namespace tls

using namespace tls;  // NOLINT: this folder's own

std::string ValidityAt(const Certificate& certificate, absl::Time now) {
  const auto text = [](absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", time, absl::UTCTimeZone()); };
  return absl::StrCat("it is valid from ", text(certificate.not_before), " to ", text(certificate.not_after),
                      ", and the clock here says ", text(now));
}

Certificate DescribeX509(void* x509) { return x509 == nullptr ? Certificate() : Describe(static_cast<X509*>(x509)); }

bool ParseIdentity(const std::string& uri, std::string* role, std::string* name) {
  constexpr std::string_view kHead = "strata://";
  if (uri.rfind(kHead, 0) != 0) return false;
  const size_t slash = uri.find('/', kHead.size());
  if (slash == std::string::npos || slash == kHead.size() || slash + 1 == uri.size()) return false;
  if (uri.find('/', slash + 1) != std::string::npos) return false;
  *role = uri.substr(kHead.size(), slash - kHead.size());
  *name = uri.substr(slash + 1);
  return true;
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& path) {
  const auto certificate = LoadCertificate(path);
  if (!certificate.ok()) return certificate.status();
  return Describe(certificate->get());
}

namespace {

absl::Status CheckIdentity(const TlsFiles& files, X509_STORE* authorities, absl::Time now) {
  const auto certificate = LoadCertificate(files.cert);
  if (!certificate.ok()) return certificate.status();
  const auto key = LoadKey(files.key);
  if (!key.ok()) return key.status();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    (void)LastError();
    return absl::InvalidArgumentError(absl::StrCat("The key in ", files.key, " is not that of the certificate in ",
                                                   files.cert, ". Give the two files that were made together."));
  }
  const Certificate what = Describe(certificate->get());
  if (now < what.not_before || now > what.not_after) {
    return absl::FailedPreconditionError(absl::StrCat(
        "The certificate in ", files.cert, now < what.not_before ? " is not valid yet: " : " has expired: ",
        ValidityAt(what, now), ". Renew it ('strata admin certs ... --renew'), or set this machine's clock."));
  }
  if (authorities == nullptr) return absl::OkStatus();
  const StoreContextPtr context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), authorities, certificate->get(), nullptr);
  X509_STORE_CTX_set_time(context.get(), 0, absl::ToTimeT(now));
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  const int error = X509_STORE_CTX_get_error(context.get());
  (void)LastError();
  return absl::InvalidArgumentError(absl::StrCat("The certificate in ", files.cert, " (of ", what.issuer,
                                                 ") is not accepted by the authority in ", files.ca, ": ",
                                                 X509_verify_cert_error_string(error),
                                                 ". Give the authority that it was made with, or make it again."));
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key belong together. Give both.");
  }
  if (files.ca.empty()) {
    return absl::InvalidArgumentError("--tls-ca is missing. Give the file of the authority that the others are checked with.");
  }
  const auto authorities = LoadAuthorities(files.ca);
  if (!authorities.ok()) return authorities.status();
  return files.identity() ? CheckIdentity(files, authorities->get(), now) : absl::OkStatus();
}

}  // namespace strata::base
