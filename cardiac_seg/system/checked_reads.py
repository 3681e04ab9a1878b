"""Reads of JSON and CSV files that answer damage with one line."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from cardiac_seg.system.errors import UserError

MAX_BYTES = 10**9  # of a table; that of all patients' measures is a few MB


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_plain(path: Path) -> None:
    """Refuses what would be read without end: a pipe, a device, a file of gigabytes.

    Raises:
        UserError: If there is such a thing; nothing is said of a missing file.
    """
    if path.exists() and not (path.is_file() and path.stat().st_size <= MAX_BYTES):
        raise UserError(
            f"{path}: expected a plain file of at most {MAX_BYTES / 1e6:.0f} MB; restore it"
        )


def read_json(path: Path, object_hook: Callable[[dict], object] | None = None):
    """Reads a JSON file.

    Args:
        path: The file.
        object_hook: See `json.loads`.

    Raises:
        UserError: If it is missing or not JSON.
    """
    check_plain(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_hook=object_hook)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); it may be damaged") from None


def read_table(
    path: Path,
    columns: Mapping[str, type | None],
    advice: str,
    rename: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
) -> pd.DataFrame:
    """Reads a CSV file.

    Args:
        path: The file.
        columns: What it must have, with the type that pandas would not guess.
        advice: What to do about a file that cannot be used.
        rename: Gives the columns of earlier formats today's names.

    Raises:
        UserError: If it is missing, damaged or lacks a column.
    """
    check_plain(path)
    try:
        table = rename(
            pd.read_csv(path, dtype={name: kind for name, kind in columns.items() if kind})
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    except ValueError as error:  # pandas' own errors are among them
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({reason}); {advice}") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path}: no column {missing[0]!r}; {advice}")
    return table
