"""Lengths of time and times, said alike in every command and leg."""

from __future__ import annotations

import time

import click
import pytest
from click.testing import CliRunner

from chain.tx.messages import PostMessage
from consensus.formats.units import NS_PER_S
from dchat.cli.commands.tx_commands import parse_leg
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Refusal
from dchat.cli.terminal.times import Length, length_of, time_of

SAID = {"90s": 90, "10m": 600, "1h": 3_600, "7d": 604_800, "600": 600, "0": 0, " 1.5h ": 5_400, "3000ms": 3}


@pytest.mark.parametrize(("said", "seconds"), SAID.items())
def test_a_length_has_a_unit_or_is_of_seconds(said: str, seconds: int) -> None:
    assert length_of(said) == seconds


@pytest.mark.parametrize("said", ["", "soon", "-5", "1w", "1500ms", "0.5s", "9" * 400 + "d", "٣", "7 days", "1e3"])
def test_what_is_no_length_is_refused_by_what_is(said: str) -> None:
    with pytest.raises(ValueError, match="90s, 10m, 1h, 7d"):
        length_of(said)
    with pytest.raises(ValueError, match=r"90s, 10m, 1h, 7d \(from now\), or 2027-"):
        time_of(said)


def test_a_time_needs_a_unit() -> None:
    assert 0 <= time_of("7d") - time.time_ns() <= 604_800 * NS_PER_S
    assert time_of("2027-01-31T12:00:00Z") == 1_801_396_800 * NS_PER_S
    with pytest.raises(ValueError, match="Say a unit: 7d"):
        time_of("7")


def test_a_length_may_have_a_least() -> None:
    with pytest.raises(click.BadParameter, match="1s and more"):
        Length(least=1).convert("0s", None, None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("escrow open --amount 1 --deadline 7", "Say a unit: 7d"),
        ("escrow open --amount 1 --deadline 0s", "is not later than now"),
        ("escrow open --amount 1 --deadline 2020-01-31T12:00:00Z", "is not later than now"),
        ("escrow open --amount 1 --deadline 400d", "allowed: up to 366d from now"),
        ("request create x --amount 1 --expires 367d", "allowed: up to 366d from now"),
        ("escrow bounty --amount 1 --deadline 30", "Say a unit: 30d"),
        ("request create x --amount 1 --expires 30", "Say a unit: 30d"),
        ("post --channel lobby --text x --ttl soon", "90s, 10m, 1h, 7d"),
        ("ban --channel lobby --for soon", "90s, 10m, 1h, 7d"),
        ("create-channel --name x --period 1w", "90s, 10m, 1h, 7d"),
        ("subscribe --channel x --max-price 1 --min-period 0", "1s and more"),
        ("invite --channel x --valid soon", "90s, 10m, 1h, 7d"),
    ],
)
def test_options_say_how_they_are_said(line: str, said: str) -> None:
    told = CliRunner().invoke(dchat, ["tx", *line.split()], prog_name="dchat")
    assert (told.exit_code, said in told.stderr) == (2, True), told.output


def test_legs_are_said_as_options_are() -> None:
    me = bytes(20)
    post = parse_leg("post channel=lobby text=x ttl=1h", me)
    assert isinstance(post, PostMessage)
    assert post.ttl_s == 3_600
    for leg, said in (
        ("post channel=lobby text=x ttl=soon", "90s, 10m, 1h, 7d"),
        ("request reference=x amount=1 expires=30", "Say a unit: 30d"),
        ("require what=after time=7", "Say a unit: 7d"),
    ):
        with pytest.raises(Refusal, match=said):
            parse_leg(leg, me)
