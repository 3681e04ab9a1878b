"""A trained run on new data: scans in; masks, maps, pictures and a summary out."""

import hashlib
import json
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cardiac_seg import __version__
from cardiac_seg.data.dicom.segmentation import write_seg
from cardiac_seg.data.nifti import write_map, write_mask
from cardiac_seg.drawing.overlays import overlay
from cardiac_seg.meta.features import relative_entropy
from cardiac_seg.predict.measurements import Measured, measure
from cardiac_seg.predict.predictor import Ensemble, Phase, native_probabilities
from cardiac_seg.predict.scans import Scan, ScanFiles, find_scans, open_scan
from cardiac_seg.predict.summary import write_summary
from cardiac_seg.predict.volume_curve import draw_curve
from cardiac_seg.run.folder import Run, open_run
from cardiac_seg.system.errors import UserError
from cardiac_seg.system.files import remove_leftovers, whole_file, write_text
from cardiac_seg.system.log import bar, log

JOURNAL = ".predict.jsonl"  # what an interrupted call has done; gone when all is
MARKS = (JOURNAL, "summary.json")  # of a folder of results
MOST_TOLD = 10  # scans to review that the terminal names; summary.csv names all


@dataclass(frozen=True)
class Wanted:
    """What is written beside the masks, and what is said of all scans.

    Attributes:
        probabilities: The softmax maps of the model in use.
        uncertainty: Their entropy.
        members: Each network's own mask.
        overlay: A picture of the structures on the image.
        spacing: See `open_scan`.
        heart_rate: Beats a minute instead of the headers'.
        batch_size: Slices a step instead of the run's.
    """

    probabilities: bool = False
    uncertainty: bool = False
    members: bool = False
    overlay: bool = False
    spacing: tuple[float, float, float] | None = None
    heart_rate: float | None = None
    batch_size: int | None = None


def predict_folder(run_folder: Path, source: Path, output: Path, wanted: Wanted) -> int:
    """Segments every scan under a file or folder.

    A NIfTI image's mask has its shape, affine, relative path and name. A DICOM series' mask is a
    NIfTI file in the patient's space and a DICOM segmentation a phase. A scan that fails costs one
    line and leaves nothing, and the rest goes on; an interrupted call goes on where it was.

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
    open_run(run_folder)  # a wrong name is answered before a large folder is walked
    scans = _without_results(find_scans(source), source)
    _check_output(scans, output)
    ensemble = Ensemble.load(run_folder)
    done, failed = _Journal(output, source, ensemble, wanted), {}
    remove_leftovers(output)
    for files in bar(scans, "predict", unit="scan"):
        if files in done:
            continue
        _remove_results(output, files, ensemble.run)  # of another call: they would not fit together
        try:
            done.add(files, _predict_scan(ensemble, files, output, wanted))
        except Exception as error:  # whatever is wrong with one scan, the others are done
            line = _one_line(error, files)
            log.error("%s", line)
            failed[files.name] = line.replace(f"{files.root}/", "")
            _remove_results(output, files, ensemble.run)
    to_review = write_summary(output, ensemble, scans, done.measured, failed)
    done.close(keep=bool(failed))
    for name, reasons in list(to_review.items())[:MOST_TOLD]:
        log.info("review %s: %s", name, reasons)
    log.info(
        "%d masks in %s, %d failed, %d to review: summary.csv",
        len(scans) - len(failed),
        output,
        len(failed),
        len(to_review),
    )
    return len(failed)


def _without_results(scans: list[ScanFiles], source: Path) -> list[ScanFiles]:
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


def _check_output(scans: list[ScanFiles], output: Path) -> None:
    """Refuses a folder in which a mask would take the place of a file that is no result."""
    if any((output / name).is_file() for name in MARKS):
        return
    for scan in scans:
        if (output / scan.mask_path).exists():
            raise UserError(
                f"--output {output}: {scan.mask_path} is there and no result of `predict`; choose "
                "another folder"
            )


def _one_line(error: Exception, files: ScanFiles) -> str:
    """What a scan's failure is told as; an unforeseen one without its words, which may name."""
    if not isinstance(error, UserError):
        at = traceback.extract_tb(error.__traceback__)[-1]
        error = f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}; report it"
    line = str(error)
    return line if str(files.root) in line else f"{files.paths[0]}: {line}"


def _remove_results(output: Path, files: ScanFiles, run: Run) -> None:
    """Removes all that a call may have written of a scan."""
    endings = [r"_(entropy|probabilities)(_phase\d+)?\.nii\.gz", r"(_phase\d+)?_seg\.dcm"]
    endings += [r"_(overlay|curve)\.png", rf"_({'|'.join(run.config.members)})\.nii\.gz"]
    mask = output / files.mask_path
    mask.unlink(missing_ok=True)
    stem = _beside(output, files, "")
    own = re.compile(re.escape(stem.name) + f"({'|'.join(endings)})")
    for path in stem.parent.glob("*") if stem.parent.is_dir() else ():
        if own.fullmatch(path.name):
            path.unlink()


def _predict_scan(ensemble: Ensemble, files: ScanFiles, output: Path, wanted: Wanted) -> Measured:
    """Segments one scan and writes all that is wanted of it."""
    began = time.perf_counter()
    run = ensemble.run
    scan = open_scan(files, run.dataset.modality, wanted.spacing)
    members = {member: [] for member in run.config.members if wanted.members}
    masks, quality = [], []
    for k, phase in enumerate(_with_progress(ensemble.phases(scan, wanted.batch_size), scan)):
        masks.append(phase.mask)
        quality.append(phase.quality)
        for member, own in members.items():
            own.append(ensemble.member_mask(phase, member))
        _write_maps(output, scan, k, phase, wanted)
    for member, own in members.items():
        write_mask(_beside(output, files, f"_{member}.nii.gz"), own, scan.layout)
    rate = wanted.heart_rate or scan.heart_rate
    seconds = round(time.perf_counter() - began, 2)
    measured = measure(scan, masks, quality, run.dataset, rate, seconds)
    if scan.phases > 1:
        draw_curve(_beside(output, files, "_curve.png"), measured)
    if wanted.overlay:
        shown = [(name, scan.image(k), masks[k]) for name, k in measured.shown.items()]
        with whole_file(_beside(output, files, "_overlay.png")) as partial:
            partial.write_bytes(overlay(shown, scan.spacing, run.dataset.structures))
    if scan.series is not None:
        _write_segs(ensemble, output, scan, masks)
    write_mask(output / files.mask_path, masks, scan.layout)  # last: it says that all is there
    return measured


def _with_progress(phases: Iterator[Phase], scan: Scan) -> Iterator[Phase]:
    """A bar for the phases of a cine."""
    if scan.phases == 1:
        return phases
    return bar(phases, "phases", total=scan.phases, unit="phase")


def _write_maps(output: Path, scan: Scan, k: int, phase: Phase, wanted: Wanted) -> None:
    """One file a phase: the maps of a whole cine would not fit in memory."""
    if not (wanted.probabilities or wanted.uncertainty):
        return
    at = f"_phase{k + 1:02d}.nii.gz" if scan.phases > 1 else ".nii.gz"
    probabilities = native_probabilities(phase)
    if wanted.probabilities:
        write_map(_beside(output, scan.files, f"_probabilities{at}"), probabilities, scan.layout)
    if wanted.uncertainty:
        unsure = relative_entropy(probabilities)
        write_map(_beside(output, scan.files, f"_entropy{at}"), unsure, scan.layout)


def _write_segs(ensemble: Ensemble, output: Path, scan: Scan, masks: list[np.ndarray]) -> None:
    structures = ensemble.run.dataset.structures
    for k, mask in enumerate(masks):
        stored = np.ascontiguousarray(scan.layout.orientation.to_stored(mask).T)
        at = f"_phase{k + 1:02d}_seg.dcm" if scan.phases > 1 else "_seg.dcm"
        path = _beside(output, scan.files, at)
        try:
            write_seg(path, stored, scan.series, k, structures, f"cardiac_seg {ensemble.model}")
        except UserError as error:  # the images lack what a SEG must name; the mask stands
            log.warning("%s; its mask is written without a DICOM segmentation", error)
            return


def _beside(output: Path, files: ScanFiles, ending: str) -> Path:
    return output / f"{files.name}{ending}"


class _Journal:
    """The scans that a call has finished, a line each, so that it goes on when interrupted."""

    def __init__(self, output: Path, source: Path, ensemble: Ensemble, wanted: Wanted):
        self.path, self.output = output / JOURNAL, output
        self.measured: dict[str, Measured] = {}
        self._stamps: dict[str, list] = {}
        about = [__version__, str(source.resolve()), _fingerprint(ensemble.run), asdict(wanted)]
        head = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        for line in lines[1:] if lines[:1] == [head] else []:
            try:
                entry = json.loads(line)
                measured, stamp = Measured(**entry["measured"]), entry["stamp"]
            except (ValueError, TypeError, KeyError):
                break  # cut short by the interruption
            self.measured[measured.image], self._stamps[measured.image] = measured, stamp
        output.mkdir(parents=True, exist_ok=True)
        kept = [json.dumps(self._entry(m, self._stamps[name])) for name, m in self.measured.items()]
        write_text(self.path, "".join(f"{line}\n" for line in [head, *kept]))

    def __contains__(self, files: ScanFiles) -> bool:
        """Whether a scan is done, its files unchanged and its mask there."""
        same = self._stamps.get(files.name) == _stamp(files)
        return same and (self.output / files.mask_path).is_file()

    def add(self, files: ScanFiles, measured: Measured) -> None:
        self.measured[files.name] = measured
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(self._entry(measured, _stamp(files))) + "\n")

    def close(self, keep: bool) -> None:
        """Ends the call; what failed may be tried again, so what did not is then remembered."""
        if not keep:
            self.path.unlink()

    @staticmethod
    def _entry(measured: Measured, stamp: list) -> dict:
        return {"stamp": stamp, "measured": asdict(measured)}


def _stamp(files: ScanFiles) -> list:
    stats = [path.stat() for path in files.paths if path.is_file()]
    return [
        len(stats),
        sum(s.st_size for s in stats),
        max((s.st_mtime_ns for s in stats), default=0),
    ]


def _fingerprint(run: Run) -> str:
    """SHA-256 of all that masks depend on: hashes of networks and learners, and what was chosen."""
    chosen = [path.read_text(encoding="utf-8") for path in sorted(run.meta.glob("*.json"))]
    made_of = [run.manifest.get("models"), *chosen]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
