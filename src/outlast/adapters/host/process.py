"""Child processes of this host, each the leader of its own session and group, with a channel to its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from outlast.adapters.host import memory
from outlast.adapters.host.environment import control_variable
from outlast.adapters.host.lifeline import lifeline_variable
from outlast.cell.child import ChildPlan, FromChild, ToChild, line_bytes_max
from outlast.kernel.error import StoreUnavailable

_send_buffer_bytes_max = 1 << 20
_family_memory_every = 4  # counting what a child started takes a read for each of its threads: not at each look
_decoder: msgspec.json.Decoder[FromChild] = msgspec.json.Decoder(FromChild)
_encoder = msgspec.json.Encoder()


class HostChildren:
    """Implements `cell.child.ChildHost`. `pidfd` False watches for deaths by threads, as where there is no pidfd."""

    def __init__(self, *, pidfd: bool = hasattr(os, "pidfd_open")) -> None:
        self._pidfd = pidfd

    def start(
        self, plan: ChildPlan, heard: Callable[[str, FromChild], None], died: Callable[[str, int], None]
    ) -> HostChild:
        """Start the planned process. Raises StoreUnavailable if the host refuses."""
        ours, theirs = socket.socketpair()
        their_line, our_line = os.pipe()
        try:
            Path(plan.log).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                process = subprocess.Popen(
                    list(plan.arguments),
                    env={
                        **plan.environment,
                        control_variable: str(theirs.fileno()),
                        lifeline_variable: str(their_line),
                    },
                    cwd=plan.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs.fileno(), their_line),
                    start_new_session=True,
                )
            finally:
                os.close(log)
        except OSError as error:
            ours.close()
            os.close(our_line)
            raise StoreUnavailable(f"{plan.kind} {plan.id} cannot be started: {error}") from None
        finally:
            theirs.close()
            os.close(their_line)
        ours.setblocking(False)
        return HostChild(plan.id, process, ours, our_line, heard, died, pidfd=self._pidfd)


class HostChild:
    """Implements `cell.child.Child`. Until it is reaped its number is its own, and killing by number is safe."""

    def __init__(
        self,
        id: str,
        process: subprocess.Popen[bytes],
        channel: socket.socket,
        lifeline: int,
        heard: Callable[[str, FromChild], None],
        died: Callable[[str, int], None],
        *,
        pidfd: bool,
    ) -> None:
        self._id = id
        self._process = process
        self._channel: socket.socket | None = channel
        self._lifeline = lifeline
        self._heard = heard
        self._died = died
        self._received = b""
        self._unsent = b""
        self._looks = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(channel.fileno(), self._readable)
        self._pidfd = -1
        if pidfd:
            try:
                self._pidfd = os.pidfd_open(process.pid)
            except OSError:  # an old kernel, or no descriptor left: the thread sees the death as well
                pass
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._exited)
        else:
            threading.Thread(target=self._await_exit, name=f"wait-{id}", daemon=True).start()

    @property
    def id(self) -> str:
        return self._id

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, word: ToChild) -> bool:
        """Hand over a word; False if the channel is closed or more than 1 MiB behind."""
        if self._channel is None or len(self._unsent) > _send_buffer_bytes_max:
            return False
        waiting = bool(self._unsent)
        self._unsent += _encoder.encode(word) + b"\n"
        return True if waiting else self._writable()

    def kill(self) -> None:
        """SIGKILL the group."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass

    def memory(self) -> int:
        """Resident bytes; each fourth look counts what it started, too."""
        if self._process.returncode is not None:
            return 0
        self._looks += 1
        if self._looks % _family_memory_every == 0:
            return memory.resident_of_family(self._process.pid)
        return memory.resident(self._process.pid)

    def _writable(self) -> bool:
        channel = self._channel
        if channel is None:
            return False
        try:
            self._unsent = self._unsent[channel.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._close_channel()
            return False
        if self._unsent:
            self._loop.add_writer(channel.fileno(), self._writable)
        else:
            self._loop.remove_writer(channel.fileno())
        return True

    def _readable(self) -> None:
        if self._channel is None:
            return
        try:
            chunk = self._channel.recv(line_bytes_max)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._close_channel()
            return
        *lines, self._received = (self._received + chunk).split(b"\n")
        if len(self._received) > line_bytes_max:
            self._close_channel()  # it talks nonsense: its silence will be noticed
        for line in lines:
            try:
                word = _decoder.decode(line)
            except msgspec.MsgspecError:
                continue  # what its own code wrote there by accident
            self._heard(self._id, word)

    def _close_channel(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            self._loop.remove_reader(channel.fileno())
            self._loop.remove_writer(channel.fileno())
            channel.close()

    def _await_exit(self) -> None:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)  # its zombie keeps its number
        else:  # pragma: no cover (macOS before Python 3.13)
            self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._exited)
        except RuntimeError:  # the loop was closed meanwhile: nobody is left to be told
            pass

    def _exited(self) -> None:
        """It has exited and is not reaped yet, so that its group still bears its number: end the group, then reap."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self.kill()
        last = self._channel
        while last is not None and self._channel is last and self._more(last):  # its last words
            self._readable()
        self._close_channel()
        os.close(self._lifeline)
        status = self._process.wait()
        self._died(self._id, status)

    def _more(self, channel: socket.socket) -> bool:
        try:
            return bool(channel.recv(1, socket.MSG_PEEK))
        except OSError:
            return False
