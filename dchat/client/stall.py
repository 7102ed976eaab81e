"""What nodes say of a network that makes no blocks: who is missing, what is asked for, what the cause may be.

Pure, of the HTTP door's JSON. Each node sees the votes that reached it, so what several say is laid together: a vote
that one has and another lacks has not been gossiped. A node may say anything; what does not have the form that ours
have is left out, and never more than a few rounds are looked at.
Source: docs/operating.md; what is asked is `/status`, `/chain/consensus-status`, `/v1/validators`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CLOCK_S: Final = 2.0  # more apart, and votes of one date the other's blocks
NO_BLOCK: Final = "no block for "  # so begins what /ready says of a block that is late
ROUNDS_MAX: Final = 8
SEATS_MAX: Final = 1_000
NAME_MAX: Final = 70

# By which reasons a node votes nil (consensus/core/events.py), and what they tell.
NIL: Final[Mapping[str, str]] = {
    "no_proposal": "the proposers' proposals did not arrive in time: they are away, slow, or not connected to here",
    "incomplete_block": "proposals arrived, and not all of their blocks in time: too slow a line, or too large blocks",
    "invalid_block": "the proposed blocks break a rule by what this node has: compare builds and app hashes",
    "withheld": "this node lacks what it would judge the blocks by (an old header, its own state)",
    "locked_on_another": "this node is locked on another block than is proposed",
    "pol_missing": "prevotes that a proposal names did not arrive",
    "no_polka": "prevotes of +2/3 for one block did not arrive",
}


@dataclass(frozen=True)
class Asked:
    """One node's answers; empty where it gave none. skew_s: its clock less ours, if it told."""

    url: str
    status: Mapping[str, Any]
    consensus: Mapping[str, Any]
    skew_s: float | None = None
    error: str = ""
    late: str = ""  # why it says that a block is late

    @property
    def name(self) -> str:
        return _text(self.status.get("moniker")) or self.url

    @property
    def height(self) -> int:
        """Of its last block."""
        return _number(self.status.get("latest_block_height"))


@dataclass(frozen=True)
class Seat:
    """One validator of the running height. votes: (round, prevote, precommit), newest first; a hash, "nil" or None.
    seen_by: names of the nodes that have a vote of it in one of these rounds. is_connected: to the node asked first, by
    its name, or it is that one's own."""

    address: str
    moniker: str
    power: int
    votes: tuple[tuple[int, str | None, str | None], ...]
    seen_by: tuple[str, ...]
    is_connected: bool

    @property
    def is_there(self) -> bool:
        return bool(self.seen_by)


@dataclass(frozen=True)
class Stall:
    """height: the one that is not decided. last_votes: how many validators' votes are in the block before it. causes:
    the likeliest first."""

    chain_id: str
    height: int
    round: int
    step: str
    since_s: float | None
    is_stalled: bool
    proposer: str
    seats: tuple[Seat, ...]
    last_votes: int
    causes: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(seat.power for seat in self.seats)

    @property
    def needed(self) -> int:
        """More than two thirds."""
        return self.total * 2 // 3 + 1

    @property
    def there(self) -> int:
        return sum(seat.power for seat in self.seats if seat.is_there)

    @property
    def is_between(self) -> bool:
        """Nobody has voted at this height yet, which is as it should be while the next block is not due."""
        return not self.is_stalled and not self.there

    @property
    def voters(self) -> int:
        """How many validators vote. While blocks come the last one's votes count too: the next has few or none yet."""
        seen = sum(seat.is_there for seat in self.seats)
        return seen if self.is_stalled else max(seen, self.last_votes)

    @property
    def missing(self) -> tuple[Seat, ...]:
        """The most power first."""
        away = [seat for seat in self.seats if not seat.is_there]
        return tuple(sorted(away, key=lambda seat: (-seat.power, seat.address)))

    @property
    def has_quorum(self) -> bool:
        return self.there >= self.needed


def diagnose(
    asked: Sequence[Asked], monikers: Mapping[str, str], *, since_s: float | None, after_s: float, waits_for_txs: bool,
    own_is_away: bool = False, is_late: bool = False,
) -> Stall:  # fmt: skip
    """asked: the own node first, which answered; own_is_away: it did not, and is not among them, and the first speaks
    for it. monikers: by consensus address. since_s: since the last block, by our clock. after_s: from when on no block
    is a stall; is_late: one is, by the node's own word. waits_for_txs: blocks are made for transactions alone."""
    own = asked[0]
    height = _number(own.consensus.get("height"))
    seats = tuple(_seats(asked, height, monikers))
    peers = own.status.get("peers")
    ahead = [one for one in asked[1:] if one.height > own.height]
    stands = since_s is None or since_s >= after_s or is_late
    is_idle = waits_for_txs and not _number(own.status.get("mempool_size")) and not _number(own.consensus.get("round"))
    stall = Stall(
        _text(own.status.get("chain_id")), height, _number(own.consensus.get("round")),
        _text(own.consensus.get("step")), since_s, stands and (is_late or not is_idle),
        _text(own.consensus.get("proposer")), seats,
        _number(own.consensus.get("last_commit_votes")), (), (),
    )  # fmt: skip
    if not stall.is_stalled:
        return stall
    here = own.name if own_is_away else "this node"
    causes = [*_ahead(own, ahead, here), *_upgrade(own, here), *_hashes(asked, here), *_power(stall)]
    causes += _connections(here, stall, peers)
    causes += [*_partition(stall, asked), *_clocks(asked), *_builds(asked), *_nil(own, stall)]
    causes = causes or [f"+2/3 vote, and no block comes of it: see the log of {here}"]
    return Stall(**{**_fields(stall), "causes": tuple(causes), "advice": tuple(_advice(stall, ahead, own_is_away))})


def _fields(stall: Stall) -> dict[str, Any]:
    return {name: getattr(stall, name) for name in Stall.__dataclass_fields__}


# ------------------------------------------------------------------------------------------------ who is there


def _seats(asked: Sequence[Asked], height: int, monikers: Mapping[str, str]) -> Iterator[Seat]:
    peers = asked[0].status.get("peers")
    names = {_text(peer.get("moniker")) for peer in _objects(peers)} - {""}
    own = _text(asked[0].status.get("validator_address"))
    said = [(one, _votes(one)) for one in asked if _number(one.consensus.get("height")) == height]
    for vote in _objects(asked[0].consensus.get("votes"))[:SEATS_MAX]:
        address = _text(vote.get("validator_address"))
        moniker = _name(monikers.get(address, ""))
        found: dict[int, tuple[str | None, str | None]] = {}
        seen_by = []
        for one, votes in said:
            mine = votes.get(address, {})
            for round, pair in mine.items():
                before = found.get(round, (None, None))
                found[round] = (before[0] or pair[0], before[1] or pair[1])
            if any(pair != (None, None) for pair in mine.values()):
                seen_by.append(one.name)
        ordered = tuple((round, *found[round]) for round in sorted(found, reverse=True))
        is_connected = moniker in names or address == own
        yield Seat(address, moniker, _number(vote.get("voting_power")), ordered, tuple(seen_by), is_connected)


def _votes(one: Asked) -> dict[str, dict[int, tuple[str | None, str | None]]]:
    """Address -> round -> (prevote, precommit), as a node has them."""
    rounds = [one.consensus, *_objects(one.consensus.get("earlier_rounds"))[:ROUNDS_MAX]]
    found: dict[str, dict[int, tuple[str | None, str | None]]] = {}
    for told in rounds:
        round = _number(told.get("round"))
        for vote in _objects(told.get("votes"))[:SEATS_MAX]:
            pair = (_vote(vote.get("prevote")), _vote(vote.get("precommit")))
            found.setdefault(_text(vote.get("validator_address")), {})[round] = pair
    return found


# ------------------------------------------------------------------------------------------------ causes


def _ahead(own: Asked, ahead: Sequence[Asked], here: str) -> Iterator[str]:
    if ahead:
        best = max(ahead, key=lambda one: one.height)
        yield f"the network goes on without {here}: {best.name} is at height {best.height}, this one at {own.height}"


def _upgrade(own: Asked, here: str) -> Iterator[str]:
    upgrade = own.status.get("upgrade")
    told = upgrade if isinstance(upgrade, dict) else {}
    if halted := _text(told.get("halted")):
        yield f"{here} left consensus for an upgrade: {halted}"
    plan = told.get("plan")
    if isinstance(plan, dict) and _number(plan.get("height")) == own.height + 1 and not halted:
        name = _text(plan.get("name"))
        yield f"the upgrade {name!r} is due at this height: validators whose build does not know it have stopped"


def _hashes(asked: Sequence[Asked], here: str) -> Iterator[str]:
    own = asked[0]
    for other in asked[1:]:
        for field, what in (("latest_block_hash", "block"), ("latest_app_hash", "state")):
            ours, theirs = _text(own.status.get(field)), _text(other.status.get(field))
            if other.height == own.height and ours and theirs and ours != theirs:
                yield (
                    f"at height {own.height} {other.name} has another {what} ({theirs[:16]}) than {here} "
                    f"({ours[:16]}): one of them executed something else (`dchat validator --replay-from-genesis`)"
                )
                break


def _power(stall: Stall) -> Iterator[str]:
    if not stall.has_quorum and stall.seats:
        yield (
            f"validators with power {stall.there} of {stall.total} vote, and a block needs {stall.needed}: "
            f"{stall.needed - stall.there} more"
        )


def _connections(here: str, stall: Stall, peers: object) -> Iterator[str]:
    if len(stall.seats) > 1 and not _objects(peers):
        yield f"{here} has no peers: see [network] bootstrap_validators, the firewall, and the other machines"


def _partition(stall: Stall, asked: Sequence[Asked]) -> Iterator[str]:
    names = {one.name for one in asked if _number(one.consensus.get("height")) == stall.height}
    for seat in stall.seats:
        lacking = sorted(names - set(seat.seen_by))
        if seat.is_there and lacking:
            yield (
                f"votes of {seat.moniker or seat.address[:12]} reached {', '.join(sorted(seat.seen_by))} and not "
                f"{', '.join(lacking)}: the network is cut between them"
            )


def _clocks(asked: Sequence[Asked]) -> Iterator[str]:
    for one in asked:
        if one.skew_s is not None and abs(one.skew_s) > CLOCK_S:
            side = "ahead of" if one.skew_s > 0 else "behind"
            yield f"the clock of {one.name} is {abs(one.skew_s):.0f} s {side} ours"


def _builds(asked: Sequence[Asked]) -> Iterator[str]:
    builds = {_text(one.status.get("version")): one.name for one in asked if one.status}
    if len(builds) > 1:
        yield f"builds differ: {', '.join(f'{build} on {name}' for build, name in sorted(builds.items()))}"


def _nil(own: Asked, stall: Stall) -> Iterator[str]:
    reasons = own.consensus.get("nil_votes")
    counted = {_text(name): _number(count) for name, count in reasons.items()} if isinstance(reasons, dict) else {}
    if not stall.has_quorum or not counted:
        return
    worst = max(sorted(counted), key=lambda name: counted[name])
    if worst in NIL and any("nil" in vote[1:] for seat in stall.seats for vote in seat.votes):
        yield f"votes are for nil: {NIL[worst]}"


def _advice(stall: Stall, ahead: Sequence[Asked], own_is_away: bool) -> Iterator[str]:
    if own_is_away:
        yield "start this home's own node, which does not answer"
    if ahead:
        yield "this node fetches what it lacks by itself once it has peers; see `dchat status` and its log"
        return
    if not stall.has_quorum:
        owed = stall.needed - stall.there
        named, power = [], 0
        for seat in stall.missing:
            if power >= owed:
                break
            named.append(seat.moniker or seat.address[:12])
            power += seat.power
        if power >= owed:
            yield f"start these, or others with as much power: {', '.join(named)} (power {power})"
    yield "no validator's record of signatures may be reset for it: a leader is elected in each round by itself"


# ------------------------------------------------------------------------------------------------ what was said


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64 else 0


def _text(value: object) -> str:
    return value[:256] if isinstance(value, str) else ""


def _name(value: object) -> str:
    return _text(value)[:NAME_MAX]


def _vote(value: object) -> str | None:
    return _text(value) or None
