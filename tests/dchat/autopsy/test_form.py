"""What a peer or a file may say of a block, and what is refused of it before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chain.kernel.branch import RECORD_BYTES_MAX
from chain.trail.steps import NO_HASH, BlockTrail, Step, hashes_after
from dchat.autopsy import answers, files
from dchat.autopsy.errors import AutopsyError, BadTrail
from dchat.autopsy.files import FILES_MAX, SAVED_AT_ONCE, TrailFiles
from dchat.autopsy.form import WRITES_MAX, check_writes, page_of, read_head, read_steps, read_writes, step_message
from dchat.autopsy.words import fields_of, kind_of, name_of, store_of
from proto.dchat.v1 import trail_service_pb2 as pb

ROOTS = {"bridge": b"b" * 32, "chat": b"c" * 32, "currency": b"u" * 32}


def trail(height: int, txs: int = 1) -> BlockTrail:
    stores = (NO_HASH,) * 3
    steps = []
    for index in range(txs + 2):
        writes = {b"ua" + bytes([index]) * 20: b"x" * index or None, b"Ur" + bytes([index]): b"y"}
        stores = hashes_after(stores, writes)
        is_tx = 0 < index <= txs
        steps.append(Step(b"t" * 32 if is_tx else b"", 0, 100 * is_tx, b"" if not index else b"r" * 32, stores, writes))
    return BlockTrail(height, b"h" * 32, b"a" * 32, ROOTS, tuple(steps))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    saved = TrailFiles(tmp_path / "trail")
    assert (saved.heights(), saved.read(7)) == ([], None)
    assert saved.save([trail(7), trail(6)]) == [7, 6]
    assert (saved.heights(), saved.read(7)) == ([6, 7], trail(7))


def test_files_are_bounded_and_the_newest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = TrailFiles(tmp_path)
    for last in range(10, 100, 10):
        assert saved.save(trail(height) for height in range(last, 0, -1)) == [*range(last, last - SAVED_AT_ONCE, -1)]
    assert len(saved.heights()) == FILES_MAX
    assert saved.heights()[-1] == 90
    monkeypatch.setattr(files, "SAVED_BYTES_MAX", len(files.encode(trail(1))) + 10)
    assert saved.save([trail(200), trail(199)]) == [200], "the newest, however large"
    monkeypatch.setattr(files, "FILE_BYTES_MAX", 100)
    with pytest.raises(BadTrail, match=r"200: .* bytes, allowed: 100"):
        saved.read(200)


@pytest.mark.parametrize("at", [0, 20, 60, -1])
def test_a_file_that_was_damaged_says_so(at: int, tmp_path: Path) -> None:
    saved = TrailFiles(tmp_path)
    saved.save([trail(7)])
    data = bytearray((tmp_path / "7").read_bytes())
    data[at] ^= 1
    (tmp_path / "7").write_bytes(data)
    with pytest.raises(BadTrail, match=r"/7: it"):
        saved.read(7)
    (tmp_path / "7").write_bytes(data[: len(data) // 2])
    with pytest.raises(BadTrail):
        saved.read(7)


def _head(**change: object) -> pb.TrailHead:
    made = pb.TrailHead(height=7, block_hash=b"h" * 32, app_hash=b"a" * 32, roots=[*ROOTS.values()])
    for name, value in change.items():
        made.ClearField(name)  # type: ignore[arg-type]
        made.MergeFrom(pb.TrailHead(**{name: value}))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(_head(height=0), id="no height"),
        pytest.param(_head(height=-1), id="below 1"),
        pytest.param(_head(height=(1 << 63) - 1), id="above what fits"),
        pytest.param(_head(block_hash=b"h" * 31), id="a short hash"),
        pytest.param(_head(app_hash=b""), id="no app hash"),
        pytest.param(_head(roots=[b"r" * 32] * 2), id="two roots"),
        pytest.param(_head(roots=[b"r" * 32] * 1_000), id="many roots"),
        pytest.param(_head(roots=[b"r"] * 3), id="short roots"),
    ],
)
def test_heads_that_are_refused(head: pb.TrailHead) -> None:
    read_head(_head())
    with pytest.raises(BadTrail):
        read_head(head)


def _twist(index: int, change: Callable[[pb.TrailStep], object]) -> list[pb.TrailStep]:
    steps = [step_message(step) for step in trail(7).steps]
    change(steps[index])
    return steps


@pytest.mark.parametrize(
    ("steps", "first", "count"),
    [
        pytest.param(_twist(1, lambda step: step.ClearField("tx")), 0, 3, id="no transaction"),
        pytest.param(_twist(2, lambda step: setattr(step, "tx", b"t" * 32)), 0, 3, id="the end has one"),
        pytest.param(_twist(1, lambda step: setattr(step, "tx", b"t" * 33)), 0, 3, id="a long hash"),
        pytest.param(_twist(1, lambda step: step.stores.pop()), 0, 3, id="a store is missing"),
        pytest.param(_twist(1, lambda step: step.stores.extend([b"s" * 32] * 9)), 0, 3, id="too many stores"),
        pytest.param(_twist(1, lambda step: setattr(step, "result", b"")), 0, 3, id="no result"),
        pytest.param(_twist(1, lambda step: setattr(step, "gas_used", -2)), 0, 3, id="no gas"),
        pytest.param(_twist(0, lambda step: None), 1, 3, id="more than there are"),
        pytest.param(_twist(0, lambda step: None), 0, 1, id="no end"),
        pytest.param(_twist(0, lambda step: None), 0, (1 << 32) - 1, id="too many"),
    ],
)
def test_steps_that_are_refused(steps: list[pb.TrailStep], first: int, count: int) -> None:
    read_steps([step_message(step) for step in trail(7).steps], first=0, count=3)
    with pytest.raises(BadTrail):
        read_steps(steps, first=first, count=count)


@pytest.mark.parametrize(
    "writes",
    [
        pytest.param([pb.TrailWrite(key=b"ua1"), pb.TrailWrite(key=b"ua1")], id="twice"),
        pytest.param([pb.TrailWrite(key=b"ub"), pb.TrailWrite(key=b"ua")], id="not ascending"),
        pytest.param([pb.TrailWrite(key=b"")], id="no key"),
        pytest.param([pb.TrailWrite(key=b"xa")], id="no store's"),
        pytest.param([pb.TrailWrite(key=b"u" + b"a" * 1_024)], id="a long key"),
        pytest.param([pb.TrailWrite(key=b"ua", value=bytes(RECORD_BYTES_MAX + 1))], id="a long value"),
        pytest.param([pb.TrailWrite(key=b"ua", value=b"x", deleted=True)], id="deleted, with a value"),
        pytest.param([pb.TrailWrite(key=b"aa")], id="below the last page"),
    ],
)
def test_writes_that_are_refused(writes: list[pb.TrailWrite]) -> None:
    read_writes([pb.TrailWrite(key=b"ua", value=b"x"), pb.TrailWrite(key=b"ub", deleted=True)], "here", after=b"u")
    with pytest.raises(BadTrail):
        read_writes(writes, "here", after=b"u")


def test_writes_must_lead_to_the_hashes_that_were_told() -> None:
    made = trail(7)
    for index, step in enumerate(made.steps):
        check_writes(made.steps, index, step.writes)
        with pytest.raises(BadTrail, match=f"step {index}: "):
            check_writes(made.steps, index, {**step.writes, b"ua0": b"z"})


def test_pages_of_writes_are_bounded_and_join() -> None:
    writes = {b"ua" + number.to_bytes(4, "big"): bytes(5_000) for number in range(2 * WRITES_MAX)}
    found: dict[bytes, bytes | None] = {}
    after, has_more, pages = b"", True, 0
    while has_more:
        page = page_of(writes, after)
        assert len(page.writes) <= WRITES_MAX
        assert page.ByteSize() < 1_200_000
        found |= read_writes(page.writes, "here", after=after)
        after, has_more, pages = max(found), page.has_more, pages + 1
    assert found == writes
    assert pages == 5
    one = answers.writes(trail(7), 1, b"")
    assert read_writes(one.writes, "here") == trail(7).steps[1].writes
    with pytest.raises(AutopsyError, match="has the steps 0 to 2, and no 3"):
        answers.writes(trail(7), 3, b"")


def test_records_in_words() -> None:
    key = b"ua" + bytes(20)
    assert (store_of(key), kind_of(key)) == ("currency", "Account (ua)")
    assert name_of(key).startswith("dchat1")
    assert (store_of(b"Ur12"), kind_of(b"Ur12")) == ("currency, beside the tree", "Ur")
    assert fields_of(key, b"\x0a\x14" + bytes(20) + b"\x10\x05")["balance"] == "5"
    assert fields_of(key, b"\xff" * 9) == {}
    assert fields_of(b"u", b"") == {}
    assert kind_of(b"u\xff\xff") == "u"
