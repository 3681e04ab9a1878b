"""One file per command, named after it: `add_arguments(parser)` and `run(args) -> exit code`.

A hyphen in a command's name is an underscore in its file's. A file's docstring is the command's
help. Nothing heavy is imported before it is needed, so that `--help` and a mistake in the arguments
or the config are answered at once.
"""

from importlib import import_module
from types import ModuleType

COMMANDS = (
    "train",
    "analyze",
    "predict",
    "phantom",
    "info",
    "results",
    "compare",
    "errors",
    "ablate",
    "stress",
    "export",
    "export-nnunet",
)


def command_file(name: str) -> ModuleType:
    """The module of a command."""
    return import_module(f"cardiac_seg.commands.{name.replace('-', '_')}")
