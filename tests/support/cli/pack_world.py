"""A small chain with real transactions, headers and commits, and a node of it, for proof packs.

`python -m tests.support.cli.pack_world` writes the vectors that every verifier is given: tests/data/proof-packs.json.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from chain.tx.envelope.build import Seat, Shared, build_body, sign_body
from chain.tx.envelope.tx import decode, sign_hash
from chain.tx.messages import (
    KIND_OF,
    LANE_BRIDGE,
    LANE_CHAT,
    CreateChannel,
    Message,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from chain.tx.messages.escrow import EscrowReference, OpenEscrow, OpenSharedEscrow, ReleaseEscrow
from chain.tx.messages.payments import Denom, FreezeHolding, PayDenomination, RequestPayment
from consensus.state.results import ExecTxResult, result_proof, results_hash
from consensus.types.commit import Commit, CommitSig
from consensus.types.header import Header
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto import merkle
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from dchat.client.client import Client, NotFound
from dchat.client.pack import MAGIC, Pack, PackHeader, PackTx, Shown
from dchat.client.pack_make import Made, make_pack, vouch_of
from dchat.client.pack_verify import verify_pack
from dchat.client.verify import Trust, Verifier
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2, tx_pb2
from proto.tendermint.types import types_pb2
from tests.support.chain.harness import CHAIN_ID, Chain, wallet
from tests.support.chain.keys import rotation, shared, signed

VECTORS: Final = Path(__file__).parents[2] / "data" / "proof-packs.json"
LOBBY: Final = channel_id("lobby")
KEYS: Final = [Ed25519PrivKey.from_seed(sha256(b"pack validator %d" % number)) for number in range(4)]
POSTED: Final = 5  # the height of message 0 of the lobby
CHANGED: Final = 8  # from the next height on another set is in force
HEIGHT: Final = 40
START_S: Final = 1_700_000_000
DCHAT: Final = 1_000_000
TEAM: Final = shared(2, "ann", "ben", "cyd")
PLACES: Final = {0: POSTED, 1: 6, 2: 6, 3: 6, 4: 7, 5: 9}  # of the lobby's messages
TIPPED: Final = "a post with a tip"


class World:
    """Blocks 1 to HEIGHT. hashes: of the story's transactions, by name."""

    def __init__(self) -> None:
        self.headers: dict[int, Header] = {}
        self.lights: dict[int, LightBlock] = {}
        self.txs: dict[int, tuple[bytes, ...]] = {}
        self.results: dict[int, tuple[ExecTxResult, ...]] = {}
        self.hashes: dict[str, bytes] = {}
        self._sets = {False: _set(10, 10, 10, 10), True: _set(30, 10, 10, 10)}
        self.chain = Chain({"alice": 10**9, "bob": 10**9})
        self._next = BlockID()
        for height in range(1, HEIGHT + 1):
            self._add(height, self._story(height))

    def _story(self, height: int) -> dict[str, bytes]:
        chain, (alice, bob) = self.chain, (self.chain.address("alice"), self.chain.address("bob"))
        if height == 1:
            register = RegisterIdentity
            return {
                "alice": chain.tx("alice", register(alice, "alice", "")),
                "bob": chain.tx("bob", register(bob, "bob", "")),
            }
        if height == 2:
            return {
                "channel": chain.tx("alice", CreateChannel(alice, "lobby", 5 * DCHAT, "")),
                "funds": chain.tx("alice", Payment(alice, TEAM.address, 90 * DCHAT)),
            }
        if height == 3:
            return {"team": signed(chain, TEAM, "ann ben", RegisterIdentity(TEAM.address, "team", ""))}
        if height == 4:
            return {
                "join": chain.tx("bob", PayToJoin(bob, LOBBY, 5 * DCHAT)),
                "team joins": signed(chain, TEAM, "ann ben", PayToJoin(TEAM.address, LOBBY, 5 * DCHAT)),
            }
        if height == POSTED:
            payments = {f"payment {n}": chain.tx("alice", Payment(alice, bob, n + 1)) for n in range(3)}
            return {
                **payments,
                "post": chain.tx("bob", PostMessage(bob, LOBBY, b"hello", 0)),
                "failed": chain.tx("alice", Tip(alice, LOBBY, 99, 1)),
            }
        if height == 6:  # a bundle that pays and posts, and one that posts twice
            return {
                "bundle": chain.tx(("bob", "alice"), Payment(bob, alice, 7), PostMessage(alice, LOBBY, b"\xff", 1)),
                "twice": chain.tx("bob", PostMessage(bob, LOBBY, b"one", 0), PostMessage(bob, LOBBY, b"two", 0)),
            }
        if height == 7:
            return {
                "team posts": signed(chain, TEAM, "ann cyd", PostMessage(TEAM.address, LOBBY, b"we", 0)),
                "rotation": chain.tx("bob", rotation(bob, wallet("bob-2").policy, ["bob-2"])),
            }
        if height == 9:
            changed = Shared(wallet("bob-2").policy, address=bob)
            post = PostMessage(bob, LOBBY, b"still me", 0)
            return {"after": signed(chain, changed, "bob-2", post, with_policy=False)}
        if height == 30:
            return {"tip": chain.tx("alice", Tip(alice, LOBBY, 0, DCHAT))}
        return {}

    def _add(self, height: int, named: dict[str, bytes]) -> None:
        txs = tuple(named.values())
        self.hashes |= {name: sha256(tx) for name, tx in named.items()}
        results = tuple(self.chain.block(*txs).tx_results)
        assert all((result.code == 0) == (name != "failed") for name, result in zip(named, results, strict=True))
        before = self.results.get(height - 1, ())
        header = Header(
            chain_id=CHAIN_ID, height=height, time_ns=(START_S + height) * 10**9 + 5, last_block_id=self._next,
            last_commit_hash=sha256(b"last commit %d" % height), data_hash=merkle.root([sha256(tx) for tx in txs]),
            validators_hash=self._set_at(height).hash, next_validators_hash=self._set_at(height + 1).hash,
            consensus_hash=sha256(b"params"), app_hash=sha256(b"app %d" % height),
            last_results_hash=results_hash(before), evidence_hash=merkle.root([]),
            proposer_address=KEYS[0].pub_key.address,
        )  # fmt: skip
        self.headers[height], self.txs[height], self.results[height] = header, txs, results
        self._next = BlockID(header.hash, PartSetHeader(1, sha256(b"parts %d" % height)))
        self.lights[height] = LightBlock(SignedHeader(header, self._commit(header, self._next)), self._set_at(height))

    def _set_at(self, height: int) -> ValidatorSet:
        return self._sets[height > CHANGED]

    def _commit(self, header: Header, block_id: BlockID) -> Commit:
        slots = []
        for number, validator in enumerate(self._set_at(header.height)):
            time_ns = header.time_ns + number
            key = next(key for key in KEYS if key.pub_key == validator.pub_key)
            vote = Vote(PRECOMMIT, header.height, 1, block_id, time_ns, validator.address, number)
            slots.append(CommitSig(2, validator.address, time_ns, key.sign(vote.sign_bytes(CHAIN_ID))))
        return Commit(header.height, 1, block_id, tuple(slots))

    def root(self, height: int) -> Trust:
        return Trust(height, self.headers[height].hash, None)


def _set(*powers: int) -> ValidatorSet:
    return ValidatorSet.new((key.pub_key, power) for key, power in zip(KEYS, powers, strict=True))


@cache
def world() -> World:
    return World()


class FakeNode:
    """Answers as a node of the world does, honestly."""

    address = "the fake node"

    def __init__(self, story: World) -> None:
        self.world = story

    async def message(self, channel: bytes, index: int) -> pb.GetMessageResponse:
        answer = pb.GetMessageResponse(height=HEIGHT)
        where = PLACES.get(index)
        if channel == LOBBY and where:
            answer.message.height = where
        return answer

    async def block_results(self, height: int) -> pb.GetBlockResultsResponse:
        answer = pb.GetBlockResultsResponse(height=height)
        for tx, result in zip(self.world.txs[height], self.world.results[height], strict=True):
            answer.results.add(hash=sha256(tx), code=result.code, data=result.data)
        return answer

    async def commit(self, height: int) -> pb.GetCommitResponse:
        if height not in self.world.lights:
            raise NotFound(f"there is no block {height}")
        return pb.GetCommitResponse(light_block=_light(self.world.lights[height]))

    async def tx(self, tx_hash: bytes, *, prove: bool = False) -> pb.GetTxResponse:
        for height, txs in self.world.txs.items():
            hashes = [sha256(tx) for tx in txs]
            if tx_hash in hashes:
                return self._tx(height, hashes.index(tx_hash), hashes)
        raise NotFound("no such transaction")

    def _tx(self, height: int, index: int, hashes: list[bytes]) -> pb.GetTxResponse:
        story, results = self.world, self.world.results[height]
        result = results[index]
        return pb.GetTxResponse(
            hash=hashes[index], height=height, index=index, tx=story.txs[height][index], code=result.code,
            data=result.data, gas_wanted=result.gas_wanted, gas_used=result.gas_used,
            proof=types_pb2.TxProof(proof=merkle.proofs(hashes)[1][index].to_proto()),
            light_block=_light(story.lights[height]), result_proof=result_proof(results, index).to_proto(),
            result_light_block=_light(story.lights[height + 1]),
        )  # fmt: skip


def _light(block: LightBlock) -> types_pb2.LightBlock:
    return types_pb2.LightBlock.FromString(block.encode())


def verifier(node: FakeNode | None = None, *, root: int = 1) -> Verifier:
    client = cast(Client, node or FakeNode(world()))
    return Verifier(client, world().root(root), chain_id=CHAIN_ID, now_ns=lambda: (START_S + 10**6) * 10**9)


def made(index: int = 0, *, paid: tuple[str, ...] = (), begin: int = 0, tx: str = "") -> Made:
    """A pack of the world."""
    hashes = world().hashes
    work = make_pack(
        verifier(), LOBBY, index, tx_hash=hashes[tx] if tx else b"", paid=[hashes[name] for name in paid], begin=begin
    )
    return asyncio.run(work)


def packs() -> dict[str, Made]:
    """One of each way that a pack can go."""
    return {
        "a post, the next block trusted": made(),
        "a post, a block far above trusted": made(begin=14),
        "a post, a block far below trusted": made(begin=1),
        "a post, its own block trusted": made(begin=POSTED),
        TIPPED: made(paid=("tip",)),
        "a post with what joining cost and a tip": made(paid=("join", "tip")),
        "the same, from a block between": made(paid=("join", "tip"), begin=12),
        "a bundle that pays and posts, answering": made(1),
        "the second of two in one transaction": made(3),
        "by two of three keys": made(4),
        "by a key that took another's place": made(5),
        "a payment that the chain does not tie to it": made(paid=("payment 1",)),
    }


def vectors() -> list[dict[str, Any]]:
    """Of each pack what it shows; then files that must be refused."""
    found = []
    for name, pack in packs().items():
        trust = str(Trust(pack.begins.height, pack.begins.hash, None))
        found.append({"name": name, "trust": trust, "file": pack.data.hex(), "shown": digest(pack.shown)})
    whole = packs()[TIPPED]
    trust = str(Trust(whole.begins.height, whole.begins.hash, None))
    refused = [(name, trust, data) for name, data in lies(whole.data).items()]
    refused.append(("another block trusted", f"{whole.begins.height}:{'00' * 32}", whole.data))
    refused.append(("another height trusted", f"7:{whole.begins.hash.hex()}", whole.data))
    for name, said, data in refused:
        splice = splice_of(whole.data, data)
        found.append({"name": name, "trust": said, "like": TIPPED, "splice": splice, "shown": None})
    for name, (said, data) in forgeries().items():
        shown = None
        if name in HONEST:
            root = Trust.parse(said)
            shown = digest(verify_pack(Pack.decode(data), height=root.height, block_hash=root.hash or b""))
        found.append({"name": f"forged: {name}", "trust": said, "file": data.hex(), "shown": shown})
    return found


def splice_of(old: bytes, new: bytes) -> tuple[int, int, str]:
    """(from where, how many bytes go, what comes instead): what makes one file of another."""
    at = next((place for place, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - at
    same = next((n for n in range(rest) if old[len(old) - 1 - n] != new[len(new) - 1 - n]), rest)
    return at, len(old) - same - at, new[at : len(new) - same].hex()


def digest(shown: Any) -> dict[str, Any]:
    """What a verifier in any language has to say, as plain JSON. Numbers that may pass 2**53 are text."""
    return {
        "chain_id": shown.chain_id,
        "channel_id": shown.channel_id.hex(),
        "index": str(shown.index),
        "author": shown.author.hex(),
        "content": shown.content.hex(),
        "reply_to": str(shown.reply_to - 1) if shown.reply_to else None,
        "height": str(shown.height),
        "time_ns": str(shown.time_ns),
        "keys": [key.hex() for key in shown.keys],
        "own_key": shown.own_key,
        "txs": [
            {
                "hash": tx.hash.hex(), "height": str(tx.height), "position": tx.position,
                "fee_payer": tx.fee_payer.hex(), "fee": str(tx.fee),
                "legs": [
                    {"kind": leg.kind, "amount": str(leg.amount), "payer": leg.payer.hex(), "why": leg.why}
                    | ({} if leg.unit == b"" else {"unit": leg.unit.hex() if leg.unit is not None else None})
                    for leg in tx.legs
                ],
            }
            for tx in shown.txs
        ],
        "links": shown.links,
        "commits": shown.commits,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ lies


def lies(data: bytes) -> dict[str, bytes]:
    """Files made of an honest one with a tip, all of which must be refused by whoever trusts the honest one's block."""
    pack = Pack.decode(data)
    return {
        **_lies_of_bytes(data, pack),
        **_lies_of_headers(data, pack),
        **_lies_of_commits(pack),
        **_lies_of_txs(pack),
    }


def _lies_of_bytes(data: bytes, pack: Pack) -> dict[str, bytes]:
    at, post = len(MAGIC) + 20, pack.txs[0]
    return {
        "nothing": b"",
        "the magic alone": data[: len(MAGIC)],
        "of a later form": data[: len(MAGIC) - 1] + b"\x02" + data[len(MAGIC) :],
        "a byte short": data[:-1],
        "a byte behind the end": data + b"\x00",
        "the index not in its shortest form": data[:at] + b"\x80\x00" + data[at + 1 :],
        "an index of ten bytes": data[:at] + b"\xff" * 9 + b"\x01" + data[at + 1 :],
        "another index": replace(pack, index=1).encode(),
        "another channel": replace(pack, channel_id=bytes(20)).encode(),
        "no header": data[: at + 1] + b"\x00",
        "more headers than there may be": data[: at + 1] + b"\x81\x08" + data[at + 2 :],
        "fewer headers than it says": data[: at + 1] + bytes([len(pack.headers) + 1]) + data[at + 2 :],
        "no transaction": replace(pack, txs=()).encode(),
        "too many transactions": replace(pack, txs=(post,) * 10).encode(),
    }


def _with_header(pack: Pack, place: int, **changes: Any) -> bytes:
    changed = [header._replace(**changes) if n == place else header for n, header in enumerate(pack.headers)]
    return replace(pack, headers=tuple(changed)).encode()


def _signed(pack: Pack) -> int:
    """The place of the first header that is known by a commit."""
    return next(place for place, header in enumerate(pack.headers) if header.vouch)


def _lies_of_headers(data: bytes, pack: Pack) -> dict[str, bytes]:
    headers, block, signed, lights = pack.headers, pack.txs[0].block, _signed(pack), world().lights
    heights = _heights(pack)

    def with_header(place: int, **changes: Any) -> bytes:
        return _with_header(pack, place, **changes)

    def hidden(place: int, field: int) -> bytes:
        """Without a field that is needed."""
        fields = [n for n in range(14) if headers[place].shown.mask >> n & 1 and n != field]
        return with_header(place, shown=Shown.of(lights[heights[place]].header, *fields))

    return {
        "a header known in a third way": _changed(data, b"\x01\x00" + _mask(headers[block]), b"\x03"),
        "a header that hangs on itself": with_header(block, parent=block),
        "a header that shows nothing": with_header(block, shown=Shown(0, headers[block].shown.nodes[:1])),
        "a header of fifteen fields": _changed(data, b"\x01\x00" + _mask(headers[block]), b"\x01\x00\x40"),
        "a link to another block": with_header(block, shown=Shown.of(lights[3].header, 3, 6)),
        "a block that does not show its transactions": hidden(block, 6),
        "a block that does not show its time": hidden(block, 3),
        "a block that does not show its results": hidden(0, 11),
        "a trusted block that does not show its height": hidden(0, 2),
        "a trusted block that does not show its chain": hidden(0, 1),
        "a block that names no next validators": hidden(0, 8),
        "a commit whose block does not show its height": hidden(signed, 2),
        "a commit whose block does not show its validators": hidden(signed, 7),
    }


def _lies_of_commits(pack: Pack) -> dict[str, bytes]:
    headers, signed, lights = pack.headers, _signed(pack), world().lights
    vouch = headers[signed].vouch
    assert vouch is not None
    one, *rest = vouch.signatures
    lower = PackHeader(0, vouch_of(lights[3]), Shown.of(lights[3].header, 2, 7))
    skipping = PackHeader(0, vouch_of(lights[20]), Shown.of(lights[20].header, 2, 7))

    def with_vouch(**changes: Any) -> bytes:
        return _with_header(pack, signed, vouch=vouch._replace(**changes))

    return {
        "too few signatures": with_vouch(signatures=tuple(rest)),
        "a signature twice": with_vouch(signatures=(one, one, *rest)),
        "a signature of another's": with_vouch(signatures=(one._replace(signature=rest[0].signature), *rest)),
        "a signature of another time": with_vouch(signatures=(one._replace(nanos=9), *rest)),
        "a signature by nobody": with_vouch(signatures=(*vouch.signatures[:-1], one._replace(position=4))),
        "a nanosecond too many": with_vouch(signatures=(one._replace(nanos=10**9), *rest)),
        "of another round": with_vouch(round=0),
        "of other parts": with_vouch(parts_hash=bytes(32)),
        "of no parts": with_vouch(parts_total=0),
        "more power than the set has": with_vouch(validators=((vouch.validators[0][0], 99), *vouch.validators[1:])),
        "another set": with_vouch(validators=tuple(reversed(vouch.validators))),
        "nobody's set": with_vouch(validators=(), signatures=()),
        "nobody's signature": with_vouch(signatures=()),
        "over a change of validators": replace(pack, headers=(*headers, skipping)).encode(),
        "a commit that goes down": replace(pack, headers=(*headers, lower)).encode(),
    }


def _lies_of_txs(pack: Pack) -> dict[str, bytes]:
    headers, (post, tip), other = pack.headers, pack.txs, world().txs[6][0]

    def with_post(**changes: Any) -> bytes:
        return replace(pack, txs=(post._replace(**changes), tip)).encode()

    return {
        "another side": with_post(path=post.path ^ 1),
        "a side too many": with_post(path=1 << len(post.aunts)),
        "a shorter path": with_post(aunts=post.aunts[1:], outcome_aunts=post.outcome_aunts[1:], path=0),
        "another transaction": with_post(tx=other),
        "another result": with_post(outcome=tip.outcome),
        "a result of more gas": with_post(outcome=post.outcome[:-1] + bytes([post.outcome[-1] ^ 1])),
        "another path": with_post(aunts=post.outcome_aunts),
        "a header that is not there": with_post(block=len(headers)),
        "a result of another block": with_post(result=tip.result),
        "a block that has it not": with_post(block=tip.block, result=tip.result),
        "the tip as what posted": replace(pack, txs=(tip,)).encode(),
    }


def _heights(pack: Pack) -> list[int]:
    by_hash = {header.hash: height for height, header in world().headers.items()}
    return [by_hash[header.shown.fold()[0]] for header in pack.headers]


def _mask(header: PackHeader) -> bytes:
    return header.shown.mask.to_bytes(2, "big")


def _changed(data: bytes, where: bytes, new: bytes) -> bytes:
    at = data.index(where)
    return data[:at] + new + data[at + len(new) :]


def forged(tx: bytes, outcome: bytes, *, chain_id: str = CHAIN_ID, time_ns: int = 10**18) -> tuple[str, bytes]:
    """(trust, file): of a chain that put such a transaction and result into a block, which an honest one would not."""
    fixed = {"chain_id": chain_id, "validators_hash": bytes(32), "time_ns": time_ns}
    block = Header(height=4, data_hash=merkle.root([sha256(tx)]), **fixed)  # type: ignore[arg-type]
    after = Header(
        height=5, last_block_id=BlockID(block.hash, PartSetHeader(1, bytes(32))),
        last_results_hash=merkle.root([outcome]), **fixed,
    )  # type: ignore[arg-type]  # fmt: skip
    headers = PackHeader(-1, None, Shown.of(after, 1, 2, 4, 11)), PackHeader(0, None, Shown.of(block, 3, 6))
    pack = Pack(LOBBY, 0, headers, (PackTx(1, 0, 0, tx, (), outcome, ()),))
    return f"5:{after.hash.hex()}", pack.encode()


HONEST: Final = frozenset(
    {"as it should be", "what is no udchat, and what was not paid", "a post that a channel paid for"}
)
GOLD: Final = Denom(wallet("bob").address, "gold")


def _bundle(
    result: Callable[..., bytes], leg: state_pb2.LegOutcome, *messages: Message, lane: int = LANE_BRIDGE, **more: Any
) -> tuple[bytes, bytes]:
    """What bob posts and does beside it, each of an amount of a million, and its result."""
    bob = world().chain.wallets["bob"]
    posted = [PostMessage(bob.address, LOBBY, b"paid", 0), *messages]
    content = build_body(chain_id=CHAIN_ID, messages=posted, seats=[Seat(bob)], gas_limit=1, lane=lane, **more)
    done = [leg, *[state_pb2.LegOutcome(kind=KIND_OF[type(one)].name, amount=DCHAT) for one in messages]]
    return sign_body(content, [bob]), result(replay_id=sha256(content), legs=done)


def _deals(bob: bytes, alice: bytes) -> list[Message]:
    return [
        Payment(bob, alice, DCHAT),
        PayDenomination(bob, GOLD, alice, DCHAT),
        OpenEscrow(bob, alice, DCHAT, 1, (alice,), 1, denom=GOLD),
        OpenSharedEscrow(bob, OpenEscrow(bob, alice, DCHAT, 1, (alice,), 1, denom=GOLD), (), 0),
        ReleaseEscrow(bob, EscrowReference(bytes(32)), DCHAT, denom=GOLD),
        ReleaseEscrow(bob, EscrowReference(bytes(32)), 0),
        RequestPayment(alice, "r", bob, None, DCHAT, "", 1),
        FreezeHolding(bob, GOLD, alice, True),
    ]


def forgeries() -> dict[str, tuple[str, bytes]]:
    """What no honest chain has, under a hash that somebody trusts nevertheless; HONEST is as it should be."""
    raw = world().txs[POSTED][3]
    tx = decode(raw)
    leg = state_pb2.LegOutcome(kind="post_message", subject=LOBBY, index=0)
    honest = state_pb2.Receipt(replay_id=tx.replay_id, height=4, legs=[leg])

    def result(code: int = 0, **changes: Any) -> bytes:
        receipt = state_pb2.Receipt()
        receipt.CopyFrom(honest)
        for name, value in changes.items():
            if name == "legs":
                del receipt.legs[:]
                receipt.legs.extend(value)
            else:
                setattr(receipt, name, value)
        return ExecTxResult(code=code, data=receipt.SerializeToString()).deterministic_bytes()

    def envelope(**changes: Any) -> tuple[bytes, bytes]:
        """The transaction with another body, signed by bob's key all the same, and its result."""
        body = tx_pb2.TxBody.FromString(tx.body)
        signer = changes.pop("signer", 0)
        to = changes.pop("channel_id", None)
        if to is not None:
            body.messages[0].post_message.channel_id = to
        author = changes.pop("author", None)
        if author is not None:
            body.messages[0].post_message.author = author
        for name, value in changes.items():
            setattr(body, name, value)
        content = body.SerializeToString(deterministic=True)
        key = world().chain.wallets["bob"].key
        signature = key.sign(sign_hash(content))
        made = tx_pb2.Tx(body=content)
        made.signatures.add(signer=signer, public_key=key.pub_key.bytes, signature=signature)
        return made.SerializeToString(deterministic=True), result(replay_id=sha256(content))

    bob, alice = world().chain.address("bob"), world().chain.address("alice")
    broken = bytearray(raw)
    broken[-1] ^= 1
    return {
        "as it should be": forged(raw, result()),
        "a signature that does not hold": forged(bytes(broken), result()),
        "a code that says no": forged(raw, result(code=7)),
        "the receipt of another": forged(raw, result(replay_id=bytes(32))),
        "a receipt of another block": forged(raw, result(height=3)),
        "a receipt of two legs": forged(raw, result(legs=[leg, leg])),
        "a receipt of no leg": forged(raw, result(legs=[])),
        "a receipt of another channel": forged(
            raw, result(legs=[state_pb2.LegOutcome(kind="post_message", subject=bytes(20))])
        ),
        "a receipt of another index": forged(
            raw, result(legs=[state_pb2.LegOutcome(kind="post_message", subject=LOBBY, index=1)])
        ),
        "a receipt of another kind": forged(raw, result(legs=[state_pb2.LegOutcome(kind="tip", subject=LOBBY)])),
        "bytes that are no transaction": forged(b"\xff" * 40, result()),
        "bytes that are no result": forged(raw, b"\xff" * 40),
        "a message to another channel than its receipt's": forged(*envelope(channel_id=bytes(20))),
        "an author who did not sign": forged(*envelope(author=bytes(20))),
        "an author of no length": forged(*envelope(author=b"")),
        "a signature for nobody": forged(*envelope(signer=5)),
        "a fee payer who is not there": forged(*envelope(fee_payer=3)),
        "a transaction of another chain": forged(raw, result(), chain_id="another"),
        "a time before all": forged(raw, result(), time_ns=-(10**18)),
        "what is no udchat, and what was not paid": forged(*_bundle(result, leg, *_deals(bob, alice))),
        "a post that a channel paid for": forged(*_bundle(result, leg, lane=LANE_CHAT, fee_granter=LOBBY)),
        "a denomination of nobody's": forged(
            *_bundle(result, leg, PayDenomination(bob, Denom(b"", "gold"), alice, DCHAT))
        ),
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n")
