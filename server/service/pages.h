// The coordinator's pages for machines, over HTTP: /metrics and the like. Each is made anew at every GET; nothing can be
// changed through them. Thread-safe: pages are made on the server's own threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

struct mg_connection;
struct mg_context;

namespace strata::service {

struct Page {
  std::string content_type;
  std::string body;
};

class Pages {
 public:
  using Make = std::function<Page()>;
  // Whether a caller may read them; its sentence is the answer else.
  using Guard = std::function<absl::Status(const mg_connection* connection)>;

  // `options`: civetweb's, names and values in turn, listening_ports among them. `pages` by path.
  // FailedPrecondition: it cannot listen there, or does not take the options.
  static absl::StatusOr<std::unique_ptr<Pages>> Serve(const std::vector<std::string>& options,
                                                      std::map<std::string, Make> pages, Guard guard);
  ~Pages();  // waits for pages that are being made
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  int port() const;  // that it listens on

 private:
  Pages(std::map<std::string, Make> pages, Guard guard) : pages_(std::move(pages)), guard_(std::move(guard)) {}
  static int Answer(mg_connection* connection, void* pages);

  const std::map<std::string, Make> pages_;
  const Guard guard_;
  mg_context* server_ = nullptr;
};

}  // namespace strata::service
