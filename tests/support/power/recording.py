"""Running a command under the recorder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.power.journal import write_mark

SOURCE = Path(__file__).with_name("record.c")


def find_compiler() -> str | None:
    """A C compiler of this machine, if its system is one that the recorder knows."""
    return (shutil.which("cc") or shutil.which("gcc")) if sys.platform == "linux" else None


@dataclass
class Recorder:
    """Records what happens below `home` into `journal`. The folder is copied first: `before` is it as it was."""

    home: Path
    folder: Path  # for what this makes, outside of the home

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def before(self) -> Path:
        return self.folder / "before"

    def begin(self) -> None:
        """Compile, copy the home. Raises subprocess.CalledProcessError."""
        compiler = find_compiler()
        assert compiler is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-pthread", "-o", str(self._library), str(SOURCE)]
        subprocess.run(command, check=True)
        shutil.copytree(self.home, self.before)
        self.journal.touch()

    @property
    def _library(self) -> Path:
        return self.folder / "record.so"

    def environment(self) -> Mapping[str, str]:
        """For the process that is recorded."""
        own = {"LD_PRELOAD": str(self._library), "POWER_HOME": str(self.home), "POWER_JOURNAL": str(self.journal)}
        return {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}

    def mark(self, **told: Any) -> None:
        """Note what was seen from outside: it was so at this place of the journal, or before."""
        file = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            write_mark(file, told)
        finally:
            os.close(file)
