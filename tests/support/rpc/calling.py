"""Calls to a JSON-RPC door, ours or CometBFT's."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass
from typing import Any

import aiohttp

from chain.tx.messages import Payment
from dchat.client.wallet import Session
from tests.support.node.running import Running

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Told:
    """An answer: HTTP status, headers, and the document (None: it is no JSON)."""

    status: int
    headers: dict[str, str]
    document: Any
    text: str

    @property
    def result(self) -> Any:
        assert "result" in self.document, self.text
        return self.document["result"]

    @property
    def error(self) -> tuple[int, int, str]:
        """(HTTP status, code, data)"""
        error = self.document["error"]
        return self.status, error["code"], error.get("data", "")


async def _told(answer: aiohttp.ClientResponse) -> Told:
    text = await answer.text()
    is_json = answer.content_type == "application/json"
    return Told(answer.status, dict(answer.headers), await answer.json() if is_json else None, text)


async def get(http: aiohttp.ClientSession, url: str, path: str, **options: Any) -> Told:
    async with http.get(f"{url}/{path}", **options) as answer:
        return await _told(answer)


async def post(http: aiohttp.ClientSession, url: str, body: Any, path: str = "", **options: Any) -> Told:
    """body: bytes as they are, anything else as JSON."""
    given: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with http.post(f"{url}/{path}", **given, **options) as answer:
        return await _told(answer)


def request(method: str, params: Any = None, id: Any = None) -> dict[str, Any]:
    """params None: an empty object."""
    number = next(_numbers) if id is None else id
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {} if params is None else params}


async def call(http: aiohttp.ClientSession, url: str, method: str, **params: Any) -> Any:
    """The result."""
    return (await post(http, url, request(method, params))).result


async def payment_of(one: Running, amount: int = 1, *, sender: str = "alice") -> bytes:
    """A payment to bob, signed and not sent."""
    async with one.client() as client:
        payer = one.account(sender)
        return await Session(client, payer.wallet).build([Payment(payer.address, one.account("bob").address, amount)])


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()
