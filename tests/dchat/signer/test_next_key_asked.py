"""A change of a validator's key, beside a node of its chain: what the chain would refuse is said before it is paid for,
and a next key that nobody wants is put away."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.tx import errors as e
from crypto.mldsa import ML_DSA_65
from dchat.cli.main import dchat
from dchat.home.home import Home
from tests.support.node.running import running_node

SOON = "by the node's word the chain would refuse this change now"


class Operator:
    """Types at the machine of a validator."""

    def __init__(self, home: Home) -> None:
        self.home = home

    async def __call__(self, *words: object, code: int = 0) -> Result:
        line = [*map(str, words), "--home", str(self.home.root)]
        done = await asyncio.to_thread(CliRunner().invoke, dchat, line)
        assert done.exit_code == code, (line, done.output)
        return done

    async def said(self, *words: object, code: int = 0) -> str:
        return " ".join((await self(*words, code=code)).output.split())

    async def balance(self) -> int:
        account = json.loads((self.home.root / "identity.json").read_text())["address"]
        shown = json.loads((await self("query", "account", account)).stdout)
        return int(shown["account"]["balance"])

    def has_next(self) -> bool:
        return self.home.next_validator_key.exists() or self.home.next_sign_state.exists()


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    with capture_logs():
        async with running_node(tmp_path) as running:
            yield Operator(Home.of(running.network.home_of(running.network.nodes[0])))


async def test_what_the_chain_refuses_is_said_before_it_is_paid_for(operator: Operator) -> None:
    assert "make the next key first: dchat signer next-key" in await operator.said("tx", "stake", "rotate-key", code=1)
    assert SOON not in await operator.said("signer", "next-key")
    assert json.loads((await operator("tx", "stake", "rotate-key")).stdout)["code"] == 0
    for _ in range(600):  # until the node has changed over
        if not operator.home.next_validator_key.exists():
            break
        await asyncio.sleep(0.1)
    told = await operator.said("signer", "next-key")
    assert SOON in told
    assert e.TooManyRotations.rule in told
    assert "dchat signer next-key --discard" in told
    before = await operator.balance()
    refused = await operator("tx", "stake", "rotate-key", code=1)
    assert json.loads(refused.stdout)["code"] == e.TooManyRotations.code
    assert await operator.balance() == before
    twice = await operator("tx", "stake", "edit-validator", "--commission-rate", "0.999", code=1)
    assert json.loads(twice.stdout)["height"] == 0, "no block has it"
    assert await operator.balance() == before


async def test_a_next_key_is_discarded_unless_the_chain_has_it(operator: Operator) -> None:
    assert "there is no next key to discard" in await operator.said("signer", "next-key", "--discard", code=2)
    await operator("signer", "next-key")
    assert "to be rid of this one: dchat signer next-key --discard" in await operator.said("signer", "next-key", code=2)
    away = ("signer", "next-key", "--discard", "--node", "127.0.0.1:1")
    assert "nobody could say whether the chain was told of this key" in await operator.said(*away, code=1)
    assert operator.has_next()
    await operator("signer", "next-key", "--discard")
    assert not operator.has_next()
    await operator("signer", "next-key")
    await operator(*away, "--never-told")
    assert not operator.has_next()
    shutil.copy(operator.home.validator_key, operator.home.next_validator_key)  # as after `rotate-key`
    assert "the chain has" in await operator.said("signer", "next-key", "--discard", code=1)
    operator.home.next_validator_key.unlink()
    shown = json.loads((await operator("audit", "show", "--what", "dchat signer next-key")).stdout)
    ended = [one["details"]["ended"].partition(":")[0] for one in shown]
    assert ended == ["refused", "done", "refused", "refused", "done", "done", "done", "refused"]


async def test_a_discarded_key_is_kept_and_signs_where_the_chain_takes_its_change_after_all(operator: Operator) -> None:
    """A rotate-key that waits in a mempool is seen by nobody; the only copy of its key was deleted."""
    home, places = operator.home, operator.home.places
    await operator("signer", "next-key")
    key, record = home.next_validator_key.read_bytes(), home.next_sign_state.read_bytes()
    address = json.loads(key)["address"]
    told = await operator.said("signer", "next-key", "--discard")
    assert f"dchat signer next-key --take-back {address}" in told
    assert not operator.has_next()
    kept = [folder / f"{address}.discarded" for folder in (places.retired_keys, places.retired_states)]
    assert [path.read_bytes() for path in kept] == [key, record]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert f"it has: {address}" in await operator.said("signer", "next-key", "--take-back", "00", code=2)
    await operator("signer", "next-key")  # another, meanwhile
    assert "never overwritten" in await operator.said("signer", "next-key", "--take-back", address, code=2)
    await operator("signer", "next-key", "--discard")
    await operator("signer", "next-key", "--take-back", address.lower())
    assert (home.next_validator_key.read_bytes(), home.next_sign_state.read_bytes()) == (key, record)
    assert not any(path.exists() for path in kept)
    assert json.loads((await operator("tx", "stake", "rotate-key")).stdout)["code"] == 0
    for _ in range(600):  # until the node has changed over
        if not home.next_validator_key.exists():
            break
        await asyncio.sleep(0.1)
    assert home.validator_key.read_bytes() == key


async def test_a_discarded_key_does_not_come_back_without_its_record(operator: Operator) -> None:
    await operator("signer", "next-key")
    address = json.loads(operator.home.next_validator_key.read_bytes())["address"]
    await operator("signer", "next-key", "--discard")
    (operator.home.places.retired_states / f"{address}.discarded").unlink()
    assert "could sign twice" in await operator.said("signer", "next-key", "--take-back", address, code=2)
    assert not operator.has_next()


@pytest.mark.parametrize("command", ["next-key", "init"])
async def test_a_type_that_the_chain_does_not_take_makes_no_key(operator: Operator, command: str) -> None:
    told = await operator.said("signer", command, "--key-type", ML_DSA_65, code=2)
    assert "takes no such key; allowed, by its validator.pub_key_types: ed25519" in told
    assert not operator.has_next()
