"""What a node remembers of each height, so that it can say why it missed one: its recorder, wired (docs/why.md)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from consensus.engine.driver import ConsensusDriver
from consensus.engine.skew import ClockSkew
from consensus.formats.units import NS_PER_MS
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import SafeListener, SafeRoundListener
from consensus.node.gossip import Gossip
from consensus.p2p.switch import Switch
from consensus.privval.remote import AnySigner, RemoteSigner
from consensus.system.clock import Clock
from consensus.system.tasks import Faults
from dchat.config import Config
from dchat.doors.http.views import Me
from dchat.doors.metrics.loop_lag import LoopLag
from dchat.doors.reads.answers import Answers
from dchat.home.home import Home
from dchat.node.node_metrics import NodeMetrics, staked_by
from dchat.why.desk import WhyDesk
from dchat.why.recorder import Around, Recorder

if TYPE_CHECKING:  # a node that does not trace never imports it
    from dchat.tracing.on_node import Tracing

PART = "records of heights"  # the name under which /ready tells of it


def other_keys(answers: Answers, retired: Sequence[bytes], now: Callable[[], bytes]) -> Iterator[bytes]:
    """Addresses of the keys that a validator had, or the chain knows it by already: those that were retired here, which
    a state of long ago does not know of, and what the chain says. now: of the one that signs."""
    yield from retired
    for known in (now(), *retired):
        found = staked_by(answers, known)
        if found is not None:
            yield found.consensus_address
            yield from (one.address for one in found.rotations)
            return


def retired_in(home: Home) -> list[bytes]:
    """Addresses of the keys that this home gave up."""
    found = []
    for path in home.places.retired_keys.glob("*.json"):
        with contextlib.suppress(ValueError):
            found.append(bytes.fromhex(path.stem))
    return found


def remember(
    desk: WhyDesk, driver: ConsensusDriver, *, me: Me, clock: Clock, switch: Switch,
    gossip: Gossip, skew: ClockSkew, signer: AnySigner, staked: NodeMetrics, lag: LoopLag, faults: Faults,
) -> None:  # fmt: skip
    """Listens from now on, and hands its records to `desk`."""
    around = Around(
        own=me.address_in,
        started_at=time.time_ns() // NS_PER_MS,
        peers=lambda: len(switch.peers),
        is_behind=gossip.is_catching_up,
        skew_ns=lambda: skew.ns,
        is_jailed=lambda: (found := staked.record_of(me.validator_address)) is not None and found.jailed,
        has_signer=lambda: not isinstance(signer, RemoteSigner) or signer.door.is_connected,
        name_of=lambda address: "" if (found := staked.record_of(address)) is None else found.moniker,
    )
    recorder = Recorder(clock, driver.round_state, driver.metrics, driver.config, around, desk.keep)
    driver.add_round_listener(SafeRoundListener(PART, recorder, faults))
    driver.add_saved_listener(SafeListener(PART, recorder, faults))
    desk.running, lag.on_late = recorder.running, recorder.late


def traced(
    config: Config, driver: ConsensusDriver, pool: Pool, *, me: Me, clock: Clock, faults: Faults
) -> Tracing | None:
    """None: it is not wanted. Raises ValueError: the option names no collector."""
    if not (config.tracing.enabled or config.observability.tracing_enabled):
        return None
    from dchat.tracing.on_node import Tracing
    from dchat.tracing.tracer import Who

    who = Who(node_id=me.node_id, chain_id=me.chain_id, address=me.validator_address)
    return Tracing(config, driver, pool, who=who, moniker=me.moniker, clock=clock, faults=faults)
