"""A node that was given an upgrade's binary: it looks at it long before the height, and says on chain that it is ready.

The look comes again when the file or the chain's plan for it changes. A validator that has caught up announces what is
true then, signed by its consensus key and paid by its operator: the upgrade while the binary is as it must be, and what
this build itself knows. What is on chain already is not sent again, whoever sent it; what is true no more is withdrawn.
Source: docs/upgrades.md, Before the height.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import structlog

from chain.currency.staking import rotation
from chain.tx.envelope.tx import decode
from chain.tx.messages.economy import ConsensusSigner
from chain.tx.messages.upgrade import READY_NAMES_MAX, SOFTWARE_BYTES_MAX, AnnounceReadiness, sign_readiness
from chain.upgrade.plan import DONE_NAME, READINESS, VERSIONS, Plan, Readiness
from consensus.node.commit_watch import SafeListener
from dchat.home.identity import Identity
from dchat.home.version import build_version
from dchat.node.errors import CannotUpgrade
from dchat.node.own_tx import NextBlock, OwnTx
from dchat.node.upgrade import DoesNotKnow, OpenBinary, Swap, check_knows

if TYPE_CHECKING:
    from dchat.node.runtime import Node

log = structlog.get_logger(__name__)

FILE = "readiness.json"  # in the data folder
LOOK_AGAIN_S = 300.0  # at a binary that was not ready: a machine that was too busy for it, a disk that is back

Stamp: TypeAlias = tuple[int, int, int] | None  # inode, size, time of change; None: there is no file
Stored: TypeAlias = tuple[tuple[str, int], ...]  # each module's version


@dataclass(frozen=True)
class Binary:
    """A file, and what it says of itself."""

    sha256: str
    names: tuple[str, ...]
    software: str
    migrations: str = ""  # of the chain's state as it is stored now, for people


class BinaryWatch:
    """The operator's binary as it is now."""

    def __init__(self, swap: Swap) -> None:
        self._swap = swap
        self._seen: tuple[Stamp, Plan | None, Stored] | None = None  # what the last look was at
        self._asked: Binary | None = None  # the last that was run
        self._asked_of: Stored | None = None  # and what was stored then
        self._ready: Binary | None = None
        self._again_at = float("inf")

    async def look(self, plan: Plan | None, stored: Stored) -> Binary | None:
        """The binary, if it runs, knows the upgrade, is what `plan` demands and can migrate what is stored. Else None;
        the log says why.

        plan: the chain's, whichever. stored: its modules' versions. Cheap while nothing changed. The first look also
        unpacks the file, so that the swap is quick.
        """
        demanded = plan if plan is not None and plan.name == self._swap.name else None
        seen, now = (_stamp_of(self._swap.binary), demanded, stored), asyncio.get_running_loop().time()
        if seen != self._seen or now >= self._again_at:
            self._seen, self._again_at = seen, float("inf")
            self._ready = await self._examine(demanded, stored)
        return self._ready

    async def _examine(self, plan: Plan | None, stored: Stored) -> Binary | None:
        swap = self._swap
        try:
            with OpenBinary(swap.binary) as binary:
                found = await self._ask(binary, await asyncio.to_thread(binary.verify, plan), stored)
        except CannotUpgrade as error:
            self._again_at = asyncio.get_running_loop().time() + LOOK_AGAIN_S
            log.error("the upgrade binary is not ready", upgrade=swap.name, error=str(error))
            return None
        if swap.name not in found.names:
            log.error(
                "the upgrade binary does not know the upgrade",
                upgrade=swap.name, binary=str(swap.binary), knows=",".join(found.names) or "none",
            )  # fmt: skip
            return None
        log.info(
            "the upgrade binary is ready",
            upgrade=swap.name, binary=str(swap.binary), software=found.software, sha256=found.sha256,
            planned_height=plan.height if plan is not None else "none yet", migrations=found.migrations,
        )  # fmt: skip
        return found

    async def _ask(self, binary: OpenBinary, sha256: str, stored: Stored) -> Binary:
        """Only a file whose checksum was allowed is run; the same file not again, but for what it makes of another
        store. Raises CannotUpgrade."""
        asked = self._asked
        if asked is None or asked.sha256 != sha256:
            asked, self._asked_of = Binary(sha256, tuple(await binary.names()), await binary.version()), None
        if self._asked_of != stored:
            steps = await binary.steps(dict(stored))
            told = "it cannot say" if steps is None else ", ".join(steps) or "none"
            asked, self._asked_of = replace(asked, migrations=told), stored
        self._asked = asked
        return asked


def _stamp_of(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_ctime_ns  # the mode's change counts too


async def check_upgrade(node: Node, swap: Swap | None) -> None:
    """Of a node that was opened and is not started. Raises DoesNotKnow. What else keeps a binary from being ready may
    be mended while the node runs, and is told then."""
    if swap is None or swap.took_place or node.app.base.get(DONE_NAME + swap.name.encode()) is not None:
        return
    try:
        await check_knows(swap, node.app.plan)
    except DoesNotKnow:
        raise
    except CannotUpgrade as error:
        log.warning("the upgrade binary could not be asked what it knows", upgrade=swap.name, error=str(error))


class Word(NamedTuple):
    """What a validator says: which upgrades it can run, and the version that will. Nothing: no name, no version."""

    names: tuple[str, ...]
    software: str


class Announcer:
    """key: of consensus. name: the upgrade's. note: is told for what the operator's key was used.

    Raises ValueError: FILE is no record of an announcement.
    """

    def __init__(
        self, node: Node, operator: Identity, key: ConsensusSigner, *, name: str, note: Callable[[str], None]
    ) -> None:
        self._node, self._operator, self._key, self._name, self._note = node, operator, key, name, note
        self._own = OwnTx(
            node, operator, FILE, purpose="the announcement of readiness",
            instead="[upgrade] announce = false, and announce by `dchat upgrade ready`",
        )  # fmt: skip
        if self._own.sent is not None and _word_of(self._own.sent.tx) is None:
            raise ValueError(f"{node.home.data / FILE} holds another transaction than an announcement")
        self._told: Readiness | None = None
        self._failed_height = 0  # told already

    async def announce(self, ready: Binary | None) -> None:
        """After each block: bring what is on chain one step nearer to what is true."""
        node = self._node
        if not node.gossip.begun.is_set() or node.views.is_catching_up() or not node.views.voting_power:
            return
        wanted = self._word(ready)
        if wanted == self._on_chain():
            return
        if self._own.is_free and self._own.make(lambda expiry_height: self._message(wanted, expiry_height)):
            names = ", ".join(wanted.names)
            self._note(f"announce readiness for the upgrade {names}" if names else "withdraw the word of readiness")
        self._tell_failure()
        # One that is not true any more, of before a stop, is left to its expiry.
        if self._own.sent is not None and _word_of(self._own.sent.tx) == wanted:
            await self._own.hand_in()

    def _word(self, ready: Binary | None) -> Word:
        """What is true. What was done already is of no interest to anybody."""
        app = self._node.app
        known = [upgrade.name for upgrade in reversed(app.upgrader.upgrades)]  # newest first
        names = dict.fromkeys([self._name, *known] if ready is not None else known)
        coming = [name for name in names if app.base.get(DONE_NAME + name.encode()) is None][:READY_NAMES_MAX]
        if not coming:
            return Word((), "")
        software = ready.software if ready is not None and self._name in coming else build_version()
        return Word(tuple(sorted(coming)), software.encode()[:SOFTWARE_BYTES_MAX].decode(errors="ignore"))

    def _on_chain(self) -> Word:
        base = self._node.app.base  # where a key that is changed is known by the next one at once
        said: Readiness | None = base.get(READINESS + rotation.current(base, self._node.views.me.validator_address))
        if said != self._told:
            self._told = said
            self._tell(said)
        return Word(said.names, said.software) if said is not None else Word((), "")

    def _message(self, word: Word, expiry_height: int) -> AnnounceReadiness:
        unsigned = AnnounceReadiness(
            self._operator.address, self._key.pub_key.bytes, word.names, word.software, expiry_height, b""
        )
        return sign_readiness(self._key, self._node.genesis.chain_id, unsigned)

    def _tell(self, said: Readiness | None) -> None:
        if said is None:
            log.info("this validator's readiness is on chain no more")
        else:
            log.info(
                "this validator's readiness is on chain",
                upgrades=",".join(said.names), software=said.software, announced_height=said.height,
            )  # fmt: skip

    def _tell_failure(self) -> None:
        placed = self._own.placed()
        if placed is not None and placed.code and placed.height != self._failed_height:
            self._failed_height = placed.height
            log.warning(
                "the announcement of readiness failed in a block; another follows after its expiry",
                height=placed.height, code=placed.code, reason=placed.reason,
            )  # fmt: skip


def _word_of(tx: bytes) -> Word | None:
    """None: it announces nothing."""
    message = decode(tx).messages[0]
    return Word(message.names, message.software) if isinstance(message, AnnounceReadiness) else None


class Preparation:
    """What a node does about its upgrade binary until it takes its place. announcer: None, it only looks."""

    def __init__(self, node: Node, swap: Swap, announcer: Announcer | None) -> None:
        self._node, self._watch, self._announcer = node, BinaryWatch(swap), announcer
        self._blocks = NextBlock()
        node.driver.add_saved_listener(SafeListener("upgrade readiness", self._blocks, node.views.faults))

    async def run(self) -> None:
        """Until cancelled. Looks at once, then after each block."""
        while True:
            saved = self._blocks.event
            ready = await self._watch.look(self._node.app.plan, self._node.app.base.get(VERSIONS).of)
            if self._announcer is not None:
                await self._announcer.announce(ready)
            await saved.wait()
