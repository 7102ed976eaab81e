"""A stand-in for AWS KMS on this machine: keys of Ed25519, asked as AWS is; Signature Version 4 is verified.

It knows what a signer uses: CreateKey, GetPublicKey, Sign; and can be made to refuse, to fail, to be slow, to lie.
`python -m tests.support.node.kms PORT SEED...` is one as a process, whose keys, key-0, key-1..., are made of the seeds
(64 hex characters).
Source: AWS KMS API Reference, 2014-11-01; Signature Version 4, canonical request.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from crypto.keys import Ed25519PrivKey
from tests.support.node.s3 import ACCESS, ENVIRONMENT, REGION, SECRET, sha256

__all__ = ["ENVIRONMENT", "REGION", "SECRET", "Kms", "kms_service"]

HEAD = bytes.fromhex("302a300506032b6570032100")
ALGORITHM = "ED25519_SHA_512"


@dataclass
class Kms:
    """refuse: operations that are answered AccessDenied; fail: so many next calls with a 500; delay_s: before each
    answer; flips: a bit of each signature."""

    url: str = ""
    keys: dict[str, Ed25519PrivKey] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    fail: int = 0
    delay_s: float = 0.0
    flips: bool = False
    spec: str = "ECC_NIST_EDWARDS25519"

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        service, _, name = request.headers.get("X-Amz-Target", "").partition(".")
        self.calls.append(name)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.fail:
            self.fail -= 1
            return told(500, {"__type": "KMSInternalException", "message": "an internal error"})
        if service != "TrentService" or wrongly_signed(request, body):
            return told(400, {"__type": "InvalidSignatureException", "message": "what was signed is not what came"})
        if name in self.refuse:
            return told(400, {"__type": "AccessDeniedException", "message": f"not authorized to perform: kms:{name}"})
        answers: dict[str, Callable[[dict[str, Any]], web.Response]] = {
            "CreateKey": self._create, "GetPublicKey": self._public_key, "Sign": self._sign,
        }  # fmt: skip
        return answers[name](json.loads(body))

    def _create(self, asked: dict[str, Any]) -> web.Response:
        assert asked["KeySpec"] == self.spec, asked
        assert asked["KeyUsage"] == "SIGN_VERIFY", asked
        name = f"key-{len(self.keys)}"
        self.keys[name] = Ed25519PrivKey.from_seed(secrets.token_bytes(32))
        return told(200, {"KeyMetadata": {"KeyId": name, "KeySpec": self.spec, "KeyUsage": "SIGN_VERIFY"}})

    def _public_key(self, asked: dict[str, Any]) -> web.Response:
        if (key := self.keys.get(asked["KeyId"])) is None:
            return no_such_key(asked)
        return told(200, {
            "KeyId": asked["KeyId"], "PublicKey": base64.b64encode(HEAD + key.pub_key.bytes).decode(),
            "KeySpec": self.spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": [ALGORITHM, "ED25519_PH_SHA_512"],
        })  # fmt: skip

    def _sign(self, asked: dict[str, Any]) -> web.Response:
        assert asked["MessageType"] == "RAW", asked
        assert asked["SigningAlgorithm"] == ALGORITHM, asked
        if (key := self.keys.get(asked["KeyId"])) is None:
            return no_such_key(asked)
        signature = bytearray(key.sign(base64.b64decode(asked["Message"], validate=True)))
        signature[0] ^= self.flips
        said = base64.b64encode(bytes(signature)).decode()
        return told(200, {"KeyId": asked["KeyId"], "Signature": said, "SigningAlgorithm": ALGORITHM})


def told(status: int, value: dict[str, Any]) -> web.Response:
    return web.Response(status=status, text=json.dumps(value), content_type="application/x-amz-json-1.1")


def no_such_key(asked: dict[str, Any]) -> web.Response:
    return told(400, {"__type": "NotFoundException", "message": f"Key '{asked['KeyId']}' does not exist"})


def wrongly_signed(request: web.Request, body: bytes) -> bool:
    words = request.headers.get("Authorization", "").partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in words[2].split(","))
    scope = parts.get("Credential", "").split("/")
    if words[0] != "AWS4-HMAC-SHA256" or scope[0] != ACCESS or scope[2:] != [REGION, "kms", "aws4_request"]:
        return True
    names = parts["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-target"} <= set(names):
        return True
    canonical = "\n".join([
        request.method, request.path, "", *(f"{name}:{' '.join(request.headers[name].split())}" for name in names), "",
        parts["SignedHeaders"], sha256(body),
    ])  # fmt: skip
    to_sign = "\n".join([words[0], request.headers["X-Amz-Date"], "/".join(scope[1:]), sha256(canonical.encode())])
    key = f"AWS4{SECRET}".encode()
    for word in (*scope[1:], to_sign):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return not hmac.compare_digest(key.hex(), parts["Signature"])


async def serve(kms: Kms, port: int) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", kms.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    kms.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return runner


@contextmanager
def kms_service() -> Iterator[Kms]:
    """On a port of its own, in a thread of its own: who asks it may block, or be another process."""
    kms, loop = Kms(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(kms, 0), loop).result(30)
    try:
        yield kms
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def main(port: int, seeds: list[str]) -> None:
    keys = {f"key-{number}": Ed25519PrivKey.from_seed(bytes.fromhex(seed)) for number, seed in enumerate(seeds)}
    await serve(Kms(keys=keys), port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
