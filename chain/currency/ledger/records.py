"""The currency store's records. Immutable; each encodes to the bytes of its message in proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final

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
from chain.kernel.branch import TAG_CURRENCY, Key
from chain.tx.codec import UINT64_MAX, bytes_field, uint_field
from chain.tx.envelope.tx import SignerEntry
from chain.tx.units import fee_of
from proto.dchat.v1 import state_pb2 as pb


class Account:
    """balance: udchat. policy: canonical KeyPolicy, None until the account first signs."""

    __slots__ = ("address", "balance", "policy", "sequences")

    def __init__(self, address: bytes, balance: int, policy: bytes | None = None, sequences: Sequences = ()) -> None:
        self.address, self.balance, self.policy, self.sequences = address, balance, policy, sequences

    def with_balance(self, balance: int) -> Account:
        return Account(self.address, balance, self.policy, self.sequences)

    def with_use(self, balance: int, policy: bytes | None, sequences: Sequences) -> Account:
        """After it signed."""
        return Account(self.address, balance, policy, sequences)

    def fits(self) -> bool:
        return 0 <= self.balance <= UINT64_MAX and sequences_fit(self.sequences)

    def encode(self) -> bytes:
        return b"".join(
            (
                b"\x0a\x14",
                self.address,
                uint_field(b"\x10", self.balance),
                bytes_field(b"\x1a", self.policy or b""),
                encode_sequences(b"\x22", self.sequences),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Account:
        record = pb.Account.FromString(stored)
        return Account(record.address, record.balance, read_policy(record), read_sequences(record))


class Supply:
    """All udchat there are (but for what the pulse of `chain.currency.rewards.distribution` has of it), and those among
    them that were paid as fees and belong to no account."""

    __slots__ = ("collected_fees", "total")

    def __init__(self, total: int, collected_fees: int) -> None:
        self.total, self.collected_fees = total, collected_fees

    def with_total(self, total: int) -> Supply:
        return Supply(total, self.collected_fees)

    def with_fees(self, collected: int) -> Supply:
        return Supply(self.total, collected)

    def fits(self) -> bool:
        return 0 <= self.collected_fees <= UINT64_MAX and 0 <= self.total <= UINT64_MAX

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.total) + uint_field(b"\x10", self.collected_fees) or b"\x08\x00"

    @staticmethod
    def decode(stored: bytes) -> Supply:
        record = pb.Supply.FromString(stored)
        return Supply(record.total, record.collected_fees)


class CurrencyParams:
    __slots__ = ("gas_price", "unordered_expiry_blocks_max")

    def __init__(self, gas_price: int, unordered_expiry_blocks_max: int) -> None:
        self.gas_price, self.unordered_expiry_blocks_max = gas_price, unordered_expiry_blocks_max

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.gas_price) + uint_field(b"\x10", self.unordered_expiry_blocks_max)

    @staticmethod
    def decode(stored: bytes) -> CurrencyParams:
        record = pb.CurrencyParams.FromString(stored)
        return CurrencyParams(record.gas_price, record.unordered_expiry_blocks_max)

    def min_fee(self, gas_limit: int) -> int:
        """In udchat, rounded up."""
        return fee_of(gas_limit, self.gas_price)


ACCOUNT: Final = Key.of(b"ua", Account)  # ‖ address
SUPPLY: Final = Key.sure(b"us", Supply)
PARAMS: Final = Key.sure(b"up", CurrencyParams)
EPOCHS: Final = Epochs(TAG_CURRENCY)


class PendingAccount:
    """What admitted transactions will take from an account."""

    __slots__ = ("earns", "policy", "sequences", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.earns = False  # one of them brings more than it takes, so that their order counts
        self.policy: bytes | None = None
        self.sequences: Sequences = ()

    def add(self, before: Account, after: Account, tx: object) -> int:
        cost = before.balance - after.balance
        self.spent += cost
        self.earns |= cost < 0
        self.policy, self.sequences = after.policy, after.sequences
        return cost

    def release(self, cost: int) -> None:
        self.spent -= cost

    def rewind(self, entry: SignerEntry) -> None:
        self.sequences = back_to(self.sequences, entry)

    def reach(self, other: PendingAccount) -> None:
        self.sequences = furthest(self.sequences, other.sequences)

    def agrees(self, committed: Account, ordered: int, height: int, base: object) -> bool:
        if self.earns or committed.policy != self.policy or committed.balance < self.spent:
            return False
        return waits_between(committed.sequences, self.sequences) == ordered

    def apply(self, committed: Account, height: int, base: object) -> Account:
        left = max(0, committed.balance - self.spent)
        return committed.with_use(left, self.policy, self.sequences or committed.sequences)
