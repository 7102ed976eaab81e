"""How a gRPC door with TLS is spoken to: who vouches for its certificate, and the client's own.

Source: gRPC's ssl_channel_credentials; docs/operating.md, Doors.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from cryptography import x509

PEM_BYTES_MAX: Final = 4_194_304  # a system's bundle of roots has a few hundred kilobytes


@dataclass(frozen=True)
class Tls:
    """root: PEM of whoever vouches for the door's certificate; None: the system's roots. cert, key: this client's own,
    PEM, for a door that wants to know who calls (mutual TLS). server_name: what the door's certificate is for, where
    that is not the name by which it is called. Raises ValueError."""

    root: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client's certificate and its key go together: name both, or none")

    @classmethod
    def to_own(cls, cert: Path) -> Tls:
        """To a door whose certificate is at hand: that very one vouches for it, whatever name it is for. Raises
        ValueError."""
        try:
            leaf = x509.load_pem_x509_certificate(_pem(cert))
            found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound) as error:
            raise ValueError(f"{cert}: is no certificate for a name: {error}") from None
        names = found.get_values_for_type(x509.DNSName)
        addresses = found.get_values_for_type(x509.IPAddress)
        return cls(cert, server_name=next(iter([*names, *map(str, addresses)]), "").replace("*", "node"))

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises ValueError: a file cannot be used, and why."""
        root = _pem(self.root) if self.root is not None else _system_roots()
        cert = _pem(self.cert) if self.cert is not None else None
        key = _pem(self.key) if self.key is not None else None
        if self.cert is not None and self.key is not None:
            try:  # gRPC says nothing of a pair that does not fit, and the door then only that it knows nobody
                ssl.create_default_context().load_cert_chain(self.cert, self.key)
            except ssl.SSLError as error:
                raise ValueError(
                    f"{self.cert} and {self.key} are no certificate with its key: {error.reason}"
                ) from None
        return grpc.ssl_channel_credentials(root, key, cert)

    def context(self) -> ssl.SSLContext:
        """The same for doors over HTTP. Raises ValueError: a file cannot be used, and why."""
        try:
            made = ssl.create_default_context(cafile=self.root)
            if self.cert is not None:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.root or self.cert}: cannot be used: {error}") from None
        return made

    @property
    def options(self) -> list[tuple[str, Any]]:
        """Of a channel."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _pem(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > PEM_BYTES_MAX or b"-----BEGIN " not in data:
        raise ValueError(f"{path}: is no PEM file of at most {PEM_BYTES_MAX} bytes")
    return data


def _system_roots() -> bytes | None:
    """None: gRPC's own."""
    found = ssl.get_default_verify_paths().cafile
    return _pem(Path(found)) if found is not None else None
