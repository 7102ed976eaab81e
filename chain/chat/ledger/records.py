"""The records of identities and params. Immutable; each encodes to its message in proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final

from chain.kernel.auth import (
    Sequences,
    back_to,
    encode_sequences,
    furthest,
    read_policy,
    read_sequences,
    sequences_fit,
    waits_between,
)
from chain.kernel.branch import Key, Readable
from chain.kernel.event_text import account
from chain.tx.codec import UINT64_MAX, bytes_field, message_field, uint_field
from chain.tx.envelope.tx import SignerEntry, Tx
from chain.tx.errors import AllowanceExhausted, UnknownIdentity
from chain.tx.units import GAS_PER_MGAS, UDCHAT_PER_DCHAT
from proto.dchat.v1 import state_pb2 as pb


class Allowance:
    """What an identity may still do on the chat chain: it was bought, and nothing refills it."""

    __slots__ = ("messages", "size")

    def __init__(self, messages: int, size: int) -> None:
        self.messages, self.size = messages, size

    def spend(self, messages: int, size: int) -> Allowance:
        """What is left. Raises: AllowanceExhausted."""
        left = Allowance(self.messages - messages, self.size - size)
        if left.messages < 0 or left.size < 0:
            raise AllowanceExhausted(f"{max(0, -left.messages)} messages and {max(0, -left.size)} bytes short")
        return left

    def with_bought(self, messages: int, size: int) -> Allowance:
        return Allowance(self.messages + messages, self.size + size)

    def fits(self) -> bool:
        return 0 <= self.messages | self.size <= UINT64_MAX

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.messages) + uint_field(b"\x10", self.size)

    @staticmethod
    def read(a: pb.Allowance) -> Allowance:
        return Allowance(a.messages, a.bytes)


class Identity:
    """policy: canonical KeyPolicy. What else it holds is bounded by what a registration may say."""

    __slots__ = ("address", "allowance", "created_height", "display", "name", "policy", "sequences")

    def __init__(
        self,
        address: bytes,
        name: str,
        display: str,
        policy: bytes,
        sequences: Sequences,
        allowance: Allowance,
        created_height: int,
    ) -> None:
        self.address, self.name, self.display, self.policy = address, name, display, policy
        self.sequences, self.allowance, self.created_height = sequences, allowance, created_height

    def fits(self) -> bool:
        return 0 <= self.created_height <= UINT64_MAX and self.allowance.fits() and sequences_fit(self.sequences)

    def with_use(self, sequences: Sequences, allowance: Allowance) -> Identity:
        return Identity(
            self.address, self.name, self.display, self.policy, sequences, allowance, self.created_height
        )  # fmt: skip

    def with_policy(self, policy: bytes, sequences: Sequences) -> Identity:
        """After its keys were changed."""
        return Identity(
            self.address, self.name, self.display, policy, sequences, self.allowance, self.created_height
        )  # fmt: skip

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.address),
                bytes_field(b"\x12", self.name.encode()),
                bytes_field(b"\x1a", self.display.encode()),
                bytes_field(b"\x22", self.policy),
                encode_sequences(b"\x2a", self.sequences),
                message_field(b"\x32", self.allowance.encode()),
                uint_field(b"\x38", self.created_height),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Identity:
        record = pb.Identity.FromString(stored)
        policy = read_policy(record)
        assert policy is not None, "an identity has a policy"
        return Identity(
            record.address, record.name, record.display, policy, read_sequences(record),
            Allowance.read(record.allowance), record.created_height,
        )  # fmt: skip


class ChatParams:
    """bytes_per_mgas: what a million gas takes of an allowance. Set by nobody: it follows from what the currency chain
    asks for gas and the bridge gives for a DCHAT, so that reserved gas has one price in every lane.
    """

    __slots__ = ("bytes_per_mgas", "message_bytes_max", "unordered_expiry_blocks_max")

    def __init__(self, message_bytes_max: int, unordered_expiry_blocks_max: int, bytes_per_mgas: int) -> None:
        self.message_bytes_max, self.unordered_expiry_blocks_max = message_bytes_max, unordered_expiry_blocks_max
        self.bytes_per_mgas = bytes_per_mgas

    def charge_of(self, tx: Tx) -> tuple[int, int]:
        """(messages, bytes) of allowance that a chat transaction takes, whatever becomes of it."""
        return len(tx.messages), max(len(tx.raw), -(-tx.gas_limit * self.bytes_per_mgas // GAS_PER_MGAS))

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(b"\x08", self.message_bytes_max),
                uint_field(b"\x10", self.unordered_expiry_blocks_max),
                uint_field(b"\x18", self.bytes_per_mgas),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> ChatParams:
        r = pb.ChatParams.FromString(stored)
        return ChatParams(r.message_bytes_max, r.unordered_expiry_blocks_max, r.bytes_per_mgas)


def bytes_per_mgas(*, gas_price: int, bytes_per_dchat: int) -> int:
    """What a million gas costs in udchat, in bytes of allowance at the bridge's price; rounded up."""
    return -(-gas_price * bytes_per_dchat // UDCHAT_PER_DCHAT)


class PendingIdentity:
    """What admitted transactions will take from an identity."""

    __slots__ = ("messages", "policy", "sequences", "size")

    def __init__(self) -> None:
        self.policy = b""
        self.sequences: Sequences = ()
        self.messages = self.size = 0

    def add(self, before: Identity, after: Identity, tx: Tx) -> tuple[int, int]:
        self.policy, self.sequences = after.policy, after.sequences
        messages = before.allowance.messages - after.allowance.messages
        size = before.allowance.size - after.allowance.size
        self.messages, self.size = self.messages + messages, self.size + size
        return messages, size

    def release(self, cost: tuple[int, int]) -> None:
        self.messages, self.size = self.messages - cost[0], self.size - cost[1]

    def rewind(self, entry: SignerEntry) -> None:
        self.sequences = back_to(self.sequences, entry)

    def reach(self, other: PendingIdentity) -> None:
        self.sequences = furthest(self.sequences, other.sequences)

    def agrees(self, committed: Identity, ordered: int, height: int, base: Readable) -> bool:
        has = committed.allowance
        if committed.policy != self.policy or has.messages < self.messages or has.size < self.size:
            return False
        return waits_between(committed.sequences, self.sequences) == ordered

    def apply(self, committed: Identity, height: int, base: Readable) -> Identity:
        has = committed.allowance
        left = Allowance(max(0, has.messages - self.messages), max(0, has.size - self.size))
        return committed.with_use(self.sequences or committed.sequences, left)


IDENTITY: Final = Key.of(b"ci", Identity)  # ‖ address
IDENTITY_NAME: Final = Key.of(b"cn", bytes)  # ‖ name -> address
PARAMS: Final = Key.sure(b"cp", ChatParams)


def identity_of(state: Readable, address: bytes) -> Identity | None:
    return state.get(IDENTITY + address)


def require_identity(state: Readable, address: bytes) -> Identity:
    """Raises: UnknownIdentity."""
    found = state.get(IDENTITY + address)
    if found is None:
        raise UnknownIdentity(account(address))
    return found
