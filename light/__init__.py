"""The light client, for any program: which header is a chain's, without a node. Needs consensus types and crypto.

    from light import LightClient, Root, Options
    from light.rpc import RpcProvider

    async with RpcProvider("http://node:26657") as primary, RpcProvider("http://other:26657") as witness:
        client = LightClient(Root(height, hash), primary, [witness], options=Options(trusting_period_ns=...))
        block = await client.verify_at(1_000)

`rules` is pure; `walk` goes along one provider's headers; `client` compares providers; `attack` makes evidence; `store`
keeps what was verified; `rpc` asks CometBFT's JSON-RPC. Who else has a chain's light blocks is a `Provider`.
"""

from light.client import LightClient
from light.rules import Options, Root

__all__ = ["LightClient", "Options", "Root", "errors", "provider", "rpc", "rules", "store"]
