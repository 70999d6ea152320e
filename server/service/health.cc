#include "server/service/health.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/rpc/credentials.h"

namespace strata::service {
namespace {

constexpr char kMethod[] = "/grpc.health.v1.Health/Check";
constexpr char kServing[] = "\x08\x01";  // HealthCheckResponse{status: SERVING}
constexpr auto kPatience = std::chrono::seconds(5);

struct Serving {
  std::string address;
  base::TlsFiles tls;
};

std::string NotePath(const std::string& data_dir) { return data_dir + "/serving.json"; }

absl::StatusOr<Serving> ReadNote(const std::string& data_dir) {
  const std::string path = NotePath(data_dir);
  const auto text = base::ReadFile(path);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(
        absl::StrCat("No coordinator has served on ", data_dir, " yet: there is no ", path, "."));
  }
  if (!text.ok()) return text.status();
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("address")) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is damaged. The coordinator's next start writes it anew."));
  }
  return Serving{
      json.value("address", ""),
      {.ca = json.value("tls_ca", ""), .cert = json.value("tls_cert", ""), .key = json.value("tls_key", "")}};
}

// Where this machine reaches what listens at `address`.
std::string Reachable(const std::string& address) {
  for (const char* everywhere : {"0.0.0.0:", "[::]:"}) {
    if (absl::StartsWith(address, everywhere))
      return absl::StrCat("127.0.0.1:", address.substr(address.rfind(':') + 1));
  }
  return address;
}

// A caller that shows no certificate of its own, and expects the server's to be for the first host that it names.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Open(const Serving& serving) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  base::TlsFiles caller;
  if (serving.tls.any()) {
    const auto certificate = base::ReadCertificate(serving.tls.cert);
    if (!certificate.ok()) return certificate.status();
    if (certificate->hosts.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(serving.tls.cert,
                       " names no host, so nobody can be sure of it. Make it again with --host: strata admin certs"));
    }
    std::string host = certificate->hosts.front();
    if (absl::StartsWith(host, "*")) host.replace(0, 1, "any");
    arguments.SetString(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, host);
    caller.ca = serving.tls.ca;
  }
  return grpc::CreateCustomChannel(Reachable(serving.address), base::ChannelCredentials(caller, nullptr), arguments);
}

}  // namespace

absl::Status NoteServing(const std::string& data_dir, const std::string& address, const base::TlsFiles& tls) {
  const nlohmann::json note = {{"address", address}, {"tls_ca", tls.ca}, {"tls_cert", tls.cert}, {"tls_key", tls.key}};
  return base::WriteFileAtomically(NotePath(data_dir), note.dump() + "\n");
}

absl::Status CheckServing(const std::string& data_dir) {
  const auto serving = ReadNote(data_dir);
  if (!serving.ok()) return serving.status();
  const auto channel = Open(*serving);
  if (!channel.ok()) return channel.status();
  grpc::GenericStub stub(*channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);  // of no slices it would be no message
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  grpc::Status status;
  const auto call = stub.PrepareUnaryCall(&context, kMethod, request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("The coordinator at ", serving->address, " does not answer: ", status.error_message()));
  }
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (response.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  if (bytes == kServing) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("The coordinator at ", serving->address, " answers, and does not serve: it ends."));
}

}  // namespace strata::service
