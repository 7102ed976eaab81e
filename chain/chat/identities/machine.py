"""What the files of this room have, together, for the chat machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.identities import devices, names, prekeys, profiles
from chain.kernel.branch import Decoders, Readable, Scan, decoders_of
from chain.kernel.context import Handler
from chain.kernel.modules import BlockContext

DECODERS: Final[Decoders] = decoders_of(profiles.PROFILE, prekeys.PREKEY, devices.DEVICE)


def handlers() -> dict[type[Any], Handler]:
    return {**profiles.handlers(), **prekeys.handlers(), **devices.handlers()}


def end_block(ctx: BlockContext) -> Iterator[None]:
    """What is over is removed."""
    return prekeys.clear_claims(ctx.branch, ctx.scan, time_ns=ctx.time_ns, block_gas_max=ctx.block_gas_max)


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    yield from names.invariants(state, scan)
    yield from prekeys.invariants(state, scan)
    yield from devices.invariants(state, scan)
