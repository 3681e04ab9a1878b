"""The patients that a network was trained on, as its own file says it.

A table of the split can be edited after a training; what is inside the network's file goes with
the network, also where it is exported or where another training starts from it.
"""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from cardiac_seg.system.errors import UserError

SEEN = "trained_on.json"  # inside a .keras file, which Keras passes over

Seen = Mapping[str, frozenset[str]]  # name of a dataset -> patients, whose names are unique in it


def merged(*several: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """All patients of several, by dataset."""
    together: dict[str, frozenset[str]] = {}
    for one in several:
        for data, patients in one.items():
            together[data] = together.get(data, frozenset()).union(patients)
    return together


def write_seen(path: Path, seen: Seen | None) -> None:
    """Adds the patients, where they are known, to a `.keras` file that is being written."""
    if seen is None:
        return
    values = {data: sorted(patients) for data, patients in seen.items()}
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SEEN, json.dumps(values))


def read_seen(path: Path) -> Seen | None:
    """The patients that a network's file names; None where it names none, as earlier ones.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if SEEN not in archive.namelist():
                return None
            values = json.loads(archive.read(SEEN))
        lists = isinstance(values, dict) and all(isinstance(p, list) for p in values.values())
        if not lists or not all(isinstance(name, str) for p in values.values() for name in p):
            raise ValueError("no lists of patients")
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise UserError(
            f"{path}: says in {SEEN} of no patients that it was trained on ({error}); it may be "
            "damaged; restore it, or delete its folder to train that part again"
        ) from None
    return {data: frozenset(patients) for data, patients in values.items()}
