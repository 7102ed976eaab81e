"""What a call of the gRPC door costs its node, whatever becomes of what it brings, beside a server that does nothing.

    python -m benchmarks.grpc_calls [--calls 2000] [--txs 1,54] [--rounds 3]

The door is the product's, with the pool behind it, which has no room: transactions are read, hashed, looked for and
refused. The other server, of the same library, gives as many bytes back. Each runs in a process of its own, by turns,
and three of this process's calls are under way at a time. Milliseconds of CPU, user and system, of the server's process
a call; medians of the rounds, and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from typing import Any, Final

import grpc
import grpc.aio
import uvloop

from consensus.abci.interface import CheckTxRequest, CheckTxResponse
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import CommitWatch
from consensus.system.clock import InlineWorkers, LoopClock
from dchat.client.client import Client
from dchat.config.models import GrpcSection
from dchat.devnet.live import cpu_s
from dchat.doors.grpc.door import LARGE, TxService
from dchat.doors.grpc.server import GrpcServer
from dchat.doors.reads.limits import RateLimit
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc

TX_BYTES: Final = 230  # a payment's
AT_ONCE: Final = 3
APART_S: Final = 0.005
WARM_UP: Final = 200
SERVICE, METHOD = "bare.Echo", "Echo"
UNUSED: Any = None  # what this door's other answers come from


class Willing:
    """Admits everything."""

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        return CheckTxResponse(sender=request.tx[:20], touches=(request.tx[:20],))


async def serve_door() -> int:
    """Returns its port; it is served until the process ends."""
    pool = Pool(Willing(), LoopClock(), InlineWorkers(), PoolConfig(sender_txs_max=1))
    serving.append(asyncio.create_task(pool.run()))
    while (await pool.submit_many([os.urandom(TX_BYTES) for _ in range(100)], client="local"))[-1].code == 0:
        pass
    server = GrpcServer(
        GrpcSection(listen_address="127.0.0.1:0"), ("dchat.v1.TxService",), rate=RateLimit(0), large=LARGE
    )
    watch = CommitWatch(lambda height: True)
    service = TxService(
        server.guard, UNUSED, pool=pool, watch=watch, journal=UNUSED, reading=UNUSED, searches=UNUSED
    )  # fmt: skip
    rpc.add_TxServiceServicer_to_server(service, server.registered)
    serving.append(server)
    return await server.start()


async def serve_bare() -> int:
    async def echo(request: bytes, _: Any) -> bytes:
        return request

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    serving.append(server)
    return port


serving: list[Any] = []  # what would else be collected


async def serve(kind: str) -> None:
    print(await (serve_door() if kind == "door" else serve_bare()), flush=True)
    await asyncio.Event().wait()


async def cost(kind: str, calls: int, txs: int) -> float:
    """Milliseconds a call."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.grpc_calls", "--serve", kind, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    while not (line := (await process.stdout.readline()).strip()).isdigit():  # lines of the log
        assert line, "the server ended"
    address = f"127.0.0.1:{int(line)}"
    channel, client = grpc.aio.insecure_channel(address), Client(address)
    echo = channel.unary_unary(f"/{SERVICE}/{METHOD}")

    async def call() -> None:
        batch = [os.urandom(TX_BYTES) for _ in range(txs)]
        if kind == "door":
            assert all("try later" in result.log for result in await client.broadcast_many(batch))
        else:
            await echo(pb.BroadcastManyRequest(txs=batch).SerializeToString())

    async def run(count: int) -> None:
        todo = iter(range(count))

        async def one() -> None:
            for _ in todo:
                await call()
                await asyncio.sleep(APART_S)

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))

    try:
        await run(WARM_UP)
        before = cpu_s(process.pid)
        await run(calls)
        return 1e3 * (cpu_s(process.pid) - before) / calls
    finally:
        await client.close()
        await channel.close()
        process.terminate()
        await process.wait()


async def measure(calls: int, sizes: list[int], rounds: int) -> None:
    print("transactions a call | door, ms | bare, ms | ratio")
    for txs in sizes:
        found = [[await cost(kind, calls, txs) for kind in ("door", "bare")] for _ in range(rounds)]
        door, bare = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{txs:>19} | {door:>8.2f} | {bare:>8.2f} | {door / bare:>5.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--txs", type=lambda text: [int(one) for one in text.split(",")], default=[1, 54])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=("door", "bare"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.install()
        asyncio.run(serve(arguments.serve))
    else:
        asyncio.run(measure(arguments.calls, arguments.txs, arguments.rounds))


if __name__ == "__main__":
    main()
