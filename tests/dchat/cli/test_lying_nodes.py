"""A full node that lies to its client: a plain word, never a traceback, and nothing is signed at its price."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chain.app_state.document import RANGES
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.tx import decode
from chain.tx.messages import Payment
from dchat.cli.terminal.base import show_json
from dchat.client.client import Client, ClientError, whole_param
from dchat.client.wallet import Outcome, Session
from dchat.shown.messages import message_json
from proto.dchat.v1 import governance_service_pb2 as gov
from proto.dchat.v1 import service_pb2 as pb

BOB = bytes(20)


class LyingClient(Client):
    """Answers as a node of a wrong gas price would."""

    def __init__(self, params: str) -> None:
        self.address, self.chain_id, self._params = "liar:1", "", params

    async def params(self, height: int = 0) -> pb.GetParamsResponse:
        return pb.GetParamsResponse(json=self._params)

    async def status(self) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(chain_id="lies-1", latest_block_height=7)

    async def account(self, address: bytes, *, height: int = 0, prove: bool = False) -> pb.GetAccountResponse:
        return pb.GetAccountResponse()


def stated(price: object) -> str:
    return json.dumps({"currency": {"params": {"gas_price": price}}})


@pytest.mark.parametrize(
    "params",
    [
        stated(RANGES["gas_price"][1] + 1), stated(10**18), stated(-1), stated("9" * 5_000), stated(None), stated([]),
        stated(float("inf")), "", "{", "[]", "7", json.dumps({"currency": {}}), "[" * 100_000,
    ],
)  # fmt: skip
async def test_nothing_is_signed_at_a_price_that_no_chain_has(params: str) -> None:
    """audit 18: the client took the node's word for the gas price: a payment was signed with a fee of any height."""
    wallet = Wallet.from_seed(bytes(32))
    session = Session(LyingClient(params), wallet)
    with pytest.raises(ClientError, match=r"currency\.gas_price"):
        await session.build([Payment(wallet.address, BOB, 1)])


async def test_the_highest_legal_price_is_paid() -> None:
    wallet = Wallet.from_seed(bytes(32))
    session = Session(LyingClient(stated(str(RANGES["gas_price"][1]))), wallet)
    tx = decode(await session.build([Payment(wallet.address, BOB, 1)]))
    assert 0 < tx.fee < 1_000_000, "less than 1 DCHAT"


def test_other_params_likewise() -> None:
    with pytest.raises(ClientError, match=r"staking\.min_self_delegation"):
        whole_param(pb.GetParamsResponse(json="{}"), "staking", "min_self_delegation", most=1)


def with_time(value: int) -> gov.GetProposalResponse:
    answer = gov.GetProposalResponse()
    answer.proposal.voting_end_time_ns = value
    return answer


def with_header_time(seconds: int, nanos: int) -> pb.GetCommitResponse:
    answer = pb.GetCommitResponse()
    answer.light_block.signed_header.header.time.seconds = seconds
    answer.light_block.signed_header.header.time.nanos = nanos
    return answer


@pytest.mark.parametrize(
    "answer",
    [
        *[with_time(value) for value in (0, 1, 2**63 - 2, 2**63 - 1, 2**64 - 1)],
        *[with_header_time(seconds, nanos) for seconds in (-(2**63), -1, 2**63 - 1) for nanos in (-(2**31), 2**31 - 1)],
        *[pb.GetParamsResponse(json=text) for text in ("", "{", "\x1b[2J", "[" * 500 + "]" * 500, "[" * 100_000)],
    ],
)
def test_an_answer_with_impossible_values_is_shown(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """audit 20; audit 2: a time beyond all times failed an assertion, JSON that is none ended the command in a
    traceback."""
    show_json(message_json(answer))
    out = capsys.readouterr().out
    json.loads(out)
    assert "\x1b" not in out


def test_a_receipt_that_is_none_is_the_nodes_fault() -> None:
    """audit 20: it ended the command in a traceback."""
    wallet = Wallet.from_seed(bytes(32))
    tx = build_tx(chain_id="c", messages=[Payment(wallet.address, BOB, 1)], seats=[Seat(wallet, 0, with_policy=True)])
    with pytest.raises(ClientError, match="no receipt"):
        Outcome.of(pb.BroadcastResponse(data=b"\xff"), decode(tx))
