"""`dchat tx evidence`: hand in evidence of misbehaviour."""

from __future__ import annotations

import json
from pathlib import Path

import click

from consensus.documents.json import evidence_from_json
from dchat.cli.commands.tx_commands import tx
from dchat.cli.terminal.ask import node_option, run
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, show_json
from dchat.client.client import Client
from dchat.doors.evidence_desk import EVIDENCE_BYTES_MAX
from proto.dchat.v1 import service_pb2 as pb

TEXT_PER_BYTE = 8  # of JSON, generously: hex, names and indentation


@tx.command("evidence", cls=Command)
@click.argument("file", type=InputFile())
@node_option
def evidence(file: Path, node: str | None) -> None:
    """Hand in evidence of misbehaviour: two votes of one validator, or an attack on a light client.

    FILE has it as JSON, as CometBFT's RPC shows it. It costs nothing: the node verifies it and gives it to its peers,
    and the validators that it proves guilty are punished in the block that takes it.
    """
    if file.stat().st_size > EVIDENCE_BYTES_MAX * TEXT_PER_BYTE:
        raise Refusal(
            f"{file} has {file.stat().st_size} bytes; allowed: {EVIDENCE_BYTES_MAX * TEXT_PER_BYTE}", Exit.USAGE
        )
    try:
        found = evidence_from_json(json.loads(file.read_text(encoding="utf-8")), file.name)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{file}: is no evidence: {error}", Exit.USAGE) from None

    async def work(client: Client) -> pb.BroadcastEvidenceResponse:
        return await client.broadcast_evidence(found.encode_wrapped())

    answer = run(work, node)
    show_json({"hash": answer.hash.hex().upper(), "is_new": answer.is_new, "height": found.height})
