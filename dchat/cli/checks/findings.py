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
    is_of_default: Callable[[str], bool] = lambda line: False  # whether it may be of what stands in for a faulty option

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
            if not place or not self.has_fault(place):  # what it says of it is more
                self._add(f"{where}{place}{error.strerror or error}", Exit.USAGE)
        except (HomeError, CannotUpgrade, P2PError, ValueError) as error:
            self._add(f"{where}{error}", Exit.USAGE)
        else:
            return True
        return False

    def fault(self, text: str, *, is_certain: bool = False) -> None:
        self._add(text, Exit.USAGE, is_certain=is_certain)

    def has_fault(self, begin: str) -> bool:
        return any(told.startswith(begin) for told in self.faults)

    def warn(self, text: str) -> None:
        if text not in self.warnings and not self.is_of_default(text):
            self.warnings.append(text)

    def _add(self, text: str, code: Exit, *, is_certain: bool = False) -> None:
        for line in text.splitlines():
            if self.is_of_default(line) and not is_certain:
                continue
            self.code = self.code or code
            if not self.has_fault(line):
                self.faults.append(line)
