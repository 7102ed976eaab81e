"""The upgrades that this build can carry out, oldest first: a release that changes what blocks mean adds one here.

`scripts/build --with-plan FILE` puts FILE in this module's place, to make a second build from the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.channels.members import index_members
from chain.chat.identities.names import index_names
from chain.currency.ledger.economic_params import STAKING, StakingParams, staking_of
from chain.upgrade.migrations import Migration, MigrationContext, Upgrade


def index_looks(ctx: MigrationContext) -> Iterator[None]:
    """Names of before the rule that refuses what looks like a taken one (docs/identities.md)."""
    return index_names(ctx.branch, ctx.scan)


def find_members(ctx: MigrationContext) -> Iterator[None]:
    """Memberships of before they were found by their member (docs/chat.md)."""
    return index_members(ctx.branch, ctx.scan)


def let_keys_change(ctx: MigrationContext) -> Iterator[None]:
    """Validators may change their consensus keys, as on a chain that begins now (docs/signer.md)."""
    usual = StakingParams()
    fee, most = usual.key_rotation_fee, usual.key_rotations_max
    ctx.branch.set(STAKING, staking_of(ctx.branch)._replace(key_rotation_fee=fee, key_rotations_max=most))
    yield


UPGRADES: Final[tuple[Upgrade, ...]] = (
    Upgrade("look-alikes", (Migration("chat", 2, index_looks),)),
    Upgrade("memberships", (Migration("chat", 3, find_members),)),
    Upgrade("key-rotation", (Migration("economy", 2, let_keys_change),)),
)  # fmt: skip
