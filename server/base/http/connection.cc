#include "server/base/http/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace strata::base {
namespace {

constexpr size_t kLargestRequest = 16 << 10;
constexpr char kHandshake = 0x16;  // how every connection of TLS begins

constexpr char kSpeaksTls[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    "This port speaks TLS. Write https:// in place of http://.\n";
constexpr char kTooLarge[] =
    "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: "
    "close\r\n\r\n"
    "The request is longer than 16 KiB. Send fewer headers.\n";

}  // namespace

Connection::Connection(FileDescriptor socket, tls::SslPtr ssl, absl::Time deadline)
    : socket_(std::move(socket)), ssl_(std::move(ssl)), deadline_(deadline), secure_(ssl_ == nullptr) {}

Connection::Step Connection::Advance() {
  if (finished_) return Drain();
  if (!secure_) {
    if (const Step step = Shake(); !secure_) return step;
  }
  return Read();
}

Connection::Step Connection::Shake() {
  if (!begun_) {
    char first = 0;
    const ssize_t peeked = ::recv(fd(), &first, 1, MSG_PEEK);
    if (peeked < 0 && (errno == EAGAIN || errno == EINTR)) return Step::kWaits;
    if (peeked != 1) return Step::kGone;
    if (first != kHandshake) {
      ssl_ = nullptr;  // what follows is in the clear
      refusal_ = kSpeaksTls;
      return Step::kRefuse;
    }
    begun_ = true;
  }
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    secure_ = true;
    return Step::kWaits;
  }
  return Awaits(result) ? Step::kWaits : Step::kGone;
}

Connection::Step Connection::Read() {
  char buffer[4096];
  for (;;) {
    const int count = ReadSome(buffer, sizeof buffer);
    if (count < 0) return Step::kGone;
    if (count == 0) return Step::kWaits;
    const size_t from = request_.size() < 3 ? 0 : request_.size() - 3;
    request_.append(buffer, static_cast<size_t>(count));
    if (const size_t end = request_.find("\r\n\r\n", from); end != std::string::npos && end + 4 <= kLargestRequest) {
      request_.resize(end + 4);  // a body is of no use to pages
      return Step::kAsked;
    }
    if (request_.size() > kLargestRequest) {
      refusal_ = kTooLarge;
      return Step::kRefuse;
    }
  }
}

Connection::Step Connection::Drain() {
  char buffer[4096];
  for (;;) {
    const ssize_t count = ::recv(fd(), buffer, sizeof buffer, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return Step::kGone;
    if (count < 0) return Step::kWaits;
  }
}

int Connection::ReadSome(char* buffer, int size) {
  if (ssl_ != nullptr) {
    const int count = SSL_read(ssl_.get(), buffer, size);
    return count > 0 ? count : Awaits(count) ? 0 : -1;
  }
  const ssize_t count = ::recv(fd(), buffer, static_cast<size_t>(size), 0);
  if (count > 0) return static_cast<int>(count);
  events_ = POLLIN;
  return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

bool Connection::Awaits(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  (void)tls::LastError();  // the queue is the thread's, and others' connections use it too
  events_ = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
  const bool waits = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  broken_ = broken_ || (!waits && error != SSL_ERROR_ZERO_RETURN);
  return waits;
}

bool Connection::Write(std::string_view data, absl::Time until, int stop) {
  while (!data.empty()) {
    events_ = POLLOUT;
    ssize_t count = 0;
    if (ssl_ != nullptr) {
      const size_t part = std::min(data.size(), size_t{1} << 20);
      count = SSL_write(ssl_.get(), data.data(), static_cast<int>(part));
      if (count <= 0 && !Awaits(static_cast<int>(count))) return false;
    } else {
      count = ::send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
    }
    if (count > 0) {
      data.remove_prefix(static_cast<size_t>(count));
      continue;
    }
    pollfd waits[] = {{fd(), events_, 0}, {stop, POLLIN, 0}};
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    ::poll(waits, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (waits[1].revents != 0) return false;
  }
  return true;
}

void Connection::Finish(absl::Time deadline) {
  if (ssl_ != nullptr && secure_ && !broken_) {
    SSL_shutdown(ssl_.get());  // says that this is all; the other end's word is not waited for
    (void)tls::LastError();
  }
  ::shutdown(fd(), SHUT_WR);
  finished_ = true;
  events_ = POLLIN;
  deadline_ = deadline;
}

}  // namespace strata::base
