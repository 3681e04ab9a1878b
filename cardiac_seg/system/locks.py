"""Locks that keep other processes out of a folder or a file."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from cardiac_seg.system.errors import UserError


@contextlib.contextmanager
def held(path: Path, refusal: str, shared: bool = False) -> Iterator[None]:
    """Keeps other processes off; the kernel gives a lock back however its process ends.

    Args:
        path: A file or folder that exists and is never replaced.
        refusal: What to say, after the path, to one that comes second.
        shared: Lets others in that share it too.

    Raises:
        UserError: If another process holds it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path, shared, wait=False))
        except BlockingIOError:
            raise UserError(f"{path}: {refusal}") from None
        yield


@contextlib.contextmanager
def locked(path: Path, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Holds a file or folder; BlockingIOError where another process does and it must not wait."""
    # Network file systems grant an exclusive lock only to those who may write.
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)  # gives the lock back
