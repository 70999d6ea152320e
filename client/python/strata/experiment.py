"""One experiment: a grid that was submitted."""

from __future__ import annotations

import dataclasses
import html
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from strata import names
from strata.errors import InvalidSpec, StrataError
from strata.measurements import Measurements, pandas_module
from strata.resource import Resource
from strata.trial import Trial, state_name
from strata.v1 import experiment_service_pb2 as api
from strata.v1 import resources_pb2

if TYPE_CHECKING:
    import pandas

_PATIENCE_SECONDS = 600.0  # with a coordinator that is away
_PAUSE_SECONDS = 0.5
_RESULTS = ("SUCCEEDED", "DIVERGED")


@dataclasses.dataclass(frozen=True)
class Update:
    """What changed: the experiment as it stands, and the trials that changed since the update before (all in the first)."""

    experiment: Experiment
    trials: list[Trial]

    def __repr__(self) -> str:
        return f"<Update of {self.experiment.name}: {', '.join(f'{t.name} {t.state}' for t in self.trials)}>"


class Experiment(Resource[resources_pb2.Experiment]):
    """An experiment as it stood when it was last asked for; watch, wait and refresh bring it up to date."""

    @property
    def done(self) -> bool:
        """True once every job had reached a final state."""
        return self.message.done

    @property
    def states(self) -> dict[str, int]:
        """How many trials are in each state."""
        return {state_name(entry.state): entry.trials for entry in self.message.states}

    @property
    def ok(self) -> bool:
        """True where it is done and every trial has a result: SUCCEEDED, or DIVERGED, which is one."""
        return self.done and all(state in _RESULTS for state in self.states)

    @property
    def trials(self) -> list[Trial]:
        """Its trials in the order of the grid, asked for anew."""
        request = api.ListTrialsRequest(parent=self.message.name, page_size=1000)
        found = self._connection.pages(self._connection.stubs.trials.ListTrials, request, "trials")
        return [Trial(self._connection, message) for message in found]

    def refresh(self) -> Experiment:
        """Asks the coordinator how it stands; returns itself."""
        request = api.GetExperimentRequest(name=self.message.name)
        self.message = self._connection.call_patiently(self._connection.stubs.experiments.GetExperiment, request)
        return self

    def watch(self) -> Iterator[Update]:
        """Yields what changes until the experiment is done. A coordinator that is away is waited for, for ten minutes.

        Leaving the loop leaves the experiment running.
        """
        last_answer = time.monotonic()
        stood = False
        while True:
            try:
                request = api.WatchExperimentRequest(name=self.message.name)
                for update in self._connection.stream(self._connection.stubs.experiments.WatchExperiment, request):
                    stood = True
                    self.message = update.experiment
                    yield Update(self, [Trial(self._connection, message) for message in update.trials])
                    last_answer = time.monotonic()
                if self.done:
                    return
            except StrataError as error:
                away = error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED") and stood
                if not away or time.monotonic() - last_answer > _PATIENCE_SECONDS:
                    raise
            self._connection.pause()

    def wait(self, timeout: float | None = None, *, check: bool = False) -> Experiment:
        """Waits until it is done; returns itself, so that `experiment.wait().to_pandas()` reads well.

        timeout: seconds to wait at most; StrataError with code DEADLINE_EXCEEDED after them, and the experiment goes on.
        check: StrataError with code ABORTED unless every trial has a result (`ok`).
        """
        give_up = math.inf if timeout is None else time.monotonic() + timeout
        method = self._connection.stubs.experiments.GetExperiment
        while True:
            request = api.GetExperimentRequest(name=self.message.name)
            self.message = self._connection.call_patiently(method, request, patience=120)
            if self.done:
                break
            left = give_up - time.monotonic()
            if left <= 0:
                raise StrataError(
                    f"{self.name} is not done after {timeout:g} s: {self._counts()}. It goes on; wait again, or longer.",
                    "DEADLINE_EXCEEDED",
                )
            time.sleep(min(_PAUSE_SECONDS, left))
        if check and not self.ok:
            raise StrataError(
                f"Not every trial has a result: {self._counts()}. 'strata describe {self.name}' says why; "
                "Trial.retry tries one again.",
                "ABORTED",
            )
        return self

    def cancel(self) -> Experiment:
        """Cancels every job that has not ended; returns itself."""
        request = api.CancelExperimentRequest(name=self.message.name)
        self.message = self._connection.call_patiently(self._connection.stubs.experiments.CancelExperiment, request)
        return self

    def results(self) -> list[dict[str, Any]]:
        """One dict a trial: its name, its place in the grid, its state and what came out. What to_pandas is made of."""
        axes = [axis.field for axis in self.message.spec.axes]
        shorts = {"model.scheme", "model.depth", "train.seed"}
        rows = []
        for trial in self.trials:
            message = trial.message
            row: dict[str, Any] = {"trial": trial.name, "scheme": trial.scheme, "depth": trial.depth, "seed": trial.seed}
            row |= {field: _field_of(message.spec, field) for field in axes if field not in shorts}
            row |= {"state": trial.state, "cause": trial.cause or trial.evidence.get("rule", "")}
            row |= {"updates_done": message.updates_done, "updates": message.updates}
            for number in ("best_nll", "final_nll", "unigram_nll"):
                row[number] = getattr(message, number) if message.HasField(number) else math.nan
            row |= {"tokens_per_second": message.tokens_per_second, "reused_from": names.short(message.reused_from)}
            rows.append(row | trial.scores())
        return rows

    def to_pandas(self) -> pandas.DataFrame:
        """Results as a data frame: a row a trial, its name the index; NLL in nats a target token, a column a score."""
        frame: pandas.DataFrame = pandas_module().DataFrame(self.results())
        return frame.set_index("trial") if len(frame) else frame

    def measurements(self, series: str, *, stack: str | None = None, job: str | None = None) -> Measurements:
        """One series of every trial that has measured it; arguments as Trial.measurements.

        InvalidSpec: no trial has measured it.
        """
        rows: list[tuple[Any, ...]] = []
        found, refusal = None, None
        for trial in self.trials:
            try:
                found = trial.measurements(series, stack=stack, job=job)
            except StrataError as error:
                if error.code not in ("INVALID_ARGUMENT", "NOT_FOUND"):
                    raise
                refusal = error
            else:
                rows.extend(found.rows)
        if found is None:
            raise refusal or InvalidSpec(f"{self.name} has no trials.")
        return Measurements(series, found.stack, rows)

    def _counts(self) -> str:
        return ", ".join(f"{count} {state}" for state, count in self.states.items())

    def __repr__(self) -> str:
        return f"<Experiment {self.name}: {self._counts()}{'' if self.done else ', not done'}>"

    def _repr_html_(self) -> str:
        """A table for notebooks, brought up to date; as last known where the coordinator does not answer."""
        note, trials = "", []
        try:
            trials = self.refresh().trials
        except StrataError as error:
            note = f"<p>As last known: {html.escape(str(error))}</p>"
        lines = "".join(_html_row(trial) for trial in trials)
        head = "".join(f"<th>{title}</th>" for title in ("trial", "scheme", "depth", "seed", "state", "updates", "best NLL"))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>" if trials else ""
        return f"<b>{html.escape(self.name)}</b>: {html.escape(self._counts())}{note}{table}"


def _html_row(trial: Trial) -> str:
    nll = "" if trial.best_nll is None else f"{trial.best_nll:.3f}"
    done = f"{trial.message.updates_done} / {trial.message.updates}"
    why = trial.evidence.get("rule", "") or trial.cause
    state = f"{trial.state} ({why})" if why else trial.state
    cells = (trial.name, trial.scheme, trial.depth, str(trial.seed), state, done, nll)
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _field_of(spec: Any, path: str) -> Any:
    """The value of a field by its path: train.learning_rate, evaluate[0].beam."""
    section, _, name = path.partition(".")
    head, bracket, index = section.partition("[")
    holder = getattr(spec, head)
    return getattr(holder[int(index.rstrip("]"))] if bracket else holder, name)
