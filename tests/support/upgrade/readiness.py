"""A file that can be announced."""

from __future__ import annotations

import shlex
from pathlib import Path


def write_binary(
    path: Path, *, names: str = "spring\n", version: str = "dchat 0.2.0\n", before: str = "",
    steps: str = "printf 'currency 2\\n'",
) -> Path:  # fmt: skip
    """An executable that answers what a node asks, and counts how often it is run. before, steps: shell, run first, and
    where it is asked for its migrations."""
    answers = (
        f"case $1:$2 in --version:) printf %s {shlex.quote(version)};; upgrade:names) printf %s {shlex.quote(names)};; "
        f"upgrade:steps) {steps};; esac"
    )
    draft = path.with_suffix(".new")
    draft.write_text(f"#!/bin/sh\necho run >> {shlex.quote(str(path))}.runs\n{before}\n{answers}\n")
    draft.chmod(0o755)
    draft.replace(path)
    return path
