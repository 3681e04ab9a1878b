"""Progress bars with time left, and the log that reads like a lab book."""

import logging
import sys
from pathlib import Path

from tqdm import tqdm

log = logging.getLogger("cardiac_seg")


def bar(iterable=None, description: str = "", **options) -> tqdm:
    """A progress bar on a terminal; silent where the output goes to a file."""
    return tqdm(iterable, description, disable=None, leave=False, dynamic_ncols=True, **options)


class _AboveTheBar(logging.Handler):
    """Writes lines without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def start_log(path: Path | None = None) -> None:
    """Logs to the terminal and, with a path, with dates to a file too."""
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.raiseExceptions = False  # a full disk is reported by the next write that fails
    terminal = _AboveTheBar()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(terminal)
    if path is not None:
        file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        log.addHandler(file)


def clock(seconds: float) -> str:
    """Seconds as `1 h 02 min`, `3 min 20 s` or `12 s`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
