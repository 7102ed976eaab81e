"""Bytes that are no request, to every method of the gRPC door."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from proto.dchat.v1 import governance_service_pb2, service_pb2, staking_service_pb2
from tests.support.node.running import Running, running_node
from tests.support.patience import PATIENCE_S

FILES: tuple[Any, ...] = (service_pb2, staking_service_pb2, governance_service_pb2, health_pb2, reflection_pb2)
METHODS: tuple[MethodDescriptor, ...] = tuple(
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods_by_name.values()
)


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def unreadable(method: MethodDescriptor, chance: random.Random) -> Iterator[bytes]:
    """Random bytes that are no request of the method's type."""
    kind = GetMessageClass(method.input_type)
    while True:
        data = chance.randbytes(chance.randrange(1, 400))
        try:
            kind.FromString(data)
        except DecodeError:
            yield data


async def ask(channel: grpc.aio.Channel, method: MethodDescriptor, data: bytes) -> None:
    """Raises AioRpcError."""
    path = path_of(method)
    if method.client_streaming:
        async for _ in channel.stream_stream(path)(iter([data]), timeout=PATIENCE_S):
            pass
    elif method.server_streaming:
        async for _ in channel.unary_stream(path)(data, timeout=PATIENCE_S):
            pass
    else:
        await channel.unary_unary(path)(data, timeout=PATIENCE_S)


def counted(running: Running, status: str) -> int:
    door = running.node.doors.grpc
    assert door is not None
    return door.guard.counts.get(status, 0)


async def test_bytes_that_are_no_request_are_the_clients_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Row 13: of every method the same: INVALID_ARGUMENT that says which and why, counted, and no traceback."""
    chance = random.Random(12)
    assert {path_of(method) for method in METHODS} >= {"/dchat.v1.TxService/Broadcast", "/grpc.health.v1.Health/Watch"}
    async with running_node(tmp_path) as running, running.client() as client, running.channel() as channel:
        before = counted(running, "INVALID_ARGUMENT")
        with caplog.at_level(logging.DEBUG, logger="grpc"):
            for method in METHODS:
                for data, _ in zip(unreadable(method, chance), range(3), strict=False):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await ask(channel, method, data)
                    details = refused.value.details() or ""
                    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, path_of(method)
                    assert details.startswith(path_of(method))
                    assert f"{len(data)} bytes is not a {method.input_type.name}" in details
        assert counted(running, "INVALID_ARGUMENT") == before + 3 * len(METHODS)
        assert [record.getMessage() for record in caplog.records if record.exc_info] == []
        await client.wait_for_height(running.node.views.answers.height + 2)


async def test_an_unreadable_message_in_a_stream_ends_it_after_the_answers_before(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.channel() as channel:
        method = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods_by_name["ServerReflectionInfo"]
        good = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        call = channel.stream_stream(path_of(method))(iter([good, b"\xff"]), timeout=PATIENCE_S)
        assert b"dchat.v1.TxService" in await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_methods_that_are_not_there_stay_unimplemented(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.channel() as channel:
        before = counted(running, "UNIMPLEMENTED")
        for path in ("/dchat.v1.ChainService/Nothing", "/none.of.Ours/Nothing", "nothing", "/"):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(path)(b"\xff", timeout=PATIENCE_S)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, path
            told = []
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async for answer in channel.stream_stream(path)(iter([b"\xff"]), timeout=PATIENCE_S):
                    told.append(answer)
            assert (refused.value.code(), told) == (grpc.StatusCode.UNIMPLEMENTED, []), path
        assert counted(running, "UNIMPLEMENTED") == before + 8
