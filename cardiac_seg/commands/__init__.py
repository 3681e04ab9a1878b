"""One file per command, named after it: `add_arguments(parser)` and `run(args) -> exit code`.

A file's docstring is the command's help. Nothing heavy is imported before it is needed, so that
`--help` and a mistake in the arguments or the config are answered at once.
"""

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
)
