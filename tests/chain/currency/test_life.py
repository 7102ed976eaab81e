"""Staking, slashing, rewards, governance, bridge and chat together, by chance: a slice of `scripts/campaign economy`.

Every step checks all invariants, the models of `tests.support.economy.shadow`, and a twin's app hash.
"""

from __future__ import annotations

from collections import Counter

from chain.tx.messages import KINDS
from tests.support.economy.life import Life

# The later ones where the first have not shown all that there is.
SEEDS = (9, 43, 23, 48, 41, 7, 13, 33)
SEEDS_LEAST = 3
STEPS = 240
DECIDED = {"passed", "rejected"}


def test_all_laws_hold_whatever_happens() -> None:
    """One test, so that one worker sees all of it: the slice would prove nothing about what did not happen in it."""
    done: set[str] = set()
    decided: set[str] = set()
    seen: Counter[str] = Counter()
    for number, seed in enumerate(SEEDS):
        if number >= SEEDS_LEAST and KINDS.keys() <= done and decided >= DECIDED:
            break
        life = Life(seed)
        for _ in range(STEPS):
            life.step()
        assert life.height == STEPS
        seen += life.seen
        done |= life.succeeded
        decided |= life.proposals_decided.keys()
    assert all(seen[what] for what in ("evidence", "jailed for misses", "restarts of the twin")), seen
    assert KINDS.keys() - done == set()
    assert decided >= DECIDED


def test_a_seed_says_everything() -> None:
    lives = [Life(5, twin=False) for _ in range(2)]
    for life in lives:
        for _ in range(25):
            life.step()
    assert lives[0].app.stores.app_hash == lives[1].app.stores.app_hash
