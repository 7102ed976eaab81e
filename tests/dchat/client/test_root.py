"""Where trust begins with a header that the node does not have: what the person is told to do."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.documents.genesis import GenesisDoc
from dchat.client.client import NotFound
from dchat.client.verify import RootNotKept, Trust, Verifier
from tests.support.engine.bench import genesis_of

WHY = "the commit of height {} is not kept any more: this node has 900 to 1000"


class Joined:
    """A node that joined by a snapshot."""

    address = "node:26670"

    async def commit(self, height: int) -> Any:
        raise NotFound(WHY.format(height))


def of_genesis() -> Trust:
    genesis: GenesisDoc = genesis_of(1)
    return Trust.of_genesis(genesis)


@pytest.mark.parametrize(
    ("trust", "begins"),
    [
        pytest.param(of_genesis(), "the genesis on: " + WHY.format(1), id="the genesis"),
        pytest.param(Trust.parse(f"7:{'ab' * 32}"), "header 7 on: " + WHY.format(7), id="a header of before"),
    ],
)
async def test_a_node_without_the_first_headers_is_no_liar(trust: Trust, begins: str) -> None:
    client: Any = Joined()
    verifier = Verifier(client, trust, chain_id="" if trust.hash else "bench")
    with pytest.raises(RootNotKept) as caught:
        await verifier.header(950)
    said = str(caught.value)
    assert said.startswith(
        f"node:26670 cannot be checked from {begins}. Give --trust HEIGHT:HASH with a height that it"
    )
    assert "`dchat query block HEIGHT --node HOST:PORT` shows it" in said
