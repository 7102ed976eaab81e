"""What a check found: faults, which no start accepts, and warnings, with which a node starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from consensus.p2p.conn.errors import P2PError
from dchat.cli.terminal.base import Exit, Refusal
from dchat.home.errors import HomeError
from dchat.node.errors import CannotUpgrade, TooFewHandles
from dchat.retention.room import NoRoom


@dataclass
class Findings:
    """Each a line that names an option or a file, and what to do."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    code: Exit = Exit.OK  # of the first fault

    def look(self, work: Callable[[], object], where: str = "") -> bool:
        """Whether it found no fault. where: stands in front of what `work` raises, if it names no place itself."""
        try:
            work()
        except Refusal as error:
            self._add(error.message, Exit(error.exit_code))
        except (NoRoom, TooFewHandles) as error:
            self._add(str(error), Exit.MACHINE)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            if not place or not any(told.startswith(place) for told in self.faults):  # what it says of it is more
                self._add(f"{where}{place}{error.strerror or error}", Exit.USAGE)
        except (HomeError, CannotUpgrade, P2PError, ValueError) as error:
            self._add(f"{where}{error}", Exit.USAGE)
        else:
            return True
        return False

    def fault(self, text: str) -> None:
        self._add(text, Exit.USAGE)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _add(self, text: str, code: Exit) -> None:
        self.code = self.code or code
        for line in text.splitlines():
            if not any(told.startswith(line) for told in self.faults):
                self.faults.append(line)
