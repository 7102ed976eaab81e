"""Every message and every call is there over gRPC, over HTTP and as a command: the three lists are compared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pool

from chain.tx.messages import KINDS
from dchat.doors.grpc.door import SERVICES
from dchat.doors.rest.openapi import document
from dchat.doors.rest.table import LEFT_OUT, routes_of
from proto.dchat.v1 import tx_pb2

ROOT = Path(__file__).parents[2] / "dchat"
DOCUMENT = document(routes_of(SERVICES), version="1")

# Calls that no command asks, and why.
WITHOUT_COMMAND: dict[str, str] = {
    "TxService.BroadcastMany": "for programs that send thousands: dchat benchmark and the library do",
}


def trees(*folders: str) -> Iterator[ast.Module]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text())


def named(tree: ast.AST) -> set[str]:
    """Names and attributes that stand in it."""
    nodes = list(ast.walk(tree))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id for node in nodes if isinstance(node, ast.Name)
    }


def test_every_message_is_in_the_schema_in_openapi_and_has_a_command() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    names = {field.name for field in tx_pb2.Message.DESCRIPTOR.oneofs_by_name["kind"].fields}
    assert names == set(KINDS) == set(schemas["dchat.v1.Message"]["properties"])
    made = {
        node.func.id
        for tree in trees("cli")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not {kind.type.__name__ for kind in KINDS.values()} - made, "messages that no command makes"


def test_every_call_is_over_http_and_has_a_command() -> None:
    methods = [method for name in SERVICES for method in descriptor_pool.Default().FindServiceByName(name).methods]
    used = set().union(*map(named, trees("cli")))
    waiting = [
        node
        for tree in trees("client")  # what a command asks through the client, and that through others of the client's
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__"
    ]
    while reached := [function for function in waiting if function.name in used]:
        used |= set().union(*map(named, reached))
        waiting = [function for function in waiting if function not in reached]
    over_http = {operation["summary"] for verbs in DOCUMENT["paths"].values() for operation in verbs.values()}
    for method in methods:
        row = f"{method.containing_service.name}.{method.name}"
        assert (row in LEFT_OUT) != (f"gRPC: {method.containing_service.full_name}/{method.name}" in over_http), row
        assert (row in WITHOUT_COMMAND) != (method.name in used), row
