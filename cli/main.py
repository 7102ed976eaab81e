"""The `dchat` command: a group, and where each command stands."""

from __future__ import annotations

import sys

import click

import cli.event_commands  # its commands join the group query
import cli.evidence_commands  # its command joins the group tx
import cli.staking_commands  # noqa: F401  # its commands join the groups tx and query
from cli.base import Exit, Group
from cli.benchmark_command import benchmark
from cli.gov_commands import query_gov, tx_gov
from cli.home_commands import identity_group, init, keygen, testnet
from cli.later import add_later_commands
from cli.query_commands import query
from cli.status_commands import health, status, version
from cli.tx_commands import tx
from cli.upgrade_commands import pre_upgrade, rollback_command, upgrade
from cli.validator_command import validator


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def dchat() -> None:
    """A validator of the dchat network, and the tools around it.

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage, option or file; 70 consensus failed; 4 the node could not be
    reached; 5 a proof does not hold; 6 the chain wants another build.
    """


for command in (
    keygen, identity_group, init, testnet, validator, health, status, tx, query, version, upgrade, rollback_command,
    pre_upgrade, benchmark,
):  # fmt: skip
    dchat.add_command(command)
tx.add_command(tx_gov)
query.add_command(query_gov)
add_later_commands(dchat)


def main() -> None:
    """Entry point of the distribution. Refuses `python -O`: assertions are part of the safety."""
    if not __debug__:
        sys.stderr.write("dchat: python -O removes checks that keep a validator safe; start without it\n")
        sys.exit(int(Exit.USAGE))
    dchat(prog_name="dchat")


if __name__ == "__main__":
    main()
