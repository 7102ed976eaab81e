"""Allowance that is lent for locked udchat: as long as it is locked, its owner's identity has more in every period.

The udchat lies in an account of the chain itself, which nobody pays from or to. It is no stake: it votes for nothing,
earns nothing and is slashed for nothing. What was lent ends when it is unlocked; the udchat comes back after a delay
that is no shorter than a period, so that the same udchat never brings two periods' worth in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from chain.chat import machine as chat
from chain.chat.ledger.records import IDENTITY, UNUSED, Use, require_lasting
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.currency import machine as currency
from chain.currency.grants.fee_grants import last_time_ns
from chain.currency.ledger import bank
from chain.currency.ledger.stake_records import Now
from chain.currency.staking.queues import TimeQueue
from chain.kernel.branch import Branch, Decoders, Key, Readable, RecordKind, Scan, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.kernel.items import FailedItems
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.addresses import module_address
from chain.tx.allowance_errors import LendsNothing, NotLocked, TooManyUnlocks
from chain.tx.codec import height_bytes
from chain.tx.messages.allowance import LockForAllowance, UnlockAllowance
from consensus.formats.units import NS_PER_S
from proto.dchat.v1 import allowance_pb2 as pb

LOCKS_ADDRESS: Final = module_address("allowance_locks")
UNLOCKS_MAX: Final = 7  # at different times, of an account: as unbondings


class Lock(NamedTuple):
    """locked: udchat. unlocking: (udchat, time at which it comes back), ascending by time."""

    locked: int = 0
    unlocking: tuple[tuple[int, int], ...] = ()

    @property
    def held(self) -> int:
        return self.locked + sum(amount for amount, _ in self.unlocking)

    def encode(self) -> bytes:
        record = pb.AllowanceLock(locked=self.locked)
        for amount, end_ns in self.unlocking:
            record.unlocking.add(amount=amount, end_ns=end_ns)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Lock:
        r = pb.AllowanceLock.FromString(stored)
        return Lock(r.locked, tuple([(entry.amount, entry.end_ns) for entry in r.unlocking]))


LOCK: Final = Key.of(b"bo", Lock)  # ‖ address
FAILED: Final = FailedItems(b"bO")  # ‖ queue ‖ item
UNLOCKS: Final = TimeQueue(Key.of(b"BO", bytes), Key.of(b"Bo", bytes))  # side: ‖ time ‖ address
LOCKS: Final = RecordKind(LOCK, pb.AllowanceLock, "the lock")
DECODERS: Final[Decoders] = decoders_of(LOCK, FAILED.prefix)


def lock_of(state: Readable, address: bytes) -> Lock:
    return state.get(LOCK + address) or Lock()


def lent_before(ctx: Context, address: bytes) -> tuple[int, Use]:
    """What a lasting identity begins with whose account locked something already, by a burner of an older build: the
    lock, and nothing of this period, whose share the one before may have used."""
    locked = lock_of(ctx.branch, address).locked
    if not locked:
        return 0, UNUSED
    params = ctx.branch.get(CHAT_PARAMS)
    return locked, Use(params.period_of(ctx.time_ns), *params.brings(locked))


def lock(ctx: Context, message: LockForAllowance) -> Leg:
    """A burner is lent nothing: what a period brings would be brought again in each of its lives.

    Raises: UnknownIdentity, BurnerMayNot, LendsNothing, UnknownAccount, Overspend.
    """
    address, amount = message
    branch = ctx.branch
    require_lasting(branch, address)
    before = lock_of(branch, address)
    locked = before.locked + amount
    lent = branch.get(CHAT_PARAMS).lent(locked)
    if not any(lent):
        raise LendsNothing(f"{locked} udchat")
    currency.transfer(ctx, sender=address, recipient=LOCKS_ADDRESS, amount=amount)
    branch.set(LOCK + address, before._replace(locked=locked))
    chat.set_locked(branch, address, locked)
    told = {"amount": coins(amount), "locked": coins(locked)}
    branch.emit(Event.of("lock_for_allowance", address=account(address), **told))
    return Leg("lock_for_allowance", amount, address, lent[0])


def unlock(ctx: Context, message: UnlockAllowance) -> Leg:
    """Raises: NotLocked, TooManyUnlocks."""
    address, amount = message
    branch = ctx.branch
    before = lock_of(branch, address)
    if amount > before.locked:
        raise NotLocked(f"{before.locked} udchat is, not {amount} udchat")
    end_ns = ctx.time_ns + branch.get(CHAT_PARAMS).stated().unlock_delay_s * NS_PER_S
    ends = {end: waiting for waiting, end in before.unlocking}
    ends[end_ns] = ends.get(end_ns, 0) + amount
    if len(ends) > UNLOCKS_MAX:
        raise TooManyUnlocks(f"{UNLOCKS_MAX}")
    locked = before.locked - amount
    branch.set(LOCK + address, Lock(locked, tuple([(ends[end], end) for end in sorted(ends)])))
    UNLOCKS.push(branch, end_ns, address)
    chat.set_locked(branch, address, locked)
    told = {"amount": coins(amount), "locked": coins(locked), "until": time_text(end_ns)}
    branch.emit(Event.of("unlock_allowance", address=account(address), **told))
    return Leg("unlock_allowance", amount, address)


def handlers() -> dict[type[Any], Handler]:
    return {LockForAllowance: lock, UnlockAllowance: unlock}


# ------------------------------------------------------------------------------ blocks


def end_block(ctx: BlockContext) -> Iterator[None]:
    """Pay back what is due, oldest first: as many as a block can add."""
    if ctx.upgraded:  # other code may cure what broke
        for _, item, _ in FAILED.take_back(ctx.branch, ctx.scan):
            UNLOCKS.put_back(ctx.branch, item)
    yield from UNLOCKS.work_off(
        ctx.branch, ctx.scan, Now(ctx.height, ctx.time_ns), FAILED, partial(_pay_back, ctx.time_ns),
        items_max=gas.most_of(gas.GAS_LATER, ctx.block_gas_max),
    )  # fmt: skip


def _pay_back(now_ns: int, address: bytes, branch: Branch) -> None:
    """All of an account's that is due: of its places in the queue a later one finds nothing left to do."""
    before = lock_of(branch, address)
    due = sum(amount for amount, end_ns in before.unlocking if end_ns <= now_ns)
    if not due:
        return
    left = Lock(before.locked, tuple([entry for entry in before.unlocking if entry[1] > now_ns]))
    branch.set(LOCK + address, left if left.held else None)
    bank.pay_out(branch, pool=LOCKS_ADDRESS, recipient=address, amount=due)
    branch.emit(Event.of("unlocked_allowance", address=account(address), amount=coins(due)))


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    at = len(LOCK)
    locks: dict[bytes, Lock] = {key[at:]: found for key, found in scan(LOCK)}
    held, has = sum(found.held for found in locks.values()), currency.balance_of(state, LOCKS_ADDRESS)
    yield (
        "allowance: locked udchat is there, and no more",
        held == has,
        f"{len(locks)} hold {held}, account {has} udchat",
    )
    lent = {found.address: found.allowance.locked for _, found in scan(IDENTITY) if not found.expiry_ns}
    differing = [account(who) for who, udchat in sorted(lent.items()) if udchat != locks.get(who, Lock()).locked]
    yield "allowance: both machines know what is locked", not differing, f"{some(differing)} differ"
    queued = {key[len(UNLOCKS.prefix) :] for key, _ in scan(UNLOCKS.prefix)}
    queued |= {key[len(FAILED.prefix) + 2 :] for key, _ in scan(FAILED.prefix)}
    ends = {height_bytes(end_ns) + who for who, found in locks.items() for _, end_ns in found.unlocking}
    now = height_bytes(last_time_ns(state))
    more = {item for item in queued - ends if item[: len(now)] > now}  # what is due may have ended with one before it
    yield (
        "allowance: what is unlocked waits for its time",
        ends <= queued and not more,
        f"{len(ends)} ends, {len(queued)} wait",
    )
    yield FAILED.invariant("allowance", scan)
    yield UNLOCKS.invariant("allowance", state, scan)
