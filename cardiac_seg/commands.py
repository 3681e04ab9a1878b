"""What the commands share: arguments, one-line errors, exit codes."""

import argparse
import sys
from collections.abc import Callable

from cardiac_seg.errors import UserError


def guarded(command: Callable[[list[str] | None], int]) -> Callable[[list[str] | None], int]:
    """Makes a command end with one line and an exit code instead of a traceback.

    Exit codes: 0 done, 1 a file could not be processed, 2 bad input, 130 interrupted.
    """

    def main(argv: list[str] | None = None) -> int:
        try:
            return command(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            print(f"error: {what}; check the path, permissions and free space", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(
                "interrupted; what is finished is kept, the same command goes on", file=sys.stderr
            )
            return 130

    main.__doc__ = command.__doc__
    return main


def parser(description: str, **options) -> argparse.ArgumentParser:
    """An argument parser that keeps the description's line breaks."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options
    )
