"""A node's spans, taken by OpenTelemetry's own collector, over gRPC and over HTTP."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.tx.messages import Payment
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.processes import wait_for
from tests.support.interop.rows import row
from tests.support.interop.tools import build, built, copied, found
from tests.support.node.running import running_node, until

pytestmark = [pytest.mark.go, pytest.mark.network]

PROGRAM = Path(__file__).parent / "programs" / "otelcol"
MODULE = "go.opentelemetry.io/collector/otelcol"
CONFIG = """\
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{0}"}}, http: {{endpoint: "127.0.0.1:{1}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}
"""


@dataclass
class Collector:
    """said: its log, in which it prints what it took."""

    urls: dict[str, str]
    said: Path

    def names(self, trace: str) -> set[str]:
        """Of the spans of a trace."""
        spans = re.findall(r"Trace ID +: (\w+)\n.*\n.*\n +Name +: (\S+)", self.said.read_text())
        return {name for of, name in spans if of == trace}


@contextmanager
def collector(folder: Path) -> Iterator[Collector]:
    go, made = found("go", f"install Go to build with {MODULE}"), copied(PROGRAM, "otelcol")
    built(made / "otelcol", [go, "build", "-o", "otelcol", "."], folder=made)
    ports = free_ports(1)[0]
    (folder / "config.yaml").write_text(CONFIG.format(ports.grpc, ports.http))
    said = folder / "otelcol.log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [made / "otelcol", "--config", f"file:{folder / 'config.yaml'}"], stdout=log, stderr=log
        )
        try:
            assert wait_for(lambda: "Everything is ready" in said.read_text(), 60), said.read_text()
            yield Collector({"gRPC": f"grpc://127.0.0.1:{ports.grpc}", "HTTP": f"http://127.0.0.1:{ports.http}"}, said)
        finally:
            process.terminate()
            process.wait(30)


def version() -> str:
    go = found("go", f"install Go to build with {MODULE}")
    return build([go, "list", "-m", "-f", "{{.Version}}", MODULE], folder=copied(PROGRAM, "otelcol")).strip()


async def test_the_collector_takes_what_a_node_tells(tmp_path: Path) -> None:
    with collector(tmp_path) as taking:
        for way, url in taking.urls.items():
            options = f'\n[tracing]\nenabled = true\nendpoint = "{url}"\nsample_rate = 1.0\n'
            async with running_node(tmp_path / way, options=options) as node, node.client() as client:
                alice, bob = node.account("alice"), node.account("bob")
                paid = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
                wanted = {"dchat.tx", "dchat.tx.node", "admission", "proposal", "prevote", "precommit", "commit"}
                await until(lambda paid=paid, wanted=wanted: wanted <= taking.names(paid.hash.hex()[:32]))  # type: ignore[misc]
                tracing = node.node.doors.tracing
                assert tracing is not None
                assert (tracing.exporter.metrics.refused, tracing.exporter.metrics.is_failing) == (0, False)
    row(
        "OpenTelemetry Collector", version(), "a payment's trace and heights', over OTLP/gRPC and OTLP/HTTP",
        "all spans taken, none refused",
    )  # fmt: skip
