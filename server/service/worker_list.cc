// WorkerService as people use it: the list of workers, cordon and drain.
#include <map>

#include "absl/strings/str_cat.h"
#include "server/service/convert.h"
#include "server/service/names.h"
#include "server/service/rpc.h"
#include "server/service/worker_service.h"

namespace strata::service {
namespace {

// Workers with the holders of their slots.
std::vector<v1::Worker> ShowWorkers(const core::State& state) {
  std::map<std::pair<std::string, int32_t>, std::string> holders;
  for (const auto& [key, attempt] : state.attempts) {
    if (!attempt.live()) continue;
    for (const core::RankPlace& place : attempt.places) {
      if (!place.done) holders[{place.worker, place.slot}] = absl::StrCat(attempt.job, "#", attempt.number);
    }
  }
  std::vector<v1::Worker> workers;
  for (const auto& [name, worker] : state.workers) {
    v1::Worker proto = service::ToProto(worker);
    for (v1::Slot& slot : *proto.mutable_slots()) {
      const auto holder = holders.find({name, slot.index()});
      if (holder != holders.end()) slot.set_holder(holder->second);
    }
    workers.push_back(std::move(proto));
  }
  return workers;
}

}  // namespace

absl::StatusOr<std::string> WorkerId(const std::string& name) {
  const auto ids = ParseName(name, "workers/*");
  if (!ids.ok()) return ids.status();
  if (!IsId((*ids)[0], 63)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: \"", name,
        "\" is no worker's name. Use lower-case letters, digits, dots and hyphens, at most 63, as in workers/gpu-1."));
  }
  return (*ids)[0];
}

absl::StatusOr<v1::Worker> WorkerService::Find(const std::string& name) {
  std::optional<v1::Worker> found;
  const absl::Status status = coordinator_.Look([&](const core::Controller& controller) {
    for (v1::Worker& worker : ShowWorkers(controller.state())) {
      if (worker.name() == name) found = std::move(worker);
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (!found.has_value()) return absl::NotFoundError(absl::StrCat("There is no worker ", name, "."));
  return *found;
}

grpc::Status WorkerService::GetWorker(grpc::ServerContext*, const v1::GetWorkerRequest* request, v1::Worker* response) {
  auto worker = Find(request->name());
  if (worker.ok()) *response = *std::move(worker);
  return ToGrpc(worker.status());
}

grpc::Status WorkerService::Steer(const std::string& name,
                                  const std::function<core::Event(const std::string& id)>& event,
                                  v1::Worker* response) {
  const auto id = WorkerId(name);
  if (!id.ok()) return ToGrpc(id.status());
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) { return change.Step(event(*id)); });
  if (!status.ok()) return ToGrpc(status);
  auto worker = Find(name);
  if (worker.ok()) *response = *std::move(worker);
  return ToGrpc(worker.status());
}

grpc::Status WorkerService::CordonWorker(grpc::ServerContext*, const v1::CordonWorkerRequest* request,
                                         v1::Worker* response) {
  return Steer(
      request->name(), [](const std::string& id) { return core::CordonRequested{id}; }, response);
}

grpc::Status WorkerService::UncordonWorker(grpc::ServerContext*, const v1::UncordonWorkerRequest* request,
                                           v1::Worker* response) {
  return Steer(
      request->name(), [](const std::string& id) { return core::UncordonRequested{id}; }, response);
}

grpc::Status WorkerService::DrainWorker(grpc::ServerContext*, const v1::DrainWorkerRequest* request,
                                        v1::Worker* response) {
  return Steer(
      request->name(), [](const std::string& id) { return core::DrainRequested{id}; }, response);
}

grpc::Status WorkerService::ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto after = ReadPageToken("workers", request->page_token());
  if (!after.ok()) return ToGrpc(after.status());
  return ToGrpc(coordinator_.Look([&](const core::Controller& controller) {
    for (v1::Worker& worker : ShowWorkers(controller.state())) {
      if (worker.name() <= *after) continue;
      if (response->workers_size() == *size) {
        response->set_next_page_token(PageToken("workers", response->workers(*size - 1).name()));
        break;
      }
      *response->add_workers() = std::move(worker);
    }
    return absl::OkStatus();
  }));
}

}  // namespace strata::service
