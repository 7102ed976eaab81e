"""TLS, and mutual TLS, between the client and a node's gRPC door; from Python and by the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from dchat.cli.main import dchat
from dchat.client import NodeUnreachable, Tls, connect
from dchat.client.client import Client
from dchat.home.identity import generate
from tests.support.node.certificates import Authority, Files
from tests.support.node.running import Running, running_node

pytestmark = pytest.mark.network
NAME = "validator.example"


@dataclass
class Guarded:
    running: Running
    root: Authority
    other: Authority
    ours: Files
    strangers: Files


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """A node whose door speaks TLS, and takes clients of one authority."""
    folder = tmp_path_factory.mktemp("tls")
    root, other = Authority(folder, "root"), Authority(folder / "other", "root")
    door = root.vouch(NAME)
    options = f'\n[tls]\ncert_file = "{door.cert}"\nkey_file = "{door.key}"\n'
    async with running_node(folder / "node", options=options, grpc=f'client_ca_file = "{root.file}"\n') as running:
        yield Guarded(running, root, other, root.vouch("wallet"), other.vouch("wallet"))


@pytest.mark.asyncio(loop_scope="module")
async def test_who_is_vouched_for_is_served(guarded: Guarded) -> None:
    running, ours = guarded.running, guarded.ours
    tls = Tls(guarded.root.file, ours.cert, ours.key, server_name=NAME)
    genesis = running.network.home_of(running.network.nodes[0]) / "config" / "genesis.json"
    async with connect(running.grpc, trust=genesis, identity=running.account("alice"), tls=tls) as chat:
        to = generate().address
        assert (await chat.pay(to, 5)).proved_by
        assert await chat.balance(to) == 5


@pytest.mark.asyncio(loop_scope="module")
async def test_who_is_not_is_told_what_to_look_at(guarded: Guarded) -> None:
    ours, strangers, root = guarded.ours, guarded.strangers, guarded.root.file
    for tls in (
        Tls(guarded.other.file, ours.cert, ours.key, server_name=NAME),  # the door's certificate is not vouched for
        Tls(root, ours.cert, ours.key),  # and not for this name
        Tls(root, server_name=NAME),  # the client has none
        Tls(root, strangers.cert, strangers.key, server_name=NAME),  # another authority's
        None,
    ):
        async with Client(guarded.running.grpc, tls=tls) as client:
            with pytest.raises(NodeUnreachable) as caught:
                await client.status()
        assert tls is None or "TLS: " in str(caught.value) or "did not answer" in str(caught.value)


async def typed(guarded: Guarded, *words: object, env: dict[str, str] | None = None) -> Result:
    line = ["status", "--node", guarded.running.grpc, *map(str, words)]
    return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat", env=env)


@pytest.mark.asyncio(loop_scope="module")
async def test_commands_speak_it(guarded: Guarded) -> None:
    ours = guarded.ours
    how = ("--tls-root", guarded.root.file, "--tls-cert", ours.cert, "--tls-key", ours.key, "--tls-name", NAME)
    told = await typed(guarded, *how)
    assert told.exit_code == 0, told.output
    assert guarded.running.network.chain_id in told.output
    names = {"ROOT": guarded.root.file, "CERT": ours.cert, "KEY": ours.key, "NAME": NAME}
    by_environment = {f"DCHAT_NODE_TLS_{name}": str(value) for name, value in names.items()}
    assert (await typed(guarded, env=by_environment)).exit_code == 0
    assert (await typed(guarded)).exit_code == 4
    refused = await typed(guarded, "--tls-cert", ours.cert)
    assert refused.exit_code == 2
    assert "go together" in refused.output


def wrong_files(folder: Path) -> dict[str, Any]:
    root = Authority(folder, "root")
    one, other = root.vouch("one"), root.vouch("other")
    (folder / "no.pem").write_text("nothing")
    return {
        "missing": (Tls(folder / "none.pem"), "cannot be read"),
        "another file": (Tls(folder / "no.pem"), "is no PEM file"),
        "of two pairs": (Tls(root.file, one.cert, other.key), "no certificate with its key"),
    }


@pytest.mark.parametrize("which", ["missing", "another file", "of two pairs"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, which: str) -> None:
    tls, says = wrong_files(tmp_path)[which]
    with pytest.raises(ValueError, match=says):
        Client("127.0.0.1:1", tls=tls)


def test_a_certificate_and_its_key_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        Tls(cert=tmp_path / "c.pem")


async def test_the_systems_roots_do_not_vouch_for_ours(tmp_path: Path) -> None:
    async with Client("127.0.0.1:1", tls=Tls()) as client:
        with pytest.raises(NodeUnreachable):
            await client.status()
