"""A stand-in for S3 on this machine: verifies Signature Version 4 and the hash of each body, and can be made to fail.

It knows what backups use: objects put in parts, head, get by range, list in pages, delete, broken-off uploads.
Source: Amazon S3 API Reference, 2006-03-01; Signature Version 4, canonical request.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from aiohttp import web

ACCESS, SECRET, REGION, BUCKET = "AKIATEST", "a/secret+that=is never said", "eu-test-1", "backups-of-tests"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
PAGE = 3  # objects of a page: lists are longer in tests


@dataclass
class Stored:
    data: bytes
    meta: dict[str, str]
    checksum: str = ""


@dataclass
class Store:
    """refuse: operations that are answered 403; fail: so many next calls of one with 500; what else it does wrong."""

    url: str = ""
    objects: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    fail: dict[str, int] = field(default_factory=dict)
    tells_checksums: bool = True
    flips: bool = False  # a bit of what is put
    cuts: int = 0  # so many next downloads break off in the middle
    lists: str = ""  # what each page of a list says, instead

    # ------------------------------------------------------------------------------------------ the protocol

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        _, _, key = unquote(request.raw_path.partition("?")[0]).removeprefix("/").partition("/")
        query = dict(request.query)
        name = operation_of(request.method, key, query)
        self.calls.append(name)
        if why := self._wrongly_signed(request, body):
            return error(403, why, "what was signed is not what came")
        if name in self.refuse:
            return error(403, "AccessDenied", "Access Denied")
        if self.fail.get(name, 0):
            self.fail[name] -= 1
            return error(500, "InternalError", "We encountered an internal error.")
        answer: web.StreamResponse = await getattr(self, name)(request, key, query, body)
        return answer

    def _wrongly_signed(self, request: web.Request, body: bytes) -> str:
        words = request.headers.get("Authorization", "").partition(" ")
        parts = dict(part.strip().partition("=")[::2] for part in words[2].split(","))
        if words[0] != "AWS4-HMAC-SHA256" or request.headers["X-Amz-Content-SHA256"] != sha256(body):
            return "XAmzContentSHA256Mismatch"
        scope = parts["Credential"].split("/")
        if scope[0] != ACCESS or scope[2:] != [REGION, "s3", "aws4_request"]:
            return "InvalidAccessKeyId"
        path, _, query = request.raw_path.partition("?")
        pairs = sorted(tuple(one.partition("=")[::2]) for one in query.split("&") if one)
        names = parts["SignedHeaders"].split(";")
        canonical = "\n".join([
            request.method, path, "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names), "",
            parts["SignedHeaders"], request.headers["X-Amz-Content-SHA256"],
        ])  # fmt: skip
        to_sign = "\n".join([words[0], request.headers["X-Amz-Date"], "/".join(scope[1:]), sha256(canonical.encode())])
        key = f"AWS4{SECRET}".encode()
        for word in (*scope[1:], to_sign):
            key = hmac.new(key, word.encode(), hashlib.sha256).digest()
        return "" if hmac.compare_digest(key.hex(), parts["Signature"]) else "SignatureDoesNotMatch"

    async def create(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        number = f"upload{len(self.uploads)}-{len(self.calls)}"
        meta = {name[11:]: value for name, value in request.headers.items() if name.lower().startswith("x-amz-meta-")}
        self.uploads[number] = (key, meta, {})
        return xml("InitiateMultipartUploadResult", f"<Bucket>{BUCKET}</Bucket><UploadId>{number}</UploadId>")

    async def part(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        said = request.headers.get("x-amz-checksum-sha256", "")
        if said != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return error(400, "BadDigest", "The SHA256 you specified did not match")
        self.uploads[query["uploadId"]][2][int(query["partNumber"])] = body
        return web.Response(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    async def complete(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        name, meta, parts = self.uploads.pop(query["uploadId"])
        asked = [int(one.text or "") for one in ElementTree.fromstring(body).iter() if one.tag.endswith("PartNumber")]
        assert name == key
        assert asked == sorted(parts) == list(range(1, len(parts) + 1))
        digests = b"".join(hashlib.sha256(parts[number]).digest() for number in asked)
        data = b"".join(parts[number] for number in asked)
        if self.flips:
            data = bytes([data[0] ^ 1]) + data[1:]
            digests += b"x"
        checksum = base64.b64encode(hashlib.sha256(digests).digest()).decode()
        self.objects[key] = Stored(data, meta, f"{checksum}-{len(parts)}")
        return xml("CompleteMultipartUploadResult", f"<Bucket>{BUCKET}</Bucket>")

    async def abort(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        self.uploads.pop(query["uploadId"], None)
        return web.Response(status=204)

    async def head(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.StreamResponse:
        found = self.objects.get(key)
        if found is None:
            return web.Response(status=404)
        told = {f"x-amz-meta-{name}": value for name, value in found.meta.items()}
        if self.tells_checksums and request.headers.get("x-amz-checksum-mode"):
            told["x-amz-checksum-sha256"] = found.checksum
        return web.Response(headers={**told, "Content-Length": str(len(found.data))})

    async def get(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.StreamResponse:
        found = self.objects.get(key)
        if found is None:
            return error(404, "NoSuchKey", "The specified key does not exist.")
        first, _, last = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        data = found.data[int(first) : int(last or len(found.data)) + 1]
        answer = web.StreamResponse(status=206, headers={"Content-Length": str(len(data))})
        await answer.prepare(request)
        if self.cuts:
            self.cuts -= 1
            await answer.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.close()
            return answer
        await answer.write(data)
        return answer

    async def delete(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        self.objects.pop(key, None)
        return web.Response(status=204)

    async def list(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        if self.lists:
            return xml("ListBucketResult", self.lists)
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")))
        names = [name for name in names if name > query.get("continuation-token", "")]
        page, more = names[:PAGE], len(names) > PAGE
        told = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[name].data)}</Size></Contents>"
            for name in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return xml("ListBucketResult", f"{told}<IsTruncated>{str(more).lower()}</IsTruncated>{token}")

    async def list_uploads(self, request: web.Request, key: str, query: dict[str, str], body: bytes) -> web.Response:
        return xml("ListMultipartUploadsResult", "".join(
            f"<Upload><Key>{escape(name)}</Key><UploadId>{number}</UploadId></Upload>"
            for number, (name, _, _) in self.uploads.items() if name.startswith(query.get("prefix", ""))
        ))  # fmt: skip


def operation_of(method: str, key: str, query: dict[str, str]) -> str:
    match method, bool(key):
        case "GET", False:
            return "list_uploads" if "uploads" in query else "list"
        case "POST", True:
            return "create" if "uploads" in query else "complete"
        case "DELETE", True:
            return "abort" if "uploadId" in query else "delete"
        case "PUT", True:
            return "part"
    return method.lower()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def xml(name: str, inner: str, status: int = 200) -> web.Response:
    return web.Response(text=f"<?xml version='1.0'?><{name}>{inner}</{name}>", content_type="text/xml", status=status)


def error(status: int, code: str, message: str) -> web.Response:
    return xml("Error", f"<Code>{code}</Code><Message>{message}</Message>", status)


@contextmanager
def s3_store() -> Iterator[Store]:
    """On a port of its own, in a thread of its own: who asks it may block, or be another process."""
    store, loop = Store(), asyncio.new_event_loop()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", store.handle)
    runner: Any = web.AppRunner(app, access_log=None)

    async def begin() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        store.url = f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(begin(), loop).result(30)}"
        yield store
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
