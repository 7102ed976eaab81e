"""Keys of ML-DSA-65 (FIPS 204), which survive quantum computers: by `cryptography`, whose OpenSSL is 3.5 or newer.

Pure mode with an empty context, as CometBFT signs and verifies. Verifying is deterministic. Signing is hedged, the
default of FIPS 204 and all that the library offers: a message signed twice has two good signatures, so what must not be
signed twice is repeated from its record, never signed anew. A private key is its seed of 32 bytes: the library takes no
other form. `verify` answers False for anything malformed and never raises. Where the library has no ML-DSA no key of it
can be made, public ones neither: a node that cannot judge a signature must not take part.
Source: FIPS 204, algorithms 1 to 3 and table 2; CometBFT v0.38.26, crypto/mldsa65.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

import cryptography
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from crypto.errors import InvalidKey
from crypto.hash import ADDRESS_BYTES, sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

_library: ModuleType | None
try:
    from cryptography.hazmat.primitives.asymmetric import mldsa as _library
except ImportError:  # before 47
    _library = None

Bytes: TypeAlias = bytes  # the classes below have a field of that name

ML_DSA_65: Final = "ml_dsa_65"
ML_DSA_65_KEY_BYTES: Final = 1_952
ML_DSA_65_SIGNATURE_BYTES: Final = 3_309
SEED_BYTES: Final = 32
_PACKED_BYTES: Final = 4_032  # CometBFT's form of a private key, of which no seed can be had again


@functools.cache
def why_missing() -> str:
    """Why this machine has no ML-DSA-65, and what to do; empty: it has."""
    fault = f"cryptography {cryptography.__version__} has none"
    if _library is not None:
        try:
            _library.MLDSA65PrivateKey.from_seed_bytes(bytes(SEED_BYTES))
        except UnsupportedAlgorithm as error:
            fault = f"cryptography {cryptography.__version__} says: {error}"
        else:
            return ""
    return (
        f"{ML_DSA_65} keys cannot be used here: {fault}; install cryptography 47 or newer from its own wheels, or "
        "build it with OpenSSL 3.5 or newer"
    )


def _loaded() -> ModuleType:
    """Raises InvalidKey."""
    why = why_missing()
    if why or _library is None:
        raise InvalidKey(why)
    return _library


@dataclass(frozen=True, slots=True)
class MlDsa65PubKey:
    bytes: Bytes  # 1,952
    address: Bytes = field(init=False, repr=False, compare=False)
    _key: MLDSA65PublicKey = field(init=False, repr=False, compare=False)  # taken apart once

    def __post_init__(self) -> None:
        if len(self.bytes) != ML_DSA_65_KEY_BYTES:
            raise InvalidKey(f"{ML_DSA_65} public key has {len(self.bytes)} bytes, expected {ML_DSA_65_KEY_BYTES}")
        object.__setattr__(self, "_key", _loaded().MLDSA65PublicKey.from_public_bytes(self.bytes))
        object.__setattr__(self, "address", sha256(self.bytes)[:ADDRESS_BYTES])

    @property
    def type(self) -> str:
        return ML_DSA_65

    def verify(self, message: Bytes, signature: Bytes) -> bool:
        """Of another length than 3,309 bytes it is refused unseen."""
        if len(signature) != ML_DSA_65_SIGNATURE_BYTES:
            return False
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class MlDsa65PrivKey:
    bytes: Bytes = field(repr=False)  # 32: the seed
    pub_key: MlDsa65PubKey = field(init=False)
    _key: MLDSA65PrivateKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        size = len(self.bytes)
        if size == _PACKED_BYTES:
            raise InvalidKey(
                f"{ML_DSA_65} private key has {size} bytes: the packed form of CometBFT's files. Signed is here by "
                f"the seed that it was made of ({SEED_BYTES} bytes), which cannot be had of it: leave the key where it "
                "is, or make a new one"
            )
        if size != SEED_BYTES:
            raise InvalidKey(f"{ML_DSA_65} private key has {size} bytes, expected its seed of {SEED_BYTES}")
        key = _loaded().MLDSA65PrivateKey.from_seed_bytes(self.bytes)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "pub_key", MlDsa65PubKey(key.public_key().public_bytes_raw()))

    @staticmethod
    def from_seed(seed: Bytes) -> MlDsa65PrivKey:
        """seed: 32 bytes, secret and uniformly random."""
        return MlDsa65PrivKey(seed)

    @property
    def type(self) -> str:
        return ML_DSA_65

    def sign(self, message: Bytes) -> Bytes:
        """3,309 bytes, others each time."""
        return self._key.sign(message)
