"""Voters of a governed world."""

from __future__ import annotations

from chain.app_state.governance_params import GovernanceParams
from tests.support.governance.world import World


def voters(params: GovernanceParams | None = None) -> World:
    world = World(params)
    world.validator("v0", 10)
    world.validator("v1", 5)
    return world
