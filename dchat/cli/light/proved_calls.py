"""The node's `/v1` reads that have proofs, with the node's own paths and JSON, checked before they are answered.

A call without a row here is refused. `X-Verified-By` names the header that proves the answer. What a proof does not
cover (a transaction's log, its events) is left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from aiohttp import web
from google.protobuf.message_factory import GetMessageClass

from chain.tx.messages import channel_id
from consensus.types.light import LightBlock
from dchat.cli.light.verified import BadParams, CannotProve, Nodes, Verified, first_of
from dchat.client.light_provider import DoorProvider
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.doors.grpc.door import SERVICES
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.rest.json_form import bool_of, fill_text, record_text, text_of
from dchat.doors.rest.records import KEY_FIELDS
from dchat.doors.rest.table import DECODED, Route, routes_of
from light import LightClient
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1.governance_service_pb2 import GetProposalRequest
from proto.tendermint.types import types_pb2

Check = Callable[[Proved, Any, Any], Awaitable[LightBlock]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _account(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.account(answer, asked.address)).light


async def _identity(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    if asked.name:
        return (await proved.named_identity(answer, asked.name)).light
    return (await proved.identity(answer, asked.address)).light


async def _channel(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.channel(answer, asked.channel_id or channel_id(asked.name))).light


async def _bundle(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.bundle(answer, asked.replay_id)).light


async def _message(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.message(answer, asked.channel_id, asked.index)).light


async def _messages(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.messages(answer, asked.channel_id, asked.from_index)).light


async def _proposal(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    return (await proved.proposal(answer, asked.proposal_id)).light


async def _vote(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    """Which ballot of the proposal is the last, the proposal says, which is proved as well."""
    client = proved.verifier.client
    question = GetProposalRequest(proposal_id=asked.proposal_id, height=asked.height, prove=True)
    found = await client.call(client.gov.GetProposal, question)
    if found.height != asked.height:
        raise ProofFailed(f"asked for the state after block {asked.height}, got it after {found.height}")
    await proved.proposal(found, asked.proposal_id)
    return (await proved.vote(answer, asked.proposal_id, found.proposal.ballot, asked.voter)).light


async def _record(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    value = answer.value if answer.HasField("value") else None
    if (answer.proof.height, answer.proof.value) != (answer.height, value or b""):
        raise ProofFailed("the record is not the one that its proof is of")
    return await proved.verifier.state(answer.proof, store=asked.store, key=asked.key, value=value)


async def _tx(proved: Proved, asked: Any, answer: Any) -> LightBlock:
    light = (await proved.tx(answer, asked.hash)).light
    for name in ("codespace", "log", "events"):  # by the node's word alone
        answer.ClearField(name)
    return light


# Of the state after a block, which the next header proves; then those of what is in a block for ever.
STATE: Final[dict[str, Check]] = {
    "StateService.GetAccount": _account,
    "StateService.GetIdentity": _identity,
    "StateService.GetChannel": _channel,
    "StateService.GetMessage": _message,
    "StateService.ListMessages": _messages,
    "StateService.GetBundle": _bundle,
    "StateService.GetRecord": _record,
    "GovService.GetProposal": _proposal,
    "GovService.GetVote": _vote,
}
OF_A_HEADER: Final = ("ChainService.GetCommit", "ChainService.GetBlock", "ChainService.GetValidators")
STUBS: Final = {"StateService": "state", "GovService": "gov", "TxService": "txs"}


class ProvedCalls:
    """Whichever node of ours answers is asked: all that it says is checked by headers of the one light client."""

    def __init__(self, light: LightClient, nodes: Nodes, verified: Verified, trust: Trust) -> None:
        self._light, self._nodes, self._verified, self._trust = light, nodes, verified, trust

    @staticmethod
    async def over(light: LightClient, nodes: Nodes, verified: Verified) -> ProvedCalls:
        newest = await light.newest()
        return ProvedCalls(light, nodes, verified, Trust(newest.height, newest.hash, None))

    def handlers(self) -> Iterator[tuple[str, str, Handler]]:
        """Verb, path, and what answers it: of every call of the node's door."""
        for route in routes_of(SERVICES):
            yield route.verb, route.path, self._handler(route)

    def _handler(self, route: Route) -> Handler:
        row = f"{route.method.containing_service.name}.{route.method.name}"
        kind, record = GetMessageClass(route.request), route.record
        if row not in STATE and row not in OF_A_HEADER and row != "TxService.GetTx":

            async def refuse(_: web.Request) -> web.StreamResponse:
                raise CannotProve(f"{route.verb} {route.path} has no proof: ask the node itself")

            return refuse

        async def handle(request: web.Request) -> web.StreamResponse:
            asked: Any = kind()
            decoded = False
            try:
                for name in request.query:
                    if name in route.in_path or (record is not None and name in KEY_FIELDS):
                        raise BadQuestion(f"{name}: it stands in the path already")
                    if name == DECODED:
                        decoded = bool_of(name, request.query[name])
                    else:
                        fill_text(asked, name, request.query.getall(name))
                if record is not None:
                    asked.store, asked.key = record.kind.store, record.key(request.match_info)
                else:
                    for name in route.in_path:
                        fill_text(asked, name, [request.match_info[name]])
                answer, light = await self._ask(row, route.method.name, asked)
                body = text_of(answer, decoded=decoded) if record is None else record_text(answer, record.kind.schema)
            except BadQuestion as error:
                raise BadParams(str(error)) from None
            headers = {"X-Verified-By": f"{light.height}:{light.hash.hex().upper()}"}
            return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)

        return handle

    async def _ask(self, row: str, name: str, asked: Any) -> tuple[Any, LightBlock]:
        if row in OF_A_HEADER:
            return await self._of_a_header(row, asked)
        asked.prove = True
        if row in STATE:
            asked.height = asked.height or (await self._light.update()).height - 1
            if asked.height < 1:
                raise BadQuestion("there is no state that a header proves yet")

        async def ask(node: DoorProvider) -> tuple[Any, LightBlock]:
            client = node.client
            answer: Any = await client.call(getattr(getattr(client, STUBS[row.partition(".")[0]]), name), asked)
            if row in STATE and answer.height != asked.height:
                raise ProofFailed(f"asked for the state after block {asked.height}, got it after {answer.height}")
            proved = Proved(Verifier(client, self._trust, chain_id=self._light.chain_id, light=self._light))
            return answer, await (STATE.get(row) or _tx)(proved, asked, answer)

        return await first_of(self._nodes.doors, ask)

    async def _of_a_header(self, row: str, asked: Any) -> tuple[Any, LightBlock]:
        if getattr(asked, "hash", b""):
            told = await first_of(self._nodes.doors, lambda node: node.client.block(block_hash=asked.hash))
            light = await self._light.verify_at(told.block.header.height)
            if light.hash != asked.hash:
                raise ProofFailed(f"block {asked.hash.hex()} is not of the chain")
        else:
            light = await (self._light.verify_at(asked.height) if asked.height else self._light.update())
        if row.endswith("GetCommit"):
            return pb.GetCommitResponse(light_block=types_pb2.LightBlock.FromString(light.encode())), light
        if row.endswith("GetValidators"):
            members = [member.to_proto() for member in light.validators]
            return pb.GetValidatorsResponse(height=light.height, validators=members), light
        block = await self._verified.block(light)
        made = pb.GetBlockResponse(block=block.to_proto())
        made.block_id.ParseFromString(light.commit.block_id.encode())
        return made, light
