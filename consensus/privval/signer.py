"""Signing votes and proposals without ever contradicting oneself.

The file signer keeps the last signed height, round and step in CometBFT's state file and the slots beside it
(record.py). The record is on disk, synced, before a signature leaves: after any stop it either knows of a signature or
nobody saw it.
It refuses: what is below its record; another content for the same height, round and step; what is at or below the
floor, a height that arrived already decided; and to exist without its record, unless a new one is asked for.
Signing blocks on the disk: call it from a worker thread.
Source: CometBFT v0.38, spec/consensus/signing.md, privval/file.go.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from consensus.documents.files import SignState, format_sign_state
from consensus.formats.errors import InvalidFile
from consensus.formats.timestamps import read_timestamp
from consensus.privval.record import SignRecord
from consensus.system.disk import Disk
from consensus.system.errors import SignerError, SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from crypto.keys import PubKey
from proto.tendermint.types import canonical_pb2


class SignStep(IntEnum):
    """The state file's numbers."""

    PROPOSE = 1
    PREVOTE = 2
    PRECOMMIT = 3


VOTE_STEPS: Final = {PREVOTE: SignStep.PREVOTE, PRECOMMIT: SignStep.PRECOMMIT}


class Record(Protocol):
    """Whose key it is, and what was signed with it: of a signer here, or of one elsewhere (remote.py)."""

    @property
    def pub_key(self) -> PubKey: ...

    @property
    def last_height(self) -> int:
        """The highest height that it knows to have signed at; 0 for none."""
        ...

    @property
    def last_position(self) -> tuple[int, int, int]:
        """Height, round and step (SignStep) signed last; zeros for none."""
        ...

    def last_vote(self, chain_id: str) -> Vote | None:
        """The vote that was signed last, if the record still says what it was; its index is left 0.

        A stop may come after a signature is recorded and before the vote is logged. Then it is taken up from here:
        nothing else can ever be signed in its place.
        """
        ...

    def raise_floor(self, height: int) -> None:
        """`height` is decided: from now on nothing at or below it is signed."""
        ...


class Signer(Record, Protocol):
    """Signs for one validator, here. Calls block on the disk: never on the event loop."""

    def sign_vote(self, chain_id: str, vote: Vote, *, with_extension: bool) -> Vote:
        """`vote` signed; its timestamp may be an earlier one, of the same vote signed before. Raises SigningRefused."""
        ...

    def sign_proposal(self, chain_id: str, proposal: Proposal) -> Proposal:
        """As `sign_vote`."""
        ...


class SigningKey(Protocol):
    """A private key, or whoever signs by one. `sign` may block, and raise KeyLost."""

    @property
    def pub_key(self) -> PubKey: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Request:
    height: int
    round: int
    step: SignStep
    sign_bytes: bytes


RECORD_DAMAGED: Final = (
    "The file was damaged, or is of another key: restore the newest copy of where this key last signed; a lower one "
    "would let it sign twice"
)


class FileSigner:
    """Raises SignerError when the state file is missing or no state file. Close it: only then that file says all."""

    def __init__(self, disk: Disk, key: SigningKey, state_path: Path) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._floor = 0
        self._record = _load(disk, state_path, key.pub_key.address)
        if why := record_fault(self.state, key.pub_key):
            raise SignerError(f"{state_path}: {why}. {RECORD_DAMAGED}")

    @staticmethod
    def create_state(disk: Disk, state_path: Path) -> None:
        """Write the empty record of a key that never signed. Raises SignerError when there is a record."""
        if disk.size(state_path):
            raise SignerError(f"{state_path}: a sign state is there already; it is never replaced")
        disk.replace(state_path, format_sign_state(SignState()).encode())

    @property
    def pub_key(self) -> PubKey:
        return self._key.pub_key

    @property
    def last_height(self) -> int:
        return self.state.height

    @property
    def last_position(self) -> tuple[int, int, int]:
        return self.state.position

    @property
    def state(self) -> SignState:
        return self._record.state

    def close(self) -> None:
        """After the last signature: the state file says all again. Where the disk refuses that is said, not raised."""
        with self._lock:
            self._record.close()

    def last_vote(self, chain_id: str) -> Vote | None:
        return recorded_vote(self.state, self.pub_key, chain_id)

    def raise_floor(self, height: int) -> None:
        self._floor = max(self._floor, height)

    def sign_vote(self, chain_id: str, vote: Vote, *, with_extension: bool) -> Vote:
        request = _Request(vote.height, vote.round, VOTE_STEPS[vote.type], vote.sign_bytes(chain_id))
        with self._lock:
            signature, sign_bytes = self._sign(request)
        if sign_bytes != request.sign_bytes:
            vote = replace(vote, timestamp_ns=_vote_time(sign_bytes))
        extension_signature = self._key.sign(vote.extension_sign_bytes(chain_id)) if with_extension else b""
        return vote.signed(signature, extension_signature=extension_signature)

    def sign_proposal(self, chain_id: str, proposal: Proposal) -> Proposal:
        request = _Request(proposal.height, proposal.round, SignStep.PROPOSE, proposal.sign_bytes(chain_id))
        with self._lock:
            signature, sign_bytes = self._sign(request)
        if sign_bytes != request.sign_bytes:
            proposal = replace(proposal, timestamp_ns=_proposal_time(sign_bytes))
        return proposal.signed(signature)

    def _sign(self, request: _Request) -> tuple[bytes, bytes]:
        """The signature and the bytes that it signs: the request's, or those signed before at another time."""
        last = self.state
        where = f"height {request.height} round {request.round} {request.step.name.lower()}"
        if request.height <= self._floor:
            raise SigningRefused(f"{where}: height {self._floor} arrived decided; nothing at or below it is signed")
        asked = (request.height, request.round, int(request.step))
        if asked < last.position:
            raise SigningRefused(f"{where} is before the last signed: {last.height}/{last.round}/{last.step}")
        if asked == last.position:
            return self._repeat(request, last, where)
        signature = self._key.sign(request.sign_bytes)
        state = SignState(request.height, request.round, int(request.step), signature, request.sign_bytes)
        self._record.write(state)
        return signature, request.sign_bytes

    def _repeat(self, request: _Request, last: SignState, where: str) -> tuple[bytes, bytes]:
        if not last.signature:
            raise SigningRefused(f"{where}: it was signed, and the record holds no signature to repeat")
        if request.sign_bytes == last.sign_bytes:
            return last.signature, last.sign_bytes
        if without_time(request.step, request.sign_bytes) == without_time(request.step, last.sign_bytes):
            return last.signature, last.sign_bytes
        raise SigningRefused(f"{where}: something else was signed there before; signing both would be a double sign")


def recorded_vote(state: SignState, pub_key: PubKey, chain_id: str) -> Vote | None:
    """The vote that a record says was signed last; its index is left 0. None: it was none, or of another chain."""
    if state.step not in VOTE_STEPS.values() or not state.signature:
        return None
    message = _canonical(SignStep(state.step), state.sign_bytes)
    assert isinstance(message, canonical_pb2.CanonicalVote), message
    header = message.block_id.part_set_header
    vote = Vote(
        message.type,
        message.height,
        message.round,
        BlockID(message.block_id.hash, PartSetHeader(header.total, header.hash)),
        read_timestamp(message, "timestamp"),
        pub_key.address,
        signature=state.signature,
    )
    return vote if vote.verify(chain_id, pub_key) else None


def record_fault(state: SignState, pub_key: PubKey) -> str:
    """What of a record does not fit what it says was signed; empty: nothing, or it keeps no signature."""
    if not state.signature:
        return ""
    try:
        message = _canonical(SignStep(state.step), state.sign_bytes)
    except (SignerError, ValueError) as error:
        return f"what it says was signed cannot be read ({error})"
    step = SignStep.PROPOSE if isinstance(message, canonical_pb2.CanonicalProposal) else VOTE_STEPS.get(message.type)
    if (message.height, message.round, step) != state.position:
        return f"it says {'/'.join(map(str, state.position))}, and what was signed is {message.height}/{message.round}"
    if not pub_key.verify(state.sign_bytes, state.signature):
        return f"its signature is not one of validator {pub_key.address.hex()}"
    return ""


def _load(disk: Disk, path: Path, address: bytes) -> SignRecord:
    try:
        return SignRecord(disk, path, address)
    except FileNotFoundError as error:
        raise SignerError(
            f"{path}: the sign state is missing. Without it this key could sign twice. Restore the file; a new, empty "
            "one is right only for a key that has never signed"
        ) from error
    except InvalidFile as error:
        raise SignerError(f"{path}: {error}. {RECORD_DAMAGED}") from error


def _canonical(step: SignStep, sign_bytes: bytes) -> canonical_pb2.CanonicalVote | canonical_pb2.CanonicalProposal:
    """Sign bytes are a length, then the canonical message. Raises SignerError for anything else."""
    start = next((i + 1 for i, byte in enumerate(sign_bytes[:10]) if byte < 0x80), 0)
    kind = canonical_pb2.CanonicalProposal if step is SignStep.PROPOSE else canonical_pb2.CanonicalVote
    try:
        return kind.FromString(sign_bytes[start:])
    except DecodeError as error:
        raise SignerError(f"recorded sign bytes are no canonical {step.name.lower()}: {error}") from error


def without_time(step: SignStep, sign_bytes: bytes) -> bytes:
    """What is said, whenever. Raises SignerError."""
    message = _canonical(step, sign_bytes)
    message.ClearField("timestamp")
    return message.SerializeToString()


def _vote_time(sign_bytes: bytes) -> int:
    return read_timestamp(_canonical(SignStep.PREVOTE, sign_bytes), "timestamp")


def _proposal_time(sign_bytes: bytes) -> int:
    return read_timestamp(_canonical(SignStep.PROPOSE, sign_bytes), "timestamp")
