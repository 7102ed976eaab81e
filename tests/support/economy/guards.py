"""Guardians of a life's people: named, changed, recovering, objected to; by those who may and those who may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.guardian_records import GUARDIANS, Guardians
from bridge.guardians import recoveries_of
from chain.tx.messages import Message
from chain.tx.messages.guardians import ApproveRecovery, ObjectRecovery, SetGuardians, StartRecovery

if TYPE_CHECKING:
    from tests.support.economy.life import Life


def about_guardians(life: Life, name: str, names: tuple[str, ...]) -> Message:
    rng, who = life.rng, life.address(name)
    guarded: list[tuple[bytes, Guardians]] = [
        (key[len(GUARDIANS) :], record) for key, record in life.state.scan(GUARDIANS)
    ]
    mine = next((record for address, record in guarded if address == who), None)
    theirs = [address for address, record in guarded if who in record.terms.guardians]
    draw = rng.random()
    if recoveries_of(life.state, who) and draw < 0.4:
        return ObjectRecovery(who)
    waiting = [(address, found) for address in theirs for found in recoveries_of(life.state, address)]
    fresh = [(address, found) for address, found in waiting if who not in found.approvals]
    if (fresh or waiting) and draw < 0.7:
        address, found = rng.choice(fresh or waiting)
        return ApproveRecovery(who, address, found.id if rng.random() < 0.95 else bytes(32))
    if draw < 0.03:
        return ObjectRecovery(who)
    if not theirs or draw < (0.15 if mine is not None else 0.5):
        return _naming(life, who, names)
    whose = rng.choice(theirs) if rng.random() < 0.95 else who
    lost = next(other for other in names if life.address(other) == whose)
    _, policy, possessions = life.rotation_of(lost)
    return StartRecovery(who, whose, policy, possessions)


def _naming(life: Life, who: bytes, names: tuple[str, ...]) -> SetGuardians:
    """Often the same few, so that they agree; now and then nobody."""
    rng = life.rng
    if rng.random() < 0.1:
        return SetGuardians(who, (), 0, 0)
    others = [life.address(other) for other in names if life.address(other) != who]
    count = rng.choice((1, 2, 3, 5))
    guardians = tuple(sorted(rng.sample(others, count)))
    threshold = rng.randrange(1, min(count, 2) + 1)
    overrule = rng.choice((0, 0, threshold, count))
    return SetGuardians(who, guardians, threshold, rng.choice((60, 90, 500, 900)), overrule)
