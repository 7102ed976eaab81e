"""The process around a node: event loop, signals, the pid file, and how it ends.

SIGTERM and SIGINT stop cleanly (a second one at once), SIGHUP loads the options again, SIGABRT ends it with where each
thread was. Whatever makes it impossible
to go on ends the process with a code above 0 and one clear last line (failure 19).
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from fractions import Fraction
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError

from chain.app_state.document import InvalidAppState
from chain.tx.units import UDCHAT_PER_DCHAT
from chain.upgrade.plan import Plan
from consensus.abci.interface import HaltReason, HaltRequested
from consensus.documents.genesis import GenesisDoc
from consensus.engine.interfaces import SavedBlock
from consensus.node.commit_watch import SafeListener
from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.privval.held import HeldKey
from consensus.privval.remote import AwayKey, RemoteKey
from consensus.privval.succession import SuccessiveKey
from consensus.state.validation import tells_other_execution
from consensus.system.errors import EXIT_CONSENSUS_FAILURE, EngineError, exit_code_of, traced
from consensus.system.machine import EXIT_DISK, EXIT_MACHINE, last_words
from crypto import native
from crypto.keys import PubKey
from dchat.audit.notes import Notes
from dchat.audit.trail import FILE_NAME, Trail
from dchat.config import Config, Loaded
from dchat.config.genesis_options import GENESIS_OPTIONS
from dchat.config.models import LogSection
from dchat.config.refused import said_of
from dchat.doors.http.views import host_name
from dchat.doors.reads.errors import BadQuestion
from dchat.dump.own import OwnDump
from dchat.handover.giving import HandOver, begin_again, turns_of
from dchat.handover.takeover import Before, Leaving, take
from dchat.home import logs
from dchat.home.errors import AlreadyRunning, CannotTakeOver, HomeError, IdentityError
from dchat.home.home import Home, load_genesis
from dchat.home.home_lock import hold_home
from dchat.home.identity import load as load_identity
from dchat.home.version import build_version
from dchat.node.errors import CannotListen, CannotUpgrade, TooFewHandles
from dchat.node.joining import Joining
from dchat.node.preflight import check_machine
from dchat.node.readiness import Announcer, Preparation, check_upgrade
from dchat.node.rehearsal import rehearse_opening
from dchat.node.runtime import Node, join_by_snapshot, switch_of
from dchat.node.upgrade import EXIT_UPGRADE, OpenBinary, Swap, become, options_of, write_info
from dchat.reload.changes import Changed, Parts, changed
from dchat.retention.room import NoRoom
from dchat.shown.text import safe_line
from dchat.signer.choice import node_key_of
from dchat.sql.errors import SqlMissing
from storage.errors import StorageError

log = structlog.get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
LINGER_S = 0.3  # peers fetch our last precommits: else they would wait until somebody is back
SWITCH_INTERVAL_S = 0.000_5  # a thread that verifies gets its turn 2,000 times a second, not 200 as by default:
# ten batches of 64 signatures beside a busy loop took 5.7 s, and take 0.09 s
GC_THRESHOLDS = (100_000, 20, 50)  # all that waits and the blocks in hand are fewer: they go by their counts. Cycles
# are few, a hundred objects a second; to look for them among 20,000 took a tenth of a busy node's time
STDERR = 2  # the file itself: what crashes may not be able to ask Python for it
STOP_TIMEOUT_S = 15.0  # a stop that takes longer is cut: supervisors wait 20 to 90 s


def run_validator(home: Home, loaded: Loaded, *, reload: Callable[[], Loaded], takes_over: bool = False) -> int:
    """Run until a signal or a failure; returns the exit code. takes_over: from the process that runs on the home."""
    config = loaded.config
    logs.configure(
        level=config.log.level,
        json_lines=config.log.json_lines,
        levels=config.log.levels,
        name=config.validator.moniker or host_name(),
    )
    faulthandler.enable(STDERR)  # a crash below Python, or SIGABRT, ends with where each thread was
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    native.switch(config.node.native)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the loop hears it: options were read just now
    try:
        fitted = check_machine(home, config)
        leaving = None
        if takes_over:
            uvloop.run(rehearse_opening(home, fitted, load_genesis(home), Swap.of(home, config)))
            _settle_memory()  # now: it takes longer than all that is to be done between two blocks
            leaving = take(home)
        with contextlib.ExitStack() as held:
            if leaving is None:
                held.enter_context(hold_home(home))
            process = _Process(
                home, loaded, reload, fitted, leaving, hold=lambda: held.enter_context(hold_home(home)),
                let_go=held.close,
            )  # fmt: skip
            code = uvloop.run(process.main())
            if process.successor is not None:
                become(*process.successor, home, process.halt_height)
        if process.is_refused:
            begin_again()
        return code
    except (
        CannotUpgrade,
        HomeError,
        CannotListen,
        InvalidAppState,
        P2PError,
        NoRoom,
        SqlMissing,
        TooFewHandles,
        ValueError,
    ) as error:
        return logs.last_line(code_of(error), str(error))
    except (StorageError, EngineError, OSError) as error:
        return logs.last_line(code_of(error), last_words(error))


def code_of(error: Exception) -> int:
    """With which code the process ends that could not start for `error`."""
    match error:
        case AlreadyRunning() | CannotTakeOver():
            return EXIT_FAILED
        case CannotUpgrade():
            return EXIT_UPGRADE
        case HomeError() | CannotListen() | InvalidAppState() | P2PError() | SqlMissing() | ValueError():
            return EXIT_USAGE
        case _:
            code = exit_code_of(error)
            return code if code in (EXIT_DISK, EXIT_MACHINE) else EXIT_FAILED


def advice(home: Home, reason: str) -> str:
    """What to do about the failure, where the reason is that this node executed otherwise than the others."""
    if not tells_other_execution(reason):
        return ""
    return (
        ". This node executed a block otherwise than the others: `dchat debug autopsy --home "
        f"{home.root} PEER`, with the gRPC address of another node, names the transaction and the key"
    )


class _Process:
    def __init__(
        self, home: Home, loaded: Loaded, reload: Callable[[], Loaded], fitted: Config, leaving: Leaving | None,
        *, hold: Callable[[], None], let_go: Callable[[], None],
    ) -> None:  # fmt: skip
        """fitted: the options as this machine lets them be. leaving: the process that hands the home over. hold: take
        the home's lock, in that case. let_go: of the lock."""
        self._home, self._loaded, self._reload, self._fitted = home, loaded, reload, fitted
        self._parts: Parts | None = None  # of the node, once there is one
        self._ended: asyncio.Future[tuple[int, str]] | None = None
        self._swap = Swap.of(home, loaded.config)
        self._halt: HaltRequested | None = None
        self._stop_failed = ""
        self._broken: tuple[int, str] | None = None  # of a database; whatever else ends this process then, this is why
        self._leaving, self._hold, self._let_go = leaving, hold, let_go
        self._before: Before | None = None  # once the home is this process's
        self._away_ms = self._opening_ms = self._peers_then = 0
        self.is_refused = False  # the home was let go, and nobody runs on it
        self.successor: tuple[Swap, OpenBinary] | None = None  # the binary that is to take this process's place
        self.halt_height = 0
        self._is_left = False  # to the next process
        self._audit = Notes(Trail(home.root / FILE_NAME))
        self._told: dict[str, int | str] = {"code": EXIT_FAILED, "reason": "it failed: the log says why"}

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self._stop_asked, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._stop_asked, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, self._load_again)
        own_dump = OwnDump(self._home.dump)
        own_dump.arm()
        try:
            return await self._run(loop)
        finally:
            await self._audit.close()
            own_dump.close()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> int:
        assert self._ended is not None
        home, config = self._home, self._fitted
        for warning in self._loaded.warnings:
            log.warning("an option was taken otherwise than it reads", option=warning)
        genesis, node_key = load_genesis(home, note=self._leaving is None), NodeKey.load(home.node_key)
        switch = None if self._leaving is None else await self._take(self._leaving, genesis, node_key)
        validator_key = node_key_of(home, config, node_key, self._changed_key)
        await self._say_started(genesis, validator_key)
        if self._before is None and not await self._join(genesis, node_key, validator_key):
            return EXIT_OK
        try:
            node = await Node.open(
                home,
                config,
                genesis,
                node_key=node_key,
                validator_key=validator_key,
                fatal=self._end,
                upgrade_options=options_of(config, self._swap),
                on_halt=self._halted,
                on_broken=lambda error: self._broke(loop, error),
                handed=None if self._before is None else self._before.sockets,
                switch=switch,
            )
        except HaltRequested as halt:
            return self._not_this_build(halt)
        if self._before is None:  # else it was looked at before the home was asked for
            await self._check_upgrade(node)
        else:
            self._opening_ms = self._before.away_ms() - self._before.closing_ms
        _warn_about_genesis(config, node)
        if self._before is not None:
            node.tasks.side("notes when it takes part", lambda: self._note_begin(node))
        try:
            await node.start(at_once=self._before is not None)
            self._parts = Parts(node.switch, node.doors.rate, node.views.thresholds, node.room)
            node.doors.admin.reload, node.doors.admin.set_log = self._reload_asked, self._log_asked
            if self._before is None:
                _settle_memory()
            self._begin_own_tasks(node, validator_key)
            handing = await self._hand_over_when_asked(node, validator_key)
            code, reason = await self._ended
            self._told = {"code": code, "reason": reason}
            handing.close()
            if handing.asked is not None and code == EXIT_OK and self._halt is None:
                return await self._give(node, handing)
            if self._halt is not None:
                code = await self._after_halt(node, self._halt)
            elif code == EXIT_CONSENSUS_FAILURE:
                await asyncio.to_thread(node.save_trails)
                if tells_other_execution(reason):
                    await self._after_other_execution(node)
        finally:
            if not self._is_left:
                await self._stop(node)
                self._audit.note("node stopped", **self._told)
        if self.successor is not None:
            return code
        if code:
            return logs.last_line(code, f"{reason}{advice(self._home, reason)}")
        if self._stop_failed:
            return logs.last_line(EXIT_FAILED, self._stop_failed)
        log.info("stopped", reason=reason)
        return code

    async def _take(self, leaving: Leaving, genesis: GenesisDoc, node_key: NodeKey) -> Switch:
        """The home, once it is free; meanwhile its peers are dialed. Raises CannotTakeOver, AlreadyRunning."""
        log.info("the process that runs here leaves: dials its peers")
        switch = switch_of(self._fitted, node_key, genesis, leaving.sockets)
        await switch.hold()
        try:
            self._before = await asyncio.to_thread(leaving.wait)
            self._hold()
        except BaseException:
            await switch.stop()
            raise
        return switch

    async def _say_started(self, genesis: GenesisDoc, validator_key: SuccessiveKey | AwayKey) -> None:
        signer = "remote" if isinstance(validator_key, RemoteKey) else self._fitted.hsm.kind or "file"
        address = validator_key.pub_key.address.hex().upper()
        begun = self._audit.note(
            "node started", version=build_version(), chain_id=genesis.chain_id, signs_as=address, signer=signer
        )
        audit_head = await self._audit.written(begun)
        log.info(
            "started",
            audit_head=audit_head,
            version=build_version(),
            chain_id=genesis.chain_id,
            home=str(self._home.root),
            pid=os.getpid(),
            native=native.state(),
        )

    def _changed_key(self, pub_key: PubKey) -> None:
        """The chain has the validator's next key in place of the one that this process began with."""
        self._audit.note("consensus key changed", signs_as=pub_key.address.hex().upper())

    async def _join(self, genesis: GenesisDoc, node_key: NodeKey, validator_key: SuccessiveKey | AwayKey) -> bool:
        """By a snapshot, where that is wanted. False: the process was told to stop meanwhile."""
        assert self._ended is not None
        address, config = validator_key.pub_key.address, self._fitted
        joining = asyncio.ensure_future(
            join_by_snapshot(self._home, config, genesis, node_key=node_key, our_address=address)
        )
        waiting: set[asyncio.Future[Any]] = {joining, self._ended}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not joining.done():
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            log.info("stopped while joining by a snapshot; the next start takes it up")
            return False
        joining.result()
        return True

    async def _check_upgrade(self, node: Node) -> None:
        """Raises DoesNotKnow, with the node closed."""
        try:
            await check_upgrade(node, self._swap)
        except BaseException:
            await node.close_at_rest()
            raise

    def _begin_own_tasks(self, node: Node, validator_key: SuccessiveKey | AwayKey) -> None:
        """What the node does for its operator beside following the chain. None of it can stop the node."""
        if isinstance(validator_key, RemoteKey | HeldKey):
            if self._loaded.asks_to_stake or self._swap is not None:
                log.warning(
                    "its key is elsewhere, so this node neither stakes nor announces an upgrade by itself: "
                    "docs/signer.md says how that is done where the key is"
                )
            return
        if self._loaded.asks_to_stake:
            node.tasks.side("join with a stake", lambda: _join(node, validator_key, self._note_use))
        swap = self._swap
        if swap is not None and not swap.took_place:
            node.tasks.side("prepare the upgrade", lambda: _prepare(node, swap, validator_key, self._note_use))

    def _note_use(self, purpose: str) -> None:
        self._audit.note("operator key used", purpose=purpose)

    async def _hand_over_when_asked(self, node: Node, validator_key: SuccessiveKey | AwayKey) -> HandOver:
        """And tell the process before that this one takes part."""
        driver = node.driver

        def is_hasty(saved: SavedBlock) -> bool:
            return node.pool.size > 0 or saved.state.app_hash != saved.block.header.app_hash

        handing = HandOver(
            self._home, our_turns=lambda: turns_of(validator_key.pub_key.address, driver.state),
            is_hasty=is_hasty, prepare=node.prepare_to_leave,
            end=lambda: self._end(EXIT_OK, "handed over"),
        )  # fmt: skip
        driver.add_saved_listener(SafeListener("hand-over", handing, node.views.faults))
        before = self._before
        if before is not None:

            async def tell() -> None:
                await node.gossip.begun.wait()
                before.say_running()
                unused = before.sockets.close()
                log.info(
                    "took over", pid=os.getpid(), height=driver.state.last_block_height, away_ms=self._away_ms,
                    closing_ms=before.closing_ms, opening_ms=self._opening_ms, peers=self._peers_then,
                    unused_sockets=unused or None,
                )  # fmt: skip

            node.tasks.side("tell the process before", tell)
        await handing.open()
        return handing

    async def _note_begin(self, node: Node) -> None:
        assert self._before is not None
        await node.gossip.begun.wait()
        self._away_ms, self._peers_then = self._before.away_ms(), len(node.switch.peers)

    async def _give(self, node: Node, handing: HandOver) -> int:
        """The next process is here: leave the home to it, and end when it runs. Returns the exit code."""
        self._is_left = True
        sockets = node.listening()
        if handing.version == 1:  # it binds anew
            await node.doors.stop()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await node.leave_peers()
                handing.say_leaves(sockets)
                await node.leave("this process hands over to the next one: ask again")
            self._audit.note("node stopped", **self._told)
            await self._audit.close()
            self._let_go()
        except Exception as error:
            log.error("could not leave the home to the next process", exc_info=traced(error))
            handing.say_no(f"it did not stop cleanly: {last_words(error)}")
            self.is_refused = True
            return EXIT_FAILED
        self.is_refused = not await handing.give()
        if self.is_refused:
            return EXIT_FAILED
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await node.stop()
        except Exception as error:  # of connections: the home is another's
            log.warning("what was left did not stop cleanly", error=repr(error))
        log.info("stopped", reason="handed over")
        return EXIT_OK

    async def _stop(self, node: Node) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await node.stop()
        except TimeoutError:
            log.error("stopping took too long and was cut", seconds=STOP_TIMEOUT_S)
        except Exception as error:  # why the node ended counts, not what its end met
            log.error("the node did not stop cleanly", exc_info=traced(error))
            self._stop_failed = f"did not stop cleanly: {last_words(error)}"

    def _broke(self, loop: asyncio.AbstractEventLoop, error: Exception) -> None:
        """A read found that the disk lied, or a write failed: in any thread, and whoever takes the error then."""
        if self._broken is None:
            self._broken = exit_code_of(error), last_words(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: it ends already
                loop.call_soon_threadsafe(self._end, *self._broken)

    def _end(self, code: int, reason: str) -> None:
        assert self._ended is not None
        if self._broken is not None:
            code, reason = self._broken
        if not self._ended.done():
            self._ended.set_result((code, reason))

    # ---------------------------------------------------------------------------------------------- upgrades

    def _halted(self, halt: HaltRequested) -> None:
        self._halt, self.halt_height = halt, halt.height
        self._end(EXIT_OK if halt.reason is HaltReason.CONFIGURED else EXIT_UPGRADE, str(halt))

    def _not_this_build(self, halt: HaltRequested) -> int:
        """At the start, before anything is open: the store is of another build's time."""
        log.error(str(halt))
        self.halt_height = halt.height
        self._choose_successor(halt, None)
        return EXIT_UPGRADE if self.successor is not None else logs.last_line(EXIT_UPGRADE, str(halt))

    async def _after_halt(self, node: Node, halt: HaltRequested) -> int:
        """Consensus was left: say why, then hand over, or serve what there is for a while. Returns the exit code."""
        if halt.reason is HaltReason.CONFIGURED:
            log.info(str(halt))
            return EXIT_OK
        # A supervisor interrupts as soon as it sees the file: its first signal must not be taken for a second one.
        self._ended = asyncio.get_running_loop().create_future()
        plan = node.app.plan
        if halt.reason is HaltReason.UPGRADE_NEEDED and plan is not None:
            write_info(self._home, plan, halt.height)
        log.error(str(halt))
        logs.write_line(safe_line(str(halt)))  # as tools look for it: a line of its own
        is_stopping = await self._asked_within(LINGER_S)
        if not is_stopping and not self._choose_successor(halt, plan):
            await self._serve(node, self._loaded.config.upgrade.serve_for)
        return EXIT_UPGRADE

    async def _after_other_execution(self, node: Node) -> None:
        """Consensus was left for good. Monitors look now and then: who ends at once is down to them, and no more."""
        self._ended = asyncio.get_running_loop().create_future()
        await self._serve(node, self._loaded.config.upgrade.serve_for)

    async def _asked_within(self, seconds: float) -> bool:
        """Whether a signal asks to stop, at once or within the time."""
        assert self._ended is not None
        return bool((await asyncio.wait((self._ended,), timeout=seconds))[0])

    def _choose_successor(self, halt: HaltRequested, plan: Plan | None) -> bool:
        """Whether the operator's binary is the one that is wanted, and is as the plan demands."""
        swap = self._swap
        if swap is None or not halt.wanted:
            return False
        if swap.name != halt.wanted:
            log.error("the upgrade binary is for another upgrade", wanted=halt.wanted, given=swap.name)
            return False
        if swap.took_place:
            log.error("the upgrade binary does not know the upgrade", upgrade=swap.name, binary=str(swap.binary))
            return False
        binary: OpenBinary | None = None
        try:
            binary = OpenBinary(swap.binary)
            binary.verify(plan)
        except CannotUpgrade as error:
            log.error("the upgrade binary is refused", upgrade=swap.name, error=str(error))
            if binary is not None:
                binary.close()
            return False
        self.successor = swap, binary
        return True

    async def _serve(self, node: Node, seconds: int) -> None:
        """Reading doors stay open, and blocks are served to peers, until the time is over or a signal comes."""
        await node.close_admission()
        log.warning("serving read-only", seconds=seconds, last_height=node.driver.state.last_block_height)
        await self._asked_within(seconds)

    def _stop_asked(self, name: str) -> None:
        assert self._ended is not None
        if self._ended.done():
            os._exit(EXIT_FAILED)  # asked twice: somebody is in a hurry, and every write that matters is synced
        log.info("stopping", signal=name)
        self._end(EXIT_OK, name)

    def _load_again(self) -> None:
        """SIGHUP: what may change while a node runs takes effect; of the rest the log says that it needs a restart."""
        try:
            self._take_options("SIGHUP")
        except Exception as error:  # a broken file must not stop a validator
            log.error("options were not loaded again, and none was changed", error=str(error))

    async def _reload_asked(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """The same by an administrative call. Raises BadQuestion."""
        try:
            told, noted = self._take_options("an administrative call")
        except Exception as error:
            raise BadQuestion(f"options were not loaded again, and none was changed: {error}") from error
        await self._audit.written(noted)  # before the line that the call has ended
        return {"taken": list(told.taken), "needs_restart": list(told.waiting)}

    async def _log_asked(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Other levels until options are loaded again. Raises BadQuestion."""
        config = self._loaded.config
        level, levels = said["level"] or config.log.level, said["levels"]
        try:
            wanted = LogSection(level=level, levels=levels, json_lines=config.log.json_lines)
        except ValidationError as error:
            raise BadQuestion(
                "; ".join(said_of(LogSection, str(one["loc"][0]), one) for one in error.errors())
            ) from None
        self._configure_log(wanted, config)
        return {"level": wanted.level, "levels": wanted.levels}

    @staticmethod
    def _configure_log(wanted: LogSection, config: Config) -> None:
        name = config.validator.moniker or host_name()
        logs.configure(level=wanted.level, json_lines=wanted.json_lines, name=name, levels=wanted.levels)

    def _take_options(self, why: str) -> tuple[Changed, Future[str]]:
        """And the line of it in the audit log. Raises ConfigError, BadAddress, ValueError: nothing was changed."""
        loaded = self._reload()
        told = changed(self._loaded.config, loaded.config)
        if self._parts is not None:
            self._parts.take(told.config)
        new = told.config
        self._configure_log(new.log, new)
        for warning in loaded.warnings:
            if warning not in self._loaded.warnings:
                log.warning("an option was taken otherwise than it reads", option=warning)
        self._loaded = Loaded(new, loaded.origins, loaded.warnings, loaded.file)
        noted = self._audit.note("options loaded again", asked_by=why, changed=",".join((*told.taken, *told.waiting)))
        log.info(
            "loaded the options again",
            level=new.log.level,
            taken=",".join(told.taken) or None,
            needs_restart=",".join(told.waiting) or None,
        )
        return told, noted


def _settle_memory() -> None:
    """What the start made stays: collections need not look at it, and come when a block's worth of objects is new."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


async def _join(node: Node, validator_key: SuccessiveKey, note: Callable[[str], None]) -> None:
    """Make this node's key a validator's. Not being able to is no reason to stop following the chain."""
    options = node.config.staking
    try:
        operator = load_identity(node.home.identity)
        await Joining(
            node, operator, validator_key, stake=options.initial_stake * UDCHAT_PER_DCHAT,
            min_self_delegation=options.min_self_delegation * UDCHAT_PER_DCHAT, note=note,
        ).run()  # fmt: skip
    except (IdentityError, OSError, ValueError) as error:
        log.error("this node does not stake by itself", reason=str(error))


async def _prepare(node: Node, swap: Swap, validator_key: SuccessiveKey, note: Callable[[str], None]) -> None:
    """Look at the upgrade's binary, and announce it."""
    announcer: Announcer | None = None
    if node.config.upgrade.announce:
        try:
            operator = load_identity(node.home.identity)
            announcer = Announcer(node, operator, validator_key, name=swap.name, note=note)
        except (IdentityError, OSError, ValueError) as error:
            log.error("this node does not announce its readiness by itself", reason=str(error))
    await Preparation(node, swap, announcer).run()


def _warn_about_genesis(config: Config, node: Node) -> None:
    """What every node must agree on is the chain's; a differing option is told, with the chain's value."""
    params = json.loads(node.views.answers.queries.params_json())
    block_bytes_max = Fraction(node.driver.state.params.block.max_bytes)
    on_chain = {"[consensus] max_block_size": (Fraction(config.consensus.max_block_size), block_bytes_max)}
    for section, key, module, name, unit in GENESIS_OPTIONS:
        if (text := params.get(module, {}).get("params", {}).get(name)) is not None:
            ours = Fraction(str(getattr(getattr(config, section), key)))
            on_chain[f"[{section}] {key}"] = (ours, Fraction(str(text)) / unit)
    for option, (ours, theirs) in on_chain.items():
        if ours != theirs:
            log.warning(
                "an option differs from the chain's value, which counts",
                option=option,
                option_value=_plain(ours),
                chain_value=_plain(theirs),
            )
    if not node.driver.state.validators.by_address(node.views.me.validator_address):
        log.warning(
            "this node's key is not in the validator set: it follows without voting; to join it: --stake N, or "
            "`dchat tx stake create-validator`"
        )
