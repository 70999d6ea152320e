#include "server/base/tls/authority.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/file.h"
#include "server/base/tls/openssl.h"

namespace strata::base {

using namespace tls;  // NOLINT: this folder's own

namespace {

constexpr char kOrganisation[] = "Strata";
constexpr char kAuthorityName[] = "Strata private authority";

absl::Status Failed(const char* what) {
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", what, " (", LastError(), ")."));
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string Pem(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

absl::Status WriteKey(const std::string& path, EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return Failed("write a key");
  return WriteFileAtomically(path, Pem(bio), 0600);
}

absl::Status WriteCertificate(const std::string& path, X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return Failed("write a certificate");
  return WriteFileAtomically(path, Pem(bio));
}

absl::Status AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) return Failed("make an extension");
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added == 1 ? absl::OkStatus() : Failed("add an extension");
}

void AddToName(X509_NAME* name, const char* field, const std::string& text) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()), -1, 0);
}

using Extensions = std::vector<std::pair<int, std::string>>;

// A certificate of `key` for `subject`, signed by the issuer; by itself where `issuer` is null.
absl::StatusOr<X509Ptr> Sign(EVP_PKEY* key, const std::string& subject, absl::Time not_before, absl::Time not_after,
                             const Extensions& extensions, X509* issuer, EVP_PKEY* issuer_key) {
  X509Ptr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  unsigned char serial[16];
  if (RAND_bytes(serial, sizeof serial) != 1) return Failed("draw a serial number");
  serial[0] &= 0x7f;  // positive
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(not_after));
  X509_NAME* name = X509_get_subject_name(certificate.get());
  AddToName(name, "O", kOrganisation);
  AddToName(name, "CN", subject);
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  X509_set_pubkey(certificate.get(), key);
  for (const auto& [kind, value] : extensions) {
    if (absl::Status status = AddExtension(certificate.get(), signer, kind, value); !status.ok()) return status;
  }
  if (X509_sign(certificate.get(), issuer == nullptr ? key : issuer_key, EVP_sha256()) == 0)
    return Failed("sign a certificate");
  return certificate;
}

absl::StatusOr<KeyPtr> NewKey() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("make a key");
  return key;
}

// The key that the certificate is to have; a new one is not on disk yet.
absl::StatusOr<KeyPtr> ChooseKey(const IssuedFiles& files, Overwrite overwrite, const std::string& command) {
  const bool there = Exists(files.cert) || Exists(files.key);
  if (overwrite == Overwrite::kRenew) {
    if (!there)
      return absl::NotFoundError(absl::StrCat("There is no ", files.cert, " to renew. Make it first, without --renew."));
    return LoadKey(files.key);
  }
  if (there && overwrite == Overwrite::kNo) {
    return absl::AlreadyExistsError(absl::StrCat(files.cert, " is there already. '", command,
                                                 " --renew' makes it valid for longer, --replace makes key and "
                                                 "certificate anew."));
  }
  return NewKey();
}

bool IsName(const std::string& name, bool pattern) {
  if (name.empty() || name.size() > 63) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (absl::ascii_islower(c) || absl::ascii_isdigit(c) || (i > 0 && (c == '-' || c == '.'))) continue;
    if (pattern && i > 0 && c == '*' && i + 1 == name.size()) continue;
    return false;
  }
  return true;
}

absl::StatusOr<std::string> AlternativeNames(const CertificateRequest& request, const std::vector<std::string>& hosts) {
  std::vector<std::string> names = {absl::StrCat("URI:strata://", request.role, "/", request.name)};
  for (const std::string& host : hosts) {
    if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str()); address != nullptr) {
      ASN1_OCTET_STRING_free(address);
      names.push_back(absl::StrCat("IP:", host));
      continue;
    }
    (void)LastError();
    const bool good = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
      return absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '*';
    });
    if (!good) {
      return absl::InvalidArgumentError(
          absl::StrCat("--host: \"", host, "\" is neither a host's name nor an address. Write it without a port."));
    }
    names.push_back(absl::StrCat("DNS:", host));
  }
  return absl::StrJoin(names, ",");
}

absl::Status CheckRequest(const CertificateRequest& request) {
  const bool worker = request.role == "worker";
  const bool person = request.role == "viewer" || request.role == "submitter" || request.role == "admin";
  if (!worker && !person && request.role != "coordinator") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", request.role, "\" is no role. Take viewer, submitter or admin."));
  }
  if (!IsName(request.name, worker)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", request.name,
                                                   "\" is no name. Use lower-case letters, digits, dots and hyphens, at "
                                                   "most 63; a worker's may end with a *."));
  }
  return absl::OkStatus();
}

std::string Stem(const CertificateRequest& request) {
  if (request.role == "coordinator") return "coordinator";
  std::string name = request.name;
  std::replace(name.begin(), name.end(), '*', '_');
  return absl::StrCat(request.role == "worker" ? "worker-" : "user-", name);
}

absl::Status CheckTimes(absl::Time not_before, absl::Time not_after) {
  if (not_before < not_after) return absl::OkStatus();
  return absl::InvalidArgumentError("A certificate's validity has to end after it begins. Give --valid more than 0.");
}

// Key first: a certificate without its key would be of no use.
absl::StatusOr<IssuedFiles> Write(const IssuedFiles& files, EVP_PKEY* key, X509* certificate, bool new_key) {
  if (new_key) {
    if (absl::Status status = WriteKey(files.key, key); !status.ok()) return status;
  }
  if (absl::Status status = WriteCertificate(files.cert, certificate); !status.ok()) return status;
  return files;
}

}  // namespace

absl::StatusOr<IssuedFiles> MakeAuthority(const std::string& folder, absl::Time not_before, absl::Time not_after,
                                          Overwrite overwrite) {
  if (absl::Status status = CheckTimes(not_before, not_after); !status.ok()) return status;
  const IssuedFiles files{folder + "/ca.crt", folder + "/ca.key"};
  const auto key = ChooseKey(files, overwrite, "strata admin certs init");
  if (!key.ok()) return key.status();
  if (absl::Status status = MakeFolders(folder); !status.ok()) return status;
  const auto certificate = Sign(key->get(), kAuthorityName, not_before, not_after,
                                {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                 {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                 {NID_subject_key_identifier, "hash"}},
                                nullptr, nullptr);
  if (!certificate.ok()) return certificate.status();
  return Write(files, key->get(), certificate->get(), overwrite != Overwrite::kRenew);
}

absl::StatusOr<IssuedFiles> IssueCertificate(const std::string& folder, const CertificateRequest& request,
                                             Overwrite overwrite) {
  if (absl::Status status = CheckRequest(request); !status.ok()) return status;
  if (absl::Status status = CheckTimes(request.not_before, request.not_after); !status.ok()) return status;
  if (!Exists(folder + "/ca.key")) {
    return absl::NotFoundError(
        absl::StrCat("There is no authority in ", folder, ". Make one: strata admin certs init --dir ", folder));
  }
  const auto authority = LoadCertificate(folder + "/ca.crt");
  if (!authority.ok()) return authority.status();
  const auto authority_key = LoadKey(folder + "/ca.key");
  if (!authority_key.ok()) return authority_key.status();
  if (const Certificate what = Describe(authority->get()); request.not_after > what.not_after) {
    return absl::InvalidArgumentError(absl::StrCat("The authority in ", folder, " ends before this certificate would: ",
                                                   ValidityAt(what, request.not_before),
                                                   ". Give a shorter --valid, or renew the authority first: strata admin "
                                                   "certs init --renew"));
  }
  const std::string stem = absl::StrCat(folder, "/", Stem(request));
  const IssuedFiles files{stem + ".crt", stem + ".key"};
  const auto key = ChooseKey(files, overwrite, "strata admin certs ...");
  if (!key.ok()) return key.status();
  std::vector<std::string> hosts = request.hosts;
  if (hosts.empty() && overwrite == Overwrite::kRenew) {
    const auto old = ReadCertificate(files.cert);
    if (!old.ok()) return old.status();
    hosts = old->hosts;
  }
  const auto names = AlternativeNames(request, hosts);
  if (!names.ok()) return names.status();
  const bool serves = request.role == "coordinator" || request.role == "worker";
  const char* const uses = request.role == "coordinator" ? "serverAuth" : serves ? "serverAuth,clientAuth" : "clientAuth";
  const auto certificate = Sign(key->get(), absl::StrCat(request.role, " ", request.name), request.not_before,
                                request.not_after,
                                {{NID_basic_constraints, "critical,CA:FALSE"},
                                 {NID_key_usage, "critical,digitalSignature"},
                                 {NID_ext_key_usage, uses},
                                 {NID_subject_alt_name, *names},
                                 {NID_authority_key_identifier, "keyid:always"}},
                                authority->get(), authority_key->get());
  if (!certificate.ok()) return certificate.status();
  return Write(files, key->get(), certificate->get(), overwrite != Overwrite::kRenew);
}

}  // namespace strata::base
