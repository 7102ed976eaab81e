"""A key that this process uses and does not have: the node's record stands in front, and a lost key is waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.documents.files import SignState
from consensus.privval import held
from consensus.privval.errors import KeyLost
from consensus.privval.guards import open_away_signer
from consensus.privval.held import HeldKey
from consensus.privval.record import read_record
from consensus.privval.remote import RemoteSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.stores.block_store import BlockStore
from consensus.system.clock import InlineWorkers
from consensus.system.errors import SignerError, SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from storage.memory import MemoryStore
from tests.support.engine.bench import key_of

CHAIN = "held"
PATH = Path("/node/state.json")
A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
B = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))
KEY = key_of(0)
Sign = Callable[[bytes], Awaitable[bytes]]


def vote(height: int = 5, block_id: BlockID = A, time_ns: int = 7 * 10**18) -> Vote:
    return Vote(PRECOMMIT, height, 0, block_id, time_ns, KEY.pub_key.address)


async def well(message: bytes) -> bytes:
    return KEY.sign(message)


class Model:
    """A holder: what each next signature does, and then all is well."""

    def __init__(self, *acts: Sign) -> None:
        self.acts, self.opened, self.refuses = list(acts), 0, 0
        self.asked: list[bytes] = []

    @property
    def key(self) -> HeldKey:
        return HeldKey(KEY.pub_key, "a model", self._connect, self._sign)

    async def _connect(self) -> None:
        if self.refuses:
            self.refuses -= 1
            raise KeyLost("a model: it is not there")
        self.opened += 1

    async def _sign(self, message: bytes) -> bytes:
        self.asked.append(message)
        return await (self.acts.pop(0) if self.acts else well)(message)


@contextlib.asynccontextmanager
async def signing(model: Model, disk: SimulatedDisk | None = None) -> AsyncIterator[RemoteSigner]:
    with capture_logs():
        signer = RemoteSigner.open(disk or SimulatedDisk(), PATH, model.key, CHAIN, InlineWorkers())
        await signer.door.listen()
        try:
            async with asyncio.timeout(30):
                yield signer
        finally:
            await signer.door.close()
            signer.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "RETRY_S", 0.01)


async def test_votes_and_proposals_are_signed_and_are_in_the_record_before_the_key_is_asked() -> None:
    disk, found = SimulatedDisk(), []

    async def look(message: bytes) -> bytes:
        found.append(read_record(disk, PATH).position)
        return KEY.sign(message)

    async with signing(Model(look, look), disk) as signer:
        proposal = await signer.sign_proposal_away(CHAIN, Proposal(5, 0, -1, A, 7 * 10**18))
        assert proposal.verify(CHAIN, KEY.pub_key)
        signed = await signer.sign_vote_away(CHAIN, vote(), with_extension=True)
        assert signed.verify(CHAIN, KEY.pub_key)
        assert signed.verify_extension(CHAIN, KEY.pub_key)
        assert found == [(5, 0, 1), (5, 0, 3)]
        assert signer.last_vote(CHAIN) is not None


async def test_another_content_at_a_position_never_reaches_the_key_also_after_a_crash() -> None:
    disk, model = SimulatedDisk(), Model()
    async with signing(model, disk) as signer:
        await signer.sign_vote_away(CHAIN, vote(), with_extension=False)
        with pytest.raises(SigningRefused, match="double sign"):
            await signer.sign_vote_away(CHAIN, vote(block_id=B), with_extension=False)
    async with signing(model, disk.crashed()) as signer:
        for refused in (vote(block_id=B), vote(height=4)):
            with pytest.raises(SigningRefused):
                await signer.sign_vote_away(CHAIN, refused, with_extension=False)
    assert len(model.asked) == 1


async def test_a_key_that_fails_is_connected_to_anew_and_asked_again_for_the_same_alone() -> None:
    async def lost(message: bytes) -> bytes:
        raise KeyLost("a model: it was pulled out")

    async def lies(message: bytes) -> bytes:
        return bytes(64)

    async def hangs(message: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    model = Model(lost, lies, hangs)
    model.refuses = 3
    told: list[bool] = []
    held_answer = held.ANSWER_S
    try:
        held.ANSWER_S = 0.05  # type: ignore[misc]  # what hangs is given up sooner here
        async with signing(model) as signer:
            signer.door.on_change = told.append
            signed = await signer.sign_vote_away(CHAIN, vote(), with_extension=False)
            assert signed.verify(CHAIN, KEY.pub_key)
            assert signer.door.losses == 3
    finally:
        held.ANSWER_S = held_answer  # type: ignore[misc]
    assert told == [True, False] * 3 + [True]
    assert model.opened == 4
    assert set(model.asked) == {vote().sign_bytes(CHAIN)}


async def test_what_is_asked_of_a_lost_key_ends_when_its_height_is_decided() -> None:
    model = Model()
    model.refuses = 1 << 30
    async with signing(model) as signer:
        waiting = asyncio.create_task(signer.sign_vote_away(CHAIN, vote(), with_extension=False))
        await asyncio.sleep(0)
        signer.raise_floor(5)
        with pytest.raises(SigningRefused, match="was decided before the signer answered"):
            await waiting
    assert model.asked == []


def test_a_record_that_is_missing_or_old_is_refused_where_the_chain_shows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else has a record of a held key (failure 8)."""
    monkeypatch.setattr("consensus.privval.guards.last_signed_height", lambda blocks, address: 9)
    disk, blocks = SimulatedDisk(), BlockStore(MemoryStore())

    def begin() -> RemoteSigner:
        return open_away_signer(disk, Model().key, PATH, blocks, CHAIN, InlineWorkers())

    with pytest.raises(SignerError, match="the sign state is missing"):
        begin()
    from consensus.privval.record import write_record

    write_record(disk, PATH, SignState(8, 0, 3))
    with pytest.raises(SignerError, match="old copy"):
        begin()
    write_record(disk, PATH, SignState(9, 0, 3))
    assert begin().last_position == (9, 0, 3)
