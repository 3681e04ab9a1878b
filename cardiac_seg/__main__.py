"""`python -m cardiac_seg predict | phantom | info`."""

import sys
from pathlib import Path

from cardiac_seg.commands import guarded, parser


def arguments(argv: list[str] | None):
    """Reads the command line."""
    p = parser("Use a trained run, look at one, or generate phantoms.", prog="cardiac_seg")
    commands = p.add_subparsers(dest="command", required=True)

    predict = commands.add_parser("predict", help="masks for NIfTI images")
    predict.add_argument("run", type=Path, help="a run directory")
    predict.add_argument("input", type=Path, help="NIfTI file, folder or dataset root")
    predict.add_argument("--output", type=Path, required=True, help="folder for the masks")

    phantom = commands.add_parser("phantom", help="generate a dataset of phantoms")
    phantom.add_argument("folder", type=Path, help="a folder that does not exist yet")
    phantom.add_argument("--patients", type=int, default=24)
    phantom.add_argument("--modality", choices=("mri", "echo"), default="mri")
    phantom.add_argument("--seed", type=int, default=0)

    info = commands.add_parser("info", help="what a run was trained on and how it scores")
    info.add_argument("run", type=Path, help="a run directory")
    return p.parse_args(argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    from cardiac_seg.progress import start_log

    start_log()
    if args.command == "phantom":
        from cardiac_seg.data.phantom import write_phantoms

        write_phantoms(args.folder, args.patients, args.modality, args.seed)
        return 0
    if args.command == "info":
        from cardiac_seg.info import describe_run

        print(describe_run(args.run))
        return 0
    from cardiac_seg import backend  # noqa: F401  before Keras, see there
    from cardiac_seg.ensemble import predict_folder

    return 1 if predict_folder(args.run, args.input, args.output) else 0


if __name__ == "__main__":
    sys.exit(main())
