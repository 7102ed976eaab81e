"""The rules of punishment and rewards once more, from the sheet's formulas alone: what campaigns expect of a network.

Nothing here calls the machine; records are read for what went in. Rates are exact fractions; where the sheet says how
to round, so it is done. Source: staking sheet, sections 0, 2, 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

UNIT = 1_000 * 10**6  # udchat of one power
D = 10**18
YEAR_NS = 31_557_600 * 10**9


def half_even(number: Fraction) -> int:
    return round(number)  # Python's rounding of fractions is to even


def dec_mul(a: int, b: int) -> int:
    return half_even(Fraction(a * b, D))


def dec_quo(a: int, b: int) -> int:
    return half_even(Fraction(a * D * D // b, D))  # truncated at 36 places first


# ------------------------------------------------------------------------------ slashing


class Entry(NamedTuple):
    """An unbonding or redelegation: what began with `initial`, and has `balance` left (of unbondings)."""

    creation_height: int
    completion_ns: int
    initial: int
    balance: int = 0


class Slash(NamedTuple):
    """udchat: in all, of unbondings, and due from redelegations; the rest is the validator's own."""

    total: int
    unbondings: int
    redelegations: int
    own: int


def slash(
    *, power: int, fraction: Fraction, height: int, now_ns: int, tokens: int,
    unbondings: Iterable[Entry] = (), redelegations: Iterable[Entry] = (),
) -> Slash:  # fmt: skip
    """height: of the infraction, less its delay. tokens: of the validator now."""
    total = int(power * UNIT * fraction)
    left = total
    burned = due = 0
    for entry in unbondings:
        if entry.creation_height >= height and entry.completion_ns > now_ns:
            owed = int(entry.initial * fraction)
            burned += min(owed, entry.balance)
            left -= owed
    for entry in redelegations:
        if entry.creation_height >= height and entry.completion_ns > now_ns:
            owed = int(entry.initial * fraction)
            due += owed
            left -= owed
    return Slash(total, burned, due, max(0, min(left, tokens)))


@dataclass
class Window:
    """The sheet's bit array of one validator."""

    window: int
    min_signed: Fraction
    start_height: int
    bits: list[bool] = field(default_factory=list)
    offset: int = 0
    counter: int = 0

    def vote(self, height: int, missed: bool) -> bool:
        """Of the last commit in block `height`. Whether the validator is jailed there."""
        if not self.bits:
            self.bits = [False] * self.window
        index = self.offset % self.window
        self.offset += 1
        self.counter += missed - self.bits[index]
        self.bits[index] = missed
        allowed = self.window - half_even(self.min_signed * self.window)
        if height > self.start_height + self.window and self.counter > allowed:
            self.bits, self.offset, self.counter = [], 0, 0
            return True
        return False


# ------------------------------------------------------------------------------ what a block pays


@dataclass
class Inflation:
    """A Dec. The year's rate, as each block moves it."""

    rate: int
    change: int
    least: int
    most: int
    goal: int
    blocks_per_year: int

    def minted(self, *, bonded: int, supply: int, elapsed_ns: int) -> int:
        """udchat of one block; supply after the burn of fees."""
        ratio = bonded * D // supply
        a_year = dec_mul(D - dec_quo(ratio, self.goal), self.change)
        moved = self.rate + dec_quo(a_year, self.blocks_per_year * D)
        self.rate = max(self.least, min(self.most, moved))
        annual = self.rate * supply
        return min(annual // self.blocks_per_year // D, annual * elapsed_ns // YEAR_NS // D)


class Part(NamedTuple):
    """Decs of udchat: what a validator's delegators and its commission get of a block."""

    delegators: int
    commission: int


def shares_of_block(
    pot: int, powers: Sequence[int], rates: Sequence[int], *, proposer: int | None, signed: Sequence[bool],
    tax: int, base: int, bonus: int,
) -> tuple[list[Part], int]:  # fmt: skip
    """pot: udchat. powers, rates (Decs), signed: of the last commit's members; proposer: the last one's place among
    them. Returns each one's part, and what is left for the community pool (a Dec).
    """
    fees, total = pot * D, sum(powers)
    of_signed = dec_quo(sum(p for p, s in zip(powers, signed, strict=True) if s) * D, total * D)
    for_proposer = base + bonus * of_signed // D
    rewards = [0] * len(powers)
    if proposer is not None:
        rewards[proposer] += fees * for_proposer // D
    of_all = fees * (D - for_proposer - tax) // D
    parts = []
    for place, power in enumerate(powers):
        extra = rewards[place]
        share = of_all * (power * D // total) // D
        commission = dec_mul(extra, rates[place]) + dec_mul(share, rates[place])
        parts.append(Part(extra + share - commission, commission))
    return parts, fees - sum(part.delegators + part.commission for part in parts)
