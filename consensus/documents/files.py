"""CometBFT's key and sign-state files, as text. Reading and writing the disk is the caller's.

`format_*` gives exactly what CometBFT writes; `parse_*` takes what it reads. Errors never show a secret.
Source: CometBFT v0.38, privval/file.go, p2p/key.go, libs/json.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from consensus.documents.json import priv_key_from_json, priv_key_json, pub_key_json
from consensus.formats.errors import InvalidFile, Malformed
from consensus.formats.json_text import Fields, dumps, loads
from crypto.keys import PrivKey, PubKey

_FILE_BYTES_MAX: Final = 2_097_152  # sign bytes and signature are small; whatever is larger is another file


def node_id(key: PubKey) -> str:
    """A node's name in the network: its key's address, 40 lower-case hex characters."""
    return key.address.hex()


def format_node_key(key: PrivKey) -> str:
    """node_key.json. Secret; mode 0600."""
    return dumps({"priv_key": priv_key_json(key)})


def parse_node_key(text: str | bytes) -> PrivKey:
    """Raises InvalidFile."""
    try:
        return Fields(_loads(text, "node_key.json"), "node_key.json").read("priv_key", priv_key_from_json)
    except Malformed as error:
        raise InvalidFile(str(error)) from error


def format_validator_key(key: PrivKey) -> str:
    """priv_validator_key.json. Secret; mode 0600."""
    value = {
        "address": key.pub_key.address.hex().upper(),
        "pub_key": pub_key_json(key.pub_key),
        "priv_key": priv_key_json(key),
    }
    return dumps(value, indent=2)


def parse_validator_key(text: str | bytes) -> PrivKey:
    """Address and public key in the file are not read: they follow from the private key. Raises InvalidFile."""
    name = "priv_validator_key.json"
    try:
        return Fields(_loads(text, name), name).read("priv_key", priv_key_from_json)
    except Malformed as error:
        raise InvalidFile(str(error)) from error


@dataclass(frozen=True, slots=True)
class SignState:
    """The last thing that a signer signed. step: 0 nothing yet, 1 proposal, 2 prevote, 3 precommit.

    slots: the id of the file beside it that knows what was signed below this position (consensus/privval/record.py); a
    field of ours, which CometBFT passes over. Empty: this is all.
    """

    height: int = 0
    round: int = 0
    step: int = 0
    signature: bytes = b""
    sign_bytes: bytes = b""
    slots: bytes = b""

    @property
    def position(self) -> tuple[int, int, int]:
        """What must never go back."""
        return self.height, self.round, self.step


def format_sign_state(state: SignState) -> str:
    """priv_validator_state.json."""
    value: dict[str, object] = {"height": str(state.height), "round": state.round, "step": state.step}
    if state.signature:
        value["signature"] = base64.b64encode(state.signature).decode()
    if state.sign_bytes:
        value["signbytes"] = state.sign_bytes.hex().upper()
    if state.slots:
        value["slots"] = state.slots.hex()
    return dumps(value, indent=2)


def parse_sign_state(text: str | bytes) -> SignState:
    """Raises InvalidFile: an unreadable record must stop a signer, never reset it."""
    name = "priv_validator_state.json"
    try:
        value = _loads(text, name)
        if not isinstance(value, dict) or not {"height", "round", "step"} <= value.keys():
            raise Malformed(f"{name} lacks height, round or step")
        fields = Fields(value, name)
        state = SignState(
            fields.int64("height"),
            fields.int32("round"),
            fields.int32("step"),
            fields.base64("signature"),
            fields.hex("signbytes"),
            fields.hex("slots"),
        )
    except Malformed as error:
        raise InvalidFile(str(error)) from error
    if state.height < 0 or state.round < 0 or not 0 <= state.step <= 3:
        raise InvalidFile(f"{name}: height, round or step {state.position} is out of range")
    if bool(state.signature) != bool(state.sign_bytes):
        raise InvalidFile(f"{name}: signature and signbytes must be there together")
    return state


def _loads(text: str | bytes, what: str) -> object:
    return loads(text, what=what, bytes_max=_FILE_BYTES_MAX)
