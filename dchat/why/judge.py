"""Why a vote or a proposal of this validator is missing at a height: judged by the records alone, so also of a node
that does not run.

What was missed is certain: the next block's commit says so, and our own record of each round. Why is a judgement. A
cause is what took the longest of what the record shows to have kept us, with what only follows from another taken out:
while the loop is held nothing is heard and no disk answers; whose peers are silent sees no proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from dchat.why.form import HeightRecord, Lag, OwnMessage, RoundRecord

Find = Callable[[int], HeightRecord | None]

BACK_MAX: Final = 100_000  # heights that are looked back for where catching up began
CLOCK_OFF_MS: Final = 10_000  # as consensus/engine/skew.py tells of it
YOUNG_HEIGHTS: Final = 4
YOUNG_MS: Final = 10_000  # a process so young may still be behind
LEAST_MS: Final = 150  # what took less kept nobody
BEHIND_MS: Final = 500  # later than another height began, beside its block: more than a busy machine makes of it
FALL_BACK_MAX: Final = 1_000  # heights that are looked back for where it fell behind
ROOTS_MAX: Final = 3  # causes that are told of heights before


class Cause(StrEnum):
    LATE_PROPOSAL = "late_proposal"
    SLOW_DISK = "slow_disk"
    SIGNER_LOST = "signer_lost"
    SIGNER_REFUSED = "signer_refused"
    OVERLOADED = "overloaded"
    PARTITION = "partition"
    TOO_FEW_PEERS = "too_few_peers"
    CLOCK = "clock"
    CATCHING_UP = "catching_up"
    NOT_RUNNING = "not_running"
    JAILED = "jailed"
    NOT_IN_SET = "not_in_set"
    LISTENING = "listening"
    BAD_BLOCK = "bad_block"
    OTHERS_FASTER = "others_faster"
    UNKNOWN = "unknown"


ADVICE: Final = {
    Cause.LATE_PROPOSAL: "ask that validator's operator; `dchat top` shows how far its node is",
    Cause.SLOW_DISK: "see what else uses the disk (iostat -x 1), and whether it fails (docs/operators/runbooks.md)",
    Cause.SIGNER_LOST: "look at the signer's process and its connection (docs/signer.md)",
    Cause.SIGNER_REFUSED: "read the reason; never lower a sign state to get past it (docs/signer.md)",
    Cause.OVERLOADED: "see what else uses this machine's cores, or held this process; give it a core of its own",
    Cause.PARTITION: "look at this machine's network and firewall; `dchat top` shows who is connected",
    Cause.TOO_FEW_PEERS: "look whether the peers' addresses are right and reachable ([network] bootstrap_validators)",
    Cause.CLOCK: "set the clock and let it be kept (NTP)",
    Cause.CATCHING_UP: "wait until `dchat status` says that it does not catch up any more",
    Cause.NOT_RUNNING: "read the log of the time before, and the exit code (docs/operating.md)",
    Cause.JAILED: "mend what made it miss blocks, then `dchat tx stake unjail`",
    Cause.NOT_IN_SET: "stake more, or wait for a place (docs/economics.md)",
    Cause.LISTENING: "nothing: it signs when it has listened for its key's second user",
    Cause.BAD_BLOCK: "where the others took the block: `dchat debug autopsy` (docs/autopsy.md)",
    Cause.OTHERS_FASTER: "nothing, if it is rare; else a nearer or faster machine",
    Cause.UNKNOWN: "read the log of that time",
}


LEFT_OVER: Final = (Cause.UNKNOWN, Cause.LISTENING, Cause.CATCHING_UP, Cause.OTHERS_FASTER)


@dataclass(frozen=True, slots=True)
class Found:
    """says: a sentence, with its figures."""

    cause: Cause
    says: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """missed: what, in words; empty: nothing was. causes: the likeliest first. record: None, none is kept."""

    height: int
    missed: tuple[str, ...]
    causes: tuple[Found, ...]
    record: HeightRecord | None
    is_open: bool = False  # the next block's commit is not known yet


def judge(height: int, find: Find) -> Verdict:
    """find: the record of a height, if there is one."""
    record = find(height)
    if record is None:
        return Verdict(height, (), (), None)
    after = find(height + 1)
    if not record.is_validator:
        return Verdict(height, ("it had no vote",), (_no_vote(record),), record)
    missed = tuple(_missed(record, after))
    causes = _causes(record, find) if missed else []
    if record.skew_ms is not None and abs(record.skew_ms) >= CLOCK_OFF_MS:
        way = "ahead of" if record.skew_ms > 0 else "behind"
        told = Found(
            Cause.CLOCK, f"this machine's clock was {seconds(abs(record.skew_ms))} {way} the other validators'"
        )
        certain = [one for one in causes if one.cause not in (Cause.UNKNOWN, Cause.OTHERS_FASTER)]
        causes = [*certain, told]
    return Verdict(height, missed, tuple(causes), record, is_open=after is None)


def seconds(ms: int) -> str:
    """`310 ms`, `4.2 s`, `61 minutes`."""
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 120_000:
        return f"{ms / 1_000:.1f} s"
    minutes = ms // 60_000
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"


def _who(one: RoundRecord) -> str:
    return f"{one.proposer_name} ({one.proposer[:12].lower()})" if one.proposer_name else one.proposer[:12].lower()


def _no_vote(record: HeightRecord) -> Found:
    if record.is_jailed:
        return Found(Cause.JAILED, "it was jailed, so it was not among the validators")
    return Found(Cause.NOT_IN_SET, "it was not among the validators of this height")


# ------------------------------------------------------------------------------------------------ what


def _missed(record: HeightRecord, after: HeightRecord | None) -> Iterator[str]:
    fate = after.before if after is not None else ""
    ours = {(own.kind, own.round): own for own in record.own}
    if fate == "absent":
        yield "the block's commit lacks its vote"
    elif fate == "nil":
        yield "its vote in the block's commit is for no block"
    elif not fate:
        own = ours.get(("precommit", record.commit_round))
        if record.how == "synced" or own is None or own.nil_why or own.took_ms is None:
            yield "it did not vote for the block in time"
    for one in record.rounds:
        if one.is_ours and one.round != record.commit_round and record.how != "running":
            yield f"its proposal in round {one.round} came to nothing"
        elif (own := ours.get(("prevote", one.round))) is not None and own.nil_why:
            yield f"its prevote in round {one.round} was for no block"


# ------------------------------------------------------------------------------------------------ why


def _causes(record: HeightRecord, find: Find) -> list[Found]:
    if record.how == "synced" and not record.rounds:
        return _while_away(record, find)
    before = find(record.height - 1)
    found = _of_rounds(record, before)
    if found[0].cause is Cause.SIGNER_REFUSED:
        return found
    if found[0].cause in LEFT_OVER and before is not None and before.how == "synced" and not before.rounds:
        return [*_while_away(before, find), Found(Cause.CATCHING_UP, "it had just caught up, and came into the middle")]
    if found[0].cause in LEFT_OVER and before is not None and before.started_at != record.started_at:
        says = f"this node was started anew in the middle of it, {_ago(record, before)} after its last block before"
        return [Found(Cause.NOT_RUNNING, says)]
    age_ms = record.began_at - record.started_at
    was_kept = any(_kept_by(record, before))
    if age_ms < YOUNG_MS and _was_started_anew(record, find) and not was_kept:
        says = f"this node had been started {seconds(max(0, age_ms))} before, and was not in step with the others yet"
        return [Found(Cause.NOT_RUNNING, says)]
    if (fall := _fall(record, find)) is not None and (kept := fall.told(record.height)):
        says = f"it began this height {seconds(fall.behind_ms)} after the others"
        return [*kept, Found(Cause.CATCHING_UP, says)]
    if not was_kept and found[0].cause in (*LEFT_OVER, Cause.PARTITION) and (lately := _kept_lately(record, find)):
        return [*lately, Found(Cause.CATCHING_UP, "it was not in step with the others again yet")]
    if found[0].cause is Cause.UNKNOWN and record.how == "synced":
        return [Found(Cause.CATCHING_UP, "it was catching up: the block came to it decided")]
    return found


def _was_started_anew(record: HeightRecord, find: Find) -> bool:
    """Within the last heights."""
    lately = (find(record.height - back) for back in range(1, YOUNG_HEIGHTS + 1))
    return any(one is not None and one.started_at != record.started_at for one in lately)


def _while_away(record: HeightRecord, find: Find) -> list[Found]:
    """It came decided, without a round here: why this node was behind."""
    first, root = record, find(record.height - 1)
    for _ in range(BACK_MAX):
        if root is None or root.started_at != record.started_at or root.how != "synced" or root.rounds:
            break
        first, root = root, find(root.height - 1)
    is_another = root is not None and root.started_at != record.started_at
    if record.block_at < record.started_at:
        since = ""
        if root is not None and is_another:
            since = f"; the process before it saved its last block {_ago(record, root)} earlier"
        return [Found(Cause.NOT_RUNNING, f"this node did not run: it was started after the block was made{since}")]
    behind = Found(Cause.CATCHING_UP, f"it was catching up since height {first.height}: the block came to it decided")
    if first.block_at < first.started_at:
        return [Found(Cause.NOT_RUNNING, f"this node did not run when height {first.height} was decided"), behind]
    if root is None or is_another or not root.rounds:
        return [behind]
    if (fall := _fall(root, find)) is not None and (kept := fall.told(record.height)):
        return [*kept, behind]
    roots = [one for one in _of_rounds(root, find(root.height - 1)) if one.cause is not Cause.UNKNOWN]
    return [*(Found(one.cause, f"at height {root.height}: {one.says}") for one in roots), behind]


def _late_ms(record: HeightRecord) -> int:
    """How long after its block's time, which is when the others precommitted the one before it, this height began here,
    without what it waited on purpose. Clocks are apart, so it says something beside that of another height alone."""
    return record.began_at - record.block_at - record.waited_ms


class _Fall(NamedTuple):
    """How this node fell behind the others, which were past a height when it began here. by_ms: at once, from one
    height to the next; kept: (for how many milliseconds, height, by what) since then, the longest first."""

    behind_ms: int
    by_ms: int
    kept: list[tuple[int, int, Found]]

    def told(self, height: int) -> list[Found]:
        """What explains half of it, or more."""
        shown = [one for one in self.kept if 2 * one[0] >= self.by_ms][:ROOTS_MAX]
        return [one if at == height else Found(one.cause, f"at height {at}: {one.says}") for _, at, one in shown]


def _fall(record: HeightRecord, find: Find) -> _Fall | None:
    """None: it was not behind, as far as heights of this process show."""
    late_ms, first, before = _late_ms(record), record, find(record.height - 1)
    kept = [(ms, record.height, found) for ms, found in _kept_by(record, before)]
    for _ in range(FALL_BACK_MAX if record.block_at else 0):
        if before is None or not before.block_at or before.started_at != record.started_at:
            break
        earlier = find(before.height - 1)
        kept += [(ms, before.height, found) for ms, found in _kept_by(before, earlier)]
        behind_ms = late_ms - _late_ms(before)
        if behind_ms >= BEHIND_MS:
            return _Fall(behind_ms, _late_ms(first) - _late_ms(before), sorted(kept, key=lambda one: -one[0]))
        first, before = before, earlier
    return None


def _kept_lately(record: HeightRecord, find: Find) -> list[Found]:
    """What kept us in the last heights, of the latest in which anything did: one that is held while it writes a block
    misses the next, or the one after that, or those until it is in step again."""
    for height in range(record.height - 1, record.height - 1 - YOUNG_HEIGHTS, -1):
        one = find(height)
        if one is None:
            break
        if (fall := _fall(one, find)) is not None and (told := fall.told(record.height)):
            return told
        if kept := sorted(_kept_by(one, find(height - 1)), key=lambda found: -found[0]):
            return [Found(found.cause, f"at height {height}: {found.says}") for _, found in kept]
    return []


def _ago(record: HeightRecord, before: HeightRecord) -> str:
    return seconds(max(0, record.started_at - before.saved_at))


def _of_rounds(record: HeightRecord, before: HeightRecord | None) -> list[Found]:
    """Never empty. Of what kept us, the longest first."""
    if refused := [one for one in record.own if one.refused and not _waited_for_signer(one)]:
        return [Found(Cause.SIGNER_REFUSED, f"its signer refused: it {refused[0].refused}")]
    kept = sorted(_kept_by(record, before), key=lambda one: -one[0])
    return [found for _, found in kept] or list(_of_proposals(record)) or [_left_over(record)]


def _waited_for_signer(own: OwnMessage) -> bool:
    return own.is_away and own.signer_ms is None and ("before the signer answered" in own.refused or not own.refused)


def _least_ms(record: HeightRecord) -> int:
    return max(LEAST_MS, record.propose_limit_ms // 6)


def _end_ms(record: HeightRecord) -> int:
    """When the height was over here."""
    return record.decided_ms if record.decided_ms is not None else max(0, record.saved_at - record.began_at)


def _kept_by(record: HeightRecord, before: HeightRecord | None) -> Iterator[tuple[int, Found]]:
    """(for how many milliseconds, by what), each that is long enough to have kept us."""
    least, end = _least_ms(record), _end_ms(record)
    disk_ms = max((_disk_ms(record, own, end) for own in record.own), default=0)
    applied_ms = 0
    if before is not None:
        applied_ms = before.apply_ms - _held_within(before, before.decided_ms or 0, before.apply_ms)
        applied_ms -= max((max(0, lag.ms - max(0, lag.until_ms)) for lag in record.lags), default=0)  # noted after that
    lag = _lag(record)
    lag_ms = lag.ms if lag is not None else 0
    if disk_ms >= least:
        yield disk_ms, Found(Cause.SLOW_DISK, f"its disk took {seconds(disk_ms)} to make its own message durable")
    if applied_ms >= least:
        says = f"it took {seconds(applied_ms)} to write the block before"
        yield applied_ms, Found(Cause.SLOW_DISK, says)
    if lag is not None and lag_ms >= least:
        yield lag_ms, Found(Cause.OVERLOADED, f"{_what_was_held(lag)} for {seconds(lag_ms)} at once")
    away = [own for own in record.own if own.is_away]
    signer_ms = max((own.signer_ms if own.signer_ms is not None else end - own.asked_ms for own in away), default=0)
    signer_ms -= lag_ms
    unanswered = record.signer_lost_ms > 0 and any(own.signer_ms is None for own in away)
    if away and (signer_ms >= least or unanswered):
        lost = f"no signer was connected for {seconds(record.signer_lost_ms)}"
        slow = f"its signer took {seconds(signer_ms)} to answer"
        yield signer_ms, Found(Cause.SIGNER_LOST, lost if record.signer_lost_ms else slow)
    if (built_ms := _built_ms(record) - lag_ms) >= least:
        yield built_ms, Found(Cause.OVERLOADED, f"it took {seconds(built_ms)} to make its own block")
    silence_ms = record.silence_ms - _held_within(record, record.silence_from_ms, record.silence_ms)
    silence_ms -= _signed_within(record, record.silence_from_ms, record.silence_ms, end)
    if silence_ms >= _silence_limit(record):
        yield silence_ms, _silence(record, silence_ms)


def _built_ms(record: HeightRecord) -> int:
    """How long its own block took, of the round in which that was longest."""
    began = {one.round: one.began_ms for one in record.rounds if one.is_ours}
    asked = [own for own in record.own if own.kind == "proposal" and own.round in began]
    return max((own.asked_ms - began[own.round] for own in asked), default=0)


def _what_was_held(lag: Lag) -> str:
    if lag.not_run_ms is None:
        return "this process did not run, or its loop was held,"
    return "this process did not run" if lag.is_whole else "its loop was held"


def _disk_ms(record: HeightRecord, own: OwnMessage, end: int) -> int:
    """Of one message, without what only the loop's lag, or a process that did not run, made of it."""
    if own.refused or (own.is_away and own.signer_ms is None):
        return 0
    took = own.took_ms if own.took_ms is not None else max(0, end - own.asked_ms)
    began = own.asked_ms + (own.signer_ms or 0)
    waited = took - (own.signer_ms or 0)
    by_disk = own.disk_ms - min(
        own.disk_ms, _held_within(record, began, waited, [lag for lag in record.lags if lag.is_whole])
    )
    return max(by_disk, waited - _held_within(record, began, waited))


def _held_within(record: HeightRecord, from_ms: int, for_ms: int, lags: Iterable[Lag] | None = None) -> int:
    """How long the loop was held in that time; lags: by these alone."""
    end = from_ms + for_ms
    held = record.lags if lags is None else lags
    return sum(max(0, min(end, lag.until_ms) - max(from_ms, lag.until_ms - lag.ms)) for lag in held)


def _signed_within(record: HeightRecord, from_ms: int, for_ms: int, end_ms: int) -> int:
    """How long it waited for its own signatures in that time, and heard nobody meanwhile: not for those elsewhere."""
    waits = [
        (own.asked_ms, own.asked_ms + own.took_ms if own.took_ms is not None else end_ms)
        for own in record.own
        if not own.is_away and not own.refused
    ]
    waited = sum(max(0, min(from_ms + for_ms, end) - max(from_ms, began)) for began, end in waits)
    return 0 if waited < _least_ms(record) else waited


def _lag(record: HeightRecord) -> Lag | None:
    """The longest that is not our own disk's, waited for in place."""
    longest = None
    for lag in record.lags:
        by_disk = max(
            (
                own.disk_ms
                for own in record.own
                if own.asked_ms <= lag.until_ms <= own.asked_ms + (own.took_ms or 0) + 100
            ),
            default=0,
        )
        if (lag.is_whole or 10 * by_disk < 7 * lag.ms) and (longest is None or lag.ms > longest.ms):
            longest = lag
    return longest


def _silence_limit(record: HeightRecord) -> int:
    """Longer than it takes until all give up waiting for a proposal."""
    return record.propose_limit_ms + max(400, record.propose_limit_ms // 2)


def _silence(record: HeightRecord, ms: int) -> Found:
    if not record.silence_peers:
        return Found(
            Cause.TOO_FEW_PEERS,
            f"it had no peers: nothing of another validator came for {seconds(ms)}, and of {record.peers_usual} usual "
            "connections none was left",
        )
    return Found(
        Cause.PARTITION,
        f"it was cut off: nothing of another validator came for {seconds(ms)}, though {record.silence_peers} peers "
        "counted as connected",
    )


def _of_proposals(record: HeightRecord) -> Iterator[Found]:
    """What our votes for no block say, and the others' where the proposal was ours."""
    for own in record.own:
        one = next((one for one in record.rounds if one.round == own.round), None)
        if one is not None and own.kind == "proposal" and own.took_ms is not None and _is_refused(record, one):
            ready = seconds(own.asked_ms + own.took_ms - one.began_ms)
            says = (
                f"its proposal in round {own.round} was ready after {ready}, and the others voted as if there were "
                "none: what it sends is lost or late"
            )
            yield Found(Cause.PARTITION, says)
        if one is None or own.kind != "prevote" or not own.nil_why:
            continue
        if own.nil_why in ("no_proposal", "incomplete_block", "pol_missing") and not one.is_ours:
            yield Found(Cause.LATE_PROPOSAL, _late(record, one, own))
        elif own.nil_why == "invalid_block":
            yield Found(Cause.BAD_BLOCK, f"it found the block of {_who(one)} in round {own.round} to be invalid")
        elif own.nil_why in ("block_not_validated", "withheld"):
            says = f"it had not judged the block of {_who(one)} in round {own.round} when it had to vote"
            yield Found(Cause.OVERLOADED, says)


def _is_refused(record: HeightRecord, one: RoundRecord) -> bool:
    return 3 * one.prevotes.nil > 2 * record.power_total


def _late(record: HeightRecord, one: RoundRecord, own: OwnMessage) -> str:
    waited = seconds(max(0, own.asked_ms - one.began_ms))
    had = 3 * one.prevotes.block > 2 * record.power_total
    others = "; the other validators had it in time" if had else ", and the other validators lacked it too"
    if own.nil_why == "incomplete_block":
        return f"the block of {_who(one)} in round {own.round} was not whole after {waited}{others}"
    if one.proposal_ms is None:
        return f"no proposal of {_who(one)} came in round {own.round}; it was waited for {waited}{others}"
    late = seconds(max(0, one.proposal_ms - one.began_ms))
    return f"the proposal of {_who(one)} in round {own.round} came after {late}, and was waited for {waited}{others}"


def _left_over(record: HeightRecord) -> Found:
    """Nothing here was slow."""
    own = next((own for own in record.own if (own.kind, own.round) == ("precommit", record.commit_round)), None)
    if own is None and not any(one.kind != "proposal" for one in record.own) and record.rounds:
        if record.how == "consensus":
            return Found(Cause.LISTENING, "it signed nothing: it listened whether its key is used elsewhere")
        return Found(Cause.CATCHING_UP, "it was still behind, and got the block decided")
    if own is not None and own.took_ms is not None and record.decided_ms is not None and not own.nil_why:
        left = own.asked_ms + own.took_ms
        if left <= record.decided_ms:
            return Found(
                Cause.PARTITION,
                f"its vote was ready {seconds(record.decided_ms - left)} before the height was decided here, and the "
                "others did not have it: what it sends is lost or late",
            )
        return Found(
            Cause.OTHERS_FASTER,
            f"the others decided without waiting: its vote was ready {seconds(left - record.decided_ms)} after that",
        )
    return Found(Cause.UNKNOWN, "its records show nothing that kept it")
