"""The `dchat` command: a group, and where each command stands.

A command's module is imported when it is asked for: all of them together take three quarters of a second.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click

from consensus.system.machine import MachineRefusal
from dchat.cli.terminal.base import Exit, Group, Refusal, place_refused
from dchat.cli.terminal.later import add_later_commands

# Every process that this program begins is begun by exec; what gRPC does at a fork only wrote lines of its own into the
# log, as does each connection that the other side ends. It reads this when it is imported, which no module above does.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines are none of a log in JSON; what fails we tell ourselves

# name -> module and attribute, in the order of the help
PLACES: Final = {
    "keygen": "dchat.cli.local.identity_commands:keygen",
    "identity": "dchat.cli.local.identity_commands:identity_group",
    "init": "dchat.cli.local.home_commands:init",
    "genesis": "dchat.cli.groups.genesis_group:genesis",
    "show-node-id": "dchat.cli.local.home_commands:show_node_id",
    "show-validator": "dchat.cli.local.home_commands:show_validator",
    "testnet": "dchat.cli.local.home_commands:testnet",
    "validator": "dchat.cli.local.validator_command:validator",
    "abci": "dchat.cli.commands.abci_commands:abci",
    "health": "dchat.cli.commands.status_commands:health",
    "status": "dchat.cli.commands.status_commands:status",
    "top": "dchat.cli.top.command:top",
    "tx": "dchat.cli.groups.tx_group:tx",
    "query": "dchat.cli.groups.query_group:query",
    "proof": "dchat.cli.local.proof_command:proof",
    "light": "dchat.cli.light.light_commands:light",
    "version": "dchat.cli.commands.status_commands:version",
    "upgrade": "dchat.cli.commands.upgrade_commands:upgrade",
    "rollback": "dchat.cli.commands.upgrade_commands:rollback_command",
    "pre-upgrade": "dchat.cli.commands.upgrade_commands:pre_upgrade",
    "database": "dchat.cli.groups.database_group:database",
    "why": "dchat.cli.debug.why_command:why",
    "doctor": "dchat.cli.debug.doctor_command:doctor",
    "debug": "dchat.cli.debug.debug_commands:debug",
    "network": "dchat.cli.network.network_commands:network",
    "admin": "dchat.cli.network.admin_commands:admin",
    "audit": "dchat.cli.audit.audit_commands:audit",
    "export-user-data": "dchat.cli.audit.export_command:export_user_data",
    "signer": "dchat.cli.database.signer_commands:signer",
    "benchmark": "dchat.cli.local.benchmark_command:benchmark",
    "simulate": "dchat.cli.local.simulate_command:simulate",
}


class Commands(Group):
    def invoke(self, ctx: click.Context) -> Any:
        """What the machine refused, as one line: a full disk is no fault of ours to trace."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            raise Refusal("stopped") from None
        except Exception as error:
            refused = None if isinstance(error, click.ClickException) else MachineRefusal.of(error)
            if refused is None:
                if (
                    ctx.invoked_subcommand != "validator"
                    and isinstance(error, OSError)
                    and (why := place_refused(error))
                ):
                    raise Refusal(why, Exit.USAGE) from error
                raise
            raise Refusal(str(refused), Exit(refused.exit_code)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*PLACES, *super().list_commands(ctx)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click looks for what was meant among the commands that are loaded: here none is."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            names = [name for name in self.list_commands(ctx) if name in PLACES]
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = PLACES.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def dchat() -> None:
    """A validator of the dchat network, and the tools around it.

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage, option or file; 3 what was asked for is not there; 70
    consensus failed; 4 the node could not be reached; 5 a proof does not hold; 6 the chain wants another build; 69 the
    application that --proxy-app names is gone; 74 this node's files are not what it wrote; 75 the machine lacks what is
    needed, as room on the disk or file handles.
    """


add_later_commands(dchat)


def main() -> None:
    """Entry point of the distribution. Refuses `python -O`: assertions are part of the safety."""
    if not __debug__:
        sys.stderr.write("dchat: python -O removes checks that keep a validator safe; start without it\n")
        sys.exit(int(Exit.USAGE))
    dchat(prog_name="dchat")


if __name__ == "__main__":
    main()
