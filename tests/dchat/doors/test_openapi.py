"""What OpenAPI says of the HTTP door: taken by other people's validator and linter, and held against a running node's
answers, also by Schemathesis, which makes requests of the document.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
from openapi_spec_validator import validate

from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from consensus.p2p.conn.peer import PeerStatus
from dchat.client.wallet import Session
from dchat.devnet.network import Pace
from dchat.doors.grpc.door import SERVICES
from dchat.doors.http import described as said
from dchat.doors.http import views
from dchat.doors.rest.openapi import document
from dchat.doors.rest.table import routes_of
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from tests.support.counts import counted
from tests.support.interop.tools import build, cache, found, npm_installed
from tests.support.node.running import Running, running_node

REDOCLY = "@redocly/cli@2.77.0"
LINT = """
extends: [recommended-strict]
rules:
  no-ambiguous-paths: off  # `by-name` and `batch` are no address and no hash: their forms keep them apart
"""
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,"
    "allow_header_conformance"
)  # not positive_data_acceptance: checksums, and "one of these two", are no schema's to say
EXAMPLES = counted(2, whole=4)  # of each operation
SEED = 14
RUN_TIMEOUT_S = 400  # 20 s on a machine that does nothing else
CALM = Pace(block_time=3_000, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)
DOCUMENT: dict[str, Any] = json.loads(
    json.dumps(document(routes_of(SERVICES), version="1", described=said.described()))
)


def check(told: Any, schema: dict[str, Any]) -> None:
    """Held against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(told)


async def lived(running: Running) -> None:
    """A little of everything happened."""
    async with running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        hers = Session(client, alice.wallet)
        await hers.send([RegisterIdentity(alice.address, "alice", "Älice")])
        await hers.send([CreateChannel(alice.address, "lobby", 0, "")])
        await hers.send([PostMessage(alice.address, channel_id("lobby"), b"hello", 0)])
        await hers.send([Payment(alice.address, bob.address, 7)])


# -------------------------------------------------------------------------------------------- the document


def test_the_official_validator_takes_it() -> None:
    validate(DOCUMENT)


@pytest.mark.node
def test_a_linter_finds_nothing(tmp_path: Path) -> None:
    """Redocly's strict rules: summaries, ids, tags, answers of refusals, schemas that are used."""
    node, npm = found("node", "install Node.js"), found("npm", f"install npm to fetch {REDOCLY}")
    folder = cache() / "programs" / REDOCLY.replace("/", "-")
    program = npm_installed("@redocly/cli", folder=folder, npm=npm, named=(REDOCLY,)) / "bin" / "cli.js"
    (tmp_path / "redocly.yaml").write_text(LINT)
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    build([node, str(program), "lint", "openapi.json"], folder=tmp_path, **quiet)


async def test_every_route_is_in_it_and_answers_as_it_says(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        await lived(running)
        door = running.node.doors.http
        routes = [route for runner in door._runners for route in runner.app.router.routes()]
        resources = {(route.method, route.resource.canonical) for route in routes if route.resource is not None}
        served = {(verb, path) for verb, path in resources if verb != "HEAD" and not path.startswith("/explorer")}
        assert served == {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{running.ports[1]}") as http:
            for path in said.paths():
                async with http.get(path) as answer:
                    told = DOCUMENT["paths"][path]["get"]["responses"][str(answer.status)]
                    assert list(told["content"]) == [answer.content_type], path
                    body = await answer.text()
                schema = told["content"][answer.content_type]["schema"]
                check(json.loads(body) if answer.content_type == "application/json" else body, schema)
            async with http.get("/why?height=2") as answer:
                assert (await answer.json())["record"] is not None
                check(await answer.json(), said.WHY)
            async with http.get("/chain/block-results?height=2") as answer:
                check(await answer.json(), said.RESULTS)
            async with http.get("/chain/events?limit=1000&type=transfer") as answer:
                assert (await answer.json())["events"]


PEER = PeerStatus(
    id="ab" * 20, moniker="m", remote_address="1.2.3.4:5", listen_address="tcp://1.2.3.4:5", version="0.1.0",
    is_outbound=True, is_persistent=False, connected_since_ns=1_700_000_000_000_000_000, bytes_in=1, bytes_out=2,
    held_s=0.5, useless_messages=9, useless_now=0.5, round_trip_s=0.01,
)  # fmt: skip
BACKED_UP = pb.BackupStatus(last_height=5, last_time_ns=10**18, last_bytes=7, next_time_ns=10**18, made=1)
STORED = pb.StorageStatus(
    pruning="custom", kept_for="evidence", databases=[pb.DatabaseUse(name="app", bytes=5)], free_bytes=9,
    bytes_per_block=8, full_in_seconds=60, backups=BACKED_UP,
)  # fmt: skip
SYNCING = pb.BlockSyncStatus(first_height=1, height=2, target_height=3, percent=50, seconds_left=1, waits_for="peers")
PLAN = state_pb2.UpgradePlan(name="n", height=9, binary_sha256=[bytes(32)])


@pytest.mark.parametrize(("told", "schema"), [
    pytest.param(lambda: views.peer_json(PEER), said.PEER, id="a peer"),
    pytest.param(lambda: views.backups_json(pb.BackupStatus()), said.BACKUPS, id="no backup yet"),
    pytest.param(lambda: views.storage_json(STORED), said.STORAGE, id="storage"),
    pytest.param(lambda: views.block_sync_json(SYNCING), said.BLOCK_SYNC, id="a sync of blocks"),
    pytest.param(lambda: views.block_sync_json(pb.BlockSyncStatus()), said.BLOCK_SYNC, id="one that begins"),
    pytest.param(lambda: views.backfill_json(pb.BackfillStatus(waits_for="peers")), said.BACKFILL, id="headers"),
    pytest.param(lambda: views.sql_json(pb.SqlStatus(state="on")), said.STATUS["properties"]["sql"], id="sql"),
    pytest.param(lambda: views.plan_json(PLAN), said.PLAN, id="a plan"),
])  # fmt: skip
def test_what_is_there_now_and_then_has_the_form_that_is_said(
    told: Callable[[], dict[str, Any]], schema: dict[str, Any]
) -> None:
    check(told(), schema)
    assert set(told()) == set(schema["properties"])


# -------------------------------------------------------------------------------------------- Schemathesis


@pytest.mark.network
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Requests that the document allows, and some that it does not: never a failure of ours, and no answer that the
    document does not describe. The same ones each time (the seed)."""
    options = "\n[rate_limit]\nenabled = false\n"
    async with running_node(tmp_path / "node", options=options, pace=CALM) as running:
        await lived(running)
        url = f"http://127.0.0.1:{running.ports[1]}"
        async with aiohttp.ClientSession(url) as http, http.get("/openapi.json") as answer:
            (tmp_path / "openapi.json").write_bytes(await answer.read())
        arguments = (
            "run", "openapi.json", "--url", url, "--no-color", "--phases", "fuzzing", "--checks", CHECKS,
            "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--continue-on-failure", "--no-shrink",
            "--generation-database", "none", "--request-timeout", "60", "--warnings", "off",
            "--suppress-health-check", "all",
        )  # fmt: skip
        ran = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "schemathesis"), *arguments, cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                output = (await ran.communicate())[0].decode()
        finally:
            if ran.returncode is None:
                ran.kill()
        assert ran.returncode == 0, output[-8_000:]
        tested = re.search(r"Tested: (\d+)", output)
        operations = sum(len(verbs) for verbs in DOCUMENT["paths"].values())
        assert tested is not None, output
        assert int(tested[1]) == operations, output
        assert not running.failures


async def test_a_channel_that_no_name_can_have_is_refused(tmp_path: Path) -> None:
    """Found by Schemathesis: a name that is no ASCII ended in the handler's own failure."""
    async with (
        running_node(tmp_path) as running,
        aiohttp.ClientSession(f"http://127.0.0.1:{running.ports[1]}") as http,
        http.get(f"/v1/channels/%C3%A4/members/{'ab' * 20}") as answer,
    ):
        assert (answer.status, await answer.json()) == (400, {"error": "channel: 'ä'; allowed: ASCII, 64 characters"})
