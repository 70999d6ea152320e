// strata top: a monitor of a cluster in the whole terminal.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/connection.h"

namespace strata::client::top {

struct Options {
  std::string experiment;  // full name; empty: one is chosen from the list
  bool color = true;
};

// Runs until q or a signal. `connect` is called once, with the signals blocked that the terminal's thread alone may
// take. CANCELLED after ctrl-C; SIGTERM and SIGHUP end the program as they would have. FAILED_PRECONDITION: the
// terminal cannot show it.
absl::Status Monitor(const std::function<Connection()>& connect, const Options& options);

// Prints the board of an experiment once, as plain text.
absl::Status PrintOnce(const Connection& connection, const std::string& experiment);

}  // namespace strata::client::top
