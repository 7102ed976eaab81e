"""JSON-RPC 2.0 as CometBFT speaks it: requests out of a body, errors with their codes, replies.

Linear in the body, which is bounded before it is read; how many values it holds is counted before any is made.
Source: CometBFT v0.38, rpc/jsonrpc/types; jsonrpc.org 2.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from consensus.abci.interface import Slices
from consensus.formats.errors import Malformed
from consensus.formats.json_text import Json, dumps, kind_of, loads
from dchat.doors.jsonrpc.form import joined, written

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000  # a subscription that is no more

MESSAGES: Final = {
    PARSE_ERROR: "Parse error. Invalid JSON",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
    SERVER_ERROR: "Server error",
}

Id: TypeAlias = str | int | None  # None: a notification, or not known
NO_ID: Final = -1  # of calls by URI, and of what a fault answers

VALUES_MAX: Final = 50_000  # of a body: evidence against thousands of signers has as many; they are made in 5 ms
HOLDERS_MAX: Final = 12_500  # lists and objects among them, as evidence of so many values has: beside two such bodies
# the garbage collector begins, and holds the loop, too
ID_MAX: Final = 2**63 - 1
ID_CHARS_MAX: Final = 1_024  # of one that is a text: each event of a subscription says it again
BIT_53: Final = 2**53


class RpcError(Exception):
    """What a caller is told in place of a result.

    status: of the whole HTTP answer when the call stands alone; 0: what its way of calling has for its code.
    """

    def __init__(self, code: int, data: str = "", *, status: int = 0) -> None:
        super().__init__(data or MESSAGES[code])
        self.code, self.data, self.status = code, data, status

    def alone(self) -> RpcError:
        """The same, without what it was raised from: tracebacks hold all that was read."""
        return RpcError(self.code, self.data, status=self.status)

    def form(self) -> Json:
        told: dict[str, Json] = {"code": self.code, "message": MESSAGES[self.code]}
        if self.data:
            told["data"] = self.data
        return told


class Absent:
    """Params that a request does not have, which is not the same as null."""


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Request:
    """id None: a notification, which is not carried out."""

    id: Id
    method: str
    params: Json | Absent


def failed(text: str) -> RpcError:
    """A call that its handler refuses."""
    return RpcError(INTERNAL_ERROR, text)


def too_many_values(text: str) -> str:
    """What JSON text has too many of, before any is made; "": it may be read."""
    holders = text.count("[") + text.count("{")
    if holders > HOLDERS_MAX:
        return f"more than {HOLDERS_MAX} lists and objects"
    return f"more than {VALUES_MAX} values" if holders + text.count(",") > VALUES_MAX else ""


def read_body(data: bytes) -> Json:
    """Raises RpcError."""
    if why := too_many_values(data.decode("latin-1")):
        raise RpcError(PARSE_ERROR, f"error unmarshaling request: {why}", status=500)
    try:
        return loads(data, what="request", bytes_max=len(data))
    except Malformed as error:
        raise RpcError(PARSE_ERROR, f"error unmarshaling request: {error}", status=500) from None


def requests_of(body: Json, batch_max: int) -> list[Request]:
    """One request, or a batch of at most `batch_max` (0: any number). Raises RpcError."""
    if body is None:
        return []
    if not isinstance(body, list):
        return [request_of(body)]
    if batch_max and len(body) > batch_max:
        text = f"batch request exceeds maximum ({batch_max}) allowed number of requests"
        raise RpcError(INVALID_REQUEST, text, status=200)
    return [request_of(one) for one in body]


def request_of(value: Json) -> Request:
    """Raises RpcError: not one."""
    if value is None:
        return Request(None, "", ABSENT)
    if not isinstance(value, dict):
        raise _no_request(f"it is {kind_of(value)}, expected an object")
    method = value.get("method")
    if method is None:
        method = ""
    if not isinstance(method, str) or not isinstance(value.get("jsonrpc", ""), str | None):
        raise _no_request("method and jsonrpc are strings")
    return Request(_id_of(value.get("id")), method, value.get("params", ABSENT))


def _id_of(given: Json) -> Id:
    if isinstance(given, str) and len(given) > ID_CHARS_MAX:
        raise _no_request(f"json-rpc ID has {len(given)} characters; allowed: {ID_CHARS_MAX}")
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _no_request(f"json-rpc ID ({kind_of(given)}) is of unknown type")
    number = given if isinstance(given, int) and abs(given) <= BIT_53 else float(given) if abs(given) < 2**1000 else 0
    if number in (float("inf"), float("-inf")):
        raise _no_request("json-rpc ID is no number")
    return max(-ID_MAX - 1, min(ID_MAX, int(number)))  # numbers are doubles to the reference, and lose their fraction


def _no_request(why: str) -> RpcError:
    return RpcError(PARSE_ERROR, f"error unmarshaling request: {why}", status=500)


def reply(id: Id, key: str, value: Json) -> Slices[bytes]:
    """A reply's text, made piece by piece. key: `result` or `error`; an id that is not known is left out."""
    told: dict[str, Json] = {"jsonrpc": "2.0"}
    if id is not None:
        told["id"] = id
    told[key] = value
    return written(told)


def error_reply(id: Id, error: RpcError) -> bytes:
    head = {"jsonrpc": "2.0"} if id is None else {"jsonrpc": "2.0", "id": id}
    return encoded(dumps({**head, "error": error.form()}))


def encoded(text: str) -> bytes:
    """Half a surrogate pair, which an id may hold, is nothing in UTF-8, and in JSON what it was."""
    return text.encode(errors="backslashreplace")


def batch_of(replies: list[bytes]) -> bytes:
    """A lone reply comes unwrapped."""
    return replies[0] if len(replies) == 1 else joined(replies)
