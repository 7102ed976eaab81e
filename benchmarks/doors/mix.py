"""What is asked for, as readers of a chain do: explorers that poll, monitors, wallets with proofs, RPC clients.

A share is of a thousand requests. The same seed gives the same requests in the same order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

HTTP, RPC, GRPC = "http", "rpc", "grpc"  # doors
HEIGHTS: Final = 50  # the last ones are looked at, the newest most
GRPC_CALLS: Final = ("status", "account", "block")


@dataclass(frozen=True)
class World:
    """What there is to be asked for. files: the explorer's, path and ETag: a browser that was here before has them."""

    height: int
    accounts: tuple[str, ...]
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ask:
    """One request. name: of its kind. data: the bytes; of gRPC, what the call is about."""

    name: str
    door: str
    data: bytes


Make = Callable[[random.Random, World], tuple[str, str, bytes]]
AGENT: Final = (
    "Host: localhost\r\nUser-Agent: Mozilla/5.0 (benchmark)\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n"
)


def got(path: str, fields: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\n{AGENT}{fields}\r\n".encode()


def posted(method: str, params: dict[str, str], id: int) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    fields = f"{AGENT}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"POST / HTTP/1.1\r\n{fields}\r\n{body}".encode()


def _height(chance: random.Random, world: World) -> int:
    return max(1, world.height - int(chance.paretovariate(1.2)) % HEIGHTS)


def _account(chance: random.Random, world: World) -> str:
    return chance.choice(world.accounts)


def _file(chance: random.Random, world: World, *, again: bool) -> bytes:
    path, tag = chance.choice(world.files)
    return got(path, f"If-None-Match: {tag}\r\n" if again else "")


# name, share, door, what is sent
KINDS: Final[tuple[tuple[str, int, str, Callable[[random.Random, World], bytes]], ...]] = (
    ("explorer: votes", 250, HTTP, lambda c, w: got("/chain/consensus-status")),
    ("explorer: blocks", 80, HTTP, lambda c, w: got("/chain/blocks?limit=12")),
    ("explorer: roots", 80, HTTP, lambda c, w: got("/v1/bridge")),
    ("explorer: validators", 60, HTTP, lambda c, w: got("/v1/validators?limit=100")),
    ("explorer: files, new", 15, HTTP, lambda c, w: _file(c, w, again=False)),
    ("explorer: files, known", 35, HTTP, lambda c, w: _file(c, w, again=True)),
    ("status", 130, HTTP, lambda c, w: got("/status")),
    ("health", 30, HTTP, lambda c, w: got("/health")),
    ("ready", 20, HTTP, lambda c, w: got("/ready")),
    ("latest block", 30, HTTP, lambda c, w: got("/chain/latest-block")),
    ("block", 70, HTTP, lambda c, w: got(f"/v1/blocks/{_height(c, w)}")),
    ("block, decoded", 20, HTTP, lambda c, w: got(f"/v1/blocks/{_height(c, w)}?decoded=true")),
    ("events", 10, HTTP, lambda c, w: got(f"/chain/events?from_height={_height(c, w)}&limit=50")),
    ("account", 30, HTTP, lambda c, w: got(f"/v1/accounts/{_account(c, w)}")),
    ("account, proved", 40, HTTP, lambda c, w: got(f"/v1/accounts/{_account(c, w)}?prove=true")),
    ("rpc: status", 30, RPC, lambda c, w: posted("status", {}, c.randrange(1 << 30))),
    ("rpc: block", 20, RPC, lambda c, w: posted("block", {"height": str(_height(c, w))}, c.randrange(1 << 30))),
    ("rpc: validators", 10, RPC, lambda c, w: posted("validators", {}, c.randrange(1 << 30))),
    ("rpc: status, by URI", 20, RPC, lambda c, w: got("/status")),
    ("grpc: status", 8, GRPC, lambda c, w: b""),
    ("grpc: account", 6, GRPC, lambda c, w: bytes.fromhex(_account(c, w))),
    ("grpc: block", 6, GRPC, lambda c, w: str(_height(c, w)).encode()),
)


def asks(world: World, seed: int) -> Iterator[Ask]:
    """Without end."""
    chance = random.Random(seed)
    shares = [share for _, share, _, _ in KINDS]
    while True:
        name, _, door, make = chance.choices(KINDS, shares)[0]
        yield Ask(name, door, make(chance, world))
