"""What goes a short way (`chain.kernel.modules.ShortWay`) held against the long one: states and transactions that are
plain but for a few things, and all that a block of them leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import event
from hypothesis import strategies as st

from chain.kernel.branch import Branch
from chain.kernel.execution import Executor, Rules
from chain.kernel.modules import Modules
from chain.kernel.signatures import Signatures
from chain.tx.envelope.tx import Tx
from chain.tx.errors import TxError
from consensus.formats.units import NS_PER_S
from dchat.app.composition import compose

CHAIN_ID, HEIGHT, TIME_NS, BLOCK_GAS_MAX = "chain-1", 40, 1_700_000_000 * NS_PER_S, 100_000
LONG = Modules([replace(module, short=None) for module in compose().all])
SHORT = compose()


class Odd:
    """Draws what is plain, but for a few things that it was told: with more of them nothing would go the short way."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._odd = draw(st.frozensets(st.integers(0, 15), max_size=3))

    def __call__(self, number: int, otherwise: st.SearchStrategy[Any], plain: Any) -> Any:
        return self._draw(otherwise) if number in self._odd else plain


def shown(writes: Mapping[bytes, Any]) -> list[tuple[bytes, list[object]]]:
    """In the order of writing, which the trail keeps. Not encoded: some are too wide, and here both ways are asked."""
    return [(key, plain(record)) for key, record in writes.items()]


def plain(record: Any) -> list[object]:
    slots = getattr(record, "__slots__", ())
    return [plain(getattr(record, name)) for name in slots] if slots else [record]


def executor(modules: Modules, state: Mapping[bytes, Any], *, tells: bool = True) -> Executor:
    rules = Rules(CHAIN_ID, BLOCK_GAS_MAX)
    return Executor(modules, Signatures(), rules, Branch(state.get), height=HEIGHT, time_ns=TIME_NS, tells=tells)


def outcome(modules: Modules, state: Mapping[bytes, Any], txs: list[Tx]) -> list[object]:
    run = executor(modules, state)
    said: list[object] = []
    for index, tx in enumerate(txs):
        tx.verified = False
        with contextlib.suppress(TxError):
            event("the short way" if run.short(tx) is not None else "the long way")
        tx.verified = False
        try:
            result = run.run(tx, index)
        except TxError as error:
            said.append((type(error), error.log))
        else:
            said.append((result, [told.encode() for told in result.events]))
        said += (shown(run.block.writes), tx.verified, run.others, run.doubted)
    said += [(index, shown(before), shown(rest)) for index, before, rest in run.parts]
    return said
