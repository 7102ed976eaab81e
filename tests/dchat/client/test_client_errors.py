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


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "here did not answer within 10 s"),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused (111)",
            "here did not answer: nothing listens there",
        ),
    ],
)
def test_a_node_that_is_away_is_told_in_words(code: grpc.StatusCode, details: str, said: str) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
    assert str(explain(error, "here", within_s=10.0)) == said


@pytest.mark.parametrize(
    ("details", "hint"),
    [
        ("UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", "does this door want TLS"),
        ("UNKNOWN: ipv4:127.0.0.1:1: UNAUTHENTICATED: Hostname Verification Check failed.", "server_name"),
        ("UNKNOWN: ipv4:127.0.0.1:1: SSL_ERROR_SSL: error:1000007d", "is its certificate vouched for"),
    ],
)
def test_what_fails_for_want_of_tls_says_which_option_helps(details: str, hint: str) -> None:
    details = f"failed to connect to all addresses; last error: {details}"
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
    assert hint in str(explain(error, "here"))
