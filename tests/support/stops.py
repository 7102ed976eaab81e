"""A simulated disk that stops whoever touches it, at a touch that is chosen."""

from __future__ import annotations

from pathlib import Path

from consensus.simulation.disk import SimulatedDisk


class StopsAfter:
    """From now on `disk` may be touched so often; each touch after that raises OSError."""

    def __init__(self, disk: SimulatedDisk, touches: int) -> None:
        self._left = touches
        disk.hook = self._touched

    @property
    def has_stopped(self) -> bool:
        return self._left < 0

    def _touched(self, action: str, path: Path) -> None:
        self._left -= 1
        if self.has_stopped:
            raise OSError("stopped")
