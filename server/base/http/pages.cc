#include "server/base/http/pages.h"

#include <fcntl.h>
#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/http/connection.h"
#include "server/base/http/exposure.h"
#include "server/base/http/tls_context.h"
#include "server/base/mutex.h"

namespace strata::base {
namespace {

constexpr size_t kMakers = 4;  // threads that make and send pages
constexpr int kBacklog = 128;
constexpr absl::Duration kParting = absl::Seconds(1);  // for the other end to close after its answer
constexpr absl::Duration kWaitForRoom = absl::Milliseconds(100);
constexpr absl::Duration kIdle = absl::Seconds(60);

using ConnectionPtr = std::shared_ptr<Connection>;

// What httplib reads a request from and writes its answer to.
class ConnectionStream final : public httplib::Stream {
 public:
  ConnectionStream(Connection& connection, absl::Time until, int stop)
      : connection_(connection), left_(connection.request()), until_(until), stop_(stop) {}
  bool is_readable() const override { return !left_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const size_t count = left_.copy(to, size);
    left_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* data, size_t size) override {
    return connection_.Write({data, size}, until_, stop_) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override {
    return INVALID_SOCKET;
  }  // it would refuse those above FD_SETSIZE, and has no use for it

 private:
  Connection& connection_;
  std::string_view left_;
  const absl::Time until_;
  const int stop_;
};

// The token in an Authorization header; empty: none that we read.
std::string TokenOf(const std::string& header) {
  if (absl::StartsWithIgnoreCase(header, "Bearer ")) return header.substr(7);
  std::string decoded;
  if (!absl::StartsWithIgnoreCase(header, "Basic ") || !absl::Base64Unescape(header.substr(6), &decoded)) return "";
  const size_t colon = decoded.find(':');
  return colon == std::string::npos ? "" : decoded.substr(colon + 1);
}

// httplib's parser, router and writer over connections of ours: its own loop gives a thread to each silent one.
class Answers final : public httplib::Server {
 public:
  Answers(std::map<std::string, Pages::Make> pages, Pages::Guard guard)
      : pages_(std::move(pages)), guard_(std::move(guard)) {
    set_default_headers({{"Cache-Control", "no-store"}});
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Answer(request, response);
      return HandlerResponse::Handled;
    });
    set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
      Say(500, "The page could not be made.", response);
    });
    // Without SO_REUSEPORT: two programs would share a port and not know it.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
  }

  // The listening socket, and its port; -1: it cannot be.
  FileDescriptor Listen(const HostAndPort& at, int* port) {
    *port = at.port == 0 ? bind_to_any_port(at.host) : at.port;
    if (at.port != 0 && !bind_to_port(at.host, at.port)) return FileDescriptor();
    FileDescriptor listener(svr_sock_.exchange(INVALID_SOCKET));
    ::listen(listener.get(), kBacklog);
    ::fcntl(listener.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    return listener;
  }

  void Serve(Connection& connection, absl::Time until, int stop) {
    ConnectionStream stream(connection, until, stop);
    bool closed = false;
    process_request(stream, true, closed, [&](httplib::Request& request) {
      request.ssl = connection.ssl();
      request.ranges.clear();  // pages are made anew: no part of one fits another's
      const std::string accepted = request.get_header_value("Accept-Encoding");
      request.headers.erase("Accept-Encoding");
      const bool gzip = accepted.find("gzip") != std::string::npos && accepted.find("gzip;q=0") == std::string::npos;
      if (gzip)
        request.headers.emplace("Accept-Encoding", "gzip");  // brotli takes a second for what gzip does in ten ms
    });
  }

 private:
  static void Say(int status, const std::string& sentence, httplib::Response& response) {
    response.status = status;
    response.set_content(sentence + "\n", "text/plain; charset=utf-8");
  }

  void Answer(const httplib::Request& request, httplib::Response& response) const {
    if (request.method != "GET" && request.method != "HEAD") {
      response.set_header("Allow", "GET, HEAD");
      return Say(405, "These pages can only be read: GET.", response);
    }
    PageCaller caller{.token = TokenOf(request.get_header_value("Authorization"))};
    if (request.ssl != nullptr) {
      const tls::X509Ptr shown(SSL_get1_peer_certificate(request.ssl));
      if (shown != nullptr && SSL_get_verify_result(request.ssl) == X509_V_OK)
        caller.certificate = tls::Describe(shown.get());
    }
    if (const absl::Status allowed = guard_ ? guard_(caller) : absl::OkStatus(); !allowed.ok()) {
      const bool unknown = absl::IsUnauthenticated(allowed);
      if (unknown) response.set_header("WWW-Authenticate", "Basic realm=\"strata\"");
      return Say(unknown ? 401 : 403, std::string(allowed.message()), response);
    }
    const auto found = pages_.find(request.path);
    if (found == pages_.end()) {
      std::string there;
      for (const auto& [path, make] : pages_) absl::StrAppend(&there, " ", path);
      return Say(404, absl::StrCat("There is no such page. There are:", there), response);
    }
    const Page page = found->second();
    response.status = 200;
    response.set_content(page.body, page.content_type);
  }

  const std::map<std::string, Pages::Make> pages_;
  const Pages::Guard guard_;
};

class RunningPages final : public Pages {
 public:
  RunningPages(Options options, std::map<std::string, Make> pages)
      : options_(std::move(options)),
        answers_(std::move(pages), options_.guard),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  ~RunningPages() override {
    if (!loop_.joinable()) return;
    stopping_ = true;
    Signal(stop_);
    loop_.join();
    makers_->shutdown();
  }

  absl::Status Open() {
    if (options_.tls.identity()) {
      auto context = ServingContext::Make(options_.tls);
      if (!context.ok()) return context.status();
      context_.emplace(*std::move(context));
    }
    HostAndPort at;
    if (ParseAddress(options_.listen, &at)) listener_ = answers_.Listen(at, &port_);
    if (listener_.get() < 0)
      return absl::FailedPreconditionError(absl::StrCat("Cannot listen on ", options_.listen, "."));
    makers_ = std::make_unique<httplib::ThreadPool>(kMakers);
    loop_ = std::thread([this] { Loop(); });
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  static void Signal(const FileDescriptor& event) { (void)::eventfd_write(event.get(), 1); }

  void Loop() {
    for (;;) {
      std::vector<pollfd> waits = {{stop_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      // Connections that pages are made for cannot be closed for new ones' sake: those wait in the kernel then.
      const bool room = !asking_.empty() || answering() < options_.most_connections;
      waits.push_back({room && absl::Now() >= accept_again_ ? listener_.get() : -1, POLLIN, 0});
      absl::Time next = absl::Now() + (accept_again_ > absl::Now() ? kWaitForRoom : kIdle);
      for (const ConnectionPtr& connection : asking_) {
        waits.push_back({connection->fd(), connection->events(), 0});
        next = std::min(next, connection->deadline());
      }
      const absl::Duration wait = std::max(next - absl::Now(), absl::ZeroDuration());
      ::poll(waits.data(), waits.size(), static_cast<int>(absl::ToInt64Milliseconds(wait)) + 1);
      if (waits[0].revents != 0) return;
      std::vector<ConnectionPtr> all = std::exchange(asking_, {});
      for (size_t i = 0; i < all.size(); ++i) {
        if (waits[i + 3].revents != 0) {
          GoOn(std::move(all[i]));
        } else if (absl::Now() < all[i]->deadline()) {
          asking_.push_back(std::move(all[i]));
        }
      }
      if (waits[1].revents != 0) TakeAnswered();
      if (waits[2].revents != 0) Accept();
    }
  }

  void GoOn(ConnectionPtr connection) {
    switch (connection->Advance()) {
      case Connection::Step::kGone:
        return;
      case Connection::Step::kWaits:
        if (absl::Now() < connection->deadline()) asking_.push_back(std::move(connection));
        return;
      case Connection::Step::kRefuse:
        connection->Write(connection->refusal(), absl::InfinitePast(),
                          stop_.get());  // fits into the socket, or does not matter
        connection->Finish(absl::Now() + kParting);
        asking_.push_back(std::move(connection));
        return;
      case Connection::Step::kAsked:
        Hand(std::move(connection));
    }
  }

  // To a thread that may wait.
  void Hand(ConnectionPtr connection) {
    {
      MutexLock lock(mutex_);
      ++answering_;
    }
    makers_->enqueue([this, connection = std::move(connection)] {
      if (stopping_) return;
      answers_.Serve(*connection, absl::Now() + options_.patience, stop_.get());
      connection->Finish(absl::Now() + kParting);
      MutexLock lock(mutex_);
      answered_.push_back(connection);
      Signal(wake_);
    });
  }

  // How many connections are with the makers.
  size_t answering() {
    MutexLock lock(mutex_);
    return answering_;
  }

  void TakeAnswered() {
    eventfd_t count = 0;
    (void)::eventfd_read(wake_.get(), &count);
    MutexLock lock(mutex_);
    answering_ -= answered_.size();
    for (ConnectionPtr& connection : answered_) asking_.push_back(std::move(connection));
    answered_.clear();
  }

  void Accept() {
    for (;;) {
      FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (socket.get() < 0) {
        // Without descriptors the connection stays where it is, and poll would come back at once.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
          accept_again_ = absl::Now() + kWaitForRoom;
        return;
      }
      if (asking_.size() + answering() >= options_.most_connections) {
        if (asking_.empty()) return;
        asking_.erase(asking_.begin());
      }
      tls::SslPtr ssl = context_ ? context_->Accept(socket.get()) : nullptr;
      GoOn(std::make_shared<Connection>(std::move(socket), std::move(ssl), absl::Now() + options_.patience));
    }
  }

  const Options options_;
  Answers answers_;
  const FileDescriptor wake_, stop_;  // events: connections were answered; all ends
  std::atomic<bool> stopping_ = false;
  FileDescriptor listener_;
  int port_ = 0;
  std::thread loop_;
  std::unique_ptr<httplib::ThreadPool> makers_;
  // The loop's own: who has not asked yet, or has been answered and has not closed, longest there first.
  std::optional<ServingContext> context_;
  std::vector<ConnectionPtr> asking_;
  absl::Time accept_again_ = absl::InfinitePast();
  Mutex mutex_;
  size_t answering_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<ConnectionPtr> answered_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Pages>> Pages::Serve(Options options, std::map<std::string, Make> pages) {
  auto served = std::make_unique<RunningPages>(std::move(options), std::move(pages));
  if (absl::Status status = served->Open(); !status.ok()) return status;
  return served;
}

}  // namespace strata::base
