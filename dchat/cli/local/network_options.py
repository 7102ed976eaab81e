"""What can be said of a network that is to be made: the same for `dchat testnet` and `scripts/testnet`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from chain.app_state import governance_params
from chain.app_state.governance_params import GovernanceParams
from crypto.keys import ED25519
from crypto.mldsa import ML_DSA_65
from dchat.app.genesis_params import MODULES, Changes
from dchat.cli.commands.gov_commands import parse_setting
from dchat.cli.terminal.ask import PORT_MAX
from dchat.cli.terminal.base import Exit, Refusal
from dchat.cli.terminal.times import Length
from dchat.config.units import duration_ms
from dchat.devnet.network import (
    ACCOUNT_NAMES,
    DEFAULT_CHAIN_ID,
    PORTS_EACH,
    VALIDATORS_MAX,
    Network,
    Pace,
    ParamRefused,
    Ports,
    make_network,
)

DEFAULT_VALIDATORS = 4
DEFAULT_HOST = "127.0.0.1"
DEFAULT_BLOCK_TIME_MS = 3_000
_PERIODS = ("deposit_period_s", "voting_period_s", "expedited_voting_period_s")


class Wanted(NamedTuple):
    """None, False and nothing: as usual. Periods in seconds, block_time in milliseconds."""

    validators: int | None
    block_time: int | None
    fast: bool
    params: tuple[str, ...]
    voting_period: int | None
    unbonding_time: int | None
    upgrade_authority: str | None
    host: str | None = None
    base_port: int | None = None
    key_types: tuple[str, ...] = ()

    @property
    def ports(self) -> list[Ports]:
        """Of each validator."""
        numbers = range(1, (DEFAULT_VALIDATORS if self.validators is None else self.validators) + 1)
        if self.base_port is None:
            return [Ports.of(index) for index in numbers]
        return [Ports.after(self.base_port, index) for index in numbers]

    @property
    def address(self) -> str:
        """Where all of them listen."""
        return self.host or DEFAULT_HOST

    @property
    def pace(self) -> Pace:
        """Raises Refusal."""
        if self.fast and self.block_time is not None:
            raise Refusal("--fast and --block-time exclude each other", Exit.USAGE)
        if self.fast:
            return Pace.fast()
        return Pace(block_time=DEFAULT_BLOCK_TIME_MS if self.block_time is None else self.block_time)

    @property
    def changes(self) -> Changes:
        """What the params are changed to. One that --param names counts before what a shorthand makes of it.

        Raises Refusal.
        """
        values: dict[tuple[str, str], str] = {}
        for change in map(parse_setting, self.params):
            if change[:2] in values:
                raise Refusal(f"--param {change.module}.{change.name}: it is there twice", Exit.USAGE)
            values[change[:2]] = change.value
        if self.unbonding_time is not None:
            values.setdefault(("staking", "unbonding_s"), str(self.unbonding_time))
        if self.voting_period is not None:
            short = governance_params.to_text(GovernanceParams().shortened(self.voting_period))
            for name in _PERIODS:
                values.setdefault(("governance", name), short[name])
        changes: dict[str, dict[str, str]] = {}
        for (module, name), value in values.items():
            changes.setdefault(module, {})[name] = value
        return changes

    @property
    def said(self) -> list[str]:
        """The options that were given, as they are written."""
        usual = Wanted(None, None, False, (), None, None, None)
        return [_option(name) for name in self._fields if getattr(self, name) != getattr(usual, name)]

    def make(self, folder: Path, *, chain_id: str = DEFAULT_CHAIN_ID) -> Network:
        """Raises Refusal, NetworkError and what making keys raises."""
        validators = DEFAULT_VALIDATORS if self.validators is None else self.validators
        try:
            return make_network(
                folder, validators=validators, chain_id=chain_id, pace=self.pace, host=self.address,
                ports=self.ports if 1 <= validators <= VALIDATORS_MAX else None, params=self.changes,
                upgrade_authority=self.upgrade_authority or "", key_types=self.key_types or (ED25519,),
            )  # fmt: skip
        except ParamRefused as error:
            raise Refusal(str(error), Exit.USAGE) from None


def _option(name: str) -> str:
    return {"params": "--param", "key_types": "--key-type"}.get(name) or f"--{name.replace('_', '-')}"


def duration_option(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Milliseconds."""
    if value is None:
        return None
    try:
        parsed = duration_ms(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    assert isinstance(parsed, int)
    return parsed


def network_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that make a network; the command gets them as `wanted`, a Wanted."""

    @functools.wraps(command)
    def gathered(*args: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name) for name in Wanted._fields}
        return command(*args, wanted=Wanted(**values), **kwargs)

    options = (
        click.option("--validators", type=int, help=f"How many; default {DEFAULT_VALIDATORS}."),
        click.option(
            "--block-time", callback=duration_option, help="The longest gap between blocks when nothing waits; 3s."
        ),
        click.option("--fast", is_flag=True, help="No waiting between blocks; short time-outs."),
        click.option(
            "--param", "params", multiple=True, metavar="MODULE.NAME=VALUE",
            help=f"A param of the chain, by the names of `dchat query params`; repeat. Modules: {' '.join(MODULES)}.",
        ),
        click.option(
            "--voting-period", type=Length(least=1),
            help="Of governance, like 60s; half of it when expedited, twice for deposits. Default: 24 hours.",
        ),
        click.option(
            "--unbonding-time", type=Length(least=1),
            help="How long stake is on its way out and punishable, like 60s. Default: 14 days.",
        ),
        click.option(
            "--upgrade-authority", type=click.Choice(ACCOUNT_NAMES),
            help="One of its accounts, which may plan upgrades without a vote. Default: nobody.",
        ),
        click.option("--host", help=f"Where all nodes listen, as 127.0.0.9. Default: {DEFAULT_HOST}."),
        click.option(
            "--base-port", type=click.IntRange(1_024, PORT_MAX - PORTS_EACH * VALIDATORS_MAX),
            help=f"Ports from here on, {PORTS_EACH} for each validator. Default: those of README.md.",
        ),
        click.option(
            "--key-type", "key_types", multiple=True, type=click.Choice((ED25519, ML_DSA_65)),
            help=f"Of the validators' consensus keys; given again, in turn. Default: {ED25519}.",
        ),
    )  # fmt: skip
    made: Callable[..., Any] = gathered
    for option in reversed(options):
        made = option(made)
    return made
