#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"

namespace strata::client {
namespace {

std::vector<const CLI::App*> Subcommands(const CLI::App* app) {
  return app->get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> Words(const CLI::App* app) {
  std::vector<std::string> words;
  for (const CLI::App* sub : Subcommands(app)) words.push_back(sub->get_name());
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  }
  return words;
}

// One case of the script: what can follow `path` ("strata spec").
void AddCases(const CLI::App* app, const std::string& path, std::string& cases) {
  absl::StrAppend(&cases, "    \"", path, "\") words=\"", absl::StrJoin(Words(app), " "), "\" ;;\n");
  for (const CLI::App* sub : Subcommands(app)) AddCases(sub, absl::StrCat(path, " ", sub->get_name()), cases);
}

constexpr char kZshHead[] = R"BASH(#compdef strata
autoload -U +X bashcompinit && bashcompinit
)BASH";

constexpr char kHead[] = R"BASH(_strata() {
  local current="${COMP_WORDS[COMP_CWORD]}" path="strata" words="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    [[ "$word" == [a-z]* && ("$path" == strata || "$path" == "strata spec" || "$path" == "strata data" || "$path" == "strata workers") ]] && path="$path $word"
  done
  case "$path" in
)BASH";

constexpr char kTail[] = R"BASH(  esac
  case "$path" in
    "strata describe"|"strata top"|"strata watch"|"strata cancel"|"strata hold"|"strata release"|"strata wait"|"strata report"|"strata logs"|"strata retry"|"strata metrics"|"strata checkpoints")
      [[ "$current" == -* ]] || words="$(strata list --quiet 2>/dev/null)" ;;
    "strata submit"|"strata data add")
      [[ "$current" == -* ]] || { COMPREPLY=($(compgen -f -- "$current")); return; } ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _strata strata
)BASH";

}  // namespace

void AddCompletion(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "completion", "Print a completion script for a shell.",
                                 {"source <(strata completion bash)", "strata completion zsh > ~/.zfunc/_strata"}, "");
  static std::string shell;
  command->add_option("SHELL", shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  OnRun(command, context, [&app] {
    std::string cases;
    AddCases(&app, "strata", cases);
    std::fputs(absl::StrCat(shell == "zsh" ? kZshHead : "", kHead, cases, kTail).c_str(), stdout);
    return absl::OkStatus();
  });
}

}  // namespace strata::client
