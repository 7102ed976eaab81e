"""Must be shown 2 of the economics: a validator signs twice on purpose, and pays exactly what the rules say.

Four validators, and a twin of the last one: a second process with its consensus key, an empty record of signatures and
a node key of its own, made here from files; no option of the product does that. A process of ours that sees its key
elsewhere stops, so both run without that watch (tests/campaigns/careless.py). When the key is to propose, both
propose different blocks and vote for their own. Meanwhile people delegate to it, take stake away and move it, so that
the punishment has to reach what left since.

Shown: the evidence is in a block within three of the infraction; the slash is the one computed here from the sheet,
unit for unit; the key is jailed, tombstoned, and out of the set two heights later, for good; all nodes have the same
balances and roots; every invariant holds on each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from chain.currency.ledger.stake_records import REDELEGATIONS, UNBONDING, UNBONDINGS, VALIDATOR
from chain.currency.staking.signing import FOREVER_NS, info_of
from chain.tx.errors import Tombstoned
from chain.tx.messages import Payment
from chain.tx.messages.economy import Delegate, Redelegate, Undelegate, Unjail
from consensus.p2p.conn.node_key import NodeKey
from consensus.system.files import write_new_secret
from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session, TxRefused
from dchat.config import Config
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import NodeEntry, Pace, Ports, make_network, node_config
from dchat.home import identity
from dchat.home.home import Home
from tests.campaigns.harness import CampaignFailed, Testnet, be_quiet, folder_of, run_campaign, say, until
from tests.campaigns.logs import messages
from tests.campaigns.replay import Replay, money_of, say_all_have_the_same
from tests.campaigns.rules import Entry, slash

VICTIM = 4
BLOCKS_MAX = 3  # from the infraction to the block with its evidence
FRACTION = Fraction(1, 20)
FEE_BURN_PERCENT = 20  # of the distribution's params
DCHAT = 10**6
CARELESS = "tests.campaigns.careless"
PACE = Pace(500, 1_000, 300, 300, 200, 500)  # two blocks a second: on a busy machine, too, the twin keeps up


def make_twin(net: Testnet, ports: Ports) -> NodeEntry:
    """A home with the victim's consensus key that knows nothing of what it signed."""
    victim, index = net.network.node(VICTIM), len(net.nodes) + 1
    home = Home.of(net.home / "twin")
    home.data.mkdir(parents=True)
    home.genesis.parent.mkdir(parents=True)
    key = NodeKey.generate()
    key.save(home.node_key)
    source = Home.of(net.network.home_of(victim))
    write_new_secret(home.validator_key, source.validator_key.read_text())
    home.genesis.write_bytes(source.genesis.read_bytes())
    home.sign_state.write_text('{"height":"0","round":0,"step":0}\n')
    identity.generate().save(home.identity)
    twin = NodeEntry(index, "twin", "twin", key.id, victim.address, ports)
    home.config_file.write_text(node_config(net.network, twin, PACE))
    return twin


async def keep_moving_stake(net: Testnet, victim: bytes, other: bytes, rng: random.Random) -> None:
    """Delegations to the victim are taken away and moved in small parts, a few a block, until cancelled."""
    async with Client(net.grpc(1)) as client:
        wallets = {name: identity.load(net.home / path).wallet for name, path in net.network.accounts.items()}
        sessions = {name: Session(client, wallet) for name, wallet in wallets.items()}
        while True:
            for name, session in sessions.items():
                amount = rng.randrange(1_000 * DCHAT, 3_000 * DCHAT)
                mine = wallets[name].address
                moves = rng.random() < 0.5
                message = Redelegate(mine, victim, other, amount) if moves else Undelegate(mine, victim, amount)
                with contextlib.suppress(TxRefused):  # seven entries wait: no more for now
                    await session.send([message])


async def keep_paying(net: Testnet, twin: NodeEntry) -> None:
    """Payments to the original and others to its twin: what they know of differs, and so do their proposals."""
    host = net.network.host
    payer = net.network.home_of(net.network.node(1))
    wallet = identity.load(payer / "identity.json").wallet
    addresses = (net.grpc(VICTIM), f"{host}:{twin.ports.grpc}")
    while True:
        for number, address in enumerate(addresses):
            with contextlib.suppress(ClientError, TimeoutError):
                async with Client(address) as client:
                    session = Session(client, wallet)
                    payment = Payment(wallet.address, bytes([number + 1]) * 20, 1 + number)
                    await session.send([payment], wait_commit=False, unordered=True, expiry_blocks=50)
        await asyncio.sleep(0.05)


async def run_network(folder: Path, rng: random.Random) -> tuple[Testnet, NodeEntry]:
    """Until the key is out of the set, and some blocks more. Returns with all processes stopped."""
    options = Config.model_validate({"staking": {"unbonding_time": 86_400}})
    ports = free_ports(5)
    make_network(folder / "net", pace=PACE, options=options, ports=ports[:-1])
    with Testnet(folder / "net") as net:
        victim, other = net.network.node(VICTIM), net.network.node(2)
        operator = identity.load(net.network.home_of(victim) / "identity.json").wallet
        target = identity.load(net.network.home_of(other) / "identity.json").wallet
        address = bytes.fromhex(victim.address)
        async with Client(net.grpc(1)) as client:
            await client.wait_for_height(2)
            for path in net.network.accounts.values():
                wallet = identity.load(net.home / path).wallet
                amount = rng.randrange(100_000 * DCHAT, 200_000 * DCHAT)
                await Session(client, wallet).send([Delegate(wallet.address, operator.address, amount)])
            say("four accounts delegated to validator 4")
            net.stop(VICTIM)
            await asyncio.to_thread(processes.start, net.network, victim, module=CARELESS)
            twin = make_twin(net, ports[-1])
            moving = asyncio.create_task(keep_moving_stake(net, operator.address, target.address, rng))
            pid = await asyncio.to_thread(processes.start, net.network, twin, module=CARELESS)
            paying = asyncio.create_task(keep_paying(net, twin))
            started, height = time.monotonic(), (await client.status()).latest_block_height
            say(f"the twin of validator 4 runs (process {pid}), at height {height}")
            try:

                async def is_out() -> bool:
                    for node in (victim, twin):
                        if processes.running_pid(net.network, node) is None:
                            raise CampaignFailed(f"{node.name} ended:\n{processes.tail(net.network, node)}")
                    members = (await client.validators()).validators
                    return address not in {member.address for member in members}

                await until("validator 4 out of the set", is_out, timeout_s=180)
                height = (await client.status()).latest_block_height
                say(f"out of the set {time.monotonic() - started:.1f} s later, at height {height}")
                moving.cancel()
                paying.cancel()
                await check_forever(client, operator)
                await client.wait_for_height(height + 5)
                running = {node.name for node in (*net.nodes, twin) if processes.running_pid(net.network, node)}
                say(f"still running: {', '.join(sorted(running))}")
                if missing := {node.name for node in net.nodes} - running:
                    raise CampaignFailed(f"stopped by themselves: {sorted(missing)}")
            finally:
                for task in (moving, paying):
                    task.cancel()
                await asyncio.gather(moving, paying, return_exceptions=True)
                await asyncio.to_thread(processes.stop, net.network, (twin,))
    return net, twin


async def check_forever(client: Client, operator: Any) -> None:
    """A tombstoned validator cannot come back."""
    try:
        await Session(client, operator).send([Unjail(operator.address)])
    except TxRefused as error:
        if error.outcome.code != Tombstoned.code:
            raise
        say(f"unjail is refused: {error.outcome.log}")
        return
    raise CampaignFailed("a tombstoned validator was unjailed")


# ------------------------------------------------------------------------------ what the files say afterwards


def signed_twice(homes: list[Path], address: bytes) -> list[tuple[int, str]]:
    """(height, what) for each height, round and step for which these nodes together saw two votes of the key."""
    seen: dict[tuple[int, int, int], dict[bytes, str]] = {}
    for home in homes:
        for message in messages(home):
            if message.WhichOneof("sum") != "msg_info" or message.msg_info.msg.WhichOneof("sum") != "vote":
                continue
            vote = message.msg_info.msg.vote.vote
            if vote.validator_address == address:
                slot = seen.setdefault((vote.height, vote.round, int(vote.type)), {})
                slot.setdefault(vote.block_id.hash, home.name)
    found = []
    for (height, round, kind), blocks in sorted(seen.items()):
        if len(blocks) > 1:
            names = " and ".join(block.hex()[:8] or "nil" for block in blocks)
            step = {1: "prevotes", 2: "precommits"}[kind]
            found.append((height, f"{step} for {names} in round {round} of height {height}"))
    return found


def first_infraction(honest: list[Path], everybody: list[Path], address: bytes) -> int:
    """The first height of which the honest nodes, together, hold two votes of the key.

    A vote that never left the two processes of the key (their peers had the other one already, and said so) deceives
    nobody and can be known to nobody.
    """
    known = signed_twice(honest, address)
    if not known:
        raise CampaignFailed("the honest nodes never saw validator 4 sign twice")
    unseen = len(signed_twice(everybody, address)) - len(known)
    say(f"first signed twice: {known[0][1]}; {len(known)} such pairs reached the others, {unseen} did not")
    return known[0][0]


def entries_of(state: Any, operator: bytes) -> tuple[list[Entry], list[Entry]]:
    """(unbondings, redelegations) from a validator, of a state."""
    unbondings = [
        Entry(e.creation_height, e.completion_ns, e.initial_balance, e.balance)
        for _, record in state.scan(UNBONDINGS + operator)
        for e in record.entries
    ]
    redelegations = [
        Entry(e.creation_height, e.completion_ns, e.initial_balance)
        for _, record in state.scan(REDELEGATIONS + operator)
        for e in record.entries
    ]
    return unbondings, redelegations


def check_punishment(story: Replay, address: bytes, happened: int) -> None:
    """Replay the chain; at the block with the first evidence compare everything with the model."""
    punished = 0
    for request in story.requests():
        found = [item for item in request.misbehavior if item.address == address]
        if not found or punished:
            story.execute(request)
            continue
        punished, evidence = request.height, found[0]
        before = story.validator(address)
        entries = entries_of(story.state, before.operator)
        expected = slash(
            power=evidence.power, fraction=FRACTION, height=evidence.height - 1, now_ns=request.time_ns,
            tokens=before.tokens, unbondings=entries[0], redelegations=entries[1],
        )  # fmt: skip
        trial = story.without_transactions(request)
        money = money_of(story.state)
        burned = money_of(trial).burned - money.burned - money.fees * FEE_BURN_PERCENT // 100
        own = before.tokens - trial.get(VALIDATOR + before.operator).tokens
        unbonded = sum(e.balance for e in entries[0]) - sum(e.balance for e in entries_of(trial, before.operator)[0])
        reached = [e for e in (*entries[0], *entries[1]) if e.creation_height >= evidence.height - 1]
        say(
            f"infraction at {evidence.height}, evidence in block {punished}: {punished - evidence.height} later; power "
            f"{evidence.power}, {len(reached)} of {len(entries[0]) + len(entries[1])} unbondings and redelegations "
            "began since"
        )
        say(f"5 % of that power: {expected.total} udchat")
        _equal("slashed of the validator's tokens", own, expected.own)
        _equal("slashed of unbondings", unbonded, expected.unbondings)
        moved = burned - own - unbonded
        say(f"slashed of what was moved away: {moved} udchat, due {expected.redelegations}")
        if not 0 <= expected.redelegations - moved <= 2 * len(entries[1]):  # shares to tokens, twice cut
            raise CampaignFailed(f"slashed {moved} of redelegations, the model says {expected.redelegations}")
        updates = story.execute(request).validator_updates
        after = story.validator(address)
        _check_out(story, address, punished, after, [u.pub_key.address for u in updates if u.power == 0])
        if punished - happened > BLOCKS_MAX:
            raise CampaignFailed(f"signed twice at {happened}, the evidence came at {punished}")
    if not punished:
        raise CampaignFailed("no block has the evidence")
    if story.validator(address).tokens != after.tokens:
        say(f"tokens later: {story.validator(address).tokens} (people took stake away)")
    info = info_of(story.state, address)
    assert info is not None
    if not (info.tombstoned and story.validator(address).jailed):
        raise CampaignFailed("the validator is not tombstoned and jailed at the end")


def _check_out(story: Replay, address: bytes, punished: int, after: Any, removed: list[bytes]) -> None:
    info = info_of(story.state, address)
    assert info is not None
    if not (after.jailed and info.tombstoned and info.jailed_until_ns == FOREVER_NS and after.status == UNBONDING):
        raise CampaignFailed(f"not jailed, tombstoned and unbonding: {after}, {info}")
    if removed != [address]:
        raise CampaignFailed(f"the engine was told to remove {removed}")
    sets = [address in story.validators(height) for height in (punished, punished + 1, punished + 2)]
    if sets != [True, True, False]:
        raise CampaignFailed(f"in the sets of {punished} to {punished + 2}: {sets}")
    say(f"jailed, tombstoned; in the set of {punished + 1}, out of that of {punished + 2}")


def _equal(what: str, found: int, expected: int) -> None:
    say(f"{what}: {found} udchat, expected {expected}")
    if found != expected:
        raise CampaignFailed(f"{what}: {found} udchat, the model says {expected}")


async def main(arguments: argparse.Namespace) -> None:
    rng = random.Random(arguments.seed)
    say(f"seed {arguments.seed}")
    be_quiet()
    with folder_of("equivocate") as folder:
        net, twin = await run_network(folder, rng)
        address = bytes.fromhex(net.network.node(VICTIM).address)
        homes = [*net.homes, net.network.home_of(twin)]
        happened = first_infraction(net.homes[: VICTIM - 1], homes, address)
        with Replay(net.homes[0]) as story:
            check_punishment(story, address, happened)
        say_all_have_the_same(homes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
