// One accepted connection, in the clear or under TLS, that never waits except to be written to. Used by one thread at a
// time.
#pragma once

#include <poll.h>

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "server/base/file.h"
#include "server/base/tls/openssl.h"

namespace strata::base {

class Connection {
 public:
  // `ssl`: of `socket`, which does not block; null: in the clear.
  Connection(FileDescriptor socket, tls::SslPtr ssl, absl::Time deadline);

  enum class Step {
    kWaits,   // until `events` are there
    kAsked,   // `request` is whole: head with the empty line behind it
    kRefuse,  // it is answered by `refusal`
    kGone,    // nothing more is to come of it
  };
  // Goes on with handshake and request; after Finish with waiting for the other end to close.
  Step Advance();

  int fd() const { return socket_.get(); }
  short events() const { return events_; }
  absl::Time deadline() const { return deadline_; }
  const std::string& request() const { return request_; }
  const char* refusal() const { return refusal_; }
  const SSL* ssl() const { return ssl_.get(); }

  // All of `data`, or false: the other end is gone, `until` is over, or `stop` (a descriptor) is readable.
  bool Write(std::string_view data, absl::Time until, int stop);
  // Nothing more is written. What still comes is read and dropped until `deadline`: closing at once would take back the
  // answer.
  void Finish(absl::Time deadline);

 private:
  Step Shake();
  Step Read();
  Step Drain();
  // Bytes read; 0: none yet; -1: the end, or an error.
  int ReadSome(char* buffer, int size);
  // What SSL_get_error means for waiting; false: it is over.
  bool Awaits(int result);

  const FileDescriptor socket_;
  tls::SslPtr ssl_;
  absl::Time deadline_;
  short events_ = POLLIN;
  bool begun_ = false;   // the first byte was one of TLS
  bool secure_ = false;  // the handshake is over, or there is none
  bool broken_ = false;  // TLS failed: nothing may be said by it any more
  bool finished_ = false;
  std::string request_;
  const char* refusal_ = nullptr;
};

}  // namespace strata::base
