"""What a door that lies can make a client sign, spend, believe and show: real sockets, the command as it is typed.

The door has everything that it was handed, for ever: "signed once" means that no two of these can both be executed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from chain.tx.envelope.tx import decode
from chain.tx.errors import Overspend, Replayed, TxError, UnknownValidator, WrongSequence
from chain.tx.messages import LANE_BRIDGE, Payment
from consensus.mempool.admission.errors import CODESPACE, Refusal
from dchat.cli.terminal.base import Exit
from dchat.client import client as node_client
from dchat.client import wallet
from dchat.client.client import SMALL_BYTES_MAX, Client, NodeUnreachable
from dchat.client.verify import ProofFailed
from dchat.client.wallet import EXPIRY_BLOCKS, ORDERED_EXPIRY_BLOCKS, Session
from proto.dchat.v1 import governance_service_pb2 as gov
from proto.dchat.v1 import service_pb2 as pb
from tests.support.cli.lying_world import DCHAT, World
from tests.support.node.lying import Fault, Honest, Lie, lying_door, says, twists
from tests.support.node.running import running_node, until

PRICE_MAX = 10**7


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with capture_logs():
        async with running_node(tmp_path) as running, lying_door(running.grpc) as door, running.client() as honest:
            await honest.wait_for_height(3)
            yield World(running, door)


def refusal(code: int, codespace: str) -> Lie:
    return says(pb.BroadcastResponse(code=code, codespace=codespace, log="so it is"))


def by(error: type[TxError], *, passed_on: bool = False) -> Lie:
    """It says that this rule is broken. passed_on: and has it executed."""
    if not passed_on:
        return refusal(error.code, error.codespace)

    async def lie(request: pb.BroadcastRequest, honest: Honest) -> pb.BroadcastResponse:
        request.wait = pb.WAIT_COMMIT
        await honest()
        return pb.BroadcastResponse(code=error.code, codespace=error.codespace, log="so it is")

    return lie


def sequences_ahead(ahead: int) -> Lie:
    """Stated where no proof is asked for."""

    async def lie(request: pb.GetAccountRequest, honest: Honest) -> pb.GetAccountResponse:
        answer: pb.GetAccountResponse = await honest()
        for entry in answer.account.sequences:
            entry.next += 0 if request.prove else ahead
        return answer

    return lie


async def hides_tx(request: pb.GetTxRequest, honest: Honest) -> pb.GetTxResponse:
    raise Fault(grpc.StatusCode.NOT_FOUND, "in no block that this node has")


ONCE = {
    "wrong sequence, kept back": {"Broadcast": by(WrongSequence)},
    "wrong sequence, executed": {"Broadcast": by(WrongSequence, passed_on=True)},
    "wrong sequence, kept back, a higher one stated": {
        "Broadcast": by(WrongSequence), "GetAccount": sequences_ahead(1),
    },
    "wrong sequence, executed and hidden": {"Broadcast": by(WrongSequence, passed_on=True), "GetTx": hides_tx},
    "spends too much, executed": {"Broadcast": by(Overspend, passed_on=True)},
    "ran before": {"Broadcast": by(Replayed)},
    "seen before": {"Broadcast": refusal(Refusal.SEEN_BEFORE, CODESPACE)},
    "expired": {"Broadcast": refusal(Refusal.EXPIRED, CODESPACE)},
    "in a block where it is not": {"Broadcast": says(pb.BroadcastResponse(height=3))},
    "failed in a block, executed": {
        "Broadcast": twists(lambda answer: answer.MergeFrom(pb.BroadcastResponse(code=41, codespace="currency"))),
    },
}  # fmt: skip


@pytest.mark.parametrize("lies", ONCE.values(), ids=ONCE)
async def test_a_payment_is_signed_once_whatever_is_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, lies: dict[str, Lie]
) -> None:
    """audit 19: "wrong sequence", with a higher one stated, made the client sign the payment again: paid twice."""
    monkeypatch.setattr(wallet, "TAKEN_DEADLINE_S", 0.7)
    await world.pay("--memo", "first")  # the account's key is on record from here
    leg = f"pay to={world.file('bob')} amount=1"
    for paid, command in enumerate((
        ("pay", "--to", world.file("bob"), "--amount", 1),
        ("pay", "--to", world.file("bob"), "--amount", 1, "--unordered"),
        ("bundle", "--leg", leg),
    ), start=2):  # fmt: skip
        world.door.handed.clear()
        world.door.lies.update(lies)
        told = await world.dchat("tx", *command, "--from", world.file("alice"))
        world.door.lies.clear()
        assert len(world.door.handed) == 1, told.output
        (tx,) = world.signed
        assert await world.paid() == paid
        if told.exit_code:
            assert tx.id.hex() in told.stderr, told.stderr
            assert f"may still be executed until block {tx.expiry_height}" in told.stderr
            assert told.stderr.count("\n") == 1
        else:  # it was shown by a proof, of this very transaction
            shown = json.loads(told.stdout)
            assert (shown["hash"], shown["code"]) == (tx.id.hex(), 0)
            assert shown["proved_by_header"] > shown["height"] > 0


async def test_a_believed_door_has_one_signed_too(world: World) -> None:
    """audit 19: without a root of trust nothing shows that the first is dead, so there is no second."""

    async def ahead_then(request: pb.GetAccountRequest, honest: Honest) -> pb.GetAccountResponse:
        return await sequences_ahead(len(world.door.handed))(request, honest)  # type: ignore[no-any-return]

    world.door.lies.update({"Broadcast": by(WrongSequence), "GetAccount": ahead_then})
    told = await world.pay("--believe-node", "--chain-id", world.running.network.chain_id)
    (tx,) = world.signed
    assert (told.exit_code, f"may still be executed until block {tx.expiry_height}" in told.stderr) == (1, True)


async def test_two_terminals_at_once_both_pay(world: World) -> None:
    """The honest "wrong sequence": who was quicker is found in a block of a verified header, and the slower one, which
    is dead by that, is signed anew."""
    async with Client(world.door.address) as one, Client(world.door.address) as other:
        first, second = world.session(one), world.session(other)
        outcomes = await asyncio.gather(
            first.send([world.payment()], memo="first"), second.send([world.payment()], memo="second")
        )
    assert all(outcome.proved_by for outcome in outcomes)
    assert [tx.signers[0].sequence for tx in world.signed] == [0, 0, 1]
    assert await world.paid() == 2


@pytest.mark.parametrize("hides", ["the block's transactions", "all but one", "the block"])
async def test_who_took_a_sequence_cannot_be_made_up(world: World, hides: str) -> None:
    """The door has the payment executed, says "wrong sequence", and hides from its client that it ran."""

    async def hiding(request: pb.GetBlockRequest, honest: Honest) -> pb.GetBlockResponse:
        answer: pb.GetBlockResponse = await honest()
        if hides == "the block":
            request.height = max(1, request.height - 1)
            return await honest()  # type: ignore[no-any-return]
        if hides == "all but one" and answer.block.data.txs:
            answer.block.data.txs[0] = stranger
        elif hides == "the block's transactions":
            del answer.block.data.txs[:]
        return answer

    async with Client(world.door.address) as client:
        stranger = await Session(client, world.running.account("carol").wallet).build(
            [Payment(world.running.account("carol").address, world.running.account("bob").address, 1)]
        )
        world.door.lies.update({"Broadcast": by(WrongSequence, passed_on=True), "GetBlock": hiding, "GetTx": hides_tx})
        with pytest.raises(ProofFailed, match="may still be executed until block"):
            await world.session(client).send([world.payment()])
    assert len(world.door.handed) == 1
    assert await world.paid() == 1


@pytest.mark.parametrize("released", ["before", "never", "meanwhile"])
async def test_sending_again_with_the_sequence_pays_once(world: World, released: str) -> None:
    """audit 19: what a person is told to do after a door kept a payment back. The door lets it go when it likes."""
    world.door.lies["Broadcast"] = by(WrongSequence if released == "meanwhile" else Overspend)
    told = await world.pay("--sequence", 0, "--memo", "first")
    world.door.lies.clear()
    (first,) = world.signed
    assert "send it again with --sequence 0, so that only one of both is" in told.stderr
    async with world.running.client() as honest:
        if released == "before":
            await honest.broadcast(first.raw, wait_commit=True)

        async def meanwhile(request: pb.BroadcastRequest, passed_on: Honest) -> pb.BroadcastResponse:
            await honest.broadcast(first.raw, wait_commit=True)
            answer: pb.BroadcastResponse = await passed_on()
            return answer

        if released == "meanwhile":
            world.door.lies["Broadcast"] = meanwhile
        again = await world.pay("--sequence", 0, "--memo", "again")
    assert (again.exit_code, len(world.signed)) == ((0, 2) if released == "never" else (1, 1 + (released != "before")))
    if released == "before":
        assert "sequence 0 is used" in again.stderr
    elif released == "meanwhile":
        assert f"{first.id.hex()} used the sequence" in again.stderr
    assert await world.paid() == 1
    bundle = await world.dchat(
        "tx", "bundle", "--from", world.file("alice"), "--sequence", 1, "--leg", f"pay to={world.file('bob')} amount=1"
    )
    assert (bundle.exit_code, "has no sequence" in bundle.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize("kind", ["pay", "bundle"])
async def test_a_kept_transaction_is_handed_in_again_and_pays_once(world: World, tmp_path: Path, kind: str) -> None:
    """audit 19, of what has no sequence to be sent again with."""
    file, leg = tmp_path / "kept", f"pay to={world.file('bob')} amount=1"
    what = ("--to", world.file("bob"), "--amount", 1) if kind == "pay" else ("--leg", leg)
    command = ("tx", kind, *what, "--from", world.file("alice"), "--keep", file)
    world.door.lies["Broadcast"] = by(Overspend)
    assert (await world.dchat(*command)).exit_code == 1
    world.door.lies["Broadcast"] = by(Overspend, passed_on=True)
    for _ in range(3):
        told = await world.dchat(*command)
        assert told.exit_code == 0, told.output  # found in its block, and proved
        world.door.lies.clear()
    assert (len(world.signed), await world.paid()) == (1, 1)
    for changed in (("--amount", 2), ("--from", world.file("carol"))) if kind == "pay" else (("--leg", leg),):
        other = await world.dchat(*command, *changed)
        assert (other.exit_code, "holds another transaction" in other.stderr) == (Exit.USAGE, True), other.output
    file.write_text("00")
    assert "is no signed transaction" in (await world.dchat(*command)).stderr
    nowhere = await world.dchat(*command[:-1], tmp_path / "none" / "kept")
    assert (nowhere.exit_code, "nothing was handed in" in nowhere.stderr) == (Exit.USAGE, True)
    assert len(world.signed) == 1


# ------------------------------------------------------------------------------------- what is signed


def priced(gas_price: int, **others: Any) -> pb.GetParamsResponse:
    return pb.GetParamsResponse(json=json.dumps({"currency": {"params": {"gas_price": str(gas_price)}}, **others}))


def other_chain(answer: pb.GetStatusResponse) -> None:
    answer.chain_id = "another-chain"


def far_away(answer: pb.GetStatusResponse) -> None:
    answer.latest_block_height += 1_000_000


@pytest.mark.parametrize(
    ("lies", "code", "said"),
    [
        pytest.param(
            {"GetStatus": twists(other_chain)}, Exit.FAILED, "is a node of chain 'another-chain'", id="another chain"
        ),
        pytest.param({"GetStatus": twists(far_away)}, Exit.FAILED, "", id="a height that is none yet"),
        pytest.param(
            {"GetStatus": twists(far_away), "GetCommit": twists(lambda answer: set_height(answer, 1_000_000))},
            Exit.PROOF, "the proof does not hold", id="and a header of it",
        ),
        pytest.param(
            {"GetParams": says(priced(10 * PRICE_MAX))},
            Exit.FAILED, "no chain has more than", id="a price that no chain has",
        ),
        pytest.param(
            {"GetAccount": twists(lambda answer: answer.account.sequences.add(public_key=b"k" * 32, next=9))},
            Exit.PROOF, "not the value that is proved", id="a record that is none",
        ),
    ],
)  # fmt: skip
async def test_nothing_is_signed_by_a_lie(world: World, lies: dict[str, Lie], code: Exit, said: str) -> None:
    """audit 19: chain id and height were taken from the node: a payment for another chain, or one that can be executed
    in a month, when it was long made another way."""
    world.door.lies.update(lies)
    told = await world.pay()
    assert (told.exit_code, said in told.stderr) == (code, True), told.output
    assert told.stderr.count("\n") == 1
    assert world.door.handed == []


def set_height(answer: pb.GetCommitResponse, by_blocks: int) -> None:
    answer.light_block.signed_header.header.height += by_blocks
    answer.light_block.signed_header.commit.height += by_blocks


@pytest.mark.parametrize("ahead", [1, 5, 2**40])
async def test_the_proved_sequence_is_signed(world: World, ahead: int) -> None:
    """audit 19: one from the future waits in the liar's hands until the account comes to it."""
    async with world.running.client() as honest:
        await world.session(honest).send([world.payment()])
    world.door.lies["GetAccount"] = sequences_ahead(ahead)
    told = await world.pay()
    assert told.exit_code == 0, told.output
    (tx,) = world.signed
    assert tx.signers[0].sequence == 1


async def test_all_that_is_signed_dies(world: World) -> None:
    """Ordered ones too: what a door keeps back can be used for so many blocks, by a verified height."""
    for options, blocks in ((), ORDERED_EXPIRY_BLOCKS), (("--unordered",), EXPIRY_BLOCKS), (("--expiry-blocks", 7), 7):
        world.door.handed.clear()
        told = await world.pay(*options)
        assert told.exit_code == 0, told.output
        (tx,) = world.signed
        height = json.loads(told.stdout)["height"]
        assert height - 20 < tx.expiry_height - blocks <= height
    bridge = await world.dchat(
        "tx", "bundle", "--from", world.file("alice"), "--leg", f"pay to={world.file('bob')} amount=1"
    )
    assert bridge.exit_code == 0
    assert world.signed[-1].lane == LANE_BRIDGE


@pytest.mark.parametrize("unordered", [False, True])
async def test_a_session_signs_on_while_its_node_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, unordered: bool
) -> None:
    """By the last height that was verified: what is signed for another door expires the sooner."""
    monkeypatch.setattr(wallet, "HEIGHT_RECENT_S", 0.0)
    async with Client(world.door.address) as client:
        session = world.session(client)
        first = decode(await session.build([world.payment()], unordered=unordered))
        await world.door.stop()
        second = decode(await session.build([world.payment()], unordered=unordered, memo="second"))
    assert second.expiry_height == first.expiry_height
    assert second.signers[0].sequence == first.signers[0].sequence + (not unordered)


async def test_the_default_fee_is_capped(world: World) -> None:
    """audit 18, sibling: any price that some chain might have was paid."""
    world.door.lies["GetParams"] = says(priced(PRICE_MAX))
    for options, code in (("--max-fee", "0.1"), 1), (("--max-fee", "2"), 0), (("--fee", "0.5"), 0):
        world.door.handed.clear()
        told = await world.pay(*options)
        assert (told.exit_code, bool(world.door.handed)) == (code, not code), told.output
        assert not code or "--max-fee" in told.stderr
    legs = [part for _ in range(32) for part in ("--leg", f"pay to={world.file('bob')} amount=1")]
    world.door.handed.clear()
    told = await world.dchat("tx", "bundle", "--from", world.file("alice"), *legs)
    assert (told.exit_code, "allowed: 1000000" in told.stderr, world.door.handed) == (1, True, [])


async def test_where_trust_begins_is_said_or_at_hand(world: World, tmp_path: Path) -> None:
    """audit 19: without --chain-id the node said for which chain to sign."""
    nowhere, name = tmp_path / "nowhere", world.running.network.chain_id
    genesis = world.running.network.home_of(world.running.network.nodes[0]) / "config" / "genesis.json"
    async with world.running.client() as client:
        root = f"2:{(await client.block(2)).block_id.hash.hex()}"
    for options, code, said in (
        ((), Exit.USAGE, "give --trust HEIGHT:HASH or --genesis FILE; of a node of your own: --believe-node"),
        (("--chain-id", name), Exit.USAGE, "nothing to begin trust with"),
        (("--believe-node",), Exit.USAGE, "--believe-node with --chain-id"),
        (("--believe-node", "--chain-id", name, "--genesis", genesis), Exit.USAGE, "one of them"),
        (("--believe-node", "--chain-id", name, "--wait", "proof"), Exit.USAGE, "one of them"),
        (("--genesis", genesis, "--chain-id", "other"), Exit.USAGE, "leave one of them out"),
        (("--trust", f"2:{'00' * 32}"), Exit.PROOF, "trusted is"),
        (("--trust", root, "--chain-id", "other"), Exit.PROOF, "of chain"),
        (("--believe-node", "--chain-id", "other"), Exit.FAILED, f"is a node of chain '{name}'"),
    ):
        told = await world.pay(*options, home=nowhere)
        assert (told.exit_code, said in told.stderr) == (code, True), (options, told.output)
        assert world.door.handed == []
    for options, proved in (
        (("--genesis", genesis), True),
        (("--trust", root), True),
        (("--trust", root, "--chain-id", name), True),
        (("--believe-node", "--chain-id", name), False),
    ):
        told = await world.pay(*options, home=nowhere)
        assert told.exit_code == 0, told.output
        assert bool(json.loads(told.stdout)["proved_by_header"]) == proved
    assert {tx.chain_id for tx in world.signed} == {name}


async def test_what_a_consensus_key_signs_is_of_the_right_chain_and_time(world: World) -> None:
    """Siblings: possession of a key, and readiness, are signed for a chain and until a height as well."""
    world.door.lies["GetStatus"] = twists(other_chain)
    for command in (
        ("upgrade", "ready", "--withdraw"),
        ("tx", "stake", "create-validator", "--moniker", "m", "--amount", 100_000, "--min-self-delegation", 100_000),
    ):
        told = await world.dchat(*command, "--from", world.file("alice"))
        assert (told.exit_code, "'another-chain'" in told.stderr) == (1, True), told.output
    world.door.lies["GetStatus"] = twists(far_away)
    told = await world.dchat("upgrade", "ready", "--withdraw", "--from", world.file("alice"))
    assert told.exit_code == 1
    world.door.lies.clear()
    asked = {"params": {"min_self_delegation": "150000000000"}}
    world.door.lies["GetParams"] = says(priced(100_000, staking=asked))
    told = await world.dchat(
        "tx", "stake", "create-validator", "--moniker", "m", "--amount", 200_000, "--from", world.file("alice")
    )
    assert (told.exit_code, "--min-self-delegation 150000000000udchat" in told.stderr) == (1, True), told.output
    assert world.door.handed == []


# ---------------------------------------------------------------------------------- what is believed and shown


async def test_the_outcome_that_is_shown_is_the_proved_one(world: World) -> None:
    """Hash, place, code, gas and receipt: whatever the first answer says."""

    def twist(answer: pb.BroadcastResponse) -> None:
        answer.hash, answer.gas_used, answer.index, answer.data = bytes(32), 1, 77, b""

    world.door.lies["Broadcast"] = twists(twist)
    shown = json.loads((await world.pay()).stdout)
    (tx,) = world.signed
    assert (shown["hash"], shown["index"], shown["gas_used"] > 1) == (tx.id.hex(), 0, True)
    assert shown["receipt"]["legs"][0]["amount"] == DCHAT
    for wait in ("commit", "admission"):  # by its word, and still of the transaction that was sent
        told = json.loads((await world.pay("--wait", wait, "--memo", wait)).stdout)
        assert (told["hash"], told["proved_by_header"]) == (world.signed[-1].id.hex(), None)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(refusal(41, "cur\nrency\x1b[2J"), id="codespace"),
        pytest.param(
            says(pb.BroadcastResponse(code=41, codespace="x", log="no\ndchat: paid\r\x1b[1A\u202e" + "z" * 10**6)),
            id="log",
        ),
    ],
)
async def test_a_doors_words_are_quoted(world: World, lie: Lie) -> None:
    """audit 20, sibling: a line break in a reason began a line that looked like the command's own, of any length."""
    world.door.lies["Broadcast"] = lie
    told = await world.pay()
    assert told.exit_code == 1
    assert told.stderr.count("\n") == 1
    assert len(told.stderr) < 4_000
    assert not {"\x1b", "\r", "\u202e"} & set(told.stderr + told.stdout)
    json.loads(told.stdout)


async def test_a_calls_error_is_quoted(world: World) -> None:
    async def lie(request: Any, honest: Honest) -> Any:
        raise Fault(grpc.StatusCode.UNKNOWN, "no\ndchat: paid\x1b[2J\u202e")

    world.door.lies["GetStatus"] = lie
    told = await world.pay()
    assert (told.exit_code, told.stderr.count("\n")) == (1, 1)
    assert "refused: no\\ndchat: paid\\u001b[2J\\u202e" in told.stderr


async def test_a_vote_is_not_shown_by_an_old_proposal(world: World) -> None:
    """Which ballot is the last is proved of the same height as the vote, else an old vote passes for the last one."""

    async def older(request: gov.GetProposalRequest, honest: Honest) -> gov.GetProposalResponse:
        request.height -= 1
        answer: gov.GetProposalResponse = await honest()
        return answer

    question = ("query", "gov", "vote", 1, world.running.account("alice").address_text, "--prove")
    assert (await world.dchat(*question)).exit_code == 3
    world.door.lies["GetProposal"] = older
    told = await world.dchat(*question)
    assert (told.exit_code, "asked for the proposal after block" in told.stderr) == (Exit.PROOF, True), told.output


@pytest.mark.parametrize("height", [-(2**63), 0, 2**62 + 1, 2**63 - 1])
async def test_heights_that_are_none_get_a_plain_word(
    world: World, monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    """audit 20, sibling: the height after the last that a field holds ended `--prove` in a traceback."""
    async with world.running.client() as honest:
        paid = await world.session(honest).send([world.payment()])
    monkeypatch.setattr(node_client, "HEIGHT_DEADLINE_S", 0.3)
    monkeypatch.setattr(wallet, "SUBMIT_DEADLINE_S", 0.3)

    def of_proof(answer: pb.GetAccountResponse) -> None:
        answer.height = answer.proof.height = height

    for method, change in (
        ("GetStatus", lambda answer: setattr(answer, "latest_block_height", height)),
        ("GetAccount", lambda answer: setattr(answer, "height", height)),
        ("GetAccount", of_proof),
        ("Broadcast", lambda answer: setattr(answer, "height", height)),
        ("GetTx", lambda answer: setattr(answer, "height", height)),
    ):
        world.door.lies = {method: twists(change)}
        for command in (
            ("query", "account", world.file("alice"), "--prove"),
            ("query", "tx", paid.hash.hex(), "--prove"),
            ("tx", "pay", "--from", world.file("alice"), "--to", world.file("bob"), "--amount", 1),
        ):
            told = await world.dchat(*command)
            assert isinstance(told.exception, SystemExit | None), (method, command, told.exception)
            assert told.exit_code == 0 or told.stderr.startswith("dchat: "), (method, command, told.output)


async def test_who_stops_a_command_is_told_what_is_out(world: World) -> None:
    """audit 19: Ctrl-C while a door says nothing, and the same command again, paid twice."""

    forever = asyncio.Event()  # held here: a call that waits for what nobody holds may be collected, and end

    async def never(request: Any, honest: Honest) -> Any:
        await forever.wait()

    world.door.lies["Broadcast"] = never
    home = world.running.network.home_of(world.running.network.nodes[0])
    line = ["tx", "pay", "--from", world.file("alice"), "--to", world.file("bob"), "--amount", "1"]
    line += ["--home", home, "--node", world.door.address]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit it ignored
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dchat", *map(str, line), stderr=asyncio.subprocess.PIPE
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        await until(lambda: bool(world.door.handed), timeout_s=60)
        process.send_signal(signal.SIGINT)
        said = (await process.communicate())[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
    (tx,) = world.signed
    assert process.returncode == Exit.FAILED, said
    assert f"{tx.id.hex()} is signed and may still be executed until block {tx.expiry_height}" in said


async def test_a_failure_that_is_proved_is_told_in_our_words(world: World) -> None:
    """Its number is proved, the reason is not."""
    world.door.lies["GetTx"] = twists(lambda answer: setattr(answer, "log", "all is well, it was paid twice"))
    told = await world.dchat(
        "tx", "stake", "delegate", "--validator", world.file("bob"), "--amount", 5, "--from", world.file("alice")
    )
    assert told.exit_code == 1
    shown = json.loads(told.stdout)
    assert (shown["code"], shown["log"]) == (UnknownValidator.code, UnknownValidator.rule), told.output
    assert shown["proved_by_header"] > shown["height"] > 0
    assert "may still be executed" not in told.stderr


async def test_huge_and_slow_answers_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is signed: the person is told so."""
    world.door.lies["GetStatus"] = twists(lambda answer: setattr(answer, "version", "v" * SMALL_BYTES_MAX))
    told = await world.pay()
    assert (told.exit_code, "larger than max" in told.stderr) == (1, True), told.output
    assert world.door.handed == []

    forever = asyncio.Event()  # held here, as above

    async def never(request: Any, honest: Honest) -> Any:
        await forever.wait()

    monkeypatch.setattr(wallet, "PREPARE_DEADLINE_S", 0.3)
    world.door.lies.clear()
    for method in ("GetStatus", "GetCommit", "GetAccount", "GetParams"):
        world.door.lies = {method: never}
        told = await world.pay()
        assert (told.exit_code, "nothing was" in told.stderr) == (Exit.UNREACHABLE, True), told.output
    assert world.door.handed == []


async def test_what_is_not_known_to_be_settled_is_told_as_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that never answers, that says "try later" for ever, or "admitted" where a block was asked for."""
    monkeypatch.setattr(wallet, "RESEND_FIRST_S", 0.01)
    full = refusal(Refusal.FULL, CODESPACE)
    for lie in (full, says(pb.BroadcastResponse())):
        world.door.handed.clear()
        world.door.lies["Broadcast"] = lie
        async with Client(world.door.address) as client:
            tx = await world.session(client).build([world.payment()])
            with pytest.raises(NodeUnreachable, match=f"may still be executed until block {decode(tx).expiry_height}"):
                await wallet.submit(client, tx, deadline_s=0.5)
        assert world.door.handed == [tx]


async def test_expiry_is_told_by_a_verified_height(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 19: "it expired" made a person sign again what the door still had."""
    monkeypatch.setattr(wallet, "RESEND_FIRST_S", 0.01)
    monkeypatch.setattr(wallet, "SUBMIT_DEADLINE_S", 1.0)

    async def full(request: Any, honest: Honest) -> Any:
        world.door.lies["GetStatus"] = twists(far_away)
        return pb.BroadcastResponse(code=int(Refusal.FULL), codespace=CODESPACE)

    world.door.lies["Broadcast"] = full
    told = await world.pay()
    (tx,) = world.signed
    assert told.exit_code == Exit.UNREACHABLE, told.output
    assert f"may still be executed until block {tx.expiry_height}" in told.stderr
