"""A PKCS#11 token for tests: SoftHSM2, of Debian's packages, unpacked and not installed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.interop.tools import deb_tool

LABEL, PIN, SO_PIN = "dchat tests", "4711-user", "0815-officer"


@dataclass(frozen=True)
class SoftToken:
    """environment: what a process that uses it needs."""

    library: Path
    folder: Path
    pin_file: Path
    environment: dict[str, str]

    @property
    def store(self) -> Path:
        """Of its objects: moved away, the token is gone."""
        return self.folder / "tokens"

    def flags(self, label: str = "") -> list[str]:
        named = ["--pkcs11-key-label", label] if label else []
        return [
            "--hsm", "--pkcs11-library", str(self.library), "--pkcs11-slot", LABEL,
            "--pkcs11-pin-file", str(self.pin_file), *named,
        ]  # fmt: skip


def soft_token(folder: Path) -> SoftToken:
    """A new token in `folder`. Skips, saying so, where SoftHSM2 cannot be had. A process has the tokens of one folder:
    the library reads SOFTHSM2_CONF once."""
    program = deb_tool("softhsm2-util", "softhsm2")
    found = [Path("/usr/lib/softhsm/libsofthsm2.so")]
    if not found[0].exists():
        found = [deb_tool("libsofthsm2.so", "libsofthsm2")]
    (folder / "tokens").mkdir(parents=True)
    options = folder / "softhsm2.conf"
    options.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(options)}
    subprocess.run(
        [program, "--module", found[0], "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", SO_PIN],
        check=True, capture_output=True, env=os.environ | environment, timeout=60,
    )  # fmt: skip
    pin_file = folder / "pin"
    pin_file.write_text(f"{PIN}\n")
    pin_file.chmod(0o600)
    return SoftToken(found[0], folder, pin_file, environment)
