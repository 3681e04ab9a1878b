"""Files and folders that appear whole or not at all."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cardiac_seg.system.errors import UserError
from cardiac_seg.system.locks import locked


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` with the same suffixes; renamed on success.

    Raises:
        UserError: If the folder cannot be written.
    """
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with _write_errors_in_one_line(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `path`; renamed on success, removed on failure.

    If another process made `path` meanwhile, its folder is kept and this one removed. What killed
    processes left of it is removed first.

    Raises:
        UserError: If the parent folder cannot be written.
    """
    prefix = f".partial-{path.name}-"
    with _write_errors_in_one_line(path), contextlib.ExitStack() as stack:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            for other in path.parent.glob(f"{prefix}*"):
                with contextlib.suppress(BlockingIOError), locked(other, wait=False):
                    shutil.rmtree(other, ignore_errors=True)  # nobody holds it: its process died
            partial = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
            stack.enter_context(locked(partial))
        try:
            yield partial
            partial.chmod(0o755)
            with locked(path.parent):  # of two that finish together, one comes first
                if not path.is_dir():
                    os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def scratch_in(folder: Path) -> Iterator[None]:
    """Libraries put their temporary files here, where what a kill leaves is found and removed.

    Keras makes a folder for every checkpoint that it reads or writes.
    """
    with _write_errors_in_one_line(folder):
        scratch = tempfile.mkdtemp(prefix=".partial-scratch-", dir=folder)
    before, tempfile.tempdir = tempfile.tempdir, scratch
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(scratch, ignore_errors=True)


def remove_leftovers(
    folder: Path, pattern: str = ".partial-*", but_in: tuple[Path, ...] = ()
) -> None:
    """Removes what a killed process left half-written; for folders with one writer at a time."""
    for partial in folder.rglob(pattern):
        if not set(but_in).isdisjoint(partial.parents):
            continue
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, values) -> None:
    """Writes a JSON file whole, indented."""
    write_text(path, json.dumps(values, indent=2) + "\n")


@contextlib.contextmanager
def _write_errors_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename and not Path(error.filename).is_relative_to(path.parent):
            raise  # of another file, which was read
        what = error.strerror or " ".join(str(error).split())  # HDF5 says more than a line
        raise UserError(
            f"{path}: cannot be written ({what}); check permissions and free space, then give the "
            "same command again"
        ) from error
