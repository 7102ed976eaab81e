"""The file signer: it never signs twice, never forgets, never signs what arrived decided."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.documents.files import SignState
from consensus.privval.guards import last_signed_height, open_file_signer
from consensus.privval.record import read_record, slots_path, write_record
from consensus.privval.signer import FileSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.system.disk import OsDisk
from consensus.system.errors import SignerError, SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from tests.support.engine.bench import Home, genesis_of, key_of, make_node
from tests.support.stops import StopsAfter

CHAIN = "chain"
PATH = Path("/home/data/priv_validator_state.json")
A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
B = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))


def new_signer(disk: SimulatedDisk | None = None) -> FileSigner:
    disk = disk or SimulatedDisk()
    FileSigner.create_state(disk, PATH)
    return FileSigner(disk, key_of(0), PATH)


def vote(height: int = 5, round: int = 0, type: int = PREVOTE, block_id: BlockID = A, time_ns: int = 10**18) -> Vote:
    return Vote(type, height, round, block_id, time_ns, key_of(0).pub_key.address)


def proposal(height: int = 5, round: int = 0, block_id: BlockID = A, time_ns: int = 10**18) -> Proposal:
    return Proposal(height, round, -1, block_id, time_ns)


@pytest.mark.parametrize("type", [PREVOTE, PRECOMMIT])
def test_signatures_verify(type: int) -> None:
    signer = new_signer()
    signed = signer.sign_vote(CHAIN, vote(type=type), with_extension=False)
    assert signed.verify(CHAIN, signer.pub_key)
    signed_proposal = signer.sign_proposal(CHAIN, proposal(height=6))
    assert signed_proposal.verify(CHAIN, signer.pub_key)


def test_extensions_are_signed_also_when_empty() -> None:
    signer = new_signer()
    for extension in (b"", b"data"):
        unsigned = replace(vote(type=PRECOMMIT), extension=extension)
        signed = signer.sign_vote(CHAIN, unsigned, with_extension=True)
        assert signed.verify_extension(CHAIN, signer.pub_key)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(vote(height=4, round=9, type=PRECOMMIT), id="a lower height"),
        pytest.param(vote(round=1, type=PRECOMMIT), id="a lower round"),
        pytest.param(vote(round=2, type=PREVOTE), id="a lower step"),
        pytest.param(vote(round=2, type=PRECOMMIT, block_id=B), id="another block"),
        pytest.param(vote(round=2, type=PRECOMMIT, block_id=BlockID()), id="nil after a block"),
        pytest.param(vote(round=2, type=PRECOMMIT, block_id=B, time_ns=3), id="another block at another time"),
    ],
)
def test_regression_and_conflict_are_refused(later: Vote) -> None:
    signer = new_signer()
    signer.sign_vote(CHAIN, vote(round=2, type=PRECOMMIT), with_extension=False)
    before = signer.state
    with pytest.raises(SigningRefused):
        signer.sign_vote(CHAIN, later, with_extension=False)
    assert signer.state == before


def test_another_chain_is_another_content() -> None:
    signer = new_signer()
    signer.sign_vote(CHAIN, vote(), with_extension=False)
    with pytest.raises(SigningRefused):
        signer.sign_vote("other", vote(), with_extension=False)


def test_proposals_conflict_too() -> None:
    signer = new_signer()
    signer.sign_proposal(CHAIN, proposal())
    for other in (proposal(block_id=B), replace(proposal(), pol_round=0), proposal(height=4)):
        with pytest.raises(SigningRefused):
            signer.sign_proposal(CHAIN, other)
    signer.sign_vote(CHAIN, vote(), with_extension=False)
    with pytest.raises(SigningRefused, match="before the last signed"):
        signer.sign_proposal(CHAIN, proposal())


def test_same_again_has_the_same_signature_and_another_time_gets_the_old_one() -> None:
    signer = new_signer()
    first = signer.sign_vote(CHAIN, vote(time_ns=7 * 10**18), with_extension=False)
    assert signer.sign_vote(CHAIN, vote(time_ns=7 * 10**18), with_extension=False) == first
    assert signer.sign_vote(CHAIN, vote(time_ns=8 * 10**18), with_extension=False) == first
    signer = new_signer()
    made = signer.sign_proposal(CHAIN, proposal(time_ns=7 * 10**18))
    assert signer.sign_proposal(CHAIN, proposal(time_ns=8 * 10**18)) == made


@pytest.mark.parametrize("block_id", [A, BlockID()], ids=["a block", "nil"])
def test_last_vote_is_remembered_whole(block_id: BlockID) -> None:
    """Known to the signer, lost to the log: it must be taken up again, or its round could never be left."""
    disk = SimulatedDisk()
    signer = new_signer(disk)
    assert signer.last_vote(CHAIN) is None
    signed = signer.sign_vote(CHAIN, vote(round=2, type=PRECOMMIT, block_id=block_id), with_extension=False)
    again = FileSigner(disk.crashed(), key_of(0), PATH)
    assert again.last_vote(CHAIN) == signed
    assert again.last_vote("other") is None
    again.sign_proposal(CHAIN, proposal(height=6))
    assert again.last_vote(CHAIN) is None


def test_nothing_at_or_below_a_decided_height_is_signed() -> None:
    """Failure 10: a height that arrived decided is never signed at."""
    signer = new_signer()
    signer.raise_floor(5)
    for height in (4, 5):
        with pytest.raises(SigningRefused, match="arrived decided"):
            signer.sign_vote(CHAIN, vote(height=height), with_extension=False)
    signer.raise_floor(3)  # never lowered
    with pytest.raises(SigningRefused):
        signer.sign_proposal(CHAIN, proposal(height=5))
    signer.sign_vote(CHAIN, vote(height=6), with_extension=False)


def test_record_is_durable_before_the_signature_leaves_whatever_step_the_stop_comes_at() -> None:
    """Failure 8: file and folder are synced; after a crash no other content can be signed."""
    for stop_at in range(12):
        disk = SimulatedDisk()
        signer = new_signer(disk)
        signer.sign_vote(CHAIN, vote(height=4), with_extension=False)
        StopsAfter(disk, stop_at)
        released = None
        with contextlib.suppress(OSError):
            released = signer.sign_vote(CHAIN, vote(), with_extension=False)
        again = FileSigner(disk.crashed(), key_of(0), PATH)
        assert again.last_height in (4, 5)
        if released is not None:
            assert again.last_height == 5
            with pytest.raises(SigningRefused):
                again.sign_vote(CHAIN, vote(block_id=B), with_extension=False)
            assert again.sign_vote(CHAIN, vote(), with_extension=False) == released


def test_file_is_cometbfts_and_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    FileSigner.create_state(OsDisk(), path)
    assert json.loads(path.read_text()) == {"height": "0", "round": 0, "step": 0}
    signer = FileSigner(OsDisk(), key_of(0), path)
    signed = signer.sign_vote(CHAIN, vote(round=3, type=PRECOMMIT), with_extension=False)
    value = json.loads(path.read_text())
    assert (int(value["height"]) > 5, value["round"], value["step"]) == (True, 0, 0)  # nothing of height 5 is left
    assert sorted(tmp_path.iterdir()) == [path, slots_path(path)]
    assert slots_path(path).stat().st_mode & 0o777 == 0o600
    signer.close()
    value = json.loads(path.read_text())
    assert (value.pop("height"), value.pop("round"), value.pop("step")) == ("5", 3, 3)
    assert base64.b64decode(value.pop("signature")) == signed.signature
    assert bytes.fromhex(value.pop("signbytes")) == signed.sign_bytes(CHAIN)
    assert not value
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(tmp_path.iterdir()) == [path]


def test_file_then_name_then_folder_are_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 8: a rename without the folder's sync may be lost, and with it the record."""
    actions: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        actions.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        fsync(fd)

    def watched_rename(old: Path, new: Path) -> None:
        actions.append("rename")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    OsDisk().replace(tmp_path / "state.json", b"{}")
    assert actions == ["file", "rename", "folder"]


def test_missing_or_unreadable_record_is_refused_and_never_replaced() -> None:
    """Failures 8 and 9: no signer without its record, and no reset of one."""
    disk = SimulatedDisk()
    with pytest.raises(SignerError, match="missing"):
        FileSigner(disk, key_of(0), PATH)
    FileSigner.create_state(disk, PATH)
    with pytest.raises(SignerError, match="never replaced"):
        FileSigner.create_state(disk, PATH)
    for text in (b"", b"{", b'{"height":"1"}', b'{"height":"-1","round":0,"step":0}'):
        disk.replace(PATH, text)
        with pytest.raises(SignerError):
            FileSigner(disk, key_of(0), PATH)


async def test_chain_that_shows_our_signature_asks_for_the_record() -> None:
    """Failure 8: a record that is missing, or older than the chain, refuses to start."""
    home, genesis = Home(), genesis_of(1)
    assert isinstance(home.disk, SimulatedDisk)
    node = await make_node(genesis, 0, home)
    await node.driver.start()
    await node.reach(4)
    await node.driver.stop()
    blocks, address = node.executor.blocks, key_of(0).pub_key.address
    assert last_signed_height(blocks, address) == blocks.height
    assert last_signed_height(blocks, key_of(1).pub_key.address) == 0
    good = read_record(home.disk, PATH)
    write_record(home.disk, PATH, SignState(2, 0, 3))
    with pytest.raises(SignerError, match="old copy"):
        open_file_signer(home.disk, key_of(0), PATH, blocks)
    del home.disk.files[PATH]
    with pytest.raises(SignerError, match="missing, and the chain shows"):
        open_file_signer(home.disk, key_of(0), PATH, blocks)
    assert open_file_signer(home.disk, key_of(1), PATH, blocks).last_height == 0  # a new key may begin
    write_record(home.disk, PATH, good)
    signer = open_file_signer(home.disk, key_of(0), PATH, blocks)
    with pytest.raises(SigningRefused):
        signer.sign_vote(genesis.chain_id, vote(height=blocks.height), with_extension=False)
