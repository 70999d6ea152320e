"""Reads out of the sources what a caller can meet: calls with their statuses and roles, causes of failure, exit statuses, variables."""

import pathlib
import re

CODES = ("INVALID_ARGUMENT|NOT_FOUND|ALREADY_EXISTS|FAILED_PRECONDITION|RESOURCE_EXHAUSTED|UNAVAILABLE|DATA_LOSS|OUT_OF_RANGE|ABORTED|"
         "UNAUTHENTICATED|PERMISSION_DENIED|UNIMPLEMENTED")


def calls(root):
    """[(service, [(method, what it does, its statuses)])] from the comments of proto/strata/v1."""
    found = []
    for path in sorted((root / "proto/strata/v1").glob("*_service.proto")):
        comment, service = [], None
        for line in path.read_text().splitlines():
            if match := re.match(r"service (\w+) \{", line):
                service = []
                found.append((match[1], service))
            elif match := re.match(r"  // ?(.*)", line):
                comment.append(match[1])
                continue
            elif (match := re.match(r"  rpc (\w+)\(", line)) and service is not None:
                service.append((match[1], *_split(" ".join(comment))))
            comment = []
    return found


def _split(comment):
    """What a call does, and from the first sentence on that begins with a status, its statuses."""
    begins = re.search(rf"(?:^|(?<=[.;] ))(?:{CODES}|Codes as)\b", comment)
    at = begins.start() if begins else len(comment)
    statuses = re.sub(rf"\b({CODES})\b", r"`\1`", comment[at:].strip())
    return comment[:at].strip(), statuses


def roles(root):
    """'Service/Method' -> who may call it, from the coordinator's table."""
    text = (root / "server/service/access_table.cc").read_text()
    found = {}
    for kind, arguments in re.findall(r"\b(For|ForWorkersToo|ForWorkers|ForAnyone)\(([^()]*\"[^()]*)\)", text):
        method = re.search(r'"(?:strata\.v1\.|grpc\.[\w.]*?)(\w+/\w+)"', arguments)[1]
        least = re.search(r"k(Viewer|Submitter|Admin)", arguments)
        who = {"For": "{}", "ForWorkersToo": "{}, worker", "ForWorkers": "worker", "ForAnyone": "anybody"}[kind]
        found[method] = who.format(least[1].lower() if least else "")
    return found


def causes(root):
    """[(cause, whether it is tried again, meaning)] of attempts that failed."""
    text = (root / "server/core/job.cc").read_text()
    return [(cause, again == "true", meaning)
            for cause, again, meaning in re.findall(r'^    \{"(\w+)", (true|false)\},\s*// (.*)$', text, flags=re.MULTILINE)]


def all_causes(root):
    """Every cause of the coordinator's table, said or not."""
    return re.findall(r'^    \{"(\w+)", (?:true|false)\}', (root / "server/core/job.cc").read_text(), flags=re.MULTILINE)


def cancellations(root):
    """Causes of jobs that are CANCELLED."""
    text = (root / "server/core/controller_jobs.cc").read_text()
    return sorted(set(re.findall(r'"(upstream_\w+)"', text)) | set(re.findall(r'cause = "(\w+)"', text)))


def exit_statuses(root):
    """{status of a call: exit status of `strata`}; "" stands for all others."""
    body = re.search(r"int ExitCode\(.*?\n}", (root / "client/commands/command.cc").read_text(), flags=re.DOTALL)[0]
    found, pending = {}, []
    for line in body.splitlines():
        if match := re.search(r"StatusCode::k(\w+):", line):
            pending.append(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", match[1]).upper())
        elif "default:" in line:
            pending.append("")
        elif match := re.search(r"return (\d+);", line):
            found.update({name: int(match[1]) for name in pending})
            pending = []
    return found


def variables(root):
    """Environment variables that programs of ours read."""
    found = set()
    for folder in ("client", "server", "worker", "model"):
        for path in sorted((root / folder).rglob("*.cc")) + sorted((root / folder).rglob("*.py")):
            if re.search(r"_test\.|/fake_|testing|/tests/", str(path)):
                continue
            text = path.read_text()
            found |= set(re.findall(r'(?:getenv|Environment|Variable)\("(\w+)"', text)) | set(re.findall(r'"(STRATA_[A-Z_]+)"', text))
    return found


def repository():
    return pathlib.Path(__file__).resolve().parents[2]
