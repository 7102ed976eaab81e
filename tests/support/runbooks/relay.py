"""What stands in for a relay, which this build has not: a process that tells its metrics as Prometheus reads them."""

from __future__ import annotations

import http.server
import threading
from typing import Final

from tests.support.runbooks.world import World

LONG: Final = 5_001  # messages: more than the rule allows


class Relay:
    """Metrics of a relay, from a port of its own."""

    def __init__(self, port: int) -> None:
        self.port, self.queue = port, 0
        relay = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"# TYPE dchat_relay_queue_size gauge\ndchat_relay_queue_size {relay.queue}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", port), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody answers at its port from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)


def runs(world: World) -> None:
    """It is there, and was read."""
    world.relay = Relay(world.relay_port)
    world.prometheus.read_relays(f"127.0.0.1:{world.relay_port}")
    _is_read(world)
    world.until_end.callback(ends, world)


def ends(world: World) -> None:
    relay, world.relay = world.relay, None
    if relay is not None:
        relay.close()


def again(world: World) -> None:
    """As a service manager starts it."""
    world.relay = Relay(world.relay_port)
    _is_read(world)


def too_slow(world: World) -> None:
    _of(world).queue = LONG


def delivers(world: World) -> None:
    _of(world).queue = 0


def gone(world: World) -> None:
    """For the next fault."""
    ends(world)
    world.prometheus.read_relays()


def _of(world: World) -> Relay:
    assert isinstance(world.relay, Relay)
    return world.relay


def _is_read(world: World) -> None:
    world.until("the relay is read", lambda: any(value for _, value in world.prometheus.value('up{job="dchat-relay"}')))
