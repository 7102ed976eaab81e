"""A consensus key at AWS KMS: ECC_NIST_EDWARDS25519, which signs by ED25519_SHA_512 over the whole message.

Credentials are where every program of AWS looks for them (environment, ~/.aws, the machine's role) and nowhere else.
A call has less time than a signer may take: a vote that comes later is of no use. Each costs, so nothing is asked that
is not signed. Rights that it needs: kms:GetPublicKey, kms:Sign; kms:CreateKey to make one.
Source: AWS KMS API Reference, 2014-11-01 (GetPublicKey, Sign, CreateKey); RFC 8410 for the public key's form; AWS
Signature Version 4 (by botocore).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from consensus.privval.errors import KeyLost
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES, Ed25519PrivKey, Ed25519PubKey

KEY_SPEC: Final = "ECC_NIST_EDWARDS25519"
ALGORITHM: Final = "ED25519_SHA_512"
DER_HEAD: Final = bytes.fromhex("302a300506032b6570032100")  # a SubjectPublicKeyInfo of Ed25519, before its 32 bytes
MESSAGE_BYTES_MAX: Final = 4_096  # KMS's for a raw message; a vote has some hundred
CONNECT_S: Final = 1.5
READ_S: Final = 2.5
HOW_TO_INSTALL: Final = (
    "AWS KMS needs botocore: pip install 'dchat-validator[kms]', in a checkout .venv/bin/pip install -e '.[kms]'"
)


def check_library() -> None:
    """Raises KeyLost: botocore is missing. It is not loaded: 40 MB."""
    if importlib.util.find_spec("botocore") is None:
        raise KeyLost(HOW_TO_INSTALL)


@dataclass
class KmsKey:
    """region empty: where AWS's own options say. endpoint: of what is not AWS."""

    key_id: str
    region: str = ""
    endpoint: str = ""

    def __post_init__(self) -> None:
        self._client: Any = None

    @property
    def where(self) -> str:
        return f"AWS KMS, key {self.key_id}"

    def open(self) -> None:
        if self._client is not None:
            return  # it has no connection that could be stale
        check_library()
        session, config = importlib.import_module("botocore.session"), importlib.import_module("botocore.config")
        self._errors: Any = importlib.import_module("botocore.exceptions")
        how = config.Config(
            retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=CONNECT_S, read_timeout=READ_S
        )
        with self._plainly("reaching it"):
            self._client = session.get_session().create_client(
                "kms", region_name=self.region or None, endpoint_url=self.endpoint or None, config=how
            )

    def public_key(self) -> Ed25519PubKey:
        with self._plainly("asking for its public key"):
            told = self._client.get_public_key(KeyId=self.key_id)
            if told.get("KeySpec") != KEY_SPEC or ALGORITHM not in told.get("SigningAlgorithms", ()):
                raise KeyLost(
                    f"{self.where}: its kind is {told.get('KeySpec')}, for {told.get('KeyUsage')}; a validator's is "
                    f"{KEY_SPEC}, for SIGN_VERIFY"
                )
            data = bytes(told["PublicKey"])
        if not data.startswith(DER_HEAD) or len(data) != len(DER_HEAD) + ED25519_KEY_BYTES:
            raise KeyLost(f"{self.where}: what it tells as its public key is none of Ed25519: {data[:64].hex()}")
        return Ed25519PubKey(data.removeprefix(DER_HEAD))

    def sign(self, message: bytes) -> bytes:
        if len(message) > MESSAGE_BYTES_MAX:
            raise KeyLost(f"{self.where}: it signs at most {MESSAGE_BYTES_MAX} bytes, not {len(message)}")
        with self._plainly("signing"):
            told = self._client.sign(KeyId=self.key_id, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHM)
            signature = bytes(told["Signature"])
        if len(signature) != SIGNATURE_BYTES:
            raise KeyLost(f"{self.where}: its signature has {len(signature)} bytes, expected {SIGNATURE_BYTES}")
        return signature

    def make(self) -> Ed25519PubKey:
        """The key that is made has an id of its own, which `key_id` is from then on."""
        if self.key_id:
            raise KeyLost(
                f"{self.where} is named: leave --kms-key-id out to make one, or `dchat signer adopt` this one"
            )
        with self._plainly("making a key"):
            told = self._client.create_key(
                KeySpec=KEY_SPEC, KeyUsage="SIGN_VERIFY", Description="consensus key of a dchat validator"
            )
            self.key_id = str(told["KeyMetadata"]["KeyId"])
        return self.public_key()

    def bring(self, key: Ed25519PrivKey) -> None:
        raise KeyLost(
            "AWS KMS takes a key only wrapped, by its own import (ImportKeyMaterial); after that `dchat signer "
            "adopt` takes it up with its record"
        )

    @contextlib.contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        """What botocore and the service say: neither text holds a credential."""
        try:
            yield
        except self._errors.NoCredentialsError:
            raise KeyLost(
                f"{self.where}: {what}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "write ~/.aws/credentials for the user that this runs as"
            ) from None
        except self._errors.ClientError as error:
            told = error.response.get("Error", {})
            raise KeyLost(f"{self.where}: {what}: {told.get('Code')}: {told.get('Message')}"[:500]) from None
        except KeyError as error:
            raise KeyLost(f"{self.where}: {what}: its answer lacks {error}") from None
        except (self._errors.BotoCoreError, ValueError, TypeError) as error:
            raise KeyLost(" ".join(f"{self.where}: {what}: {error}".split())[:500]) from None
