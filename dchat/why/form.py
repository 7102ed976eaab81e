"""What is remembered of a height: its steps, our own messages, and how the machine and the network were meanwhile.

Times end in `_ms` and count from when the height's first round began here, `_at` are milliseconds since the epoch by
this machine's clock. A record is one line of JSON. What is told of rounds is bounded: the first and the last few.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError

LINE_BYTES_MAX: Final = 32_768  # of a record: eight rounds and twenty-four messages have a quarter of it
ROUNDS_FIRST, ROUNDS_LAST = 4, 4  # of a height of many rounds
OWN_MAX: Final = 24  # messages of ours: three in each of those rounds
LAGS_MAX: Final = 8
REFUSAL_CHARS_MAX: Final = 300


@dataclass(slots=True)
class OwnMessage:
    """A proposal or vote of ours. kind: proposal, prevote, precommit. nil_why: a NilReason, of a vote for nil.

    took_ms: from the question to the signature on disk; None: it never came. disk_ms: of that the disk's; signer_ms: of
    that the signer's elsewhere, None: it did not answer. refused: what the signer said.
    """

    kind: str
    round: int
    asked_ms: int
    nil_why: str = ""
    took_ms: int | None = None
    disk_ms: int = 0
    is_away: bool = False
    signer_ms: int | None = None
    refused: str = ""


@dataclass(slots=True)
class Power:
    """Of those whose votes of one kind and round are here: for the most voted block, for nil, in all."""

    block: int = 0
    nil: int = 0
    heard: int = 0


@dataclass(slots=True)
class RoundRecord:
    """proposal_ms, block_ms: when the proposal, and all of its block, were here; None: they were not while it ran."""

    round: int
    began_ms: int
    proposer: str = ""
    proposer_name: str = ""  # its moniker, where the chain has one
    is_ours: bool = False
    proposal_ms: int | None = None
    block_ms: int | None = None
    timed_out: list[str] = field(default_factory=list)
    prevotes: Power = field(default_factory=Power)
    precommits: Power = field(default_factory=Power)


@dataclass(slots=True)
class Lag:
    """The loop was held for `ms`, until `until_ms`; for not_run_ms of these the whole process was not run. None: of a
    record that was kept before that was known."""

    until_ms: int
    ms: int
    not_run_ms: int | None = None

    @property
    def is_whole(self) -> bool:
        """The process did not run for most of it."""
        return self.not_run_ms is not None and 10 * self.not_run_ms >= 7 * self.ms


@dataclass(slots=True)
class HeightRecord:
    """how: `consensus` when it was decided here, `synced` when it came decided. before: what the block's commit has of
    us for the height before: commit, nil, absent; empty: we were none of its validators. address: of our key in this
    height's set, where that has one. silence_ms: the longest time without a vote, proposal or part of another validator
    while a round ran, from silence_from_ms on; silence_peers: the fewest peers that were connected in its first
    seconds. peers_usual: the most of the last heights.
    """

    height: int
    how: str
    started_at: int
    began_at: int
    saved_at: int
    block_at: int
    is_validator: bool
    is_jailed: bool
    before: str
    is_behind: bool
    address: str = ""
    power: int = 0
    power_total: int = 0
    rounds: list[RoundRecord] = field(default_factory=list)
    own: list[OwnMessage] = field(default_factory=list)
    lags: list[Lag] = field(default_factory=list)
    commit_round: int = -1
    decided_ms: int | None = None
    waited_ms: int = 0  # after the height before, until the first round began
    silence_ms: int = 0
    silence_from_ms: int = 0
    silence_peers: int = 0
    peers_begin: int = 0
    peers_min: int = 0
    peers_usual: int = 0
    signer_lost_ms: int = 0
    skew_ms: int | None = None
    apply_ms: int = 0
    sync_ms: int = 0  # the slowest sync of the log
    propose_limit_ms: int = 0  # how long round 0 waits for a proposal


_FORM: Final = TypeAdapter(HeightRecord)


def line_of(record: HeightRecord) -> bytes:
    """One line, with its end."""
    return _FORM.dump_json(record, exclude_defaults=True) + b"\n"


def record_of(line: bytes) -> HeightRecord | None:
    """None: it is none, as of a write that a stop cut off."""
    if len(line) > LINE_BYTES_MAX:
        return None
    try:
        return _FORM.validate_json(line)
    except ValidationError:
        return None
