"""A slash: what it reaches, who pays, and how it goes on over blocks.

Everything that was the validator's stake at the infraction pays: unbondings and redelegations begun since first, its
own tokens for the rest. Anybody can make leavers, by the hundred thousand, so a block reaches as many as one can add,
each of whom paid for it (`chain.tx.gas.GAS_LATER`), and the rest waits for the next; slashes stand in line and are done
one after the other.

So that it makes no difference when a leaver is reached, nothing that a slash in line could reach gets away meanwhile:
nothing matures (`valset.end_block`), and nobody comes to or leaves the validator (`stake.require_settled`). What was
redelegated from it can only have become an unbonding at its destination, which a slash reaches as well.
Source: Cosmos SDK v0.50, x/staking/keeper/slash.go, which does all in one block; docs/economics.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.currency.ledger import bank, dec
from chain.currency.ledger.bank import NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import (
    POWER_UNIT,
    REASON_NAMES,
    REDELEGATIONS,
    REDELEGATIONS_BEGUN,
    SLASH_LINE,
    SLASHES_BEGUN,
    UNBONDED,
    UNBONDINGS,
    UNBONDINGS_BEGUN,
    BegunSlash,
    Now,
    RedelegationEntry,
    SlashLine,
    Unbonding,
    Validator,
)
from chain.currency.rewards import distribution
from chain.currency.staking import stake
from chain.currency.staking.stake import Entry
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.event_text import Event, coins, consensus
from chain.tx.codec import height_bytes
from crypto.hash import ADDRESS_BYTES

HEIGHT_BYTES: Final = 8
LEAVERS_PER_SLICE: Final = 20  # a few milliseconds, of those who moved on

# ------------------------------------------------------------------------------ the line


def line_of(state: Readable) -> SlashLine | None:
    """The slashes that have begun and are not done; None: there are none."""
    return state.get(SLASH_LINE)


def waiting(state: Readable) -> int:
    """How many slashes have begun and are not done."""
    line = line_of(state)
    return 0 if line is None else line.following - line.first


def begin(
    state: State, validator: Validator, *, height: int, power: int, fraction: int, reason: int, now: Now
) -> Validator:
    """Put a slash in line, for what a validator did at `height` with `power`. The validator must not be unbonded.

    To be called at a block's begin, before `go_on`.
    """
    assert height <= now.height, (height, now.height)
    assert validator.status != UNBONDED, validator
    total = dec.mul_trunc(power * POWER_UNIT * ONE, fraction) // ONE
    first, following = line_of(state) or SlashLine(0, 0)
    begun = BegunSlash(validator.operator, height, power, fraction, reason, now.height, now.time_ns, total)
    state.set(SLASHES_BEGUN + height_bytes(following), begun)
    state.set(SLASH_LINE, SlashLine(first, following + 1))
    after = validator._replace(slashes_waiting=validator.slashes_waiting + 1)
    stake.put_validator(state, validator, after)
    return after


def go_on(branch: Branch, scan: Scan, now: Now, *, items_max: int) -> Iterator[None]:
    """Reach so many entries of leavers (and what the last of them has more), or end so many slashes without. To be
    called at a block's begin, when what is saved is all there is.

    In slices. What has begun is done whole before the next: a slash takes from what the one before it has left.
    """
    done = sliced = 0
    while done < items_max and (line := line_of(branch)) is not None:
        key = SLASHES_BEGUN + height_bytes(line.first)
        running = _Running(branch, scan, branch.get(key), now)
        for entries in running.reach():
            done += max(1, entries)
            if done - sliced >= LEAVERS_PER_SLICE:
                sliced = done
                yield
            if done >= items_max:
                branch.set(key, running.slash)
                return
        running.finish()
        branch.set(key, None)
        branch.set(SLASH_LINE, line._replace(first=line.first + 1) if line.first + 1 < line.following else None)
        done += 1
        yield


# ------------------------------------------------------------------------------ one of them


class _Running:
    """slash: as it stands now."""

    __slots__ = ("_branch", "_now", "_scan", "slash")

    def __init__(self, branch: Branch, scan: Scan, slash: BegunSlash, now: Now) -> None:
        self._branch, self._scan, self.slash, self._now = branch, scan, slash, now

    def reach(self) -> Iterator[int]:
        """Let who left since the infraction pay: unbondings, then redelegations, in order of their heights. Yields
        after each how many entries it had."""
        if self.slash.infraction_height >= self.slash.height:
            return
        operator = self.slash.operator
        for prefix, pay in (
            (UNBONDINGS_BEGUN + operator, self._slash_unbonding),
            (REDELEGATIONS_BEGUN + operator, self._slash_redelegation),
        ):
            at, cursor = len(prefix), self.slash.cursor
            start: bytes = prefix + height_bytes(max(0, self.slash.infraction_height))
            if cursor[:at] == prefix:
                start = cursor + b"\x00"
            elif cursor > prefix:
                continue  # it stands in what comes after
            for key, _ in self._scan(prefix, start):
                height = int.from_bytes(key[at : at + HEIGHT_BYTES], "big")
                owed, entries = pay(height, key[at + HEIGHT_BYTES :])
                self.slash = self.slash._replace(cursor=key, left=max(0, self.slash.left - owed))
                yield entries

    def finish(self) -> None:
        """Burn what is left of the validator's own tokens, and say so."""
        branch, slash = self._branch, self.slash
        before = stake.require_validator(branch, slash.operator)
        validator = before._replace(slashes_waiting=before.slashes_waiting - 1)
        burned = min(slash.left, validator.tokens)
        if burned:
            effective = min(ONE, dec.quo_up(burned * ONE, validator.tokens * ONE))
            distribution.before_slash(
                branch, before, fraction=effective, now=self._now, burned=burned, reason=slash.reason
            )
            validator = validator._replace(tokens=validator.tokens - burned)
            bank.burn(branch, stake.pool_of_status(validator.status), burned)
        stake.put_validator(branch, before, validator)
        where = consensus(validator.address)
        branch.emit(
            Event.of(
                "slash", address=where, power=str(slash.power), reason=REASON_NAMES[slash.reason], jailed=where,
                burned_coins=coins(burned),
            )
        )  # fmt: skip

    # -------------------------------------------------------------- who pays

    def _reaches(self, entry: Entry) -> bool:
        """Begun at the infraction's height or later, and not complete when the fault was found."""
        return entry.creation_height >= self.slash.infraction_height and entry.completion_ns > self.slash.time_ns

    def _due(self, entry: Entry) -> int:
        return self.slash.fraction * entry.initial_balance // ONE

    def _slash_unbonding(self, height: int, delegator: bytes) -> tuple[int, int]:
        """What began at `height`: (what it owed, whether it could be paid or not; entries)."""
        key = UNBONDINGS + self.slash.operator + delegator
        waiting = self._branch.get(key)
        entries, reached, owed, burned = list(waiting.entries) if waiting is not None else [], 0, 0, 0
        for position, entry in enumerate(entries):
            if entry.creation_height == height and self._reaches(entry):
                due = self._due(entry)
                owed, reached = owed + due, reached + 1
                taken = min(due, entry.balance)
                burned += taken
                entries[position] = entry._replace(balance=entry.balance - taken)
        if burned:
            self._branch.set(key, Unbonding(tuple(entries)))
            bank.burn(self._branch, NOT_BONDED_POOL, burned)
        return owed, reached

    def _slash_redelegation(self, height: int, pair: bytes) -> tuple[int, int]:
        """What began at `height`: (what it owed, entries). pair: delegator ‖ destination."""
        waiting = self._branch.get(REDELEGATIONS + self.slash.operator + pair)
        delegator, destination = pair[:ADDRESS_BYTES], pair[ADDRESS_BYTES:]
        owed = reached = 0
        for entry in waiting.entries if waiting is not None else ():
            if entry.creation_height == height and self._reaches(entry):
                owed, reached = owed + self._slash_moved(delegator, destination, entry), reached + 1
        return owed, reached

    def _slash_moved(self, delegator: bytes, destination: bytes, entry: RedelegationEntry) -> int:
        """Returns what is due, and burns it of what was moved: first of what is unbonding at the destination
        (GHSA-86h5-xcpx-cfqc), then of the delegation there; and no more than is due in all (#20688: the reference burns
        the delegation's part whole).
        """
        branch, due = self._branch, self._due(entry)
        left = due - self._slash_unbonding_at(destination, delegator, due)
        delegation = stake.delegation_of(branch, delegator, destination)
        shares = dec.mul(self.slash.fraction, entry.shares_dst)
        if left < due:
            shares = shares * left // due
        if not left or not shares or delegation is None:
            return due
        validator = stake.require_validator(branch, destination)
        pool = stake.pool_of_status(validator.status)
        tokens = stake.unbond(
            branch, validator, delegator=delegator, shares=min(shares, delegation.shares), now=self._now
        )
        bank.burn(branch, pool, tokens)
        return due

    def _slash_unbonding_at(self, operator: bytes, delegator: bytes, due: int) -> int:
        """Burn at most `due` of all that is unbonding there; returns what was burned."""
        key = UNBONDINGS + operator + delegator
        waiting = self._branch.get(key)
        entries, burned = list(waiting.entries) if waiting is not None else [], 0
        for position, entry in enumerate(entries):
            if self._reaches(entry):
                taken = min(due - burned, entry.balance)
                burned += taken
                entries[position] = entry._replace(balance=entry.balance - taken)
        if burned:
            self._branch.set(key, Unbonding(tuple(entries)))
            bank.burn(self._branch, NOT_BONDED_POOL, burned)
        return burned


__all__ = ["BegunSlash", "begin", "go_on", "line_of", "waiting"]
