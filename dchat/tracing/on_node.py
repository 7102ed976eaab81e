"""A node that traces: its tracer and its exporter, wired."""

from __future__ import annotations

from typing import Final

import structlog

from consensus.engine.driver import ConsensusDriver
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import SafeListener, SafeRoundListener
from consensus.system.clock import Clock
from consensus.system.tasks import Faults
from dchat.config import Config
from dchat.config.endpoint import endpoint_of
from dchat.home.version import build_version
from dchat.tracing.export import Exporter, sender_of
from dchat.tracing.spans import Sampler
from dchat.tracing.tracer import Tracer, Who

PART: Final = "tracing"  # the name under which /ready tells of it

log = structlog.get_logger(__name__)


class Tracing:
    """Listens from now on; `run` sends until it is cancelled."""

    def __init__(
        self, config: Config, driver: ConsensusDriver, pool: Pool, *, who: Who, moniker: str, clock: Clock,
        faults: Faults,
    ) -> None:  # fmt: skip
        """Raises ValueError: the option names no collector."""
        options = config.tracing
        endpoint = endpoint_of(options.endpoint)
        resource = {
            "service.name": options.service_name, "service.version": build_version(),
            "service.instance.id": who.node_id, "dchat.moniker": moniker, "dchat.chain_id": who.chain_id,
        }  # fmt: skip
        self.exporter = Exporter(sender_of(endpoint), resource, version=build_version())
        self.tracer = tracer = Tracer(
            who, Sampler(options.sample_rate), clock, driver.round_state, driver.metrics, self.exporter.offer
        )
        driver.add_round_listener(SafeRoundListener(PART, tracer.steps, faults))
        driver.add_saved_listener(SafeListener(PART, tracer, faults))
        pool.on_arrived(tracer.arrived)
        pool.on_admitted(tracer.admitted)
        pool.on_dropped(tracer.dropped)
        log.info(
            "traces", collector=endpoint.target, by="OTLP over gRPC" if endpoint.is_grpc else "OTLP over HTTP",
            sample_rate=options.sample_rate, in_place_of=options.endpoint if endpoint.is_moved else None,
        )  # fmt: skip

    async def run(self) -> None:
        try:
            await self.exporter.run()
        finally:
            await self.exporter.close()
