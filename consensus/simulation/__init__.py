"""The simulated face of what the machine gives a node: clock, threads, disk, network, tasks, chance; all from a seed.

A node is handed each of them as a value and cannot tell the faces apart:

    what                  interface                            real face          this room's
    wall clock, timers    consensus.system.clock.Clock         LoopClock          clock.SimClock
    threads               consensus.system.clock.Workers       ThreadWorkers      clock.SimWorkers
    the application's     consensus.execution.executor.Drive   executor.drive     clock.Delays.drive
      slices
    files                 consensus.system.disk.Disk           OsDisk             disk.SimulatedDisk, home.SimDisk
    databases             storage.kv.KeyValueStore             LevelStore         home.SimStore
    connections           consensus.p2p.conn.sockets.Sockets   TcpSockets         network.Door
    tasks, their order    asyncio.AbstractEventLoop            uvloop's           loop.VirtualLoop
    chance                random.Random                        of the system's    of the seed's

Nothing here knows which application runs, or judges what it does: dchat/simulation.
"""

__all__ = ["clock", "home", "loop", "network"]
