#include "server/service/metric_service.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/service/experiment_service.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr int kPointsOfMessage = 10000;
constexpr int64_t kBytesOfPage = 8 << 20;  // of vectors' values; below the limit of a message

// What a page token must come back with.
template <typename Request>
std::string ListOf(const Request& request) {
  return absl::StrCat(request.job(), " ", request.series());
}

// First update of the page.
template <typename Request>
absl::StatusOr<int64_t> FirstUpdate(const Request& request) {
  if (request.series().empty())
    return absl::InvalidArgumentError("series: name one, e.g. valid_nll; ListSeries shows those there are.");
  if (request.min_update() < 0) {
    return absl::InvalidArgumentError(absl::StrCat("min_update is ", request.min_update(), ". Updates count from 0."));
  }
  return ReadPageNumber(ListOf(request), request.page_token(), request.min_update());
}

}  // namespace

grpc::Status MetricService::QueryScalars(grpc::ServerContext*, const v1::QueryScalarsRequest* request,
                                         v1::QueryScalarsResponse* response) {
  const auto size = PageSize(request->page_size(), 10000, 100000);
  if (!size.ok()) return ToGrpc(size.status());
  const auto first = FirstUpdate(*request);
  if (!first.ok()) return ToGrpc(first.status());
  const auto job = views_.FindJob(request->job());
  if (!job.ok()) return ToGrpc(job.status());
  const auto points =
      coordinator_.store().Scalars(job->name, request->series(), static_cast<int32_t>(*first), *size + 1);
  if (!points.ok()) return ToGrpc(points.status());
  response->mutable_points()->Reserve(static_cast<int>(points->size()));
  for (const store::ScalarPoint& point : *points) {
    if (response->points_size() == *size) {
      response->set_next_page_token(PageToken(ListOf(*request), absl::StrCat(point.update)));
      break;
    }
    v1::ScalarPoint* out = response->add_points();
    out->set_update(point.update);
    out->set_value(point.value);
  }
  return grpc::Status::OK;
}

grpc::Status MetricService::QueryVectors(grpc::ServerContext*, const v1::QueryVectorsRequest* request,
                                         v1::QueryVectorsResponse* response) {
  const auto size = PageSize(request->page_size(), 1000, 10000);
  if (!size.ok()) return ToGrpc(size.status());
  const auto first = FirstUpdate(*request);
  if (!first.ok()) return ToGrpc(first.status());
  const auto job = views_.FindJob(request->job());
  if (!job.ok()) return ToGrpc(job.status());
  const auto points = coordinator_.store().Vectors(job->name, request->stack(), request->series(),
                                                   static_cast<int32_t>(*first), *size + 1);
  if (!points.ok()) return ToGrpc(points.status());
  int64_t bytes = 0;
  for (const store::VectorPoint& point : *points) {
    bytes += static_cast<int64_t>(point.values.size() * sizeof(double));
    if (response->points_size() == *size || (bytes > kBytesOfPage && response->points_size() > 0)) {
      response->set_next_page_token(PageToken(ListOf(*request), absl::StrCat(point.update)));
      break;
    }
    v1::VectorPoint* out = response->add_points();
    out->set_update(point.update);
    out->mutable_values()->Add(point.values.begin(), point.values.end());
  }
  return grpc::Status::OK;
}

grpc::Status MetricService::ListSeries(grpc::ServerContext*, const v1::ListSeriesRequest* request,
                                       v1::ListSeriesResponse* response) {
  const auto job = views_.FindJob(request->job());
  if (!job.ok()) return ToGrpc(job.status());
  const auto series = coordinator_.store().ListSeries(job->name);
  if (!series.ok()) return ToGrpc(series.status());
  for (const store::Series& one : *series) {
    v1::Series* out = response->add_series();
    out->set_series(one.series);
    out->set_stack(one.stack);
    out->set_points(one.points);
    out->set_last_update(one.last_update);
  }
  return grpc::Status::OK;
}

absl::Status MetricService::Watch(grpc::ServerContext& context, const v1::WatchScalarsRequest& request,
                                  grpc::ServerWriter<v1::WatchScalarsResponse>& writer) {
  const auto job = views_.FindJob(request.job());
  if (!job.ok()) return job.status();
  std::map<std::string, int32_t> next;  // first update not sent, by series
  int64_t seen = coordinator_.AwaitRelease(-1, absl::ZeroDuration());
  while (!context.IsCancelled()) {
    // Asked before reading, so that what is stored in between is not missed.
    const auto row = coordinator_.store().FindJob(job->name);
    if (!row.ok()) return row.status();
    const bool over = row->has_value() && core::IsFinal((*row)->state);
    const auto all = coordinator_.store().ListSeries(job->name);
    if (!all.ok()) return all.status();
    v1::WatchScalarsResponse response;
    for (const store::Series& series : *all) {
      const auto& wanted = request.series();
      if (!series.stack.empty() ||
          (!wanted.empty() && std::find(wanted.begin(), wanted.end(), series.series) == wanted.end()))
        continue;
      int32_t& from = next.try_emplace(series.series, request.min_update()).first->second;
      while (from <= series.last_update) {
        const auto points = coordinator_.store().Scalars(job->name, series.series, from, kPointsOfMessage);
        if (!points.ok()) return points.status();
        if (points->empty()) break;
        for (const store::ScalarPoint& point : *points) {
          v1::ScalarPoint* out = response.add_points();
          out->set_update(point.update);
          out->set_value(point.value);
          out->set_series(point.series);
          from = point.update + 1;
        }
        if (response.points_size() < kPointsOfMessage) continue;
        if (!writer.Write(response)) return absl::OkStatus();
        response.Clear();
      }
    }
    if (response.points_size() > 0 && !writer.Write(response)) return absl::OkStatus();
    if (over) return absl::OkStatus();
    if (coordinator_.stopping())
      return absl::UnavailableError("The coordinator is shutting down. Watch again in a moment.");
    absl::SleepFor(absl::Milliseconds(100));
    seen = coordinator_.AwaitRelease(seen, absl::Seconds(2));
  }
  return absl::CancelledError("The watcher went away.");
}

grpc::Status MetricService::WatchScalars(grpc::ServerContext* context, const v1::WatchScalarsRequest* request,
                                         grpc::ServerWriter<v1::WatchScalarsResponse>* writer) {
  const WatcherSeat seat(watchers_);
  if (!seat.ok()) return ToGrpc(seat.Refusal());
  return ToGrpc(Watch(*context, *request, *writer));
}

}  // namespace strata::service
