"""A channel to a coordinator, and calls whose errors are sentences (client/connection.cc)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from strata.errors import StrataError
from strata.v1 import (
    access_service_pb2_grpc,
    artifact_service_pb2_grpc,
    dataset_service_pb2_grpc,
    experiment_service_pb2_grpc,
    metric_service_pb2_grpc,
    upkeep_service_pb2_grpc,
    worker_service_pb2_grpc,
)

DEADLINE_SECONDS = 30.0
STREAM_SECONDS = 3600.0  # a stream that goes on longer is opened anew
_PAUSE_SECONDS = 0.2
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.min_reconnect_backoff_ms", 2000),  # how long a connection may take to come about, TLS included
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20000),
    ("grpc.enable_http_proxy", 0),
]


class Stubs:
    """One stub a service of the API, for calls that the wrapper has no word for."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.experiments = experiment_service_pb2_grpc.ExperimentServiceStub(channel)
        self.trials = experiment_service_pb2_grpc.TrialServiceStub(channel)
        self.jobs = experiment_service_pb2_grpc.JobServiceStub(channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        self.metrics = metric_service_pb2_grpc.MetricServiceStub(channel)
        self.artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
        self.workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
        self.access = access_service_pb2_grpc.AccessServiceStub(channel)
        self.upkeep = upkeep_service_pb2_grpc.UpkeepServiceStub(channel)


class Connection:
    """Stubs over one channel. Any number of threads may call."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None) -> None:
        self.address = address
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        self._secure = credentials is not None
        self._stood = False  # an answer has come once: what is away now is expected back
        self.stubs = Stubs(self._channel)

    def close(self) -> None:
        """Ends the channel; calls that wait end with it."""
        self._channel.close()

    def call(self, method: Callable[..., Any], request: Any, timeout: float = DEADLINE_SECONDS) -> Any:
        """One unary call; StrataError with the server's sentence where it fails."""
        try:
            response = method(request, timeout=timeout)
        except grpc.RpcError as error:
            # gRPC reads from its connections only while a call waits, and this one did not: a handshake may be under way.
            never_sent = (error.details() or "").startswith("failed to connect")
            if error.code() != grpc.StatusCode.UNAVAILABLE or not never_sent or not self._answers() or not self.await_ready():
                raise self.explain(error) from None
            try:
                response = method(request, timeout=timeout)
            except grpc.RpcError as second:
                raise self.explain(second) from None
        self._stood = True
        return response

    def await_ready(self, seconds: float = 2.0) -> bool:
        """Waits until the connection stands; False: it did not within that time."""
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=seconds)
        except grpc.FutureTimeoutError:
            return False
        finally:
            ready.cancel()
        return True

    def call_patiently(self, method: Callable[..., Any], request: Any, patience: float = 30.0) -> Any:
        """The same for calls that may be repeated: while one that answered before is away, tries for `patience` s."""
        give_up = time.monotonic() + patience
        while True:
            try:
                return self.call(method, request)
            except StrataError as error:
                if error.code != "UNAVAILABLE" or not self._stood or time.monotonic() > give_up:
                    raise
            self.pause()

    def pause(self) -> None:
        """Between two tries: until the connection stands, and a moment at least."""
        time.sleep(_PAUSE_SECONDS)
        self.await_ready(_PAUSE_SECONDS)

    def stream(self, method: Callable[..., Any], request: Any, timeout: float = STREAM_SECONDS) -> Iterator[Any]:
        """The messages of a streaming call; leaving the iteration ends the call, and so does the end of its time."""
        call = method(request, timeout=timeout)
        try:
            for message in call:
                self._stood = True
                yield message
        except grpc.RpcError as error:
            raise self.explain(error) from None
        finally:
            call.cancel()

    def pages(self, method: Callable[..., Any], request: Any, items: str) -> list[Any]:
        """All items of a listing; `items` names the repeated field of a page."""
        found: list[Any] = []
        while True:
            page = self.call_patiently(method, request)
            found.extend(getattr(page, items))
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def _answers(self) -> bool:
        """Whether anybody takes a connection there."""
        host, _, port = self.address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
                return True
        except (OSError, ValueError):
            return False

    def explain(self, error: Any) -> StrataError:
        """The same status with a message for a person."""
        code, details = error.code(), error.details() or ""
        message = details
        if code == grpc.StatusCode.UNAVAILABLE:
            message = f"No coordinator at {self.address}. Start one with 'strata up', or name another: Client(\"HOST:PORT\")."
            handshake = "handshake" in details.lower() or "ssl" in details.lower() or "certificate" in details.lower()
            if not self._secure and self._answers():
                message = (
                    f"Something answers at {self.address}, but not in the clear. If it is a coordinator under TLS, give "
                    "the file of its authority: tls_ca or STRATA_TLS_CA."
                )
            elif self._secure and handshake:
                message = (
                    f"The coordinator at {self.address} was refused, or refused us: {details}. Is tls_ca (STRATA_TLS_CA) its "
                    "authority, and its name or address one that its certificate holds?"
                )
        elif code == grpc.StatusCode.DEADLINE_EXCEEDED:
            message = (
                f"The coordinator at {self.address} did not answer within {DEADLINE_SECONDS:g} s. Its log says what it does; "
                "try again."
            )
        elif code == grpc.StatusCode.UNIMPLEMENTED:
            message = (
                f"What answers at {self.address} does not know this call: it is no coordinator, or one of another version. "
                'Name another: Client("HOST:PORT").'
            )
        return StrataError(message, code.name)
