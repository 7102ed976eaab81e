"""Headers a second that the light client verifies, beside the floor of the signature checks that they need.

    python -m benchmarks.light_headers [--headers 500] [--validators 4,100] [--json]

`sequential` verifies each header by the set that the one before names; `skipping` follows a chain that exchanges a
third of its validators every 50 heights, by as few headers as that allows; `back` goes by hashes. The floor is the time
of as many signature checks as the same run did, alone. All by one processor's time, with the provider in this process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import crypto.batch
from crypto.batch import Check
from light import LightClient, Options, Root
from light.store import MemoryTrustStore
from tests.support.light.chains import Chain, Teller, make_chain


def chain_of(validators: int, headers: int, *, turning: bool) -> Chain:
    step = max(1, validators // 3) if turning else 0
    firsts = [height // 50 * step for height in range(headers + 1)]
    return make_chain([{f"v{number}": 10 for number in range(first, first + validators)} for first in firsts])


def floor_s(chain: Chain, checks: int) -> float:
    """Of `checks` signature checks, by 200 of the chain's own."""
    found: list[Check] = []
    for block in chain.blocks.values():
        for index, key in enumerate(block.validators.pub_keys):
            sign_bytes = block.commit.sign_bytes(block.header.chain_id, index)
            found.append((key, sign_bytes, block.commit.signatures[index].signature))
        if len(found) >= 200:
            break
    began = time.process_time()
    assert all(crypto.batch.verify_many(found))
    return (time.process_time() - began) / len(found) * checks


class Counted:
    """The client's signature checks."""

    def __init__(self, client: LightClient) -> None:
        self.checks = 0
        remembered = client._walker._signatures
        plain = remembered.verify

        def verify(check: Check) -> bool:
            self.checks += check not in remembered
            return plain(check)

        remembered.verify = verify  # type: ignore[method-assign]


def measured(name: str, chain: Chain, *, begin: int, target: int, sequential: bool = False) -> dict[str, Any]:
    teller = Teller(chain)
    client = LightClient(
        Root(begin, chain.blocks[begin].hash),
        teller,
        options=Options(sequential=sequential),
        store=MemoryTrustStore(10_000),
        now_ns=lambda: chain.now_ns,
    )
    asyncio.run(client.verify_at(begin))
    counted = Counted(client)
    began = time.process_time()
    asyncio.run(client.verify_at(target))
    took_s = time.process_time() - began
    headers = len(teller.asked) - 1
    floor = floor_s(chain, counted.checks)
    return {
        "way": name,
        "validators": len(chain.blocks[1].validators),
        "heights": abs(target - begin),
        "headers": headers,
        "checks": counted.checks,
        "took_s": round(took_s, 4),
        "floor_s": round(floor, 4),
        "headers_per_s": round(headers / took_s),
        "heights_per_s": round(abs(target - begin) / took_s),
        "floor_percent": round(100 * floor / took_s),
    }


def run(headers: int, sizes: Sequence[int]) -> list[dict[str, Any]]:
    found = []
    for size in sizes:
        steady, turning = (chain_of(size, headers, turning=changes) for changes in (False, True))
        found.append(measured("sequential", steady, begin=1, target=headers, sequential=True))
        found.append(measured("skipping", turning, begin=1, target=headers))
        found.append(measured("back", steady, begin=headers, target=max(1, headers - 900)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headers", type=int, default=500)
    parser.add_argument("--validators", default="4,100")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = run(arguments.headers, [int(size) for size in arguments.validators.split(",")])
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for one in results:
        print(
            f"{one['way']:<10} {one['validators']:>4} validators: {one['headers']} for {one['heights']} heights in "
            f"{one['took_s']:.3f} s, {one['headers_per_s']} headers/s, {one['heights_per_s']} heights/s; "
            f"{one['checks']} signature checks, floor {one['floor_s']:.3f} s ({one['floor_percent']} %)"
        )


if __name__ == "__main__":
    main()
