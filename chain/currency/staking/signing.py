"""Who signs: each validator's misses in a sliding window, written only when a run of misses begins or ends.

A validator's commits are numbered from 0 (its offset) while it is counted: in the last commit, and not jailed. `misses`
is a row of bits that ends at `last_miss`; a run that goes on is known by where it began. So a validator that signs, or
stays away, costs nothing to write, and the counter is derived: it is the number of misses among the last `window`
offsets, exactly what a bit for each block and a counter beside it would say.
Source: Cosmos SDK v0.50, x/slashing/README.md (Liveness Tracking).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.currency.ledger.economic_params import SLASHING, VALIDATORS_MAX, WINDOW_MAX, SlashingParams
from chain.currency.staking.queues import TIME_BYTES, WATCH_QUEUE
from chain.kernel.branch import Branch, Key, Readable, Scan, State, decoders_of
from proto.dchat.v1 import state_pb2 as pb

OFFENCES_MAX: Final = 64  # heights that are remembered one by one
FOREVER_NS: Final = (1 << 63) - 1  # shown as 9999-12-31T23:59:59Z


class SigningInfo(NamedTuple):
    """offset: of the commit at height `counted_since`. run_start, last_miss: offsets + 1; 0: none.

    offences: heights at which it signed twice and was punished for it, ascending; `offences_floor`: there and below
    nothing counts any more, for want of room to remember each. watched: while counted, it is to be looked at in that
    height's block, for it had missed too much before it could be punished; 0: it is not.
    """

    start_height: int
    offset: int = 0
    counted_since: int = 0
    run_start: int = 0
    last_miss: int = 0
    misses: int = 0
    missed_total: int = 0
    jailed_until_ns: int = 0
    tombstoned: bool = False
    offences: tuple[int, ...] = ()
    offences_floor: int = 0
    watched: int = 0

    def was_punished(self, height: int) -> bool:
        """Whether what it did at `height` has counted: an offence counts once, for ever."""
        return height <= self.offences_floor or height in self.offences

    @property
    def has_offended(self) -> bool:
        return bool(self.offences or self.offences_floor)

    def with_offence(self, height: int) -> SigningInfo:
        assert not self.was_punished(height), (self, height)
        offences, floor = tuple(sorted((*self.offences, height))), self.offences_floor
        if len(offences) > OFFENCES_MAX:
            floor, offences = offences[0], offences[1:]
        return self._replace(offences=offences, offences_floor=floor)

    def offset_at(self, height: int) -> int:
        """Of the commit that the block at `height` carries; while counted."""
        assert 0 < self.counted_since <= height + 1, (self, height)
        return self.offset + height - self.counted_since

    def missed(self, at: int, window: int) -> int:
        """How many of the `window` offsets that end with `at` were missed."""
        first = at - window + 1
        count = 0
        if self.last_miss > first:
            count = (self.misses & ((1 << (self.last_miss - first)) - 1)).bit_count()
        if self.run_start:
            count += at - max(self.run_start - 1, first) + 1
        return count

    def run_ended(self, last: int) -> SigningInfo:
        """With the run written down; `last`: the offset of its last miss."""
        assert self.run_start, self
        length = last - self.run_start + 2
        assert length > 0, (self, last)
        shift = min(last + 1 - self.last_miss, WINDOW_MAX) if self.misses else 0
        run = (1 << min(length, WINDOW_MAX)) - 1
        misses = ((self.misses << shift) | run) & _WINDOW_MASK
        return self._replace(run_start=0, last_miss=last + 1, misses=misses, missed_total=self.missed_total + length)

    def total_at(self, height: int) -> int:
        """Misses since genesis, up to the block at `height`."""
        if not self.run_start:
            return self.missed_total
        return self.missed_total + self.offset_at(height) - self.run_start + 2

    def encode(self) -> bytes:
        return (
            pb.SigningInfo(
                start_height=self.start_height, offset=self.offset, counted_since=self.counted_since,
                run_start=self.run_start, last_miss=self.last_miss,
                misses=self.misses.to_bytes((self.misses.bit_length() + 7) // 8, "big"),
                missed_total=self.missed_total, jailed_until_ns=self.jailed_until_ns, tombstoned=self.tombstoned,
                offences=self.offences, offences_floor=self.offences_floor, watched=self.watched,
            ).SerializeToString(deterministic=True)
            or b"\x08\x00"
        )  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> SigningInfo:
        r = pb.SigningInfo.FromString(stored)
        return SigningInfo(
            r.start_height, r.offset, r.counted_since, r.run_start, r.last_miss, int.from_bytes(r.misses, "big"),
            r.missed_total, r.jailed_until_ns, r.tombstoned, tuple(r.offences), r.offences_floor, r.watched,
        )  # fmt: skip


_WINDOW_MASK: Final = (1 << WINDOW_MAX) - 1


class Liveness(NamedTuple):
    """absent: consensus addresses of those in a run of misses, ascending: of the commit's members, so that it has a
    bound. recheck: the params have changed: all are looked at in the next block.

    old_watches: of a record from before `SigningInfo.watched`, until the next block begins.
    """

    absent: tuple[bytes, ...] = ()
    recheck: bool = False
    old_watches: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        record = pb.Liveness(absent=self.absent, recheck=self.recheck)
        for address in self.old_watches:
            record.watches.add(address=address)
        return record.SerializeToString(deterministic=True) or b"\x18\x00"

    @staticmethod
    def decode(stored: bytes) -> Liveness:
        r = pb.Liveness.FromString(stored)
        return Liveness(tuple(r.absent), r.recheck, tuple(w.address for w in r.watches))


SIGNING: Final = Key.of(b"ui", SigningInfo)  # ‖ consensus address
LIVENESS: Final = Key.of(b"ub", Liveness)
DECODERS: Final = decoders_of(SIGNING, LIVENESS)
_ALL_SIGN: Final = Liveness()


def info_of(state: Readable, address: bytes) -> SigningInfo | None:
    return state.get(SIGNING + address)


def liveness_of(state: Readable) -> Liveness:
    return state.get(LIVENESS) or _ALL_SIGN


def bonded(state: State, address: bytes, height: int) -> None:
    """A validator joins the set: misses before its window is full go unpunished anew, and none is forgotten."""
    info = info_of(state, address) or SigningInfo(height)
    state.set(SIGNING + address, info._replace(start_height=height))


def begin_counting(state: State, address: bytes, height: int) -> None:
    """From the commit that the block at `height` carries. Does nothing when it is counted already."""
    info = info_of(state, address)
    if info is None or info.counted_since:
        return
    state.set(SIGNING + address, info._replace(counted_since=height))
    params = state.get(SLASHING)
    if info.offset and info.missed(info.offset - 1, params.missed_blocks_window) > params.missed_max:
        watch(state, address, params)


def stop_counting(state: State, address: bytes, height: int, *, reset: bool = False) -> None:
    """After the commit that the block at `height` carries. reset: forget its misses: it was punished for them."""
    unwatch(state, address)  # if it comes back with too many misses, it is watched anew
    info = info_of(state, address)
    if info is None:
        return
    if info.counted_since:
        last = info.offset_at(height)
        if info.run_start:
            if last + 1 >= info.run_start:
                info = info.run_ended(last)
            set_absent(state, [address], False)
        info = info._replace(offset=last + 1, counted_since=0, run_start=0)
    if reset:
        info = info._replace(offset=0, last_miss=0, misses=0)
    state.set(SIGNING + address, info)


def rename(state: State, old: bytes, new: bytes) -> None:
    """A validator's key is another: misses, jail and offences are its own all the same."""
    info = info_of(state, old)
    if info is None:
        return
    if info.watched:
        WATCH_QUEUE.remove(state, info.watched, old)
        WATCH_QUEUE.push(state, info.watched, new)
    if info.run_start:
        set_absent(state, [old], False)
        set_absent(state, [new], True)
    state.set(SIGNING + old, None)
    state.set(SIGNING + new, info)


def set_absent(state: State, addresses: list[bytes], are: bool) -> None:
    live, changed = liveness_of(state), frozenset(addresses)
    absent = sorted(changed.union(live.absent)) if are else [one for one in live.absent if one not in changed]
    state.set(LIVENESS, live._replace(absent=tuple(absent)))  # ascending


def full_at(info: SigningInfo, params: SlashingParams) -> int:
    """The first block that may punish for misses since it joined."""
    return info.start_height + params.missed_blocks_window + 1


def watch(state: State, address: bytes, params: SlashingParams) -> None:
    """Look at it when its window is full. The latest watch replaces the one before: each validator has one at most."""
    unwatch(state, address)
    info = info_of(state, address)
    assert info is not None, address.hex()
    assert info.counted_since, info
    height = full_at(info, params)
    WATCH_QUEUE.push(state, height, address)
    state.set(SIGNING + address, info._replace(watched=height))


def unwatch(state: State, address: bytes) -> None:
    info = info_of(state, address)
    if info is not None and info.watched:
        WATCH_QUEUE.remove(state, info.watched, address)
        state.set(SIGNING + address, info._replace(watched=0))


def take_watched(branch: Branch, scan: Scan, height: int) -> list[bytes]:
    """Consensus addresses whose watch is due, which is forgotten. Never more than there are members."""
    due = WATCH_QUEUE.take_due(branch, scan, height, VALIDATORS_MAX, pushed_too=True)
    addresses = [item[TIME_BYTES:] for item in due]
    for address in addresses:
        unwatch(branch, address)
    return addresses


def convert_watches(state: State, live: Liveness, params: SlashingParams) -> Liveness:
    """What an old record says of watches goes to each validator's own; returns the record without."""
    for address in live.old_watches:
        info = info_of(state, address)
        if info is not None and info.counted_since:
            watch(state, address, params)
    live = live._replace(old_watches=())
    state.set(LIVENESS, live)
    return live


def recheck_all(state: State) -> None:
    """The params that decide have changed."""
    state.set(LIVENESS, liveness_of(state)._replace(recheck=True))
