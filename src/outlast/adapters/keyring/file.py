"""The file that holds keys: for its owner only, replaced whole."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from outlast.adapters.keyring.document import Document, document_bytes_max, new_document, rotated
from outlast.kernel.error import ConfigurationError, Conflict
from outlast.kernel.randomness import Randomness


def read_keys(path: Path) -> Document:
    """The keys in a file. Raises ConfigurationError: not there, not a file of its owner alone, no keys."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigurationError(
            f"key file {path} cannot be opened: {(error.strerror or 'unknown').lower()}; restore it from where you "
            "keep it, or make one with `outlast keys new`: without its keys nothing that they sealed can be read"
        ) from None
    try:
        found = os.fstat(descriptor)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"key file {path} is not a file")
        if found.st_uid not in (os.getuid(), 0):
            raise ConfigurationError(f"key file {path} belongs to another user: its owner could replace the keys")
        if mode & 0o077:
            raise ConfigurationError(f"key file {path} has mode {mode:04o}, expected 0600: run chmod 600 {path}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read(document_bytes_max + 1)
    finally:
        os.close(descriptor)
    return Document.parse(text, f"key file {path}")


def make_keys(path: Path, randomness: Randomness) -> Document:
    """A new file with one new key. Raises Conflict if there is a file already: its keys may be all there is."""
    document = new_document(randomness)
    temporary = _written(path, document, randomness)
    try:
        os.link(temporary, path)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise Conflict(
            f"key file {path} is there already and is left as it is: `outlast keys rotate` adds a key to it"
        ) from None
    finally:
        temporary.unlink()
    _sync(path.parent)
    return document


def rotate_keys(path: Path, randomness: Randomness) -> Document:
    """A new key before those in the file: what is sealed from now on is sealed with it. Raises ConfigurationError.

    Of several processes that do this, each waits for the one before: no key of theirs is lost.
    """
    with _alone(path):
        document = rotated(read_keys(path), randomness)
        _written(path, document, randomness).replace(path)
        _sync(path.parent)
    return document


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Locks the directory: the file itself is replaced."""
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        raise ConfigurationError(f"key file {path} cannot be opened: {reason}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _written(path: Path, document: Document, randomness: Randomness) -> Path:
    temporary = path.parent / f".{path.name}.{randomness.token(6).hex()}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(document.text())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = (error.strerror or "unknown").lower()
        raise ConfigurationError(f"key file {path} cannot be written: {reason}") from None
    return temporary


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
