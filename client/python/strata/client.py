"""The entry: a client of one coordinator."""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from strata import names
from strata.connection import Connection, Stubs
from strata.errors import InvalidSpec, StrataError
from strata.experiment import Experiment
from strata.security import Given, Path, resolve
from strata.spec import read_spec
from strata.trial import Trial
from strata.v1 import experiment_service_pb2 as api
from strata.v1 import resources_pb2

#: What can be submitted: a path, YAML text, or the same as a dict.
Spec = Path | Mapping[str, Any]
#: Changes of all trials by path, as `--set`: {"train.updates": 20, "scheme": ["post_ln", "b2t"]}, or ["train.updates=20"].
Changes = Mapping[str, Any] | Iterable[str]


class Client:
    """A client of one coordinator. Any number of threads may use it; `with Client() as client` closes it.

    address: HOST:PORT; else STRATA_ADDRESS, else the coordinator of `strata up`, else localhost:7070.
    tls_ca: PEM file of the cluster's authority; without it the connection is in the clear.
    tls_cert, tls_key: PEM files that say who calls.
    token, token_file: the caller's token, or a file that holds it and is read anew at each call; never sent in the clear.
    What is not given is taken from the variables of these names (STRATA_TLS_CA, STRATA_TOKEN_FILE, ...), else from ca.crt,
    client.crt, client.key and token in ~/.config/strata; for the coordinator of `strata up` nothing is.

    Nothing is sent before the first call. Every failure is a StrataError whose text is the sentence to read.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        tls_ca: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        token: str | None = None,
        token_file: Path | None = None,
    ) -> None:
        self._connection = Connection(*resolve(Given(address, tls_ca, tls_cert, tls_key, token, token_file)))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @property
    def address(self) -> str:
        """HOST:PORT of the coordinator."""
        return self._connection.address

    @property
    def stubs(self) -> Stubs:
        """The generated stubs, one a service, for what has no word here. They raise grpc.RpcError, and need a timeout=."""
        return self._connection.stubs

    def submit(
        self,
        spec: Spec,
        *,
        set: Changes = (),
        probe: bool | None = None,
        extend: str | None = None,
        priority: int | None = None,
        force: bool = False,
    ) -> Experiment:
        """Submits a grid and returns the experiment; what it means is `strata submit --help`.

        spec: a path (pathlib.Path, or text of one line that ends in .yaml or .yml), YAML text, or the same as a dict.
        set: changes of all trials. probe: train nothing, measure at initialisation. extend: go on from that experiment.
        priority: instead of the spec's. force: train also what has been trained already.

        InvalidSpec: the spec is wrong; says where, and the remedy. StrataError: the coordinator's sentence.
        """
        return Experiment(self._connection, self._create(spec, set, probe, extend, priority, force, False).experiment)

    def estimate(self, spec: Spec, *, set: Changes = (), extend: str | None = None, force: bool = False) -> Any:
        """Checks a grid and says what it would take (strata.v1.resources Estimate); nothing is stored."""
        return self._create(spec, set, None, extend, None, force, True).estimate

    def _create(
        self,
        spec: Spec,
        changes: Changes,
        probe: bool | None,
        extend: str | None,
        priority: int | None,
        force: bool,
        validate_only: bool,
    ) -> api.CreateExperimentResponse:
        text, name, with_lines = _text_of(spec)
        message = read_spec(text, name, _settings(changes), with_lines)
        if probe is not None:
            message.probe_only = probe
        if extend is not None:
            message.extends = names.experiment(extend)
        if priority is not None:
            message.priority = _priority(priority)
        request = api.CreateExperimentRequest(
            request_id=uuid.uuid4().hex, spec=message, force=force, validate_only=validate_only
        )
        try:
            response: api.CreateExperimentResponse = self._connection.call_patiently(
                self.stubs.experiments.CreateExperiment, request
            )
        except StrataError as error:
            if error.code != "INVALID_ARGUMENT":
                raise
            raise InvalidSpec(f"{name}: {error}") from None
        return response

    def experiment(self, name: str) -> Experiment:
        """An experiment by name: "quickstart-1"."""
        request = api.GetExperimentRequest(name=names.experiment(name))
        return Experiment(self._connection, self._connection.call_patiently(self.stubs.experiments.GetExperiment, request))

    def experiments(self) -> list[Experiment]:
        """All experiments, newest first."""
        request = api.ListExperimentsRequest(page_size=1000)
        found = self._connection.pages(self.stubs.experiments.ListExperiments, request, "experiments")
        return [Experiment(self._connection, message) for message in found]

    def trial(self, name: str) -> Trial:
        """A trial by name: "quickstart-1/t3"."""
        request = api.GetTrialRequest(name=names.trial(name))
        return Trial(self._connection, self._connection.call_patiently(self.stubs.trials.GetTrial, request))

    def workers(self) -> list[resources_pb2.Worker]:
        """Workers by name, as the messages of the API."""
        from strata.v1 import worker_service_pb2

        request = worker_service_pb2.ListWorkersRequest(page_size=1000)
        return self._connection.pages(self.stubs.workers.ListWorkers, request, "workers")

    def __repr__(self) -> str:
        return f"Client({self.address!r})"


def _priority(priority: int) -> int:
    if isinstance(priority, bool) or not isinstance(priority, int) or not -100 <= priority <= 100:
        raise InvalidSpec(f'priority: "{priority}" is no whole number from -100 to 100. Higher ones come first; 0 is usual.')
    return priority


def _text_of(spec: Spec) -> tuple[str, str, bool]:
    """The YAML, its name in errors, and whether its lines mean something to a person."""
    if isinstance(spec, Mapping):
        return _dump(spec, "spec"), "spec", False
    if isinstance(spec, str) and ("\n" in spec or not spec.endswith((".yaml", ".yml"))):
        return spec, "spec", True
    path = pathlib.Path(spec)
    try:
        return path.read_text(encoding="utf-8"), str(path), True
    except FileNotFoundError:
        raise InvalidSpec(f"{path}: there is no such file. 'strata spec init' prints an example to begin with.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{path} cannot be read: {error}.") from None


def _plain(value: Any) -> Any:
    """Dicts, lists and scalars of YAML, out of what notebooks hold: tuples, ranges, numbers of NumPy."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(inner) for inner in value]
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _dump(value: Any, name: str, flow: bool = False) -> str:
    try:
        return yaml.safe_dump(_plain(value), sort_keys=False, width=1 << 20, default_flow_style=flow)
    except yaml.representer.RepresenterError as error:
        raise InvalidSpec(
            f"{name}: it holds what YAML cannot say: {error.args[-1]!r}. Write texts, numbers, lists and dicts."
        ) from None


def _settings(changes: Changes) -> list[str]:
    if not isinstance(changes, Mapping):
        if isinstance(changes, str):
            raise InvalidSpec(f'set: "{changes}" is one text. Write a dict, as in {{"train.updates": 20}}.')
        return list(changes)
    settings = []
    for path, value in changes.items():
        text = _dump(value, f"set: {path}", flow=True)
        settings.append(f"{path}={text.strip().removesuffix('...').strip()}")
    return settings
