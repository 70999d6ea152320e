#include "client/measurements.h"

namespace strata::client {
namespace {

constexpr int kPage = 200;

// Calls until the page token is empty; `items` names the repeated field of a response.
template <typename Item, typename Stub, typename Request, typename Response, typename Items>
absl::StatusOr<std::vector<Item>> AllPages(const Connection& connection,
                                           grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                                           Stub& stub, Request request, Items items) {
  std::vector<Item> all;
  do {
    const absl::StatusOr<Response> page = connection.Call(method, stub, request);
    if (!page.ok()) return page.status();
    for (const Item& item : items(*page)) all.push_back(item);
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return all;
}

}  // namespace

absl::StatusOr<std::vector<v1::Experiment>> ListExperiments(const Connection& connection) {
  v1::ListExperimentsRequest request;
  request.set_page_size(kPage);
  return AllPages<v1::Experiment>(
      connection, &v1::ExperimentService::Stub::ListExperiments, connection.experiments(), request,
      [](const auto& page) -> const auto& { return page.experiments(); });
}

absl::StatusOr<std::vector<v1::Trial>> ListTrials(const Connection& connection, const std::string& experiment) {
  v1::ListTrialsRequest request;
  request.set_parent(experiment);
  request.set_page_size(kPage);
  return AllPages<v1::Trial>(
      connection, &v1::TrialService::Stub::ListTrials, connection.trials(), request,
      [](const auto& page) -> const auto& { return page.trials(); });
}

absl::StatusOr<std::vector<v1::Worker>> ListWorkers(const Connection& connection) {
  v1::ListWorkersRequest request;
  request.set_page_size(kPage);
  return AllPages<v1::Worker>(
      connection, &v1::WorkerService::Stub::ListWorkers, connection.workers(), request,
      [](const auto& page) -> const auto& { return page.workers(); });
}

absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(const Connection& connection) {
  v1::ListDatasetsRequest request;
  request.set_page_size(kPage);
  return AllPages<v1::Dataset>(
      connection, &v1::DatasetService::Stub::ListDatasets, connection.datasets(), request,
      [](const auto& page) -> const auto& { return page.datasets(); });
}

absl::StatusOr<std::vector<v1::Artifact>> ListArtifacts(const Connection& connection, const std::string& trial) {
  v1::ListArtifactsRequest request;
  request.set_parent(trial);
  request.set_page_size(kPage);
  return AllPages<v1::Artifact>(
      connection, &v1::ArtifactService::Stub::ListArtifacts, connection.artifacts(), request,
      [](const auto& page) -> const auto& { return page.artifacts(); });
}

absl::StatusOr<std::vector<v1::Series>> ListSeries(const Connection& connection, const std::string& job) {
  v1::ListSeriesRequest request;
  request.set_job(job);
  const auto response = connection.Call(&v1::MetricService::Stub::ListSeries, connection.metrics(), request);
  if (!response.ok()) return response.status();
  return std::vector<v1::Series>(response->series().begin(), response->series().end());
}

absl::StatusOr<std::vector<v1::ScalarPoint>> QueryScalars(const Connection& connection, const std::string& job,
                                                          const std::string& series) {
  v1::QueryScalarsRequest request;
  request.set_job(job);
  request.set_series(series);
  request.set_page_size(100000);
  return AllPages<v1::ScalarPoint>(
      connection, &v1::MetricService::Stub::QueryScalars, connection.metrics(), request,
      [](const auto& page) -> const auto& { return page.points(); });
}

absl::StatusOr<std::vector<v1::VectorPoint>> QueryVectors(const Connection& connection, const std::string& job,
                                                          const std::string& series, const std::string& stack) {
  v1::QueryVectorsRequest request;
  request.set_job(job);
  request.set_series(series);
  request.set_stack(stack);
  request.set_page_size(10000);
  return AllPages<v1::VectorPoint>(
      connection, &v1::MetricService::Stub::QueryVectors, connection.metrics(), request,
      [](const auto& page) -> const auto& { return page.points(); });
}

}  // namespace strata::client
