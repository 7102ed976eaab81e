"""What a node finds out about its upgrade's binary, and what a validator then says of itself on chain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from click.testing import CliRunner, Result

from chain.tx.envelope.tx import decode
from chain.tx.messages.upgrade import READY_NAMES_MAX, AnnounceReadiness, readiness_hash
from chain.upgrade.migrations import Upgrade
from chain.upgrade.module import Upgrader
from chain.upgrade.plan import DONE_NAME, READINESS, Plan, Readiness
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey, ed25519_verify
from dchat.app.build_plan import UPGRADES
from dchat.app.composition import compose
from dchat.cli.main import dchat
from dchat.home.version import build_version
from dchat.node import readiness
from dchat.node.own_tx import EXPIRY_BLOCKS, SETTLED_BLOCKS
from dchat.node.readiness import FILE, Announcer, Binary, BinaryWatch
from dchat.node.upgrade import Swap, file_sha256
from tests.support.node.operator_world import World
from tests.support.upgrade.readiness import write_binary

STORED = (("chat", 3), ("currency", 1))
KEY = Ed25519PrivKey.from_seed(sha256(b"consensus key"))


# ------------------------------------------------------------------------------ the binary


def runs_of(path: Path) -> int:
    runs = path.with_name(f"{path.name}.runs")
    return runs.read_text().count("run") if runs.exists() else 0


def plan_of(*sums: str, name: str = "spring", height: int = 100) -> Plan:
    return Plan(name, height, binary_sha256=tuple(map(bytes.fromhex, sums)))


async def test_a_binary_that_runs_and_knows_the_upgrade_is_ready(tmp_path: Path) -> None:
    path = write_binary(tmp_path / "next", names="winter\nspring\n")
    found = await BinaryWatch(Swap("spring", 0, path)).look(None, STORED)
    assert found == Binary(file_sha256(path), ("winter", "spring"), "0.2.0", "currency 2")


async def test_a_binary_of_other_module_versions_is_told_before_the_height(tmp_path: Path) -> None:
    """It knows the name and has the checksum, and would end at the height: it is asked what it makes of what is stored,
    and again when something else is."""
    said = tmp_path / "said"
    older = f'echo "$@" >> {said}; case "$*" in *chat=4*) echo "chat is at version 4 in the store" >&2; exit 1;; esac'
    watch = BinaryWatch(Swap("spring", 0, write_binary(tmp_path / "next", steps=older)))
    ready = await watch.look(None, STORED)
    assert ready is not None
    assert ready.migrations == "none"
    with structlog.testing.capture_logs() as logs:
        assert await watch.look(None, (("chat", 4), ("currency", 1))) is None
    assert "chat is at version 4 in the store" in str(logs[0])
    assert said.read_text().splitlines() == [
        "upgrade steps --stored=chat=3 --stored=currency=1", "upgrade steps --stored=chat=4 --stored=currency=1",
    ]  # fmt: skip


async def test_a_binary_of_before_that_was_asked_is_ready_by_the_rest(tmp_path: Path) -> None:
    found = await BinaryWatch(Swap("spring", 0, write_binary(tmp_path / "next", steps="exit 2"))).look(None, STORED)
    assert found is not None
    assert found.migrations == "it cannot say"


def test_this_build_says_its_migrations() -> None:
    def ask(*stored: str) -> Result:
        return CliRunner().invoke(dchat, ["upgrade", "steps", *[f"--stored={one}" for one in stored]])

    own = Upgrader(compose(), UPGRADES).versions
    assert ask(*[f"{name}={version}" for name, version in own.items()]).output == ""
    older = {**own, "chat": 1, "economy": 1}
    assert ask(*[f"{name}={version}" for name, version in older.items()]).output == "economy 2\nchat 2\nchat 3\n"
    refused = ask(*[f"{name}={version}" for name, version in {**own, "chat": 99}.items()])
    assert (refused.exit_code, "the store is from a newer version" in " ".join(refused.output.split())) == (1, True)
    assert ask("chat").exit_code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param({"names": "winter\n"}, "does not know the upgrade", id="another upgrade's"),
        pytest.param({"before": "exit 3"}, "exit code 3", id="it fails"),
        pytest.param({"version": "something 0.2.0"}, "expected dchat VERSION", id="another program"),
        pytest.param({"version": ""}, "expected dchat VERSION", id="it says no version"),
    ],
)
async def test_a_binary_that_is_not_ready_is_told_once(tmp_path: Path, content: dict[str, str], said: str) -> None:
    watch = BinaryWatch(Swap("spring", 0, write_binary(tmp_path / "next", **content)))
    with structlog.testing.capture_logs() as logs:
        assert [await watch.look(None, STORED) for _ in range(3)] == [None] * 3
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert said in str(logs[0])


@pytest.mark.parametrize("damage", ["missing", "not executable", "no program"])
async def test_a_file_that_cannot_be_run_is_an_error_not_a_crash(tmp_path: Path, damage: str) -> None:
    path = write_binary(tmp_path / "next")
    if damage == "missing":
        path.unlink()
    elif damage == "not executable":
        path.chmod(0o644)
    else:
        path.write_bytes(b"\x7fELF no")
    watch = BinaryWatch(Swap("spring", 0, path))
    with structlog.testing.capture_logs() as logs:
        assert await watch.look(None, STORED) is None
        write_binary(path)  # it is mended while the node runs
        assert await watch.look(None, STORED) is not None
    assert [entry["log_level"] for entry in logs] == ["error", "info"]


async def test_the_look_comes_again_with_plan_and_file_and_runs_only_what_is_new(tmp_path: Path) -> None:
    path = write_binary(tmp_path / "next")
    watch, right, wrong = BinaryWatch(Swap("spring", 0, path)), file_sha256(path), "ab" * 32
    looks: list[tuple[Plan | None, bool]] = [
        (None, True),
        (plan_of(wrong, name="winter"), True),  # of another upgrade: its demands are not for this file
        (plan_of(), True),
        (plan_of(wrong), False),
        (plan_of(wrong, right), True),
        (Plan("spring", 100, f"https://example.org/next?checksum=sha256:{wrong}"), False),
        (None, True),
    ]
    for plan, is_ready in looks:
        assert (await watch.look(plan, STORED) is not None, plan) == (is_ready, plan)
        assert (await watch.look(plan, STORED) is not None, plan) == (is_ready, plan)
    assert runs_of(path) == 3  # names, version and migrations, once
    write_binary(path, version="dchat 0.2.1")
    assert await watch.look(plan_of(right), STORED) is None
    assert runs_of(path) == 3  # what the plan refuses is not run
    found = await watch.look(None, STORED)
    assert found is not None
    assert (found.software, runs_of(path)) == ("0.2.1", 6)


async def test_a_binary_that_failed_is_looked_at_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "busy"
    lock.touch()
    watch = BinaryWatch(Swap("spring", 0, write_binary(tmp_path / "next", before=f"test ! -e {lock} || exit 9")))
    assert await watch.look(None, STORED) is None
    lock.unlink()
    assert await watch.look(None, STORED) is None  # nothing that is seen changed
    monkeypatch.setattr(readiness, "LOOK_AGAIN_S", 0.0)
    lock.touch()
    other = BinaryWatch(Swap("spring", 0, tmp_path / "next"))
    assert await other.look(None, STORED) is None
    lock.unlink()
    assert await other.look(None, STORED) is not None


# ------------------------------------------------------------------------------ the announcement


class Validator(World):
    """Blocks are made by hand, of what was submitted; announcements in them are kept as the chain keeps them."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.views.me.validator_address = KEY.pub_key.address
        self.used: list[str] = []  # what the operator's key was used for, by the notes

    def announcer(self) -> Announcer:
        """As after a start of the process."""
        return Announcer(self, self.operator, KEY, name="spring", note=self.used.append)  # type: ignore[arg-type]

    def knows(self, *names: str) -> None:
        self.app.upgrader.upgrades = tuple(map(Upgrade, names))

    def block(self, *, code: int = 0) -> None:
        self.app.last_height += 1
        for tx in self.submitted:
            decoded = decode(tx)
            if decoded.id not in self.blocks and decoded.expiry_height >= self.app.last_height:
                self.blocks[decoded.id] = code
                (message,) = decoded.messages
                assert isinstance(message, AnnounceReadiness)
                assert ed25519_verify(KEY.pub_key.bytes, readiness_hash("chain", message), message.signature)
                if not code:
                    self.say(message.names, message.software)

    def say(self, names: Sequence[str], software: str) -> None:
        said = Readiness(KEY.pub_key.bytes, tuple(names), software, self.app.last_height)
        self.records[READINESS + KEY.pub_key.address] = said if names else None

    @property
    def said(self) -> tuple[tuple[str, ...], str] | None:
        said: Readiness | None = self.records.get(READINESS + KEY.pub_key.address)
        return (said.names, said.software) if said is not None else None

    async def blocks_with(self, announcer: Announcer, ready: Binary | None, count: int = SETTLED_BLOCKS + 3) -> None:
        for _ in range(count):
            await announcer.announce(ready)
            self.block()


READY = Binary("00" * 32, ("spring",), "0.2.0")


async def test_it_is_said_once_withdrawn_when_false_and_said_again(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    announcer = validator.announcer()
    for ready, said, sent in ((READY, (("spring",), "0.2.0"), 1), (None, None, 2), (READY, (("spring",), "0.2.0"), 3)):
        await validator.blocks_with(announcer, ready)
        assert (validator.said, len(validator.submitted)) == (said, sent)
    await validator.blocks_with(validator.announcer(), READY)  # a restart
    assert len(validator.submitted) == 3
    (tmp_path / FILE).unlink()
    await validator.blocks_with(validator.announcer(), READY)  # what is on chain counts, whoever sent it
    assert len(validator.submitted) == 3


async def test_what_somebody_said_by_hand_is_set_right(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    announcer = validator.announcer()
    await validator.blocks_with(announcer, READY)
    validator.say(("spring",), "0.1.9")
    await validator.blocks_with(announcer, READY)
    assert validator.said == (("spring",), "0.2.0")


@pytest.mark.parametrize("why_not", ["syncing", "catching up", "no validator"])
async def test_only_a_validator_that_has_caught_up_says_something(tmp_path: Path, why_not: str) -> None:
    validator = Validator(tmp_path)
    announcer = validator.announcer()
    if why_not == "syncing":
        validator.gossip.begun.clear()
    validator.is_catching_up = why_not == "catching up"
    validator.views.voting_power = 0 if why_not == "no validator" else 1_000
    await validator.blocks_with(announcer, READY)
    assert (validator.submitted, validator.used, (tmp_path / FILE).exists()) == ([], [], False)
    validator.gossip.begun.set()
    validator.is_catching_up, validator.views.voting_power = False, 1_000
    await validator.blocks_with(announcer, READY)
    assert validator.said == (("spring",), "0.2.0")
    assert validator.used == ["announce readiness for the upgrade spring"]


@pytest.mark.parametrize(
    ("known", "done", "ready", "said"),
    [
        pytest.param((), (), READY, (("spring",), "0.2.0"), id="the binary's"),
        pytest.param(("winter",), (), READY, (("spring", "winter"), "0.2.0"), id="and what this build knows"),
        pytest.param(("winter",), ("winter",), READY, (("spring",), "0.2.0"), id="but nothing that was done"),
        pytest.param(("winter",), (), None, (("winter",), build_version()), id="this build's alone, by its version"),
        pytest.param(("spring",), ("spring",), READY, None, id="flags that stayed after the upgrade"),
        pytest.param((), (), None, None, id="nothing to say"),
    ],
)
async def test_what_is_said(
    tmp_path: Path, known: tuple[str, ...], done: tuple[str, ...], ready: Binary | None, said: Any
) -> None:
    validator = Validator(tmp_path)
    validator.knows(*known)
    validator.records.update({DONE_NAME + name.encode(): bytes(8) for name in done})
    await validator.blocks_with(validator.announcer(), ready)
    assert (validator.said, len(validator.submitted)) == (said, 0 if said is None else 1)


async def test_of_more_names_than_a_message_holds_the_newest_are_said(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    validator.knows(*(f"v{number:02}" for number in range(20)))
    await validator.blocks_with(validator.announcer(), READY)
    assert validator.said == (("spring", *(f"v{number}" for number in range(13, 20))), "0.2.0")
    assert len(validator.said[0]) == READY_NAMES_MAX


async def test_what_became_false_before_a_block_had_it_is_not_handed_in_again(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    announcer = validator.announcer()
    for _ in range(SETTLED_BLOCKS + 1):
        await announcer.announce(READY)
        validator.app.last_height += 1  # its transaction was lost
    assert len(validator.submitted) == 1
    validator.say(("summer",), "0.3.0")  # by hand; the node can run nothing now
    again = validator.announcer()
    for _ in range(EXPIRY_BLOCKS):
        await again.announce(None)
        validator.app.last_height += 1
    assert len(validator.submitted) == 1
    await validator.blocks_with(again, None)
    assert (len(validator.submitted), validator.said) == (2, None)


async def test_a_failure_in_a_block_is_told_once_and_not_paid_for_again_at_once(tmp_path: Path) -> None:
    validator = Validator(tmp_path)
    announcer = validator.announcer()
    with structlog.testing.capture_logs() as logs:
        for _ in range(EXPIRY_BLOCKS):
            await announcer.announce(READY)
            validator.block(code=7)
    assert len(validator.submitted) == 1
    assert [entry["code"] for entry in logs if entry["log_level"] == "warning"] == [7]
    await validator.blocks_with(announcer, READY)
    assert validator.said == (("spring",), "0.2.0")
