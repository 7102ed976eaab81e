"""In which order tests run: what takes longest begins first, so that no worker is left with it at the end.

pytest-xdist's `worksteal` gives each worker one run of the tests, and who is done takes from the end of another's. So
each of these runs begins with long ones. A file stays together, for what its tests share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, Protocol, TypeVar

# Files with a test or a fixture of more than about 20 seconds, longest first; as known of runs on two cores.
LONGEST: Final = (
    "tests/dchat/node/test_rotation.py",
    "tests/interop/test_ibc.py",
    "tests/interop/test_cometbft_story.py",
    "tests/dchat/cli/test_examples.py",
    "tests/dchat/node/test_key_types.py",
    "tests/campaigns/test_runbooks.py",
    "tests/dchat/doors/test_openapi.py",
    "tests/dchat/cli/test_ceremony.py",
    "tests/dchat/cli/test_one_machine.py",
    "tests/dchat/handover/test_kills.py",
    "tests/test_contributing.py",
    "tests/chain/currency/test_life.py",
    "tests/interop/test_mixed_network.py",
    "tests/dchat/node/upgrade/test_process.py",
    "tests/dchat/node/upgrade/test_supervisor.py",
    "tests/dchat/node/test_takeover.py",
    "tests/campaigns/hostile/test_hostile.py",
    "tests/campaigns/crashes/test_crashes.py",
    "tests/campaigns/test_signers.py",
    "tests/campaigns/test_backups.py",
    "tests/campaigns/test_storm.py",
    "tests/chain/currency/test_equivocation.py",
    "tests/dchat/cli/test_demo.py",
    "tests/dchat/tracing/test_network.py",
    "tests/simulation/test_simulation.py",
    "tests/dchat/cli/test_network.py",
    "tests/test_release.py",
    "tests/dchat/node/upgrade/test_build.py",
)


class Item(Protocol):
    @property
    def nodeid(self) -> str: ...


T = TypeVar("T", bound=Item)


def file_of(item: Item) -> str:
    return item.nodeid.partition("::")[0]


def long_first(items: Sequence[T], workers: int) -> list[T]:
    """The same tests: as many runs as there are workers, of the same length, each begun with long files."""
    files = [(name, list(group)) for name, group in groupby(items, file_of)]
    rank = {name: at for at, name in enumerate(LONGEST)}
    long = sorted((one for one in files if one[0] in rank), key=lambda one: rank[one[0]])
    short = [item for name, group in files if name not in rank for item in group]
    ordered: list[T] = []
    for worker in range(workers):
        run = [item for _, group in long[worker::workers] for item in group]
        size = (len(items) - len(ordered)) // (workers - worker)
        more = max(0, size - len(run))
        ordered += run + short[:more]
        short = short[more:]
    return ordered + short
