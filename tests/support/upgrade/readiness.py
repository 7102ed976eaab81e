"""A file that can be announced."""

from __future__ import annotations

import shlex
from pathlib import Path


def write_binary(path: Path, *, names: str = "spring\n", version: str = "dchat 0.2.0\n", before: str = "") -> Path:
    """An executable that answers what a node asks, and counts how often it is run. before: shell, run first."""
    answers = f"case $1 in --version) printf %s {shlex.quote(version)};; upgrade) printf %s {shlex.quote(names)};; esac"
    draft = path.with_suffix(".new")
    draft.write_text(f"#!/bin/sh\necho run >> {shlex.quote(str(path))}.runs\n{before}\n{answers}\n")
    draft.chmod(0o755)
    draft.replace(path)
    return path
