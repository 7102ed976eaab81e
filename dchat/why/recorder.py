"""Makes the record of each height while it runs. It listens, reads clocks and counters, and can change nothing.

A height's record is complete when its block is saved, and is handed on then; what the next block's commit has of our
vote stands in the next record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consensus.core.events import CoreConfig, Elapsed, Step, VoteKind
from consensus.engine.interfaces import RoundState, SavedBlock
from consensus.execution.metrics import EngineMetrics, Signing
from consensus.formats.units import NS_PER_MS
from consensus.system.clock import Clock
from consensus.types.block import Commit
from consensus.types.ids import PartSetHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote
from dchat.why.form import (
    LAGS_MAX,
    OWN_MAX,
    REFUSAL_CHARS_MAX,
    ROUNDS_FIRST,
    ROUNDS_LAST,
    HeightRecord,
    Lag,
    OwnMessage,
    Power,
    RoundRecord,
)

LAG_MS: Final = 100  # a loop that is this late is worth a line
USUAL_HEIGHTS: Final = 50  # whose peers say how many are usual
NAMES_MAX: Final = 256  # monikers that are remembered, whoever changes them
NAME_CHARS_MAX: Final = 64
FIRST_MS: Final = 10_000  # of a silence: whether its peers were connected then says what it was


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the recorder asks of its node. started_at: of this process, in milliseconds since the epoch."""

    own: Callable[[ValidatorSet], bytes]  # our address in a set: our key changes; empty: we are none of it
    started_at: int
    peers: Callable[[], int]
    is_behind: Callable[[], bool]
    skew_ns: Callable[[], int | None] = lambda: None
    is_jailed: Callable[[], bool] = lambda: False
    has_signer: Callable[[], bool] = lambda: True
    name_of: Callable[[bytes], str] = lambda address: ""


class _Running:
    """The height that runs. Times are monotonic. own: our address in its set."""

    def __init__(self, height: int, now_ns: int, wall_ms: int, *, peers: int, syncs: int, own: bytes) -> None:
        self.height, self.entered_ns, self.began_ns, self.wall_ms = height, now_ns, 0, wall_ms
        self.rounds: list[RoundRecord] = []
        self.lags: list[Lag] = []
        self.decided_ns = self.commit_round = -1
        self.heard_ns = 0  # when another validator was heard last, or its round began
        self.silence_ns = self.silence_from_ns = 0
        self.silence_peers = self.since_peers = self.peers_begin = self.peers_min = peers
        self.signer_lost_ns = self.seen_ns = 0
        self.syncs = syncs  # of the log, before it
        self.own = own

    def ms(self, at_ns: int) -> int:
        return (at_ns - (self.began_ns or self.entered_ns)) // NS_PER_MS


class Recorder:
    """Satisfies RoundListener and SavedListener. keep: takes each record."""

    def __init__(
        self, clock: Clock, rounds: RoundState, metrics: EngineMetrics, config: CoreConfig, around: Around,
        keep: Callable[[HeightRecord], None],
    ) -> None:  # fmt: skip
        self._clock, self._state, self._metrics, self._config = clock, rounds, metrics, config
        self._around, self._keep = around, keep
        self._now: _Running | None = None
        self._usual: deque[int] = deque(maxlen=USUAL_HEIGHTS)
        self._names: dict[bytes, str] = {}
        self._signers: ValidatorSet | None = None  # of the last saved block

    # ------------------------------------------------------------------------------------------------- listening

    def step_changed(self) -> None:
        state, now_ns = self._state, self._clock.monotonic_ns()
        running = self._now
        if running is None or running.height != state.height:
            running = self._now = self._new(state.height, now_ns)
        if state.step in (Step.NEW_HEIGHT, Step.NEW_ROUND):
            return
        if not running.began_ns:
            running.began_ns, running.wall_ms = now_ns, self._clock.now_ns() // NS_PER_MS
            running.peers_begin = running.peers_min = running.since_peers = self._around.peers()
            running.heard_ns = now_ns
        if state.step is Step.COMMIT and running.decided_ns < 0:
            self._end_silence(running, now_ns)
            running.decided_ns, running.commit_round = now_ns, state.commit_round
        if not running.rounds or running.rounds[-1].round != state.round:
            self._begin_round(running, now_ns)

    def _new(self, height: int, now_ns: int) -> _Running:
        wall_ms = self._clock.now_ns() // NS_PER_MS
        peers, own = self._around.peers(), self._around.own(self._state.validators)
        return _Running(height, now_ns, wall_ms, peers=peers, syncs=self._metrics.wal_sync.count, own=own)

    def _begin_round(self, running: _Running, now_ns: int) -> None:
        state, rounds = self._state, running.rounds
        proposer = state.proposer_address
        if len(rounds) >= ROUNDS_FIRST + ROUNDS_LAST:
            del rounds[ROUNDS_FIRST]
        name = self._names.get(proposer)
        if name is None:
            if len(self._names) >= NAMES_MAX:
                self._names.clear()
            name = self._names[proposer] = self._around.name_of(proposer)[:NAME_CHARS_MAX]
        is_ours = proposer == running.own
        rounds.append(RoundRecord(state.round, running.ms(now_ns), proposer.hex().upper(), name, is_ours))

    def proposal_set(self, proposal: Proposal) -> None:
        running, now_ns = self._now, self._clock.monotonic_ns()
        if running is None or not running.rounds or running.rounds[-1].round != proposal.round:
            return
        of_round = running.rounds[-1]
        if of_round.proposal_ms is None:
            of_round.proposal_ms = running.ms(now_ns)
        if not of_round.is_ours:
            self._heard(running, now_ns)
        self._look_for_block(running, now_ns)

    def part_added(self, height: int, round: int, index: int) -> None:
        running, now_ns = self._now, self._clock.monotonic_ns()
        if running is not None and height == running.height:
            self._heard(running, now_ns)
            self._look_for_block(running, now_ns)

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        pass

    def valid_block_set(self, block_id: object, *, is_commit: bool) -> None:
        if self._now is not None:
            self._look_for_block(self._now, self._clock.monotonic_ns())

    def vote_added(self, vote: Vote) -> None:
        running = self._now
        if running is not None and vote.height == running.height and vote.validator_address != running.own:
            self._heard(running, self._clock.monotonic_ns())

    def timed_out(self, elapsed: Elapsed) -> None:
        running = self._now
        if running is None or not running.rounds or (elapsed.height, elapsed.round) != (
            running.height, running.rounds[-1].round,
        ):  # fmt: skip
            return
        name = elapsed.step.name.lower()
        if elapsed.step not in (Step.NEW_HEIGHT, Step.NEW_ROUND) and name not in running.rounds[-1].timed_out:
            running.rounds[-1].timed_out.append(name)

    def late(self, late_s: float, not_run_s: float) -> None:
        """Called some twenty times a second; the loop was so late this time, and not run at all for so much of it."""
        running, now_ns = self._now, self._clock.monotonic_ns()
        if running is None:
            return
        ms = int(late_s * 1_000)
        if ms >= LAG_MS:
            lag = Lag(running.ms(now_ns), ms, int(not_run_s * 1_000))
            running.lags = sorted([*running.lags, lag], key=lambda one: -one.ms)[:LAGS_MAX]
        peers = self._around.peers()
        running.peers_min = min(running.peers_min, peers)
        if running.began_ns and now_ns - running.heard_ns < FIRST_MS * NS_PER_MS:
            running.since_peers = min(running.since_peers, peers)
        if not self._around.has_signer() and running.seen_ns:
            running.signer_lost_ns += now_ns - running.seen_ns
        running.seen_ns = now_ns

    def _heard(self, running: _Running, now_ns: int) -> None:
        self._end_silence(running, now_ns)
        running.heard_ns, running.since_peers = now_ns, self._around.peers()

    def _end_silence(self, running: _Running, now_ns: int) -> None:
        """Until the height is decided: then nobody has anything to say."""
        if running.decided_ns < 0 and running.began_ns and now_ns - running.heard_ns > running.silence_ns:
            running.silence_ns, running.silence_from_ns = now_ns - running.heard_ns, running.heard_ns
            running.silence_peers = running.since_peers

    def _look_for_block(self, running: _Running, now_ns: int) -> None:
        parts = self._state.parts
        if running.rounds and running.rounds[-1].block_ms is None and parts is not None and parts.is_complete:
            running.rounds[-1].block_ms = running.ms(now_ns)

    # ------------------------------------------------------------------------------------------------- the record

    def block_saved(self, saved: SavedBlock) -> None:
        running = self._now
        self._keep(self._record(saved, running if running is not None and running.height == saved.height else None))
        if running is not None and running.height <= saved.height:
            self._now = None
        self._signers = saved.state.last_validators
        self._usual.append(self._around.peers())

    def running(self) -> HeightRecord | None:
        """Of the height that is not decided yet."""
        running = self._now
        return None if running is None else self._told(running, "running")

    def _record(self, saved: SavedBlock, running: _Running | None) -> HeightRecord:
        signers, earlier = saved.state.last_validators, self._signers
        address = self._around.own(signers)
        was_decided_here = running is not None and running.decided_ns >= 0
        if running is None:
            running = self._new(saved.height, self._clock.monotonic_ns())
        self._end_silence(running, self._clock.monotonic_ns())
        record = self._told(running, "consensus" if was_decided_here else "synced")
        index = signers.index_of(address)
        record.block_at = saved.block.header.time_ns // NS_PER_MS
        record.is_validator, record.address = index is not None, "" if index is None else address.hex().upper()
        record.is_jailed = index is None and self._around.is_jailed()
        record.before = "" if earlier is None else _fate(saved.block.last_commit, earlier, self._around.own(earlier))
        record.power, record.power_total = 0 if index is None else signers.powers[index], signers.total_power
        record.commit_round = saved.commit.round
        record.apply_ms = self._metrics.apply.last_ns // NS_PER_MS if was_decided_here else 0
        return record

    def _told(self, running: _Running, how: str) -> HeightRecord:
        state, around, metrics = self._state, self._around, self._metrics
        if state.height == running.height:
            for one in running.rounds:
                one.prevotes = _power(state, VoteKind.PREVOTE, one.round)
                one.precommits = _power(state, VoteKind.PRECOMMIT, one.round)
        skew_ns, is_validator = around.skew_ns(), state.validators.index_of(running.own) is not None
        return HeightRecord(
            running.height, how, around.started_at, running.wall_ms,
            saved_at=self._clock.now_ns() // NS_PER_MS, block_at=0,
            is_validator=is_validator, address=running.own.hex().upper() if is_validator else "", is_jailed=False,
            before="", is_behind=around.is_behind(),
            rounds=list(running.rounds), own=self._own(running), lags=list(running.lags),
            decided_ms=running.ms(running.decided_ns) if running.decided_ns >= 0 else None,
            waited_ms=max(0, running.began_ns - running.entered_ns) // NS_PER_MS,
            silence_ms=running.silence_ns // NS_PER_MS,
            silence_from_ms=running.ms(running.silence_from_ns) if running.silence_ns else 0,
            silence_peers=running.silence_peers, peers_begin=running.peers_begin,
            peers_min=min(running.peers_min, around.peers()), peers_usual=max(self._usual, default=around.peers()),
            signer_lost_ms=running.signer_lost_ns // NS_PER_MS,
            skew_ms=None if skew_ns is None else skew_ns // NS_PER_MS,
            sync_ms=metrics.wal_sync.last_ns // NS_PER_MS if metrics.wal_sync.count != running.syncs else 0,
            propose_limit_ms=self._config.timeout_propose_ms,
        )  # fmt: skip

    def _own(self, running: _Running) -> list[OwnMessage]:
        ours = [signing for signing in self._metrics.signings if signing.height == running.height]
        return [_own_message(signing, running) for signing in ours[-OWN_MAX:]]


def _own_message(signing: Signing, running: _Running) -> OwnMessage:
    signer_ms = (signing.signed_ns - signing.asked_ns) // NS_PER_MS if signing.signed_ns else None
    return OwnMessage(
        signing.kind, signing.round, running.ms(signing.asked_ns), nil_why=signing.nil_why,
        took_ms=(signing.done_ns - signing.asked_ns) // NS_PER_MS if signing.done_ns else None,
        disk_ms=signing.work_ns // NS_PER_MS, is_away=signing.is_away, signer_ms=signer_ms,
        refused=signing.refused[:REFUSAL_CHARS_MAX],
    )  # fmt: skip


def _power(state: RoundState, kind: VoteKind, round: int) -> Power:
    votes = state.votes(kind, round)
    if votes is None:
        return Power()
    powers = state.validators.powers
    by_block: dict[bool, dict[object, int]] = {True: {}, False: {}}
    for index, power in enumerate(powers):
        vote = votes.get(index) if votes.mask >> index & 1 else None
        if vote is not None:
            of = by_block[vote.block_id.is_zero]
            of[vote.block_id] = of.get(vote.block_id, 0) + power
    return Power(max(by_block[False].values(), default=0), sum(by_block[True].values()), votes.power)


def _fate(commit: Commit | None, signers: ValidatorSet, address: bytes) -> str:
    """What a block's commit has of us for the height before it. address: ours in the set of that one."""
    index = signers.index_of(address)
    if commit is None or index is None or index >= len(commit.signatures):
        return ""
    slot = commit.signatures[index]
    return "absent" if slot.is_absent else "commit" if slot.is_commit else "nil"
