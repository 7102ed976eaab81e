"""What a client makes of a call that failed."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from dchat.client.client import ClientError, NodeUnreachable, NotFound, explain


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param(grpc.StatusCode.UNAVAILABLE, NodeUnreachable, id="nobody is there"),
        pytest.param(grpc.StatusCode.DEADLINE_EXCEEDED, NodeUnreachable, id="no answer in time"),
        pytest.param(grpc.StatusCode.CANCELLED, NodeUnreachable, id="it stopped, and ended the calls that it held"),
        pytest.param(grpc.StatusCode.NOT_FOUND, NotFound, id="it has no such thing"),
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, ClientError, id="it refused"),
    ],
)
def test_a_failed_call_is_told_by_kind(code: grpc.StatusCode, kind: type[ClientError]) -> None:
    """audit 19: a node that stops for an upgrade looked like one that refuses, and its client gave up."""
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="said")
    assert type(explain(error, "here")) is kind
