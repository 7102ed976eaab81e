"""Trails as messages (proto/dchat/v1/trail_service.proto), made here and judged where they come in.

What a peer or a file says is bounded and checked: sizes of hashes, how many steps and writes there are, that keys
ascend, and that the writes of a step lead from the hashes before it to those after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chain.kernel.branch import RECORD_BYTES_MAX
from chain.state.roots import STORE_NAMES
from chain.trail.steps import NO_HASH, STORE_OF, BlockTrail, Step, Writes, hashes_after
from consensus.formats.units import MIB
from crypto.hash import HASH_BYTES
from dchat.autopsy.errors import BadTrail
from proto.dchat.v1 import trail_service_pb2 as pb

HEADS_MAX: Final = 100  # in an answer, as below
STEPS_MAX: Final = 2_000
WRITES_MAX: Final = 500
WRITES_BYTES_MAX: Final = MIB
BLOCK_STEPS_MAX: Final = 1_000_000  # more than the smallest transactions of the largest block
STEP_WRITES_MAX: Final = 1_000_000  # of a migration's slice, say
KEY_BYTES_MAX: Final = 1_024
HEIGHT_MAX: Final = 1 << 62
CODE_MAX: Final = (1 << 32) - 1


def head_of(height: int, block_hash: bytes, app_hash: bytes, roots: Mapping[str, bytes]) -> pb.TrailHead:
    ordered = [roots[name] for name in STORE_NAMES] if roots else []
    return pb.TrailHead(height=height, block_hash=block_hash, app_hash=app_hash, roots=ordered)


def step_message(step: Step, *, with_writes: bool = False) -> pb.TrailStep:
    message = pb.TrailStep(
        tx=step.tx, code=step.code, gas_used=step.gas_used, result=step.result, stores=list(step.stores)
    )
    if with_writes:
        message.writes.extend(write_messages(step.writes.items()))
    return message


def write_messages(writes: Iterable[tuple[bytes, bytes | None]]) -> list[pb.TrailWrite]:
    return [pb.TrailWrite(key=key, value=value or b"", deleted=value is None) for key, value in sorted(writes)]


def page_of(writes: Writes, after: bytes) -> pb.ListTrailWritesResponse:
    """Those behind the key `after`, as many as an answer may have."""
    answer, size = pb.ListTrailWritesResponse(), 0
    for key in sorted(key for key in writes if key > after):
        value = writes[key]
        size += len(key) + len(value or b"")
        if len(answer.writes) == WRITES_MAX or (size > WRITES_BYTES_MAX and answer.writes):
            answer.has_more = True
            break
        answer.writes.add(key=key, value=value or b"", deleted=value is None)
    return answer


# ------------------------------------------------------------------------------------------------ from outside


def _hash(what: str, value: bytes, *, may_lack: bool = False) -> bytes:
    if len(value) != HASH_BYTES and not (may_lack and not value):
        raise BadTrail(f"{what} has {len(value)} bytes, expected {HASH_BYTES}")
    return value


def read_head(head: pb.TrailHead) -> BlockTrail:
    """Without steps. Raises BadTrail."""
    if not 0 < head.height <= HEIGHT_MAX:
        raise BadTrail(f"a trail of height {head.height}")
    where = f"height {head.height}"
    if len(head.roots) not in (0, len(STORE_NAMES)):
        raise BadTrail(f"{where}: {len(head.roots)} roots, expected {len(STORE_NAMES)}, or none")
    for root in head.roots:
        _hash(f"{where}: a root", root)
    return BlockTrail(
        head.height,
        _hash(f"{where}: block_hash", head.block_hash),
        _hash(f"{where}: app_hash", head.app_hash),
        dict(zip(STORE_NAMES, head.roots, strict=False)),
        (),
    )


def read_steps(messages: Sequence[pb.TrailStep], *, first: int, count: int) -> list[Step]:
    """Of a block with `count` steps, from the one numbered `first` on. Raises BadTrail."""
    if not 2 <= count <= BLOCK_STEPS_MAX:
        raise BadTrail(f"{count} steps, allowed: 2 to {BLOCK_STEPS_MAX}")
    if first + len(messages) > count:
        raise BadTrail(f"steps up to {first + len(messages)}, of {count}")
    return [_read_step(message, first + place, count) for place, message in enumerate(messages)]


def _read_step(message: pb.TrailStep, index: int, count: int) -> Step:
    where, is_tx = f"step {index}", 0 < index < count - 1
    if len(message.stores) != len(STORE_NAMES):
        raise BadTrail(f"{where}: {len(message.stores)} hashes of stores, expected {len(STORE_NAMES)}")
    if is_tx != bool(message.tx):
        raise BadTrail(f"{where} of {count}: its transaction is {message.tx.hex()[:64] or 'missing'}")
    if not -1 <= message.gas_used <= HEIGHT_MAX:
        raise BadTrail(f"{where}: gas_used is {message.gas_used}")
    return Step(
        _hash(f"{where}: tx", message.tx, may_lack=True),
        message.code,
        message.gas_used,
        _hash(f"{where}: result", message.result, may_lack=index == 0),
        tuple([_hash(f"{where}: a store's hash", value) for value in message.stores]),
        read_writes(message.writes, where),
    )


def read_writes(messages: Sequence[pb.TrailWrite], where: str, *, after: bytes = b"") -> dict[bytes, bytes | None]:
    """Raises BadTrail."""
    if len(messages) > STEP_WRITES_MAX:
        raise BadTrail(f"{where}: {len(messages)} writes, allowed: {STEP_WRITES_MAX}")
    found: dict[bytes, bytes | None] = {}
    for write in messages:
        key, value = write.key, write.value
        if not 1 < len(key) <= KEY_BYTES_MAX or key[0] not in STORE_OF:
            raise BadTrail(f"{where}: {key[:32].hex()} is no key of a store")
        if key <= after:
            raise BadTrail(f"{where}: keys do not ascend at {key[:32].hex()}")
        if len(value) > RECORD_BYTES_MAX or (write.deleted and value):
            raise BadTrail(f"{where}: the value of {key[:32].hex()} has {len(value)} bytes")
        found[key] = None if write.deleted else value
        after = key
    return found


def check_writes(steps: Sequence[Step], index: int, writes: Writes) -> None:
    """That they lead to the hashes that the step has. Raises BadTrail."""
    before = steps[index - 1].stores if index else (NO_HASH,) * len(STORE_NAMES)
    if hashes_after(before, writes) != steps[index].stores:
        raise BadTrail(f"step {index}: its writes are not those that its hashes were made of")
