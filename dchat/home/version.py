"""This build's version."""

from __future__ import annotations

import functools
from importlib import metadata

from consensus.types.header import BLOCK_PROTOCOL

ENGINE_VERSION = "0.38.0"  # the CometBFT version whose formats and p2p messages are spoken


@functools.cache  # read from files in 0.25 ms, and asked for by everybody who asks for the status
def build_version() -> str:
    """The installed distribution's, or the source tree's when nothing is installed; as it was when first asked."""
    try:
        return metadata.version("dchat-validator")
    except metadata.PackageNotFoundError:
        return "0.1.0"


__all__ = ["BLOCK_PROTOCOL", "ENGINE_VERSION", "build_version"]
