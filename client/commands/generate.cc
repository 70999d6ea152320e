// strata generate: a trial's model applied to a file of the user's, on this machine. The model and the vocabulary come
// from the coordinator; strata-data encodes the file, strata-trainer decodes or scores it.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/command.h"
#include "client/commands/daemon.h"
#include "client/commands/download.h"
#include "client/format.h"
#include "client/home.h"
#include "client/measurements.h"
#include "client/names.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct GenerateOptions {
  std::string trial, file, checkpoint, output, precision;
  int beam = 0, n_best = 0, threads = 0;
  double length_penalty = 0;
  CLI::Option* length_penalty_given = nullptr;
  std::vector<std::string> detokenisers;
};

// A folder of its own, removed at the end.
class WorkFolder {
 public:
  WorkFolder() : path_((fs::temp_directory_path() / "strata-generate-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  bool made() const { return !path_.empty(); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Those of a program's output that are not empty.
std::vector<std::string> Lines(const std::string& text) { return absl::StrSplit(text, '\n', absl::SkipEmpty()); }

// The program's exit status; what it printed is in `log`. It gets the terminal's Ctrl-C as we do.
int RunProgram(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return -1;
  if (child == 0) {
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The program's last words without its name, as bad input (exit status 2 of ours) or failure.
absl::Status Run(const std::string& name, const std::vector<std::string>& arguments, const std::string& log,
                 bool fault_is_input) {
  const auto program = FindProgram("worker", name);
  if (!program.ok()) return program.status();
  std::vector<std::string> command = {*program};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const int status = RunProgram(command, log);
  if (status == 0) return absl::OkStatus();
  const auto text = base::ReadFile(log);
  std::string last = absl::StrCat(name, " ended with status ", status, " and said nothing.");
  for (const std::string& line : Lines(text.value_or(""))) {
    last = line.starts_with(name + ": ") ? line.substr(name.size() + 2) : line;
  }
  return status == 2 || fault_is_input ? absl::InvalidArgumentError(last) : absl::InternalError(last);
}

// What the trial's evaluation says, changed by what the user says, for one split `input`.
absl::StatusOr<v1::TrialSpec> SpecOf(const v1::Trial& trial, const GenerateOptions& options) {
  v1::TrialSpec spec = trial.spec();
  v1::EvaluateSpec evaluation;
  if (spec.evaluate_size() > 0) evaluation = spec.evaluate(0);
  evaluation.set_split("input");
  evaluation.set_sentences(0);
  evaluation.set_length_penalties("");
  evaluation.set_n_best(options.n_best);
  if (options.beam > 0) evaluation.set_beam(options.beam);
  if (!options.precision.empty()) evaluation.set_precision(options.precision);
  if (options.length_penalty_given->count() > 0) evaluation.set_length_penalty(options.length_penalty);
  if (evaluation.metric().empty()) {
    const json registry = json::parse(base::BuiltInRegistry(), nullptr, false);
    for (const json& task : registry.is_object() ? registry.value("tasks", json::array()) : json::array()) {
      if (task.value("name", "") == spec.task().kind() && !task.value("metrics", json::array()).empty())
        evaluation.set_metric(task["metrics"][0].get<std::string>());
    }
  }
  spec.clear_evaluate();
  *spec.add_evaluate() = evaluation;
  if (const absl::Status status = base::ApplyDefaults(spec); !status.ok()) return status;
  if (spec.evaluate(0).n_best() > spec.evaluate(0).beam()) {
    return absl::InvalidArgumentError(absl::StrCat("--n-best is ", options.n_best, ", but the beam is ",
                                                   spec.evaluate(0).beam(), ". Raise --beam or lower --n-best."));
  }
  return spec;
}

absl::Status NoWeights(const v1::Trial& trial, const std::string& wanted) {
  const std::string name = ShortName(trial.name());
  std::string state = v1::JobState_Name(trial.state());
  state = state.substr(std::string("JOB_STATE_").size());
  const std::string what =
      absl::StrCat(name, " is ", state, " (", trial.updates_done(), " of ", trial.updates(), " updates) and has no ");
  if (wanted == "average") {
    return absl::FailedPreconditionError(absl::StrCat(
        what, "weights of epochs to average: train.keep_epoch_checkpoints keeps them. Take --checkpoint final."));
  }
  if (trial.state() == v1::JOB_STATE_RUNNING || trial.state() == v1::JOB_STATE_QUEUED ||
      trial.state() == v1::JOB_STATE_PENDING) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, wanted, " weights yet. Wait for it: strata watch ", ShortName(ParentOf(trial.name())), "."));
  }
  return absl::FailedPreconditionError(absl::StrCat(what, wanted, " weights to generate with. 'strata checkpoints ",
                                                    name,
                                                    "' lists what it left; a trial that DIVERGED may have none."));
}

// The weights' files, downloaded. Artifacts come newest first.
absl::StatusOr<std::vector<std::string>> Weights(const Connection& connection, const v1::Trial& trial,
                                                 const std::string& wanted, int average_last) {
  const auto artifacts = ListArtifacts(connection, trial.name());
  if (!artifacts.ok()) return artifacts.status();
  std::vector<v1::Artifact> chosen;
  if (wanted != "average") {
    const v1::Artifact* artifact = ChooseArtifact(*artifacts, "checkpoint_" + wanted);
    if (artifact != nullptr) chosen.push_back(*artifact);
  } else {
    for (const v1::Artifact& artifact : *artifacts) {
      const auto same = [&](const v1::Artifact& other) { return other.update() == artifact.update(); };
      if (artifact.kind() == "checkpoint_epoch" && std::none_of(chosen.begin(), chosen.end(), same))
        chosen.push_back(artifact);
    }
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const auto& a, const auto& b) { return a.update() > b.update(); });
    if (static_cast<int>(chosen.size()) > average_last) chosen.resize(static_cast<size_t>(average_last));
  }
  if (chosen.empty()) return NoWeights(trial, wanted);
  std::vector<std::string> files;
  for (const v1::Artifact& artifact : chosen) {
    auto file = FetchArtifact(connection, artifact, StrataHome() + "/cache/weights");
    if (!file.ok()) return file.status();
    files.push_back(*std::move(file));
  }
  return files;
}

// A line of output for each hypothesis: the text, or with several a sentence its number, score and text.
std::string Hypotheses(const std::string& out, int n_best) {
  if (n_best <= 1) return base::ReadFile(out + "/hypotheses.txt").value_or("");
  std::string text;
  const std::string lists = base::ReadFile(out + "/n-best.jsonl").value_or("");
  for (const std::string& line : Lines(lists)) {
    const json list = json::parse(line);
    for (const json& hypothesis : list.at("hypotheses")) {
      absl::StrAppend(&text, list.at("sentence").dump(), "\t", hypothesis.at("score").dump(), "\t",
                      hypothesis.at("text").get<std::string>(), "\n");
    }
  }
  return text;
}

// A line for each of the input's: NLL in nats, perplexity by word, the text. The whole's perplexity goes to standard
// error.
std::string LineScores(const std::string& out, const std::string& spool, const std::string& input) {
  std::string text;
  const std::string scores = base::ReadFile(out + "/line_scores.jsonl").value_or("");
  const std::vector<std::string> raw = absl::StrSplit(base::ReadFile(input).value_or(""), '\n');
  size_t i = 0;
  for (const std::string& line : Lines(scores)) {
    const json score = json::parse(line);
    char numbers[64] = "NaN\tNaN";
    if (score.at("nll").is_number()) {
      const double nll = score["nll"];
      std::snprintf(numbers, sizeof numbers, "%.6g\t%.6g", nll, std::exp(nll / score.at("words").get<double>()));
    }
    absl::StrAppend(&text, numbers, "\t", i < raw.size() ? raw[i] : "", "\n");
    ++i;
  }
  for (const std::string& line : Lines(base::ReadFile(spool).value_or(""))) {
    const json event = json::parse(line, nullptr, false);
    if (event.is_object() && event.value("type", "") == "measurements") {
      std::fprintf(stderr, "%zu lines, perplexity %s by word, %s nats a token\n", i,
                   event["scalars"]["perplexity"].dump().c_str(), event["scalars"]["nll"].dump().c_str());
    }
  }
  return text;
}

absl::Status CheckInput(const std::string& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return absl::NotFoundError(absl::StrCat(file, ": there is no such file."));
  if (fs::is_directory(file, error))
    return absl::InvalidArgumentError(
        absl::StrCat(file, " is a folder. Name a file: text, a sound, or a list of sounds."));
  if (fs::file_size(file, error) == 0)
    return absl::InvalidArgumentError(absl::StrCat(file, " is empty. Give text of at least one line, or a sound."));
  return absl::OkStatus();
}

// Encodes the file and runs the model on it; results are in `work`/out.
absl::Status Apply(const GenerateOptions& options, const v1::TrialSpec& spec, const std::string& dataset,
                   const std::vector<std::string>& weights, const WorkFolder& work) {
  absl::Status status = Run("strata-data",
                            {"encode", "--dataset", dataset, "--input", fs::absolute(options.file), "--output",
                             work / "input", "--task", spec.task().kind()},
                            work / "encode.log", /*fault_is_input=*/true);
  if (!status.ok()) return status;
  const auto spec_json = base::ToCanonicalJson(spec);
  if (!spec_json.ok()) return spec_json.status();
  status = base::WriteFileAtomically(work / "spec.json", *spec_json);
  if (!status.ok()) return status;
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<std::string> arguments = {
      "--spec",    work / "spec.json", "--job",     "generate",
      "--dataset", work / "input",     "--out",     work / "out",
      "--spool",   work / "spool",     "--threads", absl::StrCat(options.threads > 0 ? options.threads : cores)};
  for (const std::string& file : weights) arguments.insert(arguments.end(), {"--checkpoint", file});
  for (const std::string& detokeniser : options.detokenisers)
    arguments.insert(arguments.end(), {"--detokeniser", detokeniser});
  return Run("strata-trainer", arguments, work / "trainer.log", /*fault_is_input=*/false);
}

absl::Status Generate(const Context& context, const GenerateOptions& options) {
  const auto name = ParseNameOf(NameKind::kTrial, options.trial);
  if (!name.ok()) return name.status();
  if (const absl::Status status = CheckInput(options.file); !status.ok()) return status;
  const Connection connection = context.Connect();
  v1::GetTrialRequest request;
  request.set_name(*name);
  const auto trial = connection.Call(&v1::TrialService::Stub::GetTrial, connection.trials(), request);
  if (!trial.ok()) return trial.status();
  const auto spec = SpecOf(*trial, options);
  if (!spec.ok()) return spec.status();
  const std::string wanted = options.checkpoint.empty() ? spec->evaluate(0).checkpoint() : options.checkpoint;
  const auto weights = Weights(connection, *trial, wanted, spec->evaluate(0).average_last());
  if (!weights.ok()) return weights.status();
  const auto dataset =
      FetchVocabulary(connection, spec->task().dataset(), trial->dataset_digest(), StrataHome() + "/cache/datasets");
  if (!dataset.ok()) return dataset.status();
  if (trial->state() == v1::JOB_STATE_DIVERGED)
    std::fprintf(stderr, "%s is DIVERGED: expect little of its output.\n", ShortName(*name).c_str());
  const WorkFolder work;
  if (!work.made()) return absl::InternalError("No temporary folder can be made. Set TMPDIR to a folder with space.");
  if (const absl::Status status = Apply(options, *spec, *dataset, *weights, work); !status.ok()) return status;
  const bool scored = fs::exists(work / "out/line_scores.jsonl");
  if (!scored && !fs::exists(work / "out/hypotheses.txt")) return absl::CancelledError("Stopped before the end.");
  const std::string text =
      scored ? LineScores(work / "out", work / "spool", options.file) : Hypotheses(work / "out", options.n_best);
  if (!options.output.empty()) return base::WriteFileAtomically(options.output, text);
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddGenerate(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "generate",
      "Translate, headline, transcribe or score a file of your own with a trial's weights, on this machine. Prints one "
      "line a sentence; a language model's are NLL, perplexity and text.",
      {"strata generate quickstart-1/t3 letter.txt",
       "strata generate quickstart-1/t3 letter.txt --beam 8 --n-best 3 --output letter.de",
       "strata generate speech-1/t1 clips.txt --checkpoint average"},
      /*outputs=*/"");
  static GenerateOptions options;
  command->add_option("TRIAL", options.trial, "Trial")->required();
  command->add_option("FILE", options.file, "Text, one sentence a line, UTF-8; speech: a sound file, or a list of them")
      ->required();
  command
      ->add_option("--checkpoint", options.checkpoint,
                   "Weights: best, final or average; as the trial's evaluation says")
      ->check(CLI::IsMember({"best", "final", "average"}));
  command->add_option("--beam", options.beam, "Beam size; as the trial's evaluation says")->check(CLI::Range(1, 256));
  options.length_penalty_given =
      command->add_option("--length-penalty", options.length_penalty, "As the trial's evaluation says")
          ->check(CLI::Range(-10.0, 10.0));
  options.n_best = 1;
  command
      ->add_option("--n-best", options.n_best, "Hypotheses a sentence: number, score and text of each, tab-separated")
      ->check(CLI::Range(1, 256));
  command
      ->add_option("--precision", options.precision,
                   "fp32, or bf16 where the processor has AVX512_BF16; as the trial's evaluation says")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->add_option("--output", options.output, "File to write; standard output by default")->type_name("FILE");
  command->add_option("--threads", options.threads, "Cores to use; all by default")->check(CLI::Range(1, 256));
  command->add_option("--detokeniser", options.detokenisers, "What the dataset's detokeniser names: NAME=COMMAND")
      ->allow_extra_args(false);
  OnRun(command, context, [&context] { return Generate(context, options); });
}

}  // namespace strata::client
