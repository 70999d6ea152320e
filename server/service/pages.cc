#include "server/service/pages.h"

#include <civetweb.h>

#include <string_view>

#include "absl/strings/str_cat.h"

namespace strata::service {
namespace {

void Send(mg_connection* connection, const char* status, const Page& page, bool body) {
  const std::string head = absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Type: ", page.content_type,
                                        "\r\nContent-Length: ", page.body.size(),
                                        "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (body) mg_write(connection, page.body.data(), page.body.size());
}

Page Sentence(const std::string& text) { return {"text/plain; charset=utf-8", text + "\n"}; }

int Refuse(mg_connection* connection, const absl::Status& why) {
  const bool unknown = absl::IsUnauthenticated(why);
  Send(connection, unknown ? "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"strata\"" : "403 Forbidden",
       Sentence(std::string(why.message())), true);
  return unknown ? 401 : 403;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Pages>> Pages::Serve(const std::vector<std::string>& options,
                                                    std::map<std::string, Make> pages, Guard guard) {
  std::unique_ptr<Pages> served(new Pages(std::move(pages), std::move(guard)));
  std::vector<const char*> list;
  for (const std::string& option : options) list.push_back(option.c_str());
  list.push_back(nullptr);
  const mg_callbacks callbacks{};
  served->server_ = mg_start(&callbacks, nullptr, list.data());
  if (served->server_ == nullptr) return absl::FailedPreconditionError("The HTTP server does not start.");
  mg_set_request_handler(served->server_, "**", Answer, served.get());
  return served;
}

Pages::~Pages() {
  if (server_ != nullptr) mg_stop(server_);
}

int Pages::port() const {
  mg_server_port port{};
  return mg_get_server_ports(server_, 1, &port) == 1 ? port.port : 0;
}

int Pages::Answer(mg_connection* connection, void* pages) {
  const mg_request_info& request = *mg_get_request_info(connection);
  const std::string_view method = request.request_method;
  if (method != "GET" && method != "HEAD") {
    Send(connection, "405 Method Not Allowed", Sentence("These pages can only be read: GET."), true);
    return 405;
  }
  if (const absl::Status allowed = static_cast<Pages*>(pages)->guard_(connection); !allowed.ok()) {
    return Refuse(connection, allowed);
  }
  const auto& known = static_cast<Pages*>(pages)->pages_;
  const auto found = known.find(request.local_uri);
  if (found == known.end()) {
    std::string there;
    for (const auto& [path, make] : known) absl::StrAppend(&there, " ", path);
    Send(connection, "404 Not Found", Sentence(absl::StrCat("There is no such page. There are:", there)),
         method == "GET");
    return 404;
  }
  Send(connection, "200 OK", found->second(), method == "GET");
  return 200;
}

}  // namespace strata::service
