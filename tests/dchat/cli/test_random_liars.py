"""Doors that lie at random, from a seed: no command pays twice, claims what is not so, or ends without a plain word.

Every answer may be changed in any field; transactions are refused, kept back, executed and denied; meanwhile another
terminal of the same account may be quicker. Then the liar makes of all that it was handed what can be made of it.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message
from structlog.testing import capture_logs

from chain.tx.envelope.tx import decode
from chain.tx.messages import Payment
from dchat.client import client as node_client
from dchat.client import wallet
from dchat.client.client import ClientError
from dchat.client.wallet import Session
from proto.dchat.v1 import service_pb2 as pb
from tests.support.cli.lying_world import World
from tests.support.node.lying import KINDS, Fault, Honest, Lie, lying_door
from tests.support.node.running import running_node

COMMANDS = 8  # of each seed; hundreds were run while this was written
EXTREMES = {
    Field.CPPTYPE_INT32: [-(2**31), -1, 0, 2**31 - 1],
    Field.CPPTYPE_UINT32: [0, 1, 13, 2**32 - 1],
    Field.CPPTYPE_INT64: [-(2**63), -1, 0, 1, 2**62, 2**63 - 1],
    Field.CPPTYPE_UINT64: [0, 1, 2**63, 2**64 - 1],
}
REFUSALS = [(13, "tx"), (13, "tx"), (16, "tx"), (41, "currency"), (6, "mempool"), (2, "mempool"), (0, "")]


def change(message: Message, chance: random.Random) -> None:
    """One field of it, at any depth, mostly one that is set."""
    is_set = [field for field, _ in message.ListFields()]
    field = chance.choice(is_set if is_set and chance.random() < 0.8 else list(message.DESCRIPTOR.fields))
    value = getattr(message, field.name)
    if chance.random() < 0.1:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_list(value, field, chance)
    elif field.message_type is not None:
        change(value, chance)
    else:
        with contextlib.suppress(ValueError):  # a step past the end of its type
            setattr(message, field.name, changed(value, field, chance))


def _change_list(values: Any, field: Any, chance: random.Random) -> None:
    if not len(values):
        return
    place = chance.randrange(len(values))
    if chance.random() < 0.3:
        del values[place]
    elif field.message_type is not None:
        change(values[place], chance)
    else:
        with contextlib.suppress(ValueError):
            values[place] = changed(values[place], field, chance)


def changed(value: Any, field: Any, chance: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return chance.choice(["", f"{value}\x1b[2J\ndchat: paid", "x" * 100_000, value[::-1]])
    if isinstance(value, bytes):
        place = chance.randrange(len(value) or 1)
        flipped = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :] if value else b"\x01"
        return chance.choice([value[:place], flipped, value + b"\x00", bytes(len(value)), bytes(32)])
    return chance.choice([value + 1, value - 1, value + 1_000, *EXTREMES.get(field.cpp_type, [0])])


class Liar:
    """Of one command. rival: another terminal of Alice's pays 1 udchat with the sequence of what is handed in."""

    def __init__(self, world: World, chance: random.Random, *, rival: bool) -> None:
        self._world, self._chance, self._rival = world, chance, rival
        self._met: set[bytes] = set()

    def lies(self) -> dict[str, Lie]:
        chosen: dict[str, Lie] = {"Broadcast": self.broadcast}
        return chosen | {
            method: self.distorted for method in KINDS if method != "Broadcast" and self._chance.random() < 0.3
        }

    async def distorted(self, request: Any, honest: Honest) -> Any:
        if self._chance.random() < 0.05:
            raise Fault(self._chance.choice([grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL]), "no\ndchat: paid")
        answer = await honest()
        if self._chance.random() < 0.3:
            change(answer, self._chance)
        return answer

    async def broadcast(self, request: pb.BroadcastRequest, honest: Honest) -> Any:
        if self._rival:
            await self._be_quicker(request.tx)
        if self._chance.random() > (0.1 if self._rival else 0.6):
            return await self.distorted(request, honest)
        if self._chance.random() < 0.5:
            request.wait = self._chance.choice([pb.WAIT_ADMISSION, pb.WAIT_COMMIT])
            await honest()
        code, codespace = self._chance.choice(REFUSALS)
        return pb.BroadcastResponse(
            code=code, codespace=codespace, log="so it is", height=self._chance.choice([0, 0, 3])
        )

    async def _be_quicker(self, raw: bytes) -> None:
        tx = decode(raw)
        if tx.unordered or raw in self._met or len(self._met) == 2:
            return
        self._met.add(raw)
        alice = self._world.running.account("alice")
        payment = Payment(alice.address, self._world.running.account("bob").address, 1)
        async with self._world.running.client() as client:
            with contextlib.suppress(ClientError):
                rival = await Session(client, alice.wallet).build([payment], sequence=tx.signers[0].sequence)
                await client.broadcast(rival, wait_commit=self._chance.random() < 0.5)


def command_of(world: World, chance: random.Random, number: int) -> tuple[object, ...]:
    bob = world.file("bob")
    pay = ("pay", "--to", bob, "--amount", 1)
    command: tuple[object, ...] = chance.choice(
        [pay, pay, (*pay, "--unordered"), ("bundle", "--leg", f"pay to={bob} amount=1")]
    )
    return ("tx", *command, "--from", world.file("alice"), "--memo", number)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_door_that_lies_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """audit 19: siblings of the payment that was signed twice. A failure names its seed and command; when blocks are
    made is not from the seed, so that it may take some runs to see it again."""
    for module, name, seconds in (
        (wallet, "TAKEN_DEADLINE_S", 3.0), (wallet, "SUBMIT_DEADLINE_S", 2.0), (wallet, "PREPARE_DEADLINE_S", 5.0),
        (wallet, "PROOF_DEADLINE_S", 5.0), (wallet, "RESEND_FIRST_S", 0.05), (node_client, "HEIGHT_DEADLINE_S", 2.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, seconds)
    chance = random.Random(seed)
    with capture_logs():
        async with running_node(tmp_path) as running, lying_door(running.grpc) as door, running.client() as honest:
            await honest.wait_for_height(3)
            world = World(running, door)
            paid = 0
            for number in range(COMMANDS):
                door.handed.clear()
                door.lies.update(Liar(world, chance, rival=chance.random() < 0.5).lies())
                told = await world.dchat(*command_of(world, chance, number))
                door.lies.clear()
                before, paid = paid, await world.paid()
                _check(told, paid - before, was_handed=bool(door.handed), what=f"seed {seed}, command {number}")


def _check(told: Any, paid: int, *, was_handed: bool, what: str) -> None:
    shown = f"{what}: paid {paid}, exit code {told.exit_code}: {told.output}"
    assert told.exception is None or isinstance(told.exception, SystemExit), shown
    assert paid <= 1, shown
    assert "\x1b" not in told.output, shown
    if told.exit_code == 0:
        assert paid == 1, shown
        return
    assert told.exit_code in (1, 4, 5), shown
    assert told.stderr.count("\n") == 1, shown
    assert not was_handed or "executed" in told.stderr or "allowance is taken" in told.stderr, shown
