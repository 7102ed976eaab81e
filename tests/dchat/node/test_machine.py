"""A validator's process on a machine that refuses: how it ends, what its last line says, and that it goes on after.

What each file's refusal does on a network under load: `scripts/campaign faults`.
"""

from __future__ import annotations

import errno
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consensus.system.machine import EXIT_MACHINE
from dchat.client.client import ClientError
from dchat.client.wallet import Session
from dchat.config import Config
from dchat.devnet.load import Sender, make_payments
from dchat.devnet.network import Pace
from dchat.doors.reads import handles
from dchat.node.errors import TooFewHandles
from dchat.node.preflight import fit_handles
from tests.support.node.machine import (
    MIB,
    Alone,
    CannotFault,
    Faults,
    alone,
    fault_layer,
    fill,
    read_only,
    small_disk,
    until,
)
from tests.support.node.running import running_node


@pytest.fixture
def layered(tmp_path: Path) -> Iterator[tuple[Alone, Faults]]:
    """A validator over a layer of faults."""
    try:
        layer = fault_layer(tmp_path)
    except CannotFault as error:
        pytest.skip(f"no fault can be put under a process: {error}")
    with alone(tmp_path / "net") as one:
        faults = Faults(layer, tmp_path / "faults")
        one.process.env = faults.env
        yield one, faults


def height_of(one: Alone) -> int:
    with urllib.request.urlopen(f"{one.http}/status", timeout=5) as answer:
        return int(json.load(answer)["latest_block_height"])


def goes_on(one: Alone) -> Callable[[], bool]:
    at = height_of(one)
    return lambda: height_of(one) >= at + 2


def test_a_full_disk_ends_it_with_its_file_and_what_it_saved_is_there(layered: tuple[Alone, Faults]) -> None:
    one, faults = layered
    one.process.start()
    faults.refuse("/data/app/", errno.ENOSPC)
    code, last = one.process.ended()
    assert (code, "the disk is full" in last, "/data/app/" in last) == (EXIT_MACHINE, True, True), one.process.text
    assert "Traceback" not in last
    saved = one.process.text.count("event=committed")
    code, last = one.process.start().ended()
    assert (code, "the disk is full" in last, "/data/app/" in last) == (EXIT_MACHINE, True, True), one.process.text
    faults.clear()
    one.process.start()
    assert one.process.code is None, one.process.text
    assert height_of(one) >= saved
    assert one.process.stop() == 0


def test_what_a_node_can_do_without_ends_nothing_and_is_said(layered: tuple[Alone, Faults]) -> None:
    """Snapshots, the journal, and its own log: no room for any of them."""
    one, faults = layered
    one.set_option("snapshots", "interval = 5")
    faults.refuse("/data/snapshots/", errno.ENOSPC)
    one.process.start()
    until(lambda: "failed to take a snapshot; the chain goes on" in one.process.text, "it says so")
    assert list((one.home / "data" / "snapshots").iterdir()) == []
    said = one.process.text
    faults.refuse(one.process.log.name, errno.ENOSPC)
    until(goes_on(one), "blocks come without a log")
    faults.clear()
    until(lambda: "log lines were lost" in one.process.text, "it says what is missing")
    assert one.process.text.startswith(said)
    until(lambda: "took a snapshot" in one.process.text, "a snapshot is taken again")
    assert one.process.stop() == 0


def test_a_clock_that_jumps_is_told_and_changes_nothing_else(layered: tuple[Alone, Faults]) -> None:
    """An hour ahead, back to 1970, and right again: blocks come, their times only rise, and it is ready."""
    one, faults = layered
    one.set_option("observability", "unhealthy_after = 20")
    one.process.start()
    times = []
    for ahead_s in (3_660, -int(time.time()) + 1_000, 0):
        faults.set_clock(ahead_s)
        until(goes_on(one), "blocks come")
        with urllib.request.urlopen(f"{one.http}/ready", timeout=5) as answer:  # 503 raises
            assert json.load(answer)["ready"]
        with urllib.request.urlopen(f"{one.http}/chain/blocks?limit=100", timeout=5) as answer:
            times = [block["time"] for block in json.load(answer)["blocks"]]
        assert times == sorted(times, reverse=True)
    jumps = [line for line in one.process.text.splitlines() if "this machine's clock jumped" in line]
    assert [" forward" in line for line in jumps] == [True, False, True]
    assert "61 minutes forward" in jumps[0]
    assert one.process.stop() == 0


def test_a_process_of_too_few_handles_does_not_start(tmp_path: Path) -> None:
    with alone(tmp_path / "net") as one:
        one.process.handles = 256
        code, last = one.process.start().ended()
        assert code == EXIT_MACHINE
        assert "may have 256 file handles, and a node with these options needs 6" in last
        assert not (one.home / "data" / "app").exists()


def test_a_small_disk_fills_and_is_freed(tmp_path: Path) -> None:
    """Of its own: what is free, what is needed, and what a file system says that is mounted read-only."""
    try:
        with small_disk(tmp_path / "disk", 64) as disk, alone(disk / "net", tmp_path / "log") as one:
            one.set_option("database", "min_free = 16")
            one.process.start()
            filler = fill(disk, leave=24 * MIB)
            until(lambda: "there is little room left on the disk" in one.process.text, "it warns")
            with urllib.request.urlopen(f"{one.http}/ready", timeout=5) as answer:
                told = json.load(answer)
            assert (told["ready"], list(told["failing"])) == (True, ["room on the disk"])
            fill(disk, leave=8 * MIB)
            code, last = one.process.ended()
            assert (code, "MB are free in" in last, "below 16.0 MB" in last) == (EXIT_MACHINE, True, True), last
            filler.unlink()
            read_only(disk, True)
            code, last = one.process.start().ended()
            assert (code, "the file system is read-only" in last, str(disk) in last) == (EXIT_MACHINE, True, True), last
            read_only(disk, False)
            one.process.start()
            assert one.process.code is None, one.process.text
            one.process.stop()
    except CannotFault as error:
        pytest.skip(f"no small disk can be had: {error}")


@pytest.mark.parametrize(("limit", "tables"), [(1_048_576, 256), (1_500, 256), (1_024, 201), (645, 75), (642, 74)])
def test_databases_keep_fewer_tables_open_where_handles_are_few(limit: int, tables: int) -> None:
    """Then everything sums up to what there is: the doors' share too."""
    config = fit_handles(Config(), limit)
    assert config.database.max_open_files == tables
    assert handles.kept(config) + sum(handles.share_out(config, limit)) <= limit


def test_a_process_of_too_few_handles_is_told_what_for() -> None:
    with pytest.raises(TooFewHandles, match=r"641 file handles, .* needs 642: 222 .* 100 .* 128 .* 128 .* 64"):
        fit_handles(Config(), 641)


async def test_a_promise_that_the_disk_refuses_is_said_to_be_none_and_given_again_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: bytes) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    slow = Pace(block_time=3_000, timeout_commit=3_000)  # what is in a block needs no promise
    async with running_node(tmp_path, pace=slow) as running, running.client() as client:
        journal = running.node.journal
        facts = await Session(client, running.account("alice").wallet).facts()
        senders = [await Sender.of(client, running.account(name).wallet) for name in ("alice", "bob")]
        txs = make_payments(senders, 3, chain_id=facts.chain_id, gas_price=facts.gas_price)
        monkeypatch.setattr(journal._file, "write", refuse)
        with pytest.raises(ClientError, match="it was admitted, but this node cannot promise to remember it"):
            await client.broadcast(txs[0], durable=True)
        for tx in txs[1:]:
            assert not (await client.broadcast(tx, durable=True)).code
        assert not running.failures
