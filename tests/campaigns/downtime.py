"""Must be shown 3 of the economics: a validator is down, is jailed at the formula's block, comes back, is paid again.

A network with a short window; people delegate to validator 4, its process stops. What is expected of every block is
computed here from the blocks alone (`tests.campaigns.rules`): who is jailed at which height, the slash of 1 %, what is
minted, what each validator's delegators and commission and the community pool get. After the jail time `unjail` is sent
by the command line; the validator is back in the set two heights later, signs, and is paid again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from chain.currency.ledger.bank import BONDED_POOL, held
from chain.currency.ledger.economic_params import DISTRIBUTION, MINT
from chain.currency.ledger.stake_records import MINTER, VALIDATOR
from chain.currency.rewards import distribution
from chain.currency.staking.signing import info_of
from chain.tx.errors import StillJailed
from chain.tx.messages.economy import Delegate, WithdrawCommission, WithdrawRewards
from consensus.abci.interface import BlockRequest, VoteInfo
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.config import Config
from dchat.devnet.network import Pace, make_network
from dchat.home import identity
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, be_quiet, folder_of, run_campaign, say, until
from tests.campaigns.replay import Replay, money_of, say_all_have_the_same
from tests.campaigns.rules import D, Inflation, Window, shares_of_block, slash

VICTIM = 4
WINDOW = 20
JAIL_S = 8
DCHAT = 10**6
ABSENT = 1
NS = 10**9
PACE = Pace(500, 1_000, 300, 300, 200, 100)


# ------------------------------------------------------------------------------ the network


async def run_network(folder: Path, rng: random.Random) -> tuple[Testnet, list[int]]:
    """Returns with all stopped: the network, and what alice was paid at each withdrawal, udchat."""
    options = Config.model_validate({"slashing": {"missed_blocks_window": WINDOW, "downtime_jail_duration": JAIL_S}})
    make_network(folder / "net", pace=PACE, options=options)
    with Testnet(folder / "net") as net:
        victim = net.network.node(VICTIM)
        address = bytes.fromhex(victim.address)
        operator = identity.load(net.network.home_of(victim) / "identity.json").wallet
        alice = identity.load(net.home / net.network.accounts["alice"]).wallet
        async with Client(net.grpc(1)) as client:
            await client.wait_for_height(3)
            amount = rng.randrange(200_000 * DCHAT, 300_000 * DCHAT)
            await Session(client, alice).send([Delegate(alice.address, operator.address, amount)])
            await client.wait_for_height(WINDOW + rng.randrange(2, 8))

            async def is_out() -> bool:
                return address not in {member.address for member in (await client.validators()).validators}

            async def is_in() -> bool:
                return not await is_out()

            await asyncio.to_thread(net.stop, VICTIM)
            stopped = (await client.status()).latest_block_height
            took = await until("validator 4 out of the set", is_out, timeout_s=120)
            say(f"validator 4 stopped at height {stopped}, is out of the set {took:.1f} s later")
            code, told = await asyncio.to_thread(unjail, net)
            if not code or StillJailed.rule not in told:
                raise CampaignFailed(f"unjail before the time: exit {code}, {told}")
            say("unjail before the time is refused")
            await asyncio.to_thread(net.start, VICTIM)
            await asyncio.sleep(JAIL_S)
            await until("its unjail", lambda: _unjailed(net), timeout_s=60, poll_s=1)
            await until("validator 4 back in the set", is_in, timeout_s=60)
            back = (await client.status()).latest_block_height
            say(f"unjailed by the command line, in the set again at height {back}")
            await client.wait_for_height(back + 8)
            await check_metrics(net, client, address)
            paid = await withdraw(client, alice, operator)
            await client.wait_for_height((await client.status()).latest_block_height + 3)
    return net, paid


def unjail(net: Testnet) -> tuple[int, str]:
    """By the command line, from the victim's home. Returns (exit code, what it said)."""
    home = net.network.home_of(net.network.node(VICTIM))
    done = subprocess.run(
        [sys.executable, "-m", "dchat", "tx", "stake", "unjail", "--home", str(home), "--node", net.grpc(1)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


async def _unjailed(net: Testnet) -> bool:
    code, told = await asyncio.to_thread(unjail, net)
    if code and StillJailed.rule not in told:
        raise CampaignFailed(f"unjail: exit {code}, {told}")
    return not code


async def withdraw(client: Client, alice: Any, operator: Any) -> list[int]:
    """alice's rewards, and the operator's commission."""
    paid = []
    for wallet, message in (
        (alice, WithdrawRewards(alice.address, operator.address)),
        (operator, WithdrawCommission(operator.address)),
    ):
        outcome = await Session(client, wallet).send([message])
        assert outcome.receipt is not None
        paid.append(outcome.receipt.legs[0].amount)
    return paid


async def check_metrics(net: Testnet, client: Client, address: bytes) -> None:
    """The victim's own metrics say what the chain says of it."""
    port = net.network.node(VICTIM).ports.metrics

    async def told() -> dict[str, float]:
        reader, writer = await asyncio.open_connection(net.network.host, port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        rows = [line.split(" ") for line in text.splitlines() if line.startswith("dchat_validator_")]
        return {row[0]: float(row[-1]) for row in rows}

    from proto.dchat.v1 import staking_service_pb2 as pb

    request = pb.GetStakingValidatorRequest(consensus_address=address)
    found = (await client.call(client.staking.GetStakingValidator, request)).validator
    metrics = await told()
    missed, stake = metrics["dchat_validator_missed_blocks_total"], metrics["dchat_validator_stake_amount"]
    say(f"its metrics: {missed:.0f} blocks missed, {stake:.6f} DCHAT of stake")
    if int(missed) != found.signing.missed_total or round(stake * DCHAT) != found.tokens:
        raise CampaignFailed(f"the chain says {found.signing.missed_total} and {found.tokens} udchat")


# ------------------------------------------------------------------------------ what every block should have done


class Model:
    """Follows the blocks; compares each with what the chain made of it."""

    def __init__(self, story: Replay, victim: bytes, alice: bytes) -> None:
        self.story, self.victim, self.alice = story, victim, alice
        mint, minter = story.state.get(MINT), story.state.get(MINTER)
        self.params = story.state.get(DISTRIBUTION)
        self.inflation = Inflation(
            minter.inflation, mint.inflation_change, mint.inflation_min, mint.inflation_max, mint.goal_bonded,
            mint.blocks_per_year,
        )  # fmt: skip
        self.windows: dict[bytes, Window] = {}
        self.last_time_ns = story.genesis.genesis_time_ns
        self.proposer = b""
        self.jailed_at = 0
        self.paid: list[int] = []  # heights at which the victim's accrued
        self.alice_owed = Fraction(0)
        self.blocks = 0

    def block(self, request: BlockRequest) -> None:
        story = self.story
        before = {key[len(VALIDATOR) :]: found for key, found in story.state.scan(VALIDATOR)}
        trial = story.without_transactions(request)
        self._rewards(request, before, trial)
        self._liveness(request, before, trial)
        story.execute(request)
        for operator, old in before.items():
            new = story.state.get(VALIDATOR + operator)
            if old.status != new.status and new.status == 3:  # bonded at the end of this block
                self._window(new.address).start_height = request.height
        self.proposer, self.last_time_ns = request.proposer_address, request.time_ns
        self.blocks += 1

    def _window(self, address: bytes) -> Window:
        return self.windows.setdefault(address, Window(WINDOW, Fraction(1, 2), 0))

    def _liveness(self, request: BlockRequest, before: dict[bytes, Any], trial: Any) -> None:
        by_address = {v.address: v for v in before.values()}
        for vote in request.last_commit.votes:
            validator = by_address[vote.address]
            due = not validator.jailed and self._window(vote.address).vote(request.height, vote.block_id_flag == ABSENT)
            after = trial.get(VALIDATOR + validator.operator)
            if after.jailed != (validator.jailed or due):
                raise CampaignFailed(
                    f"height {request.height}: {vote.address.hex()} jailed: {after.jailed}, due: {due}"
                )
            if due:
                self._jailed(request, vote, validator, trial)

    def _jailed(self, request: BlockRequest, vote: VoteInfo, validator: Any, trial: Any) -> None:
        height, power = request.height, vote.power
        expected = slash(
            power=power, fraction=Fraction(1, 100), height=height - 2, now_ns=request.time_ns,
            tokens=validator.tokens,
        )  # fmt: skip
        burned = validator.tokens - trial.get(VALIDATOR + validator.operator).tokens
        say(f"jailed in block {height}, as the formula says; slashed {burned} udchat, 1 % of power {power}")
        if burned != expected.own:
            raise CampaignFailed(f"slashed {burned} udchat, the model says {expected.own}")
        info = info_of(trial, vote.address)
        assert info is not None
        if info.jailed_until_ns != request.time_ns + JAIL_S * NS:
            raise CampaignFailed(f"jailed until {info.jailed_until_ns}, expected {JAIL_S} s after {request.time_ns}")
        if vote.address != self.victim or self.jailed_at:
            raise CampaignFailed(f"{vote.address.hex()} is jailed, which was not to be")
        self.jailed_at = height

    def _rewards(self, request: BlockRequest, before: dict[bytes, Any], trial: Any) -> None:
        story, votes = self.story, request.last_commit.votes
        if not votes:  # the first block: nobody has earned anything yet
            return
        money, after = money_of(story.state), money_of(trial)
        fee_burn = money.fees * self.params.fee_burn // D
        supply = distribution.total_supply(story.state)
        minted = self.inflation.minted(
            bonded=held(story.state, BONDED_POOL), supply=supply - fee_burn,
            elapsed_ns=request.time_ns - self.last_time_ns,
        )  # fmt: skip
        self._same(request, "minted", after.minted - money.minted, minted)
        by_address = {v.address: v for v in before.values()}
        members = [by_address[vote.address] for vote in votes]
        places = {vote.address: place for place, vote in enumerate(votes)}
        parts, rest = shares_of_block(
            money.fees - fee_burn + minted, [vote.power for vote in votes], [m.rate for m in members],
            proposer=places.get(self.proposer), signed=[vote.block_id_flag != ABSENT for vote in votes],
            tax=self.params.community_tax, base=self.params.base_proposer_reward,
            bonus=self.params.bonus_proposer_reward,
        )  # fmt: skip
        given = dict(zip((m.operator for m in members), parts, strict=True))
        for operator, validator in before.items():
            old, new = distribution.settled(story.state, validator), distribution.settled(trial, validator)
            part = given.get(operator)
            want = (part.delegators + part.commission, part.commission) if part is not None else (0, 0)
            got = (new.outstanding - old.outstanding, new.commission - old.commission)
            self._same(request, f"rewards of {validator.moniker}", got, want)
            if validator.address == self.victim and part is not None:
                self.paid.append(request.height)
                self._alice(validator, part.delegators)
        self._same(request, "the community pool", after.pool - money.pool, rest)

    def _alice(self, validator: Any, reward: int) -> None:
        delegation = distribution.delegation_of(self.story.state, self.alice, validator.operator)
        if delegation is not None:
            self.alice_owed += Fraction(reward * delegation.shares, validator.shares * D)

    def _same(self, request: BlockRequest, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            raise CampaignFailed(f"height {request.height}: {what}: {found}, the model says {expected}")


def check_story(story: Replay, victim: bytes, alice: bytes, paid: list[int]) -> None:
    model = Model(story, victim, alice)
    owed_at_withdrawal = Fraction(0)
    for request in story.requests():
        model.block(request)
        operator = story.validator(victim).operator
        delegation = distribution.delegation_of(story.state, alice, operator)
        if delegation is not None and delegation.start_height == request.height and model.alice_owed:
            owed_at_withdrawal, model.alice_owed = model.alice_owed, Fraction(0)
    say(f"{model.blocks} blocks: minted, each validator's rewards and commission, and the pool as the model says")
    if not model.jailed_at:
        raise CampaignFailed("the formula jails nobody: the validator was not down for long enough")
    gaps = [(a, b) for a, b in zip(model.paid, model.paid[1:], strict=False) if b > a + 1]
    if len(gaps) != 1:
        raise CampaignFailed(f"rewards paused {len(gaps)} times: {gaps}")
    stopped, resumed = gaps[0]
    joined = next(h for h in range(stopped, story.height) if victim in story.validators(h) and h > model.jailed_at + 2)
    say(f"rewards stopped after block {stopped} and resumed in {resumed}; it was in the set again from {joined}")
    # In the set until jailed_at + 1, whose commit is in the block after; the first commit with it again likewise.
    if (stopped, resumed) != (model.jailed_at + 2, joined + 1):
        raise CampaignFailed(f"expected: stopped after {model.jailed_at + 2}, resumed in {joined + 1}")
    _check_signs(story, victim, joined)
    if not owed_at_withdrawal - 2 < paid[0] <= owed_at_withdrawal:
        raise CampaignFailed(
            f"alice was paid {paid[0]} udchat, shared out one by one it is {float(owed_at_withdrawal)}"
        )
    say(f"alice withdrew {paid[0]} udchat over stop and slash; given block by block: {float(owed_at_withdrawal):.6f}")
    say(f"the operator withdrew {paid[1]} udchat of commission")


def _check_signs(story: Replay, victim: bytes, since: int) -> None:
    signed = total = 0
    for height in range(since, story.height + 1):
        commit = story.blocks.load_commit(height) or story.blocks.load_seen_commit(height)
        assert commit is not None
        total += 1
        signed += any(slot.validator_address == victim and slot.is_commit for slot in commit.signatures)
    say(f"it signed {signed} of {total} blocks since")
    if signed < total // 2:
        raise CampaignFailed("it does not sign again")


async def main(arguments: argparse.Namespace) -> None:
    rng = random.Random(arguments.seed)
    say(f"seed {arguments.seed}; window {WINDOW}, jail {JAIL_S} s")
    be_quiet()
    with folder_of("downtime") as folder:
        net, paid = await run_network(folder, rng)
        (folder / "paid.json").write_text(json.dumps(paid))
        alice = identity.load(net.home / net.network.accounts["alice"]).wallet.address
        with Replay(net.homes[0]) as story:
            check_story(story, bytes.fromhex(net.network.node(VICTIM).address), alice, paid)
        say_all_have_the_same(net.homes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
