"""The programs of docs/python-client.md, and where they run: one node behind three doors, one of them with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc

from tests.support.docs.pages import DOCS
from tests.support.node.certificates import Authority
from tests.support.node.lying import lying_door
from tests.support.node.running import Running, running_node

PAGE = DOCS / "python-client.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python$", re.MULTILINE)


class Recipe(NamedTuple):
    """shown: what it prints, `...` for anything."""

    title: str
    code: str
    shown: str

    def prints(self, printed: str) -> bool:
        pattern = re.escape(self.shown.strip()).replace(r"\.\.\.", ".*")
        return re.fullmatch(pattern, printed.strip()) is not None


def recipes() -> list[Recipe]:
    text = PAGE.read_text()
    found = [
        Recipe(text[: block.start()].rpartition("\n## ")[2].partition("\n")[0], block[1], block[2])
        for block in _BLOCK.finditer(text)
    ]
    assert len(found) == len(_PYTHON.findall(text)), "each block of python is followed by what it prints"
    return found


@dataclass
class Kitchen:
    """folder: where the recipes run. ports: by those that the page says."""

    running: Running
    ports: dict[int, str]

    @property
    def folder(self) -> Path:
        return self.running.network.folder

    def filled(self, code: str) -> str:
        for port, address in self.ports.items():
            code = code.replace(f"localhost:{port}", address)
        return code


@contextlib.asynccontextmanager
async def kitchen(folder: Path) -> AsyncIterator[Kitchen]:
    async with running_node(folder) as running, contextlib.AsyncExitStack() as stack:
        root = Authority(running.network.folder, "root")
        door = await asyncio.to_thread(root.vouch, "validator.example")
        root.vouch("wallet")
        pair = (door.key.read_bytes(), door.cert.read_bytes())
        tls = grpc.ssl_server_credentials([pair], root.file.read_bytes(), require_client_auth=True)
        other = await stack.enter_async_context(lying_door(running.grpc))
        guarded = await stack.enter_async_context(lying_door(running.grpc, tls))
        yield Kitchen(running, {26_670: running.grpc, 26_671: other.address, 26_680: guarded.address})
