"""Who gives way: one that pays more takes the place of one that waits, or the room of those that pay least.

A *replacement* has the place of one that waits (its replay id): the application says by their fees whether it may. The
replaced one leaves, what came after it stays. Where there is no room, a newcomer *displaces* those of its lane that pay
least, if it pays a tenth more than each, the youngest first and each with those behind it in its order; never one that
another sender's stands behind. A newcomer that stands behind one that waits takes nobody's room: what is before it may
leave nothing to pay with. Nobody else loses anything, and a lane of one price (posts) takes nobody's room.

Each that leaves so was checked and will never pay: in one block's time PART of the pool may leave, of one place
REPLACED_MAX and of one sender SENDER_REPLACED_MAX, then newcomers are told to try later. What finds no room, in the
pool or in the lane that it shows, is not read, but for BIDS_MAX of each source, which may be the ones that pay more;
and of those that say so, ALL_BIDS_MAX of each origin have their signatures verified. Who wins has its bid back. So what
a full pool does for those who pay no more is bounded, and who sends what cannot win closes it to nobody.
Two nodes that are offered the same two in other orders keep the same one, unless neither pays a tenth more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from consensus.abci.interface import CheckTxResponse, IdentifiesTxs, ReplacesTxs
from consensus.mempool.admission.entry import Claim, Entry, PoolMetrics, Waiting
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.admission.index import Index

MORE_PERCENT: Final = 110  # of the priority of who gives way
MORE_BYTES: Final = 64  # that one may have more than what gives way: a higher fee may take a byte more
PART_DIVISOR: Final = 8  # of the pool
REPLACED_MAX: Final = 2
SENDER_REPLACED_MAX: Final = 16
BIDS_MAX: Final = 8
ALL_BIDS_MAX: Final = 256
LOOKS_MAX: Final = 32  # at those who pay least, for one newcomer: large ones stand behind themselves, or need many

Refused = tuple[Refusal, str]


class Contest:
    """app: where it does not know how (`ReplacesTxs`), nobody gives way. Told of each block."""

    def __init__(self, app: object, index: Index, txs_max: int, metrics: PoolMetrics) -> None:
        self._app = app if isinstance(app, ReplacesTxs) and isinstance(app, IdentifiesTxs) else None
        self._index, self._metrics = index, metrics
        self._gone_max = max(REPLACED_MAX, txs_max // PART_DIVISOR)
        self._gone = 0  # since the last block, as all that follows
        self._bids: Counter[tuple[int, str]] = Counter()
        self._all_bids: Counter[int] = Counter()  # by origin
        self._replaced: Counter[bytes] = Counter()  # by place, and by sender

    def block(self) -> None:
        self._gone = 0
        self._bids.clear()
        self._all_bids.clear()
        self._replaced.clear()

    # -------------------------------------------------------------------------------------------------- bids

    def may_bid(self, origin: int, payer: str) -> bool:
        """Whether one for which there is no room is read all the same. If so, it is counted."""
        who = (origin, payer)
        if self._app is None or self._bids[who] >= BIDS_MAX:
            return False
        self._bids[who] += 1
        return True

    def _won(self, origin: int, payer: str) -> None:
        if self._bids[(origin, payer)]:  # else there was a block meanwhile
            self._bids[(origin, payer)] -= 1
            self._all_bids[origin] -= 1

    # -------------------------------------------------------------------------------------------------- claims

    def judge(
        self, waiting: Waiting, facts: CheckTxResponse, refused: Refused | None, *, has_few: bool
    ) -> Refused | None:
        """Of one with a claim, or that the bounds refuse: why it stays out. None: its claim says who gives way.

        has_few: its source has little in the pool, and is not bound by a full lane.
        """
        let_in = waiting.claim.full if waiting.claim is not None else ""
        full = (Refusal.FULL, let_in) if let_in else None
        if refused is not None and refused[0] is Refusal.LANE_FULL:
            refused, full = None, full or (None if has_few else refused)
        if refused is None and full is None and waiting.claim is None:
            return None
        if refused is not None and (refused[0] is not Refusal.REPLAY or self._app is None):
            return refused
        claim = self._claim(waiting.key, waiting.tx, facts, full)
        if not isinstance(claim, Claim):
            return claim
        claim.full = let_in
        if let_in and not (waiting.claim is not None and waiting.claim.is_counted):
            if self._all_bids[waiting.origin] >= ALL_BIDS_MAX:
                return Refusal.FULL, f"{let_in}; {ALL_BIDS_MAX} that pay more came since the last block; try later"
            self._all_bids[waiting.origin] += 1
        claim.is_counted = bool(let_in)
        waiting.claim = claim
        return None

    def _claim(self, key: bytes, tx: bytes, facts: CheckTxResponse, full: Refused | None) -> Claim | Refused:
        """Who would give way to it, or why nobody does. full: why there is no room; None: there is."""
        old_key = self._index.replays.get(facts.replay_id, key) if facts.replay_id else key
        if full is not None and (old_key == key or self._app is None):
            return self._room(tx, facts, full) if self._app is not None else full
        if old_key == key or self._app is None:
            return Claim()
        old = self._index.entries[old_key]
        why = self._app.why_not_replace(old.tx, tx)
        if why:
            self._metrics.underpriced += 1
            return Refusal.UNDERPRICED, why
        if self._replaced[facts.replay_id] >= REPLACED_MAX or self._replaced[facts.sender] >= SENDER_REPLACED_MAX:
            return (
                Refusal.FULL,
                f"{REPLACED_MAX} of one sequence, {SENDER_REPLACED_MAX} of one sender are replaced "
                "in one block's time; try later",
            )
        if self._gone >= self._gone_max:
            return self._too_many()
        if full is not None and len(tx) > len(old.tx) + MORE_BYTES:
            return full
        return Claim(replaces=old)

    def _too_many(self) -> Refused:
        return Refusal.FULL, f"{self._gone} transactions gave way to others since the last block; try later"

    def _room(self, tx: bytes, facts: CheckTxResponse, full: Refused) -> Claim | Refused:
        lane = self._index.lanes.get(facts.lane)
        if lane is None or not facts.priority:
            return full
        if not self._index.touching.keys().isdisjoint(facts.touches):
            reason, text = full
            return reason, f"{text}; what stands behind others that wait takes nobody's room: pay more for those"
        gone: dict[bytes, Entry] = {}
        size = looks = 0
        for priority in lane.priorities:
            if facts.priority <= priority or facts.priority * 100 < priority * MORE_PERCENT:
                break
            for entry in reversed(lane.levels[priority].values()):
                looks += 1
                if looks > LOOKS_MAX:
                    return full
                if entry.key in gone:
                    continue
                together = (entry, *self._index.after(entry))
                if self._bear_others(together):
                    continue
                for one in together:
                    if one.key not in gone:
                        gone[one.key] = one
                        size += len(one.tx)
                if self._gone + len(gone) > self._gone_max:
                    return self._too_many()
                if size + MORE_BYTES >= len(tx):
                    return Claim(displaces=tuple(gone.values()))
        self._metrics.underpriced += 1
        least = lane.priorities[0]
        reason, text = full
        return reason, f"{text}; or pay more for its gas: it pays {facts.priority}, {least} is the least that waits"

    def _bear_others(self, together: Sequence[Entry]) -> bool:
        """Whether a later one of another sender may rest on one of them, which are of one order: who signs together
        shares what each has. It is found at once, or the sender's own are as many as one may have."""
        facts = together[0].facts
        if not facts.order_key:
            return False
        first: dict[bytes, Entry] = {}  # of each key that they touch
        for one in together:
            for touched in one.facts.touches:
                first.setdefault(touched, one)
        return any(self._is_of_another(one, touched) for touched, one in first.items())

    def _is_of_another(self, entry: Entry, touched: bytes) -> bool:
        """Whether one of another sender came after it and touches that key."""
        for one in reversed(self._index.touching[touched].values()):
            if one is entry:
                return False
            if one.facts.sender != entry.facts.sender:
                return True
        return False

    def replace(self, tx: bytes, claim: Claim) -> CheckTxResponse | None:
        """What the application says of it in the other's place. None: it claims none."""
        if claim.replaces is None or self._app is None:
            return None
        return self._app.replace_tx(claim.replaces.tx, tx)

    def let_go(self, entries: Iterable[Entry]) -> None:
        """They leave, and nobody has their place or room."""
        if self._app is not None:
            self._app.withdraw_txs([one.tx for one in entries])

    def granted(self, claim: Claim, entry: Entry) -> None:
        """It is admitted, and they leave."""
        facts = entry.facts
        if claim.full:
            self._won(entry.origin, entry.payer)
        if claim.displaces and self._app is not None:
            self._app.withdraw_txs([one.tx for one in claim.displaces])
        if claim.replaces is not None:
            self._gone += 1
            self._replaced[facts.replay_id] += 1
            self._replaced[facts.sender] += 1
        self._gone += len(claim.displaces)
