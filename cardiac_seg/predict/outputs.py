"""The files that `predict` writes of a scan."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cardiac_seg.data.dicom.segmentation import write_seg
from cardiac_seg.data.nifti import write_map
from cardiac_seg.metrics.calibration import relative_entropy
from cardiac_seg.predict.predictor import Ensemble, FrameResult, native_probabilities
from cardiac_seg.predict.scans import Scan, ScanFiles
from cardiac_seg.run.folder import Run
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import log

JOURNAL = ".predict.jsonl"  # what an interrupted call has done; gone when all is
MARKS = (JOURNAL, "summary.json")  # of a folder of results


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks, and what is said of all scans.

    Attributes:
        probabilities: The softmax maps of the method in use.
        uncertainty: Their entropy.
        members: Each network's own mask.
        overlay: A picture of the structures on the image.
        spacing: See `open_scan`.
        heart_rate: Beats per minute instead of the headers'.
        batch_size: Slices per step instead of the run's.
        maps: Member that brings its softmax maps -> the folder of those of the scans.
    """

    probabilities: bool = False
    uncertainty: bool = False
    members: bool = False
    overlay: bool = False
    spacing: tuple[float, float, float] | None = None
    heart_rate: float | None = None
    batch_size: int | None = None
    maps: dict[str, str] = field(default_factory=dict)


def without_results(scans: list[ScanFiles], source: Path) -> list[ScanFiles]:
    """The scans that are not themselves results: masks and maps of an earlier call."""
    kept, results = [], {}
    for scan in scans:
        inside = scan.paths[0].parent.relative_to(scan.root)
        for folder in (scan.root / part for part in (inside, *inside.parents)):
            if folder not in results:
                results[folder] = any((folder / name).is_file() for name in MARKS)
        if not any(results[scan.root / part] for part in (inside, *inside.parents)):
            kept.append(scan)
    if not kept:
        raise UserError(f"{source}: holds nothing but results of `predict`; name the images")
    if left := len(scans) - len(kept):
        log.info("%s: %d results of earlier calls are passed over", source, left)
    return kept


def check_output(scans: list[ScanFiles], output: Path) -> None:
    """Refuses a folder in which a mask would take the place of a file that is no result."""
    if any((output / name).is_file() for name in MARKS):
        return
    for scan in scans:
        if (output / scan.mask_path).exists():
            raise UserError(
                f"--output {output}: {scan.mask_path} is there and no result of `predict`; choose "
                "another folder"
            )


def remove_results(output: Path, files: ScanFiles, run: Run) -> None:
    """Removes all that a call may have written of a scan."""
    endings = [r"_(entropy|probabilities)(_phase\d+)?\.nii\.gz", r"(_phase\d+)?_seg\.dcm"]
    endings += [r"_(overlay|curve)\.png", rf"_({'|'.join(run.config.members)})\.nii\.gz"]
    mask = output / files.mask_path
    mask.unlink(missing_ok=True)
    stem = path_beside(output, files, "")
    results_of_scan = re.compile(re.escape(stem.name) + f"({'|'.join(endings)})")
    for path in stem.parent.glob("*") if stem.parent.is_dir() else ():
        if results_of_scan.fullmatch(path.name):
            path.unlink()


def write_frame_maps(output: Path, scan: Scan, k: int, frame: FrameResult, wanted: Wanted) -> None:
    """One file per frame: the maps of a whole cine would not fit in memory."""
    if not (wanted.probabilities or wanted.uncertainty):
        return
    at = f"_phase{k + 1:02d}.nii.gz" if scan.frames > 1 else ".nii.gz"
    probabilities = native_probabilities(frame)
    if wanted.probabilities:
        write_map(
            path_beside(output, scan.files, f"_probabilities{at}"), probabilities, scan.layout
        )
    if wanted.uncertainty:
        entropy = relative_entropy(probabilities)
        write_map(path_beside(output, scan.files, f"_entropy{at}"), entropy, scan.layout)


def write_segmentations(
    ensemble: Ensemble, output: Path, scan: Scan, masks: list[np.ndarray]
) -> None:
    """Writes the mask of each frame as a DICOM segmentation beside it."""
    assert scan.series is not None  # of DICOM
    anatomy = ensemble.run.dataset.anatomy
    for k, mask in enumerate(masks):
        stored = np.ascontiguousarray(scan.layout.orientation.to_stored(mask).T)
        at = f"_phase{k + 1:02d}_seg.dcm" if scan.frames > 1 else "_seg.dcm"
        path = path_beside(output, scan.files, at)
        try:
            write_seg(path, stored, scan.series, k, anatomy, f"cardiac_seg {ensemble.method}")
        except UserError as error:  # the images lack what a SEG must name; the mask stands
            log.warning("%s; its mask is written without a DICOM segmentation", error)
            return


def path_beside(output: Path, files: ScanFiles, ending: str) -> Path:
    """Path of a file that lies beside the mask of a scan."""
    return output / f"{files.name}{ending}"
