"""Signers of each type of key. ML-DSA-65 signs otherwise each time: what is asked for again is not signed anew."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.documents.files import parse_validator_key
from consensus.documents.json import priv_key_from_json, priv_key_json
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import MESSAGE_BYTES_MAX, SignerAddress, dial
from consensus.privval.record import SLOT_BYTES, slots_path
from consensus.privval.remote import RemoteKey, RemoteSigner
from consensus.privval.serving import SignerService
from consensus.privval.signer import FileSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.system.clock import InlineWorkers
from consensus.system.errors import SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from crypto.hash import sha256
from crypto.keys import KEY_TYPES, PrivKey, pub_key_to_proto, signature_bytes
from proto.tendermint.privval import types_pb2 as pb

CHAIN = "c" * 50  # the longest
PATH = Path("/home/data/priv_validator_state.json")
LARGEST = BlockID(b"\xff" * 32, PartSetHeader(1_601, b"\xff" * 32))
OTHER = BlockID(b"\xfe" * 32, PartSetHeader(1_601, b"\xfe" * 32))
EACH = pytest.mark.parametrize("kind", KEY_TYPES)


def key_of(kind: str) -> PrivKey:
    return KEY_TYPES[kind].from_secret(sha256(kind.encode()))


def vote(key: PrivKey, block_id: BlockID = LARGEST, time_ns: int = 253_402_300_799 * 10**9) -> Vote:
    return Vote(PRECOMMIT, 2**62, 2**30, block_id, time_ns, key.pub_key.address)


@EACH
def test_what_was_signed_before_is_given_again_also_after_a_restart(kind: str) -> None:
    disk, key = SimulatedDisk(), key_of(kind)
    FileSigner.create_state(disk, PATH)
    signer = FileSigner(disk, key, PATH)
    first = signer.sign_vote(CHAIN, vote(key), with_extension=False)
    assert first.verify(CHAIN, key.pub_key)
    assert len(first.signature) == signature_bytes(key.pub_key)
    assert disk.size(slots_path(PATH)) == 2 * SLOT_BYTES
    for again in (signer, FileSigner(disk, key, PATH)):  # the second, as after a stop without notice
        assert again.sign_vote(CHAIN, vote(key), with_extension=False) == first
        later = replace(vote(key), timestamp_ns=vote(key).timestamp_ns - 10**9)
        assert again.sign_vote(CHAIN, later, with_extension=False) == first
        assert again.last_vote(CHAIN) == first
        with pytest.raises(SigningRefused):
            again.sign_vote(CHAIN, vote(key, OTHER), with_extension=False)
    signer.close()
    assert FileSigner(disk, key, PATH).sign_vote(CHAIN, vote(key), with_extension=False) == first


@EACH
def test_a_key_file_is_read_as_it_was_written(kind: str) -> None:
    key = key_of(kind)
    assert priv_key_from_json(priv_key_json(key), "key") == key
    told = priv_key_json(key)
    assert isinstance(told, dict)
    assert told["type"] == KEY_TYPES[kind].priv_key_name
    text = f'{{"priv_key": {{"type": "{told["type"]}", "value": "{told["value"]}"}}}}'
    assert parse_validator_key(text) == key


@EACH
async def test_a_signer_elsewhere_signs_by_any_type(kind: str, tmp_path: Path) -> None:
    """Votes with extensions and proposals over a Unix socket, each message within CometBFT's bound."""
    theirs, ours, key = SimulatedDisk(), SimulatedDisk(), key_of(kind)
    FileSigner.create_state(theirs, PATH)
    service = SignerService(FileSigner(theirs, key, PATH), CHAIN)
    address = SignerAddress(path=str(tmp_path / "s"))
    node = NodeKey.from_seed(sha256(b"node"))
    with capture_logs():
        signer = RemoteSigner.open(ours, PATH, RemoteKey(key.pub_key, address, node, ""), CHAIN, InlineWorkers())
        await signer.door.listen()
        channel = await dial(address, NodeKey.from_seed(sha256(b"signer")))
        sizes = []

        async def serve() -> None:
            with contextlib.suppress(Exception):
                while True:
                    answer = service.answer(await channel.receive())
                    sizes.append(answer.ByteSize())
                    await channel.send(answer)

        serving = asyncio.create_task(serve())
        try:
            async with asyncio.timeout(60):
                unsigned = replace(vote(key), height=5, round=0, extension=b"e" * 1_000)
                signed = await signer.sign_vote_away(CHAIN, unsigned, with_extension=True)
                assert signed.verify(CHAIN, key.pub_key)
                assert signed.verify_extension(CHAIN, key.pub_key)
                again = await signer.sign_vote_away(CHAIN, unsigned, with_extension=True)
                assert again.signature == signed.signature
                proposal = Proposal(6, 0, -1, LARGEST, 10**18)
                assert (await signer.sign_proposal_away(CHAIN, proposal)).verify(CHAIN, key.pub_key)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            channel.close()
            await signer.door.close()
            signer.close()
    assert max(sizes) < MESSAGE_BYTES_MAX
    assert pb.PubKeyResponse(pub_key=pub_key_to_proto(key.pub_key)).ByteSize() < MESSAGE_BYTES_MAX
