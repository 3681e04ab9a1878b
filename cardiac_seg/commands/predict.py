"""Segment new images with a trained run.

INPUT may be a NIfTI file (image, stack, or cine with the phases last), a DICOM file, or a folder
with any number of NIfTI files and DICOM series at any depth. Of each image DIR receives a mask
with the image's grid, and of DICOM also a DICOM segmentation; of a cine a drawn volume curve.
summary.csv and summary.json hold volumes, EF where ED and ES are known or found, the predicted Dice
and whether to review the mask. Exit code 1: some images failed, each with one line.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from cardiac_seg.system.log import start_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("run", type=Path, help="a finished run directory")
    parser.add_argument("input", type=Path, help="an image, a DICOM series or a folder of them")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=Path("outputs/predictions"),
        help="folder for the results (outputs/predictions)",
    )
    written = parser.add_argument_group("written beside the masks")
    written.add_argument("--overlay", action="store_true", help="a picture of the outlines")
    written.add_argument("--uncertainty", action="store_true", help="entropy: 0 certain, 1 uniform")
    written.add_argument("--probabilities", action="store_true", help="probability of each class")
    written.add_argument("--members", action="store_true", help="each network's own mask")
    parser.add_argument(
        "--maps",
        type=_maps,
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="softmax maps of the images by a member that another program runs; may be repeated",
    )
    images = parser.add_argument_group("about the images")
    images.add_argument(
        "--spacing",
        type=_spacing,
        metavar="ROW,COLUMN[,SLICE]",
        help="distances in mm to measure with, instead of what the headers of all images say",
    )
    images.add_argument(
        "--heart-rate",
        type=positive(float),
        metavar="BPM",
        help="beats per minute, for the cardiac output, instead of what the headers say",
    )
    images.add_argument(
        "--batch-size",
        type=positive(int),
        metavar="N",
        help="slices at a time; fewer take less memory",
    )


def run(args: argparse.Namespace) -> int:
    """Predicts; returns the exit code."""
    start_log()
    choose_backend()
    import cardiac_seg.system.backend  # noqa: F401  before Keras, see there
    from cardiac_seg.predict.folder import predict_folder
    from cardiac_seg.predict.outputs import Wanted

    switches = ("probabilities", "uncertainty", "members", "overlay", "heart_rate", "batch_size")
    options = {name: getattr(args, name) for name in switches}
    wanted = Wanted(spacing=args.spacing, maps=dict(args.maps), **options)
    return 1 if predict_folder(args.run, args.input, args.output, wanted) else 0


def choose_backend() -> None:
    """Takes OpenVINO for prediction where it is installed and there is no GPU.

    It gives the same masks and starts in half the time; see `benchmarks/`.
    """
    free = "KERAS_BACKEND" not in os.environ and "keras" not in sys.modules
    if free and find_spec("openvino") and not Path("/dev/nvidiactl").exists():
        os.environ["KERAS_BACKEND"] = "openvino"


def positive(kind: type):
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
    row, column, *rest = map(positive(float), text.split(","))
    if len(rest) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} has {len(rest) + 2} numbers; expected 2 or 3")
    return (rest[0] if rest else 0.0, row, column)


def _maps(text: str) -> tuple[str, str]:
    """Member and folder from the switch."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise ValueError
    return name, folder


_maps.__name__ = "member and folder (as nnunet_3d=results)"  # argparse's words
_spacing.__name__ = "spacing (as 1.5,1.5 or 1.5,1.5,8)"
