"""Evidence that comes from outside of the network: verified, put into a block, punished; or refused by its reason."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from chain.currency.ledger.stake_records import VALIDATOR
from chain.kernel.event_text import consensus
from consensus.documents.json import evidence_json
from consensus.evidence import pool as evidence_pool
from consensus.types.evidence import Evidence, evidence_from_proto
from dchat.cli.main import dchat
from dchat.client.client import ClientError
from proto.tendermint.types import evidence_pb2 as pb
from tests.support.node.evidence import two_votes
from tests.support.node.running import running_node, until

pytestmark = pytest.mark.network


async def test_two_votes_that_a_watcher_has_are_punished(tmp_path: Path) -> None:
    async with running_node(tmp_path / "net") as one, one.client() as client:
        await until(lambda: one.node.views.answers.height >= 3)
        evidence = two_votes(one, 2)
        answer = await client.broadcast_evidence(evidence.encode_wrapped())
        assert (answer.hash, answer.is_new) == (evidence.hash, True)
        again = await client.broadcast_evidence(evidence.encode_wrapped())
        assert not again.is_new
        slash = None
        async for told in client.stream_events(from_height=1, types=["slash"]):
            if told.HasField("event"):
                slash = {attribute.key: attribute.value for attribute in told.event.attributes}
                break
        assert slash is not None
        address = consensus(evidence.vote_a.validator_address)
        assert (slash["address"], slash["reason"], slash["jailed"]) == (address, "double_sign", address)
        ((_, validator),) = list(one.node.app.base.scan(VALIDATOR))
        assert validator.jailed
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{one.ports[2]}/metrics") as told:
            metrics = await told.text()
        assert 'dchat_chain_block_events_total{type="slash"} 1.0' in metrics


async def test_what_proves_nothing_is_refused_and_kept_by_nobody(tmp_path: Path) -> None:
    async with running_node(tmp_path / "net") as one, one.client() as client:
        await until(lambda: one.node.views.answers.height >= 3)
        true = two_votes(one, 2)
        false = replace(true, vote_b=replace(true.vote_b, signature=bytes(64)))
        for encoded, why in (
            (false.encode_wrapped(), "signature"),
            (b"\x0a\x01\x00", "evidence"),
            (b"", "allowed: 1 to"),
            (replace(true, validator_power=7).encode_wrapped(), "power"),
        ):
            with pytest.raises(ClientError, match=why):
                await client.broadcast_evidence(encoded)
        with pytest.raises(ClientError, match="cannot judge"):
            ahead = [replace(vote, height=10_000) for vote in (true.vote_a, true.vote_b)]
            await client.broadcast_evidence(replace(true, vote_a=ahead[0], vote_b=ahead[1]).encode_wrapped())
        assert not any(block.evidence for block in [one.node.views.answers.load_block(3)])


async def test_what_a_client_hands_in_is_read_and_judged_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 20: evidence from a door was decoded and its signatures verified on the loop, up to 1 MiB of it."""
    async with running_node(tmp_path / "net") as one, one.client() as client:
        await until(lambda: one.node.views.answers.height >= 3)
        judged_in, real = list[int](), evidence_pool.verify_evidence

        def verify(*args: object, **options: object) -> None:
            judged_in.append(threading.get_ident())
            real(*args, **options)  # type: ignore[arg-type]

        def decode(message: pb.Evidence) -> Evidence:
            judged_in.append(threading.get_ident())
            return evidence_from_proto(message)

        evidence = two_votes(one, 2)
        monkeypatch.setattr(evidence_pool, "verify_evidence", verify)
        monkeypatch.setattr(evidence_pool, "evidence_from_proto", decode)
        reading, jobs = one.node.views.reading, list[object]()
        run = reading.run
        monkeypatch.setattr(reading, "run", lambda work, client: (jobs.append(client), run(work, client))[1])
        answer = await client.broadcast_evidence(evidence.encode_wrapped())
        assert answer.is_new
        assert jobs == ["local"] * 3  # audit 8: parsed, decoded and judged by what reading may take of a core
        assert len(judged_in) == 2
        assert threading.get_ident() not in judged_in


async def test_the_command_takes_cometbfts_json(tmp_path: Path) -> None:
    async with running_node(tmp_path / "net") as one:
        await until(lambda: one.node.views.answers.height >= 3)
        file = tmp_path / "evidence.json"
        evidence = two_votes(one, 2)
        file.write_text(json.dumps(evidence_json(evidence)))
        done = await asyncio.to_thread(
            CliRunner().invoke, dchat, ["tx", "evidence", str(file), "--node", one.grpc], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        said = done.output[done.output.index("{") : done.output.rindex("}") + 1]  # the node's log is in it as well
        assert json.loads(said) == {"hash": evidence.hash.hex().upper(), "is_new": True, "height": 2}
        file.write_text('{"type": "rumour"}')
        done = await asyncio.to_thread(CliRunner().invoke, dchat, ["tx", "evidence", str(file), "--node", one.grpc])
        assert done.exit_code == 2
        assert "is no evidence" in done.output
