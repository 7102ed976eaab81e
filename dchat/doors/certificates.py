"""A door's certificate: with its key, and who vouches for its clients; read again when a file is another.

The files are looked at when a client comes, once in LOOK_S: whoever renews certificates only writes them. Ones that
cannot be used are told of in the log, and those before them go on; so does a certificate that holds, where the new one
does not hold now.
"""

from __future__ import annotations

import codecs
import datetime
import math
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from consensus.formats.units import MIB
from dchat.config.models import Config

LOOK_S: Final = 1.0
PEM_BYTES_MAX: Final = 4 * MIB  # a bundle of roots has a few hundred kilobytes

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Pem:
    """What the files have. client_ca: None: anybody may call."""

    chain: bytes
    key: bytes
    client_ca: bytes | None


@dataclass(frozen=True)
class _Read:
    pem: Pem
    context: ssl.SSLContext
    begins_at: float  # seconds since 1970
    ends_at: float
    signs: tuple[tuple[int, ...], ...]

    def holds(self, at: float) -> bool:
        return self.begins_at <= at < self.ends_at


class Certificates:
    """Of one door. cert: PEM chain; client_ca: PEM of who vouches for those who may call. Callable from any thread."""

    def __init__(
        self, cert: Path, key: Path, client_ca: Path | None = None, *,
        now: Callable[[], float] = time.monotonic, date: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """date: seconds since 1970. Raises OSError, ValueError (ssl.SSLError is an OSError)."""
        self._files, self._client_ca, self._now, self._date = (cert, key), client_ca, now, date
        self._lock = threading.Lock()
        self._refused: tuple[tuple[int, ...], ...] = ()
        self._again_at = math.inf  # what was refused is looked at again then
        self._looked_at = now()
        self._read = self._load()

    @staticmethod
    def of(root: Path, cert: str, key: str, client_ca: str = "") -> Certificates | None:
        """By options, whose paths are relative to `root`; None: there is no TLS. Raises OSError, ValueError."""
        return Certificates(root / cert, root / key, root / client_ca if client_ca else None) if cert else None

    @property
    def asks_clients(self) -> bool:
        """Whether clients show a certificate of their own (mutual TLS)."""
        return self._client_ca is not None

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        return self._newest().context

    @property
    def pem(self) -> Pem:
        """For the next handshake: the same object until a file is another."""
        return self._newest().pem

    @property
    def ends_at(self) -> float:
        """When the certificate ends, in seconds since 1970."""
        return self._read.ends_at

    def _newest(self) -> _Read:
        with self._lock:
            if (now := self._now()) - self._looked_at >= LOOK_S:
                self._looked_at = now
                self._look()
            return self._read

    def _look(self) -> None:
        try:
            signs, date = self._signs(), self._date()
            if signs == self._read.signs or (signs == self._refused and date < self._again_at):
                return
            self._refused, self._again_at = signs, math.inf
            read = self._load()
            if self._read.holds(date) and not read.holds(date):
                self._again_at = read.begins_at if date < read.begins_at else math.inf
                raise ValueError(f"it holds from {_day(read.begins_at)} to {_day(read.ends_at)}")
            self._read = read
        except (OSError, ValueError) as error:  # half of it is written yet, or it is wrong
            log.warning(
                "certificates cannot be used: those before them go on", file=str(self._files[0]), why=str(error)
            )
        else:
            log.info("read certificates again", file=str(self._files[0]), ends_at=int(self._read.ends_at))

    def _signs(self) -> tuple[tuple[int, ...], ...]:
        """By which it is seen that a file is another."""
        paths = (*self._files, *([self._client_ca] if self._client_ca else []))
        return tuple((told.st_ino, told.st_size, told.st_mtime_ns) for told in (path.stat() for path in paths))

    def _load(self) -> _Read:
        signs = self._signs()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        chain, key = (pem_bytes(path) for path in self._files)  # first: OpenSSL would read them without a limit
        load_pair(context, *self._files)
        client_ca = None
        if self._client_ca is not None:
            client_ca = load_client_ca(context, self._client_ca)
        pem = Pem(chain, key, client_ca)
        cert = x509.load_pem_x509_certificate(pem.chain)
        if self._signs() != signs:
            raise ValueError("a file was written meanwhile")
        begins_at, ends_at = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
        return _Read(pem, context, begins_at, ends_at, signs)


@dataclass(frozen=True)
class DoorCertificates:
    """Of all doors: one certificate, and for each who vouches for its clients. None: no TLS there."""

    grpc: Certificates | None
    http: Certificates | None
    rpc: Certificates | None
    metrics: Certificates | None

    @staticmethod
    def of(root: Path, config: Config) -> DoorCertificates:
        """Raises OSError, ValueError."""

        def made(client_ca: str) -> Certificates | None:
            return Certificates.of(root, config.tls.cert_file, config.tls.key_file, client_ca)

        watching = config.observability
        return DoorCertificates(
            made(config.grpc.client_ca_file),
            made(config.http.client_ca_file),
            made(config.rpc.client_ca_file),
            made(watching.metrics_client_ca_file) if watching.metrics_tls else None,
        )


def load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Nobody is asked for a passphrase: at a terminal OpenSSL would, and consensus would wait. Raises OSError,
    ValueError: it is under one."""

    def ask() -> str:
        raise ValueError(f"{key} is under a passphrase, and nobody is asked for it: write it without, of mode 0600")

    context.load_cert_chain(cert, key, password=ask)


def load_client_ca(context: ssl.SSLContext, file: Path) -> bytes:
    """Let in alone whom `file` vouches for; returns what it has. OpenSSL reads it, as it does the certificate: handed
    over as text it had to be ASCII, and comments in bundles are not. Raises OSError; ValueError: it holds none."""
    data = pem_bytes(file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise ValueError(f"{file} holds no certificates: {error.reason}") from None
    if not context.cert_store_stats()["x509"]:  # but lists of revoked ones, with which gRPC does not begin
        raise ValueError(f"{file} holds no certificates")
    context.verify_mode = ssl.CERT_REQUIRED
    return data


def _day(at: float) -> str:
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def pem_bytes(path: Path) -> bytes:
    """What a file has, PEM_BYTES_MAX at most, without the mark that some editors begin with: gRPC finds no certificate
    behind one. Raises OSError; ValueError: it has more."""
    with path.open("rb") as file:
        data = file.read(PEM_BYTES_MAX + 1)
    if len(data) > PEM_BYTES_MAX:
        raise ValueError(f"{path} has more than {PEM_BYTES_MAX} bytes")
    return data.removeprefix(codecs.BOM_UTF8)
