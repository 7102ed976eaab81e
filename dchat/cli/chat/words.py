"""What the commands of the chat say alike: channels, members, accesses, roles."""

from __future__ import annotations

import click

from chain.tx.messages.chat.channels import ACCESS_NAMES, ROLE_NAMES
from dchat.cli.terminal.ask import Address
from dchat.cli.terminal.base import named
from dchat.client.front.amounts import channel_of as id_of

ACCESS = {name: access for access, name in ACCESS_NAMES.items()}
ROLES = {name: role for role, name in ROLE_NAMES.items()}


def channel_of(text: str) -> bytes:
    """A channel's name, or its id in 40 hex characters."""
    found = id_of(text)
    if found.hex() != text.lower():
        named[found.hex()] = text
    return found


channel_option = click.option("--channel", required=True, help="Name or id.")
member_option = click.option("--member", type=Address(), required=True)


def who_of(leg: dict[str, str]) -> bytes:
    return Address().convert(leg["member"], None, None)


def one_of(names: dict[str, int], said: str | None) -> int | None:
    """Raises ValueError."""
    if said is not None and said not in names:
        raise ValueError(f"{said!r}; allowed: {', '.join(names)}")
    return None if said is None else names[said]
