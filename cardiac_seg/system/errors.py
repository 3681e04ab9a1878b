"""The one exception that commands turn into a single line and a non-zero exit."""

from pathlib import Path


class UserError(Exception):
    """Something the user can put right: a file, a key or a value.

    The message is one line that names the file or key, what was found and what to do.
    """


def stack_again(folder: Path) -> str:
    """What to do about a damaged `meta/` of a run."""
    return f"to stack again, delete {folder / 'meta'} and run train_ensemble.py --resume {folder}"
