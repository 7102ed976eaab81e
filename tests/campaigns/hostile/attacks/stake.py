"""One validator of four turns on the others: its process is stopped, and what it says is said here, with its key.

Numbers 2, 3, 7 and 14 of the issue, and floods of everything that a validator may sign.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import grpc
import grpc.aio

from consensus.channels import peer_messages as messages
from consensus.documents.files import parse_validator_key
from consensus.formats.timestamps import parse_rfc3339
from consensus.formats.wire import message_field
from consensus.state.results import ExecTxResult, results_hash
from consensus.types.block import Block, Data
from consensus.types.commits import median_time
from consensus.types.evidence import DuplicateVoteEvidence, encode_evidence_list, evidence_hash
from consensus.types.header import Header
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.light import LightBlock
from consensus.types.parts import PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from proto.dchat.v1 import service_pb2
from tests.campaigns.hostile.attacks.packets import Where, random_id
from tests.campaigns.hostile.wire import Target, Wire, packets
from tests.campaigns.hostile.world import World, attack, together

YEAR_9999_NS = parse_rfc3339("9999-12-31T23:59:59.999999999Z")
ODD_TIMES = (
    YEAR_9999_NS,
    YEAR_9999_NS - 1_000_000,
    parse_rfc3339("0001-01-01T00:00:00Z"),
    parse_rfc3339("1970-01-01T00:00:00Z"),
    parse_rfc3339("2200-01-01T00:00:00Z"),
    0,
)
POLL_S = 0.01
SET_BYTES = 9_900_000  # 152 parts
HEAD_START_S = 0.004  # below the shortest wait of a relay: the first node is likely to relay first


class Voice:
    """The key, its place in the set, and a connection to each of the others."""

    def __init__(self, world: World) -> None:
        assert world.validator_home is not None, "this attack needs a validator's home"
        self.world = world
        self.key = parse_validator_key((world.validator_home / "config" / "priv_validator_key.json").read_text())
        self.address = self.key.pub_key.address
        self.links: dict[str, tuple[Wire, Where]] = {}
        self.index = 0
        self._connected = asyncio.Event()

    async def stay(self) -> None:
        """Until cancelled: connected to every target."""

        async def act(wire: Wire, target: Target) -> None:
            self.links[target.name] = (wire, Where(wire))
            self._connected.set()
            try:
                await wire.closed.wait()
            finally:
                self.links.pop(target.name, None)
            raise ConnectionResetError

        await self.world.keep(act)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            await self._connected.wait()
            self.index = await self._own_index()
            await work()

        await together([self.stay(), begin()])

    async def _own_index(self) -> int:
        while True:
            with contextlib.suppress(grpc.RpcError):
                light = await self.light_block(0)
                return light.validators.index_of(self.address) or 0
            await asyncio.sleep(0.1)

    async def send(self, name: str, data: bytes) -> None:
        """To one target, within the budget; nothing when it is not connected."""
        if name in self.links:
            wire, _ = self.links[name]
            await self.world.budget.take(len(data))
            with contextlib.suppress(OSError):
                wire.stream(data)
                await wire.drain()
            self.world.count["sent"] += 1

    async def send_all(self, data: bytes) -> None:
        for name in tuple(self.links):
            await self.send(name, data)

    @property
    def where(self) -> Where:
        """Of the node that is furthest."""
        return max((where for _, where in self.links.values()), key=lambda where: (where.height, where.round))

    # ------------------------------------------------------------------------------------------------- signing

    def vote(self, kind: int, height: int, round: int, block_id: BlockID, time_ns: int) -> bytes:
        """The message."""
        return messages.VoteMessage(self.signed(kind, height, round, block_id, time_ns)).encode()

    def signed(self, kind: int, height: int, round: int, block_id: BlockID, time_ns: int) -> Vote:
        vote = Vote(kind, height, round, block_id, time_ns, self.address, self.index)
        return vote.signed(self.key.sign(vote.sign_bytes(self.world.chain_id)))

    def proposal(self, height: int, round: int, block_id: BlockID, *, pol_round: int = -1, time_ns: int = 0) -> bytes:
        proposal = Proposal(height, round, pol_round, block_id, time_ns or time.time_ns())
        signature = self.key.sign(proposal.sign_bytes(self.world.chain_id))
        return messages.ProposalMessage(replace(proposal, signature=signature)).encode()

    # ------------------------------------------------------------------------------------------------- blocks

    async def _call(self, method: str, request: bytes) -> bytes:
        target = self.world.targets[0]
        async with grpc.aio.insecure_channel(f"{target.host}:{target.grpc}") as channel:
            call = channel.unary_unary(f"/dchat.v1.ChainService/{method}")
            answer: bytes = await call(request, timeout=2)
            return answer

    async def light_block(self, height: int) -> LightBlock:
        request = service_pb2.GetCommitRequest(height=height).SerializeToString()
        answer = service_pb2.GetCommitResponse.FromString(await self._call("GetCommit", request))
        return LightBlock.decode(answer.light_block.SerializeToString())

    async def next_block(self, height: int) -> Block:
        """The block that an honest proposer would make now, without transactions. Raises grpc.RpcError, ValueError."""
        status = service_pb2.GetStatusResponse.FromString(await self._call("GetStatus", b""))
        if status.latest_block_height != height - 1:
            raise ValueError(f"at {status.latest_block_height}, not {height - 1}")
        request = service_pb2.GetBlockResultsRequest(height=height - 1).SerializeToString()
        results = service_pb2.GetBlockResultsResponse.FromString(await self._call("GetBlockResults", request))
        results_root = results_hash(map(result_of, results.results))
        light = await self.light_block(height - 1)
        last, commit = light.signed_header.header, light.signed_header.commit
        data = Data(())
        header = Header(
            version=last.version, chain_id=last.chain_id, height=height,
            time_ns=median_time(commit, light.validators), last_block_id=commit.block_id, last_commit_hash=commit.hash,
            data_hash=data.hash, validators_hash=last.next_validators_hash,
            next_validators_hash=last.next_validators_hash, consensus_hash=last.consensus_hash,
            app_hash=status.latest_app_hash, last_results_hash=results_root, evidence_hash=evidence_hash(()),
            proposer_address=self.address,
        )  # fmt: skip
        return Block(header, data, (), commit)

    async def each_turn(self, act: Callable[[int, int], Awaitable[None]]) -> None:
        """Until cancelled: `act(height, round)` once whenever the others wait for our proposal."""
        done = (0, 0)
        while True:
            told = await asyncio.to_thread(consensus_of, self.world.targets)
            at = (int(told.get("height", 0)), int(told.get("round", 0)))
            if at != done and told.get("proposer", "").lower() == self.address.hex():
                done = at
                self.world.count["own blocks committed"] = await asyncio.to_thread(own_blocks, self.world, self.address)
                try:
                    await act(*at)
                    self.world.count["turns"] += 1
                except (grpc.RpcError, ValueError) as error:
                    self.world.count[f"turn failed: {type(error).__name__}"] += 1
            await asyncio.sleep(POLL_S)


def consensus_of(targets: list[Target]) -> dict[str, str]:
    for target in targets:
        with contextlib.suppress(OSError, ValueError):
            url = f"http://{target.host}:{target.http}/chain/consensus-status"
            with urllib.request.urlopen(url, timeout=1) as answer:
                return dict(json.load(answer))
    return {}


def own_blocks(world: World, proposer: bytes) -> int:
    """How many of the last hundred blocks are ours: that the honest ones of our attacks pass at all."""
    target = world.targets[-1]
    with contextlib.suppress(OSError, ValueError):
        with urllib.request.urlopen(f"http://{target.host}:{target.http}/chain/blocks?limit=100", timeout=1) as answer:
            blocks = json.load(answer)["blocks"]
        return sum(block["proposer_address"].lower() == proposer.hex() for block in blocks)
    return 0


def block_messages(parts: PartSet, height: int, round: int, *, count: int | None = None) -> bytes:
    """Packets of the first `count` parts (all)."""
    found = []
    for index in range(parts.total if count is None else count):
        part = parts.get(index)
        assert part is not None
        found.append(packets(0x21, messages.BlockPart(height, round, part).encode()))
    return b"".join(found)


def result_of(outcome: service_pb2.TxOutcome) -> ExecTxResult:
    """What of it the next header's hash covers."""
    return ExecTxResult(code=outcome.code, data=outcome.data, gas_wanted=outcome.gas_wanted, gas_used=outcome.gas_used)


async def every_turn(world: World, make: Callable[[Voice, Block, int, int], Awaitable[None]]) -> None:
    voice = Voice(world)

    async def act(height: int, round: int) -> None:
        await make(voice, await voice.next_block(height), height, round)

    await voice.run(lambda: voice.each_turn(act))


@attack
async def proposed_time(world: World) -> None:
    """Number 2: a proposed block dated `time`. Below the format's end it would move the median of the nil votes."""
    dated = int(parse_rfc3339(str(world.args["time"])))

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        bad = Block(replace(block.header, time_ns=dated), block.data, (), block.last_commit)
        parts = bad.part_set()
        proposal = voice.proposal(height, round, BlockID(bad.hash, parts.header), time_ns=dated)
        await voice.send_all(packets(0x21, proposal) + block_messages(parts, height, round))

    await every_turn(world, make)


@attack
async def two_blocks_one_header(world: World) -> None:
    """Number 3: (hash X, parts P) to the first target, (hash B, parts P), which is a good block, to the others."""

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        parts = block.part_set()
        wrong = voice.proposal(height, round, BlockID(world.rng.randbytes(32), parts.header))
        right = voice.proposal(height, round, BlockID(block.hash, parts.header))
        victim = world.targets[0].name
        for name in tuple(voice.links):
            await voice.send(name, packets(0x21, wrong if name == victim else right))
        await voice.send_all(block_messages(parts, height, round))
        now = block.header.time_ns + 1_000_000_000
        votes = [
            voice.vote(kind, height, round, BlockID(block.hash, parts.header), now) for kind in (PREVOTE, PRECOMMIT)
        ]
        for vote in votes:
            await voice.send_all(packets(0x22, vote))

    await every_turn(world, make)


@attack
async def two_proposals(world: World) -> None:
    """Another good block to each target: they differ in nothing but the transactions of their sender."""

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        for number, name in enumerate(tuple(voice.links)):
            data = Data((b"\x0a" + bytes([number + 1]) * 30,)) if number else Data(())
            other = Block(replace(block.header, data_hash=data.hash), data, (), block.last_commit)
            parts = other.part_set()
            block_id = BlockID(other.hash, parts.header)
            await voice.send(
                name, packets(0x21, voice.proposal(height, round, block_id)) + block_messages(parts, height, round)
            )
            now = block.header.time_ns + 1_000_000_000
            await voice.send(name, packets(0x22, voice.vote(PREVOTE, height, round, block_id, now)))
            await voice.send(name, packets(0x22, voice.vote(PRECOMMIT, height, round, block_id, now)))

    await every_turn(world, make)


@attack
async def two_sets(world: World) -> None:
    """Another set of as many parts to each, the largest that the params allow: all parts to one, none to the others."""

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        sets = {name: PartSet.from_bytes(world.rng.randbytes(SET_BYTES)) for name in sorted(voice.links)}
        for name, parts in sets.items():  # the proposals first, so that no two nodes hold the same
            block_id = BlockID(world.rng.randbytes(32), parts.header)
            await voice.send(name, packets(0x21, voice.proposal(height, round, block_id)))
            await asyncio.sleep(HEAD_START_S)
        whole = min(sets)  # always the same: the others are to lose it
        await voice.send(whole, block_messages(sets[whole], height, round))

    await every_turn(world, make)


@attack
async def half_a_block(world: World) -> None:
    """A proposal of several parts of which the last never comes; the largest that the params allow, at times."""

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        size = 200_000 if world.rng.random() < 0.7 else 3_000_000
        data = Data((world.rng.randbytes(size),))
        large = Block(replace(block.header, data_hash=data.hash), data, (), block.last_commit)
        parts = large.part_set()
        await voice.send_all(packets(0x21, voice.proposal(height, round, BlockID(large.hash, parts.header))))
        await voice.send_all(block_messages(parts, height, round, count=parts.total - 1))

    await every_turn(world, make)


@attack
async def junk_block(world: World) -> None:
    """A whole block that is none: its parts prove themselves, its bytes are noise, or deep, or a list of nothing."""
    contents = (bytes(150_000), b"\x0a\x00" * 100_000, b"\x0b" * 100_000, world.rng.randbytes(100_000))

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        parts = PartSet.from_bytes(world.rng.choice(contents))
        proposal = voice.proposal(height, round, BlockID(world.rng.randbytes(32), parts.header))
        await voice.send_all(packets(0x21, proposal) + block_messages(parts, height, round))

    await every_turn(world, make)


@attack
async def fat_block(world: World) -> None:
    """A block of the right header whose `bytes` are the shortest of what is counted: votes, transactions, slots."""
    size = int(str(world.args["bytes"]))
    items = {b"\x1a": b"\x0a\x06\x0a\x04\x0a\x00\x12\x00", b"\x12": b"\x0a\x00", b"\x22": b"\x22\x00"}
    turns = itertools.cycle([message_field(key, item * (size // len(item))) for key, item in items.items()])

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        parts = PartSet.from_bytes(message_field(b"\x0a", block.header.encode()) + next(turns))
        await voice.send_all(packets(0x21, voice.proposal(height, round, BlockID(block.hash, parts.header))))
        await voice.send_all(block_messages(parts, height, round))

    await every_turn(world, make)


@attack
async def odd_headers(world: World) -> None:
    """Blocks that are right but for one field of the header, each time another."""
    changes: list[dict[str, object]] = [
        {"app_hash": b""}, {"app_hash": bytes(60_000)}, {"time_ns": 0}, {"time_ns": time.time_ns() + 50 * 10**9},
        {"validators_hash": bytes(32)}, {"last_block_id": NIL_BLOCK_ID}, {"height": 2**62}, {"chain_id": "other"},
        {"proposer_address": bytes(20)}, {"last_results_hash": bytes(32)}, {"evidence_hash": bytes(32)},
        {"next_validators_hash": bytes(32)}, {"consensus_hash": b"\x01" * 32}, {"last_commit_hash": bytes(32)},
    ]  # fmt: skip
    turns = itertools.cycle(changes)

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        odd = Block(replace(block.header, **next(turns)), block.data, (), block.last_commit)  # type: ignore[arg-type]
        parts = odd.part_set()
        proposal = voice.proposal(height, round, BlockID(odd.hash, parts.header))
        await voice.send_all(packets(0x21, proposal) + block_messages(parts, height, round))

    await every_turn(world, make)


# ------------------------------------------------------------------------------------------------------------ floods


async def flood(world: World, make: Callable[[Voice], Iterator[bytes]]) -> None:
    """`make`'s pieces to all, as fast as the budget allows."""
    voice = Voice(world)

    async def work() -> None:
        while True:
            if not voice.links:
                await asyncio.sleep(POLL_S)
                continue
            batch = b"".join(make(voice))
            await voice.send_all(batch)
            await asyncio.sleep(0)

    await voice.run(work)


@attack
async def vote_flood(world: World) -> None:
    """Votes for ever other blocks in the running round: every pair of them is an equivocation."""

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for number in range(32):
            kind = PREVOTE if number % 2 else PRECOMMIT
            yield packets(0x22, voice.vote(kind, at.height, at.round, random_id(world), time.time_ns()))

    await flood(world, make)


@attack
async def same_header_votes(world: World) -> None:
    """Votes for ever other hashes with one part-set header."""
    header = PartSetHeader(1, world.rng.randbytes(32))

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for number in range(32):
            block_id = BlockID(world.rng.randbytes(32), header)
            yield packets(0x22, voice.vote(1 + number % 2, at.height, at.round, block_id, time.time_ns()))

    await flood(world, make)


@attack
async def nil_votes(world: World) -> None:
    """Votes for nil dated anywhere, of the running round, those before and those after."""
    times = itertools.cycle(ODD_TIMES)

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for kind, round in itertools.product((PREVOTE, PRECOMMIT), (max(0, at.round - 1), at.round, at.round + 1)):
            yield packets(0x22, voice.vote(kind, at.height, round, NIL_BLOCK_ID, next(times)))

    await flood(world, make)


@attack
async def odd_times(world: World) -> None:
    """Votes for the proposed block dated anywhere: they are the ones that enter a commit and its median."""
    voice = Voice(world)
    times = itertools.cycle(ODD_TIMES)

    async def work() -> None:
        while True:
            told = await asyncio.to_thread(consensus_of, world.targets)
            light = None
            with contextlib.suppress(grpc.RpcError):
                light = await voice.light_block(0)
            if light is not None and told.get("height"):
                commit = light.signed_header.commit
                for kind in (PREVOTE, PRECOMMIT):
                    late = voice.vote(kind, commit.height, commit.round, commit.block_id, next(times))
                    await voice.send_all(packets(0x22, late))
            await asyncio.sleep(0.02)

    await voice.run(work)


@attack
async def future_rounds(world: World) -> None:
    """Votes of rounds far ahead, each of another, and of the heights around."""

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for number in range(32):
            round = world.rng.choice((at.round + 1, at.round + 2, at.round + 1_000 + number, 2**31 - 1))
            height = at.height + world.rng.choice((-1, 0, 0, 0, 1))
            yield packets(0x22, voice.vote(1 + number % 2, max(1, height), round, NIL_BLOCK_ID, time.time_ns()))

    await flood(world, make)


@attack
async def proposal_flood(world: World) -> None:
    """Signed proposals for ever other blocks, in our turn and out of it, of up to the most parts."""

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for _ in range(16):
            total = world.rng.choice((1, 2, 16, 65))
            round = at.round + world.rng.choice((0, 0, 0, 1, 2))
            pol_round = world.rng.choice((-1, -1, 0, max(-1, round - 1)))
            yield packets(0x21, voice.proposal(at.height, round, random_id(world, total), pol_round=pol_round))

    await flood(world, make)


@attack
async def part_flood(world: World) -> None:
    """In each turn a proposal, then its parts again and again, and others with a good proof of another set."""

    async def make(voice: Voice, block: Block, height: int, round: int) -> None:
        data = Data((world.rng.randbytes(400_000),))
        large = Block(replace(block.header, data_hash=data.hash), data, (), block.last_commit)
        parts = large.part_set()
        await voice.send_all(packets(0x21, voice.proposal(height, round, BlockID(large.hash, parts.header))))
        some = block_messages(parts, height, round, count=parts.total - 1)
        other = PartSet.from_bytes(world.rng.randbytes(400_000))
        for _ in range(3):
            await voice.send_all(some)
            await voice.send_all(block_messages(other, height, round))

    await every_turn(world, make)


@attack
async def evidence_flood(world: World) -> None:
    """True evidence against ourselves, of each height again and again, with every field varied that nobody signed."""
    voice = Voice(world)

    async def work() -> None:
        while True:
            with contextlib.suppress(grpc.RpcError, ValueError):
                light = await voice.light_block(0)
                first, second = (
                    voice.signed(PREVOTE, light.signed_header.header.height, 0, random_id(world), 10**18)
                    for _ in range(2)
                )
                await _pour_evidence(voice, light, first, second)
            await asyncio.sleep(0.01)

    await voice.run(work)


async def _pour_evidence(voice: Voice, light: LightBlock, first: Vote, second: Vote) -> None:
    validators, header = light.validators, light.signed_header.header
    if first.validator_address not in validators:
        height = header.height
        validators_power, own, time_ns = validators.total_power, 1_000, header.time_ns
        votes = sorted((first, second), key=lambda vote: vote.block_id.key())
        base = DuplicateVoteEvidence(votes[0], votes[1], validators_power, own, time_ns)
        assert base.height == height
    else:
        base = DuplicateVoteEvidence.from_votes(first, second, validators=validators, time_ns=header.time_ns)
    pieces = []
    for number in range(100):
        index = number if number else base.vote_a.validator_index
        varied = replace(base, vote_a=replace(base.vote_a, validator_index=index))
        pieces.append(packets(0x38, encode_evidence_list([varied])))
    await voice.send_all(b"".join(pieces))


@attack
async def old_evidence(world: World) -> None:
    """Number 14: ten thousand pieces of evidence by one key, of all heights and rounds, well signed."""
    voice = Voice(world)

    async def work() -> None:
        lights: dict[int, LightBlock] = {}
        latest = (await voice.light_block(0)).signed_header.header.height
        for height in range(2, latest):
            with contextlib.suppress(grpc.RpcError):
                lights[height] = await voice.light_block(height)
            if len(lights) >= 40:
                break
        for round in itertools.count():
            for height, light in lights.items():
                offender = light.validators.by_address(voice.address)
                if offender is None:
                    continue
                first, second = (voice.signed(PRECOMMIT, height, round, random_id(world), 10**18) for _ in range(2))
                item = DuplicateVoteEvidence.from_votes(
                    first, second, validators=light.validators, time_ns=light.signed_header.header.time_ns
                )
                await voice.send_all(packets(0x38, encode_evidence_list([item])))
                world.count["pieces"] += 1
            await asyncio.sleep(0)

    await voice.run(work)


@attack
async def pol_claims(world: World) -> None:
    """Claims of majorities, proof-of-lock bitmaps and requests for votes, with a validator's own votes between."""
    from consensus.core.events import VoteKind
    from consensus.formats.bits import BitArray

    def make(voice: Voice) -> Iterator[bytes]:
        at = voice.where
        for number in range(16):
            block_id = random_id(world)
            yield packets(0x20, messages.NewRoundStep(at.height, at.round, 1 + number % 8, 0, 0).encode())
            yield packets(0x22, voice.vote(PREVOTE, at.height, at.round, block_id, time.time_ns()))
            bits = BitArray(4, 15)
            yield packets(0x23, messages.VoteSetBits(at.height, at.round, VoteKind.PREVOTE, block_id, bits).encode())
            yield packets(0x21, messages.ProposalPol(at.height, at.round, bits).encode())

    await flood(world, make)
