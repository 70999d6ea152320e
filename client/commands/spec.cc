#include "client/commands/command.h"
#include "client/spec/explain.h"
#include "server/base/spec/registry.h"

namespace strata::client {

void AddSpec(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("spec", "Write and understand specs.");
  group->require_subcommand(1);
  CLI::App* init = AddCommand(*group, context, "init", "Print a commented spec to begin with.",
                              {"strata spec init > grid.yaml"}, "");
  OnRun(init, context, [] {
    std::fputs(ExampleSpec().c_str(), stdout);
    return absl::OkStatus();
  });
  CLI::App* explain =
      AddCommand(*group, context, "explain", "Say what a key means, takes and defaults to; without a key, list all.",
                 {"strata spec explain", "strata spec explain train.warmup", "strata spec explain scheme"}, "");
  static std::string key;
  explain->add_option("KEY", key, "A field, a section, a key of the grid, or a registered name");
  OnRun(explain, context, [] {
    const auto text = ExplainKey(key, base::BuiltInRegistry());
    if (text.ok()) std::fputs(text->c_str(), stdout);
    return text.status();
  });
  CLI::App* schema = AddCommand(*group, context, "schema", "Print the JSON Schema of a spec, for editors.",
                                {"strata spec schema > strata.schema.json"}, "");
  OnRun(schema, context, [] {
    std::fputs(JsonSchema(base::BuiltInRegistry()).c_str(), stdout);
    return absl::OkStatus();
  });
}

}  // namespace strata::client
