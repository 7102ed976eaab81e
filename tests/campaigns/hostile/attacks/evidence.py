"""Evidence of strangers: number 9 of the issue. What a validator's own key can do is in `stake`."""

from __future__ import annotations

from collections.abc import Iterator

from consensus.formats.wire import int_field, message_field
from consensus.types.evidence import DuplicateVoteEvidence, encode_evidence_list
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PREVOTE, Vote
from tests.campaigns.hostile.attacks.packets import Where, connections_of
from tests.campaigns.hostile.wire import Target, Wire, packets
from tests.campaigns.hostile.world import World, attack


def made_up(world: World, height: int) -> DuplicateVoteEvidence:
    """Two votes of somebody, signed by nobody."""
    rng = world.rng
    address = rng.randbytes(20)
    votes = [
        Vote(PREVOTE, height, 0, BlockID(rng.randbytes(32), PartSetHeader(1, rng.randbytes(32))), 10**18, address, 0,
             rng.randbytes(64))
        for _ in range(2)
    ]  # fmt: skip
    first, second = sorted(votes, key=lambda vote: vote.block_id.key())
    return DuplicateVoteEvidence(first, second, 4_000, 1_000, 10**18)


@attack
async def unjudgeable_evidence(world: World) -> None:
    """Of heights that are not reached: nobody can say what it is worth. args `ahead`: how far from here."""
    ahead = int(world.args.get("ahead", 1_000))

    def pieces(where: Where) -> Iterator[bytes]:
        for number in range(64):
            item = made_up(world, where.height + ahead + number)
            yield packets(0x38, encode_evidence_list([item]))

    async def act(wire: Wire, _: Target) -> None:
        where = Where(wire)
        while True:
            await world.pour(wire, pieces(where))

    await world.keep(act, connections=connections_of(world))


def of_slots(count: int) -> bytes:
    """An item of a list whose light block claims one validator, and `count` signatures of two bytes each."""
    member = message_field(b"\x0a", b"\x0a\x14" + bytes(20))
    commit = int_field(b"\x08", 1) + message_field(b"\x22", b"") * count
    signed = message_field(b"\x0a", b"") + message_field(b"\x12", commit)
    attack = message_field(b"\x0a", message_field(b"\x0a", signed) + message_field(b"\x12", member)) + b"\x10\x01"
    return message_field(b"\x0a", message_field(b"\x12", attack))


@attack
async def fat_evidence(world: World) -> None:
    """A megabyte a message: an item that nobody can judge, and behind it light blocks of thousands of empty slots."""
    behind = of_slots(10_000) * 48

    async def act(wire: Wire, _: Target) -> None:
        where = Where(wire)
        while True:
            first = encode_evidence_list([made_up(world, where.height + 1_000)])
            await world.pour(wire, [packets(0x38, first + behind)])

    await world.keep(act, connections=connections_of(world))


@attack
async def evidence_lists(world: World) -> None:
    """Sixty-four items a message, of the next height."""

    async def act(wire: Wire, _: Target) -> None:
        where = Where(wire)
        while True:
            items = [made_up(world, where.height + 1) for _ in range(64)]
            await world.pour(wire, [packets(0x38, encode_evidence_list(items))])

    await world.keep(act, connections=connections_of(world))
