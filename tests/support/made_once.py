"""What a whole test session makes once: the workers of pytest-xdist share it on disk."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask makes; the others wait for it and read it.

    Args:
        factory: The session's `tmp_path_factory`.
        name: The folder's name, unique in the session.
        make: Called with the folder, which is there and empty.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / "shared" / name, base / "shared" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            if folder.exists():
                pytest.fail(f"{name}: could not be made, see the first test that asked for it")
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
