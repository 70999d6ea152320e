#include "server/service/metrics.h"

#include <grpcpp/support/server_interceptor.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/job.h"
#include "server/service/exported_state.h"

namespace strata::service {
namespace {

constexpr char kOtherCause[] = "other";
// Longer than the core waits for the ranks of an attempt that ended.
constexpr absl::Duration kCountedKept = absl::Minutes(5);

// Counts one call and times it, when its status is sent.
class CallCounter final : public grpc::experimental::Interceptor {
 public:
  CallCounter(std::string method, prometheus::Family<prometheus::Counter>& calls,
              prometheus::Family<prometheus::Histogram>& seconds)
      : method_(std::move(method)), calls_(calls), seconds_(seconds), start_(absl::Now()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      const int code = static_cast<int>(methods->GetSendStatus().error_code());
      calls_.Add({{"method", method_}, {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}})
          .Increment();
      seconds_.Add({{"method", method_}}, prometheus::Histogram::BucketBoundaries{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10})
          .Observe(absl::ToDoubleSeconds(absl::Now() - start_));
    }
    methods->Proceed();
  }

 private:
  const std::string method_;
  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  const absl::Time start_;
};

// Only methods of our own services: their names are a fixed list, others a caller could make up.
class CallCounters final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  CallCounters(prometheus::Family<prometheus::Counter>& calls, prometheus::Family<prometheus::Histogram>& seconds)
      : calls_(calls), seconds_(seconds) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    const std::string method = info->method() == nullptr ? "" : info->method();
    const std::string ours = "/strata.v1.";
    if (method.rfind(ours, 0) != 0) return nullptr;
    return new CallCounter(method.substr(ours.size()), calls_, seconds_);
  }

 private:
  prometheus::Family<prometheus::Counter>& calls_;
  prometheus::Family<prometheus::Histogram>& seconds_;
};

}  // namespace

struct Metrics::Inside {
  Inside(Coordinator& coordinator, LiveTrials& live, const std::string& data_dir)
      : coordinator(coordinator), state(coordinator, live, data_dir) {}

  Coordinator& coordinator;
  ExportedState state;
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::string address;
  // Attempts that ended lately: their rows are stored again when further ranks tell how it was for them.
  base::Mutex mutex;
  std::map<std::pair<std::string, int32_t>, absl::Time> counted ABSL_GUARDED_BY(mutex);
  prometheus::Family<prometheus::Counter>& attempts = prometheus::BuildCounter()
                                                          .Name("strata_attempts_total")
                                                          .Help("Attempts that ended, by outcome.")
                                                          .Register(*registry);
  prometheus::Family<prometheus::Counter>& failures =
      prometheus::BuildCounter()
          .Name("strata_attempt_failures_total")
          .Help("Attempts that ended as failed, or fenced with their worker, by cause.")
          .Register(*registry);
  prometheus::Family<prometheus::Counter>& leases = prometheus::BuildCounter()
                                                        .Name("strata_leases_lost_total")
                                                        .Help("Attempts fenced because their worker was lost.")
                                                        .Register(*registry);
  prometheus::Counter& leases_lost = leases.Add({});
  prometheus::Family<prometheus::Histogram>& commits = prometheus::BuildHistogram()
                                                           .Name("strata_store_commit_seconds")
                                                           .Help("Time from a change to its being on disk.")
                                                           .Register(*registry);
  prometheus::Histogram& commit = commits.Add(
      {},
      prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5});
  prometheus::Family<prometheus::Counter>& rows = prometheus::BuildCounter()
                                                      .Name("strata_measurement_rows_total")
                                                      .Help("Rows of measurements stored, by shape.")
                                                      .Register(*registry);
  prometheus::Family<prometheus::Counter>& calls =
      prometheus::BuildCounter().Name("strata_rpc_total").Help("Calls served, by method and code.").Register(*registry);
  prometheus::Family<prometheus::Histogram>& call_seconds =
      prometheus::BuildHistogram()
          .Name("strata_rpc_seconds")
          .Help("Time from a call's arrival to its status; waiting calls wait.")
          .Register(*registry);
  prometheus::Counter& scalars = rows.Add({{"shape", "scalar"}});
  prometheus::Counter& vectors = rows.Add({{"shape", "vector"}});
  std::unique_ptr<base::Pages> pages;  // last: closed before what they show
};

Metrics::Metrics(Coordinator& coordinator, LiveTrials& live, const std::string& data_dir)
    : inside_(std::make_unique<Inside>(coordinator, live, data_dir)) {
  for (const char* outcome : {"succeeded", "diverged", "failed", "stopped", "cancelled", "fenced"}) {
    inside_->attempts.Add({{"outcome", outcome}});
  }
  for (const std::string_view cause : core::Causes()) inside_->failures.Add({{"cause", std::string(cause)}});
  inside_->failures.Add({{"cause", kOtherCause}});
}

Metrics::~Metrics() = default;

absl::Status Metrics::Expose(const std::string& listen, const base::TlsFiles& tls, base::Pages::Guard guard) {
  const auto metrics = [this]() -> base::Page {
    std::vector<prometheus::MetricFamily> families = inside_->registry->Collect();
    inside_->state.Collect(families);
    return {"text/plain; version=0.0.4; charset=utf-8", prometheus::TextSerializer().Serialize(families)};
  };
  const auto workers = [this]() -> base::Page { return {"application/json", inside_->state.WorkerTargets()}; };
  auto pages = base::Pages::Serve({.listen = listen, .tls = tls, .guard = std::move(guard)},
                                  {{"/metrics", metrics}, {"/sd/workers", workers}});
  if (absl::IsFailedPrecondition(pages.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "Cannot serve metrics on ", listen,
        ": the port is in use, or the address is not this machine's. Give another --metrics-listen, or none."));
  }
  if (!pages.ok()) return pages.status();
  inside_->pages = *std::move(pages);
  inside_->address = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", inside_->pages->port());
  return absl::OkStatus();
}

void Metrics::Close() { inside_->pages = nullptr; }

std::string Metrics::address() const { return inside_->address; }

bool Metrics::IsNew(const core::Attempt& attempt) {
  const absl::Time now = inside_->coordinator.now();
  base::MutexLock lock(inside_->mutex);
  std::erase_if(inside_->counted, [&](const auto& entry) { return now - entry.second > kCountedKept; });
  return inside_->counted.try_emplace({attempt.job, attempt.number}, now).second;
}

void Metrics::Count(const Coordinator::Stored& stored) {
  for (const core::Attempt& attempt : stored.attempts) {
    if (attempt.live() || !IsNew(attempt)) continue;
    inside_->attempts.Add({{"outcome", attempt.outcome}}).Increment();
    if (attempt.outcome == "fenced") inside_->leases_lost.Increment();
    if (attempt.outcome != "failed" && attempt.outcome != "fenced") continue;
    inside_->failures.Add({{"cause", core::IsCause(attempt.cause) ? attempt.cause : kOtherCause}}).Increment();
  }
  inside_->scalars.Increment(static_cast<double>(stored.scalars));
  inside_->vectors.Increment(static_cast<double>(stored.vectors));
  inside_->commit.Observe(stored.seconds);
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> Metrics::MakeCounter() {
  return std::make_unique<CallCounters>(inside_->calls, inside_->call_seconds);
}

}  // namespace strata::service
