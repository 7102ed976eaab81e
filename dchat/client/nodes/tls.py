"""How a gRPC door with TLS is spoken to: who vouches for its certificate, and the client's own.

Source: gRPC's ssl_channel_credentials; docs/operating.md, Doors.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

PEM_BYTES_MAX: Final = 4_194_304  # a system's bundle of roots has a few hundred kilobytes


@dataclass(frozen=True)
class Tls:
    """root: PEM of whoever vouches for the door's certificate; None: the system's roots. cert, key: this client's own,
    PEM, for a door that wants to know who calls (mutual TLS). server_name: what the door's certificate is for, where
    that is not the name by which it is called. leaf: PEM of the door's own certificate, the only one that is taken,
    whoever else vouches for another. Raises ValueError."""

    root: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""
    leaf: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client's certificate and its key go together: name both, or none")

    @classmethod
    def to_own(cls, cert: Path, said: Tls | None = None) -> Tls:
        """To a door whose certificate is at hand: that very one vouches for it, whatever name it is for; not those in
        its chain, by which others have theirs. said: what else is known, without who vouches. Raises ValueError."""
        try:
            leaf = x509.load_pem_x509_certificate(_pem(cert))
            pem = leaf.public_bytes(Encoding.PEM)
        except ValueError as error:
            raise ValueError(f"{cert}: is no certificate: {error}") from None
        try:
            found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
        except (ValueError, x509.ExtensionNotFound):
            names = []
        known = said or cls()
        name = known.server_name or next(iter(names), "").replace("*", "node")
        return cls(cert=known.cert, key=known.key, server_name=name, leaf=pem)

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises ValueError: a file cannot be used, and why."""
        root = self.leaf or (_pem(self.root) if self.root is not None else _system_roots())
        if self.leaf and not self.server_name:
            raise ValueError(
                "the node's certificate names nobody (subjectAltName with DNS or IP), and gRPC calls none that does not"
            )
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
            made = self._known_by_leaf() if self.leaf else ssl.create_default_context(cafile=self.root)
            if self.cert is not None:
                made.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.root or self.cert}: cannot be used: {error}") from None
        return made

    def _known_by_leaf(self) -> ssl.SSLContext:
        """No system's roots, and no name: who has the certificate's key is who is meant."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        made.load_verify_locations(cadata=self.leaf.decode("ascii"))
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
