"""Any record by its key, through door and client: as it is stored, with its proof, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chain.chat.channels.records import MEMBERS
from chain.currency.ledger.records import ACCOUNT
from chain.kernel.branch import RecordKind
from chain.tx.messages import CreateChannel, RegisterIdentity, channel_id
from dchat.client.client import Client, ClientError
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.client.wallet import Session
from dchat.home.home import Home, load_genesis
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from tests.support.node.lying import Honest, lying_door
from tests.support.node.running import Running, running_node

ACCOUNTS = RecordKind(ACCOUNT, state_pb2.Account, "the account")
NOBODY = bytes(20)


def proved_by(running: Running, client: Client) -> Proved:
    trust = Trust.of_genesis(load_genesis(Home.of(running.network.home_of(running.network.nodes[0]))))
    return Proved(Verifier(client, trust, chain_id=running.network.chain_id))


async def test_a_record_is_what_its_own_call_tells_and_is_proved(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        alice = running.account("alice")
        session = Session(client, alice.wallet)
        await session.send([RegisterIdentity(alice.address, "alice", "")])
        made = await session.send([CreateChannel(alice.address, "lobby", 0, "")])
        at, proved, lobby = await client.provable_height(), proved_by(running, client), channel_id("lobby")

        told = await client.record(ACCOUNTS, alice.address, height=at, prove=True)
        own = await client.account(alice.address, height=at, prove=True)
        assert state_pb2.Account.FromString(told.value) == own.account
        assert told.proof == own.proof
        await proved.record(told, ACCOUNTS, alice.address)

        member = await client.record(MEMBERS, lobby + alice.address, height=at, prove=True)
        assert state_pb2.Membership.FromString(member.value).joined_height == made.height
        await proved.record(member, MEMBERS, lobby + alice.address)
        nobody = await client.record(MEMBERS, lobby + NOBODY, height=at, prove=True)
        assert not nobody.HasField("value")
        assert "does not exist" in (await proved.record(nobody, MEMBERS, lobby + NOBODY)).what

        for forged, asked in ((member, NOBODY), (nobody, alice.address)):  # another's answer, with a proof that holds
            with pytest.raises(ProofFailed):
                await proved.record(forged, MEMBERS, lobby + asked)
        member.value = state_pb2.Membership(joined_height=made.height + 1).SerializeToString()
        with pytest.raises(ProofFailed, match="not the value that is proved"):
            await proved.record(member, MEMBERS, lobby + alice.address)


@pytest.mark.parametrize(
    "fields",
    [{"store": "cellar"}, {"store": ""}, {"key": b""}, {"key": bytes(10_000)}, {"height": -1}],
    ids=lambda fields: next(iter(fields)),
)
async def test_a_question_for_no_record_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    asked = {"store": "currency", "key": b"a" + NOBODY, **fields}
    async with running_node(tmp_path) as running, running.client() as client:
        await client.provable_height()
        for prove in (False, True):
            with pytest.raises(ClientError) as refused:
                await client.call(client.state.GetRecord, pb.GetRecordRequest(**asked, prove=prove))
            assert refused.value.status == "INVALID_ARGUMENT", fields


async def test_bytes_that_are_no_record_are_a_plain_word(tmp_path: Path) -> None:
    async def lie(request: Any, honest: Honest) -> pb.GetRecordResponse:
        return pb.GetRecordResponse(height=1, value=b"\xff\xff")

    async with running_node(tmp_path) as running, lying_door(running.grpc) as door:
        door.lies["GetRecord"] = lie
        async with Client(door.address) as client:
            with pytest.raises(ClientError, match="no record of the account"):
                await client.record(ACCOUNTS, NOBODY)
