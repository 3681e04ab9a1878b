"""A trained run on new data: scans in; masks, maps, pictures and a summary out."""

import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from cardiac_seg.data.nifti import write_mask
from cardiac_seg.drawing.overlays import overlay
from cardiac_seg.predict.beside import Studies
from cardiac_seg.predict.journal import Journal
from cardiac_seg.predict.measurements import ScanMeasurements, measure
from cardiac_seg.predict.outputs import (
    Wanted,
    check_output,
    path_beside,
    remove_results,
    without_results,
    write_frame_maps,
    write_segmentations,
)
from cardiac_seg.predict.predictor import Ensemble, FrameResult
from cardiac_seg.predict.scans import Scan, ScanFiles, check_stems, find_scans, open_scan
from cardiac_seg.predict.summary import write_summary
from cardiac_seg.predict.volume_curve import draw_curve
from cardiac_seg.run.external import check_scan_maps
from cardiac_seg.run.open import open_run
from cardiac_seg.system.atomic import remove_leftovers, whole_file
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.log import bar, log

MAX_LISTED = 10  # scans to review that the terminal names; summary.csv names all


def predict_folder(run_folder: Path, source: Path, output: Path, wanted: Wanted) -> int:
    """Segments every scan under a file or folder.

    A NIfTI image's mask has its shape, affine, relative path and name. A DICOM series' mask is a
    NIfTI file in the patient's space and one DICOM segmentation per frame. A scan that fails costs
    one line and leaves nothing, and the rest goes on; an interrupted call goes on where it was.

    Args:
        run_folder: A finished run.
        source: A file or folder, see `find_scans`.
        output: Folder for the results.
        wanted: What else to write.

    Returns:
        The number of scans that failed.

    Raises:
        UserError: If the run or the folders are unusable.
    """
    run = open_run(run_folder)  # a wrong name is answered before a large folder is walked
    check_scan_maps(run, wanted.maps)
    scans = without_results(find_scans(source), source)
    if wanted.maps:
        check_stems(scans)
    check_output(scans, output)
    ensemble = Ensemble.load(run_folder, maps=wanted.maps)
    done, failed = Journal(output, source, ensemble, wanted), {}
    remove_leftovers(output)
    studies = Studies(ensemble, scans, wanted.spacing, wanted.batch_size)
    for files in bar(scans, "predict", unit="scan"):
        if files in done:
            continue
        remove_results(output, files, ensemble.run)  # of another call: they would not fit together
        try:
            done.add(files, _predict_scan(studies, files, output, wanted))
        except Exception as error:  # whatever is wrong with one scan, the others are done
            line = _one_line(error, files)
            log.error("%s", line)
            failed[files.name] = line.replace(f"{files.root}/", "")
            remove_results(output, files, ensemble.run)
    to_review = write_summary(output, ensemble, scans, done.measured, failed)
    done.close(keep=bool(failed))
    for name, reasons in list(to_review.items())[:MAX_LISTED]:
        log.info("review %s: %s", name, reasons)
    log.info(
        "%d masks in %s, %d failed, %d to review: summary.csv",
        len(scans) - len(failed),
        output,
        len(failed),
        len(to_review),
    )
    return len(failed)


def _one_line(error: Exception, files: ScanFiles) -> str:
    """One line on why a scan failed; of an unforeseen error not its text, which may hold names."""
    if not isinstance(error, UserError):
        at = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}; report it"
    else:
        line = str(error)
    return line if str(files.root) in line else f"{files.paths[0]}: {line}"


def _predict_scan(
    studies: Studies, files: ScanFiles, output: Path, wanted: Wanted
) -> ScanMeasurements:
    """Segments one scan and writes all that is wanted of it."""
    began = time.perf_counter()
    ensemble = studies.ensemble
    run = ensemble.run
    scan = open_scan(files, run.dataset.modality, wanted.spacing)
    members: dict[str, list] = {member: [] for member in run.config.members if wanted.members}
    masks, predicted_dice, cuts, field = [], [], [], None
    for k, frame in enumerate(_with_progress(studies.frames(scan), scan)):
        masks.append(frame.mask)
        predicted_dice.append(frame.predicted_dice)
        cuts.append(frame.cut)
        field = frame.field
        for member, member_masks in members.items():
            member_masks.append(ensemble.member_mask(frame, member))
        write_frame_maps(output, scan, k, frame, wanted)
    for member, member_masks in members.items():
        write_mask(path_beside(output, files, f"_{member}.nii.gz"), member_masks, scan.layout)
    rate = wanted.heart_rate or scan.heart_rate
    seconds = round(time.perf_counter() - began, 2)
    measured = measure(scan, masks, predicted_dice, cuts, field, run.dataset, rate, seconds)
    if scan.frames > 1 and measured.lv_ml:
        draw_curve(path_beside(output, files, "_curve.png"), measured, run.dataset.anatomy)
    if wanted.overlay:
        shown = [(name, scan.image(k), masks[k]) for name, k in measured.shown.items()]
        with whole_file(path_beside(output, files, "_overlay.png")) as partial:
            partial.write_bytes(overlay(shown, scan.spacing, run.dataset.anatomy))
    if scan.series is not None:
        write_segmentations(ensemble, output, scan, masks)
    write_mask(output / files.mask_path, masks, scan.layout)  # last: it says that all is there
    return measured


def _with_progress(frames: Iterator[FrameResult], scan: Scan) -> Iterator[FrameResult]:
    """A bar for the frames of a cine."""
    if scan.frames == 1:
        return frames
    return bar(frames, "frames", total=scan.frames, unit="frame")
