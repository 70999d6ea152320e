#include "worker/agent/fake_coordinator.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/sha256.h"

namespace strata::agent {

absl::StatusOr<Registration> FakeCoordinator::Register(const std::vector<AttemptId>& attempts) {
  base::MutexLock lock(mutex_);
  if (away) return Away();
  if (!register_error.ok()) return register_error;
  ++registrations;
  knows_session = true;
  Registration registration{absl::Milliseconds(600), {}, {}};
  for (const AttemptId& id : attempts) {
    if (stale.contains(id)) registration.stale.push_back(id);
    for (const auto& [key, list] : events) {
      if (key.first == id) registration.cursors.push_back({id, key.second, static_cast<int64_t>(list.size())});
    }
  }
  return registration;
}

absl::StatusOr<Assignments> FakeCoordinator::Synchronize(int64_t generation, absl::Duration wait,
                                                         const std::vector<AttemptId>&) {
  base::MutexLock lock(mutex_);
  if (away) return Away();
  if (!knows_session) return absl::FailedPreconditionError("stale_session: register again");
  if (generation == generation_) changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(wait));
  if (away) return Away();
  return Assignments{generation_, assigned, leave};
}

absl::StatusOr<int64_t> FakeCoordinator::ReportEvents(const AttemptId& id, int32_t rank,
                                                      const std::vector<std::string>& lines) {
  base::MutexLock lock(mutex_);
  if (absl::Status status = Check(id); !status.ok()) return status;
  auto& list = events[{id, rank}];
  for (const std::string& line : lines) {
    const int64_t seq = std::stoll(line.substr(line.find("\"seq\":") + 6));
    if (seq == static_cast<int64_t>(list.size()) + 1) list.push_back(line);
    if (seq > static_cast<int64_t>(list.size())) return absl::FailedPreconditionError("gap: expected another number");
  }
  changed_.NotifyAll();
  return static_cast<int64_t>(list.size());
}

absl::Status FakeCoordinator::CompleteAttempt(const AttemptId& id, const Completion& completion) {
  base::MutexLock lock(mutex_);
  if (absl::Status status = Check(id); !status.ok()) return status;
  completions[id] = completion;
  std::erase_if(assigned, [&](const Assignment& a) { return a.id == id; });
  ++generation_;
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FakeCoordinator::AppendLog(const AttemptId& id, int64_t offset, const std::string& text) {
  base::MutexLock lock(mutex_);
  if (absl::Status status = Check(id); !status.ok()) return status;
  std::string& log = logs[id];
  if (offset != static_cast<int64_t>(log.size())) {
    return absl::FailedPreconditionError(absl::StrCat("the log stands at ", log.size()));
  }
  log += text;
  return static_cast<int64_t>(log.size());
}

absl::Status FakeCoordinator::Deregister() {
  base::MutexLock lock(mutex_);
  left = true;
  return away ? Away() : absl::OkStatus();
}

absl::StatusOr<DatasetInfo> FakeCoordinator::GetDataset(const std::string& name) {
  base::MutexLock lock(mutex_);
  if (away) return Away();
  const auto found = datasets.find(name);
  if (found == datasets.end()) return absl::NotFoundError("no such dataset");
  return found->second;
}

absl::Status FakeCoordinator::ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                                              const ByteSink& sink) {
  return Stream(name + "/" + path, offset, sink);
}

absl::Status FakeCoordinator::ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) {
  return Stream(name, offset, sink);
}

absl::StatusOr<Upload> FakeCoordinator::StartUpload(const AttemptId& id, const ArtifactFile& file) {
  base::MutexLock lock(mutex_);
  if (absl::Status status = Check(id); !status.ok()) return status;
  const std::string name = absl::StrCat(file.kind, " ", file.sha256);
  StoredUpload& upload = uploads[name];
  upload.file = file;
  return Upload{name, static_cast<int64_t>(upload.data.size()), upload.complete};
}

absl::StatusOr<int64_t> FakeCoordinator::UploadChunk(const std::string& name, int64_t offset, std::string_view data) {
  if (on_chunk) {
    if (absl::Status status = on_chunk(offset); !status.ok()) return status;
  }
  base::MutexLock lock(mutex_);
  if (away) return Away();
  StoredUpload& upload = uploads[name];
  if (broken_chunks > 0) {  // half of it arrives, the answer does not
    --broken_chunks;
    upload.data.append(data.substr(0, data.size() / 2));
    return absl::UnavailableError("cut off");
  }
  if (spoiled_chunks > 0) {
    --spoiled_chunks;
    return absl::DataLossError("damaged on its way");
  }
  for (int i = 0; i < 200 && offset > static_cast<int64_t>(upload.data.size()); ++i) {
    changed_.WaitFor(mutex_, std::chrono::milliseconds(1));  // one before it may be on its way
  }
  if (offset != static_cast<int64_t>(upload.data.size())) {
    return absl::FailedPreconditionError(absl::StrCat("the upload stands at ", upload.data.size()));
  }
  upload.data.append(data);
  return static_cast<int64_t>(upload.data.size());
}

absl::Status FakeCoordinator::FinishUpload(const std::string& name) {
  base::MutexLock lock(mutex_);
  if (away) return Away();
  StoredUpload& upload = uploads[name];
  if (base::Sha256Hex(upload.data) != upload.file.sha256) {
    upload.data.clear();
    return absl::DataLossError("the hash differs");
  }
  upload.complete = true;
  finished.push_back(absl::StrCat(upload.file.kind, " ", upload.file.update));
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status FakeCoordinator::Check(const AttemptId& id) {
  if (away) return Away();
  if (!knows_session) return absl::FailedPreconditionError("stale_session: register again");
  if (stale.contains(id)) return absl::FailedPreconditionError("stale_attempt: fenced");
  return absl::OkStatus();
}

absl::Status FakeCoordinator::Stream(const std::string& name, int64_t offset, const ByteSink& sink) {
  std::string data;
  bool whole = true;
  {
    base::MutexLock lock(mutex_);
    if (away) return Away();
    ++streams;
    const auto found = files.find(name);
    if (found == files.end()) return absl::NotFoundError(name);
    data = found->second.substr(static_cast<size_t>(offset));
    whole = static_cast<int64_t>(data.size()) <= bytes_a_stream;
    if (!whole) data.resize(static_cast<size_t>(bytes_a_stream));
  }
  absl::Status taken = sink(data);
  if (!taken.ok()) return taken;
  return whole ? absl::OkStatus() : absl::UnavailableError("cut off");
}

}  // namespace strata::agent
