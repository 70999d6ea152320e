// Keys and certificates in files: what a certificate says, and whether the files of a program serve. PEM; the OpenSSL that
// gRPC itself uses. Who its bearer is stands in a certificate as a URI: strata://ROLE/NAME, e.g. strata://worker/gpu-1.
// Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace strata::base {

// The files of one side of a connection. A program that has none of them speaks in the clear.
struct TlsFiles {
  std::string ca;    // certificates of the authority that the other side's is checked with
  std::string cert;  // this side's certificate; with it comes `key`
  std::string key;
  bool any() const { return !ca.empty() || !cert.empty() || !key.empty(); }
  bool identity() const { return !cert.empty(); }
};

struct Certificate {
  std::string subject;             // its common name
  std::string issuer;              // its authority's common name
  std::string role, name;          // of its strata:// URI; empty: it has none
  std::vector<std::string> hosts;  // names and addresses that it is valid for
  absl::Time not_before, not_after;
};

// "it is valid from 2026-01-01 00:00:00Z to ..., and the clock here says ...". For sentences.
std::string ValidityAt(const Certificate& certificate, absl::Time now);

// NotFound, PermissionDenied; InvalidArgument: no certificate.
absl::StatusOr<Certificate> ReadCertificate(const std::string& path);

// Of an OpenSSL X509 that another library hands out.
Certificate DescribeX509(void* x509);

// Role and name of strata://ROLE/NAME; false for any other text.
bool ParseIdentity(const std::string& uri, std::string* role, std::string* name);

// Whether the files can be read and belong together: the key to the certificate, the certificate to the authority.
// InvalidArgument, NotFound or PermissionDenied say what to do. FailedPrecondition: the certificate has expired, or is not valid yet at `now`.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

// Why no connection to host:port comes about, as a sentence: opens one by itself and looks at what TLS says. Empty where
// nothing answers there, or TLS is not the reason. Takes at most a few seconds.
std::string DiagnoseTls(const std::string& address, const TlsFiles& files, absl::Time now);

}  // namespace strata::base
