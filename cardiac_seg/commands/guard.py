"""What the commands share: arguments, one-line errors, exit codes."""

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from cardiac_seg.system.errors import UserError

TRACEBACK = "CARDIAC_SEG_TRACEBACK"  # environment variable: errors not foreseen in full


def guarded(command: Callable[[list[str] | None], int]) -> Callable[..., int]:
    """Makes a command end with one line and an exit code instead of a traceback.

    Exit codes: 0 done, 1 a file could not be processed, 2 bad input, 3 not foreseen, 130
    interrupted (Ctrl-C), 143 asked to stop (SIGTERM, as clusters send it before they take a machine
    away).
    """

    def main(argv: list[str] | None = None) -> int:
        try:
            with _stopping_on_sigterm():
                return command(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            print(f"error: {what}; check the path, permissions and free space", file=sys.stderr)
            return 2
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            at = traceback.extract_tb(error.__traceback__)[-1]
            what = (str(error).splitlines() or [""])[0]
            print(
                f"error: {type(error).__name__}: {what} ({Path(at.filename).name}:{at.lineno}); "
                "a file may be damaged in a way that was not foreseen, or this is a mistake of the "
                f"program: {TRACEBACK}=1 shows where",
                file=sys.stderr,
            )
            return 3
        except KeyboardInterrupt as stop:
            print("stopped; what is finished is kept, the same command goes on", file=sys.stderr)
            return 143 if isinstance(stop, _Terminated) else 130

    main.__doc__ = command.__doc__
    return main


class _Terminated(KeyboardInterrupt):
    """SIGTERM came; on its way it is what Ctrl-C is."""


@contextmanager
def _stopping_on_sigterm() -> Iterator[None]:
    def stop(number, frame):
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parser(description: str, **options) -> argparse.ArgumentParser:
    """An argument parser that keeps the description's line breaks."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )


def script(command: ModuleType, description: str) -> Callable[..., int]:
    """The `main(argv) -> exit code` of a root script that does what one command does."""

    @guarded
    def main(argv: list[str] | None = None) -> int:
        """Runs the script; returns the exit code."""
        arguments = parser(description)
        command.add_arguments(arguments)
        return command.run(arguments.parse_args(argv))

    return main
