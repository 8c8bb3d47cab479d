"""A child's end of the channel to its supervisor."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Mapping, MutableMapping

import msgspec

from outlast.adapters.host.environment import control_variable
from outlast.adapters.host.lifeline import hang_on, lifeline_variable
from outlast.cell.child import FromChild, Loading, Ready, ToChild, line_bytes_max, loading_every_s
from outlast.kernel.error import ConfigurationError

_decoder: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild)
_encoder = msgspec.json.Encoder()
_unsent_bytes_max = 64 * 1024


def stop_now() -> None:
    """End this process and its group at once: the supervisor is gone, and whoever takes over must find nobody."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


class ControlLink:
    """Words to and from the supervisor. Nothing here waits: a beat that cannot be sent is not sent."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        channel.set_inheritable(False)  # not for what the user's tools start
        self._channel = channel
        self._received = b""
        self._unsent = b""
        self._saying = threading.Lock()
        self._serves = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ControlLink:
        """The link that the supervisor handed down. Raises ConfigurationError for a process that has no supervisor."""
        text = environment.get(control_variable, "")
        hang_on(environment)
        try:
            return cls(socket.socket(fileno=int(text)))
        except (ValueError, OSError):
            raise ConfigurationError(
                f"{control_variable} is {text[:20]!r}, not an open socket: this program is started by `outlast up` only"
            ) from None

    @staticmethod
    def forget(environment: MutableMapping[str, str]) -> None:
        """Take what `from_environment` read out of an environment: it is not for what the user's tools start."""
        for name in (control_variable, lifeline_variable):
            environment.pop(name, None)

    def fileno(self) -> int:
        """For a selector or an event loop: readable when `read` has something to say."""
        return self._channel.fileno()

    def say(self, word: FromChild) -> None:
        """Hand a word to the supervisor, or drop it if the supervisor is far behind."""
        with self._saying:  # before the child serves, two threads speak
            self._serves = self._serves or isinstance(word, Ready)
            if len(self._unsent) > _unsent_bytes_max:
                return
            self._unsent += _encoder.encode(word) + b"\n"
            try:
                self._unsent = self._unsent[self._channel.send(self._unsent) :]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                stop_now()

    def read(self) -> list[ToChild]:
        """What the supervisor said since the last call. Does not return if the supervisor is gone."""
        try:
            chunk = self._channel.recv(line_bytes_max)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            chunk = b""
        if not chunk:
            stop_now()
        *lines, self._received = (self._received + chunk).split(b"\n")
        words: list[ToChild] = []
        for line in lines:
            try:
                words.append(_decoder.decode(line))
            except msgspec.MsgspecError:
                continue  # a word of a newer release
        return words

    def watch(self) -> None:
        """From now on end this process the moment the supervisor dies, even while the main loop is blocked; and say
        every second, until it serves, that it is not frozen.
        """
        threading.Thread(target=self._await_hangup, name="supervisor-watch", daemon=True).start()

    def _await_hangup(self) -> None:
        poll = select.poll()
        poll.register(self._channel.fileno(), 0)  # nothing asked for: only a hang-up or an error wakes it
        said = 0
        while not poll.poll(None if self._serves else loading_every_s * 1000):
            if not self._serves:
                said += 1
                self.say(Loading(said))
        stop_now()
