"""The gRPC door for somebody who has nothing but `grpcurl`: each service listed, described, called by reflection."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.governance import SubmitProposal
from dchat.client.wallet import Session
from dchat.home import identity
from tests.support.interop.rows import row
from tests.support.interop.tools import go_tool
from tests.support.node.evidence import two_votes
from tests.support.node.running import Running, running_node

pytestmark = [pytest.mark.go, pytest.mark.network]

PACKAGE, VERSION = "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3"
DEADLINE_EXCEEDED = 64 + 4  # grpcurl's exit codes are gRPC's status codes above 64
INVALID_ARGUMENT = 64 + 3
RPC = re.compile(r"rpc (\w+) \( (?:stream )?(\S+) \) returns \( (?:stream )?(\S+) \)")
STREAM_S = 2  # of a stream that does not end
AT_ONCE = 4
OURS = "dchat.v1."
STANDARD = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


@dataclass(frozen=True)
class Curl:
    program: Path
    address: str

    async def __call__(self, *words: str, data: Any = None, seconds: int = 30) -> tuple[int, str]:
        """Exit code, and what it printed (an error too)."""
        given = [] if data is None else ["-d", json.dumps(data)]
        process = await asyncio.create_subprocess_exec(
            str(self.program), "-plaintext", "-max-time", str(seconds), *given, self.address, *words,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()


def answers(text: str) -> list[Any]:
    """The JSON values, one after the other."""
    found, decoder = list[Any](), json.JSONDecoder()
    text = text.split("ERROR:", maxsplit=1)[0].strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found


def text(data: bytes) -> str:
    return b64encode(data).decode()


@dataclass(frozen=True)
class Call:
    """shows: a field that the answer must have. stream: it does not end by itself."""

    method: str
    data: dict[str, Any]
    shows: str = "height"
    stream: bool = False


@dataclass(frozen=True)
class World:
    """What the calls are about, as grpcurl writes bytes."""

    me: str
    operator: str
    channel: str
    replay_id: str
    block: str
    paid: str
    height: str
    signed: tuple[str, str, str]
    account: str  # its key in the currency store


async def prepared(running: Running, session: Session) -> World:
    """A chain on which somebody lives."""
    alice, bob = running.account("alice").address, running.account("bob").address
    garden, deposit = channel_id("garden"), 10_000_000_000
    opened = await session.send([RegisterIdentity(alice, "alice", ""), CreateChannel(alice, "garden", 0, "")])
    await session.send([PostMessage(alice, garden, b"hello", 0)])
    paid = await session.send([Payment(alice, bob, 1_000)])
    await session.send([SubmitProposal(alice, "a title", "why", False, deposit, ())])
    one, two = [text(await session.build([Payment(alice, bob, amount)])) for amount in (1, 2)]
    carol = running.account("carol")  # whose next transaction is tried out, whatever is committed meanwhile
    three = text(await Session(session.client, carol.wallet).build([Payment(carol.address, bob, 3)]))
    operator = identity.load(running.node.home.identity).address
    meta = running.node.views.answers.blocks.load_meta(1)
    assert meta is not None
    return World(
        text(alice), text(operator), text(garden), text(opened.receipt.replay_id), text(meta.block_id.hash),
        text(paid.hash), str(paid.height), (one, two, three), text(b"a" + alice),
    )  # fmt: skip


def of_people(w: World) -> dict[str, tuple[dict[str, Any], str]]:
    """Method -> what it is asked, and a field that its answer must have."""
    channel, me = {"channel_id": w.channel}, w.me
    return {
        "BridgeService/ListEscrows": ({"party": me}, "height"),
        "BridgeService/ListReceipts": ({"party": me}, "receipts"),
        "BridgeService/GetBridgeStatus": ({}, "app_hash"),
        "BridgeService/GetAllowance": ({"address": me, **channel}, "registered"),
        "ChannelService/ListMembers": (channel, "members"),
        "ChannelService/ListMemberships": ({"member": me}, "memberships"),
        "ChannelService/ListBans": (channel, "height"),
        "ChannelService/ListInvitations": (channel, "height"),
        "PaymentService/ListDenominations": ({"creator": me}, "height"),
        "PaymentService/ListHoldings": ({"address": me}, "height"),
        "PaymentService/ListPaymentRequests": ({"payee": me}, "height"),
        "PaymentService/ListStandingOrders": ({"owner": me}, "height"),
        "PaymentService/ListFeeGrants": ({"granter": me}, "height"),
        "PaymentService/ListAuthorisations": ({"grantee": me}, "height"),
        "PaymentService/ListVestings": ({"recipient": me}, "height"),
        "ReputationService/GetScore": ({"address": me}, "height"),
        "ReputationService/ListReports": (channel, "height"),
        "StateService/GetAccount": ({"address": me, "prove": True}, "proof"),
        "StateService/GetIdentity": ({"name": "alice"}, "identity"),
        "StateService/GetChannel": (channel, "channel"),
        "StateService/ListChannels": ({}, "channels"),
        "StateService/GetMessage": ({**channel, "index": 0, "prove": True}, "message"),
        "StateService/ListMessages": (channel, "messages"),
        "StateService/GetBundle": ({"replay_id": w.replay_id}, "receipt"),
        "StateService/GetRecord": ({"store": "currency", "key": w.account, "prove": True}, "proof"),
        "StateService/GetInvariants": ({}, "invariants"),
        "StateService/GetParams": ({}, "json"),
        "StateService/GetUpgrade": ({}, "height"),
    }


def of_the_chain(w: World) -> dict[str, tuple[dict[str, Any], str]]:
    delegator, first = {"delegator": w.operator}, {"proposal_id": 1}
    return {
        "ChainService/GetStatus": ({}, "chain_id"),
        "ChainService/GetBlock": ({"hash": w.block}, "block_id"),
        "ChainService/ListBlocks": ({"limit": 3}, "blocks"),
        "ChainService/GetCommit": ({"height": 1}, "light_block"),
        "ChainService/GetValidators": ({"height": 1}, "validators"),
        "ChainService/GetBlockResults": ({"height": w.height}, "results"),
        "ChainService/SearchBlocks": ({"query": "block.height >= 1", "limit": 3}, "blocks"),
        "ChainService/StreamBlocks": ({"from_height": 1, "with_results": True}, "block"),
        "ChainService/StreamEvents": ({"from_height": 1, "to_height": w.height, "types": ["payment"]}, "cursor"),
        "GovService/GetProposal": ({**first, "prove": True}, "proposal"),
        "GovService/ListProposals": ({}, "proposals"),
        "GovService/GetVote": ({**first, "voter": w.me}, "height"),
        "GovService/ListVotes": (first, "height"),
        "GovService/ListDeposits": (first, "deposits"),
        "GovService/GetTally": (first, "tally"),
        "StakingService/GetStakingValidator": ({"operator": w.operator}, "validator"),
        "StakingService/ListStakingValidators": ({}, "validators"),
        "StakingService/ListDelegations": (delegator, "delegations"),
        "StakingService/ListUnbondings": (delegator, "height"),
        "StakingService/ListRedelegations": (delegator, "height"),
        "StakingService/GetRewards": (delegator, "rewards"),
        "StakingService/ListSlashes": ({"operator": w.operator}, "height"),
        "StakingService/GetStakingPools": ({}, "bonded"),
        "TrailService/ListTrails": ({"limit": 1}, "trails"),
        "TrailService/ListTrailSteps": ({"height": w.height}, "steps"),
        "TrailService/ListTrailWrites": ({"height": w.height, "step": 1}, "writes"),
        "TxService/Broadcast": ({"tx": w.signed[0], "wait": "WAIT_COMMIT"}, "height"),
        "TxService/BroadcastMany": ({"txs": [w.signed[1]]}, "results"),
        "TxService/GetTx": ({"hash": w.paid, "prove": True}, "proof"),
        "TxService/ListPending": ({"address": w.me}, "height"),
        "TxService/SearchTxs": ({"query": f"tx.height = {w.height}"}, "txs"),
        "TxService/Simulate": ({"tx": w.signed[2]}, "gas_used"),
    }


OF_THE_DOOR: dict[str, tuple[dict[str, Any], str]] = {
    "grpc.health.v1.Health/Check": ({"service": ""}, "status"),
    "grpc.health.v1.Health/List": ({}, "statuses"),
    "grpc.health.v1.Health/Watch": ({"service": ""}, "status"),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ({"list_services": ""}, "list_services_response"),
}
ENDLESS = {f"{OURS}ChainService/StreamBlocks", "grpc.health.v1.Health/Watch"}


def all_calls(world: World) -> list[Call]:
    ours = {f"{OURS}{name}": call for name, call in (of_people(world) | of_the_chain(world)).items()}
    return [Call(name, *call, stream=name in ENDLESS) for name, call in (ours | OF_THE_DOOR).items()]


async def wrong(curl: Curl, call: Call) -> str:
    """What is wrong with the answer; empty: nothing."""
    code, out = await curl(call.method, data=call.data, seconds=STREAM_S if call.stream else 30)
    if code != (DEADLINE_EXCEEDED if call.stream else 0):
        return f"{call.method} ended with {code}: {out[-300:]}"
    found = answers(out)
    return "" if found and call.shows in found[0] else f"{call.method} shows no {call.shows}: {out[:300]}"


async def all_of(many: list[Any], work: Callable[[Any], Any]) -> list[Any]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Any) -> Any:
        async with gate:
            return await work(item)

    return await asyncio.gather(*map(one, many))


async def test_every_method_is_found_and_called_by_reflection_alone(tmp_path: Path) -> None:
    program = await asyncio.to_thread(go_tool, "grpcurl", PACKAGE, VERSION)
    async with running_node(tmp_path / "net") as running, running.client() as client:
        curl = Curl(program, running.grpc)
        services = (await curl("list"))[1].split()
        assert {*STANDARD} < {*services}
        assert all(service.startswith(OURS) for service in services if service not in STANDARD)

        methods, types = list[str](), set[str]()
        for code, told in await all_of(services, lambda service: curl("describe", service)):
            assert (code, told.split(" is a ")[1].split(":")[0]) == (0, "service"), told
            for name, asked, answered in re.findall(
                r"rpc (\w+) \( (?:stream )?(\S+) \) returns \( (?:stream )?(\S+) \)", told
            ):
                methods.append(f"{told.split()[0]}/{name}")
                types |= {asked, answered}
        described = await all_of(sorted(types), lambda name: curl("describe", name))
        assert [out for code, out in described if code or " is a message" not in out] == []

        session = Session(client, running.account("alice").wallet)
        calls = all_calls(await prepared(running, session))
        last = f"{OURS}ChainService/BroadcastEvidence"  # the only validator signed twice: nothing comes after it
        assert sorted(methods) == sorted([*(call.method for call in calls), last])
        assert [why for why in await all_of(calls, lambda call: wrong(curl, call)) if why] == []

        code, out = await curl(f"{OURS}StateService/GetAccount", data={"address": "AAAA"})
        assert (code, "address has 3 bytes; expected 20" in out) == (INVALID_ARGUMENT, True)
        evidence = Call(last, {"evidence": text(two_votes(running, 2).encode_wrapped())}, "is_new")
        assert await wrong(curl, evidence) == ""
    row(
        "grpcurl", VERSION, "by reflection alone: every service listed and described, every method called",
        f"{len(services)} services, {len(methods)} methods, {len(types)} types",
    )  # fmt: skip
