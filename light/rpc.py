"""CometBFT's JSON-RPC as a provider of light blocks: over HTTP, with every size, count and wait bounded.

What it sends is POST with a JSON body, so that evidence of any size fits. It follows no redirect and takes nothing
compressed.
Source: CometBFT v0.38, spec/rpc, light/provider/http.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from consensus.documents.json import evidence_json, signed_header_from_json, validator_from_json
from consensus.formats.errors import InvalidData, Malformed
from consensus.formats.json_text import Fields, Json, dumps, loads
from consensus.formats.units import MIB
from consensus.types.commit import SIGNATURES_MAX
from consensus.types.evidence import Evidence
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import VALIDATORS_MAX, Validator, ValidatorSet
from light.errors import BadAnswer, HeightTooHigh, InvalidOptions, NoAnswer, NoBlock, ProviderFailed

CALL_TIMEOUT_S: Final = 10.0
URL_CHARACTERS_MAX: Final = 2_000
ANSWER_BYTES_MAX: Final = 8 * MIB  # a commit of 10,000 slots is 3 MB
BLOCK_BYTES_MAX: Final = 160 * MIB  # a block of the format's limit, in base64
PER_PAGE: Final = 100  # the most that a node gives
PAGES_MAX: Final = VALIDATORS_MAX // PER_PAGE
WORDS_MAX: Final = 300  # of a node's own words in ours

_TOO_HIGH: Final = re.compile(r"must be less than or equal to")
_MISSING: Final = re.compile(r"is not available|not found|height must be greater than 0|no block", re.IGNORECASE)


def quoted(text: object) -> str:
    """A node's words within a sentence of ours: of bounded length, without control characters."""
    return repr(str(text)[:WORDS_MAX])


class RpcRefused(ProviderFailed):
    """It answered with an error: `code` and `text` are its own."""

    def __init__(self, provider: str, code: int, text: str) -> None:
        super().__init__(provider, f"refused: {quoted(text)} ({code})")
        self.code, self.text = code, text


class RpcProvider:
    """One node: `http://HOST:PORT`. Use as `async with`, or close it. tls: how one at https:// is spoken to; None: by
    the system's roots. server_name: what its certificate is for, where that is not the URL's. Raises InvalidOptions."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
        tls: ssl.SSLContext | None = None,
        server_name: str = "",
    ) -> None:
        if url.startswith("tcp://"):
            url = "http://" + url.removeprefix("tcp://")
        try:
            parts = urlsplit(url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
        if not fits or len(url) > URL_CHARACTERS_MAX or parts.query or parts.fragment:
            raise InvalidOptions(f"a provider is {quoted(url)}; expected http://HOST:PORT or https://HOST:PORT")
        self._url, self._timeout_s, self._answer_bytes_max = url, timeout_s, answer_bytes_max
        self._tls, self._server_name = tls, server_name
        self._session: aiohttp.ClientSession | None = None
        self._calls = 0
        self.name = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # no password in what is said

    async def __aenter__(self) -> RpcProvider:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    # ------------------------------------------------------------------------------------------------------ calls

    async def call(self, method: str, bytes_max: int = 0, /, **params: Json) -> Fields:
        """The `result` of one call. bytes_max: of the answer, if it may be larger than others.

        Raises NoAnswer, BadAnswer, RpcRefused.
        """
        self._calls += 1
        body = dumps({"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params}).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                data = await self._post(body, bytes_max or self._answer_bytes_max)
        except TimeoutError:
            raise NoAnswer(self.name, f"did not answer {method} within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(self.name, f"did not answer {method}: {quoted(error)}") from error
        try:
            answer = Fields(loads(data, what=method, bytes_max=len(data)), method)
            if "error" in answer:
                refused = answer.object("error")
                text = f"{refused.text('message')}: {refused.text('data')}"
                raise RpcRefused(self.name, int(refused.raw("code") or 0), text)
            return answer.object("result")
        except (InvalidData, TypeError, ValueError, ArithmeticError) as error:  # of a code that is no number, or 1e999
            raise BadAnswer(self.name, quoted(error)) from error

    async def _post(self, body: bytes, bytes_max: int) -> bytes:
        """Raises aiohttp.ClientError; BadAnswer: it is larger than is read."""
        if self._session is None:
            headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, auto_decompress=False)
        async with self._session.post(
            self._url, data=body, allow_redirects=False, ssl=self._tls or True,
            server_hostname=self._server_name or None,
        ) as response:  # fmt: skip
            pieces, size = [], 0
            async for piece in response.content.iter_chunked(65_536):
                pieces.append(piece)
                size += len(piece)
                if size > bytes_max:
                    raise BadAnswer(self.name, f"answered with more than {bytes_max} bytes; allowed: {bytes_max}")
            if not pieces or response.status not in (200, 500):  # an error of the node's comes with 500
                raise BadAnswer(self.name, f"answered with status {response.status}: is it a JSON-RPC door?")
            return b"".join(pieces)

    # ------------------------------------------------------------------------------------------------ as a provider

    async def light_block(self, height: int) -> LightBlock:
        """As `Provider`: the commit, and the set by pages."""
        try:
            signed = await self._signed_header(height)
            validators = await self._validators(signed.header.height)
        except RpcRefused as error:
            raise self._missing(error) from error
        except InvalidData as error:
            raise BadAnswer(self.name, error) from error
        return LightBlock(signed, validators)

    def _missing(self, error: RpcRefused) -> ProviderFailed:
        if _TOO_HIGH.search(error.text):
            return HeightTooHigh(self.name, quoted(error.text))
        if _MISSING.search(error.text):
            return NoBlock(self.name, quoted(error.text))
        return NoAnswer(self.name, f"refused: {quoted(error.text)}")

    async def _signed_header(self, height: int) -> SignedHeader:
        told = (await self.call("commit", **_at(height))).object("signed_header")
        if not told.raw("commit") or not told.raw("header"):
            raise NoBlock(self.name, f"has no commit {height}")
        slots = told.object("commit").raw("signatures")
        if isinstance(slots, list) and len(slots) > SIGNATURES_MAX:
            raise Malformed(f"commit has {len(slots)} signatures; allowed: {SIGNATURES_MAX}")
        return signed_header_from_json({"header": told.raw("header"), "commit": told.raw("commit")}, "signed_header")

    async def _validators(self, height: int) -> ValidatorSet:
        members: list[Validator] = []
        total = 1
        for page in range(1, PAGES_MAX + 1):
            told = await self.call("validators", **_at(height), page=str(page), per_page=str(PER_PAGE))
            total = told.int64("total")
            listed = told.raw("validators")
            if not 0 < total <= VALIDATORS_MAX or not isinstance(listed, list) or not 0 < len(listed) <= PER_PAGE:
                raise Malformed(f"page {page} of the validators of {height} has none, or too many; total: {total}")
            members += told.list("validators", validator_from_json)
            if len(members) >= total:
                break
        if len(members) != total:
            raise Malformed(f"{len(members)} validators of height {height} came of {total}")
        return ValidatorSet.from_existing(members)

    async def report(self, evidence: Evidence) -> None:
        await self.call("broadcast_evidence", evidence=evidence_json(evidence))


def _at(height: int) -> dict[str, str]:
    return {"height": str(height)} if height else {}
