#include "worker/trainer/gang.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "worker/trainer/testing.h"

namespace strata::trainer::testing {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

void Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

}  // namespace

Gang::Gang(fs::path folder, const std::vector<std::string>& arguments, int ranks, const std::string& address)
    : folder_(std::move(folder)), statuses_(static_cast<size_t>(ranks), -1) {
  fs::create_directories(folder_);
  for (int rank = 0; rank < ranks; ++rank) {
    fs::remove(File("events", rank));  // an earlier gang's
    std::vector<std::string> all = arguments;
    for (const std::string& more :
         {std::string("--rank"), std::to_string(rank), std::string("--world-size"), std::to_string(ranks),
          std::string("--advertise-address"), address, std::string("--out"), Out(rank).string(), std::string("--spool"),
          File("events", rank).string(), std::string("--control"), File("control", rank).string(),
          std::string("--collectives"), File("collectives", rank).string()}) {
      all.push_back(more);
    }
    pids_.push_back(StartTrainer(all, File("log", rank)));
  }
}

Gang::~Gang() {
  for (size_t i = 0; i < pids_.size(); ++i) {
    if (statuses_[i] >= 0) continue;
    ::kill(pids_[i], SIGKILL);
    Wait(static_cast<int>(i));
  }
}

bool Gang::Running(int rank) {
  int& known = statuses_[static_cast<size_t>(rank)];
  if (known >= 0) return false;
  int status = 0;
  if (::waitpid(pid(rank), &status, WNOHANG) == 0) return true;
  known = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

bool Gang::Await(int rank, const std::string& type) {
  while (true) {
    const bool running = Running(rank);
    if (!OfType(Events(rank), type).empty()) return true;
    if (!running) return false;
    Pause();
  }
}

bool Gang::Introduce() {
  if (pids_.size() == 1) return true;
  if (!Await(0, "rendezvous")) return false;
  const json event = OfType(Events(0), "rendezvous").back();
  const std::string line =
      "rendezvous " + event.at("host").get<std::string>() + " " + std::to_string(event.at("port").get<int>());
  for (size_t rank = 1; rank < pids_.size(); ++rank) Ask(File("control", static_cast<int>(rank)), line);
  return true;
}

int Gang::Wait(int rank) {
  int& known = statuses_[static_cast<size_t>(rank)];
  if (known < 0) known = WaitFor(pid(rank));
  return known;
}

std::vector<int> Gang::WaitAll() {
  for (size_t i = 0; i < pids_.size(); ++i) Wait(static_cast<int>(i));
  return statuses_;
}

std::vector<json> Gang::Events(int rank) const { return ReadEvents(File("events", rank)); }

json Gang::Last(int rank) const {
  const std::vector<json> events = Events(rank);
  return events.empty() ? json() : events.back();
}

std::string Gang::Log(int rank) const {
  std::stringstream text;
  text << std::ifstream(File("log", rank)).rdbuf();
  return text.str();
}

fs::path Gang::Out(int rank) const { return rank == 0 ? folder_ / "out" : File("out", rank); }

Gang::Position Gang::Collective(int rank) const {
  std::stringstream bytes;
  bytes << std::ifstream(File("collectives", rank), std::ios::binary).rdbuf();
  const std::string text = bytes.str();
  Position position;
  if (text.size() != 128) return position;
  std::memcpy(&position.sequence, text.data(), sizeof position.sequence);
  position.name = text.c_str() + sizeof position.sequence;
  return position;
}

std::string Ask(const fs::path& socket, const std::string& line) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  int connection = -1;
  for (int tries = 0; tries < 30'000; ++tries) {
    connection = ::socket(AF_UNIX, SOCK_STREAM, 0);
    if (::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
    ::close(connection);
    connection = -1;
    Pause();
  }
  if (connection < 0) return "no connection";
  (void)!::write(connection, (line + "\n").data(), line.size() + 1);
  char answer[256] = {};
  (void)!::read(connection, answer, sizeof answer - 1);
  ::close(connection);
  return answer;
}

}  // namespace strata::trainer::testing
