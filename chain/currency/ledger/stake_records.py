"""The records of staking, slashing and rewards in the currency store, and where they lie. Immutable.

Each encodes to the bytes of its message in proto/dchat/v1/state.proto. Amounts are udchat, shares and stakes Decs.
Keys that begin with `u` lie under the tree; those with `U` beside it: indexes and queues, all derivable from the rest
(the invariants compare them).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.kernel.branch import Key, decoders_of
from chain.kernel.items import FailedItems
from chain.tx.codec import height_bytes
from chain.tx.units import UDCHAT_PER_DCHAT
from crypto.hash import ADDRESS_BYTES, sha256
from proto.dchat.v1 import state_pb2 as pb

POWER_UNIT: Final = 1_000 * UDCHAT_PER_DCHAT  # udchat: voting power is stake in units of 1,000 DCHAT

UNBONDED: Final = 1
UNBONDING: Final = 2
BONDED: Final = 3
STATUS_NAMES: Final = {UNBONDED: "unbonded", UNBONDING: "unbonding", BONDED: "bonded"}

_TOP: Final = (1 << 64) - 1


class Now(NamedTuple):
    """The block that runs."""

    height: int
    time_ns: int


class Validator(NamedTuple):
    operator: bytes
    consensus_key: bytes
    moniker: str
    jailed: bool
    status: int
    tokens: int
    shares: int
    unbonding_height: int
    unbonding_time_ns: int
    rate: int
    max_rate: int
    max_change_rate: int
    commission_time_ns: int
    min_self_delegation: int
    slashes_waiting: int = 0  # that have begun and are not done

    @property
    def address(self) -> bytes:
        """The consensus address, 20 bytes."""
        return consensus_address(self.consensus_key)

    @property
    def power(self) -> int:
        return self.tokens // POWER_UNIT

    def tokens_of(self, shares: int) -> int:
        """A Dec, half to even. 0 when there are no shares."""
        return dec.quo(shares * self.tokens, self.shares) if self.shares else 0

    def tokens_of_trunc(self, shares: int) -> int:
        return dec.quo_trunc(shares * self.tokens, self.shares) if self.shares else 0

    def shares_of(self, amount: int) -> int:
        """What `amount` tokens are worth: the first delegation 1:1, then cut. tokens must be above 0 if shares are."""
        if not self.shares:
            return amount * ONE
        assert self.tokens > 0, self
        return self.shares * amount // self.tokens

    def encode(self) -> bytes:
        return pb.StakingValidator(
            operator=self.operator, consensus_key=self.consensus_key, moniker=self.moniker, jailed=self.jailed,
            status=self.status,  # type: ignore[arg-type]  # the enum's number
            tokens=self.tokens, shares=dec.to_bytes(self.shares), unbonding_height=self.unbonding_height,
            unbonding_time_ns=self.unbonding_time_ns, commission_rate=self.rate, commission_max_rate=self.max_rate,
            commission_max_change_rate=self.max_change_rate, commission_time_ns=self.commission_time_ns,
            min_self_delegation=self.min_self_delegation, slashes_waiting=self.slashes_waiting,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> Validator:
        r = pb.StakingValidator.FromString(stored)
        return Validator(
            r.operator, r.consensus_key, r.moniker, r.jailed, int(r.status), r.tokens, dec.from_bytes(r.shares),
            r.unbonding_height, r.unbonding_time_ns, r.commission_rate, r.commission_max_rate,
            r.commission_max_change_rate, r.commission_time_ns, r.min_self_delegation, r.slashes_waiting,
        )  # fmt: skip


class KeyRotation(NamedTuple):
    """address: of the consensus key that was given up, in a block of that height and time."""

    address: bytes
    height: int
    time_ns: int


class KeyRotations(NamedTuple):
    """Of one validator, the oldest first, and of those the latest `KEPT_MAX`."""

    entries: tuple[KeyRotation, ...] = ()

    def since(self, time_ns: int) -> tuple[KeyRotation, ...]:
        """Those of blocks after `time_ns`."""
        return tuple(one for one in self.entries if one.time_ns > time_ns)

    def encode(self) -> bytes:
        record = pb.KeyRotations()
        for one in self.entries:
            record.rotations.add(address=one.address, height=one.height, time_ns=one.time_ns)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> KeyRotations:
        record = pb.KeyRotations.FromString(stored)
        return KeyRotations(tuple(KeyRotation(one.address, one.height, one.time_ns) for one in record.rotations))


class Delegation(NamedTuple):
    """previous_period, stake, start_height, start_slash: where its rewards begin
    (`chain.currency.rewards.distribution`)."""

    shares: int
    previous_period: int = 0
    stake: int = 0
    start_height: int = 0
    start_slash: int = 0

    def encode(self) -> bytes:
        return pb.Delegation(
            shares=dec.to_bytes(self.shares), previous_period=self.previous_period, stake=dec.to_bytes(self.stake),
            start_height=self.start_height, start_slash=self.start_slash,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> Delegation:
        r = pb.Delegation.FromString(stored)
        return Delegation(
            dec.from_bytes(r.shares), r.previous_period, dec.from_bytes(r.stake), r.start_height, r.start_slash
        )


class UnbondingEntry(NamedTuple):
    creation_height: int
    completion_ns: int
    initial_balance: int
    balance: int


class Unbonding(NamedTuple):
    entries: tuple[UnbondingEntry, ...]

    def encode(self) -> bytes:
        record = pb.Unbonding()
        for entry in self.entries:
            record.entries.add(
                creation_height=entry.creation_height, completion_time_ns=entry.completion_ns,
                initial_balance=entry.initial_balance, balance=entry.balance,
            )  # fmt: skip
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Unbonding:
        record = pb.Unbonding.FromString(stored)
        return Unbonding(
            tuple(
                UnbondingEntry(e.creation_height, e.completion_time_ns, e.initial_balance, e.balance)
                for e in record.entries
            )
        )


class RedelegationEntry(NamedTuple):
    creation_height: int
    completion_ns: int
    initial_balance: int
    shares_dst: int


class Redelegation(NamedTuple):
    entries: tuple[RedelegationEntry, ...]

    def encode(self) -> bytes:
        record = pb.Redelegation()
        for entry in self.entries:
            record.entries.add(
                creation_height=entry.creation_height, completion_time_ns=entry.completion_ns,
                initial_balance=entry.initial_balance, shares_dst=dec.to_bytes(entry.shares_dst),
            )  # fmt: skip
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Redelegation:
        record = pb.Redelegation.FromString(stored)
        return Redelegation(
            tuple(
                RedelegationEntry(
                    e.creation_height, e.completion_time_ns, e.initial_balance, dec.from_bytes(e.shares_dst)
                )
                for e in record.entries
            )
        )  # fmt: skip


class ActiveSet(NamedTuple):
    """(operator, power) by rank."""

    members: tuple[tuple[bytes, int], ...]

    def encode(self) -> bytes:
        record = pb.ActiveSet()
        for operator, power in self.members:
            record.members.add(operator=operator, power=power)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> ActiveSet:
        return ActiveSet(tuple((m.operator, m.power) for m in pb.ActiveSet.FromString(stored).members))


class Historical(NamedTuple):
    ratio: int
    references: int

    def encode(self) -> bytes:
        return pb.HistoricalRewards(ratio=dec.to_bytes(self.ratio), references=self.references).SerializeToString(
            deterministic=True
        )

    @staticmethod
    def decode(stored: bytes) -> Historical:
        r = pb.HistoricalRewards.FromString(stored)
        return Historical(dec.from_bytes(r.ratio), r.references)


class Rewards(NamedTuple):
    """A validator's. All Decs but period and slash_count; what the commit's members accrued lies in `Accruals`."""

    rewards: int = 0
    period: int = 0
    commission: int = 0
    outstanding: int = 0
    slash_count: int = 0

    def encode(self) -> bytes:
        return pb.ValidatorRewards(
            rewards=dec.to_bytes(self.rewards), period=self.period, commission=dec.to_bytes(self.commission),
            outstanding=dec.to_bytes(self.outstanding), slash_count=self.slash_count,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> Rewards:
        r = pb.ValidatorRewards.FromString(stored)
        return Rewards(
            dec.from_bytes(r.rewards), r.period, dec.from_bytes(r.commission), dec.from_bytes(r.outstanding),
            r.slash_count,
        )  # fmt: skip


REASON_DOUBLE_SIGN: Final = 1
REASON_DOWNTIME: Final = 2
REASON_LIGHT_CLIENT_ATTACK: Final = 3
REASON_NAMES: Final = {
    REASON_DOUBLE_SIGN: "double_sign",
    REASON_DOWNTIME: "missing_signature",
    REASON_LIGHT_CLIENT_ATTACK: "light_client_attack",
}


class SlashEvent(NamedTuple):
    period: int
    fraction: int
    height: int
    burned: int
    reason: int

    def encode(self) -> bytes:
        return pb.SlashEvent(
            period=self.period, fraction=dec.to_bytes(self.fraction), height=self.height, burned=self.burned,
            reason=self.reason,  # type: ignore[arg-type]  # the enum's number
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> SlashEvent:
        r = pb.SlashEvent.FromString(stored)
        return SlashEvent(r.period, dec.from_bytes(r.fraction), r.height, r.burned, int(r.reason))


class BegunSlash(NamedTuple):
    """A slash that waits or goes on.

    infraction_height, power: of the fault. height, time_ns: of the block that found it. left: what nobody has paid yet,
    udchat. cursor: the last key of an index of leavers that it reached; empty: none yet.
    """

    operator: bytes
    infraction_height: int
    power: int
    fraction: int
    reason: int
    height: int
    time_ns: int
    left: int
    cursor: bytes = b""

    def encode(self) -> bytes:
        return pb.BegunSlash(
            operator=self.operator, infraction_height=self.infraction_height, power=self.power,
            fraction=dec.to_bytes(self.fraction),
            reason=self.reason,  # type: ignore[arg-type]  # the enum's number
            height=self.height, time_ns=self.time_ns, left=self.left, cursor=self.cursor,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> BegunSlash:
        r = pb.BegunSlash.FromString(stored)
        return BegunSlash(
            r.operator, r.infraction_height, r.power, dec.from_bytes(r.fraction), int(r.reason), r.height, r.time_ns,
            r.left, r.cursor,
        )  # fmt: skip


class SlashLine(NamedTuple):
    """Numbers in `SLASHES_BEGUN`: from `first` to before `following`. Absent when it is empty."""

    first: int
    following: int

    def encode(self) -> bytes:
        return pb.SlashLine(first=self.first, following=self.following).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> SlashLine:
        r = pb.SlashLine.FromString(stored)
        return SlashLine(r.first, r.following)


class CommunityPool(NamedTuple):
    """A Dec; what blocks added since lies in the `Pulse`."""

    amount: int = 0

    def encode(self) -> bytes:
        return pb.CommunityPool(amount=dec.to_bytes(self.amount)).SerializeToString(deterministic=True) or b"\x0a\x00"

    @staticmethod
    def decode(stored: bytes) -> CommunityPool:
        return CommunityPool(dec.from_bytes(pb.CommunityPool.FromString(stored).amount))


class Minter(NamedTuple):
    """inflation, genesis_time_ns: as the chain began. minted, burned: since then, but for what the `Pulse` has; flows,
    which no supply bounds.
    """

    inflation: int
    genesis_time_ns: int
    genesis_supply: int
    minted: int = 0
    burned: int = 0

    def encode(self) -> bytes:
        return pb.Minter(
            inflation=self.inflation, genesis_time_ns=self.genesis_time_ns, genesis_supply=self.genesis_supply,
            minted=dec.to_bytes(self.minted), burned=dec.to_bytes(self.burned),
        ).SerializeToString(deterministic=True) or b"\x08\x00"  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> Minter:
        r = pb.Minter.FromString(stored)
        return Minter(
            r.inflation, r.genesis_time_ns, r.genesis_supply, dec.from_bytes(r.minted), dec.from_bytes(r.burned)
        )


class Pulse(NamedTuple):
    """What every block changes, in one leaf with the first members' accruals: fewer paths in a tree of any size.

    balance: udchat of the distribution account; pool: a Dec of the community pool; minted, burned: udchat; all since
    `settle_pulse` moved them to their records. inflation, last_time_ns, proposer: as they stand.
    """

    balance: int = 0
    pool: int = 0
    minted: int = 0
    burned: int = 0
    inflation: int = 0
    last_time_ns: int = 0
    proposer: bytes = b""

    def encode(self) -> bytes:
        return pb.Pulse(
            balance=self.balance, pool=dec.to_bytes(self.pool), minted=dec.to_bytes(self.minted),
            burned=dec.to_bytes(self.burned), inflation=self.inflation, last_time_ns=self.last_time_ns,
            proposer=self.proposer,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def of(r: pb.Pulse) -> Pulse:
        return Pulse(
            r.balance, dec.from_bytes(r.pool), dec.from_bytes(r.minted), dec.from_bytes(r.burned), r.inflation,
            r.last_time_ns, r.proposer,
        )  # fmt: skip


def consensus_address(key: bytes) -> bytes:
    """Of an Ed25519 consensus key: CometBFT's, the first 20 bytes of its SHA-256."""
    return sha256(key)[:ADDRESS_BYTES]


def power_key(power: int, operator: bytes) -> bytes:
    """In the index: ascending keys are descending powers, of equals the lower operator first."""
    return BY_POWER + height_bytes(_TOP - power) + operator


def read_power_key(key: bytes) -> tuple[int, bytes]:
    """(power, operator)."""
    at = len(BY_POWER)
    return _TOP - int.from_bytes(key[at : at + 8], "big"), key[at + 8 :]


def balances(entries: Iterable[UnbondingEntry]) -> int:
    return sum(entry.balance for entry in entries)


# Under the tree.
VALIDATOR: Final = Key.of(b"uv", Validator)  # ‖ operator
CONSENSUS_KEY: Final = Key.of(b"uk", bytes)  # ‖ consensus address -> operator
RETIRED_KEY: Final = Key.of(b"uK", bytes)  # ‖ consensus address of a key that was given up -> operator; for ever
ROTATIONS: Final = Key.of(b"uV", KeyRotations)  # ‖ operator: as long as it is a validator's
DELEGATION: Final = Key.of(b"ud", Delegation)  # ‖ delegator ‖ operator
UNBONDINGS: Final = Key.of(b"uu", Unbonding)  # ‖ operator ‖ delegator
REDELEGATIONS: Final = Key.of(b"ue", Redelegation)  # ‖ source ‖ delegator ‖ destination
ACTIVE: Final = Key.of(b"uA", ActiveSet)
HISTORICAL: Final = Key.sure(b"uh", Historical)  # ‖ operator ‖ period: as long as a delegation or a slash refers to it
REWARDS: Final = Key.of(b"uo", Rewards)  # ‖ operator
SLASHES: Final = Key.sure(b"ul", SlashEvent)  # ‖ operator ‖ number: as many as its rewards count
POOL: Final = Key.of(b"uf", CommunityPool)
WITHDRAW: Final = Key.of(b"uw", bytes)  # ‖ delegator -> address
MINTER: Final = Key.of(b"um", Minter)
SLASHES_BEGUN: Final = Key.sure(b"uq", BegunSlash)  # ‖ number: of those in the line
SLASH_LINE: Final = Key.of(b"uQ", SlashLine)
FAILED: Final = FailedItems(b"uF")  # ‖ queue ‖ item; "ui" and "ub": chain.currency.staking.signing

# Beside it.
BY_POWER: Final = Key.of(b"Up", bytes)  # ‖ 2^64 - 1 - power ‖ operator
BY_OPERATOR: Final = Key.of(b"Ud", bytes)  # ‖ operator ‖ delegator
DELEGATES: Final = Key.of(b"UN", bytes)  # ‖ delegator -> to how many validators
BY_DELEGATOR: Final = Key.of(b"Uu", bytes)  # unbondings: ‖ delegator ‖ operator
BY_MOVER: Final = Key.of(b"Ue", bytes)  # redelegations: ‖ delegator ‖ destination ‖ source
UNBONDINGS_BEGUN: Final = Key.of(b"Ux", bytes)  # ‖ operator ‖ creation height ‖ delegator
REDELEGATIONS_BEGUN: Final = Key.of(b"Uy", bytes)  # ‖ source ‖ creation height ‖ delegator ‖ destination
RECEIVING: Final = Key.of(b"Ui", bytes)  # ‖ delegator ‖ operator -> how many redelegation entries into it
QUEUE_UNBONDINGS: Final = Key.of(b"Uq", bytes)  # ‖ time ‖ operator ‖ delegator
QUEUE_REDELEGATIONS: Final = Key.of(b"Uw", bytes)  # ‖ time ‖ source ‖ delegator ‖ destination
QUEUE_VALIDATORS: Final = Key.of(b"Uv", bytes)  # ‖ time ‖ operator
QUEUE_WATCHES: Final = Key.of(b"Ub", bytes)  # ‖ height ‖ consensus address
HEADS: Final = Key.of(b"Uh", bytes)  # ‖ a queue's key -> the earliest time in it, or before
# ‖ operator: as the engine knows it, from a change of its key to the end of the block
TOLD: Final = Key.of(b"UK", Validator)
UNSETTLED: Final = Key.of(b"Us", bytes)  # the set would have become empty: it is tried again next block
MARK: Final = b"\x01"  # the value of keys that say all

DECODERS: Final = decoders_of(
    VALIDATOR, ROTATIONS, TOLD, DELEGATION, UNBONDINGS, REDELEGATIONS, ACTIVE, HISTORICAL, REWARDS, SLASHES,
    SLASHES_BEGUN, SLASH_LINE, FAILED.prefix, POOL, MINTER,
)  # fmt: skip
