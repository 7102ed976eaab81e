"""The upgrades that this build can carry out, oldest first: a release that changes what blocks mean adds one here.

`scripts/build --with-plan FILE` puts FILE in this module's place, to make a second build from the same tree.
"""

from __future__ import annotations

from typing import Final

from chain.upgrade.migrations import Upgrade

UPGRADES: Final[tuple[Upgrade, ...]] = ()
