"""What people of a life plan for builds to come: upgrades that are never due, and what validators say they can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.currency.ledger.stake_records import VALIDATOR
from chain.tx.messages import Message
from chain.tx.messages.upgrade import AnnounceReadiness, CancelUpgrade, SoftwareUpgrade, sign_readiness
from chain.upgrade.plan import PLAN
from tests.support.chain.harness import CHAIN_ID
from tests.support.economy.world import consensus_key, private_key

if TYPE_CHECKING:
    from tests.support.economy.life import Life

FAR: Final = 1_000_000  # blocks: no life is so long
UPGRADES: Final = ("later", "much-later")


def about_upgrades(life: Life, name: str, names: tuple[str, ...]) -> Message:
    """name: the authority, or one of `names`, who may announce alone."""
    rng, who = life.rng, life.address(name)
    if name in names and rng.random() < 0.9:
        return _readiness(life, name)
    if life.state.get(PLAN) is not None and rng.random() < 0.5:
        return CancelUpgrade(who)
    height = life.height + FAR if rng.random() < 0.9 else 1
    share, more = rng.choice(((0, 0), (6_667, 100)))
    return SoftwareUpgrade(who, rng.choice(UPGRADES), height, "a change", (), share, more)


def _readiness(life: Life, name: str) -> AnnounceReadiness:
    """Of any validator whose key is known here; now and then unsigned, too late, or of a key that validates nothing."""
    rng = life.rng
    found = {validator.consensus_key for _, validator in life.state.scan(VALIDATOR)}
    known = [label for label, key in sorted(life.keys.items()) if key.bytes in found]
    label = rng.choice(known) if known and rng.random() < 0.9 else f"{name} of nobody"
    said = rng.choice(((), UPGRADES[:1], UPGRADES, UPGRADES))
    expiry = life.height + rng.choice((20, 20, 20, 1, 0))
    message = AnnounceReadiness(
        life.address(name), consensus_key(label).bytes, said, f"build {rng.randrange(9)}", max(1, expiry), bytes(64)
    )
    return message if rng.random() < 0.05 else sign_readiness(private_key(label), CHAIN_ID, message)
