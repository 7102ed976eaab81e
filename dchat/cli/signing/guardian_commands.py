"""`dchat tx` and `dchat query` of guardians: naming them, recovering an account, objecting. docs/identities.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bridge.guardian_records import GUARDED, RECOVERING
from chain.tx.messages import Message
from chain.tx.messages.guardians import (
    GUARDIANS_MAX,
    ApproveRecovery,
    ObjectRecovery,
    SetGuardians,
    StartRecovery,
)
from dchat.cli.commands.query_commands import ask_record, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.signing.key_commands import new_keys, possessions
from dchat.cli.terminal.ask import Address, Hash, account_from
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.cli.terminal.times import Length, length_of
from dchat.cli.terminal.trust import signing_facts

DELAY: str = "168h"

account_option = click.option("--account", "whose", type=Address(), required=True, help="Which account is recovered.")


def _address(text: str) -> bytes:
    return Address().convert(text, None, None)


def _setting(me: bytes, guardians: tuple[bytes, ...], threshold: int, delay_s: int, overrule: int) -> SetGuardians:
    """threshold 0: more than half."""
    named = tuple(sorted(set(guardians)))
    return SetGuardians(me, named, threshold or len(named) // 2 + 1, delay_s, overrule) if named else _nobody(me)


def _nobody(me: bytes) -> SetGuardians:
    return SetGuardians(me, (), 0, 0)


@tx.command("set-guardians", cls=Command)
@click.option("--guardian", "guardians", type=Address(), multiple=True, help=f"Up to {GUARDIANS_MAX} times.")
@click.option("--threshold", type=click.IntRange(1, GUARDIANS_MAX), help="How many agree. Default: more than half.")
@click.option("--delay", type=Length(), default=DELAY, show_default=True, help="In which you can object. 1m to 8760h.")
@click.option(
    "--overrule", type=click.IntRange(1, GUARDIANS_MAX), help="So many are not objected to. Default: no number is."
)
@click.option("--none", is_flag=True, help="Have no guardians any more.")
@sending
def set_guardians(
    guardians: tuple[bytes, ...], threshold: int | None, delay: int, overrule: int | None, none: bool, **options: Any
) -> None:
    """Name who may give your account other keys when yours are lost. A change waits the delay of before.

    \b
    dchat tx set-guardians --guardian ann.json --guardian dchat1... --guardian dchat1... --threshold 2 --delay 168h
    dchat query guardians dchat1...
    """
    if bool(guardians) == none:
        raise Refusal("say --guardian, or --none", Exit.USAGE)
    send(lambda me: [_setting(me, guardians, threshold or 0, delay, overrule or 0)], options)


@tx.command("start-recovery", cls=Command)
@account_option
@new_keys
@click.option("--with", "others", type=Address(), multiple=True, help="A guardian who approves in this bundle. Repeat.")
@sending
def start_recovery(
    whose: bytes, target_file: Path, proofs: tuple[Path, ...], holders: tuple[Path, ...], others: tuple[bytes, ...],
    **options: Any,
) -> None:  # fmt: skip
    """Propose other keys for an account whose guardian you are: `subject` of the receipt's leg is its id.

    \b
    dchat keygen --for dchat1... --output new.json       # whoever lost the keys
    dchat tx start-recovery --account dchat1... --to new.json --from guardian.json

    With --with, others approve in the same bundle: give --generate-only, and let all of you dchat tx sign it.
    """
    target = account_from(target_file)
    if target.address != whose:
        raise Refusal(f"{target_file} acts for {target.address_text}: not the account that is recovered", Exit.USAGE)
    shown = possessions(target_file, target, signing_facts(options).chain_id, proofs, holders)

    def make(me: bytes) -> list[Message]:
        approvals = [ApproveRecovery(other, whose, leg=1) for other in others]
        return [StartRecovery(me, whose, target.wallet.policy, shown), *approvals]

    send(make, options)


@tx.command("approve-recovery", cls=Command)
@account_option
@click.option("--recovery", "recovery", type=Hash(), required=True, help="Its id: dchat query recovery shows it.")
@sending
def approve_recovery(whose: bytes, recovery: bytes, **options: Any) -> None:
    """Approve other keys for an account whose guardian you are. Ask first, in another way than this chain, for whom."""
    send(lambda me: [ApproveRecovery(me, whose, recovery)], options)


@tx.command("object-recovery", cls=Command)
@sending
def object_recovery(**options: Any) -> None:
    """End every recovery of your account: you have its keys."""
    send(lambda me: [ObjectRecovery(me)], options)


@query.command("guardians", cls=Command)
@click.argument("who", type=Address())
@proving
def query_guardians(who: bytes, **how: Any) -> None:
    """An account's guardians, a change of them that waits, and who is quiet after an objection."""
    ask_record(GUARDED, who, **how)


@query.command("recovery", cls=Command)
@click.argument("who", type=Address())
@proving
def query_recovery(who: bytes, **how: Any) -> None:
    """The recoveries of an account that are open: who proposes which keys, who approves, until when."""
    ask_record(RECOVERING, who, **how)


LEGS.update(
    {
        "set-guardians": (
            frozenset({"guardians"}),
            frozenset({"threshold", "delay", "overrule"}),
            lambda me, leg: _setting(
                me,
                tuple([_address(one) for one in leg["guardians"].split(",")]) if leg["guardians"] else (),
                int(leg.get("threshold", 0)),
                length_of(leg.get("delay", DELAY)),
                int(leg.get("overrule", 0)),
            ),
        ),
        "approve-recovery": (
            frozenset({"account", "recovery"}),
            frozenset(),
            lambda me, leg: ApproveRecovery(me, _address(leg["account"]), bytes.fromhex(leg["recovery"])),
        ),
        "object-recovery": (frozenset(), frozenset(), lambda me, leg: ObjectRecovery(me)),
    }
)
