// strata admin token create | list | revoke
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "client/commands/admin.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/table.h"
#include "server/base/file.h"

namespace strata::client {
namespace {

std::string TokenName(const std::string& text) { return text.rfind("tokens/", 0) == 0 ? text : "tokens/" + text; }

std::string Standing(const v1::Token& token) {
  if (token.has_revoke_time()) return "revoked " + FormatTime(token.revoke_time());
  return token.expire_time().seconds() <= absl::ToUnixSeconds(absl::Now()) ? "expired" : "valid";
}

struct CreateOptions {
  std::string name, role, expires = "90d", write;
};

absl::Status Create(const Context& context, const CreateOptions& options) {
  const auto role = ParseRoleName(options.role);
  if (!role.ok()) return role.status();
  const auto span = ParseSpan("--expires", options.expires);
  if (!span.ok()) return span.status();
  v1::CreateTokenRequest request;
  request.set_name(TokenName(options.name));
  request.set_role(*role);
  request.mutable_lifetime()->set_seconds(absl::ToInt64Seconds(*span));
  const Connection connection = context.Connect();
  const auto created = connection.Call(&v1::AccessService::Stub::CreateToken, connection.access(), request);
  if (!created.ok()) return created.status();
  if (!options.write.empty()) {
    const absl::Status status = base::WriteFileAtomically(options.write, created->secret() + "\n", 0600);
    if (!status.ok()) return status;
    if (context.json()) PrintJson(created->token());
  } else if (context.json()) {
    PrintJson(*created);
  } else {
    std::printf("%s\n", created->secret().c_str());
  }
  if (context.json()) return absl::OkStatus();
  std::fprintf(stderr, "Token %s, %s, until %s.%s\n", ShortName(created->token().name()).c_str(),
               RoleName(created->token().role()).c_str(), FormatTime(created->token().expire_time()).c_str(),
               options.write.empty() ? " It is not shown again." : absl::StrCat(" It is in ", options.write, ".").c_str());
  return absl::OkStatus();
}

absl::Status List(const Context& context) {
  const Connection connection = context.Connect();
  std::vector<v1::Token> tokens;
  v1::ListTokensRequest request;
  do {
    const auto page = connection.Call(&v1::AccessService::Stub::ListTokens, connection.access(), request);
    if (!page.ok()) return page.status();
    tokens.insert(tokens.end(), page->tokens().begin(), page->tokens().end());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  if (context.json()) {
    PrintJsonList("tokens", tokens);
    return absl::OkStatus();
  }
  Table table({"TOKEN", "ROLE", "STANDS", "EXPIRES", "CREATED", "BY"});
  for (const v1::Token& token : tokens) {
    table.Add({ShortName(token.name()), RoleName(token.role()), Standing(token), FormatTime(token.expire_time()),
               FormatTime(token.create_time()), token.creator()});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

absl::Status Revoke(const Context& context, const std::string& name) {
  v1::RevokeTokenRequest request;
  request.set_name(TokenName(name));
  const Connection connection = context.Connect();
  const auto token = connection.CallPatiently(&v1::AccessService::Stub::RevokeToken, connection.access(), request);
  if (!token.ok()) return token.status();
  if (context.json()) {
    PrintJson(*token);
  } else {
    std::printf("%s: %s.\n", ShortName(token->name()).c_str(), Standing(*token).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddAdminTokens(CLI::App& admin, Context& context) {
  CLI::App* token = admin.add_subcommand("token", "Tokens: make, list, revoke.");
  token->require_subcommand(1);

  static CreateOptions options;
  CLI::App* create = AddCommand(*token, context, "create",
                                "Make a token and print its secret, this once. A worker's token has the worker's name, or the "
                                "beginning of several names with a * behind it.",
                                {"strata admin token create alice --role submitter --expires 30d",
                                 "strata admin token create 'slurm-*' --role worker --write worker.token"});
  create->add_option("NAME", options.name, "Whose it is")->required();
  create->add_option("--role", options.role, "viewer, submitter, admin or worker")->required();
  create->add_option("--expires", options.expires, "How long it is valid, e.g. 30d or 12h")->capture_default_str();
  create->add_option("--write", options.write, "Write the secret to this file, of mode 0600, instead of printing it");
  OnRun(create, context, [&context] { return Create(context, options); });

  CLI::App* list = AddCommand(*token, context, "list", "List tokens, those that ended too.", {"strata admin token list"});
  OnRun(list, context, [&context] { return List(context); });

  static std::string name;
  CLI::App* revoke = AddCommand(*token, context, "revoke", "End a token at once.", {"strata admin token revoke alice"});
  revoke->add_option("NAME", name, "The token")->required();
  OnRun(revoke, context, [&context] { return Revoke(context, name); });
}

}  // namespace strata::client
