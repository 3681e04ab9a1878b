"""The subcommands of `python -m cardiac_seg`: `predict`, `compare`, `export` and others."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cardiac_seg.commands.guard import guarded, parser

PREDICT = """\
Segment new images with a trained run.

INPUT may be a NIfTI file (image, stack, or cine with the phases last), a DICOM file, or a folder
with any number of NIfTI files and DICOM series at any depth. Of each image DIR receives a mask
with the image's grid, and of DICOM also a DICOM segmentation; of a cine a drawn volume curve.
summary.csv and summary.json hold volumes, EF where ED and ES are known or found, the predicted Dice
and whether to review the mask. Exit code 1: some images failed, each with one line."""


def arguments(argv: list[str] | None):
    """Reads the command line."""
    p = parser("Use a trained run, look at one, or generate phantoms.", prog="cardiac_seg")
    commands = p.add_subparsers(dest="command", required=True)

    predict = commands.add_parser(
        "predict",
        help="masks, volumes and EF for new images",
        description=PREDICT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    predict.add_argument("run", type=Path, help="a finished run directory")
    predict.add_argument("input", type=Path, help="an image, a DICOM series or a folder of them")
    predict.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=Path("outputs/predictions"),
        help="folder for the results (outputs/predictions)",
    )
    more = predict.add_argument_group("written beside the masks")
    more.add_argument("--overlay", action="store_true", help="a picture of the outlines")
    more.add_argument("--uncertainty", action="store_true", help="entropy: 0 sure, 1 no idea")
    more.add_argument("--probabilities", action="store_true", help="probability of each class")
    more.add_argument("--members", action="store_true", help="each network's own mask")
    about = predict.add_argument_group("about the images")
    about.add_argument(
        "--spacing",
        type=_spacing,
        metavar="ROW,COLUMN[,SLICE]",
        help="distances in mm to measure with, instead of what the headers of all images say",
    )
    about.add_argument(
        "--heart-rate",
        type=_positive(float),
        metavar="BPM",
        help="beats a minute, for the cardiac output, instead of what the headers say",
    )
    about.add_argument(
        "--batch-size",
        type=_positive(int),
        metavar="N",
        help="slices at a time; fewer take less memory",
    )

    phantom = commands.add_parser("phantom", help="generate a dataset of phantoms")
    phantom.add_argument("folder", type=Path, help="a folder that does not exist yet")
    phantom.add_argument("--patients", type=int, default=24, help="how many (24)")
    phantom.add_argument(
        "--modality", choices=("mri", "echo"), default="mri", help="mri (default) or echo"
    )
    phantom.add_argument("--seed", type=int, default=0, help="another one, other patients (0)")
    phantom.add_argument("--cine", action="store_true", help="also the phases between ED and ES")

    info = commands.add_parser("info", help="what a run was trained on and how it scores")
    info.add_argument("run", type=Path, help="a run directory")

    compare = commands.add_parser(
        "compare", help="runs on their development patients: for experiments"
    )
    compare.add_argument("runs", type=Path, nargs="+", metavar="run", help="a stacked run")
    compare.add_argument("--method", help="of each run; default: its mean, or its only member")

    errors = commands.add_parser("errors", help="where a run errs on its development patients")
    errors.add_argument("run", type=Path, help="a stacked run")
    errors.add_argument("--pictures", type=Path, metavar="DIR", help="pages of the worst cases")

    ablate = commands.add_parser(
        "ablate", help="what the parts of the stacking are worth, on development patients"
    )
    ablate.add_argument("run", type=Path, help="a stacked run")
    ablate.add_argument("--learner", help="the one to vary; default: the best of the run")

    results = commands.add_parser("results", help="analysed runs in one Markdown table")
    results.add_argument("runs", type=Path, nargs="+", metavar="run", help="an analysed run")

    export = commands.add_parser("export", help="a run stripped to what prediction needs")
    export.add_argument("run", type=Path, help="a finished and analysed run")
    export.add_argument("folder", type=Path, help="a folder that does not exist yet")
    return p.parse_args(argv)


@guarded
def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = arguments(argv)
    from cardiac_seg.system.log import start_log

    start_log()
    if args.command == "phantom":
        from cardiac_seg.data.phantoms.dataset import write_phantoms

        write_phantoms(args.folder, args.patients, args.modality, args.seed, args.cine)
        return 0
    if args.command == "info":
        from cardiac_seg.run.describe import describe_run

        print(describe_run(args.run))
        return 0
    if args.command == "compare":
        from cardiac_seg.report.development import compare_development

        print(compare_development(args.runs, args.method))
        return 0
    if args.command == "errors":
        from cardiac_seg.report.development import describe_errors

        print(describe_errors(args.run, args.pictures))
        return 0
    if args.command == "ablate":
        from cardiac_seg.report.ablation import ablate

        print(ablate(args.run, args.learner))
        return 0
    if args.command == "results":
        from cardiac_seg.report.results import results_table

        print(results_table(args.runs))
        return 0
    if args.command == "predict":
        _choose_backend()
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there

    if args.command == "export":
        from cardiac_seg.report.export import export_run

        export_run(args.run, args.folder)
        return 0
    from cardiac_seg.predict.folder import predict_folder
    from cardiac_seg.predict.outputs import Wanted

    switches = ("probabilities", "uncertainty", "members", "overlay", "heart_rate", "batch_size")
    wanted = Wanted(spacing=args.spacing, **{name: getattr(args, name) for name in switches})
    return 1 if predict_folder(args.run, args.input, args.output, wanted) else 0


def _choose_backend() -> None:
    """Takes OpenVINO for prediction where it is installed and there is no GPU.

    It gives the same masks and starts in half the time; see `benchmarks/`.
    """
    free = "KERAS_BACKEND" not in os.environ and "keras" not in sys.modules
    if free and find_spec("openvino") and not Path("/dev/nvidiactl").exists():
        os.environ["KERAS_BACKEND"] = "openvino"


def _positive(kind: type):
    """An argument type: a positive number."""

    def read(text: str):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    read.__name__ = f"positive {'whole ' if kind is int else ''}number"  # argparse's words
    return read


def _spacing(text: str) -> tuple[float, float, float]:
    """(slice, row, column) distance in mm from the switch; 0 for a slice distance not given."""
    row, column, *more = map(_positive(float), text.split(","))
    if len(more) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(more) + 2} numbers; expected 2 or 3")
    return (more[0] if more else 0.0, row, column)


_spacing.__name__ = "spacing (as 1.5,1.5 or 1.5,1.5,8)"


if __name__ == "__main__":
    sys.exit(main())
