"""`dchat light ibc` over both doors of a node: what it says is verified, in IBC's forms (docs/ibc.md).

That ibc-go takes it: tests/interop/test_ibc.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from google.protobuf.json_format import ParseDict
from structlog.testing import capture_logs

from chain.state.proofs import SIMPLE_OP, SMT_OP, verify
from consensus.abci.interface import ProofOp
from consensus.formats.timestamps import format_rfc3339
from consensus.types.light import LightBlock
from consensus.types.validators import ValidatorSet
from dchat.cli.light.ibc import NoRevision, revision
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from proto.tendermint.types import types_pb2, validator_pb2
from tests.support.node.running import Running, running_node

PAGE = Path(__file__).parents[3] / "docs" / "ibc.md"
Json = dict[str, Any]


@dataclass
class Read:
    """A node of a few blocks, and the command as it is typed."""

    running: Running
    genesis: Path

    async def dchat(self, *arguments: object, primary: str = "") -> Result:
        line = ["light", "ibc", *map(str, arguments), "--genesis", str(self.genesis)]
        line += ["--primary", primary or self.running.rpc]
        return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")

    async def told(self, *arguments: object) -> Json:
        """By the JSON-RPC door; by the gRPC door it is the same."""
        said = [await self.dchat(*arguments, primary=one) for one in (self.running.rpc, self.running.grpc)]
        assert [one.exit_code for one in said] == [0, 0], [one.output for one in said]
        assert said[0].stdout == said[1].stdout
        document: Json = json.loads(said[0].stdout)
        return document


@pytest.fixture
async def read(tmp_path: Path) -> AsyncIterator[Read]:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            await client.wait_for_height(6)
            home = running.network.home_of(running.network.nodes[0])
            yield Read(running, home / "config" / "genesis.json")


@pytest.mark.parametrize(
    ("chain_id", "want"),
    [
        ("garden", 0), ("garden-7", 7), ("my-garden-12", 12), ("garden-07", 0), ("garden-0", 0), ("garden--7", 0),
        ("-7", 0), ("7", 0), ("garden-7a", 0), ("a-1-2", 2), (f"garden-{2**64 - 1}", 2**64 - 1),
    ],
)  # fmt: skip
def test_the_revision_is_the_number_behind_the_last_dash(chain_id: str, want: int) -> None:
    assert revision(chain_id) == want


def test_a_number_too_large_is_no_revision() -> None:
    for chain_id in (f"garden-{2**64}", "garden-" + "9" * 40):
        with pytest.raises(NoRevision, match="ends in a number above"):
            revision(chain_id)


async def test_a_client_is_what_the_page_says(read: Read) -> None:
    told = await read.told("client", "--height", 3)
    header = read.running.node.views.answers.load_block(3).header
    assert told["consensus_state"] == {
        "@type": "/ibc.lightclients.tendermint.v1.ConsensusState",
        "timestamp": format_rfc3339(header.time_ns),
        "root": {"hash": base64.b64encode(header.app_hash).decode()},
        "next_validators_hash": header.next_validators_hash.hex().upper(),
    }
    shown = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert shown is not None
    want = json.loads(shown[1])
    assert told["client_state"] == want | {
        "chain_id": read.running.network.chain_id,
        "latest_height": {"revision_number": "0", "revision_height": "3"},
    }
    other = await read.told(
        "client", "--height", 3, "--trust-level", "2/3", "--trusting-period", "1h", "--unbonding-period", "90m",
        "--clock-drift", "1500ms",
    )  # fmt: skip
    state = other["client_state"]
    assert state["trust_level"] == {"numerator": "2", "denominator": "3"}
    periods = [state[name] for name in ("trusting_period", "unbonding_period", "max_clock_drift")]
    assert periods == ["3600s", "5400s", "1.500000000s"]


async def test_a_header_comes_with_its_set_and_the_trusted_one(read: Read) -> None:
    told = await read.told("header", "--trusted", 2, "--to", 5)
    assert told["@type"] == "/ibc.lightclients.tendermint.v1.Header"
    assert told["trusted_height"] == {"revision_number": "0", "revision_height": "2"}
    message = ParseDict({name: told[name] for name in ("signed_header", "validator_set")}, types_pb2.LightBlock())
    block = LightBlock.from_proto(message)
    block.validate(read.running.network.chain_id)
    assert block.header == read.running.node.views.answers.load_block(5).header
    trusted = ParseDict(told["trusted_validators"], validator_pb2.ValidatorSet())
    before = read.running.node.views.answers.load_block(2).header
    assert ValidatorSet.from_proto(trusted).hash == before.next_validators_hash


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_proof_is_of_the_header_that_it_names(read: Read, is_there: bool) -> None:
    address = read.running.account("alice").address if is_there else bytes(20)
    key = b"a" + address
    told = await read.told("proof", "currency", key.hex(), "--height", 5, "--client-id", "07-tendermint-9")
    assert told["client_id"] == "07-tendermint-9"
    assert told["proof_height"] == {"revision_number": "0", "revision_height": "5"}
    assert [base64.b64decode(one) for one in told["merkle_path"]["key_path"]] == [b"currency", key]
    assert ("value" in told) is is_there
    value = base64.b64decode(told["value"]) if is_there else None
    kinds = ((SMT_OP, key), (SIMPLE_OP, b"currency"))
    ops = [ProofOp(*kind, data) for kind, data in zip(kinds, fields(base64.b64decode(told["proof"])), strict=True)]
    app_hash = read.running.node.views.answers.load_block(5).header.app_hash
    verify(ops, app_hash, store="currency", key=key, value=value)


def fields(data: bytes) -> list[bytes]:
    """Of a message that has field 1 alone, repeated."""
    out = []
    while data:
        assert data[0] == 0x0A
        size, at = 0, 1
        while True:
            size |= (data[at] & 0x7F) << 7 * (at - 1)
            at += 1
            if data[at - 1] < 0x80:
                break
        out.append(data[at : at + size])
        data = data[at + size :]
    return out


async def test_what_is_refused_says_why(read: Read) -> None:
    for words, code, says in (
        (("client", "--trusting-period", "336h"), Exit.USAGE, "below --unbonding-period"),
        (("client", "--trusting-period", "0"), Exit.USAGE, "above 0"),
        (("client", "--clock-drift", "0"), Exit.USAGE, "--clock-drift is 0"),
        (("client", "--height", 10**6), Exit.FAILED, "height 1000000 must be less than"),
        (("client", "--trust", f"2:{'00' * 32}"), Exit.PROOF, "trusted is 0000"),
        (("header", "--trusted", 4, "--to", 4), Exit.USAGE, "--to 4 is not above --trusted 4"),
        (("header", "--trusted", 10**6), Exit.FAILED, "there is none above --trusted 1000000 yet"),
        (("proof", "currency", "xyz"), Exit.USAGE, "KEY is no hex"),
        (("proof", "currency", ""), Exit.USAGE, "0 bytes; allowed: 1 to 1024"),
        (("proof", "money", "00"), Exit.USAGE, "'bridge', 'chat', 'currency'"),
        (("proof", "currency", "00", "--height", 10**6), Exit.FAILED, "height 1000000 must be less than"),
    ):
        refused = await read.dchat(*words)
        assert (refused.exit_code, says in refused.output) == (code, True), (words, refused.output)
    away = await read.dchat("client", primary="http://127.0.0.1:1")
    assert (away.exit_code, "did not answer" in away.output) == (Exit.UNREACHABLE, True), away.output
