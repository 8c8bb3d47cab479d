"""The one process of a cell that writes the journal: a loop on a Unix socket.

It reads all that is there from all clients, commits it as one round, answers, and repeats: what gathers during a commit
forms the next. It beats on its control channel from the same loop, so that a commit that hangs is seen. When a commit
fails with an input or output error it tells every client *unknown* and ends: after a failed sync nobody knows what the
kernel still holds, and the next process reads what the disk does.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from outlast.adapters.sqlite.anchor import SqliteAnchors, anchor_every_s, beside
from outlast.adapters.sqlite.database import Durability
from outlast.adapters.sqlite.engine import Engine, anchors_max, checkpoint_pages
from outlast.adapters.sqlite.peer import Gone, Peer, check_same_user
from outlast.adapters.sqlite.spin import Spin
from outlast.adapters.sqlite.store import open_engine
from outlast.adapters.sqlite.wire import (
    Appends,
    Done,
    Notices,
    Ping,
    Refused,
    Remove,
    Request,
    Save,
    Subscribe,
    Welcome,
    frame,
    frame_count_fit,
    protocol,
)
from outlast.cell.child import Beat, Drain, FromChild, Log, Ready, ToChild, beat_every_s
from outlast.journal.lineage import Lineage
from outlast.journal.notice import is_step
from outlast.journal.stream import Notice, Outcome
from outlast.kernel.clock import Clock
from outlast.kernel.error import ConfigurationError, PayloadTooLarge, StoreError, StoreUnavailable, UsageError
from outlast.kernel.point import NoPoints, Points
from outlast.kernel.randomness import Randomness

clients_max = 128
"""Bound of the connections; more are closed at once."""
waiting_bytes_max = 32 * 1024 * 1024
"""Clients are not read while so many bytes of bodies wait for their commit, 32 MiB."""
drain_s_max = 2.0
"""How long an orderly end waits for clients to take their answers."""


class Control(Protocol):
    """The channel to the supervisor (`adapters/host/control.py`)."""

    def fileno(self) -> int: ...

    def say(self, word: FromChild) -> None: ...

    def read(self) -> Sequence[ToChild]: ...


def serve(
    path: Path,
    socket_path: Path,
    *,
    clock: Clock,
    randomness: Randomness,
    control: Control | None = None,
    points: Points | None = None,
    region: str = "local",
    durability: Durability = "power",
    checkpoint_pages: int = checkpoint_pages,
) -> None:
    """Write the journal `path` for the clients of `socket_path` until told to stop (drain, SIGTERM, SIGINT).

    Raises what `SqliteStore.open` raises when it cannot begin, and the StoreError that ended it when it cannot go on:
    the process must then exit with a failure, to be started again.
    """
    engine, lock, _connection, lineage = open_engine(
        path, Lineage.first(region, randomness), durability, points or NoPoints(), checkpoint_pages
    )
    try:
        anchors = SqliteAnchors.renewed(beside(path))
        try:
            with _listening(socket_path) as listener, _Turn(engine, lineage, anchors, listener, clock, control) as turn:
                turn.run()
        finally:
            anchors.close()
    finally:
        engine.close()
        lock.release()


@contextmanager
def _listening(path: Path) -> Generator[socket.socket]:
    """The socket, for this user only. Whoever holds the write lock may take an old one's place."""
    if len(os.fsencode(path)) > 107:
        raise ConfigurationError(
            f"socket path {path} is {len(os.fsencode(path))} bytes, Unix sockets allow 107: use a shorter directory"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(clients_max)
        yield listener
    except OSError as error:
        raise StoreUnavailable(f"socket {path} cannot be served: {error.strerror}; check the directory") from None
    finally:
        listener.close()
        path.unlink(missing_ok=True)


class _Turn:
    """The loop and what it holds."""

    def __init__(
        self,
        engine: Engine[Any],
        lineage: Lineage,
        anchors: SqliteAnchors,
        listener: socket.socket,
        clock: Clock,
        control: Control | None,
    ) -> None:
        self._engine: Engine[tuple[Peer, int]] = engine
        self._anchors = anchors
        self._listener = listener
        self._clock = clock
        self._control = control
        self._welcome = Welcome(protocol, str(lineage), os.getpid())
        self._selector = selectors.DefaultSelector()
        self._peers: set[Peer] = set()
        self._answered: dict[Peer, None] = {}
        self._hearers: list[Peer] = []
        """Who wants notices."""
        self._steps_wanted = False
        self._stopping = False
        self._spin = Spin(clock.monotonic)
        self._alone = False
        self._beats = 0
        self._next_beat = 0.0
        self._next_anchor = 0.0
        self._anchor_fault = ""
        self._fault: StoreError | None = None

    def __enter__(self) -> _Turn:
        self._wake, self._woken = socket.socketpair()
        for end in (self._wake, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signal)
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_connect)
        if self._control is not None:
            self._selector.register(self._control, selectors.EVENT_READ, self._on_control)
        return self

    def __exit__(self, *_: object) -> None:
        for peer in list(self._peers):
            self._drop(peer, "the writer ends")
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def run(self) -> None:
        """Until told to stop. Raises the StoreError that ends it before that."""
        with self._signals():
            self._say(Ready())
            self._next_anchor = self._clock.monotonic() + anchor_every_s
            while not self._stopping or self._engine.waiting:
                self._beat()
                self._once(0.0 if self._engine.waiting else max(0.0, self._next_beat - self._clock.monotonic()))
            self._linger()

    def _once(self, timeout_s: float) -> None:
        for key, _ in self._events(timeout_s):
            key.data()
        if self._engine.waiting:
            self._commit()
        if self._engine.fatal is not None:
            self._say(Log("error", f"the writing process ends: {self._engine.fatal}"))
            self._fail_waiting()
            self._linger()
            raise self._engine.fatal

    def _events(self, timeout_s: float) -> Sequence[tuple[selectors.SelectorKey, int]]:
        """What is to be done. After an append that came alone, the next is awaited awake for a moment."""
        alone, self._alone = self._alone, False
        if alone and timeout_s > 0 and self._spin.begin():
            while not (events := self._selector.select(0)):
                if not self._spin.again():
                    return self._selector.select(timeout_s)
            self._spin.won()
            return events
        return self._selector.select(timeout_s)

    def _commit(self) -> None:
        self._alone = self._engine.waiting == 1
        self._engine.commit(self._answer, self._notify if self._hearers else None, steps=self._steps_wanted)
        answered, self._answered = self._answered, {}
        for peer in answered:
            self._guarded(peer, peer.answer)
        self._engine.checkpoint()

    def _fail_waiting(self) -> None:
        """Everybody who still waits learns that nobody can say: a failed engine answers so without trying."""
        self._engine.abandon(self._answer)
        answered, self._answered = self._answered, {}
        for peer in answered:
            self._guarded(peer, peer.answer)

    def _answer(self, ticket: tuple[Peer, int], result: Outcome | StoreUnavailable | None) -> None:
        peer, number = ticket
        if peer not in self._peers:
            return
        if result is None:
            self._guarded(peer, lambda: peer.send(Done(number)))
        elif isinstance(result, StoreUnavailable):
            self._guarded(peer, lambda: peer.send(Refused(number, "unavailable", str(result))))
        else:
            peer.add(number, result)
            self._answered[peer] = None

    def _notify(self, notices: Sequence[Notice]) -> None:
        # after the answers: who appended waits, who listens does not
        answered, self._answered = self._answered, {}
        for peer in answered:
            self._guarded(peer, peer.answer)
        others = [notice for notice in notices if not is_step(notice)]
        for told, steps in ((notices, True), (others, False)):
            peers = [peer for peer in self._hearers if peer.subscribed == Subscribe(steps)]
            for start in range(0, len(told) if peers else 0, frame_count_fit):
                raw = frame(Notices(told[start : start + frame_count_fit]))
                for peer in peers:
                    self._guarded(peer, lambda peer=peer, raw=raw: peer.hint(raw))

    def _look_who_hears(self) -> None:
        self._hearers = [peer for peer in self._peers if peer.subscribed is not None]
        self._steps_wanted = any(peer.subscribed == Subscribe(steps=True) for peer in self._hearers)

    def _guarded(self, peer: Peer, act: Callable[[], None]) -> None:
        if peer not in self._peers:
            return
        try:
            act()
        except Gone as error:
            self._drop(peer, str(error))
        else:
            if peer.waits_to_send != bool(peer.unsent):
                peer.waits_to_send = not peer.waits_to_send
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
                self._selector.modify(peer.channel, wanted, lambda: self._on_peer(peer))

    def _drop(self, peer: Peer, reason: str) -> None:
        if reason not in ("closed", "the writer ends"):
            self._say(Log("warning", f"a client was disconnected: {reason}"))
        self._peers.discard(peer)
        self._look_who_hears()
        self._selector.unregister(peer.channel)
        peer.channel.close()

    def _on_connect(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:
            return
        try:
            check_same_user(channel)
            if len(self._peers) >= clients_max:
                raise Gone(f"there are {clients_max} already (clients_max)")
        except Gone as error:
            self._say(Log("warning", f"a client was refused: {error}"))
            channel.close()
            return
        peer = Peer(channel)
        self._peers.add(peer)
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._on_peer(peer))
        self._guarded(peer, lambda: peer.send(self._welcome))

    def _on_peer(self, peer: Peer) -> None:
        self._guarded(peer, lambda: self._read(peer))

    def _read(self, peer: Peer) -> None:
        peer.flush()
        if self._engine.waiting_bytes > waiting_bytes_max or self._stopping:
            return
        for request in peer.receive():
            self._take(peer, request)

    def _take(self, peer: Peer, request: Request) -> None:
        match request:
            case Appends(items=items):
                offer = self._engine.offer
                for number, append in items:
                    try:
                        offer((peer, number), append)
                    except UsageError as error:
                        peer.send(Refused(number, "usage", str(error)))
            case Save(id=number, snapshot=snapshot):
                try:
                    self._engine.offer_snapshot((peer, number), snapshot)
                except PayloadTooLarge as error:
                    peer.send(Refused(number, "too_large", str(error)))
                except UsageError as error:
                    peer.send(Refused(number, "usage", str(error)))
            case Remove(id=number, runs=runs):
                try:
                    self._anchors.forget_now(stream for run in runs for stream, _ in run.heads)
                    self._engine.remove(runs)
                    peer.send(Done(number))
                except StoreError as error:
                    peer.send(Refused(number, "unavailable", str(error)))
            case Subscribe():
                peer.subscribed = request
                self._look_who_hears()
            case Ping(id=number):
                peer.send(Done(number))

    def _beat(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_beat:
            self._beats += 1
            self._next_beat = now + beat_every_s
            self._say(Beat(self._beats))
            self._tell_fault()
        if now >= self._next_anchor or len(self._engine.dirty) > anchors_max:
            self._next_anchor = now + anchor_every_s
            self._anchor()

    def _tell_fault(self) -> None:
        """Once where nothing can be written, once when it can be again: nobody else could say why all stands still."""
        before, self._fault = self._fault, self._engine.passing
        if self._fault is None and before is not None:
            self._say(Log("warning", "the journal is written again"))
        elif self._fault is not None and str(self._fault) != str(before):
            self._say(Log("error", f"nothing is written: {self._fault}"))

    def _anchor(self) -> None:
        dirty = self._engine.dirty
        try:
            self._anchors.note_now(dirty.items())
        except StoreError as error:
            # an anchor is a second witness: without it the journal goes on, and somebody should know
            if str(error) != self._anchor_fault:
                self._anchor_fault = str(error)
                self._say(Log("warning", f"heads are not anchored: {error}"))
            if len(dirty) <= anchors_max:
                return
        else:
            self._anchor_fault = ""
        dirty.clear()

    def _say(self, word: FromChild) -> None:
        if self._control is not None:
            self._control.say(word)

    def _on_control(self) -> None:
        if self._control is not None and any(isinstance(word, Drain) for word in self._control.read()):
            self._stopping = True

    def _on_signal(self) -> None:
        self._woken.recv(64)
        self._stopping = True

    def _linger(self) -> None:
        """Before the end: let clients take their answers, anchor the heads."""
        until = self._clock.monotonic() + drain_s_max
        self._stopping = True
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                if peer.unsent:
                    selector.register(peer.channel, selectors.EVENT_WRITE, peer)
            while selector.get_map() and self._clock.monotonic() < until:
                for key, _ in selector.select(0.05):
                    self._guarded(key.data, key.data.flush)
                    if key.data not in self._peers or not key.data.unsent:
                        selector.unregister(key.fileobj)
        self._anchor()

    @contextmanager
    def _signals(self) -> Generator[None]:
        """SIGTERM and SIGINT end the loop in order; only a main thread may say so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
        wakeup = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)


def _ignore(number: int, at: object) -> None:
    """The wake-up socket has carried the news."""
