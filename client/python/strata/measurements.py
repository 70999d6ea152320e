"""Stored measurements: one value a step, or one a layer, whatever number of attempts it took."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strata.connection import Connection
from strata.errors import InvalidSpec
from strata.v1 import metric_service_pb2 as api

if TYPE_CHECKING:
    import pandas


def pandas_module() -> Any:
    """The pandas module, which only data frames need."""
    try:
        import pandas
    except ImportError:
        raise InvalidSpec("pandas is not installed. Data frames need it: pip install 'strata[pandas]'.") from None
    return pandas


@dataclasses.dataclass(frozen=True)
class Measurements:
    """Series of one name, one of each trial.

    rows: (trial, update, value) of a scalar; (trial, update, layer, value) of a vector, layers from 1.
    """

    series: str
    stack: str
    rows: Sequence[tuple[Any, ...]]

    @property
    def columns(self) -> list[str]:
        """What stands in a row."""
        return ["trial", "update", "layer", "value"] if self.stack else ["trial", "update", "value"]

    def to_pandas(self) -> pandas.DataFrame:
        """A row a value. `frame.pivot(index="update", columns="trial", values="value")` is one curve a column."""
        frame: pandas.DataFrame = pandas_module().DataFrame(list(self.rows), columns=self.columns)
        return frame

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        stack = f" ({self.stack})" if self.stack else ""
        trials = len({row[0] for row in self.rows})
        return f"<Measurements {self.series}{stack}: {len(self.rows)} values of {trials} trial{'' if trials == 1 else 's'}>"


def list_series(connection: Connection, job: str) -> list[api.Series]:
    """What is stored of a job; nothing where the job is not."""
    request = api.ListSeriesRequest(job=job)
    return list(connection.call_patiently(connection.stubs.metrics.ListSeries, request).series)


def query(connection: Connection, label: str, job: str, series: str, stack: str | None) -> Measurements:
    """One series of one job; `label` names its trial. InvalidSpec: not measured, or of two stacks."""
    stored = list_series(connection, job)
    stacks = [entry.stack for entry in stored if entry.series == series]
    if not stacks:
        there = ", ".join(dict.fromkeys(entry.series for entry in stored)) or "nothing yet"
        raise InvalidSpec(f'"{series}" is not measured by {label}. There is {there}.')
    if stack is None and len(stacks) == 1:
        stack = stacks[0]
    if stack is None or stack not in stacks:
        choices = " or ".join(f'stack="{entry}"' for entry in stacks)
        raise InvalidSpec(f"{series} has one value a layer of each stack. Say which: {choices}.")
    if stack == "":
        scalars = api.QueryScalarsRequest(job=job, series=series)
        points = connection.pages(connection.stubs.metrics.QueryScalars, scalars, "points")
        return Measurements(series, "", [(label, point.update, point.value) for point in points])
    vectors = api.QueryVectorsRequest(job=job, series=series, stack=stack)
    points = connection.pages(connection.stubs.metrics.QueryVectors, vectors, "points")
    rows = [(label, point.update, layer, value) for point in points for layer, value in enumerate(point.values, start=1)]
    return Measurements(series, stack, rows)
