"""The client without asyncio: for scripts, notebooks and programs with threads. The same names as in `dchat.client`.

`faces.py` is made of `dchat.client.front.chat` by `python -m dchat.client.front.make_blocking`; everything runs on one
event loop in a thread of its own.
"""

from __future__ import annotations

from dchat.client.blocking.faces import Dchat, connect

__all__ = ["Dchat", "connect"]
