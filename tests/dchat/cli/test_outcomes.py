"""What is told of a transaction that was handed in: lines for a person, JSON for a program; and the options' order."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from chain.tx.messages.escrow import EscrowShare, OpenEscrow, OpenSharedEscrow
from chain.tx.messages.payments import Denom
from crypto.bech32 import encode_address
from dchat.cli.main import dchat
from dchat.cli.terminal.base import CommonOption
from dchat.cli.terminal.outcome import show_outcome, show_trial
from dchat.client.wallet import Outcome
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

WHO = bytes(range(20))
WHO_TEXT = encode_address(WHO)
ID = bytes(32).hex()
ESCROW = OpenEscrow(WHO, bytes(20), 5_000_000, 1_801_396_800 * 10**9, (WHO,), 1)


def receipt(*legs: tuple[str, int, bytes, int], fee: int = 3_500) -> state_pb2.Receipt:
    found = state_pb2.Receipt(fee_paid=fee)
    for kind, amount, subject, index in legs:
        found.legs.add(kind=kind, amount=amount, subject=subject, index=index)
    return found


def outcome(done: state_pb2.Receipt | None, **more: Any) -> Outcome:
    how = {"height": 41, "proved_by": 42, "gas_used": 24_630, "sequence": 0} | more
    return Outcome(bytes(32), bytes(32), receipt=done, **how)


@pytest.mark.parametrize(("told", "lines"), [
    pytest.param(
        outcome(receipt(("payment", 5_250_000, WHO, 0))),
        ["done in block 41, proved by header 42", f"  did   payment, 5.25 DCHAT, {WHO_TEXT}",
         "  cost  0.0035 DCHAT, 24,630 gas", f"  id    {ID}", f"  look  dchat query tx {ID} --prove"],
        id="a payment",
    ),
    pytest.param(
        outcome(receipt(("post_message", 0, WHO, 0), fee=0), proved_by=0),
        ["done in block 41, by this node's word", f"  did   post message, {WHO.hex()}, number 0",
         "  cost  no fee, but of the allowance; 24,630 gas", f"  id    {ID}", f"  look  dchat query tx {ID} --prove"],
        id="a post",
    ),
    pytest.param(
        outcome(receipt(("pay_denomination", 5, WHO + b"gold", 0)), sequence=None),
        ["done in block 41, proved by header 42",
         f"  did   pay denomination, 5 factory/{WHO_TEXT}/gold",
         "  cost  0.0035 DCHAT, 24,630 gas", f"  id    {ID}", f"  look  dchat query bundle {ID} --prove"],
        id="a bundle, in units",
    ),
    pytest.param(
        outcome(receipt(("open_escrow", 5_000_000, bytes(32), 0), ("open_escrow", 20, bytes(32), 0)), sequence=None,
                messages=(ESCROW, ESCROW._replace(denom=Denom(WHO, "gold")))),
        ["done in block 41, proved by header 42",
         f"  did   open escrow, 5 DCHAT, {ID}, deadline 2027-01-31T12:00:00Z",
         f"  did   open escrow, 20 factory/{WHO_TEXT}/gold, {ID}, deadline 2027-01-31T12:00:00Z",
         "  cost  0.0035 DCHAT, 24,630 gas", f"  id    {ID}", f"  look  dchat query bundle {ID} --prove"],
        id="what was signed says of what the amount is",
    ),
    pytest.param(
        outcome(receipt(("open_shared_escrow", 20, bytes(32), 0)), sequence=None,
                messages=(OpenSharedEscrow(WHO, ESCROW, (EscrowShare(bytes(20), 3),), ESCROW.deadline_time_ns - 1),)),
        ["done in block 41, proved by header 42",
         f"  did   open shared escrow, 0.00002 DCHAT, {ID}, deadline 2027-01-31T12:00:00Z, "
         "pay until 2027-01-31T11:59:59.999999999Z",
         "  cost  0.0035 DCHAT, 24,630 gas", f"  id    {ID}", f"  look  dchat query bundle {ID} --prove"],
        id="terms within a message",
    ),
    pytest.param(
        outcome(receipt(), code=361, codespace="guardians"),
        ["failed in block 41, proved by header 42", "  cost  0.0035 DCHAT, 24,630 gas", f"  id    {ID}",
         f"  look  dchat query tx {ID} --prove"],
        id="it failed",
    ),
    pytest.param(outcome(None, height=0, proved_by=0, code=41, codespace="currency"),
                 ["refused", f"  id  {ID}"], id="refused"),
    pytest.param(
        outcome(None, height=0, proved_by=0, expiry_height=99),
        ["taken by the node, and in no block yet; it may be executed until block 99", f"  id    {ID}",
         f"  look  dchat query tx {ID} --prove"],
        id="admitted",
    ),
])  # fmt: skip
def test_a_person_reads_lines(told: Outcome, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome(told, "text")
    assert capsys.readouterr().out.splitlines() == lines


def test_a_program_reads_json_and_what_was_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """`log` alone states the rule, as if all were well."""
    rule = "a change of guardians changes them, or withdraws one that waits"
    show_outcome(outcome(receipt(), code=361, codespace="guardians", log=f"message 0: {rule}: {WHO_TEXT}"), None)
    told = json.loads(capsys.readouterr().out)
    assert told["meaning"].startswith(f"these are the account's guardians already: {WHO_TEXT}, in message 0")
    show_outcome(outcome(receipt()), "json")
    assert "meaning" not in json.loads(capsys.readouterr().out)


def test_a_trial_says_what_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    done = receipt(("payment", 1, WHO, 0)).SerializeToString()
    show_trial(pb.SimulateResponse(height=7, fee=3_500, gas_used=24_630, data=done), "text")
    first, did, cost = capsys.readouterr().out.splitlines()
    assert first == "it would be done, by this node's word, after block 7; nothing was sent"
    assert (did, cost) == (f"  did   payment, 0.000001 DCHAT, {WHO_TEXT}", "  cost  0.0035 DCHAT, 24,630 gas")
    show_trial(pb.SimulateResponse(height=7, code=41, data=b"\xff"), None)
    assert json.loads(capsys.readouterr().out)["receipt"] is None


def senders(group: click.Group, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += senders(command, (*path, name)) if isinstance(command, click.Group) else [((*path, name), command)]
    return found


@pytest.mark.parametrize("group", ["tx", "query"])
def test_a_commands_own_options_come_first(group: str) -> None:
    """Before, its two stood among twenty that all of them have."""
    root = dchat.get_command(click.Context(dchat), group)
    assert isinstance(root, click.Group)
    for path, command in senders(root, (group,)):
        own = [one for one in command.params if isinstance(one, click.Option) and not isinstance(one, CommonOption)]
        told = CliRunner().invoke(dchat, [*path, "--help"], prog_name="dchat").output
        first, _, rest = told.partition("Options of many commands:" if "Options of many" in told else "Options:")
        for option in own:
            if not option.hidden:
                assert re.search(rf"^ +(-\w, )?{option.opts[-1]}\b", first, re.MULTILINE), (path, option.opts)
        assert "--home" in rest
        assert "--home" not in first
        assert len(own) < 13, (path, "many: are they its own, or a `common_option`?")
