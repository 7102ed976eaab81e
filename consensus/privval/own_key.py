"""Is our consensus key used elsewhere? A home that was copied and started twice signs twice, and is slashed for it.

What this process signed is known, and what was signed before it started is bounded by the record of signing. A valid
signature of our key above that record which this process did not make, or another one for what it did make, can only
come from a second process: this one stops at once, before the two contradict each other. Nobody else can cause it:
it takes our key's signature.
Where a signer elsewhere has a record of its own, the one here may lack what was signed from another home, or before the
key was moved there: all is ours then, up to the height at which this process signs, or listens, first.
Source: lighthouse#2069 (two processes with one key are not noticed).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from consensus.core.events import SignProposal, SignVote
from consensus.privval.signer import VOTE_STEPS, Record, SignStep
from consensus.system.errors import ConsensusFailure
from consensus.types.block import Commit
from consensus.types.vote import Vote

REMEMBERED_MAX: Final = 256  # signatures of ours: many rounds of a height, and the heights before that peers still name

PUT_OFF_MAX: Final = 64  # effects of rounds that went by without us; of the last ones, all

Position = tuple[int, int, int]  # height, round, SignStep

NO_BOUND: Final[Position] = (1 << 63, 0, 0)  # above every position


@dataclass(frozen=True, slots=True)
class WatchOver:
    """An event of the driver: from here on we sign."""


class KeyUsedElsewhere(ConsensusFailure):
    """Another process signs with our key, or this home is an old copy."""

    def __init__(self, address: bytes, position: Position, *, record: Position) -> None:
        height, round, step = position
        super().__init__(
            f"validator {address.hex()}: its key signed a {SignStep(step).name.lower()} of height {height} round "
            f"{round} that this process did not make (its record began at {'/'.join(map(str, record))}). Either a "
            "second process runs with this key, or this home is an old copy: find the other, stop it, and keep the "
            "newer sign state"
        )


class OwnKeyWatch:
    """Compares what peers show of our key with what we signed. `signer` None: an observer, nothing is ours.

    is_recorded_elsewhere: who signs has a record of its own, which is the one that counts.
    """

    def __init__(self, signer: Record | None, *, is_recorded_elsewhere: bool = False) -> None:
        self._record: Position = (0, 0, 0)
        self.follow(signer)
        if is_recorded_elsewhere:
            self._record = NO_BOUND
        self._until_ns = self._until_height = 0
        self._put_off: deque[SignProposal | SignVote] = deque(maxlen=PUT_OFF_MAX)

    def follow(self, signer: Record | None) -> None:
        """Watch this one's key from now on."""
        self.address = b"" if signer is None else signer.pub_key.address
        self._record = (0, 0, 0) if signer is None else signer.last_position
        self._made: OrderedDict[Position, bytes] = OrderedDict()

    def _ours_until(self, height: int) -> None:
        """What was signed elsewhere before is of this height at most."""
        if self._record == NO_BOUND:
            self._record = (height + 1, 0, 0)

    def wait(self, for_ns: int, now_ns: int, height: int) -> None:
        """Sign nothing for so long, so that a second process shows itself first. height: that runs."""
        self._until_ns = now_ns + for_ns if for_ns else 0
        if for_ns:
            self._ours_until(height)

    def left_ns(self, now_ns: int) -> int:
        """Of the time in which nothing is signed."""
        return max(0, self._until_ns - now_ns)

    def wait_until_height(self, until: int, height: int) -> None:
        """Sign nothing below the height `until`: while the chain goes on without us, a second process shows itself."""
        self._until_height = until
        self._ours_until(height)

    def is_on(self, effect: SignProposal | SignVote, now_ns: int) -> bool:
        """Whether nothing of its height is signed, or nothing at this time."""
        return effect.height < self._until_height or now_ns < self._until_ns

    def puts_off(self, effect: SignProposal | SignVote, now_ns: int) -> bool:
        """Whether the effect waits for the end of the watch; then it is kept, unless its height goes by before."""
        if not self.is_on(effect, now_ns):
            return False
        if effect.height >= self._until_height:
            self._put_off.append(effect)
        return True

    def take_put_off(self) -> list[SignProposal | SignVote]:
        """The watch is over: what was to be signed meanwhile, in its order."""
        self._until_ns = 0
        waited, self._put_off = list(self._put_off), deque(maxlen=PUT_OFF_MAX)
        return waited

    def signed(self, vote: Vote) -> None:
        """This process signed it."""
        self._ours_until(vote.height)
        self._made[vote.height, vote.round, VOTE_STEPS[vote.type]] = vote.signature
        if len(self._made) > REMEMBERED_MAX:
            self._made.popitem(last=False)

    def is_ours(self, address: bytes) -> bool:
        return address == self.address and self.address != b""

    def saw_vote(self, vote: Vote) -> None:
        """A peer sent this vote, whose signature is good. Raises KeyUsedElsewhere."""
        if self.is_ours(vote.validator_address):
            self._saw((vote.height, vote.round, VOTE_STEPS[vote.type]), vote.signature)

    def saw_commit(self, commit: Commit | None) -> None:
        """A decided block has this commit, or a peer proved one by it. Raises KeyUsedElsewhere."""
        if commit is None or not self.address:
            return
        for slot in commit.signatures:
            if slot.validator_address == self.address:
                self._saw((commit.height, commit.round, SignStep.PRECOMMIT), slot.signature)
                return

    def _saw(self, position: Position, signature: bytes) -> None:
        made = self._made.get(position)
        if made == signature:
            return
        forgotten = made is None and bool(self._made) and position < next(iter(self._made))
        if made is not None or (position > self._record and not forgotten):
            raise KeyUsedElsewhere(self.address, position, record=self._record)
