"""One trial: a point of the grid and what came out of it."""

from __future__ import annotations

import json
from typing import Any

from strata.errors import StrataError
from strata.measurements import Measurements, list_series, query
from strata.resource import Resource
from strata.v1 import experiment_service_pb2 as api
from strata.v1 import resources_pb2


def state_name(state: int) -> str:
    """A state without its prefix: RUNNING."""
    name: str = resources_pb2.JobState.Name(state)
    return name.removeprefix("JOB_STATE_")


class Trial(Resource[resources_pb2.Trial]):
    """A trial as it stood when it was asked for; `refresh` asks again."""

    @property
    def state(self) -> str:
        """The state of its training: QUEUED, PENDING, RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED or DIVERGED."""
        return state_name(self.message.state)

    @property
    def scheme(self) -> str:
        """The residual scheme."""
        return self.message.spec.model.scheme

    @property
    def depth(self) -> str:
        """Layers, as 18L-18L."""
        return self.message.spec.model.depth

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.message.spec.train.seed

    @property
    def best_nll(self) -> float | None:
        """Lowest validation NLL so far, in nats a target token."""
        return self.message.best_nll if self.message.HasField("best_nll") else None

    @property
    def evidence(self) -> dict[str, Any]:
        """Why it counts as DIVERGED: rule, update, values, thresholds. Empty if it does not."""
        return dict(json.loads(self.message.evidence)) if self.message.evidence else {}

    @property
    def cause(self) -> str:
        """Why its training FAILED or was CANCELLED, as out_of_memory; else empty."""
        return next((job.cause for job in self.message.jobs if not job.name.rpartition("/")[2].startswith("evaluate")), "")

    def refresh(self) -> Trial:
        """Asks the coordinator how it stands; returns itself."""
        request = api.GetTrialRequest(name=self.message.name)
        self.message = self._connection.call_patiently(self._connection.stubs.trials.GetTrial, request)
        return self

    def cancel(self) -> Trial:
        """Cancels every job of it that has not ended; returns itself."""
        for job in self.refresh().message.jobs:
            if job.HasField("end_time"):
                continue
            try:
                request = api.CancelJobRequest(name=job.name)
                self._connection.call_patiently(self._connection.stubs.jobs.CancelJob, request)
            except StrataError as error:
                if error.code != "FAILED_PRECONDITION":  # it has ended meanwhile
                    raise
        return self.refresh()

    def retry(self) -> Trial:
        """Queues its FAILED or CANCELLED training again, from the last checkpoint; returns itself."""
        request = api.RetryJobRequest(name=self.message.jobs[0].name)
        self._connection.call(self._connection.stubs.jobs.RetryJob, request)
        return self.refresh()

    def scores(self) -> dict[str, float]:
        """Scores by name: "bleu"; of a second and further evaluation "evaluate-2/bleu"."""
        found: dict[str, float] = {}
        for job in self._jobs_with_results():
            identifier = job.name.rpartition("/")[2]
            if job.kind != resources_pb2.JOB_KIND_EVALUATE or job.state != resources_pb2.JOB_STATE_SUCCEEDED:
                continue
            for series in list_series(self._connection, job.name):
                if series.stack:
                    continue
                rows = query(self._connection, self.name, job.name, series.series, "").rows
                prefix = "" if identifier == "evaluate-1" else f"{identifier}/"
                if rows:
                    found.setdefault(prefix + series.series, rows[-1][-1])
        return found

    def series(self, job: str | None = None) -> list[str]:
        """Names of what is measured of its training, or of the job named: "evaluate-1"."""
        stored = list_series(self._connection, self._job(job))
        return list(dict.fromkeys(entry.series for entry in stored))

    def measurements(self, series: str, *, stack: str | None = None, job: str | None = None) -> Measurements:
        """One series of its training: "valid_nll", "train_loss", "gradient_norm_output" with stack="decoder".

        job: "evaluate-1" or "probe" for a series of that job.
        InvalidSpec: it is not measured (the sentence says what is), or has two stacks and none was named.
        """
        return query(self._connection, self.name, self._job(job), series, stack)

    def _source(self) -> resources_pb2.Trial:
        """The trial whose jobs hold what was measured: this one, or the one that was trained for it."""
        if not self.message.reused_from:
            return self.message
        request = api.GetTrialRequest(name=self.message.reused_from)
        source: resources_pb2.Trial = self._connection.call_patiently(self._connection.stubs.trials.GetTrial, request)
        return source

    def _jobs_with_results(self) -> list[resources_pb2.Job]:
        jobs = list(self.message.jobs)
        return jobs + list(self._source().jobs) if self.message.reused_from else jobs

    def _job(self, job: str | None) -> str:
        own = {entry.name.rpartition("/")[2]: entry.name for entry in self.message.jobs}
        source = self._source()
        found = {entry.name.rpartition("/")[2]: entry.name for entry in source.jobs}
        if job is None:
            job = "train" if "train" in found or "probe" not in found else "probe"
        return own.get(job) or found.get(job) or f"{source.name}/jobs/{job}"

    def __repr__(self) -> str:
        done = f" {self.message.updates_done}/{self.message.updates}" if self.message.updates else ""
        return f"<Trial {self.name}: {self.scheme} {self.depth} seed {self.seed}, {self.state}{done}>"
