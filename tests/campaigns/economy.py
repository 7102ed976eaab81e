"""Must be shown 4 of the economics: a chain's life by chance, every law checked after every block.

Staking, slashing, rewards, governance, bridge, payments and chat together (`tests.support.economy.life`): random
delegations, slashes, time jumps, withdrawals, votes. A failure names the seed and the step, which say everything.
"""

from __future__ import annotations

import argparse
import random
import time

from tests.campaigns.harness import CampaignFailed, be_quiet, say
from tests.support.economy.life import Life

STEPS_OF_A_LIFE = 2_500  # then another chain begins, from a seed that follows: old ones have little left to slash


def live(seed: int, steps: int) -> Life:
    """Raises CampaignFailed with the seed and the step."""
    life = Life(seed)
    for number in range(1, steps + 1):
        try:
            life.step()
        except Exception as error:
            raise CampaignFailed(f"seed {seed}, step {number}: {error}") from error
    return life


def report(life: Life) -> None:
    done = sum(count for (_, verdict), count in life.tried.items() if verdict == "ok")
    refused = sum(life.tried.values()) - done
    seen = ", ".join(f"{count} {what}" for what, count in sorted(life.seen.items()))
    say(f"  {done} messages done, {refused} transactions failed by the rules; {seen}")
    proposals = ", ".join(f"{count} {status}" for status, count in sorted(life.proposals_decided.items()))
    say(f"  proposals: {proposals or 'none'}")


def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    left, seed = arguments.steps, arguments.seed
    while left:
        steps = min(left, STEPS_OF_A_LIFE)
        started = time.monotonic()
        life = live(seed, steps)
        say(f"seed {seed}: {steps} steps, {(time.monotonic() - started) / steps * 1e3:.1f} ms each, all laws held")
        report(life)
        left, seed = left - steps, seed + 1
    say(f"{arguments.steps} steps: every invariant, model and twin agreed after each")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    main(parser.parse_args())
