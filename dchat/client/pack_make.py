"""Making a proof pack: asks a node for what belongs into it, and believes none of it.

Every header goes through the verifier's root of trust, every transaction through `Verifier.tx`, and the bytes that come
out are judged once more by `verify_pack`, as whoever is given them will. Raises ProofFailed, ClientError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.message import DecodeError

from consensus.core.votes import two_thirds
from consensus.formats.units import NS_PER_S
from consensus.state.results import ExecTxResult
from consensus.types.light import LightBlock
from crypto import merkle
from crypto.keys import ED25519
from dchat.client.client import NotFound
from dchat.client.pack import (
    CHAIN_ID,
    DATA_HASH,
    HEADERS_MAX,
    HEIGHT,
    LAST_BLOCK_ID,
    LAST_RESULTS_HASH,
    NEXT_VALIDATORS_HASH,
    TIME,
    TXS_MAX,
    VALIDATORS_HASH,
    Pack,
    PackHeader,
    PackTx,
    Shown,
    Signature,
    Vouch,
)
from dchat.client.pack_verify import ShownMessage, verify_pack
from dchat.client.verify import ProofFailed, Verifier
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

PAID_MAX = TXS_MAX - 1


class Made(NamedTuple):
    """The file, what it shows, and the block whose hash whoever reads it has to trust."""

    data: bytes
    shown: ShownMessage
    begins: LightBlock


async def make_pack(
    verifier: Verifier,
    channel_id: bytes,
    index: int,
    *,
    tx_hash: bytes = b"",
    paid: Sequence[bytes] = (),
    begin: int = 0,
) -> Made:
    """tx_hash: of the transaction that posted; empty: the node is asked for it. paid: hashes of others, to show too.

    begin: the block that the file is to begin with; 0: the one after the lowest that is in it, for the shortest file.
    """
    assert len(paid) <= PAID_MAX, len(paid)
    posted = tx_hash or await find_post(verifier, channel_id, index)
    answers = [await _proved_tx(verifier, wanted) for wanted in dict.fromkeys((posted, *paid))]
    way = _Way(verifier, await verifier.header(begin or min(answer.height for answer in answers) + 1))
    await way.climb(answer.height + 1 for answer in answers)
    await way.descend(answer.height + step for answer in answers for step in (0, 1))
    for answer in answers:
        way.show(answer.height, DATA_HASH)
        way.show(answer.height + 1, LAST_BLOCK_ID, LAST_RESULTS_HASH)
    way.show(answers[0].height, TIME)
    places = {height: place for place, height in enumerate(way.parents)}
    pack = Pack(channel_id, index, way.headers(places), tuple([_pack_tx(answer, places) for answer in answers]))
    data = pack.encode()
    shown = verify_pack(Pack.decode(data), height=way.begins.height, block_hash=way.begins.hash)
    return Made(data, shown, way.begins)


async def find_post(verifier: Verifier, channel_id: bytes, index: int) -> bytes:
    """The hash of the transaction that posted a message, by the node's word: what it leads to is proved later."""
    client = verifier.client
    found = await client.message(channel_id, index)
    if not found.HasField("message"):
        raise NotFound(f"the channel {channel_id.hex()} has no message {index}")
    results = await client.block_results(found.message.height)
    for outcome in results.results:
        try:
            legs = state_pb2.Receipt.FromString(outcome.data).legs
        except DecodeError:
            continue
        if any((leg.kind, leg.subject, leg.index) == ("post_message", channel_id, index) for leg in legs):
            return outcome.hash
    raise ProofFailed(f"the node's block {found.message.height} has no receipt of message {index}: ask another node")


async def _proved_tx(verifier: Verifier, tx_hash: bytes) -> pb.GetTxResponse:
    answer = await verifier.client.tx(tx_hash, prove=True)
    await verifier.tx(answer, tx_hash)
    if answer.code:
        raise ProofFailed(f"transaction {tx_hash.hex()} was not executed: its code is {answer.code}")
    return answer


def _pack_tx(answer: pb.GetTxResponse, places: dict[int, int]) -> PackTx:
    """Of an answer that was verified."""
    proof = merkle.Proof.from_proto(answer.proof.proof)
    result_proof = merkle.Proof.from_proto(answer.result_proof)
    result = ExecTxResult(
        code=answer.code, data=answer.data, gas_wanted=answer.gas_wanted, gas_used=answer.gas_used
    ).deterministic_bytes()
    path = 0
    for level, is_left in enumerate(merkle.sides(proof.index, proof.total)):
        path |= (not is_left) << level
    block, after = places[answer.height], places[answer.height + 1]
    return PackTx(block, after, path, answer.tx, proof.aunts, result, result_proof.aunts)


class _Way:
    """The headers of a pack as they are found, each with the one that it hangs on and the fields that it shows."""

    def __init__(self, verifier: Verifier, begins: LightBlock) -> None:
        self._verifier, self.begins = verifier, begins
        self._lights: dict[int, LightBlock] = {begins.height: begins}
        self.parents: dict[int, tuple[int, bool]] = {begins.height: (0, False)}  # height -> its parent's, by commit
        self._fields: dict[int, set[int]] = {begins.height: {CHAIN_ID, HEIGHT}}

    def show(self, height: int, *fields: int) -> None:
        self._fields[height].update(fields)

    def _add(self, light: LightBlock, parent: int, *, by_commit: bool) -> None:
        if len(self.parents) == HEADERS_MAX:
            raise ProofFailed(
                f"the way from block {self.begins.height} takes more than {HEADERS_MAX} headers: begin with a lower one"
            )
        self._lights[light.height] = light
        self.parents[light.height] = (parent, by_commit)
        self._fields[light.height] = {HEIGHT, VALIDATORS_HASH} if by_commit else set()
        self.show(parent, NEXT_VALIDATORS_HASH if by_commit else LAST_BLOCK_ID)

    async def climb(self, heights: Iterable[int]) -> None:
        """Upwards by commits, each to where the set is still the one that the header below names, and no further."""
        for target in sorted({height for height in heights if height > self.begins.height}):
            below = max(height for height in self.parents if height < target)
            while below < target:
                light = await self._furthest(self._lights[below], target)
                self._add(light, below, by_commit=True)
                below = light.height

    async def _furthest(self, below: LightBlock, target: int) -> LightBlock:
        """The target, or one before a change of the validators."""
        wanted = below.header.next_validators_hash
        light = await self._verifier.header(target)
        if light.header.validators_hash == wanted:
            return light
        same, other = below.height, target
        found = None
        while other - same > 1:
            light = await self._verifier.header((same + other) // 2)
            if light.header.validators_hash == wanted:
                same, found = light.height, light
            else:
                other = light.height
        if found is None:
            raise ProofFailed(f"header {below.height + 1} has other validators than header {below.height} names")
        return found

    async def descend(self, heights: Iterable[int]) -> None:
        """Downwards by the hashes that headers name of the block before them: each between is needed."""
        for target in sorted(set(heights) - self.parents.keys(), reverse=True):
            above = min(height for height in self.parents if height > target)
            if above - target > HEADERS_MAX:
                raise ProofFailed(
                    f"block {target} is {above - target} below block {above}: begin with a lower block, from which the "
                    "way up is short"
                )
            for height in range(above - 1, target - 1, -1):
                self._add(await self._verifier.header(height), height + 1, by_commit=False)

    def headers(self, places: dict[int, int]) -> tuple[PackHeader, ...]:
        made = []
        for height, (parent, by_commit) in self.parents.items():
            light = self._lights[height]
            shown = Shown.of(light.header, *sorted(self._fields[height]))
            vouch = vouch_of(light) if by_commit else None
            made.append(PackHeader(places[parent] if parent else -1, vouch, shown))
        return tuple(made)


def vouch_of(light: LightBlock) -> Vouch:
    """As few signatures as are enough: the set's order is by power."""
    validators, commit = light.validators, light.commit
    if any(key.type != ED25519 for key in validators.pub_keys):
        raise ProofFailed(f"the set of header {light.height} has a key that is not {ED25519}: a pack cannot show it")
    signatures: list[Signature] = []
    power = 0
    for position, slot in enumerate(commit.signatures):
        if power > two_thirds(validators.total_power):
            break
        if slot.is_commit:
            signatures.append(Signature(position, *divmod(slot.timestamp_ns, NS_PER_S), slot.signature))
            power += validators.powers[position]
    parts = commit.block_id.part_set_header
    members = tuple([(key.bytes, power) for key, power in zip(validators.pub_keys, validators.powers, strict=True)])
    return Vouch(members, commit.round, parts.total, parts.hash, tuple(signatures))
