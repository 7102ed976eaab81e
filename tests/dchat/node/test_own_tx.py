"""What a node hands in by itself: on disk first, the same one after a restart, another only when that one settled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog.testing

from chain.tx.envelope.tx import decode
from chain.tx.messages import Payment
from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.errors import CODESPACE, Refusal, refuse
from dchat.node.own_tx import EXPIRY_BLOCKS, SETTLED_BLOCKS, OwnTx
from tests.support.node.operator_world import World

FILE = "own.json"
AMOUNT = 1_000


class Paying(World):
    """With a transaction to be made again and again."""

    def own(self) -> OwnTx:
        """As after a start of the process."""
        return OwnTx(self, self.operator, FILE, purpose="the test", instead="leave it")  # type: ignore[arg-type]

    async def step(self, own: OwnTx) -> None:
        """What a task does after each block."""
        if own.is_free:
            own.make(self.message, amount=AMOUNT)
        await own.hand_in()
        self.app.last_height += 1

    async def steps(self, own: OwnTx, count: int) -> None:
        for _ in range(count):
            await self.step(own)

    def message(self, expiry_height: int) -> Payment:
        assert expiry_height == self.app.last_height + EXPIRY_BLOCKS
        return Payment(self.operator.address, bytes(20), AMOUNT)


async def test_it_is_on_disk_before_it_is_handed_in_and_a_restart_hands_in_the_same(tmp_path: Path) -> None:
    world = Paying(tmp_path)
    own = world.own()
    await world.steps(own, SETTLED_BLOCKS)
    assert (own.sent, world.submitted) == (None, [])  # peers may be a block behind
    own.make(world.message, amount=AMOUNT)
    assert own.sent is not None
    assert (tmp_path / FILE).exists()
    again = world.own()  # stopped before it was handed in
    await world.steps(again, 3)
    await world.steps(world.own(), 3)  # and after
    assert world.submitted == [own.sent.tx] * 2
    assert decode(own.sent.tx).expiry_height == own.sent.expiry_height


HUGE = 10**400


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", "null", "[" * 100_000, "\x1b", '{"tx": "00"}', '{"tx": null, "expiry_height": 1}',
        '{"tx": "zz", "expiry_height": 1}', '{"tx": "00ff", "expiry_height": 1}', '{"tx": "", "expiry_height": 1}',
        f'{{"tx": "00", "expiry_height": {HUGE}}}', '{"tx": "00", "expiry_height": Infinity}',
    ],
)  # fmt: skip
def test_a_damaged_record_is_told_by_its_file(tmp_path: Path, text: str) -> None:
    """audit 6: of some damage the task that reads the file failed, and began anew for ever."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match="no record of a transaction"):
        Paying(tmp_path).own()


async def test_a_record_of_another_height_than_its_transactions_is_refused(tmp_path: Path) -> None:
    """audit 6: with a height beyond all heights no other would ever be made."""
    world = Paying(tmp_path)
    await world.steps(world.own(), SETTLED_BLOCKS + 1)
    text = (tmp_path / FILE).read_text()
    assert world.own().sent is not None
    (tmp_path / FILE).write_text(text.replace('"expiry_height": ', '"expiry_height": 1'))
    with pytest.raises(ValueError, match="heights differ"):
        world.own()


@pytest.mark.parametrize(
    ("code", "makes_another"), [pytest.param(0, True, id="it ran"), pytest.param(5, False, id="it failed: not at once")]
)
async def test_another_is_made_when_a_block_has_it(tmp_path: Path, code: int, makes_another: bool) -> None:
    world = Paying(tmp_path)
    own = world.own()
    await world.steps(own, SETTLED_BLOCKS + 1)
    (first,) = world.submitted
    world.blocks[decode(first).id] = code
    placed = own.placed()
    assert placed is not None
    assert (placed.code, placed.reason) == (code, "why")
    await world.step(own)
    assert len(set(world.submitted)) == 1 + makes_another
    while world.app.last_height <= decode(first).expiry_height + 1:
        await world.step(own)
    assert len(set(world.submitted)) == 2


async def test_what_no_block_took_is_made_anew_after_its_expiry_and_not_before(tmp_path: Path) -> None:
    world = Paying(tmp_path)
    own = world.own()
    await world.steps(own, SETTLED_BLOCKS + 1)
    assert own.sent is not None
    while world.app.last_height <= own.sent.expiry_height:
        await world.step(own)
        assert len(world.submitted) == 1
    await world.step(own)
    first, second = map(decode, world.submitted)
    assert second.expiry_height > first.expiry_height


@pytest.mark.parametrize("balance", [None, AMOUNT])
async def test_an_account_that_cannot_pay_is_told_once_and_waited_for(tmp_path: Path, balance: int | None) -> None:
    world = Paying(tmp_path, balance=balance)
    own = world.own()
    with structlog.testing.capture_logs() as logs:
        await world.steps(own, 5)
        assert [entry["event"] for entry in logs] == ["the operator's account cannot pay the test yet; waiting"]
        assert logs[0]["needed_udchat"] > AMOUNT
        assert logs[0]["what_to_do"] == "pay that to the operator, or leave it"
        world.pay(10**9)
        await world.steps(own, SETTLED_BLOCKS + 1)
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    assert len(world.submitted) == 1


@pytest.mark.parametrize(
    ("answers", "handed_in", "warnings"),
    [
        pytest.param([refuse(Refusal.ALREADY_HERE, "is here")], 1, 0, id="it is on its way: a peer had it"),
        pytest.param([refuse(Refusal.FULL, "12 wait"), refuse(Refusal.FULL, "13 wait")], 3, 1, id="full: tried again"),
        pytest.param([refuse(Refusal.FULL, "full"), CheckTxResponse(code=9, codespace="tx")], 3, 2, id="two reasons"),
    ],
)
async def test_a_refusal_is_tried_again_and_told_once(
    tmp_path: Path, answers: Sequence[CheckTxResponse], handed_in: int, warnings: int
) -> None:
    world = Paying(tmp_path)
    world.answers.extend(answers)
    with structlog.testing.capture_logs() as logs:
        await world.steps(world.own(), SETTLED_BLOCKS + 6)
    assert (len(world.submitted), len(set(world.submitted))) == (handed_in, 1)
    assert sum(entry["log_level"] == "warning" for entry in logs) == warnings
    assert logs[-1]["event"] == "handed in the transaction of the test"
    assert {answer.codespace for answer in answers} <= {CODESPACE, "tx"}


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(ValueError, match="no record"):
        Paying(tmp_path).own()
