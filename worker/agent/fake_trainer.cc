// A trainer for the agent's tests: takes strata-trainer's command line, and does what the script in spec.json says.
// {"script": [["emit", "TYPE", {fields}], ["checkpoint", UPDATE, "text"], ["sleep", ms], ["torn"], ["crash", signal],
//  ["exit", code], ["log", "text"], ["wait"], ["wait_rendezvous"], ["collective", sequence, "name"],
//  ["allocate", MiB]]}
// `wait` lasts until SIGTERM, then writes a checkpoint and `stopped`, and ends. `only_rank` in a step's fields: other
// ranks skip it.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/base/sha256.h"

namespace {

using nlohmann::json;

volatile sig_atomic_t stop = 0;

struct Fake {
  std::map<std::string, std::string> flags;
  int spool = -1;
  int listener = -1;
  int64_t seq = 0;
  std::vector<std::string> held;

  void Emit(const std::string& type, json fields) {
    fields["seq"] = ++seq;
    fields["type"] = type;
    fields["attempt"] = std::stoi(flags["--attempt"]);
    fields["rank"] = std::stoi(flags["--rank"]);
    const std::string line = fields.dump() + "\n";
    if (::write(spool, line.data(), line.size()) < 0) std::perror("write");
  }

  void Save(const std::string& kind, int update, const std::string& text) {
    char name[64];
    std::snprintf(name, sizeof name, "update-%08d.safetensors", update);
    const std::string file = "checkpoints/" + (kind == "resumable" ? std::string(name) : kind + ".safetensors");
    std::filesystem::create_directories(flags["--out"] + "/checkpoints");
    std::ofstream(flags["--out"] + "/" + file) << text;
    Emit("checkpoint", {{"update", update},
                        {"file", file},
                        {"sha256", strata::base::Sha256Hex(text)},
                        {"bytes", text.size()},
                        {"kind", kind}});
  }

  void WaitRendezvous() {
    for (;;) {
      const int connection = ::accept(listener, nullptr, nullptr);
      if (connection < 0) continue;
      char line[256] = {};
      if (::read(connection, line, sizeof line - 1) > 0) Emit("warning", {{"message", std::string(line)}});
      [[maybe_unused]] const ssize_t n = ::write(connection, "ok\n", 3);
      ::close(connection);
      return;
    }
  }

  void Step(const json& step) {
    const std::string what = step[0];
    if (what == "emit") Emit(step[1], step[2]);
    if (what == "checkpoint") Save("resumable", step[1], step[2]);
    if (what == "save") Save(step[1], step[2], step[3]);
    if (what == "sleep") ::usleep(step[1].get<int>() * 1000);
    if (what == "log") std::fprintf(stderr, "%s\n", step[1].get<std::string>().c_str());
    if (what == "torn") [[maybe_unused]]
      const ssize_t n = ::write(spool, "{\"seq\": 99, \"ty", 15);
    if (what == "crash") {
      ::signal(step[1], SIG_DFL);
      ::raise(step[1]);
    }
    if (what == "collective") {
      const uint64_t sequence = step[1];
      std::string bytes(reinterpret_cast<const char*>(&sequence), sizeof sequence);
      bytes += step[2];
      bytes.resize(128);
      std::ofstream(flags["--collectives"]) << bytes;
    }
    if (what == "allocate") held.emplace_back(step[1].get<size_t>() << 20, 'x');  // MiB
    if (what == "exit") ::_exit(step[1]);
    if (what == "wait_rendezvous") WaitRendezvous();
    if (what == "hang") {
      ::signal(SIGTERM, SIG_IGN);
      for (;;) ::pause();
    }
    if (what == "ticks") {
      for (int i = 0; i < step[1].get<int>() && !stop; ++i) {
        Emit("measurements", {{"update", i}, {"scalars", {{"train_loss", 1.0 / (i + 1)}}}});
        ::usleep(step[2].get<int>() * 1000);
      }
    }
    if (what == "wait") {
      while (!stop) ::usleep(2000);
      Save("resumable", 77, "state at 77");
      Emit("stopped", {{"update", 77}});
      ::_exit(0);
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGTERM, [](int) { stop = 1; });
  Fake fake;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strncmp(argv[i], "--", 2) == 0) fake.flags[argv[i]] = argv[i + 1];
  }
  fake.spool = ::open(fake.flags["--spool"].c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  fake.listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, fake.flags["--control"].c_str(), sizeof address.sun_path - 1);
  ::unlink(address.sun_path);
  ::bind(fake.listener, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::listen(fake.listener, 4);
  json resumed;
  for (const auto& entry : std::filesystem::directory_iterator(
           fake.flags["--out"] + "/checkpoints", std::filesystem::directory_options::none, *new std::error_code)) {
    resumed.push_back(entry.path().filename().string());
  }
  const json spec = json::parse(std::ifstream(fake.flags["--spec"]));
  fake.Emit("started", {{"pid", ::getpid()}, {"found", resumed}});
  const json& scripts = spec.at("script");
  const json& script = scripts.is_object() ? scripts.at(fake.flags["--rank"]) : scripts;
  for (const json& step : script) fake.Step(step);
  return 0;
}
