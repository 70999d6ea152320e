// MetricService of proto/strata/v1/metric_service.proto: stored measurements.
#pragma once

#include <atomic>

#include "server/service/views.h"
#include "strata/v1/metric_service.grpc.pb.h"

namespace strata::service {

class MetricService final : public v1::MetricService::Service {
 public:
  MetricService(Coordinator& coordinator, Views& views) : coordinator_(coordinator), views_(views) {}

  grpc::Status QueryScalars(grpc::ServerContext*, const v1::QueryScalarsRequest*, v1::QueryScalarsResponse*) override;
  grpc::Status QueryVectors(grpc::ServerContext*, const v1::QueryVectorsRequest*, v1::QueryVectorsResponse*) override;
  grpc::Status ListSeries(grpc::ServerContext*, const v1::ListSeriesRequest*, v1::ListSeriesResponse*) override;
  grpc::Status WatchScalars(grpc::ServerContext*, const v1::WatchScalarsRequest*,
                            grpc::ServerWriter<v1::WatchScalarsResponse>*) override;

 private:
  absl::Status Watch(grpc::ServerContext& context, const v1::WatchScalarsRequest& request,
                     grpc::ServerWriter<v1::WatchScalarsResponse>& writer);

  Coordinator& coordinator_;
  Views& views_;
  std::atomic<int> watchers_{0};
};

}  // namespace strata::service
