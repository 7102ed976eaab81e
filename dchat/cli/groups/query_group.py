"""`dchat query` with all that joins it."""

from __future__ import annotations

import dchat.cli.chat.allowance_commands
import dchat.cli.chat.channel_commands
import dchat.cli.chat.epoch_commands
import dchat.cli.chat.identity_commands
import dchat.cli.chat.member_commands
import dchat.cli.chat.message_commands
import dchat.cli.chat.reputation_commands
import dchat.cli.commands.denomination_commands
import dchat.cli.commands.event_commands
import dchat.cli.commands.grant_commands
import dchat.cli.commands.staking_commands
import dchat.cli.deals.escrow_commands
import dchat.cli.deals.order_commands
import dchat.cli.deals.receipt_commands
import dchat.cli.deals.request_commands
import dchat.cli.signing.guardian_commands
import dchat.cli.signing.pending_commands  # noqa: F401  # its commands join the group
from dchat.cli.commands.gov_commands import query_gov
from dchat.cli.commands.query_commands import query

query.add_command(query_gov)

__all__ = ["query"]
