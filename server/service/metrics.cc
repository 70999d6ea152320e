#include "server/service/metrics.h"

#include <grpcpp/support/server_interceptor.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "absl/strings/str_cat.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

// A family of gauges in the making.
class Gauges {
 public:
  Gauges(const char* name, const char* help) {
    family_.name = name;
    family_.help = help;
    family_.type = MetricType::Gauge;
  }
  void Add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }
  // Families without series are left out.
  void MoveTo(std::vector<MetricFamily>& out) {
    if (!family_.metric.empty()) out.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
};

// experiment and trial of a job, as labels.
Labels TrialLabels(const std::string& job) {
  const std::string trial = ParentOf(job);
  return {{"experiment", LeafOf(ParentOf(trial))}, {"trial", LeafOf(trial)}};
}

void CollectTrials(const std::vector<LiveJob>& jobs, std::vector<MetricFamily>& out) {
  Gauges loss("strata_trial_loss", "Label-smoothed training loss, nats a target token.");
  Gauges rate("strata_trial_learning_rate", "Learning rate of the last update.");
  Gauges tokens("strata_trial_tokens_per_second", "Target tokens trained a second, lately.");
  Gauges nll("strata_trial_valid_nll", "Last validation NLL, nats a target token.");
  Gauges done("strata_trial_updates_done", "Updates done.");
  Gauges total("strata_trial_updates", "Updates of the specification.");
  Gauges norm("strata_trial_gradient_norm",
              "L2 norm of the loss's gradient at a layer's output, by stack and layer from 1.");
  for (const LiveJob& job : jobs) {
    if (!job.training) continue;
    const Labels labels = TrialLabels(job.job);
    if (job.loss.has_value()) loss.Add(labels, *job.loss);
    if (job.learning_rate.has_value()) rate.Add(labels, *job.learning_rate);
    if (job.valid_nll.has_value()) nll.Add(labels, *job.valid_nll);
    tokens.Add(labels, job.tokens_per_second);
    done.Add(labels, job.updates_done);
    total.Add(labels, job.updates);
    for (const auto& [stack, values] : job.gradient_norms) {
      for (size_t layer = 0; layer < values.size(); ++layer) {
        Labels at = labels;
        at.push_back({"stack", stack});
        at.push_back({"layer", absl::StrCat(layer + 1)});
        norm.Add(std::move(at), values[layer]);
      }
    }
  }
  for (Gauges* gauges : {&loss, &rate, &tokens, &nll, &done, &total, &norm}) gauges->MoveTo(out);
}

// What of the controller's state is exported.
struct Census {
  std::map<core::JobState, int> jobs;
  std::map<core::WorkerState, int> workers;
  int slots = 0;
  int busy = 0;
};

Census Count(const core::State& state) {
  Census census;
  for (const auto& [name, job] : state.jobs) ++census.jobs[job.state];
  for (const auto& [name, worker] : state.workers) {
    ++census.workers[worker.state];
    if (worker.state == core::WorkerState::kReady) census.slots += static_cast<int>(worker.slots.size());
  }
  for (const auto& [key, attempt] : state.attempts) {
    if (!attempt.live()) continue;
    for (const core::RankPlace& place : attempt.places) census.busy += place.done ? 0 : 1;
  }
  return census;
}

void CollectCluster(const Census& census, std::vector<MetricFamily>& out) {
  using enum core::JobState;
  Gauges jobs("strata_jobs", "Jobs by state.");
  for (const core::JobState state :
       {kQueued, kPending, kRunning, kCancelling, kSucceeded, kFailed, kCancelled, kDiverged}) {
    const auto found = census.jobs.find(state);
    jobs.Add({{"state", core::Name(state)}}, found == census.jobs.end() ? 0 : found->second);
  }
  Gauges workers("strata_workers", "Workers by state.");
  for (const auto& [state, name] :
       std::initializer_list<std::pair<core::WorkerState, const char*>>{{core::WorkerState::kReady, "READY"},
                                                                        {core::WorkerState::kLost, "LOST"},
                                                                        {core::WorkerState::kGone, "GONE"}}) {
    const auto found = census.workers.find(state);
    workers.Add({{"state", name}}, found == census.workers.end() ? 0 : found->second);
  }
  Gauges slots("strata_slots", "Slots of ready workers.");
  slots.Add({}, census.slots);
  Gauges busy("strata_slots_busy", "Slots that hold a rank of a live attempt.");
  busy.Add({}, census.busy);
  for (Gauges* gauges : {&jobs, &workers, &slots, &busy}) gauges->MoveTo(out);
}

class StateCollector final : public prometheus::Collectable {
 public:
  StateCollector(Coordinator& coordinator, LiveTrials& live) : coordinator_(coordinator), live_(live) {}

  std::vector<MetricFamily> Collect() const override {
    std::vector<MetricFamily> families;
    CollectTrials(live_.All(coordinator_.now()), families);
    Census census;
    const absl::Status status = coordinator_.Look([&](const core::Controller& controller) {
      census = service::Count(controller.state());
      return absl::OkStatus();
    });
    if (status.ok()) CollectCluster(census, families);
    return families;
  }

 private:
  Coordinator& coordinator_;
  LiveTrials& live_;
};

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
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::shared_ptr<StateCollector> collector;
  std::unique_ptr<prometheus::Exposer> exposer;
  std::string address;
  prometheus::Family<prometheus::Counter>& attempts = prometheus::BuildCounter()
                                                          .Name("strata_attempts_total")
                                                          .Help("Attempts that ended, by outcome.")
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
};

Metrics::Metrics(Coordinator& coordinator, LiveTrials& live) : inside_(std::make_unique<Inside>()) {
  inside_->collector = std::make_shared<StateCollector>(coordinator, live);
  for (const char* outcome : {"succeeded", "diverged", "failed", "stopped", "cancelled", "fenced"}) {
    inside_->attempts.Add({{"outcome", outcome}});
  }
}

Metrics::~Metrics() = default;

absl::Status Metrics::Expose(const std::string& listen) {
  try {
    // Without keep-alive's thread a worker of civetweb is enough for a scrape and a person beside it.
    inside_->exposer = std::make_unique<prometheus::Exposer>(listen, 2);
  } catch (const std::exception&) {
    return absl::FailedPreconditionError(absl::StrCat(
        "Cannot serve metrics on ", listen,
        ": the port is in use, or the address is not this machine's. Give another --metrics-listen, or none."));
  }
  inside_->exposer->RegisterCollectable(inside_->registry);
  inside_->exposer->RegisterCollectable(inside_->collector);
  const std::vector<int> ports = inside_->exposer->GetListeningPorts();
  inside_->address = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", ports.empty() ? 0 : ports.front());
  return absl::OkStatus();
}

void Metrics::Close() { inside_->exposer = nullptr; }

std::string Metrics::address() const { return inside_->address; }

void Metrics::Count(const Coordinator::Stored& stored) {
  for (const core::Attempt& attempt : stored.attempts) {
    if (attempt.live()) continue;
    inside_->attempts.Add({{"outcome", attempt.outcome}}).Increment();
    if (attempt.outcome == "fenced") inside_->leases_lost.Increment();
  }
  inside_->scalars.Increment(static_cast<double>(stored.scalars));
  inside_->vectors.Increment(static_cast<double>(stored.vectors));
  inside_->commit.Observe(stored.seconds);
}

void Metrics::Intercept(grpc::ServerBuilder& builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
  creators.push_back(std::make_unique<CallCounters>(inside_->calls, inside_->call_seconds));
  builder.experimental().SetInterceptorCreators(std::move(creators));
}

}  // namespace strata::service
