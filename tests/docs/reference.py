#!/usr/bin/env python3
"""The pages of docs/reference, out of the programs and the sources.

    python3 tests/docs/reference.py --build build/release              says where pages and programs differ; status 1
    python3 tests/docs/reference.py --build build/release --write      writes the pages anew
"""

import argparse
import difflib
import json
import pathlib
import re
import subprocess
import sys

import contract
import help_text

ROOT = contract.repository()
FOLDER = ROOT / "docs" / "reference"
MADE = ("Made by `python3 tests/docs/reference.py --build build/release --write` from what the programs and the sources say; a test fails "
        "where they differ.")
PROGRAMS = {"strata": "client", "strata-coordinator": "server", "strata-agent": "worker", "strata-trainer": "worker", "strata-data": "worker"}
SCRIPTS = ("deploy/quickstart", "deploy/setup", "docker/make-secrets", "tests/run", "tests/bench/run")

VARIABLES = {
    "STRATA_ADDRESS": ("client, Python", "the coordinator, HOST:PORT"),
    "STRATA_HOME": ("client, Python, `deploy/quickstart`", "what an embedded cluster and the caches keep"),
    "STRATA_TLS_CA": ("client, Python", "`--tls-ca`"),
    "STRATA_TLS_CERT": ("client, Python", "`--tls-cert`"),
    "STRATA_TLS_KEY": ("client, Python", "`--tls-key`"),
    "STRATA_TOKEN": ("client, Python", "the token itself"),
    "STRATA_TOKEN_FILE": ("client, Python", "`--token-file`"),
    "STRATA_WHEELS": ("`strata-data fetch`, `deploy/setup`", "a folder with the wheels, in place of the network"),
    "XDG_CONFIG_HOME": ("client, Python", "where `strata/ca.crt`, `client.crt`, `client.key`, `token` are looked for (default `~/.config`)"),
    "XDG_DATA_HOME": ("client, Python", "where `STRATA_HOME` lies by default (default `~/.local/share`)"),
    "HOME": ("client, Python", "stands in the two defaults above"),
    "PATH": ("client, agent", "where programs that are started are looked for"),
    "NO_COLOR": ("client", "no colours"),
    "TERM": ("client", "what the terminal can do; `dumb`: plain lines"),
    "CUDA_VISIBLE_DEVICES": ("agent, trainer", "which GPUs are used ([AGENT.md](../AGENT.md), [GPU.md](../GPU.md))"),
}

# Statuses that any call may end with, beside its own.
ANY_CALL = (
    ("UNAUTHENTICATED", "under TLS: no token or certificate was shown, or one that is unknown, revoked or expired"),
    ("PERMISSION_DENIED", "the caller's role is too low; or it speaks for a worker that it is not"),
    ("UNIMPLEMENTED", "the coordinator knows no such call: client and coordinator are of different versions"),
    ("RESOURCE_EXHAUSTED", "the coordinator's disk is full and nothing was stored; or a message is larger than 16 MiB"),
    ("ABORTED", "a change that this one rested on could not be stored: try again"),
    ("UNAVAILABLE", "no coordinator there, or it is ending, or it cannot read its store"),
)

EXIT = (
    ("strata-coordinator", "0 ended by SIGTERM or SIGINT, or `--health`: it serves; 1 could not start, or `--health`: it does not serve; "
     "2 wrong usage"),
    ("strata-agent", "0 signed off, or `--health`: in touch; 1 refused for good, state folder or port in use, a second signal, or `--health`: "
     "not in touch; 2 wrong usage, devices or certificates"),
    ("strata-trainer", "0 finished, diverged or stopped on request (the last event says which); 1 failed (a `failed` event says the cause); "
     "2 wrong usage or spec"),
    ("strata-data", "0 done; 1 failed, what is wrong with the data included; 2 wrong usage; 128 + N ended by signal N"),
    ("deploy/quickstart", "0 every trial has a result; 1 failed; 130 interrupted"),
)


def commands_page(build):
    yield "# Reference: programs and their flags"
    yield ""
    yield MADE
    yield ""
    yield ("Every command of `strata` that asks the coordinator takes `--address HOST:PORT` and the TLS options of the program itself, and "
           "`--output` where it is listed. `--help` works everywhere, `--version` for every program but strata-trainer and strata-data. "
           "Exit statuses: [errors.md](errors.md#exit-status).")
    yield ""
    yield "Here: " + ", ".join(f"[{name}](#{name.lower()})" for name in (*PROGRAMS, "Scripts", "Environment")) + "."
    yield ""
    for program, folder in PROGRAMS.items():
        yield from help_text.markdown(help_text.ask(build / folder / program, [program]), 2)
    yield "## Scripts"
    yield ""
    for script in SCRIPTS:
        text = _output(ROOT / script, "--help")
        yield from (f"### {script}", "", "```", text.strip(), "```", "")
    yield "## Environment"
    yield ""
    yield from help_text.table(("variable", "read by", "meaning"), [(f"`{name}`", *VARIABLES[name]) for name in VARIABLES])
    missing, extra = contract.variables(ROOT) - set(VARIABLES), set(VARIABLES) - contract.variables(ROOT)
    if missing or extra:
        raise SystemExit(f"tests/docs/reference.py: VARIABLES lacks {sorted(missing)}, and has in excess {sorted(extra)}.")
    yield ""
    yield "Settings of Compose stand in `docker/.env`, those of Slurm in `deploy/slurm/agents.sbatch` and [DEPLOYMENT.md](../DEPLOYMENT.md#slurm)."


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _explain(build, *key):
    return _output(build / "client/strata", "spec", "explain", *key)


def _fields(listing):
    """[(section, what it is, [field])] of `strata spec explain`."""
    sections = []
    for line in listing.splitlines():
        if match := re.fullmatch(r"([a-z_]+)( \(a list\))?", line):
            sections.append([match[1], "", []])
        elif match := re.match(r"  (\w+) +(?:required|\[.*?\]) ", line):
            sections[-1][2].append(match[1])
        elif line.startswith("  ") and sections:
            sections[-1][1] = f"{sections[-1][1]} {line.strip()}".strip()
    return sections


def _field_row(build, path):
    text = _explain(build, path)
    meaning = " ".join(line.strip() for line in text.splitlines()[1:text.splitlines().index("")])
    said = dict(re.findall(r"^  (takes|default|of) +(.*)$", text, flags=re.MULTILINE))
    of = f" *{said['of']}.*" if "of" in said else ""
    default = said["default"].replace("none: required", "**required**")
    return f"`{path}`", said["takes"], default if default in ("**required**", "empty") else f"`{default}`", meaning + of


def spec_page(build):
    yield "# Reference: keys of a specification"
    yield ""
    yield MADE
    yield ""
    yield ("How a spec is written: [CLI.md](../CLI.md#a-spec). `strata spec explain KEY` says the same at the terminal, `strata spec schema` as "
           "JSON Schema. What several fields must fit together in is checked at submission ([COORDINATOR.md](../COORDINATOR.md)). "
           "A field of one task must stand at its default in another.")
    for section, what, fields in _fields(_explain(build)):
        yield ""
        yield f"## {section}"
        yield ""
        yield help_text.cell(what)
        if fields:
            names = [f"{section}.{name}" for name in fields]
            yield ""
            yield from help_text.table(("key", "takes", "default", "meaning"), [_field_row(build, name) for name in names])
    registry = json.loads(_output(build / "worker/strata-trainer", "--describe"))
    yield ""
    yield "## What this build knows"
    yield ""
    yield "`strata-trainer --describe` prints it. Tasks:"
    yield ""
    yield from help_text.table(("`task.kind`", "what", "metrics", "`model.share_embeddings`"),
                               [(f"`{task['name']}`", task["summary"], ", ".join(task["metrics"]), ", ".join(task["share_embeddings"]))
                                for task in registry["tasks"]])
    yield ""
    yield "Metrics:"
    yield ""
    yield from help_text.table(("`evaluate[].metric`", "what", "measurements"),
                               [(f"`{metric['name']}`", metric["summary"], ", ".join(f"`{value}`" for value in metric["values"]))
                                for metric in registry["metrics"]])
    yield ""
    yield "Schemes, with what `model.scheme_options` takes ([SCHEMES.md](../SCHEMES.md) has the equations):"
    yield ""
    yield from help_text.table(("`model.scheme`", "what", "options"),
                               [(f"`{scheme['name']}`", scheme["summary"], "; ".join(map(_option, scheme["options"])))
                                for scheme in registry["schemes"]])


def _option(option):
    takes = ", ".join(option["choices"]) if option.get("choices") else f"{option['min']:g} to {option['max']:g}"
    return f"`{option['name']}`: {option['summary']} ({takes}; default {option['default']})"


def errors_page(_):
    yield "# Reference: errors"
    yield ""
    yield MADE
    yield ""
    yield "An error is a sentence: field, value, remedy. What to do about the usual ones: [TROUBLESHOOTING.md](../TROUBLESHOOTING.md)."
    yield ""
    yield "## Exit status"
    yield ""
    statuses = contract.exit_statuses(ROOT)
    meaning = {0: "done", 1: "failed, or the service refused", 2: "wrong usage or bad input, unknown names included", 3: "no coordinator",
               130: "interrupted"}
    yield "`strata`, by the status of the call that failed:"
    yield ""
    yield from help_text.table(("exit status", "meaning", "gRPC status"),
                               [(str(code), meaning[code],
                                 ", ".join(f"`{name}`" if name else "all others" for name, of in statuses.items() if of == code))
                                for code in sorted(set(statuses.values()))])
    yield ""
    yield "The others:"
    yield ""
    yield from help_text.table(("program", "exit status"), [(f"`{name}`", text) for name, text in EXIT])
    yield ""
    yield "## Why an attempt failed"
    yield ""
    yield ("A job that is FAILED has the cause of its last attempt. What a retry can mend is tried again by itself, with a pause, from the last "
           "good checkpoint.")
    yield ""
    if missing := set(contract.all_causes(ROOT)) - {cause for cause, _, _ in contract.causes(ROOT)}:
        raise SystemExit(f"server/core/job.cc: say in a comment beside the cause what it means: {sorted(missing)}.")
    yield from help_text.table(("cause", "tried again", "meaning"),
                               [(f"`{cause}`", "yes" if again else "no", text) for cause, again, text in contract.causes(ROOT)])
    yield ""
    causes = {"cancelled": "a person cancelled it", "upstream_diverged": "the training that it scores DIVERGED",
              "upstream_failed": "the training that it scores FAILED", "upstream_cancelled": "the training that it scores was CANCELLED"}
    yield "A job that is CANCELLED:"
    yield ""
    yield from help_text.table(("cause", "meaning"), [(f"`{cause}`", causes[cause]) for cause in contract.cancellations(ROOT)])
    yield ""
    yield "## Statuses of calls"
    yield ""
    yield "Beside its own, any call may end with"
    yield ""
    yield from help_text.table(("status", "when"), [(f"`{code}`", text) for code, text in ANY_CALL])
    roles = contract.roles(ROOT)
    for service, methods in contract.calls(ROOT):
        if unknown := [name for name, _, _ in methods if f"{service}/{name}" not in roles]:
            raise SystemExit(f"server/service/access_table.cc: no role for {service}: {unknown}.")
        yield ""
        yield f"### {service}"
        yield ""
        yield from help_text.table(("call", "who", "does", "statuses"),
                                   [(f"`{name}`", roles[f"{service}/{name}"], does, own) for name, does, own in methods])


PAGES = {"commands.md": commands_page, "spec.md": spec_page, "errors.md": errors_page}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    for program, folder in PROGRAMS.items():
        if not (build / folder / program).exists():
            print(f"skipped: {build / folder / program} is not built")
            return 77
    differing = 0
    for name, page in PAGES.items():
        file, text = FOLDER / name, "\n".join(page(build)).rstrip() + "\n"
        standing = file.read_text() if file.exists() else ""
        if arguments.write:
            file.write_text(text)
        elif standing != text:
            differing += 1
            sys.stdout.writelines(difflib.unified_diff(standing.splitlines(True), text.splitlines(True), str(file), "programs and sources", n=0))
    if differing:
        print("\nWrite the pages anew: python3 tests/docs/reference.py --build BUILD --write")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
