"""Four real processes and one payment: one trace, with spans of all four in the right order; and heights' steps."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.tx.messages import Payment
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from dchat.home import identity
from dchat.tracing.spans import height_trace
from tests.support.cli.network import DCHAT, PACE
from tests.support.tracing.receiver import Got, Received, in_a_thread

pytestmark = pytest.mark.network

STEPS = ("admission", "pool", "proposal", "prevote", "precommit", "commit")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Received]]:
    made = make_network(tmp_path_factory.mktemp("n"), validators=4, pace=PACE, ports=free_ports(4))
    with in_a_thread() as received:
        options = f'\n[tracing]\nenabled = true\nendpoint = "{received.url}"\nsample_rate = 1.0\n'
        try:
            for node in made.nodes:
                with (made.home_of(node) / "validator-config.toml").open("a") as file:
                    file.write(options)
                processes.start(made, node)
            decided = lambda: {span.node for span in named(received.spans, "dchat.height.node")}  # noqa: E731
            assert processes.wait_for(lambda: len(decided()) == 4, 120), "all four have caught up"
            yield made, received
        finally:
            for node in made.nodes:
                if processes.running_pid(made, node) is not None:
                    processes.kill(made, node)


async def pay(network: Network) -> tuple[str, int]:
    """To the first node's door. Its hash and its height."""
    alice, bob = (identity.load(network.folder / network.accounts[name]) for name in ("alice", "bob"))
    async with Client(f"127.0.0.1:{network.node(1).ports.grpc}") as client:
        outcome = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, DCHAT)])
        return outcome.hash.hex(), outcome.height


def named(spans: list[Got], name: str) -> list[Got]:
    return [span for span in list(spans) if span.name == name]


def test_one_payment_is_one_trace_with_spans_of_all_four_nodes_in_order(traced: tuple[Network, Received]) -> None:
    network, received = traced
    tx_hash, height = asyncio.run(pay(network))
    trace = tx_hash[:32]
    assert processes.wait_for(lambda: len(named(received.of_trace(trace), "dchat.tx.node")) == 4, 60)
    spans = received.of_trace(trace)
    (root,) = named(spans, "dchat.tx")
    tops = {span.node: span for span in named(spans, "dchat.tx.node")}
    assert set(tops) == {node.node_id for node in network.nodes}, "each node tells of it once"
    first = tops[network.node(1).node_id]
    assert (root.parent, root.node, first.parent) == ("", first.node, root.id)
    assert first.attributes["dchat.tx.came_by"] == "door"
    assert {span.resource["dchat.moniker"] for span in spans} == {node.name for node in network.nodes}
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans), "no id twice"
    for top in tops.values():
        assert (top.attributes["dchat.tx.hash"], top.attributes["dchat.height"]) == (tx_hash, height)
        came_from = by_id[top.parent]
        assert came_from.start_ns <= top.start_ns, "it is nowhere before it is where it came from"
        if top.attributes["dchat.tx.came_by"] == "peer":
            assert (came_from.name, came_from.node) == ("dchat.tx.node", top.attributes["dchat.peer"])
        else:
            assert came_from is root
        of_node = {span.name: span for span in spans if span.parent == top.id and span.name != "dchat.tx.node"}
        assert "commit" in of_node
        assert ("admission" in of_node) == (top.attributes["dchat.tx.came_by"] != "block")
        seen = [of_node[name] for name in STEPS if name in of_node]
        times = [moment for span in seen for moment in (span.start_ns, span.end_ns)]
        assert times == sorted(times), {name: (span.start_ns, span.end_ns) for name, span in of_node.items()}
        assert (top.start_ns, top.end_ns) == (min(times[0], top.start_ns), of_node["commit"].end_ns)
    assert {"admission", "proposal"} <= {span.name for span in spans if span.parent == first.id}
    assert len(named(spans, "precommit")) >= 3, "+2/3 did, or it would be in no block"
    assert named(spans, "prevote")


def test_a_heights_trace_has_the_steps_of_all_four(traced: tuple[Network, Received]) -> None:
    network, received = traced
    _, height = asyncio.run(pay(network))
    trace = height_trace(network.chain_id, height).hex()
    assert processes.wait_for(lambda: len(named(received.of_trace(trace), "dchat.height.node")) == 4, 60)
    assert processes.wait_for(lambda: len(named(received.of_trace(trace), "dchat.height")) == 1, 60), "its proposer's"
    spans = received.of_trace(trace)
    (root,) = named(spans, "dchat.height")
    for top in named(spans, "dchat.height.node"):
        assert (top.parent, top.attributes["dchat.txs"]) == (root.id, 1)
        of_node = {span.name: span for span in spans if span.parent == top.id}
        assert {"finalize", "save"} <= set(of_node)
        names = ("propose", "prevote", "precommit", "finalize", "save")
        steps = [of_node[name] for name in names if name in of_node]
        assert [one.start_ns for one in steps] == sorted(one.start_ns for one in steps)
        if len(steps) < len(names):
            continue  # the others had decided before it voted
        for before, after in itertools.pairwise(steps):
            assert before.end_ns == after.start_ns, f"{before.name} ends where {after.name} begins"
        if "execute" in of_node:
            assert of_node["propose"].start_ns <= of_node["execute"].end_ns <= of_node["precommit"].end_ns
    assert len(named(spans, "precommit")) >= 3
    assert named(spans, "execute")
    links = {link for span in received.spans if span.name == "dchat.tx.node" for link in span.links}
    assert {(trace, top.id) for top in named(spans, "dchat.height.node")} <= links, "a payment leads to its height"


def test_a_node_that_does_not_trace_has_not_even_imported_it(tmp_path: Path) -> None:
    """The module, and what only it needs."""
    text = (
        "import sys, asyncio, pathlib\n"
        "from tests.support.node.running import running_node\n"
        "async def main():\n"
        f"    async with running_node(pathlib.Path({str(tmp_path)!r})) as running:\n"
        "        assert running.node.doors.tracing is None\n"
        "        assert running.node.pool._arrived is None\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith(('dchat.tracing', 'proto.otlp', 'opentelemetry'))])\n"
    )
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120)
    assert (told.returncode, told.stdout.splitlines()[-1:]) == (0, ["[]"]), told.stderr[-2_000:]
