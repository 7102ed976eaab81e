"""Options that a running node takes over, and those that it cannot without a restart.

An option is here as a whole or not at all: what its value was made into at the start is replaced by what the new one
makes. Whatever is not listed needs a restart, and the operator is told which options these are.
Source: docs/operators/configure.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from consensus.formats.units import MIB
from consensus.p2p.switch import Switch
from dchat.config import Config
from dchat.doors.http.views import Thresholds
from dchat.doors.reads.limits import RateLimit
from dchat.retention.room import RoomOnDisk

AT_RUN_TIME: Final = frozenset(
    (
        "log.level", "log.levels", "log.json_lines",
        "network.bootstrap_validators", "network.max_peers",
        "p2p.unconditional_peer_ids", "p2p.private_peer_ids", "p2p.max_inbound_peers", "p2p.max_outbound_peers",
        "p2p.allow_duplicate_ip",
        "rate_limit.enabled", "rate_limit.requests_per_second", "rate_limit.trusted_proxies",
        "observability.unhealthy_after", "database.min_free",
    )
)  # fmt: skip


class Changed(NamedTuple):
    """config: what holds from now on. taken: `section.key` of what takes effect; waiting: of what needs a restart."""

    config: Config
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def differences(old: Config, new: Config) -> Iterator[str]:
    """`section.key`, in the order of the file."""
    for section in type(new).model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if before == after:
            continue
        for key in type(after).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{section}.{key}"


def changed(old: Config, new: Config) -> Changed:
    """old: as the node runs. new: as it was just read."""
    names = tuple(differences(old, new))
    taken = tuple(name for name in names if name in AT_RUN_TIME)
    values: dict[str, dict[str, object]] = {}
    for name in taken:
        section, key = name.split(".")
        values.setdefault(section, {})[key] = getattr(getattr(new, section), key)
    sections = {section: getattr(old, section).model_copy(update=update) for section, update in values.items()}
    return Changed(old.model_copy(update=sections), taken, tuple(name for name in names if name not in taken))


@dataclass
class Parts:
    """What of a running node obeys options that may change."""

    switch: Switch
    rate: RateLimit
    thresholds: Thresholds
    room: RoomOnDisk

    def take(self, config: Config) -> None:
        """Obey these options from now on. Raises BadAddress, ValueError: nothing was changed then."""
        network, p2p = config.network, config.p2p
        self.switch.change(
            replace(
                self.switch.config,
                persistent_peers=tuple(network.bootstrap_validators),
                unconditional_peer_ids=frozenset(p2p.unconditional_peer_ids),
                private_peer_ids=frozenset(p2p.private_peer_ids),
                max_inbound_peers=p2p.max_inbound_peers,
                max_outbound_peers=p2p.max_outbound_peers if p2p.pex else 0,
                max_peers=network.max_peers,
                allow_duplicate_ip=p2p.allow_duplicate_ip,
            )
        )
        self.rate.change(config.rate_limit)
        self.thresholds.unhealthy_after_s = config.observability.unhealthy_after
        self.room.floor_bytes = config.database.min_free * MIB
