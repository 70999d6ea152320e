#include <cmath>

#include "client/format.h"
#include "client/names.h"
#include "client/report/report.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN: null stands for what is absent or not finite.
Json Number(bool present, double value) { return present && std::isfinite(value) ? Json(value) : Json(nullptr); }

Json Jobs(const v1::Trial& trial) {
  Json jobs = Json::array();
  for (const v1::Job& job : trial.jobs()) {
    Json entry = {{"id", LastPart(job.name())},
                  {"kind", KindName(job.kind())},
                  {"state", StateName(job.state())},
                  {"attempts", job.attempts_size()}};
    if (!job.cause().empty()) entry["cause"] = job.cause();
    jobs.push_back(entry);
  }
  return jobs;
}

Json TrialJson(const Report& report, const TrialResult& result) {
  const v1::Trial& trial = result.trial;
  const auto evidence = Json::parse(trial.evidence(), nullptr, false);
  Json json = {{"id", result.id},
               {"scheme", trial.spec().model().scheme()},
               {"depth", trial.spec().model().depth()},
               {"task", trial.spec().task().kind()},
               {"seed", trial.spec().train().seed()},
               {"state", StateName(trial.state())},
               {"updates", trial.updates_done()},
               {"best_nll", Number(trial.has_best_nll(), trial.best_nll())},
               {"final_nll", Number(trial.has_final_nll(), trial.final_nll())},
               {"unigram_nll", Number(trial.has_unigram_nll(), trial.unigram_nll())},
               {"evidence", evidence.is_object() ? evidence : Json(nullptr)},
               {"jobs", Jobs(trial)},
               {"rescale_init", trial.spec().model().rescale_init()},
               {"dataset", trial.spec().task().dataset()},
               {"fingerprint", trial.fingerprint()},
               {"weights_sha256", trial.weights_sha256()},
               {"reused_from", ShortName(trial.reused_from())}};
  json["scores"] = Json::array();
  for (const Score& score : result.scores)
    json["scores"].push_back(
        {{"metric", score.metric}, {"job", score.job}, {"value", Number(true, score.value)}, {"split", score.split}});
  json["settings"] = Json::object();
  for (const std::string& path : report.differing) json["settings"][path] = *base::GetField(trial.spec(), path);
  return json;
}

}  // namespace

std::string ReportJson(const Report& report) {
  Json json = {{"experiment", ShortName(report.experiment.name())}};
  json["trials"] = Json::array();
  for (const TrialResult& result : report.trials) json["trials"].push_back(TrialJson(report, result));
  return json.dump(2) + "\n";
}

}  // namespace strata::client
