"""A consensus key that another thing holds, a token or a service, as a signer of ours and as the engine's.

Libraries of tokens block, and some hang. All calls are made in one thread of its own, one at a time, and nothing waits
for it longer than a signer may take, not even the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from consensus.privval.errors import KeyLost
from consensus.privval.held import ANSWER_S, HeldKey
from crypto.keys import Ed25519PrivKey, PubKey

T = TypeVar("T")

PROBE: Final = b"dchat/signer-probe/v1"  # no vote and no proposal begins like that: those begin with their length


class Holder(Protocol):
    """What holds keys. Calls block, and raise KeyLost with what is wrong, where, and what to do."""

    @property
    def where(self) -> str:
        """For people."""
        ...

    def open(self) -> None:
        """Anew, whatever was open before."""
        ...

    def public_key(self) -> PubKey:
        """Of the key that the options name. After `open`."""
        ...

    def sign(self, message: bytes) -> bytes:
        """By it. After `open`."""
        ...

    def make(self) -> PubKey:
        """A new key there. After `open`. Raises KeyLost: there is one of that name."""
        ...

    def bring(self, key: Ed25519PrivKey) -> None:
        """Let it hold this key. After `open`. Raises KeyLost: there is one, or it takes none."""
        ...


class OneThread:
    """Runs what blocks, one at a time; a call that is not waited for any more goes on, and the next is refused."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], Future[object]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._under_way: Future[object] | None = None
        self._lock = threading.Lock()

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Raises KeyLost: it hangs."""
        with self._lock:
            if self._under_way is not None and not self._under_way.done():
                raise KeyLost(f"{self._name} has not answered what it was asked before")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()  # from here on nobody can cancel it: done means done
            self._under_way = future  # type: ignore[assignment]  # its value is nobody's business here
            self._calls.put((work, self._under_way))  # type: ignore[arg-type]
            return future

    def _run(self) -> None:
        while True:
            work, future = self._calls.get()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)


@dataclass
class HeldSigningKey:
    """The key of `holder` that is `pub_key`: `sign` for a signer of ours, `for_engine` for a node. What was lost is
    opened anew by the next call. Raises KeyLost."""

    holder: Holder
    pub_key: PubKey

    def __post_init__(self) -> None:
        self._thread = OneThread(self.holder.where)
        self._is_open = False

    def sign(self, message: bytes) -> bytes:
        """Within ANSWER_S, of which opening anew is a part."""
        try:
            return self._thread.begin(lambda: self._sign(message)).result(ANSWER_S)
        except LateError:
            raise KeyLost(f"{self.holder.where} did not sign within {ANSWER_S:g} s") from None

    def for_engine(self) -> HeldKey:
        async def connect() -> None:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.wrap_future(self._thread.begin(self._open))
            except TimeoutError:
                raise KeyLost(f"{self.holder.where} did not answer within {ANSWER_S:g} s") from None

        async def sign(message: bytes) -> bytes:
            return await asyncio.wrap_future(self._thread.begin(lambda: self._sign(message)))

        return HeldKey(self.pub_key, self.holder.where, connect, sign)

    def _open(self) -> None:
        """In the thread: open, and see that it is the key, and signs."""
        self._is_open = False
        with _as_lost(self.holder.where):
            self.holder.open()
            told, proof = self.holder.public_key(), self.holder.sign(PROBE)
        if told != self.pub_key:
            raise KeyLost(
                f"{self.holder.where}: its key is of validator {told.address.hex().upper()}, and the key file names "
                f"{self.pub_key.address.hex().upper()}: is it the right slot, label or key id?"
            )
        if not self.pub_key.verify(PROBE, proof):
            raise KeyLost(f"{self.holder.where}: what it signs does not verify by its own public key")
        self._is_open = True

    def _sign(self, message: bytes) -> bytes:
        if not self._is_open:
            self._open()
        try:
            with _as_lost(self.holder.where):
                signature = self.holder.sign(message)
        except KeyLost:
            self._is_open = False
            raise
        if not self.pub_key.verify(message, signature):  # it leaves this process as a vote: nobody else looks before
            self._is_open = False
            raise KeyLost(f"{self.holder.where}: its signature is not good")
        return signature


@contextlib.contextmanager
def _as_lost(where: str) -> Iterator[None]:
    """Whatever a vendor's library raises is a loss: it is no reason for a node to end."""
    try:
        yield
    except KeyLost:
        raise
    except Exception as error:
        raise KeyLost(f"{where}: {type(error).__name__}: {error}"[:500]) from error
