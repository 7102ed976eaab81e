"""The records of identities and params. Immutable; each encodes to its message in proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.kernel.auth import (
    Epochs,
    Sequences,
    back_to,
    encode_sequences,
    furthest,
    read_policy,
    read_sequences,
    sequences_fit,
    waits_between,
)
from chain.kernel.branch import TAG_CHAT, Key, Readable
from chain.kernel.event_text import account, time_text
from chain.tx.codec import UINT64_MAX, bytes_field, message_field, uint_field, varint
from chain.tx.envelope.tx import SignerEntry, Tx
from chain.tx.errors import AllowanceExhausted, UnknownIdentity
from chain.tx.identity_errors import BurnerMayNot, IdentityExpired, OfAnEarlierLife
from chain.tx.units import GAS_PER_MGAS, UDCHAT_PER_DCHAT
from consensus.formats.units import NS_PER_S
from proto.dchat.v1 import allowance_pb2
from proto.dchat.v1 import state_pb2 as pb

PERIOD_S: Final = 604_800  # of a chain that states none: a week
LENT_FOR_UDCHAT: Final = 1_000 * UDCHAT_PER_DCHAT  # what the params of lending are for


class Use(NamedTuple):
    """What was taken in one period of block time, by its number (`ChatParams.period_of`)."""

    period: int = 0
    messages: int = 0
    size: int = 0

    def at(self, period: int) -> Use:
        """In that period: of another, nothing was taken yet."""
        return self if self.period == period else Use(period)

    def plus(self, messages: int, size: int) -> Use:
        return Use(self.period, self.messages + messages, self.size + size)

    def since(self, before: Use) -> tuple[int, int]:
        """(messages, bytes) that were taken from `before` to this."""
        known = before.at(self.period)
        return self.messages - known.messages, self.size - known.size

    def fits(self) -> bool:
        return 0 <= self.period | self.messages | self.size <= UINT64_MAX

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.period) + uint_field(b"\x10", self.messages) + uint_field(b"\x18", self.size)

    @staticmethod
    def read(u: allowance_pb2.AllowanceUse) -> Use:
        return Use(u.period, u.messages, u.bytes) if u.period or u.messages or u.bytes else UNUSED


UNUSED: Final = Use()


def use_field(tag: bytes, use: Use) -> bytes:
    """Nothing where nothing was taken yet."""
    if use is UNUSED:
        return b""
    return message_field(tag, encoded) if (encoded := use.encode()) else b""


class Allowance:
    """What an identity may still do on the chat chain.

    messages, size: bought, and kept until they are used. locked: udchat for which more is lent in every period. use: of
    what periods bring; nothing is written when one begins.
    """

    __slots__ = ("locked", "messages", "size", "use")

    def __init__(self, messages: int, size: int, locked: int = 0, use: Use = UNUSED) -> None:
        self.messages, self.size, self.locked, self.use = messages, size, locked, use

    def spend(self, messages: int, size: int) -> Allowance:
        """What is left of what was bought. Raises: AllowanceExhausted."""
        left = Allowance(self.messages - messages, self.size - size, self.locked, self.use)
        if left.messages < 0 or left.size < 0:
            raise AllowanceExhausted(f"{max(0, -left.messages)} messages and {max(0, -left.size)} bytes short")
        return left

    def after(self, messages: int, size: int, period: int, brings: tuple[int, int]) -> Allowance:
        """With so much taken in that period: first of what it brings, which ends with it, then of what was bought,
        also where there is too little of it."""
        use = self.use.at(period)
        lent = min(messages, max(0, brings[0] - use.messages))
        lent_size = min(size, max(0, brings[1] - use.size))
        return Allowance(
            self.messages - (messages - lent), self.size - (size - lent_size), self.locked, use.plus(lent, lent_size)
        )

    def with_bought(self, messages: int, size: int) -> Allowance:
        return Allowance(self.messages + messages, self.size + size, self.locked, self.use)

    def fits(self) -> bool:
        if (self.locked or self.use is not UNUSED) and not (0 <= self.locked <= UINT64_MAX and self.use.fits()):
            return False
        return 0 <= self.messages | self.size <= UINT64_MAX

    def encode(self) -> bytes:
        bought = uint_field(b"\x08", self.messages) + uint_field(b"\x10", self.size)
        if not self.locked and self.use is UNUSED:
            return bought
        return bought + uint_field(b"\x18", self.locked) + use_field(b"\x22", self.use)

    @staticmethod
    def read(a: pb.Allowance) -> Allowance:
        return Allowance(a.messages, a.bytes, a.locked, Use.read(a.use) if a.HasField("use") else UNUSED)


class Identity:
    """policy: canonical KeyPolicy. What else it holds is bounded by what a registration may say. expiry_ns: from this
    block time on it signs nothing, and is taken away; 0: it never ends. before_height: the block in which an earlier
    one of the address ended, if that was lately. created_day: of block time, the first is 1; 0: of one that ends, or
    before the chain kept it."""

    __slots__ = (
        "address", "allowance", "before_height", "created_day", "created_height", "display", "expiry_ns", "name",
        "policy", "sequences",
    )  # fmt: skip

    def __init__(
        self,
        address: bytes,
        name: str,
        display: str,
        policy: bytes,
        sequences: Sequences,
        allowance: Allowance,
        created_height: int,
        expiry_ns: int = 0,
        before_height: int = 0,
        created_day: int = 0,
    ) -> None:
        self.address, self.name, self.display, self.policy = address, name, display, policy
        self.sequences, self.allowance, self.created_height = sequences, allowance, created_height
        self.expiry_ns, self.before_height, self.created_day = expiry_ns, before_height, created_day

    def fits(self) -> bool:
        numbers = self.created_height | self.expiry_ns | self.before_height | self.created_day
        return 0 <= numbers <= UINT64_MAX and self.allowance.fits() and sequences_fit(self.sequences)

    def with_use(self, sequences: Sequences, allowance: Allowance) -> Identity:
        return Identity(
            self.address, self.name, self.display, self.policy, sequences, allowance, self.created_height,
            self.expiry_ns, self.before_height, self.created_day,
        )  # fmt: skip

    def with_policy(self, policy: bytes, sequences: Sequences) -> Identity:
        """After its keys were changed."""
        return Identity(
            self.address, self.name, self.display, policy, sequences, self.allowance, self.created_height,
            self.expiry_ns, self.before_height, self.created_day,
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
                uint_field(b"\x40", self.expiry_ns) if self.expiry_ns else b"",
                uint_field(b"\x48", self.before_height) if self.before_height else b"",
                uint_field(b"\x50", self.created_day) if self.created_day else b"",
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Identity:
        record = pb.Identity.FromString(stored)
        policy = read_policy(record)
        assert policy is not None, "an identity has a policy"
        return Identity(
            record.address, record.name, record.display, policy, read_sequences(record),
            Allowance.read(record.allowance), record.created_height, record.expiry_time_ns, record.before_height,
            record.created_day,
        )  # fmt: skip


class ChatParams(NamedTuple):
    """bytes_per_mgas: what a million gas takes of an allowance. Set by nobody: it follows from what the currency chain
    asks for gas and the bridge gives for a DCHAT, so that reserved gas has one price in every lane.

    free_*: of each identity in a period; lent_*: of whoever has locked LENT_FOR_UDCHAT. Of a chain that has not set
    them, nothing. score_base: the least that a registration ever cost, in udchat, so that none can have cost less; it
    follows, too.
    """

    message_bytes_max: int
    unordered_expiry_blocks_max: int
    bytes_per_mgas: int
    refill_period_s: int = 0
    free_messages: int = 0
    free_bytes: int = 0
    lent_messages: int = 0
    lent_bytes: int = 0
    unlock_delay_s: int = 0
    score_base: int = 0

    def stated(self) -> ChatParams:
        """With the times that hold where a chain has not set them."""
        return self._replace(
            refill_period_s=self.refill_period_s or PERIOD_S, unlock_delay_s=self.unlock_delay_s or PERIOD_S
        )

    def charge_of(self, tx: Tx) -> tuple[int, int]:
        """(messages, bytes) of allowance that a chat transaction takes, whatever becomes of it."""
        return len(tx.messages), max(len(tx.raw), -(-tx.gas_limit * self.bytes_per_mgas // GAS_PER_MGAS))

    @property
    def period_ns(self) -> int:
        return (self.refill_period_s or PERIOD_S) * NS_PER_S

    def period_of(self, time_ns: int) -> int:
        """Its number, 1 and more: periods begin at the same times for everybody."""
        return time_ns // self.period_ns + 1

    def lent(self, locked: int) -> tuple[int, int]:
        """(messages, bytes) in a period for so much udchat."""
        return locked * self.lent_messages // LENT_FOR_UDCHAT, locked * self.lent_bytes // LENT_FOR_UDCHAT

    def brings(self, locked: int) -> tuple[int, int]:
        """(messages, bytes) that a period brings to a lasting identity with so much udchat locked."""
        messages, size = self.lent(locked) if locked else (0, 0)
        return self.free_messages + messages, self.free_bytes + size

    def take(self, identity: Identity, tx: Tx, time_ns: int) -> Allowance:
        """What `tx` leaves of its allowance. A period brings a burner nothing: it would again in each of its lives.
        Raises: AllowanceExhausted."""
        messages, size = self.charge_of(tx)
        allowance = identity.allowance
        if identity.expiry_ns or not (allowance.locked or self.free_messages or self.free_bytes):
            return allowance.spend(messages, size)
        return allowance.after(messages, size, self.period_of(time_ns), self.brings(allowance.locked)).spend(0, 0)

    def encode(self) -> bytes:
        return b"".join([uint_field(varint(8 * number), value) for number, value in enumerate(self, start=1)])

    @staticmethod
    def decode(stored: bytes) -> ChatParams:
        r = pb.ChatParams.FromString(stored)
        return ChatParams(*[getattr(r, name) for name in ChatParams._fields])


def bytes_per_mgas(*, gas_price: int, bytes_per_dchat: int) -> int:
    """What a million gas costs in udchat, in bytes of allowance at the bridge's price; rounded up."""
    return -(-gas_price * bytes_per_dchat // UDCHAT_PER_DCHAT)


class PendingIdentity:
    """What admitted transactions will take from an identity. period: the last in which one was admitted."""

    __slots__ = ("messages", "period", "policy", "sequences", "size")

    def __init__(self) -> None:
        self.policy = b""
        self.sequences: Sequences = ()
        self.messages = self.size = self.period = 0

    def add(self, before: Identity, after: Identity, tx: Tx) -> tuple[int, int]:
        self.policy, self.sequences = after.policy, after.sequences
        messages = before.allowance.messages - after.allowance.messages
        size = before.allowance.size - after.allowance.size
        use = after.allowance.use
        if use is not UNUSED and not after.expiry_ns:  # a period brings a burner nothing
            self.period = use.period
            lent, lent_size = use.since(before.allowance.use)
            messages, size = messages + lent, size + lent_size
        self.messages, self.size = self.messages + messages, self.size + size
        return messages, size

    def release(self, cost: tuple[int, int]) -> None:
        self.messages, self.size = self.messages - cost[0], self.size - cost[1]

    def rewind(self, entry: SignerEntry) -> None:
        self.sequences = back_to(self.sequences, entry)

    def reach(self, other: PendingIdentity) -> None:
        self.sequences = furthest(self.sequences, other.sequences)

    def agrees(self, committed: Identity, ordered: int, height: int, base: Readable) -> bool:
        has = self._left(committed.allowance, base)
        if committed.policy != self.policy or has.messages < 0 or has.size < 0:
            return False
        return waits_between(committed.sequences, self.sequences) == ordered

    def apply(self, committed: Identity, height: int, base: Readable) -> Identity:
        left = self._left(committed.allowance, base)
        left = Allowance(max(0, left.messages), max(0, left.size), left.locked, left.use)
        return committed.with_use(self.sequences or committed.sequences, left)

    def _left(self, has: Allowance, base: Readable) -> Allowance:
        if not self.period:
            return Allowance(has.messages - self.messages, has.size - self.size, has.locked, has.use)
        period = max(self.period, has.use.period)
        return has.after(self.messages, self.size, period, base.get(PARAMS).brings(has.locked))


IDENTITY: Final = Key.of(b"ci", Identity)  # ‖ address
EPOCHS: Final = Epochs(TAG_CHAT)
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


def require_living(identity: Identity | None, time_ns: int) -> None:
    """Raises: IdentityExpired."""
    if identity is not None and identity.expiry_ns and time_ns >= identity.expiry_ns:
        raise IdentityExpired(f"{account(identity.address)}, at {time_text(identity.expiry_ns)}")


def require_of_this_life(identity: Identity, tx: Tx, blocks_max: int) -> None:
    """Of an unordered transaction: that none could have signed it for the identity that the address had before, to be
    taken within blocks_max of then. Raises: OfAnEarlierLife."""
    if identity.before_height and tx.expiry_height <= identity.before_height + blocks_max:
        raise OfAnEarlierLife(
            f"until block {tx.expiry_height}, needed: {identity.before_height + blocks_max + 1} or later"
        )


def require_lasting(state: Readable, address: bytes) -> None:
    """Raises: UnknownIdentity, BurnerMayNot."""
    if require_identity(state, address).expiry_ns:
        raise BurnerMayNot(account(address))
