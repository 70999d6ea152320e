"""Whom a client speaks to, and as whom: from arguments, else variables, else files (client/home.cc, client/security.cc)."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import stat

import grpc

from strata.errors import InvalidSpec

Path = str | os.PathLike[str]
_LOOPBACK = ("127.", "localhost:", "[::1]", "unix:")


@dataclasses.dataclass(frozen=True)
class Given:
    """The arguments of a client; None: not given."""

    address: str | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    token: str | None
    token_file: Path | None


def _strata_home() -> pathlib.Path:
    if home := os.environ.get("STRATA_HOME"):
        return pathlib.Path(home)
    if data := os.environ.get("XDG_DATA_HOME"):
        return pathlib.Path(data) / "strata"
    return pathlib.Path.home() / ".local" / "share" / "strata"


def _configuration() -> pathlib.Path:
    config = os.environ.get("XDG_CONFIG_HOME")
    return (pathlib.Path(config) if config else pathlib.Path.home() / ".config") / "strata"


def _resolve_address(given: str | None) -> tuple[str, bool]:
    """HOST:PORT, and whether it is the cluster of `strata up`, which is spoken to in the clear."""
    if address := given or os.environ.get("STRATA_ADDRESS"):
        return address, False
    with contextlib.suppress(OSError):
        if words := (_strata_home() / "coordinator" / "address").read_text().split():
            return words[0], True
    return "localhost:7070", False


def _choose(given: Path | None, variable: str, file: str, given_only: bool) -> Path | None:
    if given or given_only:
        return given
    if value := os.environ.get(variable):
        return value
    path = _configuration() / file
    return path if path.exists() else None


def _read(path: Path, what: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise InvalidSpec(f"{what}: {os.fspath(path)} cannot be read: {error.strerror}.") from None


def _check_token(token: str, what: str) -> str:
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidSpec(f"{what} holds no token: one word is expected, as 'strata admin token create' prints it.")
    return token


def _read_token(path: Path) -> str:
    return _check_token(_read(path, "token_file").decode("ascii", "replace"), os.fspath(path))


def _find_token(given: Given) -> tuple[str, Path | None]:
    """The token, and the file that it is from; "" where there is none."""
    if given.token is not None and given.token_file is not None:
        raise InvalidSpec("token and token_file are both given. Keep one.")
    if given.token is not None:
        return _check_token(given.token, "token"), None
    if given.token_file is None and (token := os.environ.get("STRATA_TOKEN")):
        return _check_token(token, "STRATA_TOKEN"), None
    path: Path | None = given.token_file or os.environ.get("STRATA_TOKEN_FILE")
    if path is None:
        own = _configuration() / "token"
        if not own.exists():
            return "", None
        if own.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidSpec(f"Others on this machine may read the token in {own}. Keep it to yourself: chmod 600 {own}")
        path = own
    return _read_token(path), path


class _ShowToken(grpc.AuthMetadataPlugin):  # type: ignore[misc]
    """Shows a token with every call. A file is read at each call, so that a new token needs no new client."""

    def __init__(self, token: str, file: Path | None) -> None:
        self._token, self._file = token, file

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        if self._file is not None:
            with contextlib.suppress(InvalidSpec):  # what was read last, where it cannot be read just now
                self._token = _read_token(self._file)
        callback((("authorization", f"Bearer {self._token}"),), None)


def resolve(given: Given) -> tuple[str, grpc.ChannelCredentials | None]:
    """The address, and credentials for it; None: in the clear.

    InvalidSpec: files are missing or do not go together, or a token would leave this machine in the clear.
    """
    address, embedded = _resolve_address(given.address)
    ca = _choose(given.tls_ca, "STRATA_TLS_CA", "ca.crt", embedded)
    cert = _choose(given.tls_cert, "STRATA_TLS_CERT", "client.crt", embedded)
    key = _choose(given.tls_key, "STRATA_TLS_KEY", "client.key", embedded)
    if bool(cert) != bool(key):
        raise InvalidSpec("tls_cert and tls_key (STRATA_TLS_CERT, STRATA_TLS_KEY) go together: give both, or neither.")
    if not ca:
        if cert:
            raise InvalidSpec("tls_cert is given without tls_ca (STRATA_TLS_CA). Name the file of the cluster's authority.")
        asked = given.token is not None or given.token_file is not None
        if (asked or not address.startswith(_LOOPBACK)) and _find_token(given)[0]:
            raise InvalidSpec(
                f"The token would go to {address} in the clear. Give the file of the coordinator's authority: tls_ca or "
                "STRATA_TLS_CA."
            )
        return address, None
    channel = grpc.ssl_channel_credentials(
        root_certificates=_read(ca, "tls_ca"),
        private_key=_read(key, "tls_key") if key else None,
        certificate_chain=_read(cert, "tls_cert") if cert else None,
    )
    token, file = _find_token(given)
    if not token:
        return address, channel
    return address, grpc.composite_channel_credentials(channel, grpc.metadata_call_credentials(_ShowToken(token, file)))
