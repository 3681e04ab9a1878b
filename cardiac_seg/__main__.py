"""The command `cardiac-seg`, also `python -m cardiac_seg`: hands over to a file of `commands/`."""

import argparse
import sys

from cardiac_seg.commands import COMMANDS, command_file
from cardiac_seg.commands.guard import guarded
from cardiac_seg.version import __version__

DESCRIPTION = "Train, use and examine ensembles of networks for cardiac segmentation."


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line; `execute` is the function that does what it asks for."""
    parser = argparse.ArgumentParser(prog="cardiac-seg", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = command_file(name)
        summary = (command.__doc__ or name).splitlines()[0].removesuffix(".")
        subparser = subparsers.add_parser(
            name,
            help=summary[0].lower() + summary[1:],
            description=command.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(execute=command.run)
    return parser.parse_args(argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    return args.execute(args)


if __name__ == "__main__":
    sys.exit(main())
