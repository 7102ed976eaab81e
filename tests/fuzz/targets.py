"""The decoders and handlers that meet bytes of peers, clients, lying nodes and documents of others.

A target takes any bytes and may refuse them only by the errors it names: whatever else it raises is a finding. The
work of an input is counted in executed lines of the product, which no machine's load changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from chain.app_state.document import InvalidAppState, parse_app_state
from chain.state import ics23
from chain.trail.steps import NO_HASH, BlockTrail, Step
from chain.tx import messages as chain_messages
from chain.tx.envelope.tx import decode as decode_tx
from chain.tx.errors import TxError
from consensus.abci.interface import CheckTxRequest
from consensus.abci_socket.codec import decode_request, decode_response, encode_request, encode_response
from consensus.abci_socket.frames import Frames, frame
from consensus.channels.extension import decode as decode_extension
from consensus.channels.peer_messages import decode_block_sync, decode_consensus, decode_txs, encode_txs
from consensus.documents.files import parse_node_key, parse_sign_state, parse_validator_key
from consensus.documents.genesis import parse_genesis
from consensus.formats.bounds import EVIDENCE_BYTES_MIN
from consensus.formats.errors import InvalidBlock, InvalidData, InvalidFile, InvalidGenesis, Malformed
from consensus.formats.timestamps import format_rfc3339, parse_rfc3339
from consensus.p2p.conn.address import parse_address, parse_listen_address
from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.packets import decode_packet, delimited, split_delimited
from consensus.p2p.conn.secret_connection import SecretHandshake
from consensus.queries.errors import InvalidQuery
from consensus.queries.matching import Query
from consensus.types.block import Block, BlockBounds
from consensus.types.commit import SIGNATURES_MAX, Commit, ExtendedCommit
from consensus.types.evidence import decode_evidence_list
from consensus.types.light import LightBlock
from consensus.types.parts import PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote
from crypto.bech32 import InvalidAddress, decode_address, encode_address
from crypto.merkle import InvalidProof
from dchat.autopsy.errors import BadTrail
from dchat.autopsy.files import decode as decode_trail
from dchat.autopsy.files import encode as encode_trail
from dchat.autopsy.form import read_head, read_steps, read_writes
from dchat.autopsy.words import fields_of, kind_of, name_of, store_of
from dchat.client.pack import HEIGHT, InvalidPack, Pack
from dchat.client.pack_verify import verify_pack
from dchat.client.verify import ProofFailed, Trust
from dchat.doors.grpc.door import SERVICES
from dchat.doors.jsonrpc.params import Arg, from_json, from_query
from dchat.doors.jsonrpc.params import Kind as ArgKind
from dchat.doors.jsonrpc.protocol import RpcError, error_reply, read_body, requests_of
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.event_feed import parse_where
from dchat.doors.rest.calls import parsed
from dchat.doors.rest.json_form import fill, fill_text, text_of
from dchat.doors.rest.table import Route, routes_of
from dchat.upkeep.archive import unpack
from dchat.upkeep.errors import BadBackup
from proto.dchat.v1 import trail_service_pb2 as trails_pb2
from proto.tendermint.types import block_pb2
from tests.fuzz import lies

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
LINES_BASE = 4_000  # what setting up a target may cost, whatever the input
LINES_PER_BYTE = 40  # a field of two bytes becomes an object, is checked, and is written again

Run = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """`run` may raise `refusals` alone. A run of n bytes executes at most `base + per_byte * n` lines."""

    name: str
    run: Run
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]
    base: int = LINES_BASE
    per_byte: int = LINES_PER_BYTE
    bytes_max: int = 4_096
    renew: Callable[[], None] = lambda: None  # as if nothing had come before; of targets that keep a state

    def once(self, data: bytes) -> bool:
        """Whether it was taken. Raises what is a finding."""
        try:
            self.run(data)
        except self.refusals:
            return False
        return True

    def corpus(self) -> list[bytes]:
        """The seeds, and what earlier runs found."""
        kept = [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))]
        return list(dict.fromkeys([*self.seeds(), *kept]))


# ------------------------------------------------------------------------------------------------ seeds


@cache
def recorded() -> list[dict[str, Any]]:
    """Heights of a chain that CometBFT made."""
    with gzip.open(ROOT / "tests/data/recorded/four-validators/heights.jsonl.gz", "rt") as file:
        return [json.loads(line) for _, line in zip(range(12), file, strict=False)]


@cache
def blocks() -> list[bytes]:
    from consensus.documents import json as cj

    return [cj.block_from_json(raw["block"]["block"], "block").encode() for raw in recorded()[:6]]


def commits() -> list[bytes]:
    from consensus.documents import json as cj

    return [cj.commit_from_json(raw["commit"]["signed_header"]["commit"], "c").encode() for raw in recorded()[:4]]


@cache
def gossip_seeds() -> dict[int, list[bytes]]:
    from tests.support.gossip.fuzz import SEEDS

    return SEEDS


def light_blocks() -> list[bytes]:
    from consensus.types.light import SignedHeader
    from tests.support.sync.blocks import chain, commit_for, genesis

    block, state = chain(60)[3], genesis()
    return [LightBlock(SignedHeader(block.header, commit_for(state, block)), state.validators).encode()]


@cache
def world() -> Any:
    """An application with accounts, on which transactions are checked and never run."""
    from tests.support.chain.harness import Chain

    return Chain({"alice": 10**12, "bob": 10**12})


@cache
def txs() -> list[bytes]:
    chain = world()
    alice, bob = chain.address("alice"), chain.address("bob")
    made = [
        chain.tx("alice", chain_messages.Payment(alice, bob, 5)),
        chain.tx("alice", chain_messages.RegisterIdentity(alice, "alice", "")),
        chain.tx("bob", chain_messages.PostMessage(bob, bytes(32), b"hello", 0)),
        chain.tx("bob", chain_messages.CreateChannel(bob, "lobby", 5, "topic")),
        chain.tx(("alice", "bob"), chain_messages.Payment(alice, bob, 1), chain_messages.Payment(bob, alice, 1)),
    ]
    return [bytes(tx) for tx in made]


# ------------------------------------------------------------------------------------------------ what is run


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _address(data: bytes) -> None:
    text = _text(data)
    for parse in (lambda: parse_address(text, id_required=False), lambda: parse_listen_address(text)):
        try:
            found = parse()
        except P2PError:
            continue
        assert parse_address(str(found), id_required=False) == found, found
        found.group(strict=True)
        assert found.is_valid in (True, False)


def _node_info(data: bytes) -> None:
    info = NodeInfo.decode(data)
    info.validate()
    assert NodeInfo.decode(info.encode()) == info


def _packets(data: bytes) -> None:
    rest = data
    while rest:
        split = split_delimited(rest, limit=1_036, what="packet")
        if split is None:
            return
        body, rest = split
        decode_packet(body, 0, len(body))


def _handshake(data: bytes) -> None:
    ours = SecretHandshake(_KEY, bytes(32))
    half = len(data) // 2
    try:
        ours.receive_hello(data[:half])
    except P2PError:
        ours.receive_hello(HELLO)
    ours.receive_auth(data[half:])


_KEY = NodeKey.generate()
HELLO = b"\x0a\x20" + bytes(range(1, 33))


def _consensus(data: bytes) -> None:
    message = decode_consensus(data)
    assert decode_consensus(message.encode()) == message


def _block(data: bytes) -> None:
    block = Block.decode(data)
    block.validate()
    encoded = block.encode()
    bounds = BlockBounds(len(encoded), SIGNATURES_MAX, tx_bytes_min=0)
    assert Block.decode(encoded, bounds=bounds).hash == block.hash  # what is valid is within bounds
    assert PartSet.from_bytes(block.encode()).is_complete


_BOUNDS = BlockBounds(evidence_bytes=1_000, signatures=4, tx_bytes_min=3)


def _bounds(data: bytes) -> None:
    """What is counted on the bytes is what the library then makes of them."""
    _BOUNDS.check(data)
    try:
        block = block_pb2.Block.FromString(data)
    except DecodeError:
        return
    assert len(block.last_commit.signatures) <= _BOUNDS.signatures
    assert all(len(tx) >= _BOUNDS.tx_bytes_min for tx in block.data.txs)
    assert EVIDENCE_BYTES_MIN * len(block.evidence.evidence) <= _BOUNDS.evidence_bytes


def _commit(data: bytes) -> None:
    Commit.decode(data).validate()


def _extended_commit(data: bytes) -> None:
    ExtendedCommit.decode(data).commit().validate()


def _vote(data: bytes) -> None:
    vote = Vote.decode(data)
    vote.validate()
    vote.sign_bytes("chain")


def _proposal(data: bytes) -> None:
    proposal = Proposal.decode(data)
    proposal.validate()
    proposal.sign_bytes("chain")


def _evidence(data: bytes) -> None:
    for item in decode_evidence_list(data):
        item.validate()
        assert len(item.hash) == 32


def _light_block(data: bytes) -> None:
    block = LightBlock.decode(data)
    block.validate(block.header.chain_id)


def _validators(data: bytes) -> None:
    found = ValidatorSet.decode(data)
    assert len(found.hash) == 32
    found.increment()


def _abci(data: bytes) -> None:
    """What an engine asks, then what an application answers; each as it comes, and again as we write it."""
    for message in Frames(bytes_max=4_096).feed(data):
        for decode, encode in ((decode_request, encode_request), (decode_response, encode_response)):
            try:
                call = decode(message)
            except InvalidData:
                continue
            assert decode(encode(call)) == call, call


def _abci_seeds() -> list[bytes]:
    path = ROOT / "tests" / "consensus" / "abci_socket" / "vectors" / "cometbft-0.38.26.json"
    recorded_calls = json.loads(path.read_text())
    texts = [text for kind in ("requests", "responses") for found in recorded_calls[kind].values() for text in found]
    return [frame(bytes.fromhex(text)) for text in texts]


def _tx(data: bytes) -> None:
    decode_tx(data)


def _check_tx(data: bytes) -> None:
    app = world().app
    app.identify_tx(data)
    app.signature_checks([data])
    app.check_tx(CheckTxRequest(data))


def _genesis(data: bytes) -> None:
    document = parse_genesis(data, default_time_ns=0)
    parse_app_state(document.app_state)


def _proof(data: bytes) -> None:
    ics23.decode(data, ics23.SMT)


def _pack(data: bytes) -> None:
    """By somebody who trusts whatever block the file begins with: so that the rest of it is judged too."""
    pack = Pack.decode(data)
    assert Pack.decode(pack.encode()) == pack
    digest, fields = pack.headers[0].shown.fold()
    height = fields.get(HEIGHT, b"\x08\x01")[-1]  # of the seeds, one byte
    verify_pack(pack, height=height, block_hash=digest)


def _documents(data: bytes) -> None:
    for parse in (parse_node_key, parse_validator_key, parse_sign_state):
        try:
            parse(data)
        except (InvalidData, InvalidFile):
            continue


def _backup(data: bytes) -> None:
    from tests.support.node.backups import Nowhere

    sink = Nowhere()
    facts = unpack(io.BytesIO(data), sink, bytes_max=BACKUP_ROOM)
    assert sum(sink.sizes.values()) <= BACKUP_ROOM
    assert not facts.bytes or sum(sink.sizes.values()) <= facts.bytes


def _trail(data: bytes) -> None:
    """What a peer, or a file of another home, tells of a block: a head, steps, writes; what is shown of a record."""
    kind, body = (data[0] % 4, data[1:]) if data else (0, b"")
    if kind == 3:
        decode_trail(body)
        return
    message = (trails_pb2.TrailHead, trails_pb2.ListTrailStepsResponse, trails_pb2.ListTrailWritesResponse)[kind]()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return
    if isinstance(message, trails_pb2.TrailHead):
        read_head(message)
    elif isinstance(message, trails_pb2.ListTrailStepsResponse):
        read_steps(message.steps, first=0, count=message.count)
    else:
        for key, value in read_writes(message.writes, "here").items():
            store_of(key), kind_of(key), name_of(key)
            fields_of(key, value or b"")


def _trail_seeds() -> list[bytes]:
    head = trails_pb2.TrailHead(height=7, block_hash=b"h" * 32, app_hash=b"a" * 32, roots=[b"r" * 32] * 3)
    begin = trails_pb2.TrailStep(stores=[b"s" * 32] * 3)
    tx = trails_pb2.TrailStep(tx=b"t" * 32, gas_used=5, result=b"r" * 32, stores=[b"s" * 32] * 3)
    end = trails_pb2.TrailStep(result=b"r" * 32, stores=[b"s" * 32] * 3)
    steps = trails_pb2.ListTrailStepsResponse(trail=head, count=3, steps=[begin, tx, end])
    writes = trails_pb2.ListTrailWritesResponse(
        writes=[
            trails_pb2.TrailWrite(key=b"Ur1", deleted=True),
            trails_pb2.TrailWrite(key=b"ua" + bytes(20), value=b"\x0a\x14" + bytes(20) + b"\x10\x05"),
        ]
    )
    step = Step(b"", 0, 0, b"", (NO_HASH,) * 3, {})
    last = Step(b"", 0, 0, b"r" * 32, (NO_HASH,) * 3, {})
    file = encode_trail(BlockTrail(7, b"h" * 32, b"a" * 32, {}, (step, last)))
    parts = [head.SerializeToString(), steps.SerializeToString(), writes.SerializeToString(), file]
    return [bytes([kind]) + part for kind, part in enumerate(parts)]


BACKUP_ROOM = 1 << 20  # also of what a packed one unpacks to


@cache
def _routes() -> tuple[Route, ...]:
    return routes_of(SERVICES)


def _rest(data: bytes) -> None:
    """A request under /v1, of the call that the first byte picks: what is taken is written and read again."""
    route = _routes()[data[0] % len(_routes())] if data else _routes()[0]
    asked, again = GetMessageClass(route.request)(), GetMessageClass(route.request)()
    if route.verb == "POST":
        fill(asked, parsed(data[1:]))
    else:
        name, _, value = _text(data[1:]).partition("=")
        fill_text(asked, name, value.split("&"))
    told = parsed(text_of(asked))
    assert told == parsed(text_of(asked, decoded=True)) or route.verb == "POST"
    fill(again, told)
    assert again == asked


RPC_ARGS = (
    Arg("height", ArgKind.INT64), Arg("chunk", ArgKind.UINT), Arg("prove", ArgKind.BOOL), Arg("query", ArgKind.TEXT),
    Arg("tx", ArgKind.BYTES), Arg("data", ArgKind.HEX), Arg("evidence", ArgKind.EVIDENCE),
)  # fmt: skip


def _json_rpc(data: bytes) -> None:
    """A body of JSON-RPC, or the query of a URI call: what is taken is of its kind."""
    if data[:1] == b"?":
        fields = dict(part.partition("=")[::2] for part in _text(data[1:]).split("&"))
        given = from_query(RPC_ARGS, lambda name: fields.get(name, ""))
    else:
        for request in requests_of(read_body(data), 10):
            parsed(error_reply(request.id, RpcError(-32603, request.method)))
            given = from_json(RPC_ARGS, request.params)
            assert given["height"] is None or abs(given["height"]) < 2**64
            if given["query"]:
                _query(given["query"].encode(errors="replace"))


def _query(data: bytes) -> None:
    """A query of events: what is taken is written, and read again as the same, and can be asked."""
    with contextlib.suppress(InvalidQuery):
        query = Query.parse(_text(data))
        assert Query.parse(str(query), bytes_max=4_096) == query
        query.matches({"a.b": ["1", "x", "2026-11-29"], "tm.event": ["Tx"]})


def _texts(data: bytes) -> None:
    text = _text(data)
    for parse, refused in (
        (decode_address, InvalidAddress),
        (lambda text: format_rfc3339(parse_rfc3339(text)), ValueError),
        (parse_where, ValueError),
        (Trust.parse, ValueError),
    ):
        try:
            parse(text)  # type: ignore[operator]
        except refused:  # type: ignore[misc]
            continue


# ------------------------------------------------------------------------------------------------ handlers


class _Handlers:
    """Reactors as they stand in a node, of one peer that sends what it likes; made anew now and then."""

    RUNS = 400

    def __init__(self) -> None:
        self._left = 0
        self._loop = asyncio.new_event_loop()

    def renew(self) -> None:
        from tests.support.gossip.fuzz import CHANNELS, reactors
        from tests.support.gossip.network import FakePeer

        self._targets = reactors()
        self.channels = sorted(self._targets)
        self._peer = FakePeer("a" * 40, CHANNELS)
        for reactor in dict.fromkeys(self._targets.values()):
            reactor.add_peer(self._peer)
        self._left = self.RUNS

    def __call__(self, data: bytes) -> None:
        """Messages one after the other: a channel's number, two bytes of length, the message."""
        if self._left <= 0:
            self.renew()
        self._left -= 1
        while len(data) > 3:
            channel, size = self.channels[data[0] % len(self.channels)], int.from_bytes(data[1:3], "big")
            message, data = data[3 : 3 + size], data[3 + size :]
            try:
                self._targets[channel].receive(channel, self._peer, message)
            except PeerFault:
                self._left = 0
                return

    def seeds(self) -> list[bytes]:
        self.renew()
        return [
            bytes([self.channels.index(channel)]) + len(message).to_bytes(2, "big") + message
            for channel, messages in gossip_seeds().items()
            for message in messages
            if len(message) < 65_536
        ]


_handlers = _Handlers()


def _of_ml_dsa(name: str) -> list[bytes]:
    """What CometBFT made with keys of ML-DSA-65, by its name in tests/data/ml-dsa-65."""
    file = Path(__file__).parents[1] / "data" / "ml-dsa-65" / "cometbft.json.gz"
    told = json.loads(gzip.decompress(file.read_bytes()))[name]
    return [bytes.fromhex(one) for one in ([told] if isinstance(told, str) else told)]


def _vote_seeds() -> list[bytes]:
    from consensus.types.ids import BlockID, PartSetHeader

    block_id = BlockID(b"h" * 32, PartSetHeader(2, b"p" * 32))
    return [Vote(2, 1, 0, block_id, 5, b"a" * 20, 2, b"s" * 64).encode(), *_of_ml_dsa("votes")]


def _proposal_seeds() -> list[bytes]:
    from consensus.types.ids import BlockID, PartSetHeader

    block_id = BlockID(b"h" * 32, PartSetHeader(2, b"p" * 32))
    return [Proposal(1, 0, -1, block_id, 5, b"s" * 64).encode(), *_of_ml_dsa("proposal")]


def _validator_seeds() -> list[bytes]:
    from tests.support.gossip.fakes import validators

    return [validators(4).encode(), *_of_ml_dsa("set")]


def _extended_seeds() -> list[bytes]:
    return [b"\x08\x04", *commits(), *_of_ml_dsa("extended_commit")]


def _genesis_seeds() -> list[bytes]:
    from genesis.app_state import GenesisStake
    from genesis.build import build_genesis

    made = build_genesis(
        chain_id="c", time_ns=10**18, stakes=[GenesisStake(bytes(19) + b"\1", bytes(31) + b"\1", 10**9, "m")],
        balances={bytes(19) + b"\2": 5},
    )  # fmt: skip
    return [made.dumps().encode()]


def _info_seeds() -> list[bytes]:
    return [NodeInfo("a" * 40, "tcp://1.2.3.4:26656", "chain", "0.38.0", bytes((0, 32, 33, 64)), "moniker").encode()]


def _address_seeds() -> list[bytes]:
    ours = "a" * 40
    texts = (
        f"{ours}@1.2.3.4:26656", f"tcp://{ours}@[2001:db8::1]:1", f"/ip4/1.2.3.4/tcp/1/p2p/{ours}",
        "/dns4/validator1.example.org/tcp/26656", "0.0.0.0:0", f"{ours}@a.b-c.example:65535",
    )  # fmt: skip
    return [text.encode() for text in texts]


def _proof_seeds() -> list[bytes]:
    from tests.support.state.proofs import HELD

    return [op.data for op in HELD.ops]


def _pack_seeds() -> list[bytes]:
    from tests.support.cli.pack_world import packs

    return [pack.data for pack in packs().values() if len(pack.data) < 4_096]


def _text_seeds() -> list[bytes]:
    texts = (encode_address(bytes(20)), "2026-11-28T14:00:00.123456789Z", "type=transfer", f"12:{'ab' * 32}")
    return [text.encode() for text in texts]


def _json_rpc_seeds() -> list[bytes]:
    vote = {"type": 2, "height": "3", "round": 0, "timestamp": "2026-11-29T00:00:00Z"}
    evidence = {"type": "tendermint/DuplicateVoteEvidence", "value": {"vote_a": vote, "vote_b": vote}}
    params = {"height": "5", "chunk": "0", "prove": True, "query": "tm.event = 'Tx' AND a.b >= 1", "tx": "AA==",
              "data": "00ff", "evidence": evidence}  # fmt: skip
    return [
        json.dumps({"jsonrpc": "2.0", "id": 1.9, "method": "block", "params": params}).encode(),
        json.dumps([{"id": "x", "method": "health", "params": {}}, {"method": "notification"}]).encode(),
        b'{"id":1,"method":"abci_query","params":["5","0",true,"q","AA==","00",null]}',
        b'?height="5"&chunk=0&prove=true&query="a.b EXISTS"&tx="raw"&data=0x00ff',
    ]


def _query_seeds() -> list[bytes]:
    return [
        b"tm.event = 'Tx' AND transfer.amount >= 7 AND tx.height < 100",
        b"a.b CONTAINS 'x' AND c EXISTS AND d.e > TIME 2026-11-29T00:00:00Z AND f.g = DATE 2026-11-29 AND h.i = 1.5",
    ]


def _rest_seeds() -> list[bytes]:
    places = {f"{route.method.name} {route.path}": bytes([number]) for number, route in enumerate(_routes())}
    body = b'{"chain_id":"c","lane":3,"messages":[{"payment":{"amount":"5"}}],"signers":[{"address":"00"}],"fee":7}'
    whole = b'{"tx":{"body":' + body + b',"signatures":[{"public_key":"aa"}]},"wait":"WAIT_COMMIT","durable":true}'
    return [
        places["Broadcast /v1/txs"] + whole,
        places["BroadcastMany /v1/txs/batch"] + b'{"txs":["00","0a"]}',
        places["GetAccount /v1/accounts/{address}"] + b"address=" + encode_address(bytes(20)).encode(),
        places["GetBlock /v1/blocks/{height}"] + b"height=12",
        places["ListProposals /v1/proposals"] + b"status=PROPOSAL_STATUS_VOTING",
    ]


def _document_seeds() -> list[bytes]:
    folder = ROOT / "tests/data/files"
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))] + [b'{"height":"0","round":0,"step":0}']


def _backup_seeds() -> list[bytes]:
    from tests.support.node.backups import a_file, crafted

    files = [a_file("app/000005.ldb", b"content"), a_file("state/CURRENT", b"x"), a_file("blocks/000003.log", b"")]
    return [crafted(*files, b"end\n", packed=packed).getvalue() for packed in (True, False)] + [
        crafted(b"app/x 9\n").getvalue()
    ]


def _of(*channels: int) -> Callable[[], list[bytes]]:
    return lambda: [data for channel in channels for data in gossip_seeds()[channel] if len(data) < 8_192]


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("abci", _abci, (InvalidData,), _abci_seeds, per_byte=120),
        Target("address", _address, (), _address_seeds),
        Target("node_info", _node_info, (P2PError,), _info_seeds),
        Target("packets", _packets, (P2PError,), lambda: [delimited(bytes.fromhex("1a07082010011a01aa"))]),
        Target("handshake", _handshake, (P2PError,), lambda: [HELLO + HELLO], base=60_000),
        Target("consensus", _consensus, (InvalidData,), _of(0x20, 0x21, 0x22, 0x23)),
        Target("block_sync", decode_block_sync, (InvalidData,), _of(0x40)),
        Target("mempool", lambda data: decode_txs(data, bytes_max=65_536), (InvalidData,), lambda: [
            encode_txs(txs()[:2])
        ]),
        Target("extension", decode_extension, (PeerFault,), _of(0x70)),
        Target("evidence", _evidence, (InvalidData,), _of(0x38)),
        Target("block", _block, (InvalidData,), blocks, bytes_max=16_384),
        Target("bounds", _bounds, (InvalidBlock, Malformed), blocks),
        Target("commit", _commit, (InvalidData,), lambda: [*commits(), *_of_ml_dsa("commit")]),
        Target("extended_commit", _extended_commit, (InvalidData,), _extended_seeds),
        Target("vote", _vote, (InvalidData,), _vote_seeds),
        Target("proposal", _proposal, (InvalidData,), _proposal_seeds),
        Target("light_block", _light_block, (InvalidData,), light_blocks),
        Target("validators", _validators, (InvalidData,), _validator_seeds),
        Target("tx", _tx, (TxError,), txs),
        Target("check_tx", _check_tx, (), txs, base=20_000),
        Target("genesis", _genesis, (InvalidData, InvalidGenesis, InvalidAppState), _genesis_seeds, bytes_max=16_384),
        Target("proof", _proof, (InvalidProof,), _proof_seeds),
        Target("proof_ops", lies.prove, (ValueError,), lies.honest_proofs),
        Target("answers", lies.ask, (ProofFailed,), lies.honest_answers),
        Target("pack", _pack, (InvalidPack,), _pack_seeds),
        Target("backup", _backup, (BadBackup,), _backup_seeds, base=40_000),
        Target("trail", _trail, (BadTrail,), _trail_seeds, base=20_000),
        Target("documents", _documents, (), _document_seeds),
        Target("rest", _rest, (BadQuestion,), _rest_seeds),
        Target("texts", _texts, (BadQuestion,), _text_seeds),
        Target("json_rpc", _json_rpc, (RpcError,), _json_rpc_seeds),
        Target("query", _query, (), _query_seeds),
        Target("handlers", _handlers, (), _handlers.seeds, base=200_000, per_byte=120, bytes_max=16_384,
               renew=_handlers.renew),
    )
}  # fmt: skip
