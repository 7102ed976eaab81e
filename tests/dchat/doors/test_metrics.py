"""What metrics say of other validators, of the machine and of this build."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dchat.doors.metrics.machine import build_metrics, memory_room
from dchat.doors.metrics.votes import CHECKPOINT_BLOCKS, SeenVotes
from dchat.home.version import build_version

ADDRESSES = tuple(bytes([number]) * 20 for number in range(4))
SIGNERS = tuple(SimpleNamespace(address=address) for address in ADDRESSES)
ALL = (True, True, True, True)
KIB = 1024


def saved(height: int, votes: tuple[bool, ...] | None, signers: Any = SIGNERS) -> Any:
    """votes: in the commit that this block carries, which is of the block before."""
    commit = None if votes is None else SimpleNamespace(signatures=[SimpleNamespace(is_commit=vote) for vote in votes])
    state = SimpleNamespace(last_validators=signers, app_hash=height.to_bytes(32, "big"))
    return SimpleNamespace(height=height, block=SimpleNamespace(last_commit=commit), state=state)


def told(seen: SeenVotes) -> tuple[dict[bytes, float], dict[str, str]]:
    """(missed blocks by validator, app hash by height)."""
    missed, hashes = seen.collect()
    return (
        {bytes.fromhex(sample.labels["validator"]): sample.value for sample in missed.samples},
        {sample.labels["height"]: sample.labels["app_hash"] for sample in hashes.samples},
    )


def test_a_validator_that_is_cut_off_is_told_of_by_who_sees_the_blocks() -> None:
    seen = SeenVotes(is_behind=lambda: False, is_standing=lambda: False)
    for height, votes in ((1, None), (2, ALL), (3, (True, True, True, False)), (4, (True, False, True, False))):
        seen.block_saved(saved(height, votes))
    assert told(seen)[0] == dict(zip(ADDRESSES, (0, 1, 0, 2), strict=True))
    # The fourth leaves the set at height 5: block 5 still carries its missing vote, and its line goes.
    seen.block_saved(saved(5, (True, True, True, False), SIGNERS[:3]))
    assert told(seen)[0] == dict(zip(ADDRESSES[:3], (0, 1, 0), strict=True))
    seen.block_saved(saved(6, (False, True, True), SIGNERS[:3]))
    assert told(seen)[0] == dict(zip(ADDRESSES[:3], (1, 1, 0), strict=True))


def test_blocks_that_were_fetched_raise_no_alarm() -> None:
    behind = True
    seen = SeenVotes(is_behind=lambda: behind, is_standing=lambda: False)
    seen.block_saved(saved(7, ALL))  # the first: whose votes its commit has is not known
    seen.block_saved(saved(8, (False, True, True, True)))
    behind = False
    seen.block_saved(saved(9, (True, False, True, True)))
    assert told(seen)[0] == dict(zip(ADDRESSES, (0, 1, 0, 0), strict=True))


def test_the_app_hash_is_told_at_heights_that_all_nodes_share() -> None:
    seen = SeenVotes(is_behind=lambda: False, is_standing=lambda: False)
    assert told(seen) == ({}, {})
    for height in range(1, 3 * CHECKPOINT_BLOCKS + 50):
        seen.block_saved(saved(height, ALL))
    assert told(seen)[1] == {
        str(height): height.to_bytes(32, "big").hex()[:16] for height in (2 * CHECKPOINT_BLOCKS, 3 * CHECKPOINT_BLOCKS)
    }


def test_the_last_app_hash_is_told_while_no_block_comes() -> None:
    """Halves of a network that parted stand at one height, which is a multiple of 100 once in a hundred times."""
    is_standing = True
    seen = SeenVotes(is_behind=lambda: False, is_standing=lambda: is_standing)
    assert told(seen) == ({}, {})
    for height in (CHECKPOINT_BLOCKS, CHECKPOINT_BLOCKS + 7):
        seen.block_saved(saved(height, ALL))
    assert list(told(seen)[1]) == ["100", "107"]
    is_standing = False
    assert list(told(seen)[1]) == ["100"]


@pytest.mark.parametrize(
    ("limit", "used", "stat", "expected"),
    [
        (None, None, None, (1000 * KIB, 400 * KIB)),  # no container
        ("max\n", "1024\n", "", (1000 * KIB, 400 * KIB)),  # one without a limit
        ("512000\n", "112000\n", "", (512_000, 400_000)),
        ("512000\n", "412000\n", "anon 5\ninactive_file 100000\n", (512_000, 200_000)),
        ("512000\n", "600000\n", "", (512_000, 0)),
        ("900000\n", "0\n", "", (900_000, 400 * KIB)),  # the machine has less left than the container may take
        ("9999999\n", "1024\n", "", (1000 * KIB, 400 * KIB)),  # a limit above what there is
    ],
)
def test_memory_that_is_left(
    tmp_path: Path, limit: str | None, used: str | None, stat: str | None, expected: tuple[int, int]
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:        1000 kB\nMemFree: 1 kB\nMemAvailable:     400 kB\n")
    for name, text in (("memory.max", limit), ("memory.current", used), ("memory.stat", stat)):
        if text is not None:
            (tmp_path / name).write_text(text)
    assert memory_room(tmp_path / "meminfo", tmp_path) == expected


def test_a_machine_that_tells_nothing_of_its_memory(tmp_path: Path) -> None:
    assert memory_room(tmp_path / "none", tmp_path) is None


def test_the_build_is_told() -> None:
    (info,) = build_metrics()
    assert info.samples[0].labels["version"] == build_version()
