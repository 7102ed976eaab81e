"""Commands of the operator contract that come with later builds: known by name, and honest about it."""

from __future__ import annotations

import click

from dchat.cli.terminal.base import Exit, Group, Refusal
from dchat.home.version import build_version

LATER = {
    "relay": "Run a relay.",
    "user": "The client of a person.",
}


def add_later_commands(group: Group) -> None:
    for name, what in LATER.items():
        group.add_command(_later(name, what))


def _later(name: str, what: str) -> click.Command:
    @click.command(
        name,
        help=f"{what} Not in this build.",
        hidden=True,  # help is about what there is
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        raise not_in_this_build(f"`dchat {name}`")

    return command


def not_in_this_build(what: str) -> Refusal:
    return Refusal(f"{what} is not in this build ({build_version()})", Exit.USAGE)
