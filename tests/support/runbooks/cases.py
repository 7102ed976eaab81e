"""What causes each alert here, and what the page's words mean in this network."""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consensus.p2p.conn.node_key import NodeKey
from crypto.bech32 import encode_address
from dchat.devnet.leases import lease_ports
from dchat.home.home import Home
from tests.support.node import differs
from tests.support.node.machine import set_option
from tests.support.runbooks import machines, relay, signers
from tests.support.runbooks.world import SUBJECT, World

ALICE: Final = "../accounts/alice.json"


def nothing(world: World) -> None:
    pass


@dataclass(frozen=True)
class Sign:
    """One alert of a fault. where: the node that it is told of, by its index; None: any, or of no node. at: on whose
    machine its checks are typed."""

    alert: str
    where: int | None = SUBJECT
    at: int = SUBJECT


@dataclass(frozen=True)
class Case:
    """One fault, and the alerts that come of it, in the order in which they are looked for.

    injected: for the table. prepare: before the fault. remedy_at: on whose machines the remedies are typed. mend: what
    the pages say in words, before what they say to type. after: what is put back for the next case.
    """

    signs: tuple[Sign, ...]
    injected: str
    cause: Callable[[World], None]
    remedy_at: tuple[int, ...] = (SUBJECT,)
    prepare: Callable[[World], None] = nothing
    mend: Callable[[World], None] = nothing
    after: Callable[[World], None] = nothing
    fires_s: float = 180.0
    clears_s: float = 120.0

    @property
    def alerts(self) -> tuple[str, ...]:
        return tuple(sign.alert for sign in self.signs)


def killed(*indexes: int) -> Callable[[World], None]:
    def cause(world: World) -> None:
        for index in indexes:
            world.kill(index)

    return cause


def hangs(world: World) -> None:
    world.signal(SUBJECT, signal.SIGSTOP)


def is_jailed(world: World) -> None:
    world.kill(SUBJECT)
    world.until("it is jailed", lambda: world.jailed(SUBJECT), timeout_s=600)
    world.start(SUBJECT)


def clock(world: World) -> None:
    world.faults[SUBJECT].set_clock(60)


def other_build(*indexes: int) -> Callable[[World], None]:
    """They run a build that executes one thing otherwise."""

    def prepare(world: World) -> None:
        for index in indexes:
            world.stop(index)
            world.processes[index].module = differs.__name__
            world.start(index)

    return prepare


def paid(world: World) -> None:
    """What that build executes otherwise."""
    to = encode_address(differs.RECIPIENT)
    code, printed = world.dchat(["tx", "pay", "--to", to, "--amount", "5", "--from", ALICE, "--wait", "admission"], 1)
    assert code == 0, printed


def right_build(world: World) -> None:
    for process in world.processes.values():
        process.module = "dchat"


def planned(world: World) -> None:
    """An upgrade that no build here knows, within the time in which that is an alarm."""
    world.names["plan"] = "autumn"
    height = str(world.height(1) + 1_000)
    code, printed = world.dchat(["upgrade", "plan", "--name", "autumn", "--height", height, "--from", ALICE], 1)
    assert code == 0, printed


def cancelled(world: World) -> None:
    code, printed = world.dchat(["upgrade", "cancel", "--from", ALICE], 1)
    assert code == 0, printed


def snapshots_often(world: World) -> None:
    with_options(world, ("snapshots", "interval = 20"))


def no_room_for_snapshots(world: World) -> None:
    world.faults[SUBJECT].refuse("/data/snapshots/", errno.ENOSPC)


def room(world: World) -> None:
    world.faults[SUBJECT].clear()


def backups(world: World) -> None:
    with_options(world, *(("backup", line) for line in ("enable = true", 'folder = "kept"', 'schedule = "* * * * *"')))
    kept = world.home(SUBJECT) / "kept"
    world.until("a first backup is made", lambda: kept.is_dir() and any(kept.iterdir()), timeout_s=240)


def no_target(world: World) -> None:
    """The disk that backups go to is gone, and what stands in its place is no folder."""
    kept = world.home(SUBJECT) / "kept"
    kept.rename(kept.with_name("kept-away"))
    kept.write_text("")


def target_again(world: World) -> None:
    kept = world.home(SUBJECT) / "kept"
    kept.unlink()
    kept.with_name("kept-away").rename(kept)


def with_options(world: World, *lines: tuple[str, str]) -> None:
    """The node runs with them, until `plain_options`."""
    world.stop(SUBJECT)
    for section, line in lines:
        set_option(world.home(SUBJECT), section, line)
    world.start(SUBJECT)
    world.until("the network is well", world.is_well)


def plain_options(world: World) -> None:
    world.stop(SUBJECT)
    world.write_options(SUBJECT)
    world.start(SUBJECT)


def restarted(world: World) -> None:
    world.stop(SUBJECT)
    world.start(SUBJECT)


def behind(world: World) -> None:
    """Its databases are of a while ago; the record of what it signed is of now."""
    data, earlier = world.home(SUBJECT) / "data", world.folder / "earlier"
    world.stop(SUBJECT)
    shutil.copytree(data, earlier)
    world.start(SUBJECT)
    height = world.height(1)
    world.until("ten blocks more", lambda: world.height(1) > height + 10)
    world.until("the network is well", world.is_well)


def only_dead_peers(world: World) -> None:
    """Its peers know it by another name, and do not reach it; itself it knows nobody that answers."""
    world.stop(SUBJECT)
    home = Home.of(world.home(SUBJECT))
    record = home.sign_state.read_bytes()
    shutil.rmtree(home.data)
    (world.folder / "earlier").rename(home.data)
    home.sign_state.write_bytes(record)
    home.address_book.unlink(missing_ok=True)
    home.node_key.rename(home.node_key.with_name("node_key.kept"))
    NodeKey.generate().save(home.node_key)
    dead = lease_ports(1)[0]
    set_option(home.root, "network", f'bootstrap_validators = ["127.0.0.1:{dead}"]')
    world.start(SUBJECT)


def live_peers(world: World) -> None:
    world.write_options(SUBJECT)


def named_again(world: World) -> None:
    world.stop(SUBJECT)
    home = Home.of(world.home(SUBJECT))
    home.node_key.with_name("node_key.kept").replace(home.node_key)
    world.start(SUBJECT)


CASES: Final = (
    Case(
        (Sign("DchatValidatorDown"), Sign("DchatPeersLow", 1, 1), Sign("DchatMissedBlocks", None)),
        "a validator is killed (SIGKILL)",
        killed(SUBJECT),
    ),
    Case((Sign("DchatMissedBlocks", None),), "a validator's process hangs (SIGSTOP)", hangs),
    Case(
        (Sign("DchatNoBlock", 1, 1), Sign("DchatNoQuorum", 1, 1)),
        "two of four validators are killed",
        killed(3, SUBJECT),
        remedy_at=(3, SUBJECT),
    ),
    Case(
        (Sign("DchatAppHashMismatch"),),
        "one of four runs a build that executes a payment otherwise",
        paid,
        prepare=other_build(SUBJECT),
        mend=right_build,
    ),
    Case(
        (Sign("DchatInvalidProposal", None), Sign("DchatAppHashMismatch", None)),
        "two of four run a build that executes a payment otherwise",
        paid,
        prepare=other_build(3, SUBJECT),
        mend=right_build,
        remedy_at=(3, SUBJECT),
    ),
    Case(
        (Sign("DchatSignerLost"),),
        "the process of a validator's signer is killed (SIGKILL)",
        signers.lost,
        prepare=signers.elsewhere,
        mend=signers.again,
        after=signers.home_again,
    ),
    Case((Sign("DchatClockSkew"),), "the clock of a validator's machine goes a minute ahead", clock),
    Case(
        (Sign("DchatUpgradePowerNotReady", 1, 1), Sign("DchatUpgradeNotReady", 1, 1)),
        "an upgrade is planned in 1,000 blocks that no build here knows",
        planned,
        remedy_at=(1, 2, 3, SUBJECT),
        after=cancelled,
    ),
    Case(
        (Sign("DchatPartFailing"),),
        "the folder of snapshots refuses to be written (ENOSPC), one each 20 blocks",
        no_room_for_snapshots,
        prepare=snapshots_often,
        mend=room,
        after=plain_options,
    ),
    Case(
        (Sign("DchatSyncStalled"),),
        "a validator that is behind knows no peer that answers",
        only_dead_peers,
        prepare=behind,
        mend=live_peers,
        after=named_again,
    ),
    Case(
        (Sign("DchatCpuHigh"),),
        "six readers of a validator's metrics, without a pause",
        machines.readers,
        mend=machines.no_readers,
        after=restarted,
    ),
    Case(
        (Sign("DchatMemoryHigh"),),
        "/proc/meminfo, as the process sees it, tells that 6 % are left",
        machines.memory_goes,
        prepare=machines.own_memory,
        mend=machines.memory_back,
        after=machines.plain_memory,
    ),
    Case(
        (Sign("DchatDiskLow"),),
        "85 % of the disk with a validator's data (600 MiB, in memory) are taken",
        machines.fills,
        prepare=machines.on_small_disk,
        mend=machines.room_made,
    ),
    Case(
        (Sign("DchatDiskFillsUp"),),
        "that disk fills by 2 MiB a second",
        machines.grows,
        prepare=machines.on_small_disk,
        mend=machines.room_made,
        fires_s=300.0,
        clears_s=300.0,
    ),
    Case((Sign("DchatJailed"),), "a validator is away for 150 of 300 blocks, is jailed, and comes back", is_jailed),
    Case(
        (Sign("DchatBackupFailing"),),
        "the folder of a backup each minute is gone, a file stands in its place",
        no_target,
        prepare=backups,
        mend=target_again,
        after=plain_options,
        fires_s=300.0,
        clears_s=600.0,
    ),
    Case(
        (Sign("DchatRelayDown", None),),
        "what stands in for a relay (its metrics, from a process of the test) ends",
        relay.ends,
        prepare=relay.runs,
        mend=relay.again,
        after=relay.gone,
    ),
    Case(
        (Sign("DchatRelayQueueLong", None),),
        "what stands in for a relay tells of 5,001 messages that wait",
        relay.too_slow,
        prepare=relay.runs,
        mend=relay.delivers,
        after=relay.gone,
    ),
)
